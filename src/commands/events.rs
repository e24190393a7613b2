//! `uk events`: which events there are, what was published, what comes by.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Catalog, EventType, InvalidTopic, Pattern, TopicStats};
use unity_supervisors::clock::Timestamp;

use super::streams::retention_json;
use crate::arguments::{Arg, ArgKind, Args, Form, milliseconds};
use crate::error::{Code, CommandError};
use crate::nearest::nearest;

mod list;
mod publish;
pub(super) mod replay;
mod show;
mod stats;
pub(crate) mod tail;

pub(super) use self::list::COMMAND as LIST;
pub(super) use self::publish::COMMAND as PUBLISH;
pub(super) use self::show::COMMAND as SHOW;
pub(super) use self::stats::COMMAND as STATS;
pub(super) use self::tail::COMMAND as TAIL;

const PATTERN: Arg = Arg::option(
    "pattern",
    ArgKind::Form(Form::Pattern),
    "only those that fit it, as in 'sensor.*'",
);

impl From<InvalidTopic> for CommandError {
    fn from(error: InvalidTopic) -> Self {
        let usage = Self::usage(error.to_string());
        match error {
            InvalidTopic::Pattern(_) => usage.hint("name one topic, without a `*`"),
            InvalidTopic::Topic(text) | InvalidTopic::NoPattern(text) => {
                let tidy = text.replace(['/', ':', ' '], ".");
                match Pattern::new(tidy.trim_matches('.')) {
                    Ok(meant) => usage.hint(format!("did you mean `{meant}`?")),
                    Err(_) => usage.hint("`uk events list` lists what there is"),
                }
            }
        }
    }
}

/// The pattern that an argument is; all unless it was given.
fn pattern(args: &Args, name: &str) -> Result<Pattern, CommandError> {
    Ok(match args.text(name) {
        Some(text) => Pattern::new(text)?,
        None => Pattern::all(),
    })
}

/// There is no such type of events.
fn unknown(topic: &Pattern, catalog: &Catalog) -> CommandError {
    let error = CommandError::new(
        Code::NotFound,
        format!("`{topic}` is not in the catalog of events"),
    );
    let all = catalog.types().iter().map(|its| its.topic.as_str());
    match nearest(topic.as_str(), all) {
        Some(near) => error.hint(format!("did you mean `{near}`? `uk events list` lists all")),
        None => error.hint("`uk events list` lists what is in it"),
    }
}

/// What was counted of a type, or of topics of none.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    published: u64,
    delivered: u64,
    refused: u64,
    last: Option<Timestamp>,
}

impl Counted {
    fn add(&mut self, stats: &TopicStats) {
        self.published += stats.published;
        self.delivered += stats.delivered;
        self.refused += stats.refused;
        self.last = self.last.max(Some(stats.last));
    }

    /// Puts it into a document.
    fn put(self, document: &mut Value, kernel: &Kernel) {
        let Some(document) = document.as_object_mut() else {
            return;
        };
        let ago = self.last.map(|last| last.age(kernel.clock().wall()));
        let fields = [
            ("published", json!(self.published)),
            ("delivered", json!(self.delivered)),
            ("refused", json!(self.refused)),
            ("last", json!(self.last)),
            ("ago_ms", json!(ago.map(milliseconds))),
        ];
        document.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    }
}

/// What was counted, by the name of the type that a topic belongs to; with none, those that belong to none.
fn counted(kernel: &Kernel, catalog: &Catalog) -> BTreeMap<Option<Pattern>, Counted> {
    let mut all: BTreeMap<Option<Pattern>, Counted> = BTreeMap::new();
    for stats in kernel.bus().stats() {
        let event_type = stats.topic.as_ref().and_then(|topic| catalog.find(topic));
        let name = event_type.map(|event_type| event_type.topic.clone());
        all.entry(name).or_default().add(&stats);
    }
    all
}

fn json_of(event_type: &EventType) -> Value {
    let persist = event_type.persist.as_ref().map(|persist| {
        json!({
            "stream": persist.stream,
            "mode": persist.mode,
            "retention": retention_json(persist.retention),
        })
    });
    json!({
        "topic": event_type.topic,
        "description": event_type.description,
        "priority": event_type.priority,
        "schema": event_type.schema,
        "persist": persist,
        "publishers": event_type.publishers,
    })
}

/// `durable in action_log`, from the document of a type.
fn kept(event_type: &Value) -> String {
    use crate::screen::text;
    match event_type
        .get("persist")
        .filter(|persist| persist.is_object())
    {
        Some(persist) => format!("{} in {}", text(persist, "mode"), text(persist, "stream")),
        None => "not kept".to_owned(),
    }
}
