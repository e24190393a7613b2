//! The rows on ractor: typed messages over its unbounded mailboxes, default features, no cluster.
//!
//! ractor hands a failure to the supervisor and leaves the restart to it, under a new address. So
//! the supervisor here starts the child again while it handles the failure, and publishes the
//! address through a watch channel, which is the shortest way for a caller to learn of it.

use std::process::ExitCode;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, call_t};
use tokio::sync::watch;
use unity_measure::{CRASH_TEXT, Peer, REPLY_TIMEOUT};

fn main() -> ExitCode {
    unity_measure::run::<Ractor>(include_str!("../../Cargo.lock"))
}

struct Ractor;

impl Peer for Ractor {
    type Consumer = ActorRef<ConsumerMessage>;
    type Supervisor = ActorRef<()>;
    type Child = ActorRef<()>;
    type Crashing = CrashingHandle;

    const FRAMEWORK: &'static str = "ractor";
    const CAPACITY: Option<usize> = None;
    const RESTART_NOTE: &'static str = "supervisor by hand: spawn_linked in handle_supervisor_evt, address through a watch channel";

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

    async fn start_crashing() -> Self::Crashing {
        let (address, mut current) = watch::channel(None);
        let supervisor = RestartingSupervisor { address };
        Actor::spawn(None, supervisor, ())
            .await
            .expect("a supervisor starts");
        let child = next_address(&mut current).await;
        CrashingHandle { current, child }
    }

    async fn crash_and_ask(crashing: &mut Self::Crashing) -> u64 {
        crashing
            .child
            .cast(CrashingMessage::Crash)
            .expect("the child runs");
        crashing.child = next_address(&mut crashing.current).await;
        call_t!(
            crashing.child,
            CrashingMessage::Incarnation,
            REPLY_TIMEOUT_MS
        )
        .expect("the next incarnation answers")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a second has few milliseconds"
)]
const REPLY_TIMEOUT_MS: u64 = REPLY_TIMEOUT.as_millis() as u64;

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

enum CrashingMessage {
    Crash,
    Incarnation(RpcReplyPort<u64>),
}

struct Crashing;

impl Actor for Crashing {
    type Msg = CrashingMessage;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        incarnation: u64,
    ) -> Result<u64, ActorProcessingErr> {
        Ok(incarnation)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        incarnation: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CrashingMessage::Crash => panic!("{CRASH_TEXT}"),
            CrashingMessage::Incarnation(reply) => reply.send(*incarnation)?,
        }
        Ok(())
    }
}

type Address = Option<ActorRef<CrashingMessage>>;

/// The caller's end: the address in use and where the next one appears.
struct CrashingHandle {
    current: watch::Receiver<Address>,
    child: ActorRef<CrashingMessage>,
}

async fn next_address(current: &mut watch::Receiver<Address>) -> ActorRef<CrashingMessage> {
    current.changed().await.expect("the supervisor runs");
    current
        .borrow_and_update()
        .clone()
        .expect("a change is an address")
}

struct RestartingSupervisor {
    address: watch::Sender<Address>,
}

impl RestartingSupervisor {
    async fn start(
        &self,
        myself: &ActorRef<()>,
        incarnation: u64,
    ) -> Result<(), ActorProcessingErr> {
        let supervisor = myself.get_cell();
        let (child, _) = Actor::spawn_linked(None, Crashing, incarnation, supervisor).await?;
        self.address.send_replace(Some(child));
        Ok(())
    }
}

impl Actor for RestartingSupervisor {
    type Msg = ();
    type State = u64;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<u64, ActorProcessingErr> {
        self.start(&myself, 0).await?;
        Ok(0)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        incarnation: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            *incarnation += 1;
            self.start(&myself, *incarnation).await?;
        }
        Ok(())
    }
}
