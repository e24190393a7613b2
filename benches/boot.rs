//! `cargo bench --bench boot`: how long `uk` takes to be ready, how much memory it then has, and how long `uk tree` takes
//! while a thousand children crash.
//!
//! Starts the real binary on the default tree, on a tree of 10,000 probes, and on one of 1,000 probes that fail to start
//! again and again, each a few times, and prints medians beside their limits. Ends with exit code 1 when a limit
//! is broken.

#[path = "verdict.rs"]
mod verdict;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use self::verdict::report;

const ROUNDS: usize = 5;
const STORM_CHILDREN: usize = 1_000;
const STORM_ROUNDS: usize = 51;
const STORM_MAX: Duration = Duration::from_millis(50);

struct Case {
    name: &'static str,
    /// The tree; none is the default one.
    children: Option<usize>,
    ready_max: Duration,
    resident_max_mb: Option<f64>,
}

const CASES: [Case; 2] = [
    Case {
        name: "default tree",
        children: None,
        ready_max: Duration::from_millis(150),
        resident_max_mb: Some(25.0),
    },
    Case {
        name: "10,000 probes",
        children: Some(10_000),
        ready_max: Duration::from_secs(1),
        resident_max_mb: None,
    },
];

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("uk-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut holds = true;
    report("| case | ready, median | limit | resident | limit |\n|---|---|---|---|---|");
    for case in &CASES {
        let mut samples = Vec::new();
        for _ in 0..ROUNDS {
            samples.push(measure(case, &folder)?);
        }
        samples.sort_by_key(|(ready, _)| *ready);
        let (ready, resident) = *samples.get(ROUNDS / 2).context("there are rounds")?;
        let limit = case
            .resident_max_mb
            .map_or("–".to_owned(), |limit| format!("{limit:.0} MB"));
        report(&format!(
            "| {} | {:.0} ms | {:.0} ms | {resident:.1} MB | {limit} |",
            case.name,
            ready.as_secs_f64() * 1e3,
            case.ready_max.as_secs_f64() * 1e3,
        ));
        holds &= ready <= case.ready_max;
        holds &= case.resident_max_mb.is_none_or(|limit| resident <= limit);
    }
    holds &= storm(&folder)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(holds)
}

/// How long `uk tree` takes, from the start of its process to its end, while all children crash.
fn storm(folder: &Path) -> Result<bool> {
    let mut tree =
        "version: 1\nname: bench\ntree:\n  intensity: 1000000000\n  children:\n".to_owned();
    for number in 0..STORM_CHILDREN {
        writeln!(
            tree,
            "    - {{ id: p{number}, kind: probe, settings: {{ starts: [fail] }}, backoff: {{ min: 10ms, max: 50ms }} }}"
        )?;
    }
    let file = folder.join("storm.yaml");
    std::fs::write(&file, tree)?;
    let uk = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uk"));
        command
            .env("XDG_RUNTIME_DIR", folder)
            .env("XDG_STATE_HOME", folder);
        command
    };
    let mut run = uk();
    run.arg("run").arg(&file).env("UK_LOG", "off");
    let (mut kernel, _) = start(&mut run)?;
    let mut samples = Vec::new();
    for _ in 0..STORM_ROUNDS {
        let since = Instant::now();
        let tree = uk().arg("tree").output()?;
        samples.push(since.elapsed());
        if !tree.status.success() {
            bail!("uk tree: {}", String::from_utf8_lossy(&tree.stderr));
        }
    }
    kernel.kill()?;
    kernel.wait()?;
    samples.sort_unstable();
    let ms = |took: Option<&Duration>| took.copied().unwrap_or_default().as_secs_f64() * 1e3;
    let (median, worst) = (ms(samples.get(STORM_ROUNDS / 2)), ms(samples.last()));
    report(&format!(
        "\n| while {STORM_CHILDREN} children crash | median | worst | limit |\n|---|---|---|---|\n| `uk tree` | {median:.1} ms | {worst:.1} ms | {} ms |",
        STORM_MAX.as_millis()
    ));
    Ok(samples.last().is_some_and(|worst| *worst <= STORM_MAX))
}

/// From the start of the process until it says that its tree is up; and what is resident then, in MB.
fn measure(case: &Case, folder: &Path) -> Result<(Duration, f64)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uk"));
    command.arg("run");
    if let Some(children) = case.children {
        let mut tree = "version: 1\nname: bench\ntree:\n  children:\n".to_owned();
        for number in 0..children {
            writeln!(tree, "    - {{ id: p{number}, kind: probe }}")?;
        }
        let file = folder.join("tree.yaml");
        std::fs::write(&file, tree)?;
        command.arg(file);
    }
    command
        .env("XDG_RUNTIME_DIR", folder)
        .env("XDG_STATE_HOME", folder);
    let (mut kernel, ready) = start(&mut command)?;
    let resident = resident_mb(kernel.id());
    kernel.kill()?;
    kernel.wait()?;
    Ok((ready, resident?))
}

/// Starts a kernel, and waits until its tree is up.
fn start(command: &mut Command) -> Result<(Child, Duration)> {
    let since = Instant::now();
    let mut kernel = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("uk cannot be started")?;
    match wait_until_ready(&mut kernel, since) {
        Ok(ready) => Ok((kernel, ready)),
        Err(error) => {
            kernel.kill()?;
            kernel.wait()?;
            Err(error)
        }
    }
}

fn wait_until_ready(kernel: &mut Child, since: Instant) -> Result<Duration> {
    let stderr = kernel.stderr.take().context("its progress is read")?;
    for line in BufReader::new(stderr).lines() {
        if line?.contains(" actors ") {
            return Ok(since.elapsed());
        }
    }
    bail!("uk ended before its tree was up")
}

fn resident_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("VmRSS")?;
    let kb: f64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kb / 1024.0)
}
