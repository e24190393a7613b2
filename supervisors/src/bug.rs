//! Faults planted on purpose, in test builds only: a checker that has never found one is not to be trusted.

/// A fault of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A supervisor stops its children in start order.
    StopsForward,
    /// A temporary child that crashed is restarted.
    RestartsTemporary,
    /// What waits is forgotten at a restart, uncounted.
    LosesWaiting,
    /// A handled message is put back.
    HandlesTwice,
    /// The first child of a supervisor is left running when it ends.
    LeavesOrphan,
    /// What needs a child that was stopped goes on.
    ForgetsNeeds,
    /// A supervisor goes on without its significant children.
    OutlivesSignificant,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::StopsForward,
        Self::RestartsTemporary,
        Self::LosesWaiting,
        Self::HandlesTwice,
        Self::LeavesOrphan,
        Self::ForgetsNeeds,
        Self::OutlivesSignificant,
    ];
}
