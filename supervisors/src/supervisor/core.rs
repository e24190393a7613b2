//! What a supervisor decides, without a runtime: inputs in, effects out.
//!
//! The core knows its children as keys in start order and never touches a slot, a clock or an actor.
//! The thin actor beside it feeds it and carries out what it says. All slow work is a **job**: an ordered list
//! of stops and starts that runs elsewhere, so a supervisor is never deaf. While a job is at work, inputs that
//! concern its children wait in `deferred` and are looked at again when it is done: under `one_for_one` a job
//! holds its own children, under the group strategies it holds the whole supervisor, as OTP's does.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::pause;
use crate::exit::{ExitKind, ExitReason};
use crate::intensity::Window;
use crate::path::ChildId;
use crate::planner::{Member, comes_back, plan};
use crate::slot::{Response, SlotState};
use crate::spec::{Backoff, ChildSpec, Restart, Strategy, SupervisorSpec};

/// A child: its place in the start order. Never used twice in one life of a supervisor.
pub(crate) type Key = u64;
/// A job.
pub(crate) type JobId = u64;
/// A request that is answered later.
pub(crate) type Ticket = u64;

/// How many requests may wait for a job to be done.
const DEFERRED_MAX: usize = 1_024;

/// How the kernel's own parts come back: never later than a client waits for them.
const SERVICE_BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(1),
    factor: 2.0,
    jitter: 0.2,
};

/// What a supervisor is to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Above the root and the services: brings both back whatever happens, uncounted.
    Top,
    /// `/system`: brings services back with backoff, uncounted.
    Services,
    /// `/`: never gives up, enters safe mode.
    Root,
    /// `/`, asked to do as OTP does: gives up and ends the kernel.
    MortalRoot,
    /// Any other.
    Sub,
}

/// What the core knows of a child's spec.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) id: ChildId,
    pub(crate) restart: Restart,
    pub(crate) essential: bool,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) needs: Vec<ChildId>,
}

impl From<&ChildSpec> for Facts {
    fn from(spec: &ChildSpec) -> Self {
        Self {
            id: spec.id.clone(),
            restart: spec.restart,
            essential: spec.essential,
            backoff: spec.backoff,
            needs: spec.needs.clone(),
        }
    }
}

/// What happens to a supervisor.
#[derive(Debug)]
pub(crate) enum Input {
    /// Its life begins.
    Begin,
    /// A life of a child ended by itself.
    Exited {
        key: Key,
        incarnation: u64,
        reason: ExitReason,
    },
    /// A job is done, whole or cut short.
    JobDone {
        job: JobId,
        outcomes: Vec<(Key, Outcome)>,
    },
    /// A pause has passed.
    Due { key: Key, generation: u64 },
    /// Somebody asks.
    Ask { ticket: Ticket, request: Request },
    /// The supervisor above stops it in order, or, if `brutal`, at once.
    End { reason: ExitReason, brutal: bool },
}

/// What somebody may ask of a supervisor.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Kill {
        id: ChildId,
        reason: ExitReason,
    },
    Stop {
        id: ChildId,
    },
    Start {
        id: ChildId,
    },
    Restart {
        id: ChildId,
    },
    Delete {
        id: ChildId,
    },
    Spawn {
        facts: Facts,
    },
    /// `None` is all.
    Release {
        id: Option<ChildId>,
    },
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It runs.
    Started {
        /// Which life.
        incarnation: u64,
    },
    /// Its start said that there is nothing to do.
    Ignored,
    /// It is down until a sibling that it needs runs.
    Waiting {
        /// Which.
        need: ChildId,
    },
    /// It is down.
    Stopped,
    /// It was told to die; the restart rules decide what comes next.
    Killed,
    /// Its slot is gone.
    Deleted,
    /// So many were released.
    Released {
        /// How many children.
        count: usize,
    },
}

/// Why a request was refused: OTP's distinct answers, and ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No child of that id.
    #[error("there is no such child")]
    NotFound,
    /// A child of that id runs (OTP: `already_started`).
    #[error("a child of that id is running already")]
    AlreadyStarted,
    /// A child of that id is there, and does not run (OTP: `already_present`).
    #[error("a child of that id is there already, though it does not run")]
    AlreadyPresent,
    /// It runs, so it cannot be started or deleted.
    #[error("it is running")]
    Running,
    /// It is being restarted, so it cannot be started or deleted.
    #[error("it is being started or stopped")]
    Restarting,
    /// It does not run.
    #[error("it is not running")]
    NotRunning,
    /// It is not in quarantine.
    #[error("it is not in quarantine")]
    NotQuarantined,
    /// One of its `needs` is not an earlier sibling.
    #[error("it needs `{0}`, which is no earlier sibling")]
    NoSuchNeed(ChildId),
    /// Its start failed.
    #[error("its start failed ({0})")]
    StartFailed(ExitReason),
    /// Whoever asks is part of what is to be stopped, or still starts below the supervisor that is asked.
    #[error(
        "whoever asks would wait for itself: it is part of what it wants stopped, or has not started yet"
    )]
    WouldWaitForItself,
    /// The child would need one that needs it.
    #[error("it would need `{0}`, which needs it")]
    NeedsEachOther(ChildId),
    /// The life that asks has ended.
    #[error("the life that asks has ended")]
    Revoked,
    /// Too many requests wait for what the supervisor is doing.
    #[error("its supervisor is busy, and too many requests wait already")]
    Busy,
    /// The supervisor is ending.
    #[error("its supervisor is stopping")]
    Ending,
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Stop {
        key: Key,
    },
    /// Where `tolerate`, a failure does not end the job. It is passed over when one of `needs` did not start in
    /// this job. It `leads` where the job brings back its group because of it: taken out of the job it takes the rest
    /// along.
    Start {
        key: Key,
        tolerate: bool,
        leads: bool,
        needs: Vec<Key>,
    },
}

impl Step {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Stop { key } | Self::Start { key, .. } => *key,
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stopped(ExitReason),
    Started {
        incarnation: u64,
    },
    Ignored,
    Failed(ExitReason),
    /// A need of it did not start.
    NeedMissing,
    /// A request took it out of the job.
    Skipped,
    /// The job ended before.
    NotReached,
}

/// What the actor beside the core is to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Run a job; report with [`Input::JobDone`]. `first` tells a first start from a restart on screens.
    Run {
        job: JobId,
        steps: Vec<Step>,
        brutal: bool,
        first: bool,
        gave_up: bool,
    },
    /// Cut a job short: drop the start under way, leave out the rest; if `brutal`, kill what is being stopped.
    Cancel {
        job: JobId,
        brutal: bool,
    },
    /// Take the start of one child out of the jobs.
    Skip {
        key: Key,
    },
    /// Send [`Input::Due`] after the pause; zero is at once, but after what waits already.
    Wait {
        key: Key,
        generation: u64,
        pause: Duration,
    },
    /// Kill the life of a child; its exit is reported as any other.
    Kill {
        key: Key,
        reason: ExitReason,
    },
    State {
        key: Key,
        state: SlotState,
    },
    Record {
        key: Key,
        incarnation: u64,
        failed_start: bool,
        reason: ExitReason,
        response: Response,
    },
    Delete {
        key: Key,
    },
    /// Make the slot of a spawn whose ticket this is.
    Adopt {
        key: Key,
        ticket: Ticket,
    },
    Answer {
        ticket: Ticket,
        result: Result<Done, RequestError>,
    },
    /// The kernel enters or leaves safe mode.
    Safe(Option<String>),
    /// All children are up, or one was not to be.
    Began(Result<(), ExitReason>),
    /// The supervisor's life is over.
    End(ExitReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// Down until somebody acts: stopped, ignored or quarantined.
    Down(SlotState),
    /// Down until its needs are up.
    Waiting,
    Up {
        incarnation: u64,
    },
    /// A job is at work on it.
    Busy,
    /// Down until the pause of this generation has passed.
    Due {
        generation: u64,
    },
    /// Down with its group until the one that failed comes back.
    Member,
}

#[derive(Debug)]
struct Child {
    facts: Facts,
    needs: Vec<Key>,
    status: Status,
    incarnation: u64,
    generation: u64,
    attempts: u32,
    up_since: Option<Instant>,
    /// Goes into quarantine as soon as no job holds it.
    condemned: bool,
    /// Whether, while it waits, its state says `stopped`.
    shown_stopped: bool,
}

#[derive(Debug, Clone)]
enum Purpose {
    Boot,
    /// A restart by the rules.
    Restart,
    /// The group of a child that waits for its backoff goes down.
    GroupStop,
    /// With what the child is again if its start fails.
    AskStart(Ticket, Key, SlotState),
    AskRestart(Ticket, Key),
    AskSpawn(Ticket, Key),
    AskStop(Ticket, Key),
    Release(Ticket, usize),
    /// Needs are met again.
    Settle,
    /// A need is down for good.
    Unsettle,
    Quarantine,
    Last,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Booting,
    Running,
    Ending { reason: ExitReason, brutal: bool },
    Ended,
}

/// The deciding half of a supervisor.
#[derive(Debug)]
pub(crate) struct Core {
    role: Role,
    strategy: Strategy,
    window: Window,
    children: BTreeMap<Key, Child>,
    by_id: HashMap<ChildId, Key>,
    /// Children with needs, and the condemned: those that `settle` looks at.
    watched: BTreeSet<Key>,
    next_key: Key,
    jobs: BTreeMap<JobId, Purpose>,
    next_job: JobId,
    phase: Phase,
    safe: bool,
    /// Whether the window changed since somebody asked.
    charged: bool,
    began: bool,
    deferred: VecDeque<Input>,
    effects: Vec<Effect>,
    now: Instant,
    #[cfg(test)]
    pub(crate) bug: Option<crate::bug::Bug>,
}

impl Core {
    pub(crate) fn new(role: Role, spec: &SupervisorSpec, now: Instant) -> Self {
        let mut core = Self {
            role,
            strategy: spec.strategy,
            window: Window::new(spec.intensity, spec.period),
            children: BTreeMap::new(),
            by_id: HashMap::new(),
            watched: BTreeSet::new(),
            next_key: 0,
            jobs: BTreeMap::new(),
            next_job: 0,
            phase: Phase::Booting,
            safe: false,
            charged: false,
            began: false,
            deferred: VecDeque::new(),
            effects: Vec::new(),
            now,
            #[cfg(test)]
            bug: None,
        };
        for child in &spec.children {
            // A need that is no earlier sibling was a fault of the file; here it would only wait for ever.
            core.add(Facts::from(&**child));
        }
        core
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Whether the window changed since this was asked last.
    pub(crate) fn take_charged(&mut self) -> bool {
        std::mem::take(&mut self.charged)
    }

    /// Takes one input and says what is to be done, in order.
    pub(crate) fn handle(
        &mut self,
        input: Input,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Vec<Effect> {
        self.now = now;
        let was_job = matches!(input, Input::JobDone { .. });
        self.feed(input, rng);
        if was_job {
            for input in std::mem::take(&mut self.deferred) {
                self.feed(input, rng);
            }
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    fn feed(&mut self, input: Input, rng: &mut fastrand::Rng) {
        match input {
            Input::Begin => self.begin(),
            Input::Exited {
                key,
                incarnation,
                reason,
            } => {
                if self.is_held(key) {
                    self.deferred.push_back(Input::Exited {
                        key,
                        incarnation,
                        reason,
                    });
                } else {
                    self.exited(key, incarnation, reason, rng);
                }
            }
            Input::Due { key, generation } => {
                if self.is_held(key) {
                    self.deferred.push_back(Input::Due { key, generation });
                } else {
                    self.due(key, generation);
                }
            }
            Input::JobDone { job, outcomes } => self.job_done(job, outcomes, rng),
            Input::Ask { ticket, request } => self.ask(ticket, request),
            Input::End { reason, brutal } => self.end(reason, brutal),
        }
    }

    /// Keeps a request for when the job that holds it up is done.
    fn defer(&mut self, ticket: Ticket, request: Request) {
        if self.deferred.len() >= DEFERRED_MAX {
            self.answer(ticket, Err(RequestError::Busy));
        } else {
            self.deferred.push_back(Input::Ask { ticket, request });
        }
    }

    /// Whether a job holds the child, so that what concerns it has to wait.
    fn is_held(&self, key: Key) -> bool {
        match self.children.get(&key) {
            Some(child) if child.status == Status::Busy => true,
            _ => self.is_group_held(),
        }
    }

    fn is_group_held(&self) -> bool {
        !self.jobs.is_empty()
            && (self.phase == Phase::Booting || self.strategy() != Strategy::OneForOne)
    }

    /// In safe mode every essential child stands for itself.
    fn strategy(&self) -> Strategy {
        if self.safe {
            Strategy::OneForOne
        } else {
            self.strategy
        }
    }

    fn add(&mut self, facts: Facts) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        let needs: Vec<Key> = facts
            .needs
            .iter()
            .filter_map(|id| self.by_id.get(id).copied())
            .collect();
        if !needs.is_empty() {
            self.watched.insert(key);
        }
        self.by_id.insert(facts.id.clone(), key);
        self.children.insert(
            key,
            Child {
                facts,
                needs,
                status: Status::Waiting,
                incarnation: 0,
                generation: 0,
                attempts: 0,
                up_since: None,
                condemned: false,
                shown_stopped: false,
            },
        );
        self.answer_needs(key);
        key
    }

    /// A child that was deleted and is added again is what those need that named its id.
    fn answer_needs(&mut self, key: Key) {
        let Some(id) = self.children.get(&key).map(|child| child.facts.id.clone()) else {
            return;
        };
        for watched in &self.watched {
            let Some(child) = self.children.get_mut(watched) else {
                continue;
            };
            for (need, named) in child.needs.iter_mut().zip(&child.facts.needs) {
                if *named == id && *watched != key {
                    *need = key;
                }
            }
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(child) = self.children.remove(&key) {
            self.by_id.remove(&child.facts.id);
            self.watched.remove(&key);
            self.effects.push(Effect::Delete { key });
        }
    }

    fn set(&mut self, key: Key, status: Status) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let state = match &status {
            Status::Down(state) => Some(*state),
            Status::Waiting => Some(SlotState::Starting),
            Status::Member => Some(SlotState::Restarting),
            Status::Up { .. } | Status::Busy | Status::Due { .. } => None,
        };
        child.generation += 1;
        child.status = status;
        child.shown_stopped = false;
        if let Some(state) = state {
            self.effects.push(Effect::State { key, state });
        }
    }

    /// A child is down because its supervisor ends: its slot goes with it, and what waits is buried for that reason.
    fn set_at_end(&mut self, key: Key) {
        if let Some(child) = self.children.get_mut(&key) {
            child.generation += 1;
            child.status = Status::Down(SlotState::Stopped);
        }
    }

    fn status(&self, key: Key) -> Option<&Status> {
        self.children.get(&key).map(|child| &child.status)
    }

    fn is_up(&self, key: Key) -> bool {
        matches!(self.status(key), Some(Status::Up { .. }))
    }

    // --- jobs ---

    fn run(&mut self, purpose: Purpose, steps: Vec<Step>) {
        let job = self.next_job;
        self.next_job += 1;
        for step in &steps {
            if let Some(child) = self.children.get_mut(&step.key()) {
                child.status = Status::Busy;
                child.generation += 1;
            }
        }
        let first = matches!(purpose, Purpose::Boot | Purpose::AskSpawn(..));
        let brutal = matches!(&self.phase, Phase::Ending { brutal: true, .. });
        let gave_up = matches!(
            &self.phase,
            Phase::Ending { reason, .. } if reason.kind == ExitKind::GaveUp
        );
        self.jobs.insert(job, purpose);
        self.effects.push(Effect::Run {
            job,
            steps,
            brutal,
            first,
            gave_up,
        });
    }

    /// The start of `key`, as a step; `job` are the keys that start in the same job.
    fn start_step(&self, key: Key, job: &[Key], tolerate: bool) -> Step {
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
    fn startable(&mut self, keys: &[Key]) -> Vec<Key> {
        let mut ready: Vec<Key> = Vec::new();
        for key in keys {
            let needs = self
                .children
                .get(key)
                .map(|child| child.needs.clone())
                .unwrap_or_default();
            if needs
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

    fn start_steps(&mut self, keys: &[Key], tolerate_backoff: bool) -> Vec<Step> {
        let ready = self.startable(keys);
        ready
            .iter()
            .map(|key| {
                let has_backoff = self
                    .children
                    .get(key)
                    .is_some_and(|child| child.facts.backoff.is_some());
                self.start_step(*key, &ready, tolerate_backoff && has_backoff)
            })
            .collect()
    }

    fn begin(&mut self) {
        let keys: Vec<Key> = self.children.keys().copied().collect();
        let steps = self.boot_steps(&keys);
        if steps.is_empty() {
            self.phase = Phase::Running;
            self.begun(Ok(()));
        } else {
            self.run(Purpose::Boot, steps);
        }
    }

    fn boot_steps(&mut self, keys: &[Key]) -> Vec<Step> {
        let mut steps = self.start_steps(keys, true);
        if matches!(self.role, Role::Top | Role::Services) {
            // The kernel's own parts come up one by one, whatever becomes of the others.
            for step in &mut steps {
                if let Step::Start { tolerate, .. } = step {
                    *tolerate = true;
                }
            }
        }
        steps
    }

    fn begun(&mut self, result: Result<(), ExitReason>) {
        if !self.began {
            self.began = true;
            self.effects.push(Effect::Began(result));
        }
    }

    fn job_done(&mut self, job: JobId, outcomes: Vec<(Key, Outcome)>, rng: &mut fastrand::Rng) {
        let Some(purpose) = self.jobs.remove(&job) else {
            return;
        };
        let failures = self.settle_outcomes(&purpose, &outcomes);
        if let Phase::Ending { .. } = self.phase {
            for (key, _) in failures {
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
                    self.set(key, Status::Down(before));
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
            Purpose::AskStop(ticket, key) => self.asked_stop(ticket, key),
            Purpose::Release(ticket, count) => {
                self.answer(ticket, Ok(Done::Released { count }));
                self.crash_all(failures, rng);
            }
        }
    }

    /// Notes what each step came to; returns the failed starts.
    fn settle_outcomes(
        &mut self,
        purpose: &Purpose,
        outcomes: &[(Key, Outcome)],
    ) -> Vec<(Key, ExitReason)> {
        let mut failures = Vec::new();
        let last: BTreeMap<Key, usize> = outcomes
            .iter()
            .enumerate()
            .map(|(index, (key, _))| (*key, index))
            .collect();
        for (index, (key, outcome)) in outcomes.iter().enumerate() {
            let key = *key;
            match outcome {
                // What was stopped and started again shows the state of its start.
                Outcome::Stopped(reason) if last.get(&key) != Some(&index) => {
                    self.record(key, false, reason, Response::Stopped);
                }
                Outcome::Stopped(reason) => self.stopped(purpose, key, reason),
                Outcome::Started { incarnation } => {
                    if let Some(child) = self.children.get_mut(&key) {
                        child.incarnation = *incarnation;
                        child.up_since = Some(self.now);
                    }
                    self.set(
                        key,
                        Status::Up {
                            incarnation: *incarnation,
                        },
                    );
                }
                Outcome::Ignored => {
                    if self.restart_type(key) == Restart::Temporary
                        && !matches!(purpose, Purpose::AskSpawn(..))
                    {
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

    fn stopped(&mut self, purpose: &Purpose, key: Key, reason: &ExitReason) {
        self.record(key, false, reason, Response::Stopped);
        let temporary = self.restart_type(key) == Restart::Temporary;
        match purpose {
            _ if temporary => self.remove(key),
            Purpose::Quarantine => {
                if let Some(child) = self.children.get_mut(&key) {
                    child.condemned = false;
                }
                self.set(key, Status::Down(SlotState::Quarantined));
            }
            Purpose::Unsettle => self.set(key, Status::Waiting),
            // Stopped with its group and not started with it: a need of it is not there.
            Purpose::Restart | Purpose::AskStart(..) | Purpose::AskRestart(..) => {
                self.set(key, Status::Waiting);
            }
            Purpose::AskStop(_, asked) if *asked != key => self.set(key, Status::Waiting),
            Purpose::AskStop(..) => self.set(key, Status::Down(SlotState::Stopped)),
            Purpose::Last => self.set_at_end(key),
            _ => self.set(key, Status::Member),
        }
    }

    fn restart_type(&self, key: Key) -> Restart {
        self.children
            .get(&key)
            .map(|child| child.facts.restart)
            .unwrap_or_default()
    }

    fn record(&mut self, key: Key, failed_start: bool, reason: &ExitReason, response: Response) {
        let incarnation = self.children.get(&key).map_or(0, |child| child.incarnation);
        let incarnation = incarnation + u64::from(failed_start);
        let reason = reason.clone();
        self.effects.push(Effect::Record {
            key,
            incarnation,
            failed_start,
            reason,
            response,
        });
    }

    // --- boot ---

    fn booted(&mut self, failures: Vec<(Key, ExitReason)>, rng: &mut fastrand::Rng) {
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
        let id = self
            .children
            .get(&key)
            .map(|child| child.facts.id.to_string())
            .unwrap_or_default();
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
    fn is_tolerated(&self, key: Key) -> bool {
        matches!(self.role, Role::Top | Role::Services)
            || self
                .children
                .get(&key)
                .is_some_and(|child| child.facts.backoff.is_some())
    }

    // --- exits and restarts ---

    fn exited(&mut self, key: Key, incarnation: u64, reason: ExitReason, rng: &mut fastrand::Rng) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        if child.status != (Status::Up { incarnation }) {
            return;
        }
        let ran = child
            .up_since
            .take()
            .map_or(Duration::ZERO, |since| self.now.duration_since(since));
        if child
            .facts
            .backoff
            .is_some_and(|backoff| ran >= backoff.max)
        {
            child.attempts = 0;
        }
        if matches!(self.phase, Phase::Ending { .. } | Phase::Ended) {
            self.record(key, false, &reason, Response::Stopped);
            self.set_at_end(key);
        } else if self.comes_back(key, reason.kind) {
            self.crashed(key, &reason, false, rng);
        } else if self.restart_type(key) == Restart::Temporary {
            self.record(key, false, &reason, Response::Deleted);
            self.remove(key);
        } else {
            self.record(key, false, &reason, Response::LeftDown);
            self.set(key, Status::Down(SlotState::Stopped));
        }
    }

    fn comes_back(&self, key: Key, exit: ExitKind) -> bool {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::RestartsTemporary) {
            return true;
        }
        comes_back(self.restart_type(key), exit)
    }

    fn crash_all(&mut self, failures: Vec<(Key, ExitReason)>, rng: &mut fastrand::Rng) {
        for (key, reason) in failures {
            if matches!(self.phase, Phase::Ending { .. }) {
                self.set(key, Status::Down(SlotState::Stopped));
            } else {
                self.crashed(key, &reason, true, rng);
            }
        }
    }

    /// A child that comes back exited, or its start failed: charges the budget and restarts, or gives up.
    fn crashed(
        &mut self,
        key: Key,
        reason: &ExitReason,
        failed_start: bool,
        rng: &mut fastrand::Rng,
    ) {
        if self.role == Role::Top && reason.kind == ExitKind::GaveUp {
            // Only a mortal root gives up: the kernel ends with it.
            self.record(key, failed_start, reason, Response::GaveUp);
            self.set(key, Status::Down(SlotState::Stopped));
            self.end(reason.clone(), false);
            return;
        }
        if failed_start && self.restart_type(key) == Restart::Temporary {
            self.record(key, failed_start, reason, Response::Deleted);
            self.remove(key);
            return;
        }
        let is_kernels = matches!(self.role, Role::Top | Role::Services);
        let uncounted = self.safe || is_kernels;
        let fallback = if is_kernels {
            SERVICE_BACKOFF
        } else {
            Backoff::default()
        };
        self.charged |= !uncounted;
        if !uncounted && !self.window.charge(self.now) {
            self.record(key, failed_start, reason, Response::GaveUp);
            self.set(key, Status::Member);
            self.give_up(key, reason, rng);
            return;
        }
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let backoff = child
            .facts
            .backoff
            .or_else(|| uncounted.then_some(fallback));
        let pause = backoff.map_or(Duration::ZERO, |backoff| {
            pause(&backoff, child.attempts, rng)
        });
        child.attempts = child.attempts.saturating_add(1);
        let response = if pause.is_zero() {
            Response::Restarted
        } else {
            Response::Backoff {
                pause_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            }
        };
        self.record(key, failed_start, reason, response);
        self.set(key, Status::Member);
        if pause.is_zero() && !failed_start {
            // Without a job it waits for its needs, and `settle` starts it.
            let _runs = self.restart(key, Purpose::Restart);
        } else {
            self.wait(key, pause);
            self.stop_group(key);
        }
    }

    /// Tries again after `pause`, through the mailbox, so that a stop can get in between.
    fn wait(&mut self, key: Key, pause: Duration) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.generation += 1;
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

    fn members(&self) -> Vec<Member<Key>> {
        let condemned_or_quarantined =
            |child: &Child| child.condemned || child.status == Status::Down(SlotState::Quarantined);
        self.children
            .iter()
            .map(|(key, child)| Member {
                key: *key,
                restart: child.facts.restart,
                is_up: matches!(child.status, Status::Up { .. }),
                is_quarantined: condemned_or_quarantined(child),
            })
            .collect()
    }

    /// The members of the plan for `key`. One for one needs no look at the others.
    fn plan(&self, key: Key) -> (Vec<Key>, Vec<Key>) {
        if self.strategy() == Strategy::OneForOne {
            return (Vec::new(), vec![key]);
        }
        let plan = plan(self.strategy(), key, &self.members());
        (plan.stops, plan.starts)
    }

    /// Runs the restart of `key` and its group; `false` if it has to wait for its needs.
    fn restart(&mut self, key: Key, purpose: Purpose) -> bool {
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
    fn stop_group(&mut self, key: Key) {
        let (stops, _) = self.plan(key);
        if !stops.is_empty() {
            let steps = stops.into_iter().map(|key| Step::Stop { key }).collect();
            self.run(Purpose::GroupStop, steps);
        }
    }

    fn due(&mut self, key: Key, generation: u64) {
        if self.phase == Phase::Running && self.status(key) == Some(&Status::Due { generation }) {
            let _runs = self.restart(key, Purpose::Restart);
        }
    }

    // --- giving up ---

    fn give_up(&mut self, key: Key, reason: &ExitReason, rng: &mut fastrand::Rng) {
        let id = self
            .children
            .get(&key)
            .map(|child| child.facts.id.to_string())
            .unwrap_or_default();
        let (intensity, period) = (self.window.intensity(), self.window.period());
        let text = format!(
            "more than {intensity} restarts within {period:?}; the last was of `{id}` ({reason})"
        );
        if self.role == Role::Root {
            self.enter_safe_mode(key, text, rng);
        } else {
            self.end(ExitReason::with_text(ExitKind::GaveUp, text), false);
        }
    }

    fn enter_safe_mode(&mut self, failed: Key, why: String, rng: &mut fastrand::Rng) {
        self.safe = true;
        self.effects.push(Effect::Safe(Some(why)));
        let keys: Vec<Key> = self.children.keys().copied().collect();
        for key in keys {
            let Some(child) = self.children.get_mut(&key) else {
                continue;
            };
            if !child.facts.essential {
                child.condemned = true;
                self.watched.insert(key);
            } else if child.status == Status::Member || child.status == Status::Waiting {
                let backoff = child.facts.backoff.unwrap_or_default();
                let pause = if key == failed {
                    pause(&backoff, child.attempts, rng)
                } else {
                    Duration::ZERO
                };
                self.wait(key, pause);
            }
        }
    }

    fn end(&mut self, reason: ExitReason, brutal: bool) {
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
            phase => *phase = Phase::Ending { reason, brutal },
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
    fn end_when_idle(&mut self) {
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

    // --- requests ---

    fn answer(&mut self, ticket: Ticket, result: Result<Done, RequestError>) {
        self.effects.push(Effect::Answer { ticket, result });
    }

    fn answer_start(&mut self, ticket: Ticket, key: Key) {
        let result = match self.status(key) {
            Some(Status::Up { incarnation }) => Ok(Done::Started {
                incarnation: *incarnation,
            }),
            Some(Status::Down(SlotState::Ignored)) | None => Ok(Done::Ignored),
            _ => Ok(Done::Stopped),
        };
        self.answer(ticket, result);
    }

    fn answer_failure(&mut self, ticket: Ticket, failures: Vec<(Key, ExitReason)>) {
        if let Some((_, reason)) = failures.into_iter().next() {
            self.answer(ticket, Err(RequestError::StartFailed(reason)));
        }
    }

    /// Answers the request behind a job that was cut short by the end.
    fn refuse(&mut self, purpose: &Purpose) {
        match purpose {
            Purpose::AskStart(ticket, ..)
            | Purpose::AskRestart(ticket, _)
            | Purpose::AskSpawn(ticket, _)
            | Purpose::AskStop(ticket, _)
            | Purpose::Release(ticket, _) => self.answer(*ticket, Err(RequestError::Ending)),
            _ => {}
        }
    }

    fn spawned(&mut self, ticket: Ticket, key: Key, failures: Vec<(Key, ExitReason)>) {
        if !failures.is_empty() {
            self.remove(key);
            self.answer_failure(ticket, failures);
            return;
        }
        self.answer_start(ticket, key);
        let ignored = self.status(key) == Some(&Status::Down(SlotState::Ignored));
        if ignored && self.restart_type(key) == Restart::Temporary {
            self.remove(key);
        }
    }

    fn asked_stop(&mut self, ticket: Ticket, key: Key) {
        self.answer(ticket, Ok(Done::Stopped));
        if let Some(child) = self.children.get_mut(&key) {
            child.attempts = 0;
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        if matches!(self.phase, Phase::Ending { .. } | Phase::Ended) {
            self.answer(ticket, Err(RequestError::Ending));
            return;
        }
        let id = match &request {
            Request::Spawn { facts } => return self.ask_spawn(ticket, facts.clone(), request),
            Request::Release { id: None } => return self.ask_release_all(ticket, request),
            Request::Release { id: Some(id) }
            | Request::Kill { id, .. }
            | Request::Stop { id }
            | Request::Start { id }
            | Request::Restart { id }
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
                Request::Kill { .. } | Request::Spawn { .. } => {}
            }
        }
    }

    /// A kill waits for nothing: the signal goes out now, its exit is handled in its turn.
    fn ask_kill(&mut self, ticket: Ticket, key: Key, reason: ExitReason) {
        match self.status(key) {
            Some(Status::Up { .. } | Status::Busy) => {
                self.effects.push(Effect::Kill { key, reason });
                self.answer(ticket, Ok(Done::Killed));
            }
            _ => self.answer(ticket, Err(RequestError::NotRunning)),
        }
    }

    fn ask_stop(&mut self, ticket: Ticket, key: Key) {
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
    fn leave_down(&mut self, key: Key) {
        if self.restart_type(key) == Restart::Temporary {
            self.remove(key);
        } else {
            self.set(key, Status::Down(SlotState::Stopped));
        }
    }

    /// Members of a group that nobody will bring back stay down, as in OTP: the child that their group waited for was
    /// stopped, or its start was asked for and failed.
    fn settle_members(&mut self) {
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
    fn dependents(&self, key: Key) -> Vec<Key> {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::ForgetsNeeds) {
            return Vec::new();
        }
        let mut down = BTreeSet::from([key]);
        // A need that was added again stands after those that need it: once over is not always enough.
        loop {
            let before = down.len();
            for other in &self.watched {
                let needs = self.children.get(other).map(|child| child.needs.as_slice());
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

    fn ask_start(&mut self, ticket: Ticket, key: Key) {
        match self.status(key) {
            Some(Status::Up { .. }) => self.answer(ticket, Err(RequestError::Running)),
            Some(Status::Due { .. } | Status::Member) if !self.is_in_backoff(key) => {
                self.answer(ticket, Err(RequestError::Restarting));
            }
            _ => self.start_asked(ticket, key, false),
        }
    }

    fn is_in_backoff(&self, key: Key) -> bool {
        self.children.get(&key).is_some_and(|child| {
            child.facts.backoff.is_some() && matches!(child.status, Status::Due { .. })
        })
    }

    /// Starts a child that is down, and the group that waits for it; or lets it wait for what it needs.
    fn start_asked(&mut self, ticket: Ticket, key: Key, is_restart: bool) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.condemned = false;
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
    fn answer_waiting(&mut self, ticket: Ticket, key: Key) {
        let child = self.children.get(&key);
        let mut needs = child
            .into_iter()
            .flat_map(|child| child.needs.iter().zip(&child.facts.needs));
        let unmet = needs
            .find(|(need, _)| !self.is_up(**need))
            .map(|(_, id)| id.clone());
        let done = unmet.map_or(Done::Stopped, |need| Done::Waiting { need });
        self.answer(ticket, Ok(done));
    }

    /// Starts `key`; `false` if it has to wait for its needs.
    fn start_alone(&mut self, key: Key, purpose: Purpose) -> bool {
        let runs = !self.startable(&[key]).is_empty();
        if runs {
            let step = self.start_step(key, &[], false);
            self.run(purpose, vec![step]);
        }
        runs
    }

    fn ask_restart(&mut self, ticket: Ticket, key: Key) {
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

    fn ask_delete(&mut self, ticket: Ticket, key: Key) {
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
    fn needs_each_other(&self, facts: &Facts) -> Option<ChildId> {
        facts
            .needs
            .iter()
            .find(|need| {
                let mut named: Vec<&ChildId> = vec![*need];
                let mut seen = BTreeSet::new();
                while let Some(id) = named.pop() {
                    if *id == facts.id {
                        return true;
                    }
                    let child = self.by_id.get(id).and_then(|key| self.children.get(key));
                    if seen.insert(id)
                        && let Some(child) = child
                    {
                        named.extend(&child.facts.needs);
                    }
                }
                false
            })
            .cloned()
    }

    fn ask_spawn(&mut self, ticket: Ticket, facts: Facts, request: Request) {
        if let Some(present) = self.by_id.get(&facts.id) {
            let error = match self.status(*present) {
                Some(Status::Up { .. }) => RequestError::AlreadyStarted,
                _ => RequestError::AlreadyPresent,
            };
            self.answer(ticket, Err(error));
        } else if let Some(need) = facts
            .needs
            .iter()
            .find(|need| !self.by_id.contains_key(*need))
        {
            let need = need.clone();
            self.answer(ticket, Err(RequestError::NoSuchNeed(need)));
        } else if let Some(need) = self.needs_each_other(&facts) {
            self.answer(ticket, Err(RequestError::NeedsEachOther(need)));
        } else if self.is_group_held() {
            self.defer(ticket, request);
        } else {
            let key = self.add(facts);
            self.effects.push(Effect::Adopt { key, ticket });
            if !self.start_alone(key, Purpose::AskSpawn(ticket, key)) {
                self.answer_waiting(ticket, key);
            }
        }
    }

    fn ask_release(&mut self, ticket: Ticket, key: Key) {
        if self.status(key) == Some(&Status::Down(SlotState::Quarantined)) {
            self.start_asked(ticket, key, false);
        } else {
            self.answer(ticket, Err(RequestError::NotQuarantined));
        }
    }

    fn ask_release_all(&mut self, ticket: Ticket, request: Request) {
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

    // --- needs and quarantine ---

    /// Starts what waited for needs that are up, stops what needs something that is down for good, and puts
    /// the condemned into quarantine.
    fn settle(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.settle_members();
        if self.watched.is_empty() {
            return;
        }
        let keys: Vec<Key> = self.watched.iter().copied().collect();
        self.settle_condemned(&keys);
        let children = &self.children;
        self.watched.retain(|key| {
            children
                .get(key)
                .is_some_and(|child| child.condemned || !child.needs.is_empty())
        });
        for key in keys {
            if self.is_held(key) {
                continue;
            }
            let Some(child) = self.children.get(&key) else {
                continue;
            };
            match child.status {
                Status::Waiting if child.needs.iter().all(|need| self.is_up(*need)) => {
                    let step = self.start_step(key, &[], false);
                    self.run(Purpose::Settle, vec![step]);
                }
                Status::Up { .. } if child.needs.iter().any(|need| self.is_down(*need)) => {
                    self.run(Purpose::Unsettle, vec![Step::Stop { key }]);
                }
                Status::Waiting => self.show_waiting(key),
                _ => {}
            }
        }
    }

    /// What waits for a need that is on its way is starting; what waits for one that is down is as stopped as that.
    fn show_waiting(&mut self, key: Key) {
        let Some(child) = self.children.get(&key) else {
            return;
        };
        let is_down = child.needs.iter().any(|need| self.is_down(*need));
        if child.shown_stopped != is_down {
            let state = if is_down {
                SlotState::Stopped
            } else {
                SlotState::Starting
            };
            self.effects.push(Effect::State { key, state });
            if let Some(child) = self.children.get_mut(&key) {
                child.shown_stopped = is_down;
            }
        }
    }

    /// Whether it is down for good, or waits for one that is. Needs are earlier siblings, so this comes to an end.
    fn is_down(&self, key: Key) -> bool {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::ForgetsNeeds) {
            return false;
        }
        match self.children.get(&key) {
            None => true,
            Some(child) => match child.status {
                Status::Down(_) => true,
                Status::Waiting => child.needs.iter().any(|need| self.is_down(*need)),
                _ => false,
            },
        }
    }

    fn settle_condemned(&mut self, keys: &[Key]) {
        let mut stops = Vec::new();
        for key in keys.iter().rev() {
            let Some(child) = self.children.get_mut(key) else {
                continue;
            };
            if !child.condemned {
                continue;
            }
            match child.status {
                Status::Busy => {}
                Status::Up { .. } => stops.push(Step::Stop { key: *key }),
                _ => {
                    child.condemned = false;
                    self.set(*key, Status::Down(SlotState::Quarantined));
                }
            }
        }
        if !stops.is_empty() {
            self.run(Purpose::Quarantine, stops);
        }
    }
}

#[cfg(test)]
mod tests;
