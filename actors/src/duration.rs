//! Durations as people write them: [`parse_duration`], [`format_duration`], and [`DurationText`] for settings.
//!
//! A duration is an integer and one of `ms`, `s`, `m`, `h`, `d`; nothing else is accepted, and what
//! is refused comes with the right form where it can be guessed.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration that a file may name, in days: a hundred years.
pub const DURATION_DAYS_MAX: u64 = 36_500;

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `250ms`, `5s`, `10m`, `2h` or `1d`.
///
/// # Errors
/// A text that names the offender and, where it can be guessed, the right form.
///
/// ```
/// use std::time::Duration;
/// use unity_actors::duration::parse_duration;
///
/// assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
/// assert!(parse_duration("5 sec").unwrap_err().contains("`5s`"));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    check(text).map_err(|refusal| match refusal.meant {
        Some(meant) => format!("{}; did you mean `{meant}`?", refusal.what),
        None => format!("{}; {FORM}", refusal.what),
    })
}

/// Writes a duration in the largest unit that shows it exactly: `90s`, `2h`, `1500ms`.
///
/// What is below a millisecond is left out.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let exact = UNITS
        .iter()
        .find(|(_, unit)| ms > 0 && ms.is_multiple_of(u128::from(*unit)));
    match exact {
        Some((name, unit)) => format!("{}{name}", ms / u128::from(*unit)),
        None => "0ms".to_owned(),
    }
}

/// What a duration looks like, for a JSON Schema. How long it may be is not in there.
pub const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

/// A number without a unit is taken for milliseconds from here on, for seconds below.
const MS_MIN: u64 = 1000;

/// What a duration looks like, for people.
pub const FORM: &str = "write an integer and a unit (ms, s, m, h, d), as in `250ms` or `5s`";

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub what: String,
    /// What was probably meant.
    pub meant: Option<String>,
    /// Whether that says the same, nothing guessed and nothing rounded.
    pub sure: bool,
}

/// Reads a duration; the refusal comes in parts.
///
/// # Errors
/// [`Refusal`] says what is wrong and, where it can be guessed, what was meant.
pub fn check(text: &str) -> Result<Duration, Refusal> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    let Some(factor) = factor.filter(|_| digits > 0) else {
        let what = if digits > 0 && unit.is_empty() {
            format!("`{}` has no unit", shown(text))
        } else {
            format!("`{}` is not a duration", shown(text))
        };
        let (meant, sure) = meant(text).unzip();
        return Err(Refusal {
            what,
            meant,
            sure: sure.unwrap_or_default(),
        });
    };
    let most = DURATION_DAYS_MAX * 86_400_000;
    let ms = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    match ms.filter(|ms| *ms <= most) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err(Refusal {
            what: format!(
                "`{}` is longer than the longest duration, {DURATION_DAYS_MAX}d",
                shown(text)
            ),
            meant: None,
            sure: false,
        }),
    }
}

/// Reads generously (`5 sec`, `1.5s`, `1h30m`, `5`) and writes what that would be, and whether that is sure.
fn meant(text: &str) -> Option<(String, bool)> {
    let mut rest = text.trim();
    if let Some(ms) = rest.parse::<u64>().ok().filter(|ms| *ms >= MS_MIN) {
        let days = ms / 86_400_000;
        return (days <= DURATION_DAYS_MAX).then(|| (format!("{ms}ms"), false));
    }
    let mut total_ms = 0.0_f64;
    // `M` may be minutes, months or millions.
    let mut sure = !rest.contains(|c: char| c.is_ascii_uppercase());
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, next) = split_while(after.trim_start(), |c| c.is_ascii_alphabetic());
        let ms = match unit.to_ascii_lowercase().as_str() {
            "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1.0,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            _ => return None,
        };
        total_ms += number.parse::<f64>().ok()? * ms;
        sure &= !unit.is_empty();
        rest = next.trim_start();
    }
    let days = total_ms / 86_400_000.0;
    if text.trim().is_empty() || days > 36_500.0 {
        return None;
    }
    sure &= total_ms.fract() == 0.0;
    if total_ms < 1.0 {
        let least = if total_ms == 0.0 { "0s" } else { "1ms" };
        return Some((least.to_owned(), sure));
    }
    let duration = Duration::try_from_secs_f64(total_ms.round() / 1000.0).ok()?;
    Some((format_duration(duration), sure))
}

fn split_while(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A text of somebody else's, short and in one line.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(SHOWN_MAX) {
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || turns {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// How many characters of a refused text are shown.
const SHOWN_MAX: usize = 40;

/// A duration that reads and writes as `250ms`, `2s`, `5m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
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
                parse_duration(text).map(DurationText).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<DurationText, E> {
                self.visit_str(&number.to_string())
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
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_an_integer_and_a_unit() {
        for (text, ms) in [
            ("0ms", 0),
            ("250ms", 250),
            ("5s", 5000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("007s", 7000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_right_form() {
        for (text, expected) in [
            ("5", "`5` has no unit; did you mean `5s`?"),
            ("0", "`0` has no unit; did you mean `0s`?"),
            ("5000", "`5000` has no unit; did you mean `5000ms`?"),
            ("5 s", "did you mean `5s`?"),
            ("5sec", "did you mean `5s`?"),
            ("5S", "did you mean `5s`?"),
            ("1.5s", "did you mean `1500ms`?"),
            ("1h30m", "did you mean `90m`?"),
            ("0.1ms", "did you mean `1ms`?"),
            ("2 minutes", "did you mean `2m`?"),
            ("", "is not a duration; write an integer"),
            ("soon", "`soon` is not a duration; write an integer"),
            ("-5s", "is not a duration; write an integer"),
            ("5w", "is not a duration; write an integer"),
            ("99999999999999999999s", "longer than the longest duration"),
            ("36501d", "longer than the longest duration, 36500d"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn only_what_says_the_same_is_sure() {
        for (text, expected) in [
            ("5 sec", true),
            ("1.5s", true),
            ("1h30m", true),
            ("5", false),
            ("5000", false),
            ("5M", false),
            ("0.1ms", false),
            ("soon", false),
        ] {
            assert_eq!(check(text).unwrap_err().sure, expected, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_the_largest_exact_unit_and_reads_back() {
        for (ms, expected) in [
            (0, "0ms"),
            (1, "1ms"),
            (1500, "1500ms"),
            (90_000, "90s"),
            (120_000, "2m"),
            (7_200_000, "2h"),
            (172_800_000, "2d"),
        ] {
            let duration = Duration::from_millis(ms);
            assert_eq!(format_duration(duration), expected);
            assert_eq!(parse_duration(expected), Ok(duration));
        }
    }

    #[test]
    fn the_pattern_names_every_unit() {
        let units = UNITS.map(|(name, _)| name);
        let named = PATTERN
            .trim_start_matches("^[0-9]+(")
            .trim_end_matches(")$");

        assert!(named.split('|').eq(units.into_iter().rev()));
    }

    #[test]
    fn settings_read_and_write_durations_as_texts() {
        let read = serde_json::from_str::<DurationText>("\"2s\"").unwrap();
        assert_eq!(read, DurationText(Duration::from_secs(2)));
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"2s\"");

        let error = serde_json::from_str::<DurationText>("5")
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `5s`"), "{error}");
    }
}
