//! `cargo bench --bench stalls`: how long a kernel takes to answer, and its workers to run again, while every work thread
//! is stuck in an endless loop.
//!
//! Prints medians and the worst of some rounds beside their limit. Ends with exit code 1 when the limit is broken.

#[path = "verdict.rs"]
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{ActorPath, ChildId, Kernel, KernelConfig, Runtimes, WorkThreads};

use self::verdict::report;

const ROUNDS: usize = 9;
const THREADS: usize = 2;
const STALL_AFTER: Duration = Duration::from_secs(1);
/// How long a child stays busy: long enough for a round.
const BUSY: &str = "3s";
const LIMIT: Duration = Duration::from_millis(50);

/// What is measured while all threads are stuck; the last is counted from `stall_after` on.
const ROWS: [&str; 4] = [
    "`tree` answers",
    "`kill` answers",
    "a supervisor is restarted",
    "workers run again, after `stall_after`",
];

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let mut samples: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (samples, took) in samples.iter_mut().zip(round()?) {
            samples.push(took);
        }
    }
    report("| while every work thread is stuck | median | worst | limit |\n|---|---|---|---|");
    let mut holds = true;
    for (row, mut samples) in ROWS.into_iter().zip(samples) {
        samples.sort_unstable();
        let ms = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1e3);
        let (median, worst) = (ms(samples.get(ROUNDS / 2)), ms(samples.last()));
        report(&format!(
            "| {row} | {median:.2} ms | {worst:.2} ms | {} ms |",
            LIMIT.as_millis()
        ));
        holds &= samples.last().is_some_and(|worst| *worst <= LIMIT);
    }
    Ok(holds)
}

/// Boots a kernel, has its threads stuck, and measures once.
fn round() -> Result<[Duration; 4]> {
    let builder = || {
        let mut builder = Builder::new_multi_thread();
        builder.enable_time();
        builder
    };
    let control = builder().worker_threads(2).build()?;
    let threads = Arc::new(WorkThreads::default());
    let work = threads.build(&mut builder(), THREADS, THREADS)?;
    let runtimes = Runtimes {
        control: control.handle().clone(),
        work: work.handle().clone(),
        threads: Some(Arc::clone(&threads)),
    };
    let config = KernelConfig::new(runtimes, unity_actors::kinds(), 1);
    let measured = control.block_on(async {
        let kernel = Kernel::start(config, tree()?).await?;
        kernel.booted().await;
        let measured = measure(&kernel).await;
        kernel.kill_all();
        measured
    });
    threads.release();
    work.shutdown_background();
    control.shutdown_background();
    measured
}

fn tree() -> Result<TreeSpec> {
    let mut children = Vec::new();
    for number in 0..=THREADS {
        let mut child = ChildSpec::worker(ChildId::new(format!("w{number}"))?, "probe");
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.stall_after = STALL_AFTER;
        }
        children.push(Arc::new(child));
    }
    let group = ChildSpec::supervisor(ChildId::new("group")?, SupervisorSpec::default());
    children.push(Arc::new(group));
    Ok(TreeSpec {
        name: "stalls".to_owned(),
        test: true,
        root: SupervisorSpec {
            intensity: 9,
            children,
            ..SupervisorSpec::default()
        },
    })
}

async fn measure(kernel: &Kernel) -> Result<[Duration; 4]> {
    let path = |id: &str| -> Result<ActorPath> { Ok(ActorPath::root().child(&ChildId::new(id)?)) };
    let stuck = Instant::now();
    for number in 0..THREADS {
        kernel
            .tell(&path(&format!("w{number}"))?, json!({ "busy": BUSY }))
            .await?;
    }
    // Both threads have taken theirs by then: until the stall is seen, nobody else runs.
    sleep(STALL_AFTER / 4).await;

    let since = Instant::now();
    kernel.tree(None).context("the kernel is there")?;
    let tree = since.elapsed();

    let group = path("group")?;
    let slot = kernel
        .registry()
        .get(&group)
        .context("the group is there")?;
    let since = Instant::now();
    kernel.kill(&group, None).await?;
    let kill = since.elapsed();
    while slot.incarnation() < 2 {
        tokio::task::yield_now().await;
    }
    let restart = since.elapsed();

    let innocent = path(&format!("w{THREADS}"))?;
    kernel
        .ask(&innocent, json!({ "count": null }), Duration::from_secs(10))
        .await?;
    let Some(again) = stuck.elapsed().checked_sub(STALL_AFTER) else {
        bail!("a work thread was free");
    };
    Ok([tree, kill, restart, again])
}
