//! The dispatcher: runs jobs, each an event and a handler, in five tiers of supervised workers.
//!
//! An actor registers a handler with [`EventJobs::on_event_job`]. Its events become jobs that wait in the [`Dispatcher`], which
//! all workers of a kernel share, until a worker of their tier is free. So a handler that takes its time holds up neither its
//! actor nor the publisher, and what is urgent never waits behind what is not.
//!
//! Promises: the jobs of one subscription are begun in order and one at a time, unless it asks for more at a time; the
//! subscriptions of a tier take turns. Queues are bounded. They outlive workers, tiers and `/system/dispatcher` itself: a
//! kill of any loses at most the job in hand, and of a durable subscription not even that. A job that crashes takes its worker with it and
//! nothing else; one that takes longer than its timeout is dropped at its next await. Either is a dead letter, or is
//! tried again where the subscription is durable, at most [`POISON_AFTER`](unity_supervisors::bus::POISON_AFTER) times. All that a job does, it does in the
//! name of the life that registered it, and it ends with that life.
//!
//! Left out on purpose: an order between tiers of one subscription (what is more urgent overtakes), and aging between them:
//! each tier has its own workers.
//!
//! Critical workers have a thread each, so that they do not wait for a thread that runs other jobs. A core is what they may
//! still wait for, some milliseconds where the system lets whoever runs have its slice: so the workers of other tiers
//! let it go between two jobs while a critical one waits. Considered: one thread for all four, on which a handler that
//! computes would hold up the others; a higher priority of the thread, which takes rights that a person's program has not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use unity_supervisors::bus::{Delivery, OnBehalf};
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::priority::LANES;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, Template};
use unity_supervisors::{ActorPath, ChildId, Down, Kinds, Priority};

mod crew;
mod in_hand;
mod lines;
mod queue;
mod worker;

use self::in_hand::InHand;
pub use self::lines::{LINE_LEN_MAX, TIER_LEN_MAX};
use self::lines::{Lines, NoPlace, Ticket};
use self::queue::Handler;
pub use self::queue::{EventJobs, JobError, JobOptions, TIMEOUT};

/// Where it lives; each tier below under its name.
pub const PATH: &str = "/system/dispatcher";
/// How many workers the tiers have unless they are told otherwise, most urgent first.
pub const SIZES: [usize; LANES] = [4, 8, 16, 4, 2];
/// How many workers a tier may have.
pub const SIZE_MAX: usize = 256;
/// More restarts within a second than there can be: whatever crashes, a tier does not give up. OTP has no word for "never".
const INTENSITY: u32 = 1_000_000;

/// The kinds with those of the dispatcher.
#[must_use]
pub fn with_kinds(kinds: Kinds) -> Kinds {
    kinds
        .with::<worker::Worker>(worker::KIND, "does the jobs of a tier")
        .with_service::<crew::Crew>(crew::KIND, "sees that each tier has its workers")
}

/// The child of `/system` that it is: a supervisor of five, each of its workers.
///
/// # Panics
/// Never: the ids are some.
#[must_use]
pub fn child() -> ChildSpec {
    let id = |text: &str| ChildId::new(text).expect("a plain word is an id");
    let unending = |spec: SupervisorSpec| SupervisorSpec {
        intensity: INTENSITY,
        period: std::time::Duration::from_secs(1),
        ..spec
    };
    let tier = |tier: Priority| {
        let template = Template {
            child: worker::child(tier),
            max_children: Some(SIZE_MAX),
        };
        let spec = SupervisorSpec {
            template: Some(Arc::new(template)),
            ..SupervisorSpec::default()
        };
        ChildSpec::supervisor(id(tier.as_str()), unending(spec))
    };
    let mut children: Vec<Arc<ChildSpec>> = Priority::ALL.map(|each| Arc::new(tier(each))).into();
    children.push(Arc::new(ChildSpec::worker(id("crew"), crew::KIND)));
    let spec = SupervisorSpec {
        children,
        ..SupervisorSpec::default()
    };
    ChildSpec::supervisor(id("dispatcher"), unending(spec))
}

/// Where a tier lives.
fn path_of(tier: Priority) -> Option<ActorPath> {
    format!("{PATH}/{}", tier.as_str()).parse().ok()
}

/// What waits, what runs, and what was counted: shared by all workers of a kernel, and there before and after each of them.
/// Found with [`Kernel::shared`](unity_supervisors::Kernel::shared).
pub struct Dispatcher {
    state: Mutex<State>,
    /// Wakes a worker of a tier.
    wakes: [Notify; LANES],
    /// How many critical jobs wait, for who is about to take another.
    critical: AtomicUsize,
    /// A tier has other workers, or is to have.
    crew_changed: Notify,
}

struct State {
    lines: Lines<Job>,
    subscriptions: BTreeMap<u64, Arc<Subscription>>,
    tiers: [Tier; LANES],
}

/// A job that waits or runs.
struct Job {
    delivery: Delivery,
    tier: Priority,
    since: Instant,
    subscription: Arc<Subscription>,
}

/// What all jobs of one subscription have in common.
struct Subscription {
    behalf: OnBehalf,
    pattern: String,
    handler: Handler,
    timeout: std::time::Duration,
    /// A job was begun: there is room for one more.
    room: Notify,
}

#[derive(Default)]
struct Tier {
    size: usize,
    /// The workers that live, and which life of theirs.
    crew: BTreeMap<ActorPath, u64>,
    counts: Counts,
    waits: Times,
    runs: Times,
}

/// What became of the jobs of a tier since the kernel started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Their handler returned.
    pub done: u64,
    /// They crashed, or their worker was killed.
    pub failed: u64,
    /// They took too long.
    pub timed_out: u64,
    /// There was no room for them.
    pub refused: u64,
    /// They ended with the life that had registered them.
    pub dropped: u64,
}

/// A tier, as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierStats {
    /// Which.
    pub tier: Priority,
    /// How many workers it is to have.
    pub size: usize,
    /// How many it has.
    pub workers: usize,
    /// How many jobs run.
    pub busy: usize,
    /// How many jobs wait.
    pub queued: usize,
    /// What became of the others.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long jobs waited, in microseconds.
    pub wait_us: Span,
    /// How long they ran.
    pub run_us: Span,
}

/// Many times, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// On average.
    pub mean: u64,
    /// The longest.
    pub max: u64,
}

/// Sums up times.
#[derive(Default)]
struct Times {
    count: u64,
    sum_us: u64,
    max_us: u64,
}

impl Times {
    fn note(&mut self, since: Instant) {
        let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
    }

    fn span(&self) -> Span {
        Span {
            mean: self.sum_us.checked_div(self.count).unwrap_or_default(),
            max: self.max_us,
        }
    }
}

/// A subscription whose jobs wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineStats {
    /// Whose.
    pub path: ActorPath,
    /// To what.
    pub pattern: String,
    /// How many jobs wait.
    pub queued: usize,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").finish_non_exhaustive()
    }
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self::new(SIZES)
    }
}

impl Dispatcher {
    /// One whose tiers have so many workers, most urgent first.
    #[must_use]
    pub fn new(sizes: [usize; LANES]) -> Self {
        let tiers = sizes.map(|size| Tier {
            size: size.clamp(1, SIZE_MAX),
            ..Tier::default()
        });
        let state = State {
            lines: Lines::default(),
            subscriptions: BTreeMap::new(),
            tiers,
        };
        Self {
            state: Mutex::new(state),
            wakes: Default::default(),
            critical: AtomicUsize::new(0),
            crew_changed: Notify::new(),
        }
    }

    /// Has the tiers have so many workers from now on, most urgent first. Those that are too many go when they are idle.
    pub fn set_sizes(&self, sizes: [usize; LANES]) {
        {
            let mut state = self.state.lock();
            for (tier, size) in state.tiers.iter_mut().zip(sizes) {
                tier.size = size.clamp(1, SIZE_MAX);
            }
        }
        for wake in &self.wakes {
            wake.notify_waiters();
        }
        self.crew_changed.notify_one();
    }

    /// The tiers as they are, most urgent first.
    #[must_use]
    pub fn stats(&self) -> Vec<TierStats> {
        let state = self.state.lock();
        let tiers = Priority::ALL.into_iter().zip(&state.tiers);
        let stats = tiers.map(|(priority, tier)| {
            let (queued, busy) = state.lines.counts(priority as usize);
            TierStats {
                tier: priority,
                size: tier.size,
                workers: tier.crew.len(),
                busy,
                queued,
                counts: tier.counts,
                wait_us: tier.waits.span(),
                run_us: tier.runs.span(),
            }
        });
        stats.collect()
    }

    /// The subscriptions of which jobs wait, those with most first.
    #[must_use]
    pub fn waiting(&self) -> Vec<LineStats> {
        let mut all: Vec<LineStats> = {
            let state = self.state.lock();
            let lines = state.subscriptions.iter().map(|(id, its)| LineStats {
                path: its.behalf.path().clone(),
                pattern: its.pattern.clone(),
                queued: state.lines.len(*id),
            });
            lines.filter(|line| line.queued > 0).collect()
        };
        all.sort_by(|one, other| {
            other
                .queued
                .cmp(&one.queued)
                .then_with(|| one.path.cmp(&other.path))
        });
        all
    }

    fn open(&self, subscription: Arc<Subscription>, concurrency: usize) -> u64 {
        let mut state = self.state.lock();
        let line = state.lines.open(concurrency);
        state.subscriptions.insert(line, subscription);
        line
    }

    /// The life that registered it is over: what waited goes to the next one where it is kept in a stream, and is a dead
    /// letter where it is not.
    fn close(&self, line: u64, down: &Down) {
        let (subscription, jobs) = {
            let subscription = self.state.lock().subscriptions.remove(&line);
            (subscription, self.change(|lines| lines.close(line)))
        };
        if let Some(subscription) = subscription {
            subscription.room.notify_waiters();
        }
        let why = match down.reason.kind.is_clean() {
            true => DeadReason::Stopped,
            false => DeadReason::DroppedAtRestart,
        };
        for job in jobs {
            self.count(job.tier, |counts| counts.dropped += 1);
            if !job.delivery.has_receipt() {
                job.subscription
                    .behalf
                    .bury(job.delivery, why, Some(&down.reason));
            }
        }
    }

    fn put(&self, line: u64, job: Job) -> Result<(), NoPlace<Job>> {
        let tier = job.tier as usize;
        let woken = self.change(|lines| lines.put(line, tier, job))?;
        self.wake(woken);
        Ok(())
    }

    /// Changes what waits.
    fn change<T>(&self, change: impl FnOnce(&mut Lines<Job>) -> T) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state.lines);
        self.note_critical(&state.lines);
        changed
    }

    fn note_critical(&self, lines: &Lines<Job>) {
        let (waiting, _) = lines.counts(Priority::Critical as usize);
        self.critical.store(waiting, Ordering::Relaxed);
    }

    fn wake(&self, tier: Option<usize>) {
        if let Some(wake) = tier.and_then(|tier| self.wakes.get(tier)) {
            wake.notify_one();
        }
    }

    /// Ends a job that runs; none if its line was closed meanwhile.
    fn finish(&self, ticket: Ticket, begun: Instant) -> Option<Job> {
        let (job, more) = {
            let mut state = self.state.lock();
            let (job, more) = state.lines.finish(ticket)?;
            if let Some(tier) = state.tiers.get_mut(job.tier as usize) {
                tier.runs.note(begun);
            }
            (job, more)
        };
        self.wake(more);
        Some(job)
    }

    /// Has a job wait again, before all others of its line.
    fn put_back(&self, ticket: Ticket) {
        let change = |job: &mut Job| job.since = Instant::now();
        let woken = self.change(|lines| lines.put_back(ticket, change));
        self.wake(woken);
    }

    fn count(&self, tier: Priority, add: impl FnOnce(&mut Counts)) {
        if let Some(tier) = self.state.lock().tiers.get_mut(tier as usize) {
            add(&mut tier.counts);
        }
    }

    /// A worker of a tier begins to live.
    fn enter(&self, tier: Priority, path: &ActorPath, incarnation: u64) {
        let mut state = self.state.lock();
        if let Some(tier) = state.tiers.get_mut(tier as usize) {
            tier.crew.insert(path.clone(), incarnation);
        }
    }

    /// It ends; the next life of its slot may have begun already.
    fn leave(&self, tier: Priority, path: &ActorPath, incarnation: u64) {
        {
            let mut state = self.state.lock();
            if let Some(tier) = state.tiers.get_mut(tier as usize)
                && tier.crew.get(path) == Some(&incarnation)
            {
                tier.crew.remove(path);
            }
        }
        self.crew_changed.notify_one();
    }

    /// How many workers a tier is to have, and how many live.
    fn crew(&self, tier: Priority) -> (usize, usize) {
        let state = self.state.lock();
        let tier = state.tiers.get(tier as usize);
        tier.map_or((0, 0), |tier| (tier.size, tier.crew.len()))
    }

    /// Waits for the next job of a tier; `None` if the tier has more workers than it is to have, of which this one goes.
    async fn next(self: &Arc<Self>, tier: Priority, worker: &ActorPath) -> Option<InHand> {
        let wake = self.wakes.get(tier as usize)?;
        loop {
            let mut woken = std::pin::pin!(wake.notified());
            woken.as_mut().enable();
            if tier != Priority::Critical && self.critical.load(Ordering::Relaxed) > 0 {
                // The thread that is to do it may wait for this core.
                std::thread::yield_now();
            }
            match self.take(tier, worker) {
                Taken::Job(job) => return Some(job),
                Taken::Nothing => woken.await,
                Taken::Surplus => return None,
            }
        }
    }

    fn take(self: &Arc<Self>, priority: Priority, worker: &ActorPath) -> Taken {
        let mut state = self.state.lock();
        let State { lines, tiers, .. } = &mut *state;
        let Some(tier) = tiers.get_mut(priority as usize) else {
            return Taken::Nothing;
        };
        if tier.crew.len() > tier.size {
            tier.crew.remove(worker);
            return Taken::Surplus;
        }
        let Some((ticket, more)) = lines.take(priority as usize) else {
            return Taken::Nothing;
        };
        let Some(job) = lines.running(ticket) else {
            return Taken::Nothing;
        };
        tier.waits.note(job.since);
        let in_hand = InHand::new(self, ticket, job);
        self.note_critical(lines);
        drop(state);
        self.wake(more);
        in_hand.has_room();
        Taken::Job(in_hand)
    }
}

/// What a worker gets that asks for its next job.
enum Taken {
    Job(InHand),
    Nothing,
    /// There are too many workers.
    Surplus,
}
