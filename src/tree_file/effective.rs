//! Writes a tree back as a tree file that says everything: [`to_yaml`], [`to_json`].
//!
//! What is written reads back as the same tree. Keys that a tree cannot say (a `backoff` that is not
//! there) and settings that are left to their kind stand in comments. Left out are comments of the
//! original and its includes: this is what came of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use unity_supervisors::path::ChildId;
use unity_supervisors::secret::{Part, parts};
use unity_supervisors::spec::{
    Backoff, ChildKind, ChildSpec, Failover, HealthSpec, LadderAction, LadderStep, MailboxSpec,
    Place, PlaceAt, Shutdown, StateSpec, SupervisorSpec, TreeSpec,
};

use super::keys::word_of;
use super::{
    KindCheck, child, format_duration, keys, ladder, parse_duration, place, scalar, stall,
    supervisor, worker,
};

/// A value that does not fit on a line of so many characters goes over several.
const WIDTH: usize = 100;

/// What stands after a key.
pub(super) enum Item<'a> {
    /// JSON.
    Value(Value),
    /// A mapping of keys that the reader knows.
    Map(Vec<(&'static str, Item<'a>)>),
    /// Settings of a kind.
    Settings(&'a str, &'a Value),
    /// Mappings of keys that the reader knows, each in one line.
    List(Vec<Items<'a>>),
    /// Children.
    Children(&'a [Arc<ChildSpec>]),
    /// What children are made from.
    Template(&'a ChildSpec),
    /// Nothing, which means this.
    Unsaid(&'static str),
}

type Items<'a> = Vec<(&'static str, Item<'a>)>;

/// The tree as YAML; what is a default is marked as one.
#[must_use]
pub fn to_yaml(tree: &TreeSpec, kinds: &dyn KindCheck) -> String {
    let mut yaml = Yaml {
        out: String::new(),
        kinds,
    };
    yaml.items(&file(tree), &file(&default_tree()), 0);
    yaml.out
}

/// The tree as JSON in one line, which is a tree file as well.
#[must_use]
pub fn to_json(tree: &TreeSpec) -> String {
    json_text(&object(&file(tree)))
}

/// JSON that YAML takes as well: a control character must not stand there as it is.
pub(crate) fn json_text(value: &Value) -> String {
    let mut out = String::new();
    for letter in value.to_string().chars() {
        if letter.is_control() {
            out.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            out.push(letter);
        }
    }
    out
}

/// The tree of a file that says no more than it must.
pub(super) fn default_tree() -> TreeSpec {
    TreeSpec {
        name: super::document::NAME.to_owned(),
        test: false,
        root: SupervisorSpec::default(),
    }
}

/// The keys of a tree file.
pub(super) fn file(tree: &TreeSpec) -> Items<'_> {
    vec![
        ("version", json!(1).into()),
        ("name", json!(tree.name).into()),
        ("test", json!(tree.test).into()),
        ("tree", Item::Map(supervisor_items(&tree.root))),
    ]
}

/// The keys of a child.
pub(super) fn child_items(spec: &ChildSpec) -> Items<'_> {
    let mut items: Items<'_> = vec![("id", json!(spec.id).into())];
    if let ChildKind::Worker(worker) = &spec.what {
        items.push(("kind", json!(worker.kind).into()));
        items.push(("settings", Item::Settings(&worker.kind, &worker.settings)));
    }
    items.push(("labels", json!(spec.labels).into()));
    items.push(("restart", word(&child::RESTARTS, &spec.restart)));
    items.push(("shutdown", shutdown(spec.shutdown).into()));
    items.push(("significant", json!(spec.significant).into()));
    items.push(("essential", json!(spec.essential).into()));
    let start_timeout = spec.start_timeout.map(format_duration);
    let start_timeout = start_timeout.unwrap_or_else(|| "infinity".to_owned());
    items.push(("start_timeout", json!(start_timeout).into()));
    items.push(match &spec.backoff {
        Some(backoff) => ("backoff", Item::Map(backoff_items(backoff))),
        None => ("backoff", Item::Unsaid("none, a restart comes at once")),
    });
    items.push(("probation", json!(format_duration(spec.probation)).into()));
    items.push(("needs", json!(spec.needs).into()));
    match &spec.what {
        ChildKind::Worker(worker) => {
            items.push(match &worker.place {
                Some(place) => ("place", Item::Map(place_items(place))),
                None => ("place", json!(place::HERE).into()),
            });
            items.push(("mailbox", Item::Map(mailbox_items(&worker.mailbox))));
            items.push(match &worker.health {
                Some(health) => ("health", Item::Map(health_items(health))),
                None => ("health", json!("off").into()),
            });
            let stall_after = format_duration(worker.stall_after);
            items.push(("stall_after", json!(stall_after).into()));
            items.push(("stall", word(&stall::STALLS, &worker.stall)));
            items.push(("runtime", word(&stall::RUNTIMES, &worker.runtime)));
            let steps = worker.on_crash.iter().flat_map(|ladder| &ladder.steps);
            items.push(("on_crash", Item::List(steps.map(step_items).collect())));
            items.push(match &worker.state {
                Some(state) => ("state", Item::Map(kept_items(state))),
                None => ("state", Item::Unsaid("off, each life begins anew")),
            });
        }
        ChildKind::Supervisor(supervisor) => items.extend(supervisor_items(supervisor)),
    }
    items
}

/// The keys of a step of a ladder.
fn step_items(step: &LadderStep) -> Items<'_> {
    let action = match &step.action {
        LadderAction::Swap(settings) => ("swap", settings.clone()),
        LadderAction::LastGood => ("swap", json!(ladder::LAST_GOOD)),
        LadderAction::Quarantine => ("quarantine", json!(true)),
    };
    vec![
        ("after", json!(step.after).into()),
        ("within", json!(format_duration(step.within)).into()),
        (action.0, action.1.into()),
    ]
}

/// The keys of a `state`.
pub(super) fn kept_items(state: &StateSpec) -> Items<'static> {
    vec![
        ("keep", json!(true).into()),
        ("every", json!(format_duration(state.every)).into()),
    ]
}

/// The keys of a `place`.
fn place_items(place: &Place) -> Items<'static> {
    let at = match &place.at {
        PlaceAt::Node(node) => ("node", json!(node)),
        PlaceAt::Labels(labels) => ("labels", json!(labels)),
    };
    let mut items = vec![(at.0, at.1.into())];
    items.extend(grant_items(place.lease, place.failover));
    items
}

/// The keys of a `place` that it has wherever it is.
pub(super) fn grant_items(lease: Duration, failover: Failover) -> Items<'static> {
    vec![
        ("lease", json!(format_duration(lease)).into()),
        ("failover", word(&place::FAILOVERS, &failover)),
    ]
}

/// The same as a file has it.
pub(crate) fn place_json(place: Option<&Place>) -> Value {
    place.map_or_else(|| json!(place::HERE), |place| object(&place_items(place)))
}

/// The keys of a supervisor.
pub(super) fn supervisor_items(spec: &SupervisorSpec) -> Items<'_> {
    let mut items: Items<'_> = vec![
        ("strategy", word(&supervisor::STRATEGIES, &spec.strategy)),
        ("intensity", json!(spec.intensity).into()),
        ("period", json!(format_duration(spec.period)).into()),
        (
            "auto_shutdown",
            word(&supervisor::AUTO_SHUTDOWNS, &spec.auto_shutdown),
        ),
    ];
    let first = spec.children.first();
    match (&spec.template, spec.partitions.zip(first)) {
        (None, Some((count, first))) => {
            items.push(("template", Item::Template(first)));
            items.push(("partitions", json!(count).into()));
        }
        (None, None) => items.push(("children", Item::Children(&spec.children))),
        (Some(template), _) => {
            items.push(("template", Item::Template(&template.child)));
            items.push(match template.max_children {
                Some(max) => ("max_children", json!(max).into()),
                None => ("max_children", Item::Unsaid("none, as many as are spawned")),
            });
        }
    }
    items
}

/// The keys of a template.
pub(super) fn template_items(child: &ChildSpec) -> Items<'_> {
    let mut items = child_items(child);
    items.retain(|(key, _)| !keys::NOT_IN_TEMPLATE.contains(key));
    items
}

/// The keys of a `backoff`.
pub(super) fn backoff_items(backoff: &Backoff) -> Items<'static> {
    vec![
        ("min", json!(format_duration(backoff.min)).into()),
        ("max", json!(format_duration(backoff.max)).into()),
        ("factor", json!(backoff.factor).into()),
        ("jitter", json!(backoff.jitter).into()),
    ]
}

/// The keys of a `health`.
pub(super) fn health_items(health: &HealthSpec) -> Items<'static> {
    vec![
        ("every", json!(format_duration(health.every)).into()),
        ("timeout", json!(format_duration(health.timeout)).into()),
        ("fails", json!(health.fails).into()),
    ]
}

/// The keys of a `mailbox`.
pub(super) fn mailbox_items(mailbox: &MailboxSpec) -> Items<'static> {
    let lanes = mailbox.lanes.iter();
    let lanes: Map<String, Value> = lanes
        .map(|(lane, capacity)| (lane.as_str().to_owned(), json!(capacity)))
        .collect();
    vec![
        ("capacity", json!(mailbox.capacity).into()),
        ("lanes", Value::Object(lanes).into()),
        ("overflow", word(&worker::OVERFLOWS, &mailbox.overflow)),
        (
            "send_timeout",
            json!(format_duration(mailbox.send_timeout)).into(),
        ),
        ("on_restart", word(&worker::ON_RESTART, &mailbox.on_restart)),
        ("retry", json!(mailbox.retry).into()),
        ("fairness", json!(mailbox.fairness).into()),
        match mailbox.ttl {
            Some(ttl) => ("ttl", json!(format_duration(ttl)).into()),
            None => ("ttl", Item::Unsaid("none, a message waits for ever")),
        },
    ]
}

fn word<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> Item<'static> {
    json!(word_of(table, value)).into()
}

fn shutdown(shutdown: Shutdown) -> Value {
    match shutdown {
        Shutdown::BrutalKill => json!("brutal_kill"),
        Shutdown::Infinity => json!("infinity"),
        Shutdown::Timeout(time) => json!(format_duration(time)),
    }
}

impl From<Value> for Item<'_> {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

fn object(items: &Items<'_>) -> Value {
    let members = items.iter().filter_map(|(key, item)| {
        let value = match item {
            Item::Value(value) => literal(value, escaped),
            Item::Settings(_, value) => settings_literal(value),
            Item::Map(items) => object(items),
            Item::List(list) => list.iter().map(object).collect(),
            Item::Children(children) => children
                .iter()
                .map(|child| object(&child_items(child)))
                .collect(),
            Item::Template(child) => object(&template_items(child)),
            Item::Unsaid(_) => return None,
        };
        Some(((*key).to_owned(), value))
    });
    Value::Object(members.collect())
}

/// A value in which nothing is taken for a variable when it is read; `write` writes a text.
fn literal(value: &Value, write: fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => json!(write(text)),
        Value::Array(items) => items.iter().map(|item| literal(item, write)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            Value::Object(
                members
                    .map(|(k, v)| (k.clone(), literal(v, write)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// Settings as they stand in a file, their placeholders for secrets as they are.
pub(crate) fn settings_literal(settings: &Value) -> Value {
    literal(settings, with_secrets)
}

/// A text of settings, its placeholders for secrets as they are.
fn with_secrets(text: &str) -> String {
    let write = |part| match part {
        Part::Text(text) | Part::Broken(text) => escaped(text),
        Part::Secret(name) => format!("${{secret:{name}}}"),
    };
    parts(text).into_iter().map(write).collect()
}

fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

struct Yaml<'k> {
    out: String,
    kinds: &'k dyn KindCheck,
}

impl Yaml<'_> {
    /// Writes the keys of a mapping. What is the same in `defaults` is marked.
    fn items(&mut self, items: &Items<'_>, defaults: &Items<'_>, indent: usize) {
        for (key, item) in items {
            let default = defaults.iter().find(|(name, _)| name == key);
            self.item(key, item, default.map(|(_, item)| item), indent);
        }
    }

    fn item(&mut self, key: &str, item: &Item<'_>, default: Option<&Item<'_>>, indent: usize) {
        match (item, default) {
            (Item::Value(value), Some(Item::Value(default)))
                if value == default && !matches!(key, "version" | "id" | "kind") =>
            {
                let text = flow(&literal(value, escaped));
                self.line(indent, format_args!("{key}: {text}  # default"));
            }
            (Item::Value(value), _) => self.json(key, &literal(value, escaped), indent),
            (Item::Map(items), default) => {
                self.line(indent, format_args!("{key}:"));
                let none = Vec::new();
                let backoff = backoff_items(&Backoff::default());
                let state = kept_items(&StateSpec::default());
                let health = health_items(&HealthSpec::default());
                let grant = grant_items(Place::LEASE, Failover::default());
                let defaults = match default {
                    Some(Item::Map(defaults)) => defaults,
                    _ if key == "backoff" => &backoff,
                    _ if key == "state" => &state,
                    _ if key == "health" => &health,
                    _ if key == "place" => &grant,
                    _ => &none,
                };
                self.items(items, defaults, indent + 2);
            }
            (Item::List(list), _) if list.is_empty() => {
                self.line(indent, format_args!("{key}: []  # default"));
            }
            (Item::List(list), _) => {
                self.line(indent, format_args!("{key}:"));
                for items in list {
                    self.line(indent + 2, format_args!("- {}", flow_items(items)));
                }
            }
            (Item::Settings(kind, value), _) => self.settings(kind, value, indent),
            (Item::Children(children), _) => self.children(children, indent),
            (Item::Template(child), _) => {
                self.line(indent, format_args!("{key}:"));
                let default = default_child(child);
                self.items(
                    &template_items(child),
                    &template_items(&default),
                    indent + 2,
                );
            }
            (Item::Unsaid(what), _) => self.line(indent, format_args!("# {key}: {what}")),
        }
    }

    fn children(&mut self, children: &[Arc<ChildSpec>], indent: usize) {
        if children.is_empty() {
            return self.line(indent, format_args!("children: []"));
        }
        self.line(indent, format_args!("children:"));
        for child in children {
            let items = child_items(child);
            let default = default_child(child);
            let start = self.out.len();
            self.items(&items, &child_items(&default), indent + 4);
            // The first key, which is there always, stands beside the dash.
            let dash = start + indent + 2;
            self.out.replace_range(dash..=dash, "-");
        }
    }

    /// Writes settings, and in comments those that their kind fills in.
    fn settings(&mut self, kind: &str, value: &Value, indent: usize) {
        let empty = Map::new();
        let given = value.as_object().unwrap_or(&empty);
        if given.is_empty() {
            self.line(indent, format_args!("settings: {{}}  # default"));
        } else {
            self.line(indent, format_args!("settings:"));
        }
        for (key, value) in given {
            self.json(&quoted_key(key), &settings_literal(value), indent + 2);
        }
        let schema = self.kinds.schema(kind);
        let known = schema.get("properties").and_then(Value::as_object);
        for (key, property) in known.into_iter().flatten() {
            let default = property.get("default").filter(|value| !value.is_null());
            if let Some(default) = default.filter(|_| !given.contains_key(key)) {
                let (key, default) = (quoted_key(key), flow(&literal(default, escaped)));
                self.line(indent + 2, format_args!("# {key}: {default}  (default)"));
            }
        }
    }

    /// Writes a key, quoted already where it must be, and its value.
    fn json(&mut self, key: &str, value: &Value, indent: usize) {
        let text = flow(value);
        match value {
            Value::Object(members) if indent + key.len() + text.len() > WIDTH => {
                self.line(indent, format_args!("{key}:"));
                for (key, value) in members {
                    self.json(&quoted_key(key), value, indent + 2);
                }
            }
            Value::Array(items) if indent + key.len() + text.len() > WIDTH => {
                self.line(indent, format_args!("{key}:"));
                for item in items {
                    self.line(indent + 2, format_args!("- {}", flow(item)));
                }
            }
            _ => self.line(indent, format_args!("{key}: {text}")),
        }
    }

    fn line(&mut self, indent: usize, text: std::fmt::Arguments<'_>) {
        self.out.push_str(&format!("{:indent$}{text}\n", ""));
    }
}

/// A child of the same sort that says nothing.
pub(super) fn default_child(like: &ChildSpec) -> ChildSpec {
    let id: ChildId = like.id.clone();
    match &like.what {
        ChildKind::Worker(worker) => ChildSpec::worker(id, worker.kind.clone()),
        ChildKind::Supervisor(_) => ChildSpec::supervisor(id, SupervisorSpec::default()),
    }
}

/// A value in one line.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter();
            let members: Vec<String> = members
                .map(|(key, value)| format!("{}: {}", quoted_key(key), flow(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// Keys and their values in one line, in this order.
fn flow_items(items: &Items<'_>) -> String {
    let values = items.iter().filter_map(|(key, item)| match item {
        Item::Value(value) => Some(format!("{key}: {}", flow(value))),
        _ => None,
    });
    format!("{{ {} }}", values.collect::<Vec<_>>().join(", "))
}

pub(crate) fn quoted_key(key: &str) -> String {
    if is_plain(key) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// Whether a text needs no quotes, for this reader and for those of older YAML.
fn is_plain(text: &str) -> bool {
    let is_text = matches!(scalar::resolve(text), super::node::Value::Text { .. });
    let others = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_other = others.iter().any(|word| word.eq_ignore_ascii_case(text));
    let first = text.bytes().next().unwrap_or_default();
    let begins = first.is_ascii_alphabetic() || b"/_".contains(&first);
    let mut bytes = text.bytes();
    is_text
        && !is_other
        && (begins || parse_duration(text).is_ok())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

/// A text in double quotes, whatever it holds.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(letter),
            _ if letter.is_alphanumeric() => out.push(letter),
            _ => out.push_str(&format!("\\U{:08X}", u32::from(letter))),
        }
    }
    out.push('"');
    out
}
