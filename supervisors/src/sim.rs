//! Simulation: a whole kernel on one thread and a paused clock, driven by chance from a seed.
//!
//! [`simulate`] grows a random tree, lets senders talk to its actors while chance crashes, kills, stops,
//! starts, suspends, resumes, spawns and deletes them, of a template too, runs tasks and spoils what is kept, waits until
//! all is quiet, shuts down, and has the checkers look at what was written down. The same seed gives the same event log, to the byte: both runtimes are one
//! current-thread runtime, every `select!` is biased, nothing decides by iterating a hash map, and the
//! clock moves only when nothing else can. A thread that is stuck is played: a handler that says so cannot be ended, and
//! the watchdog sees it on the same clock.
//!
//! [`simulate_tree`] does the same to a tree that is given, whose workers are played, and lets a driver of the caller's break it.
//!
//! What the checkers know is in [`Violation`]. Not simulated: files, processes and links, which are no part of
//! this crate.

mod actor;
mod bonds;
mod check;
mod driver;
mod ladders;
mod played;
mod reloads;
pub mod replay;
mod stage;
mod states;
mod tasks;
mod tree;
mod violation;
mod world;

#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use self::actor::SimActor;
pub use self::played::{bad_settings, is_played};
pub use self::stage::{Ended, Kept, Scene, Stage, simulate_tree};
pub use self::violation::{PROMISES, Violation};
use self::world::{World, WorldConfig};
use crate::clock::{Clock, Timestamp};
use crate::kernel::{Kernel, KernelConfig, Runtimes};
use crate::kind::Kinds;
use crate::spec::AutoShutdown;
use crate::threads::WorkThreads;

/// How large and how rough a simulation is.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// How many actors the tree begins with, at most.
    pub actors_max: usize,
    /// How many acts of chance there are.
    pub acts: usize,
    /// How many messages each sender sends.
    pub messages: u64,
    /// How many senders there are.
    pub senders: u64,
    /// A fault of the kernel itself, to see whether the checkers find it.
    #[cfg(test)]
    pub bug: Option<crate::bug::Bug>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            actors_max: 16,
            acts: 40,
            messages: 60,
            senders: 3,
            #[cfg(test)]
            bug: None,
        }
    }
}

/// What a simulation came to.
#[derive(Debug)]
pub struct SimReport {
    /// What chance began with.
    pub seed: u64,
    /// All that happened, in order, a line each.
    pub log: Vec<String>,
    /// A hash of the log.
    pub hash: u64,
    /// What the checkers found; empty if all is well.
    pub violations: Vec<Violation>,
}

/// Runs one simulation. Takes no real time to speak of, whatever the virtual time.
///
/// # Panics
/// Inside of a tokio runtime, or when the system refuses to make one.
#[must_use]
pub fn simulate(seed: u64, config: &SimConfig) -> SimReport {
    let (log, violations) = runtime().block_on(run(seed, config));
    SimReport::new(seed, log, violations)
}

impl SimReport {
    fn new(seed: u64, log: Vec<String>, violations: Vec<Violation>) -> Self {
        let mut hasher = DefaultHasher::new();
        log.hash(&mut hasher);
        Self {
            seed,
            hash: hasher.finish(),
            log,
            violations,
        }
    }
}

/// A runtime of one thread, whose clock moves only when nothing else can.
fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing that could be missing")
}

/// How long a step may take in virtual time.
const PATIENCE: Duration = Duration::from_secs(3_600);

async fn run(seed: u64, config: &SimConfig) -> (Vec<String>, Vec<Violation>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    // Links end actors in an order of their own, so that the order of stops can be checked where there are none.
    let (has_links, reloads) = (rng.bool(), rng.u8(0..3) == 0);
    let is_calm = reloads && rng.u8(0..4) == 0;
    let mut tree = tree::grow(&mut rng, config.actors_max);
    if reloads {
        tree::simplify(&mut tree.root, is_calm);
    }
    let world = Arc::new(World::new(WorldConfig {
        has_links,
        reloads,
        keeps_log: true,
        listed: played::listed(&tree.root),
        states: Arc::default(),
    }));
    let may_end = tree.root.auto_shutdown != AutoShutdown::Never;
    let about = "an actor of the simulation";
    let kinds = Kinds::new()
        .with::<SimActor>("sim", about)
        .with::<SimActor>("other", about);
    let observed = Arc::clone(&world);
    let runtimes = Runtimes {
        threads: Some(Arc::new(WorkThreads::simulated())),
        ..Runtimes::current()
    };
    let kernel_config = KernelConfig {
        max_abandoned: rng.usize(0..4),
        clock: Clock::simulated(Timestamp::from_secs(1_767_225_600)),
        observer: Some(Arc::new(move |fact| observed.note(fact))),
        states: world.states().store(),
        memory_limit: Some(driver::MEMORY_LIMIT),
        #[cfg(test)]
        bug: config.bug,
        ..KernelConfig::new(runtimes, kinds, rng.u64(..))
    }
    .with_shared(Arc::new(actor::Link::new(Arc::clone(&world))));
    let Ok(kernel) = Kernel::start(kernel_config, tree).await else {
        return (Vec::new(), vec![Violation::Stuck { step: "build" }]);
    };
    world.watch(&kernel);
    let mut violations = Vec::new();
    let steps = async {
        kernel.booted().await;
        if is_calm {
            reloads::calmly(&kernel, &world, &mut rng, &mut violations).await;
        } else {
            driver::drive(&kernel, &world, &mut rng, config).await;
        }
        driver::quieten(&kernel).await;
        check::quiet(&kernel, may_end, world.reloads(), &mut violations);
        if world.reloads() {
            reloads::as_desired(&kernel, &world, &mut violations);
        }
        world.bonds().quiet(&mut violations);
        world.begin_shutdown(&kernel);
        kernel.shutdown().await;
    };
    if tokio::time::timeout(PATIENCE, steps).await.is_err() {
        violations.push(Violation::Stuck { step: "the run" });
    }
    // Drops of the last actors and tasks are under way.
    tokio::time::sleep(Duration::from_secs(60)).await;
    violations.extend(world.bonds().take_violations());
    check::history(&world, &kernel, &mut violations);
    (world.take_log(), violations)
}
