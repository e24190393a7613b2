//! `log`: writes what it is told to the kernel's log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::{Actor, Context, Exit, Message, Next, Start};

/// Settings of `log`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {}

/// Messages of `log`.
#[derive(Debug, Message)]
#[message(json, priority = "low")]
pub enum LogMessage {
    /// Write this.
    Write(Value),
}

/// Writes what it is told.
#[derive(Debug)]
pub struct Log {
    written: u64,
}

impl Actor for Log {
    type Message = LogMessage;
    type Settings = LogSettings;

    async fn start(_: &LogSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self { written: 0 }))
    }

    async fn handle(
        &mut self,
        message: &mut LogMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            LogMessage::Write(Value::String(text)) => tracing::info!(path = %ctx.path(), "{text}"),
            LogMessage::Write(value) => tracing::info!(path = %ctx.path(), "{value}"),
        }
        self.written += 1;
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "written": self.written })
    }
}
