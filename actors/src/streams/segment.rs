//! The files that a stream consists of: how a segment begins, what is in it, and the table beside it.
//!
//! A segment is named by the first position that it may hold and by a number that tells apart those that begin at the same
//! one. Its head says behind which position it follows: whatever earlier segments hold behind that is void. That is how
//! records of a segment that could not be synced are written anew without being there twice, whatever becomes of the
//! first ones.
//!
//! The table beside a segment that is complete spares reading all of it. It is believed only if its checksums are right
//! and the segment is as long as it says; a record is checked again when it is read.

use std::ops::Range;

use unity_supervisors::bus::EventId;
use unity_supervisors::stream::{Position, StreamName};

use super::bug::{Bug, is_planted};
use super::record::{self, HEAD_LEN, Head, MARKER};

/// The version of the form of segments, tables and books.
pub(super) const VERSION: u8 = 1;
const SEGMENT_MAGIC: [u8; 3] = *b"UKL";
const TABLE_MAGIC: [u8; 3] = *b"UKI";
const TABLE_HEAD_LEN: usize = 64;
const ROW_LEN: usize = 40;

/// The name of a segment, as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId {
    pub(super) first: Position,
    pub(super) number: u32,
}

impl SegmentId {
    pub(super) fn file_name(self) -> String {
        let Position { ms, seq } = self.first;
        format!("{ms:020}-{seq:020}.{}.seg", self.number)
    }

    pub(super) fn table_name(self) -> String {
        let Position { ms, seq } = self.first;
        format!("{ms:020}-{seq:020}.{}.idx", self.number)
    }

    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (first, number) = file_name.strip_suffix(".seg")?.split_once('.')?;
        let (ms, seq) = first.split_once('-')?;
        let id = Self {
            first: Position {
                ms: ms.parse().ok()?,
                seq: seq.parse().ok()?,
            },
            number: number.parse().ok()?,
        };
        (id.file_name() == file_name).then_some(id)
    }

    /// What the checksums of its records begin with, so that none of another segment is taken for one of this.
    pub(super) fn salt(self, name: &StreamName) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(name.as_str().as_bytes());
        hasher.update(self.file_name().as_bytes());
        hasher.finalize()
    }
}

/// What a segment begins with.
pub(super) fn head(name: &StreamName, follows: Position) -> Vec<u8> {
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.push(VERSION);
    bytes.extend(follows.ms.to_le_bytes());
    bytes.extend(follows.seq.to_le_bytes());
    bytes.push(u8::try_from(name.as_str().len()).unwrap_or(u8::MAX));
    bytes.extend(name.as_str().as_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// How the head of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// As it should; it follows this position.
    Follows(Position),
    /// With the word of a version that this program does not know.
    Version(u8),
    /// It is whole, and of another stream.
    Other,
    /// With nothing that makes sense.
    Torn,
}

pub(super) fn begins(bytes: &[u8], name: &StreamName) -> Begins {
    if let Some([m0, m1, m2, version]) = bytes.first_chunk()
        && [*m0, *m1, *m2] == SEGMENT_MAGIC
        && *version != VERSION
    {
        return Begins::Version(*version);
    }
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 8)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    let (Some(ms), Some(seq)) = (number(4), number(12)) else {
        return Begins::Torn;
    };
    let follows = Position { ms, seq };
    if bytes.starts_with(&head(name, follows)) {
        return Begins::Follows(follows);
    }
    let other_len = bytes.get(20).copied().map(usize::from);
    let other = other_len.and_then(|len| bytes.get(..21 + len)?.get(21..));
    match other.map(|other| StreamName::new(String::from_utf8_lossy(other))) {
        Some(Ok(other)) if bytes.starts_with(&head(&other, follows)) => Begins::Other,
        _ => Begins::Torn,
    }
}

/// A record, as a table knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) position: Position,
    pub(super) id: EventId,
    pub(super) at: u32,
    /// With its head.
    pub(super) len: u32,
}

/// What is in a segment, found by reading all of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scan {
    pub(super) rows: Vec<Row>,
    /// Holes between records. At least one was there in each.
    pub(super) holes: u64,
    /// How many bytes at the end are no whole record.
    pub(super) torn: usize,
}

/// Finds the records of a segment up to `limit`. `is_newest` says that a crash may have torn its end.
///
/// Where a record is not whole, the next whole one is looked for. In the newest segment the writes of the last moments
/// may have reached the disk in any order: what is behind a hole is believed only if a later record says that the
/// place of the hole was on disk already, and is cut off otherwise.
pub(super) fn scan(
    bytes: &[u8],
    begin: usize,
    salt: u32,
    limit: Position,
    is_newest: bool,
) -> Scan {
    let mut scan = Scan::default();
    // Where holes are that the crash may have made, and how many rows were before each.
    let mut doubtful: Vec<(usize, usize)> = Vec::new();
    let mut at = begin;
    let mut last = Position::START;
    while let Some(row) = next_record(bytes, at, salt, last, limit) {
        let Range { start, end } = row.at as usize..(row.at + row.len) as usize;
        if start > at {
            scan.holes += 1;
            if is_newest && !is_planted(Bug::KeepsWhatFollowsHoles) {
                doubtful.push((at, scan.rows.len()));
            }
        }
        let durable_to = bytes.get(start..).and_then(|bytes| Head::read(bytes, salt));
        let durable_to = durable_to.map_or(0, |head| head.durable_to as usize);
        doubtful.retain(|(hole, _)| *hole >= durable_to);
        last = row.position;
        scan.rows.push(row);
        at = end;
    }
    if let Some((hole, rows)) = doubtful.first() {
        scan.rows.truncate(*rows);
        scan.holes -= doubtful.len() as u64;
        at = *hole;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let written = rest.iter().rposition(|byte| *byte != 0);
    scan.torn = written.map_or(0, |last| last + 1);
    scan
}

/// The next whole record from `at` on that is after `last` and not after `limit`.
fn next_record(
    bytes: &[u8],
    mut at: usize,
    salt: u32,
    last: Position,
    limit: Position,
) -> Option<Row> {
    loop {
        let rest = bytes.get(at..)?;
        if let Some(row) = record_at(rest, at, salt)
            && row.position > last
            && row.position <= limit
        {
            return Some(row);
        }
        at += 1;
        at += find_marker(bytes.get(at..)?)?;
    }
}

fn record_at(bytes: &[u8], at: usize, salt: u32) -> Option<Row> {
    let head = Head::read(bytes, salt)?;
    let body = head.body(bytes)?;
    Some(Row {
        position: head.position,
        id: record::id_of(body)?,
        at: u32::try_from(at).ok()?,
        len: u32::try_from(HEAD_LEN + body.len()).ok()?,
    })
}

fn find_marker(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(MARKER.len())
        .position(|window| window == MARKER)
}

/// What a table says of its segment before its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableHead {
    /// How long the segment is, as a file.
    pub(super) file_len: u64,
    pub(super) count: u64,
    /// Of its records, without the head of the segment.
    pub(super) bytes: u64,
    pub(super) last: Position,
    /// Holes between its records.
    pub(super) holes: u64,
    rows_crc: u32,
}

impl TableHead {
    pub(super) const LEN: usize = TABLE_HEAD_LEN;

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (checked, crc) = bytes.first_chunk::<TABLE_HEAD_LEN>()?.split_last_chunk()?;
        let is_ours = checked.starts_with(&TABLE_MAGIC) && checked.get(3) == Some(&VERSION);
        if !is_ours || crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
            return None;
        }
        let number = |at: usize| {
            let bytes = checked.get(at..at + 8)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        Some(Self {
            file_len: number(4)?,
            count: number(12)?,
            bytes: number(20)?,
            last: Position {
                ms: number(28)?,
                seq: number(36)?,
            },
            holes: number(44)?,
            rows_crc: u32::try_from(number(52)?).ok()?,
        })
    }
}

/// The table of a segment that is `file_len` long, as a file.
pub(super) fn table(file_len: u64, holes: u64, rows: &[Row]) -> Vec<u8> {
    let mut body = Vec::with_capacity(rows.len() * ROW_LEN);
    for row in rows {
        body.extend(row.position.ms.to_le_bytes());
        body.extend(row.position.seq.to_le_bytes());
        body.extend(row.id.as_u128().to_le_bytes());
        body.extend(row.at.to_le_bytes());
        body.extend(row.len.to_le_bytes());
    }
    let last = rows.last().map(|row| row.position).unwrap_or_default();
    let mut bytes = TABLE_MAGIC.to_vec();
    bytes.push(VERSION);
    for number in [
        file_len,
        rows.len() as u64,
        rows.iter().map(|row| u64::from(row.len)).sum(),
        last.ms,
        last.seq,
        holes,
        u64::from(crc32fast::hash(&body)),
    ] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The rows of a table, if it is whole.
pub(super) fn rows(table: &[u8]) -> Option<Vec<Row>> {
    let head = TableHead::read(table)?;
    let body = table.get(TABLE_HEAD_LEN..)?;
    let is_whole = crc32fast::hash(body) == head.rows_crc;
    if !is_whole || body.len() as u64 != head.count.checked_mul(ROW_LEN as u64)? {
        return None;
    }
    let row = |bytes: &[u8]| {
        let (ms, rest) = bytes.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        Some(Row {
            position: Position {
                ms: u64::from_le_bytes(*ms),
                seq: u64::from_le_bytes(*seq),
            },
            id: EventId::from_u128(u128::from_le_bytes(*id)),
            at: u32::from_le_bytes(*at),
            len: u32::from_le_bytes(*rest.first_chunk()?),
        })
    };
    body.chunks_exact(ROW_LEN).map(row).collect()
}
