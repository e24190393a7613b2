//! What somebody asks of a supervisor: OTP's child API with its distinct answers, and releases.

use super::*;

impl Core {
    pub(super) fn answer(&mut self, ticket: Ticket, result: Result<Done, RequestError>) {
        self.effects.push(Effect::Answer { ticket, result });
    }

    pub(super) fn answer_start(&mut self, ticket: Ticket, key: Key) {
        let result = match self.status(key) {
            Some(Status::Up { incarnation }) => Ok(Done::Started {
                incarnation: *incarnation,
            }),
            Some(Status::Down(SlotState::Ignored)) | None => Ok(Done::Ignored),
            _ => Ok(Done::Stopped),
        };
        self.answer(ticket, result);
    }

    pub(super) fn answer_failure(&mut self, ticket: Ticket, failures: Vec<(Key, ExitReason)>) {
        if let Some((_, reason)) = failures.into_iter().next() {
            self.answer(ticket, Err(RequestError::StartFailed(reason)));
        }
    }

    /// Answers the request behind a job that was cut short by the end.
    pub(super) fn refuse(&mut self, purpose: &Purpose) {
        if let Some(ticket) = purpose.ticket() {
            self.answer(ticket, Err(RequestError::Ending));
        }
    }

    pub(super) fn spawned(&mut self, ticket: Ticket, key: Key, failures: Vec<(Key, ExitReason)>) {
        if !failures.is_empty() {
            self.remove(key);
            self.answer_failure(ticket, failures);
            return;
        }
        self.answer_start(ticket, key);
        let ignored = self.status(key) == Some(&Status::Down(SlotState::Ignored));
        if ignored && self.vanishes(key) {
            self.remove(key);
        }
    }

    /// Answers for each of many: what did not come to run leaves nothing behind.
    pub(super) fn spawned_many(
        &mut self,
        ticket: Ticket,
        asked: Vec<Result<Key, RequestError>>,
        failures: Vec<(Key, ExitReason)>,
    ) {
        let mut failures: BTreeMap<Key, ExitReason> = failures.into_iter().collect();
        let mut each = Vec::with_capacity(asked.len());
        for asked in asked {
            each.push(asked.and_then(|key| {
                if let Some(reason) = failures.remove(&key) {
                    self.remove(key);
                    return Err(RequestError::StartFailed(reason));
                }
                match self.status(key) {
                    Some(Status::Up { incarnation }) => Ok(Done::Started {
                        incarnation: *incarnation,
                    }),
                    Some(Status::Down(SlotState::Ignored)) => {
                        self.remove(key);
                        Ok(Done::Ignored)
                    }
                    // Stopped by somebody before its turn came.
                    _ => Ok(Done::Stopped),
                }
            }));
        }
        self.answer(ticket, Ok(Done::Each(each)));
    }

    pub(super) fn asked_stop(&mut self, ticket: Ticket, key: Key) {
        self.answer(ticket, Ok(Done::Stopped));
        if let Some(child) = self.children.get_mut(&key) {
            child.attempts = 0;
            child.by_hand = true;
        }
    }

    pub(super) fn ask(&mut self, ticket: Ticket, request: Request) {
        if matches!(self.phase, Phase::Ending { .. } | Phase::Ended) {
            self.answer(ticket, Err(RequestError::Ending));
            return;
        }
        let id = match &request {
            Request::Spawn { spec } => return self.ask_spawn(ticket, Arc::clone(spec), request),
            Request::SpawnMany { specs } => return self.ask_spawn_many(ticket, specs.clone()),
            Request::Reload(reload) => return self.ask_reload(ticket, (**reload).clone()),
            Request::Prepare { specs } => return self.ask_prepare(ticket, specs.clone()),
            Request::Undo { error } => return self.ask_undo(ticket, error.clone()),
            Request::Release { id: None } => return self.ask_release_all(ticket, request),
            Request::Release { id: Some(id) }
            | Request::Kill { id, .. }
            | Request::Stop { id }
            | Request::Start { id }
            | Request::Restart { id }
            | Request::Suspend { id, .. }
            | Request::Delete { id } => id,
        };
        let Some(key) = self.by_id.get(id).copied() else {
            self.answer(ticket, Err(RequestError::NotFound));
            return;
        };
        if let Request::Kill { reason, .. } = request {
            self.ask_kill(ticket, key, reason);
        } else if self.status(key) == Some(&Status::Busy)
            && matches!(request, Request::Start { .. } | Request::Delete { .. })
        {
            // Whoever asks is answered now, as OTP does, and not when the answer may be another.
            self.answer(ticket, Err(RequestError::Restarting));
        } else if self.is_held(key) {
            if matches!(request, Request::Stop { .. }) && self.status(key) == Some(&Status::Busy) {
                self.effects.push(Effect::Skip { key });
            }
            self.defer(ticket, request);
        } else {
            match request {
                Request::Stop { .. } => self.ask_stop(ticket, key),
                Request::Start { .. } => self.ask_start(ticket, key),
                Request::Restart { .. } => self.ask_restart(ticket, key),
                Request::Delete { .. } => self.ask_delete(ticket, key),
                Request::Release { .. } => self.ask_release(ticket, key),
                Request::Suspend { suspend, .. } => self.ask_suspend(ticket, key, suspend),
                // Handled above.
                _ => {}
            }
        }
    }

    /// A kill waits for nothing: the signal goes out now, its exit is handled in its turn.
    pub(super) fn ask_kill(&mut self, ticket: Ticket, key: Key, reason: ExitReason) {
        match self.status(key) {
            Some(Status::Up { .. } | Status::Busy) => {
                if let Some(child) = self.children.get_mut(&key) {
                    child.was_killed = child.status == Status::Busy;
                }
                self.effects.push(Effect::Kill { key, reason });
                self.answer(ticket, Ok(Done::Killed));
            }
            _ => self.answer(ticket, Err(RequestError::NotRunning)),
        }
    }

    pub(super) fn ask_stop(&mut self, ticket: Ticket, key: Key) {
        match self.status(key).cloned() {
            Some(Status::Up { .. }) => {
                let mut steps: Vec<Step> = self
                    .dependents(key)
                    .into_iter()
                    .rev()
                    .map(|key| Step::Stop { key })
                    .collect();
                steps.push(Step::Stop { key });
                self.run(Purpose::AskStop(ticket, key), steps);
            }
            Some(_) => {
                self.leave_down(key);
                self.asked_stop(ticket, key);
            }
            None => self.answer(ticket, Err(RequestError::NotFound)),
        }
    }

    /// A child that is down is to stay down.
    pub(super) fn leave_down(&mut self, key: Key) {
        if self.vanishes(key) {
            self.remove(key);
        } else {
            self.set(key, Status::Down(SlotState::Stopped));
        }
    }

    /// Members of a group that nobody will bring back stay down, as in OTP: the child that their group waited for was
    /// stopped, or its start was asked for and failed.
    pub(super) fn settle_members(&mut self) {
        if self.safe {
            // Its group was being stopped when safe mode began; now it stands for itself.
            let member = |child: &Child| child.status == Status::Member && !child.condemned;
            let keys: Vec<Key> = self
                .children
                .iter()
                .filter(|(_, child)| member(child))
                .map(|(key, _)| *key)
                .collect();
            for key in keys {
                self.wait(key, Duration::ZERO);
            }
        }
        if self.strategy() == Strategy::OneForOne || !self.jobs.is_empty() {
            return;
        }
        let waits = |child: &Child| matches!(child.status, Status::Due { .. });
        if self.children.values().any(waits) {
            return;
        }
        let members: Vec<Key> = self
            .children
            .iter()
            .filter(|(_, child)| child.status == Status::Member)
            .map(|(key, _)| *key)
            .collect();
        for member in members {
            self.set(member, Status::Down(SlotState::Stopped));
        }
    }

    /// Those that run and need `key`, directly or not, in start order.
    pub(super) fn dependents(&self, key: Key) -> Vec<Key> {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::ForgetsNeeds) {
            return Vec::new();
        }
        let mut down = BTreeSet::from([key]);
        // A need that was added again stands after those that need it: once over is not always enough.
        loop {
            let before = down.len();
            for other in &self.watched {
                let needs = self.children.get(other).map(|child| &*child.needs);
                if needs
                    .unwrap_or_default()
                    .iter()
                    .any(|need| down.contains(need))
                {
                    down.insert(*other);
                }
            }
            if down.len() == before {
                break;
            }
        }
        down.into_iter()
            .filter(|other| *other != key && self.is_up(*other))
            .collect()
    }

    pub(super) fn ask_start(&mut self, ticket: Ticket, key: Key) {
        match self.status(key) {
            Some(Status::Up { .. }) => self.answer(ticket, Err(RequestError::Running)),
            Some(Status::Due { .. } | Status::Member) if !self.is_in_backoff(key) => {
                self.answer(ticket, Err(RequestError::Restarting));
            }
            _ => self.start_asked(ticket, key, false),
        }
    }

    pub(super) fn is_in_backoff(&self, key: Key) -> bool {
        self.children.get(&key).is_some_and(|child| {
            child.spec.backoff.is_some() && matches!(child.status, Status::Due { .. })
        })
    }

    /// Starts a child that is down, and the group that waits for it; or lets it wait for what it needs.
    pub(super) fn start_asked(&mut self, ticket: Ticket, key: Key, is_restart: bool) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.condemned = false;
        child.behind = None;
        child.by_hand = false;
        child.attempts = 0;
        let before = match child.status {
            Status::Down(SlotState::Quarantined) => SlotState::Quarantined,
            _ => SlotState::Stopped,
        };
        let purpose = if is_restart {
            Purpose::AskRestart(ticket, key)
        } else {
            Purpose::AskStart(ticket, key, before)
        };
        let runs = if matches!(child.status, Status::Due { .. }) {
            // Its group is down because of it, and comes back with it.
            self.set(key, Status::Member);
            self.restart(key, purpose)
        } else {
            self.start_alone(key, purpose)
        };
        if !runs {
            self.answer_waiting(ticket, key);
        }
    }

    /// Answers that `key` waits, and for which of its needs.
    pub(super) fn answer_waiting(&mut self, ticket: Ticket, key: Key) {
        let child = self.children.get(&key);
        let mut needs = child
            .into_iter()
            .flat_map(|child| child.needs.iter().zip(&child.spec.needs));
        let unmet = needs
            .find(|(need, _)| !self.is_up(**need))
            .map(|(_, id)| id.clone());
        let done = unmet.map_or(Done::Stopped, |need| Done::Waiting { need });
        self.answer(ticket, Ok(done));
    }

    /// Starts `key`; `false` if it has to wait for its needs.
    pub(super) fn start_alone(&mut self, key: Key, purpose: Purpose) -> bool {
        let runs = !self.startable(&[key]).is_empty();
        if runs {
            let step = self.start_step(key, &[], false);
            self.run(purpose, vec![step]);
        }
        runs
    }

    pub(super) fn ask_restart(&mut self, ticket: Ticket, key: Key) {
        match self.status(key) {
            Some(Status::Up { .. }) => {
                let start = self.start_step(key, &[], false);
                self.run(
                    Purpose::AskRestart(ticket, key),
                    vec![Step::Stop { key }, start],
                );
            }
            Some(Status::Member) => self.answer(ticket, Err(RequestError::Restarting)),
            _ => self.start_asked(ticket, key, true),
        }
    }

    pub(super) fn ask_delete(&mut self, ticket: Ticket, key: Key) {
        let result = match self.status(key) {
            Some(Status::Up { .. } | Status::Busy) => Err(RequestError::Running),
            Some(Status::Due { .. } | Status::Member) => Err(RequestError::Restarting),
            Some(Status::Down(_) | Status::Waiting) => {
                self.remove(key);
                Ok(Done::Deleted)
            }
            None => Err(RequestError::NotFound),
        };
        self.answer(ticket, result);
    }

    /// The need of a new child that, directly or not, names the new child.
    pub(super) fn needs_each_other(&self, spec: &ChildSpec) -> Option<ChildId> {
        spec.needs
            .iter()
            .find(|need| {
                let mut named: Vec<&ChildId> = vec![*need];
                let mut seen = BTreeSet::new();
                while let Some(id) = named.pop() {
                    if *id == spec.id {
                        return true;
                    }
                    let child = self.by_id.get(id).and_then(|key| self.children.get(key));
                    if seen.insert(id)
                        && let Some(child) = child
                    {
                        named.extend(&child.spec.needs);
                    }
                }
                false
            })
            .cloned()
    }

    pub(super) fn ask_spawn(&mut self, ticket: Ticket, spec: Arc<ChildSpec>, request: Request) {
        if let Some(error) = self.no_place(&spec.id) {
            self.answer(ticket, Err(error));
        } else if let Some(need) = spec
            .needs
            .iter()
            .find(|need| !self.by_id.contains_key(*need))
        {
            let need = need.clone();
            self.answer(ticket, Err(RequestError::NoSuchNeed(need)));
        } else if let Some(need) = self.needs_each_other(&spec) {
            self.answer(ticket, Err(RequestError::NeedsEachOther(need)));
        } else if self.is_group_held() {
            self.defer(ticket, request);
        } else {
            let key = self.add(spec);
            let adopt = Effect::Adopt {
                key: Some(key),
                ticket,
            };
            self.effects.push(adopt);
            if !self.start_alone(key, Purpose::AskSpawn(ticket, key)) {
                self.answer_waiting(ticket, key);
            }
        }
    }

    /// Why no child of this id can be added.
    fn no_place(&self, id: &ChildId) -> Option<RequestError> {
        if let Some(present) = self.by_id.get(id) {
            return Some(match self.status(*present) {
                Some(Status::Up { .. }) => RequestError::AlreadyStarted,
                _ => RequestError::AlreadyPresent,
            });
        }
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::ForgetsMaxChildren) {
            return None;
        }
        let max = self.template.as_ref()?.max_children?;
        (self.children.len() >= max).then_some(RequestError::MaxChildren(max))
    }

    fn ask_spawn_many(&mut self, ticket: Ticket, specs: Vec<Arc<ChildSpec>>) {
        if self.is_group_held() {
            return self.defer(ticket, Request::SpawnMany { specs });
        }
        let mut asked = Vec::with_capacity(specs.len());
        let mut steps = Vec::with_capacity(specs.len());
        for spec in specs {
            if let Some(error) = self.no_place(&spec.id) {
                self.effects.push(Effect::Adopt { key: None, ticket });
                asked.push(Err(error));
                continue;
            }
            let key = self.add(spec);
            let adopt = Effect::Adopt {
                key: Some(key),
                ticket,
            };
            self.effects.push(adopt);
            asked.push(Ok(key));
            steps.push(self.start_step(key, &[], true));
        }
        if steps.is_empty() {
            self.spawned_many(ticket, asked, Vec::new());
        } else {
            self.run(Purpose::AskSpawnMany(ticket, asked), steps);
        }
    }

    /// Has a child take no messages, or take them again; that it does already is fine, as in OTP (`sys:suspend`).
    fn ask_suspend(&mut self, ticket: Ticket, key: Key, suspend: bool) {
        let child = self.children.get(&key);
        let result = match child.map(|child| (&child.status, child.spec.as_supervisor().is_some()))
        {
            Some((_, true)) => Err(RequestError::NotAWorker),
            Some((Status::Up { .. }, false)) => {
                self.effects.push(Effect::Suspend { key, suspend });
                Ok(if suspend {
                    Done::Suspended
                } else {
                    Done::Resumed
                })
            }
            _ => Err(RequestError::NotRunning),
        };
        self.answer(ticket, result);
    }

    pub(super) fn ask_release_all(&mut self, ticket: Ticket, request: Request) {
        if !self.is_group_held() {
            // What is to go into quarantine goes there before it is released.
            let keys: Vec<Key> = self.watched.iter().copied().collect();
            self.settle_condemned(&keys);
        }
        let is_settling = self
            .jobs
            .values()
            .any(|job| matches!(job, Purpose::Quarantine));
        if is_settling || self.is_group_held() {
            self.defer(ticket, request);
            return;
        }
        if self.safe {
            self.safe = false;
            self.window.clear();
            self.charged = true;
            self.effects.push(Effect::Safe(None));
        }
        let mut keys = Vec::new();
        for (key, child) in &mut self.children {
            child.condemned = false;
            if child.status == Status::Down(SlotState::Quarantined) {
                child.attempts = 0;
                keys.push(*key);
            }
        }
        for key in &keys {
            self.forget_climbing(*key);
        }
        let mut steps = self.start_steps(&keys, true);
        for step in &mut steps {
            // Under one for one each comes back for itself; a group comes back with the one that fails.
            if let Step::Start { tolerate, .. } = step {
                *tolerate |= self.strategy == Strategy::OneForOne;
            }
        }
        let count = keys.len();
        if steps.is_empty() {
            self.answer(ticket, Ok(Done::Released { count }));
        } else {
            self.run(Purpose::Release(ticket, count), steps);
        }
    }
}
