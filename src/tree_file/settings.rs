//! Settings of a worker: made JSON, checked by their kind, its faults put where they belong.

use serde_json::{Map, Number, Value as Json};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Node, Value, harmless, shown};
use super::reader::Reader;
use super::source::Span;
use super::{PathStep, SettingsFault};

impl Reader<'_> {
    /// The settings of a worker, checked if its kind is known.
    pub(super) fn settings(&mut self, fields: Fields<'_>, kind: Option<&str>) -> Json {
        let empty = Json::Object(Map::new());
        let entry = fields.get("settings");
        let json = match entry.map(|entry| (&entry.node.value, entry)) {
            None | Some((Value::Null, _)) => Some(empty.clone()),
            Some((Value::Map(_), entry)) => self.json(&entry.node),
            Some((_, entry)) => {
                self.wrong_type(entry, "a mapping", None);
                None
            }
        };
        let (Some(json), Some(kind)) = (&json, kind) else {
            return json.unwrap_or(empty);
        };
        for fault in self
            .sources
            .kinds
            .check(kind, json)
            .err()
            .unwrap_or_default()
        {
            let of = entry.or_else(|| fields.get("kind"));
            let Some(of) = of else { continue };
            let (node, named) = match entry {
                Some(entry) => (Some(&entry.node), entry.key.span),
                None => (None, of.node.span),
            };
            let (span, there) = place(node, named, &fault);
            self.bad_setting(kind, &fault, span, there);
        }
        json.clone()
    }

    fn bad_setting(&mut self, kind: &str, fault: &SettingsFault, span: Span, there: bool) {
        let help = match unknown(fault) {
            Some(unknown) => {
                let names = unknown.names.iter().map(String::as_str);
                let others = names.filter(|name| *name != unknown.word);
                match self.suggest(&unknown.word, others) {
                    Some(meant) => format!("did you mean `{}`?", shown(meant)),
                    None => format!("expected one of: {}", unknown.names.join(", ")),
                }
            }
            None if there && !fault.what.starts_with("missing field ") => {
                match path_text(&fault.path) {
                    path if path.is_empty() => format!("mend the settings of the kind `{kind}`"),
                    path => format!("write another value for `{path}`"),
                }
            }
            None if self.trusted => "add it below `settings:`".to_owned(),
            None => "give it with --set, or in the `settings` of --spec".to_owned(),
        };
        let what: String = harmless(plain_what(fault)).collect();
        let label = if fault.path.is_empty() {
            String::new()
        } else {
            path_text(&fault.path)
        };
        let message = format!("settings of `{kind}`: {what}");
        self.report(
            Diagnostic::new(Code::BadSettings, message)
                .at(span, label)
                .help(help),
        );
    }

    /// A node as JSON; `None` if a part of it is at fault, which is reported.
    pub(super) fn json(&mut self, node: &Node) -> Option<Json> {
        Some(match &node.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => integer(*value),
            Value::Float(value) => match Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None => {
                    let message = format!("settings cannot hold the number `{value}`");
                    let fault = Diagnostic::new(Code::WrongType, message)
                        .at(node.span, "neither infinite nor not a number");
                    self.report(
                        fault.help("write a number, or put it in quotes to make it a text"),
                    );
                    return None;
                }
            },
            Value::Text { text, .. } => Json::String(text.to_string()),
            Value::List(items) => {
                let made: Vec<Option<Json>> = items.iter().map(|item| self.json(item)).collect();
                Json::Array(made.into_iter().collect::<Option<_>>()?)
            }
            Value::Map(entries) => {
                let made: Vec<Option<(String, Json)>> = entries
                    .iter()
                    .map(|entry| Some((entry.key.text.to_string(), self.json(&entry.node)?)))
                    .collect();
                Json::Object(made.into_iter().collect::<Option<_>>()?)
            }
            Value::Broken => return None,
        })
    }
}

fn integer(value: i128) -> Json {
    i64::try_from(value)
        .map(Json::from)
        .or_else(|_| u64::try_from(value).map(Json::from))
        .unwrap_or(Json::Null)
}

/// A name that is not known, and those that are.
struct Unknown {
    word: String,
    names: Vec<String>,
}

/// Reads from a fault whether it is about a name that is not known.
fn unknown(fault: &SettingsFault) -> Option<Unknown> {
    let is_variant = fault.what.starts_with("unknown variant `");
    if !is_variant && !fault.what.starts_with("unknown field `") {
        return None;
    }
    let mut pieces = fault.what.split('`').skip(1).step_by(2);
    let word = pieces.next()?.to_owned();
    let mut names: Vec<String> = pieces.map(str::to_owned).collect();
    // What the settings have at the top is of no use further in.
    if names.is_empty() && !is_variant && fault.path.len() <= 1 {
        names.clone_from(&fault.expected);
    }
    (!names.is_empty()).then_some(Unknown { word, names })
}

/// What is wrong, without the names that the help says.
fn plain_what(fault: &SettingsFault) -> &str {
    match unknown(fault) {
        Some(_) => fault
            .what
            .split_once(", expected ")
            .map_or(&fault.what, |(what, _)| what),
        None => &fault.what,
    }
}

/// Where a fault belongs: the key that is not known, else the value, else what should have it, and
/// then it is not there.
fn place(node: Option<&Node>, named: Span, fault: &SettingsFault) -> (Span, bool) {
    let mut named = named;
    let mut node = node;
    let mut key_itself = false;
    for step in &fault.path {
        let next = match (node.map(|node| &node.value), step) {
            (Some(Value::Map(entries)), PathStep::Key(key)) => entries
                .iter()
                .find(|entry| *entry.key.text == **key)
                .map(|entry| {
                    key_itself = matches!(entry.node.value, Value::Null);
                    (entry.key.span, &entry.node)
                }),
            (Some(Value::List(items)), PathStep::Index(index)) => {
                items.get(*index).map(|item| (item.caret(), item))
            }
            _ => None,
        };
        let Some((span, found)) = next else {
            return (named, false);
        };
        (named, node) = (span, Some(found));
    }
    let is_unknown = fault.what.starts_with("unknown field `");
    let unknown_key = is_unknown || key_itself || fault.path.is_empty();
    match node {
        Some(node) if !unknown_key => (node.caret(), true),
        _ => (named, true),
    }
}

/// A path as in `health.http` or `command[0]`.
fn path_text(path: &[PathStep]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            PathStep::Key(key) if text.is_empty() => text.extend(harmless(key)),
            PathStep::Key(key) => {
                text.push('.');
                text.extend(harmless(key));
            }
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
