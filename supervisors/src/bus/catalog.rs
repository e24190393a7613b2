//! The catalog: which events there are, and what is known of each type. A plain value; who reads it from a file is
//! somebody else.

use std::fmt;
use std::sync::Arc;

use super::topic::{Pattern, Topic};
use crate::path::ActorPath;
use crate::priority::Priority;
use crate::stream::{Durability, Retention, StreamName};

/// Says where data misses the schema of its type; see [`EventType::check`].
pub type DataCheck = Arc<dyn Fn(&serde_json::Value) -> Result<(), Vec<Misfit>> + Send + Sync>;

/// Where data misses its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where in the data, as `/position/x`; empty for the whole.
    pub place: String,
    /// What is wrong there, and what is expected.
    pub what: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "`{}`: {}", self.place, self.what)
        }
    }
}

/// How the events of a type are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persist {
    /// In which stream.
    pub stream: StreamName,
    /// When a publish is done.
    pub mode: Durability,
    /// What the stream keeps.
    pub retention: Retention,
}

/// What is known of events: of one topic, or of all that fit a pattern.
#[derive(Clone)]
pub struct EventType {
    /// Which.
    pub topic: Pattern,
    /// What they are about, for people.
    pub description: String,
    /// The JSON Schema of their data.
    pub schema: Option<serde_json::Value>,
    /// Checks data against the schema, at the edges: what the kernel's own actors publish is not checked.
    pub check: Option<DataCheck>,
    /// Their lane unless they say another.
    pub priority: Priority,
    /// How they are kept, if they are.
    pub persist: Option<Persist>,
    /// Who may publish them: these and all below; everybody if empty.
    pub publishers: Vec<ActorPath>,
}

impl EventType {
    /// One of which no more is known than its name.
    #[must_use]
    pub fn new(topic: Pattern) -> Self {
        Self {
            topic,
            description: String::new(),
            schema: None,
            check: None,
            priority: Priority::Normal,
            persist: None,
            publishers: Vec::new(),
        }
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventType")
            .field("topic", &self.topic)
            .field("persist", &self.persist)
            .finish_non_exhaustive()
    }
}

/// Which events there are.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Whether what is not in it may not be published; answers to requests and the kernel's own `system.*` always may.
    pub strict: bool,
    /// The narrowest first, so that the first that fits a topic is the one to go by.
    types: Vec<Arc<EventType>>,
}

impl Catalog {
    /// Of these types. Of two with one topic the later counts.
    #[must_use]
    pub fn new(strict: bool, types: impl IntoIterator<Item = EventType>) -> Self {
        let mut sorted: Vec<Arc<EventType>> = Vec::new();
        for event_type in types {
            sorted.retain(|other| other.topic != event_type.topic);
            sorted.push(Arc::new(event_type));
        }
        sorted.sort_by(|one, other| {
            let narrow = other.topic.narrowness().cmp(&one.topic.narrowness());
            narrow.then_with(|| one.topic.cmp(&other.topic))
        });
        Self {
            strict,
            types: sorted,
        }
    }

    /// The type of a topic's events.
    #[must_use]
    pub fn find(&self, topic: &Topic) -> Option<&Arc<EventType>> {
        self.types
            .iter()
            .find(|event_type| event_type.topic.fits(topic.as_str()))
    }

    /// The type that has this very name.
    #[must_use]
    pub fn get(&self, name: &Pattern) -> Option<&Arc<EventType>> {
        self.types
            .iter()
            .find(|event_type| event_type.topic == *name)
    }

    /// All types, the narrowest first.
    #[must_use]
    pub fn types(&self) -> &[Arc<EventType>] {
        &self.types
    }

    /// The streams in which there can be events that fit `pattern`, sorted.
    #[must_use]
    pub fn streams(&self, pattern: &Pattern) -> Vec<StreamName> {
        let met = self
            .types
            .iter()
            .filter(|event_type| event_type.topic.meets(pattern));
        let mut streams: Vec<StreamName> = met
            .filter_map(|event_type| Some(event_type.persist.as_ref()?.stream.clone()))
            .collect();
        streams.sort();
        streams.dedup();
        streams
    }
}
