//! A message in hand: where it is between its lane and its end, and what becomes of it when its life ends.

use super::*;

/// A message taken in hand. [`finish`](Self::finish) ends it; if that is never reached, its drop has it tried again or
/// buried.
pub(crate) struct InHand<'a, M: Message> {
    pub(super) envelope: Option<Envelope<M>>,
    pub(super) lane: usize,
    pub(super) before: Option<String>,
    pub(super) mailbox: &'a Mailbox<M>,
    /// Where the reason is found when the life ends with the message in hand.
    pub(super) life: &'a crate::life::Life,
}

impl<'a, M: Message> InHand<'a, M> {
    pub(crate) fn message(&mut self) -> Option<&mut M> {
        self.envelope.as_mut().map(|envelope| &mut envelope.message)
    }

    /// It was handled. An asker that got no answer and whose way back still lies in the message is told so by
    /// its drop.
    #[inline]
    pub(crate) fn finish(mut self) {
        #[cfg(test)]
        if self.mailbox.rest.bug == Some(crate::bug::Bug::HandlesTwice)
            && let Some(mut envelope) = self.envelope.take_if(|envelope| envelope.tries == 0)
        {
            envelope.tries += 1;
            drop(self.mailbox.put_back(self.lane, envelope));
            return;
        }
        if let Some(mut envelope) = self.envelope.take()
            && let Some(reply) = envelope.message.reply()
        {
            reply.refuse(NoAnswer::Unanswered);
        }
    }
}

impl<M: Message> Drop for InHand<'_, M> {
    /// The life ended with the message in hand: it is tried again, or becomes a dead letter.
    fn drop(&mut self) {
        let Some(mut envelope) = self.envelope.take() else {
            return;
        };
        let (mailbox, life) = (self.mailbox, self.life);
        life.note_in_hand(envelope.message.name());
        let taken = envelope
            .message
            .reply()
            .is_some_and(|reply| reply.is_taken());
        let may_retry = envelope.tries < mailbox.rest.spec.retry && !taken && !life.is_revoked();
        let untouched =
            may_retry && self.before.is_some() && self.before == print(&envelope.message);
        let envelope = if untouched {
            envelope.tries += 1;
            mailbox.put_back(self.lane, envelope)
        } else {
            Some(envelope)
        };
        if let Some(envelope) = envelope {
            life.park_in_hand(last_rites(mailbox, envelope));
        }
    }
}

/// The `Debug` form of a message, by which a handler that took something out of it is known. That is code of its
/// author, and runs while a panic unwinds: a second panic there would end the process.
pub(super) fn print<M: Message>(message: &M) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| format!("{message:?}"))).ok()
}

/// The burial of a message that waits for the reason of its life's end.
fn last_rites<M: Message>(mailbox: &Mailbox<M>, envelope: Envelope<M>) -> crate::life::LastRites {
    let letters = mailbox.rest.dead_letters.clone();
    let path = mailbox.path().clone();
    Box::new(move |exit: &ExitReason| {
        let answer = NoAnswer::Crashed(exit.clone());
        bury(
            &letters,
            &path,
            envelope.message,
            (DeadReason::Crashed, Some(exit)),
            answer,
        );
    })
}

/// Counts and keeps a dead letter, tells its asker, and drops it. All three run code of its author, which may panic
/// and is not to take the kernel's own actor along.
pub(super) fn bury<M: Message>(
    letters: &DeadLetterBox,
    path: &ActorPath,
    mut message: M,
    (reason, exit): (DeadReason, Option<&ExitReason>),
    answer: NoAnswer,
) {
    let buried = catch_unwind(AssertUnwindSafe(|| {
        letters.add(path, &message, reason, exit);
        if let Some(reply) = message.reply() {
            reply.refuse(answer);
        }
        drop(message);
    }));
    if buried.is_err() {
        tracing::warn!(%path, "a panic while a dead letter was dropped");
    }
}
