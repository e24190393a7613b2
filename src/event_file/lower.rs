//! From the nodes of a file to a catalog.

use std::collections::BTreeMap;

use unity_actors::duration;
use unity_supervisors::ActorPath;
use unity_supervisors::bus::{Catalog, EventType, Pattern, Persist};
use unity_supervisors::priority::Priority;
use unity_supervisors::stream::{Durability, Retention, StreamName};

use super::data;
use crate::tree_file::diagnostic::Diagnostic;
use crate::tree_file::fields::Fields;
use crate::tree_file::node::{Entry, Node, Value, shown};
use crate::tree_file::reader::Reader;
use crate::tree_file::settings::place;
use crate::tree_file::source::Span;
use crate::tree_file::{Code, SettingsFault};

/// What a message calls the file.
const WHAT: &str = "a catalog of events";
const SCHEMA_HELP: &str = "a schema says what `data` looks like: JSON Schema, draft 2020-12 unless its `$schema` names another";

pub(super) const TOP_KEYS: [&str; 3] = ["version", "strict", "events"];
pub(super) const EVENT_KEYS: [&str; 5] =
    ["description", "priority", "schema", "persist", "publishers"];
pub(super) const PERSIST_KEYS: [&str; 3] = ["mode", "stream", "retention"];
pub(super) const RETENTION_KEYS: [&str; 3] = ["age", "length", "bytes"];
pub(super) const MODES: [(&str, Durability); 2] = [
    ("durable", Durability::Durable),
    ("async", Durability::Async),
];

/// A type, where it says how it is kept, and where it says what its stream keeps.
struct Lowered {
    event_type: EventType,
    persist: Option<Span>,
    retention: Option<Span>,
}

impl Reader<'_> {
    /// Lowers a parsed file.
    pub(super) fn events(&mut self, root: Option<Node>) -> Option<Catalog> {
        let catalog = root.and_then(|root| self.catalog(&root));
        self.retell(0, |fault| {
            if fault.code == Code::Empty {
                fault.help = Some("begin with `version: 1` and `events:`".to_owned());
            }
            fault.code = own_code(fault.code);
            true
        });
        catalog
    }

    fn catalog(&mut self, root: &Node) -> Option<Catalog> {
        let fields = self.fields(root, WHAT)?;
        self.only_keys(fields, &TOP_KEYS, WHAT);
        self.version(fields, &TOP_KEYS, WHAT);
        let strict = self.boolean(fields.get("strict")).unwrap_or_default();
        let Some(events) = fields.get("events") else {
            if !self.has_misspelt(fields, "events", &TOP_KEYS) {
                let missing = Diagnostic::new(Code::MissingKey, "`events` is missing");
                let missing = missing.at(fields.head, "a catalog has events");
                self.report(missing.help("add `events:` with topics below it, or `events: {}`"));
            }
            return None;
        };
        // Where all types are commented out there are none.
        let types = match events.node.value {
            Value::Null => Vec::new(),
            _ => {
                let types = self.fields(&events.node, "`events`")?;
                let types = types.entries.iter();
                types.filter_map(|entry| self.event(entry)).collect()
            }
        };
        let types = self.with_retentions(types);
        Some(Catalog::new(strict, types))
    }

    fn event(&mut self, entry: &Entry) -> Option<Lowered> {
        let topic = self.topic(entry);
        let fields = match entry.node.value {
            Value::Null => None,
            _ => Some(self.fields(&entry.node, &format!("`{}`", shown(&entry.key.text)))?),
        };
        let none = Fields {
            entries: &[],
            head: entry.key.span,
        };
        let fields = fields.unwrap_or(none);
        self.only_keys(fields, &EVENT_KEYS, "a type of events");
        let priority = fields.get("priority");
        let priorities = Priority::ALL.map(|priority| (priority.as_str(), priority));
        let (schema, check) = self.schema(fields.get("schema")).unzip();
        let description = self.word(fields.get("description")).unwrap_or_default();
        let family = entry.key.text.split('.').next().unwrap_or_default();
        let persist = fields.get("persist");
        let (kept, retention) = self.persist(persist, family).unzip();
        let event_type = EventType {
            description: description.trim().to_owned(),
            schema,
            check,
            priority: self.choice(priority, &priorities).unwrap_or_default(),
            persist: kept,
            publishers: self.publishers(fields.get("publishers")),
            ..EventType::new(topic?)
        };
        Some(Lowered {
            event_type,
            persist: persist.map(|entry| entry.key.span),
            retention: retention.flatten(),
        })
    }

    fn topic(&mut self, entry: &Entry) -> Option<Pattern> {
        let text = &*entry.key.text;
        let found = Pattern::new(text).ok();
        if found.is_none() {
            let tidy = text.trim().replace(['/', ':', ' '], ".");
            let help = match Pattern::new(tidy.trim_matches('.')) {
                Ok(meant) => format!("did you mean `{meant}`?"),
                Err(_) => "write words with dots between, as in `sensor.camera.front`; a word may be `*` as a whole"
                    .to_owned(),
            };
            let message = format!("`{}` is neither a topic nor a pattern", shown(text));
            let fault = Diagnostic::new(Code::BadTopic, message);
            let label = "expected words of A-Z a-z 0-9 _ - with dots between";
            self.report(fault.at(entry.key.span, label).help(help));
        }
        found
    }

    /// The schema and the check that it makes.
    fn schema(
        &mut self,
        entry: Option<&Entry>,
    ) -> Option<(
        serde_json::Value,
        unity_supervisors::bus::catalog::DataCheck,
    )> {
        let entry = entry?;
        if !matches!(entry.node.value, Value::Map(_) | Value::Bool(_)) {
            let help = "write the JSON Schema of `data`, as in `schema: { type: object }`";
            self.wrong_type(entry, "a mapping", Some(help.to_owned()));
            return None;
        }
        let schema = self.json(&entry.node)?;
        match data::check_of(&schema) {
            Ok(check) => Some((schema, check)),
            Err(faults) => {
                for (path, what) in faults {
                    let (what, help) = match what.split_once("; ") {
                        Some((what, help)) => (what.to_owned(), help.to_owned()),
                        None => (what, SCHEMA_HELP.to_owned()),
                    };
                    let found = SettingsFault {
                        path,
                        what,
                        expected: Vec::new(),
                    };
                    let (span, _) = place(Some(&entry.node), entry.key.span, &found);
                    let message = format!("no JSON Schema: {found}");
                    let fault = Diagnostic::new(Code::BadSchema, message);
                    self.report(fault.at(span, "this cannot stand here").help(help));
                }
                None
            }
        }
    }

    /// How events are kept, and where it is said what their stream keeps.
    fn persist(&mut self, entry: Option<&Entry>, family: &str) -> Option<(Persist, Option<Span>)> {
        let entry = entry?;
        let is_short = !matches!(entry.node.value, Value::Map(_) | Value::Broken);
        if is_short {
            if entry.node.as_text().is_none() {
                let help = "write `persist: durable`, `persist: async`, or a mapping with `mode`";
                self.wrong_type(entry, "a word or a mapping", Some(help.to_owned()));
                return None;
            }
            let mode = self.choice(Some(entry), &MODES)?;
            let stream = self.stream(None, family, entry)?;
            let retention = Retention::default();
            return Some((
                Persist {
                    stream,
                    mode,
                    retention,
                },
                None,
            ));
        }
        let fields = self.fields(&entry.node, "`persist`")?;
        self.only_keys(fields, &PERSIST_KEYS, "`persist`");
        if !fields.has("mode") && !self.has_misspelt(fields, "mode", &PERSIST_KEYS) {
            let fault = Diagnostic::new(Code::MissingKey, "`mode` is missing");
            let fault = fault.at(fields.head, "nothing says when a publish is done");
            self.report(fault.help(
                "write `mode: durable` (when it is on disk) or `mode: async` (at once, on disk soon)",
            ));
        }
        let said = fields.get("retention");
        let retention = self.retention(said);
        let stream = self.stream(fields.get("stream"), family, entry);
        let mode = self.choice(fields.get("mode"), &MODES)?;
        let persist = Persist {
            stream: stream?,
            mode,
            retention,
        };
        Some((persist, said.map(|said| said.key.span)))
    }

    /// The stream that is named, or that of the family.
    fn stream(
        &mut self,
        named: Option<&Entry>,
        family: &str,
        persist: &Entry,
    ) -> Option<StreamName> {
        let (text, span) = match named {
            Some(named) => (self.word(Some(named))?, named.node.span),
            None => (family, persist.key.span),
        };
        let found = StreamName::new(text).ok();
        // A topic that is none was told of.
        if found.is_none() && (named.is_some() || family == "*") {
            let (what, help) = match named {
                Some(_) => (
                    format!("`{}` cannot be the name of a stream", shown(text)),
                    "write another name, as in `sensor:camera`",
                ),
                None => (
                    "a pattern that begins with `*` has no family to name its stream".to_owned(),
                    "write `persist: { mode: …, stream: NAME }`",
                ),
            };
            let label = "expected 1 to 128 of A-Z a-z 0-9 _ - . : with a letter or a digit first";
            let fault = Diagnostic::new(Code::BadStreamName, what);
            self.report(fault.at(span, label).help(help));
        }
        found
    }

    fn retention(&mut self, entry: Option<&Entry>) -> Retention {
        let fields = entry.and_then(|entry| self.fields(&entry.node, "`retention`"));
        let Some(fields) = fields else {
            return Retention::default();
        };
        self.only_keys(fields, &RETENTION_KEYS, "`retention`");
        let bytes = fields.get("bytes").and_then(|entry| self.size(entry));
        Retention {
            age: self.positive(fields.get("age")),
            length: self
                .integer(fields.get("length"), 1..=u32::MAX)
                .map(u64::from),
            bytes: bytes.and_then(|text| unity_actors::size::parse_size(&text).ok()),
        }
    }

    fn publishers(&mut self, entry: Option<&Entry>) -> Vec<ActorPath> {
        let Some(entry) = entry else {
            return Vec::new();
        };
        let Value::List(items) = &entry.node.value else {
            if !matches!(entry.node.value, Value::Null) {
                let help = "write `publishers: [/bridge, /ui]`".to_owned();
                self.wrong_type(entry, "a list of paths", Some(help));
            }
            return Vec::new();
        };
        let mut paths = Vec::new();
        for item in items.iter() {
            match item.as_text().map(str::parse::<ActorPath>) {
                Some(Ok(path)) => paths.push(path),
                _ if matches!(item.value, Value::Broken) => {}
                _ => {
                    let message = format!("{} is not a path", item.describe());
                    let fault = Diagnostic::new(Code::BadPublisher, message);
                    let fault = fault.at(item.caret(), "expected a path");
                    self.report(fault.help(
                        "a path begins with `/`, as in /sensors/host; it stands for all below it, too",
                    ));
                }
            }
        }
        paths
    }

    /// Gives all types of a stream the one retention that is said with one of them.
    fn with_retentions(
        &mut self,
        mut types: Vec<Lowered>,
    ) -> impl Iterator<Item = EventType> + use<> {
        let mut said: BTreeMap<StreamName, (Retention, Span)> = BTreeMap::new();
        for lowered in &types {
            let Some((persist, span)) = lowered.event_type.persist.as_ref().zip(lowered.retention)
            else {
                continue;
            };
            match said.get(&persist.stream) {
                Some((first, at)) if *first != persist.retention => {
                    let message = format!("stream `{}` is kept in two ways", persist.stream);
                    let fault = Diagnostic::new(Code::RetentionDiffers, message)
                        .at(span, format!("here {}", in_words(persist.retention)))
                        .related(*at, format!("here {}", in_words(*first)));
                    self.report(
                        fault.help(
                            "say it once: it counts for all types that are kept in this stream",
                        ),
                    );
                }
                Some(_) => {}
                None => {
                    said.insert(persist.stream.clone(), (persist.retention, span));
                }
            }
        }
        let mut told = Vec::new();
        for lowered in &mut types {
            let Some(persist) = &mut lowered.event_type.persist else {
                continue;
            };
            match (said.get(&persist.stream), lowered.persist) {
                (Some((retention, _)), _) => persist.retention = *retention,
                (None, Some(span)) if !told.contains(&persist.stream) => {
                    told.push(persist.stream.clone());
                    let message = format!("nothing bounds stream `{}`", persist.stream);
                    let warning = Diagnostic::new(Code::StreamUnbounded, message);
                    let warning = warning.at(span, "it grows as long as there is disk");
                    self.report(warning.help(
                        "add `retention: { age: 90d }`, or `retention: {}` if all is to be kept",
                    ));
                }
                (None, _) => {}
            }
        }
        types.into_iter().map(|lowered| lowered.event_type)
    }
}

/// What a stream keeps, for people: `30d, 100000 events, 1GiB`.
pub(super) fn in_words(retention: Retention) -> String {
    let age = retention.age.map(duration::format_duration);
    let length = retention.length.map(|length| format!("{length} events"));
    let bytes = retention.bytes.map(unity_actors::size::format_size);
    let all: Vec<String> = [age, length, bytes].into_iter().flatten().collect();
    if all.is_empty() {
        "everything".to_owned()
    } else {
        all.join(", ")
    }
}

/// The code of a fault of trees where it is one of a catalog.
fn own_code(code: Code) -> Code {
    match code {
        Code::UnknownKey => Code::UnknownEventKey,
        Code::WrongType => Code::EventValueType,
        Code::MissingKey => Code::EventKeyMissing,
        Code::Version => Code::EventVersion,
        Code::BadDuration => Code::EventDuration,
        Code::SystemSize => Code::EventSize,
        Code::OutOfRange => Code::EventRange,
        Code::UnknownWord => Code::EventWord,
        other => other,
    }
}
