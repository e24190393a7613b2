//! Who receives events: [`Subscriber`], and the one that puts them into an actor's mailbox, or another [`Queue`] of its own.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::batch::Fed;
use super::delivery::{Bundle, Delivery};
use super::event::Event;
use super::topic::Pattern;
use crate::exit::ExitReason;
use crate::life::{Life, Sender, guarded_call, guarded_task, sender};
use crate::mailbox::{Feed, Mailbox, Make, SendError};
use crate::message::Message;
use crate::slot::Slot;
use crate::stream::{Position, StreamName, StreamStore};
use crate::supervisor::job::kill;

/// How many entries are read from a stream at once.
pub(super) const BATCH: usize = 64;
/// How long is waited before a stream that could not be read, or a mailbox that sheds, is tried again.
pub(super) const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no room for it.
    #[error("there is no room")]
    Full,
    /// It will read it from its stream.
    #[error("it is behind, and reads the stream")]
    Behind,
    /// It is stopped or quarantined.
    #[error("it is not running")]
    NotRunning,
    /// It is no more.
    #[error("it is gone")]
    Gone,
}

/// Where an event is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In which stream.
    pub stream: StreamName,
    /// Where there.
    pub position: Position,
}

/// Receives events.
pub trait Subscriber: Send + Sync + 'static {
    /// Takes an event; never waits. Called on the publisher's thread, or on that of the streams for what is durable.
    ///
    /// # Errors
    /// [`Refused`], which is counted.
    fn deliver(&self, event: &Arc<Event>, place: Option<&Place>) -> Result<(), Refused>;

    /// Takes an event that it had no room for once there is room. One that cannot wait refuses it.
    fn deliver_when_room<'a>(
        &'a self,
        event: &'a Arc<Event>,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        let _unused = event;
        std::future::ready(Err(Refused::Full)).boxed()
    }

    /// Takes an event that nobody else receives: at once, or once there is room.
    fn hand_over(&self, event: Arc<Event>) -> HandedOver<'_> {
        match self.deliver(&event, None) {
            Err(Refused::Full) => {
                let waits = async move { self.deliver_when_room(&event).await };
                HandedOver::Waits(waits.boxed())
            }
            settled => HandedOver::Settled(settled),
        }
    }

    /// Who it is, for people: the path of an actor.
    fn name(&self) -> String;
}

/// What became of an event that was handed over.
#[expect(missing_debug_implementations, reason = "a future has none")]
pub enum HandedOver<'a> {
    /// It was taken, or refused.
    Settled(Result<(), Refused>),
    /// It is taken, or refused, once there is room.
    Waits(BoxFuture<'a, Result<(), Refused>>),
}

/// Where the events of a subscription wait for whoever handles them: a mailbox, or a queue of jobs.
pub trait Queue: Send + Sync + 'static {
    /// Puts an event in; never waits.
    ///
    /// # Errors
    /// [`Refused`], which is counted.
    fn put(&self, delivery: Delivery) -> Result<(), Refused>;

    /// Puts an event in once there is room, for a publisher. Refuses where that would be waiting for oneself.
    fn put_when_room(&self, delivery: Delivery)
    -> impl Future<Output = Result<(), Refused>> + Send;

    /// Puts an event in at once, or else as [`put_when_room`](Self::put_when_room) does.
    fn hand_over(&self, event: Arc<Event>) -> HandedOver<'_> {
        HandedOver::Waits(self.put_when_room(Delivery::new(event)).boxed())
    }

    /// Puts an event of a stream in, where it is kept for however long that takes. `Err` if there is nobody left to take it.
    fn put_from_stream(
        &self,
        delivery: Delivery,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Makes a dead letter of an event that is handed out no more.
    fn condemn(&self, delivery: Delivery);
}

/// Puts the events of one subscription into a queue, for as long as one life of its actor lasts.
pub(super) struct ToQueue<Q> {
    pub(super) slot: Weak<Slot>,
    pub(super) life: Arc<Life>,
    pub(super) queue: Arc<Q>,
    pub(super) pattern: Pattern,
    pub(super) store: Option<Arc<dyn StreamStore>>,
    pub(super) behind: Behind,
    /// Itself, for the task that reads on.
    pub(super) myself: Weak<Self>,
}

/// The mailbox of an actor as a queue of events.
pub(super) struct ToMailbox<M: Message> {
    pub(super) slot: Weak<Slot>,
    pub(super) life: Arc<Life>,
    pub(super) mailbox: Arc<Mailbox<M>>,
    pub(super) make: Make<M>,
}

/// The streams that it reads on its own, since it once had no room.
#[derive(Default)]
pub(super) struct Behind {
    is_anywhere: AtomicBool,
    streams: Mutex<Vec<StreamName>>,
}

impl Behind {
    fn is_in(&self, stream: &StreamName) -> bool {
        self.is_anywhere.load(Ordering::Acquire) && self.streams.lock().contains(stream)
    }

    fn add(&self, stream: &StreamName) {
        self.streams.lock().push(stream.clone());
        self.is_anywhere.store(true, Ordering::Release);
    }
}

impl<M: Message> ToMailbox<M> {
    /// The message that carries a delivery. That is code of the subscriber's author: a panic there ends the subscriber, not
    /// the publisher.
    #[inline]
    fn message(&self, delivery: impl FnOnce() -> Delivery) -> Result<M, Refused> {
        let _making = Making::begin();
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)(delivery())));
        made.map_err(|_panic| {
            if let Some(slot) = self.slot.upgrade() {
                let reason = ExitReason::error("a panic while a message was made of an event");
                kill(&slot, &self.life, reason);
            }
            Refused::Gone
        })
    }

    /// Puts a message in once there is room.
    async fn wait(&self, lane: usize, message: M) -> Result<(), Refused> {
        let put = match sender(self.mailbox.key()) {
            // It would wait for itself.
            Sender::Myself => Err(SendError::Full(message)),
            _ => self.mailbox.deliver_when_room(lane, message).await,
        };
        put.map_err(|error| self.refuse(error))
    }

    /// Says why a message was not taken, which is dropped.
    #[cold]
    fn refuse(&self, error: SendError<M>) -> Refused {
        let why = refused(&error);
        drop_in_name(&self.life, error.into_message());
        why
    }
}

impl<M: Message> Queue for ToMailbox<M> {
    #[inline]
    fn put(&self, delivery: Delivery) -> Result<(), Refused> {
        let lane = delivery.priority as usize;
        let message = self.message(|| delivery)?;
        let put = self.mailbox.deliver(lane, message);
        put.map_err(|error| self.refuse(error))
    }

    async fn put_when_room(&self, delivery: Delivery) -> Result<(), Refused> {
        let lane = delivery.priority as usize;
        let message = self.message(|| delivery)?;
        self.wait(lane, message).await
    }

    #[inline]
    fn hand_over(&self, event: Arc<Event>) -> HandedOver<'_> {
        let lane = event.priority as usize;
        let message = match self.message(|| Delivery::new(event)) {
            Ok(message) => message,
            Err(refused) => return HandedOver::Settled(Err(refused)),
        };
        match self.mailbox.deliver(lane, message) {
            Ok(()) => HandedOver::Settled(Ok(())),
            Err(SendError::Full(message)) => HandedOver::Waits(self.wait(lane, message).boxed()),
            Err(error) => HandedOver::Settled(Err(self.refuse(error))),
        }
    }

    async fn put_from_stream(&self, delivery: Delivery) -> Result<(), Refused> {
        let lane = delivery.priority as usize;
        let mut message = self.message(|| delivery)?;
        loop {
            match self.mailbox.deliver_when_room(lane, message).await {
                Ok(()) => return Ok(()),
                // Memory is short: it waits where it is kept.
                Err(SendError::Shed(back) | SendError::Full(back)) => message = back,
                Err(error) => return Err(refused(&error)),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    fn condemn(&self, delivery: Delivery) {
        if let Ok(message) = self.message(|| delivery) {
            self.mailbox.bury_poison(message);
        }
    }
}

impl<Q: Queue> ToQueue<Q> {
    /// From `position` on this subscriber reads the stream, for as long as it lives.
    fn fall_behind(&self, place: &Place) {
        let (Some(store), Some(myself)) = (self.store.clone(), self.myself.upgrade()) else {
            return;
        };
        self.behind.add(&place.stream);
        let (stream, after) = (place.stream.clone(), place.position.previous());
        self.run_beside(async move { myself.read_on(store, stream, after).await });
    }

    /// Runs `work` in the name of the life, as long as that lasts.
    pub(super) fn run_beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Some(slot) = self.slot.upgrade() else {
            return;
        };
        let guarded = guarded_task(&self.life, work);
        let task = slot.kernel().spawn_task(async move {
            // Its only foreign code catches its own panics.
            drop(guarded.await);
        });
        self.life.adopt(task);
    }

    async fn read_on(
        self: Arc<Self>,
        store: Arc<dyn StreamStore>,
        stream: StreamName,
        mut after: Position,
    ) {
        loop {
            store.wait(&stream, after).await;
            let entries = match store.read(&stream, after, Position::END, BATCH).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(path = %self.life.path(), %error, "a subscriber that is behind cannot read on");
                    tokio::time::sleep(TRY_AGAIN).await;
                    continue;
                }
            };
            for entry in entries {
                after = entry.position;
                let delivery = Delivery::new(entry.event);
                if self.pattern.fits(delivery.topic.as_str())
                    && self.queue.put_from_stream(delivery).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

thread_local! {
    static MAKES: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread makes a message of an event right now.
pub(super) fn is_making() -> bool {
    MAKES.get()
}

/// While it lives, this thread makes a message of an event, and publishes none: topics are held meanwhile.
struct Making(bool);

impl Making {
    fn begin() -> Self {
        Self(MAKES.replace(true))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        MAKES.set(self.0);
    }
}

impl<M: Message> Fed for ToMailbox<M> {
    fn is_asleep(&self) -> bool {
        self.mailbox.is_asleep()
    }

    fn reserve(&self, lane: usize, most: u32) -> u32 {
        self.mailbox.reserve(lane, most)
    }

    fn room(&self, lane: usize) -> BoxFuture<'_, ()> {
        match sender(self.mailbox.key()) {
            // It would wait for itself.
            Sender::Myself => std::future::ready(()).boxed(),
            _ => self.mailbox.room(lane).boxed(),
        }
    }

    fn give_back(&self, lane: usize, count: u32) {
        self.mailbox.give_back(lane, count);
    }

    fn put_all(&self, lane: usize, events: &Arc<[Arc<Event>]>) {
        // Where the mailbox takes none, messages are made for dead letters.
        let _making = Making::begin();
        self.mailbox
            .put_reserved(lane, Bundle::new(events), &self.make);
    }

    fn feed(&self, lane: usize, index: usize, feed: Arc<dyn Feed>) {
        self.mailbox.feed(lane, index, feed);
    }

    fn unfeed(&self, lane: usize, feed: &Arc<dyn Feed>) {
        self.mailbox.unfeed(lane, feed);
    }

    fn end_feeds(&self) {
        self.mailbox.end_feeds();
    }
}

fn refused<M>(error: &SendError<M>) -> Refused {
    match error {
        SendError::Full(_) | SendError::Shed(_) => Refused::Full,
        SendError::NotRunning(_) => Refused::NotRunning,
        SendError::Gone(_) | SendError::Revoked(_) => Refused::Gone,
    }
}

impl<Q: Queue> Subscriber for ToQueue<Q> {
    #[inline]
    fn deliver(&self, event: &Arc<Event>, place: Option<&Place>) -> Result<(), Refused> {
        if self.life.is_revoked() {
            return Err(Refused::Gone);
        }
        if let Some(place) = place
            && self.behind.is_in(&place.stream)
        {
            return Err(Refused::Behind);
        }
        let taken = self.queue.put(Delivery::new(Arc::clone(event)));
        if let (Err(Refused::Full), Some(place)) = (taken, place)
            && self.store.is_some()
        {
            self.fall_behind(place);
            return Err(Refused::Behind);
        }
        taken
    }

    fn deliver_when_room<'a>(
        &'a self,
        event: &'a Arc<Event>,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        let delivery = Delivery::new(Arc::clone(event));
        self.queue.put_when_room(delivery).boxed()
    }

    #[inline]
    fn hand_over(&self, event: Arc<Event>) -> HandedOver<'_> {
        if self.life.is_revoked() {
            return HandedOver::Settled(Err(Refused::Gone));
        }
        self.queue.hand_over(event)
    }

    fn name(&self) -> String {
        self.life.path().as_str().to_owned()
    }
}

/// Drops what its author wrote the `Drop` of.
fn drop_in_name<T>(life: &Arc<Life>, what: T) {
    if guarded_call(life, || drop(what)).is_err() {
        tracing::warn!(path = %life.path(), "a panic while a message that was not taken was dropped");
    }
}
