//! `cargo bench --bench boot`: how long `uk` takes to be ready, and how much memory it then has.
//!
//! Starts the real binary on the default tree and on a tree of 10,000 probes, each a few times, and prints
//! medians beside their limits. Ends with exit code 1 when a limit is broken.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

const ROUNDS: usize = 5;

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
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn report(line: &str) {
    // A closed pipe ends the bench soon enough.
    drop(writeln!(io::stdout().lock(), "{line}"));
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
    std::fs::remove_dir_all(&folder)?;
    Ok(holds)
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
    let since = Instant::now();
    let mut kernel = command
        .env("XDG_RUNTIME_DIR", folder)
        .env("XDG_STATE_HOME", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("uk cannot be started")?;
    let ready = wait_until_ready(&mut kernel, since);
    let resident = resident_mb(kernel.id());
    kernel.kill()?;
    kernel.wait()?;
    Ok((ready?, resident?))
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
