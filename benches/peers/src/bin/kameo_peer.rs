//! The rows on kameo: bounded mailboxes, default features, its own supervision.
//!
//! kameo restarts a supervised child itself and keeps its mailbox and address, so an ask sent right
//! after the crash waits in the mailbox and the next incarnation answers it. That holds only once
//! the first start-up is over (seen with 0.22.2): what arrives earlier is buffered, and a crash by
//! one of those messages loses the others, so the start of the crashing actor is awaited. A
//! supervisor keeps the specification of a child that has stopped for good, hence a new supervisor
//! for each round of spawns.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kameo::{
    Actor,
    actor::{ActorRef, Spawn},
    error::Infallible,
    mailbox,
    message::{Context, Message},
    supervision::RestartPolicy,
};
use unity_measure::{CRASH_TEXT, MAILBOX_CAPACITY, Peer, REPLY_TIMEOUT};

fn main() -> ExitCode {
    unity_measure::run::<Kameo>(include_str!("../../Cargo.lock"))
}

struct Kameo;

impl Peer for Kameo {
    type Consumer = ActorRef<Consumer>;
    type Supervisor = ActorRef<Supervisor>;
    type Child = ActorRef<Child>;
    type Crashing = CrashingHandle;

    const FRAMEWORK: &'static str = "kameo";
    const CAPACITY: Option<usize> = Some(MAILBOX_CAPACITY);
    const RESTART_NOTE: &'static str =
        "its own supervision: supervise_with, permanent, one for one; mailbox and address are kept";

    async fn start_consumer() -> Self::Consumer {
        Consumer::spawn_with_mailbox(Consumer::default(), mailbox::bounded(MAILBOX_CAPACITY))
    }

    async fn tell(consumer: &Self::Consumer, value: u64) {
        consumer
            .tell(Add(value))
            .send()
            .await
            .expect("the consumer runs");
    }

    async fn ask(consumer: &Self::Consumer) -> u64 {
        let ask = consumer.ask(Count).reply_timeout(REPLY_TIMEOUT);
        ask.send().await.expect("the consumer answers")
    }

    async fn start_supervisor() -> Self::Supervisor {
        Supervisor::spawn(Supervisor)
    }

    async fn start_child(supervisor: &Self::Supervisor) -> Self::Child {
        let child = Child::supervise(supervisor, Child)
            .restart_policy(RestartPolicy::Transient)
            .spawn()
            .await;
        child.wait_for_startup().await;
        child
    }

    async fn stop_child(child: Self::Child) {
        child
            .stop_gracefully()
            .await
            .expect("the child was running");
        child.wait_for_shutdown().await;
    }

    async fn start_crashing() -> Self::Crashing {
        let supervisor = Supervisor::spawn(Supervisor);
        let starts = Arc::new(AtomicU64::new(0));
        let child = Crashing::supervise_with(&supervisor, move || Crashing {
            incarnation: starts.fetch_add(1, Ordering::Relaxed),
        })
        .restart_policy(RestartPolicy::Permanent)
        .restart_limit(u32::MAX, Duration::from_secs(1))
        .spawn_with_mailbox(mailbox::bounded(MAILBOX_CAPACITY))
        .await;
        child.wait_for_startup().await;
        CrashingHandle {
            _supervisor: supervisor,
            child,
        }
    }

    async fn crash_and_ask(crashing: &mut Self::Crashing) -> u64 {
        crashing
            .child
            .tell(Crash)
            .send()
            .await
            .expect("the child accepts messages");
        let ask = crashing.child.ask(Incarnation).reply_timeout(REPLY_TIMEOUT);
        ask.send().await.expect("the next incarnation answers")
    }
}

#[derive(Actor, Default)]
struct Consumer {
    count: u64,
    sum: u64,
}

struct Add(u64);

impl Message<Add> for Consumer {
    type Reply = ();

    async fn handle(&mut self, Add(value): Add, _context: &mut Context<Self, ()>) {
        self.count += 1;
        self.sum = std::hint::black_box(self.sum.wrapping_add(value));
    }
}

struct Count;

impl Message<Count> for Consumer {
    type Reply = u64;

    async fn handle(&mut self, _message: Count, _context: &mut Context<Self, u64>) -> u64 {
        self.count
    }
}

#[derive(Actor, Clone)]
struct Child;

/// By default it would stop when a linked actor dies abnormally; it has children alone, which are
/// restarted or stop normally.
struct Supervisor;

impl Actor for Supervisor {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _myself: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

/// The caller's end. A supervisor stops with its last address, so it is held.
struct CrashingHandle {
    _supervisor: ActorRef<Supervisor>,
    child: ActorRef<Crashing>,
}

#[derive(Actor)]
struct Crashing {
    incarnation: u64,
}

struct Crash;

impl Message<Crash> for Crashing {
    type Reply = ();

    async fn handle(&mut self, _message: Crash, _context: &mut Context<Self, ()>) {
        panic!("{CRASH_TEXT}");
    }
}

struct Incarnation;

impl Message<Incarnation> for Crashing {
    type Reply = u64;

    async fn handle(&mut self, _message: Incarnation, _context: &mut Context<Self, u64>) -> u64 {
        self.incarnation
    }
}
