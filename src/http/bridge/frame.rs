//! What goes to and fro at a bridge: a request, and what is said to it.

use serde_json::{Map, Value, json};

use crate::error::CommandError;

/// The longest `id`, as JSON, in bytes.
pub(super) const ID_LEN_MAX: usize = 64;

/// What a client asks.
pub(super) struct Request {
    pub(super) id: Value,
    pub(super) op: String,
    pub(super) args: Map<String, Value>,
}

impl Request {
    /// Reads one. What is wrong is told with the `id`, if there is one to be read.
    pub(super) fn read(text: &str) -> Result<Self, (Value, CommandError)> {
        const EXAMPLE: &str =
            r#"as in {"id": 1, "op": "publish", "topic": "sensor.lab", "data": 7}"#;
        let wrong = |id: Value, what: String| (id, CommandError::usage(what).hint(EXAMPLE));
        let document = serde_json::from_str(text)
            .map_err(|error| wrong(Value::Null, format!("the frame is not JSON: {error}")))?;
        let Value::Object(mut args) = document else {
            let what = "the frame is not a JSON object".to_owned();
            return Err(wrong(Value::Null, what));
        };
        let id = args.remove("id").unwrap_or_default();
        let is_name = matches!(id, Value::Null | Value::Number(_) | Value::String(_));
        if !is_name || id.to_string().len() > ID_LEN_MAX {
            let what = format!("`id` is not a number or a text of up to {ID_LEN_MAX} bytes");
            return Err(wrong(Value::Null, what));
        }
        match args.remove("op") {
            Some(Value::String(op)) => Ok(Self { id, op, args }),
            Some(_) => Err(wrong(id, "`op` is not a text".to_owned())),
            None => Err(wrong(id, "`op` is missing".to_owned())),
        }
    }
}

pub(super) fn no_text() -> CommandError {
    CommandError::usage("the frame is binary").hint("send JSON in text frames")
}

pub(super) fn answer(id: &Value, said: Result<Value, CommandError>) -> Value {
    match said {
        Ok(document) => json!({ "id": id, "ok": document }),
        Err(error) => json!({ "id": id, "error": said_of(&error) }),
    }
}

pub(super) fn said_of(error: &CommandError) -> Value {
    error
        .to_json()
        .get_mut("error")
        .map(Value::take)
        .unwrap_or_default()
}
