//! Events that were put in together: one item of a lane, whatever their number. The message of each is made when it is
//! taken in hand, by its reader.
//!
//! They are lent to the reader, which takes them without a lock. Whoever else touches the stage calls in what is lent first,
//! by which what was not taken is back in its lane: nothing is ever out of the mailbox but what is in hand.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::bus::{Bundle, Delivery};

/// Makes the message that carries a delivery. That is code of the subscriber's author.
pub(crate) type Make<M> = Arc<dyn Fn(Delivery) -> M + Send + Sync>;

/// How many times a message was tried.
#[derive(Clone, Copy)]
pub(super) struct Tries(NonZeroU32);

impl Tries {
    pub(super) const NONE: Self = Self(NonZeroU32::MIN);

    pub(super) fn count(self) -> u32 {
        self.0.get() - 1
    }

    pub(super) fn and_one(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What waits in a lane.
pub(super) enum Item<M> {
    Sent(Envelope<M>),
    Bundled(Arc<Bundled<M>>),
}

impl<M> Item<M> {
    /// How many messages.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Sent(_) => 1,
            Self::Bundled(bundled) => bundled.len(),
        }
    }

    pub(super) fn is_notice(&self) -> bool {
        matches!(self, Self::Sent(envelope) if envelope.valid.is_notice())
    }
}

/// Events of a bundle, taken one by one.
pub(super) struct Bundled<M> {
    bundle: Arc<Bundle>,
    valid: Valid,
    make: Make<M>,
    /// The next one, or [`ENDED`] and more.
    next: AtomicUsize,
    end: usize,
}

/// No bundle has so many.
const ENDED: usize = usize::MAX / 2;

impl<M> Bundled<M> {
    pub(super) fn all(bundle: Arc<Bundle>, valid: Valid, make: Make<M>) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicUsize::new(0),
            end: bundle.len(),
            bundle,
            valid,
            make,
        })
    }

    fn part(&self, next: usize, end: usize) -> Arc<Self> {
        Arc::new(Self {
            bundle: Arc::clone(&self.bundle),
            valid: self.valid,
            make: Arc::clone(&self.make),
            next: AtomicUsize::new(next),
            end,
        })
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        self.end - self.next.load(Ordering::Acquire).min(self.end)
    }

    /// Takes the next one, of which [`envelope`](Self::envelope) makes a message.
    #[inline]
    pub(super) fn take(&self) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::AcqRel);
        (index < self.end).then_some(index)
    }

    /// The message of one that was taken.
    #[inline]
    pub(super) fn envelope(&self, index: usize) -> Envelope<M> {
        Envelope {
            message: (self.make)(self.bundle.delivery(index)),
            valid: self.valid,
            tries: Tries::NONE,
        }
    }

    /// Has no more taken of it; what is left, if anything is.
    pub(super) fn end(&self) -> Option<Arc<Self>> {
        let next = self.next.swap(ENDED, Ordering::AcqRel);
        (next < self.end).then(|| self.part(next, self.end))
    }

    /// The messages of all that are left, except those that cannot be made.
    pub(super) fn envelopes(&self) -> impl Iterator<Item = Envelope<M>> {
        let made = |index| catch_unwind(AssertUnwindSafe(|| self.envelope(index))).ok();
        std::iter::from_fn(|| self.take()).filter_map(made)
    }
}

/// Takes the oldest message of a lane that is no notice.
pub(super) fn pop_oldest<M>(queue: &mut VecDeque<Item<M>>) -> Option<Item<M>> {
    let at = queue.iter().position(|item| !item.is_notice())?;
    if let Item::Bundled(bundled) = queue.get(at)?
        && bundled.len() > 1
    {
        let index = bundled.take()?;
        return Some(Item::Bundled(bundled.part(index, index + 1)));
    }
    queue.remove(at)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::bus::{Draft, Topic};
    use crate::clock::Clock;
    use crate::dead_letter::DeadLetters;

    #[derive(Debug)]
    struct Told(Delivery);

    impl Message for Told {
        fn priority(&self) -> Priority {
            self.0.priority
        }

        fn name(&self) -> &'static str {
            "told"
        }

        fn delivery(&mut self) -> Option<&mut Delivery> {
            Some(&mut self.0)
        }
    }

    /// A mailbox, what is in the hand of its reader, and how many of its places are reserved by those who bundle.
    struct Desk {
        mailbox: Mailbox<Told>,
        life: Arc<Life>,
        lent: Option<Lent<Told>>,
    }

    const NORMAL: usize = Priority::Normal as usize;

    impl Desk {
        fn new(spec: MailboxSpec) -> Self {
            let path: ActorPath = "/desk".parse().unwrap();
            let letters = DeadLetterBox::new(DeadLetters::new(Clock::real()));
            let mailbox = Mailbox::new(path.clone(), Arc::new(spec), letters);
            let life = Life::new(path, 1);
            mailbox.begin_life(&life, false);
            let lent = None;
            Self {
                mailbox,
                life,
                lent,
            }
        }

        fn put(&self, numbers: Range<u64>) {
            let events: Arc<[_]> = numbers
                .map(|number| event(number, Priority::Normal))
                .collect();
            let wanted = u32::try_from(events.len()).unwrap();
            assert_eq!(self.mailbox.reserve(NORMAL, wanted), wanted);
            let make: Make<Told> = Arc::new(|delivery| match delivery.data.as_u64() {
                Some(13) => panic!("no message for 13"),
                _ => Told(delivery),
            });
            self.mailbox
                .put_reserved(NORMAL, Bundle::new(&events), &make);
        }

        fn send(&self, number: u64, priority: Priority) -> bool {
            let message = Told(Delivery::new(event(number, priority)));
            self.mailbox.try_send(message).is_ok()
        }

        fn take(&mut self) -> Option<u64> {
            let mut hand = None;
            self.mailbox.take(&self.life, &mut self.lent, &mut hand)?;
            hand?.message.0.data.as_u64()
        }

        fn take_all(&mut self) -> Vec<u64> {
            std::iter::from_fn(|| self.take()).collect()
        }

        fn letters(&self) -> u64 {
            self.mailbox.dead_letter_count()
        }
    }

    fn event(number: u64, priority: Priority) -> Arc<crate::bus::Event> {
        let topic = Topic::new("a.b").unwrap();
        let mut draft = Draft::new(&topic, number.into());
        draft.priority = Some(priority);
        Arc::new(draft.as_it_is())
    }

    fn holds(capacity: usize, overflow: Overflow) -> MailboxSpec {
        MailboxSpec {
            capacity,
            overflow,
            ..MailboxSpec::default()
        }
    }

    /// What is sent pays nothing for what is bundled.
    #[test]
    fn an_item_is_no_larger_than_an_envelope() {
        assert_eq!(size_of::<Item<u64>>(), size_of::<Envelope<u64>>());
        assert_eq!(size_of::<Item<Told>>(), size_of::<Envelope<Told>>());
    }

    #[test]
    fn events_wait_in_order_with_what_is_sent_and_what_is_urgent_overtakes_between_any_two() {
        let mut desk = Desk::new(MailboxSpec::default());
        desk.send(0, Priority::Normal);
        desk.put(1..4);
        desk.send(4, Priority::Normal);
        desk.put(5..7);

        assert_eq!((desk.take(), desk.take()), (Some(0), Some(1)));
        desk.send(90, Priority::Critical);
        assert_eq!((desk.take(), desk.take()), (Some(90), Some(2)));
        desk.send(91, Priority::Low);

        assert_eq!(desk.take_all(), [3, 4, 5, 6, 91]);
    }

    #[test]
    fn a_lower_lane_has_its_turn_while_events_flood() {
        let mut desk = Desk::new(MailboxSpec {
            fairness: 2,
            ..MailboxSpec::default()
        });
        desk.put(0..6);
        desk.send(90, Priority::Low);

        assert_eq!(desk.take_all(), [0, 1, 90, 2, 3, 4, 5]);
    }

    #[test]
    fn what_waits_and_what_was_handled_is_counted_one_by_one() {
        let mut desk = Desk::new(MailboxSpec::default());
        desk.put(0..5);

        for handled in 0..5 {
            let counts = (desk.mailbox.depth(), desk.mailbox.handled());
            assert_eq!(counts, (5 - handled, handled as u64));
            assert!(desk.mailbox.has_some());
            desk.take();
        }
        assert_eq!((desk.mailbox.depth(), desk.mailbox.handled()), (0, 5));
        assert!(!desk.mailbox.has_some());
    }

    #[test]
    fn each_event_that_was_taken_gives_its_place_back() {
        let mut desk = Desk::new(holds(8, Overflow::Reject));
        for _ in 0..20 {
            desk.put(0..4);
            let sent = (4..9).filter(|number| desk.send(*number, Priority::Normal));
            assert_eq!(sent.count(), 4);
            assert_eq!(desk.take(), Some(0));
            // A sender that finds no room calls in what the reader has taken of what it was lent.
            assert!(desk.send(8, Priority::Normal));
            assert!(!desk.send(9, Priority::Normal));
            assert_eq!(desk.take_all(), [1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }

    /// Also of a reader that takes nothing, as it is suspended.
    #[test]
    fn a_publisher_waits_only_where_few_places_are_left() {
        let desk = Desk::new(holds(1_024, Overflow::Reject));
        let may_go_on = || desk.mailbox.room(NORMAL).now_or_never().is_some();
        assert!((0..700).all(|number| desk.send(number, Priority::Normal)));
        assert!(may_go_on());

        assert!((700..1_000).all(|number| desk.send(number, Priority::Normal)));
        assert!(!may_go_on());
    }

    #[test]
    fn the_oldest_that_is_dropped_may_be_one_of_many() {
        let mut desk = Desk::new(holds(8, Overflow::DropOldest));
        desk.put(0..4);
        assert_eq!(desk.take(), Some(0));
        let sent = (4..11).filter(|number| desk.send(*number, Priority::Normal));

        assert_eq!(sent.count(), 7);
        assert_eq!(desk.letters(), 2);
        assert_eq!(desk.take_all(), (3..11).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_lent_to_a_life_that_ended_is_the_next_ones() {
        let mut desk = Desk::new(MailboxSpec::default());
        desk.put(0..4);
        assert_eq!(desk.take(), Some(0));
        let before = (Arc::clone(&desk.life), desk.lent.take());
        desk.life = Life::new(desk.mailbox.path().clone(), 2);

        desk.mailbox.begin_life(&desk.life, true);

        assert_eq!(desk.take(), Some(1));
        let (life, mut lent) = before;
        let mut hand = None;
        assert_eq!(desk.mailbox.take(&life, &mut lent, &mut hand), None);
        assert_eq!(desk.take_all(), [2, 3]);
    }

    #[test]
    fn what_is_lent_becomes_dead_letters_when_the_gate_closes_and_so_does_what_comes_then() {
        let mut desk = Desk::new(MailboxSpec::default());
        desk.put(0..4);
        assert_eq!(desk.take(), Some(0));

        desk.mailbox.set_gate(Gate::NotRunning, DeadReason::Stopped);
        assert_eq!(desk.letters(), 3);
        desk.put(4..9);

        assert_eq!((desk.letters(), desk.take()), (8, None));
    }

    #[test]
    fn an_event_that_no_message_can_be_made_of_keeps_no_other_back() {
        let mut desk = Desk::new(MailboxSpec::default());
        desk.put(12..15);

        assert_eq!(desk.take(), Some(12));
        let broken = catch_unwind(AssertUnwindSafe(|| desk.take()));
        assert!(broken.is_err());
        assert_eq!(desk.take(), Some(14));

        desk.put(12..15);
        desk.mailbox.set_gate(Gate::Gone, DeadReason::Stopped);
        assert_eq!(desk.letters(), 2);
    }
}
