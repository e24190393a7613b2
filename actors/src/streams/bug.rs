//! Faults planted on purpose, in test builds only: a test that has never found one is not to be trusted.

/// A fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// Says that something is on disk before it is.
    AcksBeforeSync,
    /// Does not wait until the name of a new segment is on disk.
    ForgetsNames,
    /// Takes a record for whole without looking at its checksum.
    TrustsRecords,
    /// Believes what is behind a hole that a crash made.
    KeepsWhatFollowsHoles,
    /// Goes on with a segment that could not be synced.
    ReusesSealed,
    /// Finds what was written anew in both places.
    ForgetsWhatIsVoid,
    /// Says that the book is on disk before it is.
    PromisesBookEarly,
    /// What was handed out is written down as if it were acknowledged.
    ForgetsPending,
    /// Gives positions again that a crash took back.
    ReusesPositions,
    /// Takes what it reads after a crash for being on disk.
    TrustsMemory,
    /// Does not know the ids of an earlier life.
    ForgetsIds,
}

#[cfg(test)]
impl Bug {
    /// All of them.
    pub(super) const ALL: [Self; 11] = [
        Self::AcksBeforeSync,
        Self::ForgetsNames,
        Self::TrustsRecords,
        Self::KeepsWhatFollowsHoles,
        Self::ReusesSealed,
        Self::ForgetsWhatIsVoid,
        Self::PromisesBookEarly,
        Self::ForgetsPending,
        Self::ReusesPositions,
        Self::TrustsMemory,
        Self::ForgetsIds,
    ];
}

#[cfg(test)]
thread_local! {
    /// The one that is planted. A history is played on one thread.
    pub(super) static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether this one is planted. Never, but in tests.
#[cfg(test)]
pub(super) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this one is planted. Never, but in tests.
#[cfg(not(test))]
#[inline]
pub(super) const fn is_planted(_: Bug) -> bool {
    false
}
