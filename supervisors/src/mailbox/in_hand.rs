//! A message in hand: where it is between its lane and its end, and what becomes of it when its life ends.

use super::*;
use crate::exit::ExitKind;

/// The hand of a life: empty, or holding the message that is handled. [`finish`](Self::finish) ends that; if it is never
/// reached, its drop has the message tried again or buried.
///
/// A life has one for all its messages, so that each is moved once: from its lane to where it is handled.
pub(crate) struct InHand<'a, M: Message> {
    envelope: Option<Envelope<M>>,
    lane: usize,
    lent: Option<Lent<M>>,
    before: Option<String>,
    mailbox: &'a Mailbox<M>,
    /// Where the reason is found when the life ends with the message in hand.
    life: &'a Life,
}

impl<'a, M: Message> InHand<'a, M> {
    pub(crate) fn empty(mailbox: &'a Mailbox<M>, life: &'a Life) -> Self {
        Self {
            envelope: None,
            lane: 0,
            lent: None,
            before: None,
            mailbox,
            life,
        }
    }

    /// Takes the next message, if there is one.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<&mut M> {
        self.lane = self
            .mailbox
            .take(self.life, &mut self.lent, &mut self.envelope)?;
        let message = &mut self.envelope.as_mut()?.message;
        if self.mailbox.rest.rules.retry.load(Ordering::Relaxed) > 0 {
            self.before = print(message);
        } else if self.before.is_some() {
            // Of a message before it, when the rule was another.
            self.before = None;
        }
        Some(message)
    }

    /// It was handled. An asker that got no answer and whose way back still lies in the message is told so by
    /// its drop.
    #[inline]
    pub(crate) fn finish(&mut self) {
        #[cfg(test)]
        if self.mailbox.rest.bug == Some(crate::bug::Bug::HandlesTwice)
            && let Some(mut envelope) = self
                .envelope
                .take_if(|envelope| envelope.tries.count() == 0 && !envelope.valid.is_notice())
        {
            envelope.tries = envelope.tries.and_one();
            drop(self.mailbox.put_back(self.lane, envelope));
            return;
        }
        if let Some(envelope) = &mut self.envelope {
            if let Some(reply) = envelope.message.reply() {
                reply.refuse(NoAnswer::Unanswered);
            }
            if let Some(delivery) = envelope.message.delivery() {
                delivery.acknowledge();
            }
        }
        self.envelope = None;
    }
}

impl<M: Message> Drop for InHand<'_, M> {
    /// The life ended with the message in hand: it is tried again, or becomes a dead letter.
    fn drop(&mut self) {
        let Some(mut envelope) = self.envelope.take() else {
            return;
        };
        let (mailbox, life) = (self.mailbox, self.life);
        // Whoever ends a life from outside has a reason of its own, which is there already: the event is not to blame.
        let is_own = life.exit().is_none_or(|exit| blames(exit.kind));
        let delivery = envelope.message.delivery();
        let mut delivery = delivery.filter(|delivery| delivery.has_receipt());
        let crashes = match &mut delivery {
            Some(delivery) if is_own => delivery.count_crash(),
            _ => 0,
        };
        let retry = mailbox.rest.rules.retry.load(Ordering::Relaxed);
        let (is_spent, is_due) = match delivery {
            // An event is shared and stays what it is.
            Some(delivery) => {
                let is_spent = crashes > retry.max(POISON_AFTER - 1);
                if is_spent {
                    delivery.condemn();
                }
                (is_spent, true)
            }
            None => (envelope.tries.count() >= retry, false),
        };
        if !life.note_in_hand(envelope.message.name()) {
            // It was cut off: all that is left is to drop what the stuck thread had.
            return drop_quietly(mailbox.path(), envelope);
        }
        let taken = envelope
            .message
            .reply()
            .is_some_and(|reply| reply.is_taken());
        // A notice was for this life alone.
        let may_retry = !is_spent && !envelope.valid.is_notice() && !taken && !life.is_revoked();
        let is_same = || self.before.is_some() && self.before == print(&envelope.message);
        let untouched = may_retry && (is_due || is_same());
        let envelope = if untouched {
            envelope.tries = envelope.tries.and_one();
            mailbox.put_back(self.lane, envelope)
        } else {
            Some(envelope)
        };
        let rites = envelope.map(|envelope| last_rites(mailbox, envelope));
        if let Some(rites) = rites.and_then(|rites| life.park_in_hand(rites)) {
            drop_quietly(mailbox.path(), rites);
        }
    }
}

/// Whether the message in hand may be to blame for such an end.
fn blames(kind: ExitKind) -> bool {
    matches!(kind, ExitKind::Error | ExitKind::Panic | ExitKind::Stalled)
}

/// The `Debug` form of a message, by which a handler that took something out of it is known. That is code of its
/// author, and runs while a panic unwinds: a second panic there would end the process.
pub(super) fn print<M: Message>(message: &M) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| format!("{message:?}"))).ok()
}

/// Drops a message that is among the dead letters already, or what holds it. An asker that still waits hears that there
/// is no answer.
fn drop_quietly<T>(path: &ActorPath, message: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(message))).is_err() {
        tracing::warn!(%path, "a panic while a message of an abandoned life was dropped");
    }
}

/// The burial of a message that waits for the reason of its life's end.
fn last_rites<M: Message>(mailbox: &Mailbox<M>, envelope: Envelope<M>) -> crate::life::LastRites {
    let letters = mailbox.rest.dead_letters.clone();
    let path = mailbox.path().clone();
    Box::new(move |exit: &ExitReason| {
        let answer = NoAnswer::Crashed(exit.clone());
        let mut message = envelope.message;
        let delivery = message.delivery();
        let reason = match delivery.is_some_and(|delivery| delivery.is_condemned()) {
            true => DeadReason::Poison,
            false => DeadReason::Crashed,
        };
        bury(&letters, &path, message, (reason, Some(exit)), answer);
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
        if let Some(delivery) = message.delivery().filter(|its| its.has_receipt()) {
            let is_over = delivery.is_condemned() || reason == DeadReason::Expired;
            if !is_over {
                // It is kept in its stream, and handed out again: no letter.
                return drop(message);
            }
            delivery.acknowledge();
        }
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
