//! `/system/alarms`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use unity_actors::alarms::{self, AlarmSettings, Alarms, Count, Machine, Share};
use unity_actors::duration::DurationText;
use unity_supervisors::bus::{Catalog, EventType, Persist};
use unity_supervisors::spec::{ChildKind, MailboxSpec};
use unity_supervisors::stream::{Durability, Position, Retention, StreamName};
use unity_supervisors::{Event, Kernel, KernelConfig, Kinds, SlotState};

use crate::harness::{Ear, boot, child, config, observed, path, publish, until_state};

/// A machine that is as a test says; above a million it cannot tell.
#[derive(Default)]
struct Fake {
    disk: AtomicU64,
    memory: AtomicU64,
    heat: AtomicU64,
}

fn told(value: &AtomicU64) -> io::Result<u64> {
    let value = value.load(Ordering::SeqCst);
    if value > 1_000_000 {
        return Err(io::Error::other("it cannot tell"));
    }
    Ok(value)
}

/// It, shared with the test.
struct Shared(Arc<Fake>);

impl Machine for Shared {
    fn folder(&self) -> &Path {
        Path::new("/data")
    }

    fn disk_free(&self) -> io::Result<u64> {
        told(&self.0.disk)
    }

    fn memory_used(&self) -> io::Result<u64> {
        told(&self.0.memory)
    }

    fn temperatures(&self) -> io::Result<Vec<(String, u64)>> {
        // Two parts of one name: the hotter one counts.
        let heat = told(&self.0.heat)?;
        Ok(vec![("core".to_owned(), heat), ("core".to_owned(), 20)])
    }
}

struct World {
    kernel: Kernel,
    machine: Arc<Fake>,
    ear: Arc<Ear>,
}

fn name() -> StreamName {
    StreamName::new("sensor").unwrap()
}

impl World {
    async fn new(settings: AlarmSettings) -> Self {
        let machine = Arc::new(Fake::default());
        machine.disk.store(50, Ordering::SeqCst);
        let mut kept = EventType::new("sensor.*".parse().unwrap());
        kept.persist = Some(Persist {
            stream: name(),
            mode: Durability::Async,
            retention: Retention::default(),
        });
        let config = KernelConfig {
            service_kinds: alarms::with_kind(Kinds::new()),
            services: vec![alarms::child()],
            catalog: Catalog::new(false, [kept]),
            ..config()
        };
        let alarms = Alarms::new(settings, Shared(Arc::clone(&machine)));
        let mut probe = child("probe", "probe", json!({}));
        let ChildKind::Worker(worker) = &mut probe.what else {
            unreachable!()
        };
        worker.mailbox = Arc::new(MailboxSpec {
            capacity: 10,
            ..MailboxSpec::default()
        });
        let kernel = boot(config.with_shared(Arc::new(alarms)), vec![probe]).await;
        let ear = Ear::on(&kernel, alarms::TOPIC);
        Self {
            kernel,
            machine,
            ear,
        }
    }

    /// Waits until an alarm is said to be so.
    async fn said(&self, alarm: &str, state: &str) -> Value {
        let is_it = |event: &Event| event.data["alarm"] == alarm && event.data["state"] == state;
        self.ear.first(is_it).await.data.clone()
    }

    /// Waits until it has looked again after now.
    async fn looked(&self) {
        let looks = |state: &Value| state["looks"].as_u64().unwrap();
        let before = looks(&observed(&self.kernel, alarms::PATH, |_| true).await);
        observed(&self.kernel, alarms::PATH, |state| {
            looks(state) > before + 1
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_machine_is_looked_at_and_alarms_come_and_go() {
    let world = World::new(AlarmSettings::default()).await;
    let machine = &world.machine;

    machine.disk.store(5, Ordering::SeqCst);
    machine.memory.store(97, Ordering::SeqCst);
    machine.heat.store(91, Ordering::SeqCst);
    let disk = world.said("disk", "raised").await;
    world.said("memory", "raised").await;
    let heat = world.said("temperature", "raised").await;
    // What cannot be told is no reason to clear, and what is still near its limit is none either.
    machine.disk.store(u64::MAX, Ordering::SeqCst);
    machine.heat.store(85, Ordering::SeqCst);
    machine.memory.store(10, Ordering::SeqCst);
    let cleared = world.said("memory", "cleared").await;
    world.looked().await;

    assert_eq!(
        (&disk["path"], &disk["value"], &disk["limit"]),
        (&json!("/data"), &json!(5), &json!(5))
    );
    assert_eq!(heat["path"], "core");
    assert_eq!(cleared["value"], 10);
    let standing = world.kernel.shared::<Alarms>().standing();
    let kinds: Vec<_> = standing.iter().map(|alarm| alarm.kind.as_str()).collect();
    assert_eq!(kinds, ["disk", "temperature"]);
    assert_eq!(world.ear.heard().len(), 4);
    machine.disk.store(50, Ordering::SeqCst);
    machine.heat.store(40, Ordering::SeqCst);
    let disk = world.said("disk", "cleared").await;
    let heat = world.said("temperature", "cleared").await;
    assert_eq!((&disk["value"], &heat["value"]), (&json!(50), &json!(40)));
    assert_eq!(world.kernel.shared::<Alarms>().standing(), []);
}

#[tokio::test(start_paused = true)]
async fn a_kill_of_the_service_neither_clears_nor_repeats() {
    let world = World::new(AlarmSettings::default()).await;
    world.machine.memory.store(97, Ordering::SeqCst);
    let raised = world.said("memory", "raised").await;
    let slot = world.kernel.registry().get(&path(alarms::PATH)).unwrap();

    for life in 2..=4 {
        world.kernel.kill(&path(alarms::PATH), None).await.unwrap();
        until_state(&world.kernel, alarms::PATH, SlotState::Running).await;
        world.looked().await;
        assert_eq!(slot.incarnation(), life);
        let standing = world.kernel.shared::<Alarms>().standing();
        assert_eq!(json!(standing)[0]["since"], raised["since"]);
    }
    world.machine.memory.store(1, Ordering::SeqCst);
    world.said("memory", "cleared").await;

    assert_eq!(world.ear.heard().len(), 2);
    assert_eq!(world.kernel.shared::<Alarms>().standing(), []);
}

#[tokio::test(start_paused = true)]
async fn mailboxes_restarts_and_lag_are_looked_at_and_limits_may_change() {
    let settings = AlarmSettings {
        lag: Count(Some(20)),
        restarts: Count(Some(3)),
        restart_window: DurationText(Duration::from_secs(10)),
        ..AlarmSettings::default()
    };
    let world = World::new(settings.clone()).await;
    let (kernel, probe) = (&world.kernel, path("/probe"));
    let store = kernel.bus().store().unwrap();
    store
        .make_group(&name(), "audit", Position::START)
        .await
        .unwrap();

    for number in 0..25 {
        publish(kernel, "sensor.a", json!(number)).await;
    }
    for _ in 0..3 {
        kernel
            .tell(&probe, json!({"crash": "as asked"}))
            .await
            .unwrap();
    }
    kernel.tell(&probe, json!({"hang": "1h"})).await.unwrap();
    for _ in 0..9 {
        kernel.tell(&probe, json!("count")).await.ok();
    }
    let lag = world.said("lag", "raised").await;
    let restarts = world.said("restarts", "raised").await;
    let depth = world.said("mailbox_depth", "raised").await;
    // The window goes on.
    world.said("restarts", "cleared").await;
    // The group catches up.
    let read = store.read_group(&name(), "audit", "anna", 25).await;
    let read: Vec<Position> = read.unwrap().iter().map(|its| its.position).collect();
    store.ack(&name(), "audit", &read).await.unwrap();
    world.said("lag", "cleared").await;
    for (limit, state) in [(Some(60), "raised"), (None, "cleared")] {
        kernel.shared::<Alarms>().set(AlarmSettings {
            disk: Share(limit),
            ..settings.clone()
        });
        world.said("disk", state).await;
    }
    kernel.kill(&probe, None).await.unwrap();
    world.said("mailbox_depth", "cleared").await;

    assert_eq!(
        (&lag["path"], &lag["value"]),
        (&json!("sensor audit"), &json!(25))
    );
    assert_eq!(
        (&restarts["path"], &restarts["value"]),
        (&json!("/probe"), &json!(3))
    );
    assert_eq!(
        (&depth["path"], &depth["value"]),
        (&json!("/probe"), &json!(90))
    );
    assert_eq!(kernel.shared::<Alarms>().standing(), []);
}
