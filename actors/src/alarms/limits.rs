//! From where on something is an alarm: [`AlarmSettings`].

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::duration::DurationText;

/// What a limit says that is none.
pub const OFF: &str = "off";

/// From where on something is an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmSettings {
    /// Time between two looks.
    pub every: DurationText,
    /// How much of what one lane of a mailbox takes may wait in all of its lanes.
    pub mailbox_depth: Share,
    /// How many times a child may be restarted within `restart_window`.
    pub restarts: Count,
    /// Within which time they are counted.
    pub restart_window: DurationText,
    /// How many events a durable subscription may be behind.
    pub lag: Count,
    /// How much of the file system of the data folder must be free.
    pub disk: Share,
    /// How much of the machine's memory may be used.
    pub memory: Share,
    /// How hot a part of the machine may be, in degrees Celsius.
    pub temperature: Count,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self {
            every: DurationText(Duration::from_secs(5)),
            mailbox_depth: Share(Some(80)),
            restarts: Count(Some(10)),
            restart_window: DurationText(Duration::from_secs(600)),
            lag: Count(Some(100_000)),
            disk: Share(Some(5)),
            memory: Share(Some(95)),
            temperature: Count(Some(90)),
        }
    }
}

/// A number, or none: `10` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub Option<u32>);

/// Whole percents, or none: `80%` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub Option<u32>);

/// What a share looks like, for a JSON Schema.
pub const SHARE_PATTERN: &str = "^0*([1-9]|[1-9][0-9]|100)%$";

/// Reads `80%`: from 1 to 100.
#[must_use]
pub fn parse_share(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('%')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let share = digits.parse().ok().filter(|_| is_plain);
    share.filter(|share| (1..=100).contains(share))
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(count) => serializer.serialize_u32(count),
            None => serializer.serialize_str(OFF),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(share) => serializer.collect_str(&format_args!("{share}%")),
            None => serializer.serialize_str(OFF),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value == OFF {
            return Ok(Self(None));
        }
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        count.map(|count| Self(Some(count))).ok_or_else(|| {
            D::Error::custom(format!(
                "`{value}` is neither a number above zero nor `off`"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == OFF {
            return Ok(Self(None));
        }
        let share = parse_share(&text);
        share.map(|share| Self(Some(share))).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is neither `1%` to `100%` nor `off`"))
        })
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": OFF }] })
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "pattern": SHARE_PATTERN }, { "const": OFF }] })
    }
}
