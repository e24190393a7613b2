//! One connection between two nodes that know each other: calls and their answers, messages and the room for them.
//!
//! A session is one task, [`run`], and the handle that the rest of the node holds, [`Session`]. Nothing in it grows without
//! bound: what is to be sent waits in an [`Outbox`] of [`OUTBOX_LEN_MAX`]; messages to an actor have [`ROOM`] until the other
//! node says that they are out of the way; asks, calls and tails are counted. A slow actor there holds up who sends to it
//! and nobody else.
//!
//! Who says nothing for the time of the heartbeat is taken for gone: any byte counts as a word, so a large frame on a slow
//! line is no silence.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use unity_supervisors::Kernel;

mod incoming;
mod outbox;
mod run;

use self::outbox::Outbox;
pub(super) use self::run::{next_frame, run};
use super::codec::{self, AboutV1, Blob, CallV1, FaultV1, Frame, MESSAGE_LEN_MAX, TargetV1};
use super::fault;

/// How many bytes may wait to be sent before those who send more wait as well.
const OUTBOX_LEN_MAX: usize = 4 << 20;
/// How much may be on its way to one actor, as [`codec::cost`] counts it.
pub(super) const ROOM: u64 = 256 << 10;
/// How many actors of a node may be sent to at a time.
pub(super) const TARGETS_MAX: usize = 1_024;
/// How many asks and calls may wait for an answer.
const CALLS_MAX: usize = 4_096;
/// How many tails may be read at a time.
pub(super) const TAILS_MAX: usize = 256;
/// How many documents of a tail may be on their way.
pub(super) const TAIL_ROOM: u32 = 256;

/// Does what another node asks for.
pub(super) trait Serve: Send + Sync {
    /// Does one thing.
    fn call(&self, from: Arc<Session>, call: CallV1) -> BoxFuture<'static, Result<Blob, FaultV1>>;
    /// Begins to tell many things.
    fn tail(&self, from: Arc<Session>, call: CallV1) -> BoxFuture<'static, Result<Tail, FaultV1>>;
    /// Whether the life of a placed child may still act.
    fn is_in_force(&self, from: &Session, fence: codec::FenceV1) -> bool;
    /// The other node is not as it was.
    fn note_change(&self);
    /// The kernel whose actors are sent to.
    fn kernel(&self) -> &Kernel;
}

/// Documents as they come.
pub type Tail = BoxStream<'static, Result<Blob, FaultV1>>;

/// How a connection is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After so long without a word it is given up.
    pub(super) heartbeat: Duration,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) epoch: u64,
    /// Where it can be reached, if it listens.
    pub(super) address: Option<String>,
    /// Where the connection leads, for people.
    pub(super) wire: String,
    pub(super) about: AboutV1,
    /// Whether this side opened the connection.
    pub(super) is_ours: bool,
}

/// A connection, for those who send.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) since: Instant,
    /// The epoch of the node that this session belongs to.
    pub(super) epoch: u64,
    outbox: Outbox,
    open: Mutex<Open>,
    calls: Arc<Semaphore>,
    over: watch::Sender<Option<String>>,
    /// Whether the other node takes no new children.
    pub(super) is_draining: AtomicBool,
    /// What the other node is good for: as it was greeted, or as it has said since.
    labels: Mutex<Arc<BTreeMap<String, String>>>,
    rtt_us: AtomicU64,
    skew_us: AtomicI64,
    /// When the last ping was sent that was answered.
    answered: Mutex<Option<Instant>>,
}

/// What waits for the other side.
#[derive(Default)]
struct Open {
    next: u64,
    asked: BTreeMap<u64, oneshot::Sender<Result<Blob, FaultV1>>>,
    tails: BTreeMap<u64, mpsc::Sender<Result<Blob, FaultV1>>>,
    targets: BTreeMap<TargetV1, Weak<Target>>,
    numbers: BTreeMap<u32, Weak<Target>>,
    next_target: u32,
}

/// An actor that is sent to. When nobody does any more, its number is free again.
pub(super) struct Target {
    number: u32,
    room: Semaphore,
    session: Weak<Session>,
    to: TargetV1,
}

impl Drop for Target {
    fn drop(&mut self) {
        let Some(session) = self.session.upgrade() else {
            return;
        };
        {
            let mut open = session.open.lock();
            open.numbers.remove(&self.number);
            // Another may have taken its place meanwhile.
            if let Some(held) = open.targets.get(&self.to)
                && held.strong_count() == 0
            {
                open.targets.remove(&self.to);
            }
        }
        let number = self.number;
        session.outbox.push_small(&Frame::Forget { number });
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.peer).finish()
    }
}

impl Session {
    pub(super) fn new(peer: Peer, epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            is_draining: AtomicBool::new(peer.about.draining),
            labels: Mutex::new(Arc::new(peer.about.labels.clone())),
            peer,
            epoch,
            since: Instant::now(),
            outbox: Outbox::default(),
            open: Mutex::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            over: watch::Sender::new(None),
            rtt_us: AtomicU64::new(u64::MAX),
            skew_us: AtomicI64::new(0),
            answered: Mutex::default(),
        })
    }

    /// The name of the other node.
    pub(super) fn node(&self) -> &str {
        &self.peer.name
    }

    /// Time of a ping to there and back, once one was answered.
    pub(super) fn rtt(&self) -> Option<Duration> {
        let us = self.rtt_us.load(Ordering::Relaxed);
        (us != u64::MAX).then(|| Duration::from_micros(us))
    }

    /// When that was sent which was answered last.
    pub(super) fn answered(&self) -> Option<Instant> {
        *self.answered.lock()
    }

    /// How far the other's wall clock is ahead of this one's, in microseconds, to within half a round trip.
    pub(super) fn skew_us(&self) -> i64 {
        self.skew_us.load(Ordering::Relaxed)
    }

    /// Ends it; whoever waits for something of it is told why.
    pub(super) fn end(&self, why: &str) {
        self.over.send_if_modified(|over| {
            let is_first = over.is_none();
            if is_first {
                *over = Some(why.to_owned());
            }
            is_first
        });
        let open = std::mem::take(&mut *self.open.lock());
        for (_, asked) in open.asked {
            // Who asked may have gone.
            drop(asked.send(Err(self.gone())));
        }
        for target in open.numbers.values().filter_map(Weak::upgrade) {
            target.room.close();
        }
        self.outbox.close();
    }

    /// Tells the other side whether this node takes new children.
    pub(super) fn tell_draining(&self, draining: bool) {
        self.outbox.push_small(&Frame::Draining { draining });
    }

    /// Tells the other side the labels of this node.
    pub(super) fn tell_labels(&self, labels: &BTreeMap<String, String>) {
        let labels = labels.clone();
        self.outbox.push_small(&Frame::Labels { labels });
    }

    /// What the other node is good for.
    pub(super) fn labels(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.labels.lock())
    }

    /// Why it ended, if it has.
    pub(super) fn over(&self) -> Option<String> {
        self.over.borrow().clone()
    }

    /// Done when it has ended.
    pub(super) async fn ended(&self) -> String {
        let mut over = self.over.subscribe();
        match over.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_gone) => String::new(),
        }
    }

    pub(super) fn gone(&self) -> FaultV1 {
        let why = self
            .over()
            .unwrap_or_else(|| "the connection ends".to_owned());
        fault::down(&self.peer.name, &why)
    }

    /// Has the other node do something, and awaits what comes of it.
    pub(super) async fn call(&self, call: CallV1, timeout: Duration) -> Result<Blob, FaultV1> {
        let make = |id| Frame::Call {
            id,
            timeout_ms: ms(timeout),
            call,
        };
        self.asked(timeout, make).await
    }

    /// Sends a message that is answered.
    pub(super) async fn ask(
        &self,
        target: &Target,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Blob, FaultV1> {
        let until = Instant::now() + timeout;
        self.room_for(target, body.len(), timeout).await?;
        let left = until.saturating_duration_since(Instant::now());
        let make = |id| Frame::Ask {
            id,
            target: target.number,
            timeout_ms: ms(left),
            body: Blob(body),
        };
        self.asked(left, make).await
    }

    async fn asked(
        &self,
        timeout: Duration,
        make: impl FnOnce(u64) -> Frame,
    ) -> Result<Blob, FaultV1> {
        let asked = async {
            let turn = Arc::clone(&self.calls).acquire_owned().await;
            let _turn = turn.map_err(|_closed| self.gone())?;
            self.outbox.when_room().await;
            let (sender, answer) = oneshot::channel();
            let id = {
                let mut open = self.open.lock();
                if self.over.borrow().is_some() {
                    return Err(self.gone());
                }
                open.next += 1;
                let id = open.next;
                open.asked.insert(id, sender);
                id
            };
            let asked = Asked { session: self, id };
            self.outbox.push(&make(id))?;
            let answered = answer.await.unwrap_or_else(|_dropped| Err(self.gone()));
            // It is answered: nothing is to be called off.
            std::mem::forget(asked);
            answered
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(fault::late(&self.peer.name, timeout)),
        }
    }

    /// The documents of a call that has many. Dropping it ends the call.
    pub(super) async fn tail(self: &Arc<Self>, call: CallV1) -> Result<Tail, FaultV1> {
        self.outbox.when_room().await;
        let (sender, items) = mpsc::channel(TAIL_ROOM as usize + 1);
        let id = {
            let mut open = self.open.lock();
            if self.over.borrow().is_some() {
                return Err(self.gone());
            }
            if open.tails.len() >= TAILS_MAX {
                return Err(fault::new(
                    "failed",
                    format!("{TAILS_MAX} tails of {} are read already", self.peer.name),
                ));
            }
            open.next += 1;
            let id = open.next;
            open.tails.insert(id, sender);
            id
        };
        let reading = Reading {
            session: Arc::clone(self),
            id,
            items,
            taken: 0,
        };
        self.outbox.push(&Frame::Tail {
            id,
            call,
            room: TAIL_ROOM,
        })?;
        Ok(Box::pin(futures_util::stream::unfold(
            reading,
            |mut reading| async move {
                let item = reading.next().await?;
                Some((item, reading))
            },
        )))
    }

    /// The number that stands for an actor, told to the other node when it is new.
    pub(super) fn target(self: &Arc<Self>, to: &TargetV1) -> Result<Arc<Target>, FaultV1> {
        let mut open = self.open.lock();
        if let Some(target) = open.targets.get(to).and_then(Weak::upgrade) {
            return Ok(target);
        }
        if self.over.borrow().is_some() {
            return Err(self.gone());
        }
        if open.targets.len() >= TARGETS_MAX {
            return Err(fault::new(
                "failed",
                format!(
                    "{TARGETS_MAX} actors of {} are sent to already",
                    self.peer.name
                ),
            ));
        }
        open.next_target += 1;
        let target = Arc::new(Target {
            number: open.next_target,
            room: Semaphore::new(usize::try_from(ROOM).unwrap_or(usize::MAX)),
            session: Arc::downgrade(self),
            to: to.clone(),
        });
        open.targets.insert(to.clone(), Arc::downgrade(&target));
        open.numbers.insert(target.number, Arc::downgrade(&target));
        let said = self.outbox.push(&Frame::Target {
            number: target.number,
            to: to.clone(),
        });
        // Its end takes the lock as well.
        drop(open);
        said.map(|()| target)
    }

    /// Sends a message once there is room for it, waiting for that at most `timeout`.
    pub(super) async fn tell(
        &self,
        target: &Target,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<(), FaultV1> {
        self.room_for(target, body.len(), timeout).await?;
        if !self.outbox.has_room() {
            tokio::time::timeout(timeout, self.outbox.when_room())
                .await
                .map_err(|_elapsed| fault::full(&self.peer.name, timeout))?;
        }
        self.outbox.push(&Frame::Tell {
            target: target.number,
            body: Blob(body),
        })
    }

    async fn room_for(
        &self,
        target: &Target,
        len: usize,
        timeout: Duration,
    ) -> Result<(), FaultV1> {
        if len > MESSAGE_LEN_MAX {
            return Err(fault::new(
                "too_large",
                format!(
                    "a message of {len} bytes is longer than the {MESSAGE_LEN_MAX} that one may have"
                ),
            ));
        }
        // One that is larger than all the room there is has it for itself.
        let cost = u32::try_from(codec::cost(len).min(ROOM)).unwrap_or(u32::MAX);
        if let Ok(permit) = target.room.try_acquire_many(cost) {
            permit.forget();
            return Ok(());
        }
        match tokio::time::timeout(timeout, target.room.acquire_many(cost)).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(())
            }
            Ok(Err(_closed)) => Err(self.gone()),
            Err(_elapsed) => Err(fault::full(&self.peer.name, timeout)),
        }
    }
}

/// An ask that waits. Dropped, it tells the other side that nobody does any more.
struct Asked<'a> {
    session: &'a Session,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let was_open = self.session.open.lock().asked.remove(&self.id).is_some();
        if was_open {
            self.session
                .outbox
                .push_small(&Frame::Cancel { id: self.id });
        }
    }
}

/// A tail that is read.
struct Reading {
    session: Arc<Session>,
    id: u64,
    items: mpsc::Receiver<Result<Blob, FaultV1>>,
    taken: u32,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Blob, FaultV1>> {
        let item = self.items.recv().await;
        if item.is_none() {
            let over = self.session.over.borrow().is_some();
            return (over && std::mem::replace(&mut self.taken, u32::MAX) != u32::MAX)
                .then(|| Err(self.session.gone()));
        }
        self.taken += 1;
        if self.taken >= TAIL_ROOM / 2 {
            let items = std::mem::take(&mut self.taken);
            self.session
                .outbox
                .push_small(&Frame::More { id: self.id, items });
        }
        item
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let was_open = self.session.open.lock().tails.remove(&self.id).is_some();
        if was_open {
            self.session
                .outbox
                .push_small(&Frame::Cancel { id: self.id });
        }
    }
}

/// A message as it travels.
pub(super) fn body(message: &Value) -> Vec<u8> {
    message.to_string().into_bytes()
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
