//! The mailbox of a slot: five bounded lanes that outlive the lives which read them.
//!
//! Senders push into an **inbox**; the reader takes from the **stage** and, when a lane of the stage is empty,
//! swaps in the whole lane of the inbox. So senders and the reader meet once in a batch, not once in a message,
//! while each message stays in the slot until the moment it is taken in hand: nothing is lost with a life, and
//! what is urgent overtakes between any two messages. The bound is kept by [`permits`], which travel in batches too.
//!
//! What one side writes for each message lies on cache lines that the other side reads once in a batch.
//!
//! Lock order: stage, then inbox. No lock is held while foreign code runs.
//!
//! Considered: a lock-free queue a lane with a counted bound (measured slower from four senders, and cannot drop
//! the oldest exactly); one lock for all (sender and reader then share a cache line each message); an inbox for each
//! sender once they collide (no faster than letting them take turns, and a message could then overtake one of
//! another sender that had been sent before it).

mod bundled;
mod feeds;
mod in_hand;
mod inbox;
mod lanes;
mod notice;
mod permits;
mod room;
mod stage;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use spin::mutex::SpinMutex;
use spin::relax::Yield;
use tokio::time::Instant;

pub(crate) use self::bundled::Make;
use self::bundled::{Bundled, Item, Tries};
pub(crate) use self::feeds::Feed;
use self::feeds::Feeds;
pub(crate) use self::in_hand::InHand;
use self::in_hand::bury;
use self::inbox::Inbox;
use self::notice::Valid;
use self::permits::Permits;
use self::room::{Room, Waiting};
use self::stage::{Lent, Popped, Stage};
use self::trouble::Troubled;
use crate::bus::POISON_AFTER;
use crate::dead_letter::{DeadLetterBox, DeadReason};
use crate::exit::ExitReason;
use crate::life::{Life, Sender, sender};
use crate::message::{Message, NoAnswer};
use crate::path::ActorPath;
use crate::priority::{LANES, Priority};
use crate::spec::{MailboxSpec, OnRestart, Overflow};

/// A bit for each lane.
const ALL_LANES: u8 = u8::MAX;

/// Whether a slot takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It does.
    Open,
    /// It is stopped or quarantined.
    NotRunning,
    /// It is deleted.
    Gone,
}

impl Gate {
    fn from_u8(number: u8) -> Self {
        match number {
            number if number == Self::Open as u8 => Self::Open,
            number if number == Self::NotRunning as u8 => Self::NotRunning,
            _ => Self::Gone,
        }
    }
}

/// Why a message was not sent; it is given back.
#[derive(thiserror::Error, PartialEq, Eq)]
pub enum SendError<M> {
    /// The lane is full.
    #[error("the mailbox is full")]
    Full(M),
    /// Memory is short, and messages of its priority are shed.
    #[error("memory is short: messages of its priority are not taken")]
    Shed(M),
    /// The child is stopped or quarantined.
    #[error("it is not running")]
    NotRunning(M),
    /// The child is deleted, or its supervisor was restarted.
    #[error("it is gone")]
    Gone(M),
    /// The life that sends has ended: a late effect of a dead life.
    #[error("the life that sends has ended")]
    Revoked(M),
}

impl<M> std::fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Shed(_) => "Shed",
            Self::NotRunning(_) => "NotRunning",
            Self::Gone(_) => "Gone",
            Self::Revoked(_) => "Revoked",
        })
    }
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message)
            | Self::Shed(message)
            | Self::NotRunning(message)
            | Self::Gone(message)
            | Self::Revoked(message) => message,
        }
    }
}

/// A message and what travels with it.
struct Envelope<M> {
    message: M,
    valid: Valid,
    tries: Tries,
}

/// Something on cache lines of its own.
#[repr(align(64))]
#[derive(Default)]
struct Line<T>(T);

impl<T> Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The mailbox of one slot.
///
/// In this order, so that what is written rarely lies between what senders and what the reader write for each message:
/// processors fetch cache lines in pairs.
#[repr(C)]
pub(crate) struct Mailbox<M> {
    inbox: Inbox<M>,
    rest: Rest,
    /// Beside the rules, which each message asks too.
    troubled: Troubled<M>,
    /// Held for some nanoseconds and almost only by the reader: a lock whose release is a plain store. Who finds it taken
    /// lets others run.
    stage: Line<SpinMutex<Stage<M>, Yield>>,
}

/// What is written rarely.
#[repr(align(64))]
struct Rest {
    /// Whether the reader sleeps and has to be woken.
    asleep: AtomicBool,
    suspended: AtomicBool,
    /// Whether there was ever a notice: most mailboxes never have one.
    has_notices: AtomicBool,
    reader: Mutex<Option<Waker>>,
    waiting: Waiting,
    feeds: Feeds,
    path: ActorPath,
    spec: ArcSwap<MailboxSpec>,
    rules: Rules,
    born: Instant,
    dead_letters: DeadLetterBox,
    #[cfg(test)]
    bug: Option<crate::bug::Bug>,
}

/// What is asked of the spec for each message, where a plain load finds it.
#[derive(Default)]
struct Rules {
    fairness: AtomicU32,
    retry: AtomicU32,
    /// Microseconds that a message may wait; 0 is for ever.
    ttl_us: AtomicU64,
}

impl Rules {
    fn set(&self, spec: &MailboxSpec) {
        let us = |ttl: Duration| u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX);
        let ttl = spec.ttl.map_or(0, |ttl| us(ttl).max(1));
        self.fairness.store(spec.fairness, Ordering::Relaxed);
        self.retry.store(spec.retry, Ordering::Relaxed);
        self.ttl_us.store(ttl, Ordering::Relaxed);
    }
}

impl<M: Message> Mailbox<M> {
    pub(crate) fn new(
        path: ActorPath,
        spec: Arc<MailboxSpec>,
        dead_letters: DeadLetterBox,
    ) -> Self {
        let rules = Rules::default();
        rules.set(&spec);
        Self {
            inbox: Inbox::new(Permits::new(spec.capacities())),
            stage: Line::default(),
            troubled: Troubled::default(),
            rest: Rest {
                asleep: AtomicBool::new(false),
                suspended: AtomicBool::new(false),
                has_notices: AtomicBool::new(false),
                reader: Mutex::default(),
                waiting: Waiting::default(),
                feeds: Feeds::default(),
                path,
                spec: ArcSwap::new(spec),
                rules,
                born: Instant::now(),
                dead_letters,
                #[cfg(test)]
                bug: None,
            },
        }
    }

    #[cfg(test)]
    pub(crate) fn with_bug(mut self, bug: Option<crate::bug::Bug>) -> Self {
        self.rest.bug = bug;
        self
    }

    pub(crate) fn path(&self) -> &ActorPath {
        &self.rest.path
    }

    /// What tells this mailbox from others in a life.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn handled(&self) -> u64 {
        self.stage.lock().handled()
    }

    pub(crate) fn retried(&self) -> u64 {
        self.stage.lock().retried()
    }

    pub(crate) fn dead_letter_count(&self) -> u64 {
        self.rest.dead_letters.count()
    }

    /// Messages that wait, in all lanes.
    pub(crate) fn depth(&self) -> usize {
        let stage = self.stage.lock();
        stage.len() + self.inbox.len()
    }

    /// Messages that may wait in a lane that has no capacity of its own.
    pub(crate) fn capacity(&self) -> usize {
        self.rest.spec.load().capacity
    }

    /// Goes by another spec from now on; what waits stays.
    ///
    /// A lane that holds more than it now may takes no further message until enough of them are taken. A message that was
    /// sent keeps the `ttl`, and a sender that waits the `send_timeout`, that it came with.
    pub(crate) fn set_spec(&self, spec: &Arc<MailboxSpec>) {
        self.rest.spec.store(Arc::clone(spec));
        self.rest.rules.set(spec);
        {
            let mut stage = self.stage.lock();
            for lane in 0..LANES {
                stage.settle(lane, self.inbox.permits());
            }
            self.inbox.resize(spec.capacities());
        }
        self.rest.waiting.wake_all();
    }

    /// Wakes the reader, if it sleeps.
    pub(crate) fn wake(&self) {
        // What was done before this is seen by a reader that is not seen asleep.
        fence(Ordering::SeqCst);
        self.wake_if_asleep();
    }

    fn wake_if_asleep(&self) {
        if self.rest.asleep.load(Ordering::SeqCst) && self.rest.asleep.swap(false, Ordering::SeqCst)
        {
            let reader = self.rest.reader.lock().take();
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }

    /// Sends, or gives the message back at once.
    #[inline]
    pub(crate) fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        let message = match sender(self.key()) {
            #[cfg(test)]
            Sender::Dead if self.rest.bug == Some(crate::bug::Bug::LetsTheDeadAct) => message,
            Sender::Dead => return Err(SendError::Revoked(message)),
            Sender::Outside | Sender::Alive | Sender::Myself => message,
        };
        let lane = message.priority() as usize;
        match self.push(lane, message) {
            Ok(()) => Ok(()),
            Err(SendError::Full(message)) => self.overflow(lane, message),
            Err(error) => Err(error),
        }
    }

    /// Sends; where the lane is full and its rule is to block, waits for room, at most `send_timeout`.
    pub(crate) async fn send(&self, message: M) -> Result<(), SendError<M>> {
        let message = match self.try_send(message) {
            Err(SendError::Full(message)) => message,
            done => return done,
        };
        let (overflow, patience) = {
            let spec = self.rest.spec.load();
            (spec.overflow, spec.send_timeout)
        };
        if overflow != Overflow::Block {
            return Err(SendError::Full(message));
        }
        if matches!(sender(self.key()), Sender::Myself) {
            return Err(SendError::Full(message));
        }
        let lane = message.priority() as usize;
        let mut room = Room {
            mailbox: self,
            lane,
            message: Some(message),
            key: None,
        };
        match tokio::time::timeout(patience, &mut room).await {
            Ok(sent) => sent,
            Err(_elapsed) => match room.message.take() {
                Some(message) => Err(SendError::Full(message)),
                None => Ok(()),
            },
        }
    }

    /// Puts an event into `lane`, or gives it back at once. Who may is looked at once for all who receive it, where it is
    /// published.
    #[inline]
    pub(crate) fn deliver(&self, lane: usize, message: M) -> Result<(), SendError<M>> {
        match self.push(lane, message) {
            Err(SendError::Full(message)) => self.overflow(lane, message),
            done => done,
        }
    }

    /// The same once there is room, however long that takes and whatever the rule is for a full lane.
    pub(crate) async fn deliver_when_room(
        &self,
        lane: usize,
        message: M,
    ) -> Result<(), SendError<M>> {
        match self.push(lane, message) {
            Err(SendError::Full(message)) => {
                let room = Room {
                    mailbox: self,
                    lane,
                    message: Some(message),
                    key: None,
                };
                room.await
            }
            done => done,
        }
    }

    /// Where those of its messages go that nobody will handle.
    pub(crate) fn letters(&self) -> &DeadLetterBox {
        &self.rest.dead_letters
    }

    /// Makes a dead letter of an event that is not to be tried again.
    pub(crate) fn bury_poison(&self, message: M) {
        self.bury(message, DeadReason::Poison, None);
    }

    /// Pushes if the gate is open and there is room, and nothing happens to it on the way.
    #[inline]
    fn push(&self, lane: usize, message: M) -> Result<(), SendError<M>> {
        if self.troubled.is_there() {
            return self.push_in_trouble(lane, message);
        }
        self.push_straight(lane, message)
    }

    /// Pushes if the gate is open and there is room.
    #[inline]
    fn push_straight(&self, lane: usize, message: M) -> Result<(), SendError<M>> {
        // What is more urgent is never shed, and does not look.
        if lane >= Priority::Low as usize && self.rest.dead_letters.shed().takes(lane) {
            return self.shed(message);
        }
        let mut envelope = Envelope {
            message,
            valid: self.valid(),
            tries: Tries::NONE,
        };
        loop {
            match self.inbox.push(lane, envelope) {
                Ok(true) => {
                    // Needs no fence: that a lane has messages is said in the one order that `asleep` is in.
                    self.wake_if_asleep();
                    return Ok(());
                }
                Ok(false) => return Ok(()),
                Err(SendError::Full(message)) if !self.recall(lane) => {
                    return Err(SendError::Full(message));
                }
                Err(SendError::Full(message)) => {
                    envelope = Envelope {
                        message,
                        valid: self.valid(),
                        tries: Tries::NONE,
                    };
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Calls in the permits of `lane` that the stage owes; `false` if it is full indeed.
    #[cold]
    fn recall(&self, lane: usize) -> bool {
        self.stage.lock().settle(lane, self.inbox.permits())
    }

    fn valid(&self) -> Valid {
        match self.rest.rules.ttl_us.load(Ordering::Relaxed) {
            0 => Valid::EVER,
            ttl => Valid::until(self.elapsed_us(Duration::from_micros(ttl))),
        }
    }

    /// Microseconds since the mailbox was made, `ahead` from now.
    fn elapsed_us(&self, ahead: Duration) -> u64 {
        let elapsed = self.rest.born.elapsed().saturating_add(ahead);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    /// What becomes of a message that was sent into a lane that is shed.
    #[cold]
    fn shed(&self, message: M) -> Result<(), SendError<M>> {
        match (self.inbox.gate(), self.rest.spec.load().overflow) {
            (Gate::NotRunning, _) => Err(SendError::NotRunning(message)),
            (Gate::Gone, _) => Err(SendError::Gone(message)),
            (Gate::Open, Overflow::Block | Overflow::Reject) => {
                self.rest.dead_letters.shed().count(1);
                Err(SendError::Shed(message))
            }
            (Gate::Open, Overflow::DropOldest | Overflow::DropNewest) => {
                self.rest.dead_letters.shed().count(1);
                self.bury(message, DeadReason::Shed, None);
                Ok(())
            }
        }
    }

    /// Buries what waits in lanes that are shed, oldest first.
    pub(crate) fn shed_waiting(&self) {
        let shed = self.rest.dead_letters.shed();
        let is_shed = |lane: &usize| shed.takes(*lane);
        let lanes = (0..LANES)
            .filter(is_shed)
            .fold(0, |all, lane| all | 1 << lane);
        #[cfg(test)]
        let lanes = match self.rest.bug {
            Some(crate::bug::Bug::ShedsUrgent) => ALL_LANES,
            _ => lanes,
        };
        shed.count(self.bury_lanes(lanes, DeadReason::Shed));
    }

    /// What becomes of a message that found its lane full.
    #[cold]
    fn overflow(&self, lane: usize, mut message: M) -> Result<(), SendError<M>> {
        let overflow = self.rest.spec.load().overflow;
        match overflow {
            Overflow::Block | Overflow::Reject => Err(SendError::Full(message)),
            Overflow::DropNewest => {
                self.bury(message, DeadReason::DroppedNewest, None);
                Ok(())
            }
            Overflow::DropOldest => loop {
                let oldest = self.stage.lock().pop_oldest(lane, &self.inbox);
                let oldest = oldest.or_else(|| self.inbox.pop_oldest(lane));
                // None where others hold all room there is and nothing waits.
                let made_room = oldest.is_some();
                if let Some(oldest) = oldest {
                    self.bury_item(oldest, DeadReason::DroppedOldest);
                }
                match self.push(lane, message) {
                    Err(SendError::Full(back)) if made_room => message = back,
                    Err(SendError::Full(back)) => {
                        self.bury(back, DeadReason::DroppedOldest, None);
                        return Ok(());
                    }
                    done => return done,
                }
            },
        }
    }

    /// Takes the next message in `hand`, if there is one, and returns its lane. What has expired or is no longer asked
    /// for is buried.
    #[inline]
    fn take(
        &self,
        life: &Life,
        lent: &mut Option<Lent<M>>,
        hand: &mut Option<Envelope<M>>,
    ) -> Option<usize> {
        loop {
            let lane = match self.take_lent(lent, hand) {
                Some(lane) => lane,
                None => self.pop(life, lent, hand)?,
            };
            let wanted = self.rest.waiting.wanted();
            if wanted != 0 {
                self.wake_senders(wanted);
            }
            match hand
                .as_mut()
                .and_then(|envelope| self.is_stale(envelope, life))
            {
                None => {
                    let variant = hand.as_ref().map(|envelope| envelope.message.variant());
                    life.set_hand(variant);
                    life.count_handled();
                    return Some(lane);
                }
                Some(reason) => self.bury_stale(hand.take(), reason),
            }
            if life.is_called() {
                // A flood of what nobody wants any more does not keep a stop waiting.
                return None;
            }
        }
    }

    /// Takes the next message of what is lent in `hand`, as long as that is what comes next: no other lane has something, and
    /// nothing is gathered for one.
    #[inline]
    fn take_lent(
        &self,
        lent: &mut Option<Lent<M>>,
        hand: &mut Option<Envelope<M>>,
    ) -> Option<usize> {
        let Lent { lane, bundled } = lent.as_ref()?;
        let others = (self.inbox.arrived() | self.rest.feeds.lanes()) & !(1 << lane);
        if others == 0
            && let Some(index) = bundled.take()
        {
            *hand = Some(bundled.envelope(index));
            return Some(*lane);
        }
        *lent = None;
        None
    }

    #[inline]
    fn pop(
        &self,
        life: &Life,
        lent: &mut Option<Lent<M>>,
        hand: &mut Option<Envelope<M>>,
    ) -> Option<usize> {
        let fairness = self.rest.rules.fairness.load(Ordering::Relaxed);
        // Lanes for which nothing is gathered.
        let mut skipped = 0;
        loop {
            let fed = self.rest.feeds.lanes() & !skipped;
            let mut stage = self.stage.lock();
            if !stage.is_read_by(life.key()) {
                // It was cut off: what waits is its successor's.
                return None;
            }
            match stage.pop(&self.inbox, fairness, fed, hand) {
                Popped::From(lane) => return Some(lane),
                Popped::Event(event, index, is_lent) => {
                    drop(stage);
                    *hand = Some(event.bundled.envelope(index));
                    let lane = event.lane;
                    *lent = is_lent.then_some(event);
                    return Some(lane);
                }
                Popped::Nothing => return None,
                Popped::RanEmpty(empty) => {
                    drop(stage);
                    if !self.call_in(empty) {
                        skipped |= empty;
                    }
                }
            }
        }
    }

    /// Why a message is not to be handled any more.
    #[inline]
    fn is_stale(&self, envelope: &mut Envelope<M>, life: &Life) -> Option<DeadReason> {
        if !envelope.valid.is_ever() && self.is_over(envelope.valid, life) {
            return Some(DeadReason::Expired);
        }
        if let Some(delivery) = envelope.message.delivery()
            && let Some(expires) = delivery.expires()
            && expires <= self.rest.dead_letters.now()
        {
            return Some(DeadReason::Expired);
        }
        let reply = envelope.message.reply()?;
        reply.is_abandoned().then_some(DeadReason::AskerGone)
    }

    #[cold]
    fn is_over(&self, valid: Valid, life: &Life) -> bool {
        match valid.as_notice() {
            #[cfg(test)]
            Some(_) if self.rest.bug == Some(crate::bug::Bug::TellsNextLife) => false,
            Some(number) => !life.bonds().take(number),
            None => valid
                .as_moment()
                .is_some_and(|moment| moment <= self.elapsed_us(Duration::ZERO)),
        }
    }

    #[cold]
    fn bury_stale(&self, stale: Option<Envelope<M>>, reason: DeadReason) {
        self.stage.lock().take_back_handled();
        if let Some(envelope) = stale {
            self.bury_envelope(envelope, reason);
        }
    }

    /// Lets the reader sleep: `true` if nothing waits and `waker` will be woken by the next message or request.
    pub(crate) fn sleep(&self, waker: &Waker, is_called: impl Fn() -> bool) -> bool {
        let rest = &self.rest;
        let may_read =
            || !rest.suspended.load(Ordering::Acquire) && (self.has_some() || self.is_fed());
        if may_read() || is_called() {
            return false;
        }
        {
            let mut reader = rest.reader.lock();
            if !reader.as_ref().is_some_and(|known| known.will_wake(waker)) {
                *reader = Some(waker.clone());
            }
        }
        rest.asleep.store(true, Ordering::SeqCst);
        // Of this and a push or a request, the one that comes second sees the other.
        fence(Ordering::SeqCst);
        if may_read() || is_called() {
            rest.asleep.store(false, Ordering::Relaxed);
            return false;
        }
        // A sender that announced itself while the last messages were taken may not have been seen; there is room
        // for it now, and nobody else left to say so.
        if rest.waiting.wanted() != 0 && !self.has_some() {
            rest.waiting.wake_all();
        }
        true
    }

    /// Whether something waits.
    pub(crate) fn has_some(&self) -> bool {
        self.inbox.arrived() != 0 || !self.stage.lock().is_empty()
    }

    pub(crate) fn suspend(&self, suspended: bool) {
        self.rest.suspended.store(suspended, Ordering::Release);
    }

    /// Of the lanes in `wanted`, wakes the senders that wait for room in those that are half free.
    #[cold]
    fn wake_senders(&self, wanted: u8) {
        for lane in (0..LANES).filter(|lane| wanted & (1 << lane) != 0) {
            if let Some(room) = self.inbox.permits().half_free(lane) {
                self.rest.waiting.wake(lane, room);
            }
        }
    }

    /// Opens or closes the gate. What waited when it closes becomes dead letters for `reason`.
    pub(crate) fn set_gate(&self, gate: Gate, reason: DeadReason) {
        if self.inbox.set_gate(gate) && gate != Gate::Open {
            self.bury_lanes(ALL_LANES, reason);
        }
    }

    /// Makes ready for the next life: keeps what waits, or buries it, as the spec says.
    pub(crate) fn begin_life(&self, life: &Arc<Life>, is_restart: bool) {
        let permits = self.inbox.permits();
        self.stage.lock().read_by(life.key(), permits);
        #[cfg(test)]
        if self.rest.bug == Some(crate::bug::Bug::LosesWaiting) {
            drop(self.stage.lock().drain(&self.inbox, ALL_LANES));
        }
        if is_restart && self.rest.spec.load().on_restart == OnRestart::Drop {
            self.bury_lanes(ALL_LANES, DeadReason::DroppedAtRestart);
        }
        self.retract(life, |_of_an_earlier_life| true);
        #[cfg(test)]
        if self.rest.bug == Some(crate::bug::Bug::StaysSuspended) {
            return;
        }
        self.suspend(false);
    }

    /// Cuts `life` off: it takes no further message, and the one it has in hand becomes a dead letter, of which no more is
    /// known than its name.
    pub(crate) fn cut_off(&self, life: &Life, exit: &ExitReason) {
        {
            let mut stage = self.stage.lock();
            if stage.is_read_by(life.key()) {
                stage.read_by(0, self.inbox.permits());
            }
        }
        let Some(variant) = life.hand() else { return };
        let name = Self::name_of(variant);
        if life.claim_letter(name) {
            let letters = &self.rest.dead_letters;
            letters.add_name(self.path(), name, DeadReason::Crashed, Some(exit));
        }
    }

    /// The name of a variant, or of the type where those have none.
    pub(crate) fn name_of(variant: u32) -> &'static str {
        let place = usize::try_from(variant).unwrap_or(usize::MAX);
        let of_type = || std::any::type_name::<M>().rsplit("::").next();
        M::NAMES
            .get(place)
            .copied()
            .or_else(of_type)
            .unwrap_or_default()
    }

    /// Buries what waits in `lanes`, a bit for each, and returns how many messages that were.
    fn bury_lanes(&self, lanes: u8, reason: DeadReason) -> usize {
        let waiting = self.stage.lock().drain(&self.inbox, lanes);
        let count = waiting.iter().map(Item::count).sum();
        for item in waiting {
            self.bury_item(item, reason);
        }
        self.rest.waiting.wake_all();
        count
    }

    /// Makes dead letters of what waited.
    fn bury_item(&self, item: Item<M>, reason: DeadReason) {
        match item {
            Item::Sent(envelope) => self.bury_envelope(envelope, reason),
            Item::Bundled(bundled) => bundled
                .envelopes()
                .for_each(|envelope| self.bury_envelope(envelope, reason)),
        }
    }

    /// Makes a dead letter of what was sent; a notice is dropped.
    fn bury_envelope(&self, envelope: Envelope<M>, reason: DeadReason) {
        if !envelope.valid.is_notice() {
            self.bury(envelope.message, reason, None);
        } else if catch_unwind(AssertUnwindSafe(|| drop(envelope))).is_err() {
            tracing::warn!(path = %self.path(), "a panic while a notice was dropped");
        }
    }

    /// Makes a dead letter of `message` and tells its asker.
    fn bury(&self, message: M, reason: DeadReason, exit: Option<&ExitReason>) {
        let answer = match exit {
            Some(exit) => NoAnswer::Crashed(exit.clone()),
            None => NoAnswer::DeadLetter(reason.as_str()),
        };
        bury(
            &self.rest.dead_letters,
            self.path(),
            message,
            (reason, exit),
            answer,
        );
    }

    /// Puts a message back to the front of its lane, for the next life; gives it back if there will be none.
    fn put_back(&self, lane: usize, envelope: Envelope<M>) -> Option<Envelope<M>> {
        let mut stage = self.stage.lock();
        if self.inbox.gate() != Gate::Open {
            return Some(envelope);
        }
        stage.push_front(lane, envelope, self.inbox.permits());
        drop(stage);
        self.wake();
        None
    }
}
