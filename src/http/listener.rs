//! `/system/http`: the same HTTP over TCP, for those who are not this user of this machine.
//!
//! It listens where `http.listen` says, or where `uk open` asked for it, which is at most one address at a time. A
//! connection is a task of the service: it has so long for its head, so long for each write to be taken, and there are so
//! many at most (`Connections`). An address that cannot be had puts the service in quarantine, and the kernel goes on without it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::middleware;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use unity_supervisors::spec::{Backoff, ChildKind, ChildSpec, Ladder, LadderAction, LadderStep};
use unity_supervisors::{Actor, ChildId, Context, Exit, Kernel, Kinds, Next, NoMessage, Start};

use super::bridge::Listens;
use super::connections::{CONNECTIONS_MAX, Connections, Leave};
use super::door::{Door, Peer, admit};
use super::tls;
use crate::settings::service::NoSettings;
use crate::settings::system::{HttpSettings, InForce, SystemSettings};

/// Where the service lives.
pub const PATH: &str = "/system/http";
/// The port that `uk open` asks for first.
pub const PORT: u16 = 8080;
/// How many ports after it are tried.
const PORTS: u16 = 20;
/// How many connections may wait to be accepted. Of more the system lets each wait for a second.
const BACKLOG: u32 = 1_024;
/// How long a connection has for the head of a request, which is also how long it may say nothing.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// How long a client may leave what it was sent untaken.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// How long the handshake of TLS may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long is waited when no connection can be accepted, as when there are no descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where the kernel listens, and who asked for that. Found with [`Kernel::shared`].
#[derive(Debug)]
pub struct Listening {
    /// Where people who are on this machine asked for it to listen while it does not anyway.
    asked: watch::Sender<bool>,
    bound: Mutex<Option<Bound>>,
    data_dir: PathBuf,
}

impl Default for Listening {
    fn default() -> Self {
        Self::new(Path::new("."))
    }
}

/// A listener that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Where.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
}

impl Bound {
    /// As a browser on this machine is told.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let host = match self.address.ip() {
            ip if ip.is_unspecified() || ip.is_loopback() => "localhost".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        format!("{scheme}://{host}:{}", self.address.port())
    }
}

impl Listening {
    /// Of a kernel with this data folder.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            asked: watch::Sender::new(false),
            bound: Mutex::default(),
            data_dir: data_dir.to_owned(),
        }
    }

    /// Where it listens now.
    #[must_use]
    pub fn bound(&self) -> Option<Bound> {
        self.bound.lock().clone()
    }

    /// Has it listen for people on this machine, unless it listens anyway.
    pub fn open(&self) {
        self.asked.send_replace(true);
    }
}

pub(super) fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<Listener>("http", "HTTP over TCP, for who has a token")
}

/// The child of `/system` that listens.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    let id = ChildId::new("http").expect("`http` is an id");
    let mut child = ChildSpec::worker(id, "http");
    let backoff = Backoff {
        min: Duration::from_millis(100),
        max: Duration::from_secs(5),
        ..Backoff::default()
    };
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.on_crash = Some(Arc::new(Ladder {
            steps: vec![LadderStep {
                after: 3,
                within: Duration::from_secs(60),
                action: LadderAction::Quarantine,
            }],
        }));
    }
    child.backoff = Some(backoff);
    child
}

/// Listens on TCP.
#[derive(Debug)]
pub struct Listener;

impl Actor for Listener {
    type Message = NoMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let kernel = ctx.kernel().clone();
        let wanted = Wanted::of(&kernel);
        let ready = bind(&kernel, &wanted)?;
        ctx.spawn(async move { Ok(run(kernel, wanted, ready).await?) });
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

/// Where it is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    settings: HttpSettings,
    is_asked: bool,
}

impl Wanted {
    fn of(kernel: &Kernel) -> Self {
        let mut settings = kernel.shared::<InForce>().get().http.clone();
        // Names are looked at when they are asked for.
        settings.hosts = None;
        // Who listens anyway is not asked for anything.
        let is_asked = settings.listen.is_none() && *kernel.shared::<Listening>().asked.borrow();
        Self { settings, is_asked }
    }
}

/// A listener that is ready for connections.
struct Ready {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

fn bind(kernel: &Kernel, wanted: &Wanted) -> io::Result<Option<Ready>> {
    let listener = match &wanted.settings.listen {
        Some(place) => {
            let address: SocketAddr = place.parse().map_err(io::Error::other)?;
            listen(address).map_err(|error| {
                let message = format!("cannot listen on {address}: {error}; another program may have that port: choose one with `uk config set system http.listen=…`");
                io::Error::new(error.kind(), message)
            })?
        }
        None if wanted.is_asked => listen_here()?,
        None => return Ok(None),
    };
    let address = listener.local_addr()?;
    let tls = match address.ip().is_loopback() && wanted.settings.cert.is_none() {
        true => None,
        false => Some(tls::acceptor(
            &kernel.shared::<InForce>().get().http,
            &kernel.shared::<Listening>().data_dir,
        )?),
    };
    Ok(Some(Ready {
        listener,
        address,
        tls,
    }))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // What is left of connections of an earlier kernel keeps no new one from its port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The usual port of this machine alone, or the next that is free.
fn listen_here() -> io::Result<TcpListener> {
    let mut last = None;
    for port in PORT..=PORT + PORTS {
        match listen((Ipv4Addr::LOCALHOST, port).into()) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map(|error| error.to_string()).unwrap_or_default();
    let message = format!("no port from {PORT} to {} can be had: {why}", PORT + PORTS);
    Err(io::Error::new(io::ErrorKind::AddrInUse, message))
}

/// Serves, and goes elsewhere when that is wanted.
async fn run(kernel: Kernel, mut wanted: Wanted, mut ready: Option<Ready>) -> io::Result<()> {
    let (in_force, listening) = (kernel.shared::<InForce>(), kernel.shared::<Listening>());
    let (mut settings, mut asked) = (in_force.subscribe(), listening.asked.subscribe());
    loop {
        let bound = ready.as_ref().map(|ready| On::new(&listening, ready));
        let changed = other_than(&wanted, &kernel, &mut settings, &mut asked);
        match &ready {
            Some(ready) => tokio::select! {
                () = changed => {}
                () = serve(&kernel, ready) => {}
            },
            None => changed.await,
        }
        drop(bound);
        drop(ready);
        wanted = Wanted::of(&kernel);
        ready = bind(&kernel, &wanted)?;
    }
}

/// Done when something else is wanted.
async fn other_than(
    wanted: &Wanted,
    kernel: &Kernel,
    settings: &mut watch::Receiver<Arc<SystemSettings>>,
    asked: &mut watch::Receiver<bool>,
) {
    loop {
        let changed = tokio::select! {
            changed = settings.changed() => changed,
            changed = asked.changed() => changed,
        };
        // Their senders outlive this.
        if changed.is_err() || Wanted::of(kernel) != *wanted {
            return;
        }
    }
}

/// While it lives, people are told where to go.
struct On<'l>(&'l Listening);

impl<'l> On<'l> {
    fn new(listening: &'l Listening, ready: &Ready) -> Self {
        let (address, is_tls) = (ready.address, ready.tls.is_some());
        tracing::info!(%address, is_tls, "listens for HTTP");
        *listening.bound.lock() = Some(Bound { address, is_tls });
        Self(listening)
    }
}

impl Drop for On<'_> {
    fn drop(&mut self) {
        *self.0.bound.lock() = None;
    }
}

async fn serve(kernel: &Kernel, ready: &Ready) {
    let door = Door::new(kernel, ready.address, ready.tls.is_some());
    let admitting = middleware::from_fn_with_state(Arc::clone(&door), admit);
    // A bridge leaves the connections that are kept here; it ends with this all the same.
    let (_while_it_listens, listens) = watch::channel(());
    let router = super::outer(kernel, &door)
        .layer(Extension(Listens { listens, door }))
        .layer(admitting);
    let connections = kernel.shared::<Connections>();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let (stream, address) = match ready.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Some((visit, leave)) = connections.enter(address.ip()) else {
            continue;
        };
        // Those that were asked to go are on their way.
        while tasks.len() >= CONNECTIONS_MAX {
            tasks.join_next().await;
        }
        // Answers are whole when they are written: nothing is gained by waiting for more.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "a connection has gone already");
            continue;
        }
        let peer = Peer {
            address,
            visit: Arc::new(visit),
        };
        let served = connection(stream, peer, ready.tls.clone(), router.clone());
        tasks.spawn(async move {
            if let Err(error) = until(leave, served).await {
                tracing::debug!(%address, %error, "a connection broke off");
            }
        });
    }
}

/// A connection, until it has to go.
async fn until(
    leave: Leave,
    served: impl Future<Output = Result<(), Failed>>,
) -> Result<(), Failed> {
    tokio::select! {
        served = served => served,
        Ok(()) = leave => Err("it said nothing for longest, and others came".into()),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn connection<S>(
    stream: S,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    router: Router,
) -> Result<(), Failed>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(TAKEN_WITHIN));
    match tls {
        None => speak(stream, peer, router).await,
        Some(tls) => {
            let secured = timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await;
            speak(secured??, peer, router).await
        }
    }
}

async fn speak<S>(stream: S, peer: Peer, router: Router) -> Result<(), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN);
    let served = server.serve_connection(TokioIo::new(stream), answer);
    served.with_upgrades().await.map_err(Failed::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn one_that_never_ends_its_head_is_let_go() {
        let (mut client, server) = duplex(1_024);
        let began = tokio::time::Instant::now();
        let served = connection(server, Peer::alone(), None, Router::new());
        let sends = async {
            let mut rest = Vec::new();
            // A byte now and then does not help.
            for byte in b"GET / HTTP/1.1\r\nhost: localhost" {
                if client.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
            drop(client.read_to_end(&mut rest).await);
        };

        let (served, ()) = tokio::join!(served, sends);

        assert!(served.is_err());
        assert!(began.elapsed() < HEAD_WITHIN * 2, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_nothing_is_let_go() {
        let (mut client, server) = duplex(64);
        let router = Router::new().route("/", get(|| async { "x".repeat(1 << 20) }));
        let served = connection(server, Peer::alone(), None, router);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();

        let served = timeout(TAKEN_WITHIN * 2, served).await;

        assert!(matches!(served, Ok(Err(_))), "{served:?}");
        drop(client);
    }
}
