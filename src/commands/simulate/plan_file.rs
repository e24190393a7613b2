//! Plans as files, written.

use std::path::Path;

use serde_json::Value;
use unity_actors::chaos::plan::Plan;

use crate::error::{Code, CommandError};
use crate::screen::printable;

/// Writes a plan, in place of what has that name.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(path: &Path, plan: &Plan) -> Result<(), CommandError> {
    std::fs::write(path, text(plan)).map_err(|error| {
        let shown = printable(&path.display().to_string());
        CommandError::new(Code::Failed, format!("{shown} cannot be written: {error}")).hint(
            "the plan is to be beside the tree file: make its folder writable, or copy the file",
        )
    })
}

/// A plan as YAML: each key in a line, and each act.
fn text(plan: &Plan) -> String {
    let value = serde_json::to_value(plan).unwrap_or_default();
    let mut out = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if !items.is_empty() => {
                out.push_str(&format!("{key}:\n"));
                for item in items {
                    out.push_str(&format!("  - {}\n", json_text(item)));
                }
            }
            value => out.push_str(&format!("{key}: {}\n", json_text(value))),
        }
    }
    out
}

/// JSON, which is YAML too, with a blank after each comma and colon.
fn json_text(value: &Value) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let field = |(key, value): (&String, &Value)| format!("{key}: {}", json_text(value));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(json_text).collect();
            format!("[{}]", items.join(", "))
        }
        value => crate::tree_file::effective::json_text(value),
    }
}
