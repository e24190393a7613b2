//! The rows on kameo: bounded mailboxes, default features, its own supervision.
//!
//! kameo restarts a supervised child itself and keeps its mailbox and address, so an ask sent right
//! after the crash waits in the mailbox and the next incarnation answers it. That holds only once
//! the first start-up is over (seen with 0.22.2): what arrives earlier is buffered, and a crash by
//! one of those messages loses the others, so the start of each crashing actor is awaited. A
//! supervisor keeps the specification of a child that has stopped for good, hence a new supervisor
//! for each round of spawns. There are no priorities: a critical message waits its turn.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::mailbox;
use kameo::message::{Context, Message};
use kameo::supervision::RestartPolicy;
use unity_measure::{
    CRASH_TEXT, Instant, Lanes, MAILBOX_CAPACITY, Messages, OneByOne, REPLY_TIMEOUT,
    RESTART_PERIOD, RESTARTS_MAX, Restarts, Suite,
};

fn main() -> ExitCode {
    Suite::new("kameo", "kameo", include_str!("../../Cargo.lock"))
        .messages::<Kameo>()
        .spawns::<Kameo>()
        .restarts::<Kameo>()
        .lanes::<Kameo>()
        .run(std::env::args().skip(1))
}

struct Kameo;

impl Messages for Kameo {
    type Consumer = ActorRef<Consumer>;

    const CAPACITY: Option<usize> = Some(MAILBOX_CAPACITY);

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
}

impl OneByOne for Kameo {
    type Supervisor = ActorRef<Supervisor>;
    type Child = ActorRef<Child>;

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

    async fn stop_children(children: Vec<Self::Child>) {
        for child in &children {
            child
                .stop_gracefully()
                .await
                .expect("the child was running");
        }
        for child in children {
            child.wait_for_shutdown().await;
        }
    }
}

impl Restarts for Kameo {
    type Crowd = ActorRef<Supervisor>;
    type Member = ActorRef<Crashing>;

    async fn start_crowd(count: usize) -> (Self::Crowd, Vec<Self::Member>) {
        let supervisor = Supervisor::spawn(Supervisor);
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let starts = Arc::new(AtomicU64::new(0));
            let member = Crashing::supervise_with(&supervisor, move || Crashing {
                lives_before: starts.fetch_add(1, Ordering::Relaxed),
            })
            .restart_policy(RestartPolicy::Permanent)
            .restart_limit(RESTARTS_MAX, RESTART_PERIOD)
            .spawn_with_mailbox(mailbox::bounded(MAILBOX_CAPACITY))
            .await;
            member.wait_for_startup().await;
            members.push(member);
        }
        (supervisor, members)
    }

    async fn crash(member: &mut Self::Member) {
        member
            .tell(Crash)
            .send()
            .await
            .expect("the child accepts messages");
    }

    async fn ask_next(member: &mut Self::Member) -> u64 {
        let ask = member.ask(LivesBefore).reply_timeout(REPLY_TIMEOUT);
        ask.send().await.expect("the next life answers")
    }

    async fn end_crowd(supervisor: Self::Crowd) {
        supervisor
            .stop_gracefully()
            .await
            .expect("the supervisor was running");
        supervisor.wait_for_shutdown().await;
    }
}

impl Lanes for Kameo {
    type Desk = ActorRef<Desk>;

    async fn start_desk(handled: Arc<AtomicU64>, capacity: usize) -> Self::Desk {
        Desk::spawn_with_mailbox(Desk { handled }, mailbox::bounded(capacity))
    }

    async fn tell_low(desk: &Self::Desk) {
        desk.tell(Low).send().await.expect("the desk runs");
    }

    async fn ask_critical(desk: &Self::Desk, sent: Instant) -> Duration {
        desk.ask(Critical(sent))
            .reply_timeout(10 * REPLY_TIMEOUT)
            .send()
            .await
            .expect("the desk answers")
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

#[derive(Actor)]
struct Crashing {
    lives_before: u64,
}

struct Crash;

impl Message<Crash> for Crashing {
    type Reply = ();

    async fn handle(&mut self, _message: Crash, _context: &mut Context<Self, ()>) {
        panic!("{CRASH_TEXT}");
    }
}

struct LivesBefore;

impl Message<LivesBefore> for Crashing {
    type Reply = u64;

    async fn handle(&mut self, _message: LivesBefore, _context: &mut Context<Self, u64>) -> u64 {
        self.lives_before
    }
}

#[derive(Actor)]
struct Desk {
    handled: Arc<AtomicU64>,
}

struct Low;

impl Message<Low> for Desk {
    type Reply = ();

    async fn handle(&mut self, _message: Low, _context: &mut Context<Self, ()>) {
        unity_measure::work(&self.handled);
    }
}

struct Critical(Instant);

impl Message<Critical> for Desk {
    type Reply = Result<Duration, Infallible>;

    async fn handle(
        &mut self,
        Critical(sent): Critical,
        _context: &mut Context<Self, Self::Reply>,
    ) -> Self::Reply {
        Ok(sent.elapsed())
    }
}
