//! What could stand in a message that is being written, from the JSON Schema of its type.

use serde_json::{Map, Value, json};

use super::{Candidate, candidate, line};
use crate::screen::{list, text};

/// The messages that have no fields, as bare words, which no shell takes apart.
pub(super) fn words(schema: &Value) -> Vec<Candidate> {
    let bare = variants(schema).filter(|(_, payload)| skeleton(schema, payload).is_null());
    bare.map(|(name, payload)| candidate(name, &line(text(payload, "description"))))
        .collect()
}

/// What `current`, which is JSON or nothing yet, could become: a whole message, or its next key.
pub(super) fn messages(schema: &Value, current: &str) -> Vec<Candidate> {
    match keys_before(current) {
        Some(open) if !open.path.is_empty() => fields(schema, current, &open),
        _ => variants(schema)
            .map(|(name, payload)| {
                let whole = json!({ name: skeleton(schema, payload) });
                let about = line(text(payload, "description"));
                candidate(&spaced(&whole), &about)
            })
            .collect(),
    }
}

/// The name and the payload of each message.
fn variants(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let objects = list(schema, "oneOf").iter();
    let properties = objects.filter_map(|variant| variant.get("properties")?.as_object());
    properties.flatten()
}

/// The smallest value that has the form of a schema.
fn skeleton(root: &Value, schema: &Value) -> Value {
    let schema = referred(root, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required = list(schema, "required");
        let is_required = |name: &str| required.iter().any(|known| known == name);
        let fields = properties.iter().filter(|(name, _)| is_required(name));
        let fields: Map<String, Value> = fields
            .map(|(name, field)| (name.clone(), skeleton(root, field)))
            .collect();
        return Value::Object(fields);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => json!(0),
        Some("string") => json!(""),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => Value::Null,
    }
}

fn referred<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str);
    name.and_then(|name| root.pointer(name.trim_start_matches('#')))
        .unwrap_or(schema)
}

/// JSON as people write it: a blank after each colon and comma.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let fields = object.iter();
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{}: {}", json!(name), spaced(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// The object that is open at the end of a text that is not finished, where its next key is to stand.
struct Open {
    /// The keys that lead to it.
    path: Vec<String>,
    /// The keys that it has.
    has: Vec<String>,
    /// Where its next key begins.
    at: usize,
}

/// One object that is open.
#[derive(Default)]
struct Level {
    has: Vec<String>,
    /// The key whose value is being written.
    key: Option<String>,
}

/// `None` where no key comes next.
fn keys_before(current: &str) -> Option<Open> {
    let mut levels: Vec<Level> = Vec::new();
    let (mut text, mut escaped) = (None::<(usize, String)>, false);
    let mut at = current.len();
    let mut wants_key = false;
    for (place, c) in current.char_indices() {
        if let Some((_, said)) = &mut text {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let said = std::mem::take(said);
                    text = None;
                    let level = levels.last_mut()?;
                    if wants_key {
                        level.has.push(said.clone());
                        level.key = Some(said);
                    }
                }
                c => said.push(c),
            }
            continue;
        }
        match c {
            '"' => {
                text = Some((place, String::new()));
                at = place;
            }
            '{' => {
                levels.push(Level::default());
                wants_key = true;
                at = place + 1;
            }
            '}' => {
                levels.pop()?;
                wants_key = false;
            }
            ':' => wants_key = false,
            ',' => {
                wants_key = true;
                levels.last_mut()?.key = None;
                at = place + 1;
            }
            // Which of them is open nobody could say by its keys.
            '[' | ']' => return None,
            c if c.is_whitespace() && wants_key => at = place + 1,
            _ => {}
        }
    }
    let open = levels
        .pop()
        .filter(|open| wants_key && open.key.is_none())?;
    Some(Open {
        path: levels.into_iter().filter_map(|level| level.key).collect(),
        has: open.has,
        at,
    })
}

/// The fields that the open object of a message may still have.
fn fields(schema: &Value, current: &str, open: &Open) -> Vec<Candidate> {
    let Some((name, below)) = open.path.split_first() else {
        return Vec::new();
    };
    let payload = variants(schema).find(|(known, _)| *known == name);
    let object = below
        .iter()
        .try_fold(payload.map(|(_, payload)| payload), |at, key| {
            let at = referred(schema, at?);
            Some(at.get("properties")?.get(key))
        });
    let Some(object) = object.flatten() else {
        return Vec::new();
    };
    let properties = referred(schema, object).get("properties");
    let properties = properties.and_then(Value::as_object).into_iter().flatten();
    let lead = current.get(..open.at).unwrap_or_default();
    properties
        .filter(|(name, _)| !open.has.contains(name))
        .map(|(name, field)| {
            let about = line(text(field, "description"));
            candidate(&format!("{lead}{}: ", json!(name)), &about)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        let variant = |name: &str, payload: Value| json!({ "type": "object", "properties": { name: payload }, "required": [name] });
        let to = json!({
            "type": "object", "required": ["x", "y"],
            "properties": {
                "x": { "type": "number", "description": "to the right\nin metres" },
                "y": { "type": "number" },
                "how": { "$ref": "#/$defs/How" },
            },
        });
        json!({
            "oneOf": [
                variant("release", Value::Null), variant("close", json!({"type": "number"})),
                variant("move", to),
            ],
            "$defs": { "How": { "type": "object", "properties": { "fast": { "type": "boolean" } } } },
        })
    }

    fn values(current: &str) -> Vec<String> {
        let found = messages(&schema(), current).into_iter();
        found
            .map(|found| found.value)
            .filter(|value| value.starts_with(current))
            .collect()
    }

    #[test]
    fn a_message_is_offered_whole() {
        assert_eq!(
            values(""),
            [
                r#"{"release": null}"#,
                r#"{"close": 0}"#,
                r#"{"move": {"x": 0, "y": 0}}"#
            ]
        );
        assert_eq!(values("{\"m"), [r#"{"move": {"x": 0, "y": 0}}"#]);
        assert_eq!(words(&schema()).len(), 1);
        assert!(messages(&Value::Null, "{").is_empty());
    }

    #[test]
    fn inside_of_a_message_its_next_field_is_offered() {
        assert_eq!(
            values(r#"{"move": {"#),
            [
                r#"{"move": {"how": "#,
                r#"{"move": {"x": "#,
                r#"{"move": {"y": "#
            ]
        );
        assert_eq!(
            values(r#"{"move": {"x": 1, ""#),
            [r#"{"move": {"x": 1, "how": "#, r#"{"move": {"x": 1, "y": "#]
        );
        assert_eq!(
            values(r#"{"move": {"how": {"#),
            [r#"{"move": {"how": {"fast": "#]
        );
        assert_eq!(
            values(r#"{"move": {"x": "#),
            [r#"{"move": {"x": 0, "y": 0}}"#]
        );
        for done in [r#"{"move": {"x": 7"#, r#"{"nope": {"#, r#"{"move": {"z": "#] {
            assert!(values(done).is_empty(), "{done}");
        }
        let about = &messages(&schema(), r#"{"move": {"x"#)[1].about;
        assert_eq!(about, "to the right");
    }
}
