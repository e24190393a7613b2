//! What a kernel counts for monitoring, by what there are few of: never by instance.
//!
//! All of it only grows. What a slot counted itself is added when the slot is deleted, so that it is not lost.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::exit::ExitKind;
use crate::kernel::Kernel;
use crate::path::ActorPath;
use crate::report::Fact;
use crate::slot::{Response, Slot};

/// The kind of supervisors, which have none in tree files.
pub const SUPERVISOR: &str = "supervisor";
/// What stands for all supervisors beyond the first [`RESTARTS_MAX`] of what is counted.
pub const OTHERS: &str = "other";
/// How many combinations of supervisor, kind and reason are told apart.
pub const RESTARTS_MAX: usize = 1_000;
/// How many restarts that are under way are timed.
const UNDER_WAY_MAX: usize = 10_000;

/// The upper bounds of the classes that durations of restarts are counted in.
pub const BOUNDS: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// Of what an exit was that a restart followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RestartOf {
    /// The path of its supervisor, or [`OTHERS`].
    pub supervisor: String,
    /// Its kind, or [`SUPERVISOR`].
    pub kind: String,
    /// The kind of the exit.
    pub reason: ExitKind,
}

/// How long restarts took, from the exit to the next life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many were no longer than each of [`BOUNDS`], and longer than the one before.
    pub classes: [u64; BOUNDS.len()],
    /// How many in all.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let class = BOUNDS.iter().position(|bound| took <= *bound);
        if let Some(class) = class.and_then(|class| self.classes.get_mut(class)) {
            *class += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}

/// What became of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages {
    /// Taken in hand by an actor; also those that it then crashed with.
    pub handled: u64,
    /// Given up.
    pub dead: u64,
}

impl AddAssign for Messages {
    fn add_assign(&mut self, more: Self) {
        self.handled += more.handled;
        self.dead += more.dead;
    }
}

/// What was counted; found with [`Kernel::counts`].
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Exits that a restart followed.
    pub restarts: BTreeMap<RestartOf, u64>,
    /// How long those took.
    pub durations: Durations,
    /// Messages by the kind of who they were for.
    pub messages: BTreeMap<String, Messages>,
}

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<Counting>);

#[derive(Debug, Default)]
struct Counting {
    counts: Counts,
    /// When those ended that are being restarted.
    under_way: HashMap<ActorPath, Instant>,
}

impl Counter {
    /// Hears of a fact; `kind_of` knows the kind of whom it is about.
    pub(crate) fn note(
        &self,
        fact: &Fact,
        now: Instant,
        kind_of: impl FnOnce(&ActorPath) -> String,
    ) {
        match fact {
            Fact::Exited { path, record } => {
                let is_restart = matches!(
                    record.response,
                    Response::Restarted | Response::Backoff { .. } | Response::RolledBack
                );
                if is_restart {
                    self.restart(path, record.reason.kind, record.when, kind_of(path));
                } else {
                    self.0.lock().under_way.remove(path);
                }
            }
            Fact::Started { path, .. } => {
                let mut counting = self.0.lock();
                if let Some(ended) = counting.under_way.remove(path) {
                    counting.counts.durations.add(now - ended);
                }
            }
            _ => {}
        }
    }

    fn restart(&self, path: &ActorPath, reason: ExitKind, when: Instant, kind: String) {
        let parent = path.parent().unwrap_or_else(ActorPath::root);
        let mut of = RestartOf {
            supervisor: parent.to_string(),
            kind,
            reason,
        };
        let mut counting = self.0.lock();
        let restarts = &mut counting.counts.restarts;
        if restarts.len() >= RESTARTS_MAX && !restarts.contains_key(&of) {
            // Kinds and reasons are few, so this ends.
            OTHERS.clone_into(&mut of.supervisor);
        }
        *restarts.entry(of).or_default() += 1;
        if counting.under_way.len() < UNDER_WAY_MAX {
            // A start that failed belongs to the restart that is under way.
            counting.under_way.entry(path.clone()).or_insert(when);
        }
    }

    /// Keeps what a slot counted that is deleted. `remove` takes it out of the registry, and says whether it was in it: nobody
    /// counts meanwhile.
    pub(crate) fn retire(&self, slot: &Slot, remove: impl FnOnce() -> bool) {
        let mut counting = self.0.lock();
        let was_there = remove();
        if let Some(messages) = slot.messages().filter(|_| was_there) {
            counting.under_way.remove(slot.path());
            *counting.counts.messages.entry(slot.kind()).or_default() += messages;
        }
    }
}

impl Slot {
    /// Its kind; [`SUPERVISOR`] for a supervisor.
    pub(crate) fn kind(&self) -> String {
        let spec = self.spec();
        let worker = spec.as_worker();
        worker.map_or_else(|| SUPERVISOR.to_owned(), |worker| worker.kind.clone())
    }

    /// What became of the messages that were for it; none for a supervisor.
    fn messages(&self) -> Option<Messages> {
        let worker = self.worker()?;
        Some(Messages {
            handled: worker.handled(),
            dead: worker.dead_letters(),
        })
    }
}

impl Kernel {
    /// What was counted since it started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counting = self.counter().0.lock();
        let mut counts = counting.counts.clone();
        for path in self.registry().paths() {
            let Some(slot) = self.registry().get(&path) else {
                continue;
            };
            if let Some(messages) = slot.messages() {
                *counts.messages.entry(slot.kind()).or_default() += messages;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::exit::ExitReason;
    use crate::slot::ExitRecord;

    fn exited(path: &str, when: Instant, response: Response) -> Fact {
        Fact::Exited {
            path: path.parse().unwrap(),
            record: ExitRecord {
                at: Timestamp::from_secs(0),
                when,
                incarnation: 1,
                failed_start: false,
                reason: ExitReason::error("ouch"),
                in_hand: None,
                response,
                ladder: None,
            },
        }
    }

    fn started(path: &str) -> Fact {
        Fact::Started {
            path: path.parse().unwrap(),
            incarnation: 2,
            asked: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_are_counted_and_timed_from_the_first_exit() {
        let (counter, begin) = (Counter::default(), Instant::now());
        let note = |fact, after_ms| {
            let now = begin + Duration::from_millis(after_ms);
            counter.note(&fact, now, |_| "probe".to_owned());
        };

        note(exited("/arm/a", begin, Response::Restarted), 0);
        note(
            exited(
                "/arm/a",
                begin + Duration::from_millis(5),
                Response::Backoff { pause_ms: 40 },
            ),
            5,
        );
        note(started("/arm/a"), 50);
        note(exited("/arm/b", begin, Response::LeftDown), 0);
        note(started("/arm/b"), 1);

        let counts = counter.0.lock().counts.clone();
        let of = RestartOf {
            supervisor: "/arm".to_owned(),
            kind: "probe".to_owned(),
            reason: ExitKind::Error,
        };
        assert_eq!(counts.restarts, BTreeMap::from([(of, 2)]));
        assert_eq!(counts.durations.classes, [0, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(
            (counts.durations.count, counts.durations.sum),
            (1, Duration::from_millis(50))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn supervisors_beyond_the_bound_are_counted_together() {
        let (counter, now) = (Counter::default(), Instant::now());

        for number in 0..RESTARTS_MAX + 5 {
            let fact = exited(&format!("/s{number}/a"), now, Response::Restarted);
            counter.note(&fact, now, |_| "probe".to_owned());
        }

        let restarts = counter.0.lock().counts.restarts.clone();
        let others = restarts.iter().find(|(of, _)| of.supervisor == OTHERS);
        assert_eq!(
            (restarts.len(), others.map(|(_, count)| *count)),
            (RESTARTS_MAX + 1, Some(5))
        );
    }
}
