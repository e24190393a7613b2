//! What a framework must be able to do to be measured.
//!
//! The methods are thin: what a user of the framework would write, with no queue, cache or task of
//! ours in between. All loops are in `measure`.

use std::time::Duration;

use tokio::time::Instant;

/// How many messages a mailbox holds, in frameworks that have bounded ones.
pub const MAILBOX_CAPACITY: usize = 1_024;

/// After which time an ask gives up.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// What a crashing actor panics with; the panic hook is silent for this text alone.
pub const CRASH_TEXT: &str = "crash asked for by the benchmark";

/// A framework under measurement. Every method is called on the runtime.
pub trait Peer: 'static {
    /// An address of an actor that adds up what it is told, and answers an ask with the number of
    /// messages it was told.
    type Consumer: Clone + Send + Sync + 'static;
    /// A supervisor that outlives the exits of its children.
    type Supervisor: Send + Sync + 'static;
    /// A child that does nothing.
    type Child: Send + 'static;
    /// A supervised actor that can be made to panic and is then started again, without a limit.
    type Crashing: Send + 'static;

    /// The name in the output.
    const FRAMEWORK: &'static str;
    /// The crate's name in the lock file.
    const PACKAGE: &'static str = Self::FRAMEWORK;
    /// The capacity of the consumer's mailbox; `None` where it is unbounded.
    const CAPACITY: Option<usize>;
    /// By what means the crashing actor is started again.
    const RESTART_NOTE: &'static str;

    /// Starts a consumer.
    fn start_consumer() -> impl Future<Output = Self::Consumer> + Send;

    /// Tells the consumer a number, waiting for room where the mailbox is bounded.
    fn tell(consumer: &Self::Consumer, value: u64) -> impl Future<Output = ()> + Send;

    /// Asks the consumer how many messages it was told, with [`REPLY_TIMEOUT`].
    fn ask(consumer: &Self::Consumer) -> impl Future<Output = u64> + Send;

    /// Starts a supervisor without children.
    fn start_supervisor() -> impl Future<Output = Self::Supervisor> + Send;

    /// Starts a child and waits until it is ready.
    fn start_child(supervisor: &Self::Supervisor) -> impl Future<Output = Self::Child> + Send;

    /// Stops a child for good and waits until it is down.
    fn stop_child(child: Self::Child) -> impl Future<Output = ()> + Send;

    /// Starts `count` children under a new supervisor, one after the other, and stops them in reverse, each
    /// awaited. Returns how long the starts took, and how long the stops.
    ///
    /// A framework that starts and stops a supervisor's children in order by itself does that instead.
    fn start_and_stop(count: usize) -> impl Future<Output = (Duration, Duration)> + Send {
        async move {
            let supervisor = Self::start_supervisor().await;
            let mut children = Vec::with_capacity(count);
            let started = Instant::now();
            for _ in 0..count {
                children.push(Self::start_child(&supervisor).await);
            }
            let start = started.elapsed();
            let stopping = Instant::now();
            while let Some(child) = children.pop() {
                Self::stop_child(child).await;
            }
            (start, stopping.elapsed())
        }
    }

    /// Starts an actor that can be made to panic, and its supervisor.
    fn start_crashing() -> impl Future<Output = Self::Crashing> + Send;

    /// Makes the actor panic, then returns the incarnation which answered an ask.
    fn crash_and_ask(crashing: &mut Self::Crashing) -> impl Future<Output = u64> + Send;
}
