//! `cargo bench --bench commands`: how long a command takes over 10,000 actors, from the start of its process to its end.
//!
//! Starts the real binary on a tree of 100 supervisors with 100 probes each and runs each command many times, its output
//! into a pipe. Each answer is checked. Prints medians and the 95th of a hundred beside their limits; ends with exit code 1
//! when one of those is above its limit.

#[path = "verdict.rs"]
mod verdict;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use self::verdict::report;

const GROUPS: usize = 100;
const IN_EACH: usize = 100;
const ROUNDS: usize = 60;

struct Row {
    args: &'static [&'static str],
    /// How many lines it prints.
    lines: usize,
    max: Duration,
}

const TREE_MAX: Duration = Duration::from_millis(150);
const COMPLETION_MAX: Duration = Duration::from_millis(50);

const ROWS: [Row; 5] = [
    Row {
        args: &["tree"],
        // Its head and the root.
        lines: 2 + GROUPS * (IN_EACH + 1),
        max: TREE_MAX,
    },
    Row {
        args: &["tree", "--json"],
        lines: 1,
        max: TREE_MAX,
    },
    Row {
        args: &["__complete", "bash", "uk", "kill", "/g7"],
        // `/g7` and `/g70` to `/g79`, up to so many as are offered.
        lines: 500,
        max: COMPLETION_MAX,
    },
    Row {
        args: &["__complete", "bash", "uk", "kill", "/g99/p9"],
        lines: 11,
        max: COMPLETION_MAX,
    },
    Row {
        // What it is asked of the kernel first is the kind.
        args: &["__complete", "bash", "uk", "tell", "/g99/p99", "c"],
        lines: 1,
        max: COMPLETION_MAX,
    },
];

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("uk-bench-commands-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut kernel = boot(&folder)?;
    let holds = measure_all(&folder);
    kernel.kill()?;
    kernel.wait()?;
    std::fs::remove_dir_all(&folder)?;
    holds
}

fn measure_all(folder: &Path) -> Result<bool> {
    report(&format!(
        "| over {} actors | median | 95 of 100 | limit |\n|---|---|---|---|",
        GROUPS * IN_EACH
    ));
    let mut holds = true;
    for row in &ROWS {
        let mut samples = Vec::new();
        for _ in 0..ROUNDS {
            samples.push(measure(folder, row)?);
        }
        samples.sort_unstable();
        let ms = |took: Option<&Duration>| took.copied().unwrap_or_default().as_secs_f64() * 1e3;
        let slow = samples.get(ROUNDS * 95 / 100);
        report(&format!(
            "| `uk {}` | {:.1} ms | {:.1} ms | {} ms |",
            row.args.join(" "),
            ms(samples.get(ROUNDS / 2)),
            ms(slow),
            row.max.as_millis()
        ));
        holds &= slow.is_some_and(|slow| *slow <= row.max);
    }
    Ok(holds)
}

fn measure(folder: &Path, row: &Row) -> Result<Duration> {
    let mut command = uk(folder);
    command.args(row.args);
    let since = Instant::now();
    let said = command.output()?;
    let took = since.elapsed();
    let lines = said.stdout.iter().filter(|byte| **byte == b'\n').count();
    ensure!(
        said.status.success() && lines == row.lines,
        "uk {}: {lines} lines instead of {}; {}",
        row.args.join(" "),
        row.lines,
        String::from_utf8_lossy(&said.stderr)
    );
    Ok(took)
}

fn uk(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uk"));
    command
        .env("XDG_RUNTIME_DIR", folder)
        .env("XDG_STATE_HOME", folder)
        .current_dir(folder);
    command
}

/// Starts the kernel, and waits until its tree is up.
fn boot(folder: &Path) -> Result<Child> {
    let mut tree = "version: 1\nname: bench\ntree:\n  children:\n".to_owned();
    for group in 0..GROUPS {
        writeln!(tree, "    - id: g{group}\n      children:")?;
        for number in 0..IN_EACH {
            writeln!(tree, "        - {{ id: p{number}, kind: probe }}")?;
        }
    }
    let file = folder.join("tree.yaml");
    std::fs::write(&file, tree)?;
    let mut kernel = uk(folder)
        .arg("run")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("uk cannot be started")?;
    let stderr = kernel.stderr.take().context("its progress is read")?;
    for line in BufReader::new(stderr).lines() {
        if line?.contains(" actors ") {
            return Ok(kernel);
        }
    }
    kernel.wait()?;
    anyhow::bail!("uk ended before its tree was up")
}
