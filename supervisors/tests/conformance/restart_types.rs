//! Group C: which exits bring a child back, by its restart type, and what stays of one that does not come back.

use serde_json::json;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{ChildSpec, Restart, Strategy};
use unity_supervisors::{ExitKind, Mode, RequestError, SlotState};

use crate::support::{Tree, World, group, path, refusal};
use Restart::{Permanent, Temporary, Transient};
use Strategy::{OneForAll, OneForOne, RestForOne};

const STRATEGIES: [Strategy; 3] = [OneForOne, OneForAll, RestForOne];

/// The exits that the restart types are asked about, in the order of the lines.
const EXITS: [Exit; 5] = [
    Exit {
        how: "end",
        says: "normal",
        kind: ExitKind::Normal,
    },
    Exit {
        how: "end",
        says: "shutdown",
        kind: ExitKind::Shutdown,
    },
    Exit {
        how: "end",
        says: "shutdown: info",
        kind: ExitKind::Shutdown,
    },
    Exit {
        how: "crash",
        says: "boom",
        kind: ExitKind::Error,
    },
    Exit {
        how: "kill",
        says: "",
        kind: ExitKind::Killed,
    },
];

#[derive(Debug, Clone, Copy)]
struct Exit {
    how: &'static str,
    says: &'static str,
    kind: ExitKind,
}

impl Exit {
    /// Lets `/a` of `tree` exit so.
    async fn happen(self, tree: &Tree) {
        match self.how {
            "kill" => tree.kill("/a").await,
            how => tree.end("/a", json!({ how: self.says })).await,
        }
    }
}

/// A root with one child, `/a`, of this restart type.
async fn boot(restart: Restart) -> Tree {
    let world = World::new();
    let child = ChildSpec {
        restart,
        ..world.child("a")
    };
    world.boot(group(OneForOne, 9, [child])).await
}

#[tokio::test(start_paused = true)]
async fn s055_to_s059_a_permanent_child_is_restarted_after_every_exit() {
    for exit in EXITS {
        let tree = boot(Permanent).await;

        exit.happen(&tree).await;
        tree.running("/a", 2).await;

        assert_eq!(tree.counts("/"), [1, 1, 0, 1], "{exit:?}");
        assert_eq!(tree.ping("/a").await, 2);
        assert_eq!(tree.world.exit_kinds("/a"), [exit.kind]);
        assert_eq!(tree.world.exits("/a")[0].response, Response::Restarted);
    }
}

#[tokio::test(start_paused = true)]
async fn s060_to_s064_a_transient_child_is_restarted_after_an_abnormal_exit_only() {
    for (exit, comes_back) in EXITS.into_iter().zip([false, false, false, true, true]) {
        let tree = boot(Transient).await;

        exit.happen(&tree).await;

        assert_eq!(tree.world.exit_kinds("/a"), [exit.kind]);
        if comes_back {
            tree.running("/a", 2).await;
            assert_eq!(tree.counts("/"), [1, 1, 0, 1], "{exit:?}");
        } else {
            tree.becomes("/a", Some(SlotState::Stopped)).await;
            assert_eq!(tree.counts("/"), [1, 0, 0, 1], "{exit:?}");
            assert_eq!(tree.world.exits("/a")[0].response, Response::LeftDown);
            assert_eq!(tree.world.starts("a"), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s065_to_s069_a_temporary_child_is_never_restarted_and_its_spec_is_gone() {
    for exit in EXITS {
        let tree = boot(Temporary).await;

        exit.happen(&tree).await;
        tree.becomes("/a", None).await;

        assert_eq!(tree.counts("/"), [0, 0, 0, 0], "{exit:?}");
        assert_eq!(tree.world.exit_kinds("/a"), [exit.kind]);
        assert_eq!(tree.world.exits("/a")[0].response, Response::Deleted);
        assert_eq!(tree.world.starts("a"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn s070_a_transient_child_that_ended_is_brought_back_under_its_spec() {
    let tree = boot(Transient).await;
    tree.end("/a", json!({ "end": "normal" })).await;
    tree.becomes("/a", Some(SlotState::Stopped)).await;
    let spec = tree
        .kernel
        .registry()
        .get(&path("/a"))
        .unwrap()
        .spec()
        .clone();

    tree.kernel.start_child(&path("/a")).await.unwrap();

    assert_eq!(tree.ping("/a").await, 2);
    assert_eq!(
        tree.kernel.registry().get(&path("/a")).unwrap().spec(),
        spec
    );
}

#[tokio::test(start_paused = true)]
async fn s071_the_id_of_a_temporary_child_that_ended_is_free_at_once() {
    for exit in EXITS {
        let tree = boot(Temporary).await;
        exit.happen(&tree).await;
        tree.becomes("/a", None).await;

        let again = ChildSpec {
            restart: Temporary,
            ..tree.world.child("a")
        };
        tree.kernel.spawn(&path("/"), again).await.unwrap();

        assert_eq!(tree.ping("/a").await, 1, "a new slot begins at 1");
        assert_eq!(tree.counts("/"), [1, 1, 0, 1], "{exit:?}");
    }
}

/// Lets `/a` end in one of the four ways of line 72.
async fn end_somehow(tree: &Tree, how: &str) {
    match how {
        "kill" => tree.kill("/a").await,
        "normal" => tree.end("/a", json!({ "end": "normal" })).await,
        "abnormal" => tree.crash("/a").await,
        _ => {
            tree.kernel.stop(&path("/a")).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s072_only_the_id_of_a_temporary_child_can_be_used_again_whatever_ended_it() {
    for strategy in STRATEGIES {
        for how in ["kill", "normal", "abnormal", "terminate_child"] {
            for restart in [Permanent, Transient, Temporary] {
                let world = World::new();
                let child = ChildSpec {
                    restart,
                    ..world.child("a")
                };
                let tree = world.boot(group(strategy, 9, [child])).await;
                let down = how == "terminate_child" || (how == "normal" && restart == Transient);

                end_somehow(&tree, how).await;
                if restart != Temporary && !down {
                    tree.running("/a", 2).await;
                }
                let again = tree.kernel.spawn(&path("/"), world.child("a")).await;

                let row = format!("{strategy:?} {how} {restart:?}");
                match (restart, down) {
                    (Temporary, _) => assert!(again.is_ok(), "{row}: {again:?}"),
                    (_, true) => assert_eq!(refusal(again), RequestError::AlreadyPresent, "{row}"),
                    (_, false) => assert_eq!(refusal(again), RequestError::AlreadyStarted, "{row}"),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s073_s074_a_temporary_bystander_of_a_group_restart_is_stopped_and_removed() {
    for strategy in [OneForAll, RestForOne] {
        let world = World::new();
        let bystander = ChildSpec {
            restart: Temporary,
            ..world.child("b")
        };
        let tree = world
            .boot(group(strategy, 9, [world.child("a"), bystander]))
            .await;

        tree.crash("/a").await;
        tree.running("/a", 2).await;

        assert_eq!(tree.state("/b"), None, "{strategy:?}");
        assert_eq!(world.exit_kinds("/b"), [ExitKind::Shutdown]);
        assert_eq!(world.starts("b"), 1);
        assert_eq!(tree.counts("/"), [1, 1, 0, 1]);
        assert_eq!(tree.mode(), Mode::Normal);
    }
}

#[tokio::test(start_paused = true)]
async fn s075_nothing_is_kept_of_a_temporary_child_that_ended() {
    for strategy in STRATEGIES {
        let world = World::new();
        let tree = world.boot(group(strategy, 9, [])).await;
        let mut slots = Vec::new();
        for _ in 0..3 {
            let child = ChildSpec {
                restart: Temporary,
                ..world.child("a")
            };
            tree.kernel.spawn(&path("/"), child).await.unwrap();
            slots.push(std::sync::Arc::downgrade(
                &tree.kernel.registry().get(&path("/a")).unwrap(),
            ));
            tree.crash("/a").await;
            tree.becomes("/a", None).await;
        }

        // What is left of the last life runs out.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;

        let kept = slots.iter().filter(|slot| slot.upgrade().is_some()).count();
        assert_eq!(kept, 0, "{strategy:?}");
        assert!(tree.kernel.tombstones().len() <= 64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_temporary_child_can_be_restarted_by_a_person() {
    let tree = boot(Temporary).await;

    let restarted = tree.kernel.restart(&path("/a")).await;

    assert_eq!(
        restarted,
        Ok(unity_supervisors::Done::Started { incarnation: 2 })
    );
    assert_eq!(tree.ping("/a").await, 2);
    assert_eq!(tree.counts("/"), [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_temporary_child_whose_restart_fails_is_gone() {
    use crate::support::Answer::{Fail, Ok};
    let world = World::new();
    let child = ChildSpec {
        restart: Temporary,
        ..world.starting("a", &[Ok, Fail])
    };
    let tree = world.boot(group(OneForOne, 9, [child])).await;

    let restarted = tree.kernel.restart(&path("/a")).await;

    assert!(matches!(refusal(restarted), RequestError::StartFailed(_)));
    tree.becomes("/a", None).await;
    assert_eq!((world.starts("a"), world.lives("/a")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_crashes_as_soon_as_it_runs_is_seen_to_exit_once_each_time() {
    use crate::support::Answer::{Doomed, Ok};
    for strategy in STRATEGIES {
        let world = World::new();
        let doomed = world.starting("a", &[Doomed, Doomed, Ok]);
        let tree = world
            .boot(group(strategy, 9, [doomed, world.child("b")]))
            .await;

        tree.running("/a", 3).await;
        tree.until("b runs", |tree| {
            tree.state("/b") == Some(SlotState::Running)
        })
        .await;

        assert_eq!(
            world.exit_kinds("/a"),
            [ExitKind::Error, ExitKind::Error],
            "{strategy:?}"
        );
        assert_eq!((tree.ping("/a").await, world.starts("a")), (3, 3));
    }
}
