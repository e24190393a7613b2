//! The kind that is measured: it takes new settings as it runs, and says when it has them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use unity_supervisors::{
    Actor, Apply, Context, Exit, Kernel, Kinds, Message, Next, Reply, SettingsHandle, Start,
};

/// The name of the kind.
pub(crate) const KIND: &str = "sensor";
/// How long anything may take before the bench says that it does not happen.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn kinds(kinds: Kinds) -> Kinds {
    kinds.with::<Sensor>(KIND, "says which settings it goes by")
}

/// What a sensor is configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorSettings {
    pub(crate) value: u64,
}

/// What a sensor is told.
#[derive(Debug, Message)]
pub(crate) enum SensorMessage {
    /// Ends its life.
    Crash,
    /// Which settings it goes by.
    Value(Reply<u64>),
}

/// Goes by what `apply` and `start` have told it.
pub(crate) struct Sensor {
    value: u64,
}

/// Settings that a sensor has, and since when.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    value: u64,
    when: Option<Instant>,
}

/// Tells of each change that a handle of a sensor shows.
#[derive(Debug, Default)]
pub(crate) struct Sights {
    last: watch::Sender<Sight>,
    /// The handle of the sensor that was started last.
    pub(crate) handle: Mutex<Option<SettingsHandle<SensorSettings>>>,
}

impl Sights {
    /// When the handle of a sensor showed this value.
    pub(crate) async fn of(&self, value: u64) -> Result<Instant> {
        let mut last = self.last.subscribe();
        let sight = timeout(PATIENCE, last.wait_for(|sight| sight.value == value)).await??;
        Ok(sight.when.unwrap_or_else(Instant::now))
    }
}

impl Actor for Sensor {
    type Message = SensorMessage;
    type Settings = SensorSettings;

    async fn start(
        settings: &SensorSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let sights = ctx.kernel().shared::<Sights>();
        let mut handle = ctx.settings();
        *sights.handle.lock() = Some(handle.clone());
        ctx.spawn(async move {
            loop {
                let value = handle.changed().await.value;
                let when = Some(Instant::now());
                sights.last.send_replace(Sight { value, when });
            }
        });
        Ok(Start::Running(Self {
            value: settings.value,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut SensorMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            SensorMessage::Crash => return Err(Exit::error("told to")),
            SensorMessage::Value(reply) => reply.send(self.value),
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &SensorSettings, _: &mut Context<Self>) -> Apply {
        self.value = new.value;
        Apply::Applied
    }
}

/// What a kernel and its sensors share.
pub(crate) fn sights(kernel: &Kernel) -> Arc<Sights> {
    kernel.shared()
}
