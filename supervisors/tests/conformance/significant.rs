//! Group H: significant children, and supervisors that end with them.

use std::sync::Arc;

use serde_json::json;
use unity_supervisors::kernel::BuildError;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{
    AutoShutdown, ChildSpec, Restart, SignificanceError, Strategy, SupervisorSpec, Template,
    TreeSpec,
};
use unity_supervisors::{
    ActorPath, ExitKind, Kernel, KernelConfig, KernelError, Kinds, Mode, Runtimes, SlotState,
};

use crate::support::{Answer, Recorder, Tree, World, group, path, sub};
use AutoShutdown::{AllSignificant, AnySignificant, Never};
use Restart::{Permanent, Temporary, Transient};
use Strategy::{OneForAll, OneForOne, RestForOne};

const MODES: [AutoShutdown; 3] = [Never, AnySignificant, AllSignificant];
const STRATEGIES: [Strategy; 3] = [OneForOne, OneForAll, RestForOne];

/// How a child comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A person stops it.
    Api,
    Kill,
    Crash,
    /// It ends by itself, for this reason.
    End(&'static str),
}

const WAYS: [Way; 4] = [Way::Api, Way::Kill, Way::Crash, Way::End("normal")];

impl Way {
    async fn happen(self, tree: &Tree, at: &str) {
        match self {
            Self::Api => drop(tree.kernel.stop(&path(at)).await.unwrap()),
            Self::Kill => tree.kill(at).await,
            Self::Crash => tree.crash(at).await,
            Self::End(reason) => tree.end(at, json!({ "end": reason })).await,
        }
    }
}

fn of_type(restart: Restart, child: ChildSpec) -> ChildSpec {
    ChildSpec { restart, ..child }
}

fn significant(restart: Restart, child: ChildSpec) -> ChildSpec {
    ChildSpec {
        significant: true,
        ..of_type(restart, child)
    }
}

fn ending(
    auto_shutdown: AutoShutdown,
    strategy: Strategy,
    children: impl IntoIterator<Item = ChildSpec>,
) -> SupervisorSpec {
    SupervisorSpec {
        auto_shutdown,
        ..group(strategy, 9, children)
    }
}

/// A root above `/s`, a transient supervisor.
async fn boot(world: &Arc<World>, supervisor: SupervisorSpec) -> Tree {
    world
        .boot_under(of_type(Transient, sub("s", supervisor)))
        .await
}

/// `/s` has not begun to end: it takes a child and lets it go again.
async fn stays(tree: &Tree) {
    let later = of_type(Temporary, tree.world.child("later"));
    tree.kernel.spawn(&path("/s"), later).await.unwrap();
    tree.kernel.stop(&path("/s/later")).await.unwrap();
    assert_eq!(tree.state("/s"), Some(SlotState::Running));
    assert_eq!(tree.incarnation("/s"), 1);
}

/// `/s` ends because of its child `id`, and all of it is gone.
async fn ends(tree: &Tree, id: &str) {
    tree.becomes("/s", Some(SlotState::Stopped)).await;
    assert_eq!(tree.children("/s"), []);
    let exit = tree.world.exits("/s").pop().unwrap();
    let text = exit.reason.text.unwrap();
    assert_eq!(exit.reason.kind, ExitKind::Shutdown);
    assert_eq!(exit.response, Response::LeftDown);
    assert!(
        text.starts_with(&format!("its significant child `{id}` ended (")),
        "{text}"
    );
    let last = tree.world.exits(&format!("/s/{id}")).pop().unwrap();
    assert_eq!(last.response, Response::AutoShutdown);
}

#[tokio::test(start_paused = true)]
async fn s198_the_end_of_an_insignificant_temporary_child_never_ends_its_supervisor() {
    for mode in MODES {
        for way in WAYS {
            let world = World::new();
            let [a, b] = world.children(["a", "b"]);
            let tree = boot(&world, ending(mode, OneForOne, [of_type(Temporary, a), b])).await;

            way.happen(&tree, "/s/a").await;
            tree.becomes("/s/a", None).await;

            stays(&tree).await;
            assert_eq!(tree.ping("/s/b").await, 1, "{mode:?} {way:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s199_an_insignificant_transient_child_follows_its_type_and_its_supervisor_stays() {
    for mode in MODES {
        for way in WAYS {
            let world = World::new();
            let [a, b] = world.children(["a", "b"]);
            let tree = boot(&world, ending(mode, OneForOne, [of_type(Transient, a), b])).await;

            way.happen(&tree, "/s/a").await;
            match way {
                Way::Kill | Way::Crash => tree.running("/s/a", 2).await,
                _ => tree.becomes("/s/a", Some(SlotState::Stopped)).await,
            }

            stays(&tree).await;
            assert_eq!(tree.ping("/s/b").await, 1, "{mode:?} {way:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s200_a_significant_temporary_child_that_is_stopped_ends_nothing() {
    let world = World::new();
    let [a, b] = world.children(["a", "b"]);
    let children = [significant(Temporary, a), b];
    let tree = boot(&world, ending(AnySignificant, OneForOne, children)).await;

    Way::Api.happen(&tree, "/s/a").await;
    tree.becomes("/s/a", None).await;

    stays(&tree).await;
    assert_eq!(tree.ping("/s/b").await, 1);
}

#[tokio::test(start_paused = true)]
async fn s201_s202_s203_a_significant_temporary_child_that_ends_by_itself_ends_all() {
    for strategy in STRATEGIES {
        for way in [Way::Kill, Way::Crash, Way::End("normal")] {
            let world = World::new();
            let [a, b, c] = world.children(["a", "b", "c"]);
            let children = [a, significant(Temporary, b), c];
            let tree = boot(&world, ending(AnySignificant, strategy, children)).await;
            world.take();

            way.happen(&tree, "/s/b").await;

            ends(&tree, "b").await;
            let mut stops = world.take_only(&["stopping", "start"]);
            // It runs its own stop when it ends itself.
            stops.retain(|said| said != "stopping b");
            assert_eq!(stops, ["stopping c", "stopping a"], "{strategy:?} {way:?}");
            for at in ["/s/a", "/s/c"] {
                assert_eq!(world.exit_kinds(at), [ExitKind::Shutdown]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s204_s208_all_significant_waits_for_the_last_of_them() {
    for restart in [Temporary, Transient] {
        for strategy in STRATEGIES {
            let world = World::new();
            let [a, b, c] = world.children(["a", "b", "c"]);
            let children = [significant(restart, a), significant(restart, b), c];
            let tree = boot(&world, ending(AllSignificant, strategy, children)).await;

            tree.end("/s/a", json!({ "end": "normal" })).await;
            stays(&tree).await;
            assert_eq!(tree.ping("/s/c").await, 1);
            tree.end("/s/b", json!({ "end": "normal" })).await;

            ends(&tree, "b").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s205_a_significant_transient_child_that_is_stopped_ends_nothing_and_can_be_started() {
    let world = World::new();
    let [a, b] = world.children(["a", "b"]);
    let children = [significant(Transient, a), b];
    let tree = boot(&world, ending(AnySignificant, OneForOne, children)).await;

    Way::Api.happen(&tree, "/s/a").await;
    assert_eq!(tree.state("/s/a"), Some(SlotState::Stopped));
    stays(&tree).await;
    tree.kernel.start_child(&path("/s/a")).await.unwrap();

    assert_eq!(tree.ping("/s/a").await, 2);
    assert_eq!(tree.ping("/s/b").await, 1);
}

#[tokio::test(start_paused = true)]
async fn s206_a_significant_transient_child_that_crashes_is_restarted() {
    for mode in [AnySignificant, AllSignificant] {
        for way in [Way::Kill, Way::Crash] {
            let world = World::new();
            let [a, b] = world.children(["a", "b"]);
            let children = [significant(Transient, a), b];
            let tree = boot(&world, ending(mode, OneForOne, children)).await;

            way.happen(&tree, "/s/a").await;
            tree.running("/s/a", 2).await;

            stays(&tree).await;
            assert_eq!(tree.ping("/s/b").await, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s207_a_significant_transient_child_that_ends_in_order_ends_its_supervisor() {
    for strategy in STRATEGIES {
        for reason in ["normal", "shutdown", "shutdown: done"] {
            let world = World::new();
            let [a, b] = world.children(["a", "b"]);
            let children = [significant(Transient, a), b];
            let tree = boot(&world, ending(AnySignificant, strategy, children)).await;

            tree.end("/s/a", json!({ "end": reason })).await;

            ends(&tree, "a").await;
            assert_eq!(world.exit_kinds("/s/b"), [ExitKind::Shutdown]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s209_a_template_waits_for_no_significant_child() {
    let world = World::new();
    let templated = |auto_shutdown, child| {
        let template = Template {
            child,
            max_children: None,
        };
        let spec = SupervisorSpec {
            template: Some(Arc::new(template)),
            ..ending(auto_shutdown, OneForOne, [])
        };
        sub("s", spec)
    };
    let plain = || of_type(Transient, world.child("a"));

    for mode in [AnySignificant, AllSignificant] {
        let root = group(OneForOne, 9, [templated(mode, plain())]);
        let (at, error) = refused(&world, root).await;
        assert_eq!((at.as_str(), error), ("/s", SignificanceError::Template));
    }
    let child = significant(Transient, world.child("a"));
    let root = group(OneForOne, 9, [templated(Never, child)]);
    assert_eq!(refused(&world, root).await.1, SignificanceError::Never);
    let tree = world.boot_under(templated(Never, plain())).await;
    let (a, _) = tree
        .kernel
        .spawn_from(&path("/s"), None, json!({}))
        .await
        .unwrap();
    tree.end(a.as_str(), json!({ "end": "normal" })).await;
    assert_eq!(tree.state("/s"), Some(SlotState::Running));
}

#[tokio::test(start_paused = true)]
async fn s210_significant_bystanders_of_a_restart_end_nothing() {
    for mode in [AnySignificant, AllSignificant] {
        for strategy in STRATEGIES {
            for restart in [Transient, Temporary] {
                let world = World::new();
                let [a, b, c] = world.children(["a", "b", "c"]);
                let children = [a, significant(restart, b), significant(restart, c)];
                let tree = boot(&world, ending(mode, strategy, children)).await;

                tree.kill("/s/a").await;
                tree.running("/s/a", 2).await;

                stays(&tree).await;
                match (strategy, restart) {
                    (OneForOne, _) => assert_eq!(tree.ping("/s/b").await, 1),
                    (_, Temporary) => assert_eq!(tree.counts("/s"), [1, 1, 0, 1]),
                    _ => assert_eq!(tree.ping("/s/c").await, 2),
                }
            }
        }
    }
}

/// `/s` above `/s/b` above `/s/b/w`, and a worker beside each; `b` is significant or not.
async fn two_levels(world: &Arc<World>, is_significant: bool) -> Tree {
    let [w, x, y] = world.children(["w", "x", "y"]);
    let below = [significant(Transient, w), x];
    let b = of_type(
        Transient,
        sub("b", ending(AnySignificant, OneForOne, below)),
    );
    let b = ChildSpec {
        significant: is_significant,
        ..b
    };
    boot(world, ending(AnySignificant, OneForOne, [b, y])).await
}

#[tokio::test(start_paused = true)]
async fn s211_the_end_of_a_significant_supervisor_ends_that_above() {
    let world = World::new();
    let tree = two_levels(&world, true).await;

    tree.end("/s/b/w", json!({ "end": "normal" })).await;

    ends(&tree, "b").await;
    assert_eq!(world.exit_kinds("/s/b/x"), [ExitKind::Shutdown]);
    assert_eq!(world.exit_kinds("/s/y"), [ExitKind::Shutdown]);
}

#[tokio::test(start_paused = true)]
async fn s212_the_end_of_an_insignificant_supervisor_leaves_that_above() {
    let world = World::new();
    let tree = two_levels(&world, false).await;

    tree.end("/s/b/w", json!({ "end": "normal" })).await;
    tree.becomes("/s/b", Some(SlotState::Stopped)).await;

    stays(&tree).await;
    assert_eq!(tree.ping("/s/y").await, 1);
}

/// Why no kernel starts with this root.
async fn refused(world: &Arc<World>, root: SupervisorSpec) -> (ActorPath, SignificanceError) {
    let kinds = Kinds::new().with::<Recorder>("recorder", "does as it is told, and says so");
    let config = KernelConfig::new(Runtimes::current(), kinds, 1).with_shared(Arc::clone(world));
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root,
    };
    match Kernel::start(config, tree).await {
        Err(BuildError::Significance { path, error }) => (path, error),
        other => panic!("{other:?} is no refusal"),
    }
}

/// What a running supervisor says to a child that cannot be significant.
fn spawn_refusal(spawned: Result<impl std::fmt::Debug, KernelError>) -> SignificanceError {
    match spawned {
        Err(KernelError::Build(BuildError::Significance { error, .. })) => error,
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test(start_paused = true)]
async fn s221_a_supervisor_that_never_ends_by_itself_takes_no_significant_child() {
    for restart in [Permanent, Transient, Temporary] {
        let world = World::new();
        let child = || significant(restart, world.child("a"));
        let with = sub("s", ending(Never, OneForOne, [child()]));

        assert_eq!(
            refused(&world, group(OneForOne, 9, [with])).await,
            (path("/s/a"), SignificanceError::Never)
        );
        let tree = boot(&world, ending(Never, OneForOne, [])).await;
        let spawned = tree.kernel.spawn(&path("/s"), child()).await;

        assert_eq!(spawn_refusal(spawned), SignificanceError::Never);
        assert_eq!(world.starts("a"), 0);
        assert_eq!(tree.state("/s/a"), None);
        stays(&tree).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s222_no_child_is_significant_and_permanent() {
    for mode in [AnySignificant, AllSignificant] {
        let world = World::new();
        let child = || significant(Permanent, world.child("a"));
        let with = sub("s", ending(mode, OneForOne, [child()]));

        assert_eq!(
            refused(&world, group(OneForOne, 9, [with])).await,
            (path("/s/a"), SignificanceError::Permanent)
        );
        let tree = boot(&world, ending(mode, OneForOne, [])).await;
        let spawned = tree.kernel.spawn(&path("/s"), child()).await;

        assert_eq!(spawn_refusal(spawned), SignificanceError::Permanent);
        assert_eq!(world.starts("a"), 0);
        stays(&tree).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_supervisor_that_ended_itself_is_restarted_and_charged() {
    let world = World::new();
    let child = significant(Temporary, world.child("a"));
    let job = sub("s", ending(AnySignificant, OneForOne, [child]));
    let tree = world.boot(group(OneForOne, 1, [job])).await;

    tree.end("/s/a", json!({ "end": "normal" })).await;
    tree.lives("/s/a", 2).await;
    assert_eq!(world.exits("/s")[0].response, Response::Restarted);
    tree.end("/s/a", json!({ "end": "normal" })).await;

    tree.until("safe mode", |tree| tree.mode() == Mode::Safe)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_root_that_its_significant_child_ended_ends_the_kernel_in_order() {
    let world = World::new();
    let [a, b] = world.children(["a", "b"]);
    let root = ending(AnySignificant, OneForOne, [a, significant(Transient, b)]);
    let tree = world.boot(root).await;
    world.take();

    tree.kernel
        .tell(&path("/b"), json!({ "end": "normal" }))
        .await
        .unwrap();
    let reason = tree.ended().await;

    assert_eq!(reason.kind, ExitKind::Shutdown);
    assert_eq!(
        reason.text.as_deref(),
        Some("its significant child `b` ended (normal)")
    );
    assert_eq!(tree.mode(), Mode::Stopping);
    assert_eq!(
        world.take_only(&["stopping", "start"]),
        ["stopping b", "stopping a"]
    );
    assert_eq!(world.exits("/")[0].response, Response::AutoShutdown);
}

#[tokio::test(start_paused = true)]
async fn a_significant_child_that_ends_during_the_boot_counts_after_it() {
    let world = World::new();
    let [doomed, slow] = [("a", Answer::Doomed), ("b", Answer::Slow)]
        .map(|(id, answer)| world.starting(id, &[answer]));
    let children = [significant(Temporary, doomed), slow];

    let tree = boot(&world, ending(AnySignificant, OneForAll, children)).await;

    ends(&tree, "a").await;
    assert!(world.said("started b"));
}

#[tokio::test(start_paused = true)]
async fn what_can_only_wait_for_the_child_that_ended_does_not_keep_its_supervisor() {
    let world = World::new();
    let [a, b] = world.children(["a", "b"]);
    let b = ChildSpec {
        needs: vec![a.id.clone()],
        ..significant(Transient, b)
    };
    let children = [significant(Transient, a), b];
    let tree = boot(&world, ending(AllSignificant, OneForOne, children)).await;

    tree.end("/s/a", json!({ "end": "normal" })).await;

    ends(&tree, "a").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_quarantine_is_not_done_yet() {
    let world = World::new();
    let [a, b, c] = world.children(["a", "b", "c"]);
    let essential = |child| ChildSpec {
        essential: true,
        ..significant(Transient, child)
    };
    let children = [significant(Transient, a), essential(b), c];
    let root = SupervisorSpec {
        intensity: 0,
        ..ending(AllSignificant, OneForOne, children)
    };
    let tree = world.boot(root).await;
    tree.crash("/c").await;
    tree.becomes("/a", Some(SlotState::Quarantined)).await;

    tree.end("/b", json!({ "end": "normal" })).await;
    tree.kernel.release_all().await.unwrap();
    tree.running("/a", 2).await;
    tree.kernel
        .tell(&path("/a"), json!({ "end": "normal" }))
        .await
        .unwrap();

    assert_eq!(tree.ended().await.kind, ExitKind::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_ends_itself_is_stopping_until_its_children_have_stopped() {
    let world = World::new();
    let slow = world.child_with("a", json!({ "stop_takes_ms": 1_000 }));
    let done = || significant(Transient, world.child("b"));
    let inner = of_type(
        Transient,
        sub(
            "s",
            ending(AnySignificant, OneForOne, [slow.clone(), done()]),
        ),
    );
    let tree = world
        .boot(ending(AnySignificant, OneForOne, [slow, done(), inner]))
        .await;

    tree.end("/s/b", json!({ "end": "normal" })).await;
    tree.becomes("/s/a", Some(SlotState::Stopping)).await;
    assert_eq!(tree.state("/s"), Some(SlotState::Stopping));
    assert_eq!(tree.mode(), Mode::Normal);
    tree.becomes("/s", Some(SlotState::Stopped)).await;

    tree.end("/b", json!({ "end": "normal" })).await;
    tree.becomes("/a", Some(SlotState::Stopping)).await;
    assert_eq!(tree.state("/"), Some(SlotState::Stopping));
    assert_eq!(tree.mode(), Mode::Stopping);
    tree.ended().await;
}
