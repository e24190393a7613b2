//! Group L: a supervisor that becomes another while it runs.

use std::sync::Arc;

use serde_json::json;
use unity_supervisors::kernel::BuildError;
use unity_supervisors::reload::ReloadError;
use unity_supervisors::spec::{
    AutoShutdown, ChildSpec, Restart, Strategy, SupervisorSpec, Template,
};
use unity_supervisors::{KernelError, SlotState};

use crate::support::{Answer, LONG, Tree, World, group, path, sub};
use AutoShutdown::{AllSignificant, AnySignificant, Never};

/// A root above `/s`, which is transient so that its end is seen.
fn above(supervisor: SupervisorSpec) -> SupervisorSpec {
    let mut child = sub("s", supervisor);
    child.restart = Restart::Transient;
    group(Strategy::OneForOne, 9, [child])
}

/// `/s` with the transient children `a`, `b` and `c`, of which those in `significant` are.
fn of(world: &Arc<World>, auto_shutdown: AutoShutdown, significant: &[&str]) -> SupervisorSpec {
    let children = ["a", "b", "c"].map(|id| ChildSpec {
        restart: Restart::Transient,
        significant: significant.contains(&id),
        ..world.child(id)
    });
    above(SupervisorSpec {
        auto_shutdown,
        ..group(Strategy::OneForOne, 9, children)
    })
}

async fn change(tree: &Tree, root: SupervisorSpec) {
    tree.kernel.reload(root).await.unwrap();
    let lives = ["/s", "/s/a", "/s/b", "/s/c"].map(|at| tree.incarnation(at));
    assert_eq!(lives, [1; 4], "nobody is touched");
}

async fn ends(tree: &Tree, id: &str) {
    tree.end(&format!("/s/{id}"), json!({"end": "normal"}))
        .await;
    tree.becomes("/s", Some(SlotState::Stopped)).await;
}

/// `/s` has not ended with that child, which can be started again.
async fn outlives(tree: &Tree, id: &str) {
    let at = format!("/s/{id}");
    tree.end(&at, json!({"end": "normal"})).await;
    tree.becomes(&at, Some(SlotState::Stopped)).await;
    assert_eq!(tree.state("/s"), Some(SlotState::Running));
}

async fn refuses_significant(tree: &Tree) {
    let spec = ChildSpec {
        restart: Restart::Transient,
        significant: true,
        ..tree.world.child("later")
    };
    let refused = tree.kernel.spawn(&path("/s"), spec).await;
    assert!(matches!(
        refused,
        Err(KernelError::Build(BuildError::Significance { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn s270_new_flags_are_in_force() {
    let world = World::new();
    let with = |strategy, intensity| {
        above(SupervisorSpec {
            period: LONG,
            ..group(strategy, intensity, world.children(["a", "b", "c"]))
        })
    };
    let tree = world.boot(with(Strategy::OneForOne, 9)).await;

    change(&tree, with(Strategy::OneForAll, 1)).await;
    tree.crash("/s/b").await;
    tree.running("/s/c", 2).await;

    assert_eq!(tree.incarnation("/s/a"), 2, "one_for_all");
    tree.crash("/s/b").await;
    tree.becomes("/s", Some(SlotState::Stopped)).await;
}

#[tokio::test(start_paused = true)]
async fn s271_a_fault_changes_nothing() {
    let world = World::new();
    let tree = world.boot(of(&world, Never, &[])).await;
    let before = tree.kernel.desired().unwrap().root;
    let unknown = ChildSpec::worker("d".parse().unwrap(), "unheard_of");
    let failing = world.starting("d", &[Answer::Fail]);
    let faulty = |child: ChildSpec| {
        let children = [world.child("a"), child, world.child("e")];
        above(group(Strategy::RestForOne, 3, children))
    };

    for root in [faulty(unknown), faulty(failing), of(&world, Never, &["a"])] {
        tree.kernel.reload(root).await.unwrap_err();

        let lives = ["/s", "/s/a", "/s/b", "/s/c"].map(|at| tree.incarnation(at));
        assert_eq!(lives, [1; 4]);
        assert_eq!(tree.children("/s").len(), 3);
        assert!(tree.kernel.desired().unwrap().root == before);
    }
    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;
    assert_eq!(tree.incarnation("/s/b"), 1, "still one_for_one");
}

#[tokio::test(start_paused = true)]
async fn s275_the_spec_of_a_template_changes_for_children_to_come() {
    let world = World::new();
    let of = |restart| {
        let child = ChildSpec {
            restart,
            ..world.child("template")
        };
        above(SupervisorSpec {
            template: Some(Arc::new(Template {
                child,
                max_children: None,
            })),
            ..group(Strategy::OneForOne, 9, [])
        })
    };
    let tree = world.boot(of(Restart::Temporary)).await;
    let spawn = async || tree.kernel.spawn_from(&path("/s"), None, json!({})).await;
    spawn().await.unwrap();

    tree.kernel.reload(of(Restart::Permanent)).await.unwrap();
    spawn().await.unwrap();

    for at in ["/s/1", "/s/2"] {
        assert_eq!(tree.incarnation(at), 1);
        tree.crash(at).await;
        tree.running(at, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s276_from_never_to_any_significant_children_are_taken_and_end_it() {
    let world = World::new();
    let tree = world.boot(of(&world, Never, &[])).await;
    refuses_significant(&tree).await;

    change(&tree, of(&world, AnySignificant, &["a"])).await;
    outlives(&tree, "b").await;
    let spec = ChildSpec {
        restart: Restart::Transient,
        significant: true,
        ..world.child("later")
    };
    tree.kernel.spawn(&path("/s"), spec).await.unwrap();

    ends(&tree, "later").await;
}

#[tokio::test(start_paused = true)]
async fn s277_s279_to_never_what_was_significant_goes_on_and_ends_nothing() {
    for before in [AnySignificant, AllSignificant] {
        let world = World::new();
        let tree = world.boot(of(&world, before, &["a"])).await;

        change(&tree, of(&world, Never, &[])).await;

        refuses_significant(&tree).await;
        outlives(&tree, "a").await;
        tree.kernel.start_child(&path("/s/a")).await.unwrap();
        assert_eq!(tree.state("/s/a"), Some(SlotState::Running));
    }
}

#[tokio::test(start_paused = true)]
async fn s278_s280_to_all_the_last_significant_child_ends_it() {
    for (before, significant) in [(Never, vec![]), (AnySignificant, vec!["a", "b"])] {
        let world = World::new();
        let tree = world.boot(of(&world, before, &significant)).await;

        change(&tree, of(&world, AllSignificant, &["a", "b"])).await;

        outlives(&tree, "a").await;
        ends(&tree, "b").await;
    }
}

#[tokio::test(start_paused = true)]
async fn s281_from_all_to_any_the_first_significant_child_ends_it() {
    let world = World::new();
    let tree = world.boot(of(&world, AllSignificant, &["a", "b"])).await;

    change(&tree, of(&world, AnySignificant, &["a", "b"])).await;

    ends(&tree, "a").await;
}

#[tokio::test(start_paused = true)]
async fn s282_whether_a_child_is_significant_may_change() {
    let world = World::new();
    let tree = world.boot(of(&world, Never, &[])).await;
    let refused = tree.kernel.reload(of(&world, Never, &["a"])).await;
    assert!(matches!(
        refused,
        Err(ReloadError::Build(BuildError::Significance { .. }))
    ));

    change(&tree, of(&world, AnySignificant, &["a", "b"])).await;
    change(&tree, of(&world, AnySignificant, &["b"])).await;

    outlives(&tree, "a").await;
    ends(&tree, "b").await;
}

#[tokio::test(start_paused = true)]
async fn s236_after_a_reload_the_spec_of_a_child_is_the_new_one() {
    let world = World::new();
    let tree = world.boot(of(&world, Never, &[])).await;
    let spec = || tree.kernel.registry().get(&path("/s/a")).unwrap().spec();
    assert!(!spec().significant);

    change(&tree, of(&world, AnySignificant, &["a"])).await;

    assert!(spec().significant);
}
