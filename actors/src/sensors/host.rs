//! `sensor.host`: this machine's real load, measured each `every` and published as `sensor.host.load`.

use std::io;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::{Actor, Apply, Context, Exit, Message, Next, Reply, Start};

use super::{Outlet, beats};
use crate::bounds;
use crate::duration::DurationText;

/// What it publishes.
pub const TOPIC: &str = "sensor.host.load";

/// Settings of `sensor.host`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSettings {
    /// Time between two measurements, 100 ms to 1 h.
    #[serde(
        default = "every",
        deserialize_with = "bounds::duration::<_, 100, 3_600_000>"
    )]
    pub every: DurationText,
}

fn every() -> DurationText {
    DurationText(Duration::from_secs(1))
}

/// Messages of `sensor.host`.
#[derive(Debug, Message)]
#[message(json, priority = "high")]
pub enum HostMessage {
    /// Measure now.
    Measure,
    /// What was measured last.
    Read(Reply<Value>),
}

/// Measures the machine that the kernel runs on.
#[derive(Debug)]
pub struct HostSensor {
    system: System,
    outlet: Outlet,
    measured: u64,
    last: Value,
}

impl HostSensor {
    fn measure(&mut self) -> Result<(), Exit> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let load = System::load_average()?;
        self.measured += 1;
        self.last = json!({
            "cpu": round(f64::from(self.system.global_cpu_usage()) / 100.0),
            "load": [round(load.one), round(load.five), round(load.fifteen)],
            "memory_used_bytes": self.system.used_memory(),
            "memory_total_bytes": self.system.total_memory(),
            "measured": self.measured,
        });
        Ok(())
    }

    async fn say(&mut self) {
        let draft = Draft::new(&self.outlet.topic, self.last.clone());
        self.outlet.say(draft, false).await;
    }
}

/// How many bytes of memory this process holds.
///
/// # Errors
/// If the system does not say.
pub(crate) fn resident_bytes() -> io::Result<u64> {
    let pid = sysinfo::get_current_pid().map_err(io::Error::other)?;
    let mut system = System::new().map_err(io::Error::other)?;
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, memory);
    let process = system.process(pid);
    process
        .map(sysinfo::Process::memory)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| {
            io::Error::other("the system does not say how much memory this process holds")
        })
}

pub(super) fn round(share: f64) -> f64 {
    (share * 1_000.0).round() / 1_000.0
}

impl Actor for HostSensor {
    type Message = HostMessage;
    type Settings = HostSettings;

    async fn start(_: &HostSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        beats(ctx, |settings| settings.every.0, || HostMessage::Measure);
        let mut sensor = Self {
            system: System::new()?,
            outlet: Outlet::new(ctx, Topic::new(TOPIC)?),
            measured: 0,
            last: Value::Null,
        };
        sensor.measure()?;
        sensor.say().await;
        Ok(Start::Running(sensor))
    }

    async fn handle(
        &mut self,
        message: &mut HostMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            HostMessage::Measure => {
                self.measure()?;
                self.say().await;
            }
            HostMessage::Read(reply) => reply.send(self.last.clone()),
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, _: &HostSettings, _: &mut Context<Self>) -> Apply {
        Apply::Applied
    }

    fn observe(&self) -> Value {
        self.last.clone()
    }
}
