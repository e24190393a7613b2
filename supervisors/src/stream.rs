//! Streams: where events are kept, in order, so that whoever was late finds them.
//!
//! [`StreamStore`] is what the bus, durable subscriptions and the commands go by. Words and semantics are those of Redis
//! Streams (append, range, read, groups, ack, pending, claim, trim). An entry's [`Position`] is only its place; what
//! makes an event the same event is its id: an id that a stream has among its last
//! [`IDS_REMEMBERED`] is not appended again, and the position that it has is answered. What any store must do is written
//! down in [`conformance`].

pub mod conformance;
mod group;
mod memory;
mod name;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::group::{Group, Handed};
pub use self::memory::MemoryStreams;
pub use self::name::{InvalidStreamName, StreamName};
use crate::bus::{BLOB_LEN_MAX, EVENT_LEN_MAX, Event};
use crate::clock::Timestamp;

/// Of how many of its last events, at least, a stream knows the ids.
pub const IDS_REMEMBERED: usize = 65_536;

/// Where an entry stands in its stream: milliseconds since 1970 and a number within them, printed `1763675400123-0`.
/// Positions of a stream only ever grow, also where the clock is set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// Counts within them.
    pub seq: u64,
}

impl Position {
    /// Before all entries.
    pub const START: Self = Self { ms: 0, seq: 0 };
    /// After all entries.
    pub const END: Self = Self {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// Before all entries from `time` on.
    #[must_use]
    pub fn before(time: Timestamp) -> Self {
        Self {
            ms: time.unix_ms(),
            seq: 0,
        }
        .previous()
    }

    /// The one that follows at `now`: greater, whatever the clock says.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        let ms = now.unix_ms();
        if ms > self.ms {
            return Self { ms, seq: 0 };
        }
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self {
                ms: self.ms.saturating_add(1),
                seq: 0,
            },
        }
    }

    /// The greatest that is less.
    #[must_use]
    pub fn previous(self) -> Self {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Self { ms: self.ms, seq },
            (None, Some(ms)) => Self { ms, seq: u64::MAX },
            (None, None) => self,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Why a text is not a [`Position`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a position in a stream: that is milliseconds and a number, as in 1763675400123-0"
)]
pub struct InvalidPosition(pub String);

impl FromStr for Position {
    type Err = InvalidPosition;

    /// The number may be left out, and is 0 then.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        let number = |part: &str| {
            let is_plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| part.parse().ok()).flatten()
        };
        let position = number(ms).zip(number(seq));
        let (ms, seq) = position.ok_or_else(|| InvalidPosition(text.to_owned()))?;
        Ok(Self { ms, seq })
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An event in a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// It.
    #[serde(serialize_with = "shared")]
    pub event: Arc<Event>,
}

fn shared<S: Serializer>(event: &Arc<Event>, serializer: S) -> Result<S::Ok, S::Error> {
    (**event).serialize(serializer)
}

/// When an append is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// It is accepted, and will be on disk soon: what a crash of the machine may lose is its last moments.
    #[default]
    Async,
    /// It is on disk: no crash loses it.
    Durable,
}

/// What a stream keeps; what is more goes, oldest first. Nothing is dropped for what is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// For how long.
    pub age: Option<Duration>,
    /// How many entries.
    pub length: Option<u64>,
    /// How many bytes of disk.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Whether the oldest entry of a stream goes, which has `length` entries and `bytes`. Age goes by positions.
    #[must_use]
    pub fn drops(&self, oldest: Position, length: u64, bytes: u64, now: Timestamp) -> bool {
        let is_old = self.age.is_some_and(|age| {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            oldest.ms < now.unix_ms().saturating_sub(age_ms)
        });
        let is_long = self.length.is_some_and(|most| length > most);
        is_old || is_long || self.bytes.is_some_and(|most| bytes > most)
    }
}

/// How long an event is, in JSON and with its blob.
///
/// # Errors
/// [`StreamError::TooLarge`] if it is longer than one may be.
pub fn checked_len(event: &Event) -> Result<usize, StreamError> {
    let mut count = Count(0);
    // Counting does not fail, and every event has a JSON form: where one had none, nothing would be counted.
    let _counted = serde_json::to_writer(&mut count, event);
    let blob_len = event.blob().map_or(0, |blob| blob.bytes.len());
    for (len, max) in [(count.0, EVENT_LEN_MAX), (blob_len, BLOB_LEN_MAX)] {
        if len > max {
            return Err(StreamError::TooLarge { len, max });
        }
    }
    Ok(count.0 + blob_len)
}

/// Counts what is written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a stream did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// More is waiting to be written than may, and the wait for room was too long.
    #[error("stream `{stream}` takes no more for now: {why}")]
    Full {
        /// Which.
        stream: StreamName,
        /// What holds it up, as the disk said it.
        why: String,
    },
    /// It cannot be said to be on disk. It may be there after all: append it again with the same id.
    #[error("stream `{stream}` could not be written: {why}")]
    NotWritten {
        /// Which.
        stream: StreamName,
        /// As the disk said it.
        why: String,
    },
    /// It could not be read.
    #[error("stream `{stream}` could not be read: {why}")]
    NotRead {
        /// Which.
        stream: StreamName,
        /// As the disk said it.
        why: String,
    },
    /// The event is longer than one may be.
    #[error("the event has {len} bytes, and one may have {max}")]
    TooLarge {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// There is none of this name.
    #[error("there is no stream `{0}`")]
    NoStream(StreamName),
    /// The stream has no such group.
    #[error("stream `{stream}` has no group `{group}`")]
    NoGroup {
        /// Which stream.
        stream: StreamName,
        /// Which group.
        group: String,
    },
    /// The store is closed.
    #[error("the streams are closed")]
    Closed,
}

/// Called with the position of an event when it may be delivered, in the order of the stream and never twice at a time for
/// one stream: for [`Durability::Durable`] once it is on disk, else at once, unless one before it still waits for the
/// disk. Not called for an event that is not appended, nor for one whose id the stream has already. It is called under the
/// lock of the stream: it must not call the store, nor wait.
pub type Deliver = Box<dyn FnOnce(&Arc<Event>, Position) + Send>;

/// An append that is under way; the position, once it is done. Dropping it changes nothing.
pub enum Append {
    /// It is done.
    Done(Result<Position, StreamError>),
    /// It waits for the disk, or for room.
    Waits(BoxFuture<'static, Result<Position, StreamError>>),
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(done) => f.debug_tuple("Done").field(done).finish(),
            Self::Waits(_) => f.write_str("Waits"),
        }
    }
}

impl Future for Append {
    type Output = Result<Position, StreamError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        match &mut *self {
            Self::Done(done) => std::task::Poll::Ready(done.clone()),
            Self::Waits(rest) => rest.poll_unpin(cx),
        }
    }
}

/// An entry that was handed to a consumer of a group and is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Which.
    pub position: Position,
    /// Who has it.
    pub consumer: String,
    /// When it was handed out last.
    pub delivered_at: Timestamp,
    /// How often it was handed out.
    pub deliveries: u64,
}

/// Readers that share a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// The last entry that was handed out.
    pub cursor: Position,
    /// How many were handed out and are not acknowledged.
    pub pending: u64,
    /// How many were never handed out.
    pub lag: u64,
}

/// A stream, as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// How many entries.
    pub length: u64,
    /// How many bytes of disk.
    pub bytes: u64,
    /// The oldest entry.
    pub first: Option<Position>,
    /// The newest entry that there ever was.
    pub last: Position,
    /// What it keeps.
    pub retention: Retention,
    /// Who reads it.
    pub groups: Vec<GroupInfo>,
    /// Entries that were there and could not be read any more: each was said, and skipped.
    pub skipped: u64,
    /// Why it takes nothing for now, if it does not.
    pub trouble: Option<String>,
}

/// Keeps streams. Every call takes effect when it is made; its future only brings the result.
///
/// [`append`](Self::append) and [`make_group`](Self::make_group) make a stream that is not there. One that is not there
/// has no entries to be read and no group to be dropped; what else is asked of it fails with [`StreamError::NoStream`].
pub trait StreamStore: Send + Sync + 'static {
    /// Puts an event at the end. Waits where too much is waiting to be written, and then fails with [`StreamError::Full`].
    fn append(
        &self,
        stream: &StreamName,
        event: Arc<Event>,
        durability: Durability,
        deliver: Option<Deliver>,
    ) -> Append;

    /// At most `limit` entries after `after` up to `until`, oldest first. Only what may be delivered.
    fn read(
        &self,
        stream: &StreamName,
        after: Position,
        until: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>>;

    /// The same, newest first: at most `limit` entries before `before`.
    fn read_back(
        &self,
        stream: &StreamName,
        before: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>>;

    /// Completes once there is an entry after `after` to be read. Never, once the store is closed.
    fn wait(&self, stream: &StreamName, after: Position) -> BoxFuture<'static, ()>;

    /// The newest entry that may be delivered.
    fn last(&self, stream: &StreamName) -> BoxFuture<'static, Result<Position, StreamError>>;

    /// All streams, by name.
    fn streams(&self) -> BoxFuture<'static, Result<Vec<StreamInfo>, StreamError>>;

    /// What a stream keeps from now on, as long as the store is open: whoever opens it next says so again.
    fn set_retention(&self, stream: &StreamName, retention: Retention);

    /// Drops what is more than `retention` says, now, and down to the entry; returns how many entries.
    fn trim(
        &self,
        stream: &StreamName,
        retention: Retention,
    ) -> BoxFuture<'static, Result<u64, StreamError>>;

    /// Makes a group that begins after `cursor`. `false` if there is one, which stays as it is.
    fn make_group(
        &self,
        stream: &StreamName,
        group: &str,
        cursor: Position,
    ) -> BoxFuture<'static, Result<bool, StreamError>>;

    /// Sets the cursor of a group. What is pending is forgotten.
    fn set_cursor(
        &self,
        stream: &StreamName,
        group: &str,
        cursor: Position,
    ) -> BoxFuture<'static, Result<(), StreamError>>;

    /// Forgets a group. `false` if there is none.
    fn drop_group(
        &self,
        stream: &StreamName,
        group: &str,
    ) -> BoxFuture<'static, Result<bool, StreamError>>;

    /// Hands out at most `limit` entries after the group's cursor, which moves on, to `consumer`.
    fn read_group(
        &self,
        stream: &StreamName,
        group: &str,
        consumer: &str,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>>;

    /// Acknowledges; returns how many of `positions` were pending.
    fn ack(
        &self,
        stream: &StreamName,
        group: &str,
        positions: &[Position],
    ) -> BoxFuture<'static, Result<u64, StreamError>>;

    /// What was handed out and is not acknowledged, oldest first, at most `limit` after `after`.
    fn pending(
        &self,
        stream: &StreamName,
        group: &str,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Pending>, StreamError>>;

    /// Hands pending entries of `positions`, which were handed out at least `idle` ago, to `consumer`. With each how often it has
    /// been handed out now. One that is not there any more is acknowledged.
    fn claim(
        &self,
        stream: &StreamName,
        group: &str,
        consumer: &str,
        idle: Duration,
        positions: &[Position],
    ) -> BoxFuture<'static, Result<Vec<(Entry, u64)>, StreamError>>;

    /// Waits until all that was appended is on disk, and closes: what is appended later fails.
    fn close(&self) -> BoxFuture<'static, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_only_grow() {
        let at = |ms| Timestamp::from_unix_ms(ms);
        let first = Position::START.next(at(5));
        let second = first.next(at(5));
        let set_back = second.next(at(3));
        let later = set_back.next(at(6));

        let all = [first, second, set_back, later].map(|position| position.to_string());

        assert_eq!(all, ["5-0", "5-1", "5-2", "6-0"]);
        assert_eq!(later.previous().next(at(6)), later);
        assert_eq!(Position::before(at(5)).next(at(5)), first);
    }

    #[test]
    fn a_position_reads_as_it_prints() {
        for text in ["0-0", "5-7", "18446744073709551615-18446744073709551615"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        assert_eq!("5".parse(), Ok(Position { ms: 5, seq: 0 }));
        for text in ["", "-", "5-", "+5-1", "5-1-1", "x"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
