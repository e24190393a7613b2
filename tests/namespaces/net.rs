//! Network namespaces: one for each node, and one between them.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Namespaces, each with one interface that leads to a router. All of it is gone at the end; nothing of it is seen outside.
pub(crate) struct Net {
    /// What the names of this one's namespaces begin with.
    prefix: String,
    names: &'static [&'static str],
}

impl Net {
    /// `None`, said aloud, where this cannot be done.
    pub(crate) fn new(names: &'static [&'static str]) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let net = Self {
            prefix: format!("uk-{}-{next}", std::process::id()),
            names,
        };
        let hub = net.hub();
        if let Err(why) = try_ip(&["netns", "add", &hub]).and_then(|()| may(&hub)) {
            skipped(&why);
            return None;
        }
        // From here on nothing may fail.
        ip(&["-n", &hub, "link", "set", "lo", "up"]);
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        ip(&["netns", "exec", &hub, "sh", "-c", forward]);
        for name in names {
            net.join(name);
        }
        Some(net)
    }

    fn join(&self, name: &str) {
        let (hub, space, port) = (self.hub(), self.space(name), port(name));
        let (router, host) = (self.host(name, 1), self.host(name, 2));
        let end = ["type", "veth", "peer", "name", "eth0", "netns", &space];
        ip(&["netns", "add", &space]);
        ip(&[&["-n", &hub, "link", "add", &port][..], &end].concat());
        ip(&[
            "-n",
            &hub,
            "addr",
            "add",
            &format!("{router}/24"),
            "dev",
            &port,
        ]);
        ip(&["-n", &hub, "link", "set", &port, "up"]);
        ip(&["-n", &space, "link", "set", "lo", "up"]);
        ip(&[
            "-n",
            &space,
            "addr",
            "add",
            &format!("{host}/24"),
            "dev",
            "eth0",
        ]);
        ip(&["-n", &space, "link", "set", "eth0", "up"]);
        ip(&["-n", &space, "route", "add", "default", "via", &router]);
    }

    fn hub(&self) -> String {
        self.space("hub")
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn host(&self, name: &str, host: u8) -> String {
        let net = self.names.iter().position(|known| *known == name).unwrap();
        format!("10.77.{net}.{host}")
    }

    /// Where the node of that name can be reached.
    pub(crate) fn address(&self, name: &str) -> String {
        self.host(name, 2)
    }

    /// The same command, inside of the namespace of that name: it takes the place of what brings it there.
    pub(crate) fn inside(&self, name: &str, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.space(name)])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }

    /// Pulls the cable of a node: nothing comes or goes, and nobody is told.
    pub(crate) fn unplug(&self, name: &str) {
        ip(&["-n", &self.hub(), "link", "set", &port(name), "down"]);
    }

    pub(crate) fn plug_in(&self, name: &str) {
        ip(&["-n", &self.hub(), "link", "set", &port(name), "up"]);
    }

    /// Loses what one node sends to another, not what that one sends back.
    pub(crate) fn cut(&self, from: &str, to: &str) {
        self.rule("add", from, to);
    }

    pub(crate) fn mend(&self, from: &str, to: &str) {
        self.rule("del", from, to);
    }

    fn rule(&self, what: &str, from: &str, to: &str) {
        let (from, to) = (self.address(from), self.address(to));
        ip(&[
            "-n",
            &self.hub(),
            "rule",
            what,
            "from",
            &from,
            "to",
            &to,
            "blackhole",
        ]);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in self.names.iter().chain(&["hub"]) {
            // It may not have come to be.
            drop(try_ip(&["netns", "del", &self.space(name)]));
        }
    }
}

/// The interface that leads to a node.
fn port(name: &str) -> String {
    format!("to-{name}")
}

/// Whether there are cables and rules as well.
fn may(hub: &str) -> Result<(), String> {
    let rule = ["from", "192.0.2.1", "to", "192.0.2.2", "blackhole"];
    try_ip(&[
        "-n", hub, "link", "add", "one", "type", "veth", "peer", "name", "two",
    ])?;
    try_ip(&["-n", hub, "link", "del", "one"])?;
    try_ip(&[&["-n", hub, "rule", "add"][..], &rule].concat())?;
    try_ip(&[&["-n", hub, "rule", "del"][..], &rule].concat())
}

fn ip(args: &[&str]) {
    try_ip(args).unwrap();
}

fn try_ip(args: &[&str]) -> Result<(), String> {
    let done = Command::new("ip").args(args).output();
    let Output { status, stderr, .. } = done.map_err(|error| format!("no `ip`: {error}"))?;
    let said = String::from_utf8_lossy(&stderr);
    match status.success() {
        true => Ok(()),
        false => Err(format!("`ip {}`: {}", args.join(" "), said.trim())),
    }
}

#[expect(clippy::print_stderr, reason = "says what is left out")]
fn skipped(why: &str) {
    eprintln!("skipped: network namespaces cannot be made here: {why}");
}
