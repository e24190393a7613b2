//! A child's place in its supervisor: path, spec, mailbox, history. Outlives restarts.
//!
//! Whoever wants to know something of a child reads its slot; nobody asks a supervisor. A slot is made
//! when its supervisor begins a life and deleted when that life ends: a restarted supervisor's children
//! get new ones.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use ractor::ActorRef;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::dead_letter::DeadReason;
use crate::exit::ExitReason;
use crate::fault::StartFault;
use crate::intensity::Window;
use crate::kernel::Kernel;
use crate::kind::{SettingsError, WorkerBody};
use crate::ladder::{LadderNote, Swap};
use crate::life::Life;
use crate::mailbox::Gate;
use crate::path::{ActorPath, ChildId};
use crate::report::Fact;
use crate::spec::{ChildSpec, Restart};
use crate::state::Kept;
use crate::supervisor::SupervisorMessage;
use crate::supervisor::core::Key;

/// How many exits a slot remembers.
pub const HISTORY_LEN_MAX: usize = 32;

/// What a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SlotState {
    /// Its start is under way, or it waits for a sibling that it needs.
    Starting,
    /// It runs.
    Running,
    /// It crashed; it is being started again, or its start failed and is tried again.
    Restarting,
    /// It crashed; its next start waits for the backoff to pass.
    Backoff,
    /// It was asked to stop.
    Stopping,
    /// It is down until somebody starts it.
    Stopped,
    /// Its start said that there is nothing to do.
    Ignored,
    /// It is kept down so that the rest goes on, until it is released.
    Quarantined,
    /// It takes no messages until it is resumed.
    Suspended,
}

impl SlotState {
    /// All of them, as numbered.
    pub const ALL: [Self; 9] = [
        Self::Starting,
        Self::Running,
        Self::Restarting,
        Self::Backoff,
        Self::Stopping,
        Self::Stopped,
        Self::Ignored,
        Self::Quarantined,
        Self::Suspended,
    ];

    /// Whether what is there is up; what somebody suspended is.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Suspended)
    }

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Backoff => "backoff",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
            Self::Suspended => "suspended",
        }
    }

    /// What becomes of messages sent in this state.
    fn gate(self) -> (Gate, DeadReason) {
        match self {
            Self::Stopped | Self::Ignored => (Gate::NotRunning, DeadReason::Stopped),
            Self::Quarantined => (Gate::NotRunning, DeadReason::Quarantined),
            _ => (Gate::Open, DeadReason::Stopped),
        }
    }
}

/// What was done about an exit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Response {
    /// Started again at once.
    Restarted,
    /// Started again after a pause.
    Backoff {
        /// The pause.
        pause_ms: u64,
    },
    /// Started again at once, with the settings that it had before their last change, which was on probation.
    RolledBack,
    /// Left down: its restart type and this exit ask for that.
    LeftDown,
    /// Left down: a person or its group's restart stopped it.
    Stopped,
    /// Stopped as well, but not in order: it was killed after its time to stop, or failed before or while it stopped.
    StopFailed,
    /// Its slot was deleted: it is temporary.
    Deleted,
    /// Put into quarantine.
    Quarantined,
    /// Its supervisor gave up.
    GaveUp,
    /// Its supervisor shut itself down, because it is significant.
    AutoShutdown,
}

/// One exit, or failed start, of a slot.
#[derive(Debug, Clone, Serialize)]
pub struct ExitRecord {
    /// When.
    pub at: Timestamp,
    /// On the monotonic clock.
    #[serde(skip)]
    pub when: Instant,
    /// Which life.
    pub incarnation: u64,
    /// Whether it never came to run.
    pub failed_start: bool,
    /// Why.
    pub reason: ExitReason,
    /// The name of the message it had in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_hand: Option<&'static str>,
    /// What was done about it.
    #[serde(flatten)]
    pub response: Response,
    /// What its ladder made of it, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ladder: Option<Box<LadderNote>>,
}

/// A life that does not yield, or does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// Which life.
    pub incarnation: u64,
    /// Since when, on the monotonic clock.
    pub since: Instant,
    /// The name of the message that it has in hand.
    pub in_hand: Option<&'static str>,
    /// What it does not do.
    pub what: StallKind,
}

/// Where a child lives that lives on another node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// On which node; `None` while it lives nowhere.
    pub node: Option<String>,
    /// Why it lives nowhere, or what is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a life is stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StallKind {
    /// It holds its thread and does not yield.
    HoldsThread,
    /// It does not answer when it is asked for its health.
    NoAnswer,
}

/// What a slot holds.
pub(crate) enum Body {
    Worker(Box<dyn WorkerBody>),
    Supervisor(SupervisorBody),
}

/// A supervisor's part of its slot.
pub(crate) struct SupervisorBody {
    /// By the keys of its core, which are in start order.
    pub(crate) children: RwLock<BTreeMap<Key, Arc<Slot>>>,
    pub(crate) window: Mutex<Window>,
    /// What the next child of a template is called that is given no id.
    pub(crate) next_id: AtomicU64,
    /// How many of its partitions take keys.
    pub(crate) partitions: AtomicU32,
    /// The actor behind it, while it lives.
    pub(crate) port: Mutex<Option<Port>>,
}

/// The actor behind a supervisor's slot, and the life that it is.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) actor: ActorRef<SupervisorMessage>,
    pub(crate) life: Arc<Life>,
}

impl SupervisorBody {
    /// The child with this key.
    pub(crate) fn child(&self, key: Key) -> Option<Arc<Slot>> {
        self.children.read().get(&key).cloned()
    }

    /// Gives it its children as its core will number them.
    pub(crate) fn set_children(&self, children: impl IntoIterator<Item = Arc<Slot>>) {
        *self.children.write() = (0..).zip(children).collect();
    }

    /// Deletes the slots of all children: addresses into them say `Gone`.
    pub(crate) fn forget_children(&self, reason: DeadReason) {
        let children = std::mem::take(&mut *self.children.write());
        for child in children.values().rev() {
            child.delete(reason);
        }
    }
}

/// A child's place in its supervisor.
pub struct Slot {
    path: ActorPath,
    serial: u64,
    kernel: Kernel,
    id: ChildId,
    spec: ArcSwap<ChildSpec>,
    /// What a ladder has put in the place of its settings.
    swap: Mutex<Option<Box<Swap>>>,
    state: AtomicU8,
    incarnation: AtomicU64,
    starts: AtomicU64,
    restarts: AtomicU64,
    abandoned: AtomicU64,
    life: Mutex<Option<Arc<Life>>>,
    stall: Mutex<Option<Box<Stall>>>,
    placement: Mutex<Option<Box<Placement>>>,
    start_fault: Mutex<Option<Box<StartFault>>>,
    history: Mutex<VecDeque<ExitRecord>>,
    buried: AtomicBool,
    body: Body,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({} {})", self.path, self.state().as_str())
    }
}

impl Slot {
    pub(crate) fn new(
        path: ActorPath,
        kernel: Kernel,
        spec: Arc<ChildSpec>,
        body: Body,
    ) -> Arc<Self> {
        Arc::new(Self {
            path,
            serial: kernel.next_serial(),
            kernel,
            id: spec.id.clone(),
            spec: ArcSwap::new(spec),
            swap: Mutex::default(),
            state: AtomicU8::new(SlotState::Starting as u8),
            incarnation: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            life: Mutex::default(),
            stall: Mutex::default(),
            placement: Mutex::default(),
            start_fault: Mutex::default(),
            history: Mutex::default(),
            buried: AtomicBool::new(false),
            body,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.path
    }

    /// What tells it from all other slots of the kernel, earlier ones of the same path included.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Its id in its supervisor.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.id
    }

    /// What it is to be now: what it was made from, or what took the place of that while it runs.
    #[must_use]
    pub fn spec(&self) -> Arc<ChildSpec> {
        self.spec.load_full()
    }

    /// Its settings in force: those of its spec, or what a ladder has made of them. A supervisor has none.
    #[must_use]
    pub fn settings(&self) -> Value {
        let spec = self.spec();
        match (spec.as_worker(), self.swap()) {
            (None, _) => Value::Null,
            (Some(worker), None) => worker.settings.clone(),
            (Some(worker), Some(swap)) => swap.in_force(&worker.settings),
        }
    }

    /// What a ladder has put in the place of its settings, if one has.
    #[must_use]
    pub fn swap(&self) -> Option<Swap> {
        self.swap.lock().as_deref().cloned()
    }

    /// Gives it another spec, and what is laid over the settings of that. Settings that differ are in force for every
    /// handle from here on; a life that does not look at its handle takes them when it is asked to, or with the next one.
    ///
    /// # Errors
    /// [`SettingsError`] if its kind does not take them; then nothing changes.
    pub(crate) fn respec(
        &self,
        spec: Arc<ChildSpec>,
        swap: Option<Swap>,
    ) -> Result<(), SettingsError> {
        let before = self.spec();
        if let (Some(body), Some(worker), Some(former)) =
            (self.worker(), spec.as_worker(), before.as_worker())
        {
            let own = &worker.settings;
            let settings = swap
                .as_ref()
                .map_or_else(|| own.clone(), |swap| swap.in_force(own));
            if settings != self.settings() {
                body.set_settings(body.parse(&settings, self.kernel.secrets())?);
            }
            if worker.mailbox != former.mailbox {
                body.set_mailbox(&worker.mailbox);
            }
            if worker.state != former.state {
                body.set_kept(&worker.kind, worker.state, self.kernel.states());
            }
        }
        *self.swap.lock() = swap.map(Box::new);
        self.spec.store(spec);
        Ok(())
    }

    /// The kernel it belongs to.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> SlotState {
        let state = usize::from(self.state.load(Ordering::Acquire));
        SlotState::ALL
            .get(state)
            .copied()
            .unwrap_or(SlotState::Stopped)
    }

    /// Its current life, or the last one; 0 before the first.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// How many times it was started, failed starts included.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// How many times it was restarted by its supervisor.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// How many of its lives are stuck on a thread and cut off.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// How many messages a life of it ended with and the next one was given again, as `retry` of its mailbox allows; 0 for a
    /// supervisor.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.worker().map_or(0, |worker| worker.retried())
    }

    /// Where it lives, if that is another node.
    #[must_use]
    pub fn placement(&self) -> Option<Placement> {
        self.placement.lock().as_deref().cloned()
    }

    pub(crate) fn set_placement(&self, placement: Placement) {
        let former = self.placement.lock().replace(Box::new(placement.clone()));
        if former.as_deref() != Some(&placement) {
            self.kernel.report(Fact::Placed {
                path: self.path.clone(),
                placement,
            });
        }
    }

    /// How its life is stalled, if it is.
    #[must_use]
    pub fn stall(&self) -> Option<Stall> {
        let stall = self.stall.lock().as_deref().cloned()?;
        let life = self.life().filter(|life| !life.has_ended())?;
        (life.incarnation() == stall.incarnation).then_some(stall)
    }

    /// Its last exits, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<ExitRecord> {
        self.history.lock().iter().cloned().collect()
    }

    /// Its last exit.
    #[must_use]
    pub fn last_exit(&self) -> Option<ExitRecord> {
        self.history.lock().back().cloned()
    }

    /// Its children in start order, if it is a supervisor.
    #[must_use]
    pub fn children(&self) -> Vec<Arc<Self>> {
        self.first_children(usize::MAX)
    }

    /// The first of its children.
    pub(crate) fn first_children(&self, most: usize) -> Vec<Arc<Self>> {
        match &self.body {
            Body::Worker(_) => Vec::new(),
            Body::Supervisor(supervisor) => {
                let children = supervisor.children.read();
                children.values().take(most).cloned().collect()
            }
        }
    }

    /// All permanent children below it that are up. Those of a template do not outlive their supervisor, so they are none of
    /// them.
    #[must_use]
    pub fn permanent_below(&self) -> Vec<Arc<Self>> {
        let spec = self.spec();
        let supervisor = spec.as_supervisor();
        if supervisor.is_none_or(|spec| spec.template.is_some()) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for child in self.children() {
            let below = child.permanent_below();
            if child.spec().restart == Restart::Permanent && child.state().is_up() {
                found.push(child);
            }
            found.extend(below);
        }
        found
    }

    /// Whether it is a supervisor.
    #[must_use]
    pub fn is_supervisor(&self) -> bool {
        matches!(self.body, Body::Supervisor(_))
    }

    /// How many messages wait in its mailbox; a supervisor has none.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.worker().map_or(0, WorkerBody::depth)
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn worker(&self) -> Option<&dyn WorkerBody> {
        match &self.body {
            Body::Worker(worker) => Some(&**worker),
            Body::Supervisor(_) => None,
        }
    }

    pub(crate) fn supervisor(&self) -> Option<&SupervisorBody> {
        match &self.body {
            Body::Worker(_) => None,
            Body::Supervisor(supervisor) => Some(supervisor),
        }
    }

    /// Sets the state, and opens or closes the mailbox with it.
    pub(crate) fn set_state(&self, state: SlotState) {
        self.state.store(state as u8, Ordering::Release);
        let (gate, reason) = state.gate();
        match &self.body {
            Body::Worker(worker) => worker.set_gate(gate, reason),
            // A supervisor that is down has no children; one that never came up still has their slots.
            Body::Supervisor(supervisor) if gate != Gate::Open => {
                supervisor.forget_children(reason)
            }
            Body::Supervisor(_) => {}
        }
    }

    /// Deletes it and all below: addresses into it say `Gone`, what waits becomes dead letters.
    pub(crate) fn delete(&self, reason: DeadReason) {
        // Those that were only ever stopped in order would push out those that somebody will ask about.
        if self
            .history
            .lock()
            .iter()
            .any(|record| record.response != Response::Stopped)
        {
            self.bury();
        }
        match &self.body {
            Body::Worker(worker) => worker.set_gate(Gate::Gone, reason),
            Body::Supervisor(supervisor) => supervisor.forget_children(reason),
        }
        let registry = self.kernel.registry();
        self.kernel
            .counter()
            .retire(self, || registry.remove(&self.path, self));
    }

    /// Leaves its history behind.
    pub(crate) fn bury(&self) {
        if !self.buried.swap(true, Ordering::Relaxed) {
            self.kernel.bury(self);
        }
    }

    /// Begins a start attempt: a new life, the old one's effects cut off.
    pub(crate) fn begin_life(&self) -> Arc<Life> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        let life = Life::new(self.path.clone(), self.incarnation() + 1);
        if let Some(before) = self.life.lock().replace(Arc::clone(&life)) {
            before.revoke();
        }
        self.set_stall(None);
        life
    }

    /// The attempt worked: this is the life now.
    pub(crate) fn commit_life(&self, life: &Life) {
        if life.incarnation() > 1 {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        self.incarnation
            .store(life.incarnation(), Ordering::Release);
    }

    pub(crate) fn life(&self) -> Option<Arc<Life>> {
        self.life.lock().clone()
    }

    /// How it keeps state, if it does.
    pub(crate) fn kept(&self) -> Option<Arc<Kept>> {
        self.worker()?.kept()
    }

    /// Why its last start did not find the state that it keeps, if so.
    #[must_use]
    pub fn fresh(&self) -> Option<String> {
        self.kept()?.fresh()
    }

    /// Acts in the name of `life`, unless another one has taken its place, or it may not act any more. No other takes
    /// its place meanwhile.
    pub(crate) fn while_current(&self, life: &Life, act: impl FnOnce()) {
        let current = self.life.lock();
        let is_current = current
            .as_ref()
            .is_some_and(|now| std::ptr::eq(&raw const **now, life));
        if is_current && !life.is_revoked() {
            act();
        }
    }

    /// Says how its life is stalled, or that it is not.
    pub(crate) fn set_stall(&self, stall: Option<Stall>) {
        *self.stall.lock() = stall.map(Box::new);
    }

    /// Breaks its starts, or no more.
    pub(crate) fn break_starts(&self, fault: Option<StartFault>) {
        *self.start_fault.lock() = fault.map(Box::new);
    }

    /// What the start that begins now suffers.
    pub(crate) fn take_start_fault(&self) -> Option<StartFault> {
        let mut fault = self.start_fault.lock();
        let now = fault.as_deref().copied()?;
        *fault = now.after_one().map(Box::new);
        Some(now)
    }

    pub(crate) fn note_abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn undo_abandoned(&self) {
        self.abandoned.fetch_sub(1, Ordering::Relaxed);
    }

    /// An abandoned life let go of its thread, and nothing of it is left.
    pub(crate) fn let_go(&self, life: &Life) {
        self.undo_abandoned();
        self.kernel.let_go();
        self.kernel.report(Fact::LetGo {
            path: self.path.clone(),
            incarnation: life.incarnation(),
        });
    }

    /// Wakes the reader of the mailbox, so that it looks at its requests.
    pub(crate) fn wake(&self) {
        if let Body::Worker(worker) = &self.body {
            worker.wake();
        }
    }

    pub(crate) fn record(&self, record: ExitRecord) {
        let mut history = self.history.lock();
        if history.len() >= HISTORY_LEN_MAX {
            history.pop_front();
        }
        history.push_back(record);
    }
}
