//! What travels between actors that do not know each other: [`Event`], and [`Draft`], one that is not published yet.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::topic::Topic;
use crate::clock::Timestamp;
use crate::priority::Priority;

/// The longest JSON form of an event, in bytes; without its blob.
pub const EVENT_LEN_MAX: usize = 1 << 20;
/// The longest blob, in bytes.
pub const BLOB_LEN_MAX: usize = 64 << 20;

/// What tells an event from all others: 26 characters, those of a ULID, in the order of time.
///
/// 48 bits of milliseconds since 1970, 32 that a kernel draws when it starts, 48 that count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(u128);

/// Why a text is not an [`EventId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the id of an event: that is 26 of the characters 0-9 A-Z without I L O U, as in 01JDAX3M6Q8Z0000000000000B"
)]
pub struct InvalidEventId(pub String);

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_LEN: usize = 26;

impl EventId {
    /// From its number.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// As a number; greater is later, within a kernel.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; ID_LEN];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            let digit = usize::try_from(rest & 31).unwrap_or_default();
            *place = DIGITS.get(digit).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let invalid = || InvalidEventId(text.to_owned());
        let mut number: u128 = 0;
        if text.len() != ID_LEN || text.as_bytes().first().is_none_or(|first| *first > b'7') {
            return Err(invalid());
        }
        for byte in text.bytes() {
            let byte = byte.to_ascii_uppercase();
            let digit = DIGITS.iter().position(|digit| *digit == byte);
            number = number << 5 | digit.ok_or_else(invalid)? as u128;
        }
        Ok(Self(number))
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Makes the ids of one kernel.
#[derive(Debug)]
pub(crate) struct EventIds {
    kernel: u32,
    count: AtomicU64,
}

impl EventIds {
    pub(crate) fn new(kernel: u32) -> Self {
        let count = AtomicU64::new(0);
        Self { kernel, count }
    }

    /// That of something that is numbered elsewhere; the same for the same number, and no other event has it.
    pub(crate) fn of_number(&self, at: Timestamp, number: u64) -> EventId {
        self.make(at, number | 1 << 47)
    }

    /// The next one, at `now`.
    pub(crate) fn next(&self, now: Timestamp) -> EventId {
        self.make(now, self.count.fetch_add(1, Ordering::Relaxed))
    }

    fn make(&self, at: Timestamp, count: u64) -> EventId {
        let count = count & ((1 << 48) - 1);
        let ms = u128::from(at.unix_ms()) & ((1 << 48) - 1);
        EventId(ms << 80 | u128::from(self.kernel) << 48 | u128::from(count))
    }
}

/// A binary payload, shared by all who have the event: never copied for each.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it is, as in `image/jpeg`.
    pub media_type: Arc<str>,
    /// It.
    pub bytes: Bytes,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

/// In JSON a blob is its type and its length: its bytes travel beside.
impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", &*self.media_type)?;
        map.serialize_entry("bytes", &self.bytes.len())?;
        map.end()
    }
}

/// What only some events have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// Whatever travels along, as `trace_id` and `user_id`.
    pub meta: Map<String, Value>,
    /// When that which it tells of was seen, if not when it was published.
    pub captured_at: Option<Timestamp>,
    /// From when on nobody needs it any more.
    pub expires: Option<Timestamp>,
    /// The topic that an answer goes to.
    pub reply_to: Option<Topic>,
    /// What tells a request and its answer from others.
    pub correlation_id: Option<String>,
    /// A binary payload.
    pub blob: Option<Blob>,
}

/// What many events of one publisher have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What they are about.
    pub topic: Topic,
    /// Who published them: a path, or what an outsider calls itself.
    pub source: Arc<str>,
}

impl Head {
    /// Of these.
    #[must_use]
    pub fn new(topic: &Topic, source: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            topic: topic.clone(),
            source: Arc::clone(source),
        })
    }
}

impl Deref for Event {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// Something that happened. Shared by all who receive it.
///
/// In JSON `{"id":"01JD…","topic":"sensor.host.load","source":"/sensors/host","time":"2026-11-20T21:30:00.123456Z",
/// "priority":"normal","data":{"cpu":0.42}}`, and those of [`Extras`] that it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The idempotency key: made once, kept over retries.
    pub id: EventId,
    /// What it is about and who published it: `event.topic` and `event.source` are found through it.
    pub head: Arc<Head>,
    /// When it was published.
    pub time: Timestamp,
    /// The lane that it waits in.
    pub priority: Priority,
    /// What there is to say.
    pub data: Value,
    /// What only some have.
    pub extras: Option<Box<Extras>>,
}

impl Event {
    /// What travels along.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<&Value> {
        self.extras.as_ref()?.meta.get(key)
    }

    /// The binary payload.
    #[must_use]
    pub fn blob(&self) -> Option<&Blob> {
        self.extras.as_ref()?.blob.as_ref()
    }

    /// The topic that an answer goes to.
    #[must_use]
    pub fn reply_to(&self) -> Option<&Topic> {
        self.extras.as_ref()?.reply_to.as_ref()
    }

    /// What tells a request and its answer from others.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.extras.as_ref()?.correlation_id.as_deref()
    }

    /// From when on nobody needs it any more.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.extras.as_ref()?.expires
    }

    /// Whether it has to be measured: `false` only for what is short enough for sure, which costs next to nothing to find
    /// out.
    #[inline]
    pub(super) fn may_be_too_large(&self) -> bool {
        let left = spend(SURELY_FITS, &self.data);
        let left = left.and_then(|left| left.checked_sub(self.source.len()));
        match (left, &self.extras) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(left), Some(extras)) => !extras.surely_fit(left),
        }
    }
}

/// How much [`spend`] may take for an event that surely fits: an eighth of what one may have, without what each has.
const SURELY_FITS: usize = EVENT_LEN_MAX / 8 - 1_024;

/// What is left of `left` after `value`, which takes at least an eighth of its length in JSON: there a character is six at
/// most, and a number 24.
#[inline]
fn spend(left: usize, value: &Value) -> Option<usize> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => left.checked_sub(4),
        Value::String(text) => left.checked_sub(text.len() + 4),
        Value::Array(_) | Value::Object(_) => spend_all(left, value),
    }
}

fn spend_all(left: usize, value: &Value) -> Option<usize> {
    let mut left = left.checked_sub(4)?;
    match value {
        Value::Array(values) => {
            for value in values {
                left = spend(left, value)?;
            }
        }
        Value::Object(map) => left = spend_map(left, map)?,
        _ => {}
    }
    Some(left)
}

fn spend_map(mut left: usize, map: &Map<String, Value>) -> Option<usize> {
    for (key, value) in map {
        left = spend(left.checked_sub(key.len() + 4)?, value)?;
    }
    Some(left)
}

impl Extras {
    fn surely_fit(&self, left: usize) -> bool {
        let blob_len = self.blob.as_ref().map_or(0, |blob| blob.bytes.len());
        let texts = self.correlation_id.as_ref().map_or(0, String::len)
            + self.blob.as_ref().map_or(0, |blob| blob.media_type.len());
        let left = left.checked_sub(texts);
        blob_len <= BLOB_LEN_MAX && left.is_some_and(|left| spend_map(left, &self.meta).is_some())
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 12)?;
        event.serialize_field("id", &self.id)?;
        event.serialize_field("topic", &self.topic)?;
        event.serialize_field("source", &*self.source)?;
        event.serialize_field("time", &self.time)?;
        event.serialize_field("priority", &self.priority)?;
        event.serialize_field("data", &self.data)?;
        let Some(extras) = &self.extras else {
            return event.end();
        };
        if !extras.meta.is_empty() {
            event.serialize_field("meta", &extras.meta)?;
        }
        if let Some(captured_at) = &extras.captured_at {
            event.serialize_field("captured_at", captured_at)?;
        }
        if let Some(expires) = &extras.expires {
            event.serialize_field("expires", expires)?;
        }
        if let Some(reply_to) = &extras.reply_to {
            event.serialize_field("reply_to", reply_to)?;
        }
        if let Some(correlation_id) = &extras.correlation_id {
            event.serialize_field("correlation_id", correlation_id)?;
        }
        if let Some(blob) = &extras.blob {
            event.serialize_field("blob", blob)?;
        }
        event.end()
    }
}

/// An event that is not published yet. What it does not say, the bus fills in.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it is about.
    pub topic: Topic,
    /// What there is to say; `null` unless something is.
    pub data: Value,
    /// Its id, if it was published before; a new one unless given.
    pub id: Option<EventId>,
    /// Who said it first, if not who publishes it. Only outsiders say so.
    pub source: Option<Arc<str>>,
    /// When it was said first; now unless given.
    pub time: Option<Timestamp>,
    /// Its lane; that of its type in the catalog unless given.
    pub priority: Option<Priority>,
    /// What only some have.
    pub extras: Option<Box<Extras>>,
}

impl Draft {
    /// One that says `data` about `topic`.
    #[must_use]
    pub fn new(topic: &Topic, data: Value) -> Self {
        Self {
            topic: topic.clone(),
            data,
            id: None,
            source: None,
            time: None,
            priority: None,
            extras: None,
        }
    }

    /// With this priority.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// With this binary payload.
    #[must_use]
    pub fn blob(mut self, blob: Blob) -> Self {
        self.extras().blob = Some(blob);
        self
    }

    /// With `value` travelling along under `key`.
    #[must_use]
    pub fn meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extras().meta.insert(key.to_owned(), value.into());
        self
    }

    /// Its extras, made if there are none.
    pub fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Says the same again: with the id, time and source that it has.
    #[must_use]
    pub fn again(event: &Event) -> Self {
        Self {
            topic: event.topic.clone(),
            data: event.data.clone(),
            id: Some(event.id),
            source: Some(Arc::clone(&event.source)),
            time: Some(event.time),
            priority: Some(event.priority),
            extras: event.extras.clone(),
        }
    }

    /// The event as it stands, where no bus fills anything in: unknown ids are zero, and unknown times those of 1970.
    #[must_use]
    pub fn as_it_is(self) -> Event {
        let (topic, source) = (self.topic, self.source.unwrap_or_else(|| "".into()));
        Event {
            id: self.id.unwrap_or_default(),
            head: Arc::new(Head { topic, source }),
            time: self.time.unwrap_or_else(|| Timestamp::from_secs(0)),
            priority: self.priority.unwrap_or_default(),
            data: self.data,
            extras: self.extras,
        }
    }
}

/// A draft without its head.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) data: Value,
    pub(super) id: Option<EventId>,
    pub(super) time: Option<Timestamp>,
    pub(super) priority: Option<Priority>,
    pub(super) extras: Option<Box<Extras>>,
}

impl Said {
    /// Only what there is to say.
    pub(super) fn data(data: Value) -> Self {
        Self {
            data,
            id: None,
            time: None,
            priority: None,
            extras: None,
        }
    }
}

impl Draft {
    /// Its head, where `source` publishes it, and the rest.
    pub(super) fn apart(self, source: &Arc<str>) -> (Arc<Head>, Said) {
        let topic = self.topic;
        let source = self.source.unwrap_or_else(|| Arc::clone(source));
        let said = Said {
            data: self.data,
            id: self.id,
            time: self.time,
            priority: self.priority,
            extras: self.extras,
        };
        (Arc::new(Head { topic, source }), said)
    }
}

/// The JSON form, with the names that earlier systems have for some fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(alias = "channel")]
    topic: Topic,
    #[serde(default)]
    data: Value,
    id: Option<EventId>,
    source: Option<String>,
    time: Option<Timestamp>,
    /// Seconds since 1970.
    timestamp: Option<f64>,
    priority: Option<Priority>,
    #[serde(default, alias = "metadata")]
    meta: Map<String, Value>,
    captured_at: Option<Timestamp>,
    expires: Option<Timestamp>,
    reply_to: Option<Topic>,
    correlation_id: Option<String>,
    /// Said, and not there: its bytes do not travel in JSON.
    blob: Option<Value>,
}

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let time = match (form.time, form.timestamp) {
            (Some(time), _) => Some(time),
            (None, Some(seconds)) => {
                Some(Timestamp::from_unix_secs_f64(seconds).ok_or_else(|| {
                    D::Error::custom("`timestamp` is in seconds since 1970, as in 1763675400.25")
                })?)
            }
            (None, None) => None,
        };
        drop(form.blob);
        let extras = Extras {
            meta: form.meta,
            captured_at: form.captured_at,
            expires: form.expires,
            reply_to: form.reply_to,
            correlation_id: form.correlation_id,
            blob: None,
        };
        let extras = (extras != Extras::default()).then(|| Box::new(extras));
        Ok(Self {
            topic: form.topic,
            data: form.data,
            id: form.id,
            source: form.source.map(Arc::from),
            time,
            priority: form.priority,
            extras,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_reads_as_it_prints_and_keeps_the_order_of_time() {
        let ids = EventIds::new(7);
        let mut last = EventId::default();
        for ms in [1, 1, 2, 1_763_675_400_123] {
            let id = ids.next(Timestamp::from_unix_ms(ms));
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            assert!(id > last && id.to_string() > last.to_string());
            last = id;
        }
        for text in [
            "",
            "01JD",
            "81JDAX3M6Q8Z0000000000000B",
            "01JDAX3M6Q8Z0000000000000U",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_form_of_earlier_systems_is_read() {
        let draft: Draft = serde_json::from_value(json!({
            "channel": "perception.user_input", "source": "ui", "timestamp": 1_763_675_400.25,
            "data": {"text": "hello"}, "metadata": {"trace_id": "t1"},
        }))
        .unwrap();

        let event = draft.as_it_is();

        let printed = json!({
            "id": "00000000000000000000000000", "topic": "perception.user_input", "source": "ui",
            "time": "2025-11-20T21:50:00.250000Z", "priority": "normal", "data": {"text": "hello"},
            "meta": {"trace_id": "t1"},
        });
        assert_eq!(json!(event), printed);
        let again: Draft = serde_json::from_value(printed).unwrap();
        assert_eq!(again.as_it_is(), event);
    }

    #[test]
    fn what_is_no_event_says_where() {
        let rows = [
            (json!({"data": 1}), "missing field `topic`"),
            (json!({"topic": "a.*"}), "is a pattern, not a topic"),
            (json!({"topic": "a", "topik": 1}), "unknown field `topik`"),
            (
                json!({"topic": "a", "timestamp": 1e300}),
                "in seconds since 1970",
            ),
            (
                json!({"topic": "a", "priority": "urgent"}),
                "unknown variant `urgent`",
            ),
        ];
        for (json, said) in rows {
            let error = serde_json::from_value::<Draft>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
