//! `cargo bench --bench chaos`: what a simulated minute of a kernel under chaos costs, and ten thousand of them.
//!
//! Prints both beside their limits, and keeps them for the page of reliability; `UK_CHAOS_SEEDS` seeds in place of 10,000 are
//! printed with their share of the limit, and not kept. Ends with exit code 1 when a limit is broken, or a promise.

mod kept;
#[path = "verdict.rs"]
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::Instant;
use unity_actors::chaos::simulate::{Simulation, default_plan};
use unity_kernel::kind_check::KnownKinds;
use unity_kernel::tree_file::{Limits, Sources, load, read_file};
use unity_supervisors::ChildId;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};

use self::kept::keep;
use self::kept::promises::SIMULATION;
use self::verdict::report;

const MINUTE: Duration = Duration::from_secs(60);
const GROUPS: usize = 10;
const OF_GROUP: usize = 10;
const ROUNDS: u64 = 21;
const MINUTE_LIMIT: Duration = Duration::from_millis(50);
const SEEDS: u64 = 10_000;
const SEEDS_LIMIT: Duration = Duration::from_secs(300);
const THREADS: usize = 2;
const DEFAULT_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/trees/default.yaml");

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    report("| simulated | took | limit |\n|---|---|---|");
    let minute = minute()?;
    let limit = MINUTE_LIMIT.as_millis();
    let ms = minute.as_secs_f64() * 1e3;
    report(&format!(
        "| a minute of a kernel of {} actors, median of {ROUNDS} seeds | {ms:.1} ms | {limit} ms |",
        GROUPS * OF_GROUP
    ));
    let asked = std::env::var("UK_CHAOS_SEEDS").ok();
    let count = asked.map_or(Ok(SEEDS), |asked| asked.parse().context("UK_CHAOS_SEEDS"))?;
    let (took, acts) = seeds(count)?;
    let limit = SEEDS_LIMIT.mul_f64(count as f64 / SEEDS as f64);
    report(&format!(
        "| {count} seeds of the default plan on the shipped tree, {THREADS} threads | {:.1} s | {:.1} s |",
        took.as_secs_f64(),
        limit.as_secs_f64()
    ));
    if count == SEEDS {
        let seconds = (took.as_secs_f64() * 10.0).round() / 10.0;
        let figures = json!({
            "actors": GROUPS * OF_GROUP, "minute_ms": (ms * 10.0).round() / 10.0,
            "seeds": count, "threads": THREADS, "seeds_s": seconds, "faults": acts, "broken": 0,
        });
        keep(SIMULATION, &figures)?;
    }
    Ok(minute <= MINUTE_LIMIT && took <= limit)
}

/// One simulated minute of a tree of a hundred actors.
fn minute() -> Result<Duration> {
    let group = |number| -> Result<Arc<ChildSpec>> {
        let child = |number| -> Result<Arc<ChildSpec>> {
            let id = ChildId::new(format!("a{number}"))?;
            Ok(Arc::new(ChildSpec::worker(id, "probe")))
        };
        let children: Result<_> = (0..OF_GROUP).map(child).collect();
        let group = SupervisorSpec {
            intensity: 20,
            children: children?,
            ..SupervisorSpec::default()
        };
        let id = ChildId::new(format!("g{number}"))?;
        Ok(Arc::new(ChildSpec::supervisor(id, group)))
    };
    let children: Result<_> = (0..GROUPS).map(group).collect();
    let root = SupervisorSpec {
        children: children?,
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "hundred".to_owned(),
        test: true,
        root,
    };
    let simulation = Simulation::new(tree, default_plan(MINUTE));
    let mut took = Vec::new();
    for seed in 1..=ROUNDS {
        let begun = Instant::now();
        let found = simulation.run(seed);
        took.push(begun.elapsed());
        ensure!(
            found.violations.is_empty(),
            "seed {seed}: {:?}",
            found.violations
        );
    }
    took.sort_unstable();
    took.get(took.len() / 2).copied().context("no round")
}

/// So many seeds of the default plan on the shipped tree: how long they took, and how many faults struck.
fn seeds(count: u64) -> Result<(Duration, u64)> {
    let kinds = unity_actors::kinds();
    let sources = Sources {
        read: &read_file,
        env: &|_| None,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    let tree = load(DEFAULT_TREE.as_ref(), &sources).tree;
    let simulation = Simulation::new(tree.context(DEFAULT_TREE)?, default_plan(MINUTE));
    let (next, broken, acts) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > count {
                return;
            }
            let found = simulation.run(seed);
            acts.fetch_add(found.acts.len() as u64, Ordering::Relaxed);
            if !found.violations.is_empty() {
                broken.store(seed, Ordering::Relaxed);
            }
        }
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(work);
        }
        work();
    });
    let took = begun.elapsed();
    let broken = broken.into_inner();
    ensure!(broken == 0, "seed {broken} breaks a promise");
    Ok((took, acts.into_inner()))
}
