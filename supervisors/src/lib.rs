//! Supervised actors in an Erlang-style tree, with typed mailboxes and priority lanes.
//!
//! # Map
//!
//! | file | holds |
//! |---|---|
//! | [`actor`], [`context`], [`message`] | what an author writes and has at hand |
//! | [`spec`] | what a tree is made of: plain values with all defaults |
//! | [`kernel`] | one running tree; the way in for everybody outside |
//! | [`slot`], [`registry`], [`view`] | a child's place, found by path, shown as JSON |
//! | `life`, `shell` | one life of an actor, and the loop that runs it as a task |
//! | [`monitor`], [`group`], `bonds` | how actors that are no siblings hear of each other, and end with each other |
//! | `mailbox`, [`address`], [`dead_letter`] | where messages wait, how they are sent, where they end |
//! | [`planner`], [`intensity`], [`ladder`], `supervisor::core` | what is decided, as pure functions |
//! | `supervisor`, `supervisor::job` | the thin actor and the jobs that carry the decisions out |
//! | [`threads`], `watchdog`, `health` | the threads that workers run on, and who sees that none is stuck |
//! | [`kind`] | the table of kinds |
//! | [`secret`] | what placeholders in settings stand for, and how it is kept out of sight |
//! | [`task`] | futures that run as children |
//! | [`state`] | what outlives a life, and a kernel |
//! | [`sim`] | whole kernels simulated from a seed, and what must be true of them |
//! | [`bus`] | events: topics and patterns, the catalog, who receives what |
//! | [`stream`] | where events are kept, so that whoever was late finds them |
//! | [`fault`] | what is broken on purpose, and how that is undone |
//! | [`counts`] | what is counted for monitoring |
//! | [`report`], [`event`] | what happened, one fact at a time, and the last of them as events |
//!
//! # Invariants
//!
//! - No global state but the panic hook: two kernels live in one process.
//! - A supervisor never awaits in a handler. All that takes time is a job.
//! - A message is in exactly one place: a lane, in hand, handled, or among the dead letters.
//! - Once a life's successor may start, nothing the old life does has an effect.
//! - Nobody asks a supervisor what its children are doing: slots are read.

pub mod actor;
pub mod address;
mod bonds;
#[cfg(test)]
mod bug;
pub mod bus;
pub mod clock;
pub mod context;
pub mod counts;
pub mod dead_letter;
pub mod event;
pub mod exit;
pub mod fault;
pub mod group;
mod health;
pub mod intensity;
pub mod kernel;
pub mod kind;
pub mod ladder;
mod life;
mod mailbox;
pub mod message;
pub mod monitor;
pub mod path;
pub mod planner;
pub mod priority;
pub mod registry;
pub mod reload;
pub mod report;
pub mod secret;
mod settings;
mod shell;
pub mod sim;
pub mod slot;
pub mod spec;
pub mod state;
pub mod stream;
mod supervisor;
pub mod task;
#[cfg(test)]
mod testing;
pub mod threads;
pub mod trace;
pub mod view;
mod watchdog;

pub use actor::{Actor, Apply, Next, Settings, Start};
pub use address::{Address, AskError, JsonAddress};
pub use bus::{Delivery, Draft, Event, Since};
pub use context::Context;
pub use exit::{Exit, ExitKind, ExitReason};
pub use group::{GroupChanged, GroupError, GroupName};
pub use kernel::{Kernel, KernelConfig, KernelError, Mode, Runtimes};
pub use kind::Kinds;
pub use life::Life;
pub use mailbox::SendError;
pub use message::{Message, MessageError, NoAnswer, NoMessage, Reply};
pub use monitor::{Down, Link, Monitor};
pub use path::{ActorPath, ChildId};
pub use priority::Priority;
pub use secret::{SecretError, SecretSource, Secrets};
pub use settings::SettingsHandle;
pub use slot::{Placement, Slot, SlotState};
pub use state::Snapshot;
pub use supervisor::core::{Done, RequestError};
pub use task::{Task, TaskError};
pub use threads::WorkThreads;
pub use unity_supervisors_derive::Message;
