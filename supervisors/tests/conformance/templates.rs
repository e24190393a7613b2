//! Group G, first half, and the lines on templates of groups A to F: children that come and go.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use unity_supervisors::spec::{ChildSpec, Restart, Shutdown, Strategy, SupervisorSpec, Template};
use unity_supervisors::view::Counts;
use unity_supervisors::{ChildId, Done, ExitKind, KernelError, RequestError, SlotState};

use crate::support::{Answer, LONG, Tree, World, group, path, refusal, sub};
use Restart::{Permanent, Temporary, Transient};

const POOL: &str = "/s";

/// A supervisor of children of `child`, which allows `intensity` restarts.
fn pool(child: ChildSpec, intensity: u32) -> SupervisorSpec {
    pool_of(child, intensity, None)
}

fn pool_of(child: ChildSpec, intensity: u32, max_children: Option<usize>) -> SupervisorSpec {
    SupervisorSpec {
        template: Some(
            Template {
                child,
                max_children,
            }
            .into(),
        ),
        ..group(Strategy::OneForOne, intensity, [])
    }
}

/// `/s`, a pool of plain workers of this restart type.
async fn boot_pool(restart: Restart, intensity: u32) -> Tree {
    let world = World::new();
    let child = ChildSpec {
        restart,
        ..world.child("template")
    };
    world.boot_under(sub("s", pool(child, intensity))).await
}

/// A child of the pool with an id and settings of its own.
async fn add(tree: &Tree, id: &str, settings: Value) -> Result<Done, KernelError> {
    let id = Some(ChildId::new(id).unwrap());
    let (at, done) = tree.kernel.spawn_from(&path(POOL), id, settings).await?;
    assert!(path(POOL).contains(&at));
    Ok(done)
}

/// Children with these ids and no settings of their own, which start.
async fn add_all<const N: usize>(tree: &Tree, ids: [&str; N]) {
    for id in ids {
        let started = add(tree, id, Value::Null).await;
        assert_eq!(started, Ok(Done::Started { incarnation: 1 }), "{id}");
    }
}

fn counts(tree: &Tree) -> [usize; 4] {
    let Counts {
        specs,
        active,
        supervisors,
        workers,
    } = tree.kernel.count(&path(POOL)).unwrap();
    [specs, active, supervisors, workers]
}

#[tokio::test(start_paused = true)]
async fn s013_s014_a_child_that_says_ignore_leaves_nothing_behind() {
    for restart in [Permanent, Transient, Temporary] {
        let tree = boot_pool(restart, 1).await;

        let ignored = add(&tree, "a", json!({ "starts": ["ignore"] })).await;

        assert_eq!(ignored, Ok(Done::Ignored));
        assert_eq!(counts(&tree), [0, 0, 0, 0], "{restart:?}");
        assert_eq!(
            tree.kernel.stop(&path(POOL)).await,
            Ok(Done::Stopped),
            "a later stop is clean"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s018_s171_a_start_that_fails_is_the_callers_and_leaves_nothing_behind() {
    for (answer, kind) in [("fail", ExitKind::Error), ("panic", ExitKind::Panic)] {
        let tree = boot_pool(Permanent, 1).await;

        let failed = refusal(add(&tree, "a", json!({ "starts": [answer] })).await);

        assert!(matches!(failed, RequestError::StartFailed(reason) if reason.kind == kind));
        assert_eq!(counts(&tree), [0, 0, 0, 0]);
        assert_eq!(tree.world.exit_kinds(POOL), []);
    }
}

#[tokio::test(start_paused = true)]
async fn s022_s152_s169_a_child_has_the_spec_of_its_template_with_its_settings_laid_over() {
    let world = World::new();
    let child = ChildSpec {
        restart: Transient,
        shutdown: Shutdown::BrutalKill,
        ..world.child_with(
            "template",
            json!({ "stop_takes_ms": 7, "starts": ["slow"] }),
        )
    };
    let tree = world.boot_under(sub("s", pool(child, 5))).await;

    let started = add(&tree, "a", json!({ "starts": ["ok"] })).await;
    let slot = tree.kernel.registry().get(&path("/s/a")).unwrap();

    assert_eq!(started, Ok(Done::Started { incarnation: 1 }));
    let spec = slot.spec();
    assert_eq!(
        (spec.restart, spec.shutdown),
        (Transient, Shutdown::BrutalKill)
    );
    assert_eq!(
        spec.as_worker().unwrap().settings,
        json!({ "stop_takes_ms": 7, "starts": ["ok"] })
    );
    assert!(tree.kernel.registry().get(&path("/s/stranger")).is_none());
}

/// `/s`, a pool whose children may take this long to stop.
async fn boot_stopping(shutdown: Shutdown) -> Tree {
    let world = World::new();
    let child = ChildSpec {
        shutdown,
        ..world.child("template")
    };
    world.boot_under(sub("s", pool(child, 5))).await
}

async fn add_stopping(tree: &Tree, id: &str, stop_takes: Duration) {
    let script = json!({ "stop_takes_ms": stop_takes.as_millis() });
    add(tree, id, script).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn s034_one_that_hangs_is_killed_and_the_other_ends_with_shutdown() {
    let tree = boot_stopping(Shutdown::Timeout(Duration::from_secs(1))).await;
    add_stopping(&tree, "hung", LONG).await;
    add_stopping(&tree, "quick", Duration::ZERO).await;

    tree.kernel.stop(&path(POOL)).await.unwrap();

    assert_eq!(tree.world.exit_kinds("/s/hung"), [ExitKind::Killed]);
    assert_eq!(tree.world.exit_kinds("/s/quick"), [ExitKind::Shutdown]);
    assert_eq!(tree.world.exit_kinds(POOL), [ExitKind::Shutdown]);
}

#[tokio::test(start_paused = true)]
async fn s035_s192_brutal_kill_ends_all_as_killed_and_the_supervisor_with_shutdown() {
    let tree = boot_stopping(Shutdown::BrutalKill).await;
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for id in ids {
        add_stopping(&tree, id, LONG).await;
    }
    tree.world.take();

    tree.kernel.stop(&path(POOL)).await.unwrap();

    for id in ids {
        assert_eq!(
            tree.world.exit_kinds(&format!("/s/{id}")),
            [ExitKind::Killed]
        );
    }
    assert_eq!(tree.world.exit_kinds(POOL), [ExitKind::Shutdown]);
    assert!(tree.world.take_only(&["stopping"]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn s036_s050_all_stop_at_once_and_share_the_deadline() {
    let tree = boot_stopping(Shutdown::Timeout(Duration::from_secs(2))).await;
    add_stopping(&tree, "a", Duration::from_secs(1)).await;
    add_stopping(&tree, "late", Duration::from_secs(5)).await;
    add_stopping(&tree, "b", Duration::from_secs(1)).await;
    let before = Instant::now();

    tree.kernel.stop(&path(POOL)).await.unwrap();

    assert_eq!(before.elapsed(), Duration::from_secs(2));
    assert_eq!(tree.world.exit_kinds("/s/a"), [ExitKind::Shutdown]);
    assert_eq!(tree.world.exit_kinds("/s/b"), [ExitKind::Shutdown]);
    assert_eq!(tree.world.exit_kinds("/s/late"), [ExitKind::Killed]);
}

#[tokio::test(start_paused = true)]
async fn s037_many_that_hang_take_no_longer_than_one() {
    let tree = boot_stopping(Shutdown::Timeout(Duration::from_millis(200))).await;
    for id in ["a", "b", "c", "d"] {
        add_stopping(&tree, id, LONG).await;
    }
    let before = Instant::now();

    tree.kernel.stop(&path(POOL)).await.unwrap();

    assert_eq!(before.elapsed(), Duration::from_millis(200));
    for id in ["a", "b", "c", "d"] {
        assert_eq!(
            tree.world.exit_kinds(&format!("/s/{id}")),
            [ExitKind::Killed]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s040_s051_whatever_a_child_ends_with_the_supervisor_stops_with_shutdown() {
    for restart in [Permanent, Transient, Temporary] {
        for end in ["normal", "shutdown", "shutdown: done", "error: broken"] {
            let tree = boot_pool(restart, 5).await;
            add_all(&tree, ["a", "b"]).await;
            // Its end overtakes the stop, which comes between two messages.
            tree.kernel
                .tell(&path("/s/a"), json!({ "end": end }))
                .await
                .unwrap();

            let stopped = tree.kernel.stop(&path(POOL)).await;

            assert_eq!(stopped, Ok(Done::Stopped));
            assert_eq!(
                tree.world.exit_kinds(POOL),
                [ExitKind::Shutdown],
                "{restart:?} {end}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s083_s153_only_the_one_that_crashed_is_replaced_with_its_own_settings() {
    let tree = boot_pool(Permanent, 5).await;
    add(&tree, "a", json!({ "stop_takes_ms": 1 }))
        .await
        .unwrap();
    add(&tree, "b", json!({ "stop_takes_ms": 2 }))
        .await
        .unwrap();

    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;

    assert_eq!((tree.incarnation("/s/b"), counts(&tree)), (1, [2, 2, 0, 2]));
    let slot = tree.kernel.registry().get(&path("/s/a")).unwrap();
    let settings = slot.settings();
    assert_eq!(settings, json!({ "stop_takes_ms": 1 }));
}

#[tokio::test(start_paused = true)]
async fn s106_s173_a_crash_too_many_ends_the_supervisor() {
    let tree = boot_pool(Permanent, 2).await;
    add_all(&tree, ["a", "b"]).await;

    for incarnation in 2..=3 {
        tree.crash("/s/a").await;
        tree.running("/s/a", incarnation).await;
    }
    tree.crash("/s/b").await;
    tree.exits(POOL, 1).await;

    assert_eq!(tree.world.exit_kinds(POOL), [ExitKind::GaveUp]);
    assert!(tree.world.said("gone a") && tree.world.said("gone b"));
    tree.running(POOL, 2).await;
    assert_eq!(counts(&tree), [0, 0, 0, 0], "it comes back empty");
}

#[tokio::test(start_paused = true)]
async fn s112_s173_one_that_cannot_be_restarted_ends_the_supervisor_by_retries_alone() {
    let tree = boot_pool(Permanent, 4).await;
    add_all(&tree, ["a", "b"]).await;
    tree.world.let_start("a", Answer::Fail);

    tree.crash("/s/a").await;
    tree.exits(POOL, 1).await;

    assert_eq!(tree.world.exit_kinds(POOL), [ExitKind::GaveUp]);
    assert!(tree.world.said("gone b"));
}

#[tokio::test(start_paused = true)]
async fn s137_s174_one_in_retry_is_listed_as_restarting_and_a_stop_ends_that() {
    let tree = boot_pool(Permanent, 1_000_000).await;
    add_all(&tree, ["a"]).await;
    tree.world.let_start("a", Answer::Fail);
    tree.crash("/s/a").await;
    tree.exits("/s/a", 4).await;

    assert_eq!(tree.state("/s/a"), Some(SlotState::Restarting));
    assert_eq!(counts(&tree), [1, 0, 0, 1]);
    assert_eq!(tree.kernel.stop(&path("/s/a")).await, Ok(Done::Stopped));

    assert_eq!(counts(&tree), [0, 0, 0, 0]);
    let again = tree.kernel.stop(&path("/s/a")).await;
    assert_eq!(again, Err(KernelError::NotFound(path("/s/a"))));
    assert_eq!(tree.kernel.stop(&path(POOL)).await, Ok(Done::Stopped));
}

#[tokio::test(start_paused = true)]
async fn s138_those_in_retry_count_as_children_that_do_not_run() {
    let tree = boot_pool(Permanent, 1_000_000).await;
    add_all(&tree, ["a", "b", "c"]).await;
    for id in ["a", "b"] {
        tree.world.let_start(id, Answer::Fail);
        tree.crash(&format!("/s/{id}")).await;
        tree.exits(&format!("/s/{id}"), 3).await;
    }
    assert_eq!(counts(&tree), [3, 1, 0, 3]);

    for id in ["a", "b"] {
        tree.world.let_start(id, Answer::Ok);
        tree.running(&format!("/s/{id}"), 2).await;
    }
    assert_eq!(counts(&tree), [3, 3, 0, 3]);
}

#[tokio::test(start_paused = true)]
async fn s151_a_pool_begins_empty() {
    let tree = boot_pool(Permanent, 1).await;

    assert_eq!(counts(&tree), [0, 0, 0, 0]);
    assert_eq!(tree.kernel.which(&path(POOL)), Ok(Vec::new()));
    let view = tree.kernel.tree(Some(&path(POOL))).unwrap().tree.unwrap();
    assert_eq!(view.counts, Some(Counts::default()));
}

#[tokio::test(start_paused = true)]
async fn s154_s193_a_stop_removes_and_what_is_gone_or_runs_is_told_so() {
    let tree = boot_pool(Permanent, 1).await;
    add_all(&tree, ["a", "b"]).await;
    let a = path("/s/a");

    let started = refusal(tree.kernel.start_child(&a).await);
    let deleted = refusal(tree.kernel.delete(&a).await);
    let stopped = tree.kernel.stop(&a).await;

    assert_eq!(started, RequestError::Running);
    assert_eq!(deleted, RequestError::Running);
    assert_eq!(stopped, Ok(Done::Stopped));
    let gone = Err(KernelError::NotFound(a.clone()));
    assert_eq!(tree.kernel.stop(&a).await, gone);
    assert_eq!(tree.kernel.start_child(&a).await, gone);
    assert_eq!(tree.kernel.delete(&a).await, gone);
    assert!(tree.kernel.stop(&path("/s/stranger")).await.is_err());
    assert_eq!(tree.ping("/s/b").await, 1, "its sibling is left alone");
}

#[tokio::test(start_paused = true)]
async fn s157_counts_and_lists_of_thousands_agree() {
    let tree = boot_pool(Temporary, 1).await;
    for more in [1_000, 1_000] {
        let before = counts(&tree)[0];
        let blank = (0..more).map(|_| (None, Value::Null));
        let spawned = tree.kernel.spawn_many(&path(POOL), blank).await.unwrap();

        assert!(spawned.iter().all(|(_, done)| done.is_ok()));
        let all = before + more;
        assert_eq!(counts(&tree), [all, all, 0, all]);
        let which = tree.kernel.which(&path(POOL)).unwrap();
        assert_eq!(which.len(), all);
        assert_eq!(tree.kernel.which(&path(POOL)), Ok(which));
    }
    let view = tree.kernel.tree(Some(&path(POOL))).unwrap().tree.unwrap();
    assert_eq!(
        (view.children.len(), view.counts.unwrap().specs),
        (20, 2_000)
    );
    let whole = tree.kernel.whole_tree(Some(&path(POOL))).unwrap();
    assert_eq!(whole.tree.unwrap().children.len(), 2_000);

    for child in tree.kernel.which(&path(POOL)).unwrap() {
        tree.kernel.kill(&child.path, None).await.unwrap();
    }
    tree.until("all are gone", |tree| counts(tree) == [0, 0, 0, 0])
        .await;
}

#[tokio::test(start_paused = true)]
async fn s158_children_that_are_supervisors_count_as_such() {
    let world = World::new();
    let child = sub(
        "template",
        group(Strategy::OneForAll, 1, world.children(["x"])),
    );
    let tree = world.boot_under(sub("s", pool(child, 1))).await;

    add_all(&tree, ["one", "two"]).await;

    assert_eq!(counts(&tree), [2, 2, 2, 0]);
    assert_eq!(tree.ping("/s/two/x").await, 1);
    tree.kernel.stop(&path("/s/one")).await.unwrap();
    assert_eq!(tree.state("/s/one/x"), None);
    assert_eq!(counts(&tree), [1, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn s159_s164_a_child_is_found_by_its_path_which_is_its_own() {
    let tree = boot_pool(Permanent, 1).await;
    let unnamed = tree.kernel.spawn_from(&path(POOL), None, Value::Null).await;
    let second = tree.kernel.spawn_from(&path(POOL), None, Value::Null).await;
    add_all(&tree, ["3"]).await;
    let fourth = tree.kernel.spawn_from(&path(POOL), None, Value::Null).await;

    let paths = [unnamed, second, fourth].map(|spawned| spawned.unwrap().0);
    assert_eq!(paths, [path("/s/1"), path("/s/2"), path("/s/4")]);
    let twice = refusal(add(&tree, "3", Value::Null).await);
    assert_eq!(twice, RequestError::AlreadyStarted);
    let ids: Vec<String> = tree
        .kernel
        .which(&path(POOL))
        .unwrap()
        .iter()
        .map(|child| child.id.to_string())
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn s162_a_supervisor_takes_a_spec_or_has_a_template_and_says_which() {
    let world = World::new();
    let fixed = sub("fixed", group(Strategy::OneForOne, 1, []));
    let dynamic = sub("dynamic", pool(world.child("template"), 1));
    let tree = world
        .boot(group(Strategy::OneForOne, 1, [fixed, dynamic]))
        .await;

    let from = tree
        .kernel
        .spawn_from(&path("/fixed"), None, Value::Null)
        .await;
    let spec = tree.kernel.spawn(&path("/dynamic"), world.child("a")).await;

    assert_eq!(from, Err(KernelError::NoTemplate(path("/fixed"))));
    assert_eq!(spec, Err(KernelError::HasTemplate(path("/dynamic"))));
}

#[tokio::test(start_paused = true)]
async fn s165_no_more_than_max_children() {
    let world = World::new();
    for max in [0, 2] {
        let pool = pool_of(world.child("template"), 5, Some(max));
        let tree = world.boot_under(sub("s", pool)).await;
        let mut added = 0;
        while add(&tree, &format!("n{added}"), Value::Null).await.is_ok() {
            added += 1;
        }
        let starts = world.starts("over");

        let over = refusal(add(&tree, "over", Value::Null).await);

        assert_eq!((added, over), (max, RequestError::MaxChildren(max)));
        assert_eq!(world.starts("over"), starts, "nothing was started");
        if max > 0 {
            tree.kernel.stop(&path("/s/n0")).await.unwrap();
            add_all(&tree, ["n0"]).await;
        }
        tree.kernel.shutdown().await;
        world.starts_anew("n0");
    }
}

#[tokio::test(start_paused = true)]
async fn s170_under_one_supervisor_each_obeys_its_own_restart_type() {
    let world = World::new();
    let tree = world
        .boot_under(sub("s", group(Strategy::OneForOne, 10, [])))
        .await;
    for (id, restart) in [("p", Permanent), ("t", Transient), ("x", Temporary)] {
        let child = ChildSpec {
            restart,
            ..world.child(id)
        };
        tree.kernel.spawn(&path(POOL), child).await.unwrap();
    }

    for id in ["p", "t", "x"] {
        tree.end(&format!("/s/{id}"), json!({ "end": "normal" }))
            .await;
    }

    tree.running("/s/p", 2).await;
    tree.becomes("/s/t", Some(SlotState::Stopped)).await;
    tree.becomes("/s/x", None).await;
}

#[tokio::test(start_paused = true)]
async fn s172_a_restart_that_says_ignore_removes_and_one_that_fails_is_tried_again() {
    let tree = boot_pool(Permanent, 100).await;
    add(&tree, "ignores", json!({ "starts": ["ok", "ignore"] }))
        .await
        .unwrap();
    let script = json!({ "starts": ["ok", "fail", "panic", "ok"] });
    add(&tree, "fails", script).await.unwrap();

    tree.crash("/s/ignores").await;
    tree.crash("/s/fails").await;

    tree.becomes("/s/ignores", None).await;
    tree.running("/s/fails", 2).await;
    assert_eq!(tree.world.starts("fails"), 4);
    assert_eq!(counts(&tree), [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn s174_each_kind_of_stop_ends_as_it_says() {
    for (shutdown, kind) in [
        (Shutdown::BrutalKill, ExitKind::Killed),
        (Shutdown::Timeout(LONG), ExitKind::Shutdown),
    ] {
        let tree = boot_stopping(shutdown).await;
        add_stopping(&tree, "a", Duration::from_secs(1)).await;

        tree.kernel.stop(&path("/s/a")).await.unwrap();

        assert_eq!(tree.world.exit_kinds("/s/a"), [kind]);
        assert_eq!(counts(&tree), [0, 0, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn many_are_each_answered_for_themselves() {
    let world = World::new();
    let pool = pool_of(world.child("template"), 5, Some(4));
    let tree = world.boot_under(sub("s", pool)).await;
    let child = |id: &str, starts: Value| {
        let id = ChildId::new(id).unwrap();
        (Some(id), json!({ "starts": starts }))
    };

    let each = tree
        .kernel
        .spawn_many(
            &path(POOL),
            [
                child("a", json!([])),
                child("fails", json!(["fail"])),
                child("a", json!([])),
                child("ignores", json!(["ignore"])),
                child("b", json!([])),
                child("over", json!([])),
            ],
        )
        .await
        .unwrap();

    let done: Vec<_> = each.into_iter().map(|(_, done)| done).collect();
    let started = Ok(Done::Started { incarnation: 1 });
    assert_eq!(done[0], started);
    assert!(matches!(done[1], Err(RequestError::StartFailed(_))));
    assert_eq!(done[2], Err(RequestError::AlreadyPresent));
    assert_eq!(done[3], Ok(Done::Ignored));
    assert_eq!(done[4], started);
    assert_eq!(done[5], Err(RequestError::MaxChildren(4)));
    assert_eq!(counts(&tree), [2, 2, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_child_takes_no_message_until_it_is_resumed_or_crashes() {
    let tree = boot_pool(Permanent, 5).await;
    add_all(&tree, ["a"]).await;
    let a = path("/s/a");

    assert_eq!(tree.kernel.suspend(&a).await, Ok(Done::Suspended));
    assert_eq!(tree.kernel.suspend(&a).await, Ok(Done::Suspended));
    assert_eq!(tree.state("/s/a"), Some(SlotState::Suspended));
    let asked = tree
        .kernel
        .ask(&a, json!({ "ping": null }), Duration::from_secs(1));
    assert!(asked.await.is_err());
    assert_eq!(counts(&tree), [1, 1, 0, 1]);
    assert_eq!(tree.kernel.resume(&a).await, Ok(Done::Resumed));
    assert_eq!(tree.ping("/s/a").await, 1);

    tree.kernel.suspend(&a).await.unwrap();
    tree.kill("/s/a").await;
    tree.running("/s/a", 2).await;
    assert_eq!(tree.ping("/s/a").await, 2, "a new life is not suspended");
    let supervisor = refusal(tree.kernel.suspend(&path(POOL)).await);
    assert_eq!(supervisor, RequestError::NotAWorker);
    tree.kernel.stop(&a).await.unwrap();
    assert!(tree.kernel.resume(&a).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn s175_s178_a_template_is_one_for_one_whatever_else_is_said_and_has_the_defaults_of_otp() {
    let world = World::new();
    let spec = SupervisorSpec {
        strategy: Strategy::OneForAll,
        ..pool(world.child("template"), 5)
    };
    let tree = world.boot_under(sub("s", spec)).await;
    add_all(&tree, ["a", "b"]).await;

    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;

    assert_eq!(tree.incarnation("/s/b"), 1);
    let defaults = SupervisorSpec {
        template: tree.kernel.registry().get(&path(POOL)).and_then(|slot| {
            let spec = slot.spec();
            let supervisor = spec.as_supervisor()?;
            supervisor.template.clone()
        }),
        ..SupervisorSpec::default()
    };
    assert_eq!(defaults.template.unwrap().max_children, None);
    assert_eq!(
        (defaults.strategy, defaults.intensity, defaults.period),
        (Strategy::OneForOne, 1, Duration::from_secs(5))
    );
}

#[tokio::test(start_paused = true)]
async fn s176_settings_that_do_not_fit_are_named_and_nothing_starts() {
    let tree = boot_pool(Permanent, 1).await;

    let refused = add(&tree, "a", json!({ "stop_takes_ms": "soon" })).await;

    let Err(KernelError::Build(error)) = refused else {
        panic!("{refused:?}");
    };
    let text = error.to_string();
    assert!(
        text.contains("/s/a") && text.contains("stop_takes_ms"),
        "{text}"
    );
    assert_eq!(counts(&tree), [0, 0, 0, 0]);
    assert_eq!(tree.world.starts("a"), 0);
}
