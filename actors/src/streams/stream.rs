//! One stream: how it is read, and what its groups do. How it is opened and how it is written are beside this.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};
use tracing::warn;
use unity_supervisors::bus::{BLOB_LEN_MAX, EVENT_LEN_MAX, Event};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::stream::{
    Append, Deliver, Durability, Entry, Group, GroupInfo, Pending, Position, Retention,
    StreamError, StreamInfo, StreamName, checked_len,
};

use super::Options;
use super::bell::Bell;
use super::book::{self, Book, LineV1};
use super::disk::{self, Disk};
use super::record::{self, Head, Names};
use super::segment::{self, Row, SegmentId};
use super::shelf::{Found, Open};
use super::state::{Incoming, State};
use super::write::Writer;

/// What all streams of a store share.
#[derive(Debug)]
pub(super) struct Env<D> {
    pub(super) disk: D,
    pub(super) folder: PathBuf,
    pub(super) clock: Clock,
    /// When the store was opened.
    pub(super) begun: Timestamp,
    pub(super) options: Options,
    pub(super) bell: Bell,
}

/// A stream that is open.
pub(super) struct Stream<D: Disk> {
    pub(super) name: StreamName,
    pub(super) folder: PathBuf,
    pub(super) env: Arc<Env<D>>,
    /// Locked in this order: what is written, groups, state.
    pub(super) writer: Mutex<Writer<D>>,
    pub(super) groups: Mutex<Groups>,
    pub(super) state: Mutex<State<D>>,
    /// The newest that may be read, for those who wait; not kept up while nobody does.
    pub(super) seen: watch::Sender<Position>,
    /// There is a folder for it, or will be.
    pub(super) is_made: AtomicBool,
}

/// Tells whether a line is in the book on disk.
pub(super) type Written = oneshot::Sender<Result<(), String>>;

/// The groups, and what of them is not in the book yet.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) book: Book,
    pub(super) lines: Vec<u8>,
    pub(super) waiters: Vec<Written>,
}

impl Groups {
    fn put(&mut self, line: &LineV1) {
        line.write(&mut self.lines);
    }

    fn wait(&mut self) -> oneshot::Receiver<Result<(), String>> {
        let (written, wait) = oneshot::channel();
        self.waiters.push(written);
        wait
    }
}

/// An answer that counts once the book is on disk.
#[derive(Default)]
pub(super) struct Promised<T> {
    pub(super) answer: T,
    pub(super) written: Option<oneshot::Receiver<Result<(), String>>>,
}

impl<D: Disk> Stream<D> {
    pub(super) fn is_made(&self) -> bool {
        self.is_made.load(Ordering::Acquire)
    }

    pub(super) fn append(
        &self,
        event: Arc<Event>,
        durability: Durability,
        deliver: Option<Deliver>,
    ) -> Append {
        let record = match record_of(&event) {
            Ok(record) => record,
            Err(too_large) => return Append::Done(Err(too_large)),
        };
        self.is_made.store(true, Ordering::Release);
        let incoming = Incoming {
            event,
            record,
            durability,
            deliver,
        };
        let now = self.env.clock.wall();
        let options = &self.env.options;
        let mut state = self.state.lock();
        let (_, before, was_urgent) = state.queued();
        let append = state.append(incoming, &self.name, now, options);
        let (_, bytes, is_urgent) = state.queued();
        if self.seen.receiver_count() > 0 {
            self.seen.send_replace(state.visible);
        }
        drop(state);
        let is_much = before < options.write_at_once && bytes >= options.write_at_once;
        // The one who made it urgent rings for all who come until the queue is taken.
        if (is_urgent && !was_urgent) || is_much {
            self.env.bell.ring();
        } else if before == 0 && bytes > 0 {
            self.env.bell.ring_softly();
        }
        append
    }

    pub(super) fn not_read(&self, why: impl ToString) -> StreamError {
        StreamError::NotRead {
            stream: self.name.clone(),
            why: why.to_string(),
        }
    }

    /// The state, with what is too old taken out.
    pub(super) fn current(&self) -> io::Result<MutexGuard<'_, State<D>>> {
        let now = self.env.clock.wall();
        loop {
            let mut state = self.state.lock();
            let retention = state.retention;
            let Err(needed) = state.retire(retention, now, &mut 0) else {
                return Ok(state);
            };
            drop(state);
            self.open_segment(needed)?;
        }
    }

    /// Reads which records a segment has, if that is not known.
    pub(super) fn open_segment(&self, id: SegmentId) -> io::Result<()> {
        let disk = &self.env.disk;
        let file = disk.open(&self.folder.join(id.file_name()))?;
        let table = disk.open(&self.folder.join(id.table_name()));
        let table = table.and_then(|table| disk::read_all(disk, &table));
        let rows = table.ok().and_then(|table| segment::rows(&table));
        let last = self.last_of(id);
        // One that was gone on with since, and then left for a fault, has more than its table says.
        let rows = rows.filter(|rows| rows.last().map(|row| row.position) == last);
        let rows = match rows {
            Some(rows) => rows,
            None => self.rescan(id, &file, last.unwrap_or_default())?,
        };
        let file = Arc::new(file);
        self.state.lock().shelf.keep_open(id, Open { rows, file });
        Ok(())
    }

    /// The last position of a segment.
    fn last_of(&self, id: SegmentId) -> Option<Position> {
        let mut state = self.state.lock();
        state.shelf.get(id).map(|segment| segment.last)
    }

    /// Which records a segment has up to `last`, whose table is gone.
    fn rescan(&self, id: SegmentId, file: &D::File, last: Position) -> io::Result<Vec<Row>> {
        let bytes = disk::read_all(&self.env.disk, file)?;
        let begin = segment::head(&self.name, Position::START).len();
        let salt = id.salt(&self.name);
        let scan = segment::scan(&bytes, begin, salt, last, false);
        Ok(scan.rows)
    }

    /// Decodes rows of a segment. Those that are not as they were are said, counted and left out.
    fn fetch(
        &self,
        id: SegmentId,
        salt: u32,
        file: &D::File,
        rows: &[Row],
        names: &mut Names,
    ) -> io::Result<Vec<Entry>> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Vec::new());
        };
        let len = (last.at + last.len - first.at) as usize;
        let bytes = disk::read(&self.env.disk, file, u64::from(first.at), len)?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let at = (row.at - first.at) as usize;
            let record = bytes.get(at..).unwrap_or_default();
            let body = Head::read(record, salt)
                .filter(|head| head.position == row.position)
                .and_then(|head| head.body(record));
            match body.and_then(|body| record::decode(body, names)) {
                Some(event) => entries.push(Entry {
                    position: row.position,
                    event: Arc::new(event),
                }),
                None => self.spoiled(id, *row),
            }
        }
        Ok(entries)
    }

    /// A record that was there cannot be read any more.
    fn spoiled(&self, id: SegmentId, row: Row) {
        let mut state = self.state.lock();
        let Some(segment) = state.shelf.get(id) else {
            return;
        };
        if let Some(open) = &mut segment.open {
            let before = open.rows.len();
            open.rows.retain(|one| one.position != row.position);
            if open.rows.len() == before {
                return;
            }
        }
        warn!(stream = %self.name, position = %row.position, segment = %id.file_name(), at = row.at,
            "an entry is damaged and is skipped");
        segment.count -= 1;
        segment.bytes -= u64::from(row.len);
        segment.holes += 1;
        let is_counted = row.position > state.floor;
        if is_counted {
            state.length -= 1;
            state.bytes -= u64::from(row.len);
        }
        drop(state);
        // What the table says is not so any more: it is made anew from the records.
        if let Err(error) = self.env.disk.remove(&self.folder.join(id.table_name())) {
            warn!(stream = %self.name, %error, "the table of a damaged segment stays");
        }
    }

    pub(super) fn read(
        &self,
        mut after: Position,
        until: Position,
        limit: usize,
    ) -> Result<Vec<Entry>, StreamError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut names = Names::default();
        while entries.len() < limit && after < until {
            let left = limit - entries.len();
            let state = self.current().map_err(|error| self.not_read(error))?;
            after = after.max(state.floor);
            if let Some(recent) = state.recent_after(after, until, left) {
                entries.extend(recent);
                break;
            }
            let found = state.shelf.after(after, until, left);
            let past = state.past;
            drop(state);
            match found {
                Found::Nothing => after = past,
                Found::NotOpen(id) => self.reopen(id)?,
                Found::Rows(id, salt, file, rows) => {
                    let read = self.fetch(id, salt, &file, &rows, &mut names);
                    entries.extend(read.map_err(|error| self.not_read(error))?);
                    after = rows.last().map_or(after, |row| row.position);
                }
            }
        }
        Ok(entries)
    }

    /// Opens a segment that is to be read; one that was trimmed meanwhile is left out.
    fn reopen(&self, id: SegmentId) -> Result<(), StreamError> {
        match self.open_segment(id) {
            Err(_) if self.state.lock().shelf.get(id).is_none() => Ok(()),
            opened => opened.map_err(|error| self.not_read(error)),
        }
    }

    pub(super) fn read_back(
        &self,
        mut before: Position,
        limit: usize,
    ) -> Result<Vec<Entry>, StreamError> {
        let mut names = Names::default();
        let state = self.current().map_err(|error| self.not_read(error))?;
        let mut entries = state.recent_before(before, limit);
        // What is past is on disk only.
        let past = state.past;
        drop(state);
        if before > past {
            before = Position {
                ms: past.ms,
                seq: past.seq.saturating_add(1),
            };
        }
        while entries.len() < limit {
            let state = self.state.lock();
            let found = state
                .shelf
                .before(before, state.floor, limit - entries.len());
            drop(state);
            match found {
                Found::Nothing => break,
                Found::NotOpen(id) => self.reopen(id)?,
                Found::Rows(id, salt, file, rows) => {
                    let read = self.fetch(id, salt, &file, &rows, &mut names);
                    let read = read.map_err(|error| self.not_read(error))?;
                    entries.extend(read.into_iter().rev());
                    before = rows.first().map_or(before, |row| row.position);
                }
            }
        }
        Ok(entries)
    }

    /// Whether there is an entry after `after` that may be read; if not, behind what the next one comes.
    pub(super) fn look_after(&self, after: Position) -> Result<(), Position> {
        let Ok(state) = self.current() else {
            return Err(after);
        };
        let after = after.max(state.floor);
        let is_there = match state.recent_after(after, Position::END, 1) {
            Some(recent) => !recent.is_empty(),
            None => {
                let on_disk = state.shelf.after(after, Position::END, 1);
                !matches!(on_disk, Found::Nothing) || state.visible > state.past
            }
        };
        match is_there {
            true => Ok(()),
            false => Err(after.max(state.visible)),
        }
    }

    pub(super) fn trim(&self, retention: Retention) -> Result<Promised<u64>, StreamError> {
        let now = self.env.clock.wall();
        let mut dropped = 0;
        let mut groups = self.groups.lock();
        loop {
            let mut state = self.current().map_err(|error| self.not_read(error))?;
            let Err(needed) = state.retire(retention, now, &mut dropped) else {
                groups.book.floor = state.floor;
                break;
            };
            drop(state);
            self.open_segment(needed)
                .map_err(|error| self.not_read(error))?;
        }
        if dropped == 0 {
            return Ok(Promised {
                answer: 0,
                written: None,
            });
        }
        let floor = LineV1::floor(groups.book.floor);
        Ok(self.promise(groups, &floor, dropped))
    }

    /// Writes a line into the book, which is to be on disk before `answer` counts.
    fn promise<T>(
        &self,
        mut groups: MutexGuard<'_, Groups>,
        line: &LineV1,
        answer: T,
    ) -> Promised<T> {
        groups.put(line);
        let written = Some(groups.wait());
        drop(groups);
        self.env.bell.ring();
        Promised { answer, written }
    }

    pub(super) fn make_group(&self, name: &str, cursor: Position) -> Promised<bool> {
        self.is_made.store(true, Ordering::Release);
        let mut groups = self.groups.lock();
        if groups.book.groups.contains_key(name) {
            // Whoever made it may still be waiting, or may have lost the disk before it was on it.
            let written = Some(groups.wait());
            drop(groups);
            self.env.bell.ring();
            return Promised {
                answer: false,
                written,
            };
        }
        let group = Group::after(cursor);
        groups.book.groups.insert(name.to_owned(), group);
        self.promise(groups, &LineV1::group(name, cursor), true)
    }

    pub(super) fn set_cursor(
        &self,
        name: &str,
        cursor: Position,
    ) -> Result<Promised<()>, StreamError> {
        let mut groups = self.groups.lock();
        self.group(&mut groups, name)?.set_cursor(cursor);
        Ok(self.promise(groups, &LineV1::group(name, cursor), ()))
    }

    pub(super) fn drop_group(&self, name: &str) -> Promised<bool> {
        let mut groups = self.groups.lock();
        if groups.book.groups.remove(name).is_none() {
            return Promised {
                answer: false,
                written: None,
            };
        }
        self.promise(groups, &LineV1::Dropped(name.to_owned()), true)
    }

    fn group<'a>(&self, groups: &'a mut Groups, name: &str) -> Result<&'a mut Group, StreamError> {
        let found = groups.book.groups.get_mut(name);
        found.ok_or_else(|| StreamError::NoGroup {
            stream: self.name.clone(),
            group: name.to_owned(),
        })
    }

    /// Writes down soon what a group did: what a crash takes of it is handed out again.
    fn note(&self, mut groups: MutexGuard<'_, Groups>, line: &LineV1) {
        groups.put(line);
        drop(groups);
        self.env.bell.ring_softly();
    }

    pub(super) fn read_group(
        &self,
        name: &str,
        consumer: &str,
        limit: usize,
    ) -> Result<Vec<Entry>, StreamError> {
        let now = self.env.clock.wall();
        let mut groups = self.groups.lock();
        let cursor = self.group(&mut groups, name)?.cursor();
        let entries = self.read(cursor, Position::END, limit)?;
        if entries.is_empty() {
            return Ok(entries);
        }
        let positions: Vec<_> = entries.iter().map(|entry| entry.position).collect();
        let group = self.group(&mut groups, name)?;
        group.hand_out(positions.iter().copied(), &book::consumer(consumer), now);
        self.note(
            groups,
            &LineV1::handed_out(name, consumer, now, 1, &positions),
        );
        Ok(entries)
    }

    pub(super) fn ack(&self, name: &str, positions: &[Position]) -> Result<u64, StreamError> {
        let mut groups = self.groups.lock();
        let were_pending = self.group(&mut groups, name)?.ack(positions);
        if !were_pending.is_empty() {
            self.note(groups, &LineV1::acked(name, &were_pending));
        }
        Ok(were_pending.len() as u64)
    }

    pub(super) fn pending(
        &self,
        name: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Pending>, StreamError> {
        let mut groups = self.groups.lock();
        Ok(self.group(&mut groups, name)?.pending(after, limit))
    }

    pub(super) fn claim(
        &self,
        name: &str,
        consumer: &str,
        idle: Duration,
        positions: &[Position],
    ) -> Result<Vec<(Entry, u64)>, StreamError> {
        let now = self.env.clock.wall();
        let mut groups = self.groups.lock();
        let claimable = self
            .group(&mut groups, name)?
            .claimable(positions, idle, now);
        let shared = book::consumer(consumer);
        let mut claimed = Vec::new();
        for position in claimable {
            let found = self.read(position.previous(), position, 1)?.pop();
            let group = self.group(&mut groups, name)?;
            let line = if let Some(entry) = found {
                let deliveries = group.hand_out([position], &shared, now);
                claimed.push((entry, deliveries));
                LineV1::handed_out(name, consumer, now, deliveries, &[position])
            } else {
                LineV1::acked(name, &group.ack(&[position]))
            };
            groups.put(&line);
        }
        drop(groups);
        self.env.bell.ring_softly();
        Ok(claimed)
    }

    pub(super) fn info(&self) -> io::Result<StreamInfo> {
        let groups = self.groups.lock();
        loop {
            let state = self.current()?;
            let looked = self.info_of(&groups, &state);
            drop(state);
            match looked {
                Ok(info) => return Ok(info),
                Err(needed) => self.open_segment(needed)?,
            }
        }
    }

    fn info_of(&self, groups: &Groups, state: &State<D>) -> Result<StreamInfo, SegmentId> {
        let group_info = |(name, group): (&String, &Group)| {
            Ok(GroupInfo {
                name: name.clone(),
                cursor: group.cursor(),
                pending: group.handed().len() as u64,
                lag: state.count_after(group.cursor())?,
            })
        };
        Ok(StreamInfo {
            name: self.name.clone(),
            length: state.length,
            bytes: state.bytes,
            first: state.oldest()?.map(|(position, _)| position),
            last: state.last,
            retention: state.retention,
            groups: groups
                .book
                .groups
                .iter()
                .map(group_info)
                .collect::<Result<_, _>>()?,
            skipped: state.shelf.segments.iter().map(|one| one.holes).sum(),
            trouble: state.trouble.clone(),
        })
    }
}

/// The record of an event, if it is not too long.
fn record_of(event: &Event) -> Result<Vec<u8>, StreamError> {
    let blob_len = event.blob().map_or(0, |blob| blob.bytes.len());
    if blob_len > BLOB_LEN_MAX {
        checked_len(event)?;
    }
    let record = record::record(event);
    // The form in JSON is hardly longer, but for names and for characters that are escaped there.
    let about = record.len() - blob_len + 5 * event.source.len() + 1_024;
    if about > EVENT_LEN_MAX {
        checked_len(event)?;
    }
    Ok(record)
}
