//! What is counted of each topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde::Serialize;

use super::topic::Topic;
use super::{Event, Tally};
use crate::clock::Timestamp;

/// What was counted of a topic since the kernel started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStats {
    /// Which; none for all those that there was no room for.
    pub topic: Option<Topic>,
    /// How many events.
    pub published: u64,
    /// How many times a subscriber took one, or will read it from its stream.
    pub delivered: u64,
    /// How many times a subscriber had no room, or did not run.
    pub refused: u64,
    /// When the last one was published.
    pub last: Timestamp,
}

#[derive(Default)]
pub(super) struct Counts {
    /// Those that one subscriber took and that were delivered to nobody else: most events of most topics, which are counted
    /// here and in neither of the next two.
    taken_by_one: AtomicU64,
    published: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    last_us: AtomicI64,
}

impl Counts {
    pub(super) fn add(&self, tally: &Tally, time: Timestamp) {
        if let Tally {
            delivered: 1,
            refused: 0,
        } = tally
        {
            self.taken_by_one.fetch_add(1, Ordering::Relaxed);
        } else {
            self.published.fetch_add(1, Ordering::Relaxed);
            self.add_taken(tally);
        }
        self.last_us.store(time.unix_us(), Ordering::Relaxed);
    }

    /// What became of an event that is counted already.
    pub(super) fn add_taken(&self, tally: &Tally) {
        if tally.delivered > 0 {
            self.delivered.fetch_add(tally.delivered, Ordering::Relaxed);
        }
        if tally.refused > 0 {
            self.refused.fetch_add(tally.refused, Ordering::Relaxed);
        }
    }

    /// So many subscribers took all of `events`.
    pub(super) fn add_all(&self, events: &[Arc<Event>], subscribers: usize) {
        let Some(last) = events.last() else { return };
        let published = events.len() as u64;
        let delivered = published * subscribers as u64;
        self.published.fetch_add(published, Ordering::Relaxed);
        self.delivered.fetch_add(delivered, Ordering::Relaxed);
        self.last_us.store(last.time.unix_us(), Ordering::Relaxed);
    }

    pub(super) fn read(&self, topic: Option<Topic>) -> TopicStats {
        let taken_by_one = self.taken_by_one.load(Ordering::Relaxed);
        TopicStats {
            topic,
            published: taken_by_one + self.published.load(Ordering::Relaxed),
            delivered: taken_by_one + self.delivered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last: Timestamp::from_unix_us(self.last_us.load(Ordering::Relaxed)),
        }
    }
}
