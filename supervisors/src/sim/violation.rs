//! What may be broken: each promise by the name of its checker, and each way to break one.

use std::fmt;

use crate::path::ActorPath;

/// The names of the checkers, and what each of them holds the kernel to.
pub const PROMISES: [(&str, &str); 5] = [
    (
        "supervision",
        "every child is started, stopped, restarted and given up as its supervisor's spec says, and nothing outlives its parent",
    ),
    (
        "mailboxes",
        "every message that was accepted is handled once and in order, or is among the dead letters",
    ),
    (
        "streams",
        "every durable event that was acknowledged is there once and in order, after any fault of the disk and any end of the kernel",
    ),
    (
        "swaps",
        "settings are changed for all or for none, and bad ones are refused or put back",
    ),
    (
        "tokens",
        "a life that was cut off has no effect any more: it sends nothing, keeps nothing and answers nobody",
    ),
];

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two lives of one slot at a time.
    TwoLives {
        /// Where.
        path: ActorPath,
    },
    /// An actor or task that was still there after the kernel, or its supervisor, had ended.
    Orphan {
        /// Where.
        path: ActorPath,
    },
    /// Siblings that did not stop in the reverse of their start order.
    StopOrder {
        /// The one that stopped too early.
        path: ActorPath,
        /// The one that was started after it and stopped after it.
        later: ActorPath,
    },
    /// A temporary child that came back.
    TemporaryRestarted {
        /// Where.
        path: ActorPath,
    },
    /// Messages that were accepted, and neither handled nor among the dead letters.
    Lost {
        /// How many.
        count: i64,
    },
    /// A message that was handled twice.
    Doubled {
        /// Where.
        path: ActorPath,
        /// Of which sender.
        sender: u64,
        /// Which one.
        number: u64,
    },
    /// A message that overtook an earlier one of the same sender in the same lane.
    OutOfOrder {
        /// Where.
        path: ActorPath,
        /// Of which sender.
        sender: u64,
        /// Which one.
        number: u64,
    },
    /// A message that is never shed was shed for want of memory.
    ShedWrongly {
        /// Where.
        path: ActorPath,
    },
    /// A child that was still on its way long after everything had become quiet.
    NotSettled {
        /// Where.
        path: ActorPath,
        /// In which state.
        state: &'static str,
    },
    /// A child that ran though a sibling it needs did not.
    NeedNotMet {
        /// Where.
        path: ActorPath,
    },
    /// A supervisor that went on after the end of its significant children.
    OutlivesSignificant {
        /// Where.
        path: ActorPath,
    },
    /// A `Down` that came twice, after `demonitor`, to another life, or of a life that goes on.
    WrongDown {
        /// Where.
        path: ActorPath,
        /// Of which monitor.
        bond: u64,
    },
    /// A `Down` that never came.
    MissingDown {
        /// Where.
        path: ActorPath,
        /// Of which monitor.
        bond: u64,
    },
    /// A life that outlived one that it was linked to.
    Unlinked {
        /// Where.
        path: ActorPath,
    },
    /// A life that was cut off had an effect.
    Late {
        /// Where.
        path: ActorPath,
    },
    /// A child of a template that was left behind when it was down for good, or a slot that is in no tree.
    LeftBehind {
        /// Where.
        path: ActorPath,
    },
    /// More children of a template than there may be.
    TooMany {
        /// The last of them.
        path: ActorPath,
    },
    /// A child that is not as it is to be, or not there, or there though it is not to be.
    NotDesired {
        /// Where.
        path: ActorPath,
    },
    /// A child that a change of the tree has nothing to do with and touched, or that does not run as it is to.
    Touched {
        /// Where.
        path: ActorPath,
    },
    /// A life that began with settings that had just been put back.
    NotRolledBack {
        /// Where.
        path: ActorPath,
    },
    /// A life that did not find what the last one before it that was not replaced had kept last, or found what it should
    /// not: that of another path, of a dead life, or what it may well crash of.
    WrongState {
        /// Where.
        path: ActorPath,
    },
    /// A life that was stopped in order, and whose state was not kept.
    NotKept {
        /// Where.
        path: ActorPath,
    },
    /// Somebody awaits a task in vain, was brought what another one returned, or was so before it was over.
    TaskUnresolved {
        /// Which.
        number: usize,
    },
    /// A ladder did something else than its rules say, or a life began with other settings than it left in force.
    WrongLadder {
        /// Where.
        path: ActorPath,
    },
    /// A life handled a message though it was suspended.
    HandlesSuspended {
        /// Where.
        path: ActorPath,
    },
    /// A life that runs, is not suspended, and leaves what waits for it.
    Deaf {
        /// Where.
        path: ActorPath,
    },
    /// Lives that count as stuck after all threads were let go.
    StillAbandoned {
        /// How many.
        count: usize,
    },
    /// The kernel did not come up, or did not end.
    Stuck {
        /// In what.
        step: &'static str,
    },
    /// A permanent child that was up before and did not come back.
    NotBack {
        /// Where.
        path: ActorPath,
    },
    /// What the driver of a simulation saw to be broken.
    Seen {
        /// Which checker it is of.
        checker: &'static str,
        /// What, in words.
        what: String,
    },
}

impl Violation {
    /// Which checker found it: one of those in [`PROMISES`].
    #[must_use]
    pub fn checker(&self) -> &'static str {
        match self {
            Self::Lost { .. }
            | Self::Doubled { .. }
            | Self::OutOfOrder { .. }
            | Self::ShedWrongly { .. }
            | Self::HandlesSuspended { .. }
            | Self::Deaf { .. } => "mailboxes",
            Self::NotDesired { .. } | Self::Touched { .. } | Self::NotRolledBack { .. } => "swaps",
            Self::Late { .. } => "tokens",
            Self::Seen { checker, .. } => checker,
            _ => "supervision",
        }
    }

    /// Whether it is the same promise broken in the same way, wherever that is.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.checker() == other.checker()
    }
}

impl fmt::Display for Violation {
    #[expect(
        clippy::too_many_lines,
        reason = "a sentence for each way to break one"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoLives { path } => write!(f, "`{path}` had two lives at a time"),
            Self::Orphan { path } => {
                write!(f, "`{path}` was still there after its supervisor had ended")
            }
            Self::StopOrder { path, later } => {
                write!(
                    f,
                    "`{path}` was stopped before `{later}`, which was started after it"
                )
            }
            Self::TemporaryRestarted { path } => write!(f, "`{path}` is temporary and came back"),
            Self::Lost { count } if *count < 0 => {
                write!(
                    f,
                    "{} messages more were handled or buried than were accepted",
                    -count
                )
            }
            Self::Lost { count } => {
                write!(f, "{count} messages were accepted and never heard of again")
            }
            Self::Doubled {
                path,
                sender,
                number,
            } => {
                write!(
                    f,
                    "`{path}` handled message {number} of sender {sender} twice"
                )
            }
            Self::OutOfOrder {
                path,
                sender,
                number,
            } => {
                write!(
                    f,
                    "`{path}` handled message {number} of sender {sender} after a later one"
                )
            }
            Self::ShedWrongly { path } => {
                write!(
                    f,
                    "a message to `{path}` that is never shed was shed for want of memory"
                )
            }
            Self::NotSettled { path, state } => {
                write!(
                    f,
                    "`{path}` is still {state} long after everything became quiet"
                )
            }
            Self::NeedNotMet { path } => {
                write!(f, "`{path}` runs though a sibling that it needs does not")
            }
            Self::OutlivesSignificant { path } => {
                write!(
                    f,
                    "`{path}` went on after its significant children had ended"
                )
            }
            Self::WrongDown { path, bond } => {
                write!(
                    f,
                    "`{path}` was told of an end by monitor {bond} that it should not have heard of"
                )
            }
            Self::MissingDown { path, bond } => {
                write!(
                    f,
                    "`{path}` was never told of the end that monitor {bond} is for"
                )
            }
            Self::Unlinked { path } => write!(f, "`{path}` outlived one that it was linked to"),
            Self::Late { path } => {
                write!(f, "a life of `{path}` that was cut off still had an effect")
            }
            Self::LeftBehind { path } => write!(
                f,
                "`{path}` was left behind in no tree, or down for good below a template"
            ),
            Self::TooMany { path } => write!(
                f,
                "`{path}` is more than its template's `max_children` allows"
            ),
            Self::NotDesired { path } => {
                write!(f, "`{path}` is not as the tree says that it is to be")
            }
            Self::Touched { path } => {
                write!(
                    f,
                    "a change of the tree touched `{path}`, with which it has nothing to do"
                )
            }
            Self::NotRolledBack { path } => {
                write!(
                    f,
                    "`{path}` began again with settings that had just been put back"
                )
            }
            Self::WrongState { path } => {
                write!(f, "`{path}` did not find the state that was kept last")
            }
            Self::NotKept { path } => write!(
                f,
                "`{path}` was stopped in order, and its state was not kept"
            ),
            Self::TaskUnresolved { number } => {
                write!(
                    f,
                    "who awaited task {number} was brought nothing, the wrong thing, or that too early"
                )
            }
            Self::WrongLadder { path } => {
                write!(f, "the ladder of `{path}` did not do what its steps say")
            }
            Self::HandlesSuspended { path } => {
                write!(f, "`{path}` handled a message though it was suspended")
            }
            Self::Deaf { path } => write!(f, "`{path}` runs and leaves what waits for it"),
            Self::StillAbandoned { count } => {
                write!(
                    f,
                    "{count} lives count as stuck though all threads were let go"
                )
            }
            Self::Stuck { step } => write!(f, "{step} never came to its end"),
            Self::NotBack { path } => write!(
                f,
                "`{path}` is permanent, was up before, and did not come back"
            ),
            Self::Seen { what, .. } => f.write_str(what),
        }
    }
}
