//! A job: an ordered list of stops and starts, carried out beside the supervisor.
//!
//! It runs on the control runtime, so that its timeouts and the cutting off of what is stuck work when every
//! work thread is held. Workers are started by tasks on the work runtime: one by one, or, where there are
//! several in a row, by the [`express`]. (DESIGN had the whole plan go over as one job, which leaves nobody to
//! lose patience with a start that blocks its thread.)

mod at_once;
mod express;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use ractor::ActorRef;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::core::{Key, Manner, Outcome, Step};
use super::cut_off::{cut_off, wait_for_killed};
use super::{Above, SupervisorMessage, start_supervisor};
use crate::exit::{ExitKind, ExitReason};
use crate::health;
use crate::kind::WorkerBody;
use crate::life::Life;
use crate::shell::Spawned;
use crate::slot::{Body, Slot, SlotState, SupervisorBody};
use crate::spec::Shutdown;

/// How many steps a job takes before it lets others have a turn.
const TURN: usize = 64;

/// How a job is cut short while it runs.
#[derive(Debug, Default)]
pub(crate) struct JobControl {
    /// Whether somebody asked for the job.
    pub(crate) asked: bool,
    level: AtomicU8,
    interrupts: Mutex<Interrupts>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Interrupts {
    skipped: BTreeSet<Key>,
    killed: BTreeMap<Key, ExitReason>,
}

const CANCELLED: u8 = 1;
const BRUTAL: u8 = 2;

impl JobControl {
    pub(crate) fn new(asked: bool) -> Self {
        Self {
            asked,
            ..Self::default()
        }
    }

    pub(crate) fn cancel(&self, brutal: bool) {
        self.level
            .fetch_max(if brutal { BRUTAL } else { CANCELLED }, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub(crate) fn skip(&self, key: Key) {
        self.interrupts.lock().skipped.insert(key);
        self.changed.notify_waiters();
    }

    pub(crate) fn kill(&self, key: Key, reason: ExitReason) {
        self.interrupts.lock().killed.insert(key, reason);
        self.changed.notify_waiters();
    }

    fn is_cancelled(&self) -> bool {
        self.level.load(Ordering::Acquire) >= CANCELLED
    }

    /// Waits until `look` finds what it looks for.
    async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(self) {
                return found;
            }
            changed.await;
        }
    }

    /// Why the start of `key` is to be given up, if it is.
    fn start_interrupt(&self, key: Key) -> Option<Outcome> {
        if self.is_cancelled() {
            return Some(Outcome::NotReached);
        }
        if self.interrupts.lock().skipped.contains(&key) {
            return Some(Outcome::Skipped);
        }
        self.take_kill(key).map(Outcome::Failed)
    }

    /// Whether anything was said about `key`, or about the whole job.
    fn touches(&self, key: Key) -> bool {
        let interrupts = self.interrupts.lock();
        self.is_cancelled()
            || interrupts.skipped.contains(&key)
            || interrupts.killed.contains_key(&key)
    }

    /// Why `key` is to be killed, if it is.
    fn take_kill(&self, key: Key) -> Option<ExitReason> {
        self.interrupts.lock().killed.remove(&key)
    }

    fn is_brutal(&self) -> Option<()> {
        (self.level.load(Ordering::Acquire) >= BRUTAL).then_some(())
    }
}

/// What a job is made of.
pub(crate) struct Job {
    pub(crate) steps: Vec<(Step, Arc<Slot>)>,
    pub(crate) supervisor: ActorRef<SupervisorMessage>,
    pub(crate) control: Arc<JobControl>,
    pub(crate) manner: Manner,
}

/// What a step came to, and the life it started.
pub(crate) struct Report {
    pub(crate) key: Key,
    pub(crate) outcome: Outcome,
    pub(crate) started: Option<Arc<Life>>,
}

/// What the steps so far mean for those to come.
#[derive(Default)]
struct Course {
    /// What was to start and did not.
    down: BTreeSet<Key>,
    /// No further step starts.
    over: bool,
}

impl Course {
    fn note(&mut self, step: &Step, outcome: &Outcome) {
        if let Step::Start {
            key,
            tolerate,
            leads,
            ..
        } = step
            && !matches!(outcome, Outcome::Started { .. })
        {
            self.down.insert(*key);
            // A group whose failed child is stopped while it comes back stays down with it, as in OTP.
            self.over |= matches!(outcome, Outcome::Failed(_)) && !tolerate;
            self.over |= *outcome == Outcome::Skipped && *leads;
        }
    }

    fn misses_need(&self, step: &Step) -> bool {
        match step {
            Step::Start { needs, .. } => needs.iter().any(|need| self.down.contains(need)),
            Step::Stop { .. } => false,
        }
    }
}

impl Job {
    /// Takes the steps in order. A failed start that is not tolerated leaves the rest out.
    pub(crate) async fn run(self) -> Vec<Report> {
        if self.manner.at_once {
            return self.stop_at_once().await;
        }
        let mut reports = Vec::with_capacity(self.steps.len());
        let mut course = Course::default();
        while let Some(rest) = self.steps.get(reports.len()..)
            && let Some((step, slot)) = rest.first()
        {
            let run = rest.get(..self.run_len(rest, &course));
            let mut done = match run {
                Some(run) if run.len() > 1 => self.express(run).await,
                _ => Vec::new(),
            };
            if done.is_empty() {
                done.push(self.step(step, slot, &course).await);
            }
            for ((step, _), report) in rest.iter().zip(&done) {
                course.note(step, &report.outcome);
            }
            reports.append(&mut done);
            if reports.len() % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        reports
    }

    /// Takes one step.
    async fn step(&self, step: &Step, slot: &Arc<Slot>, course: &Course) -> Report {
        let key = step.key();
        let (outcome, started) = match step {
            Step::Stop { .. } => (Outcome::Stopped(self.stop(slot).await), None),
            Step::Start { .. } if course.over || self.control.is_cancelled() => {
                (Outcome::NotReached, None)
            }
            Step::Start { .. } if course.misses_need(step) => (Outcome::NeedMissing, None),
            Step::Start { .. } => self.start(key, slot).await,
        };
        Report {
            key,
            outcome,
            started,
        }
    }

    /// Whom a child tells of its end.
    fn above(&self) -> Above {
        Above {
            supervisor: self.supervisor.clone(),
        }
    }

    /// The state of a child that is on its way up.
    fn starting(&self) -> SlotState {
        if self.manner.first {
            SlotState::Starting
        } else {
            SlotState::Restarting
        }
    }

    async fn start(&self, key: Key, slot: &Arc<Slot>) -> (Outcome, Option<Arc<Life>>) {
        slot.set_state(self.starting());
        let life = slot.begin_life();
        let outcome = match slot.body() {
            Body::Worker(worker) => self.start_worker(key, slot, &**worker, &life).await,
            Body::Supervisor(_) => tokio::select! {
                biased;
                interrupt = self.interrupted(key) => Err(interrupt),
                spawned = within(slot, start_below(slot, &life, self.above())) => {
                    spawned.map_err(Outcome::Failed)
                }
            },
        };
        match outcome {
            Ok(spawned) => {
                let came = came_up(slot, &life, Ok(spawned));
                if came.1.is_some()
                    && let Some(reason) = self.control.take_kill(key)
                {
                    kill(slot, &life, reason);
                }
                came
            }
            Err(outcome) => {
                self.end_attempt(slot, &life, &outcome).await;
                (outcome, None)
            }
        }
    }

    async fn interrupted(&self, key: Key) -> Outcome {
        self.control
            .until(|control| control.start_interrupt(key))
            .await
    }

    /// Starts a worker by a task on its runtime. An attempt that is given up is aborted and waited for, so that two
    /// attempts never overlap; one that holds its thread for longer than the kernel's `kill_grace` is left behind.
    async fn start_worker(
        &self,
        key: Key,
        slot: &Arc<Slot>,
        worker: &dyn WorkerBody,
        life: &Arc<Life>,
    ) -> Result<Spawned, Outcome> {
        let attempt = worker.spawn(Arc::clone(slot), Arc::clone(life), self.above());
        let started = slot.kernel().spawn_start(slot, life, attempt);
        let mut task = started.map_err(Outcome::Failed)?;
        let mut answered = false;
        let joined = async {
            let joined = (&mut task).await;
            answered = true;
            joined.unwrap_or_else(|lost| Err(lost_attempt(&lost)))
        };
        let started = tokio::select! {
            biased;
            interrupt = self.interrupted(key) => Err(interrupt),
            spawned = within(slot, joined) => spawned.map_err(Outcome::Failed),
        };
        if !answered {
            life.revoke();
            task.abort();
            let late = async { matches!(task.await, Ok(Ok(Spawned::Running))) };
            call_off(slot, life, late).await;
        }
        started
    }

    /// Makes sure that a start attempt that came to nothing leaves nothing behind. What a supervisor had started
    /// stops in order when its start is called off, and at once when it failed.
    async fn end_attempt(&self, slot: &Slot, life: &Life, outcome: &Outcome) {
        if !slot.is_supervisor() {
            life.finish(ExitReason::killed());
        } else if matches!(outcome, Outcome::NotReached | Outcome::Skipped) {
            self.stop(slot).await;
        } else {
            kill(slot, life, ExitReason::killed());
            life.ended().await;
        }
    }

    /// How long a child may take to stop, `Some(None)` being for ever; `None` where it is not even asked.
    fn patience(&self, slot: &Slot) -> Option<Option<Duration>> {
        match slot.spec().shutdown {
            _ if self.manner.brutal => None,
            Shutdown::BrutalKill => None,
            Shutdown::Timeout(timeout) => Some(Some(timeout)),
            Shutdown::Infinity => Some(None),
        }
    }

    /// Why a child is killed that did not stop in its time.
    fn out_of_patience(&self, slot: &Slot) -> ExitReason {
        match self.patience(slot) {
            Some(Some(limit)) => too_slow_to_stop(limit),
            _ => ExitReason::killed(),
        }
    }

    /// Stops a child as its spec says; returns when it has ended, or is cut off.
    async fn stop(&self, slot: &Slot) -> ExitReason {
        let Some(life) = slot.life().filter(|life| !life.has_ended()) else {
            return last_exit(slot);
        };
        begin_stop(slot, &life);
        let mut killed = ExitReason::killed();
        if let Some(patience) = self.patience(slot) {
            ask_to_stop(slot, &life, self.manner.gave_up);
            tokio::select! {
                biased;
                () = life.ended() => {}
                () = self.control.until(JobControl::is_brutal) => {}
                () = sleep(patience) => killed = self.out_of_patience(slot),
            }
        }
        if !life.has_ended() {
            end_by_force(slot, &life, killed).await;
        }
        life.exit().unwrap_or_else(ExitReason::killed)
    }
}

/// What is reported of a job that panicked, which only a fault of ours can make it do: nothing of it counts as up.
pub(crate) fn given_up(steps: &[Step]) -> Vec<Report> {
    let reason =
        || ExitReason::error("the kernel lost track of it while it was stopped or started");
    steps
        .iter()
        .map(|step| Report {
            key: step.key(),
            outcome: match step {
                Step::Stop { .. } => Outcome::Stopped(reason()),
                Step::Start { .. } => Outcome::Failed(reason()),
            },
            started: None,
        })
        .collect()
}

/// Sleeps for so long, or for ever.
async fn sleep(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of an attempt that was revoked and aborted. It runs on another thread, and may be up by now:
/// then it is killed like any other life, so that two never overlap.
async fn call_off(slot: &Slot, life: &Life, late: impl Future<Output = bool>) {
    let ends = async {
        if late.await {
            life.set_exit(ExitReason::killed());
            life.request(|requests| requests.kill = Some(ExitReason::killed()));
            slot.wake();
            life.abort();
            life.ended().await;
        }
    };
    let mut ends = std::pin::pin!(ends);
    loop {
        tokio::select! {
            biased;
            () = &mut ends => return,
            () = life.abandoned() => return,
            () = tokio::time::sleep(slot.kernel().kill_grace()) => {}
        }
        if cut_off(slot, life, ExitReason::killed()) {
            return;
        }
    }
}

/// Waits for a start, at most for its `start_timeout`.
async fn within(
    slot: &Slot,
    start: impl Future<Output = Result<Spawned, ExitReason>>,
) -> Result<Spawned, ExitReason> {
    let Some(limit) = slot.spec().start_timeout else {
        return start.await;
    };
    match tokio::time::timeout(limit, start).await {
        Ok(spawned) => spawned,
        Err(_elapsed) => Err(too_slow(limit)),
    }
}

/// What is said of a start that took too long.
fn too_slow(limit: Duration) -> ExitReason {
    ExitReason::with_text(
        ExitKind::Killed,
        format!("it did not start within {limit:?}"),
    )
}

/// What is said of a stop that took too long.
fn too_slow_to_stop(limit: Duration) -> ExitReason {
    ExitReason::with_text(
        ExitKind::Killed,
        format!("it did not stop within {limit:?}"),
    )
}

/// What a start came to; what came up is from here on the life of its slot.
fn came_up(
    slot: &Arc<Slot>,
    life: &Arc<Life>,
    spawned: Result<Spawned, ExitReason>,
) -> (Outcome, Option<Arc<Life>>) {
    match spawned {
        Ok(Spawned::Running) => {
            slot.commit_life(life);
            slot.set_state(SlotState::Running);
            health::watch(slot, life);
            let incarnation = life.incarnation();
            (Outcome::Started { incarnation }, Some(Arc::clone(life)))
        }
        Ok(Spawned::Ignored) => (Outcome::Ignored, None),
        Err(reason) => (Outcome::Failed(reason), None),
    }
}

/// How the last life of a slot ended that is down.
fn last_exit(slot: &Slot) -> ExitReason {
    let exit = slot.life().and_then(|life| life.exit());
    exit.unwrap_or_else(ExitReason::shutdown)
}

/// What is to be said of a start whose task is gone: its runtime is shutting down.
fn lost_attempt(lost: &tokio::task::JoinError) -> ExitReason {
    ExitReason::error(format!("its start was lost: {lost}"))
}

/// Starts a supervisor and, by that, all below it.
async fn start_below(
    slot: &Arc<Slot>,
    life: &Arc<Life>,
    above: Above,
) -> Result<Spawned, ExitReason> {
    let started = start_supervisor(Arc::clone(slot), Arc::clone(life), Some(above));
    slot.kernel().on_control(started.spawn).await?;
    match started.began.await {
        Ok(Ok(())) => Ok(Spawned::Running),
        Ok(Err(reason)) => Err(reason),
        Err(_dropped) => Err(ExitReason::error("the supervisor ended while it started")),
    }
}

/// From here on the job says how the life ended, which need not say so itself.
fn begin_stop(slot: &Slot, life: &Life) {
    life.set_awaited();
    slot.set_state(SlotState::Stopping);
}

fn ask_to_stop(slot: &Slot, life: &Life, gave_up: bool) {
    match slot.body() {
        Body::Supervisor(supervisor) => {
            let end = SupervisorMessage::End {
                reason: ExitReason::shutdown(),
                brutal: false,
                gave_up,
            };
            end_supervisor(supervisor, life, end);
        }
        Body::Worker(_) if !life.traps_exit() => kill(slot, life, ExitReason::shutdown()),
        Body::Worker(_) => {
            life.request(|requests| requests.stop = Some(ExitReason::shutdown()));
            slot.wake();
        }
    }
}

/// Ends a life at its next await point, or between two messages, whichever comes first.
pub(crate) fn kill(slot: &Slot, life: &Life, reason: ExitReason) {
    match slot.body() {
        Body::Supervisor(supervisor) => {
            let end = SupervisorMessage::End {
                reason,
                brutal: true,
                gave_up: false,
            };
            end_supervisor(supervisor, life, end);
        }
        Body::Worker(_) => {
            life.set_exit(reason.clone());
            life.request(|requests| requests.kill = Some(reason));
            slot.wake();
            life.abort();
        }
    }
}

fn end_supervisor(supervisor: &SupervisorBody, life: &Life, end: SupervisorMessage) {
    let port = supervisor.port.lock();
    if port
        .as_ref()
        .is_none_or(|port| port.actor.send_message(end).is_err())
    {
        // It never came to run, or is gone: nothing of it is left to end.
        life.finish(ExitReason::killed());
    }
}

/// Ends a life whatever it does.
async fn end_by_force(slot: &Slot, life: &Life, reason: ExitReason) {
    force(slot, life, reason);
    wait_for_killed(slot, life).await;
}

/// Kills a life; this, and nothing said before, is why it ended.
fn force(slot: &Slot, life: &Life, reason: ExitReason) {
    life.replace_exit(reason);
    kill(slot, life, ExitReason::killed());
}
