//! How an event is stored: the one file that knows its form, version 1.
//!
//! A record is a head of 36 bytes and a body. All numbers are little endian.
//!
//! | head | |
//! |---|---|
//! | marker | 4 bytes, `F5 55 4B 52` |
//! | length of the body | 4 |
//! | position | 8 of milliseconds, 8 of the number within them |
//! | how much of the segment was on disk when this was written | 4 |
//! | CRC-32 of the body | 4 |
//! | CRC-32 of the head so far, begun with that of the segment's name | 4 |
//!
//! The body is the id (16), the time in microseconds (8), the priority (1), which extras there are (1), then topic, source and
//! data in JSON, each behind its length (4), then the extras in the order of their bits. A form that is out in the
//! world is never changed: the next one has another version, which the head of its segment says.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use unity_supervisors::bus::{Blob, Event, EventId, Extras, Topic};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::Position;
use unity_supervisors::{Priority, bus};

use super::bug::{Bug, is_planted};
use super::json;

/// The first byte is in no text, so that looking for it is quick.
pub(super) const MARKER: [u8; 4] = [0xF5, b'U', b'K', b'R'];
/// The length of a head.
pub(super) const HEAD_LEN: usize = 36;

/// What is before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) body_len: u32,
    pub(super) position: Position,
    /// The segment was on disk up to here when this was written. Where it is torn before, it was not the crash.
    pub(super) durable_to: u32,
    pub(super) body_crc: u32,
}

fn salted_crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

impl Head {
    pub(super) fn to_bytes(self, salt: u32) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let mut rest = &mut bytes[..];
        put_slice(&mut rest, &MARKER);
        put_slice(&mut rest, &self.body_len.to_le_bytes());
        put_slice(&mut rest, &self.position.ms.to_le_bytes());
        put_slice(&mut rest, &self.position.seq.to_le_bytes());
        put_slice(&mut rest, &self.durable_to.to_le_bytes());
        put_slice(&mut rest, &self.body_crc.to_le_bytes());
        let (head, crc) = bytes.split_at_mut(HEAD_LEN - 4);
        crc.copy_from_slice(&salted_crc(salt, head).to_le_bytes());
        bytes
    }

    /// The head that `bytes` begin with, if it is one of this segment.
    pub(super) fn read(bytes: &[u8], salt: u32) -> Option<Self> {
        let head = bytes.get(..HEAD_LEN)?;
        let (checked, mut crc) = head.split_at_checked(HEAD_LEN - 4)?;
        let mut rest = checked.strip_prefix(&MARKER)?;
        if salted_crc(salt, checked) != u32::from_le_bytes(take(&mut crc)?) {
            return None;
        }
        Some(Self {
            body_len: u32::from_le_bytes(take(&mut rest)?),
            position: Position {
                ms: u64::from_le_bytes(take(&mut rest)?),
                seq: u64::from_le_bytes(take(&mut rest)?),
            },
            durable_to: u32::from_le_bytes(take(&mut rest)?),
            body_crc: u32::from_le_bytes(take(&mut rest)?),
        })
    }

    /// The body behind this head, at the start of `bytes`, if it is whole.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let body = bytes.get(HEAD_LEN..)?.get(..self.body_len as usize)?;
        let is_whole = crc32fast::hash(body) == self.body_crc;
        (is_whole || is_planted(Bug::TrustsRecords)).then_some(body)
    }
}

const BODY_CRC_AT: usize = 28;

/// An event as a record of which the head is not known yet, but for what it says of the body.
pub(super) fn record(event: &Event) -> Vec<u8> {
    let mut record = Vec::with_capacity(512);
    record.resize(HEAD_LEN, 0);
    encode(event, &mut record);
    if let Some((head, body)) = record.split_at_mut_checked(HEAD_LEN)
        && let Some(crc) = head.get_mut(BODY_CRC_AT..BODY_CRC_AT + 4)
    {
        crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    }
    record
}

/// Gives a record its head.
pub(super) fn set_head(record: &mut [u8], position: Position, durable_to: u32, salt: u32) {
    let Some((head, body)) = record.split_first_chunk_mut::<HEAD_LEN>() else {
        return;
    };
    let mut body_crc = head.get(BODY_CRC_AT..).unwrap_or_default();
    let new = Head {
        body_len: u32::try_from(body.len()).expect("an event is shorter than 4 GiB"),
        position,
        durable_to,
        body_crc: take(&mut body_crc).map_or(0, u32::from_le_bytes),
    };
    *head = new.to_bytes(salt);
}

fn put_slice(rest: &mut &mut [u8], bytes: &[u8]) {
    let (now, later) = std::mem::take(rest).split_at_mut(bytes.len());
    now.copy_from_slice(bytes);
    *rest = later;
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, later) = rest.split_first_chunk()?;
    *rest = later;
    Some(*taken)
}

const HAS_EXTRAS: u8 = 1;
const HAS_META: u8 = 2;
const HAS_CAPTURED_AT: u8 = 4;
const HAS_EXPIRES: u8 = 8;
const HAS_REPLY_TO: u8 = 16;
const HAS_CORRELATION_ID: u8 = 32;
const HAS_BLOB: u8 = 64;

fn flags_of(extras: &Extras) -> u8 {
    [
        (HAS_META, !extras.meta.is_empty()),
        (HAS_CAPTURED_AT, extras.captured_at.is_some()),
        (HAS_EXPIRES, extras.expires.is_some()),
        (HAS_REPLY_TO, extras.reply_to.is_some()),
        (HAS_CORRELATION_ID, extras.correlation_id.is_some()),
        (HAS_BLOB, extras.blob.is_some()),
    ]
    .iter()
    .fold(HAS_EXTRAS, |flags, (bit, is_set)| {
        flags | if *is_set { *bit } else { 0 }
    })
}

/// An event as the body of a record.
fn encode(event: &Event, into: &mut Vec<u8>) {
    into.extend(event.id.as_u128().to_le_bytes());
    into.extend(event.time.unix_us().to_le_bytes());
    let priority = Priority::ALL.iter().position(|one| *one == event.priority);
    into.push(u8::try_from(priority.unwrap_or_default()).unwrap_or_default());
    into.push(event.extras.as_deref().map_or(0, flags_of));
    put(into, event.topic.as_str().as_bytes());
    put(into, event.source.as_bytes());
    put_behind_len(into, |into| json::put(into, &event.data));
    let Some(extras) = &event.extras else {
        return;
    };
    if !extras.meta.is_empty() {
        put_behind_len(into, |into| json::put_map(into, &extras.meta));
    }
    for time in [extras.captured_at, extras.expires].into_iter().flatten() {
        into.extend(time.unix_us().to_le_bytes());
    }
    let reply_to = extras.reply_to.as_ref().map(Topic::as_str);
    for text in [reply_to, extras.correlation_id.as_deref()]
        .into_iter()
        .flatten()
    {
        put(into, text.as_bytes());
    }
    if let Some(blob) = &extras.blob {
        put(into, blob.media_type.as_bytes());
        put(into, &blob.bytes);
    }
}

fn put_len(into: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("an event is shorter than 4 GiB");
    into.extend(len.to_le_bytes());
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    put_len(into, bytes.len());
    into.extend(bytes);
}

fn put_behind_len(into: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let at = into.len();
    into.extend([0; 4]);
    put(into);
    let len = u32::try_from(into.len() - at - 4).expect("an event is shorter than 4 GiB");
    if let Some(place) = into.get_mut(at..at + 4) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

/// Names that follow each other are mostly the same: those are shared.
#[derive(Default)]
pub(super) struct Names {
    topic: Option<Topic>,
    source: Option<Arc<str>>,
}

impl Names {
    fn topic(&mut self, text: &str) -> Option<Topic> {
        match &self.topic {
            Some(known) if known.as_str() == text => {}
            _ => self.topic = Some(Topic::new(text).ok()?),
        }
        self.topic.clone()
    }

    fn source(&mut self, text: &str) -> Option<Arc<str>> {
        match &self.source {
            Some(known) if **known == *text => {}
            _ => self.source = Some(text.into()),
        }
        self.source.clone()
    }
}

/// The event of the body of a record; `None` if it is none.
pub(super) fn decode(body: &[u8], names: &mut Names) -> Option<Event> {
    let rest = &mut &*body;
    let id = EventId::from_u128(u128::from_le_bytes(take(rest)?));
    let time = take_time(rest)?;
    let [priority, flags] = take(rest)?;
    let event = Event {
        id,
        time,
        priority: *Priority::ALL.get(usize::from(priority))?,
        head: {
            let topic = names.topic(take_text(rest)?)?;
            bus::Head::new(&topic, &names.source(take_text(rest)?)?)
        },
        data: serde_json::from_slice(take_bytes(rest)?).ok()?,
        extras: take_extras(rest, flags)?,
    };
    rest.is_empty().then_some(event)
}

/// The id in the body of a record, without the rest.
pub(super) fn id_of(body: &[u8]) -> Option<EventId> {
    let id = take(&mut &*body)?;
    Some(EventId::from_u128(u128::from_le_bytes(id)))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(take(rest)?);
    let (taken, later) = rest.split_at_checked(len as usize)?;
    *rest = later;
    Some(taken)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(rest)?).ok()
}

fn take_time(rest: &mut &[u8]) -> Option<Timestamp> {
    let us = i64::from_le_bytes(take(rest)?);
    Some(Timestamp::from_unix_us(us))
}

#[expect(
    clippy::option_option,
    reason = "outside: whether it is one; inside: whether there are any"
)]
fn take_extras(rest: &mut &[u8], flags: u8) -> Option<Option<Box<Extras>>> {
    if flags & HAS_EXTRAS == 0 {
        return Some(None);
    }
    let has = |bit: u8| flags & bit != 0;
    let mut extras = Extras::default();
    if has(HAS_META) {
        let Value::Object(meta) = serde_json::from_slice(take_bytes(rest)?).ok()? else {
            return None;
        };
        extras.meta = meta;
    }
    if has(HAS_CAPTURED_AT) {
        extras.captured_at = Some(take_time(rest)?);
    }
    if has(HAS_EXPIRES) {
        extras.expires = Some(take_time(rest)?);
    }
    if has(HAS_REPLY_TO) {
        extras.reply_to = Some(Topic::new(take_text(rest)?).ok()?);
    }
    if has(HAS_CORRELATION_ID) {
        extras.correlation_id = Some(take_text(rest)?.to_owned());
    }
    if has(HAS_BLOB) {
        extras.blob = Some(Blob {
            media_type: take_text(rest)?.into(),
            bytes: Bytes::copy_from_slice(take_bytes(rest)?),
        });
    }
    Some(Some(Box::new(extras)))
}
