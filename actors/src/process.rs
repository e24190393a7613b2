//! Any command as a supervised child process, on Linux.
//!
//! [`Process`] is the actor, kind `process`. [`ProcessChild`] is one life of a command: started, read, waited for, stopped, and killed when dropped.
//! [`Keeper`] sees to it that no command outlives a kernel that was killed itself. [`probe()`] asks a
//! command whether it is well. [`ProcessSettings`] is what all three are told.
//!
//! A command may take part in events: what it `publishes` are lines of JSON on its standard output, what it `subscribes` to
//! comes as such lines on its standard input. The rest of what it prints is then published as well, as `system.log`.
//!
//! What is promised: a command never blocks because of its output, unless that is events that cannot be published yet; when it ends or is dropped nothing
//! of its process group is left, and no zombie; the same when the kernel dies in whatever way.
//!
//! What is left out: processes that move to a process group of their own (`setsid`, daemons) are
//! out of reach, and there is no limit on what a command uses. Both take cgroups, which need rights
//! that a kernel started by a person does not have.

mod actor;
mod child;
mod command;
mod hears;
mod input;
mod keeper;
mod lines;
mod nearest;
mod probe;
mod settings;
mod signal;
mod speech;
mod target;
mod unsafe_calls;

#[cfg(test)]
mod tests;

pub use actor::{Commands, PROBE_EVERY, PROBE_FAILS, PROBE_TIMEOUT, Process, ProcessMessage};
pub use child::{ProcessChild, ProcessExit, WaitError};
pub use command::StartError;
pub use hears::{Hears, TopicPattern};
pub use keeper::{Keeper, KeeperError};
pub use lines::{LINE_LEN_MAX, LINES_PER_SECOND_MAX, Stream};
pub use probe::{ProbeError, probe};
pub use settings::{CommandLine, CommandLineError, ProbeSettings, ProcessSettings};
pub use signal::{StopSignal, StopSignalError};
pub use target::{HttpTarget, TargetError, TcpTarget};
