//! Notices: messages that the kernel itself puts into a mailbox for one life of its reader, such as a `Down`.
//!
//! A notice waits in the lane of its message, behind what was sent there before it, and is in three things different:
//! it needs no room, so that none is lost where a lane is full (the life that reads bounds how many there are: one for
//! each of its monitors, links and watched groups); only the life that it was made for takes it, and only as long as
//! it waits for it; and where nobody takes it, it is not a dead letter: nobody sent it.

use super::*;
use crate::life::guarded_call;
use crate::priority::Priority;

/// Until when a message may be taken in hand: for ever, up to a moment, or, for a notice, as long as the life that it
/// was made for waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Valid(u64);

impl Valid {
    pub(super) const EVER: Self = Self(0);
    /// What tells a notice from a moment: one so far ahead never comes.
    const NOTICE: u64 = 1 << 63;

    /// Up to so many microseconds since the mailbox was made.
    pub(super) fn until(micros: u64) -> Self {
        Self(micros.clamp(1, Self::NOTICE - 1))
    }

    fn notice(number: u64) -> Self {
        Self(number | Self::NOTICE)
    }

    /// Whether neither time nor a life can make it stale.
    #[inline]
    pub(super) fn is_ever(self) -> bool {
        self == Self::EVER
    }

    #[inline]
    pub(super) fn is_notice(self) -> bool {
        self.0 & Self::NOTICE != 0
    }

    /// The number of a notice.
    pub(super) fn as_notice(self) -> Option<u64> {
        self.is_notice().then_some(self.0 & !Self::NOTICE)
    }

    /// When it is over, for what has such a moment.
    pub(super) fn as_moment(self) -> Option<u64> {
        (!self.is_notice() && !self.is_ever()).then_some(self.0)
    }
}

impl<M: Message> Mailbox<M> {
    /// Puts `message` into `lane`, if `life` is there and waits for the notice `number`.
    pub(crate) fn notify(&self, life: &Arc<Life>, number: u64, (lane, message): (Priority, M)) {
        #[cfg(test)]
        if self.rest.bug == Some(crate::bug::Bug::LosesDown) {
            return;
        }
        let mut unsent = Some(message);
        life.bonds().send(number, || {
            let envelope = Envelope {
                message: unsent.take()?,
                valid: Valid::notice(number),
                tries: Tries::NONE,
            };
            self.rest.has_notices.store(true, Ordering::Relaxed);
            unsent = self.inbox.push_notice(lane as usize, envelope);
            Some(())
        });
        if unsent.is_none() {
            self.wake();
        }
        discard(life, unsent);
    }

    /// Takes out the notices whose numbers fit: nobody waits for them any more.
    pub(crate) fn retract(&self, life: &Arc<Life>, fits: impl Fn(u64) -> bool) {
        if !self.rest.has_notices.load(Ordering::Relaxed) {
            return;
        }
        #[cfg(test)]
        if self.rest.bug == Some(crate::bug::Bug::TellsNextLife) {
            return;
        }
        let is_kept = |item: &Item<M>| match item {
            Item::Sent(envelope) => !envelope.valid.as_notice().is_some_and(&fits),
            Item::Bundled(_) => true,
        };
        let mut gone = Vec::new();
        {
            let mut stage = self.stage.lock();
            stage.with_lanes(|lanes| take_out(lanes, is_kept, &mut gone));
            self.inbox
                .with_lanes(|lanes| take_out(lanes, is_kept, &mut gone));
        }
        discard(life, gone);
    }
}

fn take_out<M>(
    lanes: &mut [VecDeque<Item<M>>; LANES],
    is_kept: impl Fn(&Item<M>) -> bool,
    gone: &mut Vec<Item<M>>,
) {
    for lane in lanes {
        if lane.iter().all(&is_kept) {
            continue;
        }
        let (kept, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(lane).into_iter().partition(&is_kept);
        *lane = kept;
        gone.extend(others);
    }
}

/// Drops what its author wrote the `Drop` of, in the name of the life that it was for.
fn discard<T>(life: &Arc<Life>, what: T) {
    if guarded_call(life, || drop(what)).is_err() {
        tracing::warn!(path = %life.path(), "a panic while a notice was dropped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_is_one_of_three() {
        assert!(Valid::EVER.is_ever() && Valid::EVER.as_notice().is_none());
        assert_eq!(Valid::until(0).as_moment(), Some(1));
        assert_eq!(Valid::until(u64::MAX).as_notice(), None);
        assert_eq!(Valid::notice(0).as_notice(), Some(0));
        assert_eq!(Valid::notice(7).as_moment(), None);
    }
}
