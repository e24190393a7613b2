//! Numbered messages that a run adds, to find out what is lost, doubled or overtaken.
//!
//! They go to the probes of the tree, or where it has none to four of its own. A probe says of each `count` how many messages its
//! slot ever took in hand before it: a serial number. One message in four is only told, so that it can be doubled on its way. At
//! the end the serial numbers must have gone on by just as many as were sent. What faults of the run dropped or added on purpose
//! is known, and left out of that.
//!
//! Whoever else sends to a probe meanwhile makes it look as if messages were doubled.

mod tally;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec};
use unity_supervisors::{ActorPath, ChildId, Kernel, KernelError, NoAnswer, SlotState};

pub use self::tally::Counts;
use self::tally::{Fate, Tally};
use super::run::Meddled;

/// The supervisor of the probes that a run adds to a tree that has none.
pub const OWN: &str = "chaos-traffic";
/// How many those are.
const OWN_PROBES: usize = 4;
/// To how many probes is sent.
const PROBES_MAX: usize = 64;
/// How long a message may take to be taken, and to be answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Time between two bursts of messages.
const BURST: Duration = Duration::from_millis(20);
/// Messages in a burst to one probe; the last of them is only told.
const BURST_LEN: u64 = 4;
/// Messages to one probe that may be under way.
const OPEN_MAX: usize = 256;

/// The messages of one run.
#[derive(Debug)]
pub struct Traffic {
    kernel: Kernel,
    lines: Vec<Line>,
    /// The supervisor that it added.
    own: Option<ActorPath>,
}

/// Those to one probe.
#[derive(Debug)]
struct Line {
    path: ActorPath,
    serial: u64,
    tally: Mutex<Tally>,
}

impl Traffic {
    /// Finds who is sent to, or adds probes of its own to a tree that has none.
    pub async fn begin(kernel: &Kernel) -> Self {
        let mut paths = probes(kernel);
        let mut own = None;
        if paths.is_empty() {
            own = add_own(kernel).await;
            paths = probes(kernel);
        }
        let lines = join_all(paths.into_iter().map(|path| Line::begin(kernel, path))).await;
        Self {
            kernel: kernel.clone(),
            lines: lines.into_iter().flatten().collect(),
            own,
        }
    }

    /// Sends until `over` says so or is gone, and waits for all answers.
    pub async fn run(&self, over: watch::Receiver<bool>) {
        let lines = self.lines.iter();
        join_all(lines.map(|line| line.run(&self.kernel, over.clone()))).await;
    }

    /// What became of them so far.
    #[must_use]
    pub fn counts(&self, meddled: &Meddled) -> Counts {
        let mut all = Counts::default();
        for line in &self.lines {
            let (dropped, added) = (meddled.dropped(&line.path), meddled.added(&line.path));
            let its = line.tally.lock().judged(dropped, added);
            all.sent += its.sent;
            all.in_hand += its.in_hand;
            all.dropped += its.dropped;
            all.lost += its.lost;
            all.doubled += its.doubled;
            all.out_of_order += its.out_of_order;
        }
        all
    }

    /// Whether it had to add somebody to send to.
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Removes what it added.
    pub async fn end(&self) {
        if self.own.is_some() {
            remove_own(&self.kernel).await;
        }
    }
}

/// Removes the probes that a run added, if they are there.
pub async fn remove_own(kernel: &Kernel) {
    let Some(path) = own_path() else { return };
    if kernel.registry().get(&path).is_none() {
        return;
    }
    // One that is down already cannot be stopped.
    drop(kernel.stop(&path).await);
    if let Err(error) = kernel.delete(&path).await {
        tracing::warn!(%path, %error, "the probes that a chaos run added cannot be removed");
    }
}

/// Where the probes are that a run adds.
#[must_use]
pub fn own_path() -> Option<ActorPath> {
    Some(ActorPath::root().child(&ChildId::new(OWN).ok()?))
}

async fn add_own(kernel: &Kernel) -> Option<ActorPath> {
    let probe = |number: usize| {
        let id = ChildId::new(format!("p{number}")).ok()?;
        Some(Arc::new(ChildSpec::worker(id, "probe")))
    };
    let supervisor = SupervisorSpec {
        // Room for a storm: what the run adds is not what it is to spare.
        intensity: 100,
        period: Duration::from_secs(1),
        children: (1..=OWN_PROBES).filter_map(probe).collect(),
        ..SupervisorSpec::default()
    };
    let child = ChildSpec::supervisor(ChildId::new(OWN).ok()?, supervisor);
    match kernel.spawn(&ActorPath::root(), child).await {
        Ok(_) => own_path(),
        Err(error) => {
            tracing::warn!(%error, "a chaos run has nobody to send messages to: it cannot say what is lost");
            None
        }
    }
}

/// Those that run, but for the kernel's own.
fn probes(kernel: &Kernel) -> Vec<ActorPath> {
    let is_probe = |path: &ActorPath| {
        kernel.registry().get(path).is_some_and(|slot| {
            let spec = slot.spec();
            let worker = spec.as_worker();
            slot.state() == SlotState::Running && worker.is_some_and(|its| its.kind == "probe")
        })
    };
    let paths = kernel.registry().paths().into_iter();
    let probes = paths.filter(|path| !path.is_system() && is_probe(path));
    probes.take(PROBES_MAX).collect()
}

impl Line {
    /// One to a probe that answers; its first answer is what all others are counted from.
    async fn begin(kernel: &Kernel, path: ActorPath) -> Option<Self> {
        let slot = kernel.registry().get(&path)?;
        let Fate::Answered(first) = ask(kernel, &path).await else {
            return None;
        };
        let serial = slot.serial();
        let mut tally = Tally::new(first, slot.retried());
        tally.take(Fate::Answered(first), false);
        let tally = Mutex::new(tally);
        Some(Self {
            path,
            serial,
            tally,
        })
    }

    async fn run(&self, kernel: &Kernel, mut over: watch::Receiver<bool>) {
        let mut open: FuturesOrdered<BoxFuture<'_, Fate>> = FuturesOrdered::new();
        let mut beat = interval(BURST);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // Whoever would say so may be gone.
                _ = over.wait_for(|is_over| *is_over) => break,
                Some(fate) = open.next() => self.take(kernel, fate),
                _ = beat.tick() => if open.len() < OPEN_MAX {
                    self.tally.lock().sent(BURST_LEN);
                    for _ in 1..BURST_LEN {
                        open.push_back(ask(kernel, &self.path).boxed());
                    }
                    open.push_back(tell(kernel, &self.path).boxed());
                },
            }
        }
        while let Some(fate) = open.next().await {
            self.take(kernel, fate);
        }
        self.tally.lock().sent(1);
        let last = ask(kernel, &self.path).await;
        self.take(kernel, last);
        if matches!(last, Fate::Answered(_)) {
            let slot = kernel.registry().get(&self.path);
            let tried = slot.map_or(0, |slot| slot.retried());
            self.tally.lock().complete(tried);
        }
    }

    fn take(&self, kernel: &Kernel, fate: Fate) {
        let slot = kernel.registry().get(&self.path);
        let is_other = slot.is_none_or(|slot| slot.serial() != self.serial);
        self.tally.lock().take(fate, is_other);
    }
}

async fn ask(kernel: &Kernel, path: &ActorPath) -> Fate {
    let asked = kernel.ask(path, json!({ "count": null }), ANSWERED_WITHIN);
    match asked.await {
        Ok(answer) => {
            let serial = answer.get("total").and_then(Value::as_u64);
            serial.map_or(Fate::Lost, Fate::Answered)
        }
        Err(KernelError::NoAnswer { error, .. }) => match error {
            NoAnswer::Crashed(_) => Fate::InHand,
            NoAnswer::DeadLetter(why) if why == DeadReason::Fault.as_str() => Fate::Dropped,
            _ => Fate::Lost,
        },
        Err(_) => Fate::Refused,
    }
}

async fn tell(kernel: &Kernel, path: &ActorPath) -> Fate {
    let told = kernel.tell(path, json!({ "echo": null }));
    match timeout(ANSWERED_WITHIN, told).await {
        Ok(Ok(())) => Fate::Told,
        _ => Fate::Refused,
    }
}
