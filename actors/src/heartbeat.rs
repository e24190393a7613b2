//! `heartbeat`: publishes a counted beat each `interval`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::{Actor, Apply, Context, Exit, ExitReason, Message, Next, Start};

use crate::bounds;
use crate::duration::DurationText;
use crate::sensors::{Outlet, beats};

/// Settings of `heartbeat`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// Time between two beats, 10 ms to 1 d.
    #[serde(
        default = "interval",
        deserialize_with = "bounds::duration::<_, 10, 86_400_000>"
    )]
    pub interval: DurationText,
    /// What it publishes.
    #[serde(default = "topic")]
    #[schemars(with = "String")]
    pub topic: Topic,
    /// After so many beats it ends in order; never unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

fn interval() -> DurationText {
    DurationText(Duration::from_secs(5))
}

fn topic() -> Topic {
    Topic::new("system.heartbeat").expect("`system.heartbeat` is a topic")
}

/// Messages of `heartbeat`.
#[derive(Debug, Message)]
#[message(json)]
pub enum HeartbeatMessage {
    /// Publish a beat now.
    Beat,
}

/// Counts beats. A new life begins with 1 again, so that who listens sees it.
#[derive(Debug)]
pub struct Heartbeat {
    outlet: Outlet,
    count: u64,
}

impl Actor for Heartbeat {
    type Message = HeartbeatMessage;
    type Settings = HeartbeatSettings;

    async fn start(
        settings: &HeartbeatSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        beats(ctx, |its| its.interval.0, || HeartbeatMessage::Beat);
        let outlet = Outlet::new(ctx, settings.topic.clone());
        Ok(Start::Running(Self { outlet, count: 0 }))
    }

    async fn handle(
        &mut self,
        _: &mut HeartbeatMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        self.count += 1;
        let uptime_ms = u64::try_from(ctx.kernel().uptime().as_millis()).unwrap_or(u64::MAX);
        let data = json!({ "count": self.count, "uptime_ms": uptime_ms });
        let draft = Draft::new(&self.outlet.topic, data);
        self.outlet.say(draft, false).await;
        let limit = ctx.settings().get().limit;
        Ok(match limit {
            Some(limit) if self.count >= limit => Next::StopWith(done(limit)),
            _ => Next::Continue,
        })
    }

    async fn apply(&mut self, new: &HeartbeatSettings, _: &mut Context<Self>) -> Apply {
        if new.topic == self.outlet.topic {
            Apply::Applied
        } else {
            Apply::Restart
        }
    }

    fn observe(&self) -> Value {
        json!({ "topic": self.outlet.topic, "count": self.count })
    }
}

/// How what has a limit ends.
pub(crate) fn done(limit: u64) -> ExitReason {
    ExitReason::with_text(
        unity_supervisors::ExitKind::Normal,
        format!("all {limit} are published, as its `limit` says"),
    )
}
