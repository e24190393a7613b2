//! Messages as an actor takes them in hand, for whoever looks: [`Kernel::trace`].
//!
//! Who traces leaves a request with the life, so an actor that nobody traces does nothing for it: the shell looks once a message
//! whether its life is as usual, neither suspended nor traced. A trace is of one life, has a bound, and holds up nobody:
//! what there is no room for is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::kernel::{Kernel, KernelError};
use crate::life::Life;
use crate::message::Message;
use crate::path::ActorPath;
use crate::priority::Priority;
use crate::supervisor::core::RequestError;

/// A message that was taken in hand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traced {
    /// When.
    pub at: Timestamp,
    /// By which life.
    pub incarnation: u64,
    /// The name of its variant.
    pub message: &'static str,
    /// The lane that it was in.
    pub lane: Priority,
    /// How long ago it was published, if it carries an event; of other messages nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_us: Option<u64>,
    /// How many messages waited behind it.
    pub waiting: usize,
    /// How long it was in hand.
    pub took_us: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// How the handler of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// In order.
    Done,
    /// In order, and the actor stops.
    Stops,
    /// With an error: the actor crashes.
    Error,
    /// With a panic: the actor crashes.
    Panic,
    /// Not at all: the life was ended meanwhile.
    Ended,
}

/// What a life is traced with.
#[derive(Debug)]
pub struct Trace {
    incarnation: u64,
    messages: mpsc::Receiver<Traced>,
    missed: Arc<AtomicU64>,
}

impl Trace {
    /// The next message; `None` once the life has ended.
    pub async fn next(&mut self) -> Option<Traced> {
        self.messages.recv().await
    }

    /// How many there was no room for.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Which life is traced.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

/// The end of a trace that a life has.
#[derive(Debug)]
pub(crate) struct Tracer {
    messages: mpsc::Sender<Traced>,
    missed: Arc<AtomicU64>,
}

impl Tracer {
    /// `false` if nobody looks any more.
    fn tell(&self, traced: &Traced) -> bool {
        match self.messages.try_send(traced.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
        }
    }
}

impl Kernel {
    /// Traces the life of the worker at `path` that there is now; `room` messages wait for who looks too slowly.
    ///
    /// # Errors
    /// [`KernelError`] if nothing is there, or it does not run.
    ///
    /// # Panics
    /// If `room` is 0.
    pub fn trace(&self, path: &ActorPath, room: usize) -> Result<Trace, KernelError> {
        let slot = self.registry().get(path);
        let slot = slot.ok_or_else(|| KernelError::NotFound(path.clone()))?;
        if slot.is_supervisor() {
            return Err(KernelError::NotAWorker(path.clone()));
        }
        let life = slot.life().filter(|life| !life.has_ended());
        let life = life.ok_or_else(|| KernelError::Refused {
            path: path.clone(),
            error: RequestError::NotRunning,
        })?;
        let (sender, messages) = mpsc::channel(room);
        let missed = Arc::new(AtomicU64::new(0));
        let tracer = Tracer {
            messages: sender,
            missed: Arc::clone(&missed),
        };
        life.request(|requests| requests.tracers.push(tracer));
        slot.wake();
        Ok(Trace {
            incarnation: life.incarnation(),
            messages,
            missed,
        })
    }
}

/// A message in hand that is traced; tells of it when it is dropped, however that comes.
pub(crate) struct Seen<'a> {
    traced: Traced,
    begun: Instant,
    tracers: &'a mut Vec<Tracer>,
}

impl<'a> Seen<'a> {
    pub(crate) fn begin<M: Message>(
        message: &mut M,
        waiting: usize,
        (life, kernel): (&Life, &Kernel),
        tracers: &'a mut Vec<Tracer>,
    ) -> Self {
        let at = kernel.clock().wall();
        let event = message.delivery().map(|event| (event.priority, event.time));
        let lane = event.map_or_else(|| message.priority(), |(lane, _)| lane);
        Self {
            traced: Traced {
                at,
                incarnation: life.incarnation(),
                message: message.name(),
                lane,
                waited_us: event.map(|(_, published)| microseconds(published.age(at))),
                waiting,
                took_us: 0,
                outcome: Outcome::Ended,
            },
            begun: Instant::now(),
            tracers,
        }
    }

    pub(crate) fn ended(mut self, outcome: Outcome) {
        self.traced.outcome = outcome;
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        self.traced.took_us = microseconds(self.begun.elapsed());
        if std::thread::panicking() {
            self.traced.outcome = Outcome::Panic;
        }
        let traced = &self.traced;
        self.tracers.retain(|tracer| tracer.tell(traced));
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
