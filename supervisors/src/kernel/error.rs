//! Why something asked of a kernel was not done.

use super::*;

/// Why a slot cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is no such kind.
    #[error("`{path}`: there is no kind `{kind}`")]
    UnknownKind {
        /// Where.
        path: ActorPath,
        /// Which.
        kind: String,
    },
    /// There is no thread for the watchdog.
    #[error("cannot start the watchdog: {0}")]
    Watchdog(std::io::ErrorKind),
    /// The settings do not fit the kind.
    #[error("`{path}`: settings do not fit kind `{kind}`: {error}")]
    Settings {
        /// Where.
        path: ActorPath,
        /// Which.
        kind: String,
        /// What is wrong.
        error: SettingsError,
    },
    /// It cannot be significant there.
    #[error("`{path}`: {error}")]
    Significance {
        /// Where.
        path: ActorPath,
        /// Why not.
        error: SignificanceError,
    },
}

/// Why something asked of the kernel was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// Nothing is at that path.
    #[error("there is no `{0}`")]
    NotFound(ActorPath),
    /// The supervisor refused.
    #[error("`{path}`: {error}")]
    Refused {
        /// Where.
        path: ActorPath,
        /// Why.
        error: RequestError,
    },
    /// The root and `/system` cannot be asked this.
    #[error(
        "`{0}` is the kernel's own and always there: it cannot be stopped or deleted, and nothing can be added to it"
    )]
    Fixed(ActorPath),
    /// A worker has no children.
    #[error("`{0}` is a worker, not a supervisor: it has no children")]
    NotASupervisor(ActorPath),
    /// A supervisor takes no messages.
    #[error("`{0}` is a supervisor: it takes no messages")]
    NotAWorker(ActorPath),
    /// Its children are made from a template, and this one was not.
    #[error(
        "the children of `{0}` are made from its template: one more takes an id and settings, nothing else"
    )]
    HasTemplate(ActorPath),
    /// There is no template that a child could be made from.
    #[error("`{0}` has no template: one more child takes a whole spec")]
    NoTemplate(ActorPath),
    /// Its children do not share a load.
    #[error("the children of `{0}` are no partitions")]
    NotPartitioned(ActorPath),
    /// All its partitions were taken out.
    #[error("`{0}` has no partition left that takes keys")]
    NoPartition(ActorPath),
    /// It was made with fewer.
    #[error("`{path}` has {most} partitions, and cannot have more")]
    TooManyPartitions {
        /// Where.
        path: ActorPath,
        /// How many it was made with.
        most: u32,
    },
    /// It is no supervisor of tasks.
    #[error("`{0}` is no supervisor of tasks: those have a template of kind `task`")]
    NoTasks(ActorPath),
    /// The child cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The message does not fit the actor.
    #[error("`{path}`: {error}")]
    Message {
        /// Where.
        path: ActorPath,
        /// What is wrong, and what would fit.
        error: MessageError,
    },
    /// The message was not delivered.
    #[error("`{path}`: {error}")]
    Undelivered {
        /// Where.
        path: ActorPath,
        /// Why.
        error: Undelivered,
    },
    /// No answer came.
    #[error("`{path}`: {error}")]
    NoAnswer {
        /// Where.
        path: ActorPath,
        /// Why.
        error: NoAnswer,
    },
}
