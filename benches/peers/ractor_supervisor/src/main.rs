//! The restart rows of ractor, on ractor-supervisor: `Supervisor`, one for one, permanent children.
//!
//! It starts a child again under a new address. The child publishes that address through a watch
//! channel as it starts, which is the shortest way for a caller to learn of it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, call_t};
use ractor_supervisor::{
    ChildSpec, Restart, SpawnFn, Supervisor, SupervisorArguments, SupervisorMsg, SupervisorOptions,
    SupervisorStrategy,
};
use tokio::sync::watch;
use unity_measure::{CRASH_TEXT, REPLY_TIMEOUT, RESTART_PERIOD, RESTARTS_MAX, Restarts, Suite};

fn main() -> ExitCode {
    let lock_file = include_str!("../../Cargo.lock");
    Suite::new("ractor", "ractor-supervisor", lock_file)
        .restarts::<RactorSupervisor>()
        .run(std::env::args().skip(1))
}

struct RactorSupervisor;

type Address = Option<ActorRef<CrashingMessage>>;

/// Names are the process's: each crowd has its own.
static CROWDS: AtomicU64 = AtomicU64::new(0);

#[expect(
    clippy::cast_possible_truncation,
    reason = "a second has few milliseconds"
)]
const REPLY_TIMEOUT_MS: u64 = REPLY_TIMEOUT.as_millis() as u64;

impl Restarts for RactorSupervisor {
    type Crowd = ActorRef<SupervisorMsg>;
    type Member = watch::Receiver<Address>;

    async fn start_crowd(count: usize) -> (Self::Crowd, Vec<Self::Member>) {
        let name = format!("crowd-{}", CROWDS.fetch_add(1, Ordering::Relaxed));
        let (child_specs, mut members): (Vec<_>, Vec<_>) = (0..count)
            .map(|number| child(format!("{name}-{number}")))
            .unzip();
        let options = SupervisorOptions {
            strategy: SupervisorStrategy::OneForOne,
            max_restarts: RESTARTS_MAX as usize,
            max_window: RESTART_PERIOD,
            reset_after: None,
        };
        let arguments = SupervisorArguments {
            child_specs,
            options,
        };
        let (supervisor, _) = Supervisor::spawn(name, arguments)
            .await
            .expect("a supervisor starts");
        for member in &mut members {
            next_address(member).await;
        }
        (supervisor, members)
    }

    async fn crash(member: &mut Self::Member) {
        let address = member.borrow().clone();
        address
            .expect("it was started")
            .cast(CrashingMessage::Crash)
            .expect("the child runs");
    }

    async fn ask_next(member: &mut Self::Member) -> u64 {
        let child = next_address(member).await;
        call_t!(child, CrashingMessage::LivesBefore, REPLY_TIMEOUT_MS)
            .expect("the next life answers")
    }

    async fn end_crowd(supervisor: Self::Crowd) {
        supervisor
            .stop_and_wait(None, None)
            .await
            .expect("the supervisor was running");
    }
}

/// A child's specification, and where its addresses appear.
fn child(id: String) -> (ChildSpec, watch::Receiver<Address>) {
    let (address, addresses) = watch::channel(None);
    let starts = Arc::new(AtomicU64::new(0));
    let address = Arc::new(address);
    let spawn_fn = SpawnFn::new(move |supervisor: ActorCell, id| {
        let lives_before = starts.fetch_add(1, Ordering::Relaxed);
        let address = Arc::clone(&address);
        async move {
            let (child, _) =
                Supervisor::spawn_linked(id, Crashing, (lives_before, address), supervisor).await?;
            Ok(child.get_cell())
        }
    });
    let spec = ChildSpec {
        id,
        restart: Restart::Permanent,
        spawn_fn,
        backoff_fn: None,
        reset_after: None,
    };
    (spec, addresses)
}

async fn next_address(current: &mut watch::Receiver<Address>) -> ActorRef<CrashingMessage> {
    current.changed().await.expect("the supervisor runs");
    current
        .borrow_and_update()
        .clone()
        .expect("a change is an address")
}

enum CrashingMessage {
    Crash,
    LivesBefore(RpcReplyPort<u64>),
}

struct Crashing;

impl Actor for Crashing {
    type Msg = CrashingMessage;
    type State = u64;
    type Arguments = (u64, Arc<watch::Sender<Address>>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (lives_before, address): Self::Arguments,
    ) -> Result<u64, ActorProcessingErr> {
        address.send_replace(Some(myself));
        Ok(lives_before)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        lives_before: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CrashingMessage::Crash => panic!("{CRASH_TEXT}"),
            CrashingMessage::LivesBefore(reply) => reply.send(*lives_before)?,
        }
        Ok(())
    }
}
