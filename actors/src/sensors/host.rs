//! `sensor.host`: this machine's real load, measured each `every`.

use std::io;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::sleep;
use unity_supervisors::{Actor, Apply, Context, Exit, Message, Next, Reply, Start};

use crate::duration::DurationText;

/// Settings of `sensor.host`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSettings {
    /// Time between two measurements, 100 ms to 1 h.
    #[serde(default = "every")]
    pub every: DurationText,
}

impl HostSettings {
    fn check(&self) -> Result<(), String> {
        if (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&self.every.0) {
            Ok(())
        } else {
            Err(format!("`every` is 100ms to 1h, not {}", self.every))
        }
    }
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

fn round(share: f64) -> f64 {
    (share * 1_000.0).round() / 1_000.0
}

impl Actor for HostSensor {
    type Message = HostMessage;
    type Settings = HostSettings;

    async fn start(settings: &HostSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        settings.check().map_err(Exit::error)?;
        let (mut settings, myself) = (ctx.settings(), ctx.myself());
        ctx.spawn(async move {
            loop {
                let every = settings.get().every.0;
                tokio::select! {
                    _another = settings.changed() => {}
                    // A beat for which there is no room is skipped: the next one says the same.
                    () = sleep(every) => drop(myself.try_tell(HostMessage::Measure)),
                }
            }
        });
        let mut sensor = Self {
            system: System::new()?,
            measured: 0,
            last: Value::Null,
        };
        sensor.measure()?;
        Ok(Start::Running(sensor))
    }

    async fn handle(
        &mut self,
        message: &mut HostMessage,
        _ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            HostMessage::Measure => self.measure()?,
            HostMessage::Read(reply) => reply.send(self.last.clone()),
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &HostSettings, _: &mut Context<Self>) -> Apply {
        new.check()
            .map_or_else(Apply::Rejected, |()| Apply::Applied)
    }

    fn observe(&self) -> Value {
        self.last.clone()
    }
}
