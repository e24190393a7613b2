//! What stays open: the stream of a page and the bridge of a program.

use serde_json::{Value, json};

use super::errors;
use crate::arguments::{Arg, Form, Rule, schema_of};
use crate::commands::Command;
use crate::http::bridge::{ACK, OPS, SUBSCRIPTION, reading};
use crate::screen::put;

/// What happens, as server-sent events.
pub(super) fn stream() -> Value {
    let patterns = json!({ "type": "array", "items": Form::Pattern.schema() });
    let mut responses = errors();
    let frames = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    responses.insert(
        "200".to_owned(),
        json!({ "description": "what happens, until the client leaves", "content": frames }),
    );
    json!({
        "operationId": "stream",
        "summary": "What happens, as it happens",
        "description": "Server-sent events that do not end; the `data` of each is one JSON document. `hello` is who asks and whom; \
                        `tree` is the document of `GET /api/v1/tree?all=true`; `change` is what changed of it since, with `mode`, \
                        `changed` (nodes without children) and `removed` (paths); `nodes` comes with the tree and says that other \
                        nodes came or went, as `GET /api/v1/node/list` has them; `events` has `events`, and `missed`, how many \
                        were left out; `resync` says why what was shown is out of date: a `tree` follows. Who comes back with \
                        `Last-Event-ID` goes on where it was. One of `tree=true` and `events` is given at least.",
        "x-scope": "read",
        "parameters": [
            { "name": "tree", "in": "query", "schema": { "enum": ["true", "false"] }, "description": "the tree, and what changes of it" },
            {
                "name": "events", "in": "query", "schema": patterns, "style": "form", "explode": true,
                "description": "events that fit it, as in sensor.*; as often as wanted",
            },
            {
                "name": "Last-Event-ID", "in": "header", "schema": { "type": "string" },
                "description": "the `id` of the last event that was seen",
            },
        ],
        "responses": responses,
    })
}

/// A WebSocket for programs that take part.
pub(super) fn bridge() -> Value {
    let mut responses = errors();
    responses.insert(
        "101".to_owned(),
        json!({ "description": "it is a WebSocket from now on" }),
    );
    let content = json!({ "application/json": { "schema": { "$ref": super::ERROR } } });
    responses.insert(
        "426".to_owned(),
        json!({ "description": "what was asked with is no WebSocket", "content": content }),
    );
    json!({
        "operationId": "bridge",
        "summary": "Publish, subscribe, acknowledge, tell and ask over one WebSocket",
        "description": "A frame is a text with one JSON document. What a client sends is a `BridgeRequest`, what it is sent a \
                        `BridgeAnswer`: see the schemas of these names. The rights are those of the commands that do the same.",
        "x-scope": "read",
        "x-sends": { "$ref": "#/components/schemas/BridgeRequest" },
        "x-receives": { "$ref": "#/components/schemas/BridgeAnswer" },
        "responses": responses,
    })
}

/// What a client of a bridge sends.
pub(super) fn request() -> Value {
    json!({ "oneOf": OPS.map(request_of).to_vec() })
}

fn request_of(op: &str) -> Value {
    let command = |words: &[&str]| {
        Command::find(words).map_or((Vec::new(), &[][..]), |command| {
            (command.inputs(), command.rules)
        })
    };
    let (args, rules): (Vec<Arg>, &[Rule]) = match op {
        "publish" => command(&["events", "publish"]),
        "subscribe" => (reading::ARGS.to_vec(), reading::RULES),
        "unsubscribe" => (vec![SUBSCRIPTION], &[]),
        "ack" => (ACK.to_vec(), &[]),
        other => command(&[other]),
    };
    let mut schema = schema_of(&args);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        // The `id` is that of the request.
        if let Some(id) = properties.remove("id") {
            properties.insert("event_id".to_owned(), id);
        }
        properties.insert(
            "id".to_owned(),
            json!({ "type": ["number", "string", "null"] }),
        );
        properties.insert("op".to_owned(), json!({ "const": op }));
    }
    let mut required = vec![json!("op")];
    required.extend((op == "subscribe").then(|| json!("id")));
    if let Some(names) = schema.get("required").and_then(Value::as_array) {
        required.extend(names.iter().cloned());
    }
    put(&mut schema, "required", required);
    if !rules.is_empty() {
        let rules = rules.iter().map(|rule| rule.schema(&args));
        put(&mut schema, "allOf", rules.collect::<Vec<_>>());
    }
    schema
}

/// What a client of a bridge is sent: an answer, or what a subscription has.
pub(super) fn answer() -> Value {
    let error = json!({ "$ref": format!("{}/properties/error", super::ERROR) });
    let one = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    json!({ "oneOf": [
        one(&["id", "ok"], json!({ "id": {}, "ok": { "type": "object" } })),
        one(&["id", "error"], json!({ "id": {}, "error": error })),
        one(&["subscription", "event"], json!({
            "subscription": {}, "event": { "type": "object" }, "position": Form::Position.schema(),
            "deliveries": { "type": "integer", "minimum": 2 },
        })),
        one(&["subscription", "missed"], json!({
            "subscription": {}, "missed": { "type": "integer", "minimum": 1 },
        })),
        one(&["subscription", "error"], json!({ "subscription": {}, "error": error })),
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_a_bridge_are_told() {
        let schema = request();
        let frames = jsonschema::validator_for(&schema).unwrap();
        for (frame, is_one) in [
            (
                json!({"id": 1, "op": "publish", "topic": "sensor.lab", "data": 7}),
                true,
            ),
            (
                json!({"op": "publish", "topic": "sensor.*", "data": 7}),
                false,
            ),
            (
                json!({"id": "a", "op": "subscribe", "pattern": "sensor.*"}),
                true,
            ),
            (json!({"op": "subscribe", "pattern": "sensor.*"}), false),
            (
                json!({"id": 2, "op": "subscribe", "stream": "s", "group": "g"}),
                true,
            ),
            (json!({"id": 2, "op": "subscribe", "stream": "s"}), false),
            (json!({"id": 2, "op": "subscribe", "after": "0-0"}), false),
            (
                json!({"id": 3, "op": "ack", "subscription": 2, "position": "1-0"}),
                true,
            ),
            (
                json!({"id": 4, "op": "unsubscribe", "subscription": 2}),
                true,
            ),
            (
                json!({"id": 5, "op": "ask", "path": "/a", "message": "x", "timeout_ms": 7}),
                true,
            ),
            (
                json!({"id": 6, "op": "tell", "path": "/a", "message": "x"}),
                true,
            ),
            (json!({"id": 7, "op": "shout"}), false),
        ] {
            assert_eq!(frames.is_valid(&frame), is_one, "{frame}");
        }
    }
}
