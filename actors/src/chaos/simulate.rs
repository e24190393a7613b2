//! Simulation of a whole kernel: a tree whose workers are played, struck by a plan, from a seed and in no real time.
//!
//! [`Run`] is the driver, as on a kernel that is alive; what is [`Outside`] of the kernel is played too: the streams are on a
//! disk that tears and forgets, a program that is stopped hangs and one that is killed exits, and a kernel that is killed is
//! dropped in the middle of whatever its tasks do, and followed by another on the same disk and states. The same tree, plan and
//! seed come to the same log, to the byte.
//!
//! Played workers take no messages of the tree's kinds: a flood is a mailbox without room, and what a probe would ask is not
//! asked. Nor are there other nodes: [`not_played`] says which faults a plan has in vain.

mod shore;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use unity_supervisors::clock::Timestamp;
use unity_supervisors::fault::{LifeFault, Undo};
use unity_supervisors::sim::{self, Ended, Kept, Scene, Stage, Violation};
use unity_supervisors::spec::TreeSpec;
use unity_supervisors::{ActorPath, Kernel};

use self::shore::{Ledger, Shore};
use super::plan::{Act, Chance, Fault, Phase, Plan, Probe};
use super::report::{Done, Outcome, Report};
use super::run::{Order, Outside, Run};
use crate::duration::DurationText;
use crate::streams::simulated::SimulatedDisk;

/// How long it takes until a kernel that was killed is started again.
const DOWN: Duration = Duration::from_millis(500);
/// How many steps of an append a disk does while the kernel is killed, at most.
const STEPS_MAX: usize = 12;
/// When the clock of the first kernel begins, in seconds since 1970.
const BEGINS_S: i64 = 1_767_225_600;

/// Whether the next entry of the stream is lost, of all that was done so far: a fault that is planted in a store of streams.
pub type Saboteur = fn(&[Done]) -> bool;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The tree.
    pub tree: TreeSpec,
    /// What strikes it.
    pub plan: Plan,
    /// Whether all that happens is written down.
    pub keeps_log: bool,
    /// A fault of the streams themselves, to see whether it is found.
    pub saboteur: Option<Saboteur>,
}

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// What chance began with.
    pub seed: u64,
    /// All that happened, a line each; empty unless it was to be written down.
    pub log: Vec<String>,
    /// A hash of all that was done and found, and of the log.
    pub hash: u64,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
    /// All that was done, in order, from the beginning of the first kernel on.
    pub acts: Vec<Done>,
    /// How many kernels there were: one, and one for each that was killed.
    pub kernels: u64,
    /// How many durable events were acknowledged.
    pub acknowledged: u64,
}

/// The plan that strikes with every fault there is, for so long: what a simulation without a plan goes by.
///
/// # Panics
/// Never: its JSON form is sound.
#[must_use]
pub fn default_plan(lasts: Duration) -> Plan {
    let time = DurationText(lasts).to_string();
    let plan = json!({
        "version": 1, "name": "everything",
        "about": "every fault there is, within the budgets of all supervisors",
        "phases": [{ "name": "everything", "for": time, "rate": "2/s" }],
        "settles_within": "60s",
    });
    let mut plan: Plan = serde_json::from_value(plan).expect("the default plan is sound");
    if let Some(phase) = plan.phases.first_mut() {
        phase.faults = every_fault();
    }
    plan
}

/// Every fault, with how often it is drawn.
fn every_fault() -> Vec<Chance> {
    let faults = json!([
        { "fault": "kill", "weight": 6 }, { "fault": "panic", "weight": 3 },
        { "fault": "error", "weight": 3 },
        { "fault": { "hang": { "for": "2s" } } }, { "fault": { "busy": { "for": "500ms" } } },
        { "fault": { "slow_start": { "by": "500ms", "for": "1s" } } },
        { "fault": { "fail_start": { "times": 1 } } },
        { "fault": { "flood": { "for": "1s" } } },
        { "fault": { "drop": { "percent": 50, "for": "1s" } } },
        { "fault": { "delay": { "by": "100ms", "for": "1s" } } },
        { "fault": { "double": { "percent": 50, "for": "1s" } } },
        { "fault": { "bad_swap": {} } }, { "fault": { "bad_swap": { "set": {} } } },
        { "fault": { "clock_jump": { "by": "1h", "for": "3s" } } },
        { "fault": { "clock_jump": { "by": "1h", "back": true, "for": "3s" } } },
        { "fault": { "memory": { "percent": 99, "for": "1s" } } },
        { "fault": { "disk_full": { "for": "2s" } } },
        { "fault": { "sync_fails": { "for": "2s" } } },
        { "fault": { "stop_process": { "for": "2s" } } }, { "fault": "kill_process" },
        { "fault": "kill_kernel" },
    ]);
    serde_json::from_value(faults).expect("the faults of the default plan are sound")
}

impl Simulation {
    /// One whose log is not kept.
    #[must_use]
    pub fn new(tree: TreeSpec, plan: Plan) -> Self {
        Self {
            tree,
            plan,
            keeps_log: false,
            saboteur: None,
        }
    }

    /// Simulates it once. Takes no time to speak of, whatever the virtual time.
    ///
    /// # Panics
    /// Inside of a tokio runtime, or when the system refuses to make one.
    #[must_use]
    pub fn run(&self, seed: u64) -> Simulated {
        let mut world = World::begin(self, seed);
        while world.live() == Ended::Killed {}
        world.report()
    }
}

/// What outlives the kernels of a simulation.
struct World<'a> {
    of: &'a Simulation,
    seed: u64,
    rng: fastrand::Rng,
    plan: Plan,
    disk: SimulatedDisk,
    ledger: Ledger,
    kept: Kept,
    /// How long after the beginning the next kernel begins.
    at: Duration,
    kernels: u64,
    log: Vec<String>,
    violations: Vec<Violation>,
    acts: Vec<Done>,
}

impl<'a> World<'a> {
    fn begin(of: &'a Simulation, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x000C_4A05);
        Self {
            of,
            seed,
            disk: SimulatedDisk::new(rng.u64(..)),
            rng,
            plan: played(&of.plan),
            ledger: Ledger::default(),
            kept: Kept::default(),
            at: Duration::ZERO,
            kernels: 0,
            log: Vec::new(),
            violations: Vec::new(),
            acts: Vec::new(),
        }
    }

    /// One kernel, to its end.
    fn live(&mut self) -> Ended {
        self.kernels += 1;
        let at_us = i64::try_from(self.at.as_micros()).unwrap_or(i64::MAX);
        let begins = Timestamp::from_secs(BEGINS_S)
            .unix_us()
            .saturating_add(at_us);
        let stage = Stage {
            begins: Timestamp::from_unix_us(begins),
            keeps_log: self.of.keeps_log,
            kept: self.kept.clone(),
            is_above: self.of.plan.phases.iter().any(|phase| phase.budget > 100),
            ..Stage::new(
                self.seed.wrapping_add(self.kernels << 40),
                self.of.tree.clone(),
            )
        };
        let seed = self.seed.wrapping_add(self.kernels - 1);
        let plan = rest(&self.plan, self.at);
        let this = &mut *self;
        let drive = async |scene: &Scene<'_>| this.drive(scene, &plan, seed).await;
        let (report, ended) = sim::simulate_tree(stage, drive);
        let at_ms = self.at.as_millis();
        self.log
            .push(format!("kernel {} begins after {at_ms} ms", self.kernels));
        self.log.extend(report.log);
        self.violations.extend(report.violations);
        let Some((ended, lasted)) = ended else {
            return Ended::Through;
        };
        self.at += lasted + DOWN;
        if ended == Ended::Killed {
            self.disk.end(self.rng.bool());
        }
        ended
    }

    /// Strikes a kernel that is up.
    async fn drive(
        &mut self,
        scene: &Scene<'_>,
        plan: &Plan,
        seed: u64,
    ) -> ((Ended, Duration), Ended) {
        let begun = Instant::now();
        let shore = Shore::open(&self.disk, scene.kernel.clock());
        let found = shore.check(&self.ledger, "as the kernel begins").await;
        self.violations.extend(found);
        let outside = PlayedOutside {
            scene,
            kernel: scene.kernel.clone(),
            disk: self.disk.clone(),
            at: self.at,
            begun,
            acts: Mutex::new(std::mem::take(&mut self.acts)),
            killed: Notify::new(),
            lag: Arc::default(),
        };
        // Nobody gives orders.
        let (_orders, heard) = watch::channel(Order::Go);
        let run = Run::new(scene.kernel, plan, seed, &outside, heard).run();
        let loses = || {
            self.of
                .saboteur
                .is_some_and(|loses| loses(&outside.acts.lock()))
        };
        let report = tokio::select! {
            biased;
            () = outside.killed.notified() => None,
            report = run => Some(report),
            // It goes on for as long as there is somebody to strike.
            found = shore.use_it(&mut self.ledger, &outside.lag, loses) => {
                self.violations.push(found);
                None
            }
        };
        let ended = match &report {
            None if self.violations.is_empty() => Ended::Killed,
            _ => Ended::Through,
        };
        let lasted = begun.elapsed();
        let mut acts = std::mem::take(&mut *outside.acts.lock());
        if ended == Ended::Killed {
            let steps = self.rng.usize(0..STEPS_MAX);
            shore.break_off(&mut self.ledger, &self.disk, steps);
        }
        if let Some(report) = report {
            recovered(&mut acts, &report);
            self.violations.extend(judge(&report, self.of));
            let found = shore.check(&self.ledger, "at the end").await;
            self.violations.extend(found);
        }
        self.acts = acts;
        ((ended, lasted), ended)
    }

    fn report(mut self) -> Simulated {
        let mut hasher = DefaultHasher::new();
        for done in &self.acts {
            self.log.push(format!("done {}", json!(done)));
        }
        for violation in &self.violations {
            self.log
                .push(format!("broken: {}: {violation}", violation.checker()));
        }
        self.log.hash(&mut hasher);
        if !self.of.keeps_log {
            self.log.clear();
        }
        Simulated {
            seed: self.seed,
            log: self.log,
            hash: hasher.finish(),
            violations: self.violations,
            acts: self.acts,
            kernels: self.kernels,
            acknowledged: self.ledger.acknowledged(),
        }
    }
}

/// The faults of a plan that a simulated kernel cannot have, and that strike nothing there: it has no other nodes.
#[must_use]
pub fn not_played(plan: &Plan) -> BTreeSet<&'static str> {
    let faults = plan.faults().filter(|fault| fault.trouble().is_some());
    faults.map(Fault::name).collect()
}

/// The plan, as far as it can be played.
fn played(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.probes
        .retain(|probe| !matches!(probe, Probe::Ask { .. }));
    let of_phases = plan.phases.iter_mut().flat_map(|phase| &mut phase.faults);
    let faults = of_phases.map(|chance| &mut chance.fault);
    for fault in faults.chain(plan.acts.iter_mut().map(|act| &mut act.fault)) {
        match fault {
            Fault::Flood(flood) => flood.message = None,
            Fault::BadSwap(swap) => swap.set = swap.set.take().map(|_| sim::bad_settings()),
            _ => {}
        }
    }
    plan
}

/// What of a plan is still to be done so long after its beginning.
fn rest(plan: &Plan, since: Duration) -> Plan {
    let mut over = since;
    let mut phases = Vec::new();
    for phase in &plan.phases {
        let left = phase.takes.0.saturating_sub(over);
        over = over.saturating_sub(phase.takes.0);
        if !left.is_zero() || phase.takes.0.is_zero() {
            phases.push(Phase {
                takes: DurationText(left),
                ..phase.clone()
            });
        }
    }
    let is_left = |act: &&Act| since.is_zero() || act.at.0 > since;
    let acts = plan.acts.iter().filter(is_left).map(|act| Act {
        at: DurationText(act.at.0.saturating_sub(since)),
        ..act.clone()
    });
    Plan {
        acts: acts.collect(),
        phases,
        ..plan.clone()
    }
}

/// Fills in when what was struck in the last kernel was well again.
fn recovered(acts: &mut [Done], report: &Report) {
    for (done, of_run) in acts.iter_mut().rev().zip(report.acts.iter().rev()) {
        done.recovered_ms = of_run.recovered_ms;
    }
}

/// What is broken of what the run itself looks after.
fn judge(report: &Report, of: &Simulation) -> Option<Violation> {
    let is_above = of.plan.phases.iter().any(|phase| phase.budget > 100);
    let is_broken = match report.outcome {
        Outcome::Broken => true,
        Outcome::Failed => !is_above,
        _ => false,
    };
    let paths: Vec<String> = report
        .not_recovered
        .iter()
        .map(ToString::to_string)
        .collect();
    is_broken.then(|| Violation::Seen {
        checker: "supervision",
        what: match report.why.as_deref().unwrap_or_default() {
            why if paths.is_empty() => why.to_owned(),
            why => format!("{why}: {}", paths.join(", ")),
        },
    })
}

/// What is outside of a played kernel.
#[derive(Debug)]
struct PlayedOutside<'a> {
    scene: &'a Scene<'a>,
    kernel: Kernel,
    disk: SimulatedDisk,
    /// When the kernel began.
    at: Duration,
    begun: Instant,
    acts: Mutex<Vec<Done>>,
    killed: Notify,
    lag: Arc<Mutex<u64>>,
}

impl PlayedOutside<'_> {
    fn break_life(
        &self,
        path: Option<&ActorPath>,
        fault: LifeFault,
    ) -> Result<Option<Undo>, String> {
        let path = path.ok_or("it strikes a process, and none is named")?;
        let broken = self.kernel.break_life(path, fault);
        broken.map(|_| None).map_err(|error| error.to_string())
    }

    fn undo(
        &self,
        undo: impl FnOnce(&SimulatedDisk) + Send + 'static,
    ) -> Result<Option<Undo>, String> {
        let disk = self.disk.clone();
        Ok(Some(Undo::new(move || undo(&disk))))
    }
}

impl Outside for PlayedOutside<'_> {
    fn strike<'b>(
        &'b self,
        fault: &'b Fault,
        path: Option<&'b ActorPath>,
    ) -> BoxFuture<'b, Result<Option<Undo>, String>> {
        async move {
            match fault {
                Fault::DiskFull(_) => {
                    self.disk.fill(true);
                    self.undo(|disk| disk.fill(false))
                }
                Fault::SyncFails(_) => {
                    self.disk.fail(SYNCS_FAIL);
                    self.undo(|disk| disk.fail(0))
                }
                Fault::StopProcess(its) => self.break_life(path, LifeFault::Hang(its.lasts.0)),
                Fault::KillProcess => self.break_life(path, LifeFault::Error),
                Fault::KillKernel => {
                    let at = self.begun.elapsed();
                    self.note(&Done {
                        act: Act {
                            at: DurationText(Duration::from_millis(super::run::to_ms(at))),
                            fault: Fault::KillKernel,
                            path: None,
                        },
                        incarnation: None,
                        recovered_ms: None,
                        refused: None,
                    });
                    self.killed.notify_one();
                    std::future::pending().await
                }
                _ => Err(format!("{} cannot be played", fault.name())),
            }
        }
        .boxed()
    }

    fn lag<'b>(&'b self, _: &'b str) -> BoxFuture<'b, Option<u64>> {
        let lag = *self.lag.lock();
        async move { Some(lag) }.boxed()
    }

    fn memory(&self) -> Option<u64> {
        None
    }

    fn strikes(&self, fault: &Fault, path: Option<&ActorPath>) {
        if let (Fault::BadSwap(_), Some(path)) = (fault, path) {
            self.scene.swaps(path);
        }
    }

    fn note(&self, done: &Done) {
        let mut done = done.clone();
        done.act.at.0 += self.at;
        self.scene.log(&format!("strikes {}", json!(done)));
        self.acts.lock().push(done);
    }
}

/// Of a hundred writes and syncs so many fail while syncs do.
const SYNCS_FAIL: u8 = 60;
