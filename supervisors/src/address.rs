//! How one sends to an actor: [`Address`], typed, valid across restarts.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::kind::{Offered, Undelivered};
use crate::mailbox::{Mailbox, SendError};
use crate::message::{Message, MessageError, NoAnswer, Reply};
use crate::path::ActorPath;
use crate::slot::Slot;

/// A typed handle to a slot. Cheap to clone; stays valid when the actor restarts.
///
/// A send from the handler, a task or a timer of a life that has ended fails with
/// [`SendError::Revoked`].
pub struct Address<M: Message> {
    mailbox: Arc<Mailbox<M>>,
}

/// Why an ask brought no answer. The message is given back where it was refused; one that still waited for room when the
/// time was over is gone, unsent.
#[derive(Debug, thiserror::Error)]
pub enum AskError<M> {
    /// It was not sent.
    #[error(transparent)]
    NotSent(#[from] SendError<M>),
    /// It was sent, and no answer came.
    #[error(transparent)]
    NoAnswer(NoAnswer),
}

impl<M: Message> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self {
            mailbox: Arc::clone(&self.mailbox),
        }
    }
}

impl<M: Message> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(self.mailbox.path()).finish()
    }
}

impl<M: Message> Address<M> {
    pub(crate) fn new(mailbox: Arc<Mailbox<M>>) -> Self {
        Self { mailbox }
    }

    /// Whether it leads to this mailbox.
    pub(crate) fn leads_to(&self, mailbox: &Arc<dyn Any + Send + Sync>) -> bool {
        Arc::as_ptr(mailbox).cast::<()>() == Arc::as_ptr(&self.mailbox).cast::<()>()
    }

    /// Where it leads.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        self.mailbox.path()
    }

    /// Sends. If the lane is full and its rule is to block, waits for room, at most the mailbox's
    /// `send_timeout`. Dropping the future before it is done leaves the message unsent.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    pub async fn tell(&self, message: M) -> Result<(), SendError<M>> {
        self.mailbox.send(message).await
    }

    /// Sends, or gives the message back at once.
    ///
    /// # Errors
    /// [`SendError`], with the message.
    pub fn try_tell(&self, message: M) -> Result<(), SendError<M>> {
        self.mailbox.try_send(message)
    }

    /// Sends what `make` builds around a way back, and awaits the answer for at most `timeout`, the wait for room
    /// included.
    ///
    /// A message whose asker has gone away before it was taken in hand is not handled.
    ///
    /// # Errors
    /// [`AskError`]. A crash of the life that has the message in hand is told at once.
    pub async fn ask<T>(
        &self,
        timeout: Duration,
        make: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, AskError<M>> {
        let (reply, answer) = Reply::channel();
        let asked = async {
            self.mailbox.send(make(reply)).await?;
            match answer.await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(why)) => Err(AskError::NoAnswer(why)),
                Err(_dropped) => Err(AskError::NoAnswer(NoAnswer::Unanswered)),
            }
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(AskError::NoAnswer(NoAnswer::Timeout(timeout))),
        }
    }
}

/// A handle to the slot of a worker whose messages are sent in their JSON form: for who does not know their type. Leads to
/// that slot and to no later one of its path.
#[derive(Clone, Debug)]
pub struct JsonAddress {
    slot: Arc<Slot>,
}

/// Done with the answer.
pub type JsonAsked = BoxFuture<'static, Result<Result<Value, NoAnswer>, Undelivered>>;

impl JsonAddress {
    pub(crate) fn new(slot: Arc<Slot>) -> Option<Self> {
        slot.worker()?;
        Some(Self { slot })
    }

    /// Where it leads.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        self.slot.path()
    }

    /// What tells its slot from all others of the kernel.
    #[must_use]
    pub fn slot_serial(&self) -> u64 {
        self.slot.serial()
    }

    /// Sends at once where there is room.
    ///
    /// # Errors
    /// [`MessageError`] where it is no message of that actor.
    pub fn offer(&self, message: Value) -> Result<Offered, MessageError> {
        match self.slot.worker() {
            Some(worker) => worker.offer_json(message),
            None => Ok(Offered::Refused(Undelivered::Gone)),
        }
    }

    /// Asks; done when the answer is there, however long that takes.
    ///
    /// # Errors
    /// [`MessageError`] where it is no message of that actor, or one that has no answer.
    pub fn ask(&self, message: Value) -> Result<JsonAsked, MessageError> {
        let Some(worker) = self.slot.worker() else {
            return Ok(Box::pin(std::future::ready(Err(Undelivered::Gone))));
        };
        let sent = worker.ask_json(message)?;
        Ok(Box::pin(async move {
            let answered = sent.await?.await;
            Ok(answered.unwrap_or(Err(NoAnswer::Unanswered)))
        }))
    }
}
