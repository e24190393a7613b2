//! The event bus: what travels between actors that do not know each other.

pub mod catalog;
#[expect(dead_code, reason = "the bus that comes next uses the rest")]
mod event;
#[expect(dead_code, reason = "the bus that comes next uses the rest")]
mod topic;

pub use self::catalog::{Catalog, EventType, Misfit, Persist};
pub use self::event::{
    BLOB_LEN_MAX, Blob, Draft, EVENT_LEN_MAX, Event, EventId, Extras, InvalidEventId,
};
pub use self::topic::{InvalidTopic, Pattern, TOPIC_LEN_MAX, Topic};
