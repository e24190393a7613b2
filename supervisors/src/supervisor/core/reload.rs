//! A reload: from what the supervisor supervises to what it is to supervise, in one job.
//!
//! It is declarative: it says what is to be, not what is to be done, and what differs is found when its turn has come.
//! So a crash, a request or a restart of the supervisor between any two steps of a change only changes what is left to do.
//! What is the same is not touched.

use super::differ::{Change, change, of_next_template};
use super::*;
use crate::spec::SupervisorSpec;

/// What a supervisor is to be from here on.
#[derive(Debug, Clone)]
pub(crate) struct Reload {
    /// Its own spec.
    pub(crate) spec: Arc<ChildSpec>,
    /// The lives that have taken their new settings already, by the child they are of.
    pub(crate) applied: BTreeMap<ChildId, u64>,
}

/// What is to be done about a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// Its spec is another, which it lives with.
    Respec,
    /// Its spec is another, which only its next life can have.
    Restart,
    /// It is another child under the same id.
    Replace,
    /// It is new.
    Add,
    /// It is to run, because what somebody did to it is forgotten.
    Start,
    /// It is to be down.
    Stop,
    /// It is not to be.
    Remove,
}

impl Core {
    /// Brings the supervisor to what it is to be; answered when that is done.
    pub(super) fn ask_reload(&mut self, ticket: Ticket, reload: Reload) {
        let Some(spec) = reload.spec.as_supervisor() else {
            return self.answer(ticket, Err(RequestError::NotFound));
        };
        let targets = self.targets(spec);
        let touches = self.touches(spec, &targets, &reload.applied);
        if self.has_to_wait(&targets, &touches) {
            self.reload_waits = true;
            let request = Request::Reload(Box::new(reload));
            self.deferred.push_back(Input::Ask { ticket, request });
            return;
        }
        self.reload_waits = false;
        self.prepared.clear();
        self.take_flags(spec);
        let mut stops = Vec::new();
        let mut starts = Vec::new();
        for (id, touch, target) in touches {
            self.touch(&id, touch, target, &mut stops, &mut starts);
        }
        let moved = self.put_in_order(&targets);
        for stop in &mut stops {
            *stop = moved.get(stop).copied().unwrap_or(*stop);
        }
        self.find_needs();
        self.bring_back_members(&mut starts);
        let key_of = |id: &ChildId| self.by_id.get(id).copied();
        let mut starts: Vec<Key> = starts.iter().filter_map(key_of).collect();
        starts.sort_unstable();
        stops.sort_unstable();
        self.run_reload(ticket, &stops, &starts);
    }

    /// What each child is to be, in order: as the spec says, or as its template makes it.
    fn targets(&self, spec: &SupervisorSpec) -> Vec<Arc<ChildSpec>> {
        let (Some(old), Some(new)) = (&self.template, &spec.template) else {
            return spec.children.clone();
        };
        let present = self.children.values().map(|child| &child.spec);
        if old == new {
            return present.cloned().collect();
        }
        present
            .map(|child| Arc::new(of_next_template(child, old, new)))
            .collect()
    }

    fn touches(
        &self,
        spec: &SupervisorSpec,
        targets: &[Arc<ChildSpec>],
        applied: &BTreeMap<ChildId, u64>,
    ) -> Vec<(ChildId, Touch, Option<Arc<ChildSpec>>)> {
        let mut touches = Vec::new();
        if spec.template.is_none() || self.template.is_none() {
            let wanted: BTreeSet<&ChildId> = targets.iter().map(|target| &target.id).collect();
            let gone = self
                .children
                .values()
                .filter(|child| !child.is_leaving && !wanted.contains(&child.spec.id));
            #[cfg(test)]
            let gone = gone.filter(|_| self.bug != Some(crate::bug::Bug::KeepsRemoved));
            touches.extend(gone.map(|child| (child.spec.id.clone(), Touch::Remove, None)));
        }
        for target in targets {
            let key = self.by_id.get(&target.id);
            let Some(child) = key.and_then(|key| self.children.get(key)) else {
                if target.restart == Restart::Temporary && self.prepared.contains(&target.id) {
                    // It has done what it was added for, and is gone already.
                    continue;
                }
                touches.push((target.id.clone(), Touch::Add, Some(Arc::clone(target))));
                continue;
            };
            let has_applied = child.status
                == applied
                    .get(&target.id)
                    .map_or(Status::Waiting, |applied| Status::Up {
                        incarnation: *applied,
                    });
            let touch = match change(&child.spec, target) {
                Change::Replace => Touch::Replace,
                _ if target.begins_stopped && !child.spec.begins_stopped => Touch::Stop,
                #[cfg(test)]
                Change::None if self.bug == Some(crate::bug::Bug::TouchesUnchanged) => {
                    Touch::Restart
                }
                Change::None if child.by_hand => Touch::Start,
                // The same in other words: what a supervisor supervises may differ, and is asked of itself.
                Change::None if *child.spec == **target => continue,
                Change::None | Change::Keys => Touch::Respec,
                Change::Settings if has_applied => Touch::Respec,
                Change::Settings | Change::Life => Touch::Restart,
            };
            touches.push((target.id.clone(), touch, Some(Arc::clone(target))));
        }
        touches
    }

    /// Whether a job is at work on what the reload touches, or on any child if the order changes. A start that is under
    /// way and would be for nothing is given up.
    fn has_to_wait(
        &mut self,
        targets: &[Arc<ChildSpec>],
        touches: &[(ChildId, Touch, Option<Arc<ChildSpec>>)],
    ) -> bool {
        if self.jobs.is_empty() {
            return false;
        }
        let replaced = touches
            .iter()
            .filter(|(_, touch, _)| *touch == Touch::Replace)
            .map(|(id, ..)| id)
            .collect();
        if self.phase == Phase::Booting
            || self.strategy() != Strategy::OneForOne
            || self.changes_order(targets, &replaced)
        {
            return true;
        }
        let mut waits = false;
        for (id, touch, _) in touches {
            let Some(key) = self.by_id.get(id).copied() else {
                continue;
            };
            if self.status(key) != Some(&Status::Busy) || *touch == Touch::Respec {
                continue;
            }
            waits = true;
            if let Some(child) = self.children.get_mut(&key) {
                child.skipped = true;
            }
            self.effects.push(Effect::Skip { key });
        }
        waits
    }

    fn take_flags(&mut self, spec: &SupervisorSpec) {
        self.strategy = match &spec.template {
            Some(_) => Strategy::OneForOne,
            None => spec.strategy,
        };
        self.template.clone_from(&spec.template);
        self.auto_shutdown = spec.auto_shutdown;
        self.window.set_limits(spec.intensity, spec.period);
        self.charged = true;
    }

    fn touch(
        &mut self,
        id: &ChildId,
        touch: Touch,
        target: Option<Arc<ChildSpec>>,
        stops: &mut Vec<Key>,
        starts: &mut Vec<ChildId>,
    ) {
        let key = self.by_id.get(id).copied();
        if let (Some(key), Touch::Remove | Touch::Replace) = (key, touch) {
            self.let_go(key, stops);
        }
        let Some(target) = target else {
            return;
        };
        if matches!(touch, Touch::Add | Touch::Replace) {
            if self.add_for_reload(target) {
                starts.push(id.clone());
            }
            return;
        }
        let Some(key) = key else {
            return;
        };
        let has_new_settings = self
            .children
            .get(&key)
            .is_some_and(|child| change(&child.spec, &target).is_of_settings());
        let is_live = touch == Touch::Respec;
        let is_to_start = !target.begins_stopped && self.begins_stopped(key);
        let is_kept_down = self.safe && !self.is_essential(key);
        self.respec(key, target, has_new_settings.then_some(is_live));
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let was_skipped = std::mem::take(&mut child.skipped);
        let was_by_hand = std::mem::take(&mut child.by_hand);
        let is_wanted = is_to_start || was_skipped || was_by_hand && !child.spec.begins_stopped;
        match child.status {
            Status::Up { .. } if touch == Touch::Stop => stops.push(key),
            _ if touch == Touch::Stop => self.set(key, Status::Down(SlotState::Stopped)),
            Status::Up { .. } if touch == Touch::Restart => {
                stops.push(key);
                starts.push(id.clone());
            }
            Status::Down(SlotState::Quarantined | SlotState::Ignored)
                if has_new_settings && !is_kept_down =>
            {
                starts.push(id.clone());
            }
            Status::Down(SlotState::Stopped) if is_wanted => starts.push(id.clone()),
            // Its group comes back with it.
            Status::Due { .. } if has_new_settings => self.wait(key, Duration::ZERO),
            _ => {}
        }
    }

    /// A child leaves: at once if it is down, else with the job.
    fn let_go(&mut self, key: Key, stops: &mut Vec<Key>) {
        if self.is_up(key) {
            if let Some(child) = self.children.get_mut(&key) {
                child.is_leaving = true;
            }
            stops.push(key);
        } else {
            self.remove(key);
        }
    }

    /// Adds a child; whether it is to be started.
    pub(super) fn add_for_reload(&mut self, spec: Arc<ChildSpec>) -> bool {
        let begins_stopped = spec.begins_stopped;
        let key = self.add(Arc::clone(&spec));
        self.effects.push(Effect::Add { key, spec });
        if self.safe && !self.is_essential(key) {
            self.set(key, Status::Down(SlotState::Quarantined));
            false
        } else if begins_stopped {
            self.set(key, Status::Down(SlotState::Stopped));
            false
        } else {
            true
        }
    }

    /// Puts the children in the order of the targets; those that leave stay where they are. Which moved, and where to.
    fn put_in_order(&mut self, targets: &[Arc<ChildSpec>]) -> BTreeMap<Key, Key> {
        let mut moved: BTreeMap<Key, Key> = BTreeMap::new();
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::ForgetsOrder) {
            return moved;
        }
        if !self.changes_order(targets, &BTreeSet::new()) {
            return moved;
        }
        let mut last = None;
        for target in targets {
            let Some(key) = self.by_id.get(&target.id).copied() else {
                continue;
            };
            if moved.is_empty() && last.is_none_or(|last| key > last) {
                last = Some(key);
                continue;
            }
            moved.insert(key, self.next_key);
            self.next_key += 1;
        }
        for (from, to) in &moved {
            self.rekey(*from, *to);
        }
        for input in &mut self.deferred {
            if let Input::Exited { key, .. } | Input::Due { key, .. } = input
                && let Some(to) = moved.get(key)
            {
                *key = *to;
            }
        }
        moved
    }

    /// Whether the children that are there stand in another order than their targets. What is not there yet, or `replaced`,
    /// comes last.
    fn changes_order(&self, targets: &[Arc<ChildSpec>], replaced: &BTreeSet<&ChildId>) -> bool {
        let key = |target: &Arc<ChildSpec>| {
            let key = self.by_id.get(&target.id).copied();
            key.filter(|_| !replaced.contains(&target.id))
                .unwrap_or(Key::MAX)
        };
        let keys: Vec<Key> = targets.iter().map(key).collect();
        !keys.is_sorted()
    }

    fn rekey(&mut self, from: Key, to: Key) {
        let Some(child) = self.children.remove(&from) else {
            return;
        };
        self.by_id.insert(child.spec.id.clone(), to);
        if self.watched.remove(&from) {
            self.watched.insert(to);
        }
        let due = matches!(child.status, Status::Due { .. }).then_some(child.due);
        self.children.insert(to, child);
        for other in self.children.values_mut() {
            if other.behind == Some(from) {
                other.behind = Some(to);
            }
        }
        self.effects.push(Effect::Move { from, to });
        if let Some(due) = due {
            // The pause goes on under the new key.
            let rest = due.map_or(Duration::ZERO, |due| due.duration_since(self.now));
            self.wait(to, rest);
        }
    }

    /// Finds the needs of all children by their ids.
    fn find_needs(&mut self) {
        let by_id = &self.by_id;
        for (key, child) in &mut self.children {
            if child.spec.needs.is_empty() && child.needs.is_empty() {
                continue;
            }
            let needs = child.spec.needs.iter();
            // One that was deleted counts as down, until one of its id is added again.
            let find = |id| by_id.get(id).copied().unwrap_or(Key::MAX);
            child.needs = needs.map(find).collect();
            // Whoever watches drops those that need nothing any more, once they run.
            self.watched.insert(*key);
        }
    }

    /// Members of a group come back where the child that they wait for waits no more, or will not bring them along, as it
    /// stands or is supervised now.
    fn bring_back_members(&self, starts: &mut Vec<ChildId>) {
        let waits = |(_, child): &(&Key, &Child)| matches!(child.status, Status::Due { .. });
        let due: Vec<Key> = self
            .children
            .iter()
            .filter(waits)
            .map(|(key, _)| *key)
            .collect();
        let is_brought = |member: Key| match self.strategy() {
            Strategy::OneForOne => false,
            Strategy::OneForAll => !due.is_empty(),
            Strategy::RestForOne => due.first().is_some_and(|first| *first < member),
        };
        let members = self.children.iter().filter(|(key, child)| {
            child.status == Status::Member && !child.condemned && !is_brought(**key)
        });
        starts.extend(members.map(|(_, child)| child.spec.id.clone()));
    }

    fn run_reload(&mut self, ticket: Ticket, stops: &[Key], starts: &[Key]) {
        for stop in stops {
            // Counts as down for the needs of those that start in the same job.
            if let Some(child) = self.children.get_mut(stop) {
                child.status = Status::Busy;
            }
        }
        let mut steps: Vec<Step> = stops
            .iter()
            .rev()
            .map(|key| Step::Stop { key: *key })
            .collect();
        steps.extend(self.start_steps(starts, false));
        for step in &mut steps {
            if let Step::Start { tolerate, .. } = step {
                *tolerate = true;
            }
        }
        if steps.is_empty() {
            self.answer(ticket, Ok(Done::Reloaded));
        } else {
            self.run(Purpose::Reload(ticket), steps);
        }
    }

    /// Starts children that are to be added, before anything else changes. Where one of them fails, none is left.
    pub(super) fn ask_prepare(&mut self, ticket: Ticket, specs: Vec<Arc<ChildSpec>>) {
        if self.is_group_held() {
            return self.defer(ticket, Request::Prepare { specs });
        }
        let mut starts = Vec::new();
        for spec in specs {
            if self.by_id.contains_key(&spec.id) {
                // Somebody added one by hand, which the reload makes into this one.
                continue;
            }
            let id = spec.id.clone();
            let begins = self.add_for_reload(spec);
            let key = self.by_id.get(&id).copied();
            starts.extend(key.filter(|_| begins));
            self.prepared.insert(id);
        }
        let steps = self.boot_steps(&starts);
        if steps.is_empty() {
            self.answer(ticket, Ok(Done::Reloaded));
        } else {
            self.run(Purpose::Prepare(ticket), steps);
        }
    }

    /// Says whether all that was to be added is there, or takes it back.
    pub(super) fn prepared(
        &mut self,
        ticket: Ticket,
        failures: Vec<(Key, ExitReason)>,
        rng: &mut fastrand::Rng,
    ) {
        let fatal = failures.iter().find(|(key, _)| !self.is_tolerated(*key));
        let Some((key, reason)) = fatal.cloned() else {
            self.answer(ticket, Ok(Done::Reloaded));
            return self.crash_all(failures, rng);
        };
        let error = match self.children.get(&key) {
            Some(child) => RequestError::ChildFailed {
                id: child.spec.id.clone(),
                reason,
            },
            None => RequestError::StartFailed(reason),
        };
        for (failed, _) in &failures {
            self.set(*failed, Status::Down(SlotState::Stopped));
        }
        self.ask_undo(ticket, Some(error));
    }

    /// Removes what was added for a change that is not to be; answered with the `error` that it failed of, if it did.
    pub(super) fn ask_undo(&mut self, ticket: Ticket, error: Option<RequestError>) {
        let ids = self.prepared.iter();
        let mut keys: Vec<Key> = ids.filter_map(|id| self.by_id.get(id).copied()).collect();
        keys.sort_unstable();
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::KeepsPrepared) {
            keys.clear();
        }
        if self.is_group_held() || keys.iter().any(|key| self.is_held(*key)) {
            for key in &keys {
                if self.status(*key) == Some(&Status::Busy) {
                    self.effects.push(Effect::Skip { key: *key });
                }
            }
            let request = Request::Undo { error };
            self.deferred.push_back(Input::Ask { ticket, request });
            return;
        }
        self.prepared.clear();
        let result = error.map_or(Ok(Done::Reloaded), Err);
        let mut stops = Vec::new();
        for key in keys {
            self.let_go(key, &mut stops);
        }
        if stops.is_empty() {
            self.answer(ticket, result);
        } else {
            let steps = stops.into_iter().rev().map(|key| Step::Stop { key });
            let steps = steps.collect();
            self.run(Purpose::Undo(ticket, result), steps);
        }
    }
}
