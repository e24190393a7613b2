//! The part above all budgets: the root's children are killed until the kernel enters safe mode; then all is released.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use unity_supervisors::fault::BY_CHAOS;
use unity_supervisors::slot::Slot;
use unity_supervisors::spec::Restart;
use unity_supervisors::{ActorPath, Kernel, Mode, SlotState};

use super::report::Above as Report;
use super::run::Order;

/// How long it is gone beyond the budget at most.
const KILLS_FOR: Duration = Duration::from_secs(1);
/// How long an essential child may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Time between two looks: the kernel says of no fact that safe mode is over for all.
const LOOK: Duration = Duration::from_millis(5);

/// What it takes.
pub(super) struct Above<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) orders: watch::Receiver<Order>,
    /// How long it may take until all is up again.
    pub(super) settles_within: Duration,
}

impl Above<'_> {
    /// Goes beyond the root's budget and comes back.
    pub(super) async fn run(&self) -> Report {
        let before = up(self.kernel);
        let safe_mode = self.kill_until_safe().await;
        let essential_up = safe_mode && self.essentials_answer().await;
        let begun = Instant::now();
        if let Err(error) = self.kernel.release_all().await {
            tracing::error!(%error, "what chaos brought into safe mode cannot be released");
        }
        let restored = self.all_are_up(&before, begun).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Report {
            safe_mode,
            essential_up,
            restored,
            restored_ms: restored.then_some(took),
        }
    }

    fn is_stopped(&self) -> bool {
        *self.orders.borrow() == Order::Stop || self.kernel.mode() == Mode::Stopping
    }

    /// Kills one of the root's children after the other as often as it takes. Whoever is essential is struck only where nobody
    /// else can be.
    async fn kill_until_safe(&self) -> bool {
        let until = Instant::now() + KILLS_FOR;
        let mut next = 0;
        while self.kernel.mode() == Mode::Normal && Instant::now() < until && !self.is_stopped() {
            let victims = victims(self.kernel);
            let Some(victim) = victims.get(next % victims.len().max(1)) else {
                sleep(LOOK).await;
                continue;
            };
            next += 1;
            // One that went down by itself meanwhile is as good.
            drop(
                self.kernel
                    .kill(victim.path(), Some(BY_CHAOS.to_owned()))
                    .await,
            );
            tokio::task::yield_now().await;
        }
        let until = Instant::now() + ANSWERS_WITHIN;
        while self.kernel.mode() == Mode::Normal && Instant::now() < until && !self.is_stopped() {
            let giving_up = self
                .kernel
                .root()
                .is_some_and(|root| root.state() != SlotState::Running);
            if !giving_up {
                break;
            }
            sleep(LOOK).await;
        }
        self.kernel.mode() == Mode::Safe
    }

    /// Whether every essential child of the root runs and, where it is a worker, says how it is.
    async fn essentials_answer(&self) -> bool {
        let until = Instant::now() + ANSWERS_WITHIN;
        let root = self.kernel.root();
        let children = root.iter().flat_map(|root| root.children());
        for child in children.filter(|child| child.spec().essential) {
            // It may be on its way up, or in the last moments of the life before.
            while !self.answers(&child).await {
                if Instant::now() >= until {
                    return false;
                }
                sleep(LOOK).await;
            }
        }
        true
    }

    async fn answers(&self, child: &Slot) -> bool {
        let says = self.kernel.observe(child.path(), ANSWERS_WITHIN);
        child.state() == SlotState::Running && (child.is_supervisor() || says.await.is_ok())
    }

    async fn all_are_up(&self, before: &[ActorPath], begun: Instant) -> bool {
        loop {
            if self.kernel.mode() == Mode::Normal && are_up(self.kernel, before) {
                return true;
            }
            if begun.elapsed() >= self.settles_within || self.kernel.mode() == Mode::Stopping {
                return false;
            }
            sleep(LOOK).await;
        }
    }
}

/// The root's children that can be killed now and count: those that are not essential, unless all are.
fn victims(kernel: &Kernel) -> Vec<Arc<Slot>> {
    let root = kernel.root();
    let children = root.iter().flat_map(|root| root.children());
    let counts = |child: &Arc<Slot>| {
        let spec = child.spec();
        let ladder = spec.as_worker().and_then(|worker| worker.on_crash.as_ref());
        child.state() == SlotState::Running
            && spec.restart != Restart::Temporary
            && spec.backoff.is_none()
            && ladder.is_none()
    };
    let (essential, others): (Vec<_>, Vec<_>) = children
        .filter(counts)
        .partition(|child| child.spec().essential);
    if others.is_empty() { essential } else { others }
}

/// All that runs below the root.
pub(super) fn up(kernel: &Kernel) -> Vec<ActorPath> {
    let mut found = Vec::new();
    let mut open: Vec<Arc<Slot>> = kernel.root().into_iter().collect();
    while let Some(slot) = open.pop() {
        for child in slot.children() {
            if child.state() == SlotState::Running && child.spec().restart != Restart::Temporary {
                found.push(child.path().clone());
            }
            open.push(child);
        }
    }
    found
}

/// Whether all of these run.
pub(super) fn are_up(kernel: &Kernel, paths: &[ActorPath]) -> bool {
    let runs = |path: &ActorPath| {
        let slot = kernel.registry().get(path);
        slot.is_some_and(|slot| slot.state().is_up())
    };
    paths.iter().all(runs)
}
