//! Settings of a worker: made JSON, checked by their kind, its faults put where they belong.

use std::fmt;

use serde_json::{Map, Number, Value as Json};
use unity_supervisors::secret::escape;

use super::codes::Code;
use super::diagnostic::{Diagnostic, Fix};
use super::fields::Fields;
use super::node::{Entry, Node, Value, harmless, shown};
use super::reader::Reader;
use super::slips::{parted, parted_label};
use super::source::Span;
use super::{PathStep, SettingsFault};

impl Reader<'_> {
    /// The settings of a worker, checked if its kind is known.
    pub(super) fn settings(&mut self, fields: Fields<'_>, kind: Option<&str>) -> Json {
        let empty = Json::Object(Map::new());
        let told = self.told();
        let entry = fields.get("settings");
        let json = match entry.map(|entry| (&entry.node.value, entry)) {
            None | Some((Value::Null, _)) => Some(empty.clone()),
            Some((Value::Map(_), entry)) => self.json(&entry.node),
            Some((_, entry)) => {
                let help = "write `settings: { key: value }`".to_owned();
                self.wrong_type(entry, "a mapping", Some(help));
                None
            }
        };
        let (Some(json), Some(kind)) = (&json, kind) else {
            return json.unwrap_or(empty);
        };
        for fault in self.misfits(kind, json) {
            // What is wrong with a secret was told at its placeholder.
            if self.told() > told && fault.what.starts_with("the secret `") {
                continue;
            }
            let of = entry.or_else(|| fields.get("kind"));
            let Some(of) = of else { continue };
            let (node, named) = match entry {
                Some(entry) => (Some(&entry.node), entry.key.span),
                None => (None, of.node.span),
            };
            let (span, there) = place(node, named, &fault);
            self.bad_setting(&Of::settings(kind), &fault, span, there);
        }
        json.clone()
    }

    /// Checks what a step of a ladder makes of the settings of a worker.
    pub(super) fn swapped_settings(
        &mut self,
        kind: &str,
        settings: &Json,
        swap: &Entry,
        step: usize,
    ) {
        for fault in self.misfits(kind, settings) {
            let (span, there) = place(Some(&swap.node), swap.key.span, &fault);
            self.bad_setting(&Of::swap(kind, step), &fault, span, there);
        }
    }

    /// What of settings does not fit a kind that is known.
    pub(super) fn misfits(&self, kind: &str, settings: &Json) -> Vec<SettingsFault> {
        let kinds = self.sources.kinds;
        let checked = match self.is_elsewhere {
            true => kinds.check_elsewhere(kind, settings),
            false => kinds.check(kind, settings),
        };
        checked.err().unwrap_or_default()
    }

    fn bad_setting(&mut self, of: &Of<'_>, fault: &SettingsFault, span: Span, there: bool) {
        let (kind, key) = (of.kind, of.key);
        let path = path_text(&fault.path);
        let said = match words(fault) {
            Words::Unknown(unknown) => self.unknown_setting(kind, &path, &unknown, span),
            Words::Missing(missing) => Said {
                what: format!("`{missing}` is missing"),
                label: format!("`{missing}` is missing here"),
                help: if self.trusted {
                    format!("add `{missing}:` below `{key}:`")
                } else {
                    "give it with --set, or in the `settings` of --spec".to_owned()
                },
                fix: None,
            },
            Words::Other { what, label, help } => Said {
                what: match (path.as_str(), what.starts_with("cannot ")) {
                    ("", false) => what,
                    ("", true) => format!("they {what}"),
                    (path, false) => format!("`{path}`: {what}"),
                    (path, true) => format!("`{path}` {what}"),
                },
                label,
                help: match (help, there, path.as_str()) {
                    (Some(help), ..) => help,
                    (None, true, "") => format!("mend the settings of the kind `{kind}`"),
                    (None, true, path) => format!("write another value for `{path}`"),
                    (None, false, _) => format!("add it below `{key}:`"),
                },
                fix: None,
            },
        };
        self.report(
            Diagnostic::new(of.code, format!("{}: {}", of.what, said.what))
                .at(span, said.label)
                .help(said.help)
                .fix(said.fix),
        );
    }

    fn unknown_setting(&self, kind: &str, path: &str, unknown: &Unknown, span: Span) -> Said {
        let word = shown(&unknown.word);
        if let Some((key, value)) = parted(&unknown.word, unknown.names.iter().map(String::as_str))
        {
            let whole = format!("{key}: {value}");
            return Said {
                what: format!("unknown key `{word}`"),
                label: parted_label(&unknown.word, key),
                help: format!("write `{}`", shown(&whole)),
                fix: self.rewrite(span, &unknown.word, whole),
            };
        }
        let names = unknown.names.iter().map(String::as_str);
        let others = names.filter(|name| *name != unknown.word);
        let near = self.suggest(&unknown.word, others);
        let all = unknown.names.join(", ");
        let (what, label) = match (unknown.is_variant, path) {
            (false, _) => (
                format!("unknown key `{word}`"),
                "no such setting".to_owned(),
            ),
            (true, "") => (format!("unknown word `{word}`"), "no such word".to_owned()),
            (true, path) => (
                format!("`{path}` cannot be `{word}`"),
                "no such word".to_owned(),
            ),
        };
        Said {
            what,
            label,
            help: match near {
                Some(near) => format!("did you mean `{}`?", shown(near.word)),
                None if unknown.is_variant => format!("expected one of: {all}"),
                None => format!("the settings of `{kind}` are: {all}"),
            },
            fix: near.and_then(|near| self.respell(span, &unknown.word, near)),
        }
    }

    /// A node as JSON; `None` if a part of it is at fault, which is reported.
    pub(crate) fn json(&mut self, node: &Node) -> Option<Json> {
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
            Value::Text { text, .. } if self.trusted => Json::String(escape(text)),
            // What comes over the wire has its placeholders and escapes as they are kept.
            Value::Text { text, .. } | Value::Secret(text) => {
                self.check_secrets(text, node.span);
                Json::String(text.to_string())
            }
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

/// Which settings are at fault.
struct Of<'a> {
    code: Code,
    kind: &'a str,
    /// The key that they stand below.
    key: &'static str,
    /// How a message calls them.
    what: String,
}

impl<'a> Of<'a> {
    fn settings(kind: &'a str) -> Self {
        Self {
            code: Code::BadSettings,
            kind,
            key: "settings",
            what: format!("settings of `{kind}`"),
        }
    }

    fn swap(kind: &'a str, step: usize) -> Self {
        Self {
            code: Code::SwapMisfit,
            kind,
            key: "swap",
            what: format!("step {step} of `on_crash`"),
        }
    }
}

/// What is said about a fault of settings.
struct Said {
    what: String,
    label: String,
    help: String,
    fix: Option<Fix>,
}

/// A name that is not known, and those that are.
struct Unknown {
    is_variant: bool,
    word: String,
    names: Vec<String>,
}

/// A fault of settings, read from what serde and the kinds say.
enum Words {
    Unknown(Unknown),
    Missing(String),
    Other {
        what: String,
        label: String,
        help: Option<String>,
    },
}

fn words(fault: &SettingsFault) -> Words {
    let what: String = harmless(&fault.what).collect();
    if let Some(key) = what.strip_prefix("missing field `") {
        return Words::Missing(key.trim_end_matches('`').to_owned());
    }
    if let Some(unknown) = unknown(fault) {
        return Words::Unknown(unknown);
    }
    let of_type = ["invalid type: ", "invalid value: ", "invalid length "];
    let found = of_type.iter().find_map(|lead| what.strip_prefix(lead));
    if let Some((found, expected)) = found.and_then(|found| found.split_once(", expected ")) {
        let expected = plain(expected);
        let (expected, help) = match expected.split_once(", such as ") {
            Some((expected, form)) => (expected.to_owned(), format!("write it as in {form}")),
            None => (expected.clone(), format!("write {expected}")),
        };
        return Words::Other {
            what: format!("cannot be {}", plain(found)),
            label: format!("expected {expected}"),
            help: Some(help),
        };
    }
    // The house form: what is wrong, then what to do.
    let (what, help) = match what.split_once("; ") {
        Some((what, help)) => (what.to_owned(), Some(help.to_owned())),
        None => (what, None),
    };
    Words::Other {
        label: match what.ends_with("has no unit") {
            true => "expected a unit too: ms, s, m, h or d".to_owned(),
            false => "this value".to_owned(),
        },
        what,
        help,
    }
}

/// serde's words for types in ours.
fn plain(text: &str) -> String {
    let ours = [
        ("string \"", "the text \""),
        ("floating point `", "the number `"),
        ("integer `", "the integer `"),
        ("boolean `", "the boolean `"),
        ("unit value", "nothing"),
        ("sequence", "a list"),
        ("a sequence", "a list"),
        ("a map", "a mapping"),
        ("map", "a mapping"),
        ("a string", "a text"),
        ("a boolean", "`true` or `false`"),
    ];
    let found = ours.iter().find(|(theirs, _)| {
        text.strip_prefix(theirs).is_some_and(|rest| {
            theirs.ends_with(['"', '`']) || !rest.starts_with(char::is_alphanumeric)
        })
    });
    match found {
        Some((theirs, ours)) => text.replacen(theirs, ours, 1),
        None => text.to_owned(),
    }
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
    (!names.is_empty()).then_some(Unknown {
        is_variant,
        word,
        names,
    })
}

/// Where a fault belongs: the key that is not known, else the value, else what should have it, and
/// then it is not there.
pub(crate) fn place(node: Option<&Node>, named: Span, fault: &SettingsFault) -> (Span, bool) {
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

/// In one line, as in `` `health.http`: what is wrong ``.
impl fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match path_text(&self.path).as_str() {
            "" => f.write_str(&self.what),
            path => write!(f, "`{path}`: {}", self.what),
        }
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
