use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::dead_letter::DeadLetters;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note(u64, Priority);

impl Message for Note {
    fn priority(&self) -> Priority {
        self.1
    }

    fn name(&self) -> &'static str {
        "note"
    }
}

/// A mailbox, and the life that reads it.
struct Desk {
    mailbox: Mailbox<Note>,
    life: Arc<Life>,
}

impl Desk {
    fn new(spec: &MailboxSpec) -> Self {
        let path: ActorPath = "/desk".parse().unwrap();
        let letters = DeadLetterBox::new(DeadLetters::new(Clock::real()));
        let mailbox = Mailbox::new(path.clone(), Arc::new(spec.clone()), letters);
        let life = Life::new(path, 1);
        mailbox.begin_life(&life, false);
        Self { mailbox, life }
    }

    fn send(&self, number: u64) -> Result<(), SendError<Note>> {
        self.mailbox.try_send(Note(number, Priority::Normal))
    }

    /// How many of the numbers are taken in, in their order.
    fn send_all(&self, numbers: impl IntoIterator<Item = u64>) -> usize {
        let sent = numbers.into_iter().map(|number| self.send(number));
        sent.filter(Result::is_ok).count()
    }

    fn envelope(&self) -> Option<(usize, Envelope<Note>)> {
        let mut hand = None;
        let lane = self.mailbox.take(&self.life, &mut None, &mut hand)?;
        Some((lane, hand?))
    }

    fn take(&self) -> Option<u64> {
        Some(self.envelope()?.1.message.0)
    }

    fn take_all(&self) -> Vec<u64> {
        std::iter::from_fn(|| self.take()).collect()
    }

    fn set(&self, spec: MailboxSpec) {
        self.mailbox.set_spec(&Arc::new(spec));
    }
}

fn holds(capacity: usize, overflow: Overflow) -> MailboxSpec {
    MailboxSpec {
        capacity,
        overflow,
        ..MailboxSpec::default()
    }
}

#[test]
fn a_lane_that_grows_takes_more_and_one_that_shrinks_none_until_enough_are_taken() {
    let desk = Desk::new(&holds(4, Overflow::Reject));
    assert_eq!(desk.send_all(0..10), 4);

    desk.set(holds(6, Overflow::Reject));
    assert_eq!(desk.send_all(4..10), 2);
    desk.set(holds(2, Overflow::Reject));
    assert_eq!(desk.mailbox.capacity(), 2);
    for expected in 0..4 {
        assert_eq!(desk.send_all([90]), 0);
        assert_eq!(desk.take(), Some(expected));
    }
    assert_eq!(desk.send_all([91]), 0);
    assert_eq!(desk.take(), Some(4));

    assert_eq!(desk.send_all([6, 92]), 1);
    assert_eq!(desk.take_all(), [5, 6]);
}

#[test]
fn permits_that_travel_in_batches_do_not_lift_the_bound() {
    let desk = Desk::new(&holds(10_000, Overflow::Reject));
    // Of a batch of permits one is used here, and of a batch of messages one is taken.
    desk.send_all(0..2);
    desk.take();

    desk.set(holds(3, Overflow::Reject));

    assert_eq!(desk.send_all(2..100), 2);
}

#[test]
fn a_lane_of_its_own_capacity_is_set_alone() {
    let desk = Desk::new(&holds(1, Overflow::Reject));
    let mut spec = holds(1, Overflow::Reject);
    spec.lanes.insert(Priority::Normal, 3);

    desk.set(spec);

    assert_eq!(desk.send_all(0..10), 3);
    let urgent = |number| desk.mailbox.try_send(Note(number, Priority::Critical));
    assert!(urgent(0).is_ok() && urgent(1).is_err());
}

#[test]
fn the_oldest_is_dropped_one_for_one_also_where_a_lane_holds_too_many() {
    let desk = Desk::new(&holds(100, Overflow::DropOldest));
    desk.send_all(0..50);
    // Some of them lie on the side of the reader.
    assert_eq!(desk.take(), Some(0));

    desk.set(holds(1, Overflow::DropOldest));
    assert_eq!(desk.send_all([50, 51]), 2);

    assert_eq!(desk.mailbox.dead_letter_count(), 2);
    assert_eq!(desk.take_all(), (3..52).collect::<Vec<_>>());
    desk.send_all([60, 61]);
    assert_eq!(desk.take_all(), [61]);
}

#[test]
fn a_lane_whose_staged_messages_were_dropped_is_not_taken_for_an_empty_one() {
    let desk = Desk::new(&holds(2, Overflow::DropOldest));
    desk.send_all([0, 1]);
    assert_eq!(desk.take(), Some(0));

    // The first is dropped on the side of the reader, the others lie on that of the senders.
    desk.send_all([2, 3]);

    assert_eq!(desk.take(), Some(2));
}

#[test]
fn each_rule_for_what_is_too_much_holds_from_then_on() {
    let desk = Desk::new(&holds(1, Overflow::Block));
    desk.send_all([0]);

    for (overflow, is_taken, dead) in [
        (Overflow::Reject, false, 0),
        (Overflow::DropNewest, true, 1),
        (Overflow::DropOldest, true, 2),
        (Overflow::Block, false, 2),
    ] {
        desk.set(holds(1, overflow));

        assert_eq!(desk.send(1).is_ok(), is_taken, "{overflow:?}");
        assert_eq!(desk.mailbox.dead_letter_count(), dead, "{overflow:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn time_to_live_holds_for_what_is_sent_from_then_on() {
    let desk = Desk::new(&MailboxSpec::default());
    let ttl = |seconds| MailboxSpec {
        ttl: Some(Duration::from_secs(seconds)),
        ..MailboxSpec::default()
    };

    desk.send_all([0]);
    desk.set(ttl(1));
    desk.send_all([1]);
    desk.set(ttl(60));
    desk.send_all([2]);
    desk.set(MailboxSpec::default());
    desk.send_all([3]);
    tokio::time::advance(Duration::from_secs(10)).await;

    assert_eq!(desk.take_all(), [0, 2, 3]);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(desk.mailbox.dead_letter_count(), 1);
}

#[test]
fn fairness_holds_from_then_on() {
    let desk = Desk::new(&MailboxSpec::default());
    desk.send_all(0..4);
    for number in 10..20 {
        let urgent = Note(number, Priority::Critical);
        desk.mailbox.try_send(urgent).unwrap();
    }
    assert_eq!([desk.take(), desk.take()], [Some(10), Some(11)]);

    desk.set(MailboxSpec {
        fairness: 2,
        ..MailboxSpec::default()
    });

    let next: Vec<u64> = desk.take_all().into_iter().take(4).collect();
    assert_eq!(next, [0, 12, 13, 1]);
}

#[test]
fn a_message_is_tried_again_by_the_rule_of_when_it_was_taken_and_ends() {
    let retry = |retry| MailboxSpec {
        retry,
        ..MailboxSpec::default()
    };
    // What the rule is when it is taken, when its life ends, and whether it waits again.
    for (taken, ended, is_back) in [(0, 0, false), (1, 1, true), (1, 0, false), (0, 1, false)] {
        let desk = Desk::new(&retry(1));
        desk.send_all([7, 7]);
        let mut hand = InHand::empty(&desk.mailbox, &desk.life);
        assert!(hand.take().is_some());
        hand.finish();

        desk.set(retry(taken));
        assert!(hand.take().is_some());
        desk.set(retry(ended));
        drop(hand);

        assert_eq!(
            desk.mailbox.depth(),
            usize::from(is_back),
            "{taken} {ended}"
        );
    }
}

#[test]
fn a_restart_goes_by_the_rule_of_its_time() {
    let desk = Desk::new(&MailboxSpec::default());
    desk.send_all(0..3);

    desk.set(MailboxSpec {
        on_restart: OnRestart::Drop,
        ..MailboxSpec::default()
    });
    let next = Life::new(desk.mailbox.path().clone(), 2);
    desk.mailbox.begin_life(&next, true);

    assert_eq!(
        (desk.mailbox.depth(), desk.mailbox.dead_letter_count()),
        (0, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_let_in_by_a_lane_that_grows() {
    let desk = Desk::new(&holds(1, Overflow::Block));
    desk.send_all([0]);
    let waiting = desk.mailbox.send(Note(1, Priority::Normal));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());

    desk.set(holds(2, Overflow::Block));
    waiting.await.unwrap();
    let since = Instant::now();
    desk.set(MailboxSpec {
        send_timeout: Duration::from_millis(70),
        ..holds(1, Overflow::Block)
    });
    let late = desk.mailbox.send(Note(2, Priority::Normal)).await;

    assert_eq!(late, Err(SendError::Full(Note(2, Priority::Normal))));
    assert_eq!(since.elapsed().as_millis(), 70);
    assert_eq!(desk.take_all(), [0, 1]);
}

#[derive(Debug, Clone)]
enum Step {
    Send(Priority),
    Take,
    /// Takes, and puts back as a retry does.
    PutBack,
    Set(MailboxSpec),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = || prop::sample::select(Priority::ALL.to_vec());
    let capacity = || prop_oneof![1..6_usize, 1..70_usize];
    let rules = [
        Overflow::Block,
        Overflow::Reject,
        Overflow::DropOldest,
        Overflow::DropNewest,
    ];
    let overflow = prop::sample::select(rules.to_vec());
    let lanes = prop::collection::btree_map(lane(), capacity(), 0..3);
    let spec = (capacity(), lanes, overflow, 1..9_u32);
    let spec = spec.prop_map(|(capacity, lanes, overflow, fairness)| MailboxSpec {
        lanes,
        fairness,
        ..holds(capacity, overflow)
    });
    prop_oneof![
        12 => lane().prop_map(Step::Send),
        8 => Just(Step::Take),
        1 => Just(Step::PutBack),
        1 => spec.prop_map(Step::Set),
    ]
}

/// What a mailbox is to do, in the plainest way.
struct Model {
    lanes: [VecDeque<u64>; LANES],
    spec: MailboxSpec,
    dead: u64,
}

impl Model {
    /// Whether a message is taken in.
    fn send(&mut self, number: u64, lane: Priority) -> bool {
        let capacity = self.spec.capacities()[lane as usize];
        let queue = &mut self.lanes[lane as usize];
        if queue.len() >= capacity {
            match self.spec.overflow {
                Overflow::Block | Overflow::Reject => return false,
                Overflow::DropNewest => {
                    self.dead += 1;
                    return true;
                }
                Overflow::DropOldest => {
                    queue.pop_front();
                    self.dead += 1;
                }
            }
        }
        queue.push_back(number);
        true
    }
}

proptest! {
    #![proptest_config(crate::testing::cases())]

    #[test]
    fn bounds_that_change_lose_nothing_and_are_obeyed(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut model = Model {
            lanes: Default::default(),
            spec: holds(8, Overflow::Reject),
            dead: 0,
        };
        let desk = Desk::new(&model.spec);
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Send(lane) => {
                    let sent = desk.mailbox.try_send(Note(number, lane)).is_ok();
                    prop_assert_eq!(sent, model.send(number, lane));
                }
                Step::Take => match desk.envelope() {
                    Some((lane, envelope)) => {
                        prop_assert_eq!(model.lanes[lane].pop_front(), Some(envelope.message.0));
                    }
                    None => prop_assert!(model.lanes.iter().all(VecDeque::is_empty)),
                },
                Step::PutBack => {
                    if let Some((lane, envelope)) = desk.envelope() {
                        prop_assert_eq!(model.lanes[lane].front(), Some(&envelope.message.0));
                        prop_assert!(desk.mailbox.put_back(lane, envelope).is_none());
                    }
                }
                Step::Set(spec) => {
                    desk.set(spec.clone());
                    model.spec = spec;
                }
            }
            let waiting: usize = model.lanes.iter().map(VecDeque::len).sum();
            prop_assert_eq!(desk.mailbox.depth(), waiting);
            prop_assert_eq!(desk.mailbox.dead_letter_count(), model.dead);
        }
    }
}

#[test]
fn senders_and_a_reader_on_threads_of_their_own_lose_nothing_while_bounds_change() {
    const EACH: u64 = 5_000;
    let desk = Desk::new(&holds(8, Overflow::Reject));
    let taken = std::thread::scope(|scope| {
        for sender in 0..3 {
            let desk = &desk;
            scope.spawn(move || {
                for number in 0..EACH {
                    while desk.send(sender * EACH + number).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut chance = fastrand::Rng::with_seed(7);
            for _ in 0..500 {
                desk.set(holds(chance.usize(1..300), Overflow::Reject));
            }
            desk.set(holds(5, Overflow::Reject));
        });
        let mut taken = Vec::new();
        while taken.len() < usize::try_from(3 * EACH).unwrap() {
            taken.extend(desk.take());
        }
        taken
    });

    for sender in 0..3 {
        let its = taken.iter().filter(|number| **number / EACH == sender);
        let its: Vec<u64> = its.copied().collect();
        assert!(its.is_sorted() && its.len() as u64 == EACH, "{}", its.len());
    }
    assert_eq!(desk.take(), None);
    assert_eq!(desk.send_all(0..10), 5);
}
