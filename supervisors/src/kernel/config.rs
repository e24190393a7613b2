//! What a kernel is made of: what it is told when it starts.

use super::*;
use crate::bus::Catalog;
use crate::stream::StreamStore;

/// How many lives may be cut off with their threads stuck at a time, unless the kernel is told otherwise.
pub const MAX_ABANDONED: usize = 8;

/// How long a killed life may hold its thread before it is cut off, unless the kernel is told otherwise.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// How long an actor may take to say what it does with new settings, unless the kernel is told otherwise.
pub const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// The settings that were the last to complete their probation in an earlier kernel, by path: those that a ladder
    /// brings back with `last_good`. [`Fact::Proved`] tells of new ones. What does not fit its kind is passed over.
    pub known_good: BTreeMap<ActorPath, Value>,
    /// How many bytes of memory it may use before it sheds messages: see [`memory`]. None unless something is said.
    pub memory_limit: Option<u64>,
    /// How many lives may be cut off with their threads stuck at a time; with so many the node is degraded.
    pub max_abandoned: usize,
    /// How long a killed life may hold its thread before it is cut off.
    pub kill_grace: Duration,
    /// How long an actor may take to say what it does with new settings.
    pub apply_timeout: Duration,
    /// Where events are kept that the catalog says are; nowhere unless something is given.
    pub streams: Option<Arc<dyn StreamStore>>,
    /// Which events there are, to begin with.
    pub catalog: Catalog,
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
            known_good: BTreeMap::new(),
            memory_limit: None,
            max_abandoned: MAX_ABANDONED,
            kill_grace: KILL_GRACE,
            apply_timeout: APPLY_TIMEOUT,
            streams: None,
            catalog: Catalog::default(),
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
