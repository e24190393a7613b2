//! Group E: how many restarts a supervisor allows, and what happens above it when they are used up.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{ChildSpec, Restart, Strategy, SupervisorSpec};
use unity_supervisors::{Done, ExitKind, KernelError, Mode, SlotState};

use crate::support::{Answer, Tree, World, group, path, sub};
use Strategy::{OneForAll, OneForOne, RestForOne};

const STRATEGIES: [Strategy; 3] = [OneForOne, OneForAll, RestForOne];

/// How much of its budget the supervisor at `at` has used.
fn used(tree: &Tree, at: &str) -> u32 {
    tree.kernel
        .tree(Some(&path(at)))
        .unwrap()
        .tree
        .unwrap()
        .restarts
        .used
}

/// `/s`, which stays down when it gives up.
fn mortal(supervisor: SupervisorSpec) -> ChildSpec {
    ChildSpec {
        restart: Restart::Transient,
        ..sub("s", supervisor)
    }
}

#[tokio::test(start_paused = true)]
async fn the_tree_says_in_how_long_a_restart_is_free_again() {
    let world = World::new();
    let root = SupervisorSpec {
        intensity: 5,
        period: Duration::from_secs(10),
        children: vec![Arc::new(world.child("a"))],
        ..SupervisorSpec::default()
    };
    let tree = world.boot(root).await;
    let free_in = || ["/", "/a"].map(|at| tree.kernel.node(&path(at)).unwrap().restarts.free_in_ms);
    assert_eq!(free_in(), [None, None]);

    tree.crash("/a").await;
    tree.running("/a", 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    tree.crash("/a").await;
    tree.running("/a", 3).await;

    assert_eq!(free_in(), [Some(7_000), Some(7_000)]);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(free_in(), [Some(2_000), Some(2_000)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(free_in(), [None, None]);
}

#[tokio::test(start_paused = true)]
async fn s102_crashes_spaced_wider_than_the_period_never_use_up_the_budget() {
    let world = World::new();
    let children = vec![Arc::new(world.child("a"))];
    let period = Duration::from_secs(1);
    let root = SupervisorSpec {
        intensity: 1,
        period,
        children,
        ..SupervisorSpec::default()
    };
    let tree = world.boot(root).await;

    for crash in 1..=4 {
        tree.crash("/a").await;
        tree.running("/a", crash + 1).await;
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }

    assert_eq!(tree.ping("/a").await, 5);
    assert_eq!(tree.mode(), Mode::Normal);
}

#[tokio::test(start_paused = true)]
async fn s103_s104_s105_the_third_crash_under_intensity_two_ends_the_supervisor() {
    for strategy in STRATEGIES {
        let world = World::new();
        let s = mortal(group(strategy, 2, world.children(["a", "b"])));
        let tree = world.boot_under(s).await;

        for crash in 1..=2 {
            tree.crash("/s/a").await;
            tree.running("/s/a", crash + 1).await;
            tree.until("b runs", |tree| {
                tree.state("/s/b") == Some(SlotState::Running)
            })
            .await;
            assert_eq!(used(&tree, "/s"), u32::try_from(crash).unwrap());
        }
        tree.crash("/s/a").await;
        tree.becomes("/s", Some(SlotState::Stopped)).await;

        assert_eq!(world.exit_kinds("/s"), [ExitKind::GaveUp], "{strategy:?}");
        assert_eq!(
            world.exits("/s/a").last().unwrap().response,
            Response::GaveUp
        );
        assert_eq!((tree.state("/s/a"), tree.state("/s/b")), (None, None));
        assert_eq!(world.starts("a"), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn s109_s110_s111_a_child_that_cannot_restart_takes_its_supervisor_and_siblings_down() {
    for (strategy, broken) in [(OneForOne, "a"), (OneForAll, "b"), (RestForOne, "b")] {
        let world = World::new();
        let s = mortal(group(strategy, 4, world.children(["healthy", "a", "b"])));
        let tree = world.boot_under(s).await;
        world.let_start(broken, Answer::Fail);

        tree.crash("/s/a").await;
        tree.becomes("/s", Some(SlotState::Stopped)).await;

        assert_eq!(world.exit_kinds("/s"), [ExitKind::GaveUp], "{strategy:?}");
        assert_eq!(
            world.starts(broken),
            1 + 4,
            "each of the four restarts was one attempt"
        );
        for at in ["/s/healthy", "/s/a", "/s/b"] {
            assert_eq!(tree.state(at), None, "{strategy:?} {at}");
        }
        let said = world.take();
        let count = |verb: &str| said.iter().filter(|said| said.starts_with(verb)).count();
        assert_eq!(
            count("started "),
            count("gone "),
            "{strategy:?}: nothing is left running"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s115_three_crashes_of_three_children_count_as_those_of_one() {
    let world = World::new();
    let s = mortal(group(OneForOne, 2, world.children(["a", "b", "c"])));
    let tree = world.boot_under(s).await;

    tree.crash("/s/a").await;
    tree.crash("/s/b").await;
    tree.crash("/s/c").await;
    tree.becomes("/s", Some(SlotState::Stopped)).await;

    assert_eq!(world.exit_kinds("/s"), [ExitKind::GaveUp]);
    assert_eq!(
        (world.exits("/s/a").len(), world.exits("/s/b").len()),
        (2, 2),
        "crash, and stop"
    );
    assert_eq!(world.exits("/s/c").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s120_the_window_is_measured_in_monotonic_time_whatever_the_wall_clock_says() {
    // The machine's clock hardly moves while the paused one jumps; the other one goes along with it.
    for clock in [Clock::real(), Clock::simulated(Timestamp::from_secs(0))] {
        let world = World::new();
        let children = vec![Arc::new(world.child("a"))];
        let root = SupervisorSpec {
            intensity: 1,
            children,
            ..SupervisorSpec::default()
        };
        let tree = world.start_with(root, |config| config.clock = clock).await;
        tree.kernel.booted().await;
        tree.crash("/a").await;
        tree.running("/a", 2).await;

        tokio::time::sleep(Duration::from_millis(5_001)).await;
        tree.crash("/a").await;
        tree.running("/a", 3).await;
        tokio::time::sleep(Duration::from_millis(5_000)).await;
        tree.crash("/a").await;

        tree.until("safe mode", |tree| tree.mode() == Mode::Safe)
            .await;
        assert_eq!(world.starts("a"), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn s123_a_supervisor_that_gives_up_exits_for_that_reason_which_counts_as_shutdown() {
    let world = World::new();
    let s = mortal(group(OneForOne, 0, [world.child("a")]));
    let tree = world.boot_under(s).await;

    tree.crash("/s/a").await;
    tree.becomes("/s", Some(SlotState::Stopped)).await;

    let exits = world.exits("/s");
    assert_eq!(exits[0].reason.kind, ExitKind::GaveUp);
    assert_eq!(
        exits[0].response,
        Response::LeftDown,
        "transient: an end in order"
    );
    let text = exits[0].reason.text.as_deref().unwrap();
    assert!(text.contains("`a`") && text.contains("boom"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn s124_a_permanent_supervisor_that_gave_up_returns_with_an_empty_budget_for_a_charge_of_one()
{
    let world = World::new();
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [world.child("a")])))
        .await;
    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;
    assert_eq!((used(&tree, "/s"), used(&tree, "/")), (1, 0));

    tree.crash("/s/a").await;
    tree.lives("/s/a", 3).await;

    assert_eq!((used(&tree, "/s"), used(&tree, "/")), (0, 1));
    assert_eq!((tree.ping("/s/a").await, tree.incarnation("/s")), (1, 2));
    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;
    assert_eq!(used(&tree, "/s"), 1);
}

#[tokio::test(start_paused = true)]
async fn s126_a_temporary_supervisor_that_gives_up_is_removed_and_its_parent_lives() {
    let world = World::new();
    let s = ChildSpec {
        restart: Restart::Temporary,
        ..sub("s", group(OneForOne, 0, [world.child("a")]))
    };
    let tree = world.boot(group(OneForOne, 0, [s, world.child("b")])).await;

    tree.crash("/s/a").await;
    tree.becomes("/s", None).await;

    assert_eq!(tree.children("/"), [("b".to_owned(), SlotState::Running)]);
    assert_eq!((used(&tree, "/"), tree.mode()), (0, Mode::Normal));
    assert_eq!(tree.state("/s/a"), None);
}

#[tokio::test(start_paused = true)]
async fn s128_a_request_to_a_supervisor_that_gave_up_is_not_found() {
    let world = World::new();
    let s = ChildSpec {
        restart: Restart::Temporary,
        ..sub("s", group(OneForOne, 0, [world.child("a")]))
    };
    let tree = world.boot_under(s).await;
    tree.crash("/s/a").await;
    tree.becomes("/s", None).await;

    let spawned = tree.kernel.spawn(&path("/s"), world.child("b")).await;
    let stopped = tree.kernel.stop(&path("/s/a")).await;
    let told = tree
        .kernel
        .tell(&path("/s/a"), json!({ "crash": "again" }))
        .await;

    assert_eq!(spawned, Err(KernelError::NotFound(path("/s"))));
    assert_eq!(stopped, Err(KernelError::NotFound(path("/s/a"))));
    assert_eq!(told, Err(KernelError::NotFound(path("/s/a"))));
}

#[tokio::test(start_paused = true)]
async fn s128_a_request_to_a_supervisor_that_is_down_says_so() {
    let world = World::new();
    let tree = world
        .boot_under(mortal(group(OneForOne, 0, [world.child("a")])))
        .await;
    tree.crash("/s/a").await;
    tree.becomes("/s", Some(SlotState::Stopped)).await;

    let spawned = tree.kernel.spawn(&path("/s"), world.child("b")).await;

    assert!(
        matches!(spawned, Err(KernelError::Refused { .. })),
        "{spawned:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s129_a_root_that_gives_up_ends_the_kernel_with_a_failure() {
    for strategy in STRATEGIES {
        let world = World::new();
        let inner = sub("inner", group(OneForOne, 9, [world.child("leaf")]));
        let tree = world
            .boot_mortal(group(strategy, 0, [inner, world.child("a")]))
            .await;

        tree.crash("/a").await;
        let ended = tree.ended().await;

        assert_eq!(ended.kind, ExitKind::GaveUp, "{strategy:?}");
        assert_eq!(world.exit_kinds("/inner/leaf"), [ExitKind::Shutdown]);
        assert!(tree.kernel.registry().is_empty());
        assert_eq!(tree.mode(), Mode::Stopping);
    }
}

#[tokio::test(start_paused = true)]
async fn s129_a_lasting_root_keeps_what_is_essential_and_quarantines_the_rest() {
    for strategy in STRATEGIES {
        let world = World::new();
        let keeper = ChildSpec {
            essential: true,
            ..world.child("keeper")
        };
        let [a, b] = world.children(["a", "b"]);
        let tree = world.boot(group(strategy, 0, [a, keeper, b])).await;

        tree.crash("/a").await;
        tree.becomes("/b", Some(SlotState::Quarantined)).await;
        tree.becomes("/a", Some(SlotState::Quarantined)).await;

        assert_eq!(tree.mode(), Mode::Safe, "{strategy:?}");
        assert_eq!(tree.ping("/keeper").await, 1);
        tree.crash("/keeper").await;
        tree.running("/keeper", 2).await;
        assert_eq!(tree.mode(), Mode::Safe);

        let released = tree.kernel.release_all().await;

        assert_eq!(released, Ok(Done::Released { count: 2 }), "{strategy:?}");
        assert_eq!(tree.mode(), Mode::Normal);
        assert_eq!((tree.counts("/"), used(&tree, "/")), ([3, 3, 0, 3], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_while_the_rest_still_stops_waits_and_releases_it() {
    let world = World::new();
    let slow = world.child_with("slow", json!({ "stop_takes_ms": 900 }));
    let tree = world
        .boot(group(OneForOne, 0, [slow, world.child("a")]))
        .await;
    tree.crash("/a").await;
    tree.until("it stops", |_| world.said("stopping slow"))
        .await;

    let released = tree.kernel.release_all().await;

    assert_eq!(released, Ok(Done::Released { count: 2 }));
    assert_eq!(
        (tree.mode(), tree.counts("/")),
        (Mode::Normal, [2, 2, 0, 2])
    );
}

#[tokio::test(start_paused = true)]
async fn a_release_starts_the_others_when_one_of_them_fails() {
    let world = World::new();
    let b = world.starting("b", &[Answer::Ok, Answer::Fail, Answer::Ok]);
    let [a, c] = world.children(["a", "c"]);
    let tree = world.boot(group(OneForOne, 1, [a, b, c])).await;
    tree.crash("/a").await;
    tree.running("/a", 2).await;
    tree.crash("/a").await;
    for at in ["/a", "/b", "/c"] {
        tree.becomes(at, Some(SlotState::Quarantined)).await;
    }

    let released = tree.kernel.release_all().await;

    assert_eq!(released, Ok(Done::Released { count: 3 }));
    for at in ["/a", "/b", "/c"] {
        tree.becomes(at, Some(SlotState::Running)).await;
    }
    assert_eq!(tree.mode(), Mode::Normal);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_released_stays_in_quarantine() {
    let world = World::new();
    let tree = world.boot(group(OneForOne, 0, [world.child("a")])).await;
    tree.crash("/a").await;
    tree.becomes("/a", Some(SlotState::Quarantined)).await;
    world.let_start("a", Answer::Fail);

    let failed = tree.kernel.release(&path("/a")).await;
    assert!(failed.is_err());
    assert_eq!(tree.state("/a"), Some(SlotState::Quarantined));

    world.let_start("a", Answer::Ok);
    let released = tree.kernel.release(&path("/a")).await;
    assert_eq!(released, Ok(Done::Started { incarnation: 2 }));
}

#[tokio::test(start_paused = true)]
async fn what_waits_below_a_supervisor_that_gives_up_becomes_dead_letters_that_say_so() {
    let world = World::new();
    let inner = sub("inner", group(OneForOne, 9, world.children(["deep"])));
    let [fails, bystander] = world.children(["fails", "bystander"]);
    let tree = world
        .boot_under(sub("s", group(OneForOne, 0, [inner, bystander, fails])))
        .await;
    for at in ["/s/inner/deep", "/s/bystander"] {
        for order in [json!({ "busy": 60_000 }), json!({ "busy": 1 })] {
            tree.kernel.tell(&path(at), order).await.unwrap();
        }
    }

    tree.crash("/s/fails").await;
    tree.running("/s", 2).await;

    let letters = tree.kernel.dead_letters().list();
    for at in ["/s/inner/deep", "/s/bystander"] {
        let waited = letters.iter().filter(|letter| letter.path.as_str() == at);
        let reasons: Vec<DeadReason> = waited.map(|letter| letter.reason).collect();
        assert_eq!(reasons, [DeadReason::Crashed, DeadReason::GaveUp], "{at}");
    }
    let remembered = tree.kernel.tombstones();
    assert!(
        remembered
            .iter()
            .any(|tombstone| tombstone.path.as_str() == "/s/fails")
    );
}
