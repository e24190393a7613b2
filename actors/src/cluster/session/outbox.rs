//! What waits to be written to a connection.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::OUTBOX_LEN_MAX;
use crate::cluster::codec::{self, FaultV1, Frame};
use crate::cluster::fault;

/// A buffer that is given back with more room than this is let go.
const KEPT_LEN_MAX: usize = 1 << 20;
/// Room beyond [`OUTBOX_LEN_MAX`] for what cannot wait: pongs, credit, calls that are called off.
const SMALL_LEN_MAX: usize = 1 << 20;

/// Frames, encoded, in order. Whoever sends waits for [`when_room`](Self::when_room) first; several that find room at a time may
/// go beyond by a frame each.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    is_closed: bool,
}

impl Outbox {
    /// Puts a frame behind the others.
    pub(super) fn push(&self, frame: &Frame) -> Result<(), FaultV1> {
        let was_empty = {
            let mut state = self.state.lock();
            if state.is_closed {
                return Err(fault::new("unreachable", "the connection has ended"));
            }
            let was_empty = state.waiting.is_empty();
            codec::encode(frame, &mut state.waiting)
                .map_err(|error| fault::new("too_large", error.to_string()))?;
            was_empty
        };
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The same for a small frame that nobody waits for. Where even these have piled up the connection is as good as
    /// broken, and ends.
    pub(super) fn push_small(&self, frame: &Frame) {
        if self.state.lock().waiting.len() > OUTBOX_LEN_MAX * 2 + SMALL_LEN_MAX {
            self.close();
            return;
        }
        // A connection that has ended needs no more of them.
        drop(self.push(frame));
    }

    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.is_closed || state.waiting.len() < OUTBOX_LEN_MAX
    }

    /// Done when there is room, or the connection has ended.
    pub(super) async fn when_room(&self) {
        loop {
            let freed = self.room.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// All that waits, in exchange for an empty buffer; `None` once it is closed and nothing waits.
    pub(super) async fn take(&self, mut empty: Vec<u8>) -> Option<Vec<u8>> {
        empty.clear();
        if empty.capacity() > KEPT_LEN_MAX {
            empty = Vec::new();
        }
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.state.lock();
                if !state.waiting.is_empty() {
                    std::mem::swap(&mut state.waiting, &mut empty);
                    break;
                }
                if state.is_closed {
                    return None;
                }
            }
            filled.await;
        }
        self.room.notify_waiters();
        Some(empty)
    }

    /// Done when something waits, or it is closed.
    pub(super) async fn when_filled(&self) {
        loop {
            let filled = self.filled.notified();
            {
                let state = self.state.lock();
                if state.is_closed || !state.waiting.is_empty() {
                    return;
                }
            }
            filled.await;
        }
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.filled.notify_one();
        self.room.notify_waiters();
    }
}
