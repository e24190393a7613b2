//! The tree as people and programs see it: read from slots, never asked of supervisors.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::exit::ExitReason;
use crate::intensity::Window;
use crate::kernel::{Kernel, KernelError, Mode};
use crate::ladder::Swap;
use crate::path::{ActorPath, ChildId};
use crate::slot::{ExitRecord, Placement, Response, Slot, SlotState, StallKind, SupervisorBody};

/// The whole: what `uk tree --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct TreeView {
    /// The form of this document.
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// How the kernel is.
    pub mode: Mode,
    /// The part that was asked for; the root unless a path was given.
    pub tree: Option<NodeView>,
    /// The kernel's own services; left out when a path was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<NodeView>,
}

/// One slot.
#[derive(Debug, Clone, Serialize)]
pub struct NodeView {
    /// Where it is.
    pub path: ActorPath,
    /// Its id.
    pub id: ChildId,
    /// Its kind; none for a supervisor.
    pub kind: Option<String>,
    /// `worker` or `supervisor`.
    #[serde(rename = "type")]
    pub node_type: &'static str,
    /// What it is doing.
    pub state: SlotState,
    /// Lives that are stuck on a thread and cut off.
    pub abandoned: u64,
    /// Where it lives, if that is another node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placement>,
    /// How its life is stalled, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<StallView>,
    /// Its current life, or the last one.
    pub incarnation: u64,
    /// Its restart type.
    pub restart: &'static str,
    /// Its strategy; none for a worker.
    pub strategy: Option<&'static str>,
    /// Whether its end can end its supervisor.
    pub significant: bool,
    /// Whether its significant children end it; none for a worker.
    pub auto_shutdown: Option<&'static str>,
    /// Its restarts.
    pub restarts: RestartsView,
    /// How far it is up its ladder, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ladder: Option<LadderView>,
    /// Its mailbox; none for a supervisor.
    pub mailbox: Option<MailboxView>,
    /// Its last exit.
    pub last_exit: Option<LastExitView>,
    /// How many children it has, where they are made from a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// In start order; of those of a template the first [`TEMPLATE_SHOWN`], unless all were asked for.
    pub children: Vec<Self>,
}

/// A life that does not yield, or does not answer.
#[derive(Debug, Clone, Serialize)]
pub struct StallView {
    /// What it does not do.
    pub what: StallKind,
    /// For how long.
    pub for_ms: u64,
    /// The name of the message that it has in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_hand: Option<&'static str>,
}

impl StallView {
    /// How the life of `slot` is stalled, if it is.
    #[must_use]
    pub fn of(slot: &Slot, now: Instant) -> Option<Self> {
        let stall = slot.stall()?;
        let held = now.duration_since(stall.since);
        Some(Self {
            what: stall.what,
            for_ms: millis(held),
            in_hand: stall.in_hand,
        })
    }
}

/// How far a child is up its ladder.
#[derive(Debug, Clone, Serialize)]
pub struct LadderView {
    /// How many steps it has.
    pub steps: usize,
    /// How many of them were taken, or passed over.
    pub taken: usize,
    /// Whether it keeps the child down.
    pub quarantined: bool,
    /// What is in force instead of its own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
}

impl LadderView {
    fn of(slot: &Slot) -> Option<Self> {
        let spec = slot.spec();
        let ladder = spec.as_worker()?.on_crash.as_ref()?;
        let climbing = slot.kernel().ladders().climbing(slot.path(), &spec);
        let quarantined = climbing
            .as_ref()
            .is_some_and(|climbing| climbing.quarantined);
        let taken = climbing.map_or(0, |climbing| climbing.state.taken());
        Some(Self {
            steps: ladder.steps.len(),
            taken: taken + usize::from(quarantined),
            quarantined,
            swap: slot.swap(),
        })
    }
}

/// How many children of a template are shown.
pub const TEMPLATE_SHOWN: usize = 20;

/// How many children a supervisor has (OTP: `count_children`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All of them; OTP counts for a template its one spec.
    pub specs: usize,
    /// Those that run, suspended ones included.
    pub active: usize,
    /// Those that are supervisors, whether they run or not.
    pub supervisors: usize,
    /// Those that are workers, whether they run or not.
    pub workers: usize,
}

/// One child of a supervisor (OTP: `which_children`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChildView {
    /// Where it is.
    pub path: ActorPath,
    /// Its id.
    pub id: ChildId,
    /// Its kind; none for a supervisor.
    pub kind: Option<String>,
    /// `worker` or `supervisor`.
    #[serde(rename = "type")]
    pub node_type: &'static str,
    /// What it is doing.
    pub state: SlotState,
    /// Its current life, or the last one.
    pub incarnation: u64,
}

/// Restarts and the budget they come out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestartsView {
    /// For a supervisor what its children have used of its budget; for a worker its own share of its supervisor's.
    pub used: u32,
    /// How many the budget allows.
    pub intensity: u32,
    /// Within how long.
    pub period_ms: u64,
    /// In how long the oldest of those that are used is free again; none if none is used.
    pub free_in_ms: Option<u64>,
    /// How many times this slot was restarted.
    pub total: u64,
}

/// A mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailboxView {
    /// Messages that wait.
    pub depth: usize,
    /// Messages that may wait in each lane, unless the lane has a capacity of its own.
    pub capacity: usize,
    /// Messages that were taken in hand, by all lives.
    pub handled: u64,
    /// For how long threads worked for its life while that was [timed](Kernel::time_lives), in microseconds.
    pub busy_us: u64,
    /// Dead letters of this slot.
    pub dead_letters: u64,
}

/// The last exit.
#[derive(Debug, Clone, Serialize)]
pub struct LastExitView {
    /// Why.
    pub reason: ExitReason,
    /// When.
    pub at: Timestamp,
}

impl Kernel {
    /// The tree as it is, or the part below `path`; `None` if nothing is there. Of the children of a template it
    /// shows the first [`TEMPLATE_SHOWN`].
    #[must_use]
    pub fn tree(&self, path: Option<&ActorPath>) -> Option<TreeView> {
        self.tree_of(path, TEMPLATE_SHOWN)
    }

    /// The same, with all children of templates.
    #[must_use]
    pub fn whole_tree(&self, path: Option<&ActorPath>) -> Option<TreeView> {
        self.tree_of(path, usize::MAX)
    }

    /// The children of the supervisor at `path`, in start order.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there, or is a worker.
    pub fn which(&self, path: &ActorPath) -> Result<Vec<ChildView>, KernelError> {
        let slots = self.supervisor_at(path)?.children();
        Ok(slots.iter().map(|slot| child(slot)).collect())
    }

    /// How many children the supervisor at `path` has.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there, or is a worker.
    pub fn count(&self, path: &ActorPath) -> Result<Counts, KernelError> {
        let slot = self.supervisor_at(path)?;
        Ok(slot.supervisor().map(count).unwrap_or_default())
    }

    fn supervisor_at(&self, path: &ActorPath) -> Result<Arc<Slot>, KernelError> {
        let slot = self.registry().get(path);
        let slot = slot.ok_or_else(|| KernelError::NotFound(path.clone()))?;
        if slot.is_supervisor() {
            Ok(slot)
        } else {
            Err(KernelError::NotASupervisor(path.clone()))
        }
    }

    fn tree_of(&self, path: Option<&ActorPath>, shown: usize) -> Option<TreeView> {
        let now = Instant::now();
        let top = match path {
            Some(path) => self.registry().get(path)?,
            None => self.root()?,
        };
        let parent = path
            .and_then(ActorPath::parent)
            .and_then(|path| self.registry().get(&path));
        let system = if path.is_some() { None } else { self.system() };
        Some(TreeView {
            version: 1,
            node: self.name().to_owned(),
            mode: self.mode(),
            tree: Some(node(&top, parent.as_deref(), now, shown)),
            system: system.map(|system| node(&system, None, now, shown)),
        })
    }

    /// The slot at `path` as it is, without its children; `None` if nothing is there.
    #[must_use]
    pub fn node(&self, path: &ActorPath) -> Option<NodeView> {
        let slot = self.registry().get(path)?;
        let parent = path.parent().and_then(|path| self.registry().get(&path));
        Some(alone(&slot, parent.as_deref(), Instant::now()))
    }
}

impl RestartsView {
    /// What the children of a supervisor have used of its budget; what is said of a worker is its own share.
    #[must_use]
    pub fn of(slot: &Slot) -> Self {
        restarts(slot, None, Instant::now())
    }
}

fn child(slot: &Slot) -> ChildView {
    let spec = slot.spec();
    let worker = spec.as_worker();
    ChildView {
        path: slot.path().clone(),
        id: slot.id().clone(),
        kind: worker.map(|worker| worker.kind.clone()),
        node_type: node_type(slot),
        state: slot.state(),
        incarnation: slot.incarnation(),
    }
}

fn node_type(slot: &Slot) -> &'static str {
    if slot.is_supervisor() {
        "supervisor"
    } else {
        "worker"
    }
}

fn count(supervisor: &SupervisorBody) -> Counts {
    let mut counts = Counts::default();
    for child in supervisor.children.read().values() {
        counts.specs += 1;
        counts.active += usize::from(child.state().is_up());
        counts.supervisors += usize::from(child.is_supervisor());
    }
    counts.workers = counts.specs - counts.supervisors;
    counts
}

fn node(slot: &Arc<Slot>, parent: Option<&Slot>, now: Instant, shown: usize) -> NodeView {
    let spec = slot.spec();
    let supervisor = spec.as_supervisor();
    let has_template = supervisor.is_some_and(|supervisor| supervisor.template.is_some());
    let most = if has_template { shown } else { usize::MAX };
    let children = slot.first_children(most);
    let children = children.iter();
    NodeView {
        children: children
            .map(|child| node(child, Some(slot), now, shown))
            .collect(),
        ..alone(slot, parent, now)
    }
}

fn alone(slot: &Slot, parent: Option<&Slot>, now: Instant) -> NodeView {
    let spec = slot.spec();
    let supervisor = spec.as_supervisor();
    let has_template = supervisor.is_some_and(|supervisor| supervisor.template.is_some());
    NodeView {
        path: slot.path().clone(),
        id: slot.id().clone(),
        kind: spec.as_worker().map(|worker| worker.kind.clone()),
        node_type: node_type(slot),
        state: slot.state(),
        abandoned: slot.abandoned(),
        placed: slot.placement(),
        stall: StallView::of(slot, now),
        incarnation: slot.incarnation(),
        restart: spec.restart.as_str(),
        strategy: supervisor.map(|supervisor| supervisor.strategy.as_str()),
        significant: spec.significant,
        auto_shutdown: supervisor.map(|supervisor| supervisor.auto_shutdown.as_str()),
        restarts: restarts(slot, parent, now),
        ladder: LadderView::of(slot),
        mailbox: slot.worker().map(|worker| MailboxView {
            depth: worker.depth(),
            capacity: worker.capacity(),
            handled: worker.handled(),
            busy_us: slot.life().map_or(0, |life| life.busy_us()),
            dead_letters: worker.dead_letters(),
        }),
        last_exit: slot.last_exit().map(|record| LastExitView {
            reason: record.reason,
            at: record.at,
        }),
        counts: slot.supervisor().filter(|_| has_template).map(count),
        children: Vec::new(),
    }
}

fn restarts(slot: &Slot, parent: Option<&Slot>, now: Instant) -> RestartsView {
    let own = slot.supervisor();
    let Some(budget) = own.or_else(|| parent.and_then(|parent| parent.supervisor())) else {
        return RestartsView {
            used: 0,
            intensity: 0,
            period_ms: 0,
            free_in_ms: None,
            total: slot.restarts(),
        };
    };
    let window = budget.window.lock();
    let (used, free_in) = if own.is_some() {
        (window.used(now), window.free_in(now))
    } else {
        share(&slot.history(), now, &window)
    };
    RestartsView {
        used,
        intensity: window.intensity(),
        period_ms: millis(window.period()),
        free_in_ms: free_in.map(millis),
        total: slot.restarts(),
    }
}

/// How many restarts of a history lie within the window, and in how long the oldest of them does so no more.
fn share(history: &[ExitRecord], now: Instant, window: &Window) -> (u32, Option<Duration>) {
    let charged = history.iter().filter(|record| {
        matches!(
            record.response,
            Response::Restarted | Response::RolledBack | Response::Backoff { .. }
        ) && record.ladder.as_ref().is_none_or(|note| note.is_charged())
            && now.duration_since(record.when) <= window.period()
    });
    let charged: Vec<Instant> = charged.map(|record| record.when).collect();
    let oldest = charged.iter().min();
    (
        u32::try_from(charged.len()).unwrap_or(u32::MAX),
        oldest.map(|at| window.left(*at, now)),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
