//! `probe`: a worker that does what its messages say. For tests, drills and first steps.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::state::CodecError;
use unity_supervisors::{
    Actor, Apply, Context, Exit, ExitKind, ExitReason, Message, Next, Reply, Snapshot, Start,
};

use crate::duration::DurationText;

/// Settings of `probe`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeSettings {
    /// What the first, second … start of this slot answers; the last one repeats. Empty is `ok`.
    #[serde(default)]
    pub starts: Vec<StartAnswer>,
    /// How long its stop lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_takes: Option<DurationText>,
    /// Whether it handles a stop request in order. If not, it ends at once.
    #[serde(default)]
    pub trap_exit: bool,
    /// What it does when these settings take the place of others while it runs: it takes them as it runs, is restarted
    /// with them, refuses them, thinks about them for ever, or panics.
    #[serde(default)]
    pub apply: ApplyAnswer,
}

/// What new settings are answered with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyAnswer {
    /// They are in force.
    Live,
    /// It must be restarted with them.
    #[default]
    Restart,
    /// They do not fit.
    Reject,
    /// It never answers.
    Hang,
    /// It panics.
    Panic,
}

/// What a start answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAnswer {
    /// It runs.
    Ok,
    /// It fails.
    Fail,
    /// There is nothing to do.
    Ignore,
    /// It never answers.
    Hang,
}

/// An exit to make: `{"kind": "normal"}`, with a `text` if wanted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeExit {
    /// `normal`, `shutdown`, `error` …
    #[schemars(with = "String")]
    pub kind: ExitKind,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Messages of `probe`.
#[derive(Debug, Message)]
#[message(json)]
pub enum ProbeMessage {
    /// Return an error with this text.
    Crash(String),
    /// Panic with this text.
    Panic(String),
    /// End in order with this reason.
    Exit(ProbeExit),
    /// Await for so long.
    Hang(DurationText),
    /// Hold the thread for so long, never yielding.
    Busy(DurationText),
    /// Answer this.
    Echo(Value, Reply<Value>),
    /// Answer how many messages this life and all lives of this slot took in hand before this one; where the child keeps
    /// its state, all lives that it knows of.
    Count(Reply<Value>),
}

/// Does what its messages say.
#[derive(Debug)]
pub struct Probe {
    stop_takes: Option<Duration>,
    /// How many messages were taken in hand in all lives, by the state that it keeps.
    kept: Option<u64>,
}

impl Actor for Probe {
    type Message = ProbeMessage;
    type Settings = ProbeSettings;
    const STATE: Option<u32> = Some(1);

    async fn start(settings: &ProbeSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.trap_exit(settings.trap_exit);
        let nth = usize::try_from(ctx.starts_before()).unwrap_or(usize::MAX);
        let answer = settings.starts.get(nth).or(settings.starts.last());
        match answer.copied().unwrap_or(StartAnswer::Ok) {
            StartAnswer::Ok => Ok(Start::Running(Self {
                stop_takes: settings.stop_takes.map(|takes| takes.0),
                kept: ctx
                    .keeps_state()
                    .then(|| ctx.restored().unwrap_or_default()),
            })),
            StartAnswer::Fail => Err(Exit::error("this start was told to fail")),
            StartAnswer::Ignore => Ok(Start::Ignore),
            StartAnswer::Hang => std::future::pending().await,
        }
    }

    async fn handle(
        &mut self,
        message: &mut ProbeMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let kept = self.kept;
        if let Some(kept) = &mut self.kept {
            *kept += 1;
        }
        match message {
            ProbeMessage::Crash(text) => return Err(Exit::error(text.clone())),
            #[expect(clippy::panic, reason = "it was asked for")]
            ProbeMessage::Panic(text) => panic!("{text}"),
            ProbeMessage::Exit(exit) => {
                let ProbeExit { kind, text } = exit.clone();
                let reason = ExitReason {
                    kind,
                    text,
                    location: None,
                };
                return if kind.is_clean() {
                    Ok(Next::StopWith(reason))
                } else {
                    Err(Exit(reason))
                };
            }
            ProbeMessage::Hang(time) => tokio::time::sleep(time.0).await,
            ProbeMessage::Busy(time) => {
                let until = ctx.now() + time.0;
                while ctx.now() < until {
                    std::hint::spin_loop();
                }
            }
            ProbeMessage::Echo(value, reply) => reply.send(value.clone()),
            ProbeMessage::Count(reply) => {
                let (_, of_slot) = ctx.handled_before();
                let total = kept.unwrap_or(of_slot);
                reply.send(json!({ "incarnation": ctx.incarnation(), "total": total }));
            }
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &ProbeSettings, ctx: &mut Context<Self>) -> Apply {
        match new.apply {
            ApplyAnswer::Live => {
                self.stop_takes = new.stop_takes.map(|takes| takes.0);
                ctx.trap_exit(new.trap_exit);
                Apply::Applied
            }
            ApplyAnswer::Restart => Apply::Restart,
            ApplyAnswer::Reject => Apply::Rejected("it was told to refuse them".to_owned()),
            ApplyAnswer::Hang => std::future::pending().await,
            #[expect(clippy::panic, reason = "it was asked for")]
            ApplyAnswer::Panic => panic!("it was told to panic"),
        }
    }

    async fn stop(self, _reason: &ExitReason, _ctx: &mut Context<Self>) {
        if let Some(takes) = self.stop_takes {
            tokio::time::sleep(takes).await;
        }
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, CodecError> {
        self.kept.as_ref().map(Snapshot::of).transpose()
    }

    fn observe(&self) -> Value {
        json!({ "stop_takes_ms": self.stop_takes.map(|takes| u64::try_from(takes.as_millis()).unwrap_or(u64::MAX)) })
    }
}
