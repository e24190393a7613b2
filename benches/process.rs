//! The processes that measure: how a peer's is built, and one run of one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A process that takes longer hangs.
const PATIENCE_S: &str = "120";

/// Where the peers are built, beside the bench that asks.
pub(crate) fn target(bench: &Path) -> Result<PathBuf> {
    bench
        .ancestors()
        .find(|folder| folder.ends_with("release"))
        .and_then(Path::parent)
        .map(|target| target.join("peers"))
        .context("a bench is built for release")
}

/// Builds a package of `benches/peers` by itself, as its lock file says; its program.
pub(crate) fn build_package(package: &str, target: &Path) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/Cargo.toml");
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--package", package])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .stdout(Stdio::null())
        .status()
        .context("cargo cannot be started")?;
    if !built.success() {
        bail!("`{package}` in benches/peers does not build");
    }
    Ok(target.join("release").join(package))
}

/// One process measures one group; its lines. A group that it does not have gives none.
pub(crate) fn measure(program: &[OsString], group: &str, seconds: f64) -> Result<String> {
    let output = Command::new("timeout")
        .args(["--kill-after", "5", PATIENCE_S])
        .args(program)
        .args(["--rows", group, "--seconds", &seconds.to_string()])
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .stderr(Stdio::inherit())
        .output()
        .context("`timeout` of the coreutils cannot be started")?;
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout)?),
        Some(124 | 137) => bail!("it did not end within {PATIENCE_S} s"),
        Some(code) => bail!("its process ended with exit code {code}"),
        None => bail!("its process was killed: {}", output.status),
    }
}
