//! The senders' side: where messages arrive.

use super::*;

/// How long a sender waits before it tries again for an inbox that another has locked, in spins of some 10 to 50 ns.
///
/// Two threads that push by turns hand the cache lines of the queue to and fro with every message. A sender that
/// stands back for a while lets the other push many in a row; this lifts four senders from 2.1 to 4.5 times what
/// they reach without it (`benches/README.md`).
const STAND_BACK: u32 = 256;
/// How often it does so before it sleeps until the inbox is free.
const TRIES: u32 = 2;

/// Where senders put messages.
pub(super) struct Inbox<M> {
    queues: Line<Mutex<Queues<M>>>,
    signals: Line<Signals>,
}

struct Queues<M> {
    lanes: [VecDeque<Item<M>>; LANES],
    /// How many more messages it takes before it needs more permits.
    permits: [u32; LANES],
}

/// What changes once in a batch.
struct Signals {
    /// A bit for each lane that has messages; written under the lock of the queues.
    arrived: AtomicU8,
    /// A [`Gate`]; looked at under that lock.
    gate: AtomicU8,
    permits: Permits,
}

impl<M> Inbox<M> {
    pub(super) fn new(permits: Permits) -> Self {
        Self {
            queues: Line(Mutex::new(Queues {
                lanes: Default::default(),
                permits: Default::default(),
            })),
            signals: Line(Signals {
                arrived: AtomicU8::new(0),
                gate: AtomicU8::new(Gate::Open as u8),
                permits,
            }),
        }
    }

    pub(super) fn permits(&self) -> &Permits {
        &self.signals.permits
    }

    /// A bit for each lane that has messages.
    #[inline]
    pub(super) fn arrived(&self) -> u8 {
        self.signals.arrived.load(Ordering::Acquire)
    }

    pub(super) fn gate(&self) -> Gate {
        Gate::from_u8(self.signals.gate.load(Ordering::Acquire))
    }

    /// Sets the gate, unless the mailbox is gone for good. No push goes by the old one after this.
    pub(super) fn set_gate(&self, gate: Gate) -> bool {
        let _queues = self.queues.lock();
        let is_gone = self.gate() == Gate::Gone;
        if !is_gone {
            self.signals.gate.store(gate as u8, Ordering::Release);
        }
        !is_gone
    }

    /// Pushes if the gate is open and there is a permit. `true` if the lane was empty: the reader may sleep.
    #[inline]
    pub(super) fn push(&self, lane: usize, envelope: Envelope<M>) -> Result<bool, SendError<M>> {
        let mut queues = match self.queues.try_lock() {
            Some(queues) => queues,
            None => self.stand_back(),
        };
        let Queues {
            lanes,
            permits: held,
        } = &mut *queues;
        match self.gate() {
            Gate::Open => {}
            Gate::NotRunning => return Err(SendError::NotRunning(envelope.message)),
            Gate::Gone => return Err(SendError::Gone(envelope.message)),
        }
        let (Some(queue), Some(held)) = (lanes.get_mut(lane), held.get_mut(lane)) else {
            return Err(SendError::Full(envelope.message));
        };
        if *held == 0 {
            *held = self.signals.permits.take(lane);
        }
        if *held == 0 {
            return Err(SendError::Full(envelope.message));
        }
        *held -= 1;
        let was_empty = queue.is_empty();
        if was_empty {
            self.signals.arrived.fetch_or(1 << lane, Ordering::SeqCst);
        }
        queue.push_back(Item::Sent(envelope));
        Ok(was_empty)
    }

    /// Pushes if the gate is open, whether there is room or not. Gives the message back if it is not.
    pub(super) fn push_notice(&self, lane: usize, envelope: Envelope<M>) -> Option<M> {
        let mut queues = self.queues.lock();
        match queues.lanes.get_mut(lane) {
            Some(queue) if self.gate() == Gate::Open => {
                queue.push_back(Item::Sent(envelope));
                self.signals.arrived.fetch_or(1 << lane, Ordering::SeqCst);
                None
            }
            _ => Some(envelope.message),
        }
    }

    /// Pushes what has permits already. `true` if the lane was empty; gives it back if the gate is closed.
    pub(super) fn push_bundled(
        &self,
        lane: usize,
        bundled: Arc<Bundled<M>>,
    ) -> Result<bool, Arc<Bundled<M>>> {
        let mut queues = match self.queues.try_lock() {
            Some(queues) => queues,
            None => self.stand_back(),
        };
        match queues.lanes.get_mut(lane) {
            Some(queue) if self.gate() == Gate::Open => {
                let was_empty = queue.is_empty();
                queue.push_back(Item::Bundled(bundled));
                self.signals.arrived.fetch_or(1 << lane, Ordering::SeqCst);
                Ok(was_empty)
            }
            _ => Err(bundled),
        }
    }

    /// Changes what waits; the permits stay as they are.
    pub(super) fn with_lanes(&self, change: impl FnOnce(&mut [VecDeque<Item<M>>; LANES])) {
        change(&mut self.queues.lock().lanes);
    }

    #[cold]
    fn stand_back(&self) -> MutexGuard<'_, Queues<M>> {
        for _ in 0..TRIES {
            for _ in 0..STAND_BACK {
                std::hint::spin_loop();
            }
            if let Some(queues) = self.queues.try_lock() {
                return queues;
            }
        }
        self.queues.lock()
    }

    /// Moves all messages of `lanes` to the ends of `into`.
    pub(super) fn drain_into(&self, into: &mut [VecDeque<Item<M>>; LANES], lanes: u8) {
        let mut queues = self.queues.lock();
        for (lane, (to, from)) in into.iter_mut().zip(&mut queues.lanes).enumerate() {
            if lanes & (1 << lane) == 0 {
                continue;
            }
            if to.is_empty() {
                std::mem::swap(to, from);
            } else {
                to.append(from);
            }
        }
        self.signals.arrived.fetch_and(!lanes, Ordering::AcqRel);
    }

    /// Gives back the permits that it holds of each lane, and changes how many those have.
    pub(super) fn resize(&self, capacities: [usize; LANES]) {
        let mut queues = self.queues.lock();
        for (lane, (held, capacity)) in queues.permits.iter_mut().zip(capacities).enumerate() {
            self.signals.permits.give(lane, std::mem::take(held));
            self.signals.permits.resize(lane, capacity);
        }
    }

    /// Holds one more permit, for the sender that made room.
    pub(super) fn keep_permit(&self, lane: usize) {
        if let Some(held) = self.queues.lock().permits.get_mut(lane) {
            *held += 1;
        }
    }

    /// Takes the oldest message of `lane` that was sent; its permit stays here.
    pub(super) fn pop_oldest(&self, lane: usize) -> Option<Item<M>> {
        let mut queues = self.queues.lock();
        let queue = queues.lanes.get_mut(lane)?;
        let oldest = bundled::pop_oldest(queue)?;
        if queue.is_empty() {
            self.signals
                .arrived
                .fetch_and(!(1 << lane), Ordering::AcqRel);
        }
        *queues.permits.get_mut(lane)? += 1;
        Some(oldest)
    }

    pub(super) fn len(&self) -> usize {
        let queues = self.queues.lock();
        queues.lanes.iter().flatten().map(Item::count).sum()
    }
}
