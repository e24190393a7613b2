//! Readers that share a cursor, without the stream that they read: what each store decides the same way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Pending, Position};
use crate::clock::Timestamp;

/// A group: how far it got, and what was handed out and is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    cursor: Position,
    pending: BTreeMap<Position, Handed>,
}

/// To whom an entry was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Who has it.
    pub consumer: Arc<str>,
    /// When it was handed out last.
    pub at: Timestamp,
    /// How often it was handed out.
    pub deliveries: u64,
}

impl Group {
    /// One that begins after `cursor`.
    #[must_use]
    pub fn after(cursor: Position) -> Self {
        let pending = BTreeMap::new();
        Self { cursor, pending }
    }

    /// The last entry that was handed out.
    #[must_use]
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// What was handed out and is not acknowledged, oldest first.
    #[must_use]
    pub fn handed(&self) -> &BTreeMap<Position, Handed> {
        &self.pending
    }

    /// Begins after `cursor`; nothing is pending.
    pub fn set_cursor(&mut self, cursor: Position) {
        *self = Self::after(cursor);
    }

    /// `consumer` has `positions` from `now` on, and the cursor moves behind them. Returns how often the last of them has been
    /// handed out now.
    pub fn hand_out(
        &mut self,
        positions: impl IntoIterator<Item = Position>,
        consumer: &Arc<str>,
        now: Timestamp,
    ) -> u64 {
        let mut deliveries = 0;
        for position in positions {
            self.cursor = self.cursor.max(position);
            let before = self.pending.get(&position);
            deliveries = before.map_or(0, |handed| handed.deliveries) + 1;
            let handed = Handed {
                consumer: Arc::clone(consumer),
                at: now,
                deliveries,
            };
            self.pending.insert(position, handed);
        }
        deliveries
    }

    /// Puts in what was handed out in an earlier life.
    pub fn restore(&mut self, position: Position, handed: Handed) {
        self.cursor = self.cursor.max(position);
        self.pending.insert(position, handed);
    }

    /// They are done. Returns those that were pending.
    pub fn ack(&mut self, positions: &[Position]) -> Vec<Position> {
        let mut were_pending = Vec::with_capacity(positions.len());
        for position in positions {
            if self.pending.remove(position).is_some() {
                were_pending.push(*position);
            }
        }
        were_pending
    }

    /// At most `limit` of what is pending after `after`, oldest first.
    #[must_use]
    pub fn pending(&self, after: Position, limit: usize) -> Vec<Pending> {
        let ahead = self.pending.iter().filter(|(at, _)| **at > after);
        let listed = ahead.take(limit).map(|(position, handed)| Pending {
            position: *position,
            consumer: handed.consumer.to_string(),
            delivered_at: handed.at,
            deliveries: handed.deliveries,
        });
        listed.collect()
    }

    /// Those of `positions` that are pending and were handed out at least `idle` ago.
    #[must_use]
    pub fn claimable(
        &self,
        positions: &[Position],
        idle: Duration,
        now: Timestamp,
    ) -> Vec<Position> {
        let may = |position: &&Position| {
            let handed = self.pending.get(position);
            handed.is_some_and(|handed| handed.at.age(now) >= idle)
        };
        positions.iter().filter(may).copied().collect()
    }
}
