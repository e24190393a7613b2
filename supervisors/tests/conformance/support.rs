//! A world for one test: a kernel, actors that do as they are told and say what happens to them, and a log of it all.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use unity_supervisors::report::Fact;
use unity_supervisors::slot::ExitRecord;
use unity_supervisors::spec::{ChildKind, ChildSpec, Strategy, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, ExitKind, ExitReason, Kernel, KernelConfig,
    KernelError, Kinds, Message, Mode, Next, Reply, RequestError, Runtimes, SlotState, Start,
};

/// Longer than anything a test waits for; on a paused clock it passes at once when nothing can happen any more.
const FOREVER: Duration = Duration::from_secs(24 * 3600);
/// A window out of which no restart falls during a test.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// What a start answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It runs.
    Ok,
    /// It runs, after 100 ms.
    Slow,
    /// It returns an error.
    Fail,
    /// It panics.
    Panic,
    /// There is nothing to do.
    Ignore,
    /// It never answers.
    Hang,
    /// It asks the supervisor of the path `call` to start a child, says what came of it, and runs.
    Call,
    /// It runs, and crashes at once.
    Doomed,
}

/// Settings of a [`Recorder`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    /// What the first, second … start of this id answers; the last one repeats. Empty is `ok`.
    starts: Vec<Answer>,
    /// How long its stop lasts.
    stop_takes_ms: u64,
    /// Whether its stop panics.
    stop_panics: bool,
    /// Whether a stop ends it at once.
    ignores_stop: bool,
    /// The supervisor that [`Answer::Call`] asks.
    call: String,
}

/// What a [`Recorder`] is told.
#[derive(Debug, Message)]
#[message(json)]
pub(crate) enum Order {
    /// Return an error.
    Crash(String),
    /// Panic.
    Panic(String),
    /// End in order, for this reason: `normal`, or `shutdown: with a text`.
    End(String),
    /// Wait for so many milliseconds in the handler.
    Busy(u64),
    /// Answer the incarnation.
    Ping(Reply<u64>),
    /// Stop the child at this path, and answer what came of it.
    Stop(String, Reply<String>),
}

/// Says what happens to it: `start a`, `started a`, `stopping a`, `stopped a`, `gone a`.
pub(crate) struct Recorder {
    id: String,
    world: Arc<World>,
    script: Script,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.world.say(format!("gone {}", self.id));
    }
}

impl Actor for Recorder {
    type Message = Order;
    type Settings = Script;

    async fn start(script: &Script, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let id = ctx.path().id().unwrap().to_string();
        let world = ctx.kernel().shared::<World>();
        ctx.trap_exit(!script.ignores_stop);
        world.say(format!("start {id}"));
        match world.next_answer(&id, &script.starts) {
            Answer::Ok => {}
            Answer::Slow => tokio::time::sleep(Duration::from_millis(100)).await,
            Answer::Fail => return Err(Exit::error("told to fail")),
            Answer::Panic => panic!("told to panic"),
            Answer::Ignore => return Ok(Start::Ignore),
            Answer::Hang => std::future::pending().await,
            Answer::Call => {
                let parent: ActorPath = script.call.parse().unwrap();
                let asked = ctx.kernel().spawn(&parent, world.child("called")).await;
                world.say(format!("{id} was told {asked:?}"));
            }
            Answer::Doomed => ctx
                .myself()
                .try_tell(Order::Crash("doomed".to_owned()))
                .unwrap(),
        }
        world.say(format!("started {id}"));
        Ok(Start::Running(Self {
            id,
            world,
            script: script.clone(),
        }))
    }

    async fn handle(&mut self, order: &mut Order, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        match order {
            Order::Crash(text) => return Err(Exit::error(text.clone())),
            Order::Panic(text) => panic!("{text}"),
            Order::End(reason) => {
                let (kind, text) = reason.split_once(": ").unzip();
                let kind = serde_json::from_value(json!(kind.unwrap_or(reason))).unwrap();
                let text = text.map(str::to_owned);
                return Ok(Next::StopWith(ExitReason {
                    kind,
                    text,
                    location: None,
                }));
            }
            Order::Busy(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Order::Ping(reply) => reply.send(ctx.incarnation()),
            Order::Stop(path, reply) => {
                let answer = ctx.kernel().stop(&path.parse().unwrap()).await;
                reply.send(format!("{answer:?}"));
            }
        }
        Ok(Next::Continue)
    }

    async fn stop(self, reason: &ExitReason, _ctx: &mut Context<Self>) {
        self.world.say(format!("stopping {}", self.id));
        tokio::time::sleep(Duration::from_millis(self.script.stop_takes_ms)).await;
        assert!(
            !self.script.stop_panics,
            "told to panic while stopping for {reason}"
        );
        self.world.say(format!("stopped {}", self.id));
    }
}

/// What one test sees.
#[derive(Default)]
pub(crate) struct World {
    log: Mutex<Vec<String>>,
    facts: Mutex<Vec<Fact>>,
    starts: Mutex<HashMap<String, Starts>>,
    changed: Notify,
}

#[derive(Default)]
struct Starts {
    count: usize,
    instead: Option<Answer>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn next_answer(&self, id: &str, script: &[Answer]) -> Answer {
        let mut starts = self.starts.lock();
        let starts = starts.entry(id.to_owned()).or_default();
        let nth = starts.count;
        starts.count += 1;
        let scripted = script
            .get(nth)
            .or(script.last())
            .copied()
            .unwrap_or(Answer::Ok);
        starts.instead.unwrap_or(scripted)
    }

    /// From now on each start of `id` answers this.
    pub(crate) fn let_start(&self, id: &str, answer: Answer) {
        self.starts.lock().entry(id.to_owned()).or_default().instead = Some(answer);
    }

    /// The next start of `id` is the first of its script.
    pub(crate) fn starts_anew(&self, id: &str) {
        self.starts.lock().remove(id);
    }

    /// How many times `id` was started, failed starts included.
    pub(crate) fn starts(&self, id: &str) -> usize {
        self.starts.lock().get(id).map_or(0, |starts| starts.count)
    }

    fn say(&self, what: String) {
        self.log.lock().push(what);
        self.changed.notify_waiters();
    }

    /// What the actors said since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock())
    }

    /// What they said since the last call that begins with one of `verbs`.
    pub(crate) fn take_only(&self, verbs: &[&str]) -> Vec<String> {
        let said = self.take().into_iter();
        said.filter(|said| {
            verbs
                .iter()
                .any(|verb| said.split(' ').next() == Some(*verb))
        })
        .collect()
    }

    /// Whether an actor said so since the log was last taken.
    pub(crate) fn said(&self, what: &str) -> bool {
        self.log.lock().iter().any(|said| said == what)
    }

    fn observe(&self, fact: &Fact) {
        self.facts.lock().push(fact.clone());
        self.changed.notify_waiters();
    }

    /// All exits and failed starts at `path`, oldest first, of all slots that were there.
    pub(crate) fn exits(&self, path: &str) -> Vec<ExitRecord> {
        let facts = self.facts.lock();
        let exits = facts.iter().filter_map(|fact| match fact {
            Fact::Exited { path: at, record } if at.as_str() == path => Some(record.clone()),
            _ => None,
        });
        exits.collect()
    }

    /// The kinds of those exits.
    pub(crate) fn exit_kinds(&self, path: &str) -> Vec<ExitKind> {
        self.exits(path)
            .into_iter()
            .map(|record| record.reason.kind)
            .collect()
    }

    /// How many lives began at `path`, in all slots that were there.
    pub(crate) fn lives(&self, path: &str) -> usize {
        let facts = self.facts.lock();
        let lives = facts
            .iter()
            .filter(|fact| matches!(fact, Fact::Started { path: at, .. } if at.as_str() == path));
        lives.count()
    }

    /// A permanent worker that does as it is told.
    pub(crate) fn child(&self, id: &str) -> ChildSpec {
        self.child_with(id, json!({}))
    }

    /// The same, with more settings of its [`Script`].
    pub(crate) fn child_with(&self, id: &str, script: Value) -> ChildSpec {
        let mut spec = ChildSpec::worker(ChildId::new(id).unwrap(), "recorder");
        if let ChildKind::Worker(worker) = &mut spec.what {
            worker.settings = script;
        }
        spec
    }

    /// A worker whose starts answer these.
    pub(crate) fn starting(&self, id: &str, starts: &[Answer]) -> ChildSpec {
        self.child_with(id, json!({ "starts": starts }))
    }

    /// Workers with these ids.
    pub(crate) fn children<const N: usize>(&self, ids: [&str; N]) -> [ChildSpec; N] {
        ids.map(|id| self.child(id))
    }

    /// A kernel with this root, not yet booted.
    pub(crate) async fn start(self: &Arc<Self>, root: SupervisorSpec) -> Tree {
        self.start_with(root, |_| {}).await
    }

    /// The same, with other choices.
    pub(crate) async fn start_with(
        self: &Arc<Self>,
        root: SupervisorSpec,
        choose: impl FnOnce(&mut KernelConfig),
    ) -> Tree {
        let kinds = Kinds::new().with::<Recorder>("recorder", "does as it is told, and says so");
        let mut config =
            KernelConfig::new(Runtimes::current(), kinds, 1).with_shared(Arc::clone(self));
        let world = Arc::clone(self);
        config.observer = Some(Arc::new(move |fact| world.observe(fact)));
        choose(&mut config);
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        Tree {
            kernel,
            world: Arc::clone(self),
        }
    }

    /// A kernel with this root, booted.
    pub(crate) async fn boot(self: &Arc<Self>, root: SupervisorSpec) -> Tree {
        let tree = self.start(root).await;
        tree.kernel.booted().await;
        tree
    }

    /// The same, with OTP's root, which gives up.
    pub(crate) async fn boot_mortal(self: &Arc<Self>, root: SupervisorSpec) -> Tree {
        let tree = self
            .start_with(root, |config| config.exit_on_give_up = true)
            .await;
        tree.kernel.booted().await;
        tree
    }

    /// A booted kernel with a generous root above one supervisor, `/s`.
    pub(crate) async fn boot_under(self: &Arc<Self>, supervisor: ChildSpec) -> Tree {
        self.boot(group(Strategy::OneForOne, 100, [supervisor]))
            .await
    }
}

/// A supervisor that allows `intensity` restarts in an hour.
pub(crate) fn group(
    strategy: Strategy,
    intensity: u32,
    children: impl IntoIterator<Item = ChildSpec>,
) -> SupervisorSpec {
    let children = children.into_iter().map(Arc::new).collect();
    SupervisorSpec {
        strategy,
        intensity,
        period: LONG,
        children,
        ..SupervisorSpec::default()
    }
}

/// That supervisor as a permanent child.
pub(crate) fn sub(id: &str, supervisor: SupervisorSpec) -> ChildSpec {
    ChildSpec::supervisor(ChildId::new(id).unwrap(), supervisor)
}

pub(crate) fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

/// Why the supervisor refused; panics if it did not.
pub(crate) fn refusal<T: Debug>(answer: Result<T, KernelError>) -> RequestError {
    match answer {
        Err(KernelError::Refused { error, .. }) => error,
        other => panic!("{other:?} is no refusal"),
    }
}

/// A kernel at work, and what its test sees of it.
pub(crate) struct Tree {
    pub(crate) kernel: Kernel,
    pub(crate) world: Arc<World>,
}

impl Tree {
    /// Waits until `holds`; panics when nothing can happen any more and it does not.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.world.changed.notified();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(FOREVER, waiting).await.is_err() {
            let (log, facts) = (self.world.log.lock(), self.world.facts.lock());
            panic!(
                "`{what}` never came: {log:#?} {facts:#?} {:#?}",
                self.kernel.tree(None)
            );
        }
    }

    /// Waits for the life `incarnation` of `at`, and for its supervisor to know of it.
    pub(crate) async fn running(&self, at: &str, incarnation: u64) {
        self.until(&format!("{at} runs for the {incarnation}. time"), |tree| {
            tree.state(at) == Some(SlotState::Running)
                && tree.incarnation(at) == incarnation
                && tree.world.facts.lock().iter().any(|fact| {
                    matches!(fact, Fact::Started { path, incarnation: life, .. }
                        if path.as_str() == at && *life == incarnation)
                })
        })
        .await;
    }

    /// Waits for the life number `nth` at `at`, counted over all slots that were there.
    pub(crate) async fn lives(&self, at: &str, nth: usize) {
        self.until(&format!("{at} lives for the {nth}. time"), |tree| {
            tree.world.lives(at) >= nth && tree.state(at) == Some(SlotState::Running)
        })
        .await;
    }

    /// Waits for this state of `at`, `None` being deleted.
    pub(crate) async fn becomes(&self, at: &str, state: Option<SlotState>) {
        self.until(&format!("{at} is {state:?}"), |tree| {
            tree.state(at) == state
        })
        .await;
    }

    /// Waits until `at` had so many exits and failed starts.
    pub(crate) async fn exits(&self, at: &str, count: usize) {
        self.until(&format!("{at} exits {count} times"), |tree| {
            tree.world.exits(at).len() >= count
        })
        .await;
    }

    /// Sends it what makes it end, and waits until its supervisor has decided what to do.
    pub(crate) async fn end(&self, at: &str, order: Value) {
        let before = self.world.exits(at).len();
        self.kernel.tell(&path(at), order).await.unwrap();
        self.exits(at, before + 1).await;
    }

    /// Crashes it, as [`end`](Self::end) does.
    pub(crate) async fn crash(&self, at: &str) {
        self.end(at, json!({ "crash": "boom" })).await;
    }

    /// Kills it, and waits until its supervisor has decided what to do.
    pub(crate) async fn kill(&self, at: &str) {
        let before = self.world.exits(at).len();
        self.kernel.kill(&path(at), None).await.unwrap();
        self.exits(at, before + 1).await;
    }

    /// Waits for the end of the kernel.
    pub(crate) async fn ended(&self) -> ExitReason {
        let ended = tokio::time::timeout(FOREVER, self.kernel.ended()).await;
        ended.expect("the kernel ends")
    }

    /// Asks the actor at `at` which life it is in.
    pub(crate) async fn ping(&self, at: &str) -> u64 {
        let answer = self
            .kernel
            .ask(&path(at), json!({ "ping": null }), LONG)
            .await
            .unwrap();
        answer.as_u64().unwrap()
    }

    pub(crate) fn state(&self, at: &str) -> Option<SlotState> {
        self.kernel
            .registry()
            .get(&path(at))
            .map(|slot| slot.state())
    }

    pub(crate) fn incarnation(&self, at: &str) -> u64 {
        self.kernel
            .registry()
            .get(&path(at))
            .map_or(0, |slot| slot.incarnation())
    }

    pub(crate) fn mode(&self) -> Mode {
        self.kernel.mode()
    }

    /// The children of a supervisor: id and state, in start order (OTP: `which_children`).
    pub(crate) fn children(&self, at: &str) -> Vec<(String, SlotState)> {
        let view = self.kernel.tree(Some(&path(at))).unwrap().tree.unwrap();
        view.children
            .iter()
            .map(|child| (child.id.to_string(), child.state))
            .collect()
    }

    /// Specs, active, supervisors, workers (OTP: `count_children`).
    pub(crate) fn counts(&self, at: &str) -> [usize; 4] {
        let view = self.kernel.tree(Some(&path(at))).unwrap().tree.unwrap();
        let active = view
            .children
            .iter()
            .filter(|child| child.state == SlotState::Running)
            .count();
        let workers = view
            .children
            .iter()
            .filter(|child| child.node_type == "worker")
            .count();
        [
            view.children.len(),
            active,
            view.children.len() - workers,
            workers,
        ]
    }
}
