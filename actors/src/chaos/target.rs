//! Who may be struck now, as functions of the tree as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use unity_supervisors::slot::Slot;
use unity_supervisors::spec::{Backoff, ChildSpec, Failover, LadderAction, Restart};
use unity_supervisors::view::RestartsView;
use unity_supervisors::{ActorPath, Kernel, SlotState};

use super::plan::{Fault, Targets};
use crate::cluster::{Cluster, NodeInfo, NodeState};

/// The word in [`Targets::kinds`] that means supervisors.
pub const SUPERVISOR: &str = "supervisor";

/// What is asked of a target.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Who is meant.
    pub targets: &'a Targets,
    /// What it is to suffer.
    pub fault: &'a Fault,
    /// How much of its supervisor's restarts may be used with that, in percent of the budget.
    pub budget: u32,
    /// How long it may take until all is well.
    pub within: Duration,
    /// Those that are struck already.
    pub struck: &'a BTreeSet<ActorPath>,
}

/// Why somebody is not struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spared {
    /// It is not at the paths that are named.
    #[error("it is not among the paths of the plan")]
    Elsewhere,
    /// The plan spares it.
    #[error("the plan spares it")]
    Spared,
    /// It is a service of the kernel.
    #[error("it is a service of the kernel, and the plan does not name it with `system: true`")]
    System,
    /// It is of another kind.
    #[error("it is of a kind that the plan does not mean")]
    Kind,
    /// The fault is none of its kind.
    #[error("nothing in the plan strikes its kind")]
    Fault,
    /// It lacks a label.
    #[error("it lacks a label that the plan asks for")]
    Label,
    /// It is essential.
    #[error("it is essential, and the plan has no `essential: true`")]
    Essential,
    /// It does not run.
    #[error("it does not run")]
    Down,
    /// Something strikes it already.
    #[error("it is struck already")]
    Struck,
    /// It would not come back.
    #[error("it is temporary: it would not come back")]
    Temporary,
    /// It would come back too late.
    #[error("its backoff is too long: it would come back too late")]
    Backoff,
    /// It would be put into quarantine.
    #[error("its ladder would put it into quarantine")]
    Quarantine,
    /// Its supervisor would give up, or is busy.
    #[error("its supervisor's budget (`intensity`) has no room for it now")]
    Budget,
}

/// All that fit, in the order of the tree.
#[must_use]
pub fn candidates(kernel: &Kernel, wanted: &Wanted<'_>) -> Vec<Arc<Slot>> {
    let all = all(kernel, wanted).into_iter();
    let fit = all.filter(|(_, spared)| spared.is_none());
    fit.map(|(slot, _)| slot).collect()
}

/// All that there are, in the order of the tree, with why they are not struck, if so.
#[must_use]
pub fn all(kernel: &Kernel, wanted: &Wanted<'_>) -> Vec<(Arc<Slot>, Option<Spared>)> {
    let mut found = Vec::new();
    let system = wanted.targets.system.then(|| kernel.system()).flatten();
    for top in kernel.root().into_iter().chain(system) {
        wanted.below(&top, &mut Vec::new(), &mut found);
    }
    found
}

/// The names of the nodes whose link a fault may strike now: they are up, and no link to them is struck already. Where a node that
/// is cut off is an exit (`failover: none`), its children's supervisors have room for that within `budget` percent.
///
/// # Errors
/// Why there are none, in words.
pub fn nodes(
    kernel: &Kernel,
    fault: &Fault,
    budget: u32,
    struck: &BTreeSet<String>,
) -> Result<Vec<String>, String> {
    let name = fault.name();
    let cluster = kernel.shared::<Cluster>();
    let is_up = |node: &NodeInfo| matches!(node.state, NodeState::Up | NodeState::Draining);
    let nodes = cluster.nodes().into_iter().filter(is_up);
    let mut found: Vec<String> = nodes.map(|node| node.name).collect();
    if found.is_empty() {
        return Err(format!(
            "`{name}` strikes the link to another node, and none is attached and up (`uk node list`)"
        ));
    }
    if let Some(pattern) = fault.node() {
        found.retain(|node| pattern.covers(node));
        if found.is_empty() {
            return Err(format!("no node `{pattern}` is attached and up"));
        }
    }
    found.retain(|node| !struck.contains(node));
    if found.is_empty() {
        return Err("every node that is meant is struck already".to_owned());
    }
    found.retain(|node| can_pay(kernel, node, budget));
    match found.is_empty() {
        true => Err("the children on every node that is meant would cost their supervisors more than the budget (`intensity`) has now".to_owned()),
        false => Ok(found),
    }
}

/// All slots of the tree that satisfy this, each with its supervisor.
fn slots(kernel: &Kernel, is_one: impl Fn(&Slot) -> bool) -> Vec<(Arc<Slot>, Arc<Slot>)> {
    let mut found = Vec::new();
    let mut open: Vec<Arc<Slot>> = kernel.root().into_iter().collect();
    while let Some(parent) = open.pop() {
        for child in parent.children() {
            if is_one(&child) {
                found.push((Arc::clone(&parent), Arc::clone(&child)));
            }
            open.push(child);
        }
    }
    found
}

fn lives_on(slot: &Slot, node: &str) -> bool {
    let placement = slot.placement();
    placement.is_some_and(|placement| placement.node.as_deref() == Some(node))
}

/// The permanent children that live on a node.
#[must_use]
pub fn living_on(kernel: &Kernel, node: &str) -> Vec<ActorPath> {
    let is_one = |slot: &Slot| slot.spec().restart == Restart::Permanent && lives_on(slot, node);
    let found = slots(kernel, is_one).into_iter();
    found.map(|(_, slot)| slot.path().clone()).collect()
}

/// Whether supervisors have room for the exits that there are if a node is cut off.
fn can_pay(kernel: &Kernel, node: &str, budget: u32) -> bool {
    let exits = |slot: &Slot| {
        let spec = slot.spec();
        let place = spec.as_worker().and_then(|worker| worker.place.clone());
        place.is_some_and(|place| place.failover == Failover::None) && lives_on(slot, node)
    };
    let mut costs: BTreeMap<ActorPath, (Arc<Slot>, u64)> = BTreeMap::new();
    for (parent, _) in slots(kernel, exits) {
        let path = parent.path().clone();
        costs.entry(path).or_insert((parent, 0)).1 += 1;
    }
    costs.values().all(|(parent, exits)| {
        let now = RestartsView::of(parent);
        (u64::from(now.used) + exits) * 100 <= u64::from(now.intensity) * u64::from(budget)
    })
}

/// Whether `targets` mean what is at `path`, whoever that is.
#[must_use]
pub fn is_meant(targets: &Targets, path: &ActorPath) -> bool {
    why_not_meant(targets, path).is_none()
}

fn why_not_meant(targets: &Targets, path: &ActorPath) -> Option<Spared> {
    let is_named = targets.paths.iter().any(|pattern| pattern.covers(path));
    let is_system = path.segments().next() == Some("system");
    // The kernel's own services are meant only where they are named.
    if is_system && !(is_named && targets.system) {
        return Some(Spared::System);
    }
    if targets.spare.iter().any(|pattern| pattern.covers(path)) {
        return Some(Spared::Spared);
    }
    (!is_named && !targets.paths.is_empty()).then_some(Spared::Elsewhere)
}

impl Wanted<'_> {
    fn below(
        &self,
        parent: &Arc<Slot>,
        above: &mut Vec<Arc<ChildSpec>>,
        found: &mut Vec<(Arc<Slot>, Option<Spared>)>,
    ) {
        let children = parent.children();
        let has_room = self.has_room(parent, &children);
        above.push(parent.spec());
        for child in children {
            let spared = self.spares(&child, &child.spec(), above);
            let spared = spared.or((!has_room).then_some(Spared::Budget));
            found.push((Arc::clone(&child), spared));
            if child.is_supervisor() {
                self.below(&child, above, found);
            }
        }
        above.pop();
    }

    /// Whether the supervisor is at rest, and its budget has room for the exits that there will be.
    fn has_room(&self, parent: &Slot, children: &[Arc<Slot>]) -> bool {
        let exits = self.fault.exits();
        if exits == 0 {
            return true;
        }
        let is_busy = |child: &Arc<Slot>| {
            self.struck.contains(child.path())
                || matches!(child.state(), SlotState::Restarting | SlotState::Starting)
        };
        let budget = RestartsView::of(parent);
        let used = u64::from(budget.used) + u64::from(exits);
        parent.state() == SlotState::Running
            && !children.iter().any(is_busy)
            && used * 100 <= u64::from(budget.intensity) * u64::from(self.budget)
    }

    /// Why it is not struck, whatever its supervisor's budget says.
    fn spares(&self, slot: &Slot, spec: &ChildSpec, above: &[Arc<ChildSpec>]) -> Option<Spared> {
        let targets = self.targets;
        let kind = match spec.as_worker() {
            Some(worker) => worker.kind.as_str(),
            None => SUPERVISOR,
        };
        let is_kind = match targets.kinds.as_slice() {
            [] => kind != SUPERVISOR,
            kinds => kinds.iter().any(|known| known == kind),
        };
        let has_label = |(name, value): (&String, &String)| {
            let has = |spec: &ChildSpec| spec.labels.get(name) == Some(value);
            has(spec) || above.iter().any(|above| has(above))
        };
        let exits = self.fault.exits() > 0;
        let not_meant = why_not_meant(targets, slot.path());
        let reasons = [
            (!is_kind, Spared::Kind),
            (!targets.labels.iter().all(has_label), Spared::Label),
            (spec.essential && !targets.essential, Spared::Essential),
            (!self.fits(kind), Spared::Fault),
            (slot.state() != SlotState::Running, Spared::Down),
            (self.struck.contains(slot.path()), Spared::Struck),
        ];
        let reason = reasons.into_iter().find(|(holds, _)| *holds);
        not_meant
            .or(reason.map(|(_, reason)| reason))
            .or_else(|| exits.then(|| self.would_be_lost(slot, spec)).flatten())
    }

    /// Whether the fault is one of that kind.
    fn fits(&self, kind: &str) -> bool {
        match self.fault {
            Fault::StopProcess(_) | Fault::KillProcess => kind == "process",
            Fault::Kill => true,
            _ => kind != SUPERVISOR,
        }
    }

    /// Why it would not come back by itself, or not soon enough.
    fn would_be_lost(&self, slot: &Slot, spec: &ChildSpec) -> Option<Spared> {
        if spec.restart == Restart::Temporary {
            return Some(Spared::Temporary);
        }
        if self.budget > 100 {
            return None;
        }
        let exits = self.fault.exits();
        let is_slow = |backoff: &Backoff| {
            backoff
                .max
                .mul_f64(1.0 + backoff.jitter)
                .saturating_mul(exits)
                > self.within / 2
        };
        if spec.backoff.as_ref().is_some_and(is_slow) {
            return Some(Spared::Backoff);
        }
        let ladder = spec
            .as_worker()
            .and_then(|worker| worker.on_crash.as_ref())?;
        let now = Instant::now();
        let history = slot.history();
        let quarantines = ladder.steps.iter().any(|step| {
            let is_recent = |at: Instant| now.duration_since(at) <= step.within;
            let crashes = history.iter().filter(|exit| is_recent(exit.when)).count();
            let crashes = u32::try_from(crashes).unwrap_or(u32::MAX);
            step.action == LadderAction::Quarantine && crashes.saturating_add(exits) >= step.after
        });
        quarantines.then_some(Spared::Quarantine)
    }
}
