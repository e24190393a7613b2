//! A publisher of one topic: what is looked up once for many events.

use std::sync::Arc;

use serde_json::Value;

use super::event::{Head, Said};
use super::{Bus, Event, EventId, PublishError, Route, Topic, TopicRoute};

/// How many events share a head. Each is another place of memory, which the publisher's and the subscribers' processors
/// then hand over once for so many events, and not with each.
const HEAD_SHARED: u32 = 64;

/// Publishes events of one topic, in one name. Made by [`Context::publisher`](crate::Context::publisher) and
/// [`Bus::publisher`].
pub struct Publisher {
    bus: Arc<Bus>,
    topic: Arc<TopicRoute>,
    route: Arc<Route>,
    source: Arc<str>,
    head: Arc<Head>,
    left: u32,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publisher({})", self.topic.topic)
    }
}

impl Publisher {
    pub(super) fn new(bus: &Arc<Bus>, source: &Arc<str>, topic: &Topic) -> Self {
        let head = Head::new(topic, source);
        let topic = bus.topic(topic);
        Self {
            bus: Arc::clone(bus),
            route: bus.route(&topic),
            topic,
            source: Arc::clone(source),
            head,
            left: HEAD_SHARED,
        }
    }

    /// Publishes `data`, as [`Context::publish`](crate::Context::publish) does.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&mut self, data: Value) -> Result<EventId, PublishError> {
        let event = self.event(data)?;
        let id = event.id;
        self.bus.send(&self.topic, &self.route, event).await?;
        Ok(id)
    }

    /// Publishes `data`, as [`Context::publish_when_room`](crate::Context::publish_when_room) does.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_when_room(&mut self, data: Value) -> Result<EventId, PublishError> {
        let event = self.event(data)?;
        let id = event.id;
        let sent = self.bus.send_when_room(&self.topic, &self.route, event);
        sent.await?;
        Ok(id)
    }

    #[inline]
    fn event(&mut self, data: Value) -> Result<Arc<Event>, PublishError> {
        if !self.bus.is_current(&self.route) {
            self.route = self.bus.route(&self.topic);
        }
        self.left -= 1;
        if self.left == 0 {
            self.left = HEAD_SHARED;
            self.head = Head::new(&self.head.topic, &self.source);
        }
        let head = Arc::clone(&self.head);
        self.bus
            .admit(&self.route, &self.source, head, Said::data(data))
    }
}
