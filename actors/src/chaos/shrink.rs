//! Shrinking: of a seed that breaks a promise, the shortest list of acts that still does, as a plan that is played again.
//!
//! What chance struck is written down as acts, which need no chance. Acts are left out by halves, quarters and so on for as
//! long as the promise stays broken (delta debugging), and then those that last are shortened. None can be left out in the end.

use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::sim::Violation;

use super::plan::{Act, Fault, Phase, Plan};
use super::report::Done;
use super::simulate::{Simulated, Simulation};
use crate::duration::DurationText;

/// How often a time is halved, at most.
const HALVINGS: usize = 8;
/// A time that is shorter than this is short enough.
const SHORT: Duration = Duration::from_millis(2);

/// What was left of a failing seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// The plan that still breaks the promise, with the seed that it was found with.
    pub plan: Plan,
    /// How many acts there were at first.
    pub acts_before: usize,
    /// How many simulations that took.
    pub runs: usize,
}

/// Finds a shortest plan by which `seed` breaks the same promise as `found` says; `None` if its acts alone do not break it, so
/// that only the plan itself does.
#[must_use]
pub fn shrink(simulation: &Simulation, found: &Simulated, violation: &Violation) -> Option<Shrunk> {
    let all: Vec<Act> = acts(&found.acts);
    let acts_before = all.len();
    let mut runs = 0;
    let mut breaks = |acts: &[Act]| {
        runs += 1;
        let plan = plan_of(&simulation.plan, acts.to_vec());
        let again = Simulation {
            plan,
            keeps_log: false,
            ..simulation.clone()
        };
        let violations = again.run(found.seed).violations;
        violations.iter().any(|other| other.is_like(violation))
    };
    if !breaks(&all) {
        return None;
    }
    let mut acts = least(all, &mut breaks);
    for at in 0..acts.len() {
        shorten(&mut acts, at, &mut breaks);
    }
    Some(Shrunk {
        plan: plan_of(&simulation.plan, acts),
        acts_before,
        runs,
    })
}

/// What was done, without what was refused.
fn acts(done: &[Done]) -> Vec<Act> {
    let done = done.iter().filter(|done| done.refused.is_none());
    done.map(|done| done.act.clone()).collect()
}

/// The plan with these acts, and in place of its phases one without faults that is as long: what takes time to break has it.
fn plan_of(plan: &Plan, acts: Vec<Act>) -> Plan {
    let takes = plan.phases.iter().map(|phase| phase.takes.0).sum();
    let above = plan.phases.iter().max_by_key(|phase| phase.budget);
    let rest = above.map(|phase| Phase {
        takes: DurationText(takes),
        faults: Vec::new(),
        ..phase.clone()
    });
    Plan {
        acts,
        phases: rest.into_iter().collect(),
        ..plan.clone()
    }
}

/// A part of `items` that still breaks, of which nothing can be left out: Zeller's `ddmin`.
fn least<T: Clone>(mut items: Vec<T>, breaks: &mut impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut parts = 2;
    while items.len() > 1 {
        let len = items.len().div_ceil(parts);
        let chunks: Vec<Vec<T>> = items.chunks(len).map(<[T]>::to_vec).collect();
        if let Some(chunk) = chunks.iter().find(|chunk| breaks(chunk)) {
            items.clone_from(chunk);
            parts = 2;
            continue;
        }
        let without = (0..chunks.len()).map(|left_out| {
            let others = chunks.iter().enumerate().filter(|(at, _)| *at != left_out);
            others
                .flat_map(|(_, chunk)| chunk.clone())
                .collect::<Vec<T>>()
        });
        // With two parts, what is left without one of them is the other.
        let rest = (chunks.len() > 2).then(|| without.into_iter().find(|rest| breaks(rest)));
        match rest.flatten() {
            Some(rest) => {
                items = rest;
                parts = (parts - 1).max(2);
            }
            None if len == 1 => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    items
}

/// Halves how long the act at this place lasts for as long as that still breaks.
fn shorten(acts: &mut [Act], at: usize, breaks: &mut impl FnMut(&[Act]) -> bool) {
    for _ in 0..HALVINGS {
        let Some(act) = acts.get(at).cloned() else {
            return;
        };
        let half = act.fault.lasts() / 2;
        let Some(fault) = lasting(&act.fault, half).filter(|_| half > SHORT) else {
            return;
        };
        let mut shorter = acts.to_vec();
        if let Some(act) = shorter.get_mut(at) {
            act.fault = fault;
        }
        if !breaks(&shorter) {
            return;
        }
        acts.clone_from_slice(&shorter);
    }
}

/// The same fault, for so long; `None` if it lasts no time.
fn lasting(fault: &Fault, time: Duration) -> Option<Fault> {
    let mut value = json!(fault);
    let time = Duration::from_millis(u64::try_from(time.as_millis()).ok()?);
    let lasts = value.get_mut(fault.name())?.get_mut("for")?;
    *lasts = Value::String(DurationText(time).to_string());
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_it_takes_and_nothing_else() {
        for wanted in [vec![3], vec![0, 99], vec![17, 18, 60], (0..100).collect()] {
            let all: Vec<usize> = (0..100).collect();

            let left = least(all, &mut |items| {
                wanted.iter().all(|one| items.contains(one))
            });

            assert_eq!(left, wanted);
        }
    }

    #[test]
    fn a_fault_that_lasts_is_shortened_and_another_is_not() {
        let hang: Fault = serde_json::from_value(json!({ "hang": { "for": "2s" } })).unwrap();

        let half = lasting(&hang, Duration::from_secs(1)).unwrap();

        assert_eq!(half.lasts(), Duration::from_secs(1));
        assert_eq!(lasting(&Fault::Kill, Duration::from_secs(1)), None);
    }
}
