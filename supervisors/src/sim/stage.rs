//! A given tree on a stage: its workers are played, senders talk to them, and a driver of the caller's breaks what it wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::actor::{Link, SimMessage};
use super::states::SimStates;
use super::world::{World, WorldConfig};
use super::{PATIENCE, SimReport, Violation, check, driver, played, reloads, runtime};
use crate::clock::{Clock, Timestamp};
use crate::kernel::{Kernel, KernelConfig, Mode, Runtimes};
use crate::path::ActorPath;
use crate::priority::Priority;
use crate::slot::{Slot, SlotState};
use crate::spec::{AutoShutdown, LadderAction, Strategy, TreeSpec};
use crate::threads::WorkThreads;

/// How much memory the kernel may use, in bytes: what it really uses is not asked.
const MEMORY_LIMIT: u64 = 1 << 30;
/// How long a killed life may hold its thread, so that some are cut off.
const KILL_GRACE: Duration = Duration::from_millis(100);
/// How long a played actor holds its thread when it is told to, at most; less where it would count as stuck before.
const HOLD_MS: u64 = 900;
/// How many children of each template there are, at most.
const OF_TEMPLATE_MAX: usize = 3;

/// What outlives a simulated kernel: the states that its actors have kept.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<SimStates>);

/// A kernel that is to be simulated.
#[derive(Clone)]
pub struct Stage {
    /// What chance begins with.
    pub seed: u64,
    /// The tree; what its workers are is played.
    pub tree: TreeSpec,
    /// When the wall clock begins.
    pub begins: Timestamp,
    /// How many senders there are.
    pub senders: u64,
    /// How long each waits between two messages, at most.
    pub pause: Duration,
    /// Whether all that happens is written down; else the log is empty.
    pub keeps_log: bool,
    /// What an earlier kernel has kept.
    pub kept: Kept,
    /// Whether the driver goes beyond what supervisors bear: then the kernel may end in safe mode, with children down.
    pub is_above: bool,
    /// A fault of the kernel itself, to see whether the checkers find it.
    #[cfg(test)]
    pub(crate) bug: Option<crate::bug::Bug>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("seed", &self.seed)
            .field("tree", &self.tree.name)
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// One with three senders, whose kernel is the first.
    #[must_use]
    pub fn new(seed: u64, tree: TreeSpec) -> Self {
        Self {
            seed,
            tree,
            begins: Timestamp::from_secs(1_767_225_600),
            senders: 3,
            pause: Duration::from_millis(200),
            keeps_log: true,
            kept: Kept::default(),
            is_above: false,
            #[cfg(test)]
            bug: None,
        }
    }
}

/// How a driver ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is through: once all is quiet, everything is looked at.
    Through,
    /// The kernel is killed: it is dropped with all its tasks, in the middle of whatever they do.
    Killed,
}

/// What a driver has before it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The kernel, which is up.
    pub kernel: &'a Kernel,
    world: &'a Arc<World>,
}

impl Scene<'_> {
    /// Writes a line into the log.
    pub fn log(&self, line: &str) {
        self.world.act(line);
    }

    /// The settings of what is at `path` are about to be swapped.
    pub fn swaps(&self, path: &ActorPath) {
        self.world.swaps(path);
    }
}

/// Simulates a kernel of a tree while `driver` breaks what it wants: the report, and what the driver brought, which it did
/// unless the kernel never came up or never ended.
///
/// # Panics
/// Inside of a tokio runtime, or when the system refuses to make one.
pub fn simulate_tree<T>(
    stage: Stage,
    driver: impl AsyncFnOnce(&Scene<'_>) -> (T, Ended),
) -> (SimReport, Option<T>) {
    let seed = stage.seed;
    let (log, violations, brought) = runtime().block_on(run(stage, driver));
    (SimReport::new(seed, log, violations), brought)
}

async fn run<T>(
    stage: Stage,
    driver: impl AsyncFnOnce(&Scene<'_>) -> (T, Ended),
) -> (Vec<String>, Vec<Violation>, Option<T>) {
    let mut rng = fastrand::Rng::with_seed(stage.seed);
    stage.kept.0.begin();
    let world = Arc::new(World::new(WorldConfig {
        has_links: false,
        reloads: true,
        keeps_log: stage.keeps_log,
        listed: played::listed(&stage.tree.root),
        states: Arc::clone(&stage.kept.0),
    }));
    let may_end = stage.tree.root.auto_shutdown != AutoShutdown::Never;
    let Ok(kernel) = start(&stage, &world, &mut rng).await else {
        return (
            Vec::new(),
            vec![Violation::Stuck { step: "the start" }],
            None,
        );
    };
    world.watch(&kernel);
    let mut violations = Vec::new();
    let mut brought = None;
    let mut is_killed = false;
    let steps = async {
        kernel.booted().await;
        spawn_templates(&kernel).await;
        let root = kernel.root();
        let up = root.iter().flat_map(|root| root.permanent_below());
        let up: Vec<ActorPath> = up.map(|slot| slot.path().clone()).collect();
        let scene = Scene {
            kernel: &kernel,
            world: &world,
        };
        let traffic = Traffic::begin(&scene, &stage, &mut rng);
        let (value, ended) = driver(&scene).await;
        brought = Some(value);
        if ended == Ended::Killed {
            is_killed = true;
            return;
        }
        traffic.end().await;
        driver::quieten(&kernel).await;
        check::quiet(&kernel, may_end, true, &mut violations);
        reloads::as_desired(&kernel, &world, &mut violations);
        world.bonds().quiet(&mut violations);
        if kernel.mode() != Mode::Stopping {
            all_back(&kernel, &up, stage.is_above, &mut violations);
        }
        world.begin_shutdown(&kernel);
        kernel.shutdown().await;
    };
    if tokio::time::timeout(PATIENCE, steps).await.is_err() {
        violations.push(Violation::Stuck { step: "the run" });
    }
    if is_killed {
        world.end();
        check::cut_short(&world, &mut violations);
    } else {
        // Drops of the last actors are under way.
        tokio::time::sleep(Duration::from_secs(60)).await;
        violations.extend(world.bonds().take_violations());
        check::history(&world, &kernel, &mut violations);
        world.end();
    }
    (world.take_log(), violations, brought)
}

async fn start(
    stage: &Stage,
    world: &Arc<World>,
    rng: &mut fastrand::Rng,
) -> Result<Kernel, crate::kernel::BuildError> {
    let (tree, kinds) = played::play(&stage.tree, rng);
    let observed = Arc::clone(world);
    let runtimes = Runtimes {
        threads: Some(Arc::new(WorkThreads::simulated())),
        ..Runtimes::current()
    };
    let config = KernelConfig {
        clock: Clock::simulated(stage.begins),
        observer: Some(Arc::new(move |fact| observed.note(fact))),
        states: world.states().store(),
        memory_limit: Some(MEMORY_LIMIT),
        kill_grace: KILL_GRACE,
        #[cfg(test)]
        bug: stage.bug,
        ..KernelConfig::new(runtimes, kinds, rng.u64(..))
    };
    let config = config.with_shared(Arc::new(Link::new(Arc::clone(world))));
    Kernel::start(config, tree).await
}

/// Gives each template of the tree some children.
async fn spawn_templates(kernel: &Kernel) {
    let mut found = Vec::new();
    if let Some(root) = kernel.root() {
        driver::supervisors(&root, &mut found);
    }
    for slot in found {
        let spec = slot.spec();
        let template = spec.as_supervisor().and_then(|spec| spec.template.clone());
        let Some(template) = template else { continue };
        let is_played = |kind: &str| played::is_played(kind);
        if !template
            .child
            .as_worker()
            .is_some_and(|worker| is_played(&worker.kind))
        {
            continue;
        }
        let count = template
            .max_children
            .map_or(OF_TEMPLATE_MAX, |most| most.min(OF_TEMPLATE_MAX));
        for _ in 0..count {
            let none = serde_json::json!({});
            // One that does not come up is one of those that the checkers look at.
            drop(kernel.spawn_from(slot.path(), None, none).await);
        }
    }
}

/// Whether all that was up is up again. What is below a supervisor that is down for good went with it, and what its own ladder
/// has taken out is where it is to be.
fn all_back(kernel: &Kernel, up: &[ActorPath], is_above: bool, violations: &mut Vec<Violation>) {
    if kernel.mode() == Mode::Safe {
        if !is_above {
            let path = ActorPath::root();
            violations.push(Violation::NotBack { path });
        }
        return;
    }
    for path in up {
        let parent = path
            .parent()
            .and_then(|parent| kernel.registry().get(&parent));
        let Some(parent) = parent.filter(|parent| parent.state() == SlotState::Running) else {
            continue;
        };
        let slot = kernel.registry().get(path);
        // What needs a sibling that is down for good waits for it, and so do those who restart with one.
        if slot.as_ref().is_some_and(|slot| !has_needs(slot, &parent)) || waits_for_one(&parent) {
            continue;
        }
        let is_back = slot.is_some_and(|slot| match slot.state() {
            SlotState::Quarantined => has_last_step(&slot) || is_above,
            state => state.is_up(),
        });
        if !is_back {
            violations.push(Violation::NotBack { path: path.clone() });
        }
    }
}

/// Whether all siblings that it needs run.
fn has_needs(slot: &Slot, parent: &Slot) -> bool {
    let siblings = parent.children();
    let spec = slot.spec();
    let runs = |need: &crate::path::ChildId| {
        let mut siblings = siblings.iter();
        siblings.any(|other| other.id() == need && other.state() == SlotState::Running)
    };
    spec.needs.iter().all(runs)
}

/// Whether its children start together, and one of them is in quarantine.
fn waits_for_one(parent: &Slot) -> bool {
    let spec = parent.spec();
    let strategy = spec.as_supervisor().map(|spec| spec.strategy);
    let is_out =
        |child: &Arc<Slot>| child.state() == SlotState::Quarantined && has_last_step(child);
    strategy != Some(Strategy::OneForOne) && parent.children().iter().any(is_out)
}

/// Whether its ladder ends in quarantine.
fn has_last_step(slot: &Slot) -> bool {
    let spec = slot.spec();
    let ladder = spec.as_worker().and_then(|worker| worker.on_crash.as_ref());
    ladder.is_some_and(|ladder| {
        let mut steps = ladder.steps.iter();
        steps.any(|step| step.action == LadderAction::Quarantine)
    })
}

/// Those who send while the driver is at work.
struct Traffic {
    is_over: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

/// Whom they send to, and how.
struct Round {
    kernel: Kernel,
    world: Arc<World>,
    rng: fastrand::Rng,
    sender: u64,
    pause: Duration,
    /// Each with how long it may hold its thread without counting as stuck.
    workers: Arc<Vec<(ActorPath, u64)>>,
    is_over: Arc<AtomicBool>,
}

impl Traffic {
    fn begin(scene: &Scene<'_>, stage: &Stage, rng: &mut fastrand::Rng) -> Self {
        let mut found = Vec::new();
        if let Some(root) = scene.kernel.root() {
            driver::workers(&root, &mut found);
        }
        let of = |slot: Arc<Slot>| {
            let spec = slot.spec();
            let worker = spec
                .as_worker()
                .filter(|worker| played::is_played(&worker.kind))?;
            let stuck_ms = u64::try_from(worker.stall_after.as_millis()).unwrap_or(u64::MAX);
            Some((slot.path().clone(), (stuck_ms / 2).min(HOLD_MS)))
        };
        let workers = Arc::new(found.into_iter().filter_map(of).collect::<Vec<_>>());
        let is_over = Arc::new(AtomicBool::new(workers.is_empty()));
        let send = |sender| {
            let round = Round {
                kernel: scene.kernel.clone(),
                world: Arc::clone(scene.world),
                rng: rng.fork(),
                sender,
                pause: stage.pause,
                workers: Arc::clone(&workers),
                is_over: Arc::clone(&is_over),
            };
            crate::kernel::spawn_detached(round.send())
        };
        let senders = (0..stage.senders).map(send).collect();
        Self { is_over, senders }
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for sender in self.senders {
            // One that panicked has been heard.
            drop(sender.await);
        }
    }
}

impl Round {
    async fn send(mut self) {
        let most = u64::try_from(self.pause.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let mut number = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(self.rng.u64(0..most))).await;
            let one = self.rng.usize(0..self.workers.len());
            let Some((path, hold_ms)) = self.workers.get(one).cloned() else {
                continue;
            };
            let Some(address) = self.kernel.address::<SimMessage>(&path) else {
                continue;
            };
            let message = self.message(number, hold_ms);
            number += 1;
            driver::tell(&self.world, &address, message, number % 4 != 0).await;
        }
    }

    fn message(&mut self, number: u64, hold_ms: u64) -> SimMessage {
        let rng = &mut self.rng;
        if rng.u8(0..32) == 0 {
            let for_ms = rng.u64(0..=hold_ms);
            return SimMessage::Hold { for_ms };
        }
        SimMessage::Work {
            sender: self.sender,
            number,
            lane: match rng.u8(0..8) {
                0 | 1 => Priority::High,
                2 => Priority::Low,
                3 => Priority::Deferred,
                _ => Priority::Normal,
            },
            takes_ms: if rng.u8(0..8) == 0 { rng.u64(0..40) } else { 0 },
        }
    }
}
