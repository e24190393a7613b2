//! `/system/bus`: what happens in the kernel, as events.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::json;
use unity_actors::bus;
use unity_supervisors::bus::{Pattern, Place, Refused, Subscriber, Topic};
use unity_supervisors::{Event, Kernel, KernelConfig, Kinds, SlotState};

use crate::harness::{Ear, PATIENCE, boot, child, config, path, spawn, until_state};

async fn with_service() -> Kernel {
    let config = KernelConfig {
        service_kinds: bus::with_kind(Kinds::new()),
        services: vec![bus::child()],
        ..config()
    };
    boot(config, vec![child("probe", "probe", json!({}))]).await
}

fn lives(events: &[Arc<Event>]) -> Vec<u64> {
    let started = events.iter().filter(|event| {
        event.topic.as_str() == "system.child.started" && &*event.source == "/probe"
    });
    started
        .map(|event| event.data["incarnation"].as_u64().unwrap())
        .collect()
}

/// Waits until the probe lives for the `life`th time.
async fn crash(kernel: &Kernel, life: u64) {
    let at = path("/probe");
    kernel
        .tell(&at, json!({"crash": "as asked"}))
        .await
        .unwrap();
    let counted = kernel.ask(&at, json!("count"), PATIENCE).await.unwrap();
    assert_eq!(counted["incarnation"], life);
}

#[tokio::test]
async fn a_kill_of_the_service_loses_no_fact() {
    let kernel = with_service().await;
    let ear = Ear::on(&kernel, "system.*");
    let service = kernel.registry().get(&path(bus::PATH)).unwrap();

    for life in 2..=41 {
        crash(&kernel, life).await;
        if life % 10 == 0 {
            kernel.kill(&path(bus::PATH), None).await.unwrap();
            until_state(&kernel, bus::PATH, SlotState::Running).await;
        }
    }
    ear.first(|event| &*event.source == "/probe" && event.data["incarnation"] == 41)
        .await;

    let mut lives = lives(&ear.heard());
    let all = lives.len();
    lives.dedup();
    assert_eq!(lives, (2..=41).collect::<Vec<u64>>());
    // What a kill interrupts is said again: at most once for each kill.
    assert!(all <= lives.len() + 4, "{all}");
    assert!(service.incarnation() >= 5, "{}", service.incarnation());
    let missed = ear.heard();
    let mut missed = missed.iter().map(|event| event.topic.as_str());
    assert!(missed.all(|topic| topic != "system.events.missed"));
}

/// Holds whoever delivers to it, until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Subscriber for Gate {
    fn deliver(&self, _: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        let mut is_open = self.is_open.lock();
        while !*is_open {
            self.opened.wait(&mut is_open);
        }
        Ok(())
    }

    fn name(&self) -> String {
        "gate".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_flood_drowned_is_told_of() {
    let kernel = with_service().await;
    let gate = Arc::<Gate>::default();
    kernel.bus().subscribe(&Pattern::all(), gate.clone());
    let ear = Ear::on(&kernel, "system.*");
    let before = kernel.events().last().unwrap().id;

    // Each comes and goes, and is a handful of facts.
    let mut id = 0;
    while kernel.events().first().unwrap().id < before + 200 {
        id += 1;
        let name = format!("c{id}");
        spawn(&kernel, child(&name, "probe", json!({}))).await;
        let at = path(&format!("/{name}"));
        kernel.stop(&at).await.unwrap();
        kernel.delete(&at).await.unwrap();
    }
    *gate.is_open.lock() = true;
    gate.opened.notify_all();

    let missed = ear.first(|event| event.topic == missed_topic()).await;
    assert_eq!(&*missed.source, bus::PATH);
    assert!(missed.data["count"].as_u64().unwrap() >= 100, "{missed:?}");
    // Each fact is said, or counted among the missed.
    let said = async {
        let last = kernel.events().last().unwrap().id;
        let all = |ear: &Ear| -> u64 {
            let missed = ear.heard();
            let missed = missed
                .iter()
                .filter_map(|event| event.data["count"].as_u64());
            let published = kernel.bus().stats().into_iter();
            let facts = published.filter(|its| its.topic != Some(missed_topic()));
            facts.map(|its| its.published).sum::<u64>() + missed.sum::<u64>()
        };
        while all(&ear) < last {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(all(&ear), last);
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap();
}

fn missed_topic() -> Topic {
    "system.events.missed".parse().unwrap()
}
