//! Jobs: what is run, and what is made of what they came to.

use super::*;

impl Core {
    pub(super) fn run(&mut self, purpose: Purpose, steps: Vec<Step>) {
        let job = self.next_job;
        self.next_job += 1;
        for step in &steps {
            if let Some(child) = self.children.get_mut(&step.key()) {
                child.status = Status::Busy;
                child.generation += 1;
            }
        }
        let first = matches!(
            purpose,
            Purpose::Boot
                | Purpose::AskSpawn(..)
                | Purpose::AskSpawnMany(..)
                | Purpose::Prepare(..)
        );
        let at_once = self.template.is_some() && matches!(purpose, Purpose::Last);
        let brutal = matches!(&self.phase, Phase::Ending { brutal: true, .. });
        let gave_up = matches!(
            &self.phase,
            Phase::Ending { reason, .. } if reason.kind == ExitKind::GaveUp
        );
        let asked = purpose.ticket().is_some();
        self.jobs.insert(job, purpose);
        self.effects.push(Effect::Run {
            job,
            steps,
            manner: Manner {
                brutal,
                first,
                asked,
                gave_up,
                at_once,
            },
        });
    }

    /// The start of `key`, as a step; `job` are the keys that start in the same job.
    pub(super) fn start_step(&self, key: Key, job: &[Key], tolerate: bool) -> Step {
        let needs = self
            .children
            .get(&key)
            .map(|child| child.needs.clone())
            .unwrap_or_default();
        let needs = needs
            .into_iter()
            .filter(|need| job.contains(need))
            .collect();
        Step::Start {
            key,
            tolerate,
            leads: false,
            needs,
        }
    }

    /// Of `keys`, those whose needs are up or start before them in the same job; the others are set waiting.
    pub(super) fn startable(&mut self, keys: &[Key]) -> Vec<Key> {
        let mut ready: Vec<Key> = Vec::new();
        for key in keys {
            let child = self.children.get(key);
            let needs = child.map(|child| child.needs.clone()).unwrap_or_default();
            let is_held_back = child.is_some_and(|child| {
                self.is_held_back(child)
                    && !child.behind.is_some_and(|behind| ready.contains(&behind))
            });
            if !is_held_back
                && needs
                    .iter()
                    .all(|need| self.is_up(*need) && !keys.contains(need) || ready.contains(need))
            {
                ready.push(*key);
            } else {
                self.set(*key, Status::Waiting);
            }
        }
        ready
    }

    /// Where `tolerate`, the start of a child that knows what to do about a failure may fail.
    pub(super) fn start_steps(&mut self, keys: &[Key], tolerate: bool) -> Vec<Step> {
        let ready = self.startable(keys);
        ready
            .iter()
            .map(|key| self.start_step(*key, &ready, tolerate && self.copes(*key)))
            .collect()
    }

    pub(super) fn begin(&mut self, safe: Option<String>) {
        let mut keys: Vec<Key> = self.children.keys().copied().collect();
        keys.retain(|key| {
            let stopped = self.begins_stopped(*key);
            if stopped {
                self.set(*key, Status::Down(SlotState::Stopped));
            }
            !stopped
        });
        let held: Vec<Key> = keys.extract_if(.., |key| self.is_held_down(*key)).collect();
        for key in held {
            self.set(key, Status::Down(SlotState::Quarantined));
            // Nothing runs yet.
            let _none = self.hold_back(key);
        }
        if let Some(why) = safe {
            self.safe = true;
            self.effects.push(Effect::Safe(Some(why)));
            keys.retain(|key| {
                let essential = self.is_essential(*key);
                if !essential {
                    self.set(*key, Status::Down(SlotState::Quarantined));
                }
                essential
            });
        }
        let steps = self.boot_steps(&keys);
        if steps.is_empty() {
            self.phase = Phase::Running;
            self.begun(Ok(()));
        } else {
            self.run(Purpose::Boot, steps);
        }
    }

    pub(super) fn begins_stopped(&self, key: Key) -> bool {
        self.children
            .get(&key)
            .is_some_and(|child| child.spec.begins_stopped)
    }

    pub(super) fn boot_steps(&mut self, keys: &[Key]) -> Vec<Step> {
        let mut steps = self.start_steps(keys, true);
        if self.safe || matches!(self.role, Role::Top | Role::Services) {
            // The kernel's own parts, and in safe mode the essential ones, come up one by one, whatever becomes of the
            // others.
            for step in &mut steps {
                if let Step::Start { tolerate, .. } = step {
                    *tolerate = true;
                }
            }
        }
        steps
    }

    pub(super) fn begun(&mut self, result: Result<(), ExitReason>) {
        if !self.began {
            self.began = true;
            self.effects.push(Effect::Began(result));
        }
    }

    pub(super) fn job_done(
        &mut self,
        job: JobId,
        outcomes: Vec<(Key, Outcome)>,
        rng: &mut fastrand::Rng,
    ) {
        let Some(purpose) = self.jobs.remove(&job) else {
            return;
        };
        let failures = self.settle_outcomes(&purpose, &outcomes);
        if let Phase::Ending { .. } = self.phase {
            let is_asked = purpose.ticket().is_some();
            for (key, reason) in failures {
                if !is_asked {
                    self.record(key, true, &reason, Response::StopFailed);
                }
                self.set(key, Status::Down(SlotState::Stopped));
            }
            self.refuse(&purpose);
            self.end_when_idle();
            return;
        }
        match purpose {
            Purpose::Boot => self.booted(failures, rng),
            Purpose::Restart | Purpose::Settle => self.crash_all(failures, rng),
            Purpose::GroupStop | Purpose::Unsettle | Purpose::Quarantine | Purpose::Last => {}
            Purpose::AskStart(ticket, key, before) => {
                // Its own failed start is for whoever asked; that of a member of its group is a crash.
                let (own, others): (Vec<_>, Vec<_>) =
                    failures.into_iter().partition(|(failed, _)| *failed == key);
                if own.is_empty() {
                    self.answer_start(ticket, key);
                } else {
                    if before == SlotState::Stopped {
                        self.leave_down(key);
                    } else {
                        self.set(key, Status::Down(before));
                    }
                    self.answer_failure(ticket, own);
                }
                self.crash_all(others, rng);
            }
            Purpose::AskRestart(ticket, key) => {
                if failures.is_empty() {
                    self.answer_start(ticket, key);
                } else {
                    self.answer_failure(ticket, failures.clone());
                    self.crash_all(failures, rng);
                }
            }
            Purpose::AskSpawn(ticket, key) => self.spawned(ticket, key, failures),
            Purpose::AskSpawnMany(ticket, asked) => self.spawned_many(ticket, asked, failures),
            Purpose::AskStop(ticket, key) => self.asked_stop(ticket, key),
            Purpose::Reload(ticket) => {
                self.answer(ticket, Ok(Done::Reloaded));
                self.crash_all(failures, rng);
            }
            Purpose::Prepare(ticket) => self.prepared(ticket, failures, rng),
            Purpose::Undo(ticket, result) => self.answer(ticket, result),
            Purpose::Release(ticket, count) => {
                self.answer(ticket, Ok(Done::Released { count }));
                self.crash_all(failures, rng);
            }
        }
    }

    /// Notes what each step came to; returns the failed starts.
    pub(super) fn settle_outcomes(
        &mut self,
        purpose: &Purpose,
        outcomes: &[(Key, Outcome)],
    ) -> Vec<(Key, ExitReason)> {
        let mut failures = Vec::new();
        let is_stop = |(_, outcome): &(Key, Outcome)| matches!(outcome, Outcome::Stopped(_));
        // A job stops before it starts.
        let stops = outcomes
            .iter()
            .take_while(|outcome| is_stop(outcome))
            .count();
        let started = outcomes.get(stops..).unwrap_or_default();
        let started: BTreeSet<Key> = if stops == 0 {
            BTreeSet::new()
        } else {
            started.iter().map(|(key, _)| *key).collect()
        };
        for (key, outcome) in outcomes {
            let key = *key;
            match outcome {
                // What was stopped and started again shows the state of its start.
                Outcome::Stopped(reason) if started.contains(&key) => {
                    self.record_stop(key, reason);
                }
                Outcome::Stopped(reason) => self.stopped(purpose, key, reason),
                Outcome::Started { incarnation } => {
                    if let Some(child) = self.children.get_mut(&key) {
                        child.incarnation = *incarnation;
                        child.up_since = Some(self.now);
                        (child.by_hand, child.skipped, child.was_killed) = (false, false, false);
                        let proved = self.now + child.spec.probation;
                        child.trial.iter_mut().for_each(|trial| trial.runs(proved));
                    }
                    self.set(
                        key,
                        Status::Up {
                            incarnation: *incarnation,
                        },
                    );
                    self.left_quarantine(key);
                    self.watch_probation(key);
                }
                Outcome::Ignored => {
                    let is_answered =
                        matches!(purpose, Purpose::AskSpawn(..) | Purpose::AskSpawnMany(..));
                    if self.vanishes(key) && !is_answered {
                        self.remove(key);
                    } else {
                        self.set(key, Status::Down(SlotState::Ignored));
                    }
                }
                Outcome::Failed(reason) => failures.push((key, reason.clone())),
                Outcome::NeedMissing => self.set(key, Status::Waiting),
                Outcome::Skipped => self.set(key, Status::Down(SlotState::Stopped)),
                Outcome::NotReached => {
                    if self.status(key) == Some(&Status::Busy) {
                        self.set(key, Status::Member);
                    }
                }
            }
        }
        failures
    }

    pub(super) fn stopped(&mut self, purpose: &Purpose, key: Key, reason: &ExitReason) {
        self.record_stop(key, reason);
        match purpose {
            Purpose::Last => self.set_at_end(key),
            _ if self.vanishes(key) && !matches!(purpose, Purpose::Reload(_)) => self.remove(key),
            _ if self.is_leaving(key) => self.remove(key),
            Purpose::Quarantine => {
                if let Some(child) = self.children.get_mut(&key) {
                    child.condemned = false;
                }
                self.set(key, Status::Down(SlotState::Quarantined));
            }
            Purpose::Unsettle => self.set(key, Status::Waiting),
            // Stopped with its group and not started with it: a need of it is not there.
            Purpose::Reload(_) if self.begins_stopped(key) => {
                self.set(key, Status::Down(SlotState::Stopped));
            }
            Purpose::Restart
            | Purpose::AskStart(..)
            | Purpose::AskRestart(..)
            | Purpose::Reload(_) => {
                self.set(key, Status::Waiting);
            }
            Purpose::AskStop(_, asked) if *asked != key => self.set(key, Status::Waiting),
            Purpose::AskStop(..) => self.set(key, Status::Down(SlotState::Stopped)),
            _ => self.set(key, Status::Member),
        }
    }

    /// Notes the end of a child that was stopped, or was to be. Only what is stopped by a kill may end by one.
    pub(super) fn record_stop(&mut self, key: Key, reason: &ExitReason) {
        let is_brutal = matches!(&self.phase, Phase::Ending { brutal: true, .. });
        let is_killed = |child: &Child| is_brutal || child.spec.shutdown == Shutdown::BrutalKill;
        let in_order = reason.kind.is_clean()
            || reason.kind == ExitKind::Killed && self.children.get(&key).is_some_and(is_killed);
        let response = if in_order {
            Response::Stopped
        } else {
            Response::StopFailed
        };
        self.record(key, false, reason, response);
    }

    pub(super) fn restart_type(&self, key: Key) -> Restart {
        self.children
            .get(&key)
            .map(|child| child.spec.restart)
            .unwrap_or_default()
    }

    /// Whether nothing of it is left once it is down for good: a temporary child, or one of a template.
    pub(super) fn vanishes(&self, key: Key) -> bool {
        let is_temporary = self.restart_type(key) == Restart::Temporary;
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::KeepsTemplateChildren) {
            return is_temporary;
        }
        self.template.is_some() || is_temporary
    }

    fn is_leaving(&self, key: Key) -> bool {
        self.children
            .get(&key)
            .is_some_and(|child| child.is_leaving)
    }

    pub(super) fn record(
        &mut self,
        key: Key,
        failed_start: bool,
        reason: &ExitReason,
        response: Response,
    ) {
        self.record_climb(key, failed_start, reason, response, None);
    }

    /// The same of a crash that a ladder has looked at.
    pub(super) fn record_climb(
        &mut self,
        key: Key,
        failed_start: bool,
        reason: &ExitReason,
        response: Response,
        note: Option<LadderNote>,
    ) {
        let incarnation = self.children.get(&key).map_or(0, |child| child.incarnation);
        let incarnation = incarnation + u64::from(failed_start);
        let reason = reason.clone();
        self.effects.push(Effect::Record {
            key,
            incarnation,
            failed_start,
            reason,
            response,
            ladder: note.map(Box::new),
        });
    }
}
