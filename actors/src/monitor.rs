//! `monitor`: writes the events that it receives to the kernel's log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::bus::{Pattern, Topic};
use unity_supervisors::{
    Actor, Apply, ChildId, Context, Delivery, Exit, Message, Next, Since, Start,
};

/// Settings of `monitor`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitorSettings {
    /// Which events: a topic in which a word may be `*`, as in `sensor.*`.
    #[serde(default = "Pattern::all")]
    #[schemars(with = "String")]
    pub pattern: Pattern,
    /// How they are logged.
    #[serde(default)]
    pub level: Level,
    /// A name under which it goes on where it was, after a restart of its own and of the kernel; of events that are kept in
    /// a stream. Unless given it hears only what is published while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub durable: Option<ChildId>,
}

/// How something is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever looks into the inside.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// For everybody.
    #[default]
    Info,
    /// Something to look after.
    Warn,
    /// Something to repair.
    Error,
}

/// Messages of `monitor`.
#[derive(Debug, Message)]
#[message(json)]
pub enum MonitorMessage {
    /// Log this.
    Event(Delivery),
}

/// Logs events.
#[derive(Debug, Default)]
pub struct Monitor {
    received: u64,
    last: Option<Topic>,
}

impl Actor for Monitor {
    type Message = MonitorMessage;
    type Settings = MonitorSettings;

    async fn start(
        settings: &MonitorSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let pattern = settings.pattern.as_str();
        match &settings.durable {
            Some(name) => ctx.subscribe_durable(
                name.as_str(),
                pattern,
                Since::LastAck,
                MonitorMessage::Event,
            )?,
            None => {
                ctx.subscribe(pattern, MonitorMessage::Event)?;
            }
        }
        Ok(Start::Running(Self::default()))
    }

    async fn handle(
        &mut self,
        message: &mut MonitorMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let MonitorMessage::Event(event) = message;
        let (topic, source) = (&event.topic, &event.source);
        // The level of an event of the log is a constant of the place that writes it.
        macro_rules! log {
            ($($level:ident => $write:ident)+) => {
                match ctx.settings().get().level {
                    $(Level::$level => tracing::$write!(path = %ctx.path(), %source, "{topic} {}", event.data),)+
                }
            };
        }
        log!(Trace => trace Debug => debug Info => info Warn => warn Error => error);
        self.received += 1;
        self.last = Some(event.topic.clone());
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &MonitorSettings, ctx: &mut Context<Self>) -> Apply {
        let (mut settings, new) = (ctx.settings(), (&new.pattern, &new.durable));
        let now = settings.get();
        if new == (&now.pattern, &now.durable) {
            Apply::Applied
        } else {
            Apply::Restart
        }
    }

    fn observe(&self) -> Value {
        json!({ "received": self.received, "last": self.last })
    }
}
