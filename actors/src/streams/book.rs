//! The book of a stream: its groups, and from where on it holds entries, as a log of changes that is written anew when it
//! has grown.
//!
//! What is read back is what it said up to the first line that is not whole: an earlier state, in which more is
//! to be handed out, never less.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::{Group, Handed, Position};

use super::bug::{Bug, is_planted};
use super::segment::VERSION;

pub(super) const BOOK: &str = "book";
const MAGIC: [u8; 3] = *b"UKB";
/// A book that is longer is written anew, once it is also four times as long as it would be then.
pub(super) const BOOK_LEN: usize = 256 << 10;

/// A change, in version 1: never changed, only followed by others.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum LineV1 {
    /// There is nothing up to here any more, and the newest entry was not before it.
    Floor(PlaceV1),
    /// A group is there, begins after this and has nothing pending.
    Group(String, PlaceV1),
    /// It is not there any more.
    Dropped(String),
    /// To a consumer of a group, at a time in microseconds, for the nth time.
    HandedOut(String, String, i64, u64, Vec<PlaceV1>),
    /// By a group.
    Acked(String, Vec<PlaceV1>),
}

/// Milliseconds, and the number within them.
pub(super) type PlaceV1 = (u64, u64);

fn place(position: &Position) -> PlaceV1 {
    (position.ms, position.seq)
}

fn position((ms, seq): PlaceV1) -> Position {
    Position { ms, seq }
}

/// What a book says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Book {
    pub(super) floor: Position,
    pub(super) groups: BTreeMap<String, Group>,
}

/// How what is in a file was read.
#[derive(Debug, PartialEq)]
pub(super) enum BookRead {
    /// This, and whether all of it was whole.
    Says(Book, bool),
    /// It is of a version that this program does not know.
    Version(u8),
}

impl LineV1 {
    pub(super) fn floor(floor: Position) -> Self {
        Self::Floor(place(&floor))
    }

    pub(super) fn group(name: &str, cursor: Position) -> Self {
        Self::Group(name.to_owned(), place(&cursor))
    }

    pub(super) fn handed_out(
        group: &str,
        consumer: &str,
        at: Timestamp,
        deliveries: u64,
        positions: &[Position],
    ) -> Self {
        let places = positions.iter().map(place).collect();
        Self::HandedOut(
            group.to_owned(),
            consumer.to_owned(),
            at.unix_us(),
            deliveries,
            places,
        )
    }

    pub(super) fn acked(group: &str, positions: &[Position]) -> Self {
        Self::Acked(group.to_owned(), positions.iter().map(place).collect())
    }

    /// Its length, its checksum, itself.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let line = bincode::serde::encode_to_vec(self, bincode::config::standard());
        let line = line.expect("a line is made of numbers and texts");
        let len = u32::try_from(line.len()).expect("a line is shorter than 4 GiB");
        into.extend(len.to_le_bytes());
        into.extend(crc32fast::hash(&line).to_le_bytes());
        into.extend(line);
    }

    /// The line that `bytes` begin with, if it is whole, and how long it is there.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let line = rest.get(..u32::from_le_bytes(*len) as usize)?;
        if line.is_empty() || crc32fast::hash(line) != u32::from_le_bytes(*crc) {
            return None;
        }
        let read = bincode::serde::decode_from_slice(line, bincode::config::standard());
        let (read, used) = read.ok()?;
        (used == line.len()).then_some((read, line.len() + 8))
    }
}

impl Book {
    fn apply(&mut self, line: LineV1) {
        match line {
            LineV1::Floor(floor) => self.floor = self.floor.max(position(floor)),
            LineV1::Group(name, cursor) => {
                self.groups.insert(name, Group::after(position(cursor)));
            }
            LineV1::Dropped(name) => {
                self.groups.remove(&name);
            }
            LineV1::HandedOut(group, consumer, at_us, deliveries, places) => {
                let Some(group) = self.groups.get_mut(&group) else {
                    return;
                };
                let handed = Handed {
                    consumer: consumer.into(),
                    at: Timestamp::from_unix_us(at_us),
                    deliveries,
                };
                for place in places {
                    group.restore(position(place), handed.clone());
                    if is_planted(Bug::ForgetsPending) {
                        group.ack(&[position(place)]);
                    }
                }
            }
            LineV1::Acked(group, places) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.ack(&places.into_iter().map(position).collect::<Vec<_>>());
                }
            }
        }
    }

    /// As a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        LineV1::floor(self.floor).write(&mut bytes);
        for (name, group) in &self.groups {
            LineV1::group(name, group.cursor()).write(&mut bytes);
            let mut together: Vec<Position> = Vec::new();
            let mut of: Option<&Handed> = None;
            let mut write = |of: Option<&Handed>, together: &[Position]| {
                if let Some(Handed {
                    consumer,
                    at,
                    deliveries,
                }) = of
                {
                    let line = LineV1::handed_out(name, consumer, *at, *deliveries, together);
                    line.write(&mut bytes);
                }
            };
            for (position, handed) in group.handed() {
                if of.is_some_and(|of| of != handed) {
                    write(of, &together);
                    together.clear();
                }
                of = Some(handed);
                together.push(*position);
            }
            write(of, &together);
        }
        bytes
    }

    /// What a file says.
    pub(super) fn read(file: &[u8]) -> BookRead {
        let mut book = Self::default();
        let Some(([m0, m1, m2, version], mut rest)) = file.split_first_chunk() else {
            return BookRead::Says(book, file.is_empty());
        };
        if [*m0, *m1, *m2] != MAGIC {
            return BookRead::Says(book, false);
        }
        if *version != VERSION {
            return BookRead::Version(*version);
        }
        while let Some((line, len)) = LineV1::read(rest) {
            book.apply(line);
            rest = rest.get(len..).unwrap_or_default();
        }
        BookRead::Says(book, rest.is_empty())
    }

    /// Behind everything that a group got to.
    pub(super) fn last(&self) -> Position {
        let cursors = self.groups.values().map(Group::cursor);
        cursors.fold(self.floor, Position::max)
    }
}

/// Who has an entry, as one who shares it.
pub(super) fn consumer(name: &str) -> Arc<str> {
    name.into()
}
