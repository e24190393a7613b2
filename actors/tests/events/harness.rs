//! A kernel, and an ear that hears all of its events.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use unity_supervisors::bus::{Place, Refused, Subscriber};
use unity_supervisors::clock::Clock;
use unity_supervisors::spec::{ChildKind, ChildSpec, Restart, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::MemoryStreams;
use unity_supervisors::{
    ActorPath, ChildId, Draft, Event, Kernel, KernelConfig, Runtimes, SlotState,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps what fits a pattern.
#[derive(Default)]
pub(crate) struct Ear {
    heard: Mutex<Vec<Arc<Event>>>,
    count: watch::Sender<usize>,
}

impl Subscriber for Ear {
    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        let mut heard = self.heard.lock();
        heard.push(Arc::clone(event));
        self.count.send_replace(heard.len());
        Ok(())
    }

    fn name(&self) -> String {
        "ear".to_owned()
    }
}

impl Ear {
    /// Hears what fits `pattern` from now on.
    pub(crate) fn on(kernel: &Kernel, pattern: &str) -> Arc<Self> {
        let ear = Arc::<Self>::default();
        kernel
            .bus()
            .subscribe(&pattern.parse().unwrap(), ear.clone());
        ear
    }

    pub(crate) fn heard(&self) -> Vec<Arc<Event>> {
        self.heard.lock().clone()
    }

    /// Waits until so many were heard.
    pub(crate) async fn until(&self, count: usize) -> Vec<Arc<Event>> {
        let mut counted = self.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, counted.wait_for(|now| *now >= count)).await;
        waited
            .unwrap_or_else(|_| panic!("{count} of {:?}", self.heard()))
            .unwrap();
        self.heard()
    }

    /// Waits until one was heard of which `is_it` is true.
    pub(crate) async fn first(&self, is_it: impl Fn(&Event) -> bool) -> Arc<Event> {
        let mut count = 1;
        loop {
            let heard = self.until(count).await;
            if let Some(found) = heard.iter().find(|event| is_it(event)) {
                return Arc::clone(found);
            }
            count = heard.len() + 1;
        }
    }
}

pub(crate) fn child(id: &str, kind: &str, settings: Value) -> ChildSpec {
    let mut child = ChildSpec::worker(ChildId::new(id).unwrap(), kind);
    child.restart = Restart::Permanent;
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.settings = settings;
    child
}

pub(crate) fn config() -> KernelConfig {
    KernelConfig {
        streams: Some(MemoryStreams::new(Clock::real())),
        ..KernelConfig::new(Runtimes::current(), unity_actors::kinds(), 7)
    }
}

pub(crate) async fn boot(config: KernelConfig, children: Vec<ChildSpec>) -> Kernel {
    let root = SupervisorSpec {
        intensity: 100,
        children: children.into_iter().map(Arc::new).collect(),
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root,
    };
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    kernel
}

/// Adds a child once somebody listens.
pub(crate) async fn spawn(kernel: &Kernel, child: ChildSpec) {
    kernel.spawn(&ActorPath::root(), child).await.unwrap();
}

pub(crate) fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

pub(crate) async fn publish(kernel: &Kernel, topic: &str, data: Value) {
    let draft = Draft::new(&topic.parse().unwrap(), data);
    kernel.bus().publish(&"test".into(), draft).await.unwrap();
}

/// Waits until what `uk state` shows is as wanted.
pub(crate) async fn observed(kernel: &Kernel, at: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            if let Ok(state) = kernel.observe(&path(at), PATIENCE).await
                && is_it(&state)
            {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(10 * PATIENCE, look).await.unwrap()
}

/// Waits until a child is in this state.
pub(crate) async fn until_state(kernel: &Kernel, at: &str, state: SlotState) {
    let slot = kernel.registry().get(&path(at)).unwrap();
    let look = async {
        while slot.state() != state {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}
