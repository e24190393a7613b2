//! The OpenAPI document, made of the table of commands: it cannot say what the routes do not do.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::arguments::{Arg, ArgKind};
use crate::commands::{Access, Command, Run, TABLE};
use crate::error::Code;
use crate::screen::put;

mod open;

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
    paths.insert(
        "/api/v1/stream".to_owned(),
        json!({ "get": open::stream() }),
    );
    paths.insert(
        "/api/v1/bridge".to_owned(),
        json!({ "get": open::bridge() }),
    );
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
                "BridgeRequest": open::request(),
                "BridgeAnswer": open::answer(),
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
    let inputs = command.inputs();
    let args = || inputs.iter().filter(|arg| arg.is_outside());
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
            let parameters: Vec<Value> = args().map(|arg| parameter(command, arg)).collect();
            put(&mut operation, "parameters", parameters);
        }
        Access::Change => {
            // Without a body nothing is given.
            let is_required = command.read_json(Map::new()).is_err();
            let body = json!({
                "required": is_required,
                "content": { "application/json": { "schema": command.schema() } },
            });
            put(&mut operation, "requestBody", body);
        }
    }
    operation
}

/// What a request may be answered that is not done.
fn errors() -> Map<String, Value> {
    let mut said: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in Code::ALL {
        said.entry(code.status()).or_default().push(code.as_str());
    }
    said.insert(401, vec!["nobody is known by what was shown"]);
    said.insert(429, vec!["too many requests"]);
    let content = json!({ "application/json": { "schema": { "$ref": ERROR } } });
    let answer = |about: Vec<&str>| json!({ "description": about.join(", "), "content": content });
    let all = said.into_iter();
    all.map(|(status, about)| (status.to_string(), answer(about)))
        // Said before anything of it is read, and without a word more.
        .chain([(
            "414".to_owned(),
            json!({ "description": "the request line is too long" }),
        )])
        .collect()
}

fn parameter(command: &Command, arg: &Arg) -> Value {
    let mut parameter = json!({
        "name": arg.wire_name(), "in": "query", "required": command.requires(arg), "description": arg.help,
    });
    match arg.kind {
        ArgKind::Json => put(
            &mut parameter,
            "content",
            json!({ "application/json": { "schema": arg.schema() } }),
        ),
        _ => put(&mut parameter, "schema", arg.schema()),
    }
    parameter
}

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
