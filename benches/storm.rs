//! Kills, so many a second, on a kernel with room for them and under load: what came back, what was lost, which tasks are left.
//!
//! Shared by the bench, which takes its time, and a test, which takes a part of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep};
use unity_actors::chaos::plan::Plan;
use unity_actors::chaos::report::Report;
use unity_actors::chaos::runs::{Chaos, Wish};
use unity_actors::chaos::service::{self, ChaosMessage};
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{ChildId, Kernel, KernelConfig, Runtimes, WorkThreads};

/// Supervisors, and workers below each.
const GROUPS: usize = 20;
const WORKERS: usize = 5;
/// Kills a second.
const RATE: &str = "50/s";
/// How long tasks may take to be gone that are about to end.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What a storm came to.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) report: Report,
    /// Tasks that were alive before and after it, in all runtimes.
    pub(crate) tasks: (usize, usize),
}

/// Kills for so long.
pub(crate) fn storm(lasts: Duration) -> Result<Storm> {
    let builder = || {
        let mut builder = Builder::new_multi_thread();
        builder.enable_all();
        builder
    };
    let control = builder().worker_threads(2).build()?;
    let threads = Arc::new(WorkThreads::default());
    let work = threads.build(&mut builder(), 2, 2)?;
    let runtimes = Runtimes {
        control: control.handle().clone(),
        work: work.handle().clone(),
        threads: Some(Arc::clone(&threads)),
    };
    let alive = {
        let handles = [control.handle().clone(), work.handle().clone()];
        move || {
            handles
                .iter()
                .map(|its| Handle::metrics(its).num_alive_tasks())
                .sum()
        }
    };
    let config = KernelConfig {
        service_kinds: service::with_kind(unity_actors::kinds()),
        services: vec![service::child()],
        ..KernelConfig::new(runtimes, unity_actors::kinds(), 7)
    };
    let storm = control.block_on(run(config, lasts, &alive));
    threads.release();
    work.shutdown_background();
    storm
}

async fn run(
    config: KernelConfig,
    lasts: Duration,
    alive: &(dyn Fn() -> usize + Sync),
) -> Result<Storm> {
    let kernel = Kernel::start(config, tree()?).await?;
    kernel.booted().await;
    let before = alive();
    let report = kill(&kernel, lasts).await?;
    let until = Instant::now() + GONE_WITHIN;
    while alive() > before && Instant::now() < until {
        sleep(Duration::from_millis(10)).await;
    }
    let tasks = (before, alive());
    kernel.shutdown().await;
    Ok(Storm { report, tasks })
}

async fn kill(kernel: &Kernel, lasts: Duration) -> Result<Report> {
    let plan: Plan = serde_json::from_value(json!({
        "version": 1,
        "name": "storm",
        "phases": [{
            "name": "storm",
            "for": format!("{}ms", lasts.as_millis()),
            "rate": RATE,
            "faults": [{ "fault": "kill" }],
        }],
        "probes": [{ "permanent_up": { "within": "5s" } }],
    }))?;
    let wish = Wish {
        plan,
        seed: 7,
        above: false,
        source: None,
    };
    let path = service::PATH.parse()?;
    let service = kernel.address::<ChaosMessage>(&path);
    let service = service.context("there is no service for chaos")?;
    let begun = service.ask(GONE_WITHIN, |begun| {
        ChaosMessage::Begin(Box::new(wish), begun)
    });
    let run = begun.await??;
    match kernel.shared::<Chaos>().ended(&run).await {
        Some(report) => Ok(report),
        None => bail!("the run {run} has no report"),
    }
}

/// Groups of probes with a budget that no storm uses up.
fn tree() -> Result<TreeSpec> {
    let group = |number: usize| -> Result<Arc<ChildSpec>> {
        let worker = |number: usize| -> Result<Arc<ChildSpec>> {
            let id = ChildId::new(format!("w{number}"))?;
            Ok(Arc::new(ChildSpec::worker(id, "probe")))
        };
        let supervisor = SupervisorSpec {
            intensity: 1_000,
            children: (0..WORKERS).map(worker).collect::<Result<_>>()?,
            ..SupervisorSpec::default()
        };
        let id = ChildId::new(format!("g{number}"))?;
        Ok(Arc::new(ChildSpec::supervisor(id, supervisor)))
    };
    Ok(TreeSpec {
        name: "storm".to_owned(),
        test: true,
        root: SupervisorSpec {
            children: (0..GROUPS).map(group).collect::<Result<_>>()?,
            ..SupervisorSpec::default()
        },
    })
}
