//! A sender that waits for room.

use super::*;

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
            self.mailbox.front.inbox.lock().senders.remove(&key);
        }
    }

    /// Waits in line: behind those that came before it, also when it was woken and there was no room after all.
    fn wait(&mut self, waker: &Waker) {
        let mut inbox = self.mailbox.front.inbox.lock();
        let key = *self.key.get_or_insert_with(|| {
            inbox.next_sender += 1;
            inbox.next_sender
        });
        inbox.senders.insert(key, (self.lane, waker.clone()));
        self.mailbox
            .front
            .wanted
            .fetch_or(1 << self.lane, Ordering::SeqCst);
    }
}

impl<M: Message> Future for Room<'_, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(message) = self.message.take() else {
            return Poll::Ready(Ok(()));
        };
        if matches!(sender(self.mailbox.key()), Sender::Dead) {
            return Poll::Ready(Err(SendError::Revoked(message)));
        }
        // Announced before the try: room that is made after it finds this sender waiting.
        self.wait(cx.waker());
        match self.mailbox.push(self.lane, message) {
            Err(SendError::Full(message)) => {
                self.message = Some(message);
                Poll::Pending
            }
            done => {
                self.leave();
                Poll::Ready(done)
            }
        }
    }
}

impl<M: Message> Drop for Room<'_, M> {
    fn drop(&mut self) {
        self.leave();
    }
}
