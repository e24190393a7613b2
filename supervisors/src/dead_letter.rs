//! Messages that nobody will handle: counted always, kept while there is room.
//!
//! The list is bounded in letters and in bytes; the oldest give way. A flood into one slot is sampled: of what comes after the
//! first [`KEPT_PER_SECOND`] in a second, one in [`SAMPLE`] is kept and all are counted.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bus::Event;
use crate::clock::{Clock, Timestamp};
use crate::exit::ExitReason;
use crate::kernel::memory::Shed;
use crate::message::Message;
use crate::path::ActorPath;

/// How many dead letters a kernel keeps.
pub const KEPT_MAX: usize = 1_000;
/// How many of one slot are kept in a second before sampling begins.
pub const KEPT_PER_SECOND: u32 = 100;
/// One in so many is kept while sampling.
pub const SAMPLE: u32 = 100;
/// How many bytes of them a kernel keeps.
pub const KEPT_BYTES_MAX: usize = 16 << 20;
/// How long the JSON form of a message may be to be kept whole.
pub const MESSAGE_LEN_MAX: usize = 64 << 10;
/// How many bytes of a message's `Debug` form are kept.
const DEBUG_LEN_MAX: usize = 1024;

/// Why a message became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// Its handler crashed with the message in hand.
    Crashed,
    /// An event of a durable subscription with which its handler crashed time and again.
    Poison,
    /// It waited for longer than the mailbox's `ttl`.
    Expired,
    /// Whoever asked had gone away before it was taken in hand.
    AskerGone,
    /// The mailbox was full and drops the oldest.
    DroppedOldest,
    /// The mailbox was full and drops the newest.
    DroppedNewest,
    /// The mailbox drops what waits at a restart.
    DroppedAtRestart,
    /// Memory was short, and its lane was shed.
    Shed,
    /// Its child was stopped.
    Stopped,
    /// Its child was put into quarantine.
    Quarantined,
    /// Its child was deleted.
    Deleted,
    /// A supervisor above gave up.
    GaveUp,
    /// A fault that was made on purpose took it away.
    Fault,
}

impl DeadReason {
    /// All words in JSON.
    pub const WORDS: &'static [&'static str] = &[
        "crashed",
        "poison",
        "expired",
        "asker_gone",
        "dropped_oldest",
        "dropped_newest",
        "dropped_at_restart",
        "shed",
        "stopped",
        "quarantined",
        "deleted",
        "gave_up",
        "fault",
    ];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Poison => "poison",
            Self::Expired => "expired",
            Self::AskerGone => "asker_gone",
            Self::DroppedOldest => "dropped_oldest",
            Self::DroppedNewest => "dropped_newest",
            Self::DroppedAtRestart => "dropped_at_restart",
            Self::Shed => "shed",
            Self::Stopped => "stopped",
            Self::Quarantined => "quarantined",
            Self::Deleted => "deleted",
            Self::GaveUp => "gave_up",
            Self::Fault => "fault",
        }
    }
}

/// A message that nobody will handle.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// Counts up from 1 in each kernel.
    pub id: u64,
    /// When it died.
    pub at: Timestamp,
    /// Whose mailbox it was in.
    pub path: ActorPath,
    /// Why.
    pub reason: DeadReason,
    /// The crash, if one took it along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitReason>,
    /// The name of its variant.
    pub name: &'static str,
    /// The whole message, where its type has a JSON form of at most [`MESSAGE_LEN_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// Its `Debug` form, cut to 1 KiB, where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<String>,
}

impl DeadLetter {
    /// About how many bytes it takes.
    fn len(&self) -> usize {
        let message = self
            .message
            .as_ref()
            .map_or(0, |message| message.get().len());
        size_of::<Self>() + message + self.debug.as_ref().map_or(0, String::len)
    }
}

/// All dead letters of a kernel.
#[derive(Debug)]
pub struct DeadLetters {
    clock: Clock,
    kept: Mutex<Kept>,
    next: AtomicU64,
    more: Notify,
    /// What is shed for want of memory. Here because each mailbox has a way to its kernel's dead letters.
    pub(crate) shed: Shed,
}

#[derive(Debug, Default)]
struct Kept {
    letters: VecDeque<Arc<DeadLetter>>,
    bytes: usize,
}

impl Kept {
    /// Where the letter with this id is, or would be.
    fn place(&self, id: u64) -> Result<usize, usize> {
        self.letters.binary_search_by_key(&id, |letter| letter.id)
    }

    fn push(&mut self, letter: DeadLetter) {
        self.bytes += letter.len();
        self.letters.push_back(Arc::new(letter));
        while self.letters.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.letters.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.len());
        }
    }
}

impl DeadLetters {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            kept: Mutex::default(),
            next: AtomicU64::new(1),
            more: Notify::new(),
            shed: Shed::default(),
        })
    }

    /// How many there ever were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - 1
    }

    /// Those that are kept, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<DeadLetter>> {
        self.kept.lock().letters.iter().cloned().collect()
    }

    /// The one with this id, if it is kept.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<DeadLetter>> {
        let kept = self.kept.lock();
        kept.letters.get(kept.place(id).ok()?).cloned()
    }

    /// At most `limit` of those that follow the one with the id `after`, oldest first; waits until there is one.
    pub async fn after(&self, after: u64, limit: usize) -> Vec<Arc<DeadLetter>> {
        loop {
            let more = self.more.notified();
            {
                let kept = self.kept.lock();
                let place = kept.place(after + 1).unwrap_or_else(|place| place);
                if place < kept.letters.len() {
                    let ahead = kept.letters.iter().skip(place);
                    return ahead.take(limit).cloned().collect();
                }
            }
            more.await;
        }
    }

    /// Takes the one with this id off the list: it is settled.
    pub fn take(&self, id: u64) -> Option<Arc<DeadLetter>> {
        let mut kept = self.kept.lock();
        let place = kept.place(id).ok()?;
        let letter = kept.letters.remove(place)?;
        kept.bytes = kept.bytes.saturating_sub(letter.len());
        Some(letter)
    }

    /// Puts one back that was taken: it is not settled after all.
    pub fn put_back(&self, letter: Arc<DeadLetter>) {
        let mut kept = self.kept.lock();
        if let Err(place) = kept.place(letter.id) {
            kept.bytes += letter.len();
            kept.letters.insert(place, letter);
        }
    }
}

/// The dead letters of one slot.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetterBox(Arc<BoxInner>);

#[derive(Debug)]
struct BoxInner {
    all: Arc<DeadLetters>,
    count: AtomicU64,
    second: Mutex<(Option<Instant>, u32)>,
}

impl DeadLetterBox {
    pub(crate) fn new(all: Arc<DeadLetters>) -> Self {
        Self(Arc::new(BoxInner {
            all,
            count: AtomicU64::new(0),
            second: Mutex::default(),
        }))
    }

    /// The wall time.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.all.clock.wall()
    }

    /// What is shed for want of memory.
    pub(crate) fn shed(&self) -> &Shed {
        &self.0.all.shed
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Counts `message`, and keeps it unless the slot is flooded.
    pub(crate) fn add<M: Message>(
        &self,
        path: &ActorPath,
        message: &M,
        reason: DeadReason,
        exit: Option<&ExitReason>,
    ) {
        self.put(path, message.name(), || body(message), reason, exit);
    }

    /// Counts an event that was no message, and keeps it unless the slot is flooded.
    pub(crate) fn add_event(
        &self,
        path: &ActorPath,
        event: &Event,
        reason: DeadReason,
        exit: Option<&ExitReason>,
    ) {
        let body = || {
            let raw = to_raw_value(event).ok();
            let raw = raw.filter(|raw| raw.get().len() <= MESSAGE_LEN_MAX);
            let debug = raw
                .is_none()
                .then(|| format!("{} {}", event.id, event.topic));
            (raw, debug)
        };
        self.put(path, "Event", body, reason, exit);
    }

    /// Counts a message that a stuck thread still has, and keeps what is known of it: its name.
    pub(crate) fn add_name(
        &self,
        path: &ActorPath,
        name: &'static str,
        reason: DeadReason,
        exit: Option<&ExitReason>,
    ) {
        self.put(path, name, || (None, None), reason, exit);
    }

    fn put(
        &self,
        path: &ActorPath,
        name: &'static str,
        body: impl FnOnce() -> (Option<Box<RawValue>>, Option<String>),
        reason: DeadReason,
        exit: Option<&ExitReason>,
    ) {
        let inner = &*self.0;
        inner.count.fetch_add(1, Ordering::Relaxed);
        if !inner.is_kept() {
            inner.all.next.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (message, debug) = body();
        let mut letter = DeadLetter {
            id: 0,
            at: inner.all.clock.wall(),
            path: path.clone(),
            reason,
            exit: exit.cloned(),
            name,
            message,
            debug,
        };
        {
            let mut kept = inner.all.kept.lock();
            // Under the lock, so that they are in the order of their ids.
            letter.id = inner.all.next.fetch_add(1, Ordering::Relaxed);
            kept.push(letter);
        }
        inner.all.more.notify_waiters();
    }
}

/// What is kept of a message. Printing it runs code of its author, which may panic; the letter is then kept without.
fn body<M: Message>(message: &M) -> (Option<Box<RawValue>>, Option<String>) {
    let json = catch_unwind(AssertUnwindSafe(|| message.to_json())).unwrap_or_default();
    let raw = json.and_then(|json| RawValue::from_string(json.to_string()).ok());
    let raw = raw.filter(|raw| raw.get().len() <= MESSAGE_LEN_MAX);
    if raw.is_some() {
        return (raw, None);
    }
    let mut text = Cut(String::new());
    // A text that is full ends the printing with an error, which is no fault.
    let printed = catch_unwind(AssertUnwindSafe(|| write!(text, "{message:?}").is_ok()));
    (None, printed.is_ok().then_some(text.0))
}

impl BoxInner {
    fn is_kept(&self) -> bool {
        let now = Instant::now();
        let mut second = self.second.lock();
        let (since, count) = &mut *second;
        if since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            *since = Some(now);
            *count = 0;
        }
        *count += 1;
        *count <= KEPT_PER_SECOND || *count % SAMPLE == 0
    }
}

/// Takes the first [`DEBUG_LEN_MAX`] bytes of what is written.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.ends_with('…') && self.0.len() > DEBUG_LEN_MAX.saturating_sub(4) {
            return Err(fmt::Error);
        }
        let room = DEBUG_LEN_MAX.saturating_sub(self.0.len());
        if part.len() <= room {
            self.0.push_str(part);
            return Ok(());
        }
        let end = (0..=room)
            .rev()
            .find(|end| part.is_char_boundary(*end))
            .unwrap_or(0);
        self.0.push_str(part.get(..end).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Large(serde_json::Value);

    impl Message for Large {
        fn name(&self) -> &'static str {
            "large"
        }

        fn to_json(&self) -> Option<serde_json::Value> {
            Some(self.0.clone())
        }
    }

    fn bury(letters: &Arc<DeadLetters>, slots: u64, message: &Large) {
        for slot in 0..slots {
            // Each from a slot of its own, so that none is sampled.
            let path = format!("/s{slot}").parse().unwrap();
            DeadLetterBox::new(Arc::clone(letters)).add(&path, message, DeadReason::Stopped, None);
        }
    }

    #[tokio::test]
    async fn the_list_is_bounded_in_bytes_and_counts_all() {
        let letters = DeadLetters::new(Clock::real());
        let text = "x".repeat(MESSAGE_LEN_MAX - 2);

        bury(&letters, 900, &Large(text.into()));

        let kept = letters.list();
        assert!(kept.iter().map(|letter| letter.len()).sum::<usize>() <= KEPT_BYTES_MAX);
        assert_eq!(
            (letters.total(), kept.last().map(|letter| letter.id)),
            (900, Some(900))
        );
        assert!(kept.iter().all(|letter| letter.message.is_some()));
    }

    #[tokio::test]
    async fn they_are_read_on_and_taken_off_and_put_back_in_their_order() {
        let letters = DeadLetters::new(Clock::real());
        bury(&letters, 3, &Large("x".into()));

        let first = letters.take(1).unwrap();
        let second = letters.take(2).unwrap();
        assert!(letters.take(2).is_none());
        letters.put_back(second);
        letters.put_back(first);

        let read = letters.after(1, 9).await;
        let ids: Vec<u64> = read.iter().map(|letter| letter.id).collect();
        assert_eq!(ids, [2, 3]);
        assert_eq!(letters.list().len(), 3);
        let more = letters.after(3, 9);
        bury(&letters, 1, &Large("y".into()));
        assert_eq!(more.await.first().map(|letter| letter.id), Some(4));
    }

    #[test]
    fn the_words_of_all_reasons_are_those_that_are_printed() {
        let last = DeadReason::Fault;
        let printed = serde_json::to_value(last).unwrap();
        assert_eq!(printed, last.as_str());
        assert_eq!(DeadReason::WORDS.len(), last as usize + 1);
        assert_eq!(DeadReason::WORDS.last(), Some(&last.as_str()));
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_kept_cut() {
        let letters = DeadLetters::new(Clock::real());

        bury(&letters, 1, &Large("x".repeat(MESSAGE_LEN_MAX).into()));

        let letter = letters.get(1).unwrap();
        assert!(letter.message.is_none());
        assert!(letter.debug.as_ref().unwrap().len() <= DEBUG_LEN_MAX + '…'.len_utf8());
    }
}
