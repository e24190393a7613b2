//! Values as JSON, byte for byte as `serde_json` writes them: that one looks at each byte of a text by itself, while most
//! texts have nothing to escape and can be copied whole.

use serde_json::{Map, Value};

/// A value.
pub(super) fn put(into: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => put_text(into, text),
        Value::Array(values) => {
            into.push(b'[');
            for (at, value) in values.iter().enumerate() {
                put_comma(into, at);
                put(into, value);
            }
            into.push(b']');
        }
        Value::Object(map) => put_map(into, map),
        Value::Null | Value::Bool(_) | Value::Number(_) => put_slowly(into, value),
    }
}

/// An object.
pub(super) fn put_map(into: &mut Vec<u8>, map: &Map<String, Value>) {
    into.push(b'{');
    for (at, (key, value)) in map.iter().enumerate() {
        put_comma(into, at);
        put_text(into, key);
        into.push(b':');
        put(into, value);
    }
    into.push(b'}');
}

fn put_comma(into: &mut Vec<u8>, at: usize) {
    if at > 0 {
        into.push(b',');
    }
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    if has_escapes(text) {
        return put_slowly(into, text);
    }
    into.push(b'"');
    into.extend_from_slice(text.as_bytes());
    into.push(b'"');
}

/// Looks at all of it, without an end in between, so that many bytes are looked at at once.
fn has_escapes(text: &str) -> bool {
    let is_escaped = |byte: u8| u8::from(byte < b' ' || byte == b'"' || byte == b'\\');
    text.bytes().fold(0, |any, byte| any | is_escaped(byte)) != 0
}

fn put_slowly(into: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(into, value).expect("a JSON value has a JSON form");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_written_as_serde_json_writes_it(value in values()) {
            let mut written = Vec::new();
            put(&mut written, &value);

            prop_assert_eq!(written, serde_json::to_vec(&value).unwrap());
        }
    }

    #[test]
    fn each_single_byte_is_written_as_serde_json_writes_it() {
        for byte in 0..=127u8 {
            let value = json!({ char::from(byte).to_string(): [char::from(byte).to_string()] });
            let mut written = Vec::new();
            put(&mut written, &value);

            assert_eq!(written, serde_json::to_vec(&value).unwrap());
        }
    }
}
