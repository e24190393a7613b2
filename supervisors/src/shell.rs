//! The shell around an actor: one life from its start to its end.
//!
//! A life is one task that is parked on its mailbox. A kill aborts it at its next await point, a panic is caught around
//! it, and its last breath tells the supervisor. (DESIGN has each worker be a ractor actor, woken through ractor's message
//! port. Measured, ractor's four ports carried nothing and cost 9 KB of each idle worker and two thirds of each
//! start; so supervisors are ractor actors, and what they supervise are tasks.)
//!
//! Between any two messages the shell looks at its requests first, then at the lanes in order.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::actor::{Actor, Next, Start};
#[cfg(test)]
use crate::bug::Bug;
use crate::context::Context;
use crate::exit::{Exit, ExitReason};
use crate::fault::{LifeFault, suffer};
use crate::life::{Life, Stay, guarded, guarded_call};
use crate::mailbox::{InHand, Mailbox};
use crate::message::Message;
use crate::settings::{ApplyRequest, Vote};
use crate::supervisor::Above;
use crate::trace::{Outcome, Seen, Tracer};

/// How many messages a life handles before it lets others on its thread have a turn.
const TURN: u32 = 1024;
/// After so many it looks whether they took longer than [`SLICE`], and then ends its turn early.
const LOOK: u32 = 64;
/// Long enough to be worth a change of tasks, short enough that nobody notices.
const SLICE: Duration = Duration::from_micros(200);

/// How often one that receives events looks for more before it sleeps.
const LOOKS_AGAIN: u32 = 8;

/// How long whoever asked an actor for its say has it stopped after a panic.
const BROKEN: Duration = Duration::from_secs(10);

/// What a start came to.
pub(crate) enum Spawned {
    /// It runs.
    Running,
    /// There is nothing to do.
    Ignored,
}

/// Starts a life: the actor's own `start` first, then a task for what follows, on the runtime of the caller.
///
/// Dropping the future ends the attempt.
pub(crate) async fn spawn<A: Actor>(
    mut ctx: Context<A>,
    above: Above,
) -> Result<Spawned, ExitReason> {
    let life = Arc::clone(&ctx.life);
    life.set_mailbox(ctx.mailbox.key());
    ctx.mailbox.begin_life(&life, ctx.slot.incarnation() > 0);
    // Goes after the attempt.
    let stay = Stay::new(&ctx.slot, &life);
    let attempt = Attempt(&life);
    let settings = ctx.settings.now();
    let fault = ctx.slot.take_start_fault();
    let started = guarded(&life, async {
        if let Some(fault) = fault {
            Box::pin(fault.suffer()).await?;
        }
        A::start(&settings, &mut ctx).await
    });
    let started = started.await;
    let actor = match started {
        Ok(Ok(Start::Running(actor))) if life.is_revoked() => {
            // Patience with this start ran out while it held its thread.
            return Err(bury(&life, actor, ExitReason::killed()));
        }
        Ok(Ok(Start::Running(actor))) => actor,
        Ok(Ok(Start::Ignore)) => return Ok(Spawned::Ignored),
        Ok(Err(Exit(reason))) => return Err(attempt.failed(reason)),
        Err(panic) => return Err(attempt.failed(panic.into())),
    };
    attempt.worked();
    let last = LastBreath::new(stay, above);
    let kernel = ctx.slot.kernel().clone();
    life.set_task(kernel.spawn_task(live(Begun { actor, ctx, last })));
    Ok(Spawned::Running)
}

/// Ends the life of a start attempt that came to nothing.
struct Attempt<'a>(&'a Life);

impl Attempt<'_> {
    /// Whoever watches the attempt hears why it failed.
    fn failed(self, reason: ExitReason) -> ExitReason {
        self.0.finish(reason.clone());
        reason
    }

    fn worked(self) {
        std::mem::forget(self);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.finish(ExitReason::killed());
    }
}

/// What a life begins with. Dropped in this order, also where the runtime goes before the first step.
struct Begun<A: Actor> {
    actor: A,
    ctx: Context<A>,
    last: LastBreath,
}

/// Ends the life however its task ends, returned or dropped by a kill, and tells the supervisor.
pub(crate) struct LastBreath {
    above: Above,
    stay: Stay,
}

impl LastBreath {
    pub(crate) fn new(stay: Stay, above: Above) -> Self {
        Self { above, stay }
    }
}

impl Drop for LastBreath {
    fn drop(&mut self) {
        let life = self.stay.life();
        life.finish(ExitReason::killed());
        self.above.tell_ended(life);
    }
}

/// How a run ended.
enum End {
    /// In order: `stop` follows.
    Stop(ExitReason),
    /// Not in order.
    Crash(ExitReason),
}

/// One life. The actor is dropped before the life counts as ended, whatever happens.
async fn live<A: Actor>(begun: Begun<A>) {
    // Bound so that what is dropped last stands first.
    let Begun { actor, ctx, last } = begun;
    let _last = last;
    let (mut ctx, mut actor) = (ctx, actor);
    let life = Arc::clone(&ctx.life);
    life.begin();
    keep_regularly(&ctx);
    let end = guarded(&life, run(&mut actor, &mut ctx)).await;
    life.set_hand(None);
    let reason = match end {
        #[cfg(test)]
        Ok(End::Stop(reason)) if ctx.kernel().bug() == Some(Bug::ForgetsLastState) => {
            drop(guarded(&life, actor.stop(&reason, &mut ctx)).await);
            reason
        }
        Ok(End::Stop(reason)) => match guarded_call(&life, || keep(&actor, &ctx)) {
            Ok(()) => match guarded(&life, actor.stop(&reason, &mut ctx)).await {
                Ok(()) => reason,
                Err(panic) => panic.into(),
            },
            Err(panic) => bury(&life, actor, panic.into()),
        },
        Ok(End::Crash(reason)) => bury(&life, actor, reason),
        Err(panic) => bury(&life, actor, panic.into()),
    };
    life.finish(reason);
}

/// Drops the actor of a crashed life; a panic in its `Drop` changes nothing.
fn bury<A>(life: &Arc<Life>, actor: A, reason: ExitReason) -> ExitReason {
    if let Err(panic) = guarded_call(life, || drop(actor)) {
        tracing::warn!(path = %life.path(), panic = %ExitReason::from(panic), "panic while an actor was dropped");
    }
    reason
}

/// Handles messages until there is a reason to end.
async fn run<A: Actor>(actor: &mut A, ctx: &mut Context<A>) -> End {
    let life = Arc::clone(&ctx.life);
    let mailbox = Arc::clone(&ctx.mailbox);
    let mut in_hand = InHand::empty(&mailbox, &life);
    let mut turn = Turn::default();
    let (mut suspended, mut tracers) = (false, Vec::new());
    // Neither suspended nor traced: one look for both.
    let mut as_usual = true;
    loop {
        if life.is_called() {
            life.set_hand(None);
            match serve(actor, ctx) {
                Served::End(end) => return end,
                Served::GoOn {
                    suspended: now,
                    apply: asked,
                    tracers: more,
                    fault,
                } => {
                    suspended = now;
                    tracers.extend(more);
                    as_usual = !suspended && tracers.is_empty();
                    if let Some(fault) = fault {
                        if fault.is_crash() && !suspended {
                            in_hand.take();
                        }
                        let suffered = suffer(fault, &life, ctx.slot.kernel());
                        if let Some(Exit(reason)) = Box::pin(suffered).await {
                            return End::Crash(reason);
                        }
                    }
                    if let Some(asked) = asked {
                        if let Some(panic) = apply(actor, ctx, asked).await {
                            return broken(&mailbox, &life, panic).await;
                        }
                        // Meanwhile something else may have been asked of it.
                        continue;
                    }
                }
            }
        }
        let taken = if as_usual { in_hand.take() } else { None };
        let Some(message) = taken else {
            if !suspended && !as_usual {
                // On the heap, so that a life that nobody traces is no larger for it.
                let seen = Box::pin(traced(actor, ctx, &mut in_hand, &mut tracers)).await;
                as_usual = tracers.is_empty();
                match seen {
                    Some(After::End(end)) => return end,
                    Some(After::GoOn) => {
                        // Others on the thread have their turn.
                        tokio::task::consume_budget().await;
                        continue;
                    }
                    None => {}
                }
            }
            life.set_hand(None);
            sleep(&mailbox, &life).await;
            turn = Turn::default();
            continue;
        };
        let done = actor.handle(message, ctx).await;
        if let After::End(end) = after(done, &mut in_hand) {
            return end;
        }
        if turn.is_over() {
            turn = Turn::default();
            tokio::task::yield_now().await;
        }
    }
}

/// What follows a message.
enum After {
    GoOn,
    End(End),
}

/// Ends the hold on a message that was handled.
#[inline]
fn after<M: Message>(done: Result<Next, Exit>, in_hand: &mut InHand<'_, M>) -> After {
    match done {
        Ok(Next::Continue) => {
            in_hand.finish();
            After::GoOn
        }
        Ok(Next::Stop) => {
            in_hand.finish();
            After::End(End::Stop(ExitReason::normal()))
        }
        Ok(Next::StopWith(reason)) => {
            in_hand.finish();
            After::End(End::Stop(reason))
        }
        Err(Exit(reason)) => After::End(End::Crash(reason)),
    }
}

/// Handles the next message, if there is one, before the eyes of whoever looks.
async fn traced<A: Actor>(
    actor: &mut A,
    ctx: &mut Context<A>,
    in_hand: &mut InHand<'_, A::Message>,
    tracers: &mut Vec<Tracer>,
) -> Option<After> {
    let message = in_hand.take()?;
    let by = (&*ctx.life, ctx.slot.kernel());
    let seen = Seen::begin(message, ctx.mailbox.depth(), by, tracers);
    let done = actor.handle(message, ctx).await;
    seen.ended(match &done {
        Ok(Next::Continue) => Outcome::Done,
        Ok(Next::Stop | Next::StopWith(_)) => Outcome::Stops,
        Err(_) => Outcome::Error,
    });
    Some(after(done, in_hand))
}

/// How much of its turn a life has had.
#[derive(Default)]
struct Turn {
    handled: u32,
    looked: Option<Instant>,
}

impl Turn {
    /// Counts a message.
    #[inline]
    fn is_over(&mut self) -> bool {
        self.handled += 1;
        self.handled.is_multiple_of(LOOK) && self.look()
    }

    fn look(&mut self) -> bool {
        let now = Instant::now();
        let before = self.looked.replace(now);
        self.handled >= TURN || before.is_some_and(|before| now - before > SLICE)
    }
}

enum Served {
    End(End),
    GoOn {
        suspended: bool,
        apply: Option<ApplyRequest>,
        tracers: Vec<Tracer>,
        fault: Option<LifeFault>,
    },
}

/// Does what was asked of the shell.
fn serve<A: Actor>(actor: &A, ctx: &Context<A>) -> Served {
    let requests = ctx.life.take_requests();
    if let Some(reason) = requests.kill {
        return Served::End(End::Crash(reason));
    }
    if let Some(reason) = requests.stop {
        return Served::End(End::Stop(reason));
    }
    for asker in requests.well {
        // Whoever asked may have lost patience; that is no fault.
        asker.send(()).ok();
    }
    for asker in requests.observe {
        // Whoever asked may have gone away; the answer is then of no use to anybody.
        drop(asker.send(actor.observe()));
    }
    if requests.snapshot {
        keep(actor, ctx);
    }
    ctx.mailbox.suspend(requests.suspended);
    #[cfg(test)]
    if ctx.kernel().bug() == Some(Bug::HandlesSuspended) {
        return Served::GoOn {
            suspended: false,
            apply: requests.apply,
            tracers: requests.tracers,
            fault: requests.fault,
        };
    }
    Served::GoOn {
        suspended: requests.suspended,
        apply: requests.apply,
        tracers: requests.tracers,
        fault: requests.fault,
    }
}

/// Asks the actor what it says to new settings; returns its panic. Before that its state is kept as it was with the old
/// ones.
async fn apply<A: Actor>(
    actor: &mut A,
    ctx: &mut Context<A>,
    asked: ApplyRequest,
) -> Option<ExitReason> {
    let settings = asked.settings.0.downcast::<A::Settings>().ok()?;
    keep(actor, ctx);
    asked.begun.store(true, Ordering::Release);
    let life = Arc::clone(&ctx.life);
    let said = guarded(&life, actor.apply(&settings, ctx));
    let vote = match tokio::time::timeout(asked.limit, said).await {
        Ok(Ok(said)) => Vote::Said(said),
        Ok(Err(panic)) => Vote::Broken(panic.into()),
        Err(_elapsed) => Vote::Late,
    };
    let panic = match &vote {
        Vote::Broken(panic) => Some(panic.clone()),
        Vote::Said(_) | Vote::Late => None,
    };
    // Whoever asked may have lost patience, and then restarts it.
    drop(asked.reply.send(vote));
    panic
}

/// Nothing is left to be done with an actor that panicked over its settings. It is no crash of its own, so it waits to be
/// stopped, for as long as it takes to ask for that.
async fn broken<M: Message>(mailbox: &Mailbox<M>, life: &Life, panic: ExitReason) -> End {
    mailbox.suspend(true);
    let is_stopped = || {
        let requests = life.take_requests();
        requests.stop.is_some() || requests.kill.is_some()
    };
    let stopped = async {
        while !is_stopped() {
            sleep(mailbox, life).await;
        }
    };
    drop(tokio::time::timeout(BROKEN, stopped).await);
    End::Crash(panic)
}

/// Takes a snapshot, if the child keeps its state.
fn keep<A: Actor>(actor: &A, ctx: &Context<A>) {
    if let Some(kept) = ctx.slot.kept() {
        kept.take(&ctx.slot, &ctx.life, || actor.snapshot());
    }
}

/// Asks for a snapshot now and then, if the child keeps its state.
fn keep_regularly<A: Actor>(ctx: &Context<A>) {
    let Some(every) = ctx.slot.kept().map(|kept| kept.every()) else {
        return;
    };
    let (slot, life) = (Arc::clone(&ctx.slot), Arc::clone(&ctx.life));
    ctx.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            life.request(|requests| requests.snapshot = true);
            slot.wake();
        }
    });
}

/// Sleeps until there is a message or a request.
async fn sleep<M: Message>(mailbox: &Mailbox<M>, life: &Life) {
    if mailbox.is_fed() {
        // In the middle of a flood of events: to be woken for each of them costs more than to look again.
        for _ in 0..LOOKS_AGAIN {
            tokio::task::yield_now().await;
            if mailbox.has_some() || life.is_called() {
                return;
            }
        }
        mailbox.rest_feeds();
    }
    poll_fn(|cx| {
        if mailbox.sleep(cx.waker(), || life.is_called()) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}
