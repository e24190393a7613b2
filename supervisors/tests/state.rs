//! State that outlives lives and kernels (DESIGN, section 4), on a store in memory that tears and forgets.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildKind, ChildSpec, StateSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::state::{CodecError, MemoryStore};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next, Reply,
    Runtimes, Snapshot, Start,
};

const EVERY: Duration = Duration::from_secs(10);
const ASKED: Duration = Duration::from_secs(3600);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[derive(Debug, Message)]
#[message(json)]
enum Order {
    Add(u64),
    Sum(Reply<u64>),
    Crash(String),
}

/// Adds up; `VERSION` is that of its state.
struct Adder<const VERSION: u32> {
    sum: u64,
}

impl<const VERSION: u32> Actor for Adder<VERSION> {
    type Message = Order;
    type Settings = NoSettings;
    const STATE: Option<u32> = Some(VERSION);

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let sum = ctx.restored().unwrap_or_default();
        if sum == 13 {
            return Err(Exit::error("this sum brings bad luck"));
        }
        Ok(Start::Running(Self { sum }))
    }

    async fn handle(&mut self, order: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        match order {
            Order::Add(number) => self.sum += *number,
            Order::Sum(reply) => reply.send(self.sum),
            Order::Crash(text) => return Err(Exit::error(text.clone())),
        }
        Ok(Next::Continue)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, CodecError> {
        Snapshot::of(&self.sum).map(Some)
    }
}

struct Rig {
    kernel: Kernel,
    fresh: Arc<Mutex<Vec<String>>>,
}

fn path() -> ActorPath {
    "/adder".parse().unwrap()
}

impl Rig {
    async fn boot(states: &Arc<MemoryStore>) -> Self {
        Self::boot_as::<1>(states).await
    }

    async fn boot_as<const VERSION: u32>(states: &Arc<MemoryStore>) -> Self {
        let kinds = Kinds::new().with::<Adder<VERSION>>("adder", "adds up");
        let fresh = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&fresh);
        let mut config = KernelConfig::new(Runtimes::current(), kinds, 1);
        config.states = states.clone();
        config.observer = Some(Arc::new(move |fact| {
            if let Fact::Fresh { why, .. } = fact {
                heard.lock().push(why.clone());
            }
        }));
        let mut child = ChildSpec::worker(ChildId::new("adder").unwrap(), "adder");
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.state = Some(StateSpec { every: EVERY });
        }
        let root = SupervisorSpec {
            intensity: 1_000,
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self { kernel, fresh }
    }

    async fn add(&self, number: u64) {
        let order = json!({ "add": number });
        self.kernel.tell(&path(), order).await.unwrap();
    }

    async fn sum(&self) -> u64 {
        let order = json!({ "sum": null });
        let sum = self.kernel.ask(&path(), order, ASKED).await.unwrap();
        sum.as_u64().unwrap()
    }

    /// Crashes it; the next life has come to run once it answers.
    async fn crash(&self) {
        let order = json!({ "crash": "boom" });
        self.kernel.tell(&path(), order).await.unwrap();
        self.sum().await;
    }

    async fn snapshot(&self) {
        tokio::time::sleep(EVERY).await;
        self.sum().await;
    }

    fn fresh(&self) -> Vec<String> {
        std::mem::take(&mut *self.fresh.lock())
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_found_after_a_crash_and_what_came_later_is_lost() {
    let rig = Rig::boot(&Arc::default()).await;
    rig.add(5).await;
    rig.snapshot().await;
    rig.add(2).await;
    assert_eq!(rig.sum().await, 7);

    rig.crash().await;

    assert_eq!(rig.sum().await, 5);
    assert_eq!(rig.fresh(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_keeps_all_over_a_kernel_start() {
    let states = Arc::default();
    let rig = Rig::boot(&states).await;
    rig.add(5).await;
    rig.kernel.stop(&path()).await.unwrap();
    rig.kernel.start_child(&path()).await.unwrap();
    assert_eq!(rig.sum().await, 5);
    rig.add(2).await;
    rig.kernel.shutdown().await;

    assert_eq!(Rig::boot(&states).await.sum().await, 7);
}

#[tokio::test(start_paused = true)]
async fn a_second_crash_within_probation_starts_fresh_and_a_later_one_does_not() {
    let rig = Rig::boot(&Arc::default()).await;
    rig.add(5).await;
    rig.snapshot().await;
    rig.crash().await;
    // Longer than the probation of 30 s.
    tokio::time::sleep(Duration::from_secs(31)).await;
    rig.crash().await;
    assert_eq!((rig.sum().await, rig.fresh()), (5, Vec::new()));

    rig.crash().await;

    assert_eq!(rig.sum().await, 0);
    let said = "it crashed twice within 30s, its probation";
    assert_eq!(rig.fresh(), [said]);
    let slot = rig.kernel.registry().get(&path()).unwrap();
    assert_eq!(slot.fresh().as_deref(), Some(said));

    tokio::time::sleep(Duration::from_secs(31)).await;
    rig.crash().await;
    assert_eq!(rig.sum().await, 0, "what it crashed of is forgotten");
    assert_eq!((rig.fresh(), slot.fresh()), (Vec::new(), None));
}

#[tokio::test(start_paused = true)]
async fn kills_are_no_crashes() {
    let rig = Rig::boot(&Arc::default()).await;
    rig.add(5).await;
    rig.snapshot().await;

    for _ in 0..3 {
        rig.kernel.kill(&path(), None).await.unwrap();
        assert_eq!(rig.sum().await, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_no_start_survives_is_given_up() {
    let rig = Rig::boot(&Arc::default()).await;
    rig.add(13).await;
    rig.snapshot().await;

    rig.crash().await;

    assert_eq!(rig.sum().await, 0);
    assert_eq!(rig.fresh().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_starts_fresh_and_says_so() {
    for (len, said) in [
        (3, "its state does not fit: it is no snapshot"),
        (
            9,
            "its state does not fit: its checksum does not match: it was torn or changed",
        ),
    ] {
        let states = Arc::new(MemoryStore::default());
        let rig = Rig::boot(&states).await;
        rig.add(5).await;
        rig.kernel.shutdown().await;
        states.tear(&path(), len);

        let rig = Rig::boot(&states).await;

        assert_eq!((rig.sum().await, rig.fresh()), (0, vec![said.to_owned()]));
    }

    let states = Arc::new(MemoryStore::default());
    let rig = Rig::boot(&states).await;
    rig.add(5).await;
    rig.kernel.shutdown().await;
    let rig = Rig::boot_as::<2>(&states).await;
    let said = "its state does not fit: it is version 1 of the kind's state, which is at version 2";
    assert_eq!((rig.sum().await, rig.fresh()), (0, vec![said.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_lost_is_nothing_to_speak_of() {
    let states = Arc::new(MemoryStore::default());
    let rig = Rig::boot(&states).await;
    rig.add(5).await;
    rig.kernel.shutdown().await;
    states.forget(&path());

    let rig = Rig::boot(&states).await;

    assert_eq!((rig.sum().await, rig.fresh()), (0, Vec::new()));
}
