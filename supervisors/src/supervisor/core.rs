//! What a supervisor decides, without a runtime: inputs in, effects out.
//!
//! The core knows its children as keys in start order and never touches a slot, a clock or an actor.
//! The thin actor beside it feeds it and carries out what it says. All slow work is a **job**: an ordered list
//! of stops and starts that runs elsewhere, so a supervisor is never deaf. While a job is at work, inputs that
//! concern its children wait in `deferred` and are looked at again when it is done: under `one_for_one` a job
//! holds its own children, under the group strategies it holds the whole supervisor, as OTP's does.

pub(crate) mod differ;
mod jobs;
mod ladder;
mod reload;
mod requests;
mod restarts;
mod settle;
mod significant;
pub(crate) mod trial;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub(crate) use self::ladder::LadderEffect;
pub(crate) use self::reload::Reload;
pub(crate) use self::trial::Mark;
use self::trial::Trial;
use super::backoff::pause;
use crate::exit::{ExitKind, ExitReason};
use crate::intensity::Window;
use crate::ladder::{Climbing, LadderNote};
use crate::path::ChildId;
use crate::planner::{Member, comes_back, plan};
use crate::slot::{Response, SlotState};
use crate::spec::{
    AutoShutdown, Backoff, ChildKind, ChildSpec, Restart, Shutdown, Strategy, SupervisorSpec,
    Template,
};

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

/// What happens to a supervisor.
#[derive(Debug)]
pub(crate) enum Input {
    /// Its life begins; in safe mode, if there is a reason for it.
    Begin { safe: Option<String> },
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
    /// A life has run for its probation.
    Proved { id: ChildId, incarnation: u64 },
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
        spec: Arc<ChildSpec>,
    },
    /// Children of a template; each is answered for itself.
    SpawnMany {
        specs: Vec<Arc<ChildSpec>>,
    },
    /// To be another supervisor from here on.
    Reload(Box<Reload>),
    /// Children that are to be added, to be started beside those that run.
    Prepare {
        specs: Vec<Arc<ChildSpec>>,
    },
    /// What was prepared is not to be.
    Undo {
        /// What it failed of, which is then the answer.
        error: Option<RequestError>,
    },
    Suspend {
        id: ChildId,
        /// Or else resume.
        suspend: bool,
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
    /// It takes no messages until it is resumed.
    Suspended,
    /// It takes messages.
    Resumed,
    /// It is as it was asked to be.
    Reloaded,
    /// What became of each of many, in the order they were asked for.
    Each(Vec<Result<Self, RequestError>>),
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
    #[error("it is being started or stopped, or waits for its restart")]
    Restarting,
    /// It does not run.
    #[error("it is not running")]
    NotRunning,
    /// It is a supervisor, which takes no messages.
    #[error("it is a supervisor, which takes no messages: suspend the workers below it")]
    NotAWorker,
    /// As many children as the supervisor may have are there.
    #[error("its supervisor has all the children that its `max_children` ({0}) allows")]
    MaxChildren(usize),
    /// It is not in quarantine, and no ladder has changed its settings.
    #[error("it is not in quarantine, and its settings are its own")]
    NotQuarantined,
    /// One of its `needs` is not an earlier sibling.
    #[error("it needs `{0}`, which is no earlier sibling")]
    NoSuchNeed(ChildId),
    /// Its start failed.
    #[error("its start failed ({0})")]
    StartFailed(ExitReason),
    /// The start of a child that was to be added failed.
    #[error("`{id}` failed to start ({reason})")]
    ChildFailed {
        /// Which.
        id: ChildId,
        /// Why.
        reason: ExitReason,
    },
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

/// How a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// What stops is killed and not asked.
    pub(crate) brutal: bool,
    /// Tells a first start from a restart on screens.
    pub(crate) first: bool,
    /// Somebody asked for it; the supervisor does not do it by itself.
    pub(crate) asked: bool,
    /// What waits in the mailboxes below is buried for that reason.
    pub(crate) gave_up: bool,
    /// All stop at once, each with its own patience, and not one after the other.
    pub(crate) at_once: bool,
}

/// What the actor beside the core is to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Run a job; report with [`Input::JobDone`].
    Run {
        job: JobId,
        steps: Vec<Step>,
        manner: Manner,
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
    /// Have a child take no messages, or take them again.
    Suspend {
        key: Key,
        suspend: bool,
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
        ladder: Option<Box<LadderNote>>,
    },
    Ladder {
        key: Key,
        effect: LadderEffect,
    },
    Delete {
        key: Key,
    },
    /// Make the slot of a child.
    Add {
        key: Key,
        spec: Arc<ChildSpec>,
    },
    /// A child has another place in the order.
    Move {
        from: Key,
        to: Key,
    },
    /// Give the slot of a child another spec, and keep the state that it has now for the way back if its settings change.
    Respec {
        key: Key,
        spec: Arc<ChildSpec>,
        mark: Option<Mark>,
    },
    /// Give it its former spec back, and the state that it had before the change of this number.
    RollBack {
        key: Key,
        spec: Arc<ChildSpec>,
        number: u64,
    },
    /// Take in the next slot of the spawn whose ticket this is; without a key, let it go.
    Adopt {
        key: Option<Key>,
        ticket: Ticket,
    },
    Answer {
        ticket: Ticket,
        result: Result<Done, RequestError>,
    },
    /// It stops its children from here on, and ends.
    Ending(ExitKind),
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

struct Child {
    spec: Arc<ChildSpec>,
    needs: Box<[Key]>,
    status: Status,
    incarnation: u64,
    generation: u64,
    attempts: u32,
    up_since: Option<Instant>,
    /// Goes into quarantine as soon as no job holds it.
    condemned: bool,
    /// Whether, while it waits, its state says `stopped`.
    shown_stopped: bool,
    /// Goes for good as soon as it is down.
    is_leaving: bool,
    /// Somebody stopped it.
    by_hand: bool,
    /// Somebody killed it while a job was at work on it.
    was_killed: bool,
    /// Its start was given up for a reload, which starts it.
    skipped: bool,
    /// When its pause is over.
    due: Option<Instant>,
    /// The changes of its settings that are on probation.
    trial: Option<Box<Trial>>,
    /// How far it is up its ladder, unless at the beginning.
    climbing: Option<Box<Climbing>>,
    /// What was put into quarantine that it would be restarted with: it does not run without that.
    behind: Option<Key>,
}

impl fmt::Debug for Child {
    /// Not all of its spec, which is much.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.condemned, "condemned"),
            (self.is_leaving, "leaving"),
            (self.by_hand, "by hand"),
            (self.skipped, "skipped"),
            (self.spec.begins_stopped, "begins stopped"),
        ];
        let flags = flags.into_iter().filter(|(is_so, _)| *is_so);
        let flags: Vec<&str> = flags.map(|(_, flag)| flag).collect();
        let (id, status, needs) = (&self.spec.id, &self.status, &self.needs);
        write!(
            f,
            "{id} {:?} {status:?} needs {needs:?} {flags:?}",
            self.spec.restart
        )
    }
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
    /// With what is answered already, and the key of each of the others.
    AskSpawnMany(Ticket, Vec<Result<Key, RequestError>>),
    AskStop(Ticket, Key),
    Release(Ticket, usize),
    Reload(Ticket),
    Prepare(Ticket),
    /// With what is answered then.
    Undo(Ticket, Result<Done, RequestError>),
    /// Needs are met again.
    Settle,
    /// A need is down for good.
    Unsettle,
    Quarantine,
    Last,
}

impl Purpose {
    /// The request behind it.
    fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::AskStart(ticket, ..)
            | Self::AskRestart(ticket, _)
            | Self::AskSpawn(ticket, _)
            | Self::AskSpawnMany(ticket, _)
            | Self::AskStop(ticket, _)
            | Self::Release(ticket, _)
            | Self::Reload(ticket)
            | Self::Prepare(ticket)
            | Self::Undo(ticket, _) => Some(*ticket),
            _ => None,
        }
    }
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
    /// What its children are made from, if they come and go.
    template: Option<Arc<Template>>,
    auto_shutdown: AutoShutdown,
    window: Window,
    children: BTreeMap<Key, Child>,
    by_id: HashMap<ChildId, Key>,
    /// Children with needs, and the condemned: those that `settle` looks at.
    watched: BTreeSet<Key>,
    /// The last settings that completed their probation, of children that have a ladder.
    good: BTreeMap<ChildId, Arc<Value>>,
    next_key: Key,
    jobs: BTreeMap<JobId, Purpose>,
    next_job: JobId,
    phase: Phase,
    safe: bool,
    /// Whether the window changed since somebody asked.
    charged: bool,
    began: bool,
    /// A reload waits for jobs to be done: no other begins before it.
    reload_waits: bool,
    /// What was started for a change that is not decided yet.
    prepared: BTreeSet<ChildId>,
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
            // Those of a template are in no order, so each stands for itself.
            strategy: match &spec.template {
                Some(_) => Strategy::OneForOne,
                None => spec.strategy,
            },
            template: spec.template.clone(),
            auto_shutdown: spec.auto_shutdown,
            window: Window::new(spec.intensity, spec.period),
            children: BTreeMap::new(),
            by_id: HashMap::new(),
            watched: BTreeSet::new(),
            good: BTreeMap::new(),
            next_key: 0,
            jobs: BTreeMap::new(),
            next_job: 0,
            phase: Phase::Booting,
            safe: false,
            charged: false,
            began: false,
            reload_waits: false,
            prepared: BTreeSet::new(),
            deferred: VecDeque::new(),
            effects: Vec::new(),
            now,
            #[cfg(test)]
            bug: None,
        };
        for child in &spec.children {
            // A need that is no earlier sibling was a fault of the file; here it would only wait for ever.
            core.add(Arc::clone(child));
        }
        // Made in one go its nodes are full; grown in order they are little more than half.
        core.children = std::mem::take(&mut core.children).into_iter().collect();
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
            for _ in 0..self.deferred.len() {
                // One by one: what one of them does may give the others new keys.
                if let Some(input) = self.deferred.pop_front() {
                    self.feed(input, rng);
                }
            }
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    fn feed(&mut self, input: Input, rng: &mut fastrand::Rng) {
        match input {
            Input::Begin { safe } => self.begin(safe),
            Input::Exited {
                key,
                incarnation,
                reason,
            } => {
                if self.status(key) == Some(&Status::Busy) {
                    // The job that is at work on it stops it, or finds it down: it will say so.
                } else if self.is_held(key) {
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
            Input::Proved { id, incarnation } => self.proved(&id, incarnation),
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
            && (self.phase == Phase::Booting
                || self.reload_waits
                || self.strategy() != Strategy::OneForOne)
    }

    /// In safe mode every essential child stands for itself.
    fn strategy(&self) -> Strategy {
        if self.safe {
            Strategy::OneForOne
        } else {
            self.strategy
        }
    }

    fn add(&mut self, spec: Arc<ChildSpec>) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        let needs: Box<[Key]> = spec
            .needs
            .iter()
            .filter_map(|id| self.by_id.get(id).copied())
            .collect();
        if !needs.is_empty() {
            self.watched.insert(key);
        }
        self.by_id.insert(spec.id.clone(), key);
        self.children.insert(
            key,
            Child {
                spec,
                needs,
                status: Status::Waiting,
                incarnation: 0,
                generation: 0,
                attempts: 0,
                up_since: None,
                condemned: false,
                shown_stopped: false,
                is_leaving: false,
                by_hand: false,
                was_killed: false,
                skipped: false,
                due: None,
                trial: None,
                climbing: None,
                behind: None,
            },
        );
        self.answer_needs(key);
        key
    }

    /// A child that was deleted and is added again is what those need that named its id.
    fn answer_needs(&mut self, key: Key) {
        let Some(id) = self.children.get(&key).map(|child| child.spec.id.clone()) else {
            return;
        };
        for watched in &self.watched {
            let Some(child) = self.children.get_mut(watched) else {
                continue;
            };
            for (need, named) in child.needs.iter_mut().zip(&child.spec.needs) {
                if *named == id && *watched != key {
                    *need = key;
                }
            }
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(child) = self.children.remove(&key) {
            // Another of the same id may have taken its place.
            if self.by_id.get(&child.spec.id) == Some(&key) {
                self.by_id.remove(&child.spec.id);
            }
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
        if child.status == Status::Waiting {
            self.watched.insert(key);
        }
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

    /// Which child is called `id`.
    pub(crate) fn key_of(&self, id: &ChildId) -> Option<Key> {
        self.by_id.get(id).copied()
    }

    fn status(&self, key: Key) -> Option<&Status> {
        self.children.get(&key).map(|child| &child.status)
    }

    fn is_up(&self, key: Key) -> bool {
        matches!(self.status(key), Some(Status::Up { .. }))
    }
}

#[cfg(test)]
mod tests;
