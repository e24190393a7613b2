//! What a framework must be able to do to be measured, one trait for each thing.
//!
//! The methods are thin: what a user of the framework would write, with no queue, cache or task of
//! ours in between. All loops are in this crate. A framework implements what it has; the rest of
//! its rows stay empty. Every method is called on the runtime.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// How many messages a mailbox holds, in frameworks that have bounded ones.
pub const MAILBOX_CAPACITY: usize = 1_024;

/// After which time an ask gives up.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// How many restarts a supervisor allows within [`RESTART_PERIOD`]: more than any framework reaches,
/// and each is charged all the same.
pub const RESTARTS_MAX: u32 = 1_000_000;

/// The window in which restarts are counted: the shortest that Erlang has.
pub const RESTART_PERIOD: Duration = Duration::from_secs(1);

/// What a crashing actor panics with; the panic hook is silent for this text alone.
pub const CRASH_TEXT: &str = "crash asked for by the benchmark";

/// How long the handler of a low message works.
const LOW_WORK: Duration = Duration::from_micros(20);

/// The length of what is told to another process.
pub const PAYLOAD_LEN: usize = 64;

/// The work of one low message, which ends with its being counted.
pub fn work(handled: &AtomicU64) {
    let started = Instant::now();
    while started.elapsed() < LOW_WORK {
        std::hint::spin_loop();
    }
    handled.fetch_add(1, Ordering::Relaxed);
}

/// Tells and asks.
pub trait Messages: 'static {
    /// An address of an actor that adds up what it is told, and answers an ask with the number of
    /// messages it was told.
    type Consumer: Clone + Send + Sync + 'static;

    /// The capacity of the consumer's mailbox; `None` where it is unbounded.
    const CAPACITY: Option<usize>;

    /// Starts a consumer.
    fn start_consumer() -> impl Future<Output = Self::Consumer> + Send;

    /// Tells the consumer a number, waiting for room where the mailbox is bounded.
    fn tell(consumer: &Self::Consumer, value: u64) -> impl Future<Output = ()> + Send;

    /// Asks the consumer how many messages it was told, with [`REPLY_TIMEOUT`].
    fn ask(consumer: &Self::Consumer) -> impl Future<Output = u64> + Send;

    /// Begins a task where the framework's own tasks run; returns the wait for it.
    fn spawn<T: Send + 'static>(
        runtime: &Handle,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let task = runtime.spawn(future);
        async { task.await.expect("a measuring task does not panic") }
    }
}

/// Starts and stops under a supervisor.
pub trait Spawns: 'static {
    /// Starts `count` children under a new supervisor, one after the other, and stops them in reverse, each
    /// awaited. Returns how long the starts took, and how long the stops.
    fn start_and_stop(count: usize) -> impl Future<Output = (Duration, Duration)> + Send;

    /// Starts `count` children that nobody put in an order, and stops them all, the fastest way that waits for all of
    /// them: first until they run, then until they are down. Returns how long each took.
    fn start_and_stop_batch(count: usize) -> impl Future<Output = (Duration, Duration)> + Send;

    /// Has `count` children stopped in reverse and started again in order, because one of them crashed where the framework
    /// does that by itself (`one_for_all`), else one after the other. Returns how long it took from the crash, or
    /// the first stop, until the last was up.
    fn restart_group(count: usize) -> impl Future<Output = Duration> + Send;

    /// Starts `count` children that wait for a message, and returns what keeps them alive.
    fn start_idle(count: usize) -> impl Future<Output = Box<dyn Any + Send>> + Send;
}

/// [`Spawns`] for a framework whose children are started and stopped one by one.
pub trait OneByOne: 'static {
    /// A supervisor that outlives the exits of its children.
    type Supervisor: Send + Sync + 'static;
    /// A child that does nothing.
    type Child: Send + 'static;

    /// Starts a supervisor without children.
    fn start_supervisor() -> impl Future<Output = Self::Supervisor> + Send;

    /// Starts a child and waits until it is ready.
    fn start_child(supervisor: &Self::Supervisor) -> impl Future<Output = Self::Child> + Send;

    /// Stops a child for good and waits until it is down.
    fn stop_child(child: Self::Child) -> impl Future<Output = ()> + Send;

    /// Stops all children at once, and waits until they are down.
    fn stop_children(children: Vec<Self::Child>) -> impl Future<Output = ()> + Send;
}

impl<P: OneByOne> Spawns for P {
    async fn start_and_stop(count: usize) -> (Duration, Duration) {
        let started = Instant::now();
        let (_supervisor, mut children) = start_children::<P>(count).await;
        let start = started.elapsed();
        let stopping = Instant::now();
        while let Some(child) = children.pop() {
            P::stop_child(child).await;
        }
        (start, stopping.elapsed())
    }

    async fn start_and_stop_batch(count: usize) -> (Duration, Duration) {
        let started = Instant::now();
        let (_supervisor, children) = start_children::<P>(count).await;
        let start = started.elapsed();
        let stopping = Instant::now();
        P::stop_children(children).await;
        (start, stopping.elapsed())
    }

    async fn restart_group(count: usize) -> Duration {
        let (supervisor, mut children) = start_children::<P>(count).await;
        let stopping = Instant::now();
        while let Some(child) = children.pop() {
            P::stop_child(child).await;
        }
        for _ in 0..count {
            children.push(P::start_child(&supervisor).await);
        }
        let took = stopping.elapsed();
        P::stop_children(children).await;
        took
    }

    async fn start_idle(count: usize) -> Box<dyn Any + Send> {
        Box::new(start_children::<P>(count).await)
    }
}

async fn start_children<P: OneByOne>(count: usize) -> (P::Supervisor, Vec<P::Child>) {
    let supervisor = P::start_supervisor().await;
    let mut children = Vec::with_capacity(count);
    for _ in 0..count {
        children.push(P::start_child(&supervisor).await);
    }
    (supervisor, children)
}

/// Crashes, and restarts by a supervisor that allows [`RESTARTS_MAX`] within [`RESTART_PERIOD`].
pub trait Restarts: 'static {
    /// A supervisor.
    type Crowd: Send + 'static;
    /// One of its actors, which can be made to panic and is then started again.
    type Member: Send + 'static;

    /// Starts a supervisor and `count` actors under it.
    fn start_crowd(count: usize) -> impl Future<Output = (Self::Crowd, Vec<Self::Member>)> + Send;

    /// Makes the actor panic.
    fn crash(member: &mut Self::Member) -> impl Future<Output = ()> + Send;

    /// Asks it, once after each crash, how many lives it had before this one.
    fn ask_next(member: &mut Self::Member) -> impl Future<Output = u64> + Send;

    /// Stops all.
    fn end_crowd(crowd: Self::Crowd) -> impl Future<Output = ()> + Send;
}

/// An urgent message behind many that are not.
pub trait Lanes: 'static {
    /// An actor that does [`work`] for each low message.
    type Desk: Send + Sync + 'static;

    /// Starts it; its mailbox has room for `capacity` messages at least.
    fn start_desk(
        handled: Arc<AtomicU64>,
        capacity: usize,
    ) -> impl Future<Output = Self::Desk> + Send;

    /// Sends a low message, for which there is room.
    fn tell_low(desk: &Self::Desk) -> impl Future<Output = ()> + Send;

    /// Sends a message that is critical, if the framework knows of such, with ten times [`REPLY_TIMEOUT`].
    /// Its handler answers how long ago it was `sent`.
    fn ask_critical(desk: &Self::Desk, sent: Instant) -> impl Future<Output = Duration> + Send;
}

/// Tells and asks over the loopback, to an actor of another process: a node each, with the encryption and the checks
/// that are usual there.
pub trait Nodes: 'static {
    /// An address of an actor of the other process, which counts what it is told, adds up its first bytes, and answers
    /// an ask with the count.
    type Remote: Clone + Send + Sync + 'static;

    /// What a process of this framework is called with before the arguments of the suite.
    const WORDS: &'static [&'static str];

    /// In the receiver: starts a node with that actor. Returns where it is reached, without a line break, and what keeps
    /// it there.
    fn serve() -> impl Future<Output = (String, Box<dyn Any + Send>)> + Send;

    /// In the sender: starts a node, connects it, and finds the actor.
    fn connect(address: String) -> impl Future<Output = Self::Remote> + Send;

    /// Tells it, waiting for room where something is bounded. Whether it was taken.
    fn tell(
        remote: &Self::Remote,
        payload: &[u8; PAYLOAD_LEN],
    ) -> impl Future<Output = bool> + Send;

    /// Asks how many messages it was told; nothing if the link breaks or the time is over.
    fn ask(remote: &Self::Remote, timeout: Duration) -> impl Future<Output = Option<u64>> + Send;
}
