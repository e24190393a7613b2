//! The rows on ractor as it is used alone: typed messages over its unbounded mailboxes, default
//! features, no cluster. There are no priorities for users: a critical message waits its turn.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, call_t};
use unity_measure::{Instant, Lanes, Messages, OneByOne, REPLY_TIMEOUT, Suite};

fn main() -> ExitCode {
    Suite::new("ractor", "ractor", include_str!("../../Cargo.lock"))
        .messages::<Ractor>()
        .spawns::<Ractor>()
        .lanes::<Ractor>()
        .run(std::env::args().skip(1))
}

struct Ractor;

#[expect(
    clippy::cast_possible_truncation,
    reason = "a second has few milliseconds"
)]
const REPLY_TIMEOUT_MS: u64 = REPLY_TIMEOUT.as_millis() as u64;

impl Messages for Ractor {
    type Consumer = ActorRef<ConsumerMessage>;

    const CAPACITY: Option<usize> = None;

    async fn start_consumer() -> Self::Consumer {
        let (consumer, _) = Actor::spawn(None, Consumer, ())
            .await
            .expect("a consumer starts");
        consumer
    }

    async fn tell(consumer: &Self::Consumer, value: u64) {
        consumer
            .cast(ConsumerMessage::Add(value))
            .expect("the consumer runs");
    }

    async fn ask(consumer: &Self::Consumer) -> u64 {
        call_t!(consumer, ConsumerMessage::Count, REPLY_TIMEOUT_MS).expect("the consumer answers")
    }
}

impl OneByOne for Ractor {
    type Supervisor = ActorRef<()>;
    type Child = ActorRef<()>;

    async fn start_supervisor() -> Self::Supervisor {
        let (supervisor, _) = Actor::spawn(None, Supervisor, ())
            .await
            .expect("a supervisor starts");
        supervisor
    }

    async fn start_child(supervisor: &Self::Supervisor) -> Self::Child {
        let supervisor = supervisor.get_cell();
        let (child, _) = Actor::spawn_linked(None, Child, (), supervisor)
            .await
            .expect("a child starts");
        child
    }

    async fn stop_child(child: Self::Child) {
        child
            .stop_and_wait(None, None)
            .await
            .expect("the child was running");
    }

    async fn stop_children(children: Vec<Self::Child>) {
        for child in &children {
            child.stop(None);
        }
        for child in children {
            child.wait(None).await.expect("the child ends");
        }
    }
}

impl Lanes for Ractor {
    type Desk = ActorRef<DeskMessage>;

    async fn start_desk(handled: Arc<AtomicU64>, _capacity: usize) -> Self::Desk {
        let (desk, _) = Actor::spawn(None, Desk { handled }, ())
            .await
            .expect("a desk starts");
        desk
    }

    async fn tell_low(desk: &Self::Desk) {
        desk.cast(DeskMessage::Low).expect("the desk runs");
    }

    async fn ask_critical(desk: &Self::Desk, sent: Instant) -> Duration {
        call_t!(desk, DeskMessage::Critical, 10 * REPLY_TIMEOUT_MS, sent).expect("the desk answers")
    }
}

enum ConsumerMessage {
    Add(u64),
    Count(RpcReplyPort<u64>),
}

#[derive(Default)]
struct Told {
    count: u64,
    sum: u64,
}

struct Consumer;

impl Actor for Consumer {
    type Msg = ConsumerMessage;
    type State = Told;
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<Told, ActorProcessingErr> {
        Ok(Told::default())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        told: &mut Told,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ConsumerMessage::Add(value) => {
                told.count += 1;
                told.sum = std::hint::black_box(told.sum.wrapping_add(value));
            }
            ConsumerMessage::Count(reply) => reply.send(told.count)?,
        }
        Ok(())
    }
}

struct Child;

impl Actor for Child {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

struct Supervisor;

impl Actor for Supervisor {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    /// The default would stop the supervisor with its first child.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

enum DeskMessage {
    Low,
    Critical(Instant, RpcReplyPort<Duration>),
}

struct Desk {
    handled: Arc<AtomicU64>,
}

impl Actor for Desk {
    type Msg = DeskMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DeskMessage::Low => unity_measure::work(&self.handled),
            DeskMessage::Critical(sent, reply) => reply.send(sent.elapsed())?,
        }
        Ok(())
    }
}
