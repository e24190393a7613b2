//! The settings in force in a kernel that runs, and how a change is put in force: [`InForce`].
//!
//! What takes effect at the next start only keeps its value until then, so whoever reads it sees what is.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use unity_actors::alarms::Alarms;
use unity_actors::cluster::Cluster;
use unity_actors::dispatcher::Dispatcher;
use unity_actors::memory;
use unity_supervisors::Kernel;

use super::{Effect, KEYS, SystemSettings};

/// Changes the filter of the log.
pub type LogSwitch = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// A key whose value is another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyChange {
    /// Its name: `history.keep`.
    pub key: &'static str,
    /// The value before.
    pub from: Value,
    /// The value after.
    pub to: Value,
    /// Whether it is in force now, rather than at the next start of the kernel.
    pub live: bool,
}

/// The settings that are in force. Actors find them with [`Kernel::shared`].
pub struct InForce {
    settings: watch::Sender<Arc<SystemSettings>>,
    log: Option<LogSwitch>,
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce")
            .field("settings", &self.get())
            .finish_non_exhaustive()
    }
}

impl Default for InForce {
    fn default() -> Self {
        Self::new(SystemSettings::default(), None)
    }
}

impl InForce {
    /// What a kernel starts with. Without a switch the log is somebody else's, and its filter is left alone.
    #[must_use]
    pub fn new(settings: SystemSettings, log: Option<LogSwitch>) -> Self {
        let (settings, _) = watch::channel(Arc::new(settings));
        Self { settings, log }
    }

    /// The settings in force.
    #[must_use]
    pub fn get(&self) -> Arc<SystemSettings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Hears of each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<SystemSettings>> {
        self.settings.subscribe()
    }

    /// Puts in force what can be while `kernel` runs, and tells of each key that differs whether it was.
    ///
    /// Whoever calls it serialises changes.
    pub fn apply_live(&self, kernel: &Kernel, new: &SystemSettings) -> Vec<KeyChange> {
        let mut changes = changes(&self.get(), new);
        let mut in_force = new.clone();
        for change in changes.iter_mut().filter(|change| change.live) {
            change.live = match change.key {
                "log" => self.switch_log(&new.log),
                "memory_limit" => {
                    let path = memory::PATH.parse().ok();
                    // Without that service nobody measures.
                    let is_measured =
                        path.is_some_and(|path| kernel.registry().get(&path).is_some());
                    if is_measured {
                        kernel.set_memory_limit(new.memory_limit.map(|limit| limit.0));
                    }
                    is_measured
                }
                "apply_timeout" => {
                    kernel.set_apply_timeout(new.apply_timeout.0);
                    true
                }
                "kill_grace" => {
                    kernel.set_kill_grace(new.kill_grace.0);
                    true
                }
                key if key.starts_with("dispatcher.") => {
                    let sizes = new.dispatcher.sizes();
                    kernel.shared::<Dispatcher>().set_sizes(sizes);
                    true
                }
                "labels" => {
                    kernel.shared::<Cluster>().set_labels(&new.labels);
                    true
                }
                // Whoever goes by the others reads them here.
                _ => true,
            };
        }
        for change in changes.iter().filter(|change| !change.live) {
            let old = self.get();
            match change.key {
                "log" => in_force.log.clone_from(&old.log),
                "memory_limit" => in_force.memory_limit = old.memory_limit,
                "max_abandoned" => in_force.max_abandoned = old.max_abandoned,
                "exit_on_give_up" => in_force.exit_on_give_up = old.exit_on_give_up,
                "name" => in_force.name.clone_from(&old.name),
                key if key.starts_with("nodes.") => in_force.nodes.clone_from(&old.nodes),
                _ => {}
            }
        }
        kernel.shared::<Alarms>().set(in_force.alarms.clone());
        if !changes.is_empty() {
            self.settings.send_replace(Arc::new(in_force));
        }
        changes
    }

    /// Goes by another filter of the log until the settings say something else.
    ///
    /// # Errors
    /// Why not.
    pub fn set_log(&self, filter: &str) -> Result<(), String> {
        let Some(log) = &self.log else {
            return Err("the log is not the kernel's own".to_owned());
        };
        log(filter)?;
        self.settings.send_modify(|settings| {
            Arc::make_mut(settings).log = filter.to_owned();
        });
        Ok(())
    }

    fn switch_log(&self, filter: &str) -> bool {
        let Some(log) = &self.log else {
            return false;
        };
        let switched = log(filter);
        if let Err(error) = &switched {
            tracing::warn!(%error, filter, "the filter of the log cannot be changed");
        }
        switched.is_ok()
    }
}

/// The keys that differ; of each whether it is one that can take effect at once.
#[must_use]
pub(super) fn changes(old: &SystemSettings, new: &SystemSettings) -> Vec<KeyChange> {
    let changes = KEYS.iter().map(|key| KeyChange {
        key: key.name,
        from: key.value(old),
        to: key.value(new),
        live: key.effect == Effect::AtOnce,
    });
    changes.filter(|change| change.from != change.to).collect()
}
