//! `process`: the actor around a command.
//!
//! Exit code 0 is an exit `normal`, any other, or a signal, an `error`; a command that fails its health probe
//! [`PROBE_FAILS`] times in a row is `stalled`. Each line that it writes goes to the log.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::{Actor, Context, Exit, ExitKind, ExitReason, Message, Next, Reply, Start};

use super::{Keeper, ProcessChild, ProcessSettings, Stream, probe};

/// Time between two probes of a command's health.
pub const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How long a probe may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many probes may fail in a row.
pub const PROBE_FAILS: u32 = 3;

/// Messages of `process`.
#[derive(Debug, Message)]
#[message(json)]
pub enum ProcessMessage {
    /// The process id and the command.
    Status(Reply<Value>),
}

/// Runs a command for as long as it lives.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Arc<ProcessChild>,
}

impl Process {
    fn status(&self) -> Value {
        json!({ "pid": self.child.id(), "program": self.program })
    }
}

impl Actor for Process {
    type Message = ProcessMessage;
    type Settings = ProcessSettings;

    async fn start(
        settings: &ProcessSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let keeper = ctx.kernel().shared::<Keeper>();
        let path = ctx.path().clone();
        let child = Arc::new(ProcessChild::start(settings, &keeper, path.to_string())?);
        let running = Arc::clone(&child);
        ctx.spawn(async move {
            let exit = running
                .run(|stream, line| match stream {
                    Stream::Stdout => tracing::info!(%path, "{}", printable(line)),
                    Stream::Stderr => tracing::warn!(%path, "{}", printable(line)),
                })
                .await?;
            match exit {
                _ if running.is_stopping() => Ok(()),
                exit if exit.is_success() => Err(Exit(ExitReason::with_text(
                    ExitKind::Normal,
                    exit.to_string(),
                ))),
                exit => Err(Exit::error(exit.to_string())),
            }
        });
        if settings.health.is_some() {
            ctx.spawn(watch_health(settings.clone(), (*keeper).clone()));
        }
        Ok(Start::Running(Self {
            program: settings.command.program().to_owned(),
            child,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut ProcessMessage,
        _ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            ProcessMessage::Status(reply) => reply.send(self.status()),
        }
        Ok(Next::Continue)
    }

    async fn stop(self, _reason: &ExitReason, ctx: &mut Context<Self>) {
        if let Err(error) = self.child.stop().await {
            tracing::warn!(path = %ctx.path(), %error, "cannot see the end of a command");
        }
    }

    fn observe(&self) -> Value {
        self.status()
    }
}

impl Drop for Process {
    /// A life that was killed has no time to stop in order, and its task may still hold the command.
    fn drop(&mut self) {
        self.child.kill();
    }
}

/// Ends the life once the command has failed its probe too often.
async fn watch_health(settings: ProcessSettings, keeper: Keeper) -> Result<(), Exit> {
    let mut failed = 0;
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let Err(error) = probe(&settings, &keeper, PROBE_TIMEOUT).await else {
            failed = 0;
            continue;
        };
        failed += 1;
        if failed >= PROBE_FAILS {
            let text =
                format!("its health probe failed {failed} times in a row; the last: {error}");
            return Err(Exit(ExitReason::with_text(ExitKind::Stalled, text)));
        }
    }
}

/// A line without what could play tricks on a terminal.
fn printable(line: &str) -> String {
    line.chars()
        .map(|letter| {
            if letter.is_control() && letter != '\t' {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}
