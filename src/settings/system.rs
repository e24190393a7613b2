//! The kernel's own settings: [`SystemSettings`], what they are by default, and what each key means.
//!
//! Promises: what a key says in the schema, in `config/system.yaml` and in `uk config explain` is written here once; each
//! key is in the table [`KEYS`], which says what may stand there and when a change takes effect. `layers` finds out what is
//! said where, `live` puts a change in force while the kernel runs.
//!
//! Left out on purpose: the tree. What runs is said in a tree file, how the kernel itself behaves is said here.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unity_actors::alarms::AlarmSettings;
use unity_actors::cluster::nodes::HEARTBEAT;
use unity_actors::dispatcher::SIZES;
use unity_actors::duration::DurationText;
use unity_actors::size::SizeText;
use unity_supervisors::kernel::{KILL_GRACE, MAX_ABANDONED};
use unity_supervisors::priority::LANES;

mod files;
mod keys;
mod layers;
mod live;
mod schema;
mod shipped;
#[cfg(test)]
mod tests;

pub use self::files::SystemFiles;
pub use self::keys::{Effect, KEYS, Key, find};
pub use self::layers::{
    Explained, FILE, Flags, FolderFrom, Loaded, Origin, Place, Said, check_file, folder_of,
    is_system_file, load,
};
pub use self::live::{InForce, KeyChange, LogSwitch};
pub use self::schema::schema;
pub use self::shipped::{SHIPPED, shipped};

/// What is logged unless something else is said. Each start of a supervisor's own would be too much.
pub const LOG: &str = "warn,unity_kernel=info,unity_supervisors=info,unity_supervisors::progress=warn,unity_actors=info";

/// The kernel's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SystemSettings {
    /// What is logged: levels (off, error, warn, info, debug, trace), or targets with levels, as in `warn,unity_kernel=debug`.
    pub log: String,
    /// How much memory the kernel's process may hold: from 90 % of it on `deferred` messages are shed, at the limit `low`
    /// ones too. `null` is no limit. Of a kernel that started without one, a first limit takes effect at its next start.
    pub memory_limit: Option<SizeText>,
    /// How many lives may be cut off with their threads stuck at a time; so many spare threads are made ready.
    pub max_abandoned: u32,
    /// How long a killed life may hold its thread before it is cut off.
    pub kill_grace: DurationText,
    /// How long an actor may take to say what it does with new settings.
    pub apply_timeout: DurationText,
    /// Whether files of settings and trees are watched for changes.
    pub watch: WatchSettings,
    /// The versions of settings that are kept.
    pub history: HistorySettings,
    /// From where on something is an alarm, as `uk health` and the event `system.alarm` tell it.
    pub alarms: AlarmSettings,
    /// How many workers of the dispatcher do the jobs of each tier.
    pub dispatcher: DispatcherSettings,
    /// How the kernel is reached from outside: over HTTP, with a token. The socket of its user is there in any case.
    pub http: HttpSettings,
    /// How other kernels are attached: machines that run children for each other. They all have the same cookie.
    pub nodes: NodesSettings,
    /// Whether a root that used up its budget ends the kernel with exit code 1 instead of entering safe mode.
    pub exit_on_give_up: bool,
    /// What people mark this node with: texts by name. Other nodes are told those of its start.
    pub labels: BTreeMap<String, String>,
    /// The node's name: of its socket, its data folder, its log. `null` is the name in the tree file.
    pub name: Option<String>,
}

/// Whether files are watched for changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// Whether a file that changes is checked and put in force by itself.
    pub enabled: bool,
    /// How long a file must be left alone after a change before it is read.
    pub debounce: DurationText,
}

/// The versions of settings that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// How many versions are kept.
    pub keep: u32,
    /// How long a version is kept.
    pub max_age: DurationText,
}

/// How the kernel is reached from outside: over HTTP, with a token. The socket of its user is there in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// The address and port to listen on, `null` for none. Any address but those of this machine alone is spoken to over TLS.
    pub listen: Option<String>,
    /// The file of the certificate for TLS, in PEM, with those that signed it. `null` makes one in the data folder, which
    /// its readers have to be told to trust.
    pub cert: Option<String>,
    /// The file of the key that belongs to it, in PEM.
    pub key: Option<String>,
    /// The names under which it is reached, with commas between: a request for another is refused. Its addresses, the
    /// machine's name and `localhost` are always right.
    pub hosts: Option<String>,
}

/// How other kernels are attached: machines that run children for each other. They all have the same cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodesSettings {
    /// The address and port to listen on for other nodes, `null` for none. Any address but those of this machine alone takes
    /// a cookie and TLS: `cookie_file`, `ca`, `cert` and `key`.
    pub listen: Option<String>,
    /// The file of the cookie that all nodes of a cluster know, which nobody else may be able to read. `uk node token` makes one.
    pub cookie_file: Option<String>,
    /// The file of the certificate of the CA that signs those of all nodes, in PEM. `uk node ca` makes one.
    pub ca: Option<String>,
    /// The file of this node's certificate, in PEM; its name is that of the node.
    pub cert: Option<String>,
    /// The file of the key that belongs to it, in PEM.
    pub key: Option<String>,
    /// Where other nodes are found: a list of hosts with ports, names of DNS too. Each is attached, and tried again for as
    /// long as it is not there.
    pub seeds: Option<String>,
    /// A node that says nothing for so long is down.
    pub heartbeat: DurationText,
}

/// How many workers of the dispatcher do the jobs of each tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DispatcherSettings {
    /// For safety and health; each has a thread of its own.
    pub critical: u32,
    /// For sensors and commands.
    pub high: u32,
    /// For what has no reason to be anything else.
    pub normal: u32,
    /// For analytics.
    pub low: u32,
    /// For clean-up.
    pub deferred: u32,
}

impl DispatcherSettings {
    /// As the dispatcher is told, most urgent first.
    #[must_use]
    pub fn sizes(&self) -> [usize; LANES] {
        let sizes = [
            self.critical,
            self.high,
            self.normal,
            self.low,
            self.deferred,
        ];
        sizes.map(|size| usize::try_from(size).unwrap_or(usize::MAX))
    }
}

impl Default for DispatcherSettings {
    fn default() -> Self {
        let sizes = SIZES.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        let [critical, high, normal, low, deferred] = sizes;
        Self {
            critical,
            high,
            normal,
            low,
            deferred,
        }
    }
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self {
            log: LOG.to_owned(),
            memory_limit: None,
            max_abandoned: u32::try_from(MAX_ABANDONED).unwrap_or(u32::MAX),
            kill_grace: DurationText(KILL_GRACE),
            apply_timeout: DurationText(Duration::from_secs(5)),
            watch: WatchSettings::default(),
            history: HistorySettings::default(),
            alarms: AlarmSettings::default(),
            dispatcher: DispatcherSettings::default(),
            http: HttpSettings::default(),
            nodes: NodesSettings::default(),
            exit_on_give_up: false,
            labels: BTreeMap::new(),
            name: None,
        }
    }
}

impl Default for NodesSettings {
    fn default() -> Self {
        Self {
            listen: None,
            cookie_file: None,
            ca: None,
            cert: None,
            key: None,
            seeds: None,
            heartbeat: DurationText(HEARTBEAT),
        }
    }
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            debounce: DurationText(Duration::from_millis(50)),
        }
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            keep: 100,
            max_age: DurationText(Duration::from_secs(90 * 86_400)),
        }
    }
}
