//! How many more messages a lane takes: permits, one for each place.
//!
//! A permit is in one of three places: free, here; held by the inbox, which takes some at a time; or owed by the
//! stage, which gathers those of the messages that were taken and gives them back in batches. So the two sides
//! write this cache line once in a batch. A sender that finds none left calls in what is owed before it says `Full`.

use super::*;

/// How many permits travel at once, at most.
const BATCH_MAX: usize = 64;
/// No batch is more than this part of a lane, so that what lies unused elsewhere is a small part of it.
const BATCH_SHARE: usize = 16;

/// The free permits of each lane.
#[derive(Default)]
pub(super) struct Permits {
    free: [AtomicUsize; LANES],
    capacities: [usize; LANES],
}

impl Permits {
    pub(super) fn new(capacities: [usize; LANES]) -> Self {
        Self {
            free: capacities.map(AtomicUsize::new),
            capacities,
        }
    }

    /// Takes some; none if there are none.
    pub(super) fn take(&self, lane: usize) -> usize {
        let Some(free) = self.free.get(lane) else {
            return 0;
        };
        let mut taken = 0;
        let some = |free: usize| {
            taken = batch(free).min(free);
            Some(free - taken)
        };
        match free.fetch_update(Ordering::AcqRel, Ordering::Acquire, some) {
            Ok(_) => taken,
            Err(_) => 0,
        }
    }

    /// Gives some back.
    pub(super) fn give(&self, lane: usize, count: usize) {
        if let Some(free) = self.free.get(lane) {
            free.fetch_add(count, Ordering::AcqRel);
        }
    }

    /// How many the stage gathers before it gives them back.
    pub(super) fn step(&self, lane: usize) -> usize {
        self.capacities.get(lane).copied().map_or(1, batch)
    }

    /// How many are free, if that is half of the lane.
    pub(super) fn half_free(&self, lane: usize) -> Option<usize> {
        let free = self.free.get(lane)?.load(Ordering::Acquire);
        (free * 2 >= *self.capacities.get(lane)?).then_some(free)
    }
}

fn batch(of: usize) -> usize {
    (of / BATCH_SHARE).clamp(1, BATCH_MAX)
}
