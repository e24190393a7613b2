//! The JSON Schema of `system.yaml`: [`schema`].
//!
//! Names, descriptions and defaults are derived from the settings; what may stand after a key comes from the table of
//! keys, which is also what the reader goes by.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::keys::{KEYS, Key};
use super::{SystemSettings, find};
use crate::tree_file::plain;

/// The schema, draft 2020-12. `x-takes-effect` says of each key when a change does.
#[must_use]
pub fn schema() -> Value {
    let mut schema = derived();
    for key in KEYS {
        let Some(found) = schema.pointer_mut(&pointer(key.name)) else {
            continue;
        };
        let told = json!({
            "description": described_in(found),
            "default": found.get("default").cloned().unwrap_or(Value::Null),
            "x-takes-effect": key.effect.as_str(),
        });
        *found = key.form.schema();
        extend(found, told);
    }
    // A mapping whose keys are all commented out is nothing.
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, section) in properties {
            if find(name).is_none() {
                section["type"] = json!(["object", "null"]);
            }
        }
    }
    extend(
        &mut schema,
        json!({
            "title": "UnityKernel system.yaml",
            "description": "The kernel's own settings.",
            "$defs": { "variable": plain::variable_schema() },
        }),
    );
    schema
}

/// What the doc comment of a key says.
pub(super) fn described(key: &Key) -> String {
    let derived = derived();
    derived
        .pointer(&pointer(key.name))
        .map_or_else(String::new, described_in)
}

/// What the doc comment of a mapping of keys says.
pub(super) fn section(name: &str) -> String {
    let derived = derived();
    derived
        .pointer(&pointer(name))
        .map_or_else(String::new, described_in)
}

/// The description in a schema, in one line.
fn described_in(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default().replace('\n', " ")
}

fn derived() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<SystemSettings>()
        .to_value()
}

fn pointer(name: &str) -> String {
    let mut pointer = String::new();
    for part in name.split('.') {
        pointer.push_str("/properties/");
        pointer.push_str(part);
    }
    pointer
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
