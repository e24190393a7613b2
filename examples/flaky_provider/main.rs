//! A provider of answers that falls back to a smaller model while its best one fails, and returns when it is released.
//!
//! `cargo run --example flaky_provider` prints what stands in `expected.txt`.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use unity_kernel::kind_check::KnownKinds;
use unity_kernel::tree_file::{Limits, Sources, load_text, read_file};
use unity_supervisors::slot::Slot;
use unity_supervisors::spec::TreeSpec;
use unity_supervisors::{
    Actor, ActorPath, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next, NoMessage, Reply,
    Runtimes, Start,
};

type Failure = Box<dyn std::error::Error>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is known of the service: where it is, and whether its large model fails.
#[derive(Default)]
struct Service {
    address: Mutex<Option<SocketAddr>>,
    fails: AtomicBool,
}

/// The service has nothing to be configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServerSettings {}

/// A small HTTP server: `GET /large/QUESTION` is answered by the large model, unless that fails.
struct Server;

impl Actor for Server {
    type Message = NoMessage;
    type Settings = ServerSettings;

    async fn start(_: &ServerSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let service = ctx.kernel().shared::<Service>();
        *service.address.lock() = Some(listener.local_addr()?);
        ctx.spawn(async move {
            loop {
                let (client, _) = listener.accept().await?;
                serve(client, &service).await?;
            }
        });
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut NoMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match *message {}
    }
}

async fn serve(mut client: TcpStream, service: &Service) -> Result<(), Exit> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request);
    let target = request.split(' ').nth(1).unwrap_or_default();
    let (model, question) = target
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or_default();
    let (status, body) = if model == "large" && service.fails.load(Ordering::SeqCst) {
        ("503 Service Unavailable", String::new())
    } else {
        ("200 OK", format!("{model} answers {question}"))
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    client.write_all((head + &body).as_bytes()).await?;
    Ok(())
}

/// What a provider is configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProviderSettings {
    /// Which model it asks.
    model: String,
}

/// What a provider is told.
#[derive(Debug, Message)]
enum ProviderMessage {
    /// Answer this.
    Ask(String, Reply<String>),
}

/// Asks a model. One that fails is no business of its own: it crashes, and its ladder knows what to do.
struct Provider {
    model: String,
}

impl Actor for Provider {
    type Message = ProviderMessage;
    type Settings = ProviderSettings;

    async fn start(
        settings: &ProviderSettings,
        _: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let model = settings.model.clone();
        Ok(Start::Running(Self { model }))
    }

    async fn handle(
        &mut self,
        message: &mut ProviderMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let ProviderMessage::Ask(question, reply) = message;
        let service = ctx.kernel().shared::<Service>();
        let address = *service.address.lock();
        let address = address.ok_or_else(|| Exit::error("no service"))?;
        reply.send(ask(address, &self.model, question).await?);
        Ok(Next::Continue)
    }
}

async fn ask(address: SocketAddr, model: &str, question: &str) -> Result<String, Exit> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /{model}/{question} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).unwrap_or("nothing");
    if status != "200" {
        return Err(Exit::error(format!("the {model} model says {status}")));
    }
    Ok(body.to_owned())
}

fn tree(kinds: &Kinds) -> Result<TreeSpec, Failure> {
    let sources = Sources {
        read: &|path: &Path, max| read_file(path, max),
        env: &|_| None,
        kinds: &KnownKinds(kinds),
        limits: Limits::default(),
    };
    let checked = load_text("assistant.yaml", include_str!("assistant.yaml"), &sources);
    let shown = checked.render(false);
    checked.tree.ok_or_else(|| shown.into())
}

/// What became of each life of the provider, oldest first.
fn lives(slot: &Slot) -> Result<String, Failure> {
    let mut said = String::new();
    for record in slot.history() {
        let ladder = record.ladder.ok_or("it has a ladder")?;
        let (life, reason) = (record.incarnation, record.reason);
        writeln!(said, "  life {life}: {reason}; {ladder}")?;
    }
    Ok(said)
}

/// Asks, breaks the large model, asks, mends it, releases, and asks again; returns what there is to say.
pub(crate) async fn answer() -> Result<String, Failure> {
    let kinds = Kinds::new()
        .with::<Server>("model.server", "answers over HTTP, with two models")
        .with::<Provider>("model.provider", "asks a model");
    let tree = tree(&kinds)?;
    let service = Arc::new(Service::default());
    let config = KernelConfig::new(Runtimes::current(), kinds, 7).with_shared(Arc::clone(&service));
    let kernel = Kernel::start(config, tree).await?;
    kernel.booted().await;
    let path: ActorPath = "/provider".parse()?;
    let provider = kernel.address(&path).ok_or("the provider takes messages")?;
    let ask = |question: &'static str| {
        provider.ask(PATIENCE, move |reply| {
            ProviderMessage::Ask(question.to_owned(), reply)
        })
    };
    let slot = kernel.registry().get(&path).ok_or("it is there")?;
    let mut said = String::new();

    writeln!(said, "all is well: {}", ask("one").await?)?;
    service.fails.store(true, Ordering::SeqCst);
    // Three lives crash of this question; the fourth asks the other model.
    writeln!(said, "the large model fails: {}", ask("two").await?)?;
    said.push_str(&lives(&slot)?);
    writeln!(said, "in force: {}", slot.settings())?;
    service.fails.store(false, Ordering::SeqCst);
    writeln!(said, "the large model is mended: {}", ask("three").await?)?;
    kernel.release(&path).await?;
    writeln!(said, "released: {}", ask("four").await?)?;
    writeln!(said, "in force: {}", slot.settings())?;
    writeln!(said, "ended: {}", kernel.shutdown().await)?;
    Ok(said)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    use std::io::Write as _;
    std::io::stdout().write_all(answer().await?.as_bytes())?;
    Ok(())
}
