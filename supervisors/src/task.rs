//! A task: a future that runs as a child of its own.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

#[cfg(test)]
use crate::bug::Bug;
use crate::bus::Delivery;
use crate::dead_letter::DeadReason;
use crate::exit::{Exit, ExitReason};
use crate::kind::{JsonAnswer, Offered, Undelivered, WorkerBody};
use crate::life::{Life, Stay, guarded};
use crate::mailbox::Gate;
use crate::message::MessageError;
use crate::path::ActorPath;
use crate::shell::{LastBreath, Spawned};
use crate::slot::Slot;
use crate::spec::MailboxSpec;
use crate::supervisor::Above;

/// Why a task brought nothing: how its life ended. Passed on with `?` it ends the caller as an error; `Exit(error.0)` ends it
/// for the very reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without an answer ({0})")]
pub struct TaskError(pub ExitReason);

/// A task that runs. Awaited, it brings what its future returned; dropped, it is cancelled.
#[must_use = "a task that is dropped is cancelled: await it, or detach it"]
pub struct Task<T> {
    slot: Arc<Slot>,
    outcome: BoxFuture<'static, Result<T, TaskError>>,
    is_detached: bool,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.slot.path())
    }
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn new(slot: Arc<Slot>, answered: oneshot::Receiver<T>) -> Self {
        let waited_for = Arc::clone(&slot);
        let outcome = async move {
            if let Ok(answer) = answered.await {
                return Ok(answer);
            }
            #[cfg(test)]
            if waited_for.kernel().bug() == Some(Bug::LosesTaskErrors) {
                std::future::pending().await
            }
            // What it was doing is dropped before its reason is known.
            let Some(life) = waited_for.life() else {
                return Err(TaskError(ExitReason::killed()));
            };
            life.ended().await;
            Err(TaskError(life.exit().unwrap_or_else(ExitReason::killed)))
        };
        Self {
            slot,
            outcome: outcome.boxed(),
            is_detached: false,
        }
    }
}

impl<T> Task<T> {
    /// Where it is; what is above it there is who supervises it.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        self.slot.path()
    }

    /// Ends it at its next await point, if it still runs.
    pub fn cancel(self) {}

    /// Lets it go on with nobody waiting for it.
    pub fn detach(mut self) {
        self.is_detached = true;
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.as_mut().poll(cx)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if self.is_detached {
            return;
        }
        #[cfg(test)]
        if self.slot.kernel().bug() == Some(Bug::KeepsCancelled) {
            return;
        }
        if let Some(life) = self.slot.life().filter(|life| !life.has_ended()) {
            crate::supervisor::job::kill(&self.slot, &life, ExitReason::shutdown());
        }
    }
}

type Work = BoxFuture<'static, Result<(), Exit>>;

/// What a task runs.
pub(crate) enum Make {
    Once(Option<Work>),
    Again(Box<dyn Fn() -> Work + Send>),
}

impl Make {
    pub(crate) fn once(work: impl Future<Output = Result<(), Exit>> + Send + 'static) -> Self {
        Self::Once(Some(work.boxed()))
    }

    pub(crate) fn again<W: Future<Output = Result<(), Exit>> + Send + 'static>(
        make: impl Fn() -> W + Send + 'static,
    ) -> Self {
        Self::Again(Box::new(move || make().boxed()))
    }

    fn work(&mut self) -> Option<Work> {
        match self {
            Self::Once(work) => work.take(),
            Self::Again(make) => Some(make()),
        }
    }
}

/// The half of a task's slot that runs it. It has no mailbox.
pub(crate) struct TaskBody(Mutex<Make>);

impl TaskBody {
    pub(crate) fn new(make: Make) -> Self {
        Self(Mutex::new(make))
    }
}

impl WorkerBody for TaskBody {
    fn spawn(
        &self,
        slot: Arc<Slot>,
        life: Arc<Life>,
        above: Above,
    ) -> BoxFuture<'static, Result<Spawned, ExitReason>> {
        let work = self.0.lock().work();
        async move {
            let work = work.ok_or_else(|| ExitReason::error("a task runs once"))?;
            // Nothing looks at requests while it runs: it ends at its next await point.
            life.set_traps_exit(false);
            let last = LastBreath::new(Stay::new(&slot, &life), above);
            let task = slot
                .kernel()
                .spawn_task(live(Arc::clone(&life), work, last));
            life.set_task(task);
            Ok(Spawned::Running)
        }
        .boxed()
    }

    fn is_service(&self) -> bool {
        false
    }

    fn cut_off(&self, _life: &Life, _exit: &ExitReason) {}

    fn in_hand(&self, _life: &Life) -> Option<&'static str> {
        None
    }

    fn set_gate(&self, _gate: Gate, _reason: DeadReason) {}

    fn shed_waiting(&self) {}

    fn set_mailbox(&self, _spec: &Arc<MailboxSpec>) {}

    fn wake(&self) {}

    fn depth(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        0
    }

    fn dead_letters(&self) -> u64 {
        0
    }

    fn handled(&self) -> u64 {
        0
    }

    fn retried(&self) -> u64 {
        0
    }

    fn tell_json(
        &self,
        _message: Value,
    ) -> Result<BoxFuture<'static, Result<(), Undelivered>>, MessageError> {
        Err(no_messages())
    }

    fn offer_json(&self, _message: Value) -> Result<Offered, MessageError> {
        Err(no_messages())
    }

    fn ask_json(
        &self,
        _message: Value,
    ) -> Result<BoxFuture<'static, Result<JsonAnswer, Undelivered>>, MessageError> {
        Err(no_messages())
    }

    fn tell_event(
        &self,
        _delivery: Delivery,
    ) -> Result<BoxFuture<'static, Result<(), Undelivered>>, MessageError> {
        Err(no_messages())
    }

    fn mailbox(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(())
    }
}

fn no_messages() -> MessageError {
    MessageError::Shape {
        what: "a task takes no messages".to_owned(),
        expected: "an actor".to_owned(),
    }
}

async fn live(life: Arc<Life>, work: Work, last: LastBreath) {
    // Dropped last, also where the runtime goes before the first step.
    let _last = last;
    life.begin();
    let killed = life.is_called().then(|| life.take_requests().kill);
    if let Some(reason) = killed.flatten() {
        return life.finish(reason);
    }
    let reason = match guarded(&life, work).await {
        Ok(Ok(())) => ExitReason::normal(),
        Ok(Err(Exit(reason))) => reason,
        Err(panic) => panic.into(),
    };
    life.finish(reason);
}
