//! The checkers: what must be true of what was written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Violation;
use super::world::{Event, World};
use crate::dead_letter::{DeadLetter, DeadReason};
use crate::kernel::{Kernel, Mode, SYSTEM};
use crate::path::ActorPath;
use crate::slot::{ExitRecord, Response, Slot, SlotState};
use crate::spec::{AutoShutdown, ChildSpec, SupervisorSpec};

/// Looks at a kernel in which nothing has happened for a long time. It is over by now only if it `may_end`.
pub(super) fn quiet(
    kernel: &Kernel,
    may_end: bool,
    reloads: bool,
    violations: &mut Vec<Violation>,
) {
    if let Some(root) = kernel.root() {
        settled(&root, reloads, violations);
        let mut left: BTreeSet<ActorPath> = kernel.registry().paths().into_iter().collect();
        reach(&root, &mut left);
        left.retain(|path| !path.as_str().starts_with(SYSTEM));
        violations.extend(left.into_iter().map(|path| Violation::LeftBehind { path }));
    }
    let is_well = match kernel.mode() {
        Mode::Normal | Mode::Safe => true,
        Mode::Stopping => may_end,
        Mode::Booting => false,
    };
    if !is_well {
        violations.push(Violation::Stuck { step: "the boot" });
    }
}

/// Takes all slots of the tree out of `left`.
fn reach(slot: &Slot, left: &mut BTreeSet<ActorPath>) {
    left.remove(slot.path());
    for child in slot.children() {
        reach(&child, left);
    }
}

fn settled(slot: &Slot, reloads: bool, violations: &mut Vec<Violation>) {
    let children = slot.children();
    // What ended before it became significant ends nothing.
    if !reloads && outlives_significant(slot, &children) {
        violations.push(Violation::OutlivesSignificant {
            path: slot.path().clone(),
        });
    }
    let has_template = |spec: &SupervisorSpec| spec.template.is_some();
    let is_of_template = slot.spec().as_supervisor().is_some_and(has_template);
    for child in &children {
        let state = child.state();
        let path = || child.path().clone();
        if is_of_template && matches!(state, SlotState::Stopped | SlotState::Ignored) {
            violations.push(Violation::LeftBehind { path: path() });
        }
        if state == SlotState::Running && child.depth() > 0 {
            violations.push(Violation::Deaf { path: path() });
        }
        let is_met = |need| {
            children
                .iter()
                .any(|other| other.id() == need && other.state().is_up())
        };
        let has_unmet_need = !child.spec().needs.iter().all(is_met);
        let on_its_way = match state {
            // What fails to start now and then may be between two attempts; what waits for a need may wait.
            SlotState::Backoff => false,
            SlotState::Starting => !has_unmet_need,
            SlotState::Restarting | SlotState::Stopping => true,
            _ => false,
        };
        if on_its_way {
            violations.push(Violation::NotSettled {
                path: path(),
                state: state.as_str(),
            });
        }
        let need_is_down = child.spec().needs.iter().any(|need| {
            children.iter().any(|other| {
                other.id() == need
                    && matches!(other.state(), SlotState::Stopped | SlotState::Quarantined)
            })
        });
        if state.is_up() && need_is_down {
            violations.push(Violation::NeedNotMet { path: path() });
        }
        if state == SlotState::Running {
            settled(child, reloads, violations);
        }
    }
}

/// Whether a supervisor that runs should have ended with its significant children. Temporary ones leave nothing to
/// look at; the others do.
fn outlives_significant(slot: &Slot, children: &[Arc<Slot>]) -> bool {
    let spec = slot.spec();
    let Some(supervisor) = spec.as_supervisor() else {
        return false;
    };
    let mut significant = children.iter().filter(|child| child.spec().significant);
    let left_down = |record: ExitRecord| record.response == Response::LeftDown;
    match supervisor.auto_shutdown {
        AutoShutdown::Never => false,
        AutoShutdown::AnySignificant => {
            significant.any(|child| child.history().into_iter().any(left_down))
        }
        AutoShutdown::AllSignificant => {
            // One that is gone may have been stopped by somebody, which ends nothing.
            let is_there =
                |spec: &Arc<ChildSpec>| children.iter().any(|child| *child.id() == spec.id);
            let mut named = supervisor.children.iter().filter(|spec| spec.significant);
            let mut some = false;
            // One whose start failed when somebody asked for it may have been on its way when the last one ended.
            named.all(is_there)
                && significant.all(|child| {
                    some = true;
                    child.state() == SlotState::Stopped
                        && child.starts() == child.incarnation()
                        && child.last_exit().is_some_and(left_down)
                })
                && some
        }
    }
}

/// Looks at all that happened, once the kernel has ended.
pub(super) fn history(world: &World, kernel: &Kernel, violations: &mut Vec<Violation>) {
    let events = world.take_events();
    lives(&events, violations);
    tasks(&events, violations);
    if !world.has_links() {
        stop_order(&events, violations);
    }
    messages(&events, violations);
    shed(&events, kernel, violations);
    let stuck = kernel.abandoned();
    if stuck > 0 {
        violations.push(Violation::StillAbandoned { count: stuck });
    }
    let (accepted, handled) = world.counts();
    let dead = i64::try_from(kernel.dead_letters().total()).unwrap_or(i64::MAX);
    let lost = accepted - handled - dead;
    if lost != 0 {
        violations.push(Violation::Lost { count: lost });
    }
}

/// Looks at all that happened to a kernel that was killed: what is only known at an end is not.
pub(super) fn cut_short(world: &World, violations: &mut Vec<Violation>) {
    let events = world.take_events();
    lives(&events, violations);
    violations.retain(|violation| !matches!(violation, Violation::Orphan { .. }));
    messages(&events, violations);
}

/// One life at a time, none after the end, none of a temporary child after its first.
fn lives(events: &[Event], violations: &mut Vec<Violation>) {
    let mut alive = BTreeSet::new();
    let mut cut_off: Vec<ActorPath> = Vec::new();
    for event in events {
        match event {
            Event::Born { path } => {
                let is_alone = alive.insert(path.clone());
                let two = (!is_alone).then(|| Violation::TwoLives { path: path.clone() });
                violations.extend(two);
            }
            Event::CameBack { path } => {
                violations.push(Violation::TemporaryRestarted { path: path.clone() });
            }
            Event::NotRolledBack { path } => {
                violations.push(Violation::NotRolledBack { path: path.clone() });
            }
            Event::Died {
                path,
                was_cut_off: false,
                ..
            } => {
                alive.remove(path);
            }
            Event::CutOff { path } => {
                alive.remove(path);
                cut_off.push(path.clone());
            }
            Event::Died { path, .. } => {
                if let Some(found) = cut_off.iter().position(|known| known == path) {
                    cut_off.swap_remove(found);
                }
            }
            Event::Late { path } => violations.push(Violation::Late { path: path.clone() }),
            Event::WrongState { path } => {
                violations.push(Violation::WrongState { path: path.clone() });
            }
            Event::WrongLadder { path } => {
                violations.push(Violation::WrongLadder { path: path.clone() });
            }
            Event::NotKept { path } => violations.push(Violation::NotKept { path: path.clone() }),
            Event::TooMany { path } => violations.push(Violation::TooMany { path: path.clone() }),
            Event::Suspended { path } => {
                violations.push(Violation::HandlesSuspended { path: path.clone() });
            }
            Event::Outlived { path } => violations.push(Violation::Orphan { path: path.clone() }),
            _ => {}
        }
    }
    violations.extend(cut_off.into_iter().map(|path| Violation::Orphan { path }));
    violations.extend(alive.into_iter().map(|path| Violation::Orphan { path }));
}

/// A task is over before whoever awaits it is brought something, which happens once.
fn tasks(events: &[Event], violations: &mut Vec<Violation>) {
    let mut running: BTreeMap<usize, &ActorPath> = BTreeMap::new();
    let mut awaited = BTreeSet::new();
    for event in events {
        let found = match event {
            Event::TaskBegan { parent, number } => {
                let before = running.insert(*number, parent).cloned();
                before.map(|path| Violation::TwoLives { path })
            }
            Event::TaskOver { number, .. } => {
                running.remove(number);
                None
            }
            Event::TaskAwaited { number } => {
                awaited.insert(*number);
                None
            }
            Event::TaskResolved { number, is_right } => {
                let is_first = awaited.remove(number);
                let is_well = is_first && *is_right && !running.contains_key(number);
                (!is_well).then_some(Violation::TaskUnresolved { number: *number })
            }
            _ => None,
        };
        violations.extend(found);
    }
    let left = running.into_values().cloned();
    violations.extend(left.map(|path| Violation::Orphan { path }));
    let unresolved = awaited.into_iter();
    violations.extend(unresolved.map(|number| Violation::TaskUnresolved { number }));
}

/// At the shutdown the living end in the reverse of the order in which they were born, seen from each pair of
/// siblings that was not restarted in between: a later position never outlives an earlier one.
fn stop_order(events: &[Event], violations: &mut Vec<Violation>) {
    let mut events = events.iter();
    let Some(places) = events.find_map(|event| match event {
        Event::Shutdown { places } => Some(places),
        _ => None,
    }) else {
        return;
    };
    let deaths: Vec<&ActorPath> = events
        .filter_map(|event| match event {
            Event::Died {
                path,
                was_cut_off: false,
                ..
            }
            | Event::CutOff { path } => Some(path),
            _ => None,
        })
        .collect();
    let ways: Vec<Vec<ActorPath>> = deaths.iter().map(|path| way(path)).collect();
    for (index, (earlier, its)) in deaths.iter().zip(&ways).enumerate() {
        for (later, other) in deaths.iter().zip(&ways).skip(index + 1) {
            if comes_after(places, other, its) {
                violations.push(Violation::StopOrder {
                    path: (*earlier).clone(),
                    later: (*later).clone(),
                });
            }
        }
    }
}

/// All paths from the root down to this one.
fn way(path: &ActorPath) -> Vec<ActorPath> {
    let up = std::iter::successors(Some(path.clone()), ActorPath::parent);
    let mut way: Vec<ActorPath> = up.collect();
    way.reverse();
    way
}

/// Whether the end of `one` way stands after that of the `other` in start order: where they part. Children of a template are
/// in no order, and have no place.
fn comes_after(
    places: &BTreeMap<ActorPath, usize>,
    one: &[ActorPath],
    other: &[ActorPath],
) -> bool {
    let differing = one.iter().zip(other).find(|(one, other)| one != other);
    let place = |path| places.get(path);
    differing.is_some_and(|(one, other)| {
        place(one)
            .zip(place(other))
            .is_some_and(|(one, other)| one > other)
    })
}

/// Memory that is short costs `low` and `deferred` messages alone.
fn shed(events: &[Event], kernel: &Kernel, violations: &mut Vec<Violation>) {
    let given_back = events.iter().filter_map(|event| match event {
        Event::ShedWrongly { path } => Some(path.clone()),
        _ => None,
    });
    let letters = kernel.dead_letters().list();
    let is_wrong = |letter: &DeadLetter| {
        !matches!(letter.name, "low" | "deferred") && letter.reason == DeadReason::Shed
    };
    let buried = letters
        .iter()
        .filter(|letter| is_wrong(letter))
        .map(|letter| letter.path.clone());
    violations.extend(
        given_back
            .chain(buried)
            .map(|path| Violation::ShedWrongly { path }),
    );
}

/// Each message at most once, and in the order of its sender within a lane.
fn messages(events: &[Event], violations: &mut Vec<Violation>) {
    let mut last: BTreeMap<(u64, u64, u8), u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in events {
        let Event::Handled {
            path,
            slot,
            sender,
            lane,
            number,
        } = event
        else {
            continue;
        };
        let (path, sender, number) = (path.clone(), *sender, *number);
        if !seen.insert((sender, number)) {
            violations.push(Violation::Doubled {
                path,
                sender,
                number,
            });
            continue;
        }
        let before = last.insert((*slot, sender, *lane), number);
        if before.is_some_and(|before| before > number) {
            violations.push(Violation::OutOfOrder {
                path,
                sender,
                number,
            });
        }
    }
}
