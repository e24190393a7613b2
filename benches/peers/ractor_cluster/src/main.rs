//! The rows between processes on ractor_cluster as its documentation shows it: a `NodeServer` each, a cookie, no
//! encryption, an actor found through a process group. Everything that it queues is unbounded, so a tell never waits.

use std::any::Any;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{
    IncomingEncryptionMode, NodeEventSubscription, NodeServer, NodeServerMessage,
    RactorClusterMessage, client_connect,
};
use tokio::sync::oneshot;
use unity_measure::{Nodes, PAYLOAD_LEN, Suite};

fn main() -> ExitCode {
    Suite::new(
        "ractor_cluster",
        "ractor_cluster",
        include_str!("../../Cargo.lock"),
    )
    .nodes::<RactorCluster>()
    .run(std::env::args().skip(1))
}

const COOKIE: &str = "a cookie of the bench";
const GROUP: &str = "counters";

struct RactorCluster;

impl Nodes for RactorCluster {
    type Remote = ActorRef<CounterMessage>;

    const WORDS: &'static [&'static str] = &[];

    async fn serve() -> (String, Box<dyn Any + Send>) {
        let (counter, _) = Actor::spawn(None, Counter, ())
            .await
            .expect("a counter starts");
        pg::join(GROUP.to_owned(), vec![counter.get_cell()]);
        let port = free_port().expect("a port is free");
        let server = start_node("receiver", port).await;
        (
            format!("{}:{port}", Ipv4Addr::LOCALHOST),
            Box::new((counter, server)),
        )
    }

    async fn connect(address: String) -> Self::Remote {
        let server = start_node("sender", free_port().expect("a port is free")).await;
        let (sender, ready) = oneshot::channel();
        server
            .cast(NodeServerMessage::SubscribeToEvents {
                id: "ready".to_owned(),
                subscription: Box::new(Ready(Mutex::new(Some(sender)))),
            })
            .expect("the node runs");
        client_connect(&server, address)
            .await
            .expect("the receiver listens");
        ready.await.expect("the session gets ready");
        let members = pg::get_members(&GROUP.to_owned());
        members.into_iter().next().expect("one member").into()
    }

    async fn tell(remote: &Self::Remote, payload: &[u8; PAYLOAD_LEN]) -> bool {
        let message = CounterMessage::Add(payload.to_vec());
        remote.cast(message).is_ok()
    }

    async fn ask(remote: &Self::Remote, timeout: Duration) -> Option<u64> {
        match remote.call(CounterMessage::Count, Some(timeout)).await {
            Ok(CallResult::Success(count)) => Some(count),
            _ => None,
        }
    }
}

async fn start_node(name: &str, port: u16) -> ActorRef<NodeServerMessage> {
    let server = NodeServer::new(
        port,
        COOKIE.to_owned(),
        name.to_owned(),
        "localhost".to_owned(),
        Some(IncomingEncryptionMode::Raw),
        Some(NodeConnectionMode::Isolated),
    )
    .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (server, _) = Actor::spawn(None, server, ()).await.expect("a node starts");
    server
}

/// A node that is given port 0 tells nobody which one it has got.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Tells once that a session has exchanged what both sides have.
struct Ready(Mutex<Option<oneshot::Sender<()>>>);

impl NodeEventSubscription for Ready {
    fn node_session_opened(&self, _session: NodeServerSessionInformation) {}

    fn node_session_authenticated(&self, _session: NodeServerSessionInformation) {}

    fn node_session_ready(&self, _session: NodeServerSessionInformation) {
        let sender = self.0.lock().ok().and_then(|mut sender| sender.take());
        if let Some(sender) = sender {
            let is_awaited = sender.send(()).is_ok();
            debug_assert!(is_awaited, "whoever connects waits for it");
        }
    }

    fn node_session_disconnected(&self, _session: NodeServerSessionInformation) {}
}

#[derive(RactorClusterMessage)]
enum CounterMessage {
    Add(Vec<u8>),
    #[rpc]
    Count(RpcReplyPort<u64>),
}

#[derive(Default)]
struct Told {
    count: u64,
    sum: u64,
}

struct Counter;

impl Actor for Counter {
    type Msg = CounterMessage;
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
            CounterMessage::Add(payload) => {
                let number = payload
                    .first_chunk()
                    .map_or(0, |it| u64::from_le_bytes(*it));
                told.count += 1;
                told.sum = std::hint::black_box(told.sum.wrapping_add(number));
            }
            CounterMessage::Count(reply) => reply.send(told.count)?,
        }
        Ok(())
    }
}
