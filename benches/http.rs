//! `cargo bench --bench http`: requests a second over TCP with a token, and what two hundred open pages cost.
//!
//! Starts the real binary on a tree of 100 probes. The load comes from this process, on the same two cores. Each answer is
//! checked. Prints the figures beside their limits; ends with exit code 1 when one of them is missed.

#[path = "verdict.rs"]
mod verdict;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::verdict::report;

const PROBES: usize = 100;
/// How often it is tried to reach the kernel.
const TRIES: usize = 1_000;
/// How many clients send requests at a time, and for how long.
const CLIENTS: usize = 16;
const SENDS_FOR: Duration = Duration::from_secs(5);
const PER_SECOND_MIN: f64 = 5_000.0;
const P99_MAX: Duration = Duration::from_millis(20);
/// How many pages are open, and how often something changes.
const PAGES: usize = 200;
const CHANGES_EVERY: Duration = Duration::from_millis(100);
const WATCHED_FOR: Duration = Duration::from_secs(10);
/// How much of a core the kernel may take for them.
const CORE_MAX: f64 = 0.5;

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let kernel = Kernel::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut holds = runtime.block_on(requests(&kernel))?;
    holds &= runtime.block_on(pages(&kernel))?;
    Ok(holds)
}

/// The real binary, with a folder of its own, gone at the end.
struct Kernel {
    process: Child,
    folder: PathBuf,
    address: String,
    token: String,
}

impl Kernel {
    fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("uk-bench-http-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut tree =
            "version: 1\nname: bench\ntest: true\ntree:\n  intensity: 100000\n  children:\n"
                .to_owned();
        for number in 0..PROBES {
            writeln!(tree, "    - {{ id: p{number}, kind: probe }}")?;
        }
        std::fs::write(folder.join("tree.yaml"), tree)?;
        let mut run = uk(&folder, &["run", "tree.yaml", "--listen", "127.0.0.1:0"]);
        let process = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut kernel = Self {
            process,
            folder,
            address: String::new(),
            token: String::new(),
        };
        for _ in 0..TRIES {
            // Each try takes some milliseconds, which is what it waits by.
            let Ok(opened) = kernel.json(&["open"]) else {
                continue;
            };
            kernel.address = text(&opened, "address")?;
            kernel.token = text(
                &kernel.json(&["token", "create", "--scope", "admin"])?,
                "token",
            )?;
            return Ok(kernel);
        }
        anyhow::bail!("the kernel does not listen")
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let said = uk(&self.folder, &[args, &["--json"]].concat()).output()?;
        ensure!(said.status.success(), "{args:?}");
        Ok(serde_json::from_slice(&said.stdout)?)
    }

    fn new_token(&self) -> Result<String> {
        let made = self.json(&["token", "create", "--scope", "admin"])?;
        text(&made, "token")
    }

    fn request(&self, request: &str, body: &str) -> String {
        Self::request_by(&self.token, request, body)
    }

    fn request_by(token: &str, request: &str, body: &str) -> String {
        format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            token,
            body.len()
        )
    }

    /// How long the kernel has computed, in seconds.
    fn busy(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, rest) = stat.rsplit_once(')').context("no stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("short")?.parse()?) };
        // A hundred ticks a second, on every Linux that this runs on.
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn text(document: &Value, key: &str) -> Result<String> {
    let text = document.get(key).and_then(Value::as_str);
    Ok(text.context("a key is missing")?.to_owned())
}

fn uk(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uk"));
    command
        .args(args)
        .current_dir(folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("XDG_STATE_HOME", folder)
        .stdin(Stdio::null());
    command
}

/// Reads an answer to its end; its status is 200.
async fn answer(
    stream: &mut BufReader<TcpStream>,
    line: &mut String,
    body: &mut Vec<u8>,
) -> Result<()> {
    let mut len = 0;
    line.clear();
    stream.read_line(line).await?;
    ensure!(line.contains(" 200 "), "{line}");
    loop {
        line.clear();
        stream.read_line(line).await?;
        if line == "\r\n" {
            break;
        }
        if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = said.trim().parse()?;
        }
    }
    body.resize(len, 0);
    stream.read_exact(body).await?;
    Ok(())
}

/// Half of the requests read the health of the kernel, half tell a probe something.
async fn requests(kernel: &Kernel) -> Result<bool> {
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for _ in 0..CLIENTS {
        // Each with a token of its own: one caller may send 10,000 a second.
        let token = kernel.new_token()?;
        let requests = [
            Kernel::request_by(&token, "GET /api/v1/health", ""),
            Kernel::request_by(
                &token,
                "POST /api/v1/tell",
                r#"{"path":"/p1","message":{"count":null}}"#,
            ),
        ];
        let address = kernel.address.clone();
        clients.spawn(async move {
            let mut stream = BufReader::new(TcpStream::connect(address).await?);
            let (mut line, mut body, mut took) = (String::new(), Vec::new(), Vec::new());
            for request in requests.iter().cycle() {
                let sent = Instant::now();
                stream.write_all(request.as_bytes()).await?;
                answer(&mut stream, &mut line, &mut body).await?;
                took.push(sent.elapsed());
                if began.elapsed() > SENDS_FOR {
                    break;
                }
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(client) = clients.join_next().await {
        took.extend(client??);
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| {
        took.get(took.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    report("| requests | a second | p50 ms | p99 ms |");
    report("|---|---|---|---|");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    report(&format!(
        "| {CLIENTS} clients | {per_second:.0} (at least {PER_SECOND_MIN}) | {:.2} | {:.2} (at most {}) |",
        ms(at(50)),
        ms(at(99)),
        P99_MAX.as_millis()
    ));
    Ok(per_second >= PER_SECOND_MIN && at(99) <= P99_MAX)
}

/// Pages that are open while a probe is killed ten times a second.
async fn pages(kernel: &Kernel) -> Result<bool> {
    let (changes, is_over) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut pages = JoinSet::new();
    for _ in 0..PAGES {
        let mut stream = TcpStream::connect(&kernel.address).await?;
        let head = kernel.request("GET /api/v1/stream?tree=true", "");
        stream.write_all(head.as_bytes()).await?;
        let (changes, is_over) = (Arc::clone(&changes), Arc::clone(&is_over));
        pages.spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Some(line) = lines.next_line().await? {
                if line == "event: change" {
                    changes.fetch_add(1, Ordering::Relaxed);
                }
                ensure!(line != "event: resync", "a page was left behind");
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            anyhow::Ok(())
        });
    }
    let mut killer = BufReader::new(TcpStream::connect(&kernel.address).await?);
    let (mut line, mut body) = (String::new(), Vec::new());
    sleep(Duration::from_secs(1)).await;
    let (busy, began, before) = (
        kernel.busy()?,
        Instant::now(),
        changes.load(Ordering::Relaxed),
    );
    let mut next = began;
    let mut number = 0;
    while began.elapsed() < WATCHED_FOR {
        number += 1;
        // Something that changes the tree and costs little itself.
        let act = if number % 2 == 0 { "resume" } else { "suspend" };
        let request = kernel.request(&format!("POST /api/v1/{act}"), r#"{"path":"/p1"}"#);
        killer.write_all(request.as_bytes()).await?;
        answer(&mut killer, &mut line, &mut body).await?;
        next += CHANGES_EVERY;
        tokio::time::sleep_until(next).await;
    }
    let (took, cores) = (began.elapsed().as_secs_f64(), kernel.busy()? - busy);
    let told = changes.load(Ordering::Relaxed) - before;
    is_over.store(true, Ordering::Relaxed);
    pages.shutdown().await;
    let (cores, each) = (cores / took, told as f64 / PAGES as f64 / took);
    report("\n| pages | changes a second each | cores of the kernel |");
    report("|---|---|---|");
    report(&format!(
        "| {PAGES} | {each:.1} | {cores:.2} (at most {CORE_MAX}) |"
    ));
    ensure!(
        each > 5.0,
        "the pages are hardly told anything: {each:.1} a second"
    );
    Ok(cores <= CORE_MAX)
}
