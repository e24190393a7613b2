//! Faults that are put into a running kernel on purpose: what chaos breaks, and how it is undone.
//!
//! Each lands where the fault that it stands for would: a panic unwinds out of a life's own future with the message that it
//! has in hand, a start fails before its actor is made, a message is lost between its sender and its lane. So what follows is the
//! kernel's own answer to it, and nothing of that knows that the fault was made.
//!
//! What lasts is undone when its [`Undo`] is dropped. What nobody asks for costs nothing: a life and a mailbox look at one flag
//! that they look at anyway, or that lies beside one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::exit::{Exit, ExitReason};
use crate::kernel::{Kernel, KernelError};
use crate::life::Life;
use crate::path::ActorPath;
use crate::slot::Slot;
use crate::supervisor::core::RequestError;

/// What an exit says that was made on purpose.
pub const BY_CHAOS: &str = "chaos";

/// A fault of one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeFault {
    /// Its handler panics, with the next message in hand where one waits.
    Panic,
    /// Its handler returns an error, with the next message in hand where one waits.
    Error,
    /// It waits for so long and takes no message.
    Hang(Duration),
    /// It holds its thread for so long and takes no message.
    Busy(Duration),
}

impl LifeFault {
    /// Whether the life ends by it.
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, Self::Panic | Self::Error)
    }
}

/// A fault of the starts of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartFault {
    /// How much longer each takes.
    pub slow: Duration,
    /// How many of the next fail.
    pub fail: u32,
}

/// A fault on the way of messages to a slot. What it takes away becomes a dead letter. Of durable events nothing is dropped or
/// doubled, and of what is asked for nothing is doubled: there is one way back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteFault {
    /// How many in a hundred are dropped.
    pub drop: u8,
    /// How many in a hundred are doubled, of those that have a JSON form or carry an event.
    pub double: u8,
    /// How much later each arrives; they keep their order. As many wait as the lane holds, and what comes then is dropped.
    pub delay: Duration,
    /// What chance begins with.
    pub seed: u64,
}

/// What a [`RouteFault`] has done so far.
#[derive(Debug, Default)]
pub struct RouteCounts {
    dropped: AtomicU64,
    doubled: AtomicU64,
    delayed: AtomicU64,
}

impl RouteCounts {
    /// How many messages were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many messages were doubled.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.doubled.load(Ordering::Relaxed)
    }

    /// How many messages arrived later.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }

    pub(crate) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn double_one(&self) {
        self.doubled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn delay_one(&self) {
        self.delayed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Undoes a fault when it is dropped.
#[must_use = "the fault is undone when this is dropped"]
pub struct Undo(Option<Box<dyn FnOnce() + Send>>);

impl Undo {
    /// One that does this.
    pub fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(undo)))
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Undo")
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

/// A route that is broken: how that is undone, what it does, and what brings what is held back.
pub(crate) struct BrokenRoute {
    pub(crate) undo: Undo,
    pub(crate) counts: Arc<RouteCounts>,
    pub(crate) forward: Option<BoxFuture<'static, ()>>,
}

impl Kernel {
    /// Breaks the life of the worker at `path` that there is now, and returns which it is. It is broken between two messages, or
    /// with the next one in hand.
    ///
    /// # Errors
    /// [`KernelError`] if nothing is there, it is a supervisor, or does not run.
    pub fn break_life(&self, path: &ActorPath, fault: LifeFault) -> Result<u64, KernelError> {
        let slot = self.breakable(path)?;
        let life = slot.life().filter(|life| !life.has_ended());
        let life = life.ok_or_else(|| KernelError::Refused {
            path: path.clone(),
            error: RequestError::NotRunning,
        })?;
        life.request(|requests| requests.fault = Some(fault));
        slot.wake();
        Ok(life.incarnation())
    }

    /// Breaks the starts of the worker at `path` from the next one on. Another fault takes the place of this one.
    ///
    /// # Errors
    /// [`KernelError`] if nothing is there, or it is a supervisor.
    pub fn break_starts(&self, path: &ActorPath, fault: StartFault) -> Result<Undo, KernelError> {
        let slot = self.breakable(path)?;
        slot.break_starts(Some(fault));
        Ok(Undo::new(move || slot.break_starts(None)))
    }

    /// Breaks the way to the worker at `path`. Another fault takes the place of this one.
    ///
    /// # Errors
    /// [`KernelError`] if nothing is there, or it is a supervisor.
    pub fn break_route(
        &self,
        path: &ActorPath,
        fault: RouteFault,
    ) -> Result<(Undo, Arc<RouteCounts>), KernelError> {
        let slot = self.breakable(path)?;
        let broken = slot.worker().and_then(|worker| worker.break_route(fault));
        let broken = broken.ok_or_else(|| KernelError::NotAWorker(path.clone()))?;
        let forward = broken.forward.map(|forward| self.spawn_task(forward));
        let undo = broken.undo;
        let undo = Undo::new(move || {
            drop(undo);
            if let Some(forward) = forward {
                forward.abort();
            }
        });
        Ok((undo, broken.counts))
    }

    /// Fills the mailbox of the worker at `path`: senders find every lane full, as in a flood that it cannot cope with.
    ///
    /// # Errors
    /// [`KernelError`] if nothing is there, or it is a supervisor.
    pub fn fill_mailbox(&self, path: &ActorPath) -> Result<Undo, KernelError> {
        let slot = self.breakable(path)?;
        let undo = slot.worker().and_then(|worker| worker.take_room());
        undo.ok_or_else(|| KernelError::NotAWorker(path.clone()))
    }

    /// Sets the wall clock ahead, or back, by so many microseconds; what was set before stays.
    pub fn jump_clock(&self, by_us: i64) -> Undo {
        let clock = self.clock();
        clock.jump(by_us);
        Undo::new(move || clock.jump(by_us.saturating_neg()))
    }

    fn breakable(&self, path: &ActorPath) -> Result<Arc<Slot>, KernelError> {
        let slot = self.registry().get(path);
        let slot = slot.ok_or_else(|| KernelError::NotFound(path.clone()))?;
        if slot.is_supervisor() {
            return Err(KernelError::NotAWorker(path.clone()));
        }
        Ok(slot)
    }
}

/// Has a life suffer a fault, in its own future.
pub(crate) async fn suffer(fault: LifeFault, life: &Arc<Life>, kernel: &Kernel) -> Option<Exit> {
    match fault {
        #[expect(clippy::panic, reason = "it was asked for")]
        LifeFault::Panic => panic!("{BY_CHAOS}: panic"),
        LifeFault::Error => Some(Exit::error(format!("{BY_CHAOS}: error"))),
        LifeFault::Hang(time) => {
            tokio::time::sleep(time).await;
            None
        }
        LifeFault::Busy(time) => {
            match kernel.threads().filter(|threads| threads.is_simulated()) {
                Some(threads) => {
                    let hold = threads.hold(life);
                    tokio::time::sleep(time).await;
                    drop(hold);
                }
                None => spin(time),
            }
            None
        }
    }
}

fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

impl StartFault {
    /// Has a start suffer it.
    pub(crate) async fn suffer(self) -> Result<(), Exit> {
        tokio::time::sleep(self.slow).await;
        match self.fail {
            0 => Ok(()),
            _ => Err(Exit(ExitReason::error(format!(
                "{BY_CHAOS}: this start fails"
            )))),
        }
    }

    /// What is left of it after one start.
    pub(crate) fn after_one(self) -> Option<Self> {
        let left = Self {
            fail: self.fail.saturating_sub(1),
            ..self
        };
        (left != Self::default()).then_some(left)
    }
}
