//! A job in the hand of a worker: how it is run, and what becomes of it, whatever becomes of the worker.

use std::sync::Arc;

use tokio::time::Instant;
use unity_supervisors::bus::{Event, POISON_AFTER};
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::{Exit, ExitKind, ExitReason};

use super::lines::Ticket;
use super::queue::LINE;
use super::{Counts, Dispatcher, Job, Subscription};

/// A job that a worker has taken. Dropped before it was begun, it waits again as if nothing had been; dropped before it
/// ended, it has failed: that is a kill of its worker.
pub(super) struct InHand {
    dispatcher: Arc<Dispatcher>,
    ticket: Ticket,
    event: Arc<Event>,
    subscription: Arc<Subscription>,
    stage: Stage,
}

enum Stage {
    Taken,
    Begun(Instant),
    Ended,
}

/// What is counted of a job that did not end well.
type Count = fn(&mut Counts);

/// How a job ended.
enum Outcome {
    Done,
    /// The life that registered it is over, and has let go of it.
    Orphaned,
    Crashed(ExitReason),
    TimedOut,
}

impl InHand {
    pub(super) fn new(dispatcher: &Arc<Dispatcher>, ticket: Ticket, job: &Job) -> Self {
        Self {
            dispatcher: Arc::clone(dispatcher),
            ticket,
            event: Arc::clone(job.delivery.event()),
            subscription: Arc::clone(&job.subscription),
            stage: Stage::Taken,
        }
    }

    /// Tells who waits for room that there is some.
    pub(super) fn has_room(&self) {
        self.subscription.room.notify_waiters();
    }

    /// Does the job. An error is the end of the worker.
    pub(super) async fn run(mut self) -> Result<(), Exit> {
        let begun = Instant::now();
        self.stage = Stage::Begun(begun);
        let outcome = self.outcome().await;
        self.stage = Stage::Ended;
        match outcome {
            Outcome::Done => {
                if let Some(mut job) = self.dispatcher.finish(self.ticket, begun) {
                    job.delivery.acknowledge();
                    self.dispatcher.count(job.tier, |counts| counts.done += 1);
                }
                Ok(())
            }
            Outcome::Orphaned => Ok(()),
            Outcome::TimedOut => {
                let timeout = self.subscription.timeout;
                let reason = self.named(ExitReason::with_text(
                    ExitKind::Stalled,
                    format!("it took longer than {timeout:?}"),
                ));
                tracing::warn!(%reason, "a job was dropped");
                self.failed(&reason, begun, |counts| counts.timed_out += 1);
                Ok(())
            }
            Outcome::Crashed(reason) => {
                let reason = self.named(reason);
                self.failed(&reason, begun, |counts| counts.failed += 1);
                Err(Exit(reason))
            }
        }
    }

    async fn outcome(&self) -> Outcome {
        let its = &self.subscription;
        let event = Arc::clone(&self.event);
        // The handler is called in the name of its life as well.
        let work = its.behalf.run(async move { (its.handler)(event).await });
        let work = LINE.scope(self.ticket.line(), work);
        tokio::select! {
            biased;
            () = its.behalf.ended() => Outcome::Orphaned,
            done = tokio::time::timeout(its.timeout, work) => match done {
                Ok(Ok(())) => Outcome::Done,
                Ok(Err(reason)) => Outcome::Crashed(reason),
                Err(_elapsed) => Outcome::TimedOut,
            },
        }
    }

    /// The reason with the job that it is of.
    fn named(&self, reason: ExitReason) -> ExitReason {
        let said = reason
            .text
            .map_or_else(String::new, |text| format!(": {text}"));
        let (path, topic) = (self.subscription.behalf.path(), &self.event.topic);
        ExitReason {
            text: Some(format!("job of {path} on {topic}{said}")),
            ..reason
        }
    }

    /// It is tried again, or a dead letter.
    fn failed(&self, reason: &ExitReason, begun: Instant, count: Count) {
        let is_over = self.dispatcher.fail(self.ticket, reason.kind, begun, count);
        let Some(job) = is_over else { return };
        let why = match job.delivery.has_receipt() {
            true => DeadReason::Poison,
            false => DeadReason::Crashed,
        };
        self.subscription
            .behalf
            .bury(job.delivery, why, Some(reason));
    }
}

impl Dispatcher {
    /// Counts a job that failed, and has it wait again where it is kept and may be tried again; else returns it.
    fn fail(&self, ticket: Ticket, kind: ExitKind, begun: Instant, count: Count) -> Option<Job> {
        let may_again = {
            let mut state = self.state.lock();
            let job = state.lines.running_mut(ticket)?;
            // Whoever kills a worker has a reason of its own: the event is not to blame.
            let crashes = match kind {
                ExitKind::Killed => 0,
                _ => job.delivery.count_crash(),
            };
            let may_again = job.delivery.has_receipt() && crashes < POISON_AFTER;
            let tier = job.tier as usize;
            if let Some(tier) = state.tiers.get_mut(tier) {
                count(&mut tier.counts);
            }
            may_again
        };
        if may_again {
            self.put_back(ticket);
            return None;
        }
        self.finish(ticket, begun)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        match self.stage {
            Stage::Ended => {}
            Stage::Taken => self.dispatcher.put_back(self.ticket),
            Stage::Begun(begun) => {
                let reason = self.named(ExitReason::killed());
                self.failed(&reason, begun, |counts| counts.failed += 1);
            }
        }
    }
}
