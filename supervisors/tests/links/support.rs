//! Agents that do what a test hands them in their own name, and write down what they are told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{
    ChildKind, ChildSpec, MailboxSpec, Overflow, Restart, SupervisorSpec, TreeSpec,
};
use unity_supervisors::{
    Actor, ActorPath, Address, ChildId, Context, Down, Exit, ExitReason, GroupChanged, Kernel,
    KernelConfig, Kinds, Message, Next, Priority, Reply, Runtimes, Start,
};

/// Longer than anything a test waits for; on a paused clock it passes at once when nothing can happen any more.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoSettings {}

type Act = Box<dyn FnOnce(&mut Context<Agent>) + Send>;
type StartAct = Box<dyn Fn(&mut Context<Agent>) + Send + Sync>;

/// What an agent is told.
pub(crate) enum Order {
    /// Do this.
    Do(Option<Act>),
    /// Write this down, from the lane it says.
    Note(String, Priority),
    /// A life that it watches has ended; what it holds is dropped with it.
    Down(&'static str, Down, Option<Arc<()>>),
    /// A group that it watches has changed.
    Changed(GroupChanged),
    /// Wait at the gate.
    Wait,
    /// End.
    End(ExitReason),
    /// Answered once all before it was handled.
    Ping(Reply<u64>),
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Message for Order {
    fn priority(&self) -> Priority {
        match self {
            Self::Note(_, lane) => *lane,
            Self::Ping(_) => Priority::Deferred,
            Self::Wait => Priority::High,
            _ => Priority::Normal,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Do(_) => "do",
            Self::Note(..) => "note",
            Self::Down(..) => "down",
            Self::Changed(_) => "changed",
            Self::Wait => "wait",
            Self::End(_) => "end",
            Self::Ping(_) => "ping",
        }
    }

    fn reply(&mut self) -> Option<&mut dyn unity_supervisors::message::ReplyPort> {
        match self {
            Self::Ping(reply) => Some(reply),
            _ => None,
        }
    }
}

/// Has a way to be told of a life that ended, marked with `tag`.
pub(crate) fn down(tag: &'static str) -> impl FnOnce(Down) -> Order + Send + 'static {
    move |down| Order::Down(tag, down, None)
}

/// What all agents of a kernel share with the test.
#[derive(Default)]
pub(crate) struct World {
    log: Mutex<Vec<String>>,
    exits: Mutex<Vec<String>>,
    /// What each start of an id does first.
    at_start: Mutex<Vec<(String, StartAct)>>,
    changed: Notify,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

/// Opened for each [`Order::Wait`] by the test.
pub(crate) struct Gate(Semaphore);

impl World {
    fn say(&self, what: String) {
        self.log.lock().push(what);
        self.changed.notify_waiters();
    }
}

pub(crate) struct Agent {
    id: String,
    world: Arc<World>,
    gate: Arc<Gate>,
}

impl Actor for Agent {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let world = ctx.kernel().shared::<World>();
        let id = ctx.path().id().unwrap().to_string();
        for (whose, act) in &*world.at_start.lock() {
            if *whose == id {
                act(ctx);
            }
        }
        Ok(Start::Running(Self {
            id,
            world,
            gate: ctx.kernel().shared::<Gate>(),
        }))
    }

    async fn handle(&mut self, order: &mut Order, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        match order {
            Order::Do(act) => {
                if let Some(act) = act.take() {
                    act(ctx);
                }
            }
            Order::Note(text, _) => self.world.say(format!("{}: {text}", self.id)),
            Order::Down(tag, down, held) => {
                drop(held.take());
                let Down {
                    path,
                    incarnation,
                    reason,
                } = down;
                let said = format!("{}: {tag} {path} {incarnation} {reason}", self.id);
                self.world.say(said);
            }
            Order::Changed(changed) => {
                let members = ctx.kernel().members::<Order>(changed.group.as_str());
                self.world.say(format!(
                    "{}: {} {:?}",
                    self.id,
                    changed.group,
                    ids(&members)
                ));
            }
            Order::Wait => self.gate.0.acquire().await?.forget(),
            Order::End(reason) if reason.kind.is_clean() => {
                return Ok(Next::StopWith(reason.clone()));
            }
            Order::End(reason) => return Err(Exit(reason.clone())),
            Order::Ping(reply) => reply.send(ctx.incarnation()),
        }
        Ok(Next::Continue)
    }
}

/// The ids of those that the addresses lead to.
pub(crate) fn ids(members: &[Address<Order>]) -> Vec<String> {
    let id = |member: &Address<Order>| member.path().id().unwrap().to_string();
    members.iter().map(id).collect()
}

/// A kernel with agents under two supervisors: `/left` and `/right`.
pub(crate) struct Tree {
    pub(crate) kernel: Kernel,
    pub(crate) world: Arc<World>,
}

/// An agent that is restarted but after `normal`, with a mailbox of two messages a lane.
fn agent(id: &str) -> Arc<ChildSpec> {
    let mut spec = ChildSpec::worker(ChildId::new(id).unwrap(), "agent");
    spec.restart = Restart::Transient;
    if let ChildKind::Worker(worker) = &mut spec.what {
        worker.mailbox = Arc::new(MailboxSpec {
            capacity: 2,
            overflow: Overflow::DropOldest,
            ..MailboxSpec::default()
        });
    }
    Arc::new(spec)
}

fn group(id: &str, agents: &[&str]) -> Arc<ChildSpec> {
    let spec = SupervisorSpec {
        intensity: 1_000,
        children: agents.iter().map(|id| agent(id)).collect(),
        ..SupervisorSpec::default()
    };
    Arc::new(ChildSpec::supervisor(ChildId::new(id).unwrap(), spec))
}

pub(crate) fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

impl Tree {
    pub(crate) async fn boot(left: &[&str], right: &[&str]) -> Self {
        let world = Arc::new(World::default());
        let kinds = Kinds::new().with::<Agent>("agent", "does what a test hands it");
        let observer = Arc::clone(&world);
        let mut config =
            KernelConfig::new(Runtimes::current(), kinds, 1).with_shared(Arc::clone(&world));
        config.observer = Some(Arc::new(move |fact| {
            if let Fact::Exited { path, record } = fact {
                let exit = format!("{path} {} {}", record.incarnation, record.reason);
                observer.exits.lock().push(exit);
            }
            observer.changed.notify_waiters();
        }));
        let root = SupervisorSpec {
            intensity: 1_000,
            children: vec![group("left", left), group("right", right)],
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self { kernel, world }
    }

    pub(crate) fn address(&self, at: &str) -> Address<Order> {
        self.kernel.address(&path(at)).unwrap()
    }

    /// Has the agent at `at` do this, and all that waited before it.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        at: &str,
        act: impl FnOnce(&mut Context<Agent>) -> T + Send + 'static,
    ) -> T {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let act: Act = Box::new(move |ctx| assert!(sender.send(act(ctx)).is_ok()));
        self.address(at).tell(Order::Do(Some(act))).await.unwrap();
        answer.await.unwrap()
    }

    /// Each start of the agents with this id does this first.
    pub(crate) fn at_start(
        &self,
        id: &str,
        act: impl Fn(&mut Context<Agent>) + Send + Sync + 'static,
    ) {
        let mut at_start = self.world.at_start.lock();
        at_start.push((id.to_owned(), Box::new(act)));
    }

    pub(crate) async fn tell(&self, at: &str, order: Order) {
        self.address(at).tell(order).await.unwrap();
    }

    /// Waits until the agent at `at` has handled all that waits; returns the life that it is in.
    pub(crate) async fn settle(&self, at: &str) -> u64 {
        self.address(at).ask(FOREVER, Order::Ping).await.unwrap()
    }

    /// Ends the agent at `at`, and waits until its supervisor knows why.
    pub(crate) async fn end(&self, at: &str, reason: ExitReason) {
        let exit = format!(
            "{at} {} {reason}",
            self.kernel.registry().get(&path(at)).unwrap().incarnation()
        );
        self.tell(at, Order::End(reason)).await;
        self.exit(&exit).await;
    }

    /// Waits for this exit: path, incarnation, reason.
    pub(crate) async fn exit(&self, exit: &str) {
        self.until(exit, |world| {
            world.exits.lock().iter().any(|past| past == exit)
        })
        .await;
    }

    pub(crate) fn exits(&self) -> Vec<String> {
        self.world.exits.lock().clone()
    }

    /// The names of all dead letters, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<&'static str> {
        let letters = self.kernel.dead_letters().list();
        letters.iter().map(|letter| letter.name).collect()
    }

    /// What was written down since the last call.
    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.world.log.lock())
    }

    /// Lets an agent that waits go on.
    pub(crate) fn open_gate(&self) {
        self.kernel.shared::<Gate>().0.add_permits(1);
    }

    async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let waiting = async {
            loop {
                let changed = self.world.changed.notified();
                if holds(&self.world) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(FOREVER, waiting).await.is_err() {
            let (log, exits) = (self.world.log.lock(), self.world.exits.lock());
            panic!("`{what}` never came: {log:#?} {exits:#?}");
        }
    }
}
