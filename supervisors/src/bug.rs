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
    /// A monitor that was ended goes on.
    KeepsMonitors,
    /// A `Down` is lost.
    LosesDown,
    /// A `Down` goes to the next life of its slot.
    TellsNextLife,
    /// An end does not reach the other side of a link.
    IgnoresLinks,
    /// What waits is shed for want of memory, however urgent it is.
    ShedsUrgent,
    /// What a life that was cut off still does has an effect.
    LetsTheDeadAct,
    /// A child of a template stays behind when it is down for good.
    KeepsTemplateChildren,
    /// There are more children of a template than there may be.
    ForgetsMaxChildren,
    /// A life that is suspended goes on.
    HandlesSuspended,
    /// The life after one that was suspended is so too.
    StaysSuspended,
    /// What a life that was replaced kept is found by a later one.
    KeepsLateState,
    /// What a child crashes of is not forgotten.
    KeepsBadState,
    /// The state of a life is kept for all paths.
    MixesStates,
    /// What was handled since the last snapshot is not kept at an orderly stop.
    ForgetsLastState,
    /// Nothing is brought to who awaits a task that failed.
    LosesTaskErrors,
    /// A task that is cancelled goes on.
    KeepsCancelled,
    /// Children that stop all at once are not stopped.
    LeavesTasks,
    /// The budget pays for what a ladder has taken upon itself.
    ChargesLadders,
    /// A supervisor that is restarted forgets what the ladders of its children have swapped in.
    ForgetsSwaps,
    /// Crashes before a step of a ladder do not count for the next.
    CountsAnewAfterSteps,
    /// A change of the tree restarts what is the same.
    TouchesUnchanged,
    /// Children stay in their former order.
    ForgetsOrder,
    /// What is no more goes on.
    KeepsRemoved,
    /// What was started for a change that is refused goes on.
    KeepsPrepared,
    /// Those that had agreed to a change that is refused keep their new settings.
    KeepsVotes,
    /// What crashes on probation is started again with its new settings.
    KeepsBadSettings,
    /// That settings were put back is forgotten with the next restart of their supervisor.
    ForgetsRollback,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::StopsForward,
        Self::RestartsTemporary,
        Self::LosesWaiting,
        Self::HandlesTwice,
        Self::LeavesOrphan,
        Self::ForgetsNeeds,
        Self::OutlivesSignificant,
        Self::KeepsMonitors,
        Self::LosesDown,
        Self::TellsNextLife,
        Self::IgnoresLinks,
        Self::ShedsUrgent,
        Self::LetsTheDeadAct,
        Self::KeepsTemplateChildren,
        Self::ForgetsMaxChildren,
        Self::HandlesSuspended,
        Self::StaysSuspended,
        Self::KeepsLateState,
        Self::KeepsBadState,
        Self::MixesStates,
        Self::ForgetsLastState,
        Self::LosesTaskErrors,
        Self::KeepsCancelled,
        Self::LeavesTasks,
        Self::ChargesLadders,
        Self::ForgetsSwaps,
        Self::CountsAnewAfterSteps,
        Self::TouchesUnchanged,
        Self::ForgetsOrder,
        Self::KeepsRemoved,
        Self::KeepsPrepared,
        Self::KeepsVotes,
        Self::KeepsBadSettings,
        Self::ForgetsRollback,
    ];
}
