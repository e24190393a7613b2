//! One child made of JSON, by the rules of a file: [`child_from_json`].

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;
use unity_supervisors::path::{ActorPath, ChildId};
use unity_supervisors::spec::{AutoShutdown, ChildSpec, Strategy};

use super::codes::Code;
use super::diagnostic::{Diagnostic, Level};
use super::node;
use super::reader::Reader;
use super::scalar;
use super::source::{FileId, Span};
use super::supervisor::Owner;
use super::{KindCheck, Limits, Sources};

/// Where a child that is made of JSON will live.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    /// The name of the node that its supervisor lives on.
    pub node: &'a str,
    /// The path of its supervisor.
    pub supervisor: &'a ActorPath,
    /// The children that are there, for `needs`.
    pub siblings: &'a [ChildId],
    /// What that supervisor does about the others when one fails.
    pub strategy: Strategy,
    /// When that supervisor ends because of significant children.
    pub auto_shutdown: AutoShutdown,
}

/// A child made of JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonChild {
    /// The child.
    pub spec: ChildSpec,
    /// What is allowed but seldom meant, in one line each.
    pub warnings: Vec<String>,
}

/// Makes one child of JSON by the rules of a file, for what comes over the console.
///
/// Variables are taken literally and nothing can be included, since whoever sends the JSON may
/// not see this machine's environment and files.
///
/// # Errors
/// All faults, in one line each.
pub fn child_from_json(
    value: &Value,
    home: &Home<'_>,
    kinds: &dyn KindCheck,
) -> Result<JsonChild, Vec<String>> {
    let read = |_: &Path, _: usize| Err(io::Error::from(io::ErrorKind::Unsupported));
    let sources = Sources {
        read: &read,
        env: &|_| None,
        kinds,
        limits: Limits::default(),
    };
    let mut reader = Reader::new(&sources, false);
    reader.node = Some(home.node.to_owned());
    let file = reader.files.add(Path::new("child"), "", None);
    let spec = reader.json_node(value, file).and_then(|node| {
        let mut ids = HashMap::new();
        if let Some(id) = node.get("id").and_then(|entry| entry.node.as_text()) {
            ids.insert(id.to_owned(), (0, node.span));
        }
        let owner = Owner {
            path: home.supervisor.as_str(),
            ids,
            running: home.siblings,
            strategy: home.strategy,
            auto_shutdown: Some(home.auto_shutdown),
        };
        reader.child(&node, 0, &owner).map(|lowered| lowered.spec)
    });
    let (spec, diagnostics, _) = reader.finish(spec);
    let of = |level: Level| {
        let fits = diagnostics
            .iter()
            .filter(move |diagnostic| diagnostic.level() == level);
        fits.map(Diagnostic::in_one_line).collect::<Vec<_>>()
    };
    match spec {
        Some(spec) => Ok(JsonChild {
            spec,
            warnings: of(Level::Warning),
        }),
        None => Err(of(Level::Fault)),
    }
}

impl Reader<'_> {
    /// JSON as a node without a place. `None` if it is too deep or too large, which is reported.
    fn json_node(&mut self, value: &Value, file: FileId) -> Option<node::Node> {
        let span = Span {
            file,
            start: 0,
            end: 0,
        };
        let made = self.json_value(value, span, 0);
        if made.is_none() {
            let limits = &self.sources.limits;
            self.report(Diagnostic::new(
                Code::TooDeep,
                format!(
                    "the child is nested more than {} deep or has more than {} values",
                    limits.depth, limits.nodes
                ),
            ));
        }
        made.map(|value| node::Node { span, value })
    }

    fn json_value(&mut self, value: &Value, span: Span, depth: usize) -> Option<node::Value> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        if depth > self.sources.limits.depth {
            return None;
        }
        let mut node = |value: &Value| {
            self.json_value(value, span, depth + 1)
                .map(|value| node::Node { span, value })
        };
        Some(match value {
            Value::Null => node::Value::Null,
            Value::Bool(value) => node::Value::Bool(*value),
            Value::Number(number) => match number.as_i128() {
                Some(integer) => node::Value::Int(integer),
                None => node::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => scalar::text_value(text, false),
            Value::Array(items) => {
                node::Value::List(Rc::new(items.iter().map(node).collect::<Option<_>>()?))
            }
            Value::Object(members) => {
                let entries = members.iter().map(|(key, value)| {
                    let key = node::Key {
                        span,
                        text: Rc::from(key.as_str()),
                        merges: false,
                    };
                    Some(node::Entry {
                        key,
                        node: node(value)?,
                    })
                });
                node::Value::Map(Rc::new(entries.collect::<Option<_>>()?))
            }
        })
    }
}
