//! Real commands that publish and subscribe, through the kernel's public surface.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use unity_actors::dispatcher::{self, Dispatcher};
use unity_supervisors::bus::{
    Bus, Catalog, EVENT_LEN_MAX, Event, EventType, Misfit, Pattern, Persist, Place, Refused,
    Subscriber,
};
use unity_supervisors::clock::Clock;
use unity_supervisors::spec::{Backoff, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::{Durability, MemoryStreams, Retention, StreamStore};
use unity_supervisors::{
    ActorPath, ChildId, Draft, Kernel, KernelConfig, Kinds, Priority, Runtimes, SlotState,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Hears everything that is published.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<Arc<Event>>>,
    count: watch::Sender<usize>,
}

impl Subscriber for Ear {
    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        self.heard.lock().push(Arc::clone(event));
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    fn name(&self) -> String {
        "test".to_owned()
    }
}

struct World {
    kernel: Kernel,
    bus: Arc<Bus>,
    ear: Arc<Ear>,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// `checked` has data that are numbers; `kept.*` is kept.
fn catalog() -> Catalog {
    let mut checked = EventType::new("checked".parse().unwrap());
    checked.check = Some(Arc::new(|data| match data.is_number() {
        true => Ok(()),
        false => Err(vec![Misfit {
            place: "/n".to_owned(),
            what: "a number is expected".to_owned(),
        }]),
    }));
    let mut kept = EventType::new("kept.*".parse().unwrap());
    kept.persist = Some(Persist {
        stream: "kept".parse().unwrap(),
        mode: Durability::Durable,
        retention: Retention::default(),
    });
    Catalog::new(false, [checked, kept])
}

fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

impl World {
    /// A kernel of one command `/a`: a shell script, in a folder of its own as `$HERE`.
    async fn boot(script: &str, events: Value) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("uk-speaking-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut settings = json!({
            "command": ["/bin/sh", "-c", script],
            "env": { "HERE": folder.to_str().unwrap() },
        });
        unity_supervisors::spec::lay_over(&mut settings, events);
        let mut child = ChildSpec::worker(ChildId::new("a").unwrap(), "process");
        child.as_worker_mut().unwrap().settings = settings;
        child.backoff = Some(Backoff {
            min: Duration::from_millis(1),
            ..Backoff::default()
        });
        let streams: Arc<dyn StreamStore> = MemoryStreams::new(Clock::real());
        let config = KernelConfig {
            service_kinds: dispatcher::with_kinds(Kinds::new()),
            services: vec![dispatcher::child()],
            streams: Some(streams),
            catalog: catalog(),
            ..KernelConfig::new(Runtimes::current(), unity_actors::kinds(), 1)
        };
        let root = SupervisorSpec {
            intensity: 100,
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        let bus = Arc::clone(kernel.bus());
        let ear = Arc::new(Ear::default());
        // Before the first line of the command can have been read: all run on this thread.
        bus.subscribe(&Pattern::all(), Arc::clone(&ear) as Arc<dyn Subscriber>);
        kernel.booted().await;
        Self {
            kernel,
            bus,
            ear,
            folder,
        }
    }

    /// Waits until so many events of `topic` were heard; returns their data.
    async fn heard(&self, topic: &str, count: usize) -> Vec<Value> {
        let data = || -> Vec<Value> {
            let heard = self.ear.heard.lock();
            let its = heard.iter().filter(|event| event.topic.as_str() == topic);
            its.map(|event| event.data.clone()).collect()
        };
        let mut counted = self.ear.count.subscribe();
        let reached = counted.wait_for(|_| data().len() >= count);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{topic}: {:?}", self.ear.heard.lock());
        data()
    }

    async fn publish(&self, topic: &str, data: Value) {
        let draft = Draft::new(&topic.parse().unwrap(), data);
        self.bus.publish(&"test".into(), draft).await.unwrap();
    }

    /// Waits until it runs its life of this number.
    async fn runs(&self, incarnation: u64) {
        let slot = self.kernel.registry().get(&path("/a")).unwrap();
        self.when(|| slot.state() == SlotState::Running && slot.incarnation() == incarnation)
            .await;
    }

    async fn when(&self, holds: impl Fn() -> bool) {
        let reached = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{:?}", self.ear.heard.lock());
    }

    fn last_exit(&self) -> String {
        let slot = self.kernel.registry().get(&path("/a")).unwrap();
        slot.last_exit()
            .map(|exit| exit.reason.to_string())
            .unwrap_or_default()
    }
}

/// Says on its standard output what a shell has in `$text`, then stays.
const STAY: &str = "exec sleep 1000";

#[tokio::test]
async fn a_line_of_json_with_a_topic_is_published_in_the_name_of_the_command() {
    let script = format!(
        r#"echo '{{"topic":"sensor.a","data":{{"n":1}},"source":"/somebody/else"}}'
        echo '{{"channel":"sensor.b","timestamp":1763675400.25,"data":{{"n":2}},"metadata":{{"trace_id":"t"}}}}'
        echo 'only text'; echo '{{"no":"topic"}}'; echo '{{"topic": broken'; echo 'an error' >&2; {STAY}"#
    );
    let world = World::boot(&script, json!({ "publishes": ["sensor.*"] })).await;

    let lines = world.heard("system.log", 4).await;

    let heard = world.ear.heard.lock().clone();
    let events: Vec<&Arc<Event>> = heard
        .iter()
        .filter(|its| its.topic.family() == "sensor")
        .collect();
    assert_eq!(events.len(), 2, "{heard:?}");
    assert_eq!(
        (&*events[0].source, &events[0].data),
        ("/a", &json!({"n": 1}))
    );
    assert_eq!(events[1].meta("trace_id"), Some(&json!("t")));
    assert_eq!(events[1].time.to_string(), "2025-11-20T21:50:00.250000Z");
    let said = |stream: &str| -> Vec<(Value, Value)> {
        let its = lines.iter().filter(|line| line["stream"] == stream);
        its.map(|line| (line["level"].clone(), line["line"].clone()))
            .collect()
    };
    let info = |text: &str| (json!("info"), json!(text));
    assert_eq!(
        said("stdout"),
        [
            info("only text"),
            info(r#"{"no":"topic"}"#),
            info(r#"{"topic": broken"#)
        ]
    );
    assert_eq!(said("stderr"), [(json!("warn"), json!("an error"))]);
    let state = world.kernel.observe(&path("/a"), PATIENCE).await.unwrap();
    assert_eq!(lines[0]["pid"], state["pid"]);
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn a_line_that_is_refused_is_told_with_the_reason_and_ends_nothing() {
    let long = "x".repeat(EVENT_LEN_MAX);
    let rows = [
        (
            r#"{"topic":"other","data":1}"#.to_owned(),
            "`other` is not among its `publishes`: a, checked",
        ),
        (
            r#"{"topic":"a.*"}"#.to_owned(),
            "as in sensor.camera.front (column 15), in {\"topic\":\"a.*\"}",
        ),
        (r#"{"topic":"a","tim":1}"#.to_owned(), "unknown field `tim`"),
        (
            r#"{"topic":"checked","data":"x"}"#.to_owned(),
            "the data of `checked` do not fit: `/n`: a number is expected",
        ),
        (
            format!(r#"{{"topic":"a","data":"{long}"}}"#),
            "a line is longer than the 1048576 bytes of an event",
        ),
    ];
    let world = World::boot(
        r#"until [ -e "$HERE/lines" ]; do sleep 0.01; done; cat "$HERE/lines"; exec sleep 1000"#,
        json!({ "publishes": ["a", "checked"] }),
    )
    .await;
    let mut text = String::new();
    for (line, _) in &rows {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str("{\"topic\":\"a\",\"data\":7}\n");
    std::fs::write(world.folder.join("new"), text).unwrap();
    std::fs::rename(world.folder.join("new"), world.folder.join("lines")).unwrap();

    assert_eq!(world.heard("a", 1).await, [json!(7)]);

    let told = world.heard("system.log", rows.len()).await;
    for ((_, expected), told) in rows.iter().zip(&told) {
        assert_eq!(told["level"], "warn");
        let line = told["line"].as_str().unwrap();
        assert!(
            line.starts_with("not published: ") && line.contains(expected),
            "{line}"
        );
    }
    assert_eq!(told.len(), rows.len());
    world.runs(1).await;
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn an_event_longer_than_a_line_of_the_log_is_whole() {
    let script = format!(
        r#"x=$(head -c 200000 /dev/zero | tr '\0' x); printf '{{"topic":"a","data":"%s"}}\n' "$x"; {STAY}"#
    );
    let world = World::boot(&script, json!({ "publishes": ["a"] })).await;

    let heard = world.heard("a", 1).await;

    assert_eq!(heard[0].as_str().unwrap().len(), 200_000);
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn more_events_than_lines_of_the_log_in_a_second_are_published_in_order_before_the_end() {
    let script =
        r#"i=0; while [ $i -lt 5000 ]; do echo "{\"topic\":\"a\",\"data\":$i}"; i=$((i+1)); done"#;
    let events = json!({ "publishes": ["a"] });
    let world = World::boot(script, events).await;

    let heard = world.heard("a", 5_000).await;

    let numbers: Vec<Value> = (0..5_000).map(Value::from).collect();
    assert_eq!(heard[..5_000], numbers);
    world
        .when(|| world.last_exit() == "normal: exited with code 0")
        .await;
    world.kernel.shutdown().await;
}

/// Answers each event that it hears with what it heard.
const PARROT: &str = r#"while read -r line; do echo "{\"topic\":\"answer\",\"data\":$line}"; done"#;

#[tokio::test]
async fn events_that_it_subscribes_to_come_as_lines_of_json_and_it_answers() {
    let events = json!({ "publishes": ["answer"], "subscribes": ["sensor.*"] });
    let world = World::boot(PARROT, events).await;

    for number in 0..100 {
        world.publish("sensor.x", json!({ "n": number })).await;
        world.publish("other", json!(1)).await;
    }
    let answers = world.heard("answer", 100).await;

    let numbers: Vec<u64> = answers
        .iter()
        .map(|its| its["data"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..100).collect::<Vec<u64>>());
    assert_eq!(
        (&answers[0]["topic"], &answers[0]["source"]),
        (&json!("sensor.x"), &json!("test"))
    );
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn a_durable_subscription_goes_on_after_a_kill_and_a_stop() {
    let events = json!({
        "publishes": ["answer"],
        "subscribes": [{ "pattern": "kept.*", "durable": "parrot" }],
    });
    let world = World::boot(PARROT, events).await;
    world.publish("kept.x", json!(1)).await;
    world.heard("answer", 1).await;

    world.kernel.kill(&path("/a"), None).await.unwrap();
    world.publish("kept.x", json!(2)).await;
    world.heard("answer", 2).await;
    world.kernel.stop(&path("/a")).await.unwrap();
    world.publish("kept.x", json!(3)).await;
    world.kernel.start_child(&path("/a")).await.unwrap();
    let answers = world.heard("answer", 3).await;

    let data: Vec<&Value> = answers.iter().map(|its| &its["data"]).collect();
    assert_eq!(data, [&json!(1), &json!(2), &json!(3)]);
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn one_that_does_not_read_holds_up_only_its_own_jobs() {
    let events = json!({ "subscribes": ["x"] });
    let world = World::boot("exec sleep 1000", events).await;
    let text = "y".repeat(10_000);

    for _ in 0..200 {
        world.publish("x", json!(text)).await;
    }

    let dispatcher = world.kernel.shared::<Dispatcher>();
    let normal = || dispatcher.stats()[Priority::Normal as usize].clone();
    // A pipe holds 64 KiB: the seventh line waits for room in it.
    world.when(|| normal().counts.done >= 6).await;
    assert_eq!((normal().busy, normal().counts.failed), (1, 0));
    assert!(normal().queued > 190, "{:?}", normal());
    assert_eq!(dispatcher.waiting()[0].path.as_str(), "/a");
    world.kernel.stop(&path("/a")).await.unwrap();
    assert_eq!((normal().busy, normal().queued), (0, 0));
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn one_that_closes_its_standard_input_and_goes_on_ends_with_that_reason() {
    let events = json!({ "subscribes": ["x"] });
    let world = World::boot("exec 0<&-; exec sleep 1000", events).await;

    let mut beat = tokio::time::interval(Duration::from_millis(5));
    while !world.last_exit().contains("closed its standard input") {
        beat.tick().await;
        world.publish("x", json!(1)).await;
    }

    let dispatcher = world.kernel.shared::<Dispatcher>();
    assert_eq!(
        dispatcher.stats()[Priority::Normal as usize].counts.failed,
        0
    );
    world.kernel.shutdown().await;
}

#[tokio::test]
async fn one_that_has_nothing_to_do_with_events_is_as_it_was() {
    let script = r#"cat; echo '{"topic":"a","data":1}'; : > "$HERE/end"; exec sleep 1000"#;
    let world = World::boot(script, json!({})).await;

    world.when(|| world.folder.join("end").exists()).await;
    world.kernel.shutdown().await;

    // Its standard input was empty, or `cat` had not ended; and nothing of what it printed was published.
    assert!(
        world.ear.heard.lock().is_empty(),
        "{:?}",
        world.ear.heard.lock()
    );
}
