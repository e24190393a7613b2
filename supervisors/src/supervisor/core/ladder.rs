//! The ladder of a child that crashes again and again, its last good settings, and the quarantine at its end.
//!
//! A crash of a child that has a ladder is charged to it, and to the budget only once it is used up. What a step swaps in
//! stands beside the spec of the child, which stays what it is to be. A child in quarantine holds those back that would
//! be restarted with it: they are stopped, and start when it runs again.

use super::*;
use crate::ladder::{Climbing, LadderDid, LadderNote, LadderState, Swap};

/// What a ladder asks the actor beside the core to do.
#[derive(Debug)]
pub(crate) enum LadderEffect {
    /// Keep how far the child is up, and put in force what was swapped in.
    Climbing(Option<Climbing>),
    /// Send [`Input::Proved`] after the pause, if this life of the child has not ended by then.
    Probation {
        id: ChildId,
        incarnation: u64,
        pause: Duration,
    },
    /// Its settings have completed their probation.
    Proved(Arc<Value>),
}

impl Core {
    /// How far up its ladder a child is since an earlier life of this supervisor.
    pub(crate) fn recall(&mut self, id: &ChildId, climbing: Climbing) {
        let key = self.key_of(id);
        if let Some(child) = key.and_then(|key| self.children.get_mut(&key)) {
            child.climbing = Some(Box::new(climbing));
        }
    }

    /// The last settings of a child that have completed their probation.
    pub(crate) fn know_good(&mut self, id: ChildId, settings: Arc<Value>) {
        self.good.insert(id, settings);
    }

    /// Counts a crash of a child, and takes the step of its ladder that it leads to. `None` if it has no ladder.
    pub(super) fn climb(&mut self, key: Key) -> Option<LadderNote> {
        let child = self.children.get_mut(&key)?;
        let spec = Arc::clone(&child.spec);
        let worker = spec.as_worker()?;
        let ladder = worker.on_crash.as_deref()?;
        let good = self.good.get(&spec.id).map(|good| &**good);
        let climbing = child.climbing.get_or_insert_default();
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::CountsAnewAfterSteps) && climbing.swap.is_some() {
            climbing.state = LadderState::default();
        }
        let note = climbing.crash(ladder, &worker.settings, good, self.now);
        self.keep_climbing(key);
        Some(note)
    }

    /// Puts a child at the beginning of its ladder, with its own settings; whether it had others.
    pub(super) fn forget_climbing(&mut self, key: Key) -> bool {
        let child = self.children.get_mut(&key);
        let Some(climbing) = child.and_then(|child| child.climbing.take()) else {
            return false;
        };
        self.keep_climbing(key);
        climbing.swap.is_some()
    }

    /// A child runs: it is in quarantine no more, and waits for none that is.
    pub(super) fn left_quarantine(&mut self, key: Key) {
        let child = self.children.get(&key);
        let is_held_back = child.is_some_and(|child| self.is_held_back(child));
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        if !is_held_back {
            child.behind = None;
        }
        let climbing = child.climbing.as_deref_mut();
        if let Some(climbing) = climbing.filter(|climbing| climbing.quarantined) {
            climbing.quarantined = false;
            self.keep_climbing(key);
        }
    }

    /// The ladder of a child is another: what was counted for the old one is forgotten, what that has swapped in stays.
    pub(super) fn begin_ladder(&mut self, key: Key) {
        let child = self.children.get_mut(&key);
        if let Some(climbing) = child.and_then(|child| child.climbing.as_deref_mut()) {
            climbing.state = LadderState::default();
            self.keep_climbing(key);
        }
    }

    fn keep_climbing(&mut self, key: Key) {
        let child = self.children.get(&key);
        let climbing = child.and_then(|child| child.climbing.as_deref().cloned());
        let effect = LadderEffect::Climbing(climbing);
        self.effects.push(Effect::Ladder { key, effect });
    }

    /// What is in force instead of a child's own settings.
    pub(super) fn swap_of(&self, key: Key) -> Option<&Swap> {
        let climbing = self.children.get(&key)?.climbing.as_deref()?;
        climbing.swap.as_ref()
    }

    pub(super) fn is_held_down(&self, key: Key) -> bool {
        let child = self.children.get(&key);
        let climbing = child.and_then(|child| child.climbing.as_deref());
        climbing.is_some_and(|climbing| climbing.quarantined)
    }

    /// Keeps a child down that its ladder has given up, and with it those that would be restarted with it.
    pub(super) fn quarantine(&mut self, key: Key) {
        self.set(key, Status::Down(SlotState::Quarantined));
        let stops = self.hold_back(key);
        if !stops.is_empty() {
            let steps = stops.into_iter().map(|key| Step::Stop { key }).collect();
            self.run(Purpose::Unsettle, steps);
        }
    }

    /// Has those wait that would be restarted with a child in quarantine; of these, those that are to be stopped first.
    pub(super) fn hold_back(&mut self, key: Key) -> Vec<Key> {
        let (stops, group) = self.plan(key);
        for other in group.into_iter().filter(|other| *other != key) {
            if self.is_needed(other, key) {
                // Each would wait for the other.
                continue;
            }
            let Some(child) = self.children.get_mut(&other) else {
                continue;
            };
            let was_on_its_way = match child.status {
                Status::Down(_) => continue,
                Status::Due { .. } | Status::Member => true,
                _ => false,
            };
            child.behind = Some(key);
            self.watched.insert(other);
            if was_on_its_way {
                self.set(other, Status::Waiting);
            }
        }
        stops
    }

    /// Whether `by` needs `key`, directly or not.
    fn is_needed(&self, key: Key, by: Key) -> bool {
        let mut seen = BTreeSet::new();
        let mut left = vec![by];
        while let Some(next) = left.pop() {
            if let Some(child) = self.children.get(&next).filter(|_| seen.insert(next)) {
                left.extend(&child.needs);
            }
        }
        key != by && seen.contains(&key)
    }

    /// Whether a child does not run because of another one in quarantine, or one that is just being started from there.
    pub(super) fn is_held_back(&self, child: &Child) -> bool {
        let behind = child.behind.and_then(|behind| self.status(behind));
        matches!(
            behind,
            Some(Status::Down(SlotState::Quarantined) | Status::Busy)
        )
    }

    /// Ends a quarantine, or what a ladder has swapped in: the child is at the beginning of its ladder, with its own
    /// settings.
    pub(super) fn ask_release(&mut self, ticket: Ticket, key: Key) {
        let was_swapped = self.forget_climbing(key);
        match self.status(key).cloned() {
            Some(Status::Down(SlotState::Quarantined)) => self.start_asked(ticket, key, false),
            _ if !was_swapped => self.answer(ticket, Err(RequestError::NotQuarantined)),
            Some(Status::Up { .. } | Status::Due { .. }) => self.ask_restart(ticket, key),
            // Its next start has its own settings.
            _ => self.answer(ticket, Ok(Done::Stopped)),
        }
    }

    /// Has the probation of a child watched that runs with settings of its own which may become its last good ones.
    pub(super) fn watch_probation(&mut self, key: Key) {
        let Some((own, incarnation)) = self.on_probation(key) else {
            return;
        };
        if self.good.get(&own.id).map(|good| &**good) == settings(&own) {
            return;
        }
        let effect = LadderEffect::Probation {
            id: own.id.clone(),
            incarnation,
            pause: own.probation,
        };
        self.effects.push(Effect::Ladder { key, effect });
    }

    /// The settings of a child that runs are new: from here on they are on probation.
    pub(super) fn begin_probation(&mut self, key: Key) {
        let now = self.now;
        if let Some(child) = self.children.get_mut(&key)
            && child.up_since.is_some()
        {
            child.up_since = Some(now);
            self.watch_probation(key);
        }
    }

    /// A life was to have run for its probation by now.
    pub(super) fn proved(&mut self, id: &ChildId, incarnation: u64) {
        let key = self.key_of(id);
        if let Some(key) = key.filter(|key| self.status(*key) == Some(&Status::Up { incarnation }))
        {
            self.prove(key);
        }
    }

    /// Notes the settings of a child as good that have completed their probation.
    pub(super) fn prove(&mut self, key: Key) {
        let Some((own, _)) = self.on_probation(key) else {
            return;
        };
        let since = self.children.get(&key).and_then(|child| child.up_since);
        let ran = since.map_or(Duration::ZERO, |since| self.now.duration_since(since));
        let Some(proved) = settings(&own).filter(|_| ran >= own.probation) else {
            return;
        };
        if self.good.get(&own.id).map(|good| &**good) == Some(proved) {
            return;
        }
        let settings = Arc::new(proved.clone());
        self.good.insert(own.id.clone(), Arc::clone(&settings));
        let effect = LadderEffect::Proved(settings);
        self.effects.push(Effect::Ladder { key, effect });
    }

    /// The spec and the life of a child that runs, has a ladder, and its own settings in force.
    fn on_probation(&self, key: Key) -> Option<(Arc<ChildSpec>, u64)> {
        let child = self.children.get(&key)?;
        let Status::Up { incarnation } = child.status else {
            return None;
        };
        let has_ladder = child.spec.as_worker()?.on_crash.is_some();
        (has_ladder && self.swap_of(key).is_none()).then(|| (Arc::clone(&child.spec), incarnation))
    }
}

fn settings(spec: &ChildSpec) -> Option<&Value> {
    spec.as_worker().map(|worker| &worker.settings)
}

/// Whether a child's supervisor is not charged for a crash that its ladder made this of.
pub(super) fn spares_budget(note: Option<&LadderNote>) -> bool {
    note.is_some_and(|note| !note.is_charged())
}

/// Whether a ladder keeps its child down.
pub(super) fn keeps_down(note: Option<&LadderNote>) -> bool {
    matches!(
        note.map(|note| &note.did),
        Some(LadderDid::Quarantined { .. })
    )
}
