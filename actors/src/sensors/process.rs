//! `sensor.process`: what a process of this machine needs, measured each `every` and published as `sensor.process.ID`.
//!
//! One that is named by `name` is the oldest of that name, and is followed until it ends. That is published once, with
//! `running: false`; then the sensor goes on looking for another one. One that is named by `pid` does not come back, as
//! its number may be given to any other: the sensor ends with it, in order, and a life that finds no such process has
//! nothing to do (`ignored`), so that a restart does not make it crash.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::{
    Actor, Apply, Context, Exit, ExitKind, ExitReason, Message, Next, Reply, Start,
};

use super::host::round;
use super::{Outlet, beats, topic_of};
use crate::bounds;
use crate::duration::DurationText;

/// Settings of `sensor.process`: `name` or `pid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ProcessSensorSettings {
    /// The name of a program, as in `python3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number of a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pid: Option<u32>,
    /// Time between two measurements, 200 ms to 1 h.
    #[serde(
        default = "every",
        deserialize_with = "bounds::duration::<_, 200, 3_600_000>"
    )]
    pub every: DurationText,
    /// What it publishes; `sensor.process.ID` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub topic: Option<Topic>,
}

fn every() -> DurationText {
    DurationText(Duration::from_secs(1))
}

impl<'de> Deserialize<'de> for ProcessSensorSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Self::deserialize(deserializer)?;
        match (settings.name.as_deref(), settings.pid) {
            (Some(name), None) if !name.is_empty() => Ok(settings),
            (None, Some(pid)) if pid > 0 => Ok(settings),
            _ => Err(D::Error::custom(
                "one of `name` and `pid` is wanted, as in `name: python3` or `pid: 4242`",
            )),
        }
    }
}

impl Serialize for ProcessSensorSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Messages of `sensor.process`.
#[derive(Debug, Message)]
#[message(json, priority = "high")]
pub enum ProcessSensorMessage {
    /// Measure now.
    Measure,
    /// What was measured last.
    Read(Reply<Value>),
}

/// A process that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Followed {
    pid: Pid,
    /// Tells it from a later one of the same number.
    started_s: u64,
    /// Whether it was measured before: how much it computes is seen between two measurements.
    is_measured: bool,
}

/// Measures a process.
#[derive(Debug)]
pub struct ProcessSensor {
    outlet: Outlet,
    system: System,
    followed: Option<Followed>,
    last: Value,
}

impl ProcessSensor {
    /// Measures the process that is followed, or finds one; `false` once it is gone.
    async fn measure(&mut self, settings: &ProcessSensorSettings) -> bool {
        if self.followed.is_none() {
            self.followed = settings.name.as_deref().and_then(oldest);
        }
        let Some(followed) = self.followed else {
            return false;
        };
        let Some(measured) = self.look(followed) else {
            self.followed = None;
            let data = json!({ "pid": followed.pid.as_u32(), "name": self.last.get("name"), "running": false });
            self.say(data).await;
            return false;
        };
        self.followed = Some(Followed {
            is_measured: true,
            ..followed
        });
        self.say(measured).await;
        true
    }

    /// What a process needs now; `None` if it is gone.
    fn look(&mut self, followed: Followed) -> Option<Value> {
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        let only = ProcessesToUpdate::Some(&[followed.pid]);
        self.system.refresh_processes_specifics(only, true, what);
        let process = self.system.process(followed.pid)?;
        if process.start_time() != followed.started_s || is_dead(process.status()) {
            return None;
        }
        let cpu = round(f64::from(process.cpu_usage()) / 100.0);
        let threads = std::fs::read_dir(format!("/proc/{}/task", followed.pid));
        Some(json!({
            "pid": followed.pid.as_u32(),
            "name": process.name().to_string_lossy(),
            "running": true,
            "cpu": followed.is_measured.then_some(cpu),
            "memory_bytes": process.memory(),
            "threads": threads.ok().map(Iterator::count),
            "descriptors": process.open_files(),
        }))
    }

    async fn say(&mut self, data: Value) {
        self.last = data.clone();
        let draft = Draft::new(&self.outlet.topic, data);
        self.outlet.say(draft, false).await;
    }
}

/// One that has ended and was not waited for yet is gone as well.
fn is_dead(status: ProcessStatus) -> bool {
    matches!(status, ProcessStatus::Zombie | ProcessStatus::Dead)
}

/// The process of this number.
fn of_pid(pid: u32) -> Option<Followed> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    let only = ProcessesToUpdate::Some(&[pid]);
    system.refresh_processes_specifics(only, true, ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    (!is_dead(process.status())).then(|| Followed {
        pid,
        started_s: process.start_time(),
        is_measured: false,
    })
}

/// The process of this name that was started first.
fn oldest(name: &str) -> Option<Followed> {
    let mut system = System::new().ok()?;
    let once = UpdateKind::OnlyIfNotSet;
    let what = ProcessRefreshKind::nothing().with_exe(once).with_cmd(once);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let processes = system.processes().values();
    let of_name = processes.filter(|process| {
        let first = process.cmd().first().map(std::path::Path::new);
        let programs = [process.exe(), first].into_iter().flatten();
        let mut files = programs.filter_map(std::path::Path::file_name);
        let is_it = process.name() == name || files.any(|file| file == name);
        is_it && process.thread_kind().is_none() && !is_dead(process.status())
    });
    let oldest = of_name.min_by_key(|process| (process.start_time(), process.pid()))?;
    Some(Followed {
        pid: oldest.pid(),
        started_s: oldest.start_time(),
        is_measured: false,
    })
}

impl Actor for ProcessSensor {
    type Message = ProcessSensorMessage;
    type Settings = ProcessSensorSettings;

    async fn start(
        settings: &ProcessSensorSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let topic = topic_of(ctx.path(), "process", settings.topic.as_ref())?;
        let mut sensor = Self {
            outlet: Outlet::new(ctx, topic),
            system: System::new()?,
            followed: settings.pid.and_then(of_pid),
            last: Value::Null,
        };
        let is_there = sensor.measure(settings).await;
        match (&settings.name, settings.pid) {
            (None, Some(pid)) if !is_there => {
                tracing::warn!(path = %ctx.path(), pid, "there is no such process to measure");
                return Ok(Start::Ignore);
            }
            (Some(name), _) if !is_there => {
                tracing::info!(path = %ctx.path(), name, "looks for a process of this name");
            }
            _ => {}
        }
        beats(ctx, |its| its.every.0, || ProcessSensorMessage::Measure);
        Ok(Start::Running(sensor))
    }

    async fn handle(
        &mut self,
        message: &mut ProcessSensorMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            ProcessSensorMessage::Read(reply) => reply.send(self.last.clone()),
            ProcessSensorMessage::Measure => {
                let mut handle = ctx.settings();
                let settings = handle.get();
                let is_there = self.measure(settings).await;
                if let Some(pid) = settings.pid.filter(|_| !is_there) {
                    let text = format!("process {pid} has ended");
                    return Ok(Next::StopWith(ExitReason::with_text(
                        ExitKind::Normal,
                        text,
                    )));
                }
            }
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &ProcessSensorSettings, ctx: &mut Context<Self>) -> Apply {
        let mut handle = ctx.settings();
        let now = handle.get();
        let same = ProcessSensorSettings {
            every: now.every,
            ..new.clone()
        };
        if same == **now {
            Apply::Applied
        } else {
            Apply::Restart
        }
    }

    fn observe(&self) -> Value {
        self.last.clone()
    }
}
