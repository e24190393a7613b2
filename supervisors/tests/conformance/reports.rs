//! Group K: what is told of a tree, through the log and as events.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};
use unity_supervisors::report::PROGRESS;
use unity_supervisors::spec::{ChildSpec, Shutdown, Strategy};
use unity_supervisors::{RequestError, SlotState};

use crate::support::{Answer, World, group, path, refusal, sub};
use Strategy::OneForOne;

/// One line of the log.
#[derive(Debug, Clone)]
struct Report {
    level: Level,
    target: &'static str,
    fields: BTreeMap<&'static str, String>,
}

impl Report {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Visit for Report {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// The log of one test, which runs on one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Report>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// What was said of `at` with at least this level since the last call that took it.
    fn take(&self, at: &str, level: Level) -> Vec<Report> {
        let mut log = self.0.lock();
        let is_of = |report: &mut Report| report.field("path") == at && report.level <= level;
        log.extract_if(.., is_of).collect()
    }

    /// The messages of those.
    fn said(&self, at: &str, level: Level) -> Vec<String> {
        let reports = self.take(at, level).into_iter();
        let said = reports.map(|report| report.field("message").to_owned());
        said.collect()
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut report = Report {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            fields: BTreeMap::new(),
        };
        event.record(&mut report);
        self.0.lock().push(report);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn s258_each_exit_is_reported_once_with_its_reason() {
    let (log, _guard) = Log::start();
    for (order, reason) in [
        (Some(json!({ "end": "normal" })), "normal"),
        (Some(json!({ "end": "shutdown" })), "shutdown"),
        (Some(json!({ "end": "shutdown: why" })), "shutdown: why"),
        (Some(json!({ "crash": "boom" })), "error: boom"),
        (None, "killed"),
    ] {
        let world = World::new();
        let tree = world.boot(group(OneForOne, 9, [world.child("a")])).await;

        match order {
            Some(order) => tree.end("/a", order).await,
            None => tree.kill("/a").await,
        }
        tree.running("/a", 2).await;

        let reports = log.take("/a", Level::WARN);
        let found: Vec<_> = reports
            .iter()
            .map(|report| {
                let of = |name| report.field(name);
                (of("message"), of("reason"), of("incarnation"))
            })
            .collect();
        assert_eq!(found, [("child exited; restarting", reason, "1")]);
        log.0.lock().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn s261_a_child_killed_after_its_time_is_reported_and_a_brutal_kill_is_not() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let sleeper = |id, shutdown| ChildSpec {
        shutdown,
        ..world.child_with(id, json!({ "stop_takes_ms": 60_000 }))
    };
    let second = Shutdown::Timeout(Duration::from_secs(1));
    let children = [
        world.child("quick"),
        sleeper("slow", second),
        sleeper("brutal", Shutdown::BrutalKill),
    ];
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, children)))
        .await;
    log.0.lock().clear();

    tree.kernel.stop(&path("/s")).await.unwrap();

    let reports = log.take("/s/slow", Level::INFO);
    let said: Vec<_> = reports
        .iter()
        .map(|report| {
            (
                report.level,
                report.field("message"),
                report.field("reason"),
            )
        })
        .collect();
    let expected = (
        Level::WARN,
        "child did not stop in order",
        "killed: it did not stop within 1s",
    );
    assert_eq!(said, [expected]);
    for at in ["/s/quick", "/s/brutal", "/s"] {
        assert_eq!(log.said(at, Level::INFO), [""; 0], "{at}");
        let below = log.said(at, Level::DEBUG);
        assert!(
            below.contains(&"child stopped".to_owned()),
            "{at} {below:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s263_each_failed_start_that_a_supervisor_made_is_reported_once() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let at_boot = world.starting("a", &[Answer::Fail]);
    let lasting = world.boot_under(sub("s", group(OneForOne, 1, [at_boot])));
    lasting.await;
    assert_eq!(
        log.said("/s/a", Level::INFO),
        ["start failed; its supervisor gives up"]
    );

    let world = World::new();
    let starts = [Answer::Ok, Answer::Fail, Answer::Panic, Answer::Ok];
    let child = world.starting("b", &starts);
    let tree = world.boot(group(OneForOne, 9, [child])).await;
    tree.crash("/b").await;
    tree.lives("/b", 2).await;

    let expected = [
        "child exited; restarting",
        "start failed; restarting",
        "start failed; restarting",
    ];
    assert_eq!(log.said("/b", Level::WARN), expected);
}

#[tokio::test(start_paused = true)]
async fn s263_a_start_that_fails_while_its_supervisor_ends_is_reported() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let backoff = |id| ChildSpec {
        backoff: Some(unity_supervisors::spec::Backoff::default()),
        ..world.starting(id, &[Answer::Fail])
    };
    let fatal = world.starting("b", &[Answer::Fail]);
    world
        .boot_under(sub("s", group(OneForOne, 1, [backoff("a"), fatal])))
        .await;

    assert_eq!(
        log.said("/s/a", Level::INFO),
        ["start failed; its supervisor ends"]
    );
    assert_eq!(
        log.said("/s/b", Level::INFO),
        ["start failed; its supervisor gives up"]
    );
}

#[tokio::test(start_paused = true)]
async fn s264_a_failed_start_that_somebody_asked_for_is_told_to_them_alone() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let tree = world.boot(group(OneForOne, 9, [world.child("b")])).await;
    tree.kernel.stop(&path("/b")).await.unwrap();
    world.let_start("b", Answer::Fail);
    log.0.lock().clear();

    let fails = world.starting("a", &[Answer::Fail]);
    let spawned = refusal(tree.kernel.spawn(&path("/"), fails).await);
    let started = refusal(tree.kernel.start_child(&path("/b")).await);

    for answer in [spawned, started] {
        assert!(matches!(answer, RequestError::StartFailed(_)), "{answer:?}");
    }
    assert_eq!(log.said("/a", Level::INFO), [""; 0]);
    assert_eq!(log.said("/b", Level::INFO), [""; 0]);
    assert!(world.exits("/a").is_empty());
}

#[tokio::test(start_paused = true)]
async fn s265_a_supervisor_that_gives_up_reports_the_child_that_used_up_its_budget() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let children = world.children(["a", "b"]);
    let tree = world
        .boot_under(sub("s", group(OneForOne, 1, children)))
        .await;

    tree.crash("/s/a").await;
    tree.running("/s/a", 2).await;
    tree.crash("/s/b").await;
    tree.lives("/s/b", 2).await;

    assert_eq!(
        log.said("/s/b", Level::WARN),
        ["child exited; its supervisor gives up"]
    );
    let reports = log.take("/s", Level::WARN);
    let reasons: Vec<_> = reports
        .iter()
        .map(|report| report.field("reason"))
        .collect();
    let reason = "gave_up: more than 1 restart within 3600s; the last was of `b` (error: boom)";
    assert_eq!(reasons, [reason]);
}

#[tokio::test(start_paused = true)]
async fn s266_starts_of_a_supervisors_own_are_progress_and_those_asked_for_are_not() {
    let (log, _guard) = Log::start();
    let progress = |at: &str| {
        let reports = log.take(at, Level::INFO).into_iter();
        let of_starts = reports.filter(|report| report.target == PROGRESS);
        let lives: Vec<String> = of_starts
            .map(|report| report.field("incarnation").to_owned())
            .collect();
        lives
    };
    let world = World::new();
    let tree = world.boot(group(OneForOne, 9, [world.child("a")])).await;

    assert_eq!(progress("/a"), ["1"]);
    tree.crash("/a").await;
    tree.running("/a", 2).await;
    assert_eq!(progress("/a"), ["2"]);

    tree.kernel.restart(&path("/a")).await.unwrap();
    tree.kernel.stop(&path("/a")).await.unwrap();
    tree.kernel.start_child(&path("/a")).await.unwrap();
    tree.kernel
        .spawn(&path("/"), world.child("b"))
        .await
        .unwrap();
    tree.running("/a", 4).await;
    tree.running("/b", 1).await;
    assert_eq!(progress("/a"), [""; 0]);
    assert_eq!(progress("/b"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_kept_as_events_that_name_their_topic_and_source() {
    let world = World::new();
    let tree = world.boot(group(OneForOne, 0, [world.child("a")])).await;

    tree.crash("/a").await;
    tree.becomes("/a", Some(SlotState::Quarantined)).await;

    let events = tree.kernel.events();
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert!(ids.is_sorted() && ids.first() == Some(&1), "{ids:?}");
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.topic() != "system.child.changed")
        .map(|event| (event.topic(), event.source().to_string()))
        .filter(|(_, source)| source == "/" || source == "/a")
        .collect();
    let expected = [
        ("system.child.started", "/a"),
        ("system.child.started", "/"),
        ("system.child.exited", "/a"),
        ("system.safe_mode.entered", "/"),
    ];
    assert_eq!(told, expected.map(|(topic, of)| (topic, of.to_owned())));
    let exited = events
        .iter()
        .find(|event| event.topic() == "system.child.exited");
    let exited = json!(exited);
    assert_eq!(exited["data"]["reason"]["text"], "boom");
    assert_eq!(exited["data"]["action"], "gave_up");
}
