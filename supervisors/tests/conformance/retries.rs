//! Group F: restarts whose start fails again and again, and what can be asked meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use unity_supervisors::spec::{Backoff, ChildSpec, Strategy};
use unity_supervisors::{Done, ExitKind, Mode, RequestError, SlotState};

use crate::support::{Answer, Tree, World, group, path, refusal, sub};
use Strategy::{OneForAll, OneForOne, RestForOne};

/// A budget that no test uses up.
const ENDLESS: u32 = 1_000_000;

/// Lets the starts of `/s/b` fail and crashes it; returns when it was tried a few times.
async fn fail_b(tree: &Tree) {
    tree.world.let_start("b", Answer::Fail);
    tree.crash("/s/b").await;
    tree.exits("/s/b", 4).await;
}

/// `/s` with workers of these ids, `b` among them, in a failing retry loop.
async fn boot_failing<const N: usize>(strategy: Strategy, ids: [&str; N]) -> Tree {
    let world = World::new();
    let tree = world
        .boot_under(sub("s", group(strategy, ENDLESS, world.children(ids))))
        .await;
    fail_b(&tree).await;
    tree
}

#[tokio::test(start_paused = true)]
async fn s130_a_failing_restart_goes_on_back_to_back_while_the_supervisor_answers() {
    let tree = boot_failing(OneForOne, ["a", "b"]).await;
    let before = Instant::now();
    assert_eq!(tree.state("/s/b"), Some(SlotState::Restarting));

    let spawned = tree.kernel.spawn(&path("/s"), tree.world.child("c")).await;
    let stopped = tree.kernel.stop(&path("/s/a")).await;
    let starts = tree.world.starts("b");
    tree.until("it is tried on", |tree| {
        tree.world.starts("b") >= starts + 10
    })
    .await;
    tree.world.let_start("b", Answer::Ok);
    tree.running("/s/b", 2).await;

    assert_eq!(spawned, Ok(Done::Started { incarnation: 1 }));
    assert_eq!(stopped, Ok(Done::Stopped));
    assert_eq!(before.elapsed(), Duration::ZERO, "back to back");
    assert_eq!(tree.world.exit_kinds("/s"), []);
}

#[tokio::test(start_paused = true)]
async fn s131_what_is_asked_of_a_restarting_child_is_told_so() {
    let tree = boot_failing(OneForOne, ["b"]).await;
    let at = path("/s/b");

    let spawned = tree.kernel.spawn(&path("/s"), tree.world.child("b")).await;
    let started = tree.kernel.start_child(&at).await;
    let deleted = tree.kernel.delete(&at).await;

    assert_eq!(refusal(spawned), RequestError::AlreadyPresent);
    assert_eq!(refusal(started), RequestError::Restarting);
    assert_eq!(refusal(deleted), RequestError::Restarting);
    assert_eq!(
        tree.children("/s"),
        [("b".to_owned(), SlotState::Restarting)]
    );
    assert_eq!(tree.counts("/s"), [1, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn s132_s133_a_stop_ends_the_attempts_and_a_start_brings_it_back() {
    let tree = boot_failing(OneForOne, ["b"]).await;
    let at = path("/s/b");

    let stopped = tree.kernel.stop(&at).await;
    let starts = tree.world.starts("b");
    tokio::time::sleep(Duration::from_secs(60)).await;

    assert_eq!(stopped, Ok(Done::Stopped));
    assert_eq!(tree.state("/s/b"), Some(SlotState::Stopped));
    assert_eq!(tree.world.starts("b"), starts, "no further attempt");

    tree.world.let_start("b", Answer::Ok);
    let started = tree.kernel.start_child(&at).await;

    assert_eq!(started, Ok(Done::Started { incarnation: 2 }));
    assert_eq!(tree.ping("/s/b").await, 2);
}

#[tokio::test(start_paused = true)]
async fn s134_a_supervisor_with_a_failing_retry_loop_stops_promptly() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let tree = boot_failing(strategy, ["a", "b", "c"]).await;
        let before = Instant::now();

        let stopped = tree.kernel.stop(&path("/s")).await;
        let starts = tree.world.starts("b");
        tokio::time::sleep(Duration::from_secs(60)).await;

        assert_eq!(stopped, Ok(Done::Stopped), "{strategy:?}");
        assert_eq!(
            before.elapsed(),
            Duration::from_secs(60),
            "the stop itself took no time"
        );
        assert_eq!(tree.world.exit_kinds("/s"), [ExitKind::Shutdown]);
        assert_eq!(tree.world.starts("b"), starts);
    }
}

#[tokio::test(start_paused = true)]
async fn s135_rest_for_one_keeps_what_is_before_and_holds_back_what_is_after_a_failing_child() {
    let tree = boot_failing(RestForOne, ["a", "b", "c"]).await;
    assert_eq!(tree.ping("/s/a").await, 1);
    assert_eq!(
        (tree.state("/s/b"), tree.state("/s/c")),
        (Some(SlotState::Restarting), Some(SlotState::Restarting))
    );
    assert_eq!(tree.counts("/s"), [3, 1, 0, 3]);

    tree.kernel.stop(&path("/s/b")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;

    let states = [SlotState::Running, SlotState::Stopped, SlotState::Stopped];
    let expected: Vec<_> = ["a", "b", "c"]
        .map(str::to_owned)
        .into_iter()
        .zip(states)
        .collect();
    assert_eq!(tree.children("/s"), expected);
    assert_eq!((tree.world.starts("a"), tree.world.starts("c")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn s145_failed_restart_attempts_of_any_kind_are_each_counted_until_one_works() {
    let world = World::new();
    let answers = [Answer::Ok, Answer::Panic, Answer::Fail, Answer::Ok];
    let tree = world
        .boot(group(OneForOne, 3, [world.starting("a", &answers)]))
        .await;

    tree.crash("/a").await;
    tree.running("/a", 2).await;

    assert_eq!(
        world.exit_kinds("/a"),
        [ExitKind::Error, ExitKind::Panic, ExitKind::Error]
    );
    let failed: Vec<bool> = world
        .exits("/a")
        .iter()
        .map(|exit| exit.failed_start)
        .collect();
    assert_eq!(failed, [false, true, true]);
    assert_eq!(
        tree.kernel.tree(None).unwrap().tree.unwrap().restarts.used,
        3
    );
    assert_eq!(tree.mode(), Mode::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_says_ignore_leaves_the_child_down_and_its_group_up() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let world = World::new();
        let a = world.starting("a", &[Answer::Ok, Answer::Ignore]);
        let tree = world.boot(group(strategy, 9, [a, world.child("b")])).await;

        tree.crash("/a").await;
        tree.becomes("/a", Some(SlotState::Ignored)).await;
        tree.until("b runs", |tree| {
            tree.state("/b") == Some(SlotState::Running)
        })
        .await;

        assert_eq!(tree.counts("/"), [2, 1, 0, 2], "{strategy:?}");
        assert_eq!(tree.mode(), Mode::Normal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_during_a_start_fails_that_start_and_is_charged() {
    let world = World::new();
    let a = world.starting("a", &[Answer::Ok, Answer::Hang, Answer::Ok]);
    let tree = world.boot(group(OneForOne, 9, [a])).await;
    world.take();
    tree.crash("/a").await;
    tree.until("it hangs", |_| world.said("start a")).await;

    let killed = tree
        .kernel
        .kill(&path("/a"), Some("unplugged".to_owned()))
        .await;
    tree.running("/a", 2).await;

    assert_eq!(killed, Ok(Done::Killed));
    let exits = world.exits("/a");
    assert_eq!(exits[1].reason.to_string(), "killed: unplugged");
    assert!(exits[1].failed_start);
    assert_eq!(exits.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_passed_after_a_stop_and_a_start_changes_nothing() {
    let world = World::new();
    let ten = Duration::from_secs(10);
    let a = ChildSpec {
        backoff: Some(Backoff {
            min: ten,
            max: ten,
            factor: 1.0,
            jitter: 0.0,
        }),
        ..world.child("a")
    };
    let tree = world.boot(group(OneForOne, 9, [a])).await;
    tree.crash("/a").await;
    assert_eq!(tree.state("/a"), Some(SlotState::Backoff));

    tree.kernel.stop(&path("/a")).await.unwrap();
    tree.kernel.start_child(&path("/a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;

    assert_eq!((tree.ping("/a").await, world.starts("a")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_child_that_restarts_reaches_its_next_life() {
    let tree = boot_failing(OneForOne, ["b"]).await;
    let at = path("/s/b");
    let asking = tree
        .kernel
        .ask(&at, json!({ "ping": null }), Duration::from_secs(60));
    let mending = async { tree.world.let_start("b", Answer::Ok) };

    let (answer, ()) = tokio::join!(asking, mending);

    assert_eq!(answer, Ok(json!(2)));
}
