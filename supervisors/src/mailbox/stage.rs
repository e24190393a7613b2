//! The reader's side: what is taken in hand next.

use super::*;

/// The lanes that the reader takes from.
pub(super) struct Stage<M> {
    lanes: [VecDeque<Item<M>>; LANES],
    /// A bit for each lane that may have messages: a lane without it has none.
    filled: u8,
    passed: lanes::Passed,
    /// What the reader takes of without this, and how many they were. All but counts call it back first.
    lent: Option<(Lent<M>, usize)>,
    /// Permits of messages that were taken, not yet given back.
    owed: [u32; LANES],
    /// How many messages were taken in hand, or are lent.
    handled: u64,
    retried: u64,
    /// The key of the life that may take messages; 0 is none.
    reader: usize,
}

/// Events of a lane that the reader takes without the stage.
pub(super) struct Lent<M> {
    pub(super) lane: usize,
    pub(super) bundled: Arc<Bundled<M>>,
}

impl<M> Clone for Lent<M> {
    fn clone(&self) -> Self {
        let bundled = Arc::clone(&self.bundled);
        Self { bundled, ..*self }
    }
}

/// What came of taking a message in hand.
pub(super) enum Popped<M> {
    /// One of this lane.
    From(usize),
    /// The event with this index, and whether the others of its bundle are lent.
    Event(Lent<M>, usize, bool),
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
            lent: None,
            owed: Default::default(),
            handled: 0,
            retried: 0,
            reader: 0,
        }
    }
}

impl<M> Stage<M> {
    /// From now on only the life with this key takes messages; 0 is none.
    pub(super) fn read_by(&mut self, life: usize, permits: &Permits) {
        self.call_back(permits);
        self.reader = life;
    }

    pub(super) fn is_read_by(&self, life: usize) -> bool {
        self.reader == life
    }

    /// How many messages were taken in hand.
    pub(super) fn handled(&self) -> u64 {
        self.handled - self.lent_left() as u64
    }

    /// How many of those were put back, to be taken in hand once more.
    pub(super) fn retried(&self) -> u64 {
        self.retried
    }

    /// One that was taken in hand is not handled.
    pub(super) fn take_back_handled(&mut self) {
        self.handled -= 1;
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        let waiting = self.lanes.iter().flatten().map(Item::count);
        waiting.sum::<usize>() + self.lent_left()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty) && self.lent_left() == 0
    }

    fn lent_left(&self) -> usize {
        let lent = self.lent.as_ref();
        lent.map_or(0, |(lent, _)| lent.bundled.len())
    }

    /// Takes the next message in `hand`. `fed` has a bit for each lane for which something may be gathered elsewhere.
    #[inline]
    pub(super) fn pop(
        &mut self,
        inbox: &Inbox<M>,
        fairness: u32,
        fed: u8,
        hand: &mut Option<Envelope<M>>,
    ) -> Popped<M> {
        self.call_back(inbox.permits());
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
            if let Some(popped) = self.pop_from(lane, inbox.permits(), hand) {
                return popped;
            }
        }
    }

    /// Takes the oldest message of `lane`.
    #[inline]
    fn pop_from(
        &mut self,
        lane: usize,
        permits: &Permits,
        hand: &mut Option<Envelope<M>>,
    ) -> Option<Popped<M>> {
        let queue = self.lanes.get_mut(lane)?;
        if let Some(Item::Bundled(_)) = queue.front() {
            return self.pop_bundled(lane, permits);
        }
        let item = queue.pop_front();
        if queue.is_empty() {
            self.filled &= !(1 << lane);
        }
        let Some(Item::Sent(envelope)) = item else {
            return None;
        };
        self.handled += 1;
        if !envelope.valid.is_notice() {
            self.owe(lane, 1, permits);
        }
        *hand = Some(envelope);
        Some(Popped::From(lane))
    }

    /// Takes the oldest event of `lane`, and lends the reader the others of its bundle; not where other lanes have messages,
    /// which have their turns between any two.
    fn pop_bundled(&mut self, lane: usize, permits: &Permits) -> Option<Popped<M>> {
        let is_lent = self.filled & !(1 << lane) == 0;
        let queue = self.lanes.get_mut(lane)?;
        let Some(Item::Bundled(bundled)) = queue.pop_front() else {
            return None;
        };
        let count = bundled.len();
        let index = bundled.take();
        let event = Lent { lane, bundled };
        if is_lent {
            self.lent = Some((event.clone(), count));
            self.handled += count as u64;
        } else if index.is_some() {
            if count > 1 {
                queue.push_front(Item::Bundled(Arc::clone(&event.bundled)));
            }
            self.handled += 1;
            self.owe(lane, 1, permits);
        }
        if self.lanes.get(lane)?.is_empty() {
            self.filled &= !(1 << lane);
        }
        Some(Popped::Event(event, index?, is_lent))
    }

    /// From now on the reader takes nothing without this; what it did not take is back in its lane. `false` if nothing was
    /// lent.
    #[inline]
    fn call_back(&mut self, permits: &Permits) -> bool {
        let Some((Lent { lane, bundled }, mut count)) = self.lent.take() else {
            return false;
        };
        if let Some(left) = bundled.end()
            && let Some(queue) = self.lanes.get_mut(lane)
        {
            count -= left.len();
            self.handled -= left.len() as u64;
            queue.push_front(Item::Bundled(left));
            self.filled |= 1 << lane;
        }
        self.owe(lane, u32::try_from(count).unwrap_or(u32::MAX), permits);
        true
    }

    /// Takes the oldest of `lane` that was sent, to make room for what is sent now: `inbox` holds its permit.
    pub(super) fn pop_oldest(&mut self, lane: usize, inbox: &Inbox<M>) -> Option<Item<M>> {
        self.call_back(inbox.permits());
        let oldest = bundled::pop_oldest(self.lanes.get_mut(lane)?)?;
        inbox.keep_permit(lane);
        Some(oldest)
    }

    /// Puts a message back to the front of its lane, whether there is room or not.
    pub(super) fn push_front(&mut self, lane: usize, envelope: Envelope<M>, permits: &Permits) {
        self.call_back(permits);
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.push_front(Item::Sent(envelope));
            self.filled |= 1 << lane;
            self.retried += 1;
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

    /// Gives the permits of `lane` that are owed back. `false` if none were.
    pub(super) fn settle(&mut self, lane: usize, permits: &Permits) -> bool {
        let was_lent = self.call_back(permits);
        let owed = self.owed.get_mut(lane).map_or(0, std::mem::take);
        permits.give(lane, owed);
        was_lent || owed > 0
    }

    /// Changes what waits of what was sent; the permits stay as they are.
    pub(super) fn with_lanes(&mut self, change: impl FnOnce(&mut [VecDeque<Item<M>>; LANES])) {
        change(&mut self.lanes);
    }

    /// Empties the `lanes` of which a bit is set.
    pub(super) fn drain(&mut self, inbox: &Inbox<M>, lanes: u8) -> Vec<Item<M>> {
        self.call_back(inbox.permits());
        let mut all = Vec::new();
        inbox.drain_into(&mut self.lanes, lanes);
        for lane in (0..LANES).filter(|lane| lanes & (1 << lane) != 0) {
            let before = all.len();
            if let Some(queue) = self.lanes.get_mut(lane) {
                all.extend(queue.drain(..));
            }
            // No lane holds more than its permits, which this type counts.
            let sent = all.iter().skip(before).filter(|item| !item.is_notice());
            let count = u32::try_from(sent.map(Item::count).sum::<usize>()).unwrap_or(u32::MAX);
            self.owe(lane, count, inbox.permits());
        }
        self.filled &= !lanes;
        all
    }
}
