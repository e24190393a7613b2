//! The node's limit of memory: how short it is, and which lanes are shed for it.
//!
//! Near the limit `deferred` messages are shed, at the limit `low` ones too; what is more urgent never is. Shed is what
//! waits in those lanes, oldest first, and what is sent into them. A mailbox whose rule is to drop makes a dead
//! letter of it, any other gives it back to its sender: nobody waits for memory.
//!
//! Nothing here measures: whoever does tells [`Kernel::note_memory`]. So tests and simulation can draw what they like.
//! Considered: an account of what messages take, kept by the mailboxes themselves (a message's size is not known
//! without asking its type, each push would pay, and an actor's own memory is what most often grows).

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::Serialize;

use super::Kernel;
use crate::fault::Undo;
use crate::priority::{LANES, Priority};
use crate::report::Fact;

/// From this part of the limit on, in percent, `deferred` is shed.
const SHORT: u128 = 90;
/// So far memory has to fall below a mark, in percent of the limit, before it counts as left.
const SLACK: u128 = 10;

/// What is shed for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shedding {
    /// Nothing: there is memory enough.
    #[default]
    Nothing,
    /// Messages of priority `deferred`: memory is short.
    Deferred,
    /// Those of `low` too: the limit is reached.
    Low,
}

impl Shedding {
    /// What is shed once `used` bytes of `limit` are measured.
    ///
    /// A mark that was reached is left only ten percent of the limit below it, so that nothing flutters.
    #[must_use]
    pub fn after(self, used: u64, limit: u64) -> Self {
        let percent = u128::from(used) * 100 / u128::from(limit.max(1));
        let reached =
            |mark: u128, is_there: bool| percent >= if is_there { mark - SLACK } else { mark };
        if reached(100, self >= Self::Low) {
            Self::Low
        } else if reached(SHORT, self >= Self::Deferred) {
            Self::Deferred
        } else {
            Self::Nothing
        }
    }

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Deferred => "deferred",
            Self::Low => "low",
        }
    }

    /// The first lane that is shed; all after it are too.
    fn first_lane(self) -> usize {
        match self {
            Self::Nothing => LANES,
            Self::Deferred => Priority::Deferred as usize,
            Self::Low => Priority::Low as usize,
        }
    }
}

/// How much memory a kernel uses, and what is shed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What was measured last.
    pub used_bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
    /// What is shed now.
    pub shedding: Shedding,
    /// How many messages were shed so far.
    pub shed: u64,
}

/// What was measured last, and what is shed since.
#[derive(Debug)]
pub(super) struct Measured {
    /// None unless something is said.
    limit: Option<u64>,
    used: u64,
    /// What is said on purpose to be in use.
    pretended: Option<u64>,
    shedding: Shedding,
}

impl Measured {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            used: 0,
            pretended: None,
            shedding: Shedding::Nothing,
        }
    }
}

/// What mailboxes know of it.
#[derive(Debug)]
pub(crate) struct Shed {
    first_lane: AtomicU8,
    count: AtomicU64,
}

impl Default for Shed {
    fn default() -> Self {
        let shed = Self {
            first_lane: AtomicU8::new(0),
            count: AtomicU64::new(0),
        };
        shed.set(Shedding::Nothing);
        shed
    }
}

impl Shed {
    /// Whether messages of `lane` are shed.
    pub(crate) fn takes(&self, lane: usize) -> bool {
        lane >= usize::from(self.first_lane.load(Ordering::Relaxed))
    }

    /// So many messages were shed.
    pub(crate) fn count(&self, messages: usize) {
        self.count.fetch_add(messages as u64, Ordering::Relaxed);
    }

    fn set(&self, shedding: Shedding) {
        let lane = u8::try_from(shedding.first_lane()).unwrap_or(u8::MAX);
        self.first_lane.store(lane, Ordering::Relaxed);
    }
}

impl Kernel {
    /// Takes note that `used` bytes of memory are in use, and sheds what the limit demands. Without a limit it does nothing.
    pub fn note_memory(&self, used: u64) {
        let (limit, before, shedding) = {
            let mut measured = self.0.memory.lock();
            let Some(limit) = measured.limit else {
                return;
            };
            let before = measured.shedding;
            measured.used = used;
            let used = measured.pretended.unwrap_or(used).max(used);
            measured.shedding = before.after(used, limit);
            self.0.dead_letters.shed.set(measured.shedding);
            (limit, before, measured.shedding)
        };
        if shedding > before {
            // What is sent from now on is shed by its mailbox; this is what waits already.
            for path in self.0.registry.paths() {
                let slot = self.0.registry.get(&path);
                if let Some(worker) = slot.as_ref().and_then(|slot| slot.worker()) {
                    worker.shed_waiting();
                }
            }
        }
        if shedding != before {
            let memory = self.memory();
            self.report(Fact::Memory {
                shedding,
                used,
                limit,
                shed: memory.map_or(0, |memory| memory.shed),
            });
        }
    }

    /// Has the kernel believe that so many percent of its limit of memory are in use, if not more are: a fault, made on purpose.
    /// `None` without a limit.
    pub fn pretend_memory(&self, percent: u8) -> Option<Undo> {
        let used = {
            let mut measured = self.0.memory.lock();
            let pretended = measured.limit? / 100 * u64::from(percent);
            measured.pretended = Some(pretended);
            measured.used
        };
        self.note_memory(used);
        let kernel = self.downgrade();
        Some(Undo::new(move || {
            let Some(kernel) = kernel.upgrade() else {
                return;
            };
            let used = {
                let mut measured = kernel.0.memory.lock();
                measured.pretended = None;
                measured.used
            };
            kernel.note_memory(used);
        }))
    }

    /// Sets another limit, or none, and sheds by it at once.
    pub fn set_memory_limit(&self, limit: Option<u64>) {
        let (used, old, before) = {
            let mut measured = self.0.memory.lock();
            let old = std::mem::replace(&mut measured.limit, limit);
            let before = measured.shedding;
            if limit.is_none() {
                measured.shedding = Shedding::Nothing;
                self.0.dead_letters.shed.set(Shedding::Nothing);
            }
            (measured.used, old, before)
        };
        match (limit, old) {
            (None, Some(limit)) if before > Shedding::Nothing => self.report(Fact::Memory {
                shedding: Shedding::Nothing,
                used,
                limit,
                shed: self.0.dead_letters.shed.count.load(Ordering::Relaxed),
            }),
            _ => self.note_memory(used),
        }
    }

    /// How much memory it uses; `None` without a limit.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        let measured = self.0.memory.lock();
        let limit_bytes = measured.limit?;
        Some(Memory {
            used_bytes: measured.used,
            limit_bytes,
            shedding: measured.shedding,
            shed: self.0.dead_letters.shed.count.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Shedding::{Deferred, Low, Nothing};

    #[test]
    fn what_is_shed_rises_at_its_mark_and_falls_ten_percent_below_it() {
        for (before, used, after) in [
            (Nothing, 0, Nothing),
            (Nothing, 89, Nothing),
            (Nothing, 90, Deferred),
            (Nothing, 99, Deferred),
            (Nothing, 100, Low),
            (Nothing, u64::MAX, Low),
            (Deferred, 80, Deferred),
            (Deferred, 79, Nothing),
            (Deferred, 100, Low),
            (Low, 90, Low),
            (Low, 89, Deferred),
            (Low, 80, Deferred),
            (Low, 79, Nothing),
        ] {
            assert_eq!(before.after(used, 100), after, "{before:?} {used}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_reached() {
        assert_eq!(Nothing.after(1, 0), Low);
    }
}
