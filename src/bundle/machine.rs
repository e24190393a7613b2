//! What this program is and where it runs, read from `/proc` and `/etc`; what cannot be read is left out.

use std::fs::read_to_string;

use serde_json::{Value, json};

/// The versions of this program and of what it is made of.
#[must_use]
pub fn versions() -> Value {
    let crates = env!("UK_CRATES").split(',');
    let crates: serde_json::Map<String, Value> = crates
        .filter_map(|named| named.split_once(' '))
        .map(|(name, version)| (name.to_owned(), version.into()))
        .collect();
    json!({
        "uk": env!("CARGO_PKG_VERSION"),
        "rustc": env!("UK_RUSTC"),
        "target": env!("UK_TARGET"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "crates": crates,
        "os": field("/etc/os-release", "PRETTY_NAME=").map(|name| name.trim_matches('"').to_owned()),
        "kernel": whole("/proc/sys/kernel/osrelease"),
    })
}

/// The machine, and this process on it.
#[must_use]
pub fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    json!({
        "host": whole("/proc/sys/kernel/hostname"),
        "cores": cores,
        "memory_total": field("/proc/meminfo", "MemTotal:"),
        "memory_available": field("/proc/meminfo", "MemAvailable:"),
        "load": whole("/proc/loadavg"),
        "up_s": whole("/proc/uptime"),
        "process": {
            "pid": std::process::id(),
            "memory": field("/proc/self/status", "VmRSS:"),
            "memory_peak": field("/proc/self/status", "VmHWM:"),
            "threads": field("/proc/self/status", "Threads:"),
            "open_files": open.ok(),
            "open_files_max": field("/proc/self/limits", "Max open files"),
        },
    })
}

fn whole(file: &str) -> Option<String> {
    Some(read_to_string(file).ok()?.trim().to_owned())
}

/// What stands behind `key` at the start of a line.
fn field(file: &str, key: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}
