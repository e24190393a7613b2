//! Who changed what: an event `system.audit` for each command that changes something, kept in the stream `audit`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::timeout;
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Draft, Topic};

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

/// What is written down of a command.
pub(super) struct Audit {
    command: String,
    args: Map<String, Value>,
    who: Arc<str>,
}

impl Audit {
    pub(super) fn new(command: &Command, args: &Args, who: &Who) -> Self {
        let args = args.to_wire(command.args).into_iter();
        Self {
            command: command.name(),
            args: args.map(|(name, value)| (name, short(value))).collect(),
            who: Arc::clone(&who.name),
        }
    }

    /// Writes it down, with what came of it. A kernel that cannot says so in its log.
    pub(super) async fn write(self, kernel: &Kernel, error: Option<&CommandError>) {
        let Ok(topic) = Topic::new(TOPIC) else { return };
        let mut data = json!({
            "who": &*self.who, "command": self.command, "args": self.args,
            "ok": error.is_none(), "error": error.map(|error| error.message.clone()),
        });
        kernel.secrets().mask_json(&mut data);
        let source: Arc<str> = super::PATH.into();
        let draft = Draft::new(&topic, data);
        let written = timeout(WRITTEN_WITHIN, kernel.bus().publish(&source, draft)).await;
        let why = match written {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "the disk takes too long".to_owned(),
        };
        let (who, command) = (&self.who, &self.command);
        tracing::warn!(%who, %command, %why, "a change is not in the audit stream");
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
