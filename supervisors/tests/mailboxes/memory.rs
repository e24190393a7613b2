//! The node's limit of memory (DESIGN, section 5): what is shed, and what becomes of it.

use unity_supervisors::kernel::memory::{Memory, Shedding};

use super::*;

impl Office {
    fn send(&self, number: u64, priority: Priority) -> Result<(), SendError<Job>> {
        self.clerk.try_tell(Job::Note(number, priority))
    }

    fn shed(&self) -> u64 {
        self.kernel.memory().unwrap().shed
    }
}

#[tokio::test]
async fn short_memory_sheds_deferred_then_low_and_never_what_is_urgent() {
    let office = Office::open(MailboxSpec::default()).await;

    for (used, taken) in [
        (LIMIT / 2, 5),
        (LIMIT * 9 / 10, 4),
        (LIMIT, 3),
        (LIMIT * 9 / 10, 3),
        (LIMIT * 8 / 10, 4),
        (LIMIT * 8 / 10 - 1, 5),
    ] {
        office.kernel.note_memory(used);
        for (lane, priority) in Priority::ALL.into_iter().enumerate() {
            let sent = office.send(0, priority);
            if lane < taken {
                assert_eq!(sent.map_err(|error| error.to_string()), Ok(()));
            } else {
                assert!(matches!(sent, Err(SendError::Shed(_))), "{used} {lane}");
            }
        }
    }
}

#[tokio::test]
async fn what_waits_in_a_lane_that_is_shed_becomes_dead_letters_oldest_first() {
    let office = Office::open(MailboxSpec::default()).await;
    office.note(0).unwrap();
    office.until_busy().await;
    for number in 1..4 {
        office.send(number, Priority::Low).unwrap();
        office.send(10 + number, Priority::Deferred).unwrap();
        office.send(20 + number, Priority::High).unwrap();
    }

    office.kernel.note_memory(LIMIT * 9 / 10);

    let letters = |office: &Office| {
        let letters = office.kernel.dead_letters().list();
        let texts = letters.iter().map(|letter| letter.debug.clone().unwrap());
        texts.collect::<Vec<_>>()
    };
    let of = |number: u64, lane: &str| format!("Note({number}, {lane})");
    let deferred = [11, 12, 13].map(|number| of(number, "Deferred"));
    assert_eq!(letters(&office), deferred);
    assert_eq!(office.reasons(), [DeadReason::Shed; 3]);

    office.kernel.note_memory(LIMIT);

    let low = [1, 2, 3].map(|number| of(number, "Low"));
    assert_eq!(letters(&office), [deferred, low].concat());
    assert_eq!(office.shed(), 6);
    // All that was shed has left its place: the lanes take as many as before.
    office.kernel.note_memory(0);
    for _ in 0..MailboxSpec::default().capacity {
        office.send(9, Priority::Low).unwrap();
    }
    assert!(office.handled().await.starts_with(&[0, 21, 22, 23]));
}

#[tokio::test]
async fn a_mailbox_that_drops_makes_dead_letters_and_tells_the_asker() {
    let office = Office::open(MailboxSpec {
        overflow: Overflow::DropNewest,
        ..MailboxSpec::default()
    })
    .await;
    office.kernel.note_memory(LIMIT);

    office.send(1, Priority::Deferred).unwrap();
    let answer = office
        .clerk
        .ask(Duration::from_secs(5), Job::CountLater)
        .await;

    let shed = NoAnswer::DeadLetter(DeadReason::Shed.as_str());
    assert!(
        matches!(&answer, Err(AskError::NoAnswer(why)) if *why == shed),
        "{answer:?}"
    );
    assert_eq!(office.reasons(), [DeadReason::Shed; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_for_room_is_given_its_message_back() {
    let office = Office::open(MailboxSpec {
        capacity: 1,
        send_timeout: Duration::from_secs(3_600),
        ..MailboxSpec::default()
    })
    .await;
    office.note(0).unwrap();
    office.until_busy().await;
    office.send(1, Priority::Low).unwrap();
    let waiting = office.clerk.tell(Job::Note(2, Priority::Low));

    let (sent, ()) = tokio::join!(biased; waiting, async {
        office.kernel.note_memory(LIMIT);
    });

    assert!(matches!(sent, Err(SendError::Shed(Job::Note(2, _)))));
    assert_eq!(office.shed(), 2);
}

#[tokio::test]
async fn without_a_limit_nothing_is_measured_or_shed() {
    let office = Office::of(MailboxSpec::default(), None).await;

    office.kernel.note_memory(u64::MAX);

    assert_eq!(office.kernel.memory(), None);
    office.send(1, Priority::Deferred).unwrap();
}

#[tokio::test]
async fn another_limit_counts_at_once_and_none_ends_the_shedding() {
    let office = Office::of(MailboxSpec::default(), None).await;
    office.kernel.set_memory_limit(Some(2 * LIMIT));
    office.kernel.note_memory(LIMIT);
    office.send(1, Priority::Deferred).unwrap();

    office.kernel.set_memory_limit(Some(LIMIT));

    let shedding = |office: &Office| office.kernel.memory().map(|memory| memory.shedding);
    assert_eq!(shedding(&office), Some(Shedding::Low));
    assert!(matches!(
        office.send(2, Priority::Low),
        Err(SendError::Shed(_))
    ));

    office.kernel.set_memory_limit(None);

    assert_eq!(shedding(&office), None);
    office.send(3, Priority::Low).unwrap();
    // What is short again is told of again.
    office.kernel.set_memory_limit(Some(LIMIT));
    assert_eq!(shedding(&office), Some(Shedding::Low));
}

#[tokio::test]
async fn what_is_measured_can_be_read() {
    let office = Office::open(MailboxSpec::default()).await;

    office.kernel.note_memory(LIMIT - 1);

    let expected = Memory {
        used_bytes: LIMIT - 1,
        limit_bytes: LIMIT,
        shedding: Shedding::Deferred,
        shed: 0,
    };
    assert_eq!(office.kernel.memory(), Some(expected));
}
