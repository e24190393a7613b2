//! What the ladders of simulated actors must come to, by their rules in words, and which settings each life must find.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::ladder::LadderDid;
use crate::path::ActorPath;
use crate::report::Fact;
use crate::slot::{ExitRecord, Response};
use crate::spec::{ChildSpec, Ladder, LadderAction};

/// What is known of one path.
#[derive(Debug, Default)]
struct Known {
    slot: u64,
    ladder: Option<Arc<Ladder>>,
    /// All crashes since the ladder began.
    crashes: Vec<Instant>,
    /// How many steps were taken or passed over.
    used: usize,
    /// Of which step the settings are that are in force; its own are 0.
    step: u64,
    /// Whether its own settings completed their probation once.
    is_good: bool,
}

/// What is known of the ladders of a simulation.
#[derive(Debug)]
pub(super) struct SimLadders {
    known: Mutex<BTreeMap<ActorPath, Known>>,
    /// The paths of the tree: what is elsewhere is spawned, or of a template.
    listed: BTreeSet<ActorPath>,
}

impl SimLadders {
    pub(super) fn of(listed: BTreeSet<ActorPath>) -> Self {
        let known = Mutex::default();
        Self { known, listed }
    }

    /// A life begins with the settings of this step: whether it is to.
    pub(super) fn is_right(
        &self,
        path: &ActorPath,
        slot: u64,
        spec: &ChildSpec,
        step: u64,
    ) -> bool {
        let mut known = self.known.lock();
        let known = known.entry(path.clone()).or_default();
        // Children that are not in the tree begin anew with a new slot.
        if known.slot != slot && !self.listed.contains(path) {
            *known = Known::default();
        }
        known.slot = slot;
        known.ladder = spec.as_worker().and_then(|worker| worker.on_crash.clone());
        known.step == step
    }

    /// Takes in what the kernel reports; the path where a ladder did something else than it should.
    pub(super) fn note(&self, fact: &Fact) -> Option<ActorPath> {
        let mut all = self.known.lock();
        let (path, is_right) = match fact {
            Fact::Deleted { path } => {
                all.retain(|other, _| !path.contains(other));
                return None;
            }
            Fact::Released { path } => (path, all.get_mut(path).is_none_or(Known::begin)),
            Fact::Proved { path, .. } => (path, all.get_mut(path).is_none_or(Known::prove)),
            Fact::Exited { path, record } => (
                path,
                all.get_mut(path).is_none_or(|known| known.exit(record)),
            ),
            _ => return None,
        };
        (!is_right).then(|| path.clone())
    }
}

impl Known {
    fn begin(&mut self) -> bool {
        (self.used, self.step) = (0, 0);
        self.crashes.clear();
        true
    }

    /// Only its own settings are ever good.
    fn prove(&mut self) -> bool {
        self.is_good = true;
        self.step == 0
    }

    fn exit(&mut self, record: &ExitRecord) -> bool {
        let (Some(ladder), Some(note)) = (self.ladder.clone(), &record.ladder) else {
            let is_restart = matches!(
                record.response,
                Response::Restarted | Response::Backoff { .. } | Response::GaveUp
            );
            return self.ladder.is_none() == record.ladder.is_none() || !is_restart;
        };
        self.crashes.push(record.when);
        let expected = self.climb(&ladder, record.when);
        expected == note.did && (record.response != Response::GaveUp || note.is_charged())
    }

    /// The rules in words.
    fn climb(&mut self, ladder: &Ladder, now: Instant) -> LadderDid {
        loop {
            let Some(step) = ladder.steps.get(self.used) else {
                return LadderDid::Spent;
            };
            let lies_within = |at: &&Instant| now.duration_since(**at) <= step.within;
            let crashes = self.crashes.iter().filter(lies_within).count();
            let number = self.used + 1;
            if crashes < step.after as usize {
                return LadderDid::Counted {
                    step: number,
                    crashes,
                    after: step.after,
                    within_ms: u64::try_from(step.within.as_millis()).unwrap_or(u64::MAX),
                };
            }
            match &step.action {
                LadderAction::Quarantine => return LadderDid::Quarantined { step: number },
                LadderAction::Swap(settings) => {
                    self.used = number;
                    self.step = settings.get("step").and_then(Value::as_u64).unwrap_or(0);
                    let settings = settings.clone();
                    return LadderDid::Swapped {
                        step: number,
                        settings,
                    };
                }
                LadderAction::LastGood => {
                    self.used = number;
                    if self.is_good && self.step != 0 {
                        self.step = 0;
                        return LadderDid::LastGood { step: number };
                    }
                }
            }
        }
    }
}
