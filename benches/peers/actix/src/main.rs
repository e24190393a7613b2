//! The rows on actix: bounded mailboxes, default features, actors on one arbiter, which is a thread
//! with an executor.
//!
//! Tasks run where actix has them: on the arbiter of the actors, which is its fast case, so producers,
//! askers and actors share one thread. A producer that finds the mailbox full yields and tries
//! again, for waiting for room (`send`) is also waiting for the answer. Actors are started without
//! a supervisor: actix's starts an actor again that stops by itself, but ends with one that panics,
//! so there are no rows of restarts. There are no priorities: a critical message waits its turn.

use std::any::Any;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::dev::SendError;
use actix::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task;
use unity_measure::{Instant, Lanes, MAILBOX_CAPACITY, Messages, REPLY_TIMEOUT, Spawns, Suite};

static ARBITER: OnceLock<ArbiterHandle> = OnceLock::new();

fn main() -> ExitCode {
    // Arbiters belong to a system, which ends with this.
    let _system = System::new();
    ARBITER.get_or_init(|| Arbiter::new().handle());
    Suite::new("actix", "actix", include_str!("../../Cargo.lock"))
        .messages::<Actix>()
        .spawns::<Actix>()
        .lanes::<Actix>()
        .run(std::env::args().skip(1))
}

fn arbiter() -> &'static ArbiterHandle {
    ARBITER.get().expect("main has set it")
}

/// Begins a task on the arbiter; returns the wait for it.
fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let (sender, done) = oneshot::channel();
    arbiter().spawn(async {
        // Nobody waits for the one that is measured no longer.
        drop(sender.send(future.await));
    });
    async { done.await.expect("a measuring task does not panic") }
}

struct Actix;

impl Messages for Actix {
    type Consumer = Addr<Consumer>;

    const CAPACITY: Option<usize> = Some(MAILBOX_CAPACITY);

    async fn start_consumer() -> Self::Consumer {
        Consumer::start_in_arbiter(arbiter(), |_| Consumer::default())
    }

    async fn tell(consumer: &Self::Consumer, value: u64) {
        while let Err(error) = consumer.try_send(Add(value)) {
            assert!(matches!(error, SendError::Full(_)), "the consumer runs");
            task::yield_now().await;
        }
    }

    async fn ask(consumer: &Self::Consumer) -> u64 {
        let ask = consumer.send(Count).timeout(REPLY_TIMEOUT);
        ask.await.expect("the consumer answers")
    }

    fn spawn<T: Send + 'static>(
        _runtime: &Handle,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        spawn(future)
    }
}

impl Spawns for Actix {
    async fn start_and_stop(count: usize) -> (Duration, Duration) {
        spawn(async move {
            let started = Instant::now();
            let mut children = start_children(count).await;
            let start = started.elapsed();
            let stopping = Instant::now();
            while let Some((child, changed)) = children.pop() {
                child.do_send(Stop);
                changed.notified().await;
            }
            (start, stopping.elapsed())
        })
        .await
    }

    async fn start_and_stop_batch(count: usize) -> (Duration, Duration) {
        spawn(async move {
            let started = Instant::now();
            let children = start_children(count).await;
            let start = started.elapsed();
            let stopping = Instant::now();
            for (child, _) in &children {
                child.do_send(Stop);
            }
            for (_, changed) in children {
                changed.notified().await;
            }
            (start, stopping.elapsed())
        })
        .await
    }

    async fn restart_group(count: usize) -> Duration {
        spawn(async move {
            let mut children = start_children(count).await;
            let stopping = Instant::now();
            while let Some((child, changed)) = children.pop() {
                child.do_send(Stop);
                changed.notified().await;
            }
            children = start_children(count).await;
            let took = stopping.elapsed();
            for (child, changed) in children {
                child.do_send(Stop);
                changed.notified().await;
            }
            took
        })
        .await
    }

    async fn start_idle(count: usize) -> Box<dyn Any + Send> {
        Box::new(spawn(start_children(count)).await)
    }
}

/// Children, each with its sign that it has started and that it has stopped.
async fn start_children(count: usize) -> Vec<(Addr<Child>, Arc<Notify>)> {
    let mut children = Vec::with_capacity(count);
    for _ in 0..count {
        let changed = Arc::new(Notify::new());
        let child = Child {
            changed: Arc::clone(&changed),
        }
        .start();
        changed.notified().await;
        children.push((child, changed));
    }
    children
}

impl Lanes for Actix {
    type Desk = Addr<Desk>;

    async fn start_desk(handled: Arc<AtomicU64>, capacity: usize) -> Self::Desk {
        Desk::start_in_arbiter(arbiter(), move |context| {
            context.set_mailbox_capacity(capacity);
            Desk { handled }
        })
    }

    async fn tell_low(desk: &Self::Desk) {
        desk.try_send(Low).expect("there is room");
    }

    async fn ask_critical(desk: &Self::Desk, sent: Instant) -> Duration {
        let ask = desk.send(Critical(sent)).timeout(10 * REPLY_TIMEOUT);
        ask.await.expect("the desk answers")
    }
}

#[derive(Default)]
struct Consumer {
    count: u64,
    sum: u64,
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Add(u64);

impl Handler<Add> for Consumer {
    type Result = ();

    fn handle(&mut self, Add(value): Add, _context: &mut Self::Context) {
        self.count += 1;
        self.sum = std::hint::black_box(self.sum.wrapping_add(value));
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Count;

impl Handler<Count> for Consumer {
    type Result = u64;

    fn handle(&mut self, _message: Count, _context: &mut Self::Context) -> u64 {
        self.count
    }
}

struct Child {
    changed: Arc<Notify>,
}

impl Actor for Child {
    type Context = Context<Self>;

    fn started(&mut self, _context: &mut Self::Context) {
        self.changed.notify_one();
    }

    fn stopped(&mut self, _context: &mut Self::Context) {
        self.changed.notify_one();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Child {
    type Result = ();

    fn handle(&mut self, _message: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

struct Desk {
    handled: Arc<AtomicU64>,
}

impl Actor for Desk {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Low;

impl Handler<Low> for Desk {
    type Result = ();

    fn handle(&mut self, _message: Low, _context: &mut Self::Context) {
        unity_measure::work(&self.handled);
    }
}

#[derive(Message)]
#[rtype(result = "Duration")]
struct Critical(Instant);

impl Handler<Critical> for Desk {
    type Result = MessageResult<Critical>;

    fn handle(&mut self, Critical(sent): Critical, _context: &mut Self::Context) -> Self::Result {
        MessageResult(sent.elapsed())
    }
}
