//! Trouble on the way into a mailbox, made on purpose: messages that are dropped, doubled, or held back.

use std::sync::atomic::AtomicBool;

use futures_util::FutureExt;
use tokio::sync::Notify;

use super::*;
use crate::fault::{BrokenRoute, RouteCounts, RouteFault, Undo};

/// How long a message that is due waits before it looks for room again.
const LOOKS_AGAIN: Duration = Duration::from_millis(5);

/// What is the matter with the way into a mailbox.
pub(super) struct Trouble<M> {
    fault: RouteFault,
    rng: Mutex<fastrand::Rng>,
    held: Mutex<VecDeque<Held<M>>>,
    came: Notify,
    counts: Arc<RouteCounts>,
    /// All that was held back is let through: whoever still comes this way passes. Set under the lock of `held`.
    is_over: AtomicBool,
}

struct Held<M> {
    due: Instant,
    lane: usize,
    message: M,
}

/// Where a mailbox keeps its trouble: a flag beside it says whether there is any.
pub(super) struct Troubled<M> {
    is_there: AtomicBool,
    trouble: Mutex<Option<Arc<Trouble<M>>>>,
}

impl<M> Default for Troubled<M> {
    fn default() -> Self {
        Self {
            is_there: AtomicBool::new(false),
            trouble: Mutex::default(),
        }
    }
}

impl<M> Troubled<M> {
    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }
}

impl<M: Message> Mailbox<M> {
    /// Breaks the way in.
    pub(crate) fn break_route(self: &Arc<Self>, fault: RouteFault) -> BrokenRoute {
        let trouble = Arc::new(Trouble {
            fault,
            rng: Mutex::new(fastrand::Rng::with_seed(fault.seed)),
            held: Mutex::default(),
            came: Notify::new(),
            counts: Arc::default(),
            is_over: AtomicBool::new(false),
        });
        {
            let mut current = self.troubled.trouble.lock();
            // While nobody passes: what was held back comes first.
            if let Some(before) = &*current {
                self.let_through(before);
            }
            *current = Some(Arc::clone(&trouble));
            self.troubled.is_there.store(true, Ordering::Release);
        }
        // Gathered events would pass it by.
        self.end_feeds();
        let forward = (!fault.delay.is_zero())
            .then(|| Arc::clone(self).forward(Arc::clone(&trouble)).boxed());
        let counts = Arc::clone(&trouble.counts);
        let mailbox = Arc::clone(self);
        let undo = Undo::new(move || mailbox.mend(&trouble));
        BrokenRoute {
            undo,
            counts,
            forward,
        }
    }

    /// The way in is as it was, unless other trouble has come.
    fn mend(&self, trouble: &Arc<Trouble<M>>) {
        let mut current = self.troubled.trouble.lock();
        // While nobody passes: what was held back comes before what finds the way as it was.
        self.let_through(trouble);
        if current
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, trouble))
        {
            *current = None;
            self.troubled.is_there.store(false, Ordering::Release);
        }
    }

    /// Lets go what is held back. What finds no room becomes a dead letter.
    fn let_through(&self, trouble: &Trouble<M>) {
        let mut left = Vec::new();
        {
            let mut held = trouble.held.lock();
            trouble.is_over.store(true, Ordering::Release);
            for Held { lane, message, .. } in held.drain(..) {
                left.extend(self.push_straight(lane, message).err());
            }
        }
        for error in left {
            trouble.counts.drop_one();
            self.bury(error.into_message(), DeadReason::Fault, None);
        }
    }

    /// Pushes what meets the trouble that there is.
    #[cold]
    pub(super) fn push_in_trouble(&self, lane: usize, mut message: M) -> Result<(), SendError<M>> {
        let trouble = self.troubled.trouble.lock().clone();
        let Some(trouble) = trouble.filter(|_| self.inbox.gate() == Gate::Open) else {
            return self.push_straight(lane, message);
        };
        let is_due = message.delivery().is_some_and(|event| event.has_receipt());
        if !is_due && trouble.strikes(trouble.fault.drop) {
            trouble.counts.drop_one();
            self.bury(message, DeadReason::Fault, None);
            return Ok(());
        }
        let is_doubled = !is_due && trouble.strikes(trouble.fault.double);
        if let Some(copy) = is_doubled.then(|| copy(&mut message)).flatten()
            && trouble.pass(self, lane, copy).is_ok()
        {
            trouble.counts.double_one();
        }
        trouble.pass(self, lane, message)
    }

    /// Brings what is held back once it is due.
    async fn forward(self: Arc<Self>, trouble: Arc<Trouble<M>>) {
        loop {
            let due = trouble.held.lock().front().map(|held| held.due);
            match due {
                None => trouble.came.notified().await,
                Some(due) => {
                    tokio::time::sleep_until(due).await;
                    if !self.bring(&trouble) {
                        tokio::time::sleep(LOOKS_AGAIN).await;
                    }
                }
            }
        }
    }

    /// Brings the first of what is held back; `false` if there is no room for it. Nothing is awaited while it is in no list.
    fn bring(&self, trouble: &Trouble<M>) -> bool {
        // Held until it is in its lane: what comes meanwhile comes behind it.
        let mut held = trouble.held.lock();
        let Some(Held { due, lane, message }) = held.pop_front() else {
            return true;
        };
        match self.push_straight(lane, message) {
            Ok(()) => true,
            Err(SendError::Full(message)) => {
                held.push_front(Held { due, lane, message });
                false
            }
            Err(error) => {
                drop(held);
                trouble.counts.drop_one();
                self.bury(error.into_message(), DeadReason::Fault, None);
                true
            }
        }
    }

    /// Takes all the room that there is; it comes back when this is undone.
    pub(crate) fn take_room(self: &Arc<Self>) -> Undo {
        let mut taken = [0; LANES];
        for (lane, taken) in taken.iter_mut().enumerate() {
            self.recall(lane);
            *taken = self.inbox.permits().take_all(lane);
        }
        let mailbox = Arc::clone(self);
        Undo::new(move || {
            for (lane, count) in taken.into_iter().enumerate() {
                mailbox.inbox.permits().give(lane, count);
            }
            mailbox.rest.waiting.wake_all();
        })
    }
}

impl<M: Message> Trouble<M> {
    fn strikes(&self, percent: u8) -> bool {
        percent > 0 && self.rng.lock().u8(0..100) < percent
    }

    /// Goes on with a message: at once, or later. As in a wire, what finds the line full is lost.
    fn pass(&self, mailbox: &Mailbox<M>, lane: usize, message: M) -> Result<(), SendError<M>> {
        if self.fault.delay.is_zero() {
            return mailbox.push_straight(lane, message);
        }
        let due = Instant::now() + self.fault.delay;
        let mut held = self.held.lock();
        if self.is_over.load(Ordering::Acquire) {
            drop(held);
            return mailbox.push_straight(lane, message);
        }
        if held.len() >= mailbox.capacity() {
            drop(held);
            self.counts.drop_one();
            mailbox.bury(message, DeadReason::Fault, None);
            return Ok(());
        }
        held.push_back(Held { due, lane, message });
        drop(held);
        self.counts.delay_one();
        self.came.notify_one();
        Ok(())
    }
}

/// A second one of a message, where there can be one.
fn copy<M: Message>(message: &mut M) -> Option<M> {
    if message.reply().is_some() {
        return None;
    }
    if let Some(delivery) = message.delivery() {
        let event = Arc::clone(delivery.event());
        return M::from_delivery(crate::bus::Delivery::new(event));
    }
    M::from_json(message.to_json()?).ok()
}
