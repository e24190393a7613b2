//! Tasks of a simulation: futures that run as children, are awaited, cancelled or let go, and what must be true of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::world::{Event, World};
use crate::exit::Exit;
use crate::kernel::Kernel;
use crate::life::Life;
use crate::path::ActorPath;
use crate::spec::{Restart, TASK};
use crate::task::Task;

/// How many milliseconds a task works, and whoever waits for it has patience, at most.
const LONG_MS: u64 = 400;

/// Whether this is a supervisor of tasks.
pub(super) fn has_tasks(slot: &crate::slot::Slot) -> bool {
    let spec = slot.spec();
    let spec = spec.as_supervisor();
    let template = spec.and_then(|spec| spec.template.as_ref());
    let worker = template.and_then(|template| template.child.as_worker());
    worker.is_some_and(|worker| worker.kind == TASK)
}

/// A task for as long as it is there.
struct Running {
    world: Arc<World>,
    parent: ActorPath,
    number: usize,
    is_cancelled: Arc<AtomicBool>,
    above: Option<Arc<Life>>,
}

impl Running {
    fn begin(
        kernel: &Kernel,
        world: &Arc<World>,
        parent: &ActorPath,
        number: usize,
        is_cancelled: &Arc<AtomicBool>,
    ) -> Self {
        let (parent, world) = (parent.clone(), Arc::clone(world));
        let above = kernel.registry().get(&parent).and_then(|slot| slot.life());
        world.event(Event::TaskBegan {
            parent: parent.clone(),
            number,
        });
        Self {
            world,
            parent,
            number,
            is_cancelled: Arc::clone(is_cancelled),
            above,
        }
    }

    /// Works for a while, and ends in one of the ways in which a task can end.
    async fn work(self, mut rng: fastrand::Rng) -> Result<usize, Exit> {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..LONG_MS))).await;
        if self.is_cancelled.load(Ordering::Relaxed) {
            let path = self.parent.clone();
            self.world.event(Event::Late { path });
        }
        match rng.u8(0..6) {
            0 => Err(Exit::error("told to crash")),
            #[expect(clippy::panic, reason = "it was asked for")]
            1 => panic!("told to panic"),
            2 => std::future::pending().await,
            _ => Ok(self.number),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.above.as_ref().is_some_and(|above| above.has_ended()) {
            let path = self.parent.clone();
            self.world.event(Event::Outlived { path });
        }
        self.world.event(Event::TaskOver {
            parent: self.parent.clone(),
            number: self.number,
        });
    }
}

/// Runs a task below `parent`, and awaits it, loses patience with it, or lets it go.
pub(super) fn run(
    kernel: &Kernel,
    world: &Arc<World>,
    rng: &mut fastrand::Rng,
    parent: ActorPath,
    number: usize,
) {
    let (kernel, world, mut rng) = (kernel.clone(), Arc::clone(world), rng.fork());
    drop(crate::kernel::spawn_detached(async move {
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let begin = {
            let (kernel, world, parent) = (kernel.clone(), Arc::clone(&world), parent.clone());
            let is_cancelled = Arc::clone(&is_cancelled);
            move || Running::begin(&kernel, &world, &parent, number, &is_cancelled)
        };
        let work = rng.fork();
        if rng.u8(0..4) == 0 {
            let restart = match rng.u8(0..3) {
                0 => Restart::Permanent,
                1 => Restart::Transient,
                _ => Restart::Temporary,
            };
            let make = move || {
                let (running, mut work) = (begin(), work.clone());
                async move { running.work(work.fork()).await.map(drop) }
            };
            let kept = kernel.keep_running(&parent, None, restart, make).await;
            return super::driver::note(&world, "keep running below", &parent, kept);
        }
        let ran = kernel
            .run(&parent, None, async move { begin().work(work).await })
            .await;
        match ran {
            Ok(task) => wait(&world, &mut rng, task, number, &is_cancelled).await,
            Err(error) => world.act(&format!("run below {parent}: {error}")),
        }
    }));
}

async fn wait(
    world: &World,
    rng: &mut fastrand::Rng,
    task: Task<usize>,
    number: usize,
    is_cancelled: &AtomicBool,
) {
    let path = task.path().clone();
    let patience = Duration::from_millis(rng.u64(0..LONG_MS));
    match rng.u8(0..4) {
        0 => task.detach(),
        1 => {
            tokio::time::sleep(patience).await;
            is_cancelled.store(true, Ordering::Relaxed);
            task.cancel();
        }
        _ => {
            world.event(Event::TaskAwaited { number });
            let outcome = task.await;
            world.act(&format!("{path} brought {outcome:?}"));
            let is_right = !matches!(outcome, Ok(other) if other != number);
            world.event(Event::TaskResolved { number, is_right });
        }
    }
}
