//! The reader's side: what is taken in hand next.

use super::*;

/// The lanes that the reader takes from.
pub(super) struct Stage<M> {
    pub(super) lanes: [VecDeque<Envelope<M>>; LANES],
    /// A bit for each lane that may have messages: a lane without it has none.
    filled: u8,
    passed: lanes::Passed,
    /// Permits of messages that were taken, not yet given back.
    owed: [u32; LANES],
    /// How many messages were taken in hand.
    pub(super) handled: u64,
    /// The key of the life that may take messages; 0 is none.
    pub(super) reader: usize,
}

/// What came of taking a message in hand.
pub(super) enum Popped {
    /// One of this lane.
    From(usize),
    /// There is none.
    Nothing,
    /// These lanes have none, and something may be gathered for them.
    RanEmpty(u8),
}

impl<M> Default for Stage<M> {
    fn default() -> Self {
        Self {
            lanes: Default::default(),
            filled: 0,
            passed: Default::default(),
            owed: Default::default(),
            handled: 0,
            reader: 0,
        }
    }
}

impl<M> Stage<M> {
    /// Takes the next message in `hand`. `fed` has a bit for each lane for which something may be gathered elsewhere.
    #[inline]
    pub(super) fn pop(
        &mut self,
        inbox: &Inbox<M>,
        fairness: u32,
        fed: u8,
        hand: &mut Option<Envelope<M>>,
    ) -> Popped {
        loop {
            // Each time: a lane whose last message was taken out by others turns out to be empty only when it is chosen,
            // and has some in the inbox all the same.
            let missing = inbox.arrived() & !self.filled;
            if missing != 0 {
                inbox.drain_into(&mut self.lanes, missing);
                self.filled |= missing;
            }
            let empty = fed & !self.filled;
            if empty != 0 {
                return Popped::RanEmpty(empty);
            }
            let Some(lane) = lanes::choose(self.filled, &mut self.passed, fairness) else {
                return Popped::Nothing;
            };
            self.pop_from(lane, inbox.permits(), hand);
            if hand.is_some() {
                return Popped::From(lane);
            }
        }
    }

    /// Takes the oldest of `lane` in `hand`.
    #[inline]
    pub(super) fn pop_from(
        &mut self,
        lane: usize,
        permits: &Permits,
        hand: &mut Option<Envelope<M>>,
    ) {
        let Some(queue) = self.lanes.get_mut(lane) else {
            return;
        };
        *hand = queue.pop_front();
        if queue.is_empty() {
            self.filled &= !(1 << lane);
        }
        if hand
            .as_ref()
            .is_some_and(|envelope| !envelope.valid.is_notice())
        {
            self.owe(lane, 1, permits);
        }
    }

    /// Takes the oldest of `lane` that was sent, to make room for what is sent now: `inbox` holds its permit.
    pub(super) fn pop_oldest(&mut self, lane: usize, inbox: &Inbox<M>) -> Option<Envelope<M>> {
        let oldest = inbox::oldest_sent(self.lanes.get_mut(lane)?)?;
        inbox.keep_permit(lane);
        Some(oldest)
    }

    /// Puts a message back to the front of its lane, whether there is room or not.
    pub(super) fn push_front(&mut self, lane: usize, envelope: Envelope<M>, permits: &Permits) {
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.push_front(envelope);
            self.filled |= 1 << lane;
            permits.take_back(lane);
        }
    }

    fn owe(&mut self, lane: usize, count: u32, permits: &Permits) {
        if let Some(owed) = self.owed.get_mut(lane) {
            *owed = owed.saturating_add(count);
            if *owed >= permits.step(lane) {
                permits.give(lane, std::mem::take(owed));
            }
        }
    }

    /// The permits of `lane` that are owed, which are then owed no more.
    pub(super) fn settle(&mut self, lane: usize) -> u32 {
        self.owed.get_mut(lane).map_or(0, std::mem::take)
    }

    /// Empties the `lanes` of which a bit is set.
    pub(super) fn drain(&mut self, inbox: &Inbox<M>, lanes: u8) -> Vec<Envelope<M>> {
        let mut all = Vec::new();
        inbox.drain_into(&mut self.lanes, lanes);
        for lane in (0..LANES).filter(|lane| lanes & (1 << lane) != 0) {
            let before = all.len();
            if let Some(queue) = self.lanes.get_mut(lane) {
                all.extend(queue.drain(..));
            }
            // No lane holds more than its permits, which this type counts.
            let sent = all
                .iter()
                .skip(before)
                .filter(|envelope: &&Envelope<M>| !envelope.valid.is_notice())
                .count();
            let count = u32::try_from(sent).unwrap_or(u32::MAX);
            self.owe(lane, count, inbox.permits());
        }
        self.filled &= !lanes;
        all
    }
}
