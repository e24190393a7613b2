//! Durable subscriptions: readers of streams that go on where they were.
//!
//! A subscription is a group of the streams that it reads, and its actor the consumer. What is handed out is pending until
//! its receipt comes back. Receipts outlive lives: what waits in the mailbox when a life ends is handled by the next one
//! and not handed out again, which [`Handed`] remembers. What was dropped without a receipt is handed out again, and what was
//! pending when the kernel ended is claimed, before anything new. So the times that an entry was handed out, as the store
//! counts them, are the kernels that had it.
//!
//! What is pending of an actor that the tree has no more goes to one that subscribes by the same name: an actor that was moved
//! misses nothing. What is pending of a consumer that is no actor is its own, until it is claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Bus;
use super::delivery::{Delivery, POISON_AFTER, Receipt, Settled};
use super::subscriber::{BATCH, Queue, Refused, TRY_AGAIN, ToQueue};
use crate::clock::Timestamp;
use crate::kernel::Kernel;
use crate::path::ActorPath;
use crate::stream::{Entry, Pending, Position, StreamError, StreamName, StreamStore};

/// How often the oldest pending event may be handed out by kernels that ended before it was handled, before it is taken for
/// what they ended of.
const DELIVERIES_MAX: u64 = 2 * POISON_AFTER as u64;
/// How many pending entries are looked at in one call.
const PAGE: usize = 256;
/// How often a subscription looks for what actors left that are gone.
const INHERITS_EVERY: Duration = Duration::from_secs(30);

/// Where a durable subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Since {
    /// With what is published from now on.
    Now,
    /// With the oldest event that is kept.
    Start,
    /// Where it was; with the oldest event that is kept, if it never was.
    #[default]
    LastAck,
    /// With what was published at this time or later.
    Time(Timestamp),
}

/// Why a text is not a [`Since`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place to begin: that is now, start, last_ack or a time, as in 2026-11-20T21:30:00Z"
)]
pub struct InvalidSince(pub String);

impl std::str::FromStr for Since {
    type Err = InvalidSince;

    fn from_str(text: &str) -> Result<Self, InvalidSince> {
        match text {
            "now" => Ok(Self::Now),
            "start" => Ok(Self::Start),
            "last_ack" => Ok(Self::LastAck),
            time => time
                .parse()
                .map(Self::Time)
                .map_err(|_| InvalidSince(text.to_owned())),
        }
    }
}

/// What a consumer of a group was handed in this kernel.
#[derive(Default)]
pub(super) struct Handed {
    state: Mutex<HandedState>,
    /// One came back without having been handled.
    released: Notify,
    /// Held by the life that reads, until its task is gone for sure: two would hand out in each other's way.
    reader: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct HandedState {
    /// What it has in its mailbox and in hand right now.
    out: BTreeSet<Position>,
    /// What it was handed and has not handled, with how often it crashed with it.
    crashes: BTreeMap<Position, u32>,
}

impl Handed {
    fn hand_out(&self, positions: impl IntoIterator<Item = Position>) {
        let mut state = self.state.lock();
        for position in positions {
            state.out.insert(position);
            state.crashes.entry(position).or_default();
        }
    }

    /// Of `positions`, those that are nowhere: first what this kernel handed out before, then what it never did.
    fn lost(
        &self,
        positions: impl Iterator<Item = Position>,
    ) -> (BTreeSet<Position>, BTreeSet<Position>) {
        let state = self.state.lock();
        let lost = positions.filter(|position| !state.out.contains(position));
        lost.partition(|position| state.crashes.contains_key(position))
    }

    fn crashes(&self, position: Position) -> u32 {
        let state = self.state.lock();
        state.crashes.get(&position).copied().unwrap_or_default()
    }

    fn settle(&self, position: Position, settled: Settled) {
        let mut state = self.state.lock();
        state.out.remove(&position);
        match settled {
            Settled::Handled => drop(state.crashes.remove(&position)),
            Settled::Left { crashes } => drop(state.crashes.insert(position, crashes)),
        }
    }
}

impl Bus {
    fn handed(&self, stream: &StreamName, group: &str, consumer: &str) -> Arc<Handed> {
        let key = (stream.clone(), group.to_owned(), consumer.to_owned());
        Arc::clone(self.handed.lock().entry(key).or_default())
    }

    /// Who reads `stream` right now by a durable subscription: the name of that, and the path of its actor.
    #[must_use]
    pub fn readers(&self, stream: &StreamName) -> Vec<(String, String)> {
        let handed = self.handed.lock();
        let its = handed.iter().filter(|((of, ..), _)| of == stream);
        let live = its.filter(|(_, handed)| handed.reader.try_lock().is_err());
        live.map(|((_, group, consumer), _)| (group.clone(), consumer.clone()))
            .collect()
    }

    /// Tells those who read `group` that it was dropped: they begin anew where their subscriptions say.
    pub fn group_dropped(&self, stream: &StreamName, group: &str) {
        for ((of, its, _), handed) in self.handed.lock().iter() {
            if of == stream && its == group {
                handed.released.notify_one();
            }
        }
    }
}

/// A durable subscription of one life.
pub(super) struct Durable<Q> {
    pub(super) to: Arc<ToQueue<Q>>,
    pub(super) bus: Arc<Bus>,
    pub(super) store: Arc<dyn StreamStore>,
    pub(super) group: String,
    pub(super) consumer: String,
    pub(super) since: Since,
}

/// Why a reader stops.
enum Stop {
    /// Nobody takes what it reads any more.
    Gone,
    Store(StreamError),
}

impl std::convert::From<StreamError> for Stop {
    fn from(error: StreamError) -> Self {
        Self::Store(error)
    }
}

impl std::convert::From<Refused> for Stop {
    fn from(_: Refused) -> Self {
        Self::Gone
    }
}

impl<Q: Queue> Durable<Q> {
    /// Reads all streams that its events may be in, also those that the catalog gets later.
    pub(super) async fn run(self: Arc<Self>) {
        let mut changed = self.bus.catalog_changed.subscribe();
        let mut read: BTreeSet<StreamName> = BTreeSet::new();
        loop {
            changed.mark_unchanged();
            for stream in self.bus.catalog().streams(&self.to.pattern) {
                if read.insert(stream.clone()) {
                    self.begin(stream);
                }
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn begin(self: &Arc<Self>, stream: StreamName) {
        let (reader, heir) = (Arc::clone(self), Arc::clone(self));
        let read = stream.clone();
        self.to.run_beside(async move { reader.read(read).await });
        self.to
            .run_beside(async move { heir.inherit(stream).await });
    }

    /// Takes over what actors left that are gone, whenever there is some.
    async fn inherit(&self, stream: StreamName) {
        let kernel = || self.to.slot.upgrade().map(|slot| slot.kernel().clone());
        if let Some(kernel) = kernel() {
            // Until then the tree does not have all that it will have.
            kernel.booted().await;
        }
        while let Some(kernel) = kernel() {
            match self.take_over(&kernel, &stream).await {
                Ok(()) | Err(StreamError::NoStream(_) | StreamError::NoGroup { .. }) => {}
                Err(StreamError::Closed) => return,
                Err(error) => {
                    tracing::warn!(path = %self.consumer, name = %self.group, %error, "a durable subscription cannot take over what others left");
                }
            }
            drop(kernel);
            tokio::time::sleep(INHERITS_EVERY).await;
        }
    }

    async fn take_over(&self, kernel: &Kernel, stream: &StreamName) -> Result<(), StreamError> {
        let is_gone = |consumer: &str| {
            let path = consumer.parse::<ActorPath>();
            path.is_ok_and(|path| kernel.registry().get(&path).is_none())
        };
        let left = self.pending(stream, is_gone).await?;
        let gone: BTreeSet<String> = left.into_iter().map(|its| its.consumer).collect();
        for consumer in gone {
            let theirs = self.bus.handed(stream, &self.group, &consumer);
            let Ok(_alone) = theirs.reader.try_lock() else {
                // It came back, or another one takes over.
                continue;
            };
            let left = self.pending(stream, |its| its == consumer).await?;
            let (once_had, never_had) = theirs.lost(left.iter().map(|its| its.position));
            let positions: Vec<Position> = once_had.into_iter().chain(never_had).collect();
            for some in positions.chunks(PAGE) {
                let (group, heir) = (&self.group, &self.consumer);
                let claim = self.store.claim(stream, group, heir, Duration::ZERO, some);
                claim.await?;
            }
            if !positions.is_empty() {
                tracing::info!(path = %self.consumer, name = %self.group, from = %consumer, events = positions.len(), "took over what a consumer left that is gone");
                let mine = self.bus.handed(stream, &self.group, &self.consumer);
                mine.released.notify_one();
            }
        }
        Ok(())
    }

    /// All that is pending of these consumers.
    async fn pending(
        &self,
        stream: &StreamName,
        is_whose: impl Fn(&str) -> bool,
    ) -> Result<Vec<Pending>, StreamError> {
        let (mut found, mut after) = (Vec::new(), Position::START);
        loop {
            let page = self.store.pending(stream, &self.group, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = last.position;
            found.extend(page.into_iter().filter(|its| is_whose(&its.consumer)));
        }
    }

    async fn read(&self, stream: StreamName) {
        let handed = self.bus.handed(&stream, &self.group, &self.consumer);
        let _alone = handed.reader.lock().await;
        let mut has_begun = false;
        loop {
            let stopped = self.read_until(&stream, &handed, &mut has_begun).await;
            match stopped {
                Ok(()) | Err(Stop::Gone) => return,
                Err(Stop::Store(StreamError::Closed)) => return,
                Err(Stop::Store(StreamError::NoGroup { .. })) => {
                    // It was dropped, and is made again.
                    has_begun = false;
                    continue;
                }
                Err(Stop::Store(error)) => {
                    tracing::warn!(path = %self.consumer, name = %self.group, %error, "a durable subscription cannot read on");
                }
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn read_until(
        &self,
        stream: &StreamName,
        handed: &Arc<Handed>,
        has_begun: &mut bool,
    ) -> Result<(), Stop> {
        if !*has_begun {
            self.set_out(stream).await?;
            *has_begun = true;
        }
        self.hand_out_again(stream, handed).await?;
        loop {
            // Asked before: what comes after it ends the wait.
            let last = self.store.last(stream).await?;
            let (group, consumer) = (&self.group, &self.consumer);
            let entries = self
                .store
                .read_group(stream, group, consumer, BATCH)
                .await?;
            if !entries.is_empty() {
                // All of them are out from now on, also those that wait here for room.
                let positions = entries.iter().map(|entry| entry.position);
                let mut out = Out::new(self, stream, handed, positions);
                for entry in entries {
                    self.hand_out(&mut out, entry).await?;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = handed.released.notified() => self.hand_out_again(stream, handed).await?,
                () = self.store.wait(stream, last) => {}
            }
        }
    }

    /// Sets the cursor to where this life begins.
    async fn set_out(&self, stream: &StreamName) -> Result<(), StreamError> {
        let cursor = match self.since {
            Since::Now => self.store.last(stream).await?,
            Since::Start | Since::LastAck => Position::START,
            Since::Time(time) => Position::before(time),
        };
        let is_new = self.store.make_group(stream, &self.group, cursor).await?;
        if !is_new && self.since != Since::LastAck {
            self.store.set_cursor(stream, &self.group, cursor).await?;
        }
        Ok(())
    }

    /// Hands out again what was handed to this consumer and is nowhere any more.
    async fn hand_out_again(&self, stream: &StreamName, handed: &Arc<Handed>) -> Result<(), Stop> {
        let mut after = Position::START;
        loop {
            let page = self.store.pending(stream, &self.group, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            let oldest = (after == Position::START).then(|| page.first()).flatten();
            let oldest = oldest.map(|oldest| oldest.position);
            after = last.position;
            let mine = page.iter().filter(|its| its.consumer == self.consumer);
            let (again, inherited) = handed.lost(mine.map(|its| its.position));
            let mut out = Out::new(self, stream, handed, again.union(&inherited).copied());
            let (group, consumer) = (&self.group, &self.consumer);
            let inherited: Vec<Position> = inherited.into_iter().collect();
            let claim = self
                .store
                .claim(stream, group, consumer, Duration::ZERO, &inherited);
            let mut found: BTreeMap<Position, (Entry, u64)> = BTreeMap::new();
            for (entry, deliveries) in claim.await? {
                found.insert(entry.position, (entry, deliveries));
            }
            for position in again {
                match self.find(stream, position).await? {
                    Some(entry) => drop(found.insert(position, (entry, 0))),
                    None => {
                        self.store.ack(stream, group, &[position]).await?;
                        handed.settle(position, Settled::Handled);
                    }
                }
            }
            for (position, (entry, deliveries)) in found {
                let ends_kernels = Some(position) == oldest && deliveries > DELIVERIES_MAX;
                if ends_kernels || handed.crashes(position) >= POISON_AFTER {
                    self.condemn(&mut out, entry);
                } else {
                    self.hand_out(&mut out, entry).await?;
                }
            }
        }
    }

    async fn find(
        &self,
        stream: &StreamName,
        position: Position,
    ) -> Result<Option<Entry>, StreamError> {
        let read = self.store.read(stream, position.previous(), position, 1);
        Ok(read.await?.pop())
    }

    async fn hand_out(&self, out: &mut Out<'_>, entry: Entry) -> Result<(), Stop> {
        let receipt = out.receipt(&entry);
        if !self.to.pattern.fits(entry.event.topic.as_str()) {
            receipt.acknowledge();
            return Ok(());
        }
        let delivery = Delivery::with_receipt(entry.event, receipt);
        Ok(self.to.queue.put_from_stream(delivery).await?)
    }

    /// Makes a dead letter of what kernels have ended of.
    fn condemn(&self, out: &mut Out<'_>, entry: Entry) {
        let receipt = out.receipt(&entry);
        let mut delivery = Delivery::with_receipt(entry.event, receipt);
        delivery.condemn();
        self.to.queue.condemn(delivery);
    }
}

/// What is being handed out. What of it is left when this goes, as a life may end at any moment, is to be handed out again.
struct Out<'a> {
    store: &'a Arc<dyn StreamStore>,
    group: &'a str,
    stream: &'a StreamName,
    handed: &'a Arc<Handed>,
    left: BTreeSet<Position>,
}

impl<'a> Out<'a> {
    fn new<Q>(
        durable: &'a Durable<Q>,
        stream: &'a StreamName,
        handed: &'a Arc<Handed>,
        positions: impl Iterator<Item = Position>,
    ) -> Self {
        let left: BTreeSet<Position> = positions.collect();
        handed.hand_out(left.iter().copied());
        Self {
            store: &durable.store,
            group: &durable.group,
            stream,
            handed,
            left,
        }
    }

    fn receipt(&mut self, entry: &Entry) -> Receipt {
        let position = entry.position;
        self.left.remove(&position);
        let (store, handed) = (Arc::clone(self.store), Arc::clone(self.handed));
        let (stream, group) = (self.stream.clone(), self.group.to_owned());
        let crashes = handed.crashes(position);
        Receipt::after(crashes, move |settled| {
            handed.settle(position, settled);
            if settled != Settled::Handled {
                handed.released.notify_one();
                return;
            }
            // The call acknowledges; its result comes at once where no server is asked.
            if let Some(Err(error)) = store.ack(&stream, &group, &[position]).now_or_never() {
                tracing::warn!(%stream, %group, %position, %error, "not acknowledged: it is handed out again after the next start");
            }
        })
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let mut state = self.handed.state.lock();
        for position in &self.left {
            state.out.remove(position);
        }
    }
}
