//! `cargo bench --bench large`: what one child costs among 100,000, beside one among 10.
//!
//! Boots a kernel of each size and measures the child in the middle, on both alternately: the tree of its path,
//! from a kill until it runs again, and a restart. Prints medians and their ratio; ends with exit code 1 when a
//! ratio is above its limit. Actors run on two threads, supervisors on a third, as in `uk`.

#[path = "verdict.rs"]
mod verdict;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::time::Instant;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, Kernel, KernelConfig, Kinds, Next, NoMessage,
    Runtimes, Slot, SlotState, Start,
};

use self::verdict::report;

const SIZES: [usize; 2] = [10, 100_000];
const ROUNDS: usize = 200;
const WARM_UP_ROUNDS: usize = 20;
const RATIO_MAX: f64 = 2.0;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoSettings {}

struct Idle;

impl Actor for Idle {
    type Message = NoMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut NoMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match *message {}
    }
}

/// A kernel, and its child in the middle.
struct Subject {
    kernel: Kernel,
    path: ActorPath,
    slot: Arc<Slot>,
    /// Told of each start in the kernel.
    started: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Operation {
    Tree,
    Kill,
    Restart,
}

impl Operation {
    const ALL: [Self; 3] = [Self::Tree, Self::Kill, Self::Restart];

    fn title(self) -> &'static str {
        match self {
            Self::Tree => "tree of one path",
            Self::Kill => "kill until it runs again",
            Self::Restart => "restart",
        }
    }
}

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let work = runtime(2)?;
    let control = runtime(1)?;
    let [small, large] = SIZES;
    let subjects = [
        work.block_on(Subject::open(small, control.handle()))?,
        work.block_on(Subject::open(large, control.handle()))?,
    ];
    report(&format!(
        "| one child of | {small} | {large} | ratio | limit |\n|---|---|---|---|---|"
    ));
    let mut holds = true;
    for operation in Operation::ALL {
        let measuring = measure(subjects.each_ref(), operation);
        let [small, large] = work.block_on(measuring)?.map(median_us);
        let ratio = large / small;
        report(&format!(
            "| {} | {small:.1} µs | {large:.1} µs | {ratio:.2} | {RATIO_MAX:.2} |",
            operation.title()
        ));
        holds &= ratio <= RATIO_MAX;
    }
    for subject in &subjects {
        work.block_on(subject.kernel.shutdown());
    }
    Ok(holds)
}

fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    Ok(builder.worker_threads(threads).enable_time().build()?)
}

/// On both alternately, so that noise meets both.
async fn measure(subjects: [&Subject; 2], operation: Operation) -> Result<[Vec<Duration>; 2]> {
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            let took = subject.take(operation).await?;
            if round >= WARM_UP_ROUNDS {
                samples.push(took);
            }
        }
    }
    Ok(samples)
}

fn median_us(mut samples: Vec<Duration>) -> f64 {
    samples.sort();
    let median = samples.get(samples.len() / 2).copied();
    median.unwrap_or_default().as_secs_f64() * 1e6
}

impl Subject {
    async fn open(size: usize, control: &Handle) -> Result<Self> {
        let child = |number| Ok(Arc::new(ChildSpec::worker(child_id(number)?, "idle")));
        let tree = TreeSpec {
            name: "bench".to_owned(),
            test: true,
            root: SupervisorSpec {
                intensity: 1_000_000,
                children: (0..size).map(child).collect::<Result<_>>()?,
                ..SupervisorSpec::default()
            },
        };
        let started = Arc::new(Notify::new());
        let hears = Arc::clone(&started);
        let runtimes = Runtimes {
            control: control.clone(),
            ..Runtimes::current()
        };
        let kinds = Kinds::new().with::<Idle>("idle", "waits");
        let config = KernelConfig {
            observer: Some(Arc::new(move |fact| {
                if matches!(fact, Fact::Started { .. }) {
                    hears.notify_one();
                }
            })),
            ..KernelConfig::new(runtimes, kinds, 1)
        };
        let kernel = Kernel::start(config, tree).await?;
        kernel.booted().await;
        let path = ActorPath::root().child(&child_id(size / 2)?);
        let slot = kernel.registry().get(&path).context("the child is there")?;
        Ok(Self {
            kernel,
            path,
            slot,
            started,
        })
    }

    async fn take(&self, operation: Operation) -> Result<Duration> {
        let since = Instant::now();
        match operation {
            Operation::Tree => {
                let tree = self.kernel.tree(Some(&self.path));
                black_box(tree.context("the child is there")?);
            }
            Operation::Kill => {
                let before = self.slot.incarnation();
                self.kernel.kill(&self.path, None).await?;
                self.runs_again(before).await;
            }
            Operation::Restart => {
                let before = self.slot.incarnation();
                self.kernel.restart(&self.path).await?;
                self.runs_again(before).await;
            }
        }
        Ok(since.elapsed())
    }

    async fn runs_again(&self, before: u64) {
        while self.slot.incarnation() == before || self.slot.state() != SlotState::Running {
            self.started.notified().await;
        }
    }
}

fn child_id(number: usize) -> Result<ChildId> {
    Ok(ChildId::new(format!("c{number}"))?)
}
