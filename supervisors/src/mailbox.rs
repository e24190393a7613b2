//! The mailbox of a slot: five bounded lanes that outlive the lives which read them.
//!
//! Two parts, each behind a lock that is held for a few instructions. Senders push into the **inbox**;
//! the reader takes from the **stage** and, when a lane of the stage is empty, swaps in the whole lane of
//! the inbox. So senders and the reader meet once in a batch, not once in a message, while each message
//! stays in the slot until the moment it is taken in hand: nothing is lost with a life, and what is
//! urgent overtakes between any two messages.
//!
//! Lock order: stage, then inbox. No lock is held while foreign code runs.
//!
//! Considered: a lock-free queue a lane with a counted bound (measured slower from four senders, and cannot drop
//! the oldest exactly); one lock for all (sender and reader then share a cache line each message).

mod in_hand;
mod lanes;
mod room;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use self::in_hand::InHand;
use self::in_hand::{bury, print};
use self::room::Room;
use crate::dead_letter::{DeadLetterBox, DeadReason};
use crate::exit::ExitReason;
use crate::life::{Sender, sender};
use crate::message::{Message, NoAnswer};
use crate::path::ActorPath;
use crate::priority::LANES;
use crate::spec::{MailboxSpec, OnRestart, Overflow};

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

/// Why a message was not sent; it is given back.
#[derive(thiserror::Error, PartialEq, Eq)]
pub enum SendError<M> {
    /// The lane is full.
    #[error("the mailbox is full")]
    Full(M),
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
            | Self::NotRunning(message)
            | Self::Gone(message)
            | Self::Revoked(message) => message,
        }
    }
}

/// A message and what travels with it.
struct Envelope<M> {
    message: M,
    /// When it expires, in microseconds since the mailbox was made; 0 is never.
    expires_us: u64,
    /// How many times it was tried.
    tries: u32,
}

struct Inbox<M> {
    gate: Gate,
    lanes: [VecDeque<Envelope<M>>; LANES],
    /// How many messages of each lane were on the stage when last looked at: never less than there are.
    staged: [usize; LANES],
    /// The reader, if it sleeps.
    reader: Option<Waker>,
    /// Senders that wait for room.
    /// Senders that wait for room, oldest first: the lane, and how to wake it.
    senders: BTreeMap<u64, (usize, Waker)>,
    next_sender: u64,
}

struct Stage<M> {
    lanes: [VecDeque<Envelope<M>>; LANES],
    /// A bit for each lane that may have messages: a lane without it has none.
    filled: u8,
    passed: lanes::Passed,
}

/// The mailbox of one slot.
pub(crate) struct Mailbox<M> {
    front: Front<M>,
    back: Back<M>,
    path: ActorPath,
    spec: Arc<MailboxSpec>,
    capacities: [usize; LANES],
    born: Instant,
    dead_letters: DeadLetterBox,
    #[cfg(test)]
    bug: Option<crate::bug::Bug>,
}

/// What senders write. On cache lines of its own, as is what the reader writes.
#[repr(align(64))]
struct Front<M> {
    inbox: Mutex<Inbox<M>>,
    /// A bit for each lane that has messages in the inbox.
    arrived: AtomicU8,
    /// A bit for each lane that a sender waits for.
    wanted: AtomicU8,
    /// How many messages are in the inbox, by lane; written under its lock.
    inboxed: [AtomicUsize; LANES],
}

/// What the reader writes.
#[repr(align(64))]
struct Back<M> {
    stage: Mutex<Stage<M>>,
    /// How many messages are on the stage, by lane; written under its lock.
    staged: [AtomicUsize; LANES],
    handled: AtomicU64,
    suspended: AtomicBool,
}

impl<M: Message> Mailbox<M> {
    pub(crate) fn new(
        path: ActorPath,
        spec: Arc<MailboxSpec>,
        dead_letters: DeadLetterBox,
    ) -> Self {
        Self {
            path,
            capacities: spec.capacities(),
            spec,
            front: Front {
                inbox: Mutex::new(Inbox {
                    gate: Gate::Open,
                    lanes: Default::default(),
                    staged: [0; LANES],
                    reader: None,
                    senders: BTreeMap::new(),
                    next_sender: 0,
                }),
                arrived: AtomicU8::new(0),
                wanted: AtomicU8::new(0),
                inboxed: Default::default(),
            },
            back: Back {
                stage: Mutex::new(Stage {
                    lanes: Default::default(),
                    filled: 0,
                    passed: Default::default(),
                }),
                staged: Default::default(),
                handled: AtomicU64::new(0),
                suspended: AtomicBool::new(false),
            },
            born: Instant::now(),
            dead_letters,
            #[cfg(test)]
            bug: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn with_bug(self, bug: Option<crate::bug::Bug>) -> Self {
        Self { bug, ..self }
    }

    pub(crate) fn path(&self) -> &ActorPath {
        &self.path
    }

    /// What tells this mailbox from others in a life.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn handled(&self) -> u64 {
        self.back.handled.load(Ordering::Relaxed)
    }

    pub(crate) fn dead_letter_count(&self) -> u64 {
        self.dead_letters.count()
    }

    /// Messages that wait, in all lanes.
    pub(crate) fn depth(&self) -> usize {
        let stage = self.back.stage.lock();
        let inbox = self.front.inbox.lock();
        stage
            .lanes
            .iter()
            .chain(&inbox.lanes)
            .map(VecDeque::len)
            .sum()
    }

    /// Messages that may wait in a lane that has no capacity of its own.
    pub(crate) fn capacity(&self) -> usize {
        self.spec.capacity
    }

    /// Wakes the reader, if it sleeps.
    pub(crate) fn wake(&self) {
        let reader = self.front.inbox.lock().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Sends, or gives the message back at once.
    #[inline]
    pub(crate) fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        let message = match sender(self.key()) {
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
            Err(SendError::Full(message)) if self.spec.overflow == Overflow::Block => message,
            done => return done,
        };
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
        match tokio::time::timeout(self.spec.send_timeout, &mut room).await {
            Ok(sent) => sent,
            Err(_elapsed) => match room.message.take() {
                Some(message) => Err(SendError::Full(message)),
                None => Ok(()),
            },
        }
    }

    /// Pushes if the gate is open and there is room.
    #[inline]
    fn push(&self, lane: usize, message: M) -> Result<(), SendError<M>> {
        let expires_us = self.expiry();
        let mut guard = self.front.inbox.lock();
        let inbox = &mut *guard;
        match inbox.gate {
            Gate::Open => {}
            Gate::NotRunning => return Err(SendError::NotRunning(message)),
            Gate::Gone => return Err(SendError::Gone(message)),
        }
        let (Some(queue), Some(staged), Some(capacity), Some(now_staged), Some(inboxed)) = (
            inbox.lanes.get_mut(lane),
            inbox.staged.get_mut(lane),
            self.capacities.get(lane),
            self.back.staged.get(lane),
            self.front.inboxed.get(lane),
        ) else {
            return Err(SendError::Full(message));
        };
        if queue.len() + *staged >= *capacity {
            *staged = now_staged.load(Ordering::Acquire);
            if queue.len() + *staged >= *capacity {
                return Err(SendError::Full(message));
            }
        }
        if queue.is_empty() {
            self.front.arrived.fetch_or(1 << lane, Ordering::Release);
        }
        queue.push_back(Envelope {
            message,
            expires_us,
            tries: 0,
        });
        inboxed.store(queue.len(), Ordering::Relaxed);
        let reader = inbox.reader.take();
        // Woken once the lock is free: the reader may run at once, on another thread.
        drop(guard);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    fn expiry(&self) -> u64 {
        self.spec.ttl.map_or(0, |ttl| self.elapsed_us(ttl).max(1))
    }

    /// Microseconds since the mailbox was made, `ahead` from now.
    fn elapsed_us(&self, ahead: Duration) -> u64 {
        u64::try_from(self.born.elapsed().saturating_add(ahead).as_micros()).unwrap_or(u64::MAX)
    }

    /// What becomes of a message that found its lane full.
    #[cold]
    fn overflow(&self, lane: usize, mut message: M) -> Result<(), SendError<M>> {
        match self.spec.overflow {
            Overflow::Block | Overflow::Reject => Err(SendError::Full(message)),
            Overflow::DropNewest => {
                self.bury(message, DeadReason::DroppedNewest, None);
                Ok(())
            }
            Overflow::DropOldest => loop {
                if let Some(oldest) = self.take_oldest(lane) {
                    self.bury(oldest.message, DeadReason::DroppedOldest, None);
                }
                match self.push(lane, message) {
                    Err(SendError::Full(back)) => message = back,
                    done => return done,
                }
            },
        }
    }

    fn take_oldest(&self, lane: usize) -> Option<Envelope<M>> {
        let mut stage = self.back.stage.lock();
        if let Some(oldest) = stage.lanes.get_mut(lane).and_then(VecDeque::pop_front) {
            self.note_staged(&stage, lane);
            return Some(oldest);
        }
        let mut inbox = self.front.inbox.lock();
        let queue = inbox.lanes.get_mut(lane)?;
        let oldest = queue.pop_front();
        if let Some(inboxed) = self.front.inboxed.get(lane) {
            inboxed.store(queue.len(), Ordering::Relaxed);
        }
        if queue.is_empty() {
            self.front
                .arrived
                .fetch_and(!(1 << lane), Ordering::Release);
        }
        oldest
    }

    fn note_staged(&self, stage: &Stage<M>, lane: usize) {
        if let (Some(count), Some(queue)) = (self.back.staged.get(lane), stage.lanes.get(lane)) {
            count.store(queue.len(), Ordering::Release);
        }
    }

    /// Takes the next message in hand, if there is one. What has expired or is no longer asked for is buried.
    #[inline]
    pub(crate) fn take<'a>(&'a self, life: &'a crate::life::Life) -> Option<InHand<'a, M>> {
        loop {
            let (lane, mut envelope) = self.pop()?;
            let wanted = self.front.wanted.load(Ordering::Relaxed);
            if wanted != 0 {
                self.wake_senders(wanted);
            }
            let expired =
                envelope.expires_us != 0 && envelope.expires_us <= self.elapsed_us(Duration::ZERO);
            let is_abandoned = !expired
                && envelope
                    .message
                    .reply()
                    .is_some_and(|reply| reply.is_abandoned());
            if expired || is_abandoned {
                let reason = if expired {
                    DeadReason::Expired
                } else {
                    DeadReason::AskerGone
                };
                self.bury(envelope.message, reason, None);
                if life.is_called() {
                    // A flood of what nobody wants any more does not keep a stop waiting.
                    return None;
                }
                continue;
            }
            bump(&self.back.handled);
            bump(&life.handled);
            let mut in_hand = InHand {
                envelope: Some(envelope),
                lane,
                before: None,
                mailbox: self,
                life,
            };
            if self.spec.retry > 0 {
                in_hand.before = in_hand.message().and_then(|message| print(message));
            }
            return Some(in_hand);
        }
    }

    #[inline]
    fn pop(&self) -> Option<(usize, Envelope<M>)> {
        let mut stage = self.back.stage.lock();
        let stage = &mut *stage;
        let missing = self.front.arrived.load(Ordering::Acquire) & !stage.filled;
        if missing != 0 {
            self.refill(stage, missing);
        }
        loop {
            let lane = lanes::choose(stage.filled, &mut stage.passed, self.spec.fairness)?;
            let queue = stage.lanes.get_mut(lane)?;
            if let Some(envelope) = queue.pop_front() {
                let left = queue.len();
                if left == 0 {
                    stage.filled &= !(1 << lane);
                }
                if let Some(count) = self.back.staged.get(lane) {
                    count.store(left, Ordering::Release);
                }
                return Some((lane, envelope));
            }
            // A sender that drops the oldest emptied it.
            stage.filled &= !(1 << lane);
        }
    }

    /// Swaps the lanes of `missing`, which are empty on the stage, with those of the inbox.
    fn refill(&self, stage: &mut Stage<M>, missing: u8) {
        let mut inbox = self.front.inbox.lock();
        let inbox = &mut *inbox;
        self.front.arrived.fetch_and(!missing, Ordering::Relaxed);
        let lanes = stage
            .lanes
            .iter_mut()
            .zip(&mut inbox.lanes)
            .zip(&mut inbox.staged);
        for (lane, ((on_stage, arrived), staged)) in lanes.enumerate() {
            if missing & (1 << lane) != 0 {
                std::mem::swap(on_stage, arrived);
                stage.filled |= 1 << lane;
                *staged = on_stage.len();
                if let (Some(count), Some(inboxed)) =
                    (self.back.staged.get(lane), self.front.inboxed.get(lane))
                {
                    count.store(*staged, Ordering::Release);
                    inboxed.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// Lets the reader sleep: `true` if nothing waits and `waker` will be woken by the next message or request.
    pub(crate) fn sleep(&self, waker: &Waker, is_called: impl Fn() -> bool) -> bool {
        let stage = self.back.stage.lock();
        let mut inbox = self.front.inbox.lock();
        let empty = stage
            .lanes
            .iter()
            .chain(&inbox.lanes)
            .all(VecDeque::is_empty);
        let may_read = !self.back.suspended.load(Ordering::Acquire);
        if (may_read && !empty) || is_called() {
            return false;
        }
        if !inbox
            .reader
            .as_ref()
            .is_some_and(|reader| reader.will_wake(waker))
        {
            inbox.reader = Some(waker.clone());
        }
        // A sender that announced itself while the last messages were taken may not have been seen; there is room
        // for it now, and nobody else left to say so.
        let senders = if empty {
            std::mem::take(&mut inbox.senders)
        } else {
            BTreeMap::new()
        };
        drop(inbox);
        drop(stage);
        for (_, waker) in senders.into_values() {
            waker.wake();
        }
        true
    }

    pub(crate) fn suspend(&self, suspended: bool) {
        self.back.suspended.store(suspended, Ordering::Release);
    }

    /// Of the lanes in `wanted`, wakes the senders that wait for room in those that are half free: the oldest first,
    /// no more than there is room for.
    #[cold]
    fn wake_senders(&self, wanted: u8) {
        for lane in (0..LANES).filter(|lane| wanted & (1 << lane) != 0 && self.is_half_free(*lane))
        {
            let room = self.room(lane);
            let mut inbox = self.front.inbox.lock();
            let mut waiting = inbox.senders.iter().filter(|(_, (its, _))| *its == lane);
            let woken: Vec<u64> = waiting.by_ref().take(room).map(|(key, _)| *key).collect();
            if waiting.next().is_none() {
                self.front.wanted.fetch_and(!(1 << lane), Ordering::Relaxed);
            }
            let woken: Vec<Waker> = woken
                .iter()
                .filter_map(|key| inbox.senders.remove(key))
                .map(|(_, waker)| waker)
                .collect();
            drop(inbox);
            for waker in woken {
                waker.wake();
            }
        }
    }

    /// How many messages `lane` has room for, by what both sides last said without a lock.
    fn room(&self, lane: usize) -> usize {
        let capacity = self.capacities.get(lane).copied().unwrap_or(0);
        let waiting: usize = [&self.back.staged, &self.front.inboxed]
            .iter()
            .filter_map(|counts| counts.get(lane))
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        capacity.saturating_sub(waiting)
    }

    fn is_half_free(&self, lane: usize) -> bool {
        self.room(lane) * 2 >= self.capacities.get(lane).copied().unwrap_or(0)
    }

    fn wake_all_senders(&self) {
        let senders = std::mem::take(&mut self.front.inbox.lock().senders);
        for (_, waker) in senders.into_values() {
            waker.wake();
        }
    }

    /// Opens or closes the gate. What waited when it closes becomes dead letters for `reason`.
    pub(crate) fn set_gate(&self, gate: Gate, reason: DeadReason) {
        {
            let mut inbox = self.front.inbox.lock();
            if inbox.gate == Gate::Gone {
                return;
            }
            inbox.gate = gate;
        }
        if gate != Gate::Open {
            self.bury_all(reason);
            self.wake_all_senders();
        }
    }

    /// Makes ready for the next life: keeps what waits, or buries it, as the spec says.
    pub(crate) fn begin_life(&self, is_restart: bool) {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::LosesWaiting) {
            self.back
                .stage
                .lock()
                .lanes
                .iter_mut()
                .for_each(VecDeque::clear);
        }
        if is_restart && self.spec.on_restart == OnRestart::Drop {
            self.bury_all(DeadReason::DroppedAtRestart);
            self.wake_all_senders();
        }
        self.suspend(false);
    }

    fn bury_all(&self, reason: DeadReason) {
        let waiting: Vec<Envelope<M>> = {
            let mut stage = self.back.stage.lock();
            let mut inbox = self.front.inbox.lock();
            self.front.arrived.store(0, Ordering::Release);
            inbox.staged = [0; LANES];
            for count in self.back.staged.iter().chain(&self.front.inboxed) {
                count.store(0, Ordering::Release);
            }
            let inbox = &mut *inbox;
            let stage = &mut *stage;
            stage.filled = 0;
            let lanes = stage.lanes.iter_mut().zip(&mut inbox.lanes);
            lanes
                .flat_map(|(staged, arrived)| staged.drain(..).chain(arrived.drain(..)))
                .collect()
        };
        for envelope in waiting {
            self.bury(envelope.message, reason, None);
        }
    }

    /// Makes a dead letter of `message` and tells its asker.
    fn bury(&self, message: M, reason: DeadReason, exit: Option<&ExitReason>) {
        let answer = match exit {
            Some(exit) => NoAnswer::Crashed(exit.clone()),
            None => NoAnswer::DeadLetter(reason.as_str()),
        };
        bury(
            &self.dead_letters,
            &self.path,
            message,
            (reason, exit),
            answer,
        );
    }

    /// Puts a message back to the front of its lane, for the next life; gives it back if there will be none.
    fn put_back(&self, lane: usize, envelope: Envelope<M>) -> Option<Envelope<M>> {
        let mut stage = self.back.stage.lock();
        if self.front.inbox.lock().gate != Gate::Open {
            return Some(envelope);
        }
        if let Some(queue) = stage.lanes.get_mut(lane) {
            queue.push_front(envelope);
            stage.filled |= 1 << lane;
        }
        self.note_staged(&stage, lane);
        drop(stage);
        self.wake();
        None
    }
}

/// Adds one without a locked instruction: only the reader writes.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
