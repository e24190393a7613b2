//! `cargo bench --bench bus`: the event bus with the peers beside it, interleaved in one run.
//!
//! Fan-out: one publisher, and so many subscribers that each handle every event; the figure is events handled per second,
//! of all subscribers together, until the last has its last. All have the bound of 1,024 and lose nothing: ours by
//! `publish_when_room`, bounded mpsc channels (one for each subscriber) by `send`, tokio's broadcast and ractor's process
//! groups, which have no such wait, by a publisher that looks at every 64th event whether the slowest has room. All send
//! the same events. ractor is built with its `cluster` feature here, as in the product.
//!
//! Ends with exit code 1 when a limit is broken.

#![expect(clippy::cast_precision_loss, reason = "counts and times of a bench")]
#![expect(clippy::panic, reason = "what cannot be measured ends the bench")]
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured beside us runs in plain tasks"
)]

mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::verdict::report;
use anyhow::Result;
use parking_lot::Mutex;
use ractor::{Actor as _, ActorProcessingErr, ActorRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::Instant;
use unity_supervisors::bus::{Event, EventId, Head, Place, Refused, Subscriber, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ChildId, Context, Delivery, Draft, Exit, Kernel, KernelConfig, Kinds, Message, Next,
    Priority, Runtimes, Start,
};

/// Places in each mailbox and channel.
const BOUND: usize = 1_024;
/// How many events a publisher that is not slowed sends before it looks.
const LOOK: u64 = 64;
/// From how many waiting events on such a publisher waits.
const ENOUGH: usize = BOUND - 64;

/// Makes what the peers send: events like ours, made as cheaply.
struct Maker {
    head: Arc<Head>,
    clock: Clock,
    count: u128,
}

impl Maker {
    fn new() -> Self {
        let topic = "bench.event".parse().expect("a topic");
        Self {
            head: Head::new(&topic, &"bench".into()),
            clock: Clock::real(),
            count: 0,
        }
    }

    fn next(&mut self, number: u64) -> Arc<Event> {
        self.count += 1;
        if self.count.is_multiple_of(u128::from(LOOK)) {
            self.head = Head::new(&self.head.topic, &self.head.source);
        }
        let time = self.clock.wall();
        Arc::new(Event {
            id: EventId::from_u128(u128::from(time.unix_ms()) << 80 | self.count),
            head: Arc::clone(&self.head),
            time,
            priority: Priority::Normal,
            data: Value::from(number),
            extras: None,
        })
    }
}

/// Counts what is handled, and tells when all is.
struct Tally {
    handled: AtomicU64,
    wanted: AtomicU64,
    done: Notify,
}

impl Tally {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            handled: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            done: Notify::new(),
        })
    }

    /// A subscriber handled its last.
    fn add(&self, count: u64) {
        let handled = self.handled.fetch_add(count, Ordering::AcqRel) + count;
        if handled >= self.wanted.load(Ordering::Acquire) {
            self.done.notify_one();
        }
    }

    async fn all(&self, wanted: u64) {
        self.wanted.store(wanted, Ordering::Release);
        while self.handled.load(Ordering::Acquire) < wanted {
            if tokio::time::timeout(Duration::from_millis(50), self.done.notified())
                .await
                .is_err()
            {
                continue;
            }
        }
    }
}

/// Counts for one subscriber, which writes to what others read only now and then.
struct Count {
    tally: Arc<Tally>,
    mine: u64,
}

impl Count {
    fn one(&mut self, value: u64) {
        std::hint::black_box(value);
        self.mine += 1;
        if self.mine == LOOK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.tally.add(std::mem::take(&mut self.mine));
    }
}

/// How many events are published: so many that a run takes about a second.
fn events(subscribers: u64) -> u64 {
    (4_000_000 / subscribers).next_multiple_of(LOOK)
}

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let mut holds = fan_out(&runtime);
    holds &= latency(&runtime)?;
    holds &= routing(&runtime);
    Ok(holds)
}

/// One measurement: how many events a second are handled.
type Run = fn(&Runtime, u64) -> f64;

/// The peers, and at which of [`SUBSCRIBERS`] ours is to be how many times as fast.
const PEERS: [(&str, Run, f64); 3] = [
    ("bounded mpsc each", mpsc_each, 1.2),
    ("tokio broadcast", broadcast_one, 1.0),
    ("ractor process group", ractor_group, 3.0),
];
const SUBSCRIBERS: [u64; 3] = [1, 8, 64];
const ROUNDS: usize = 5;

fn fan_out(runtime: &Runtime) -> bool {
    report(
        "| fan-out, handled M/s | ours | bounded mpsc each | tokio broadcast | ractor process group |",
    );
    report("|---|---|---|---|---|");
    let mut holds = true;
    for subscribers in SUBSCRIBERS {
        let mut runs: Vec<Vec<f64>> = vec![Vec::new(); PEERS.len() + 1];
        for _ in 0..ROUNDS {
            let peers = PEERS.iter().map(|(_, run, _)| *run);
            for (rates, run) in runs.iter_mut().zip([ours as Run].into_iter().chain(peers)) {
                rates.push(run(runtime, subscribers));
            }
        }
        let medians: Vec<f64> = runs.into_iter().map(median).collect();
        let (own, others) = medians.split_first().expect("ours is there");
        let mut line = format!("| {subscribers} subscribers | {:.2} |", own / 1e6);
        for (other, (_, _, least)) in others.iter().zip(PEERS) {
            let ratio = own / other;
            let verdict = if ratio < least { " **below**" } else { "" };
            holds &= ratio >= least;
            line.push_str(&format!(
                " {:.2} ({ratio:.2} x, at least {least}{verdict}) |",
                other / 1e6
            ));
        }
        report(&line);
    }
    holds
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// When each event was handled, in nanoseconds after it was published.
#[derive(Default)]
struct Took(Mutex<Vec<u64>>);

struct Clocked {
    began: Instant,
    took: Arc<Took>,
}

impl Subscriber for Nobody {
    fn deliver(&self, _: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        Ok(())
    }

    fn name(&self) -> String {
        "nobody".to_owned()
    }
}

struct Nobody;

/// From publish to handler: with nothing else to do, and at 100,000 events a second.
fn latency(runtime: &Runtime) -> Result<bool> {
    report("\n| publish to handler | p50 µs | p99 µs | at most |");
    report("|---|---|---|---|");
    let idle = times(runtime, 2_000, 1, Duration::from_millis(1))?;
    let busy = times(runtime, 200_000, 100, Duration::from_millis(1))?;
    let [idle_p50, idle_p99] = [50, 99].map(|percent| at(&idle, percent));
    let busy_p99 = at(&busy, 99);
    report(&format!(
        "| idle | {idle_p50:.1} | {idle_p99:.1} | 10 / 100 |"
    ));
    report(&format!(
        "| 100,000 events/s | {:.1} | {busy_p99:.1} | – / 1000 |",
        at(&busy, 50)
    ));
    Ok(idle_p50 <= 10.0 && idle_p99 <= 100.0 && busy_p99 <= 1_000.0)
}

/// The time in µs that so many of a hundred do not exceed.
fn at(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}

/// Publishes `count` events, so many at a time and then a pause; returns how long each took, sorted.
fn times(runtime: &Runtime, count: u64, burst: u64, pause: Duration) -> Result<Vec<u64>> {
    let took = Arc::new(Took::default());
    let clocked = Arc::new(Clocked {
        began: Instant::now(),
        took: Arc::clone(&took),
    });
    let control = control();
    runtime.block_on(async {
        let kinds = Kinds::new().with::<Watch>("ear", "reads the clock");
        let kernel = kernel(1, kinds, &control, |config| {
            config.with_shared(Arc::clone(&clocked))
        })
        .await;
        let bus = Arc::clone(kernel.bus());
        let publisher = tokio::spawn(async move {
            let mut publisher = bus.publisher(&"bench".into(), &"bench.event".parse()?);
            let mut next = Instant::now();
            for _ in 0..count / burst {
                next += pause;
                tokio::time::sleep_until(next).await;
                for _ in 0..burst {
                    let ns = u64::try_from(clocked.began.elapsed().as_nanos())?;
                    publisher.publish_when_room(Value::from(ns)).await?;
                }
            }
            anyhow::Ok(())
        });
        publisher.await??;
        while took.0.lock().len() < usize::try_from(count)? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        kernel.shutdown().await;
        anyhow::Ok(())
    })?;
    control.shutdown_background();
    let mut took = std::mem::take(&mut *took.0.lock());
    took.sort_unstable();
    Ok(took)
}

/// Reads the clock at each event.
struct Watch(Arc<Clocked>);

impl Default for Clocked {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            took: Arc::default(),
        }
    }
}

impl Actor for Watch {
    type Message = EarMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.subscribe("bench.*", EarMessage::Event)?;
        Ok(Start::Running(Self(ctx.kernel().shared())))
    }

    async fn handle(
        &mut self,
        message: &mut EarMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let EarMessage::Event(event) = message;
        let now = u64::try_from(self.0.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let took = now.saturating_sub(event.data.as_u64().unwrap_or(now));
        self.0.took.0.lock().push(took);
        Ok(Next::Continue)
    }
}

/// A publish beside many patterns that do not fit, and one that does.
fn routing(runtime: &Runtime) -> bool {
    let patterns = [10, 10_000];
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (times, patterns) in runs.iter_mut().zip(patterns) {
            times.push(publish_beside(runtime, patterns));
        }
    }
    let [few, many] = runs.map(median);
    report("\n| routing | ns a publish |");
    report("|---|---|");
    report(&format!("| 10 patterns | {few:.0} |"));
    report(&format!(
        "| 10,000 patterns | {many:.0} ({:.2} x, at most 2) |",
        many / few
    ));
    many <= 2.0 * few
}

/// Nanoseconds for a publish of one of a thousand topics.
fn publish_beside(runtime: &Runtime, patterns: usize) -> f64 {
    const EVENTS: usize = 200_000;
    let control = control();
    let ns = runtime.block_on(async {
        let kernel = kernel(0, Kinds::new(), &control, |config| config).await;
        let bus = kernel.bus();
        for number in 0..patterns {
            let pattern = format!("other.p{number}.*").parse().expect("a pattern");
            bus.subscribe(&pattern, Arc::new(Nobody));
        }
        bus.subscribe(&"bench.*".parse().expect("a pattern"), Arc::new(Nobody));
        let topics: Vec<Topic> = (0..1_000)
            .map(|number| format!("bench.t{number}").parse().expect("a topic"))
            .collect();
        let source: Arc<str> = "bench".into();
        let began = Instant::now();
        for topic in topics.iter().cycle().take(EVENTS) {
            bus.publish(&source, Draft::new(topic, Value::Null))
                .await
                .expect("published");
        }
        let ns = began.elapsed().as_nanos() as f64 / EVENTS as f64;
        kernel.shutdown().await;
        ns
    });
    control.shutdown_background();
    ns
}

fn control() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a thread can be started")
}

/// A kernel of so many children of kind `ear`, whose supervisors run on `control`.
async fn kernel(
    ears: u64,
    kinds: Kinds,
    control: &Runtime,
    with: impl FnOnce(KernelConfig) -> KernelConfig,
) -> Kernel {
    let child = |number| {
        let id = ChildId::new(format!("e{number}")).expect("a letter and digits");
        Arc::new(ChildSpec::worker(id, "ear"))
    };
    let root = SupervisorSpec {
        children: (0..ears).map(child).collect(),
        ..SupervisorSpec::default()
    };
    let runtimes = Runtimes {
        control: control.handle().clone(),
        ..Runtimes::current()
    };
    let config = with(KernelConfig::new(runtimes, kinds, 1));
    let tree = TreeSpec {
        name: "bench".to_owned(),
        test: true,
        root,
    };
    let kernel = Kernel::start(config, tree)
        .await
        .expect("the tree can be built");
    kernel.booted().await;
    kernel
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoSettings {}

#[derive(Debug, Message)]
enum EarMessage {
    Event(Delivery),
}

struct Ear(Count);

struct Shared(Arc<Tally>);

impl Default for Shared {
    fn default() -> Self {
        Self(Tally::new())
    }
}

impl Actor for Ear {
    type Message = EarMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.subscribe("bench.*", EarMessage::Event)?;
        let tally = Arc::clone(&ctx.kernel().shared::<Shared>().0);
        Ok(Start::Running(Self(Count { tally, mine: 0 })))
    }

    async fn handle(
        &mut self,
        message: &mut EarMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            EarMessage::Event(event) => self.0.one(event.data.as_u64().unwrap_or(0)),
        }
        Ok(Next::Continue)
    }
}

fn ours(runtime: &Runtime, subscribers: u64) -> f64 {
    let control = control();
    let tally = Tally::new();
    let shared = Arc::new(Shared(Arc::clone(&tally)));
    let rate = runtime.block_on(async {
        let kinds = Kinds::new().with::<Ear>("ear", "counts");
        let kernel = kernel(subscribers, kinds, &control, |config| {
            config.with_shared(shared)
        })
        .await;
        let bus = Arc::clone(kernel.bus());
        let count = events(subscribers);
        let started = Instant::now();
        let publisher = tokio::spawn(async move {
            let topic: Topic = "bench.event".parse().expect("a topic");
            let mut publisher = bus.publisher(&"bench".into(), &topic);
            for number in 0..count {
                let said = publisher.publish_when_room(Value::from(number)).await;
                said.expect("published");
            }
        });
        publisher.await.expect("it publishes");
        tally.all(count * subscribers).await;
        let rate = (count * subscribers) as f64 / started.elapsed().as_secs_f64();
        kernel.shutdown().await;
        rate
    });
    control.shutdown_background();
    rate
}

fn mpsc_each(runtime: &Runtime, subscribers: u64) -> f64 {
    runtime.block_on(async {
        let tally = Tally::new();
        let mut senders = Vec::new();
        for _ in 0..subscribers {
            let (sender, mut receiver) = mpsc::channel::<Arc<Event>>(BOUND);
            let mut count = Count {
                tally: Arc::clone(&tally),
                mine: 0,
            };
            tokio::spawn(async move {
                while let Some(payload) = receiver.recv().await {
                    count.one(payload.data.as_u64().unwrap_or(0));
                }
            });
            senders.push(sender);
        }
        let count = events(subscribers);
        let started = Instant::now();
        let publisher = tokio::spawn(async move {
            let mut maker = Maker::new();
            for number in 0..count {
                let payload = maker.next(number);
                for sender in &senders {
                    sender
                        .send(Arc::clone(&payload))
                        .await
                        .expect("it is there");
                }
            }
            senders
        });
        let senders = publisher.await.expect("it publishes");
        tally.all(count * subscribers).await;
        drop(senders);
        (count * subscribers) as f64 / started.elapsed().as_secs_f64()
    })
}

fn broadcast_one(runtime: &Runtime, subscribers: u64) -> f64 {
    runtime.block_on(async {
        let tally = Tally::new();
        let (sender, _) = broadcast::channel::<Arc<Event>>(BOUND);
        for _ in 0..subscribers {
            let mut receiver = sender.subscribe();
            let mut count = Count {
                tally: Arc::clone(&tally),
                mine: 0,
            };
            tokio::spawn(async move {
                loop {
                    match receiver.recv().await {
                        Ok(payload) => count.one(payload.data.as_u64().unwrap_or(0)),
                        Err(broadcast::error::RecvError::Lagged(lost)) => panic!("lost {lost}"),
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                }
            });
        }
        let count = events(subscribers);
        let started = Instant::now();
        let publisher = tokio::spawn(async move {
            let mut maker = Maker::new();
            for number in 0..count {
                if number.is_multiple_of(LOOK) {
                    while sender.len() > ENOUGH {
                        tokio::task::yield_now().await;
                    }
                }
                let payload = maker.next(number);
                drop(sender.send(payload));
            }
            sender
        });
        let sender = publisher.await.expect("it publishes");
        tally.all(count * subscribers).await;
        drop(sender);
        (count * subscribers) as f64 / started.elapsed().as_secs_f64()
    })
}

struct Member;

#[derive(Clone)]
struct Told(Arc<Event>);

impl ractor::Message for Told {}

impl ractor::Actor for Member {
    type Msg = Told;
    type State = Count;
    type Arguments = Count;

    async fn pre_start(
        &self,
        _: ActorRef<Told>,
        count: Count,
    ) -> Result<Count, ActorProcessingErr> {
        Ok(count)
    }

    async fn handle(
        &self,
        _: ActorRef<Told>,
        told: Told,
        count: &mut Count,
    ) -> Result<(), ActorProcessingErr> {
        count.one(told.0.data.as_u64().unwrap_or(0));
        Ok(())
    }
}

fn ractor_group(runtime: &Runtime, subscribers: u64) -> f64 {
    runtime.block_on(async {
        let tally = Tally::new();
        let group = format!("bench{}", fastrand::u64(..));
        let mut members = Vec::new();
        for _ in 0..subscribers {
            let count = Count {
                tally: Arc::clone(&tally),
                mine: 0,
            };
            let (member, _) = Member::spawn(None, Member, count).await.expect("it starts");
            ractor::pg::join(group.clone(), vec![member.get_cell()]);
            members.push(member);
        }
        let count = events(subscribers);
        let (handled, started) = (Arc::clone(&tally), Instant::now());
        let publisher = tokio::spawn(async move {
            let mut maker = Maker::new();
            for number in 0..count {
                if number.is_multiple_of(LOOK) {
                    // All together: the slowest may be further behind than its bound.
                    let most = number * subscribers;
                    while most - handled.handled.load(Ordering::Acquire)
                        > (BOUND as u64 - LOOK) * subscribers
                    {
                        tokio::task::yield_now().await;
                    }
                }
                let payload = maker.next(number);
                for member in ractor::pg::get_members(&group) {
                    let member: ActorRef<Told> = member.into();
                    member.cast(Told(Arc::clone(&payload))).expect("it runs");
                }
            }
        });
        publisher.await.expect("it publishes");
        tally.all(count * subscribers).await;
        let rate = (count * subscribers) as f64 / started.elapsed().as_secs_f64();
        for member in members {
            member.stop(None);
        }
        rate
    })
}
