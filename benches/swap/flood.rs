//! One child that is changed 1,000 times a second while messages flood it: none is lost, none comes twice, none overtakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use unity_kernel::boot::{BootOptions, boot};
use unity_supervisors::reload::How;
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, Address, Apply, ChildId, Context, Exit, Kernel, Message, Mode, Next, Reply,
    Start,
};

use super::verdict::report;

const SWAPS_A_SECOND: u32 = 1_000;
const LASTS: Duration = Duration::from_secs(5);
const SENDERS: usize = 2;
/// How late the last swap may be, as a part of the whole time.
const LATE_MAX: f64 = 0.01;
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// What a counter is configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CounterSettings {
    number: u64,
    /// Whether it wants a restart for new settings.
    restarts: bool,
}

/// What a counter is told.
#[derive(Debug, Message)]
enum CounterMessage {
    /// The next message of a sender.
    Count(Counted),
    /// All that was sent before is handled: which settings it goes by.
    Number(Reply<u64>),
}

/// The number of a message, counted by its sender.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Counted {
    sender: usize,
    number: u64,
}

/// What all lives of the counter have seen.
#[derive(Debug, Default)]
struct Seen {
    /// The next number of each sender.
    next: [AtomicU64; SENDERS],
    /// Messages that came before or after their turn: lost, doubled, or in another order.
    wrong: AtomicU64,
    /// Changes that it took as it ran.
    applied: AtomicU64,
    starts: AtomicU64,
}

struct Counter {
    number: u64,
    seen: Arc<Seen>,
}

impl Actor for Counter {
    type Message = CounterMessage;
    type Settings = CounterSettings;

    async fn start(
        settings: &CounterSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let seen = ctx.kernel().shared::<Seen>();
        seen.starts.fetch_add(1, Ordering::Relaxed);
        Ok(Start::Running(Self {
            number: settings.number,
            seen,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut CounterMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            CounterMessage::Count(it) => {
                let next = self.seen.next.get(it.sender);
                let wanted = next.map(|next| next.swap(it.number + 1, Ordering::Relaxed));
                if wanted != Some(it.number) {
                    self.seen.wrong.fetch_add(1, Ordering::Relaxed);
                }
            }
            CounterMessage::Number(reply) => reply.send(self.number),
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &CounterSettings, _: &mut Context<Self>) -> Apply {
        if new.restarts {
            return Apply::Restart;
        }
        self.number = new.number;
        self.seen.applied.fetch_add(1, Ordering::Relaxed);
        Apply::Applied
    }
}

/// How the child is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Live,
    ByRestart,
}

pub(super) fn run() -> Result<bool> {
    report(
        "| one child under a flood | changes | changes/s | limit | messages | messages/s | lost, doubled or out of order |\n\
         |---|---|---|---|---|---|---|",
    );
    let mut holds = true;
    for way in [Way::Live, Way::ByRestart] {
        holds &= flood(way)?;
    }
    Ok(holds)
}

/// What a flood came to.
struct Flood {
    swaps: u32,
    took: Duration,
    sent: u64,
    wrong: u64,
}

fn flood(way: Way) -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("uk-flood-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let running = boot(BootOptions {
        kinds: unity_actors::kinds().with::<Counter>("counter", "counts what it is told"),
        socket: Some(folder.join("uk.sock")),
        data_dir: Some(folder.join("data")),
        ..BootOptions::new(TreeSpec {
            name: "flood".to_owned(),
            test: true,
            root: root(0, way)?,
        })
    })?;
    ensure!(running.booted() == Mode::Normal, "its tree did not come up");
    let outside = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    let flood = outside.block_on(measure(running.kernel(), way));
    running.shutdown();
    std::fs::remove_dir_all(&folder)?;
    let flood = flood?;
    let seconds = flood.took.as_secs_f64();
    let rate = f64::from(flood.swaps) / seconds;
    let (name, limit, least) = match way {
        Way::Live => (
            "taken as it runs",
            format!("{SWAPS_A_SECOND}"),
            f64::from(SWAPS_A_SECOND) * (1.0 - LATE_MAX),
        ),
        Way::ByRestart => ("by a restart", "–".to_owned(), 0.0),
    };
    let (sent, wrong) = (flood.sent, flood.wrong);
    report(&format!(
        "| {name} | {} | {rate:.0} | {limit} | {sent} | {:.0} | {wrong} |",
        flood.swaps,
        sent as f64 / seconds,
    ));
    Ok(rate >= least && wrong == 0)
}

fn root(number: u32, way: Way) -> Result<SupervisorSpec> {
    let mut child = ChildSpec::worker(ChildId::new("counter")?, "counter");
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!({ "number": number, "restarts": way == Way::ByRestart });
    }
    Ok(SupervisorSpec {
        children: vec![Arc::new(child)],
        ..SupervisorSpec::default()
    })
}

async fn measure(kernel: &Kernel, way: Way) -> Result<Flood> {
    let path = ActorPath::root().child(&ChildId::new("counter")?);
    let counter: Address<CounterMessage> = kernel.address(&path).context("it is a counter")?;
    let seen = kernel.shared::<Seen>();
    let since = Instant::now();
    let swapping = async {
        let swaps = swap(kernel, way, since).await?;
        anyhow::Ok((swaps, since.elapsed()))
    };
    let (swapped, first, second) = tokio::join!(
        swapping,
        send(counter.clone(), 0, since),
        send(counter.clone(), 1, since),
    );
    let ((swaps, took), sent) = (swapped?, [first?, second?]);
    let number = timeout(
        ENDS_WITHIN,
        counter.ask(ENDS_WITHIN, CounterMessage::Number),
    )
    .await??;
    ensure!(number == u64::from(swaps), "the last change is in force");
    let (applied, starts) = (&seen.applied, &seen.starts);
    let changed = match way {
        Way::Live => applied.load(Ordering::Relaxed),
        Way::ByRestart => starts.load(Ordering::Relaxed) - 1,
    };
    ensure!(changed == u64::from(swaps), "each change reached the actor");
    for (next, sent) in seen.next.iter().zip(sent) {
        let next = next.load(Ordering::Relaxed);
        ensure!(next == sent, "{next} of {sent} messages were handled");
    }
    Ok(Flood {
        swaps,
        took,
        sent: sent.iter().sum(),
        wrong: seen.wrong.load(Ordering::Relaxed),
    })
}

/// Changes the child at the pace of the row; by restarts as fast as it goes.
async fn swap(kernel: &Kernel, way: Way, since: Instant) -> Result<u32> {
    let mut pace = interval(Duration::from_secs(1) / SWAPS_A_SECOND);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let planned = u32::try_from(LASTS.as_secs())? * SWAPS_A_SECOND;
    let mut swaps = 0;
    while match way {
        Way::Live => swaps < planned,
        Way::ByRestart => since.elapsed() < LASTS,
    } {
        if way == Way::Live {
            pace.tick().await;
        }
        swaps += 1;
        let changes = kernel.reload(root(swaps, way)?).await?;
        let how = changes.first().map(|change| change.how);
        let wanted = match way {
            Way::Live => How::Live,
            Way::ByRestart => How::Restart,
        };
        ensure!(how == Some(wanted), "change {swaps} came to {how:?}");
    }
    Ok(swaps)
}

/// Sends numbered messages without a pause, each as soon as there is room; how many.
async fn send(counter: Address<CounterMessage>, sender: usize, since: Instant) -> Result<u64> {
    let mut number = 0;
    while since.elapsed() < LASTS {
        counter
            .tell(CounterMessage::Count(Counted { sender, number }))
            .await?;
        number += 1;
        if number % 256 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(number)
}
