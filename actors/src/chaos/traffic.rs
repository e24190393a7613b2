//! Numbered messages that a run adds, to find out what is lost, doubled or overtaken.
//!
//! They go to the probes of the tree, or where it has none to four of its own. A probe says of each `count` how many messages its
//! slot ever took in hand before it: a serial number. One message in four is only told, so that it can be doubled on its way. At
//! the end the serial numbers must have gone on by just as many as were sent. What faults of the run dropped or added on purpose
//! is known, and left out of that.
//!
//! Whoever else sends to a probe meanwhile makes it look as if messages were doubled.

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

use super::report::Report;
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

/// What became of the messages of a run, all added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that were accepted.
    pub sent: u64,
    /// Of those that were asked, how many a crash took along: kept as dead letters.
    pub in_hand: u64,
    /// Those that a fault took away on their way.
    pub dropped: u64,
    /// Those that were never heard of again.
    pub lost: u64,
    /// Those that were handled twice, though no fault doubled them.
    pub doubled: u64,
    /// Those that overtook an earlier one.
    pub out_of_order: u64,
}

impl Counts {
    /// Writes them into a report.
    pub fn write(self, report: &mut Report) {
        report.sent = self.sent;
        report.in_hand = self.in_hand;
        report.dropped = self.dropped;
        report.lost = self.lost;
        report.doubled = self.doubled;
        report.out_of_order = self.out_of_order;
    }
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered with this serial number.
    Answered(u64),
    /// Accepted, and nobody is to answer it.
    Told,
    /// A crash took it along: it was in hand, and is a dead letter.
    InHand,
    /// A fault took it away: it is a dead letter.
    Dropped,
    /// It was never accepted.
    Refused,
    /// It was accepted, and nothing was heard of it.
    Lost,
}

/// What is known of the messages to one probe, in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tally {
    counts: Counts,
    /// The serial number of the first.
    first: u64,
    highest: u64,
    /// How many were taken in hand from the first on, as far as is known.
    taken: u64,
    told: u64,
    /// How many are under way.
    open: u64,
    /// Whether the last of all was answered: then the numbers must fit.
    is_complete: bool,
    /// Whether its slot has become another one, which counts anew.
    is_other: bool,
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
        let serial = kernel.registry().get(&path)?.serial();
        let Fate::Answered(first) = ask(kernel, &path).await else {
            return None;
        };
        let mut tally = Tally {
            first,
            ..Tally::default()
        };
        tally.sent(1);
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
        self.tally.lock().is_complete = matches!(last, Fate::Answered(_));
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

impl Tally {
    fn sent(&mut self, count: u64) {
        self.open += count;
    }

    /// Takes what became of the next message.
    fn take(&mut self, fate: Fate, is_other: bool) {
        self.open = self.open.saturating_sub(1);
        if is_other && !self.is_other {
            self.is_other = true;
            self.highest = 0;
        }
        self.counts.sent += u64::from(fate != Fate::Refused);
        match fate {
            Fate::Refused => {}
            Fate::Told => self.told += 1,
            Fate::InHand => {
                self.counts.in_hand += 1;
                self.taken += 1;
            }
            Fate::Dropped => self.counts.dropped += 1,
            // A slot that was removed took along what waited, as dead letters.
            Fate::Lost if self.is_other => self.counts.dropped += 1,
            Fate::Lost => self.counts.lost += 1,
            Fate::Answered(serial) => {
                self.taken += 1;
                self.counts.out_of_order += u64::from(serial < self.highest);
                self.highest = self.highest.max(serial);
            }
        }
    }

    /// The counts, where faults dropped and added so many of all messages to it.
    fn judged(&self, dropped: u64, added: u64) -> Counts {
        let mut counts = self.counts;
        // Who asked heard of it.
        let dropped_told = dropped.saturating_sub(counts.dropped);
        counts.dropped += dropped_told;
        if self.is_complete && !self.is_other {
            let handled = self.highest - self.first + 1;
            let wanted = self.taken + self.told + added;
            counts.doubled = (handled + dropped_told).saturating_sub(wanted);
            counts.lost += wanted.saturating_sub(handled + dropped_told);
        } else {
            // They went with what took them, or the end was not awaited.
            counts.dropped += self.open;
            counts.sent += self.open;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of a message, as a word; an answer is its serial number.
    fn fate(word: &str) -> Fate {
        match word {
            "told" => Fate::Told,
            "in_hand" => Fate::InHand,
            "dropped" => Fate::Dropped,
            "refused" => Fate::Refused,
            "lost" => Fate::Lost,
            serial => Fate::Answered(serial.parse().unwrap()),
        }
    }

    #[test]
    fn fates_are_judged() {
        // What became of those after the first, whose number is 5; what faults dropped and added; lost, doubled, out of order,
        // dropped.
        for (name, fates, (dropped, added), expected) in [
            ("nothing", "", (0, 0), [0, 0, 0, 0]),
            ("all is well", "6 told 8", (0, 0), [0, 0, 0, 0]),
            ("a crash took one", "in_hand 7", (0, 0), [0, 0, 0, 0]),
            ("one was refused", "refused 6", (0, 0), [0, 0, 0, 0]),
            ("one was lost", "lost 6", (0, 0), [1, 0, 0, 0]),
            ("one that was told was lost", "told 6", (0, 0), [1, 0, 0, 0]),
            ("one was handled twice", "7", (0, 0), [0, 1, 0, 0]),
            ("one was overtaken", "7 6", (0, 0), [0, 0, 1, 0]),
            (
                "a fault took one that was asked",
                "dropped 6",
                (1, 0),
                [0, 0, 0, 1],
            ),
            (
                "a fault took one that was told",
                "told 6",
                (1, 0),
                [0, 0, 0, 1],
            ),
            ("a fault doubled one", "told 8", (0, 1), [0, 0, 0, 0]),
            ("a fault and more doubled", "told 9", (0, 1), [0, 1, 0, 0]),
            (
                "a fault took one, one was lost",
                "told told 6",
                (1, 0),
                [1, 0, 0, 1],
            ),
        ] {
            let mut tally = Tally {
                first: 5,
                ..Tally::default()
            };
            for word in ["5"].into_iter().chain(fates.split_whitespace()) {
                tally.sent(1);
                tally.take(fate(word), false);
            }
            tally.is_complete = true;

            let Counts {
                lost,
                doubled,
                out_of_order,
                dropped,
                ..
            } = tally.judged(dropped, added);

            assert_eq!([lost, doubled, out_of_order, dropped], expected, "{name}");
        }
    }

    #[test]
    fn who_is_removed_counts_anew_and_takes_along_what_waits() {
        let mut tally = Tally::default();
        for (fate, is_other) in [
            (Fate::Answered(0), false),
            (Fate::Answered(1), false),
            (Fate::Lost, true),
            (Fate::Answered(0), true),
            (Fate::Answered(1), true),
        ] {
            tally.sent(1);
            tally.take(fate, is_other);
        }
        tally.is_complete = true;

        let counts = tally.judged(0, 0);

        let expected = Counts {
            sent: 5,
            dropped: 1,
            ..Counts::default()
        };
        assert_eq!(counts, expected);
    }
}
