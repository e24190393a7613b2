//! How many more messages a lane takes: permits, one for each place.
//!
//! A permit is in one of three places: free, here; held by the inbox, which takes some at a time; or owed by the
//! stage, which gathers those of the messages that were taken and gives them back in batches. So the two sides
//! write this cache line once in a batch. A sender that finds none left calls in what is owed before it says `Full`.
//!
//! Free lies below zero where more messages wait than may: the lane was made smaller, or one was put back whose permit had
//! been used again. None is handed out then, and what is given back goes there first.

use super::*;

/// What can be free of one lane, which counts below zero too.
const CAPACITY_MAX: u32 = i32::MAX as u32;
/// How many permits travel at once, at most.
const BATCH_MAX: u32 = 64;
/// No batch is more than this part of a lane, so that what lies unused elsewhere is a small part of it.
const BATCH_SHARE: u32 = 16;

/// The free permits of each lane.
#[derive(Default)]
pub(super) struct Permits {
    free: [AtomicI32; LANES],
    capacities: [AtomicU32; LANES],
}

impl Permits {
    /// A lane holds [`CAPACITY_MAX`] messages at most, which is more than memory does.
    pub(super) fn new(capacities: [usize; LANES]) -> Self {
        let capacities = capacities.map(bounded);
        Self {
            free: capacities.map(|capacity| AtomicI32::new(capacity.cast_signed())),
            capacities: capacities.map(AtomicU32::new),
        }
    }

    /// Changes how many a lane has. Called where nobody else changes that.
    pub(super) fn resize(&self, lane: usize, capacity: usize) {
        let capacity = bounded(capacity);
        if let (Some(free), Some(known)) = (self.free.get(lane), self.capacities.get(lane)) {
            let before = known.swap(capacity, Ordering::Relaxed);
            let more = capacity.cast_signed() - before.cast_signed();
            free.fetch_add(more, Ordering::AcqRel);
        }
    }

    /// Takes some; none if there are none.
    pub(super) fn take(&self, lane: usize) -> u32 {
        let Some(free) = self.free.get(lane) else {
            return 0;
        };
        let mut taken = 0;
        let some = |free: i32| {
            let there = u32::try_from(free).unwrap_or(0);
            taken = batch(there).min(there);
            Some(free - taken.cast_signed())
        };
        match free.fetch_update(Ordering::AcqRel, Ordering::Acquire, some) {
            Ok(_) => taken,
            Err(_) => 0,
        }
    }

    /// Takes half of those that there are, one at least, and at most `most`: who holds some for later leaves others as many.
    /// None where there are so few that it would be back for more at once.
    pub(super) fn take_some(&self, lane: usize, most: u32) -> u32 {
        let Some(free) = self.free.get(lane) else {
            return 0;
        };
        let mut taken = 0;
        let some = |free: i32| {
            let there = u32::try_from(free).unwrap_or(0);
            taken = match there < self.step(lane) {
                true => 0,
                false => there.div_ceil(2).min(most),
            };
            Some(free - taken.cast_signed())
        };
        match free.fetch_update(Ordering::AcqRel, Ordering::Acquire, some) {
            Ok(_) => taken,
            Err(_) => 0,
        }
    }

    /// Takes all that are free.
    pub(super) fn take_all(&self, lane: usize) -> u32 {
        let Some(free) = self.free.get(lane) else {
            return 0;
        };
        let none = |free: i32| (free > 0).then_some(0);
        let before = free.fetch_update(Ordering::AcqRel, Ordering::Acquire, none);
        before.map_or(0, i32::cast_unsigned)
    }

    /// Whether [`take_some`](Self::take_some) gives none.
    pub(super) fn is_short(&self, lane: usize) -> bool {
        let free = self.free.get(lane);
        let free = free.map_or(0, |free| free.load(Ordering::Acquire));
        u32::try_from(free).unwrap_or(0) < self.step(lane)
    }

    /// Gives some back.
    pub(super) fn give(&self, lane: usize, count: u32) {
        if let Some(free) = self.free.get(lane) {
            free.fetch_add(count.cast_signed(), Ordering::AcqRel);
        }
    }

    /// Takes one for a message that is put back.
    pub(super) fn take_back(&self, lane: usize) {
        if let Some(free) = self.free.get(lane) {
            free.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many the stage gathers before it gives them back.
    pub(super) fn step(&self, lane: usize) -> u32 {
        let capacity = self.capacities.get(lane);
        capacity.map_or(1, |capacity| batch(capacity.load(Ordering::Relaxed)))
    }

    /// How many are free, if that is half of the lane.
    pub(super) fn half_free(&self, lane: usize) -> Option<u32> {
        let free = u32::try_from(self.free.get(lane)?.load(Ordering::Acquire)).unwrap_or(0);
        let capacity = self.capacities.get(lane)?.load(Ordering::Relaxed);
        (free >= capacity.div_ceil(2)).then_some(free)
    }
}

fn bounded(capacity: usize) -> u32 {
    u32::try_from(capacity).map_or(CAPACITY_MAX, |capacity| capacity.min(CAPACITY_MAX))
}

fn batch(of: u32) -> u32 {
    (of / BATCH_SHARE).clamp(1, BATCH_MAX)
}
