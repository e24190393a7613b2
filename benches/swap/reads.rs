//! What reading settings costs, through the handle that an actor has, beside a plain `Arc`.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::Instant;
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{ChildId, Kernel, KernelConfig, Kinds, Runtimes};

use super::subject::{self, KIND, SensorSettings};
use super::verdict::report;

const ROUNDS: usize = 101;
const READS: u32 = 1_000_000;
const RATIO_MAX: f64 = 2.0;

pub(super) fn run() -> Result<bool> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let config = KernelConfig::new(Runtimes::current(), subject::kinds(Kinds::new()), 1);
        let kernel = Kernel::start(config, tree()?).await?;
        kernel.booted().await;
        let holds = measure(&kernel);
        kernel.shutdown().await;
        holds
    })
}

fn tree() -> Result<TreeSpec> {
    let mut child = ChildSpec::worker(ChildId::new("it")?, KIND);
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!({ "value": 1 });
    }
    Ok(TreeSpec {
        name: "reads".to_owned(),
        test: true,
        root: SupervisorSpec {
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        },
    })
}

/// By turns, so that noise meets both.
fn measure(kernel: &Kernel) -> Result<bool> {
    let handed = subject::sights(kernel).handle.lock().take();
    let mut handle = handed.context("the actor has handed out its handle")?;
    let mut plain = Arc::clone(handle.get());
    let (mut through_arc, mut through_handle) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        through_arc.push(nanoseconds(|| black_box(&mut plain).value));
        through_handle.push(nanoseconds(|| value(black_box(&mut handle).get())));
    }
    let ratios = through_arc.iter().zip(&through_handle);
    let ratio = median(ratios.map(|(arc, handle)| handle / arc).collect());
    let (arc, handle) = (median(through_arc), median(through_handle));
    report(&format!(
        "| reading settings | a plain `Arc` | the handle | ratio | limit |\n|---|---|---|---|---|\n\
         | one read, median | {arc:.2} ns | {handle:.2} ns | {ratio:.2} | {RATIO_MAX:.2} |\n"
    ));
    Ok(ratio <= RATIO_MAX)
}

fn value(settings: &SensorSettings) -> u64 {
    settings.value
}

/// Of one read. The compiler knows neither where the value is nor what it was before.
fn nanoseconds(mut read: impl FnMut() -> u64) -> f64 {
    let since = Instant::now();
    let mut sum = 0_u64;
    for _ in 0..READS {
        sum = sum.wrapping_add(read());
    }
    black_box(sum);
    since.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let median = samples.get(samples.len() / 2).copied();
    median.unwrap_or(f64::NAN)
}
