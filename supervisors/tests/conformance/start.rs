//! Group A: how a tree starts, and what a start that fails or says `ignore` leaves behind.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use unity_supervisors::kernel::BuildError;
use unity_supervisors::spec::{
    AutoShutdown, Backoff, ChildSpec, Restart, Shutdown, Strategy, SupervisorSpec,
};
use unity_supervisors::{ChildId, Done, ExitKind, KernelError, Mode, RequestError, SlotState};

use crate::support::{Answer, World, group, path, refusal, sub};
use Strategy::{OneForAll, OneForOne, RestForOne};

#[tokio::test(start_paused = true)]
async fn s001_an_empty_supervisor_starts_and_ends_with_shutdown() {
    let world = World::new();
    let tree = world.boot_under(sub("s", SupervisorSpec::default())).await;
    assert_eq!(tree.state("/s"), Some(SlotState::Running));

    let stopped = tree.kernel.stop(&path("/s")).await;
    let ended = tree.kernel.shutdown().await;

    assert_eq!(stopped, Ok(Done::Stopped));
    assert_eq!(world.exit_kinds("/s"), [ExitKind::Shutdown]);
    assert_eq!(ended.kind, ExitKind::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn s003_a_supervisor_with_a_child_that_cannot_be_made_is_refused_by_name_and_nothing_stays() {
    let world = World::new();
    let tree = world.boot(SupervisorSpec::default()).await;
    let id = |id: &str| unity_supervisors::ChildId::new(id).unwrap();
    let unknown = ChildSpec::worker(id("x"), "recoder");
    let misfit = world.child_with("y", json!({ "startz": [] }));

    let unknown = tree
        .kernel
        .spawn(&path("/"), sub("s", group(OneForOne, 1, [unknown])))
        .await;
    let misfit = tree
        .kernel
        .spawn(&path("/"), sub("s", group(OneForOne, 1, [misfit])))
        .await;

    let kind = "recoder".to_owned();
    let expected = BuildError::UnknownKind {
        path: path("/s/x"),
        kind,
    };
    assert_eq!(unknown, Err(KernelError::Build(expected)));
    let misfit = misfit.unwrap_err().to_string();
    assert!(
        misfit.contains("/s/y") && misfit.contains("startz"),
        "{misfit}"
    );
    assert_eq!(tree.counts("/"), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn s005_each_start_completes_before_the_next_begins() {
    let world = World::new();
    let tree = world.boot(SupervisorSpec::default()).await;
    let slow = ["a", "b", "c"].map(|id| world.starting(id, &[Answer::Slow]));

    let spawned = tree
        .kernel
        .spawn(&path("/"), sub("s", group(OneForOne, 1, slow)))
        .await;

    assert_eq!(spawned, Ok(Done::Started { incarnation: 1 }));
    let expected = [
        "start a",
        "started a",
        "start b",
        "started b",
        "start c",
        "started c",
    ];
    assert_eq!(world.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn s006_a_failed_start_stops_what_was_started_in_reverse_and_fails_the_supervisor() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let world = World::new();
        let tree = world.boot(SupervisorSpec::default()).await;
        let [a, b, d] = world.children(["a", "b", "d"]);
        let c = world.starting("c", &[Answer::Fail]);

        let spawned = tree
            .kernel
            .spawn(&path("/"), sub("s", group(strategy, 9, [a, b, c, d])))
            .await;

        let RequestError::StartFailed(reason) = refusal(spawned) else {
            panic!("no failed start")
        };
        assert_eq!(
            reason.to_string(),
            "error: its child `c` failed to start (error: told to fail)"
        );
        assert_eq!(
            world.take_only(&["start", "stopping", "gone"]),
            [
                "start a",
                "start b",
                "start c",
                "stopping b",
                "gone b",
                "stopping a",
                "gone a"
            ],
            "{strategy:?}"
        );
        assert_eq!(world.exit_kinds("/s/a"), [ExitKind::Shutdown]);
        assert_eq!(world.exit_kinds("/s/b"), [ExitKind::Shutdown]);
        assert_eq!(tree.counts("/"), [0, 0, 0, 0]);
        assert_eq!(tree.kernel.registry().get(&path("/s/a")).map(|_| ()), None);
    }
}

#[tokio::test(start_paused = true)]
async fn s006_a_failed_start_at_boot_ends_a_kernel_whose_root_may_give_up() {
    let world = World::new();
    let [a, d] = world.children(["a", "d"]);
    let c = world.starting("c", &[Answer::Fail]);

    let tree = world.boot_mortal(group(OneForOne, 9, [a, c, d])).await;
    let ended = tree.ended().await;

    assert_eq!(tree.mode(), Mode::Stopping);
    assert_eq!(ended.kind, ExitKind::GaveUp);
    assert!(ended.text.unwrap().contains("`c` failed to start"));
    let expected = ["start a", "start c", "stopping a", "gone a"];
    assert_eq!(world.take_only(&["start", "stopping", "gone"]), expected);
}

#[tokio::test(start_paused = true)]
async fn s006_a_failed_start_at_boot_of_a_lasting_root_is_safe_mode() {
    let world = World::new();
    let [a, d] = world.children(["a", "d"]);
    let keeper = ChildSpec {
        essential: true,
        ..world.child("keeper")
    };
    let c = world.starting("c", &[Answer::Fail]);

    let tree = world.boot(group(OneForOne, 9, [keeper, a, c, d])).await;

    assert_eq!(tree.mode(), Mode::Safe);
    assert!(
        tree.kernel
            .safe_reason()
            .unwrap()
            .contains("`c` failed to start")
    );
    tree.becomes("/a", Some(SlotState::Quarantined)).await;
    let states = [
        SlotState::Running,
        SlotState::Quarantined,
        SlotState::Quarantined,
        SlotState::Quarantined,
    ];
    let ids = ["keeper", "a", "c", "d"].map(str::to_owned);
    assert_eq!(
        tree.children("/"),
        ids.into_iter().zip(states).collect::<Vec<_>>()
    );
    assert_eq!(world.starts("d"), 0);
}

#[tokio::test(start_paused = true)]
async fn s010_an_ignored_permanent_child_keeps_its_place_and_is_not_active() {
    let world = World::new();
    let ignores = world.starting("a", &[Answer::Ignore]);
    let tree = world.boot(group(OneForOne, 1, [ignores])).await;

    let spawned = tree
        .kernel
        .spawn(&path("/"), world.starting("b", &[Answer::Ignore]))
        .await;

    assert_eq!(spawned, Ok(Done::Ignored));
    let expected = ["a", "b"].map(|id| (id.to_owned(), SlotState::Ignored));
    assert_eq!(tree.children("/"), expected);
    assert_eq!(tree.counts("/"), [2, 0, 0, 2]);
    assert_eq!(tree.mode(), Mode::Normal);
}

#[tokio::test(start_paused = true)]
async fn s011_an_ignored_temporary_child_of_the_list_is_gone_and_its_siblings_run() {
    let world = World::new();
    let [a, c] = world.children(["a", "c"]);
    let b = ChildSpec {
        restart: Restart::Temporary,
        ..world.starting("b", &[Answer::Ignore])
    };

    let tree = world.boot(group(OneForOne, 1, [a, b, c])).await;

    let expected = ["a", "c"].map(|id| (id.to_owned(), SlotState::Running));
    assert_eq!(tree.children("/"), expected);
    assert_eq!(tree.state("/b"), None);
}

#[tokio::test(start_paused = true)]
async fn s012_an_ignored_temporary_child_that_was_spawned_is_gone() {
    let world = World::new();
    let tree = world.boot(SupervisorSpec::default()).await;
    let b = ChildSpec {
        restart: Restart::Temporary,
        ..world.starting("b", &[Answer::Ignore])
    };

    let spawned = tree.kernel.spawn(&path("/"), b).await;

    assert_eq!(spawned, Ok(Done::Ignored));
    assert_eq!(tree.state("/b"), None);
    assert_eq!(tree.counts("/"), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn s016_s017_a_spawned_child_that_cannot_start_tells_its_caller_and_leaves_nothing() {
    let world = World::new();
    let tree = world.boot(group(OneForOne, 0, [])).await;
    for (answer, kind, text) in [
        (Answer::Fail, ExitKind::Error, "told to fail"),
        (Answer::Panic, ExitKind::Panic, "told to panic"),
    ] {
        let spawned = tree
            .kernel
            .spawn(&path("/"), world.starting("a", &[answer]))
            .await;

        let RequestError::StartFailed(reason) = refusal(spawned) else {
            panic!("no failed start")
        };
        assert_eq!((reason.kind, reason.text.as_deref()), (kind, Some(text)));
        assert_eq!(tree.counts("/"), [0, 0, 0, 0]);
        assert_eq!(tree.state("/a"), None);
        assert_eq!(tree.mode(), Mode::Normal, "nothing was charged");
        world.starts_anew("a");
    }
}

#[tokio::test(start_paused = true)]
async fn s019_a_name_that_is_held_is_refused_and_its_holder_undisturbed() {
    let world = World::new();
    let holder = sub("s", group(OneForOne, 1, [world.child("a")]));
    let tree = world.boot_under(holder).await;

    let again = tree
        .kernel
        .spawn(&path("/"), sub("s", group(OneForOne, 1, [])))
        .await;

    assert_eq!(refusal(again), RequestError::AlreadyStarted);
    assert_eq!(tree.ping("/s/a").await, 1);
    assert_eq!(world.starts("a"), 1);
    assert_eq!(tree.counts("/"), [1, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn s021_a_spec_of_only_an_id_and_a_kind_has_the_defaults_and_an_unknown_id_is_not_found() {
    let world = World::new();
    let worker = ChildSpec {
        shutdown: Shutdown::BrutalKill,
        ..world.child("a")
    };
    let tree = world
        .boot(group(
            OneForOne,
            1,
            [worker, sub("s", group(OneForOne, 1, []))],
        ))
        .await;
    let spec = |at: &str| {
        tree.kernel
            .registry()
            .get(&path(at))
            .unwrap()
            .spec()
            .clone()
    };

    let plain = world.child("plain");

    assert_eq!(
        (plain.restart, plain.shutdown, plain.significant),
        (
            Restart::Permanent,
            Shutdown::Timeout(Duration::from_secs(5)),
            false
        )
    );
    assert_eq!(spec("/a").shutdown, Shutdown::BrutalKill);
    assert_eq!(
        (spec("/s").restart, spec("/s").shutdown),
        (Restart::Permanent, Shutdown::Infinity)
    );
    let unknown = tree.kernel.stop(&path("/b")).await;
    assert_eq!(unknown, Err(KernelError::NotFound(path("/b"))));
}

#[test]
fn s023_an_empty_supervisor_has_the_defaults_of_otp() {
    let SupervisorSpec {
        strategy,
        intensity,
        period,
        auto_shutdown,
        children,
        template,
        partitions,
    } = SupervisorSpec::default();

    assert_eq!(
        (strategy, intensity, period),
        (OneForOne, 1, Duration::from_secs(5))
    );
    assert_eq!(auto_shutdown, AutoShutdown::Never);
    assert!(children.is_empty() && template.is_none() && partitions.is_none());
}

#[tokio::test(start_paused = true)]
async fn s026_a_start_that_asks_a_supervisor_above_it_is_refused_and_does_not_deadlock() {
    for above in ["/", "/s"] {
        let world = World::new();
        let child = world.child_with("a", json!({ "starts": ["call"], "call": above }));
        let before = Instant::now();

        let tree = world
            .boot_under(sub("s", group(OneForOne, 1, [child])))
            .await;

        assert_eq!(tree.mode(), Mode::Normal);
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(tree.state("/s/a"), Some(SlotState::Running));
        let said = world.take();
        assert!(said[1].starts_with("a was told Err("), "{said:?}");
        assert!(said[1].contains("WouldWaitForItself"), "{said:?}");
        assert_eq!(world.starts("called"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn s027_a_start_that_never_returns_is_killed_after_its_start_timeout_and_counts_as_failed() {
    let world = World::new();
    let hangs = ChildSpec {
        start_timeout: Some(Duration::from_secs(3)),
        ..world.starting("a", &[Answer::Hang])
    };
    let tree = world.boot(SupervisorSpec::default()).await;
    let before = Instant::now();

    let spawned = tree.kernel.spawn(&path("/"), hangs).await;

    assert_eq!(before.elapsed(), Duration::from_secs(3));
    let RequestError::StartFailed(reason) = refusal(spawned) else {
        panic!("no failed start")
    };
    assert_eq!(reason.to_string(), "killed: it did not start within 3s");
    assert_eq!(tree.counts("/"), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn s027_a_restart_that_never_returns_is_charged_and_tried_again() {
    let world = World::new();
    let hangs = world.starting("a", &[Answer::Ok, Answer::Hang, Answer::Hang, Answer::Ok]);
    let tree = world.boot(group(OneForOne, 3, [hangs])).await;
    let before = Instant::now();

    tree.crash("/a").await;
    tree.running("/a", 2).await;

    assert_eq!(before.elapsed(), ChildSpec::START_TIMEOUT * 2);
    assert_eq!(
        world.exit_kinds("/a"),
        [ExitKind::Error, ExitKind::Killed, ExitKind::Killed]
    );
    assert_eq!(tree.mode(), Mode::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_first_start_with_a_backoff_that_fails_lets_the_boot_go_on() {
    let world = World::new();
    let camera = ChildSpec {
        backoff: Some(Backoff {
            jitter: 0.0,
            ..Backoff::default()
        }),
        ..world.starting("camera", &[Answer::Fail, Answer::Ok])
    };
    let tree = world
        .boot(group(OneForOne, 9, [camera, world.child("arm")]))
        .await;

    assert_eq!(tree.mode(), Mode::Normal);
    assert_eq!(tree.state("/camera"), Some(SlotState::Backoff));
    assert_eq!(tree.state("/arm"), Some(SlotState::Running));
    tree.running("/camera", 1).await;
    assert_eq!(tree.ping("/camera").await, 1);
}

#[tokio::test(start_paused = true)]
async fn safe_mode_at_boot_forgets_none_of_several_failed_starts() {
    let world = World::new();
    let camera = ChildSpec {
        essential: true,
        backoff: Some(Backoff::default()),
        ..world.starting("camera", &[Answer::Fail, Answer::Ok])
    };
    let broken = world.starting("broken", &[Answer::Fail]);
    let tree = world.boot(group(OneForOne, 9, [camera, broken])).await;

    assert_eq!(tree.mode(), Mode::Safe);
    tree.running("/camera", 1).await;
    assert_eq!(tree.state("/broken"), Some(SlotState::Quarantined));
}

#[tokio::test(start_paused = true)]
async fn a_boot_into_safe_mode_starts_what_is_essential_and_nothing_else_until_it_is_released() {
    let world = World::new();
    let keeper = ChildSpec {
        essential: true,
        ..world.starting("keeper", &[Answer::Fail, Answer::Ok])
    };
    let waiting = ChildSpec {
        essential: true,
        needs: vec![ChildId::new("a").unwrap()],
        ..world.child("waiting")
    };
    let root = group(OneForAll, 9, [keeper, world.child("a"), waiting]);

    let tree = world
        .start_with(root, |config| config.safe = Some("three deaths".to_owned()))
        .await;

    assert_eq!(tree.kernel.booted().await, Mode::Safe);
    assert_eq!(tree.kernel.safe_reason().as_deref(), Some("three deaths"));
    tree.running("/keeper", 1).await;
    assert_eq!(tree.state("/a"), Some(SlotState::Quarantined));
    assert_eq!(tree.state("/waiting"), Some(SlotState::Stopped));
    assert_eq!((world.starts("a"), world.starts("waiting")), (0, 0));

    tree.kernel.release_all().await.unwrap();

    tree.until("normal mode", |tree| tree.mode() == Mode::Normal)
        .await;
    tree.running("/a", 1).await;
    tree.running("/waiting", 1).await;
    assert_eq!(tree.kernel.safe_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_killed_in_safe_mode_comes_back_in_it() {
    let world = World::new();
    let root = group(OneForOne, 0, [world.child("a")]);
    let tree = world.boot(root).await;
    tree.kill("/a").await;
    tree.becomes("/a", Some(SlotState::Quarantined)).await;

    tree.kill("/").await;

    tree.until("a second life of the root", |tree| {
        tree.incarnation("/") == 2 && tree.state("/a") == Some(SlotState::Quarantined)
    })
    .await;
    assert_eq!((tree.mode(), world.starts("a")), (Mode::Safe, 1));
}

#[tokio::test(start_paused = true)]
async fn a_spawn_during_the_boot_is_carried_out_after_it() {
    let world = World::new();
    let hanging = world.starting("h", &[Answer::Hang]);
    let tree = world.start(group(OneForOne, 9, [hanging])).await;
    let (root, h) = (path("/"), path("/h"));

    let spawned = tree.kernel.spawn(&root, world.child("d"));
    let (spawned, stopped) = tokio::join!(spawned, tree.kernel.stop(&h));

    assert_eq!(spawned, Ok(Done::Started { incarnation: 1 }));
    assert_eq!(stopped, Ok(Done::Stopped));
    assert_eq!(tree.ping("/d").await, 1);
    assert_eq!(tree.kernel.stop(&path("/d")).await, Ok(Done::Stopped));
}
