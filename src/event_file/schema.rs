//! The JSON Schema of `events.yaml`: [`schema`].

use serde_json::{Value, json};
use unity_actors::{duration, size};
use unity_supervisors::priority::Priority;

use super::lower::MODES;
use crate::tree_file::plain::variable_schema;

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "UnityKernel events.yaml",
        "description": "The catalog of events: which there are, what their data looks like, how they are kept, who may publish them.",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "events"],
        "properties": {
            "version": { "description": "The version of this format.", "const": 1 },
            "strict": or_variable(
                "Whether what is not in the catalog may not be published. Default: false.",
                json!({ "type": "boolean" }),
            ),
            "events": {
                "description": "Types of events by topic, or by a pattern: a word `*` is one word, a last word `*` one or more. The narrowest counts.",
                "type": ["object", "null"],
                "additionalProperties": false,
                "patternProperties": {
                    r"^([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*$": { "$ref": "#/$defs/event" },
                },
            },
        },
        "$defs": {
            "event": event(),
            "persist": persist(),
            "retention": retention(),
            "mode": {
                "description": "When a publish is done: `durable` once it is on disk, `async` at once, and on disk soon.",
                "enum": MODES.map(|(word, _)| word),
            },
            "stream": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$" },
            "path": { "type": "string", "pattern": "^/" },
            "variable": variable_schema(),
        },
    })
}

fn event() -> Value {
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "description": { "description": "What it tells of, in a line.", "type": "string" },
            "priority": or_variable(
                "Its lane, unless who publishes it says another. Default: normal.",
                json!({ "enum": Priority::ALL.map(Priority::as_str) }),
            ),
            "schema": {
                "description": "The JSON Schema of `data`. What people and programs publish is checked against it.",
                "$ref": "https://json-schema.org/draft/2020-12/schema",
            },
            "persist": or_variable(
                "How it is kept; not at all unless it says so.",
                json!({ "$ref": "#/$defs/persist" }),
            ),
            "publishers": {
                "description": "Who may publish it: these, and all below. Default: everybody.",
                "type": ["array", "null"],
                "items": or_variable("A path.", json!({ "$ref": "#/$defs/path" })),
            },
        },
    })
}

fn persist() -> Value {
    json!({ "anyOf": [
        { "$ref": "#/$defs/mode" },
        {
            "type": "object",
            "additionalProperties": false,
            "required": ["mode"],
            "properties": {
                "mode": or_variable("When a publish is done.", json!({ "$ref": "#/$defs/mode" })),
                "stream": or_variable(
                    "The stream it is kept in. Default: the first word of its topic.",
                    json!({ "$ref": "#/$defs/stream" }),
                ),
                "retention": { "$ref": "#/$defs/retention" },
            },
        },
    ] })
}

fn retention() -> Value {
    let above_zero = duration::PATTERN.replace("[0-9]+", "0*[1-9][0-9]*");
    json!({
        "description": "What the stream keeps; what is more goes, oldest first. `{}` keeps all. Said once, it counts for all types of the stream.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "age": or_variable(
                "For how long, as in `30d`.",
                json!({ "type": "string", "pattern": above_zero }),
            ),
            "length": or_variable(
                "How many events.",
                json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
            ),
            "bytes": or_variable(
                "How much disk, as in `1GiB`.",
                json!({ "type": "string", "pattern": size::PATTERN }),
            ),
        },
    })
}

/// What may also be a variable of the environment.
fn or_variable(about: &str, form: Value) -> Value {
    json!({ "description": about, "anyOf": [form, { "$ref": "#/$defs/variable" }] })
}
