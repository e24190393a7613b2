//! Settings on probation, and the way back from them.

use super::differ::change;
use super::*;

impl Core {
    /// Gives a child another spec. New settings, which a life may have taken `live`, are on probation, and put back what a
    /// ladder or a backoff has counted.
    pub(super) fn respec(&mut self, key: Key, spec: Arc<ChildSpec>, is_live: Option<bool>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let former = std::mem::replace(&mut child.spec, Arc::clone(&spec));
        let ladder = |spec: &ChildSpec| spec.as_worker().and_then(|worker| worker.on_crash.clone());
        let has_new_ladder = ladder(&former) != ladder(&spec);
        let mark = is_live.and_then(|is_live| {
            child.attempts = 0;
            // Without probation nothing has to be waited for.
            let counts = is_live || spec.probation.is_zero();
            let until = counts.then(|| self.now + spec.probation);
            let trial = child.trial.get_or_insert_default();
            let number = trial.begin(former, &spec, until, self.now)?;
            Some(Mark { number, is_live })
        });
        self.effects.push(Effect::Respec { key, spec, mark });
        if is_live.is_some() {
            self.forget_climbing(key);
            // A life that has taken them has run with them from here on.
            self.begin_probation(key);
        } else if has_new_ladder {
            self.begin_ladder(key);
        }
    }

    /// Puts the former settings of a child back that crashed on probation; whether there were any.
    pub(super) fn roll_back(&mut self, key: Key, reason: &ExitReason, failed_start: bool) -> bool {
        let crashed = matches!(
            reason.kind,
            ExitKind::Error | ExitKind::Panic | ExitKind::Stalled
        );
        let now = self.now;
        let Some(child) = self.children.get_mut(&key) else {
            return false;
        };
        let was_killed = std::mem::take(&mut child.was_killed);
        let to_blame = crashed || failed_start && !was_killed;
        let Some(change) = child
            .trial
            .as_mut()
            .filter(|_| to_blame)
            .and_then(|trial| trial.fail(now))
        else {
            return false;
        };
        let spec = with_settings_of(&child.spec, &change.former);
        let failed = std::mem::replace(&mut child.spec, Arc::clone(&spec));
        child.attempts = 0;
        self.spare_from_waiting_reload(&failed, &spec);
        self.record(key, failed_start, reason, Response::RolledBack);
        let number = change.number;
        self.effects.push(Effect::RollBack { key, spec, number });
        self.forget_climbing(key);
        true
    }

    /// A reload that waits, and changes nothing of the settings that have just been put back, is not to bring them again.
    fn spare_from_waiting_reload(&mut self, failed: &ChildSpec, former: &ChildSpec) {
        for input in &mut self.deferred {
            let Input::Ask { request, .. } = input else {
                continue;
            };
            let Request::Reload(reload) = request else {
                continue;
            };
            if let ChildKind::Supervisor(spec) = &mut Arc::make_mut(&mut reload.spec).what
                && let Some(child) = spec.children.iter_mut().find(|child| child.id == failed.id)
                && !change(failed, child).is_of_settings()
            {
                *child = with_settings_of(child, former);
            }
        }
    }
}

/// A spec with what a change of settings changes as it is in another one.
fn with_settings_of(spec: &ChildSpec, former: &ChildSpec) -> Arc<ChildSpec> {
    let mut spec = spec.clone();
    if let (Some(worker), Some(former)) = (spec.as_worker_mut(), former.as_worker())
        && worker.kind == former.kind
        && worker.place == former.place
    {
        worker.settings.clone_from(&former.settings);
        worker.state = former.state;
        worker.runtime = former.runtime;
    }
    Arc::new(spec)
}

/// How many changes may be on probation at a time; of more in a row the ones between are forgotten.
pub(crate) const TRIALS_MAX: usize = 8;

/// The state that a child has is kept for the way back from this change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which change of this child it is.
    pub(crate) number: u64,
    /// Its life goes on with the new settings. Else the last one with the old ones has yet to keep its state.
    pub(crate) is_live: bool,
}

/// The settings of a child that have not proved themselves yet: the changes that are on probation, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    changes: Vec<Changed>,
    /// How many there ever were.
    begun: u64,
}

/// A change on probation.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    /// What there was before.
    former: Arc<ChildSpec>,
    number: u64,
    /// Until when; a change that no life has run with yet has all of its time before it.
    until: Option<Instant>,
}

impl Trial {
    /// Notes a change to `spec` and returns its number. To go back to what there was before one that is still on
    /// probation is no change that has to prove itself: it only ends those from there on.
    fn begin(
        &mut self,
        former: Arc<ChildSpec>,
        spec: &ChildSpec,
        until: Option<Instant>,
        now: Instant,
    ) -> Option<u64> {
        self.settle(now);
        let is_back = |changed: &Changed| !change(&changed.former, spec).is_of_settings();
        if let Some(back) = self.changes.iter().position(is_back) {
            self.changes.truncate(back);
            return None;
        }
        if self.changes.len() >= TRIALS_MAX {
            // The first is the one that is known to be good.
            self.changes.remove(1);
        }
        self.begun += 1;
        let number = self.begun;
        self.changes.push(Changed {
            former,
            number,
            until,
        });
        Some(number)
    }

    /// A life begins with the settings of the last change.
    pub(super) fn runs(&mut self, until: Instant) {
        for changed in &mut self.changes {
            changed.until.get_or_insert(until);
        }
    }

    /// What was proved by now, with all before it, needs no way back.
    fn settle(&mut self, now: Instant) {
        let is_proved = |changed: &Changed| changed.until.is_some_and(|until| until <= now);
        if let Some(proved) = self.changes.iter().rposition(is_proved) {
            self.changes.drain(..=proved);
        }
    }

    /// The last change has failed.
    fn fail(&mut self, now: Instant) -> Option<Changed> {
        self.settle(now);
        self.changes.pop()
    }
}
