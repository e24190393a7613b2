//! How a stream is opened: what is on disk is found, and what a crash left of the newest segment is put in order.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::warn;
use unity_supervisors::stream::{IDS_REMEMBERED, Position, StreamName};

use super::book::{BOOK, Book, BookRead};
use super::bug::{Bug, is_planted};
use super::disk::{self, Disk};
use super::record::{self, HEAD_LEN};
use super::segment::{self, Begins, Row, SegmentId, TableHead, VERSION};
use super::shelf::{Open, Segment, Shelf};
use super::state::State;
use super::stream::{Env, Groups, Stream};
use super::write::{Active, NEW, Writer};

/// The name of the folder of a stream: its own, where `:`, which some systems do not take, is `=`, which no name has.
pub(super) fn folder_name(name: &StreamName) -> String {
    name.as_str().replace(':', "=")
}

/// The stream of which this is the folder.
pub(super) fn stream_name(folder: &str) -> Option<StreamName> {
    StreamName::new(folder.replace('=', ":")).ok()
}

/// Why a stream could not be opened, in words; it was left as it is.
pub(super) type Refused = String;

/// What a segment is found to be, newest first.
struct Found<D: Disk> {
    segment: Segment<D>,
    follows: Position,
    is_clean: bool,
}

struct Opening<'a, D: Disk> {
    env: &'a Arc<Env<D>>,
    name: &'a StreamName,
    folder: PathBuf,
}

/// Opens a stream, which need not be there.
pub(super) fn open<D: Disk>(env: &Arc<Env<D>>, name: &StreamName) -> Result<Stream<D>, Refused> {
    let folder = env.folder.join(folder_name(name));
    Opening { env, name, folder }.open()
}

impl<D: Disk> Opening<'_, D> {
    fn open(self) -> Result<Stream<D>, Refused> {
        let names = self.on_disk(self.env.disk.list(&self.folder))?;
        let mut ids: Vec<_> = names
            .iter()
            .filter_map(|name| SegmentId::parse(name))
            .collect();
        ids.sort_by_key(|id| id.number);
        let begins = self.heads(&ids)?;
        let book = self.book(names.iter().any(|name| name == BOOK))?;
        for name in names.iter().filter(|name| name.ends_with(NEW)) {
            self.on_disk(self.env.disk.remove(&self.folder.join(name)))?;
        }
        let is_made = !ids.is_empty() || names.iter().any(|name| name == BOOK);
        if is_made {
            // What is decided by what is seen here is to be decided so after the next crash too.
            self.on_disk(self.env.disk.sync_folder(&self.folder))?;
        }
        self.stream(&ids, &begins, book, is_made)
    }

    fn on_disk<T>(&self, done: io::Result<T>) -> Result<T, Refused> {
        done.map_err(|error| format!("{}: {error}", self.folder.display()))
    }

    /// How the segments begin. Nothing is touched before all are known to be of this version.
    fn heads(&self, ids: &[SegmentId]) -> Result<Vec<Begins>, Refused> {
        let mut begins = Vec::with_capacity(ids.len());
        for id in ids {
            let path = self.folder.join(id.file_name());
            let file = self.on_disk(self.env.disk.open(&path))?;
            let head = self.on_disk(disk::read(&self.env.disk, &file, 0, 512))?;
            match segment::begins(&head, self.name) {
                Begins::Version(version) => return Err(self.newer(&id.file_name(), version)),
                Begins::Other => {
                    return Err(format!("{} is of another stream", path.display()));
                }
                known => begins.push(known),
            }
        }
        Ok(begins)
    }

    fn newer(&self, file: &str, version: u8) -> Refused {
        format!(
            "{} is of version {version}, and this kernel knows version {VERSION}: it was left as it is; start a newer kernel on it, or move the folder away",
            self.folder.join(file).display()
        )
    }

    fn book(&self, is_there: bool) -> Result<Book, Refused> {
        if !is_there {
            return Ok(Book::default());
        }
        let disk = &self.env.disk;
        let file = self.on_disk(disk.open(&self.folder.join(BOOK)))?;
        // What a process that was killed left in memory is to stay, as this one goes by it.
        self.on_disk(disk.sync(&file))?;
        let bytes = self.on_disk(disk::read_all(disk, &file))?;
        match Book::read(&bytes) {
            BookRead::Version(version) => Err(self.newer(BOOK, version)),
            BookRead::Says(book, is_whole) => {
                if !is_whole {
                    warn!(stream = %self.name, "the end of the book of groups was torn: some entries are handed out again");
                }
                Ok(book)
            }
        }
    }

    fn stream(
        self,
        ids: &[SegmentId],
        begins: &[Begins],
        book: Book,
        is_made: bool,
    ) -> Result<Stream<D>, Refused> {
        let mut number = ids.last().map_or(0, |id| id.number + 1);
        let mut found = self.find_all(ids, begins)?;
        let mut active = None;
        if let Some(newest) = found.back_mut() {
            if !newest.is_clean && !is_planted(Bug::TrustsMemory) {
                self.copy(newest, number)?;
                number += 1;
            }
            active = newest.is_clean.then(|| self.go_on(newest)).flatten();
        }
        let found_last = found.back().map(|newest| newest.segment.last);
        let newest = found_last.unwrap_or_default().max(book.floor);
        let names = ids.iter().map(|id| id.first).max().unwrap_or_default();
        let last = newest.max(book.last()).max(names);
        // An earlier life may have given positions up to where this one begins, and lost what was there.
        let base = Position {
            ms: last.ms.max(self.env.begun.unix_ms()),
            seq: u64::MAX,
        };
        let base = if is_planted(Bug::ReusesPositions) {
            Position::START
        } else {
            base
        };
        let segments = found.into_iter().map(|found| found.segment).collect();
        let mut state = State::new(Shelf::new(segments), newest, base);
        state.floor = book.floor;
        let (seen, _) = watch::channel(newest);
        let has_folder = is_made;
        let stream = Stream {
            name: self.name.clone(),
            folder: self.folder,
            env: Arc::clone(self.env),
            writer: Mutex::new(Writer {
                active,
                number,
                has_folder,
                ..Writer::default()
            }),
            groups: Mutex::new(Groups {
                book,
                ..Groups::default()
            }),
            state: Mutex::new(state),
            seen,
            is_made: AtomicBool::new(is_made),
        };
        let counted = stream.count().and_then(|()| stream.learn_ids());
        counted.map_err(|error| format!("{}: {error}", stream.folder.display()))?;
        Ok(stream)
    }

    /// The segments that have anything, oldest first.
    fn find_all(
        &self,
        ids: &[SegmentId],
        begins: &[Begins],
    ) -> Result<VecDeque<Found<D>>, Refused> {
        let mut all = VecDeque::new();
        let mut limit = Position::END;
        for (id, begins) in ids.iter().zip(begins).rev() {
            let follows = match begins {
                Begins::Follows(follows) => *follows,
                _ => id.first.previous(),
            };
            let found = self.on_disk(self.find(*id, *begins, follows, limit, all.is_empty()))?;
            let Some(found) = found else {
                // It never held anything for sure: so it makes nothing void, whether or not it is seen the next time.
                self.on_disk(self.env.disk.remove(&self.folder.join(id.file_name())))?;
                self.on_disk(self.env.disk.remove(&self.folder.join(id.table_name())))?;
                continue;
            };
            if !is_planted(Bug::ForgetsWhatIsVoid) {
                limit = limit.min(follows);
            }
            all.push_front(found);
        }
        Ok(all)
    }

    /// What a segment has up to `limit`; none if that is nothing.
    fn find(
        &self,
        id: SegmentId,
        begins: Begins,
        follows: Position,
        limit: Position,
        is_newest: bool,
    ) -> io::Result<Option<Found<D>>> {
        let disk = &self.env.disk;
        let file = disk.open(&self.folder.join(id.file_name()))?;
        let mut found = Found {
            segment: Segment {
                id,
                salt: id.salt(self.name),
                count: 0,
                bytes: 0,
                last: follows,
                holes: 0,
                open: None,
            },
            follows,
            is_clean: true,
        };
        if let Some(head) = self.table_head(id)
            && head.file_len == disk.len(&file)?
            && head.last <= limit
            && head.count > 0
        {
            found.segment.count = head.count;
            found.segment.bytes = head.bytes;
            found.segment.last = head.last;
            found.segment.holes = head.holes;
            return Ok(Some(found));
        }
        let bytes = disk::read_all(disk, &file)?;
        let begin = match begins {
            Begins::Follows(_) => segment::head(self.name, follows).len(),
            _ => 0,
        };
        let scan = segment::scan(&bytes, begin, found.segment.salt, limit, is_newest);
        if scan.holes > 0 {
            warn!(stream = %self.name, segment = %id.file_name(), holes = scan.holes,
                "a segment is damaged: what was in the holes is skipped");
        }
        if is_newest && scan.torn > 0 {
            warn!(stream = %self.name, segment = %id.file_name(), bytes = scan.torn,
                "the last writes before a crash did not reach the disk: they are cut off");
        }
        if scan.rows.is_empty() && scan.holes == 0 {
            return Ok(None);
        }
        found.segment.set_rows(scan.rows, scan.holes, file);
        found.is_clean = false;
        Ok(Some(found))
    }

    fn table_head(&self, id: SegmentId) -> Option<TableHead> {
        let disk = &self.env.disk;
        let table = disk.open(&self.folder.join(id.table_name())).ok()?;
        let head = disk::read(disk, &table, 0, TableHead::LEN).ok()?;
        TableHead::read(&head)
    }

    /// Puts a copy of what is whole of the newest segment in its place, all of it on disk: what was read back may
    /// never have reached it.
    fn copy(&self, newest: &mut Found<D>, number: u32) -> Result<(), Refused> {
        let old = newest.segment.id;
        let Err(error) = self.try_copy(newest, number) else {
            for name in [old.file_name(), old.table_name()] {
                self.on_disk(self.env.disk.remove(&self.folder.join(name)))?;
            }
            return Ok(());
        };
        warn!(stream = %self.name, %error, "what a crash left cannot be copied, and is kept as it is");
        let id = SegmentId { number, ..old };
        let beside = self.folder.join(format!("{}{NEW}", id.file_name()));
        // It is removed by whoever opens the stream next, if not now.
        drop(self.env.disk.remove(&beside));
        if let Some(open) = &newest.segment.open {
            self.on_disk(self.env.disk.sync(&open.file))?;
        }
        self.on_disk(self.env.disk.sync_folder(&self.folder))
    }

    fn try_copy(&self, newest: &mut Found<D>, number: u32) -> io::Result<()> {
        let disk = &self.env.disk;
        let id = SegmentId {
            number,
            ..newest.segment.id
        };
        let salt = id.salt(self.name);
        let Some(open) = &newest.segment.open else {
            return Ok(());
        };
        let mut bytes = segment::head(self.name, newest.follows);
        let mut rows = Vec::with_capacity(open.rows.len());
        for row in &open.rows {
            let at = bytes.len();
            bytes.extend(disk::read(
                disk,
                &open.file,
                u64::from(row.at),
                row.len as usize,
            )?);
            if let Some(record) = bytes
                .get_mut(at..)
                .filter(|record| record.len() >= HEAD_LEN)
            {
                record::set_head(record, row.position, 0, salt);
            }
            rows.push(Row {
                at: u32::try_from(at).map_err(io::Error::other)?,
                ..*row
            });
        }
        let (path, beside) = (
            self.folder.join(id.file_name()),
            self.folder.join(format!("{}{NEW}", id.file_name())),
        );
        let file = disk.create(&beside)?;
        disk.write_at(&file, &bytes, 0)?;
        disk.sync(&file)?;
        disk.rename(&beside, &path)?;
        disk.sync_folder(&self.folder)?;
        let table = segment::table(bytes.len() as u64, newest.segment.holes, &rows);
        newest.segment.id = id;
        newest.segment.salt = salt;
        let holes = newest.segment.holes;
        newest.segment.set_rows(rows, holes, file);
        newest.is_clean = true;
        let written = disk.create(&self.folder.join(id.table_name()));
        if let Err(error) = written.and_then(|file| disk.write_at(&file, &table, 0)) {
            // It only spares reading the whole segment.
            warn!(stream = %self.name, %error, "a segment has no table");
        }
        Ok(())
    }

    /// The newest segment, to be written on if it is not full.
    fn go_on(&self, newest: &mut Found<D>) -> Option<Active<D>> {
        let segment = &mut newest.segment;
        let disk = &self.env.disk;
        if segment.open.is_none() {
            let file = disk.open(&self.folder.join(segment.id.file_name())).ok()?;
            let table = disk.open(&self.folder.join(segment.id.table_name())).ok()?;
            let rows = segment::rows(&disk::read_all(disk, &table).ok()?)?;
            let file = Arc::new(file);
            segment.open = Some(Open { rows, file });
        }
        let file = Arc::clone(&segment.open.as_ref()?.file);
        let end = disk.len(&file).ok()?;
        (end < self.env.options.segment_bytes).then_some(Active {
            id: segment.id,
            file,
            salt: segment.salt,
            begin: 0,
            end,
            synced_to: end,
            filled_to: end,
        })
    }
}

impl<D: Disk> Segment<D> {
    fn set_rows(&mut self, rows: Vec<Row>, holes: u64, file: D::File) {
        self.count = rows.len() as u64;
        self.bytes = rows.iter().map(|row| u64::from(row.len)).sum();
        self.last = rows.last().map_or(self.last, |row| row.position);
        self.holes = holes;
        let file = Arc::new(file);
        self.open = Some(Open { rows, file });
    }
}

impl<D: Disk> Stream<D> {
    /// How much there is behind what was trimmed.
    fn count(&self) -> io::Result<()> {
        loop {
            let mut state = self.state.lock();
            let counted = state.shelf.count_after(state.floor);
            match counted {
                Ok((length, bytes)) => {
                    state.length = length;
                    state.bytes = bytes;
                    return Ok(());
                }
                Err(needed) => {
                    drop(state);
                    self.open_segment(needed)?;
                }
            }
        }
    }

    /// The ids of the last events.
    fn learn_ids(&self) -> io::Result<()> {
        let mut newest_first = Vec::new();
        let ids: Vec<SegmentId> = {
            let state = self.state.lock();
            state.shelf.segments.iter().map(|one| one.id).collect()
        };
        for id in ids.iter().rev() {
            if newest_first.len() >= IDS_REMEMBERED {
                break;
            }
            let rows = self.rows(*id)?;
            newest_first.extend(rows.iter().rev().map(|row| (row.id, row.position)));
        }
        newest_first.truncate(IDS_REMEMBERED);
        if is_planted(Bug::ForgetsIds) {
            return Ok(());
        }
        let mut state = self.state.lock();
        for (id, position) in newest_first.into_iter().rev() {
            state.ids.put(id, position);
        }
        Ok(())
    }

    fn rows(&self, id: SegmentId) -> io::Result<Vec<Row>> {
        let open = |state: &mut State<D>| {
            let segment = state.shelf.get(id)?;
            Some(segment.open.as_ref()?.rows.clone())
        };
        if let Some(rows) = open(&mut self.state.lock()) {
            return Ok(rows);
        }
        self.open_segment(id)?;
        Ok(open(&mut self.state.lock()).unwrap_or_default())
    }
}
