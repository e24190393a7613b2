//! What a tree is made of: the specs that a tree file is lowered to.
//!
//! Plain values, no behaviour but their defaults. Every default stands here and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::path::ChildId;
use crate::priority::{LANES, Priority};

/// What a supervisor does about its other children when one of them fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Only the failed child is restarted.
    #[default]
    OneForOne,
    /// All children are stopped in reverse order and started in order.
    OneForAll,
    /// The failed child and those started after it are.
    RestForOne,
}

impl Strategy {
    /// The word in YAML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// When a child that exited is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// When it did not exit `normal`, `shutdown` or `gave_up`.
    Transient,
    /// Never; its slot is deleted.
    Temporary,
}

impl Restart {
    /// The word in YAML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }
}

/// How long a child may take to stop before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// It is killed without being asked.
    BrutalKill,
    /// It is asked, and killed after this long.
    Timeout(Duration),
    /// It is asked, and may take as long as it likes.
    Infinity,
}

/// When a supervisor ends because of its significant children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoShutdown {
    /// Never.
    #[default]
    Never,
    /// When any of them has ended by itself and stays down.
    AnySignificant,
    /// When one of them has and no other runs, is on its way back or is in quarantine.
    AllSignificant,
}

impl AutoShutdown {
    /// The word in YAML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::AnySignificant => "any_significant",
            Self::AllSignificant => "all_significant",
        }
    }
}

/// Why a child cannot be significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignificanceError {
    /// Nothing comes of it.
    #[error("it is significant to a supervisor whose `auto_shutdown` is never")]
    Never,
    /// Its children come and go: none of them is one that its end could wait for.
    #[error("its children are made from a template, so that `auto_shutdown` must be never")]
    Template,
    /// It never stays down.
    #[error("it is significant and permanent: give it `restart: transient` or `temporary`")]
    Permanent,
}

/// Pauses before restart attempts: `min`, `min * factor`, … up to `max`, each spread by `jitter`.
///
/// The count begins anew once the child has run for `max` without an exit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub min: Duration,
    /// The longest pause.
    pub max: Duration,
    /// What a pause is multiplied by for the next. At least 1.
    pub factor: f64,
    /// The share of a pause that chance may add or take away, 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    /// 100 ms to 10 s, doubling, spread by a fifth.
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            max: Duration::from_secs(10),
            factor: 2.0,
            jitter: 0.2,
        }
    }
}

/// What happens to a message for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The sender waits, at most `send_timeout`.
    #[default]
    Block,
    /// The sender gets it back.
    Reject,
    /// The oldest message of its lane becomes a dead letter.
    DropOldest,
    /// It becomes a dead letter itself.
    DropNewest,
}

/// What happens to the messages that wait when the child is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRestart {
    /// They go to the next incarnation.
    #[default]
    Keep,
    /// They become dead letters, as good as what OTP does.
    Drop,
}

/// The bounds of a child's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxSpec {
    /// Messages per lane. At least 1.
    pub capacity: usize,
    /// Lanes with a capacity of their own.
    pub lanes: BTreeMap<Priority, usize>,
    /// What happens when a lane is full.
    pub overflow: Overflow,
    /// How long a sender waits for room.
    pub send_timeout: Duration,
    /// What a restart does to what waits.
    pub on_restart: OnRestart,
    /// How many times a message in hand at a crash is tried again.
    pub retry: u32,
    /// After how many messages taken above it a waiting lane has its turn. At least 1.
    pub fairness: u32,
    /// How long a message may wait; then it becomes a dead letter.
    pub ttl: Option<Duration>,
}

/// One for all workers that say nothing of theirs.
static DEFAULT_MAILBOX: LazyLock<Arc<MailboxSpec>> = LazyLock::new(Arc::default);

impl Default for MailboxSpec {
    fn default() -> Self {
        Self {
            capacity: 1024,
            lanes: BTreeMap::new(),
            overflow: Overflow::default(),
            send_timeout: Duration::from_secs(5),
            on_restart: OnRestart::default(),
            retry: 0,
            fairness: 64,
            ttl: None,
        }
    }
}

impl MailboxSpec {
    /// The capacity of each lane, most urgent first.
    #[must_use]
    pub fn capacities(&self) -> [usize; LANES] {
        Priority::ALL.map(|lane| {
            self.lanes
                .get(&lane)
                .copied()
                .unwrap_or(self.capacity)
                .max(1)
        })
    }
}

/// How often a child is asked for its health, and when it counts as stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthSpec {
    /// Time between two questions.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many answers may fail in a row.
    pub fails: u32,
}

impl Default for HealthSpec {
    /// Every 10 s, 5 s for an answer, three in a row.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            fails: 3,
        }
    }
}

/// How the state of a child is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSpec {
    /// Time between two snapshots. Above zero.
    pub every: Duration,
}

impl Default for StateSpec {
    /// Every 10 s.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
        }
    }
}

/// What is done about a life that does not yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStall {
    /// It is told.
    #[default]
    Report,
    /// It is cut off, and the slot goes on with a new life.
    Abandon,
}

/// Where a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunsOn {
    /// With others on the work runtime.
    #[default]
    Work,
    /// On a thread of its own.
    Own,
}

/// One child of a supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildSpec {
    /// Unique in its supervisor.
    pub id: ChildId,
    /// What people mark it with.
    pub labels: BTreeMap<String, String>,
    /// When it is restarted.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Whether its end can end its supervisor: when it exits by itself and its restart type leaves it down.
    pub significant: bool,
    /// Whether it stays up in safe mode (children of the root only).
    pub essential: bool,
    /// How long its start may take; `None` is for ever.
    pub start_timeout: Option<Duration>,
    /// Pauses before restarts; `None` restarts at once.
    pub backoff: Option<Backoff>,
    /// How long it must run after a change of settings, or a crash, to count as good.
    pub probation: Duration,
    /// Earlier siblings that must run for this one to run.
    pub needs: Vec<ChildId>,
    /// Whether it is not started with its supervisor but waits, as one that was stopped does, until somebody starts it.
    /// No file says so: it is what a stop that was saved comes to.
    pub begins_stopped: bool,
    /// Worker or supervisor.
    pub what: ChildKind,
}

/// What a child is.
#[derive(Debug, Clone, PartialEq)]
pub enum ChildKind {
    /// An actor of a kind.
    Worker(WorkerSpec),
    /// A supervisor of its own children.
    Supervisor(SupervisorSpec),
}

/// What is particular to a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSpec {
    /// The name in the table of kinds.
    pub kind: String,
    /// A JSON object that fits the kind's settings. `${secret:NAME}` in a text stands for a [secret](crate::secret).
    pub settings: Value,
    /// Its mailbox; shared by all workers that have the default.
    pub mailbox: Arc<MailboxSpec>,
    /// Health questions, if it is asked any.
    pub health: Option<HealthSpec>,
    /// Whether its state outlives it.
    pub state: Option<StateSpec>,
    /// How long it may hold its thread without yielding. Above zero.
    pub stall_after: Duration,
    /// What is done when it does so for longer.
    pub stall: OnStall,
    /// Where it runs.
    pub runtime: RunsOn,
    /// What is tried when it crashes again and again.
    pub on_crash: Option<Arc<Ladder>>,
    /// On which node it lives, if not on this one.
    pub place: Option<Arc<Place>>,
}

/// Where a child lives that does not live on the node whose tree it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which node it is.
    pub at: PlaceAt,
    /// For how long it lives there without being renewed. Above zero.
    pub lease: Duration,
    /// What is done when that node cannot be reached.
    pub failover: Failover,
}

impl Place {
    /// For how long a placed child lives without being renewed unless it says otherwise.
    pub const LEASE: Duration = Duration::from_secs(10);
    /// The shortest lease: below, a busy machine would lose its children for being busy.
    pub const LEASE_MIN: Duration = Duration::from_secs(1);
    /// The longest: so long a child of a node that is gone may be missed.
    pub const LEASE_MAX: Duration = Duration::from_secs(3600);
}

/// Which node a child lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceAt {
    /// The one of that name.
    Node(ChildId),
    /// One that is marked with all of these.
    Labels(BTreeMap<String, String>),
}

/// What is done when the node that a child lives on cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failover {
    /// It comes back when the node does.
    #[default]
    Wait,
    /// Once its lease is over it is started on another node that fits.
    Elsewhere,
    /// It is an exit like any other, of kind `node_down`.
    None,
}

impl Failover {
    /// The word in YAML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Elsewhere => "elsewhere",
            Self::None => "none",
        }
    }
}

/// What is tried, step by step, when a worker crashes again and again. While a step is left its crashes are charged to
/// the ladder and not to the budget of its supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// In the order in which they are taken, one at a time.
    pub steps: Vec<LadderStep>,
}

/// One step of a ladder.
#[derive(Debug, Clone, PartialEq)]
pub struct LadderStep {
    /// How many crashes it takes, those before the step above included. At least 1, at most [`Ladder::CRASHES_MAX`].
    pub after: u32,
    /// Within how long, on a sliding window.
    pub within: Duration,
    /// What is done.
    pub action: LadderAction,
}

/// What a step of a ladder does.
#[derive(Debug, Clone, PartialEq)]
pub enum LadderAction {
    /// This object is laid over the settings, instead of what an earlier step laid there.
    Swap(Value),
    /// The last settings that completed their probation come back. Passed over where there are none, or where they are in
    /// force already.
    LastGood,
    /// The child is kept down, so that the rest goes on.
    Quarantine,
}

impl Ladder {
    /// The most crashes that a step may ask for: so many are remembered.
    pub const CRASHES_MAX: u32 = 1_000;
}

/// What is particular to a supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisorSpec {
    /// What it does when a child fails.
    pub strategy: Strategy,
    /// How many restarts it allows within `period`.
    pub intensity: u32,
    /// The window in which restarts are counted. Above zero.
    pub period: Duration,
    /// Whether significant children end it.
    pub auto_shutdown: AutoShutdown,
    /// In start order. Empty where there is a template.
    pub children: Vec<Arc<ChildSpec>>,
    /// What its children are made from, where they come and go while it runs.
    pub template: Option<Arc<Template>>,
    /// How many of its children share a load, if that is what they are there for; see
    /// [`partitioned`](Self::partitioned).
    pub partitions: Option<u32>,
}

/// The kind of a task, which code runs and no file describes.
pub const TASK: &str = "task";

/// What the children of a supervisor are made from (OTP: `simple_one_for_one`; Elixir: `DynamicSupervisor` and
/// `PartitionSupervisor`). They are all alike but for their ids and for what is laid over their settings; a child that
/// ends and does not come back leaves nothing behind, and they stop all at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The child, under an id that none of them has.
    pub child: ChildSpec,
    /// How many there may be, those that are being restarted included.
    pub max_children: Option<usize>,
}

impl Default for SupervisorSpec {
    /// OTP's: one_for_one, one restart in five seconds, no children.
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::default(),
            children: Vec::new(),
            template: None,
            partitions: None,
        }
    }
}

impl SupervisorSpec {
    /// A supervisor of so many children like `child`, called `0`, `1` …, which share a load by key (Elixir:
    /// `PartitionSupervisor`); [`Kernel::partition`](crate::Kernel::partition) says whose a key is. At least one.
    #[must_use]
    pub fn partitioned(child: &ChildSpec, partitions: u32) -> Self {
        let partitions = partitions.max(1);
        let children = (0..partitions).map(|number| {
            Arc::new(ChildSpec {
                id: ChildId::number(number.into()),
                ..child.clone()
            })
        });
        Self {
            children: children.collect(),
            partitions: Some(partitions),
            ..Self::default()
        }
    }

    /// A supervisor of tasks, at most so many at a time; see [`Kernel::run`](crate::Kernel::run).
    #[must_use]
    pub fn tasks(max_children: Option<usize>) -> Self {
        let child = ChildSpec {
            restart: Restart::Temporary,
            ..ChildSpec::worker(Template::id(), TASK)
        };
        let template = Template {
            child,
            max_children,
        };
        Self {
            template: Some(Arc::new(template)),
            ..Self::default()
        }
    }
}

impl Template {
    /// The id that the child of a template has there.
    #[must_use]
    pub fn id() -> ChildId {
        ChildId::known("template")
    }

    /// A child of it: `id`, with `settings` laid over its own. Objects are merged at all depths; anything else replaces.
    #[must_use]
    pub fn child(&self, id: ChildId, settings: Value) -> ChildSpec {
        let mut child = self.child.clone();
        child.id = id;
        if let ChildKind::Worker(worker) = &mut child.what
            && !settings.is_null()
        {
            lay_over(&mut worker.settings, settings);
        }
        child
    }
}

/// Lays `above` over `below`: objects are merged at all depths, anything else replaces.
pub fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

impl ChildSpec {
    /// How long a worker may take to stop unless it says otherwise.
    pub const SHUTDOWN: Duration = Duration::from_secs(5);
    /// How long a worker may take to start unless it says otherwise.
    pub const START_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long a worker may hold its thread unless it says otherwise.
    pub const STALL_AFTER: Duration = Duration::from_secs(5);
    /// How long new settings are on probation unless the child says otherwise.
    pub const PROBATION: Duration = Duration::from_secs(30);

    /// A permanent worker of `kind` with all defaults and empty settings.
    #[must_use]
    pub fn worker(id: ChildId, kind: impl Into<String>) -> Self {
        let what = ChildKind::Worker(WorkerSpec {
            kind: kind.into(),
            settings: Value::Object(Map::new()),
            mailbox: Arc::clone(&DEFAULT_MAILBOX),
            health: None,
            state: None,
            stall_after: Self::STALL_AFTER,
            stall: OnStall::default(),
            runtime: RunsOn::default(),
            on_crash: None,
            place: None,
        });
        Self {
            shutdown: Shutdown::Timeout(Self::SHUTDOWN),
            start_timeout: Some(Self::START_TIMEOUT),
            ..Self::bare(id, what)
        }
    }

    /// A permanent supervisor with all defaults: it may take for ever to start and to stop.
    #[must_use]
    pub fn supervisor(id: ChildId, spec: SupervisorSpec) -> Self {
        Self::bare(id, ChildKind::Supervisor(spec))
    }

    fn bare(id: ChildId, what: ChildKind) -> Self {
        Self {
            id,
            labels: BTreeMap::new(),
            restart: Restart::default(),
            shutdown: Shutdown::Infinity,
            significant: false,
            essential: false,
            start_timeout: None,
            backoff: None,
            probation: Self::PROBATION,
            needs: Vec::new(),
            begins_stopped: false,
            what,
        }
    }

    /// Whether it may be as significant as it is, below a supervisor with this `auto_shutdown`.
    ///
    /// # Errors
    /// [`SignificanceError`]: the two combinations that OTP refuses.
    pub fn check_significance(&self, above: AutoShutdown) -> Result<(), SignificanceError> {
        match (self.significant, above, self.restart) {
            (true, AutoShutdown::Never, _) => Err(SignificanceError::Never),
            (true, _, Restart::Permanent) => Err(SignificanceError::Permanent),
            _ => Ok(()),
        }
    }

    /// The worker's part, if it is one.
    #[must_use]
    pub fn as_worker(&self) -> Option<&WorkerSpec> {
        match &self.what {
            ChildKind::Worker(worker) => Some(worker),
            ChildKind::Supervisor(_) => None,
        }
    }

    /// The worker's part, if it is one, to be changed.
    pub fn as_worker_mut(&mut self) -> Option<&mut WorkerSpec> {
        match &mut self.what {
            ChildKind::Worker(worker) => Some(worker),
            ChildKind::Supervisor(_) => None,
        }
    }

    /// The supervisor's part, if it is one.
    #[must_use]
    pub fn as_supervisor(&self) -> Option<&SupervisorSpec> {
        match &self.what {
            ChildKind::Worker(_) => None,
            ChildKind::Supervisor(supervisor) => Some(supervisor),
        }
    }
}

/// A whole tree: what a tree file is lowered to.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeSpec {
    /// The node's name.
    pub name: String,
    /// Whether this is a test kernel, on which chaos asks no questions.
    pub test: bool,
    /// The root supervisor.
    pub root: SupervisorSpec,
}
