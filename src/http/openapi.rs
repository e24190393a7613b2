//! The OpenAPI document, made of the table of commands: it cannot say what the routes do not do.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::arguments::{Arg, ArgKind};
use crate::commands::{Access, Command, Run, TABLE};
use crate::error::Code;
use crate::screen::put;

const ERROR: &str = "#/components/schemas/Error";

pub(super) fn routes() -> Router {
    let text = document().to_string();
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Router::new().route("/api/v1/openapi.json", get(|| async move { (kind, text) }))
}

/// The document, OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for command in TABLE {
        if matches!(command.run, Run::Local(_)) {
            continue;
        }
        let method = match command.access {
            Access::Read => "get",
            Access::Change => "post",
        };
        paths.insert(command.http_path(), json!({ method: operation(command) }));
    }
    let check = |about: &str| {
        json!({ "get": {
            "summary": about, "operationId": about.to_lowercase().replace(' ', "_"),
            "responses": { "200": { "description": "it is" }, "503": { "description": "it is not" } },
            "security": [],
        } })
    };
    paths.insert("/livez".to_owned(), check("Whether it lives"));
    paths.insert("/readyz".to_owned(), check("Whether it is ready"));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "UnityKernel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every command of `uk`. What only looks is GET with its arguments as a query, what changes \
                            something is POST with them as a JSON object.",
        },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["version", "error"],
                    "properties": {
                        "version": { "const": 1 },
                        "error": {
                            "type": "object",
                            "required": ["code", "message"],
                            "properties": {
                                "code": { "enum": Code::ALL.map(Code::as_str) },
                                "message": { "type": "string" },
                                "hint": { "type": ["string", "null"] },
                            },
                        },
                    },
                },
                "Document": {
                    "type": "object",
                    "required": ["version"],
                    "properties": { "version": { "const": 1 } },
                },
            },
        },
    })
}

fn operation(command: &Command) -> Value {
    let args: Vec<&Arg> = outside(command.args).collect();
    let (name, is_stream) = (command.name(), matches!(command.run, Run::Stream(_)));
    let (media, shape) = match is_stream {
        true => ("application/x-ndjson", json!({ "type": "string" })),
        false => (
            "application/json",
            json!({ "$ref": "#/components/schemas/Document" }),
        ),
    };
    let mut responses = errors();
    responses.insert(
        "200".to_owned(),
        json!({ "description": "done", "content": { media: { "schema": shape } } }),
    );
    let mut operation = json!({
        "operationId": name.replace(' ', "_"),
        "summary": command.about,
        "description": command.help,
        "x-scope": command.scope,
        "responses": responses,
    });
    match command.access {
        Access::Read => {
            let parameters: Vec<Value> = args.iter().map(|arg| parameter(arg)).collect();
            put(&mut operation, "parameters", parameters);
        }
        Access::Change => {
            let is_required = args.iter().any(|arg| arg.required);
            let body = json!({
                "required": is_required,
                "content": { "application/json": { "schema": schema_of(command.args) } },
            });
            put(&mut operation, "requestBody", body);
        }
    }
    operation
}

fn outside(args: &[Arg]) -> impl Iterator<Item = &Arg> {
    args.iter().filter(|arg| !arg.stays && !arg.internal)
}

fn errors() -> Map<String, Value> {
    let content = json!({ "application/json": { "schema": { "$ref": ERROR } } });
    let mut all: Map<String, Value> = Code::ALL
        .iter()
        .map(|code| {
            (
                code.status().to_string(),
                json!({ "description": code.as_str(), "content": content }),
            )
        })
        .collect();
    for (status, about) in [
        ("401", "nobody is known by what was shown"),
        ("429", "too many requests"),
    ] {
        all.insert(
            status.to_owned(),
            json!({ "description": about, "content": content }),
        );
    }
    all
}

fn parameter(arg: &Arg) -> Value {
    let (name, schema) = named(arg);
    json!({ "name": name, "in": "query", "required": arg.required, "description": arg.help, "schema": schema })
}

/// The schema of an object that has these arguments, as far as they are for others than their own client.
pub(crate) fn schema_of(args: &[Arg]) -> Value {
    let args: Vec<&Arg> = outside(args).collect();
    let properties: Map<String, Value> = args
        .iter()
        .map(|arg| {
            let (name, mut schema) = named(arg);
            put(&mut schema, "description", arg.help);
            (name, schema)
        })
        .collect();
    let required: Vec<String> = args
        .iter()
        .filter(|arg| arg.required)
        .map(|arg| named(arg).0)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// What an argument is called outside, and what it may be: a duration is an integer of milliseconds.
fn named(arg: &Arg) -> (String, Value) {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let schema = match arg.kind {
        ArgKind::Path | ArgKind::Supervisor => text(PATH),
        ArgKind::Target => json!({ "anyOf": [text(PATH), { "const": crate::arguments::SYSTEM }] }),
        ArgKind::Schema | ArgKind::Text | ArgKind::Address => json!({ "type": "string" }),
        ArgKind::Kind | ArgKind::Key | ArgKind::File | ArgKind::Folder | ArgKind::Code => {
            json!({ "type": "string", "minLength": 1 })
        }
        ArgKind::Keys => json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        ArgKind::Word(words) => json!({ "enum": words }),
        ArgKind::Json => json!({}),
        ArgKind::Integer | ArgKind::Size => {
            json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
        }
        ArgKind::Duration => {
            let schema = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
            return (format!("{}_ms", arg.name), schema);
        }
        ArgKind::Rate => text("^[1-9][0-9]{0,5}/(s|m|h)$"),
        ArgKind::Flag => json!({ "type": "boolean" }),
        ArgKind::Settings => json!({ "type": "object" }),
    };
    (arg.name.to_owned(), schema)
}

const PATH: &str = "^/([A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})*)?$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_kernel_is_in_it() {
        let document = document();
        for command in TABLE {
            let there = document["paths"].get(command.http_path());
            assert_eq!(
                there.is_some(),
                !matches!(command.run, Run::Local(_)),
                "{command:?}"
            );
        }
        let kill = &document["paths"]["/api/v1/kill"]["post"];
        assert_eq!(kill["x-scope"], "operate");
        let body = &kill["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["required"], json!(["path"]));
    }
}
