//! How many more messages a lane takes: permits, one for each place.
//!
//! A permit is in one of three places: free, here; held by the inbox, which takes some at a time; or owed by the
//! stage, which gathers those of the messages that were taken and gives them back in batches. So the two sides
//! write this cache line once in a batch. A sender that finds none left calls in what is owed before it says `Full`.

use super::*;

/// What the stage can owe of one lane, which counts below zero too.
const CAPACITY_MAX: u32 = i32::MAX as u32;
/// How many permits travel at once, at most.
const BATCH_MAX: u32 = 64;
/// No batch is more than this part of a lane, so that what lies unused elsewhere is a small part of it.
const BATCH_SHARE: u32 = 16;

/// The free permits of each lane.
#[derive(Default)]
pub(super) struct Permits {
    free: [AtomicU32; LANES],
    capacities: [u32; LANES],
}

impl Permits {
    /// A lane holds [`CAPACITY_MAX`] messages at most, which is more than memory does.
    pub(super) fn new(capacities: [usize; LANES]) -> Self {
        let capacities = capacities.map(|capacity| {
            u32::try_from(capacity).map_or(CAPACITY_MAX, |capacity| capacity.min(CAPACITY_MAX))
        });
        Self {
            free: capacities.map(AtomicU32::new),
            capacities,
        }
    }

    /// Takes some; none if there are none.
    pub(super) fn take(&self, lane: usize) -> u32 {
        let Some(free) = self.free.get(lane) else {
            return 0;
        };
        let mut taken = 0;
        let some = |free: u32| {
            taken = batch(free).min(free);
            Some(free - taken)
        };
        match free.fetch_update(Ordering::AcqRel, Ordering::Acquire, some) {
            Ok(_) => taken,
            Err(_) => 0,
        }
    }

    /// Gives some back.
    pub(super) fn give(&self, lane: usize, count: u32) {
        if let Some(free) = self.free.get(lane) {
            free.fetch_add(count, Ordering::AcqRel);
        }
    }

    /// How many the stage gathers before it gives them back.
    pub(super) fn step(&self, lane: usize) -> u32 {
        self.capacities.get(lane).copied().map_or(1, batch)
    }

    /// How many are free, if that is half of the lane.
    pub(super) fn half_free(&self, lane: usize) -> Option<u32> {
        let free = self.free.get(lane)?.load(Ordering::Acquire);
        (free >= self.capacities.get(lane)?.div_ceil(2)).then_some(free)
    }
}

fn batch(of: u32) -> u32 {
    (of / BATCH_SHARE).clamp(1, BATCH_MAX)
}
