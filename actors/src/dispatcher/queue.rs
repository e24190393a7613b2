//! How an actor has its events handled as jobs: [`EventJobs`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;
use unity_supervisors::bus::{Delivery, Event, Pattern, Queue, Refused, Since, SubscribeError};
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::{Actor, Context, Exit, Priority};

use super::lines::NoPlace;
use super::{Dispatcher, Job, PATH, Subscription};

/// How long a job may take unless it says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// The line of the job that this task does.
    pub(super) static LINE: u64;
}

/// What does a job.
pub(super) type Handler =
    Box<dyn Fn(Arc<Event>) -> BoxFuture<'static, Result<(), Exit>> + Send + Sync>;

/// How the events of a subscription are handled.
#[derive(Debug, Clone)]
pub struct JobOptions {
    tier: Option<Priority>,
    timeout: Duration,
    concurrency: usize,
    durable: Option<(String, Since)>,
}

impl Default for JobOptions {
    /// In the tier of each event's priority, one at a time, for at most [`TIMEOUT`].
    fn default() -> Self {
        Self {
            tier: None,
            timeout: TIMEOUT,
            concurrency: 1,
            durable: None,
        }
    }
}

impl JobOptions {
    /// All of them in this tier, whatever the priority of an event.
    #[must_use]
    pub fn tier(self, tier: Priority) -> Self {
        let tier = Some(tier);
        Self { tier, ..self }
    }

    /// For so long at most: then a job is dropped at its next await.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// So many at a time; they are still begun in order.
    #[must_use]
    pub fn concurrency(self, concurrency: usize) -> Self {
        Self {
            concurrency,
            ..self
        }
    }

    /// From streams, as [`Context::subscribe_durable`] does it: an event counts as handled once its handler has returned
    /// `Ok`.
    #[must_use]
    pub fn durable(self, name: impl Into<String>, since: Since) -> Self {
        let durable = Some((name.into(), since));
        Self { durable, ..self }
    }
}

/// Why a handler was not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// There is no subscription.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// Nobody would do the jobs.
    #[error("this kernel has no {PATH}: its services do not list `dispatcher::child()`")]
    NoDispatcher,
}

/// What an actor does to have events handled beside itself.
pub trait EventJobs {
    /// From now on the events that fit `pattern` are handled by `handler`, as jobs of the dispatcher in the name of this
    /// life, and as long as it lasts. An error or panic of the handler ends the worker and not this actor.
    ///
    /// # Errors
    /// [`JobError`].
    fn on_event_job<W: Future<Output = Result<(), Exit>> + Send + 'static>(
        &self,
        pattern: &str,
        options: JobOptions,
        handler: impl Fn(Arc<Event>) -> W + Send + Sync + 'static,
    ) -> Result<(), JobError>;
}

impl<A: Actor> EventJobs for Context<A> {
    fn on_event_job<W: Future<Output = Result<(), Exit>> + Send + 'static>(
        &self,
        pattern: &str,
        options: JobOptions,
        handler: impl Fn(Arc<Event>) -> W + Send + Sync + 'static,
    ) -> Result<(), JobError> {
        let pattern = Pattern::new(pattern).map_err(SubscribeError::from)?;
        let kernel = self.kernel();
        let has_dispatcher = |path| kernel.registry().get(&path).is_some();
        if !PATH.parse().is_ok_and(has_dispatcher) {
            return Err(JobError::NoDispatcher);
        }
        let dispatcher = kernel.shared::<Dispatcher>();
        let subscription = Arc::new(Subscription {
            behalf: self.on_behalf(),
            pattern: pattern.as_str().to_owned(),
            handler: Box::new(move |event| handler(event).boxed()),
            timeout: options.timeout,
            room: Notify::new(),
        });
        let line = dispatcher.open(Arc::clone(&subscription), options.concurrency);
        let queue = JobQueue {
            dispatcher: Arc::clone(&dispatcher),
            line,
            tier: options.tier,
            subscription,
        };
        let subscribed = match &options.durable {
            Some((name, since)) => self.subscribe_queue_durable(name, pattern, *since, queue),
            None => self.subscribe_queue(pattern, queue).map(drop),
        };
        // Also where nothing came of it.
        self.when_over(move |down| dispatcher.close(line, &down));
        Ok(subscribed?)
    }
}

/// Where the events of one subscription wait to be done.
struct JobQueue {
    dispatcher: Arc<Dispatcher>,
    line: u64,
    tier: Option<Priority>,
    subscription: Arc<Subscription>,
}

impl fmt::Debug for JobQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobQueue({})", self.line)
    }
}

impl JobQueue {
    fn job(&self, delivery: Delivery) -> Job {
        Job {
            tier: self.tier.unwrap_or(delivery.priority),
            delivery,
            since: Instant::now(),
            subscription: Arc::clone(&self.subscription),
        }
    }
}

impl Queue for JobQueue {
    fn put(&self, delivery: Delivery) -> Result<(), Refused> {
        match self.dispatcher.put(self.line, self.job(delivery)) {
            Ok(()) => Ok(()),
            Err(NoPlace::Full(job)) => {
                self.dispatcher
                    .count(job.tier, |counts| counts.refused += 1);
                Err(Refused::Full)
            }
            Err(NoPlace::Closed(_)) => Err(Refused::Gone),
        }
    }

    async fn put_when_room(&self, delivery: Delivery) -> Result<(), Refused> {
        if LINE.try_with(|line| *line == self.line).unwrap_or(false) {
            // A job of this line publishes: it would wait for its own end.
            return Err(Refused::Full);
        }
        self.put_from_stream(delivery).await
    }

    async fn put_from_stream(&self, delivery: Delivery) -> Result<(), Refused> {
        let mut job = self.job(delivery);
        loop {
            let mut room = std::pin::pin!(self.subscription.room.notified());
            room.as_mut().enable();
            match self.dispatcher.put(self.line, job) {
                Ok(()) => return Ok(()),
                Err(NoPlace::Closed(_)) => return Err(Refused::Gone),
                Err(NoPlace::Full(back)) => job = back,
            }
            room.await;
        }
    }

    fn condemn(&self, delivery: Delivery) {
        let behalf = &self.subscription.behalf;
        behalf.bury(delivery, DeadReason::Poison, None);
    }
}
