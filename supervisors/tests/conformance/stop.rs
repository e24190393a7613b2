//! Group B: the order in which a tree stops, how long it may take, and what happens meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{ChildSpec, Restart, Shutdown, Strategy};
use unity_supervisors::{Done, ExitKind, KernelError, SlotState};

use crate::support::{Answer, LONG, World, group, path, sub};
use Strategy::{OneForAll, OneForOne, RestForOne};

const STRATEGIES: [Strategy; 3] = [OneForOne, OneForAll, RestForOne];

#[tokio::test(start_paused = true)]
async fn s028_children_end_in_the_exact_reverse_of_their_start_order() {
    for strategy in STRATEGIES {
        let world = World::new();
        let children = world.children(["m", "z", "a", "k"]);
        let tree = world
            .boot_under(sub("s", group(strategy, 1, children)))
            .await;
        assert_eq!(
            world.take_only(&["started"]),
            ["started m", "started z", "started a", "started k"]
        );

        tree.kernel.stop(&path("/s")).await.unwrap();

        let gone = world.take_only(&["stopping", "gone"]);
        let expected = ["stopping k", "gone k", "stopping a", "gone a"];
        assert_eq!(gone[..4], expected, "{strategy:?}");
        assert_eq!(
            gone[4..],
            ["stopping z", "gone z", "stopping m", "gone m"],
            "{strategy:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s030_a_worker_and_a_supervisor_with_infinity_both_end_with_shutdown() {
    let world = World::new();
    let slow = json!({ "stop_takes_ms": 3_600_000 });
    let worker = ChildSpec {
        shutdown: Shutdown::Infinity,
        ..world.child_with("w", slow.clone())
    };
    let below = ChildSpec {
        shutdown: Shutdown::Infinity,
        ..world.child_with("below", slow)
    };
    let inner = sub("inner", group(OneForOne, 1, [below]));
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [worker, inner])))
        .await;
    let before = Instant::now();

    tree.kernel.stop(&path("/s")).await.unwrap();

    assert_eq!(before.elapsed(), 2 * LONG);
    for at in ["/s/w", "/s/inner/below", "/s/inner", "/s"] {
        assert_eq!(world.exit_kinds(at), [ExitKind::Shutdown], "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn s031_a_child_that_sleeps_through_its_shutdown_is_killed_and_the_rest_ends_in_order() {
    let world = World::new();
    let second = Shutdown::Timeout(Duration::from_secs(1));
    let quick = ChildSpec {
        shutdown: second,
        ..world.child("quick")
    };
    let sleeper = ChildSpec {
        shutdown: second,
        ..world.child_with("sleeper", json!({ "stop_takes_ms": 60_000 }))
    };
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [quick, sleeper])))
        .await;
    let before = Instant::now();

    tree.kernel.stop(&path("/s")).await.unwrap();

    assert_eq!(before.elapsed(), Duration::from_secs(1));
    assert_eq!(world.exit_kinds("/s/sleeper"), [ExitKind::Killed]);
    assert_eq!(world.exit_kinds("/s/quick"), [ExitKind::Shutdown]);
    assert_eq!(world.exit_kinds("/s"), [ExitKind::Shutdown]);
    assert_eq!(
        world.take_only(&["stopping", "stopped", "gone"]),
        [
            "stopping sleeper",
            "gone sleeper",
            "stopping quick",
            "stopped quick",
            "gone quick"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn s032_brutal_kill_does_not_ask() {
    let world = World::new();
    let asked = world.child("asked");
    let brutal = ChildSpec {
        shutdown: Shutdown::BrutalKill,
        ..world.child("brutal")
    };
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [asked, brutal])))
        .await;
    world.take();

    tree.kernel.stop(&path("/s")).await.unwrap();

    assert_eq!(
        world.take(),
        [
            "gone brutal",
            "stopping asked",
            "stopped asked",
            "gone asked"
        ]
    );
    assert_eq!(world.exit_kinds("/s/brutal"), [ExitKind::Killed]);
    assert_eq!(world.exit_kinds("/s/asked"), [ExitKind::Shutdown]);
}

#[tokio::test(start_paused = true)]
async fn s039_a_crash_during_the_stop_is_neither_restarted_nor_signalled() {
    for strategy in STRATEGIES {
        let world = World::new();
        let [a, b] = world.children(["a", "b"]);
        let c = world.child_with("c", json!({ "stop_takes_ms": 150 }));
        let tree = world
            .boot_under(sub("s", group(strategy, 1, [a, b, c])))
            .await;
        world.take();

        let (at, root) = (path("/s"), tree.kernel.clone());
        let stopping = async { root.stop(&at).await };
        let crashing = async {
            tree.until("c stops", |_| world.said("stopping c")).await;
            tree.kernel
                .tell(&path("/s/a"), json!({ "crash": "boom" }))
                .await
                .unwrap();
        };
        let (stopped, ()) = tokio::join!(stopping, crashing);

        assert_eq!(stopped, Ok(Done::Stopped));
        let expected = [
            "stopping c",
            "gone a",
            "stopped c",
            "gone c",
            "stopping b",
            "stopped b",
            "gone b",
        ];
        assert_eq!(world.take(), expected, "{strategy:?}");
        assert_eq!(world.exit_kinds("/s/a"), [ExitKind::Error]);
        assert_eq!(world.exits("/s/a")[0].response, Response::StopFailed);
        assert_eq!(world.exit_kinds("/s"), [ExitKind::Shutdown]);
    }
}

#[tokio::test(start_paused = true)]
async fn s040_whatever_a_child_answers_to_its_stop_the_supervisor_ends_with_shutdown() {
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let world = World::new();
        let panics = world.child_with("panics", json!({ "stop_panics": true }));
        let obeys_at_once = world.child_with("obeys", json!({ "ignores_stop": true }));
        let children = [panics, obeys_at_once].map(|child| ChildSpec { restart, ..child });
        let tree = world
            .boot_under(sub("s", group(OneForOne, 1, children)))
            .await;

        tree.kernel.stop(&path("/s")).await.unwrap();

        assert_eq!(world.exit_kinds("/s/panics"), [ExitKind::Panic]);
        assert_eq!(world.exit_kinds("/s/obeys"), [ExitKind::Shutdown]);
        assert_eq!(world.exit_kinds("/s"), [ExitKind::Shutdown]);
        assert_eq!((world.starts("panics"), world.starts("obeys")), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn s046_children_of_a_supervisor_that_gives_up_get_plain_shutdown() {
    let world = World::new();
    let s = ChildSpec {
        restart: Restart::Transient,
        ..sub("s", group(OneForOne, 0, world.children(["a", "b"])))
    };
    let tree = world.boot_under(s).await;

    tree.crash("/s/b").await;
    tree.exits("/s", 1).await;

    let exits = world.exits("/s/a");
    assert_eq!(
        (exits[0].reason.kind, exits[0].reason.text.as_deref()),
        (ExitKind::Shutdown, None)
    );
    assert_eq!(world.exit_kinds("/s"), [ExitKind::GaveUp]);
}

#[tokio::test(start_paused = true)]
async fn s047_a_stop_returns_when_the_whole_subtree_is_gone_and_an_unknown_one_is_not_found() {
    let world = World::new();
    let slow = json!({ "stop_takes_ms": 900 });
    let inner = sub(
        "inner",
        group(OneForOne, 1, [world.child_with("leaf", slow.clone())]),
    );
    let worker = world.child_with("worker", slow);
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [inner, worker])))
        .await;
    world.take();
    let before = Instant::now();

    let stopped = tree.kernel.stop(&path("/s")).await;

    assert_eq!(stopped, Ok(Done::Stopped));
    assert_eq!(before.elapsed(), Duration::from_millis(1_800));
    assert_eq!(world.take_only(&["gone"]), ["gone worker", "gone leaf"]);
    assert_eq!(tree.children("/"), [("s".to_owned(), SlotState::Stopped)]);
    for at in ["/s/inner", "/s/inner/leaf", "/s/worker", "/nowhere"] {
        assert_eq!(
            tree.kernel.stop(&path(at)).await,
            Err(KernelError::NotFound(path(at)))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s049_a_stop_from_within_what_is_stopped_is_refused_and_does_not_deadlock() {
    let world = World::new();
    let patient = ChildSpec {
        shutdown: Shutdown::Infinity,
        ..world.child("a")
    };
    let other = world.child("b");
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [patient, other])))
        .await;
    let before = Instant::now();
    let ask = async |target: &str| {
        let order = json!({ "stop": target });
        tree.kernel
            .ask(&path("/s/a"), order, LONG)
            .await
            .unwrap()
            .to_string()
    };

    let supervisor = ask("/s").await;
    let itself = ask("/s/a").await;
    let sibling = ask("/s/b").await;

    assert!(supervisor.contains("WouldWaitForItself"), "{supervisor}");
    assert!(itself.contains("WouldWaitForItself"), "{itself}");
    assert!(sibling.contains("Ok(Stopped)"), "{sibling}");
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(tree.ping("/s/a").await, 1);
}

#[tokio::test(start_paused = true)]
async fn s052_a_whole_tree_stops_in_the_exact_reverse_of_its_start_order() {
    let world = World::new();
    let leaves = |ids| group(OneForOne, 1, world.children::<2>(ids));
    let branch = |id, one, two| {
        let below = [sub("x", leaves(one)), sub("y", leaves(two))];
        sub(id, group(OneForOne, 1, below))
    };
    let first = branch("first", ["a", "b"], ["c", "d"]);
    let last = branch("last", ["e", "f"], ["g", "h"]);
    let tree = world.boot(group(OneForOne, 1, [first, last])).await;
    let mut started = world.take_only(&["started"]);

    let ended = tree.kernel.shutdown().await;

    started.reverse();
    let gone = world.take_only(&["gone"]);
    assert_eq!(gone.len(), 8);
    let started: Vec<_> = started
        .iter()
        .map(|said| said.replace("started", "gone"))
        .collect();
    assert_eq!(gone, started);
    assert_eq!(ended.kind, ExitKind::Shutdown);
    assert!(tree.kernel.registry().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s053_a_supervisor_killed_in_the_middle_of_its_teardown_leaves_no_orphans() {
    let world = World::new();
    let slow = json!({ "stop_takes_ms": 60_000 });
    let deep = sub("deep", group(OneForOne, 1, [world.child("leaf")]));
    let sleeper = ChildSpec {
        shutdown: Shutdown::Infinity,
        ..world.child_with("sleeper", slow)
    };
    let inner = ChildSpec {
        shutdown: Shutdown::Timeout(Duration::from_secs(2)),
        ..sub(
            "inner",
            group(OneForOne, 1, [deep, world.child("worker"), sleeper]),
        )
    };
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, [inner])))
        .await;
    world.take();
    let before = Instant::now();

    tree.kernel.stop(&path("/s")).await.unwrap();

    assert_eq!(before.elapsed(), Duration::from_secs(2));
    let expected = [
        "stopping sleeper",
        "gone sleeper",
        "gone worker",
        "gone leaf",
    ];
    assert_eq!(world.take(), expected);
    assert_eq!(world.exit_kinds("/s/inner"), [ExitKind::Killed]);
    assert_eq!(
        tree.kernel
            .registry()
            .get(&path("/s/inner/deep/leaf"))
            .map(|_| ()),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_a_tree_boots_stops_what_is_up_in_order() {
    let world = World::new();
    let hangs = world.starting("hangs", &[Answer::Hang]);
    let inner = sub(
        "inner",
        group(OneForOne, 1, [world.child("b"), hangs, world.child("c")]),
    );
    let tree = world
        .start(group(OneForOne, 1, [world.child("a"), inner]))
        .await;
    tree.until("it hangs", |_| world.said("start hangs")).await;
    world.take();
    let before = Instant::now();

    let ended = tree.kernel.shutdown().await;

    assert_eq!(ended.kind, ExitKind::Shutdown);
    assert_eq!(before.elapsed(), Duration::ZERO);
    let expected = [
        "stopping b",
        "stopped b",
        "gone b",
        "stopping a",
        "stopped a",
        "gone a",
    ];
    assert_eq!(world.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_a_supervisor_that_starts_ends_its_children_in_order_and_its_shutdown_counts() {
    let world = World::new();
    let hangs = world.starting("hangs", &[Answer::Hang]);
    let sleeper = world.child_with("b", json!({ "stop_takes_ms": 60_000 }));
    let inner = ChildSpec {
        shutdown: Shutdown::Timeout(Duration::from_secs(2)),
        ..sub(
            "inner",
            group(OneForOne, 1, [world.child("a"), sleeper, hangs]),
        )
    };
    let tree = world.boot(group(OneForOne, 1, [])).await;
    let kernel = tree.kernel.clone();
    let (root, at) = (path("/"), path("/inner"));
    let spawning = kernel.spawn(&root, inner);
    let before = Instant::now();
    let stopping = async {
        tree.until("it hangs", |_| world.said("start hangs")).await;
        tree.kernel.stop(&at).await
    };

    let (spawned, stopped) = tokio::join!(spawning, stopping);

    assert_eq!((spawned, stopped), (Ok(Done::Stopped), Ok(Done::Stopped)));
    assert_eq!(before.elapsed(), Duration::from_secs(2));
    assert_eq!(
        world.take_only(&["stopping", "gone"]),
        ["stopping b", "gone b", "gone a"]
    );
    assert_eq!(tree.state("/inner"), Some(SlotState::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_kill_during_a_stop_ends_it_at_once() {
    let world = World::new();
    let sleeper = ChildSpec {
        shutdown: Shutdown::Infinity,
        ..world.child_with("a", json!({ "stop_takes_ms": 60_000 }))
    };
    let tree = world.boot(group(OneForOne, 1, [sleeper])).await;
    let before = Instant::now();
    let (at, kernel) = (path("/a"), tree.kernel.clone());
    let killing = async {
        tree.until("it stops", |_| world.said("stopping a")).await;
        tree.kernel.kill(&path("/a"), None).await
    };

    let (stopped, killed) = tokio::join!(kernel.stop(&at), killing);

    assert_eq!((stopped, killed), (Ok(Done::Stopped), Ok(Done::Killed)));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(tree.state("/a"), Some(SlotState::Stopped));
    assert_eq!(world.exit_kinds("/a"), [ExitKind::Killed]);
    assert_eq!(world.starts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn kill_all_overtakes_a_shutdown_that_takes_for_ever() {
    let world = World::new();
    let sleeper = ChildSpec {
        shutdown: Shutdown::Infinity,
        ..world.child_with("a", json!({ "stop_takes_ms": 3_600_000 }))
    };
    let inner = sub("inner", group(OneForOne, 1, [world.child("b"), sleeper]));
    let tree = world.boot(group(OneForOne, 1, [inner])).await;
    world.take();
    let before = Instant::now();
    let impatient = async {
        tree.until("it stops", |_| world.said("stopping a")).await;
        tree.kernel.kill_all();
    };

    let (ended, ()) = tokio::join!(tree.kernel.shutdown(), impatient);

    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(ended.kind, ExitKind::Shutdown);
    assert_eq!(world.take(), ["stopping a", "gone a", "gone b"]);
}
