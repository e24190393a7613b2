//! The kernel: one running tree in one process. A value, never a global.
//!
//! It holds what all actors share (clock, chance, runtimes, registry, dead letters) and is the way in for
//! everybody outside: requests by path, messages as JSON, the tree as it is. Above the root and the
//! services stands one hidden supervisor that brings both back whatever happens.

pub mod memory;
mod partitions;
mod requests;
mod tasks;

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use crate::address::Address;
use crate::clock::Clock;
use crate::dead_letter::{DeadLetterBox, DeadLetters, DeadReason};
use crate::event::{Events, SystemEvent};
use crate::exit::{ExitKind, ExitReason};
use crate::group::Groups;
use crate::kind::{BodySeed, Kinds, SettingsError, Undelivered, WorkerBody};
use crate::life::Life;
use crate::mailbox::Mailbox;
use crate::message::{Message, MessageError, NoAnswer};
use crate::path::{ActorPath, ChildId};
use crate::registry::Registry;
use crate::report::Fact;
use crate::slot::{Body, ExitRecord, Slot, SupervisorBody};
use crate::spec::{
    AutoShutdown, ChildKind, ChildSpec, RunsOn, SignificanceError, SupervisorSpec, Template,
    TreeSpec,
};
use crate::state::{MemoryStore, StateStore};
use crate::supervisor::core::{Done, Request, RequestError, Role};
use crate::supervisor::{SupervisorMessage, facts, register, role, start_supervisor};
use crate::threads::WorkThreads;
use crate::watchdog;

/// Where the kernel's own services live.
pub const SYSTEM: &str = "/system";
/// The hidden supervisor above the root and the services. No id has this form.
pub(crate) const TOP: &str = "";
/// How many characters of a reason that a person gives are kept.
const REASON_LEN_MAX: usize = 500;
/// How many deleted slots leave their history behind.
const TOMBSTONES_MAX: usize = 64;

/// How many lives may be cut off with their threads stuck at a time, unless the kernel is told otherwise.
pub const MAX_ABANDONED: usize = 8;

/// How long a killed life may hold its thread before it is cut off, unless the kernel is told otherwise.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// How the kernel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Mode {
    /// The first start of the tree is under way.
    Booting,
    /// All is well, as far as the root is concerned.
    Normal,
    /// The root used up its budget: essential children run, the rest is quarantined.
    Safe,
    /// It is shutting down, or is down.
    Stopping,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Booting, Self::Normal, Self::Safe, Self::Stopping];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Normal => "normal",
            Self::Safe => "safe",
            Self::Stopping => "stopping",
        }
    }
}

/// Where actors run: supervisors and services on one runtime, workers on the other.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// For supervisors, control and the kernel's services.
    pub control: Handle,
    /// For workers.
    pub work: Handle,
    /// The threads of `work`. Without them, as in simulation, nobody watches for stalls, and who asks for a thread of its
    /// own shares those of `work`.
    pub threads: Option<Arc<WorkThreads>>,
}

impl Runtimes {
    /// Both on the runtime of the caller: for tests and simulation.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        Self {
            control: Handle::current(),
            work: Handle::current(),
            threads: None,
        }
    }
}

/// Hears of each [`Fact`].
pub type Observer = Arc<dyn Fn(&Fact) + Send + Sync>;

/// What a kernel is made of.
#[derive(Clone)]
pub struct KernelConfig {
    /// Where actors run.
    pub runtimes: Runtimes,
    /// The kinds that tree files name.
    pub kinds: Kinds,
    /// The kinds of the kernel's services.
    pub service_kinds: Kinds,
    /// The children of `/system`.
    pub services: Vec<ChildSpec>,
    /// The wall clock.
    pub clock: Clock,
    /// What chance begins with.
    pub seed: u64,
    /// Hears of what happens.
    pub observer: Option<Observer>,
    /// Whether a root that used up its budget ends the kernel, as OTP's does, instead of entering safe mode.
    pub exit_on_give_up: bool,
    /// Why it boots into safe mode, if it does: then only essential children of the root are started.
    pub safe: Option<String>,
    /// Where the states of children that keep theirs are kept; in memory unless something better is given.
    pub states: Arc<dyn StateStore>,
    /// How many bytes of memory it may use before it sheds messages: see [`memory`]. None unless something is said.
    pub memory_limit: Option<u64>,
    /// How many lives may be cut off with their threads stuck at a time; with so many the node is degraded.
    pub max_abandoned: usize,
    /// How long a killed life may hold its thread before it is cut off.
    pub kill_grace: Duration,
    /// What [`Kernel::shared`] holds from the start; add to it with [`with_shared`](Self::with_shared).
    pub shared: Shared,
    /// A fault planted on purpose.
    #[cfg(test)]
    pub(crate) bug: Option<crate::bug::Bug>,
}

impl fmt::Debug for KernelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelConfig")
            .field("kinds", &self.kinds)
            .finish_non_exhaustive()
    }
}

impl KernelConfig {
    /// No services, no observer, the machine's clock.
    #[must_use]
    pub fn new(runtimes: Runtimes, kinds: Kinds, seed: u64) -> Self {
        Self {
            runtimes,
            kinds,
            service_kinds: Kinds::new(),
            services: Vec::new(),
            clock: Clock::real(),
            seed,
            observer: None,
            exit_on_give_up: false,
            safe: None,
            states: Arc::new(MemoryStore::default()),
            memory_limit: None,
            max_abandoned: MAX_ABANDONED,
            kill_grace: KILL_GRACE,
            shared: Shared::new(),
            #[cfg(test)]
            bug: None,
        }
    }
}

impl KernelConfig {
    /// Gives the actors of the kernel something to share, found by its type with [`Kernel::shared`].
    #[must_use]
    pub fn with_shared<T: Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.shared.insert(TypeId::of::<T>(), value);
        self
    }
}

/// Values by type.
pub type Shared = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Why a slot cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is no such kind.
    #[error("`{path}`: there is no kind `{kind}`")]
    UnknownKind {
        /// Where.
        path: ActorPath,
        /// Which.
        kind: String,
    },
    /// There is no thread for the watchdog.
    #[error("cannot start the watchdog: {0}")]
    Watchdog(std::io::ErrorKind),
    /// The settings do not fit the kind.
    #[error("`{path}`: settings do not fit kind `{kind}`: {error}")]
    Settings {
        /// Where.
        path: ActorPath,
        /// Which.
        kind: String,
        /// What is wrong.
        error: SettingsError,
    },
    /// It cannot be significant there.
    #[error("`{path}`: {error}")]
    Significance {
        /// Where.
        path: ActorPath,
        /// Why not.
        error: SignificanceError,
    },
}

/// Why something asked of the kernel was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// Nothing is at that path.
    #[error("there is no `{0}`")]
    NotFound(ActorPath),
    /// The supervisor refused.
    #[error("`{path}`: {error}")]
    Refused {
        /// Where.
        path: ActorPath,
        /// Why.
        error: RequestError,
    },
    /// The root and `/system` cannot be asked this.
    #[error(
        "`{0}` is the kernel's own and always there: it cannot be stopped or deleted, and nothing can be added to it"
    )]
    Fixed(ActorPath),
    /// A worker has no children.
    #[error("`{0}` is a worker, not a supervisor: it has no children")]
    NotASupervisor(ActorPath),
    /// A supervisor takes no messages.
    #[error("`{0}` is a supervisor: it takes no messages")]
    NotAWorker(ActorPath),
    /// Its children are made from a template, and this one was not.
    #[error(
        "the children of `{0}` are made from its template: one more takes an id and settings, nothing else"
    )]
    HasTemplate(ActorPath),
    /// There is no template that a child could be made from.
    #[error("`{0}` has no template: one more child takes a whole spec")]
    NoTemplate(ActorPath),
    /// Its children do not share a load.
    #[error("the children of `{0}` are no partitions")]
    NotPartitioned(ActorPath),
    /// All its partitions were taken out.
    #[error("`{0}` has no partition left that takes keys")]
    NoPartition(ActorPath),
    /// It was made with fewer.
    #[error("`{path}` has {most} partitions, and cannot have more")]
    TooManyPartitions {
        /// Where.
        path: ActorPath,
        /// How many it was made with.
        most: u32,
    },
    /// It is no supervisor of tasks.
    #[error("`{0}` is no supervisor of tasks: those have a template of kind `task`")]
    NoTasks(ActorPath),
    /// The child cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The message does not fit the actor.
    #[error("`{path}`: {error}")]
    Message {
        /// Where.
        path: ActorPath,
        /// What is wrong, and what would fit.
        error: MessageError,
    },
    /// The message was not delivered.
    #[error("`{path}`: {error}")]
    Undelivered {
        /// Where.
        path: ActorPath,
        /// Why.
        error: Undelivered,
    },
    /// No answer came.
    #[error("`{path}`: {error}")]
    NoAnswer {
        /// Where.
        path: ActorPath,
        /// Why.
        error: NoAnswer,
    },
}

/// A slot that was deleted, and what it remembered.
#[derive(Debug, Clone, Serialize)]
pub struct Tombstone {
    /// Where it was.
    pub path: ActorPath,
    /// Its last exits, oldest first.
    pub history: Vec<ExitRecord>,
}

struct Inner {
    name: String,
    test: bool,
    config: KernelConfig,
    rng: Mutex<fastrand::Rng>,
    registry: Registry,
    dead_letters: Arc<DeadLetters>,
    mode: AtomicU8,
    safe_reason: Mutex<Option<String>>,
    started: Instant,
    parts: RwLock<Option<Parts>>,
    tombstones: Mutex<VecDeque<Tombstone>>,
    events: Events,
    life: Arc<Life>,
    mode_changed: Notify,
    serials: AtomicU64,
    closed: AtomicBool,
    memory: Mutex<memory::Measured>,
    /// Lives that are cut off with their threads stuck.
    abandoned: AtomicUsize,
    /// Whether it was told that there are as many as may be.
    crowded: AtomicBool,
    /// The least that any child says of `stall_after`, in milliseconds.
    stall_after_ms: AtomicU64,
    shared: Mutex<Shared>,
    groups: Arc<Groups>,
}

/// What makes a kernel and its slots hold each other; dropped at the end.
struct Parts {
    top: Arc<Slot>,
    root: Arc<Slot>,
    system: Arc<Slot>,
}

/// One running tree. Cheap to clone.
#[derive(Clone)]
pub struct Kernel(Arc<Inner>);

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({} {})", self.0.name, self.mode().as_str())
    }
}

impl Kernel {
    /// Makes the slots of `tree` and begins to boot it. [`booted`](Self::booted) waits for the end of the boot.
    ///
    /// # Errors
    /// [`BuildError`] if a child cannot be made; nothing runs then.
    pub async fn start(config: KernelConfig, tree: TreeSpec) -> Result<Self, BuildError> {
        let path = ActorPath::top();
        let kernel = Self(Arc::new(Inner {
            name: tree.name,
            test: tree.test,
            rng: Mutex::new(fastrand::Rng::with_seed(config.seed)),
            registry: Registry::default(),
            dead_letters: DeadLetters::new(config.clock),
            mode: AtomicU8::new(Mode::Booting as u8),
            safe_reason: Mutex::new(config.safe.clone()),
            started: Instant::now(),
            parts: RwLock::new(None),
            tombstones: Mutex::default(),
            events: Events::default(),
            life: Life::new(path.clone(), 1),
            mode_changed: Notify::new(),
            serials: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            memory: Mutex::default(),
            abandoned: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            stall_after_ms: AtomicU64::new(u64::MAX),
            shared: Mutex::new(config.shared.clone()),
            groups: Arc::default(),
            config,
        }));
        let top = kernel.build_top(path, tree.root)?;
        watchdog::begin(&kernel).map_err(|error| BuildError::Watchdog(error.kind()))?;
        let boot = start_supervisor(top, Arc::clone(&kernel.0.life), None);
        let booting = kernel.clone();
        let spawned = kernel.on_control(boot.spawn).await;
        kernel.spawn_control(async move {
            if let Err(reason) = spawned {
                booting.0.life.finish(reason);
            } else if matches!(boot.began.await, Ok(Ok(()))) {
                let mode = booting.mode_of_root();
                booting.change_mode(Mode::Booting, mode);
            }
            booting.0.life.ended().await;
            booting.close();
        });
        Ok(kernel)
    }

    fn build_top(&self, path: ActorPath, root: SupervisorSpec) -> Result<Arc<Slot>, BuildError> {
        let services = SupervisorSpec {
            children: self
                .0
                .config
                .services
                .iter()
                .cloned()
                .map(Arc::new)
                .collect(),
            ..SupervisorSpec::default()
        };
        let system = Arc::new(ChildSpec::supervisor(ChildId::known("system"), services));
        let root = Arc::new(ChildSpec::supervisor(ChildId::known("root"), root));
        let spec = SupervisorSpec {
            children: vec![Arc::clone(&system), Arc::clone(&root)],
            ..SupervisorSpec::default()
        };
        let system = self.build(ActorPath::root().child(&system.id), &system)?;
        let root = self.build(ActorPath::root(), &root)?;
        let spec = Arc::new(ChildSpec::supervisor(ChildId::known("top"), spec));
        let top = self.build_slot(path, &spec)?;
        register(&system);
        register(&root);
        if let Some(body) = top.supervisor() {
            body.set_children([Arc::clone(&system), Arc::clone(&root)]);
        }
        *self.0.parts.write() = Some(Parts {
            top: Arc::clone(&top),
            root,
            system,
        });
        Ok(top)
    }

    /// Makes a slot, and the slots of all below.
    pub(crate) fn build(
        &self,
        path: ActorPath,
        spec: &Arc<ChildSpec>,
    ) -> Result<Arc<Slot>, BuildError> {
        let slot = self.build_slot(path, spec)?;
        if let Some(supervisor) = spec.as_supervisor()
            && let Some(body) = slot.supervisor()
        {
            if let Some(template) = &supervisor.template {
                check_template(slot.path(), template, supervisor.auto_shutdown)?;
            }
            let mut children = Vec::with_capacity(supervisor.children.len());
            for child in &supervisor.children {
                let path = slot.path().child(&child.id);
                check_significance(&path, child, supervisor.auto_shutdown)?;
                children.push(self.build(path, child)?);
            }
            body.set_children(children);
        }
        Ok(slot)
    }

    fn build_slot(&self, path: ActorPath, spec: &Arc<ChildSpec>) -> Result<Arc<Slot>, BuildError> {
        let body = match &spec.what {
            ChildKind::Supervisor(supervisor) => Body::Supervisor(SupervisorBody {
                children: RwLock::default(),
                window: Mutex::new(crate::intensity::Window::new(
                    supervisor.intensity,
                    supervisor.period,
                )),
                next_id: AtomicU64::new(1),
                partitions: AtomicU32::new(supervisor.partitions.unwrap_or_default()),
                port: Mutex::default(),
            }),
            ChildKind::Worker(worker) => {
                let config = &self.0.config;
                let is_system = path.as_str().starts_with("/system/");
                let kinds = if is_system {
                    &config.service_kinds
                } else {
                    &config.kinds
                };
                let kind = kinds
                    .get(&worker.kind)
                    .ok_or_else(|| BuildError::UnknownKind {
                        path: path.clone(),
                        kind: worker.kind.clone(),
                    })?;
                let dead_letters = DeadLetterBox::new(Arc::clone(&self.0.dead_letters));
                let seed = BodySeed {
                    path: &path,
                    spec: worker,
                    dead_letters,
                    states: &config.states,
                    #[cfg(test)]
                    bug: config.bug,
                };
                let stall_after = u64::try_from(worker.stall_after.as_millis());
                self.0
                    .stall_after_ms
                    .fetch_min(stall_after.unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
                let body = kind.make(seed).map_err(|error| BuildError::Settings {
                    path: path.clone(),
                    kind: worker.kind.clone(),
                    error,
                })?;
                Body::Worker(body.0)
            }
        };
        Ok(Slot::new(path, self.clone(), Arc::clone(spec), body))
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it is a test kernel, on which chaos asks no questions.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.0.test
    }

    /// How it is.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let mode = usize::from(self.0.mode.load(Ordering::Acquire));
        Mode::ALL.get(mode).copied().unwrap_or(Mode::Stopping)
    }

    /// Why it is in safe mode, if it is.
    #[must_use]
    pub fn safe_reason(&self) -> Option<String> {
        self.0.safe_reason.lock().clone()
    }

    /// How long it has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Its wall clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.config.clock
    }

    /// Its kinds.
    #[must_use]
    pub fn kinds(&self) -> &Kinds {
        &self.0.config.kinds
    }

    /// What all actors of this kernel share of a type: made by the first that asks.
    #[must_use]
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut shared = self.0.shared.lock();
        let entry = shared
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(T::default()));
        // The type is the key, so it is the type of the entry.
        Arc::clone(entry).downcast().unwrap_or_default()
    }

    /// All slots by path.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Messages that nobody will handle.
    #[must_use]
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.0.dead_letters
    }

    /// The slot of the root supervisor; `None` once the kernel has ended.
    #[must_use]
    pub fn root(&self) -> Option<Arc<Slot>> {
        self.0
            .parts
            .read()
            .as_ref()
            .map(|parts| Arc::clone(&parts.root))
    }

    /// The slot of `/system`; `None` once the kernel has ended.
    #[must_use]
    pub fn system(&self) -> Option<Arc<Slot>> {
        self.0
            .parts
            .read()
            .as_ref()
            .map(|parts| Arc::clone(&parts.system))
    }

    /// The histories of the last slots that were deleted, oldest first.
    #[must_use]
    pub fn tombstones(&self) -> Vec<Tombstone> {
        self.0.tombstones.lock().iter().cloned().collect()
    }

    /// The last of what happened, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<SystemEvent> {
        self.0.events.all()
    }

    /// The typed address of the actor at `path`, if there is one that receives `M`.
    #[must_use]
    pub fn address<M: Message>(&self, path: &ActorPath) -> Option<Address<M>> {
        let slot = self.0.registry.get(path)?;
        let mailbox = slot.worker()?.mailbox();
        mailbox.downcast::<Mailbox<M>>().ok().map(Address::new)
    }

    pub(crate) fn role_of(&self, path: &ActorPath) -> Role {
        role(path, self.0.config.exit_on_give_up)
    }

    pub(crate) fn groups(&self) -> &Arc<Groups> {
        &self.0.groups
    }

    /// A number that this kernel gives once.
    pub(crate) fn next_serial(&self) -> u64 {
        self.0.serials.fetch_add(1, Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn bug(&self) -> Option<crate::bug::Bug> {
        self.0.config.bug
    }

    pub(crate) fn with_rng<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        // Foreign code draws from a fork: the lock is free again before it runs.
        let mut fork = self.0.rng.lock().fork();
        draw(&mut fork)
    }

    pub(crate) fn report(&self, fact: Fact) {
        fact.log();
        if let Some(observer) = &self.0.config.observer {
            observer(&fact);
        }
        self.0.events.keep(fact, self.clock().wall());
    }

    pub(crate) fn set_safe(&self, why: Option<String>) {
        self.0.safe_reason.lock().clone_from(&why);
        self.report(Fact::Safe { why });
        // A boot goes on until the essential children are up.
        let mode = self.mode_of_root();
        self.change_mode(Mode::Normal, mode);
        self.change_mode(Mode::Safe, mode);
    }

    fn mode_of_root(&self) -> Mode {
        if self.0.safe_reason.lock().is_some() {
            Mode::Safe
        } else {
            Mode::Normal
        }
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.0.mode.store(mode as u8, Ordering::Release);
        self.0.mode_changed.notify_waiters();
    }

    fn change_mode(&self, from: Mode, to: Mode) {
        let changed =
            self.0
                .mode
                .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire);
        if changed.is_ok() {
            self.0.mode_changed.notify_waiters();
        }
    }

    /// How many lives are cut off with their threads stuck.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.0.abandoned.load(Ordering::Acquire)
    }

    /// How many may be at a time; with so many the node is degraded.
    #[must_use]
    pub fn max_abandoned(&self) -> usize {
        self.0.config.max_abandoned
    }

    /// How long a killed life may hold its thread before it is cut off.
    pub(crate) fn kill_grace(&self) -> Duration {
        self.0.config.kill_grace
    }

    /// Makes room for one more that is cut off. There is always some at the end, when none comes after it.
    pub(crate) fn may_abandon(&self) -> bool {
        let most = match self.mode() {
            Mode::Stopping => usize::MAX,
            _ => self.max_abandoned(),
        };
        let one_more = |abandoned| (abandoned < most).then_some(abandoned + 1);
        let before = self
            .0
            .abandoned
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        if let Err(abandoned) = before
            && !self.0.crowded.swap(true, Ordering::AcqRel)
        {
            let abandoned = abandoned as u64;
            self.report(Fact::Crowded { abandoned });
        }
        before.is_ok()
    }

    /// One that was cut off is so no more.
    pub(crate) fn let_go(&self) {
        self.0.abandoned.fetch_sub(1, Ordering::AcqRel);
        self.0.crowded.store(false, Ordering::Release);
    }

    /// The least that any child says of `stall_after`.
    pub(crate) fn stall_after(&self) -> Duration {
        Duration::from_millis(self.0.stall_after_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn threads(&self) -> Option<&Arc<WorkThreads>> {
        self.0.config.runtimes.threads.as_ref()
    }

    pub(crate) fn has_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Does not keep it alive.
    pub(crate) fn downgrade(&self) -> WeakKernel {
        WeakKernel(Arc::downgrade(&self.0))
    }

    /// Keeps the history of a slot that is deleted.
    pub(crate) fn bury(&self, slot: &Slot) {
        let history = slot.history();
        if history.is_empty() {
            return;
        }
        let mut tombstones = self.0.tombstones.lock();
        if tombstones.len() >= TOMBSTONES_MAX {
            tombstones.pop_front();
        }
        tombstones.push_back(Tombstone {
            path: slot.path().clone(),
            history,
        });
    }

    /// Lets go of all slots, so that the kernel and they can be freed.
    fn close(&self) {
        self.set_mode(Mode::Stopping);
        let parts = self.0.parts.write().take();
        if let Some(parts) = parts {
            parts.root.delete(DeadReason::Stopped);
            parts.system.delete(DeadReason::Stopped);
        }
        self.0.closed.store(true, Ordering::Release);
        self.0.mode_changed.notify_waiters();
    }

    pub(crate) fn spawn_task(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        match Handle::try_current() {
            Ok(runtime) => runtime.spawn(work).abort_handle(),
            Err(_outside) => self.0.config.runtimes.work.spawn(work).abort_handle(),
        }
    }

    /// Begins the start of a worker where its life will run: on the control runtime if it is a service, on a thread of its
    /// own if it asks for one, else on the work runtime.
    pub(crate) fn spawn_start<T: Send + 'static>(
        &self,
        worker: &dyn WorkerBody,
        life: &Arc<Life>,
        start: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, ExitReason> {
        if worker.is_service() {
            return Ok(self.0.config.runtimes.control.spawn(start));
        }
        let threads = self.threads().filter(|threads| !threads.is_simulated());
        let (RunsOn::Own, Some(threads)) = (worker.runs_on(), threads) else {
            return Ok(self.spawn_work(start));
        };
        let life = Arc::clone(life);
        let over = async move { life.ended().await };
        threads
            .alone(start, over)
            .map_err(|error| ExitReason::error(format!("it got no thread of its own: {error}")))
    }

    /// Runs `work` on the work runtime.
    pub(crate) fn spawn_work<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.config.runtimes.work.spawn(work)
    }

    pub(crate) fn spawn_control(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        self.0.config.runtimes.control.spawn(work).abort_handle()
    }

    /// Runs `work` on the control runtime and waits for it; dropping the wait drops the work.
    pub(crate) async fn on_control<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ExitReason>> + Send + 'static,
    ) -> Result<T, ExitReason> {
        let task = self.0.config.runtimes.control.spawn(work);
        let _guard = AbortOnDrop(task.abort_handle());
        match task.await {
            Ok(done) => done,
            Err(error) => Err(ExitReason::error(error.to_string())),
        }
    }
}

/// The supervisor at `path` does not wait for the end of children that come and go, nor is one of them significant.
fn check_template(
    path: &ActorPath,
    template: &Template,
    auto_shutdown: AutoShutdown,
) -> Result<(), BuildError> {
    if auto_shutdown != AutoShutdown::Never {
        return Err(BuildError::Significance {
            path: path.clone(),
            error: SignificanceError::Template,
        });
    }
    check_significance(
        &path.child(&template.child.id),
        &template.child,
        auto_shutdown,
    )
}

fn check_significance(
    path: &ActorPath,
    child: &ChildSpec,
    above: AutoShutdown,
) -> Result<(), BuildError> {
    let checked = child.check_significance(above);
    checked.map_err(|error| BuildError::Significance {
        path: path.clone(),
        error,
    })
}

/// A kernel that may be gone.
#[derive(Debug)]
pub(crate) struct WeakKernel(Weak<Inner>);

impl WeakKernel {
    /// The kernel, until it has closed.
    pub(crate) fn upgrade(&self) -> Option<Kernel> {
        let kernel = self.0.upgrade().map(Kernel)?;
        (!kernel.has_closed()).then_some(kernel)
    }
}

/// A task of simulation and tests, which no life owns.
pub(crate) fn spawn_detached(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    Handle::current().spawn(work)
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
