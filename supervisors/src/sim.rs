//! Simulation: a whole kernel on one thread and a paused clock, driven by chance from a seed.
//!
//! [`simulate`] grows a random tree, lets senders talk to its actors while chance crashes, kills, stops,
//! starts, suspends, resumes, spawns and deletes them, of a template too, runs tasks and spoils what is kept, waits until
//! all is quiet, shuts down, and has the checkers look at what was written down. The same seed gives the same event log, to the byte: both runtimes are one
//! current-thread runtime, every `select!` is biased, nothing decides by iterating a hash map, and the
//! clock moves only when nothing else can. A thread that is stuck is played: a handler that says so cannot be ended, and
//! the watchdog sees it on the same clock.
//!
//! What the checkers know is in [`Violation`]. Not simulated: files, processes and links, which are no part of
//! this crate.

mod actor;
mod bonds;
mod check;
mod driver;
mod ladders;
mod reloads;
pub mod replay;
mod states;
mod tasks;
mod tree;
mod world;

#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use self::actor::SimActor;
use self::world::World;
use crate::clock::{Clock, Timestamp};
use crate::kernel::{Kernel, KernelConfig, Runtimes};
use crate::kind::Kinds;
use crate::path::ActorPath;
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

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two lives of one slot at a time.
    TwoLives {
        /// Where.
        path: ActorPath,
    },
    /// An actor or task that was still there after the kernel, or its supervisor, had ended.
    Orphan {
        /// Where.
        path: ActorPath,
    },
    /// Siblings that did not stop in the reverse of their start order.
    StopOrder {
        /// The one that stopped too early.
        path: ActorPath,
        /// The one that was started after it and stopped after it.
        later: ActorPath,
    },
    /// A temporary child that came back.
    TemporaryRestarted {
        /// Where.
        path: ActorPath,
    },
    /// Messages that were accepted, and neither handled nor among the dead letters.
    Lost {
        /// How many.
        count: i64,
    },
    /// A message that was handled twice.
    Doubled {
        /// Where.
        path: ActorPath,
        /// Of which sender.
        sender: u64,
        /// Which one.
        number: u64,
    },
    /// A message that overtook an earlier one of the same sender in the same lane.
    OutOfOrder {
        /// Where.
        path: ActorPath,
        /// Of which sender.
        sender: u64,
        /// Which one.
        number: u64,
    },
    /// A message that is never shed was shed for want of memory.
    ShedWrongly {
        /// Where.
        path: ActorPath,
    },
    /// A child that was still on its way long after everything had become quiet.
    NotSettled {
        /// Where.
        path: ActorPath,
        /// In which state.
        state: &'static str,
    },
    /// A child that ran though a sibling it needs did not.
    NeedNotMet {
        /// Where.
        path: ActorPath,
    },
    /// A supervisor that went on after the end of its significant children.
    OutlivesSignificant {
        /// Where.
        path: ActorPath,
    },
    /// A `Down` that came twice, after `demonitor`, to another life, or of a life that goes on.
    WrongDown {
        /// Where.
        path: ActorPath,
        /// Of which monitor.
        bond: u64,
    },
    /// A `Down` that never came.
    MissingDown {
        /// Where.
        path: ActorPath,
        /// Of which monitor.
        bond: u64,
    },
    /// A life that outlived one that it was linked to.
    Unlinked {
        /// Where.
        path: ActorPath,
    },
    /// A life that was cut off had an effect.
    Late {
        /// Where.
        path: ActorPath,
    },
    /// A child of a template that was left behind when it was down for good, or a slot that is in no tree.
    LeftBehind {
        /// Where.
        path: ActorPath,
    },
    /// More children of a template than there may be.
    TooMany {
        /// The last of them.
        path: ActorPath,
    },
    /// A child that is not as it is to be, or not there, or there though it is not to be.
    NotDesired {
        /// Where.
        path: ActorPath,
    },
    /// A child that a change of the tree has nothing to do with and touched, or that does not run as it is to.
    Touched {
        /// Where.
        path: ActorPath,
    },
    /// A life that began with settings that had just been put back.
    NotRolledBack {
        /// Where.
        path: ActorPath,
    },
    /// A life that did not find what the last one before it that was not replaced had kept last, or found what it should
    /// not: that of another path, of a dead life, or what it may well crash of.
    WrongState {
        /// Where.
        path: ActorPath,
    },
    /// A life that was stopped in order, and whose state was not kept.
    NotKept {
        /// Where.
        path: ActorPath,
    },
    /// Somebody awaits a task in vain, was brought what another one returned, or was so before it was over.
    TaskUnresolved {
        /// Which.
        number: usize,
    },
    /// A ladder did something else than its rules say, or a life began with other settings than it left in force.
    WrongLadder {
        /// Where.
        path: ActorPath,
    },
    /// A life handled a message though it was suspended.
    HandlesSuspended {
        /// Where.
        path: ActorPath,
    },
    /// A life that runs, is not suspended, and leaves what waits for it.
    Deaf {
        /// Where.
        path: ActorPath,
    },
    /// Lives that count as stuck after all threads were let go.
    StillAbandoned {
        /// How many.
        count: usize,
    },
    /// The kernel did not come up, or did not end.
    Stuck {
        /// In what.
        step: &'static str,
    },
}

/// Runs one simulation. Takes no real time to speak of, whatever the virtual time.
///
/// # Panics
/// Inside of a tokio runtime, or when the system refuses to make one.
#[must_use]
pub fn simulate(seed: u64, config: &SimConfig) -> SimReport {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing that could be missing");
    let (log, violations) = runtime.block_on(run(seed, config));
    let mut hasher = DefaultHasher::new();
    log.hash(&mut hasher);
    SimReport {
        seed,
        hash: hasher.finish(),
        log,
        violations,
    }
}

/// How long a step may take in virtual time.
const PATIENCE: Duration = Duration::from_secs(3_600);

async fn run(seed: u64, config: &SimConfig) -> (Vec<String>, Vec<Violation>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    // Links end actors in an order of their own, so that the order of stops can be checked where there are none.
    let world = Arc::new(World::new(rng.bool(), rng.u8(0..3) == 0));
    let is_calm = world.reloads() && rng.u8(0..4) == 0;
    let mut tree = tree::grow(&mut rng, config.actors_max);
    if world.reloads() {
        tree::simplify(&mut tree.root, is_calm);
    }
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
    (world.log(), violations)
}
