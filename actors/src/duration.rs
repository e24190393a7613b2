//! Durations as people write them in settings: an integer and `ms`, `s`, `m`, `h` or `d`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration that reads and writes as `250ms`, `2s`, `5m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub Duration);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl DurationText {
    /// Reads a duration.
    ///
    /// # Errors
    /// A sentence that says the right form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let number = number.parse::<u64>().ok();
        let unit_ms = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, ms)| *ms);
        match (number, unit_ms) {
            (Some(number), Some(unit_ms)) => number
                .checked_mul(unit_ms)
                .map(|ms| Self(Duration::from_millis(ms)))
                .ok_or_else(|| format!("`{text}` is too long a time")),
            _ => Err(format!(
                "`{text}` is not a duration: write an integer and ms, s, m, h or d, as in 500ms or 2s"
            )),
        }
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let fits = UNITS
            .iter()
            .rev()
            .find(|(_, unit)| ms > 0 && ms.is_multiple_of(u128::from(*unit)));
        let (unit, size) = fits.copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", ms / u128::from(size))
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = DurationText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration as in 500ms or 2s")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DurationText, E> {
                DurationText::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<DurationText, E> {
                Err(E::custom(format!(
                    "a duration needs a unit: did you mean `{number}s`?"
                )))
            }
        }
        deserializer
            .deserialize_any(Visitor)
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_in_the_largest_unit_that_fits() {
        for (text, ms, printed) in [
            ("500ms", 500, "500ms"),
            ("2s", 2_000, "2s"),
            ("120s", 120_000, "2m"),
            ("90m", 5_400_000, "90m"),
            ("7d", 604_800_000, "7d"),
            ("0s", 0, "0ms"),
        ] {
            let duration = DurationText::parse(text).unwrap();
            assert_eq!(duration.0, Duration::from_millis(ms), "{text}");
            assert_eq!(duration.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_right_form() {
        for text in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "5 s",
            "5sec",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(DurationText::parse(text).is_err(), "{text:?}");
        }
        let error = serde_json::from_str::<DurationText>("5")
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `5s`"), "{error}");
    }
}
