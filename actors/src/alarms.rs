//! `/system/alarms`: looks each `every` whether something is beyond its limit, and says so as `system.alarm` events.
//!
//! An alarm is raised at its limit, and cleared only once it is a tenth away from it, so that what swings around its limit
//! does not flap. What cannot be read now is left as it is. Alarms that stand are kept by the kernel: who comes to it late
//! sees them (`uk health`), and a kill of this service neither clears nor raises any. A change counts once it was
//! published, so a kill in between says it twice rather than not at all.

mod limits;
mod machine;
mod readings;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{
    Actor, ChildId, Context, Exit, Kernel, Kinds, Message, Next, Priority, Start,
};

pub use self::limits::{AlarmSettings, Count, OFF, SHARE_PATTERN, Share, parse_share};
pub use self::machine::{Machine, RealMachine};
pub use self::readings::Readings;
pub use self::verdict::{ALARMS_MAX, Alarm, Key, Kind, Reading, Standing, Verdict, verdicts};

/// Where the service lives.
pub const PATH: &str = "/system/alarms";
/// What it publishes.
pub const TOPIC: &str = "system.alarm";
const KIND: &str = "alarms";

/// The kinds of services with that of this file.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<AlarmService>(KIND, "says what is beyond its limit")
}

/// The child of `/system` that looks.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("alarms").expect("`alarms` is an id"), KIND)
}

/// The alarms of a kernel: their limits, what they are read from, and which of them stand. Found with
/// [`Kernel::shared`], and given with [`with_shared`](unity_supervisors::KernelConfig::with_shared) where they are not the
/// usual ones.
pub struct Alarms {
    settings: Mutex<AlarmSettings>,
    changed: Notify,
    machine: Box<dyn Machine>,
    standing: Mutex<Standing>,
}

impl Alarms {
    /// With these limits, of this machine.
    pub fn new(settings: AlarmSettings, machine: impl Machine) -> Self {
        Self {
            settings: Mutex::new(settings),
            changed: Notify::new(),
            machine: Box::new(machine),
            standing: Mutex::default(),
        }
    }

    /// Looks by other limits from now on.
    pub fn set(&self, settings: AlarmSettings) {
        *self.settings.lock() = settings;
        self.changed.notify_one();
    }

    /// Those that stand, sorted.
    #[must_use]
    pub fn standing(&self) -> Vec<Alarm> {
        self.standing.lock().values().cloned().collect()
    }

    fn every(&self) -> Duration {
        self.settings.lock().every.0
    }
}

impl Default for Alarms {
    /// Of the file system that the working directory is on.
    fn default() -> Self {
        Self::new(AlarmSettings::default(), RealMachine::new("."))
    }
}

impl std::fmt::Debug for Alarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarms")
            .field("standing", &self.standing.lock())
            .finish_non_exhaustive()
    }
}

/// It has no settings of its own: they are the kernel's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmServiceSettings {}

/// Messages of the service.
#[derive(Debug, Message)]
pub enum AlarmMessage {
    /// Look now.
    Look,
}

/// The data of an event.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    alarm: &'a Alarm,
    state: &'static str,
}

/// Looks for what is beyond its limit.
#[derive(Debug)]
pub struct AlarmService {
    alarms: Arc<Alarms>,
    topic: Topic,
    looks: u64,
}

impl AlarmService {
    async fn look(&mut self, kernel: &Kernel) {
        let settings = self.alarms.settings.lock().clone();
        let readings = readings::read(kernel, &*self.alarms.machine, &settings).await;
        let now = kernel.clock().wall();
        let before = self.alarms.standing.lock().clone();
        for verdict in verdicts(&before, &readings, now) {
            self.say(kernel, &verdict).await;
            let mut standing = self.alarms.standing.lock();
            match verdict {
                Verdict::Raised(alarm) | Verdict::Stands(alarm) => {
                    standing.insert(alarm.key(), alarm);
                }
                Verdict::Cleared(alarm) => drop(standing.remove(&alarm.key())),
            }
        }
        self.looks += 1;
    }

    /// What cannot be published is logged, and stands all the same.
    async fn say(&self, kernel: &Kernel, verdict: &Verdict) {
        let (alarm, state) = match verdict {
            Verdict::Raised(alarm) => {
                tracing::warn!(
                    alarm = alarm.kind.as_str(),
                    at = alarm.path,
                    "{}",
                    alarm.text()
                );
                (alarm, "raised")
            }
            Verdict::Cleared(alarm) => {
                tracing::info!(
                    alarm = alarm.kind.as_str(),
                    at = alarm.path,
                    "an alarm is cleared"
                );
                (alarm, "cleared")
            }
            Verdict::Stands(_) => return,
        };
        let draft =
            Draft::new(&self.topic, json!(Said { alarm, state })).priority(Priority::Critical);
        if let Err(error) = kernel.bus().publish(&PATH.into(), draft).await {
            tracing::warn!(%error, "an alarm was not published");
        }
    }
}

impl Actor for AlarmService {
    type Message = AlarmMessage;
    type Settings = AlarmServiceSettings;

    async fn start(_: &AlarmServiceSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let alarms: Arc<Alarms> = ctx.kernel().shared();
        let (myself, its) = (ctx.myself(), Arc::clone(&alarms));
        ctx.spawn(async move {
            loop {
                // One for which there is no room is skipped: the next one says the same.
                drop(myself.try_tell(AlarmMessage::Look));
                tokio::select! {
                    biased;
                    () = its.changed.notified() => {}
                    () = tokio::time::sleep(its.every()) => {}
                }
            }
        });
        Ok(Start::Running(Self {
            alarms,
            topic: Topic::new(TOPIC)?,
            looks: 0,
        }))
    }

    async fn handle(
        &mut self,
        _: &mut AlarmMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        self.look(ctx.kernel()).await;
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "looks": self.looks, "standing": self.alarms.standing() })
    }
}
