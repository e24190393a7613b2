//! Group D: who stops and starts with whom, and in which order.

use serde_json::json;
use std::time::Duration;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{Backoff, ChildSpec, Restart, Shutdown, Strategy};
use unity_supervisors::{Done, ExitKind, Mode, RequestError, SlotState};

use crate::support::{Answer, Tree, World, group, path, refusal, sub};
use Strategy::{OneForAll, OneForOne, RestForOne};

/// A root with workers of these ids; what they said at boot is taken.
async fn boot<const N: usize>(strategy: Strategy, ids: [&str; N]) -> Tree {
    let world = World::new();
    let tree = world.boot(group(strategy, 9, world.children(ids))).await;
    world.take();
    tree
}

/// The incarnations of the root's children, in start order.
fn incarnations(tree: &Tree) -> Vec<u64> {
    let children = tree.children("/").into_iter();
    children
        .map(|(id, _)| tree.incarnation(&format!("/{id}")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn s080_one_for_one_replaces_only_the_failed_child() {
    let tree = boot(OneForOne, ["a", "b"]).await;

    tree.crash("/a").await;
    tree.running("/a", 2).await;

    assert_eq!(incarnations(&tree), [2, 1]);
    assert_eq!(tree.world.take(), ["gone a", "start a", "started a"]);
    assert_eq!(tree.counts("/"), [2, 2, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn s081_one_for_all_replaces_all_and_no_old_life_is_left() {
    let tree = boot(OneForAll, ["a", "b"]).await;

    tree.crash("/a").await;
    tree.running("/b", 2).await;

    assert_eq!(incarnations(&tree), [2, 2]);
    let said = tree.world.take_only(&["gone", "started"]);
    assert_eq!(said, ["gone a", "gone b", "started a", "started b"]);
    assert_eq!(tree.counts("/"), [2, 2, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn s082_rest_for_one_replaces_the_failed_child_and_those_after_it() {
    let tree = boot(RestForOne, ["a", "b", "c"]).await;

    tree.crash("/b").await;
    tree.running("/c", 2).await;

    assert_eq!(incarnations(&tree), [1, 2, 2]);
    let said = tree.world.take_only(&["gone", "started"]);
    assert_eq!(said, ["gone b", "gone c", "started b", "started c"]);
}

#[tokio::test(start_paused = true)]
async fn s084_one_for_all_stops_in_reverse_and_starts_in_order() {
    let tree = boot(OneForAll, ["a", "b", "c", "d"]).await;

    tree.crash("/b").await;
    tree.running("/d", 2).await;

    let stops = ["gone b", "gone d", "gone c", "gone a"];
    let starts = ["start a", "start b", "start c", "start d"];
    assert_eq!(
        tree.world.take_only(&["gone", "start"]),
        [stops, starts].concat()
    );
}

#[tokio::test(start_paused = true)]
async fn s085_rest_for_one_stops_the_rest_in_reverse_and_starts_it_in_order() {
    let tree = boot(RestForOne, ["c1", "c2", "c3", "c4", "c5"]).await;

    tree.crash("/c3").await;
    tree.running("/c5", 2).await;

    let stops = ["gone c3", "gone c5", "gone c4"];
    let starts = ["start c3", "start c4", "start c5"];
    assert_eq!(
        tree.world.take_only(&["gone", "start"]),
        [stops, starts].concat()
    );
    assert_eq!(incarnations(&tree), [1, 1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn s086_rest_for_one_restarts_the_last_alone_and_with_the_first_all() {
    for (failed, expected) in [("/c", [1, 1, 2]), ("/a", [2, 2, 2])] {
        let tree = boot(RestForOne, ["a", "b", "c"]).await;

        tree.crash(failed).await;
        tree.running("/c", 2).await;

        assert_eq!(incarnations(&tree), expected, "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn s091_a_spawned_child_is_the_last_and_is_restarted_with_its_group() {
    let tree = boot(RestForOne, ["z", "m"]).await;
    tree.kernel
        .spawn(&path("/"), tree.world.child("a"))
        .await
        .unwrap();
    assert_eq!(tree.children("/").last().unwrap().0, "a");
    tree.world.take();

    tree.crash("/m").await;
    tree.running("/a", 2).await;

    assert_eq!(incarnations(&tree), [1, 2, 2]);
    assert_eq!(tree.world.take_only(&["start"]), ["start m", "start a"]);
}

#[tokio::test(start_paused = true)]
async fn s093_a_crash_in_one_supervisor_leaves_the_children_of_another_untouched() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let world = World::new();
        let x = sub("x", group(strategy, 9, world.children(["a", "b"])));
        let y = sub("y", group(strategy, 9, world.children(["c", "d"])));
        let tree = world.boot(group(strategy, 9, [x, y])).await;

        tree.crash("/x/a").await;
        tree.running("/x/a", 2).await;

        assert_eq!(
            (tree.ping("/y/c").await, tree.ping("/y/d").await),
            (1, 1),
            "{strategy:?}"
        );
        assert_eq!(
            (world.lives("/y/c"), world.lives("/y/d"), world.lives("/x")),
            (1, 1, 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s094_when_one_of_three_supervisors_gives_up_all_return_with_their_static_children_only() {
    let world = World::new();
    let supervisor = |id, leaf| sub(id, group(OneForOne, 0, [world.child(leaf)]));
    let three = [
        supervisor("x", "a"),
        supervisor("y", "b"),
        supervisor("z", "c"),
    ];
    let tree = world.boot(group(OneForAll, 9, three)).await;
    for at in ["/x", "/y", "/z"] {
        tree.kernel
            .spawn(&path(at), world.child("added"))
            .await
            .unwrap();
    }

    tree.crash("/y/b").await;
    tree.lives("/z/c", 2).await;

    for (at, leaf) in [("/x", "a"), ("/y", "b"), ("/z", "c")] {
        tree.running(at, 2).await;
        assert_eq!(tree.children(at), [(leaf.to_owned(), SlotState::Running)]);
        assert_eq!(tree.state(&format!("{at}/added")), None);
    }
    assert_eq!(world.exit_kinds("/y"), [ExitKind::GaveUp]);
    assert_eq!(world.exit_kinds("/x"), [ExitKind::Shutdown]);
}

#[tokio::test(start_paused = true)]
async fn s097_a_stop_of_one_member_touches_no_sibling_and_is_not_counted() {
    for strategy in [OneForAll, RestForOne] {
        let world = World::new();
        let children = world.children(["a", "b", "c"]);
        let tree = world.boot(group(strategy, 0, children)).await;
        world.take();

        tree.kernel.stop(&path("/a")).await.unwrap();

        assert_eq!(
            world.take_only(&["gone", "start"]),
            ["gone a"],
            "{strategy:?}"
        );
        assert_eq!(tree.counts("/"), [3, 2, 0, 3]);
        assert_eq!(
            tree.kernel.tree(None).unwrap().tree.unwrap().restarts.used,
            0
        );
        assert_eq!(tree.mode(), Mode::Normal);
    }
}

#[tokio::test(start_paused = true)]
async fn s098_a_transient_member_that_ends_normally_touches_no_sibling() {
    for strategy in [OneForAll, RestForOne] {
        let world = World::new();
        let a = ChildSpec {
            restart: Restart::Transient,
            ..world.child("a")
        };
        let tree = world.boot(group(strategy, 0, [a, world.child("b")])).await;
        world.take();

        tree.end("/a", json!({ "end": "normal" })).await;
        tree.becomes("/a", Some(SlotState::Stopped)).await;

        assert_eq!(tree.ping("/b").await, 1);
        assert_eq!(
            world.take_only(&["gone", "start"]),
            ["gone a"],
            "{strategy:?}"
        );
        assert_eq!(tree.mode(), Mode::Normal);
    }
}

#[tokio::test(start_paused = true)]
async fn s100_members_are_stopped_with_shutdown_or_killed_never_with_their_siblings_reason() {
    let world = World::new();
    let obstinate = ChildSpec {
        shutdown: Shutdown::Timeout(Duration::from_secs(1)),
        ..world.child_with("c", json!({ "stop_takes_ms": 60_000 }))
    };
    let [a, b] = world.children(["a", "b"]);
    let tree = world.boot(group(OneForAll, 9, [a, b, obstinate])).await;

    tree.crash("/a").await;
    tree.running("/c", 2).await;

    assert_eq!(world.exit_kinds("/a"), [ExitKind::Error]);
    for (at, reason, response) in [
        ("/b", "shutdown", Response::Stopped),
        (
            "/c",
            "killed: it did not stop within 1s",
            Response::StopFailed,
        ),
    ] {
        let exits = world.exits(at);
        assert_eq!(exits.len(), 1, "{at}");
        assert_eq!(exits[0].reason.to_string(), reason, "{at}");
        assert_eq!(exits[0].response, response);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_restart_takes_in_a_member_that_a_person_stopped() {
    let tree = boot(OneForAll, ["a", "b"]).await;
    tree.kernel.stop(&path("/b")).await.unwrap();

    tree.crash("/a").await;
    tree.running("/b", 2).await;

    assert_eq!(incarnations(&tree), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_group_restart_leaves_only_that_member_down() {
    for strategy in [OneForAll, RestForOne] {
        let world = World::new();
        let b = world.starting("b", &[Answer::Ok, Answer::Hang]);
        let [a, c] = world.children(["a", "c"]);
        let tree = world.boot(group(strategy, 9, [a, b, c])).await;
        world.take();
        tree.crash("/a").await;
        tree.until("b hangs", |_| world.said("start b")).await;

        let stopped = tree.kernel.stop(&path("/b")).await;
        tree.running("/c", 2).await;

        assert_eq!(stopped, Ok(Done::Stopped), "{strategy:?}");
        assert_eq!(tree.state("/b"), Some(SlotState::Stopped));
        assert_eq!(tree.counts("/"), [3, 2, 0, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_a_group_restart_waits_for_its_end_and_then_restarts_the_group() {
    let world = World::new();
    let [a, b] = world.children(["a", "b"]);
    let c = world.starting("c", &[Answer::Ok, Answer::Slow, Answer::Ok]);
    let tree = world.boot(group(OneForAll, 9, [a, b, c])).await;
    world.take();
    tree.crash("/b").await;

    tree.until("c starts", |_| world.said("start c")).await;
    tree.crash("/a").await;
    tree.running("/c", 3).await;

    assert_eq!(incarnations(&tree), [3, 3, 3]);
    assert_eq!(
        world.exit_kinds("/a"),
        [ExitKind::Shutdown, ExitKind::Error]
    );
    assert_eq!(
        world.exit_kinds("/c"),
        [ExitKind::Shutdown, ExitKind::Shutdown]
    );
}

#[tokio::test(start_paused = true)]
async fn two_crashes_at_once_under_one_for_all_cost_one_restart_of_the_group() {
    let tree = boot(OneForAll, ["a", "b", "c"]).await;

    tree.kernel
        .tell(&path("/a"), json!({ "crash": "one" }))
        .await
        .unwrap();
    tree.kernel
        .tell(&path("/c"), json!({ "crash": "two" }))
        .await
        .unwrap();
    tree.running("/c", 2).await;

    assert_eq!(incarnations(&tree), [2, 2, 2]);
    assert_eq!(
        tree.kernel.tree(None).unwrap().tree.unwrap().restarts.used,
        1
    );
    assert_eq!(tree.world.exits("/c").len(), 1);
}

/// A pause of exactly ten seconds.
fn ten_seconds() -> Option<Backoff> {
    let ten = Duration::from_secs(10);
    Some(Backoff {
        min: ten,
        max: ten,
        factor: 1.0,
        jitter: 0.0,
    })
}

#[tokio::test(start_paused = true)]
async fn a_group_is_down_while_its_failed_member_waits_and_returns_with_it_in_order() {
    for strategy in [OneForAll, RestForOne] {
        let world = World::new();
        let a = ChildSpec {
            backoff: ten_seconds(),
            ..world.child("a")
        };
        let tree = world.boot(group(strategy, 9, [a, world.child("b")])).await;
        world.take();

        tree.crash("/a").await;
        tree.becomes("/b", Some(SlotState::Restarting)).await;
        assert_eq!(tree.state("/a"), Some(SlotState::Backoff));
        tree.running("/b", 2).await;

        let expected = ["gone a", "gone b", "start a", "start b"];
        assert_eq!(
            world.take_only(&["gone", "start"]),
            expected,
            "{strategy:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_manual_start_of_a_waiting_member_brings_its_group_back_too_and_the_pause_is_void() {
    for restart in [false, true] {
        for strategy in [OneForAll, RestForOne] {
            let world = World::new();
            let a = ChildSpec {
                backoff: ten_seconds(),
                ..world.child("a")
            };
            let tree = world.boot(group(strategy, 9, [a, world.child("b")])).await;
            tree.crash("/a").await;
            tree.becomes("/b", Some(SlotState::Restarting)).await;

            let started = if restart {
                tree.kernel.restart(&path("/a")).await
            } else {
                tree.kernel.start_child(&path("/a")).await
            };
            tokio::time::sleep(Duration::from_secs(60)).await;

            assert_eq!(
                started,
                Ok(Done::Started { incarnation: 2 }),
                "{strategy:?}"
            );
            assert_eq!(incarnations(&tree), [2, 2], "{strategy:?}");
            assert_eq!(tree.counts("/"), [2, 2, 0, 2]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_manual_restart_of_a_waiting_child_that_fails_does_not_end_its_retries_a_start_does() {
    let world = World::new();
    let answers = [Answer::Ok, Answer::Fail, Answer::Ok];
    let a = ChildSpec {
        backoff: ten_seconds(),
        ..world.starting("a", &answers)
    };
    let tree = world.boot(group(OneForOne, 9, [a])).await;
    tree.crash("/a").await;

    let restarted = tree.kernel.restart(&path("/a")).await;
    tree.running("/a", 2).await;

    assert!(matches!(refusal(restarted), RequestError::StartFailed(_)));
    assert_eq!(world.starts("a"), 3);

    world.let_start("a", Answer::Fail);
    tree.crash("/a").await;
    let started = tree.kernel.start_child(&path("/a")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;

    assert!(matches!(refusal(started), RequestError::StartFailed(_)));
    assert_eq!(
        (tree.state("/a"), world.starts("a")),
        (Some(SlotState::Stopped), 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_a_waiting_member_leaves_its_group_down() {
    let world = World::new();
    let a = ChildSpec {
        backoff: ten_seconds(),
        ..world.child("a")
    };
    let tree = world.boot(group(OneForAll, 9, [a, world.child("b")])).await;
    tree.crash("/a").await;
    tree.becomes("/b", Some(SlotState::Restarting)).await;

    tree.kernel.stop(&path("/a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;

    let expected = ["a", "b"].map(|id| (id.to_owned(), SlotState::Stopped));
    assert_eq!(tree.children("/"), expected);
}

/// `d` needs `n`; both are children of the root, and `x` lies between them.
async fn boot_needs(strategy: Strategy, n: impl FnOnce(ChildSpec) -> ChildSpec) -> Tree {
    let world = World::new();
    let [spec, x] = world.children(["n", "x"]);
    let id = spec.id.clone();
    let d = ChildSpec {
        needs: vec![id],
        ..world.child("d")
    };
    let tree = world.boot(group(strategy, 9, [n(spec), x, d])).await;
    world.take();
    tree
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_stopped_sibling_stops_before_it_and_starts_after_it() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let tree = boot_needs(strategy, |n| n).await;

        tree.kernel.stop(&path("/n")).await.unwrap();
        assert_eq!(tree.state("/d"), Some(SlotState::Stopped));
        tree.kernel.start_child(&path("/n")).await.unwrap();
        tree.running("/d", 2).await;

        let expected = ["gone d", "gone n", "start n", "start d"];
        assert_eq!(
            tree.world.take_only(&["gone", "start"]),
            expected,
            "{strategy:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_transient_sibling_stops_when_it_ends_normally() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let transient = |n| ChildSpec {
            restart: Restart::Transient,
            ..n
        };
        let tree = boot_needs(strategy, transient).await;

        tree.end("/n", json!({ "end": "normal" })).await;
        tree.becomes("/d", Some(SlotState::Stopped)).await;

        assert_eq!(tree.ping("/x").await, 1, "{strategy:?}");
        assert_eq!(tree.counts("/"), [3, 1, 0, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_restart_starts_no_member_whose_need_was_temporary_and_is_gone() {
    let temporary = |n| ChildSpec {
        restart: Restart::Temporary,
        ..n
    };
    let tree = boot_needs(OneForAll, temporary).await;

    tree.crash("/x").await;
    tree.running("/x", 2).await;

    assert_eq!(tree.state("/n"), None);
    assert_eq!(
        tree.state("/d"),
        Some(SlotState::Stopped),
        "it waits for its need"
    );
    assert_eq!(tree.world.starts("d"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_need_is_down_is_spawned_and_started_waiting() {
    let tree = boot(OneForOne, ["n"]).await;
    tree.kernel.stop(&path("/n")).await.unwrap();
    let id = unity_supervisors::ChildId::new("n").unwrap();
    let d = ChildSpec {
        needs: vec![id],
        ..tree.world.child("d")
    };

    let spawned = tree.kernel.spawn(&path("/"), d).await;
    let asked = tree.kernel.start_child(&path("/d")).await;

    let waiting = Done::Waiting {
        need: unity_supervisors::ChildId::new("n").unwrap(),
    };
    assert_eq!((spawned, asked), (Ok(waiting.clone()), Ok(waiting)));
    assert_eq!(
        (tree.state("/d"), tree.world.starts("d")),
        (Some(SlotState::Stopped), 0)
    );
    tree.kernel.start_child(&path("/n")).await.unwrap();
    tree.running("/d", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_what_needs_the_stopped_through_another_whatever_ended_it() {
    for ends in [true, false] {
        let world = World::new();
        let id = |id: &str| vec![unity_supervisors::ChildId::new(id).unwrap()];
        let a = ChildSpec {
            restart: Restart::Transient,
            ..world.child("a")
        };
        let b = ChildSpec {
            needs: id("a"),
            ..world.child("b")
        };
        let c = ChildSpec {
            needs: id("b"),
            ..world.child("c")
        };
        let tree = world.boot(group(OneForOne, 9, [a, b, c])).await;

        if ends {
            tree.end("/a", json!({ "end": "normal" })).await;
        } else {
            tree.kernel.stop(&path("/a")).await.unwrap();
        }
        tree.becomes("/c", Some(SlotState::Stopped)).await;
        tree.kernel.start_child(&path("/a")).await.unwrap();
        tree.running("/c", 2).await;

        assert_eq!(incarnations(&tree), [2, 2, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_need_that_is_deleted_and_added_again_is_met_again() {
    let world = World::new();
    let id = |id: &str| vec![unity_supervisors::ChildId::new(id).unwrap()];
    let d = ChildSpec {
        needs: id("n"),
        ..world.child("d")
    };
    let tree = world.boot(group(OneForOne, 9, [world.child("n"), d])).await;

    tree.kernel.stop(&path("/n")).await.unwrap();
    tree.kernel.delete(&path("/n")).await.unwrap();
    tree.becomes("/d", Some(SlotState::Stopped)).await;
    tree.kernel
        .spawn(&path("/"), world.child("n"))
        .await
        .unwrap();

    tree.running("/d", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_would_need_what_needs_it_is_refused() {
    let world = World::new();
    let id = |id: &str| unity_supervisors::ChildId::new(id).unwrap();
    let needing = |child: &str, need: &str| ChildSpec {
        needs: vec![id(need)],
        ..world.child(child)
    };
    let children = [world.child("a"), needing("b", "a"), needing("c", "b")];
    let tree = world.boot(group(OneForOne, 9, children)).await;
    tree.kernel.stop(&path("/a")).await.unwrap();
    tree.kernel.delete(&path("/a")).await.unwrap();

    let spawned = tree.kernel.spawn(&path("/"), needing("a", "c")).await;

    assert_eq!(refusal(spawned), RequestError::NeedsEachOther(id("c")));
    assert_eq!(tree.state("/a"), None);
}
