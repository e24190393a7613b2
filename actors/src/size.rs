//! Sizes as people write them: [`parse_size`], [`format_size`], and [`SizeText`] for settings.
//!
//! A size is an integer above zero and one of `B`, `KiB`, `MiB`, `GiB`, `KB`, `MB`, `GB`; upper and lower case count as the
//! same.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest first.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// What a size looks like, for a JSON Schema. How large it may be is not in there.
pub const PATTERN: &str = "^0*[1-9][0-9]*([kKmMgG][iI]?)?[bB]$";

/// Reads `512MiB` or `2GB`, in bytes.
///
/// # Errors
/// A text that names the offender and, where it can be guessed, the right form.
///
/// ```
/// use unity_actors::size::parse_size;
///
/// assert_eq!(parse_size("512MiB"), Ok(512 << 20));
/// assert!(parse_size("512").unwrap_err().contains("`512MiB`"));
/// ```
pub fn parse_size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let number = digits.parse::<u64>();
    let is_unit = |known: &&(&str, u64)| known.0.eq_ignore_ascii_case(unit);
    match (number, UNITS.iter().find(is_unit)) {
        (Ok(number), _) if unit.is_empty() => {
            Err(format!("`{text}` has no unit; did you mean `{number}MiB`?"))
        }
        (Ok(0), Some(_)) => Err(format!(
            "`{text}` is no room at all; leave it out for no limit"
        )),
        (Ok(number), Some((_, bytes))) => number
            .checked_mul(*bytes)
            .ok_or_else(|| format!("`{text}` is more than any machine has")),
        _ => Err(format!(
            "`{text}` is not a size: write an integer and B, KiB, MiB, GiB, KB, MB or GB"
        )),
    }
}

/// Writes a size in the largest unit that shows it exactly: `512MiB`, `3KB`, `1001B`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let exact = UNITS
        .iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    match exact {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => "0B".to_owned(),
    }
}

/// A size in bytes that reads and writes as `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeText(pub u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_size(self.0))
    }
}

impl Serialize for SizeText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SizeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_bytes() {
        for (text, bytes) in [
            ("1B", 1),
            ("512MiB", 512 << 20),
            ("2gib", 2 << 30),
            ("3kb", 3_000),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, said) in [
            ("512", "did you mean `512MiB`?"),
            ("0MiB", "no room at all"),
            ("", "is not a size"),
            ("1.5GiB", "is not a size"),
            ("-1MiB", "is not a size"),
            ("5TiB", "is not a size"),
            ("18446744073709551615KiB", "more than any machine"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_size_is_written_in_the_largest_exact_unit_and_reads_back() {
        for (bytes, text) in [
            (1, "1B"),
            (1_001, "1001B"),
            (3_000, "3KB"),
            (512 << 20, "512MiB"),
            (2_000_000_000, "2GB"),
            (1 << 40, "1024GiB"),
        ] {
            let size = SizeText(bytes);
            assert_eq!(serde_json::to_value(size).unwrap(), text);
            assert_eq!(
                serde_json::from_value::<SizeText>(text.into()).unwrap(),
                size
            );
        }
        assert!(serde_json::from_str::<SizeText>("\"512\"").is_err());
    }
}
