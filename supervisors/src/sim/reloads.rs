//! Trees that change while they run: random changes, and what must be true of the tree after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

use super::world::World;
use super::{Violation, actor, tree};
use crate::kernel::Kernel;
use crate::path::{ActorPath, ChildId};
use crate::slot::{Slot, SlotState};
use crate::spec::{AutoShutdown, ChildKind, ChildSpec, Restart, Strategy, SupervisorSpec, TASK};
use crate::supervisor::core::differ::{Change, change};

/// What is known of the settings of actors, and of what was done by hand.
#[derive(Debug, Default)]
pub(super) struct SimSettingsLog(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Which settings the last life of each path has.
    has: BTreeMap<ActorPath, u64>,
    /// Those that it may not begin with again.
    rolled_back: BTreeMap<ActorPath, u64>,
    by_hand: BTreeSet<ActorPath>,
}

impl SimSettingsLog {
    /// A start begins; whether it may with these settings: not where they were put back, unless a change that was on its
    /// way by then asks for them anew.
    pub(super) fn starts(&self, kernel: &Kernel, path: &ActorPath, version: u64) -> bool {
        let mut known = self.0.lock();
        known.has.insert(path.clone(), version);
        known.rolled_back.remove(path) != Some(version)
            || desired_version(kernel, path).is_none_or(|desired| desired == version)
    }

    /// A life has taken settings as it runs.
    pub(super) fn applied(&self, path: &ActorPath, version: u64) {
        self.0.lock().has.insert(path.clone(), version);
    }

    /// The settings of the last life are put back.
    pub(super) fn rolls_back(&self, path: &ActorPath) {
        let mut known = self.0.lock();
        if let Some(version) = known.has.get(path).copied() {
            known.rolled_back.insert(path.clone(), version);
        }
    }

    /// Somebody spawned or deleted it.
    pub(super) fn by_hand(&self, path: ActorPath) {
        self.0.lock().by_hand.insert(path);
    }
}

/// The version of the settings that a worker is to have; none for one that comes and goes, of which no spec says so.
fn desired_version(kernel: &Kernel, path: &ActorPath) -> Option<u64> {
    let tree = kernel.desired()?;
    let mut at = &tree.root;
    let mut ids = path.segments().peekable();
    while let Some(id) = ids.next() {
        let child = at.children.iter().find(|child| child.id.as_str() == id)?;
        match ids.peek() {
            Some(_) => at = child.as_supervisor()?,
            None => return child.as_worker()?.settings.get("version")?.as_u64(),
        }
    }
    None
}

/// The tree of `root` with a few things changed.
pub(super) fn changed(
    rng: &mut fastrand::Rng,
    root: &SupervisorSpec,
    is_calm: bool,
) -> SupervisorSpec {
    let mut root = root.clone();
    let mut moved = None;
    for _ in 0..rng.usize(1..5) {
        let mut at = rng.usize(0..count(&root));
        let act = &mut |supervisor: &mut SupervisorSpec| change_one(rng, supervisor, &mut moved);
        visit(&mut root, &mut at, act);
    }
    put_right(&mut root);
    tree::simplify(&mut root, is_calm);
    root
}

/// How many supervisors there are.
fn count(supervisor: &SupervisorSpec) -> usize {
    let children = supervisor.children.iter();
    let below = children.filter_map(|child| child.as_supervisor().map(count));
    1 + below.sum::<usize>()
}

/// Shows the supervisor of this number to `act`.
fn visit(
    supervisor: &mut SupervisorSpec,
    number: &mut usize,
    act: &mut dyn FnMut(&mut SupervisorSpec),
) {
    let Some(left) = number.checked_sub(1) else {
        act(supervisor);
        *number = usize::MAX;
        return;
    };
    *number = left;
    for child in &mut supervisor.children {
        if *number == usize::MAX {
            return;
        }
        if child.as_supervisor().is_some()
            && let ChildKind::Supervisor(below) = &mut Arc::make_mut(child).what
        {
            visit(below, number, act);
        }
    }
}

fn change_one(
    rng: &mut fastrand::Rng,
    supervisor: &mut SupervisorSpec,
    moved: &mut Option<Arc<ChildSpec>>,
) {
    if let Some(template) = &mut supervisor.template {
        return new_settings(rng, &mut Arc::make_mut(template).child);
    }
    let len = supervisor.children.len();
    match rng.u8(0..16) {
        0 => supervisor.intensity = rng.u32(1..8),
        1 => supervisor.strategy = strategy(rng),
        2 | 3 => {
            let id = ChildId::known_number(100 + rng.usize(0..800));
            let child = match moved.take() {
                Some(child) => child,
                None if rng.u8(0..3) == 0 => {
                    let below = tree::below(rng);
                    Arc::new(ChildSpec::supervisor(id, below))
                }
                None => Arc::new(tree::worker(rng, id)),
            };
            if supervisor.children.iter().all(|other| other.id != child.id) {
                supervisor.children.insert(rng.usize(0..=len), child);
            }
        }
        _ if len == 0 => {}
        4 => drop(supervisor.children.remove(rng.usize(0..len))),
        5 => *moved = Some(supervisor.children.remove(rng.usize(0..len))),
        6 | 7 => supervisor
            .children
            .swap(rng.usize(0..len), rng.usize(0..len)),
        what => {
            if let Some(child) = supervisor.children.get_mut(rng.usize(0..len)) {
                change_child(rng, Arc::make_mut(child), what);
            }
        }
    }
}

fn change_child(rng: &mut fastrand::Rng, child: &mut ChildSpec, what: u8) {
    match what {
        8 => child.begins_stopped = !child.begins_stopped,
        9 => child.probation = Duration::from_millis(rng.u64(0..5_000)),
        10 => child.restart = tree::restart(rng),
        11 => {
            let id = child.id.clone();
            *child = tree::worker(rng, id);
        }
        13 => {
            if let Some(worker) = child.as_worker_mut() {
                let is_other = worker.kind == "other";
                worker.kind = if is_other { "sim" } else { "other" }.to_owned();
            }
        }
        12 if child.as_worker().is_some() => {
            let below = tree::below(rng);
            *child = ChildSpec::supervisor(child.id.clone(), below);
        }
        _ => new_settings(rng, child),
    }
}

fn new_settings(rng: &mut fastrand::Rng, child: &mut ChildSpec) {
    if let Some(worker) = child.as_worker_mut()
        && worker.kind != TASK
    {
        worker.settings = json!(actor::SimSettings::changed(rng));
    }
}

fn strategy(rng: &mut fastrand::Rng) -> Strategy {
    match rng.u8(0..3) {
        0 => Strategy::OneForOne,
        1 => Strategy::OneForAll,
        _ => Strategy::RestForOne,
    }
}

/// Takes out of a tree what would be a fault.
fn put_right(supervisor: &mut SupervisorSpec) {
    let auto_shutdown = supervisor.auto_shutdown;
    let mut earlier = BTreeSet::new();
    for child in &mut supervisor.children {
        let is_fine = child.needs.iter().all(|need| earlier.contains(need))
            && child.check_significance(auto_shutdown).is_ok();
        earlier.insert(child.id.clone());
        if is_fine && child.as_supervisor().is_none() {
            continue;
        }
        let child = Arc::make_mut(child);
        child
            .needs
            .retain(|need| earlier.contains(need) && *need != child.id);
        child.significant &=
            auto_shutdown != AutoShutdown::Never && child.restart != Restart::Permanent;
        if let ChildKind::Supervisor(below) = &mut child.what {
            put_right(below);
        }
    }
}

/// Changes the tree to another one, and does not wait for it.
pub(super) fn reload(kernel: &Kernel, world: &Arc<World>, rng: &mut fastrand::Rng) {
    let Some(tree) = kernel.desired() else { return };
    let root = changed(rng, &tree.root, false);
    let gives_up = rng.u8(0..8) == 0;
    let (kernel, world) = (kernel.clone(), Arc::clone(world));
    drop(crate::kernel::spawn_detached(async move {
        let change = kernel.reload(root);
        let patience = Duration::from_millis(if gives_up { 1 } else { 3_600_000 });
        let result = tokio::time::timeout(patience, change).await;
        world.act(&format!("reload: {result:?}"));
    }));
}

/// Whether what is there is what is to be, as far as nobody has done anything by hand, and each life has the settings that
/// it is to have.
pub(super) fn as_desired(kernel: &Kernel, world: &World, violations: &mut Vec<Violation>) {
    let (Some(root), Some(tree)) = (kernel.root(), kernel.desired()) else {
        return;
    };
    let known = world.settings().0.lock();
    let mut found = Vec::new();
    look(&root, &tree.root, &known, &mut found);
    let found = found.into_iter();
    violations.extend(found.map(|path| Violation::NotDesired { path }));
}

fn look(slot: &Slot, wanted: &SupervisorSpec, known: &Known, found: &mut Vec<ActorPath>) {
    if slot.state() != SlotState::Running {
        return;
    }
    let children = slot.children();
    for child in children.iter().filter(|child| !child.is_supervisor()) {
        let version = child
            .settings()
            .get("version")
            .and_then(serde_json::Value::as_u64);
        let has = known.has.get(child.path()).copied();
        if child.state() == SlotState::Running && version.is_some() && has != version {
            found.push(child.path().clone());
        }
    }
    if wanted.template.is_some() {
        return;
    }
    let mut last = None;
    for spec in &wanted.children {
        let path = slot.path().child(&spec.id);
        let place = children.iter().position(|child| *child.id() == spec.id);
        let Some(child) = place.and_then(|place| children.get(place)) else {
            if spec.restart != Restart::Temporary && !known.by_hand.contains(&path) {
                found.push(path);
            }
            continue;
        };
        if change(&child.spec(), spec) != Change::None || place < last {
            found.push(path);
        }
        last = place;
        if let Some(below) = spec.as_supervisor() {
            look(child, below, known, found);
        }
    }
    let is_wanted = |child: &Slot| wanted.children.iter().any(|spec| spec.id == *child.id());
    let left = children.iter().filter(|child| !is_wanted(child));
    let left = left.filter(|child| !known.by_hand.contains(child.path()));
    found.extend(left.map(|child| child.path().clone()));
}

/// Which life of which slot is where, and what it is to be.
type Lives = BTreeMap<ActorPath, (u64, u64, SlotState, Arc<ChildSpec>)>;

fn lives(slot: &Slot, into: &mut Lives) {
    for child in slot.children() {
        let is = (
            child.serial(),
            child.incarnation(),
            child.state(),
            child.spec(),
        );
        into.insert(child.path().clone(), is);
        lives(&child, into);
    }
}

/// Changes a tree in which nothing else happens, again and again: what is unchanged is not touched, what is to run does,
/// and a change that is refused leaves all as it was.
pub(super) async fn calmly(
    kernel: &Kernel,
    world: &World,
    rng: &mut fastrand::Rng,
    violations: &mut Vec<Violation>,
) {
    for _ in 0..8 {
        let (Some(tree), Some(root)) = (kernel.desired(), kernel.root()) else {
            return;
        };
        let new = changed(rng, &tree.root, true);
        let mut before = Lives::new();
        lives(&root, &mut before);
        let result = kernel.reload(new.clone()).await;
        world.act(&format!("reload: {result:?}"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut after = Lives::new();
        lives(&root, &mut after);
        let path_of = |path: &ActorPath| Violation::Touched { path: path.clone() };
        if result.is_err() {
            let paths = |lives: &Lives| lives.keys().cloned().collect::<Vec<_>>();
            if paths(&before) != paths(&after) || kernel.desired().is_none_or(|now| now != tree) {
                violations.push(Violation::NotDesired {
                    path: ActorPath::root(),
                });
            }
        }
        for (path, (serial, incarnation, state, spec)) in &before {
            let Some((serial_now, incarnation_now, state_now, spec_now)) = after.get(path) else {
                continue;
            };
            let is_same = change(spec, spec_now) == Change::None && spec.needs.is_empty();
            let was_asked = result.is_err() && is_changed(&new, path, spec);
            let ran = *state == SlotState::Running && *state_now == SlotState::Running;
            let is_touched = (serial, incarnation) != (serial_now, incarnation_now);
            if is_same && ran && is_touched && !was_asked {
                violations.push(path_of(path));
            }
        }
        as_desired(kernel, world, violations);
        for (path, (_, _, state, spec)) in &after {
            let is_up = matches!(state, SlotState::Running);
            let is_to_be = !spec.begins_stopped && spec.needs.is_empty();
            if is_to_be != is_up && spec.needs.is_empty() {
                violations.push(path_of(path));
            }
        }
    }
}

/// Whether `new` has something else at `path` than `spec`.
fn is_changed(new: &SupervisorSpec, path: &ActorPath, spec: &ChildSpec) -> bool {
    let mut at = new;
    let mut found = None;
    for id in path.segments() {
        found = at.children.iter().find(|child| child.id.as_str() == id);
        match found.and_then(|child| child.as_supervisor()) {
            Some(below) => at = below,
            None => break,
        }
    }
    found.is_none_or(|found| change(spec, found) != Change::None)
}
