//! Ladders in a kernel: what is charged to whom, which settings are in force, and who is kept down.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for other code"
)]

#[expect(dead_code, reason = "the tests of conformance use more of it")]
#[path = "conformance/support.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::ladder::{LadderDid, SkipReason, Swap};
use unity_supervisors::report::Fact;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{
    ChildKind, ChildSpec, Ladder, LadderAction, LadderStep, Strategy, SupervisorSpec,
};
use unity_supervisors::{Done, Kernel, KernelConfig, Kinds, RequestError, Runtimes, SlotState};

use support::{Answer, LONG, Tree, World, group, path, refusal, sub};

/// Steps of an hour each.
fn climbing(mut child: ChildSpec, steps: &[(u32, LadderAction)]) -> ChildSpec {
    let steps = steps.iter().map(|(after, action)| LadderStep {
        after: *after,
        within: LONG,
        action: action.clone(),
    });
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.on_crash = Some(Arc::new(Ladder {
            steps: steps.collect(),
        }));
    }
    child
}

fn swap(settings: Value) -> LadderAction {
    LadderAction::Swap(settings)
}

/// Settings with which each life crashes, and those with which it does not.
const DOOMED: Answer = Answer::Doomed;

fn healthy() -> Value {
    json!({ "starts": ["ok"] })
}

/// A supervisor `/s` that allows no restart at all.
fn strict(strategy: Strategy, children: impl IntoIterator<Item = ChildSpec>) -> ChildSpec {
    sub("s", group(strategy, 0, children))
}

fn settings(tree: &Tree, at: &str) -> Value {
    tree.kernel.registry().get(&path(at)).unwrap().settings()
}

fn did(tree: &Tree, at: &str) -> Vec<LadderDid> {
    let exits = tree.world.exits(at).into_iter();
    exits
        .filter_map(|record| record.ladder.map(|note| note.did))
        .collect()
}

fn used(tree: &Tree, at: &str) -> u32 {
    tree.kernel.node(&path(at)).unwrap().restarts.used
}

#[tokio::test(start_paused = true)]
async fn the_budget_pays_only_once_the_ladder_is_used_up() {
    let world = World::new();
    let child = climbing(
        world.child("a"),
        &[(2, swap(json!({ "stop_takes_ms": 5 })))],
    );
    let tree = world.boot_under(strict(Strategy::OneForOne, [child])).await;

    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;
    tree.crash("/s/a").await;
    tree.running("/s/a", 3).await;
    assert_eq!(used(&tree, "/s"), 0);
    assert_eq!(used(&tree, "/s/a"), 0);
    tree.crash("/s/a").await;

    let exits = tree.world.exits("/s/a");
    assert_eq!(exits[2].response, Response::GaveUp);
    let did = did(&tree, "/s/a");
    assert!(
        matches!(
            did[0],
            LadderDid::Counted {
                crashes: 1,
                after: 2,
                ..
            }
        ),
        "{did:?}"
    );
    assert!(
        matches!(did[1], LadderDid::Swapped { step: 1, .. }),
        "{did:?}"
    );
    assert_eq!(did[2], LadderDid::Spent);
}

#[tokio::test(start_paused = true)]
async fn a_swap_is_in_force_until_release_and_outlives_the_supervisor() {
    let world = World::new();
    let child = climbing(world.starting("a", &[DOOMED]), &[(3, swap(healthy()))]);
    let own = child.as_worker().unwrap().settings.clone();
    let tree = world.boot_under(strict(Strategy::OneForOne, [child])).await;

    tree.running("/s/a", 4).await;
    assert_eq!(settings(&tree, "/s/a"), healthy());
    let view = tree.kernel.node(&path("/s/a")).unwrap().ladder.unwrap();
    assert_eq!(
        (view.taken, view.steps, view.swap),
        (1, 1, Some(Swap::Over(healthy())))
    );

    tree.kill("/s").await;
    tree.lives("/s/a", 5).await;
    tree.running("/s/a", 1).await;
    assert_eq!(settings(&tree, "/s/a"), healthy(), "kept by path");
    let spec = tree.kernel.registry().get(&path("/s/a")).unwrap().spec();
    assert_eq!(
        spec.as_worker().unwrap().settings,
        own,
        "what it is to be is untouched"
    );

    world.let_start("a", Answer::Ok);
    let released = tree.kernel.release(&path("/s/a")).await.unwrap();
    assert_eq!(released, Done::Started { incarnation: 2 });
    assert_eq!(settings(&tree, "/s/a"), own);
    tree.crash("/s/a").await;
    let last = did(&tree, "/s/a").pop().unwrap();
    assert!(
        matches!(
            last,
            LadderDid::Counted {
                step: 1,
                crashes: 1,
                ..
            }
        ),
        "{last:?}"
    );
    let refused = tree.kernel.release(&path("/s/a")).await;
    assert_eq!(refusal(refused), RequestError::NotQuarantined);
}

#[tokio::test(start_paused = true)]
async fn a_ladder_that_ends_in_quarantine_charges_nothing_and_begins_anew_with_release() {
    let world = World::new();
    let child = climbing(
        world.starting("a", &[Answer::Ok, Answer::Fail, Answer::Panic, Answer::Ok]),
        &[(4, LadderAction::Quarantine)],
    );
    let others = world.child("b");
    let tree = world
        .boot_under(strict(Strategy::OneForOne, [child, others]))
        .await;

    // A crash, two failed starts, a human's kill; what a human stops or restarts is none.
    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;
    tree.kernel.restart(&path("/s/a")).await.unwrap();
    tree.kernel.stop(&path("/s/a")).await.unwrap();
    tree.kernel.start_child(&path("/s/a")).await.unwrap();
    tree.kill("/s/a").await;

    assert_eq!(tree.state("/s/a"), Some(SlotState::Quarantined));
    assert_eq!(
        tree.world.exits("/s/a").pop().unwrap().response,
        Response::Quarantined
    );
    assert_eq!((used(&tree, "/s"), tree.incarnation("/s/b")), (0, 1));
    assert_eq!(did(&tree, "/s/a").len(), 4);

    tree.kill("/s").await;
    tree.lives("/s/b", 2).await;
    assert_eq!(
        tree.state("/s/a"),
        Some(SlotState::Quarantined),
        "its supervisor was restarted"
    );
    assert_eq!(world.starts("a"), 6);

    tree.kernel.release(&path("/s/a")).await.unwrap();
    tree.running("/s/a", 1).await;
    tree.crash("/s/a").await;
    let last = did(&tree, "/s/a").pop().unwrap();
    assert!(
        matches!(last, LadderDid::Counted { crashes: 1, .. }),
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_fails_is_the_first_crash_and_boot_goes_on() {
    let world = World::new();
    let child = climbing(
        world.starting("a", &[Answer::Fail]),
        &[(2, swap(healthy())), (4, LadderAction::Quarantine)],
    );
    let tree = world
        .boot(group(Strategy::OneForOne, 0, [child, world.child("b")]))
        .await;

    tree.running("/a", 1).await;
    assert_eq!(tree.state("/b"), Some(SlotState::Running));
    assert_eq!(tree.world.exits("/a").len(), 2);
    assert!(
        tree.world
            .exits("/a")
            .iter()
            .all(|record| record.failed_start)
    );
}

#[tokio::test(start_paused = true)]
async fn under_rest_for_one_what_comes_after_stays_stopped_with_it() {
    let world = World::new();
    let eye = climbing(world.child("eye"), &[(1, LadderAction::Quarantine)]);
    let children = [
        world.child("first"),
        eye,
        world.child("hand"),
        world.child("grip"),
    ];
    let tree = world
        .boot_under(strict(Strategy::RestForOne, children))
        .await;
    world.take();

    tree.crash("/s/eye").await;
    tree.becomes("/s/hand", Some(SlotState::Stopped)).await;

    assert_eq!(
        world.take_only(&["stopping"]),
        ["stopping grip", "stopping hand"]
    );
    let stopped = |id: &str, state| (id.to_owned(), state);
    assert_eq!(
        tree.children("/s"),
        [
            stopped("first", SlotState::Running),
            stopped("eye", SlotState::Quarantined),
            stopped("hand", SlotState::Stopped),
            stopped("grip", SlotState::Stopped),
        ]
    );
    tree.kernel.release(&path("/s/eye")).await.unwrap();
    tree.running("/s/grip", 2).await;
    assert_eq!(
        world.take_only(&["start"]),
        ["start eye", "start hand", "start grip"]
    );
    tree.kernel.stop(&path("/s/eye")).await.unwrap();
    assert_eq!(
        tree.state("/s/grip"),
        Some(SlotState::Running),
        "a stop is OTP's again"
    );
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_quarantined_child_stays_stopped_with_it() {
    let world = World::new();
    let eye = climbing(world.child("eye"), &[(1, LadderAction::Quarantine)]);
    let hand = ChildSpec {
        needs: vec![eye.id.clone()],
        ..world.child("hand")
    };
    let children = [eye, world.child("ear"), hand];
    let tree = world
        .boot_under(strict(Strategy::OneForOne, children))
        .await;

    tree.crash("/s/eye").await;
    tree.becomes("/s/hand", Some(SlotState::Stopped)).await;
    assert_eq!(tree.state("/s/ear"), Some(SlotState::Running));

    tree.kernel.release(&path("/s/eye")).await.unwrap();
    tree.running("/s/hand", 2).await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_completed_their_probation_come_back_others_are_skipped() {
    let steps = [
        (1, swap(json!({ "stop_takes_ms": 5 }))),
        (2, LadderAction::LastGood),
    ];
    for (runs_s, is_good) in [(29, false), (31, true)] {
        let world = World::new();
        let child = climbing(world.child("a"), &steps);
        let root: SupervisorSpec = group(Strategy::OneForOne, 9, [child]);
        let tree = world.boot(root).await;

        tokio::time::sleep(Duration::from_secs(runs_s)).await;
        let proved = tree.kernel.events().into_iter();
        let proved = proved.filter(|event| matches!(event.fact, Fact::Proved { .. }));
        assert_eq!(proved.count(), usize::from(is_good));
        tree.crash("/a").await;
        tree.running("/a", 2).await;
        assert_eq!(settings(&tree, "/a"), json!({ "stop_takes_ms": 5 }));
        tree.crash("/a").await;

        let last = tree.world.exits("/a").pop().unwrap().ladder.unwrap();
        if is_good {
            assert_eq!(last.did, LadderDid::LastGood { step: 2 });
            assert_eq!(settings(&tree, "/a"), json!({}));
        } else {
            assert_eq!(last.did, LadderDid::Spent);
            assert_eq!(last.skipped[0].why, SkipReason::NoneKnown);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn good_settings_of_an_earlier_kernel_come_back_if_they_still_fit() {
    for (known, in_force) in [
        (healthy(), healthy()),
        (json!({ "lens": 3 }), json!({ "starts": ["doomed"] })),
    ] {
        let world = World::new();
        let child = climbing(
            world.starting("a", &[DOOMED]),
            &[(2, LadderAction::LastGood), (3, LadderAction::Quarantine)],
        );
        let tree = world
            .start_with(group(Strategy::OneForOne, 0, [child]), |config| {
                config.known_good.insert(path("/a"), known);
            })
            .await;
        let at_rest = [SlotState::Running, SlotState::Quarantined];

        tree.until("it is at rest", |tree| {
            let node = tree.kernel.node(&path("/a")).unwrap();
            at_rest.contains(&node.state) && node.ladder.is_some_and(|ladder| ladder.taken > 0)
        })
        .await;

        assert_eq!(settings(&tree, "/a"), in_force);
    }
}

#[tokio::test(start_paused = true)]
async fn a_swap_that_does_not_fit_its_kind_is_refused_before_anything_runs() {
    let world = World::new();
    let child = climbing(world.child("a"), &[(1, swap(json!({ "lens": 3 })))]);
    let kinds = Kinds::new().with::<support::Recorder>("recorder", "does as it is told");
    let config = KernelConfig::new(Runtimes::current(), kinds, 1).with_shared(world);
    let tree = unity_supervisors::spec::TreeSpec {
        name: "test".to_owned(),
        test: true,
        root: group(Strategy::OneForOne, 0, [child]),
    };

    let refused = Kernel::start(config, tree).await.unwrap_err();

    assert!(refused.to_string().contains("lens"), "{refused}");
}
