//! The supervisor: a thin actor around [`core`], which decides.
//!
//! It is a ractor actor. It turns ends, finished jobs, pauses and requests into inputs of the core, and carries
//! out the effects. It never awaits anything itself.

mod backoff;
mod changes;
pub(crate) mod core;
pub(crate) mod cut_off;
pub(crate) mod job;
mod ladders;

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ractor::{ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::core::{
    Core, Done, Effect, Input, JobId, Key, Manner, Request, RequestError, Role, Step, Ticket,
};
use self::job::{Job, JobControl, Report};
use crate::dead_letter::DeadReason;
use crate::exit::{ExitKind, ExitReason};
use crate::kernel::{Kernel, Mode};
use crate::life::Life;
use crate::path::{ActorPath, ChildId};
use crate::report::Fact;
use crate::slot::{ExitRecord, Port, Slot, SlotState, SupervisorBody};
use crate::spec::{ChildSpec, SupervisorSpec};

/// What a supervisor is told.
pub(crate) enum SupervisorMessage {
    Begin,
    JobDone {
        job: JobId,
        reports: Vec<Report>,
    },
    /// A life of a child is over, and nothing of it is left.
    Ended {
        life: Arc<Life>,
    },
    /// A thread is stuck in a life of a child, which is to be cut off.
    Stalled {
        life: Arc<Life>,
        reason: ExitReason,
    },
    Due {
        key: Key,
        generation: u64,
    },
    /// A life has run for its probation.
    Proved {
        id: ChildId,
        incarnation: u64,
    },
    Ask {
        request: Request,
        /// The slots of what is to be spawned.
        slots: VecDeque<Arc<Slot>>,
        reply: oneshot::Sender<Result<Done, RequestError>>,
    },
    /// `gave_up`: a supervisor above gave up, which is what the dead letters below say.
    End {
        reason: ExitReason,
        brutal: bool,
        gave_up: bool,
    },
}

impl ractor::Message for SupervisorMessage {}

/// Whom a life tells of its end.
#[derive(Clone)]
pub(crate) struct Above {
    pub(crate) supervisor: ActorRef<SupervisorMessage>,
}

impl Above {
    pub(crate) fn tell_ended(&self, life: &Arc<Life>) {
        if life.is_awaited() {
            return;
        }
        let ended = SupervisorMessage::Ended {
            life: Arc::clone(life),
        };
        // A supervisor that is gone has no use for it.
        drop(self.supervisor.send_message(ended));
    }
}

impl SupervisorBody {
    /// Sends to the actor behind the slot, if there is one. What comes too late for its life is never looked at.
    pub(crate) fn send(&self, message: SupervisorMessage) -> Option<Arc<Life>> {
        let port = self.port.lock().clone()?;
        port.actor
            .send_message(message)
            .is_ok()
            .then_some(port.life)
    }
}

/// A supervisor whose life begins.
pub(crate) struct Starting {
    /// Spawns it; to be awaited on the control runtime.
    pub(crate) spawn: BoxFuture<'static, Result<(), ExitReason>>,
    /// Says when all its children are up, or why they are not.
    pub(crate) began: oneshot::Receiver<Result<(), ExitReason>>,
}

/// Begins a life of the supervisor in `slot`.
pub(crate) fn start_supervisor(slot: Arc<Slot>, life: Arc<Life>, above: Option<Above>) -> Starting {
    let (began_sender, began) = oneshot::channel();
    let spawn = async move {
        let begun = Begun {
            slot,
            life,
            above,
            began: began_sender,
        };
        match ractor::Actor::spawn(None, Supervisor, begun).await {
            Ok(_handles) => Ok(()),
            Err(error) => Err(ExitReason::error(error.to_string())),
        }
    }
    .boxed();
    Starting { spawn, began }
}

struct Supervisor;

struct Begun {
    slot: Arc<Slot>,
    life: Arc<Life>,
    above: Option<Above>,
    began: oneshot::Sender<Result<(), ExitReason>>,
}

struct State {
    core: Core,
    slot: Arc<Slot>,
    life: Arc<Life>,
    above: Option<Above>,
    kernel: Kernel,
    began: Option<oneshot::Sender<Result<(), ExitReason>>>,
    jobs: BTreeMap<JobId, Arc<JobControl>>,
    tickets: BTreeMap<Ticket, oneshot::Sender<Result<Done, RequestError>>>,
    spawning: BTreeMap<Ticket, VecDeque<Arc<Slot>>>,
    next_ticket: Ticket,
    gave_up: bool,
}

impl ractor::Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = Begun;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        begun: Begun,
    ) -> Result<State, ActorProcessingErr> {
        // Before others can send to it: what they ask waits for the boot.
        myself.send_message(SupervisorMessage::Begin)?;
        State::new(begun, &myself)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Begin => {
                // A root that is restarted in safe mode comes back in it.
                let is_root = state.slot.path().is_root();
                let safe = state.kernel.safe_reason().filter(|_| is_root);
                state.feed(Input::Begin { safe }, &myself);
            }
            SupervisorMessage::Due { key, generation } => {
                state.feed(Input::Due { key, generation }, &myself);
            }
            SupervisorMessage::Proved { id, incarnation } => {
                state.feed(Input::Proved { id, incarnation }, &myself);
            }
            SupervisorMessage::End {
                reason,
                brutal,
                gave_up,
            } => {
                state.gave_up |= gave_up;
                state.feed(Input::End { reason, brutal }, &myself);
            }
            SupervisorMessage::JobDone { job, reports } => state.job_done(job, reports, &myself),
            SupervisorMessage::Ended { life } => state.ended(&life, &myself),
            SupervisorMessage::Stalled { life, reason } => state.stalled(&life, reason, &myself),
            SupervisorMessage::Ask {
                mut request,
                slots,
                reply,
            } => {
                if let Request::Reload(reload) = &mut request {
                    // What was put back while this was on its way stays so.
                    reload.spec = state.slot.spec();
                }
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                state.tickets.insert(ticket, reply);
                if !slots.is_empty() {
                    state.spawning.insert(ticket, slots);
                }
                state.feed(Input::Ask { ticket, request }, &myself);
            }
        }
        Ok(())
    }
}

impl State {
    fn new(begun: Begun, myself: &ActorRef<SupervisorMessage>) -> Result<Self, ActorProcessingErr> {
        let Begun {
            slot,
            life,
            above,
            began,
        } = begun;
        let kernel = slot.kernel().clone();
        let Some(body) = slot.supervisor() else {
            return Err("a supervisor's slot holds a supervisor".into());
        };
        let spec = {
            // Under the lock: who ends a supervisor that has no port ends its life, and may delete its slot; who gives it
            // another spec finds its port after that, or it finds the spec.
            let mut port = body.port.lock();
            if life.has_ended() {
                return Err("its start was called off".into());
            }
            let spec = populated(&slot, body)?;
            *port = Some(Port {
                actor: myself.clone(),
                life: Arc::clone(&life),
            });
            spec
        };
        let Some(spec) = spec.as_supervisor() else {
            return Err("a supervisor's slot holds a supervisor".into());
        };
        let mut core = Core::new(kernel.role_of(slot.path()), spec, Instant::now());
        #[cfg(test)]
        {
            core.bug = kernel.bug();
        }
        ladders::recall(&mut core, &slot);
        *body.window.lock() = core.window().clone();
        Ok(Self {
            core,
            kernel,
            began: Some(began),
            slot,
            life,
            above,
            jobs: BTreeMap::new(),
            tickets: BTreeMap::new(),
            spawning: BTreeMap::new(),
            next_ticket: 0,
            gave_up: false,
        })
    }

    fn child(&self, key: Key) -> Option<Arc<Slot>> {
        self.slot.supervisor()?.child(key)
    }

    fn feed(&mut self, input: Input, myself: &ActorRef<SupervisorMessage>) {
        let effects = self
            .kernel
            .with_rng(|rng| self.core.handle(input, Instant::now(), rng));
        if self.core.take_charged()
            && let Some(body) = self.slot.supervisor()
        {
            body.window.lock().clone_from(self.core.window());
        }
        for effect in effects {
            self.act(effect, myself);
        }
    }

    fn ended(&mut self, life: &Arc<Life>, myself: &ActorRef<SupervisorMessage>) {
        if life.is_first_heard() {
            // The job that started it has yet to say so.
            return;
        }
        if let Some((key, _)) = self.child_of(life) {
            self.exited(key, life, myself);
        }
    }

    /// The child that lives this life, while no other life has taken its place.
    fn child_of(&self, life: &Arc<Life>) -> Option<(Key, Arc<Slot>)> {
        let root = ChildId::known("root");
        let key = self
            .core
            .key_of(life.path().id().as_ref().unwrap_or(&root))?;
        let slot = self.child(key)?;
        let current = slot.life()?;
        Arc::ptr_eq(&current, life).then_some((key, slot))
    }

    fn exited(&mut self, key: Key, life: &Life, myself: &ActorRef<SupervisorMessage>) {
        let reason = life.exit().unwrap_or_else(ExitReason::killed);
        self.feed(
            Input::Exited {
                key,
                incarnation: life.incarnation(),
                reason,
            },
            myself,
        );
    }

    fn job_done(&mut self, job: JobId, reports: Vec<Report>, myself: &ActorRef<SupervisorMessage>) {
        let control = self.jobs.remove(&job);
        let asked = control.is_some_and(|control| control.asked);
        let mut gone = Vec::new();
        let mut started = Vec::new();
        let mut outcomes = Vec::with_capacity(reports.len());
        for report in reports {
            if let Some(life) = report.started {
                if !life.is_first_heard() {
                    gone.push(Arc::clone(&life));
                }
                started.push(life);
            }
            outcomes.push((report.key, report.outcome));
        }
        // A job stops before it starts: so are its facts told.
        self.feed(Input::JobDone { job, outcomes }, myself);
        // What waited for the job may have given the children other keys by now.
        for life in started {
            if let Some((key, _)) = self.child_of(&life) {
                let incarnation = life.incarnation();
                self.note(key, |path| Fact::Started {
                    path,
                    incarnation,
                    asked,
                });
            }
        }
        for life in gone {
            if let Some((key, _)) = self.child_of(&life) {
                self.exited(key, &life, myself);
            }
        }
    }

    fn act(&mut self, effect: Effect, myself: &ActorRef<SupervisorMessage>) {
        match effect {
            Effect::Run { job, steps, manner } => self.launch(job, steps, manner, myself),
            Effect::Cancel { job, brutal } => {
                if let Some(control) = self.jobs.get(&job) {
                    control.cancel(brutal);
                }
            }
            Effect::Skip { key } => self.jobs.values().for_each(|control| control.skip(key)),
            Effect::Kill { key, reason } => self.kill(key, reason),
            Effect::Suspend { key, suspend } => self.suspend(key, suspend),
            Effect::Wait {
                key,
                generation,
                pause,
            } => self.wait(key, generation, pause, myself),
            Effect::State { key, state } => {
                if let Some(slot) = self.child(key) {
                    slot.set_state(state);
                }
                self.note(key, |path| Fact::State { path, state });
            }
            Effect::Record {
                key,
                incarnation,
                failed_start,
                reason,
                response,
                ladder,
            } => {
                self.record(key, |slot| ExitRecord {
                    at: slot.kernel().clock().wall(),
                    when: Instant::now(),
                    incarnation,
                    failed_start,
                    in_hand: slot
                        .life()
                        .filter(|life| life.incarnation() == incarnation)
                        .and_then(|life| life.in_hand()),
                    reason,
                    response,
                    ladder,
                });
            }
            Effect::Ladder { key, effect } => self.act_on_ladder(key, effect, myself),
            Effect::Delete { key } => self.delete(key),
            Effect::Add { key, spec } => self.add(key, &spec),
            Effect::Move { from, to } => self.move_child(from, to),
            Effect::Respec { key, spec, mark } => self.respec(key, spec, mark),
            Effect::RollBack { key, spec, number } => self.roll_back(key, spec, number),
            Effect::Adopt { key, ticket } => self.adopt(key, ticket),
            Effect::Answer { ticket, result } => {
                self.spawning.remove(&ticket);
                if let Some(reply) = self.tickets.remove(&ticket) {
                    // Whoever asked may have gone away.
                    drop(reply.send(result));
                }
            }
            Effect::Ending(kind) => self.ending(kind),
            Effect::Safe(why) => self.kernel.set_safe(why),
            Effect::Began(result) => {
                if let Some(began) = self.began.take() {
                    drop(began.send(result));
                }
            }
            Effect::End(reason) => self.end(reason, myself),
        }
    }

    fn launch(
        &mut self,
        id: JobId,
        steps: Vec<Step>,
        mut manner: Manner,
        myself: &ActorRef<SupervisorMessage>,
    ) {
        manner.gave_up |= self.gave_up;
        // What has no slot could not be made, and its steps fail.
        let (steps, lost): (Vec<Step>, Vec<Step>) = steps
            .into_iter()
            .partition(|step| self.child(step.key()).is_some());
        let slot_of = |step: Step| Some((self.child(step.key())?, step));
        let steps: Vec<_> = steps
            .into_iter()
            .filter_map(slot_of)
            .map(|(slot, step)| (step, slot))
            .collect();
        let control = Arc::new(JobControl::new(manner.asked));
        self.jobs.insert(id, Arc::clone(&control));
        let job = Job {
            steps,
            supervisor: myself.clone(),
            control,
            manner,
        };
        let supervisor = myself.clone();
        let steps: Vec<Step> = job.steps.iter().map(|(step, _)| step.clone()).collect();
        self.kernel.spawn_control(async move {
            let run = AssertUnwindSafe(job.run()).catch_unwind().await;
            let mut reports = run.unwrap_or_else(|_panic| job::given_up(&steps));
            reports.extend(job::given_up(&lost));
            // A supervisor that was killed meanwhile has no use for them: its life ended with all below.
            drop(supervisor.send_message(SupervisorMessage::JobDone { job: id, reports }));
        });
    }

    fn kill(&self, key: Key, reason: ExitReason) {
        let Some(slot) = self.child(key) else {
            return;
        };
        let running = || {
            slot.life()
                .filter(|life| !life.has_ended() && life.incarnation() == slot.incarnation())
        };
        if let Some(life) = running() {
            job::kill(&slot, &life, reason);
            return;
        }
        for control in self.jobs.values() {
            control.kill(key, reason.clone());
        }
        // A start that was done in between has looked for this too early.
        if let Some(life) = running() {
            job::kill(&slot, &life, reason);
        }
    }

    fn wait(
        &self,
        key: Key,
        generation: u64,
        pause: std::time::Duration,
        myself: &ActorRef<SupervisorMessage>,
    ) {
        let message = SupervisorMessage::Due { key, generation };
        let myself = myself.clone();
        if pause.is_zero() {
            drop(myself.send_message(message));
            return;
        }
        let task = self.kernel.spawn_control(async move {
            tokio::time::sleep(pause).await;
            drop(myself.send_message(message));
        });
        self.life.adopt(task);
    }

    fn note(&self, key: Key, fact: impl FnOnce(ActorPath) -> Fact) {
        if let Some(slot) = self.child(key) {
            self.kernel.report(fact(slot.path().clone()));
        }
    }

    fn record(&self, key: Key, record: impl FnOnce(&Slot) -> ExitRecord) {
        let Some(slot) = self.child(key) else {
            return;
        };
        let record = record(&slot);
        slot.record(record.clone());
        self.kernel.report(Fact::Exited {
            path: slot.path().clone(),
            record,
        });
    }

    fn delete(&mut self, key: Key) {
        let slot = self
            .slot
            .supervisor()
            .and_then(|body| body.children.write().remove(&key));
        let Some(slot) = slot else {
            return;
        };
        slot.bury();
        slot.delete(DeadReason::Deleted);
        self.kernel.ladders().forget(slot.path());
        self.kernel.report(Fact::Deleted {
            path: slot.path().clone(),
        });
    }

    fn suspend(&self, key: Key, suspend: bool) {
        let Some(slot) = self.child(key) else {
            return;
        };
        let Some(life) = slot.life().filter(|life| !life.has_ended()) else {
            return;
        };
        life.request(|requests| requests.suspended = suspend);
        slot.wake();
        let state = if suspend {
            SlotState::Suspended
        } else {
            SlotState::Running
        };
        slot.set_state(state);
        self.note(key, |path| Fact::State { path, state });
    }

    fn adopt(&mut self, key: Option<Key>, ticket: Ticket) {
        let next = self.spawning.get_mut(&ticket).and_then(VecDeque::pop_front);
        let (Some(slot), Some(key)) = (next, key) else {
            return;
        };
        register(&slot);
        ladders::begin(&mut self.core, &slot);
        if let Some(body) = self.slot.supervisor() {
            body.children.write().insert(key, slot);
        }
    }

    /// Shows that it ends. The root does so in order only with the kernel; what is killed comes back.
    fn ending(&self, kind: ExitKind) {
        self.slot.set_state(SlotState::Stopping);
        if self.slot.path().is_root() && kind.is_clean() {
            self.kernel.set_mode(Mode::Stopping);
        }
    }

    fn end(&mut self, reason: ExitReason, myself: &ActorRef<SupervisorMessage>) {
        if let Some(body) = self.slot.supervisor() {
            let gave_up = self.gave_up || reason.kind == ExitKind::GaveUp;
            body.forget_children(if gave_up {
                DeadReason::GaveUp
            } else {
                DeadReason::Stopped
            });
        }
        for (_, reply) in std::mem::take(&mut self.tickets) {
            drop(reply.send(Err(RequestError::Ending)));
        }
        let mut port = self.slot.supervisor().map(|body| body.port.lock());
        if let Some(port) = &mut port {
            **port = None;
        }
        self.life.finish(reason);
        drop(port);
        myself.stop(None);
    }
}

impl Drop for State {
    /// The actor is over. Only a fault of ours brings it here before its life has ended: then nothing below outlives it.
    fn drop(&mut self) {
        if !self.life.has_ended() {
            for slot in &self.slot.children() {
                if let Some(life) = slot.life().filter(|life| !life.has_ended()) {
                    job::kill(slot, &life, ExitReason::killed());
                }
            }
            self.life
                .finish(ExitReason::error("the supervisor itself failed"));
            if let Some(body) = self.slot.supervisor() {
                *body.port.lock() = None;
                body.forget_children(DeadReason::GaveUp);
            }
        }
        if let Some(above) = &self.above {
            above.tell_ended(&self.life);
        }
    }
}

/// Makes sure that the children of `slot` are those of its spec, and returns that.
fn populated(
    slot: &Arc<Slot>,
    body: &SupervisorBody,
) -> Result<Arc<ChildSpec>, crate::kernel::BuildError> {
    loop {
        let spec = slot.spec();
        if !spec
            .as_supervisor()
            .is_some_and(|spec| is_populated(body, spec))
        {
            body.forget_children(DeadReason::Stopped);
            populate(slot)?;
        }
        // Who gives slots another spec, from the top down, finds those of the children after that, or this finds the spec.
        if Arc::ptr_eq(&spec, &slot.spec()) {
            return Ok(spec);
        }
    }
}

/// Whether the slots of the children that `spec` names are there already: it was made with them, and has not begun yet.
fn is_populated(body: &SupervisorBody, spec: &SupervisorSpec) -> bool {
    let children = body.children.read();
    let is_of = |(slot, child): (&Arc<Slot>, &Arc<ChildSpec>)| Arc::ptr_eq(&slot.spec(), child);
    children.len() == spec.children.len() && children.values().zip(&spec.children).all(is_of)
}

/// Makes the slots of all children of `slot`, and of all below.
pub(crate) fn populate(slot: &Arc<Slot>) -> Result<(), crate::kernel::BuildError> {
    let spec = slot.spec();
    let (Some(spec), Some(body)) = (spec.as_supervisor(), slot.supervisor()) else {
        return Ok(());
    };
    let mut children = Vec::with_capacity(spec.children.len());
    for child in &spec.children {
        children.push(slot.kernel().build(slot.path().child(&child.id), child)?);
    }
    for child in &children {
        register(child);
    }
    body.set_children(children);
    let partitions = spec.partitions.unwrap_or_default();
    body.partitions.store(partitions, Ordering::Release);
    Ok(())
}

/// Enters `slot`, and all below, into the registry.
pub(crate) fn register(slot: &Arc<Slot>) {
    slot.kernel().registry().insert(slot);
    for child in slot.children() {
        register(&child);
    }
}

/// The role of the supervisor at `path`.
pub(crate) fn role(path: &ActorPath, exit_on_give_up: bool) -> Role {
    match path.as_str() {
        "/" if exit_on_give_up => Role::MortalRoot,
        "/" => Role::Root,
        crate::kernel::TOP => Role::Top,
        crate::kernel::SYSTEM => Role::Services,
        _ => Role::Sub,
    }
}
