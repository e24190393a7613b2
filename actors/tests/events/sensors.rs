//! `sensor.host`, `sensor.process`, `heartbeat`, `monitor`.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::bus::{Catalog, EventType, Persist};
use unity_supervisors::spec::Restart;
use unity_supervisors::stream::{Durability, Retention, StreamName};
use unity_supervisors::{KernelConfig, SlotState};

use crate::harness::{Ear, boot, child, config, observed, path, publish, spawn, until_state};

#[tokio::test(start_paused = true)]
async fn the_host_sensor_publishes_each_measurement() {
    let kernel = boot(config(), vec![]).await;
    let ear = Ear::on(&kernel, "sensor.host.load");

    spawn(&kernel, child("host", "sensor.host", json!({}))).await;
    let heard = ear.until(3).await;

    for (event, measured) in heard.iter().zip(1..) {
        assert_eq!(event.data["measured"], measured);
        assert_eq!(&*event.source, "/host");
    }
    let apart = heard[1].time.age(heard[2].time);
    assert!(apart < Duration::from_secs(1), "its clock is the machine's");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_counts_and_ends_at_its_limit() {
    let pulse = |interval: &str| {
        let settings = json!({"interval": interval, "limit": 3});
        let mut beats = child("pulse", "heartbeat", settings);
        beats.restart = Restart::Transient;
        beats
    };
    let kernel = boot(config(), vec![pulse("1h")]).await;
    let ear = Ear::on(&kernel, "system.heartbeat");

    let mut root = kernel.desired().unwrap().root;
    root.children = vec![Arc::new(pulse("1s"))];
    let changes = kernel.reload(root).await.unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let heard = ear.until(3).await;
    until_state(&kernel, "/pulse", SlotState::Stopped).await;

    let counts: Vec<_> = heard
        .iter()
        .map(|event| event.data["count"].clone())
        .collect();
    assert_eq!(counts, [1, 2, 3]);
    let last = kernel.registry().get(&path("/pulse")).unwrap().last_exit();
    let reason = last.unwrap().reason.to_string();
    assert_eq!(reason, "normal: all 3 are published, as its `limit` says");
    assert!(kernel.uptime() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_counts_what_it_logs_and_a_durable_one_goes_on_where_it_was() {
    let mut kept = EventType::new("sensor.*".parse().unwrap());
    kept.persist = Some(Persist {
        stream: StreamName::new("sensor").unwrap(),
        mode: Durability::Async,
        retention: Retention::default(),
    });
    let config = KernelConfig {
        catalog: Catalog::new(false, [kept]),
        ..config()
    };
    let plain = json!({"pattern": "sensor.*", "level": "debug"});
    let durable = json!({"pattern": "sensor.*", "durable": "audit"});
    let children = vec![
        child("plain", "monitor", plain),
        child("durable", "monitor", durable),
    ];
    let kernel = boot(config, children).await;

    for number in 0..3 {
        publish(&kernel, "sensor.a", json!(number)).await;
    }
    observed(&kernel, "/plain", |state| state["received"] == 3).await;
    observed(&kernel, "/durable", |state| state["received"] == 3).await;
    for at in ["/plain", "/durable"] {
        kernel.stop(&path(at)).await.unwrap();
    }
    for number in 3..5 {
        publish(&kernel, "sensor.b", json!(number)).await;
    }
    for at in ["/plain", "/durable"] {
        kernel.start_child(&path(at)).await.unwrap();
    }
    publish(&kernel, "sensor.c", json!(5)).await;

    let fits = |received: u64| json!({"received": received, "last": "sensor.c"});
    observed(&kernel, "/plain", |state| *state == fits(1)).await;
    observed(&kernel, "/durable", |state| *state == fits(3)).await;
}

/// Something that runs, and is ended with the test.
struct Runs(Child);

impl Runs {
    fn new(program: &std::path::Path) -> Self {
        let mut command = Command::new(program);
        command.arg("1000").stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_process_that_is_named_by_number_is_measured_until_it_ends() {
    let kernel = boot(config(), vec![]).await;
    let ear = Ear::on(&kernel, "sensor.process.*");
    let sleeper = Runs::new("sleep".as_ref());
    let pid = sleeper.0.id();

    let settings = json!({"pid": pid, "every": "200ms"});
    spawn(&kernel, child("one", "sensor.process", settings)).await;
    let heard = ear.until(2).await;
    drop(sleeper);
    let gone = ear.first(|event| event.data["running"] == false).await;
    until_state(&kernel, "/one", SlotState::Ignored).await;

    let first = &heard[0].data;
    assert_eq!((&first["pid"], &first["cpu"]), (&json!(pid), &json!(null)));
    assert_eq!(
        (&first["name"], &first["threads"]),
        (&json!("sleep"), &json!(1))
    );
    assert!(first["memory_bytes"].as_u64().unwrap() > 0, "{first}");
    assert!(first["descriptors"].as_u64().unwrap() > 0, "{first}");
    assert!(heard[1].data["cpu"].as_f64().unwrap() < 0.5, "{heard:?}");
    assert_eq!(
        gone.data,
        json!({"pid": pid, "name": "sleep", "running": false})
    );
    let exits = kernel.registry().get(&path("/one")).unwrap().history();
    assert_eq!(
        exits[0].reason.to_string(),
        format!("normal: process {pid} has ended")
    );
}

#[tokio::test]
async fn a_process_that_is_named_by_name_is_looked_for_again() {
    let folder = std::env::temp_dir().join(format!("uk-processes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Longer than what the system keeps of a name.
    let program = folder.join("a-sleeper-with-a-long-name");
    let sleep = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("sleep"))
        .find(|path| path.is_file());
    std::fs::copy(sleep.unwrap(), &program).unwrap();
    let kernel = boot(config(), vec![]).await;
    let ear = Ear::on(&kernel, "process.sleeper");

    let settings =
        json!({"name": "a-sleeper-with-a-long-name", "every": "200ms", "topic": "process.sleeper"});
    spawn(&kernel, child("one", "sensor.process", settings)).await;
    assert_eq!(ear.heard(), []);
    for round in 1..=2 {
        let sleeper = Runs::new(&program);
        let pid = sleeper.0.id();
        ear.first(|event| event.data["pid"] == pid && event.data["running"] == true)
            .await;
        drop(sleeper);
        ear.first(|event| event.data["pid"] == pid && event.data["running"] == false)
            .await;
        let heard = ear.heard();
        let gone = heard.iter().filter(|event| event.data["running"] == false);
        assert_eq!(gone.count(), round);
    }

    std::fs::remove_dir_all(&folder).unwrap();
    let slot = kernel.registry().get(&path("/one")).unwrap();
    assert_eq!((slot.state(), slot.incarnation()), (SlotState::Running, 1));
}

/// Checks that each row of kind and settings is refused with a text.
fn refused<const ROWS: usize>(rows: [(&str, Value, &str); ROWS]) {
    let kinds = unity_actors::kinds();
    for (kind, settings, said) in rows {
        let checked = kinds.get(kind).unwrap().check(&settings, kinds.secrets());
        let error = checked.expect_err(said).to_string();
        assert!(error.contains(said), "{kind} {settings}: {error}");
    }
}

#[test]
fn what_settings_of_sensors_cannot_be_is_said() {
    refused([
        (
            "sensor.host",
            json!({"every": "1ms"}),
            "1ms is not from 100ms to 1h",
        ),
        (
            "sensor.process",
            json!({}),
            "one of `name` and `pid` is wanted",
        ),
        (
            "sensor.process",
            json!({"name": "a", "pid": 1}),
            "one of `name` and `pid` is wanted",
        ),
        (
            "sensor.process",
            json!({"name": "a", "every": "100ms"}),
            "200ms to 1h",
        ),
        (
            "sensor.frames",
            json!({}),
            "one of `camera` and `audio` is wanted",
        ),
        (
            "sensor.frames",
            json!({"camera": {"width": 8192, "height": 8192}}),
            "201326592 bytes, and may have 67108864",
        ),
        (
            "sensor.frames",
            json!({"camera": {"width": 64, "height": 48, "fps": 0}}),
            "0 is not from 1 to 1000",
        ),
        (
            "sensor.frames",
            json!({"audio": {"rate": 1}}),
            "1000 to 384000",
        ),
        ("sensor.files", json!({}), "missing field `paths`"),
        (
            "sensor.files",
            json!({"paths": []}),
            "at least one path is wanted",
        ),
        (
            "sensor.files",
            json!({"paths": ["a"], "patterns": ["[a"]}),
            "`[a` is no pattern of names, as `*.py` is one",
        ),
        (
            "sensor.files",
            json!({"paths": ["a"], "topic": "a.*"}),
            "is a pattern, not a topic",
        ),
    ]);
}

#[test]
fn what_settings_of_heartbeat_and_monitor_cannot_be_is_said() {
    refused([
        (
            "heartbeat",
            json!({"interval": "0s"}),
            "not from 10ms to 1d",
        ),
        (
            "monitor",
            json!({"pattern": "a..b"}),
            "`a..b` is not a pattern",
        ),
        (
            "monitor",
            json!({"level": "loud"}),
            "unknown variant `loud`",
        ),
        ("monitor", json!({"durable": "a b"}), "a b"),
    ]);
}

#[test]
fn frames_need_no_more_than_what_they_are_of() {
    let kinds = unity_actors::kinds();
    let frames = kinds.get("sensor.frames").unwrap();
    let camera = json!({"camera": {"width": 1, "height": 1}});
    for settings in [json!({"audio": {}}), camera] {
        assert!(
            frames.check(&settings, kinds.secrets()).is_ok(),
            "{settings}"
        );
    }
    let schema = frames.settings_schema();
    for field in ["camera", "audio", "topic", "when_room", "limit"] {
        assert!(
            schema["properties"][field].is_object(),
            "{field} in {schema}"
        );
    }
}
