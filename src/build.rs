//! Tells the program what it was built with: the compiler, and the versions of the crates that matter.

use std::process::Command;

/// Crates whose version says something about a fault.
const CRATES: [&str; 6] = ["axum", "hyper", "ractor", "rustix", "serde_json", "tokio"];

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rustc-env=UK_RUSTC={}", rustc().unwrap_or_default());
    println!("cargo::rustc-env=UK_CRATES={}", crates().join(","));
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=UK_TARGET={target}");
}

fn rustc() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?)
        .arg("--version")
        .output()
        .ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// `NAME VERSION` of each, as locked; none where this is built as a part of something else.
fn crates() -> Vec<String> {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let value = |line: &str, key: &str| {
        let quoted = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        quoted.strip_suffix('"').map(str::to_owned)
    };
    let packages = lock.split("[[package]]").filter_map(|package| {
        let find = |key: &str| package.lines().find_map(|line| value(line, key));
        Some((find("name")?, find("version")?))
    });
    packages
        .filter(|(name, _)| CRATES.contains(&name.as_str()))
        .map(|(name, version)| format!("{name} {version}"))
        .collect()
}
