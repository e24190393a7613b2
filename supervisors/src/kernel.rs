//! The kernel: one running tree in one process. A value, never a global.
//!
//! It holds what all actors share (clock, chance, runtimes, registry, dead letters) and is the way in for
//! everybody outside: requests by path, messages as JSON, the tree as it is. Above the root and the
//! services stands one hidden supervisor that brings both back whatever happens.

mod build;
mod config;
mod error;
mod ladders;
pub mod memory;
mod partitions;
mod reload;
mod requests;
mod tasks;

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap, VecDeque};
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

use crate::address::{Address, JsonAddress};
use crate::bus::Bus;
use crate::clock::Clock;
use crate::counts::{Counter, OTHERS};
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
use crate::supervisor::{SupervisorMessage, register, role, start_supervisor};
use crate::threads::WorkThreads;
use crate::watchdog;

pub use self::config::{
    APPLY_TIMEOUT, KILL_GRACE, KernelConfig, MAX_ABANDONED, Observer, Runtimes, Shared,
};
pub use self::error::{BuildError, KernelError};
use self::ladders::Ladders;

/// Where the kernel's own services live.
pub const SYSTEM: &str = "/system";
/// The hidden supervisor above the root and the services. No id has this form.
pub(crate) const TOP: &str = "";
/// How many characters of a reason that a person gives are kept.
const REASON_LEN_MAX: usize = 500;
/// How many deleted slots leave their history behind.
const TOMBSTONES_MAX: usize = 64;

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
    counter: Counter,
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
    kill_grace_ms: AtomicU64,
    apply_timeout_ms: AtomicU64,
    shared: Mutex<Shared>,
    groups: Arc<Groups>,
    bus: Arc<Bus>,
    /// One change of the tree at a time.
    reloading: tokio::sync::Mutex<()>,
    /// Held while the specs of supervisors are replaced, which hold those of all below.
    specs: Mutex<()>,
    ladders: Ladders,
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
    pub async fn start(mut config: KernelConfig, tree: TreeSpec) -> Result<Self, BuildError> {
        config.clock = config.clock.that_jumps();
        let path = ActorPath::top();
        // Of a chance of its own, so that events change nothing of what is drawn else.
        let drawn = fastrand::Rng::with_seed(config.seed).u32(..);
        let store = config.streams.clone();
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
            counter: Counter::default(),
            life: Life::new(path.clone(), 1),
            mode_changed: Notify::new(),
            serials: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            memory: Mutex::new(memory::Measured::new(config.memory_limit)),
            abandoned: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            stall_after_ms: AtomicU64::new(u64::MAX),
            kill_grace_ms: AtomicU64::new(to_ms(config.kill_grace)),
            apply_timeout_ms: AtomicU64::new(to_ms(config.apply_timeout)),
            shared: Mutex::new(config.shared.clone()),
            groups: Arc::default(),
            bus: Bus::new(config.clock, drawn, config.catalog.clone(), store),
            reloading: tokio::sync::Mutex::default(),
            specs: Mutex::default(),
            ladders: Ladders::new(&config.known_good),
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

    /// What its chance began with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.config.seed
    }

    /// Its kinds.
    #[must_use]
    pub fn kinds(&self) -> &Kinds {
        &self.0.config.kinds
    }

    /// Where the states of its children are kept.
    #[must_use]
    pub fn states(&self) -> &Arc<dyn StateStore> {
        &self.0.config.states
    }

    /// Its secrets: what is shown or written of it goes through [`Secrets::mask`](crate::Secrets::mask).
    #[must_use]
    pub fn secrets(&self) -> &crate::Secrets {
        self.0.config.kinds.secrets()
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

    /// The event bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.0.bus
    }

    /// The last of what happened, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<SystemEvent> {
        self.0.events.all()
    }

    /// At most `limit` of what happened after the event with the id `after`, oldest first; waits until something has. Where
    /// the first one's id does not follow, those between are kept no more.
    pub async fn events_after(&self, after: u64, limit: usize) -> Vec<SystemEvent> {
        self.0.events.after(after, limit).await
    }

    /// The typed address of the actor at `path`, if there is one that receives `M`.
    #[must_use]
    pub fn address<M: Message>(&self, path: &ActorPath) -> Option<Address<M>> {
        let slot = self.0.registry.get(path)?;
        let mailbox = slot.worker()?.mailbox();
        mailbox.downcast::<Mailbox<M>>().ok().map(Address::new)
    }

    /// The address of the worker at `path`, for messages in their JSON form.
    #[must_use]
    pub fn json_address(&self, path: &ActorPath) -> Option<JsonAddress> {
        JsonAddress::new(self.0.registry.get(path)?)
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

    /// Draws from its chance, which is seeded.
    pub fn with_rng<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        // Foreign code draws from a fork: the lock is free again before it runs.
        let mut fork = self.0.rng.lock().fork();
        draw(&mut fork)
    }

    pub(crate) fn report(&self, fact: Fact) {
        fact.log();
        self.0.counter.note(&fact, Instant::now(), |path| {
            let slot = self.0.registry.get(path);
            slot.map_or_else(|| OTHERS.to_owned(), |slot| slot.kind())
        });
        if let Some(observer) = &self.0.config.observer {
            observer(&fact);
        }
        self.0.events.keep(fact, self.clock().wall());
    }

    pub(crate) fn counter(&self) -> &Counter {
        &self.0.counter
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

    /// How many tasks there are on its runtimes: what grows where something is started and never ends.
    #[must_use]
    pub fn tasks(&self) -> usize {
        let runtimes = &self.0.config.runtimes;
        let of = |runtime: &Handle| runtime.metrics().num_alive_tasks();
        let control = of(&runtimes.control);
        if runtimes.control.id() == runtimes.work.id() {
            control
        } else {
            control + of(&runtimes.work)
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
        Duration::from_millis(self.0.kill_grace_ms.load(Ordering::Relaxed))
    }

    /// Sets another time of grace, for kills from now on.
    pub fn set_kill_grace(&self, grace: Duration) {
        self.0.kill_grace_ms.store(to_ms(grace), Ordering::Relaxed);
    }

    /// How long an actor may take to say what it does with new settings.
    pub(crate) fn apply_timeout(&self) -> Duration {
        Duration::from_millis(self.0.apply_timeout_ms.load(Ordering::Relaxed))
    }

    /// Changes how long an actor may take to say what it does with new settings.
    pub fn set_apply_timeout(&self, timeout: Duration) {
        self.0
            .apply_timeout_ms
            .store(to_ms(timeout), Ordering::Relaxed);
    }

    /// What outlives the supervisors of children that have ladders.
    pub(crate) fn ladders(&self) -> &Ladders {
        &self.0.ladders
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

    /// Times from now on, for so long, what the threads of workers work for; each life adds it up. Until somebody asks for
    /// it, it costs a look a poll.
    pub fn time_lives(&self, long: Duration) {
        for cell in self
            .threads()
            .into_iter()
            .flat_map(|threads| threads.cells())
        {
            cell.time_for(long);
        }
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
        slot: &Slot,
        life: &Arc<Life>,
        start: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, ExitReason> {
        if slot.worker().is_some_and(WorkerBody::is_service) {
            return Ok(self.0.config.runtimes.control.spawn(start));
        }
        let spec = slot.spec();
        // What stands in for a child on another node needs no thread.
        let runs_on = spec
            .as_worker()
            .filter(|worker| worker.place.is_none())
            .map(|worker| worker.runtime)
            .unwrap_or_default();
        let threads = self.threads().filter(|threads| !threads.is_simulated());
        let (RunsOn::Own, Some(threads)) = (runs_on, threads) else {
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

fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
