//! Tells systemd how the kernel is: `/system/systemd`, a service that is there when `NOTIFY_SOCKET` is set.
//!
//! `READY=1` and `STATUS` once the tree is booted, also into safe mode; `STOPPING=1` when it stops; `WATCHDOG=1` twice in
//! each `WATCHDOG_USEC`. The service is a task of the control runtime, so a control runtime that hangs is silent, and systemd
//! restarts the unit. With a guard the unit's main process is the guard, so the unit needs `NotifyAccess=all`: see
//! `config/deploy/unity-kernel.service`.
//!
//! The protocol is one datagram of lines. The crate `sd-notify` does the same and reads `WATCHDOG_PID` for this process only,
//! which a guard's kernel is not.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_supervisors::spec::{ChildKind, ChildSpec};
use unity_supervisors::{
    Actor, ChildId, Context, Exit, Kernel, Kinds, Mode, Next, NoMessage, Start,
};

/// One end of systemd's notification socket.
#[derive(Debug)]
pub struct Notifier(SocketAddr);

impl Notifier {
    /// The socket of `NOTIFY_SOCKET`, if there is one that can be meant.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        Self::new(&std::env::var_os("NOTIFY_SOCKET")?).ok()
    }

    /// The socket at a path, or an abstract one after `@`.
    ///
    /// # Errors
    /// If it is neither, or too long.
    pub fn new(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(address),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        address.map(Self)
    }

    /// Sends some lines. Never waits; that nobody listens is logged, and no fault.
    pub fn send(&self, lines: &str) {
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(lines.as_bytes(), &self.0)
        });
        if let Err(error) = sent {
            tracing::debug!(%error, lines, "systemd cannot be told");
        }
    }
}

/// Settings of `systemd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemdSettings {
    /// Where systemd listens.
    pub socket: String,
    /// Time between two signs of life, in milliseconds, if systemd wants any.
    pub alive_every_ms: Option<u64>,
}

impl SystemdSettings {
    /// What the environment says; none without systemd. `guard` is the guard's process, if there is one.
    #[must_use]
    pub fn from_env(guard: Option<u32>) -> Option<Self> {
        Self::read(&|name| std::env::var(name).ok(), guard)
    }

    fn read(env: &dyn Fn(&str) -> Option<String>, guard: Option<u32>) -> Option<Self> {
        let pid = env("WATCHDOG_PID").and_then(|pid| pid.parse().ok());
        let is_ours = pid.is_none_or(|pid| pid == std::process::id() || Some(pid) == guard);
        let period_us: Option<u64> = env("WATCHDOG_USEC").and_then(|us| us.parse().ok());
        Some(Self {
            socket: env("NOTIFY_SOCKET")?,
            alive_every_ms: period_us
                .filter(|us| is_ours && *us > 0)
                .map(|us| (us / 2_000).max(1)),
        })
    }
}

/// These kinds and that of this file.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<Systemd>("systemd", "tells systemd how the kernel is")
}

/// The child of `/system`.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child(settings: &SystemdSettings) -> ChildSpec {
    let id = ChildId::new("systemd").expect("`systemd` is an id");
    let mut child = ChildSpec::worker(id, "systemd");
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!(settings);
    }
    child
}

/// Tells systemd how the kernel is.
#[derive(Debug)]
pub struct Systemd;

impl Actor for Systemd {
    type Message = NoMessage;
    type Settings = SystemdSettings;

    async fn start(
        settings: &SystemdSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let notifier = Notifier::new(settings.socket.as_ref())?;
        let every = settings.alive_every_ms.map(Duration::from_millis);
        let kernel = ctx.kernel().clone();
        ctx.spawn(async move { tell(&kernel, &notifier, every).await });
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut NoMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match *message {}
    }
}

async fn tell(kernel: &Kernel, notifier: &Notifier, every: Option<Duration>) -> Result<(), Exit> {
    let mut mode = kernel.mode();
    loop {
        let said = state(mode, kernel.safe_reason().as_deref());
        notifier.send(&kernel.secrets().mask(&said));
        let left = kernel.left(mode);
        let mut left = std::pin::pin!(left);
        mode = loop {
            tokio::select! {
                biased;
                mode = &mut left => break mode,
                () = alive(every) => notifier.send("WATCHDOG=1"),
            }
        };
    }
}

async fn alive(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}

/// What is said of a mode.
fn state(mode: Mode, safe_reason: Option<&str>) -> String {
    match mode {
        Mode::Booting => "STATUS=booting".to_owned(),
        Mode::Normal => "READY=1\nSTATUS=running".to_owned(),
        Mode::Safe => {
            let why = safe_reason
                .unwrap_or_default()
                .replace(char::is_control, " ");
            format!("READY=1\nSTATUS=safe mode: {why}")
        }
        Mode::Stopping => "STOPPING=1\nSTATUS=stopping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_are_wanted_of_this_process_or_its_guard() {
        let own = std::process::id().to_string();
        for (pid, period, guard, expected) in [
            (None, Some("30000000"), None, Some(15_000)),
            (Some(own.as_str()), Some("30000000"), None, Some(15_000)),
            (Some("77"), Some("30000000"), Some(77), Some(15_000)),
            (Some("77"), Some("30000000"), Some(78), None),
            (Some("77"), Some("30000000"), None, None),
            (None, Some("1"), None, Some(1)),
            (None, Some("0"), None, None),
            (None, Some("soon"), None, None),
            (None, None, None, None),
        ] {
            let env = |name: &str| match name {
                "NOTIFY_SOCKET" => Some("/run/notify".to_owned()),
                "WATCHDOG_PID" => pid.map(str::to_owned),
                _ => period.map(str::to_owned),
            };

            let read = SystemdSettings::read(&env, guard).unwrap();

            assert_eq!(
                read.alive_every_ms, expected,
                "{pid:?} {period:?} {guard:?}"
            );
        }
        assert_eq!(SystemdSettings::read(&|_| None, None), None);
    }

    #[test]
    fn what_is_said_is_of_whole_lines() {
        let said = state(Mode::Safe, Some("two\nlines"));

        assert_eq!(said, "READY=1\nSTATUS=safe mode: two lines");
    }
}
