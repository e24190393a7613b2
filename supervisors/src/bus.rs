//! The event bus: what travels between actors that do not know each other.
//!
//! A publish finds the topic's route (who receives it, and what the [`Catalog`] says of it), which is kept until a
//! subscription or the catalog changes, and puts one shared [`Event`] into the lane of its priority of each subscriber's
//! mailbox. It never waits for a subscriber; [`Bus::publish_when_room`] does. What the catalog says is to be kept goes into
//! its stream first, and is delivered in the order of the stream.
//!
//! Of two events of one publisher, and of one stream, every subscriber receives the earlier first, within a lane.
//!
//! Considered: one snapshot of all routes, made anew with each subscription: with many subscriptions that is work for
//! topics nobody publishes; a broadcast ring (tokio's) for each topic: a slow reader loses events, and has no priorities.

mod batch;
pub mod catalog;
mod context;
mod delivery;
mod durable;
mod event;
pub mod line;
mod on_behalf;
mod publisher;
mod routes;
mod stats;
mod subscriber;
mod topic;
mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use self::batch::{Batch, Fed};
pub use self::catalog::{Catalog, EventType, Misfit, Persist};
pub use self::context::{SubscribeError, Subscription};
pub(crate) use self::delivery::Bundle;
pub use self::delivery::{Delivery, POISON_AFTER, Receipt};
use self::durable::Handed;
pub use self::durable::{InvalidSince, Since};
pub use self::event::{
    BLOB_LEN_MAX, Blob, Draft, EVENT_LEN_MAX, Event, EventId, Extras, Head, InvalidEventId,
};
use self::event::{EventIds, Said};
pub use self::on_behalf::OnBehalf;
pub use self::publisher::Publisher;
use self::routes::{Patterns, Receiver};
use self::stats::Counts;
pub use self::stats::TopicStats;
use self::subscriber::is_making;
pub use self::subscriber::{HandedOver, Place, Queue, Refused, Subscriber};
pub use self::topic::{InvalidTopic, Pattern, TOPIC_LEN_MAX, Topic};
pub use self::waiting::{WaitError, WaitFor};
use crate::clock::{Clock, Timestamp};
use crate::path::ActorPath;
use crate::priority::Priority;
use crate::stream::{Deliver, Durability, StreamError, StreamName, StreamStore, checked_len};

/// Of how many topics a kernel keeps routes and counts; those of more are found anew each time, and counted together.
pub const TOPICS_MAX: usize = 10_000;

/// Why an event was not published. Nobody has received it then, but see [`StreamError::NotWritten`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The catalog is strict and does not have it.
    #[error("`{0}` is not in the catalog of events, which is strict")]
    Unknown(Topic),
    /// The catalog says who may publish it.
    #[error("`{path}` may not publish `{topic}`: the catalog says who may")]
    NotAllowed {
        /// What.
        topic: Topic,
        /// Who.
        path: ActorPath,
    },
    /// It is to be durable, and this kernel has no streams.
    #[error("`{0}` is to be kept in a stream, and this kernel has none")]
    NoStreams(Topic),
    /// It, or its blob, is longer than one may be.
    #[error(
        "the event has {len} bytes, and one may have {max}: publish where it is to be found instead"
    )]
    TooLarge {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// Its stream does not take it.
    #[error(transparent)]
    Stream(StreamError),
    /// It was published by what makes a message of another event, which has to do nothing else.
    #[error("what makes a message of an event publishes none")]
    Nested,
    /// The life that publishes has ended: a late effect of a dead life.
    #[error("the life that publishes has ended")]
    Revoked,
}

impl From<StreamError> for PublishError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::TooLarge { len, max } => Self::TooLarge { len, max },
            error => Self::Stream(error),
        }
    }
}

/// All routes, subscriptions and counts of one kernel.
pub struct Bus {
    clock: Clock,
    ids: EventIds,
    store: Option<Arc<dyn StreamStore>>,
    catalog: ArcSwap<Versioned>,
    catalog_changed: watch::Sender<u64>,
    patterns: Mutex<Patterns>,
    /// Counts changes of subscriptions and catalog; written under the lock of the patterns.
    version: AtomicU64,
    subscriptions: AtomicU64,
    topics: DashMap<Topic, Arc<TopicRoute>>,
    /// What is counted of topics that there is no room for.
    others: Arc<Counts>,
    /// What is handed out, by stream, group and consumer; outlives the lives that it is handed to.
    handed: Mutex<BTreeMap<(StreamName, String, String), Arc<Handed>>>,
}

struct Versioned {
    version: u64,
    catalog: Arc<Catalog>,
}

/// A topic that was published: how it goes now, and what was counted.
struct TopicRoute {
    topic: Topic,
    route: ArcSwap<Route>,
    batch: Arc<Batch>,
    /// Its own, or those of all that there is no room for.
    counts: Arc<Counts>,
}

/// How the events of a topic go.
struct Route {
    version: u64,
    catalog_version: u64,
    event_type: Option<Arc<EventType>>,
    /// Whether the catalog has it, or need not.
    is_known: bool,
    subscribers: Vec<Arc<dyn Subscriber>>,
    /// The mailboxes of all of them; none if one of them is something else.
    fed: Vec<Arc<dyn Fed>>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("topics", &self.topics.len())
            .finish_non_exhaustive()
    }
}

/// Answers to requests and the kernel's own events are in every catalog.
fn is_always_known(topic: &Topic) -> bool {
    matches!(topic.family(), "reply" | "system")
}

impl Bus {
    pub(crate) fn new(
        clock: Clock,
        drawn: u32,
        catalog: Catalog,
        store: Option<Arc<dyn StreamStore>>,
    ) -> Arc<Self> {
        let bus = Self {
            clock,
            ids: EventIds::new(drawn),
            store,
            catalog: ArcSwap::from_pointee(Versioned {
                version: 0,
                catalog: Arc::default(),
            }),
            catalog_changed: watch::Sender::new(0),
            patterns: Mutex::default(),
            version: AtomicU64::new(1),
            subscriptions: AtomicU64::new(0),
            topics: DashMap::new(),
            others: Arc::default(),
            handed: Mutex::default(),
        };
        bus.set_catalog(Arc::new(catalog));
        Arc::new(bus)
    }

    /// Which events there are.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.load().catalog)
    }

    /// Goes by another catalog from now on.
    pub fn set_catalog(&self, catalog: Arc<Catalog>) {
        if let Some(store) = &self.store {
            for persist in catalog
                .types()
                .iter()
                .filter_map(|its| its.persist.as_ref())
            {
                store.set_retention(&persist.stream, persist.retention);
            }
        }
        let version = {
            let _patterns = self.patterns.lock();
            let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
            self.catalog.store(Arc::new(Versioned { version, catalog }));
            version
        };
        self.catalog_changed.send_replace(version);
    }

    /// Where events are kept, if anywhere.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<dyn StreamStore>> {
        self.store.as_ref()
    }

    /// Has `subscriber` receive what fits `pattern` from now on; returns the number by which
    /// [`unsubscribe`](Self::unsubscribe) knows it. Not bound to any life: actors use
    /// [`Context::subscribe`](crate::Context::subscribe).
    pub fn subscribe(&self, pattern: &Pattern, subscriber: Arc<dyn Subscriber>) -> u64 {
        let fed = None;
        self.add(pattern, Receiver { subscriber, fed })
    }

    fn add(&self, pattern: &Pattern, receiver: Receiver) -> u64 {
        let number = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let mut patterns = self.patterns.lock();
        patterns.add(number, pattern, receiver);
        self.version.fetch_add(1, Ordering::AcqRel);
        number
    }

    /// Ends a subscription. `false` if there is none of this number.
    pub fn unsubscribe(&self, number: u64) -> bool {
        let removed = {
            let mut patterns = self.patterns.lock();
            let removed = patterns.remove(number);
            self.version.fetch_add(1, Ordering::AcqRel);
            removed
        };
        // What it holds is dropped outside of the lock.
        if let Some(fed) = removed.as_ref().and_then(|removed| removed.fed.as_ref()) {
            // What was gathered for it is its own: it waits for the next life.
            fed.end_feeds();
        }
        removed.is_some()
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.patterns.lock().len()
    }

    /// Who receives `topic`, for people.
    #[must_use]
    pub fn subscribers(&self, topic: &Topic) -> Vec<String> {
        let (found, _) = self.patterns.lock().find(topic.as_str());
        found.iter().map(|its| its.name()).collect()
    }

    /// What was counted, by topic.
    #[must_use]
    pub fn stats(&self) -> Vec<TopicStats> {
        let mut all: Vec<TopicStats> = self
            .topics
            .iter()
            .map(|entry| entry.counts.read(Some(entry.topic.clone())))
            .collect();
        all.sort_by(|one, other| one.topic.cmp(&other.topic));
        let others = self.others.read(None);
        all.extend((others.published > 0).then_some(others));
        all
    }

    /// Publishes in the name of `source`: the path of an actor, which the catalog may not allow to, or what an operator's
    /// program calls itself.
    ///
    /// Done once each subscriber has it, or has refused it. What is kept in a stream is appended first; if it is durable,
    /// that is waited for.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        self: &Arc<Self>,
        source: &Arc<str>,
        draft: Draft,
    ) -> Result<EventId, PublishError> {
        let topic = self.topic(&draft.topic);
        let route = self.route(&topic);
        let (head, said) = draft.apart(source);
        let event = self.admit(&route, source, head, said)?;
        let id = event.id;
        self.send(&topic, &route, event).await?;
        Ok(id)
    }

    /// As [`publish`](Self::publish), but waits until each subscriber that lives has room: for sources that can be slowed.
    /// A subscriber to its own events that has none is passed over. What is kept in a stream is published as by
    /// `publish`: who has no room reads on there.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_when_room(
        self: &Arc<Self>,
        source: &Arc<str>,
        draft: Draft,
    ) -> Result<EventId, PublishError> {
        let topic = self.topic(&draft.topic);
        let route = self.route(&topic);
        let (head, said) = draft.apart(source);
        let event = self.admit(&route, source, head, said)?;
        let id = event.id;
        self.send_when_room(&topic, &route, event).await?;
        Ok(id)
    }

    /// A publisher of `topic` in the name of `source`: for many events, which then cost less each.
    #[must_use]
    pub fn publisher(self: &Arc<Self>, source: &Arc<str>, topic: &Topic) -> Publisher {
        Publisher::new(self, source, topic)
    }

    /// Brings an event that was admitted on its way. Small as a future: it is one more in each publisher's.
    async fn send(
        self: &Arc<Self>,
        topic: &Arc<TopicRoute>,
        route: &Arc<Route>,
        event: Arc<Event>,
    ) -> Result<(), PublishError> {
        if let Some(persist) = self.kept(route, &event.topic)? {
            self.append(topic, persist, event).await?;
        } else if let Err(kept) = topic.batch.offer(route, event) {
            topic.deliver(route, &kept.event, None);
        }
        Ok(())
    }

    async fn send_when_room(
        self: &Arc<Self>,
        topic: &Arc<TopicRoute>,
        route: &Arc<Route>,
        event: Arc<Event>,
    ) -> Result<(), PublishError> {
        if let Some(persist) = self.kept(route, &event.topic)? {
            return self.append(topic, persist, event).await;
        }
        let Err(mut kept) = topic.batch.offer(route, event) else {
            return Ok(());
        };
        if kept.is_short {
            match topic.batch.offer_when_room(route, kept.event).await {
                Ok(()) => return Ok(()),
                Err(again) => kept = again,
            }
        }
        match route.subscribers.as_slice() {
            [only] => topic.hand_over(only, kept.event).await,
            _ => topic.deliver_when_room(route, &kept.event).await,
        }
        Ok(())
    }

    /// An id that no event has.
    pub(crate) fn next_id(&self) -> EventId {
        self.ids.next(self.clock.wall())
    }

    /// The id of an event that tells of something which this kernel numbers, and which may have to be written twice: the same for
    /// the same number, and no other event has it.
    #[must_use]
    pub fn id_of_number(&self, at: Timestamp, number: u64) -> EventId {
        self.ids.of_number(at, number)
    }

    fn topic(&self, topic: &Topic) -> Arc<TopicRoute> {
        if let Some(known) = self.topics.get(topic) {
            return Arc::clone(&known);
        }
        let has_room = self.topics.len() < TOPICS_MAX;
        let counts = match has_room {
            true => Arc::default(),
            false => Arc::clone(&self.others),
        };
        let new = Arc::new(TopicRoute {
            topic: topic.clone(),
            route: ArcSwap::from_pointee(Route {
                version: 0,
                catalog_version: u64::MAX,
                event_type: None,
                is_known: false,
                subscribers: Vec::new(),
                fed: Vec::new(),
            }),
            batch: Batch::new(&counts),
            counts,
        });
        if has_room {
            let entry = self.topics.entry(topic.clone()).or_insert(new);
            return Arc::clone(&entry);
        }
        new
    }

    /// How the events of a topic go now.
    #[inline]
    fn route(&self, topic: &TopicRoute) -> Arc<Route> {
        let route = topic.route.load_full();
        if self.is_current(&route) {
            return route;
        }
        self.find_route(topic, &route)
    }

    /// Whether nothing has changed since the route was found.
    #[inline]
    fn is_current(&self, route: &Route) -> bool {
        route.version == self.version.load(Ordering::Acquire)
    }

    #[cold]
    fn find_route(&self, topic: &TopicRoute, before: &Route) -> Arc<Route> {
        let patterns = self.patterns.lock();
        let version = self.version.load(Ordering::Acquire);
        let catalog = self.catalog.load();
        let (event_type, is_known) = if before.catalog_version == catalog.version {
            (before.event_type.clone(), before.is_known)
        } else {
            let event_type = catalog.catalog.find(&topic.topic).cloned();
            let is_known = !catalog.catalog.strict || event_type.is_some();
            (event_type, is_known || is_always_known(&topic.topic))
        };
        let (subscribers, fed) = patterns.find(topic.topic.as_str());
        let route = Arc::new(Route {
            version,
            catalog_version: catalog.version,
            event_type,
            is_known,
            subscribers,
            fed,
        });
        topic.route.store(Arc::clone(&route));
        route
    }

    /// Makes the event, if `source` may publish it.
    #[inline]
    fn admit(
        &self,
        route: &Route,
        source: &str,
        head: Arc<Head>,
        said: Said,
    ) -> Result<Arc<Event>, PublishError> {
        if crate::life::is_dead() {
            return Err(PublishError::Revoked);
        }
        if is_making() {
            return Err(PublishError::Nested);
        }
        if !route.is_known {
            return Err(PublishError::Unknown(head.topic.clone()));
        }
        let usual = match &route.event_type {
            Some(event_type) => {
                may_publish(event_type, source, &head.topic)?;
                event_type.priority
            }
            None => Priority::default(),
        };
        let now = self.clock.wall();
        // Made where it stays: an event that is measured first is copied once more.
        let event = Arc::new(Event {
            id: said.id.unwrap_or_else(|| self.ids.next(now)),
            head,
            time: said.time.unwrap_or(now),
            priority: said.priority.unwrap_or(usual),
            data: said.data,
            extras: said.extras,
        });
        if event.may_be_too_large() {
            checked_len(&event)?;
        }
        Ok(event)
    }

    /// How the events of a route are kept, if they are.
    fn kept<'a>(
        &self,
        route: &'a Route,
        topic: &Topic,
    ) -> Result<Option<&'a Persist>, PublishError> {
        let persist = route
            .event_type
            .as_ref()
            .and_then(|its| its.persist.as_ref());
        match persist {
            Some(persist) if self.store.is_none() => match persist.mode {
                Durability::Durable => Err(PublishError::NoStreams(topic.clone())),
                Durability::Async => Ok(None),
            },
            persist => Ok(persist),
        }
    }

    async fn append(
        self: &Arc<Self>,
        topic: &Arc<TopicRoute>,
        persist: &Persist,
        event: Arc<Event>,
    ) -> Result<(), PublishError> {
        let Some(store) = &self.store else {
            return Err(PublishError::NoStreams(topic.topic.clone()));
        };
        let (bus, topic, stream) = (Arc::clone(self), Arc::clone(topic), persist.stream.clone());
        let deliver: Deliver = Box::new(move |event, position| {
            let place = Place { stream, position };
            let route = bus.route(&topic);
            topic.deliver(&route, event, Some(&place));
        });
        let append = store.append(&persist.stream, event, persist.mode, Some(deliver));
        append.await.map(drop).map_err(PublishError::from)
    }
}

impl TopicRoute {
    fn deliver(&self, route: &Route, event: &Arc<Event>, place: Option<&Place>) {
        let mut tally = Tally::default();
        for subscriber in &route.subscribers {
            tally.note(subscriber.deliver(event, place));
        }
        self.counts.add(&tally, event.time);
    }

    /// Delivers to those that have room, then to each of the others once it has.
    async fn deliver_when_room(&self, route: &Route, event: &Arc<Event>) {
        let mut tally = Tally::default();
        let mut full = Vec::new();
        for subscriber in &route.subscribers {
            match subscriber.deliver(event, None) {
                Err(Refused::Full) => full.push(subscriber),
                taken => tally.note(taken),
            }
        }
        self.counts.add(&tally, event.time);
        if full.is_empty() {
            return;
        }
        let mut tally = Tally::default();
        for subscriber in full {
            tally.note(subscriber.deliver_when_room(event).await);
        }
        self.counts.add_taken(&tally);
    }

    /// Gives the event away to the only one that receives it, which spares its count of references.
    async fn hand_over(&self, subscriber: &Arc<dyn Subscriber>, event: Arc<Event>) {
        let time = event.time;
        let mut tally = Tally::default();
        match subscriber.hand_over(event) {
            HandedOver::Settled(taken) => {
                tally.note(taken);
                self.counts.add(&tally, time);
            }
            HandedOver::Waits(waits) => {
                self.counts.add(&tally, time);
                tally.note(waits.await);
                self.counts.add_taken(&tally);
            }
        }
    }
}

/// Whether the catalog lets `source` publish events of this type: who is no actor is an operator, and may.
fn may_publish(event_type: &EventType, source: &str, topic: &Topic) -> Result<(), PublishError> {
    if event_type.publishers.is_empty() {
        return Ok(());
    }
    match source.parse::<ActorPath>() {
        Ok(path) if !event_type.publishers.iter().any(|its| its.contains(&path)) => {
            let topic = topic.clone();
            Err(PublishError::NotAllowed { topic, path })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What became of one event.
#[derive(Default)]
struct Tally {
    delivered: u64,
    refused: u64,
}

impl Tally {
    #[inline]
    fn note(&mut self, taken: Result<(), Refused>) {
        match taken {
            Ok(()) | Err(Refused::Behind) => self.delivered += 1,
            // One that has just ended is about to be taken off the list.
            Err(Refused::Gone) => {}
            Err(Refused::Full | Refused::NotRunning) => self.refused += 1,
        }
    }
}
