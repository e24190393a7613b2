//! The JSON Schema of plans: [`schema`], made of the types.

use serde_json::{Map, Value, json};
use unity_actors::chaos::plan::Plan;
use unity_actors::duration;

use crate::tree_file::plain::variable_schema;

/// Durations that have to be above zero.
const ABOVE_ZERO: [&str; 3] = ["for", "by", "p99"];

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Plan).to_value();
    refine(&mut schema);
    let above_zero = duration::PATTERN.replace("[0-9]+", "0*[1-9][0-9]*");
    put(
        &mut schema,
        &[],
        [
            ("title", json!("UnityKernel chaos plan")),
            (
                "description",
                json!("What is broken, where, how fast, and what must hold meanwhile."),
            ),
        ],
    );
    put(
        &mut schema,
        &["properties"],
        [(
            "version",
            json!({ "description": "The version of this form.", "const": 1 }),
        )],
    );
    put(
        &mut schema,
        &["$defs"],
        [
            (
                "DurationAboveZero",
                or_variable(json!({ "type": "string", "pattern": above_zero })),
            ),
            ("variable", variable_schema()),
        ],
    );
    schema
}

/// Lets variables stand where a value of a narrow form may, and nothing at all where that is the same as no such key; says
/// which durations have to be above zero.
fn refine(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(refine),
        Value::Object(object) => {
            object.values_mut().for_each(refine);
            for key in ABOVE_ZERO {
                let reference = object.get_mut(key).and_then(|value| value.get_mut("$ref"));
                if let Some(reference) = reference {
                    *reference = json!("#/$defs/DurationAboveZero");
                }
            }
            refine_one(object);
        }
        _ => {}
    }
}

fn refine_one(object: &mut Map<String, Value>) {
    // A path that is not said is left out.
    if object.get("type") == Some(&json!(["string", "null"])) {
        object.insert("type".to_owned(), json!("string"));
    }
    let of_type = object
        .get("type")
        .and_then(Value::as_str)
        .map(str::to_owned);
    // How many bits a number has here is nothing to an editor.
    object.remove("format");
    if object.contains_key("const") || object.contains_key("enum") {
        return;
    }
    match of_type.as_deref() {
        Some("array") => {
            object.insert("type".to_owned(), json!(["array", "null"]));
        }
        Some("integer") => {
            object.entry("maximum").or_insert(json!(u32::MAX));
            in_variable(object);
        }
        Some("boolean") => in_variable(object),
        Some("string") if object.contains_key("pattern") => in_variable(object),
        _ => {}
    }
}

fn in_variable(object: &mut Map<String, Value>) {
    let mut form = std::mem::take(object);
    for kept in ["description", "default"] {
        if let Some(value) = form.remove(kept) {
            object.insert(kept.to_owned(), value);
        }
    }
    if let Value::Object(wrapped) = or_variable(Value::Object(form)) {
        object.extend(wrapped);
    }
}

fn or_variable(form: Value) -> Value {
    json!({ "anyOf": [form, { "$ref": "#/$defs/variable" }] })
}

fn put<const N: usize>(schema: &mut Value, way: &[&str], entries: [(&str, Value); N]) {
    let found = way.iter().try_fold(schema, |value, key| value.get_mut(key));
    if let Some(Value::Object(object)) = found {
        object.extend(entries.map(|(key, value)| (key.to_owned(), value)));
    }
}
