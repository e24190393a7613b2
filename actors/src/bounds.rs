//! Bounds of settings, checked where they are read, so that `uk check` finds what is beyond them, at its place.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::duration::{DurationText, format_duration};

/// Reads an integer from `LEAST` to `MOST`.
///
/// # Errors
/// If it is none.
pub fn integer<'de, D: Deserializer<'de>, const LEAST: u32, const MOST: u32>(
    deserializer: D,
) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (LEAST..=MOST).contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(format!(
        "{number} is not from {LEAST} to {MOST}"
    )))
}

/// Reads a duration from `LEAST` to `MOST`, in milliseconds.
///
/// # Errors
/// If it is none.
pub fn duration<'de, D: Deserializer<'de>, const LEAST: u64, const MOST: u64>(
    deserializer: D,
) -> Result<DurationText, D::Error> {
    let duration = DurationText::deserialize(deserializer)?;
    let (least, most) = (Duration::from_millis(LEAST), Duration::from_millis(MOST));
    if (least..=most).contains(&duration.0) {
        return Ok(duration);
    }
    Err(D::Error::custom(format!(
        "{duration} is not from {} to {}",
        format_duration(least),
        format_duration(most)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_its_bounds_is_refused_and_the_bounds_are_said() {
        let number = |json: &str| {
            let mut json = serde_json::Deserializer::from_str(json);
            integer::<_, 1, 8>(&mut json).map_err(|error| error.to_string())
        };
        let time = |json: &str| {
            let mut json = serde_json::Deserializer::from_str(json);
            duration::<_, 100, 3_600_000>(&mut json).map_err(|error| error.to_string())
        };

        assert_eq!((number("1"), number("8")), (Ok(1), Ok(8)));
        assert!(number("9").unwrap_err().contains("9 is not from 1 to 8"));
        assert_eq!(time("\"1h\""), Ok(DurationText(Duration::from_secs(3_600))));
        let error = time("\"99ms\"").unwrap_err();
        assert!(error.contains("99ms is not from 100ms to 1h"), "{error}");
    }
}
