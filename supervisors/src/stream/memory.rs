//! [`MemoryStreams`]: streams that end with their store, for tests and simulation.
//!
//! All that a store promises but to be there tomorrow. Nothing waits, no thread is involved, and no order is by chance.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Append, Deliver, Durability, Entry, Group, GroupInfo, IDS_REMEMBERED, Pending, Position,
    Retention, StreamError, StreamInfo, StreamName, StreamStore, checked_len,
};
use crate::bus::{Event, EventId};
use crate::clock::{Clock, Timestamp};

/// Streams in memory.
#[derive(Debug)]
pub struct MemoryStreams {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<StreamName, Stream>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Stream {
    /// Something was put into it. Until then it is not there for those who ask.
    is_made: bool,
    entries: VecDeque<Kept>,
    bytes: u64,
    /// The newest that there ever was, for those who wait as well.
    last: watch::Sender<Position>,
    ids: HashMap<EventId, Position>,
    /// In the order in which they came, to be forgotten in that order.
    ids_in_order: VecDeque<EventId>,
    retention: Retention,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug)]
struct Kept {
    position: Position,
    event: Arc<Event>,
    len: u64,
}

impl Kept {
    fn entry(&self) -> Entry {
        Entry {
            position: self.position,
            event: Arc::clone(&self.event),
        }
    }
}

impl MemoryStreams {
    /// No streams yet.
    #[must_use]
    pub fn new(clock: Clock) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { clock, state })
    }

    /// Does `act` with a stream that is there.
    fn with<T: Send + 'static>(
        &self,
        name: &StreamName,
        act: impl FnOnce(&mut Stream, Timestamp) -> Result<T, StreamError>,
    ) -> BoxFuture<'static, Result<T, StreamError>> {
        let now = self.clock.wall();
        let mut state = self.state.lock();
        let done = match state.open(name) {
            Err(closed) => Err(closed),
            Ok(stream) if stream.is_made => {
                stream.retire(stream.retention, now);
                act(stream, now)
            }
            Ok(_) => Err(StreamError::NoStream(name.clone())),
        };
        ready(done).boxed()
    }

    /// The same with a group.
    fn with_group<T: Send + 'static>(
        &self,
        name: &StreamName,
        group: &str,
        act: impl FnOnce(&VecDeque<Kept>, &mut Group, Timestamp) -> T,
    ) -> BoxFuture<'static, Result<T, StreamError>> {
        self.with(name, |stream, now| {
            let found = stream.groups.get_mut(group);
            let found = found.ok_or_else(|| StreamError::NoGroup {
                stream: name.clone(),
                group: group.to_owned(),
            })?;
            Ok(act(&stream.entries, found, now))
        })
    }
}

impl State {
    fn open(&mut self, name: &StreamName) -> Result<&mut Stream, StreamError> {
        if self.is_closed {
            return Err(StreamError::Closed);
        }
        Ok(self.streams.entry(name.clone()).or_default())
    }
}

/// The index of the first entry after `position`.
fn index_after(entries: &VecDeque<Kept>, position: Position) -> usize {
    entries.partition_point(|kept| kept.position <= position)
}

fn read(entries: &VecDeque<Kept>, after: Position, until: Position, limit: usize) -> Vec<Entry> {
    let ahead = entries.range(index_after(entries, after)..);
    let wanted = ahead.take_while(|kept| kept.position <= until).take(limit);
    wanted.map(Kept::entry).collect()
}

fn find(entries: &VecDeque<Kept>, position: Position) -> Option<Entry> {
    let index = entries.binary_search_by_key(&position, |kept| kept.position);
    entries.get(index.ok()?).map(Kept::entry)
}

impl Stream {
    fn append(
        &mut self,
        event: Arc<Event>,
        len: u64,
        now: Timestamp,
        deliver: Option<Deliver>,
    ) -> Position {
        if let Some(known) = self.ids.get(&event.id) {
            return *known;
        }
        self.is_made = true;
        let position = self.last.borrow().next(now);
        self.ids.insert(event.id, position);
        self.ids_in_order.push_back(event.id);
        if self.ids_in_order.len() > IDS_REMEMBERED
            && let Some(oldest) = self.ids_in_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        if let Some(deliver) = deliver {
            deliver(&event, position);
        }
        self.bytes += len;
        self.entries.push_back(Kept {
            position,
            event,
            len,
        });
        self.retire(self.retention, now);
        self.last.send_replace(position);
        position
    }

    /// Drops what is more than `retention` says; returns how many entries.
    fn retire(&mut self, retention: Retention, now: Timestamp) -> u64 {
        let mut dropped = 0;
        while let Some(oldest) = self.entries.front() {
            let length = self.entries.len() as u64;
            if !retention.drops(oldest.position, length, self.bytes, now) {
                break;
            }
            self.bytes -= oldest.len;
            self.entries.pop_front();
            dropped += 1;
        }
        dropped
    }

    fn info(&self, name: &StreamName) -> StreamInfo {
        let group_info = |(name, group): (&String, &Group)| GroupInfo {
            name: name.clone(),
            cursor: group.cursor(),
            pending: group.handed().len() as u64,
            lag: (self.entries.len() - index_after(&self.entries, group.cursor())) as u64,
        };
        StreamInfo {
            name: name.clone(),
            length: self.entries.len() as u64,
            bytes: self.bytes,
            first: self.entries.front().map(|kept| kept.position),
            last: *self.last.borrow(),
            retention: self.retention,
            groups: self.groups.iter().map(group_info).collect(),
            skipped: 0,
            trouble: None,
        }
    }
}

impl StreamStore for MemoryStreams {
    fn append(
        &self,
        stream: &StreamName,
        event: Arc<Event>,
        _: Durability,
        deliver: Option<Deliver>,
    ) -> Append {
        let now = self.clock.wall();
        let mut state = self.state.lock();
        Append::Done(state.open(stream).and_then(|stream| {
            let len = checked_len(&event)? as u64;
            Ok(stream.append(event, len, now, deliver))
        }))
    }

    fn read(
        &self,
        stream: &StreamName,
        after: Position,
        until: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        let entries = self.with(stream, |stream, _| {
            Ok(read(&stream.entries, after, until, limit))
        });
        or_default(entries)
    }

    fn read_back(
        &self,
        stream: &StreamName,
        before: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        let entries = self.with(stream, |stream, _| {
            let end = stream
                .entries
                .partition_point(|kept| kept.position < before);
            let newest_first = stream.entries.range(..end).rev().take(limit);
            Ok(newest_first.map(Kept::entry).collect())
        });
        or_default(entries)
    }

    fn wait(&self, stream: &StreamName, after: Position) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock();
        let Ok(stream) = state.open(stream) else {
            return std::future::pending().boxed();
        };
        let newest = stream.entries.back().map(|kept| kept.position);
        if newest.is_some_and(|newest| newest > after) {
            return ready(()).boxed();
        }
        let mut last = stream.last.subscribe();
        let after = after.max(*last.borrow());
        let wait = async move {
            if last.wait_for(|last| *last > after).await.is_err() {
                std::future::pending().await
            }
        };
        wait.boxed()
    }

    fn last(&self, stream: &StreamName) -> BoxFuture<'static, Result<Position, StreamError>> {
        or_default(self.with(stream, |stream, _| Ok(*stream.last.borrow())))
    }

    fn streams(&self) -> BoxFuture<'static, Result<Vec<StreamInfo>, StreamError>> {
        let now = self.clock.wall();
        let mut state = self.state.lock();
        if state.is_closed {
            return ready(Err(StreamError::Closed)).boxed();
        }
        let mut infos = Vec::new();
        for (name, stream) in &mut state.streams {
            if stream.is_made {
                stream.retire(stream.retention, now);
                infos.push(stream.info(name));
            }
        }
        ready(Ok(infos)).boxed()
    }

    fn set_retention(&self, stream: &StreamName, retention: Retention) {
        if let Ok(stream) = self.state.lock().open(stream) {
            stream.retention = retention;
        }
    }

    fn trim(
        &self,
        stream: &StreamName,
        retention: Retention,
    ) -> BoxFuture<'static, Result<u64, StreamError>> {
        self.with(stream, |stream, now| Ok(stream.retire(retention, now)))
    }

    fn make_group(
        &self,
        stream: &StreamName,
        group: &str,
        cursor: Position,
    ) -> BoxFuture<'static, Result<bool, StreamError>> {
        let mut state = self.state.lock();
        let made = state.open(stream).map(|stream| {
            stream.is_made = true;
            let is_new = !stream.groups.contains_key(group);
            if is_new {
                stream.groups.insert(group.to_owned(), Group::after(cursor));
            }
            is_new
        });
        ready(made).boxed()
    }

    fn set_cursor(
        &self,
        stream: &StreamName,
        group: &str,
        cursor: Position,
    ) -> BoxFuture<'static, Result<(), StreamError>> {
        self.with_group(stream, group, |_, group, _| group.set_cursor(cursor))
    }

    fn drop_group(
        &self,
        stream: &StreamName,
        group: &str,
    ) -> BoxFuture<'static, Result<bool, StreamError>> {
        let dropped = self.with(stream, |stream, _| {
            Ok(stream.groups.remove(group).is_some())
        });
        or_default(dropped)
    }

    fn read_group(
        &self,
        stream: &StreamName,
        group: &str,
        consumer: &str,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        self.with_group(stream, group, |entries, group, now| {
            let read = read(entries, group.cursor(), Position::END, limit);
            let positions = read.iter().map(|entry| entry.position);
            group.hand_out(positions, &consumer.into(), now);
            read
        })
    }

    fn ack(
        &self,
        stream: &StreamName,
        group: &str,
        positions: &[Position],
    ) -> BoxFuture<'static, Result<u64, StreamError>> {
        self.with_group(stream, group, |_, group, _| {
            group.ack(positions).len() as u64
        })
    }

    fn pending(
        &self,
        stream: &StreamName,
        group: &str,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Pending>, StreamError>> {
        self.with_group(stream, group, |_, group, _| group.pending(after, limit))
    }

    fn claim(
        &self,
        stream: &StreamName,
        group: &str,
        consumer: &str,
        idle: Duration,
        positions: &[Position],
    ) -> BoxFuture<'static, Result<Vec<(Entry, u64)>, StreamError>> {
        self.with_group(stream, group, |entries, group, now| {
            let consumer = consumer.into();
            let mut claimed = Vec::new();
            for position in group.claimable(positions, idle, now) {
                if let Some(entry) = find(entries, position) {
                    let deliveries = group.hand_out([position], &consumer, now);
                    claimed.push((entry, deliveries));
                } else {
                    group.ack(&[position]);
                }
            }
            claimed
        })
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.state.lock().is_closed = true;
        ready(()).boxed()
    }
}

/// What is asked of a stream that is not there has an answer all the same.
fn or_default<T: Default + Send + 'static>(
    asked: BoxFuture<'static, Result<T, StreamError>>,
) -> BoxFuture<'static, Result<T, StreamError>> {
    let answered = asked.map(|done| match done {
        Err(StreamError::NoStream(_)) => Ok(T::default()),
        done => done,
    });
    answered.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::conformance;

    #[tokio::test(start_paused = true)]
    async fn streams_in_memory_are_streams() {
        conformance::all(|clock| async move { MemoryStreams::new(clock) as _ }).await;
    }
}
