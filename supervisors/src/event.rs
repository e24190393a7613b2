//! The last facts as events: what a service of the kernel publishes on the event bus under `system.`.
//!
//! Bounded: the oldest go first, and who reads too late hears how many it missed. An event is made when somebody reads it, so that keeping one costs no more than
//! moving its fact.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::kernel::memory::Shedding;
use crate::path::ActorPath;
use crate::reload::Change;
use crate::report::Fact;

/// How many events a kernel keeps.
pub const EVENTS_KEPT_MAX: usize = 4_096;

/// A fact of the kernel, in JSON `{"id": 7, "topic": "system.child.exited", "source": "/arm", "time": "…", "data": {…}}`.
#[derive(Debug, Clone)]
pub struct SystemEvent {
    /// Counts up from 1 in each kernel.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    pub fact: Fact,
}

impl SystemEvent {
    /// What it is about, in dotted words.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        match &self.fact {
            Fact::Started { .. } => "system.child.started",
            Fact::Exited { .. } => "system.child.exited",
            Fact::State { .. } => "system.child.changed",
            Fact::Proved { .. } => "system.child.proved",
            Fact::Released { .. } => "system.child.released",
            Fact::Changed(_) => "system.settings.changed",
            Fact::Deleted { .. } => "system.child.deleted",
            Fact::Fresh { .. } => "system.child.fresh",
            Fact::Placed { .. } => "system.child.placed",
            Fact::Stalled { .. } => "system.child.stalled",
            Fact::GoesOn { .. } => "system.child.goes_on",
            Fact::CutOff { .. } => "system.child.cut_off",
            Fact::LetGo { .. } => "system.child.let_go",
            Fact::Crowded { .. } => "system.crowded",
            Fact::Safe { why: Some(_) } => "system.safe_mode.entered",
            Fact::Safe { why: None } => "system.safe_mode.ended",
            Fact::Memory {
                shedding: Shedding::Nothing,
                ..
            } => "system.memory.ended",
            Fact::Memory { .. } => "system.memory.short",
        }
    }

    /// Whom it is about.
    #[must_use]
    pub fn source(&self) -> ActorPath {
        match &self.fact {
            Fact::Started { path, .. }
            | Fact::Exited { path, .. }
            | Fact::State { path, .. }
            | Fact::Fresh { path, .. }
            | Fact::Placed { path, .. }
            | Fact::Stalled { path, .. }
            | Fact::GoesOn { path, .. }
            | Fact::CutOff { path, .. }
            | Fact::LetGo { path, .. }
            | Fact::Proved { path, .. }
            | Fact::Released { path }
            | Fact::Changed(Change { path, .. })
            | Fact::Deleted { path } => path.clone(),
            Fact::Crowded { .. } | Fact::Safe { .. } | Fact::Memory { .. } => ActorPath::root(),
        }
    }

    /// What there is to say of it, as an object.
    #[must_use]
    pub fn data(&self) -> Value {
        match &self.fact {
            Fact::Started {
                incarnation, asked, ..
            } => json!({ "incarnation": incarnation, "asked": asked }),
            Fact::Exited { record, .. } => json!(record),
            Fact::Changed(change) => {
                json!({ "what": change.what, "how": change.how, "moved_from": change.moved_from })
            }
            Fact::Placed { placement, .. } => json!(placement),
            Fact::State { state, .. } => json!({ "state": state }),
            Fact::Stalled {
                incarnation,
                what,
                held_ms,
                in_hand,
                ..
            } => {
                json!({ "incarnation": incarnation, "what": what, "held_ms": held_ms, "in_hand": in_hand })
            }
            Fact::GoesOn { incarnation, .. } | Fact::LetGo { incarnation, .. } => {
                json!({ "incarnation": incarnation })
            }
            Fact::CutOff {
                incarnation,
                abandoned,
                ..
            } => json!({ "incarnation": incarnation, "abandoned": abandoned }),
            Fact::Crowded { abandoned } => json!({ "abandoned": abandoned }),
            Fact::Deleted { .. }
            | Fact::Proved { .. }
            | Fact::Released { .. }
            | Fact::Safe { why: None } => json!({}),
            Fact::Fresh { why, .. } | Fact::Safe { why: Some(why) } => json!({ "why": why }),
            Fact::Memory {
                shedding,
                used,
                limit,
                shed,
            } => json!({
                "shedding": shedding, "used_bytes": used, "limit_bytes": limit, "shed": shed,
            }),
        }
    }
}

impl Serialize for SystemEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("SystemEvent", 5)?;
        event.serialize_field("id", &self.id)?;
        event.serialize_field("topic", self.topic())?;
        event.serialize_field("source", &self.source())?;
        event.serialize_field("time", &self.time)?;
        event.serialize_field("data", &self.data())?;
        event.end()
    }
}

/// The events that a kernel keeps.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: Mutex<Kept>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    last_id: u64,
    events: VecDeque<SystemEvent>,
}

impl Events {
    pub(crate) fn keep(&self, fact: Fact, time: Timestamp) {
        let mut kept = self.kept.lock();
        kept.last_id += 1;
        let id = kept.last_id;
        if kept.events.len() >= EVENTS_KEPT_MAX {
            kept.events.pop_front();
        }
        kept.events.push_back(SystemEvent { id, time, fact });
        drop(kept);
        self.more.notify_waiters();
    }

    /// At most `limit` of those that follow the one with the id `after`, oldest first; waits until there is one.
    pub(crate) async fn after(&self, after: u64, limit: usize) -> Vec<SystemEvent> {
        loop {
            let more = self.more.notified();
            {
                let kept = self.kept.lock();
                let behind = usize::try_from(kept.last_id.saturating_sub(after));
                let behind = behind.unwrap_or(usize::MAX).min(kept.events.len());
                if behind > 0 {
                    let known = kept.events.len() - behind;
                    return kept
                        .events
                        .iter()
                        .skip(known)
                        .take(limit)
                        .cloned()
                        .collect();
                }
            }
            more.await;
        }
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<SystemEvent> {
        self.kept.lock().events.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_and_say_what_a_bus_needs() {
        let events = Events::default();
        let path: ActorPath = "/arm".parse().unwrap();
        for _ in 0..EVENTS_KEPT_MAX + 5 {
            let path = path.clone();
            events.keep(Fact::Deleted { path }, Timestamp::from_secs(0));
        }
        let fact = Fact::Safe {
            why: Some("too much".to_owned()),
        };
        events.keep(fact, Timestamp::from_secs(1));

        let kept = events.all();

        assert_eq!(kept.len(), EVENTS_KEPT_MAX);
        assert_eq!(kept[0].id, 7);
        assert_eq!(json!(kept[0])["source"], "/arm");
        let last = json!({
            "id": EVENTS_KEPT_MAX + 6, "topic": "system.safe_mode.entered", "source": "/",
            "time": "1970-01-01T00:00:01.000000Z", "data": { "why": "too much" },
        });
        assert_eq!(json!(kept.last()), last);
    }
}
