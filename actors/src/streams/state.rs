//! What a stream is in memory: the order of its entries, and who waits for what. Nothing here touches a disk.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::sync::oneshot;
use tokio::time::Instant;
use unity_supervisors::bus::{Event, EventId};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::{
    Append, Deliver, Durability, Entry, IDS_REMEMBERED, Position, Retention, StreamError,
    StreamName,
};

use super::Options;
use super::disk::Disk;
use super::segment::{Row, SegmentId};
use super::shelf::{Or, Shelf};

pub(super) type Done = oneshot::Sender<Result<Position, StreamError>>;

/// An event on its way in.
pub(super) struct Incoming {
    pub(super) event: Arc<Event>,
    /// Without what its head says of its place.
    pub(super) record: Vec<u8>,
    pub(super) durability: Durability,
    pub(super) deliver: Option<Deliver>,
}

/// What became of it.
pub(super) enum Admitted {
    Done(Position),
    /// It is done once the disk has it up to here.
    OnceSynced(Position),
}

/// Records that are to be written, one behind the other.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// `at` counts from the first of them.
    pub(super) rows: Vec<Row>,
    /// Somebody waits until they are on disk.
    pub(super) must_sync: bool,
}

impl Batch {
    /// An empty one, with the memory that this one has.
    pub(super) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.rows.clear();
        self.must_sync = false;
        self
    }
}

/// One of the last entries. All that is not known to be on disk is among them.
struct Recent {
    position: Position,
    event: Arc<Event>,
    len: u32,
}

/// Has a position and may not be delivered yet.
struct Held {
    position: Position,
    event: Arc<Event>,
    len: u32,
    deliver: Option<Deliver>,
    must_sync: bool,
}

struct Waiter {
    /// What it waits for to be on disk.
    position: Position,
    since: Instant,
    done: Done,
}

/// Has no position yet, as too much is waiting to be written.
struct Queued {
    incoming: Incoming,
    since: Instant,
    done: Done,
}

/// What a round leaves to be done once the lock is free: it takes longer than it should be held.
#[derive(Default)]
pub(super) struct Aftermath {
    done: Vec<Waiter>,
    past: Vec<Recent>,
}

impl Aftermath {
    /// Tells those who wait, and frees what is not needed any more.
    pub(super) fn settle(self) {
        for waiter in self.done {
            // Nobody may wait any more.
            drop(waiter.done.send(Ok(waiter.position)));
        }
        drop(self.past);
    }
}

/// The last ids of a stream, in two generations, of which the older one goes as a whole: so none is to be looked for in
/// order to be forgotten.
#[derive(Default)]
pub(super) struct Ids {
    young: HashMap<EventId, Position, RandomState>,
    old: HashMap<EventId, Position, RandomState>,
    /// The greatest that there ever was. Ids count up, so that most are greater and need not be looked for.
    greatest: Option<EventId>,
}

impl Ids {
    fn get(&self, id: EventId) -> Option<Position> {
        if Some(id) > self.greatest {
            return None;
        }
        let known = self.young.get(&id).or_else(|| self.old.get(&id));
        known.copied()
    }

    pub(super) fn put(&mut self, id: EventId, position: Position) {
        if self.young.len() >= IDS_REMEMBERED {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.greatest = self.greatest.max(Some(id));
        self.young.insert(id, position);
    }
}

pub(super) struct State<D: Disk> {
    pub(super) shelf: Shelf<D>,
    pub(super) ids: Ids,
    /// The newest that there ever was.
    pub(super) last: Position,
    /// Behind this the next one is: an earlier life may have given positions up to here.
    pub(super) base: Position,
    /// Up to here entries may be read.
    pub(super) visible: Position,
    /// Up to here they are on disk.
    pub(super) synced: Position,
    /// Up to here they are not among the recent ones.
    pub(super) past: Position,
    /// Up to here they are gone.
    pub(super) floor: Position,
    /// How many entries may be read, and how long they are.
    pub(super) length: u64,
    pub(super) bytes: u64,
    pub(super) retention: Retention,
    pub(super) trouble: Option<String>,
    recent: VecDeque<Recent>,
    recent_bytes: usize,
    queue: Batch,
    held: VecDeque<Held>,
    waiters: Vec<Waiter>,
    room: VecDeque<Queued>,
    room_bytes: usize,
    pub(super) is_closed: bool,
}

impl<D: Disk> State<D> {
    /// That of a stream of which `newest` is the newest that is on disk.
    pub(super) fn new(shelf: Shelf<D>, newest: Position, base: Position) -> Self {
        Self {
            shelf,
            ids: Ids::default(),
            last: newest,
            base,
            visible: newest,
            synced: newest,
            past: newest,
            floor: Position::START,
            length: 0,
            bytes: 0,
            retention: Retention::default(),
            trouble: None,
            recent: VecDeque::new(),
            recent_bytes: 0,
            queue: Batch::default(),
            held: VecDeque::new(),
            waiters: Vec::new(),
            room: VecDeque::new(),
            room_bytes: 0,
            is_closed: false,
        }
    }

    /// Takes an event in, or lets it wait for room.
    pub(super) fn append(
        &mut self,
        incoming: Incoming,
        name: &StreamName,
        now: Timestamp,
        options: &Options,
    ) -> Append {
        if self.is_closed {
            return Append::Done(Err(StreamError::Closed));
        }
        if self.room.is_empty() && self.has_room(incoming.record.len(), options) {
            return match self.admit(incoming, now) {
                Admitted::Done(position) => Append::Done(Ok(position)),
                Admitted::OnceSynced(position) => waits(|done| self.wait_for(position, done)),
            };
        }
        let has_room = self.room.len() < options.queue_len
            && self.room_bytes + incoming.record.len() <= options.queue_bytes;
        if !has_room && !self.room.is_empty() {
            return Append::Done(Err(StreamError::Full {
                stream: name.clone(),
                why: self.why_full(),
            }));
        }
        self.room_bytes += incoming.record.len();
        waits(|done| {
            self.room.push_back(Queued {
                incoming,
                since: Instant::now(),
                done,
            });
        })
    }

    fn why_full(&self) -> String {
        let slow = "the disk is slower than what comes in".to_owned();
        self.trouble.clone().unwrap_or(slow)
    }

    fn has_room(&self, len: usize, options: &Options) -> bool {
        self.queue.rows.is_empty()
            || self.queue.rows.len() < options.queue_len
                && self.queue.bytes.len() + len <= options.queue_bytes
    }

    fn wait_for(&mut self, position: Position, done: Done) {
        self.waiters.push(Waiter {
            position,
            since: Instant::now(),
            done,
        });
    }

    fn admit(&mut self, incoming: Incoming, now: Timestamp) -> Admitted {
        let Incoming {
            event,
            record,
            durability,
            deliver,
        } = incoming;
        let must_sync = durability == Durability::Durable;
        if let Some(known) = self.ids.get(event.id) {
            if !must_sync || known <= self.synced {
                return Admitted::Done(known);
            }
            self.queue.must_sync = true;
            return Admitted::OnceSynced(known);
        }
        let position = self.last.max(self.base).next(now);
        self.last = position;
        self.ids.put(event.id, position);
        let len = u32::try_from(record.len()).expect("an event is shorter than 4 GiB");
        self.queue.rows.push(Row {
            position,
            id: event.id,
            at: u32::try_from(self.queue.bytes.len()).expect("a queue is shorter than 4 GiB"),
            len,
        });
        self.queue.bytes.extend(record);
        self.queue.must_sync |= must_sync;
        self.recent_bytes += len as usize;
        let deliver_now = if must_sync || !self.held.is_empty() {
            self.held.push_back(Held {
                position,
                event: Arc::clone(&event),
                len,
                deliver,
                must_sync,
            });
            None
        } else {
            self.show(position, len);
            deliver
        };
        self.recent.push_back(Recent {
            position,
            event,
            len,
        });
        if let (Some(deliver), Some(newest)) = (deliver_now, self.recent.back()) {
            deliver(&newest.event, position);
        }
        if must_sync {
            Admitted::OnceSynced(position)
        } else {
            Admitted::Done(position)
        }
    }

    /// Delivers what may be.
    fn release(&mut self) {
        while let Some(held) = self.held.front() {
            if held.must_sync && held.position > self.synced {
                return;
            }
            let (position, len) = (held.position, held.len);
            self.show(position, len);
            if let Some(held) = self.held.pop_front()
                && let Some(deliver) = held.deliver
            {
                deliver(&held.event, held.position);
            }
        }
    }

    /// The next one may be read.
    fn show(&mut self, position: Position, len: u32) {
        self.visible = position;
        self.length += 1;
        self.bytes += u64::from(len);
    }

    /// How much waits to be written: entries and bytes, and whether somebody waits for that.
    pub(super) fn queued(&self) -> (usize, usize, bool) {
        let is_urgent = self.queue.must_sync || !self.room.is_empty();
        (self.queue.rows.len(), self.queue.bytes.len(), is_urgent)
    }

    /// What is to be written next; who waited for room comes in. `spare` is empty, and filled from now on.
    pub(super) fn take_queue(&mut self, now: Timestamp, options: &Options, spare: Batch) -> Batch {
        let batch = std::mem::replace(&mut self.queue, spare);
        while let Some(queued) = self.room.front() {
            if !self.has_room(queued.incoming.record.len(), options) {
                break;
            }
            let Some(Queued { incoming, done, .. }) = self.room.pop_front() else {
                break;
            };
            self.room_bytes -= incoming.record.len();
            match self.admit(incoming, now) {
                // Nobody may wait for the answer any more.
                Admitted::Done(position) => drop(done.send(Ok(position))),
                Admitted::OnceSynced(position) => self.wait_for(position, done),
            }
        }
        batch
    }

    /// `rows` of the segment `id` are on disk, and all before them.
    #[must_use]
    pub(super) fn on_disk(&mut self, id: SegmentId, rows: &[Row], options: &Options) -> Aftermath {
        if let Some(last) = rows.last() {
            self.synced = last.position;
            if let Some(segment) = self.shelf.get(id) {
                segment.count += rows.len() as u64;
                segment.bytes += rows.iter().map(|row| u64::from(row.len)).sum::<u64>();
                segment.last = last.position;
                if let Some(open) = &mut segment.open {
                    open.rows.extend(rows);
                }
            }
        }
        self.release();
        let synced = self.synced;
        let is_done = |waiter: &mut Waiter| waiter.position <= synced;
        let mut aftermath = Aftermath {
            done: self.waiters.extract_if(.., is_done).collect(),
            past: Vec::new(),
        };
        while self.recent_bytes > options.recent_bytes
            && self
                .recent
                .front()
                .is_some_and(|oldest| oldest.position <= synced)
            && let Some(oldest) = self.recent.pop_front()
        {
            self.past = oldest.position;
            self.recent_bytes -= oldest.len as usize;
            aftermath.past.push(oldest);
        }
        aftermath
    }

    /// Tells those that they wait in vain who have waited since `before`, or all.
    pub(super) fn give_up(&mut self, name: &StreamName, why: &str, before: Option<Instant>) {
        let is_over = |since: Instant| before.is_none_or(|before| since <= before);
        let not_written = || StreamError::NotWritten {
            stream: name.clone(),
            why: why.to_owned(),
        };
        for waiter in self.waiters.extract_if(.., |waiter| is_over(waiter.since)) {
            drop(waiter.done.send(Err(not_written())));
        }
        while let Some(queued) = self.room.front()
            && is_over(queued.since)
            && let Some(queued) = self.room.pop_front()
        {
            self.room_bytes -= queued.incoming.record.len();
            let full = StreamError::Full {
                stream: name.clone(),
                why: why.to_owned(),
            };
            drop(queued.done.send(Err(full)));
        }
    }

    /// Entries after `after` up to `until` among the recent ones, at most `limit`; none if some before are on disk only.
    pub(super) fn recent_after(
        &self,
        after: Position,
        until: Position,
        limit: usize,
    ) -> Option<Vec<Entry>> {
        if after < self.past {
            return None;
        }
        let first = self.recent.partition_point(|one| one.position <= after);
        let until = until.min(self.visible);
        let ahead = self.recent.range(first..);
        let wanted = ahead.take_while(|one| one.position <= until).take(limit);
        Some(wanted.map(Recent::entry).collect())
    }

    /// Recent entries before `before`, newest first, at most `limit`.
    pub(super) fn recent_before(&self, before: Position, limit: usize) -> Vec<Entry> {
        let end = self.recent.partition_point(|one| one.position < before);
        let back = self.recent.range(..end).rev();
        let may_be_read = back.filter(|one| one.position <= self.visible);
        let wanted = may_be_read.take_while(|one| one.position > self.floor);
        wanted.take(limit).map(Recent::entry).collect()
    }

    /// The oldest entry that is there, and how long it is.
    pub(super) fn oldest(&self) -> Or<Option<(Position, u32)>> {
        if let Some(row) = self.shelf.oldest(self.floor)? {
            return Ok(Some((row.position, row.len)));
        }
        let behind = self.floor.max(self.synced);
        let first = self.recent.partition_point(|one| one.position <= behind);
        let oldest = self.recent.get(first);
        Ok(oldest.map(|oldest| (oldest.position, oldest.len)))
    }

    /// How many entries there are after `position` that may be read.
    pub(super) fn count_after(&self, position: Position) -> Or<u64> {
        let position = position.max(self.floor);
        let (written, _) = self.shelf.count_after(position)?;
        let behind = position.max(self.synced);
        let first = self.recent.partition_point(|one| one.position <= behind);
        let end = self
            .recent
            .partition_point(|one| one.position <= self.visible);
        Ok(written + end.saturating_sub(first) as u64)
    }

    /// Drops what is more than `retention` says, and counts it in `dropped`.
    pub(super) fn retire(
        &mut self,
        retention: Retention,
        now: Timestamp,
        dropped: &mut u64,
    ) -> Or<()> {
        if retention == Retention::default() {
            return Ok(());
        }
        while let Some((oldest, len)) = self.oldest()? {
            if oldest > self.visible || !retention.drops(oldest, self.length, self.bytes, now) {
                break;
            }
            self.floor = oldest;
            self.length -= 1;
            self.bytes -= u64::from(len);
            *dropped += 1;
        }
        Ok(())
    }
}

impl Recent {
    fn entry(&self) -> Entry {
        Entry {
            position: self.position,
            event: Arc::clone(&self.event),
        }
    }
}

fn waits(how: impl FnOnce(Done)) -> Append {
    let (done, answer) = oneshot::channel();
    how(done);
    Append::Waits(Box::pin(async move {
        answer.await.unwrap_or(Err(StreamError::Closed))
    }))
}
