//! What an actor does with events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::batch::Fed;
use super::delivery::Delivery;
use super::durable::{Durable, Since};
use super::on_behalf::OnBehalf;
use super::publisher::Publisher;
use super::routes::Receiver;
use super::subscriber::{Behind, Queue, Subscriber, ToMailbox, ToQueue};
use super::topic::{InvalidTopic, Pattern, Topic};
use super::waiting::{WaitError, WaitFor};
use super::{Bus, Draft, Event, EventId, PublishError};
use crate::actor::Actor;
use crate::bonds::Tell;
use crate::context::Context;
use crate::exit::ExitReason;
use crate::monitor::Down;
use crate::path::{ChildId, InvalidId};

/// Why there is no subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// What was to be subscribed to is no pattern.
    #[error(transparent)]
    Pattern(#[from] InvalidTopic),
    /// The name of a durable subscription does not fit.
    #[error("the name of a durable subscription: {0}")]
    Name(#[from] InvalidId),
    /// This kernel has no streams.
    #[error("a durable subscription reads streams, and this kernel has none")]
    NoStreams,
    /// This life has a durable subscription of this name, which two would share as if they were two actors.
    #[error(
        "this life has a durable subscription `{0}` already: give each a name of its own, or one of them a wider pattern"
    )]
    NameInUse(ChildId),
    /// The life that asks has ended.
    #[error("the life that subscribes has ended")]
    Revoked,
}

/// A subscription, to end it with [`Context::unsubscribe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription(u64);

impl<A: Actor> Context<A> {
    /// The event bus of its kernel.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        self.kernel().bus()
    }

    /// Publishes an event in its name. Never waits for a subscriber; what the catalog says is durable is on disk, and
    /// delivered, when this is done.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, draft: Draft) -> Result<EventId, PublishError> {
        self.bus().publish(self.path().as_shared(), draft).await
    }

    /// Publishes an event in its name, and waits until every subscriber that lives has room for it: for sources that can
    /// be slowed.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_when_room(&self, draft: Draft) -> Result<EventId, PublishError> {
        let source = self.path().as_shared();
        self.bus().publish_when_room(source, draft).await
    }

    /// A publisher of one topic in its name: for many events, which then cost less each.
    #[must_use]
    pub fn publisher(&self, topic: &Topic) -> Publisher {
        self.bus().publisher(self.path().as_shared(), topic)
    }

    /// From now on this life receives the events that fit `pattern`, as the messages that `make` makes of them, each in
    /// the lane of its priority. Ends with the life.
    ///
    /// An event that there is no room for is lost to it, and counted; but of a topic that is kept in a stream this life
    /// then reads on there.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &self,
        pattern: &str,
        make: impl Fn(Delivery) -> A::Message + Send + Sync + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let queue = Arc::new(self.to_mailbox(make));
        let fed = Arc::clone(&queue) as Arc<dyn Fed>;
        self.add(Pattern::new(pattern)?, queue, Some(fed))
    }

    /// The same for a queue of its own instead of its mailbox.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe_queue(
        &self,
        pattern: Pattern,
        queue: impl Queue,
    ) -> Result<Subscription, SubscribeError> {
        self.add(pattern, Arc::new(queue), None)
    }

    fn add<Q: Queue>(
        &self,
        pattern: Pattern,
        queue: Arc<Q>,
        fed: Option<Arc<dyn Fed>>,
    ) -> Result<Subscription, SubscribeError> {
        let bus = self.bus();
        let subscriber: Arc<dyn Subscriber> = self.to_queue(pattern.clone(), queue);
        let number = bus.add(&pattern, Receiver { subscriber, fed });
        if self.life.bonds().subscribe(&self.life, bus, number) {
            return Ok(Subscription(number));
        }
        bus.unsubscribe(number);
        Err(SubscribeError::Revoked)
    }

    /// Ends a subscription. What was delivered already still comes.
    pub fn unsubscribe(&self, subscription: Subscription) -> bool {
        self.life.bonds().unsubscribe(subscription.0);
        self.bus().unsubscribe(subscription.0)
    }

    /// From now on this life receives the events that fit `pattern` and are kept in streams, in the order of each stream:
    /// each at least once, whatever crashes meanwhile. It waits for room in the mailbox, so a slow reader is only late.
    ///
    /// `name` is where it goes on after a restart of the actor and of the kernel: an event counts as handled once its handler has
    /// returned. Actors that use one name share the events between them, and what one had that is deleted; one actor uses it
    /// once. `since` says where this life begins.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe_durable(
        &self,
        name: &str,
        pattern: &str,
        since: Since,
        make: impl Fn(Delivery) -> A::Message + Send + Sync + 'static,
    ) -> Result<(), SubscribeError> {
        self.subscribe_queue_durable(name, Pattern::new(pattern)?, since, self.to_mailbox(make))
    }

    /// The same for a queue of its own instead of its mailbox. What is put there is handled once its
    /// [`Receipt`](super::Receipt) has come back.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe_queue_durable(
        &self,
        name: &str,
        pattern: Pattern,
        since: Since,
        queue: impl Queue,
    ) -> Result<(), SubscribeError> {
        let name = ChildId::new(name)?;
        let Some(store) = self.bus().store().cloned() else {
            return Err(SubscribeError::NoStreams);
        };
        match self.life.bonds().subscribe_durable(&self.life, &name) {
            Some(true) => {}
            Some(false) => return Err(SubscribeError::NameInUse(name)),
            None => return Err(SubscribeError::Revoked),
        }
        let to = self.to_queue(pattern, Arc::new(queue));
        let durable = Durable {
            to: Arc::clone(&to),
            bus: Arc::clone(self.bus()),
            store,
            group: name.as_str().to_owned(),
            consumer: self.path().as_str().to_owned(),
            since,
        };
        to.run_beside(Arc::new(durable).run());
        Ok(())
    }

    /// Itself, for what is done in its name elsewhere.
    #[must_use]
    pub fn on_behalf(&self) -> OnBehalf {
        OnBehalf::new(&self.life, self.mailbox.letters().clone())
    }

    /// Has `act` called when this life ends, before the next one begins; at once if it has ended.
    pub fn when_over(&self, act: impl FnOnce(Down) + Send + 'static) {
        let number = self.kernel().next_serial();
        let tell: Tell = Box::new(act);
        let life = &self.life;
        if let Some(tell) = life.bonds().add_monitor(life, number, Some(tell)) {
            tell(Down {
                path: life.path().clone(),
                incarnation: life.incarnation(),
                reason: life.exit().unwrap_or_else(ExitReason::killed),
            });
        }
    }

    /// Waits for the first event from now on that fits `pattern` and `filter`.
    pub fn wait_for(
        &self,
        pattern: &str,
        filter: impl Fn(&Event) -> bool + Send + Sync + 'static,
        timeout: Duration,
    ) -> WaitFor {
        let name = self.path().as_str().to_owned();
        WaitFor::new(self.bus(), name, pattern, Box::new(filter), timeout)
    }

    /// Publishes a request and waits for the first answer: an event that goes to its `reply_to` with its `correlation_id`,
    /// as [`reply`](Self::reply) makes it.
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn request(
        &self,
        mut draft: Draft,
        timeout: Duration,
    ) -> Result<Arc<Event>, WaitError> {
        let reply_to = Topic::of_replies(self.path());
        let correlation_id = self.bus().next_id().to_string();
        let wanted = correlation_id.clone();
        let answer = self.wait_for(
            reply_to.as_str(),
            move |event| event.correlation_id() == Some(&wanted),
            timeout,
        );
        let extras = draft.extras();
        extras.reply_to = Some(reply_to);
        extras.correlation_id = Some(correlation_id);
        self.publish(draft).await?;
        answer.await
    }

    /// Answers a request; `None` if it does not say where to.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn reply(
        &self,
        request: &Event,
        data: Value,
    ) -> Result<Option<EventId>, PublishError> {
        let Some(reply_to) = request.reply_to() else {
            return Ok(None);
        };
        let mut draft = Draft::new(reply_to, data).priority(request.priority);
        draft.extras().correlation_id = request.correlation_id().map(str::to_owned);
        self.publish(draft).await.map(Some)
    }

    fn to_mailbox(
        &self,
        make: impl Fn(Delivery) -> A::Message + Send + Sync + 'static,
    ) -> ToMailbox<A::Message> {
        ToMailbox {
            slot: Arc::downgrade(&self.slot),
            life: Arc::clone(&self.life),
            mailbox: Arc::clone(&self.mailbox),
            make: Arc::new(make),
        }
    }

    fn to_queue<Q: Queue>(&self, pattern: Pattern, queue: Arc<Q>) -> Arc<ToQueue<Q>> {
        Arc::new_cyclic(|myself| ToQueue {
            slot: Arc::downgrade(&self.slot),
            life: Arc::clone(&self.life),
            queue,
            pattern,
            store: self.bus().store().cloned(),
            behind: Behind::default(),
            myself: myself.clone(),
        })
    }
}
