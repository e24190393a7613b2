//! The rows between processes on two kernels, attached over TCP.

use std::any::Any;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_actors::cluster::greeting::Cookie;
use unity_actors::cluster::link::tcp::TcpLink;
use unity_actors::cluster::{Cluster, NodeOptions, RemoteAddress, guests, service};
use unity_measure::{Nodes, PAYLOAD_LEN, Suite};
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ChildId, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next, Reply, Runtimes,
    Start,
};

/// How long a tell may wait for room.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(args: &[String]) -> ExitCode {
    Suite::new("ours", "unity-kernel", include_str!("../../Cargo.lock"))
        .nodes::<Ours>()
        .run(args.iter().cloned())
}

struct Ours;

/// A node, and the actor that it talks to.
#[derive(Clone)]
struct Remote {
    _kernel: Kernel,
    counter: RemoteAddress,
}

impl Nodes for Ours {
    type Remote = Remote;
    const WORDS: &'static [&'static str] = &["--ours"];

    async fn serve() -> (String, Box<dyn Any + Send>) {
        let id = ChildId::new("counter").expect("a plain word is an id");
        let counter = ChildSpec::worker(id, "counter");
        let (kernel, cluster) = node("receiver", vec![counter], Some("127.0.0.1:0")).await;
        let mut address = cluster.address();
        while address.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            address = cluster.address();
        }
        (address.unwrap_or_default(), Box::new(kernel))
    }

    async fn connect(address: String) -> Remote {
        let (kernel, cluster) = node("sender", Vec::new(), None).await;
        let node = cluster.attach(&address, Duration::from_secs(10)).await;
        let node = node.expect("the receiver listens");
        let path = "/counter".parse().expect("that is a path");
        let counter = cluster.address_of(&node, &path).await;
        Remote {
            _kernel: kernel,
            counter: counter.expect("the counter runs"),
        }
    }

    async fn tell(remote: &Remote, payload: &[u8; PAYLOAD_LEN]) -> bool {
        let text = std::str::from_utf8(payload).expect("it is printable");
        let message = json!({ "add": text });
        remote.counter.tell(&message, PATIENCE).await.is_ok()
    }

    async fn ask(remote: &Remote, timeout: Duration) -> Option<u64> {
        let answer = remote.counter.ask(&json!("count"), timeout).await;
        answer.ok()?.as_u64()
    }
}

async fn node(
    name: &str,
    children: Vec<ChildSpec>,
    listen: Option<&str>,
) -> (Kernel, Arc<Cluster>) {
    let options = NodeOptions {
        listen: listen.map(str::to_owned),
        cookie: Cookie::new("a cookie of the bench").expect("it is long enough"),
        ..NodeOptions::new(Arc::new(TcpLink::new(None)), 1)
    };
    let cluster = Arc::new(Cluster::new(options));
    let kinds = Kinds::new().with::<Counter>("counter", "counts what it is told");
    let config = KernelConfig {
        service_kinds: service::with_kind(Kinds::new()),
        services: vec![guests::child(), service::child()],
        ..KernelConfig::new(Runtimes::current(), kinds, 1)
    };
    let tree = TreeSpec {
        name: name.to_owned(),
        test: true,
        root: SupervisorSpec {
            children: children.into_iter().map(Arc::new).collect(),
            ..SupervisorSpec::default()
        },
    };
    let config = config.with_shared(Arc::clone(&cluster));
    let kernel = Kernel::start(config, tree)
        .await
        .expect("the kernel starts");
    kernel.booted().await;
    (kernel, cluster)
}

struct Counter(u64);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[derive(Debug, Message)]
#[message(json)]
enum CounterMessage {
    Add(String),
    Count(Reply<u64>),
}

impl Actor for Counter {
    type Message = CounterMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self(0)))
    }

    async fn handle(
        &mut self,
        message: &mut CounterMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            CounterMessage::Add(text) => self.0 += u64::from(text.len() == PAYLOAD_LEN),
            CounterMessage::Count(reply) => reply.send(self.0),
        }
        Ok(Next::Continue)
    }
}
