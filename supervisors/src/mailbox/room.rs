//! Senders that wait for room.

use std::future::poll_fn;

use super::*;

/// The senders that wait, oldest first.
#[derive(Default)]
pub(super) struct Waiting {
    /// A bit for each lane that a sender waits for.
    wanted: AtomicU8,
    line: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The lane that each waits for, and how to wake it.
    senders: BTreeMap<u64, (usize, Waker)>,
    next: u64,
}

impl Waiting {
    /// A bit for each lane that a sender waits for.
    #[inline]
    pub(super) fn wanted(&self) -> u8 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Waits in line: behind those that came before it, also when it was woken and there was no room after all.
    fn join(&self, key: &mut Option<u64>, lane: usize, waker: &Waker) {
        let mut queue = self.line.lock();
        let key = *key.get_or_insert_with(|| {
            queue.next += 1;
            queue.next
        });
        queue.senders.insert(key, (lane, waker.clone()));
        self.wanted.fetch_or(1 << lane, Ordering::SeqCst);
    }

    fn leave(&self, key: u64) {
        self.line.lock().senders.remove(&key);
    }

    /// Wakes the senders that wait for `lane`, the oldest first, no more than there is room for.
    pub(super) fn wake(&self, lane: usize, room: u32) {
        let woken: Vec<Waker> = {
            let mut queue = self.line.lock();
            let mut waiting = queue.senders.iter().filter(|(_, (its, _))| *its == lane);
            let woken: Vec<u64> = waiting
                .by_ref()
                .take(room as usize)
                .map(|(key, _)| *key)
                .collect();
            if waiting.next().is_none() {
                self.wanted.fetch_and(!(1 << lane), Ordering::Relaxed);
            }
            let mut take = |key| Some(queue.senders.remove(key)?.1);
            woken.iter().filter_map(&mut take).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake_all(&self) {
        let senders = std::mem::take(&mut self.line.lock().senders);
        for (_, waker) in senders.into_values() {
            waker.wake();
        }
    }
}

/// Waits for room, then pushes.
pub(super) struct Room<'a, M: Message> {
    pub(super) mailbox: &'a Mailbox<M>,
    pub(super) lane: usize,
    pub(super) message: Option<M>,
    pub(super) key: Option<u64>,
}

impl<M: Message> Unpin for Room<'_, M> {}

impl<M: Message> Room<'_, M> {
    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.mailbox.rest.waiting.leave(key);
        }
    }
}

impl<M: Message> Future for Room<'_, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(message) = this.message.take() else {
            return Poll::Ready(Ok(()));
        };
        if matches!(sender(this.mailbox.key()), Sender::Dead) {
            return Poll::Ready(Err(SendError::Revoked(message)));
        }
        // Announced before the try: room that is made after it finds this sender waiting.
        let waiting = &this.mailbox.rest.waiting;
        waiting.join(&mut this.key, this.lane, cx.waker());
        match this.mailbox.push(this.lane, message) {
            Err(SendError::Full(message)) => {
                this.message = Some(message);
                Poll::Pending
            }
            done => {
                this.leave();
                Poll::Ready(done)
            }
        }
    }
}

impl<M: Message> Mailbox<M> {
    /// Where `lane` has no places to reserve, waits until half of it is free, or until whoever waits for room is told to
    /// look again.
    pub(crate) async fn room(&self, lane: usize) {
        let mut room = Room {
            mailbox: self,
            lane,
            message: None,
            key: None,
        };
        poll_fn(|cx| {
            let is_woken = room.key.is_some();
            self.rest.waiting.join(&mut room.key, lane, cx.waker());
            let has_room = || !self.inbox.permits().is_short(lane);
            match is_woken || self.inbox.gate() != Gate::Open || has_room() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl<M: Message> Drop for Room<'_, M> {
    fn drop(&mut self) {
        self.leave();
    }
}
