//! Boot, exits, restarts and giving up: the rules of OTP, and safe mode.

use super::*;

impl Core {
    pub(super) fn booted(&mut self, failures: Vec<(Key, ExitReason)>, rng: &mut fastrand::Rng) {
        let fatal = failures
            .iter()
            .find(|(key, _)| !self.is_tolerated(*key))
            .cloned();
        let Some((key, reason)) = fatal else {
            self.phase = Phase::Running;
            self.crash_all(failures, rng);
            if self.phase == Phase::Running {
                self.begun(Ok(()));
            }
            return;
        };
        let id = self.id_text(key);
        let text = format!("its child `{id}` failed to start ({reason})");
        if self.role == Role::Root {
            self.phase = Phase::Running;
            self.record(key, true, &reason, Response::Quarantined);
            self.set(key, Status::Member);
            self.enter_safe_mode(key, text, rng);
            let others = failures.into_iter().filter(|(other, _)| *other != key);
            self.crash_all(others.collect(), rng);
            self.begun(Ok(()));
        } else {
            for (key, reason) in failures.iter().filter(|(other, _)| *other != key) {
                self.record(*key, true, reason, Response::StopFailed);
                self.set(*key, Status::Down(SlotState::Stopped));
            }
            self.record(key, true, &reason, Response::GaveUp);
            self.set(key, Status::Down(SlotState::Stopped));
            let kind = match self.role {
                Role::MortalRoot => ExitKind::GaveUp,
                _ => ExitKind::Error,
            };
            self.end(ExitReason::with_text(kind, text), false);
        }
    }

    /// Whether a failed first start of `key` lets the boot go on.
    pub(super) fn is_tolerated(&self, key: Key) -> bool {
        self.safe || matches!(self.role, Role::Top | Role::Services) || self.copes(key)
    }

    /// Whether a child says itself what is done about a failed start.
    pub(super) fn copes(&self, key: Key) -> bool {
        let spec = self.children.get(&key).map(|child| &child.spec);
        let has_ladder = |spec: &ChildSpec| {
            spec.as_worker()
                .is_some_and(|worker| worker.on_crash.is_some())
        };
        spec.is_some_and(|spec| spec.backoff.is_some() || has_ladder(spec))
    }

    pub(super) fn is_essential(&self, key: Key) -> bool {
        self.children
            .get(&key)
            .is_some_and(|child| child.spec.essential)
    }

    pub(super) fn exited(
        &mut self,
        key: Key,
        incarnation: u64,
        reason: ExitReason,
        rng: &mut fastrand::Rng,
    ) {
        if self.status(key) != Some(&Status::Up { incarnation }) {
            return;
        }
        self.prove(key);
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let ran = child
            .up_since
            .take()
            .map_or(Duration::ZERO, |since| self.now.duration_since(since));
        if child.spec.backoff.is_some_and(|backoff| ran >= backoff.max) {
            child.attempts = 0;
        }
        if matches!(self.phase, Phase::Ending { .. } | Phase::Ended) {
            self.record_stop(key, &reason);
            self.set_at_end(key);
        } else if self.comes_back(key, reason.kind) {
            self.crashed(key, &reason, false, rng);
        } else {
            self.ended_for_good(key, &reason, false);
        }
    }

    pub(super) fn comes_back(&self, key: Key, exit: ExitKind) -> bool {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::RestartsTemporary) {
            return true;
        }
        comes_back(self.restart_type(key), exit)
    }

    pub(super) fn crash_all(&mut self, failures: Vec<(Key, ExitReason)>, rng: &mut fastrand::Rng) {
        for (key, reason) in failures {
            if matches!(self.phase, Phase::Ending { .. }) {
                self.record(key, true, &reason, Response::StopFailed);
                self.set(key, Status::Down(SlotState::Stopped));
            } else {
                self.crashed(key, &reason, true, rng);
            }
        }
    }

    /// A child that comes back exited, or its start failed: charges its ladder or the budget and restarts, or gives up.
    pub(super) fn crashed(
        &mut self,
        key: Key,
        reason: &ExitReason,
        failed_start: bool,
        rng: &mut fastrand::Rng,
    ) {
        let ends_kernel = match reason.kind {
            // Only a mortal root gives up, and only a root that its significant children ended shuts down by itself.
            ExitKind::GaveUp => Some(Response::GaveUp),
            ExitKind::Shutdown => Some(Response::AutoShutdown),
            _ => None,
        };
        if let Some(response) = ends_kernel.filter(|_| self.role == Role::Top) {
            self.record(key, failed_start, reason, response);
            self.set(key, Status::Down(SlotState::Stopped));
            self.end(reason.clone(), false);
            return;
        }
        if failed_start && self.restart_type(key) == Restart::Temporary {
            self.ended_for_good(key, reason, true);
            return;
        }
        if self.roll_back(key, reason, failed_start) {
            // Whoever changed its settings has caused this, and no budget pays for it.
            self.set(key, Status::Member);
            self.wait(key, Duration::ZERO);
            self.stop_group(key);
            return;
        }
        let note = self.climb(key);
        if ladder::keeps_down(note.as_ref()) {
            self.record_climb(key, failed_start, reason, Response::Quarantined, note);
            self.quarantine(key);
            return;
        }
        let is_kernels = matches!(self.role, Role::Top | Role::Services);
        let uncounted = self.safe || is_kernels;
        #[cfg(test)]
        let note = note.filter(|_| self.bug != Some(crate::bug::Bug::ChargesLadders));
        let is_charged = !uncounted && !ladder::spares_budget(note.as_ref());
        self.charged |= is_charged;
        if is_charged && !self.window.charge(self.now) {
            self.record_climb(key, failed_start, reason, Response::GaveUp, note);
            self.set(key, Status::Member);
            self.give_up(key, reason, rng);
            return;
        }
        let pause = self.next_pause(key, uncounted, rng);
        let response = if pause.is_zero() {
            Response::Restarted
        } else {
            Response::Backoff {
                pause_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            }
        };
        self.record_climb(key, failed_start, reason, response, note);
        self.set(key, Status::Member);
        if pause.is_zero() && !failed_start {
            // Without a job it waits for its needs, and `settle` starts it.
            let _runs = self.restart(key, Purpose::Restart);
        } else {
            self.wait(key, pause);
            self.stop_group(key);
        }
    }

    /// How long a child that crashed waits for its next start. What no budget counts always waits.
    fn next_pause(&mut self, key: Key, uncounted: bool, rng: &mut fastrand::Rng) -> Duration {
        let fallback = match self.role {
            Role::Top | Role::Services => SERVICE_BACKOFF,
            _ => Backoff::default(),
        };
        let Some(child) = self.children.get_mut(&key) else {
            return Duration::ZERO;
        };
        let attempts = child.attempts;
        child.attempts = attempts.saturating_add(1);
        let backoff = child.spec.backoff.or_else(|| uncounted.then_some(fallback));
        backoff.map_or(Duration::ZERO, |backoff| pause(&backoff, attempts, rng))
    }

    /// Tries again after `pause`, through the mailbox, so that a stop can get in between.
    pub(super) fn wait(&mut self, key: Key, pause: Duration) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.generation += 1;
        child.due = Some(self.now + pause);
        let generation = child.generation;
        child.status = Status::Due { generation };
        let state = if pause.is_zero() {
            SlotState::Restarting
        } else {
            SlotState::Backoff
        };
        self.effects.push(Effect::State { key, state });
        self.effects.push(Effect::Wait {
            key,
            generation,
            pause,
        });
    }

    pub(super) fn members(&self) -> Vec<Member<Key>> {
        let condemned_or_quarantined =
            |child: &Child| child.condemned || child.status == Status::Down(SlotState::Quarantined);
        self.children
            .iter()
            .map(|(key, child)| Member {
                key: *key,
                restart: child.spec.restart,
                is_up: matches!(child.status, Status::Up { .. }),
                is_quarantined: condemned_or_quarantined(child),
            })
            .collect()
    }

    /// The members of the plan for `key`. One for one needs no look at the others.
    pub(super) fn plan(&self, key: Key) -> (Vec<Key>, Vec<Key>) {
        if self.strategy() == Strategy::OneForOne {
            return (Vec::new(), vec![key]);
        }
        let plan = plan(self.strategy(), key, &self.members());
        (plan.stops, plan.starts)
    }

    /// Runs the restart of `key` and its group; `false` if it has to wait for its needs.
    pub(super) fn restart(&mut self, key: Key, purpose: Purpose) -> bool {
        let (stops, starts) = self.plan(key);
        for stop in &stops {
            // Counts as down for the needs of those that start in the same job.
            if let Some(child) = self.children.get_mut(stop) {
                child.status = Status::Busy;
            }
        }
        let mut steps: Vec<Step> = stops.into_iter().map(|key| Step::Stop { key }).collect();
        steps.extend(self.start_steps(&starts, false));
        for step in &mut steps {
            if let Step::Start {
                key: started,
                leads,
                ..
            } = step
            {
                *leads = *started == key;
            }
        }
        let runs = !steps.is_empty();
        if runs {
            self.run(purpose, steps);
        }
        runs
    }

    /// Stops the group of a child that waits for its backoff.
    pub(super) fn stop_group(&mut self, key: Key) {
        let (stops, _) = self.plan(key);
        if !stops.is_empty() {
            let steps = stops.into_iter().map(|key| Step::Stop { key }).collect();
            self.run(Purpose::GroupStop, steps);
        }
    }

    pub(super) fn due(&mut self, key: Key, generation: u64) {
        if self.phase == Phase::Running && self.status(key) == Some(&Status::Due { generation }) {
            let _runs = self.restart(key, Purpose::Restart);
        }
    }

    pub(super) fn give_up(&mut self, key: Key, reason: &ExitReason, rng: &mut fastrand::Rng) {
        let id = self.id_text(key);
        let (intensity, period) = (self.window.intensity(), self.window.period());
        let restarts = if intensity == 1 {
            "restart"
        } else {
            "restarts"
        };
        let text = format!(
            "more than {intensity} {restarts} within {period:?}; the last was of `{id}` ({reason})"
        );
        if self.role == Role::Root {
            self.enter_safe_mode(key, text, rng);
        } else {
            self.end(ExitReason::with_text(ExitKind::GaveUp, text), false);
        }
    }

    pub(super) fn enter_safe_mode(&mut self, failed: Key, why: String, rng: &mut fastrand::Rng) {
        self.safe = true;
        self.effects.push(Effect::Safe(Some(why)));
        let keys: Vec<Key> = self.children.keys().copied().collect();
        for key in keys {
            let Some(child) = self.children.get_mut(&key) else {
                continue;
            };
            if !child.spec.essential {
                child.condemned = true;
                self.watched.insert(key);
            } else if child.status == Status::Member || child.status == Status::Waiting {
                let backoff = child.spec.backoff.unwrap_or_default();
                let pause = if key == failed {
                    pause(&backoff, child.attempts, rng)
                } else {
                    Duration::ZERO
                };
                self.wait(key, pause);
            }
        }
    }

    pub(super) fn end(&mut self, reason: ExitReason, brutal: bool) {
        match &mut self.phase {
            Phase::Ended => return,
            Phase::Ending {
                brutal: already, ..
            } => {
                if *already || !brutal {
                    return;
                }
                *already = true;
            }
            phase => {
                self.effects.push(Effect::Ending(reason.kind));
                *phase = Phase::Ending { reason, brutal };
            }
        }
        for job in self.jobs.keys() {
            self.effects.push(Effect::Cancel { job: *job, brutal });
        }
        for input in std::mem::take(&mut self.deferred) {
            match input {
                Input::Ask { ticket, .. } => self.answer(ticket, Err(RequestError::Ending)),
                other => self.deferred.push_back(other),
            }
        }
        self.end_when_idle();
    }

    /// Stops what still runs, in reverse order, once no job is left; then ends.
    pub(super) fn end_when_idle(&mut self) {
        let Phase::Ending { reason, .. } = &self.phase else {
            return;
        };
        if !self.jobs.is_empty() {
            return;
        }
        let reason = reason.clone();
        #[cfg_attr(not(test), expect(unused_mut, reason = "planted bugs change it"))]
        let mut up: Vec<Step> = self
            .children
            .iter()
            .rev()
            .filter(|(_, child)| matches!(child.status, Status::Up { .. }))
            .map(|(key, _)| Step::Stop { key: *key })
            .collect();
        #[cfg(test)]
        match self.bug {
            Some(crate::bug::Bug::StopsForward) => up.reverse(),
            Some(crate::bug::Bug::LeavesOrphan) => drop(up.pop()),
            Some(crate::bug::Bug::LeavesTasks) if self.template.is_some() => up.clear(),
            _ => {}
        }
        if up.is_empty() {
            self.phase = Phase::Ended;
            self.begun(Err(reason.clone()));
            self.effects.push(Effect::End(reason));
        } else {
            self.run(Purpose::Last, up);
        }
    }
}
