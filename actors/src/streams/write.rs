//! How a stream is written: by one at a time, in rounds.
//!
//! A round writes all that is queued, syncs the segment if somebody waits for that or if it is time, and tells those who
//! wait. What is not synced stays in memory. When a sync fails, nobody knows what of it is on disk, and a second one that
//! succeeds would say nothing: so the segment is left as it is, and all that it did not have for sure is written into
//! a fresh one, at the same positions.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};
use unity_supervisors::stream::Position;

use super::book::{BOOK, BOOK_LEN, LineV1};
use super::bug::{Bug, is_planted};
use super::disk::Disk;
use super::record;
use super::segment::{self, SegmentId};
use super::shelf::{Open, Segment};
use super::state::{Aftermath, Batch};
use super::stream::Stream;

/// A batch that had more than this is not kept for its memory.
const SPARE_BYTES: usize = 4 << 20;

/// What only the one who writes knows.
pub(super) struct Writer<D: Disk> {
    pub(super) active: Option<Active<D>>,
    /// What is not known to be on disk, oldest first.
    pub(super) batches: VecDeque<Batch>,
    /// An empty one, for its memory.
    pub(super) spare: Batch,
    /// How many of them are in the active segment.
    pub(super) written: usize,
    /// The number of the next segment.
    pub(super) number: u32,
    /// Since when something waits to be synced.
    pub(super) unsynced_since: Option<Instant>,
    /// The book, and how long it is; none if it is to be written anew.
    pub(super) book: Option<(D::File, u64)>,
    /// Not all of it is on disk.
    pub(super) is_book_unsynced: bool,
    /// How long the book would be anew.
    pub(super) book_new_len: u64,
    /// Whether the folder is there for sure.
    pub(super) has_folder: bool,
}

/// The segment that is written.
pub(super) struct Active<D: Disk> {
    pub(super) id: SegmentId,
    pub(super) file: Arc<D::File>,
    pub(super) salt: u32,
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) synced_to: u64,
    /// It is filled with zeros up to here, so that a sync has no length to write.
    pub(super) filled_to: u64,
}

impl<D: Disk> Default for Writer<D> {
    fn default() -> Self {
        Self {
            active: None,
            batches: VecDeque::new(),
            spare: Batch::default(),
            written: 0,
            number: 0,
            unsynced_since: None,
            book: None,
            is_book_unsynced: false,
            book_new_len: 0,
            has_folder: false,
        }
    }
}

/// What went wrong with the disk.
enum Fault {
    /// There is no room. Nothing was lost, and the same may be done again.
    NoRoom(io::Error),
    /// Nobody knows what is on disk now.
    Lost(io::Error),
}

impl Fault {
    fn of_write(error: io::Error) -> Self {
        if is_no_room(&error) {
            Self::NoRoom(error)
        } else {
            Self::Lost(error)
        }
    }

    fn error(self) -> io::Error {
        match self {
            Self::NoRoom(error) | Self::Lost(error) => error,
        }
    }
}

fn is_no_room(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// There is nothing left to do.
    Rests,
    /// There is something to sync, since then.
    Syncs(Instant),
    /// There is more to be written.
    GoesOn,
    /// It failed, and is to be done again later.
    Fails,
}

impl<D: Disk> Stream<D> {
    /// Writes what there is; `syncs` says that nothing is to be left unsynced.
    pub(super) fn round(&self, syncs: bool) -> Round {
        let mut writer = self.writer.lock();
        let options = &self.env.options;
        let is_due = writer
            .unsynced_since
            .is_some_and(|since| since.elapsed() >= options.sync_every);
        let syncs = syncs || is_due;
        // One may go wrong without the others; and what is removed makes room.
        let entries = self.write_entries(&mut writer, syncs);
        let book = self.write_book(&mut writer, syncs);
        let removed = self.remove_dead(&mut writer);
        match entries.and(book).and(removed) {
            Ok(()) => self.went_well(&mut writer),
            Err(error) => self.went_wrong(&error),
        }
    }

    fn went_well(&self, writer: &mut Writer<D>) -> Round {
        if writer.batches.is_empty() && !writer.is_book_unsynced {
            writer.unsynced_since = None;
        }
        let mut state = self.state.lock();
        if let Some(trouble) = state.trouble.take() {
            info!(stream = %self.name, %trouble, "the stream is written again");
        }
        let (queued, _, is_urgent) = state.queued();
        match writer.unsynced_since {
            _ if queued > 0 || is_urgent => Round::GoesOn,
            Some(since) => Round::Syncs(since),
            None => Round::Rests,
        }
    }

    fn went_wrong(&self, error: &io::Error) -> Round {
        let why = error.to_string();
        let mut state = self.state.lock();
        if state.trouble.as_ref() != Some(&why) {
            warn!(stream = %self.name, %error, "the stream cannot be written");
            state.trouble = Some(why.clone());
        }
        // Room may come; what else fails is said at once.
        let before =
            is_no_room(error).then(|| Instant::now().checked_sub(self.env.options.timeout));
        match before {
            Some(None) => {}
            Some(before) => state.give_up(&self.name, &why, before),
            None => state.give_up(&self.name, &why, None),
        }
        Round::Fails
    }

    fn write_entries(&self, writer: &mut Writer<D>, syncs: bool) -> io::Result<()> {
        let fault = match self.try_entries(writer, syncs) {
            Ok(()) => return Ok(()),
            Err(Fault::NoRoom(error)) => return Err(error),
            Err(Fault::Lost(error)) => error,
        };
        warn!(stream = %self.name, error = %fault,
            "a segment cannot be trusted any more: what it does not hold for sure goes into a fresh one");
        if !is_planted(Bug::ReusesSealed) {
            self.seal(writer);
        }
        let again = self.try_entries(writer, true);
        again.map_err(|fault| {
            if let Fault::Lost(_) = fault {
                self.seal(writer);
            }
            fault.error()
        })
    }

    /// Leaves the active segment as it is.
    fn seal(&self, writer: &mut Writer<D>) {
        writer.active = None;
        writer.written = 0;
    }

    fn try_entries(&self, writer: &mut Writer<D>, syncs: bool) -> Result<(), Fault> {
        loop {
            if writer.written == writer.batches.len() {
                let now = self.env.clock.wall();
                let mut state = self.state.lock();
                let spare = std::mem::take(&mut writer.spare);
                let batch = state.take_queue(now, &self.env.options, spare);
                let must_sync = batch.must_sync;
                if !batch.rows.is_empty() {
                    writer.batches.push_back(batch);
                    writer.unsynced_since.get_or_insert_with(Instant::now);
                } else {
                    writer.spare = batch.emptied();
                    if must_sync && let Some(last) = writer.batches.back_mut() {
                        last.must_sync = true;
                    }
                }
                drop(state);
            }
            if writer.written < writer.batches.len() {
                self.write_batch(writer)?;
                if writer.written < writer.batches.len() {
                    continue;
                }
            }
            let unsynced: usize = writer.batches.iter().map(|batch| batch.bytes.len()).sum();
            let must_sync = writer.batches.iter().any(|batch| batch.must_sync);
            if must_sync || syncs || unsynced >= self.env.options.unsynced_bytes {
                self.sync_active(writer)?;
            }
            return Ok(());
        }
    }

    /// Writes the next batch into the active segment, or into a new one where that is full.
    fn write_batch(&self, writer: &mut Writer<D>) -> Result<(), Fault> {
        let Some(len) = writer
            .batches
            .get(writer.written)
            .map(|batch| batch.bytes.len() as u64)
        else {
            return Ok(());
        };
        let is_full = writer.active.as_ref().is_some_and(|active| {
            active.end > active.begin && active.end + len > self.env.options.segment_bytes
        });
        if is_full {
            self.sync_active(writer)?;
            self.finish(writer);
        }
        if writer.active.is_none() {
            self.begin(writer).map_err(Fault::of_write)?;
        }
        let Writer {
            active: Some(active),
            batches,
            written,
            ..
        } = writer
        else {
            return Ok(());
        };
        let Some(batch) = batches.get_mut(*written) else {
            return Ok(());
        };
        active.set_heads(batch);
        if batch.must_sync {
            self.fill(active, len).map_err(Fault::of_write)?;
        }
        let disk = &self.env.disk;
        let write = disk.write_at(&active.file, &batch.bytes, active.end);
        write.map_err(Fault::of_write)?;
        active.end += len;
        *written += 1;
        Ok(())
    }

    /// Fills the place behind the next `len` bytes with zeros, for many syncs to come.
    fn fill(&self, active: &mut Active<D>, len: u64) -> io::Result<()> {
        let step = self.env.options.fill_bytes;
        let end = active.end + len;
        if end <= active.filled_to || step == 0 {
            return Ok(());
        }
        let filled_to = end.next_multiple_of(step);
        let zeros = vec![0; usize::try_from(filled_to - end).unwrap_or_default()];
        self.env.disk.write_at(&active.file, &zeros, end)?;
        active.filled_to = filled_to;
        Ok(())
    }

    /// Syncs what was written, and tells those who wait.
    fn sync_active(&self, writer: &mut Writer<D>) -> Result<(), Fault> {
        let Some(active) = &mut writer.active else {
            return Ok(());
        };
        if writer.written == 0 {
            return Ok(());
        }
        if !is_planted(Bug::AcksBeforeSync) {
            self.env.disk.sync(&active.file).map_err(Fault::Lost)?;
        }
        active.synced_to = active.end;
        let done = std::mem::take(&mut writer.written);
        let mut state = self.state.lock();
        let mut aftermaths = Vec::new();
        for batch in writer.batches.drain(..done) {
            aftermaths.push(state.on_disk(active.id, &batch.rows, &self.env.options));
            if batch.bytes.capacity() <= SPARE_BYTES {
                writer.spare = batch.emptied();
            }
        }
        if self.seen.receiver_count() > 0 {
            self.seen.send_replace(state.visible);
        }
        drop(state);
        aftermaths.into_iter().for_each(Aftermath::settle);
        writer.unsynced_since = Some(Instant::now());
        Ok(())
    }

    /// Makes the segment that the next batch goes into.
    fn begin(&self, writer: &mut Writer<D>) -> io::Result<()> {
        let Some(first) = writer
            .batches
            .get(writer.written)
            .and_then(|batch| batch.rows.first())
        else {
            return Ok(());
        };
        let id = SegmentId {
            first: first.position,
            number: writer.number,
        };
        self.make_folder(writer)?;
        let follows = self.state.lock().synced;
        let head = segment::head(&self.name, follows);
        let path = self.folder.join(id.file_name());
        let made = self.make_file(&path, &head);
        let file = made.inspect_err(|_| drop(self.env.disk.remove(&path)))?;
        let file = Arc::new(file);
        writer.number += 1;
        let salt = id.salt(&self.name);
        let begin = head.len() as u64;
        writer.active = Some(Active {
            id,
            file: Arc::clone(&file),
            salt,
            begin,
            end: begin,
            synced_to: begin,
            filled_to: begin,
        });
        let open = Some(Open {
            rows: Vec::new(),
            file,
        });
        self.state.lock().shelf.begin(Segment {
            id,
            salt,
            count: 0,
            bytes: 0,
            last: follows,
            holes: 0,
            open,
        });
        Ok(())
    }

    fn make_folder(&self, writer: &mut Writer<D>) -> io::Result<()> {
        if !writer.has_folder {
            self.env.disk.make_folder(&self.folder)?;
            self.env.disk.sync_folder(&self.env.folder)?;
            writer.has_folder = true;
        }
        Ok(())
    }

    /// Makes a file that is on disk with what it begins with, and with its name.
    fn make_file(&self, path: &std::path::Path, content: &[u8]) -> io::Result<D::File> {
        let disk = &self.env.disk;
        let file = disk.create(path)?;
        disk.write_at(&file, content, 0)?;
        disk.sync(&file)?;
        if !is_planted(Bug::ForgetsNames) {
            disk.sync_folder(&self.folder)?;
        }
        Ok(file)
    }

    /// Leaves the active segment, all of which is on disk, and writes its table.
    pub(super) fn finish(&self, writer: &mut Writer<D>) {
        let Some(active) = writer.active.take() else {
            return;
        };
        let table = {
            let mut state = self.state.lock();
            let segment = state.shelf.get(active.id);
            let Some((segment, open)) = segment.and_then(|segment| {
                let open = segment.open.as_ref()?;
                Some((segment.holes, open))
            }) else {
                return;
            };
            segment::table(active.end, segment, &open.rows)
        };
        if let Err(error) = self.leave(&active, &table) {
            // It only spares reading the whole segment.
            warn!(stream = %self.name, %error, "a segment has no table");
        }
    }

    fn leave(&self, active: &Active<D>, table: &[u8]) -> io::Result<()> {
        let disk = &self.env.disk;
        if active.filled_to > active.end {
            disk.set_len(&active.file, active.end)?;
        }
        let file = disk.create(&self.folder.join(active.id.table_name()))?;
        disk.write_at(&file, table, 0)
    }

    /// Writes what happened to the groups.
    fn write_book(&self, writer: &mut Writer<D>, syncs: bool) -> io::Result<()> {
        let (lines, waiters, anew) = {
            let mut groups = self.groups.lock();
            let is_due = syncs && writer.is_book_unsynced;
            if groups.lines.is_empty() && groups.waiters.is_empty() && !is_due {
                return Ok(());
            }
            let lines = std::mem::take(&mut groups.lines);
            let waiters = std::mem::take(&mut groups.waiters);
            let len = writer.book.as_ref().map(|(_, len)| *len);
            let is_long = |len: u64| len > BOOK_LEN as u64 && len > 4 * writer.book_new_len;
            let anew = len.is_none_or(is_long).then(|| groups.book.to_bytes());
            (lines, waiters, anew)
        };
        let must_sync = syncs || !waiters.is_empty();
        let wrote = match &anew {
            Some(anew) => self.book_anew(writer, anew),
            None => self.book_on(writer, &lines, must_sync),
        };
        if wrote.is_err() {
            // Whatever is there now, the next one says all.
            writer.book = None;
            let mut groups = self.groups.lock();
            if groups.lines.is_empty() {
                LineV1::floor(groups.book.floor).write(&mut groups.lines);
            }
        }
        for waiter in waiters {
            // Nobody may wait any more.
            drop(waiter.send(wrote.as_ref().copied().map_err(ToString::to_string)));
        }
        wrote
    }

    fn book_on(&self, writer: &mut Writer<D>, lines: &[u8], syncs: bool) -> io::Result<()> {
        let Some((file, len)) = &mut writer.book else {
            return Ok(());
        };
        self.env.disk.write_at(file, lines, *len)?;
        *len += lines.len() as u64;
        if syncs {
            if !is_planted(Bug::PromisesBookEarly) {
                self.env.disk.sync(file)?;
            }
        } else {
            writer.unsynced_since.get_or_insert_with(Instant::now);
        }
        writer.is_book_unsynced = !syncs;
        Ok(())
    }

    fn book_anew(&self, writer: &mut Writer<D>, anew: &[u8]) -> io::Result<()> {
        self.make_folder(writer)?;
        let disk = &self.env.disk;
        let path = self.folder.join(BOOK);
        let beside = self.folder.join(format!("{BOOK}{NEW}"));
        let file = disk.create(&beside)?;
        disk.write_at(&file, anew, 0)?;
        disk.sync(&file)?;
        disk.rename(&beside, &path)?;
        disk.sync_folder(&self.folder)?;
        let len = anew.len() as u64;
        writer.book = Some((file, len));
        writer.is_book_unsynced = false;
        writer.book_new_len = len;
        Ok(())
    }

    /// Removes the segments of which nothing is left, once the book says so.
    fn remove_dead(&self, writer: &mut Writer<D>) -> io::Result<()> {
        let active = writer.active.as_ref().map(|active| active.id);
        let floor = {
            let mut state = self.current()?;
            let is_dead = |oldest: &Segment<D>| oldest.count > 0 && oldest.last <= state.floor;
            let oldest = state.shelf.segments.front();
            let has_dead =
                oldest.is_some_and(|oldest| is_dead(oldest) && Some(oldest.id) != active);
            let floor = state.floor;
            if !has_dead {
                let void = state.shelf.take_dead(Position::START, active);
                drop(state);
                return self.remove_segments(&void);
            }
            floor
        };
        {
            let mut groups = self.groups.lock();
            if groups.book.floor < floor {
                groups.book.floor = floor;
                LineV1::floor(floor).write(&mut groups.lines);
            }
        }
        self.write_book(writer, true)?;
        let dead = self.state.lock().shelf.take_dead(floor, active);
        self.remove_segments(&dead)
    }

    fn remove_segments(&self, dead: &[SegmentId]) -> io::Result<()> {
        for id in dead {
            self.env.disk.remove(&self.folder.join(id.file_name()))?;
            self.env.disk.remove(&self.folder.join(id.table_name()))?;
        }
        Ok(())
    }

    /// Writes all, and leaves everything as one who opens it finds it quickest.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        while let Round::GoesOn | Round::Syncs(_) = self.round(true) {}
        let mut writer = self.writer.lock();
        let mut state = self.state.lock();
        state.give_up(&self.name, "the streams are closed", None);
        drop(state);
        if writer.batches.is_empty() {
            self.finish(&mut writer);
        }
    }
}

/// The end of the name of a file that has not taken its place yet.
pub(super) const NEW: &str = ".new";

impl<D: Disk> Active<D> {
    /// Says in each record where it stands.
    fn set_heads(&self, batch: &mut Batch) {
        let durable_to = u32::try_from(self.synced_to).unwrap_or(u32::MAX);
        let end = u32::try_from(self.end).expect("a segment is shorter than 4 GiB");
        let mut rest = batch.bytes.as_mut_slice();
        let mut at = end;
        for row in &mut batch.rows {
            let Some((record, later)) = rest.split_at_mut_checked(row.len as usize) else {
                return;
            };
            record::set_head(record, row.position, durable_to, self.salt);
            row.at = at;
            at += row.len;
            rest = later;
        }
    }
}
