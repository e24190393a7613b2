//! A world for one test: a kernel of actors that take some settings live, and some only with a new life.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::reload::{Change, ReloadError};
use unity_supervisors::report::Fact;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::state::CodecError;
use unity_supervisors::{
    Actor, ActorPath, Address, Apply, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next,
    Runtimes, SettingsHandle, SlotState, Snapshot, Start,
};

/// Longer than anything a test waits for.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Taken live; 13 is refused.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) live: u32,
    /// Taken with a new life only.
    #[serde(skip_serializing_if = "is_zero")]
    life: u32,
    /// How its `apply` behaves: `hang`, `panic`, `block`.
    #[serde(skip_serializing_if = "String::is_empty")]
    apply: String,
    /// How many seconds its start takes.
    #[serde(skip_serializing_if = "is_zero")]
    start_s: u32,
    /// Whether it ends as soon as it runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ends: bool,
    /// Whether its start fails.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fails: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Debug, Message)]
#[message(json)]
pub(crate) enum Order {
    /// Return an error.
    Crash,
    /// End in order.
    Finish,
    /// Await for so many seconds.
    Busy(u64),
    /// Add to what it keeps.
    Add(u64),
    /// The next of a row.
    Number(u64),
}

struct Subject {
    settings: Settings,
    handle: SettingsHandle<Settings>,
    sum: u64,
    numbers: u64,
}

/// Holds the threads of those that block.
#[derive(Default)]
struct Brake(AtomicBool);

/// Where an actor leaves a handle for its test.
#[derive(Default)]
struct Handles(Mutex<BTreeMap<ActorPath, SettingsHandle<Settings>>>);

impl Actor for Subject {
    type Message = Order;
    type Settings = Settings;
    const STATE: Option<u32> = Some(1);

    async fn start(settings: &Settings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        if settings.fails {
            return Err(Exit::error("told to fail"));
        }
        ctx.trap_exit(true);
        if settings.ends {
            ctx.myself().try_tell(Order::Finish).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(settings.start_s.into())).await;
        let handles = ctx.kernel().shared::<Handles>();
        handles.0.lock().insert(ctx.path().clone(), ctx.settings());
        Ok(Start::Running(Self {
            settings: settings.clone(),
            handle: ctx.settings(),
            sum: ctx.restored().unwrap_or_default(),
            numbers: 0,
        }))
    }

    async fn handle(&mut self, order: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        match order {
            Order::Crash => return Err(Exit::error("told to crash")),
            Order::Add(number) => self.sum += *number,
            Order::Number(number) => {
                assert_eq!(*number, self.numbers, "in order");
                self.numbers += 1;
            }
            Order::Finish => return Ok(Next::Stop),
            Order::Busy(seconds) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &Settings, ctx: &mut Context<Self>) -> Apply {
        match new.apply.as_str() {
            "slow" => tokio::time::sleep(Duration::from_secs(1)).await,
            "block" => {
                let brake = ctx.kernel().shared::<Brake>();
                while !brake.0.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            }
            "hang" => std::future::pending().await,
            "panic" => panic!("told to panic"),
            _ => {}
        }
        if new.live == 13 {
            return Apply::Rejected("13 is unlucky".to_owned());
        }
        if new.life != self.settings.life {
            return Apply::Restart;
        }
        self.settings = new.clone();
        Apply::Applied
    }

    fn observe(&self) -> Value {
        let in_force = self.handle.clone().get().live;
        let mut observed = json!({ "live": self.settings.live, "in_force": in_force });
        if self.sum > 0 {
            observed["sum"] = json!(self.sum);
        }
        if self.numbers > 0 {
            observed["numbers"] = json!(self.numbers);
        }
        observed
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, CodecError> {
        Snapshot::of(&self.sum).map(Some)
    }
}

pub(crate) struct World {
    pub(crate) kernel: Kernel,
    facts: Arc<Mutex<Vec<Fact>>>,
}

pub(crate) fn sub(id: &'static str, spec: SupervisorSpec) -> ChildSpec {
    ChildSpec::supervisor(id.parse().unwrap(), spec)
}

pub(crate) fn worker(id: &'static str, settings: Value) -> ChildSpec {
    let mut child = ChildSpec::worker(id.parse().unwrap(), "subject");
    child.as_worker_mut().unwrap().settings = settings;
    child
}

pub(crate) fn tree(children: impl IntoIterator<Item = ChildSpec>) -> SupervisorSpec {
    SupervisorSpec {
        intensity: 100,
        children: children.into_iter().map(Into::into).collect(),
        ..SupervisorSpec::default()
    }
}

pub(crate) fn path(path: &str) -> ActorPath {
    path.parse().unwrap()
}

impl World {
    pub(crate) async fn boot(root: SupervisorSpec) -> Self {
        Self::boot_with(Self::config(), root).await
    }

    pub(crate) fn config() -> KernelConfig {
        let about = "does as it is told";
        let kinds = Kinds::new()
            .with::<Subject>("subject", about)
            .with::<Subject>("other", about)
            .with_placed::<Subject>();
        KernelConfig::new(Runtimes::current(), kinds, 1)
    }

    pub(crate) async fn boot_with(mut config: KernelConfig, root: SupervisorSpec) -> Self {
        let facts = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&facts);
        config.observer = Some(Arc::new(move |fact| heard.lock().push(fact.clone())));
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self { kernel, facts }
    }

    /// Lets go of the threads that are held.
    pub(crate) fn let_go(&self) {
        let brake = self.kernel.shared::<Brake>();
        brake.0.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn reload(&self, root: SupervisorSpec) -> Result<Vec<Change>, ReloadError> {
        self.kernel.reload(root).await
    }

    /// The workers of the root in order, and which life each lives.
    pub(crate) fn incarnations(&self) -> Vec<(String, u64)> {
        let children = self.kernel.root().unwrap().children();
        let children = children.iter();
        children
            .map(|slot| (slot.path().to_string(), slot.incarnation()))
            .collect()
    }

    pub(crate) async fn observe(&self, at: &str) -> Value {
        self.kernel.observe(&path(at), FOREVER).await.unwrap()
    }

    pub(crate) fn settings(&self, at: &str) -> Value {
        self.kernel.registry().get(&path(at)).unwrap().settings()
    }

    pub(crate) fn last_response(&self, at: &str) -> Response {
        let slot = self.kernel.registry().get(&path(at)).unwrap();
        slot.last_exit().unwrap().response
    }

    /// What the settings are to be by the tree.
    pub(crate) fn desired(&self, at: &str) -> Value {
        let root = self.kernel.desired().unwrap().root;
        let child = root
            .children
            .iter()
            .find(|child| path("/").child(&child.id) == path(at));
        child.unwrap().as_worker().unwrap().settings.clone()
    }

    pub(crate) fn address(&self, at: &str) -> Address<Order> {
        self.kernel.address(&path(at)).unwrap()
    }

    /// A handle of its settings.
    pub(crate) fn handle(&self, at: &str) -> SettingsHandle<Settings> {
        let handles = self.kernel.shared::<Handles>();
        let handles = handles.0.lock();
        handles.get(&path(at)).unwrap().clone()
    }

    pub(crate) fn state(&self, at: &str) -> Option<SlotState> {
        Some(self.kernel.registry().get(&path(at))?.state())
    }

    pub(crate) fn incarnation(&self, at: &str) -> u64 {
        self.kernel.registry().get(&path(at)).unwrap().incarnation()
    }

    /// What the budget of the root has paid for.
    pub(crate) fn restarts_used(&self) -> usize {
        let is_charged = |fact: &&Fact| match fact {
            Fact::Exited { record, .. } => {
                matches!(
                    record.response,
                    Response::Restarted | Response::Backoff { .. }
                )
            }
            _ => false,
        };
        self.facts.lock().iter().filter(is_charged).count()
    }

    /// Which workers were stopped in order, one after the other.
    pub(crate) fn stops(&self) -> Vec<String> {
        let facts = self.facts.lock();
        let stops = facts.iter().filter_map(|fact| match fact {
            Fact::Exited { path, record } if record.response == Response::Stopped => {
                Some(path.to_string()).filter(|path| path != "/" && path != "/system")
            }
            _ => None,
        });
        stops.collect()
    }

    /// How many lives of it came up.
    pub(crate) fn starts_of(&self, at: &str) -> usize {
        let facts = self.facts.lock();
        let is_its =
            |fact: &&Fact| matches!(fact, Fact::Started { path, .. } if path.as_str() == at);
        facts.iter().filter(is_its).count()
    }

    pub(crate) async fn tell(&self, at: &str, order: Value) {
        self.kernel.tell(&path(at), order).await.unwrap();
        // It takes it in hand.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Waits until so many of a row were handled.
    pub(crate) async fn handled(&self, at: &str, count: u64) {
        let found = tokio::time::timeout(FOREVER, async {
            while self.observe(at).await["numbers"] != json!(count) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        found.await.unwrap();
    }

    /// Waits until it is in this state.
    pub(crate) async fn becomes(&self, at: &str, state: SlotState) {
        let found = tokio::time::timeout(FOREVER, async {
            while self.state(at) != Some(state) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        found.await.unwrap();
    }

    pub(crate) async fn crash(&self, at: &str) {
        self.kernel.tell(&path(at), json!("crash")).await.unwrap();
    }

    /// Waits until life number `incarnation` runs.
    pub(crate) async fn running(&self, at: &str, incarnation: u64) {
        let is_it = || {
            let slot = self.kernel.registry().get(&path(at));
            slot.is_some_and(|slot| slot.incarnation() == incarnation)
        };
        let found = tokio::time::timeout(FOREVER, async {
            while !is_it() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        found.await.unwrap();
    }
}
