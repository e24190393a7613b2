//! One run of a plan on a kernel: it draws, strikes, watches, undoes, and reports.
//!
//! All time is tokio's and all chance the seed's, so a run on a paused clock is the same each time. Nobody is asked how it is:
//! the kernel's facts tell what goes down and comes up, and slots are read.

mod probes;
mod strike;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch as channel;
use tokio::time::{Instant, sleep_until};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::fault::Undo;
use unity_supervisors::slot::Slot;
use unity_supervisors::{ActorPath, Kernel, Mode};

use self::probes::Probes;
pub use self::strike::{Meddled, Work};
use self::strike::{Open, Strike};
use self::watch::Watched;
use super::plan::{Act, Fault, Phase, Plan, Targets};
use super::report::{Done, OfFault, OfPhase, Outcome, Report, Spread, Told};
use super::target::{Wanted, candidates, nodes};
use crate::duration::DurationText;

/// What is outside of the kernel: its disk, programs, the process itself.
pub trait Outside: Debug + Send + Sync {
    /// Strikes with a fault that the kernel itself knows nothing of. What lasts is undone when what it returns is dropped.
    ///
    /// # Errors
    /// Why that cannot be done here, in words.
    fn strike<'a>(
        &'a self,
        fault: &'a Fault,
        path: Option<&'a ActorPath>,
    ) -> BoxFuture<'a, Result<Option<Undo>, String>>;

    /// How far the last consumer of a stream is behind, in entries; `None` if nobody knows.
    fn lag<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Option<u64>>;

    /// How many bytes of memory the process uses; `None` if nobody knows.
    fn memory(&self) -> Option<u64>;

    /// Hears of each thing that is about to be done.
    fn strikes(&self, _fault: &Fault, _path: Option<&ActorPath>) {}

    /// Hears of each thing that is done.
    fn note(&self, _done: &Done) {}

    /// Hears what a run came to so far that may not come to its end: the kernel is about to be killed, or whoever ran it is
    /// gone. Faults are undone by themselves then; what else is `left` to be undone is to be awaited by somebody.
    fn last_words(&self, _report: Report, _left: Vec<Work>) {}
}

/// What somebody wants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Go on.
    #[default]
    Go,
    /// Strike nobody until it goes on.
    Pause,
    /// Undo all, and end.
    Stop,
}

/// Why a run goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Stopped,
    Broken(String),
}

/// A run under way.
pub struct Run<'a> {
    kernel: &'a Kernel,
    plan: &'a Plan,
    outside: &'a dyn Outside,
    orders: channel::Receiver<Order>,
    seed: u64,
    rng: fastrand::Rng,
    begun: Instant,
    /// For how long it has been at a pause.
    paused: Duration,
    watched: Watched,
    probes: Probes,
    open: Vec<Open>,
    /// What it does besides.
    works: FuturesUnordered<Work>,
    acts: Vec<Done>,
    phases: Vec<OfPhase>,
    recovered: BTreeMap<&'static str, (u64, Vec<Duration>)>,
    kills: u64,
    meddled: Arc<Meddled>,
    started_at: Timestamp,
    is_over: bool,
}

impl Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("plan", &self.plan.name)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// A run of `plan` that begins now.
    #[must_use]
    pub fn new(
        kernel: &'a Kernel,
        plan: &'a Plan,
        seed: u64,
        outside: &'a dyn Outside,
        orders: channel::Receiver<Order>,
    ) -> Self {
        let begun = Instant::now();
        Self {
            kernel,
            plan,
            outside,
            orders,
            seed,
            rng: fastrand::Rng::with_seed(seed),
            begun,
            paused: Duration::ZERO,
            watched: Watched::new(kernel, begun),
            probes: Probes::new(&plan.probes),
            open: Vec::new(),
            works: FuturesUnordered::new(),
            acts: Vec::new(),
            phases: Vec::new(),
            recovered: BTreeMap::new(),
            kills: 0,
            meddled: Arc::default(),
            started_at: kernel.clock().wall(),
            is_over: false,
        }
    }

    /// Has it write down there what its faults do to messages.
    #[must_use]
    pub fn meddling(mut self, meddled: Arc<Meddled>) -> Self {
        self.meddled = meddled;
        self
    }

    /// Runs it to its end, and reports. Whatever lasted is undone by then.
    pub async fn run(mut self) -> Report {
        let end = self.strike_all().await.err();
        // What lasts is over; what went down comes back.
        for open in &mut self.open {
            self.works.extend(open.end(self.kernel));
        }
        let end = match (end, self.settle().await) {
            (None, Err(end)) => Some(end),
            (end, _) => end,
        };
        while let Some(()) = self.works.next().await {}
        self.is_over = true;
        let (outcome, why) = self.outcome(end);
        self.report(outcome, why)
    }

    /// What it came to so far.
    fn report(&mut self, outcome: Outcome, why: Option<String>) -> Report {
        let took = self.begun.elapsed();
        let recovery = self.recovered.values().flat_map(|(_, times)| times);
        let recovery_ms = Spread::of(recovery.copied());
        let not_recovered: BTreeSet<ActorPath> = self
            .open
            .iter()
            .filter_map(|open| open.path().cloned())
            .chain(self.watched.down().cloned())
            .collect();
        let kills_open = self.open.iter().filter(|open| open.is_kill()).count() as u64;
        Report {
            version: 1,
            run: String::new(),
            plan: self.plan.name.clone(),
            kernel: self.kernel.name().to_owned(),
            seed: self.seed,
            told: told(self.plan),
            outcome,
            why,
            started_at: self.started_at,
            took_ms: to_ms(took),
            kills: self.kills,
            recovered: self.kills - kills_open,
            not_recovered: not_recovered.into_iter().collect(),
            recovery_ms,
            faults: of_faults(&self.recovered),
            availability: self.watched.availability(),
            sent: 0,
            in_hand: 0,
            dropped: 0,
            lost: 0,
            doubled: 0,
            out_of_order: 0,
            probes: self.probes.report(),
            above: None,
            gone_ms: None,
            acts: self.acts.clone(),
            down: self.watched.log(),
            phases: self.phases.clone(),
        }
    }

    fn outcome(&self, end: Option<End>) -> (Outcome, Option<String>) {
        match end {
            Some(End::Stopped) => (Outcome::Stopped, Some("it was stopped".to_owned())),
            Some(End::Broken(why)) => (Outcome::Broken, Some(why)),
            None if !self.open.is_empty() || self.watched.down().next().is_some() => {
                let nodes = self.open.iter().filter_map(|open| open.node());
                let nodes: Vec<String> = nodes.map(|node| format!("node `{node}`")).collect();
                let why = match nodes.is_empty() {
                    true => "not all came back".to_owned(),
                    false => format!("not all came back: {}", nodes.join(", ")),
                };
                (Outcome::Failed, Some(why))
            }
            None if self.acts.iter().all(|done| done.refused.is_some()) => {
                let refused = self.acts.iter().find_map(|done| done.refused.clone());
                let why = refused.unwrap_or_else(|| nobody(self.plan).to_owned());
                (Outcome::Idle, Some(why))
            }
            None => (Outcome::Passed, None),
        }
    }

    async fn strike_all(&mut self) -> Result<(), End> {
        self.look().await?;
        let mut acts = self.plan.acts.clone();
        acts.sort_by_key(|act| act.at.0);
        for act in acts {
            self.wait(act.at.0).await?;
            self.act(act).await;
        }
        if self.plan.phases.is_empty() {
            self.wait(self.plan.lasts()).await?;
        }
        let mut from = Duration::ZERO;
        for phase in &self.plan.phases {
            self.phases.push(OfPhase {
                name: phase.name.clone(),
                at_ms: to_ms(from),
                for_ms: to_ms(phase.takes.0),
            });
            self.strike_in(phase, from).await?;
            from += phase.takes.0;
        }
        Ok(())
    }

    async fn strike_in(&mut self, phase: &'a Phase, from: Duration) -> Result<(), End> {
        let until = from + phase.takes.0;
        let targets = phase.targets.as_ref().unwrap_or(&self.plan.targets);
        let pause = phase.rate.pause();
        let mut next = from + self.spread(pause);
        while !phase.faults.is_empty() && next < until {
            self.wait(next).await?;
            if let Some((fault, path)) = self.draw(phase, targets) {
                self.strike(fault, path).await;
            }
            next += self.spread(pause);
        }
        self.wait(until).await
    }

    /// From half of it to half as much again.
    fn spread(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(0.5 + self.rng.f64())
    }

    /// Draws a fault, and somebody that it may strike.
    fn draw(&mut self, phase: &Phase, targets: &Targets) -> Option<(Fault, Option<ActorPath>)> {
        let most = usize::try_from(targets.max_down).unwrap_or(usize::MAX);
        if self.open.len() >= most {
            return None;
        }
        let total: u32 = phase.faults.iter().map(|chance| chance.weight).sum();
        let mut drawn = self.rng.u32(0..total.max(1));
        let chance = phase.faults.iter().find(|chance| {
            let is_it = drawn < chance.weight;
            drawn = drawn.saturating_sub(chance.weight);
            is_it
        });
        let fault = &chance?.fault;
        if fault.trouble().is_some() {
            let struck = self.open.iter().filter_map(|open| open.node());
            let struck = struck.map(str::to_owned).collect();
            let fault = self.aimed(fault, phase.budget, &struck).ok()?;
            return Some((fault, None));
        }
        if fault.is_of_node() {
            let is_on = self.open.iter().any(|open| open.is_of(fault));
            return (!is_on).then(|| (fault.clone(), None));
        }
        let struck = self.open.iter().filter_map(|open| open.path().cloned());
        let found = candidates(
            self.kernel,
            &Wanted {
                targets,
                fault,
                budget: phase.budget,
                within: self.plan.settles_within.0,
                struck: &struck.collect(),
            },
        );
        let slot: Arc<Slot> = self.rng.choice(found)?;
        Some((fault.clone(), Some(slot.path().clone())))
    }

    /// A fault of a link, of the one to a node that chance picks of those that it means.
    fn aimed(
        &mut self,
        fault: &Fault,
        budget: u32,
        struck: &BTreeSet<String>,
    ) -> Result<Fault, String> {
        let found = nodes(self.kernel, fault, budget, struck)?;
        let node = self.rng.choice(found).unwrap_or_default();
        Ok(fault.clone().at_node(&node))
    }

    /// Strikes with what stands in a list, whoever is struck already and whatever that costs.
    async fn act(&mut self, act: Act) {
        let mut fault = act.fault;
        if fault.trouble().is_some() {
            match self.aimed(&fault, u32::MAX, &BTreeSet::new()) {
                Ok(aimed) => fault = aimed,
                Err(why) => {
                    let at = self.begun.elapsed();
                    return self.note(done(at, fault, None, Some(why)));
                }
            }
        }
        self.strike(fault, act.path).await;
    }

    fn note(&mut self, done: Done) {
        self.outside.note(&done);
        self.acts.push(done);
    }

    /// Strikes, and writes it down.
    async fn strike(&mut self, fault: Fault, path: Option<ActorPath>) {
        let at = self.begun.elapsed();
        self.outside.strikes(&fault, path.as_ref());
        if fault == Fault::KillKernel {
            let report = self.report(Outcome::Stopped, Some("the kernel was killed".to_owned()));
            self.outside.last_words(report, Vec::new());
        }
        let strike = Strike {
            kernel: self.kernel,
            outside: self.outside,
            meddled: &self.meddled,
            fault: &fault,
            seed: self.rng.u64(..),
        };
        let opened = strike.strike(path.as_ref(), self.acts.len()).await;
        let mut done = done(at, fault, path, None);
        match opened {
            Ok((open, work)) => {
                let fault = &done.act.fault;
                self.recovered.entry(fault.name()).or_default().0 += 1;
                self.kills += u64::from(fault.exits() > 0);
                done.incarnation = open.incarnation();
                self.open.push(open);
                self.works.extend(work);
            }
            Err(why) => done.refused = Some(why),
        }
        self.note(done);
    }

    /// Waits until so long after the beginning, pauses left out, and looks after everything meanwhile.
    async fn wait(&mut self, until: Duration) -> Result<(), End> {
        loop {
            self.obey().await?;
            self.look().await?;
            let now = Instant::now();
            let until = self.begun + self.paused + until;
            if now >= until {
                return Ok(());
            }
            self.sleep(until).await;
        }
    }

    /// Sleeps until then, or until something has happened or is to be looked at.
    async fn sleep(&mut self, until: Instant) {
        let ends = self.open.iter().filter_map(|open| open.next_look());
        let next = ends
            .chain(self.probes.next_look())
            .fold(until, Instant::min);
        let Self {
            watched,
            kernel,
            orders,
            works,
            ..
        } = self;
        tokio::select! {
            biased;
            // The one who gives orders may be gone; nobody gives any then.
            Ok(()) = orders.changed() => {}
            () = watched.something(kernel) => {}
            Some(()) = works.next() => {}
            () = sleep_until(next) => {}
        }
    }

    /// Does what somebody wants: waits while it is at a pause.
    async fn obey(&mut self) -> Result<(), End> {
        let began = Instant::now();
        loop {
            let order = *self.orders.borrow_and_update();
            match order {
                Order::Go => break,
                Order::Stop => return Err(End::Stopped),
                Order::Pause => {
                    self.look().await?;
                    self.sleep(Instant::now() + LOOKS_AT_A_PAUSE).await;
                }
            }
        }
        self.paused += began.elapsed();
        Ok(())
    }

    /// Looks who is well again, ends what is over, and asks the probes.
    async fn look(&mut self) -> Result<(), End> {
        if self.kernel.mode() == Mode::Stopping {
            return Err(End::Stopped);
        }
        self.watched.look(self.kernel);
        let mut at = 0;
        while let Some(open) = self.open.get_mut(at) {
            match open.look(self.kernel) {
                Some(took) => {
                    let mut open = self.open.swap_remove(at);
                    self.works.extend(open.end(self.kernel));
                    self.well(&open, took);
                }
                None => at += 1,
            }
        }
        let asked = self.probes.look(self.kernel, self.outside, &self.watched);
        match asked.await {
            Some(broken) => Err(End::Broken(broken)),
            None => Ok(()),
        }
    }

    fn well(&mut self, open: &Open, took: Duration) {
        if let Some(done) = self.acts.get_mut(open.act()) {
            done.recovered_ms = Some((took.as_secs_f64() * 1e4).round() / 10.0);
            let (_, times) = self.recovered.entry(done.act.fault.name()).or_default();
            times.push(took);
        }
    }

    /// Waits until all is well again, for as long as the plan says.
    async fn settle(&mut self) -> Result<(), End> {
        let until = Instant::now() + self.plan.settles_within.0;
        loop {
            let looked = self.look().await;
            let is_well = self.open.is_empty() && self.watched.down().next().is_none();
            if is_well || Instant::now() >= until {
                self.probes.look_now();
                return looked.and(self.look().await);
            }
            if looked == Err(End::Stopped) {
                return looked;
            }
            self.sleep(until).await;
        }
    }
}

impl Drop for Run<'_> {
    /// Whoever ran it is gone: it undoes what it did, and says what it came to.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let kernel = self.kernel;
        let left = self.open.iter_mut().filter_map(|open| open.end(kernel));
        let left = left.collect();
        let why = "whoever ran it has ended".to_owned();
        let report = self.report(Outcome::Stopped, Some(why));
        self.outside.last_words(report, left);
    }
}

const LOOKS_AT_A_PAUSE: Duration = Duration::from_secs(1);

/// Why nothing was struck.
pub const NOBODY: &str = "nobody could be struck: who the plan means has to run, with room in its supervisor's budget (`intensity`), and to come back by itself";

/// The same of a plan that strikes nothing but links.
pub const NO_NODE: &str = "no link could be struck: a node that the plan means has to be attached and up (`uk node list`), with room in the budgets (`intensity`) of who lives there";

/// Why nothing was struck, if no fault says it.
fn nobody(plan: &Plan) -> &'static str {
    let mut faults = plan.faults().peekable();
    let is_of_links = faults.peek().is_some() && faults.all(|fault| fault.trouble().is_some());
    if is_of_links { NO_NODE } else { NOBODY }
}

fn done(at: Duration, fault: Fault, path: Option<ActorPath>, refused: Option<String>) -> Done {
    Done {
        act: Act {
            at: DurationText(Duration::from_millis(to_ms(at))),
            fault,
            path,
        },
        incarnation: None,
        recovered_ms: None,
        refused,
    }
}

fn told(plan: &Plan) -> Told {
    let usual = plan.as_usual();
    Told {
        takes: usual.map(|(takes, _)| DurationText(takes)),
        rate: usual.map(|(_, rate)| rate),
        ..Told::default()
    }
}

fn of_faults(
    recovered: &BTreeMap<&'static str, (u64, Vec<Duration>)>,
) -> BTreeMap<String, OfFault> {
    let of = |(name, (count, times)): (&&'static str, &(u64, Vec<Duration>))| {
        let of = OfFault {
            count: *count,
            recovered: times.len() as u64,
            recovery_ms: Spread::of(times.iter().copied()),
        };
        ((*name).to_owned(), of)
    };
    recovered.iter().map(of).collect()
}

pub(super) fn to_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
