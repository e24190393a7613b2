//! An event as a line of a file: its JSON form, with the bytes of its blob in it as base64.

use serde_json::Value;

use super::event::{Blob, Draft, Event};

/// The longest blob whose bytes are in a line; of a longer one its type and length are.
pub const LINE_BLOB_LEN_MAX: usize = 512 << 10;

/// Why a line is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event in JSON: {0}; one is, in one line, {{\"topic\":\"sensor.load\",\"data\":1}}")]
pub struct InvalidLine(pub String);

/// The line of an event, without its end; and whether the bytes of its blob were left out.
#[must_use]
pub fn to_line(event: &Event) -> (String, bool) {
    let mut json = serde_json::json!(event);
    let Some(blob) = event.blob() else {
        return (json.to_string(), false);
    };
    let is_long = blob.bytes.len() > LINE_BLOB_LEN_MAX;
    if !is_long && let Some(Value::Object(form)) = json.get_mut("blob") {
        form.insert("base64".to_owned(), encode(&blob.bytes).into());
    }
    (json.to_string(), is_long)
}

/// The event of a line, as it may be published again. A blob without its bytes is left out.
///
/// # Errors
/// [`InvalidLine`].
pub fn from_line(line: &str) -> Result<Draft, InvalidLine> {
    from_json(serde_json::from_str(line).map_err(|error| InvalidLine(error.to_string()))?)
}

/// The same of the JSON that a line holds.
///
/// # Errors
/// [`InvalidLine`].
pub fn from_json(json: Value) -> Result<Draft, InvalidLine> {
    let blob = json.get("blob").map(read_blob).transpose()?.flatten();
    let draft = serde_json::from_value(json);
    let mut draft: Draft = draft.map_err(|error| InvalidLine(error.to_string()))?;
    if let Some(blob) = blob {
        draft = draft.blob(blob);
    }
    Ok(draft)
}

fn read_blob(form: &Value) -> Result<Option<Blob>, InvalidLine> {
    let Some(text) = form.get("base64").and_then(Value::as_str) else {
        return Ok(None);
    };
    let bytes =
        decode(text).ok_or_else(|| InvalidLine("`blob.base64` is not base64".to_owned()))?;
    let media_type = form.get("type").and_then(Value::as_str);
    Ok(Some(Blob {
        media_type: media_type.unwrap_or("application/octet-stream").into(),
        bytes: bytes.into(),
    }))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The standard base64 of RFC 4648, padded.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            let digit = DIGITS.get(digit).copied().unwrap_or(b'=');
            let is_there = place <= chunk.len();
            text.push(char::from(if is_there { digit } else { b'=' }));
        }
    }
    text
}

/// The bytes of what [`encode`] makes; `None` for all else.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let digit = match chunk.get(place) {
                Some(digit) => DIGITS.iter().position(|its| its == digit)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        let [_, made @ ..] = bits.to_be_bytes();
        bytes.extend(
            made.iter()
                .take(chunk.len().checked_sub(1).filter(|len| *len > 0)?),
        );
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_reads_as_it_prints_with_its_blob() {
        for len in 0..70_usize {
            let bytes: Vec<u8> = (0..len)
                .map(|at| u8::try_from(at * 37 % 256).unwrap())
                .collect();
            let blob = Blob {
                media_type: "image/raw".into(),
                bytes: bytes.into(),
            };
            let event = Draft::new(&"a.b".parse().unwrap(), json!({"x": 1}))
                .blob(blob)
                .as_it_is();

            let (line, is_left_out) = to_line(&event);

            assert_eq!(from_line(&line).unwrap().as_it_is(), event);
            assert!(!is_left_out && !line.contains('\n'));
        }
        assert_eq!(encode(b"Man"), "TWFu");
        assert_eq!(encode(b"Ma"), "TWE=");
        assert_eq!(encode(b"M"), "TQ==");
    }

    #[test]
    fn a_long_blob_is_left_out_and_said() {
        let blob = Blob {
            media_type: "image/raw".into(),
            bytes: vec![0; LINE_BLOB_LEN_MAX + 1].into(),
        };
        let event = Draft::new(&"a".parse().unwrap(), json!(1))
            .blob(blob)
            .as_it_is();

        let (line, is_left_out) = to_line(&event);

        assert!(is_left_out && line.len() < 1_000);
        assert_eq!(from_line(&line).unwrap().as_it_is().blob(), None);
    }

    #[test]
    fn what_is_no_event_says_why() {
        for (line, why) in [
            ("", "EOF"),
            ("[1]", "invalid type"),
            (r#"{"data":1}"#, "missing field `topic`"),
            (r#"{"topic":"a","blob":{"base64":"T"}}"#, "is not base64"),
            (r#"{"topic":"a","blob":{"base64":"T==="}}"#, "is not base64"),
            (r#"{"topic":"a","blob":{"base64":"T?=="}}"#, "is not base64"),
        ] {
            let error = from_line(line).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("one is, in one line"),
                "{error}"
            );
        }
    }
}
