//! What others are told of arguments: a JSON Schema of each, made of its kind.

use serde_json::{Map, Value, json};

use super::form::TEXT_LEN_MAX;
use super::{Arg, ArgKind, NODE_PATTERN, PATH_PATTERN};
use crate::screen::put;

impl Arg {
    /// Whether it is for others than their own client.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        !self.stays && !self.internal
    }

    /// What it is called in a query and in a body.
    #[must_use]
    pub fn wire_name(&self) -> String {
        match self.kind {
            ArgKind::Duration => format!("{}_ms", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// What it may be in a query and in a body: a duration is an integer of milliseconds.
    #[must_use]
    pub fn schema(&self) -> Value {
        let path = format!("^{NODE_PATTERN}{PATH_PATTERN}$");
        let text = json!({ "type": "string", "minLength": self.least, "maxLength": self.most.min(TEXT_LEN_MAX) });
        let like = |pattern: &str| {
            let mut text = text.clone();
            put(&mut text, "minLength", 1);
            put(&mut text, "pattern", pattern);
            text
        };
        match self.kind {
            // `system` is asked for where its files are.
            ArgKind::Path | ArgKind::Supervisor | ArgKind::Target => {
                let mut path = like(&path);
                put(&mut path, "examples", ["/", "/sensors/host"]);
                path
            }
            ArgKind::Schema => like(&format!("^([A-Za-z0-9_.-]+|{NODE_PATTERN}{PATH_PATTERN})$")),
            ArgKind::Kind => like("^[A-Za-z0-9_.-]+$"),
            ArgKind::Text => text,
            ArgKind::Form(form) => form.schema(),
            ArgKind::Address | ArgKind::File | ArgKind::Folder | ArgKind::Code => {
                json!({ "type": "string", "minLength": 1 })
            }
            ArgKind::Many(form) => {
                json!({ "type": "array", "minItems": 1, "items": form.schema() })
            }
            ArgKind::Word(words) => json!({ "type": "string", "enum": words }),
            ArgKind::Json => json!({}),
            ArgKind::Integer | ArgKind::Size | ArgKind::Duration => {
                json!({ "type": "integer", "minimum": self.least, "maximum": self.most })
            }
            ArgKind::Rate => like("^[1-9][0-9]{0,5}/(s|m|h)$"),
            ArgKind::Flag => json!({ "type": "boolean" }),
            ArgKind::Settings | ArgKind::Object => {
                json!({ "type": "object", "minProperties": self.least })
            }
        }
    }
}

/// The schema of an object that has these arguments, as far as they are for others.
#[must_use]
pub fn schema_of(args: &[Arg]) -> Value {
    let args = || args.iter().filter(|arg| arg.is_outside());
    let properties: Map<String, Value> = args()
        .map(|arg| {
            let mut schema = arg.schema();
            put(&mut schema, "description", arg.help);
            (arg.wire_name(), schema)
        })
        .collect();
    let required: Vec<String> = args()
        .filter(|arg| arg.required)
        .map(Arg::wire_name)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}
