//! What every [`StreamStore`] must do, as tests that any store can be put through: [`all`].
//!
//! Each begins with a store of its own and panics with what is wrong.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test panics"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    Append, Deliver, Durability, Entry, Position, Retention, StreamError, StreamName, StreamStore,
};
use crate::bus::{BLOB_LEN_MAX, Blob, Draft, EVENT_LEN_MAX, Event, EventId, Topic};
use crate::clock::{Clock, Timestamp};
use crate::priority::Priority;

use Durability::{Async, Durable};

/// A store under test, a clock that it goes by, and what it delivered.
struct Subject {
    store: Arc<dyn StreamStore>,
    clock: &'static AtomicI64,
    name: StreamName,
    delivered: Arc<Mutex<Vec<(u128, Position)>>>,
}

/// When the clock begins, in milliseconds.
const BEGIN_MS: u64 = 1_763_675_400_000;

/// Puts stores that `make` makes, each with nothing in it, through everything.
pub async fn all<W>(make: impl Fn(Clock) -> W)
where
    W: Future<Output = Arc<dyn StreamStore>>,
{
    order(&subject(&make).await).await;
    what_is_read(&subject(&make).await).await;
    everything_of_an_event(&subject(&make).await).await;
    ids_are_remembered(&subject(&make).await).await;
    deliveries(&subject(&make).await).await;
    waiting(&subject(&make).await).await;
    groups(&subject(&make).await).await;
    pending_and_claims(&subject(&make).await).await;
    what_is_claimed_and_gone(&subject(&make).await).await;
    trims(&subject(&make).await).await;
    retention(&subject(&make).await).await;
    a_clock_set_back(&subject(&make).await).await;
    too_large(&subject(&make).await).await;
    what_is_not_there(&subject(&make).await).await;
    closed(&subject(&make).await).await;
}

async fn subject<W>(make: &impl Fn(Clock) -> W) -> Subject
where
    W: Future<Output = Arc<dyn StreamStore>>,
{
    // As short as a test lives; a clock is a plain copy.
    let clock: &'static AtomicI64 = Box::leak(Box::default());
    let subject = Subject {
        store: make(Clock::set_by(clock)).await,
        clock,
        name: StreamName::new("sensor:camera.front").unwrap(),
        delivered: Arc::default(),
    };
    subject.at_ms(0);
    subject
}

fn event(id: u128) -> Arc<Event> {
    let mut draft = Draft::new(&Topic::new("sensor.camera").unwrap(), json!({ "n": id }));
    draft.id = Some(EventId::from_u128(id));
    Arc::new(draft.as_it_is())
}

fn ids(entries: &[Entry]) -> Vec<u128> {
    let ids = entries.iter().map(|entry| entry.event.id.as_u128());
    ids.collect()
}

impl Subject {
    /// Sets the clock, from when it began.
    fn at_ms(&self, ms: u64) {
        let now = Timestamp::from_unix_ms(BEGIN_MS + ms);
        self.clock.store(now.unix_us(), Ordering::Relaxed);
    }

    /// An append that writes down when it is delivered.
    fn start(&self, id: u128, durability: Durability) -> Append {
        let delivered = Arc::clone(&self.delivered);
        let deliver: Deliver = Box::new(move |event, position| {
            delivered.lock().push((event.id.as_u128(), position));
        });
        self.store
            .append(&self.name, event(id), durability, Some(deliver))
    }

    async fn append(&self, id: u128) -> Position {
        self.start(id, Durable).await.unwrap()
    }

    /// Events of the ids from 1 on, one a millisecond.
    async fn fill(&self, count: u64) -> Vec<Position> {
        let mut positions = Vec::new();
        for number in 1..=count {
            self.at_ms(number);
            positions.push(self.append(number.into()).await);
        }
        positions
    }

    async fn read(&self, after: Position, limit: usize) -> Vec<Entry> {
        let read = self.store.read(&self.name, after, Position::END, limit);
        read.await.unwrap()
    }

    async fn all_ids(&self) -> Vec<u128> {
        ids(&self.read(Position::START, usize::MAX).await)
    }

    async fn read_group(&self, consumer: &str, limit: usize) -> Vec<u128> {
        let read = self.store.read_group(&self.name, "g", consumer, limit);
        ids(&read.await.unwrap())
    }

    async fn pending(&self) -> Vec<(Position, String, u64)> {
        let pending = self
            .store
            .pending(&self.name, "g", Position::START, usize::MAX);
        let pending = pending.await.unwrap().into_iter();
        pending
            .map(|one| (one.position, one.consumer, one.deliveries))
            .collect()
    }

    async fn info(&self) -> super::StreamInfo {
        let infos = self.store.streams().await.unwrap();
        let info = infos.into_iter().find(|info| info.name == self.name);
        info.unwrap()
    }
}

async fn order(subject: &Subject) {
    let mut positions = Vec::new();
    for id in 1..=100_u64 {
        subject.at_ms(id / 10);
        let durability = if id % 7 == 0 { Durable } else { Async };
        let position = subject.start(id.into(), durability).await.unwrap();
        positions.push(position);
    }

    assert!(positions.is_sorted_by(|a, b| a < b), "positions grow");
    assert_eq!(positions[9].ms, BEGIN_MS + 1, "positions are of the clock");
    let read = subject.read(Position::START, usize::MAX).await;
    assert_eq!(ids(&read), (1..=100).collect::<Vec<_>>());
    let read: Vec<_> = read.iter().map(|entry| entry.position).collect();
    assert_eq!(read, positions);
    assert_eq!(
        subject.store.last(&subject.name).await,
        Ok(*positions.last().unwrap())
    );
    let info = subject.info().await;
    assert_eq!((info.length, info.skipped, info.trouble), (100, 0, None));
    assert_eq!((info.first, info.last), (Some(positions[0]), positions[99]));
}

async fn what_is_read(subject: &Subject) {
    let at = subject.fill(5).await;
    let (store, name) = (&subject.store, &subject.name);
    let read = async |after, until, limit| {
        let read = store.read(name, after, until, limit).await;
        ids(&read.unwrap())
    };
    let back = async |before, limit| ids(&store.read_back(name, before, limit).await.unwrap());

    assert_eq!(read(Position::START, Position::END, 2).await, [1, 2]);
    assert_eq!(read(at[1], Position::END, 2).await, [3, 4]);
    assert_eq!(read(at[1], at[3], 9).await, [3, 4]);
    assert_eq!(read(at[1].previous(), at[1], 9).await, [2]);
    assert_eq!(read(at[4], Position::END, 9).await, []);
    assert_eq!(read(at[3], at[1], 9).await, []);
    assert_eq!(read(Position::START, Position::END, 0).await, []);
    assert_eq!(back(Position::END, 2).await, [5, 4]);
    assert_eq!(back(at[3], 9).await, [3, 2, 1]);
    assert_eq!(back(at[0], 9).await, []);
}

async fn everything_of_an_event(subject: &Subject) {
    let mut draft = Draft::new(
        &Topic::new("sensor.camera").unwrap(),
        json!({"a": [1, -2.5, null, true, "ü\n"], "b": {}}),
    );
    draft.id = Some(EventId::from_u128(u128::MAX));
    draft.source = Some("/sensors/camera".into());
    draft.time = Some(Timestamp::from_unix_us(-1));
    draft.priority = Some(Priority::Critical);
    let plain = Arc::new(draft.clone().as_it_is());
    let extras = draft.extras();
    extras.meta.insert("trace_id".to_owned(), json!("t1"));
    extras.captured_at = Some(Timestamp::from_unix_ms(BEGIN_MS));
    extras.expires = Some(Timestamp::from_unix_us(i64::MAX / 1_000));
    extras.reply_to = Some(Topic::new("reply.a").unwrap());
    extras.correlation_id = Some("c1".to_owned());
    extras.blob = Some(Blob {
        media_type: "image/jpeg".into(),
        bytes: Bytes::from((0..=255).collect::<Vec<u8>>()),
    });
    draft.id = Some(EventId::from_u128(7));
    let full = Arc::new(draft.as_it_is());

    for event in [&plain, &full] {
        let append = subject
            .store
            .append(&subject.name, Arc::clone(event), Durable, None);
        append.await.unwrap();
    }

    let read = subject.read(Position::START, 2).await;
    assert_eq!(read[0].event, plain);
    assert_eq!(read[1].event, full);
}

async fn ids_are_remembered(subject: &Subject) {
    let at = subject.fill(3).await;
    subject.at_ms(50);

    for durability in [Async, Durable] {
        assert_eq!(subject.start(2, durability).await, Ok(at[1]));
    }
    let together = [subject.start(9, Durable), subject.start(9, Async)];
    let [first, second] = together;
    assert_eq!(first.await, second.await, "one that is under way is known");

    assert_eq!(subject.all_ids().await, [1, 2, 3, 9]);
    let delivered: Vec<_> = subject.delivered.lock().iter().map(|(id, _)| *id).collect();
    assert_eq!(delivered, [1, 2, 3, 9], "a known id is not delivered again");
}

async fn deliveries(subject: &Subject) {
    let mut appends = Vec::new();
    for id in 1..=200 {
        let durability = if id % 3 == 0 { Durable } else { Async };
        appends.push((id, durability, subject.start(id, durability)));
    }
    for (id, durability, append) in appends {
        let position = append.await.unwrap();
        if durability == Durable {
            let delivered = subject.delivered.lock();
            let is_delivered = delivered.contains(&(id, position));
            assert!(is_delivered, "{id} is durable and was not delivered");
        }
        for entry in subject.read(Position::START, usize::MAX).await {
            let read = (entry.event.id.as_u128(), entry.position);
            let is_delivered = subject.delivered.lock().contains(&read);
            assert!(is_delivered, "{read:?} was read before it was delivered");
        }
    }
    // What is asynchronous and came behind something durable is delivered after it.
    subject.append(201).await;

    let delivered = subject.delivered.lock();
    let delivered_ids: Vec<_> = delivered.iter().map(|(id, _)| *id).collect();
    assert_eq!(delivered_ids, (1..=201).collect::<Vec<_>>());
    assert!(delivered.is_sorted_by(|a, b| a.1 < b.1));
}

async fn waiting(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    let mut first = store.wait(name, Position::START);
    let mut never = store.wait(name, Position::END);
    assert!((&mut first).now_or_never().is_none(), "there is nothing");

    let at = subject.fill(2).await;

    first.await;
    store.wait(name, at[0]).await;
    assert!(store.wait(name, at[1]).now_or_never().is_none());
    assert!((&mut never).now_or_never().is_none());
    let dropped = Retention {
        length: Some(0),
        ..Retention::default()
    };
    assert_eq!(store.trim(name, dropped).await, Ok(2));
    let gone = store.wait(name, at[0]);
    assert!(
        gone.now_or_never().is_none(),
        "what is gone is not waited for"
    );
}

async fn groups(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    let at = subject.fill(5).await;

    assert_eq!(store.make_group(name, "g", Position::START).await, Ok(true));
    assert_eq!(store.make_group(name, "g", at[4]).await, Ok(false));
    assert_eq!(store.make_group(name, "later", at[2]).await, Ok(true));
    assert_eq!(subject.read_group("a", 2).await, [1, 2]);
    assert_eq!(subject.read_group("b", 2).await, [3, 4]);

    let info = subject.info().await;
    let seen = info
        .groups
        .iter()
        .map(|group| (&*group.name, group.cursor, group.pending, group.lag));
    let expected = [("g", at[3], 4, 1), ("later", at[2], 0, 2)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);

    let acked = store.ack(name, "g", &[at[0], at[2], at[4]]).await;
    assert_eq!(acked, Ok(2), "the last one is not handed out yet");
    assert_eq!(store.ack(name, "g", &[at[0]]).await, Ok(0));
    let a_and_b = [(at[1], "a".to_owned(), 1), (at[3], "b".to_owned(), 1)];
    assert_eq!(subject.pending().await, a_and_b);
    let rest = store.pending(name, "g", at[1], 1).await.unwrap();
    assert_eq!(rest[0].position, at[3]);

    store.set_cursor(name, "g", at[0]).await.unwrap();
    assert_eq!(subject.pending().await, []);
    assert_eq!(subject.read_group("a", 99).await, [2, 3, 4, 5]);
    assert_eq!(subject.read_group("a", 99).await, []);

    assert_eq!(store.drop_group(name, "g").await, Ok(true));
    assert_eq!(store.drop_group(name, "g").await, Ok(false));
    let no_group = StreamError::NoGroup {
        stream: name.clone(),
        group: "g".to_owned(),
    };
    assert_eq!(store.ack(name, "g", &[at[0]]).await, Err(no_group));
}

async fn pending_and_claims(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    let at = subject.fill(3).await;
    let idle = Duration::from_millis(100);
    let claim = async |consumer: &str, positions: &[Position]| {
        let claimed = store.claim(name, "g", consumer, idle, positions).await;
        let claimed = claimed.unwrap().into_iter();
        let seen = claimed.map(|(entry, deliveries)| (entry.event.id.as_u128(), deliveries));
        seen.collect::<Vec<_>>()
    };
    store.make_group(name, "g", Position::START).await.unwrap();
    subject.at_ms(1_000);
    assert_eq!(subject.read_group("a", 2).await, [1, 2]);

    subject.at_ms(1_099);
    assert_eq!(
        claim("b", &at).await,
        [],
        "they are not idle for long enough"
    );
    subject.at_ms(1_100);
    assert_eq!(claim("b", &at[1..]).await, [(2, 2)], "3 is not handed out");
    subject.at_ms(1_150);
    assert_eq!(claim("c", &at).await, [(1, 2)], "2 was handed out again");
    subject.at_ms(1_250);
    assert_eq!(claim("c", &at).await, [(1, 3), (2, 3)]);

    let c = |at| (at, "c".to_owned(), 3);
    assert_eq!(subject.pending().await, [c(at[0]), c(at[1])]);
    let pending = store.pending(name, "g", Position::START, 1).await.unwrap();
    let delivered_at = Timestamp::from_unix_ms(BEGIN_MS + 1_250);
    assert_eq!(pending[0].delivered_at, delivered_at);
}

async fn what_is_claimed_and_gone(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    let at = subject.fill(3).await;
    store.make_group(name, "g", Position::START).await.unwrap();
    assert_eq!(subject.read_group("a", 2).await, [1, 2]);
    let newest = Retention {
        length: Some(2),
        ..Retention::default()
    };
    assert_eq!(store.trim(name, newest).await, Ok(1));

    let claimed = store.claim(name, "g", "b", Duration::ZERO, &at).await;

    let claimed = claimed.unwrap();
    assert_eq!(claimed[0].0.event.id.as_u128(), 2);
    assert_eq!(claimed.len(), 1);
    let b = (at[1], "b".to_owned(), 2);
    assert_eq!(subject.pending().await, [b], "1 is acknowledged");
}

async fn trims(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    let at = subject.fill(10).await;
    let none = Retention::default();
    let trim = async |retention| store.trim(name, retention).await.unwrap();
    assert_eq!(trim(none).await, 0);

    let length = Some(7);
    assert_eq!(trim(Retention { length, ..none }).await, 3);
    assert_eq!(subject.all_ids().await, (4..=10).collect::<Vec<_>>());
    let info = subject.info().await;
    assert_eq!((info.length, info.first), (7, Some(at[3])));

    subject.at_ms(20);
    let age = Some(Duration::from_millis(14));
    assert_eq!(trim(Retention { age, ..none }).await, 2);
    assert_eq!(subject.all_ids().await, (6..=10).collect::<Vec<_>>());

    let bytes = Some(subject.info().await.bytes - 1);
    assert_eq!(trim(Retention { bytes, ..none }).await, 1);
    assert_eq!(subject.all_ids().await, (7..=10).collect::<Vec<_>>());

    let length = Some(0);
    assert_eq!(trim(Retention { length, ..none }).await, 4);
    let info = subject.info().await;
    assert_eq!((info.length, info.bytes, info.first), (0, 0, None));
    assert_eq!(info.last, at[9], "positions go on where they were");
    let next = subject.append(11).await;
    assert!(next > at[9]);
    assert_eq!(subject.all_ids().await, [11]);
}

async fn retention(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    subject.fill(10).await;
    let none = Retention::default();

    let length = Some(3);
    store.set_retention(name, Retention { length, ..none });
    assert_eq!(subject.all_ids().await, [8, 9, 10]);
    subject.append(11).await;
    assert_eq!(subject.all_ids().await, [9, 10, 11]);
    assert_eq!(subject.info().await.retention.length, length);

    let age = Some(Duration::from_millis(5));
    store.set_retention(name, Retention { age, ..none });
    subject.at_ms(14);
    assert_eq!(subject.all_ids().await, [9, 10, 11]);
    subject.at_ms(15);
    assert_eq!(subject.all_ids().await, [10, 11], "time alone drops it");
    subject.at_ms(16);
    assert_eq!(subject.info().await.length, 0);
}

async fn a_clock_set_back(subject: &Subject) {
    subject.at_ms(1_000);
    let before = subject.append(1).await;
    subject.at_ms(500);
    let during = subject.append(2).await;
    subject.at_ms(2_000);
    let after = subject.append(3).await;

    assert!(before < during && during < after);
    assert_eq!(after.ms, BEGIN_MS + 2_000, "the clock is caught up with");
    assert_eq!(subject.all_ids().await, [1, 2, 3]);
}

async fn too_large(subject: &Subject) {
    let append = async |draft: Draft| {
        let event = Arc::new(draft.as_it_is());
        let append = subject.store.append(&subject.name, event, Durable, None);
        append.await
    };
    let of = |data: Value| Draft::new(&Topic::new("a").unwrap(), data);
    let long = of(json!("x".repeat(EVENT_LEN_MAX)));
    let blob = Blob {
        media_type: "a/b".into(),
        bytes: vec![0; BLOB_LEN_MAX + 1].into(),
    };

    for draft in [long, of(json!(1)).blob(blob)] {
        let refused = append(draft).await.unwrap_err();
        assert!(
            matches!(refused, StreamError::TooLarge { len, max } if len > max),
            "{refused}"
        );
    }

    assert_eq!(subject.all_ids().await, []);
    let fits = of(json!("x".repeat(EVENT_LEN_MAX - 1_000)));
    append(fits).await.unwrap();
}

async fn what_is_not_there(subject: &Subject) {
    let (store, name) = (&subject.store, &subject.name);
    let (at, none) = (Position::START, Retention::default());
    let missing = Some(StreamError::NoStream(name.clone()));

    assert_eq!(subject.read(at, 9).await, []);
    assert_eq!(store.read_back(name, Position::END, 9).await, Ok(vec![]));
    assert_eq!(store.last(name).await, Ok(Position::START));
    assert_eq!(store.drop_group(name, "g").await, Ok(false));
    assert_eq!(store.trim(name, none).await.err(), missing);
    assert_eq!(store.set_cursor(name, "g", at).await.err(), missing);
    assert_eq!(store.read_group(name, "g", "a", 1).await.err(), missing);
    assert_eq!(store.ack(name, "g", &[at]).await.err(), missing);
    assert_eq!(store.pending(name, "g", at, 1).await.err(), missing);
    let claim = store.claim(name, "g", "a", Duration::ZERO, &[at]);
    assert_eq!(claim.await.err(), missing);
    assert!(store.wait(name, at).now_or_never().is_none());
    store.set_retention(name, none);
    assert_eq!(store.streams().await, Ok(vec![]), "asking makes none");

    assert_eq!(store.make_group(name, "g", at).await, Ok(true));
    assert_eq!(subject.info().await.length, 0);
}

async fn closed(subject: &Subject) {
    let under_way = subject.start(1, Durable);

    subject.store.close().await;

    assert!(under_way.await.is_ok(), "what was accepted is written");
    assert_eq!(subject.delivered.lock().len(), 1);
    assert_eq!(subject.start(2, Async).await, Err(StreamError::Closed));
    assert_eq!(subject.delivered.lock().len(), 1);
    subject.store.close().await;
}
