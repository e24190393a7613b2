//! What an author writes: an [`Actor`], its settings and its messages.

use std::fmt;
use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, ExitReason};
use crate::message::Message;
use crate::state::{CodecError, Snapshot};

/// What a child is configured with: serde with JSON Schema, unknown fields refused.
///
/// Implemented for every type that fits; derive `Deserialize`, `Serialize` and `JsonSchema` and write
/// `#[serde(deny_unknown_fields)]`.
pub trait Settings:
    DeserializeOwned + Serialize + JsonSchema + fmt::Debug + Send + Sync + 'static
{
}

impl<T: DeserializeOwned + Serialize + JsonSchema + fmt::Debug + Send + Sync + 'static> Settings
    for T
{
}

/// A worker.
///
/// The kernel makes a value of it for each life with [`start`](Self::start) and drops it at the end.
/// A panic or error in any method ends that life alone; the supervisor decides what comes next.
pub trait Actor: Send + Sized + 'static {
    /// What it receives; [`NoMessage`](crate::message::NoMessage) if nothing.
    type Message: Message;
    /// What it is configured with.
    type Settings: Settings;
    /// The version of what [`snapshot`](Self::snapshot) keeps, to be raised when its form changes; `None` if it keeps
    /// nothing, so that a tree which asks for that is refused.
    const STATE: Option<u32> = None;

    /// Whether placeholders of secrets in its settings are left as they are, for one that only hands them on.
    const HANDS_SETTINGS_ON: bool = false;

    /// Begins a life. Siblings that come later wait for it.
    ///
    /// # Errors
    /// An [`Exit`] says why it cannot start: a failed start, which the supervisor counts.
    fn start(
        settings: &Self::Settings,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Start<Self>, Exit>> + Send;

    /// Handles one message. What it leaves in `message` is what goes to dead letters, or is tried again,
    /// if it crashes.
    ///
    /// # Errors
    /// An [`Exit`] ends this life with that reason.
    fn handle(
        &mut self,
        message: &mut Self::Message,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Next, Exit>> + Send;

    /// Takes new settings while it runs.
    fn apply(
        &mut self,
        new: &Self::Settings,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Apply> + Send {
        let _unused = (new, ctx);
        async { Apply::Restart }
    }

    /// Ends in order. Not called after a crash or a kill.
    fn stop(self, reason: &ExitReason, ctx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _unused = (reason, ctx);
        async {}
    }

    /// What of it the next life finds with [`Context::restored`]; asked between two messages, only of children that keep
    /// their state. `None` keeps what is kept already.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded; what is kept already stays.
    fn snapshot(&self) -> Result<Option<Snapshot>, CodecError> {
        Ok(None)
    }

    /// What `uk state PATH` and tests see.
    fn observe(&self) -> Value {
        Value::Null
    }
}

/// What a start came to.
#[derive(Debug)]
pub enum Start<A> {
    /// It runs.
    Running(A),
    /// There is nothing to do here, as with OTP's `ignore`: not an error, and not restarted.
    Ignore,
}

/// What comes after a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The next message.
    Continue,
    /// The end, in order: [`Actor::stop`] runs, the exit reason is `normal`.
    Stop,
    /// The end, in order, with this reason.
    StopWith(ExitReason),
}

/// What an actor says to new settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apply {
    /// They are in force.
    Applied,
    /// It must be restarted with them.
    Restart,
    /// They do not fit, and why; the old ones stay in force.
    Rejected(String),
}
