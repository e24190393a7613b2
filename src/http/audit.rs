//! Who changed what: an event `system.audit` for each command that changes something, kept in the stream `audit`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Draft, EventId, PublishError, Topic};

use crate::arguments::Args;
use crate::commands::Command;
use crate::error::CommandError;
use crate::rights::Who;

/// What an entry of the audit is published as.
const TOPIC: &str = "system.audit";
/// How long an answer waits for its entry to be on the disk: one that fails must not keep an operator from acting.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
/// The longest text of an argument that is kept, in characters.
const TEXT_MAX: usize = 1_000;

/// What is written down of a command: with what came of it, or, when it is dropped before that, that nobody waited for it.
pub(super) struct Audit {
    kernel: Kernel,
    command: String,
    args: Map<String, Value>,
    who: Arc<str>,
    is_written: bool,
}

impl Audit {
    pub(super) fn new(kernel: &Kernel, command: &Command, args: &Args, who: &Who) -> Self {
        let args = args.to_wire(command.args).into_iter();
        Self {
            kernel: kernel.clone(),
            command: command.name(),
            args: args.map(|(name, value)| (name, short(value))).collect(),
            who: Arc::clone(&who.name),
            is_written: false,
        }
    }

    /// Writes it down, with what came of it. A kernel that cannot says so in its log.
    pub(super) async fn write(mut self, error: Option<&CommandError>) {
        self.is_written = true;
        let error = error.map(|error| error.message.clone());
        let written = timeout(WRITTEN_WITHIN, self.publish(Some(error.is_none()), error)).await;
        let why = match written {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "the disk takes too long".to_owned(),
        };
        let (who, command) = (&self.who, &self.command);
        tracing::warn!(%who, %command, %why, "a change is not in the audit stream");
    }

    fn publish(
        &self,
        ok: Option<bool>,
        error: Option<String>,
    ) -> BoxFuture<'static, Result<EventId, PublishError>> {
        let mut data = json!({
            "who": &*self.who, "command": self.command, "args": self.args, "ok": ok, "error": error,
        });
        self.kernel.secrets().mask_json(&mut data);
        let bus = Arc::clone(self.kernel.bus());
        async move {
            let topic = Topic::new(TOPIC).map_err(|_| PublishError::Revoked)?;
            bus.publish(&super::PATH.into(), Draft::new(&topic, data))
                .await
        }
        .boxed()
    }
}

impl Drop for Audit {
    /// Whoever asked has gone, and what they asked for may be done all the same.
    fn drop(&mut self) {
        if !self.is_written {
            let why = "whoever asked went away before the answer".to_owned();
            // A stream takes an event when it is asked to; only that it is on the disk is not waited for.
            drop(self.publish(None, Some(why)).now_or_never());
        }
    }
}

fn short(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > TEXT_MAX => {
            crate::screen::cut(&text, TEXT_MAX).into()
        }
        Value::Array(_) | Value::Object(_) if value.to_string().len() > TEXT_MAX => {
            crate::screen::cut(&value.to_string(), TEXT_MAX).into()
        }
        value => value,
    }
}
