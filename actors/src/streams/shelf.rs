//! What of a stream is on disk, and where: segments, oldest first, and the rows of those that are in use.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use unity_supervisors::stream::Position;

use super::disk::Disk;
use super::segment::{Row, SegmentId};

/// Of how many segments, apart from the one that is written, the rows stay in memory.
const OPEN_MAX: usize = 4;
/// How many bytes are read at once, unless one record has more.
const READ_LEN: u32 = 1 << 20;

/// A segment, of which all that counts is on disk.
pub(super) struct Segment<D: Disk> {
    pub(super) id: SegmentId,
    pub(super) salt: u32,
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Its last entry, or what it follows if it has none.
    pub(super) last: Position,
    pub(super) holes: u64,
    pub(super) open: Option<Open<D>>,
}

/// A segment in use.
pub(super) struct Open<D: Disk> {
    pub(super) rows: Vec<Row>,
    pub(super) file: Arc<D::File>,
}

/// The segments of a stream; those of which nothing is left any more are at the front.
pub(super) struct Shelf<D: Disk> {
    pub(super) segments: VecDeque<Segment<D>>,
    /// Which were opened, in that order.
    opened: VecDeque<SegmentId>,
}

/// Where to go on.
pub(super) enum Found<D: Disk> {
    /// These rows are there to be read from this file of this segment.
    Rows(SegmentId, u32, Arc<D::File>, Vec<Row>),
    /// The rows of this segment are needed first.
    NotOpen(SegmentId),
    /// There is nothing more on disk.
    Nothing,
}

/// What was looked for, or the segment whose rows are needed for that.
pub(super) type Or<T> = Result<T, SegmentId>;

fn rows_after(rows: &[Row], position: Position) -> usize {
    rows.partition_point(|row| row.position <= position)
}

impl<D: Disk> Segment<D> {
    fn found(&self, rows: Range<usize>, file: &Arc<D::File>, all: &[Row]) -> Found<D> {
        let rows = all.get(rows).unwrap_or_default().to_vec();
        Found::Rows(self.id, self.salt, Arc::clone(file), rows)
    }
}

impl<D: Disk> Shelf<D> {
    pub(super) fn new(segments: VecDeque<Segment<D>>) -> Self {
        let opened = segments.iter().filter(|segment| segment.open.is_some());
        let opened = opened.map(|segment| segment.id).collect();
        Self { segments, opened }
    }

    pub(super) fn get(&mut self, id: SegmentId) -> Option<&mut Segment<D>> {
        let mut newest_first = self.segments.iter_mut().rev();
        newest_first.find(|segment| segment.id == id)
    }

    /// Puts a new one at the end, which is written from now on.
    pub(super) fn begin(&mut self, segment: Segment<D>) {
        self.opened.push_back(segment.id);
        self.segments.push_back(segment);
        self.close_some();
    }

    /// Keeps what was read of a segment.
    pub(super) fn keep_open(&mut self, id: SegmentId, open: Open<D>) {
        if let Some(segment) = self.get(id)
            && segment.open.is_none()
        {
            segment.open = Some(open);
            self.opened.push_back(id);
            self.close_some();
        }
    }

    fn close_some(&mut self) {
        let written = self.segments.back().map(|segment| segment.id);
        while self.opened.len() > OPEN_MAX + 1 {
            let Some(oldest) = self.opened.pop_front() else {
                return;
            };
            if Some(oldest) == written {
                self.opened.push_back(oldest);
            } else if let Some(segment) = self.get(oldest) {
                segment.open = None;
            }
        }
    }

    /// The next rows after `after` up to `until`, at most `limit`.
    pub(super) fn after(&self, after: Position, until: Position, limit: usize) -> Found<D> {
        let first = self
            .segments
            .partition_point(|segment| segment.last <= after);
        for segment in self.segments.range(first..) {
            if segment.count == 0 {
                continue;
            }
            let Some(open) = &segment.open else {
                return Found::NotOpen(segment.id);
            };
            let begin = rows_after(&open.rows, after);
            let end = rows_after(&open.rows, until).min(begin.saturating_add(limit));
            let Some(row) = open.rows.get(begin) else {
                continue;
            };
            let near = open.rows.get(begin..end).unwrap_or_default();
            let near = near.partition_point(|next| next.at + next.len - row.at <= READ_LEN);
            let end = end.min(begin + near.max(1));
            return match begin < end {
                true => segment.found(begin..end, &open.file, &open.rows),
                false => Found::Nothing,
            };
        }
        Found::Nothing
    }

    /// The last rows before `before` and after `floor`, at most `limit`; oldest first.
    pub(super) fn before(&self, before: Position, floor: Position, limit: usize) -> Found<D> {
        for segment in self.segments.iter().rev() {
            if segment.last <= floor {
                return Found::Nothing;
            }
            if segment.count == 0 || segment.id.first >= before {
                continue;
            }
            let Some(open) = &segment.open else {
                return Found::NotOpen(segment.id);
            };
            let end = open.rows.partition_point(|row| row.position < before);
            let first = rows_after(&open.rows, floor).max(end.saturating_sub(limit));
            let Some(last) = open.rows.get(first..end).and_then(<[_]>::last) else {
                continue;
            };
            let till = last.at + last.len;
            let far = open.rows.get(first..end - 1).unwrap_or_default();
            let far = far.partition_point(|row| till - row.at > READ_LEN);
            return segment.found(first + far..end, &open.file, &open.rows);
        }
        Found::Nothing
    }

    /// The oldest row after `floor`.
    pub(super) fn oldest(&self, floor: Position) -> Or<Option<Row>> {
        for segment in &self.segments {
            if segment.count == 0 || segment.last <= floor {
                continue;
            }
            let open = segment.open.as_ref().ok_or(segment.id)?;
            if let Some(row) = open.rows.get(rows_after(&open.rows, floor)) {
                return Ok(Some(*row));
            }
        }
        Ok(None)
    }

    /// How many rows there are after `position`, and how many bytes they have.
    pub(super) fn count_after(&self, position: Position) -> Or<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for segment in self.segments.iter().rev() {
            if segment.count == 0 {
                continue;
            }
            if segment.last <= position {
                break;
            }
            if segment.id.first > position {
                count += segment.count;
                bytes += segment.bytes;
                continue;
            }
            let open = segment.open.as_ref().ok_or(segment.id)?;
            let rows = open.rows.get(rows_after(&open.rows, position)..);
            let rows = rows.unwrap_or_default();
            count += rows.len() as u64;
            bytes += rows.iter().map(|row| u64::from(row.len)).sum::<u64>();
        }
        Ok((count, bytes))
    }

    /// Takes out the segments of which nothing is left after `floor`, but for `written`.
    pub(super) fn take_dead(
        &mut self,
        floor: Position,
        written: Option<SegmentId>,
    ) -> Vec<SegmentId> {
        let mut dead = Vec::new();
        self.segments.retain(|segment| {
            let is_dead = segment.count == 0 || segment.last <= floor;
            let goes = is_dead && Some(segment.id) != written;
            if goes {
                dead.push(segment.id);
            }
            !goes
        });
        self.opened.retain(|id| !dead.contains(id));
        dead
    }
}
