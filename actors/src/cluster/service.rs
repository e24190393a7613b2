//! `/system/nodes`: listens, keeps the connections that are to be kept, and runs them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::spec::{Backoff, ChildSpec};
use unity_supervisors::{
    Actor, Address, ChildId, Context, Down, Exit, Kernel, Kinds, Message, Next, Start,
};

use super::agent::Agent;
use super::codec::{AboutV1, Blob, FaultV1, PlaceV1, RefusalV1};
use super::fault;
use super::grants;
use super::greeting::{Failed, GREETS_WITHIN, Greeted, Host, Me, be_greeted, greet, refusal};
use super::guests::{self, Guests};
use super::link::{Incoming, Listener, Wire};
use super::nodes::{Cluster, NodeOptions};
use super::session::{Pace, Peer, Session, run};
use super::weather::shelter;

/// Where it lives.
pub const PATH: &str = "/system/nodes";
const KIND: &str = "nodes";
/// How many connections may be greeting at a time: of more the oldest is closed.
const GREETINGS_MAX: usize = 128;
/// How long opening a connection may take.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before listening is tried again, and after a connection that could not be taken in.
const LISTENS_AGAIN: Duration = Duration::from_secs(1);
/// The pauses between tries to reach a node.
const PAUSES: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(5),
    factor: 2.0,
    jitter: 0.5,
};
/// A connection that lasted for so long was a good one: the pauses begin anew.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// The kinds with that of this service.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<Nodes>(KIND, "attaches this kernel to other nodes")
}

/// The child of `/system` that it is.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    let id = ChildId::new("nodes").expect("a plain word is an id");
    ChildSpec {
        backoff: Some(Backoff::default()),
        ..ChildSpec::worker(id, KIND)
    }
}

/// Settings of the service: none, the [`Cluster`] has them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What it says to itself.
#[derive(Debug, Message)]
pub enum NodesMessage {
    /// The addresses that are to be kept have changed.
    Look,
    /// Somebody has come in, and is who they say.
    Met(Met),
    /// A child is to be started here.
    Place(Placing),
    /// A child that was placed here has ended.
    Down(Down),
}

/// A child that is to be started, and who wants to hear of it.
pub struct Placing(Option<Box<Wanted>>);

struct Wanted {
    from: Arc<Session>,
    place: PlaceV1,
    reply: oneshot::Sender<Result<Blob, FaultV1>>,
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.0.as_ref().map(|wanted| &wanted.place.path);
        f.debug_tuple("Placing").field(&path).finish()
    }
}

/// Has the service start a child here, which it does to the end also where the connection breaks meanwhile.
pub(super) fn place(
    service: &Address<NodesMessage>,
    from: Arc<Session>,
    place: Box<PlaceV1>,
) -> impl Future<Output = Result<Blob, FaultV1>> + Send + use<> {
    let service = service.clone();
    async move {
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted {
            from,
            place: *place,
            reply,
        };
        let wanted = NodesMessage::Place(Placing(Some(Box::new(wanted))));
        let ends = || {
            fault::new(
                "failed",
                "the service that starts children here is being restarted",
            )
        };
        service.tell(wanted).await.map_err(|_ends| ends())?;
        answer.await.unwrap_or_else(|_ends| Err(ends()))
    }
}

/// A connection on which all is said.
pub struct Met(Option<Box<Greeted>>);

impl std::fmt::Debug for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let peer = self.0.as_ref().map(|greeted| &greeted.peer);
        f.debug_tuple("Met").field(&peer).finish()
    }
}

/// The service.
#[derive(Debug)]
pub struct Nodes {
    cluster: Arc<Cluster>,
    guests: Arc<Guests>,
    /// The addresses for which a task runs.
    dialled: BTreeSet<String>,
}

impl Actor for Nodes {
    type Message = NodesMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let cluster = ctx.kernel().shared::<Cluster>();
        let Some(options) = cluster.options() else {
            return Ok(Start::Ignore);
        };
        let around = Around::new(ctx, &cluster);
        Self::see_to_children(ctx, &cluster);
        if let Some(address) = options.listen.clone() {
            let link = Arc::clone(&options.link);
            let around = around.clone();
            let myself = ctx.myself();
            ctx.spawn(async move { listening(around, link, address, myself).await });
        }
        let (myself, wanted) = (ctx.myself(), Arc::clone(&cluster));
        ctx.spawn(async move {
            loop {
                // Full is as good: then it is about to look.
                drop(myself.try_tell(NodesMessage::Look));
                wanted.wanted.notified().await;
            }
        });
        Ok(Start::Running(Self {
            guests: ctx.kernel().shared(),
            cluster,
            dialled: BTreeSet::new(),
        }))
    }

    async fn handle(
        &mut self,
        message: &mut NodesMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            NodesMessage::Look => self.look(ctx),
            NodesMessage::Met(met) => {
                if let Some(greeted) = met.0.take() {
                    let around = Around::new(ctx, &self.cluster);
                    ctx.spawn(async move {
                        around.run(*greeted).await;
                        Ok(())
                    });
                }
            }
            NodesMessage::Place(placing) => {
                if let Some(wanted) = placing.0.take() {
                    let Wanted { from, place, reply } = *wanted;
                    let placed = self.guests.place(ctx.kernel(), &self.cluster, from, place);
                    ctx.spawn(async move {
                        // Who asked may have gone: the lease sees to what was started.
                        drop(reply.send(placed.await));
                        Ok(())
                    });
                }
            }
            NodesMessage::Down(down) => self.guests.ended(ctx.kernel(), down),
        }
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({
            "address": self.cluster.address(), "nodes": self.cluster.nodes(),
            "guests": self.guests.count(),
        })
    }
}

impl Nodes {
    /// Opens connections to the addresses that are new.
    fn look(&mut self, ctx: &Context<Self>) {
        for path in self.guests.take_unwatched() {
            ctx.monitor(&path, NodesMessage::Down);
        }
        let wanted = self.cluster.dials();
        self.dialled.retain(|address| wanted.contains(address));
        for address in wanted {
            if self.dialled.insert(address.clone()) {
                let around = Around::new(ctx, &self.cluster);
                ctx.spawn(async move {
                    dialling(around, address).await;
                    Ok(())
                });
            }
        }
    }

    /// Begins what the children need that live elsewhere, and those that live here for others.
    fn see_to_children(ctx: &Context<Self>, cluster: &Arc<Cluster>) {
        let kernel = ctx.kernel();
        let (grants, guests) = (Arc::clone(&cluster.grants), kernel.shared::<Guests>());
        guests.watch_all();
        let ends = grants::see_to_ends(Arc::clone(cluster), grants);
        let leases =
            guests::see_to_leases(kernel.clone(), Arc::clone(cluster), Arc::clone(&guests));
        let homes = guests::see_to_homes(Arc::clone(cluster), Arc::clone(&guests));
        let events = guests::send_events(kernel.clone(), Arc::clone(cluster), Arc::clone(&guests));
        let myself = ctx.myself();
        let watching = async move {
            let mut changes = guests.changes();
            while changes.changed().await.is_ok() {
                // Full is as good: then it is about to look.
                drop(myself.try_tell(NodesMessage::Look));
            }
        };
        let all: [BoxFuture<'static, ()>; 5] = [
            ends.boxed(),
            leases.boxed(),
            homes.boxed(),
            events.boxed(),
            watching.boxed(),
        ];
        for work in all {
            ctx.spawn(async move {
                work.await;
                Ok(())
            });
        }
    }
}

/// What each connection needs.
#[derive(Clone)]
struct Around {
    kernel: Kernel,
    cluster: Arc<Cluster>,
    agent: Arc<Agent>,
}

impl Host for Around {
    async fn there_and_back(&self, name: &str) {
        self.cluster.there_and_back(name).await;
    }

    fn admit(&self, peer: &Peer) -> Result<(), RefusalV1> {
        self.cluster.admit(self.kernel.name(), peer)
    }
}

impl Around {
    fn new(ctx: &Context<Nodes>, cluster: &Arc<Cluster>) -> Self {
        let kernel = ctx.kernel();
        Self {
            kernel: kernel.clone(),
            cluster: Arc::clone(cluster),
            agent: Agent::new(kernel, cluster, ctx.myself()),
        }
    }

    fn me(&self, options: &NodeOptions) -> Me {
        Me {
            name: self.kernel.name().to_owned(),
            epoch: options.epoch,
            // An address that means every one of this machine means none of it to others.
            address: self.cluster.address().filter(|address| {
                !address.starts_with("0.0.0.0:") && !address.starts_with("[::]:")
            }),
            cookie: options.cookie.clone(),
            about: AboutV1 {
                version: options.version.clone(),
                labels: self.cluster.told_labels(),
                kinds: self.kernel.kinds().names().map(str::to_owned).collect(),
                draining: self.cluster.is_draining(),
            },
            nonce: (options.nonces)(&self.kernel),
        }
    }

    fn now(&self) -> Timestamp {
        self.kernel.clock().wall()
    }

    /// Makes a connection one between nodes, in bounded time.
    async fn meet(&self, wire: Wire, is_ours: bool) -> Result<Greeted, Failed> {
        let Some(options) = self.cluster.options() else {
            return Err(Failed::Broken(
                "this kernel attaches to no nodes".to_owned(),
            ));
        };
        let me = self.me(options);
        let greeted = async {
            if is_ours {
                greet(wire, me, self).await
            } else {
                be_greeted(wire, me, self).await
            }
        };
        match timeout(GREETS_WITHIN, greeted).await {
            Ok(greeted) => greeted,
            Err(_elapsed) => Err(Failed::Broken(format!(
                "it was not greeted within {GREETS_WITHIN:?}"
            ))),
        }
    }

    /// Runs a session until it ends; says why.
    async fn run(&self, greeted: Greeted) -> String {
        let Some(options) = self.cluster.options() else {
            return String::new();
        };
        let session = Session::new(greeted.peer, self.cluster.epoch());
        let ends = Leaves {
            around: self,
            session: &session,
        };
        self.cluster.enter(&session, self.now());
        self.cluster.tell(&session);
        let pace = Pace {
            heartbeat: options.heartbeat,
        };
        let agent = Arc::clone(&self.agent);
        let (read, behind) = greeted.read;
        let weather = self.cluster.weather(session.node());
        let (read, write) = shelter(read, greeted.write, &weather);
        let why = run(&session, (read, behind), write, agent, pace).await;
        drop(ends);
        why
    }
}

/// Has a session leave whatever ends it.
struct Leaves<'a> {
    around: &'a Around,
    session: &'a Arc<Session>,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.session.end("this node ends the connection");
        let why = self.session.over().unwrap_or_default();
        let Around { cluster, .. } = self.around;
        cluster.leave(self.session, &why, self.around.now());
    }
}

/// Keeps a connection to `address`, for as long as one is wanted.
async fn dialling(around: Around, address: String) {
    let mut pause = Pause::default();
    let note = |outcome| {
        around.cluster.note_dial(&address, outcome, around.now());
    };
    while around.cluster.dial(&address).is_some() {
        let since = Instant::now();
        match dial(&around, &address).await {
            Ok(greeted) => {
                note(Ok(greeted.peer.name.clone()));
                around.run(greeted).await;
            }
            Err(Failed::Duplicate(name)) => {
                note(Ok(name.clone()));
                // The other node has opened a connection itself: it is enough while it lasts.
                if let Some(other) = around.cluster.session(&name) {
                    other.ended().await;
                }
            }
            Err(failed) => {
                let why = match &failed {
                    Failed::Refused(why) | Failed::Refuses(why) => why.clone(),
                    other => refusal("broken", other.to_string()),
                };
                if is_new(&around, &address, &why) {
                    tracing::warn!(%address, why = %failed, "a node is not reached; it is tried again");
                }
                note(Err(why));
            }
        }
        let lasted = since.elapsed();
        pause.after(lasted, &around.kernel).await;
    }
}

/// Whether the log has not said this yet.
fn is_new(around: &Around, address: &str, why: &RefusalV1) -> bool {
    let before = around.cluster.dial(address).and_then(|dial| dial.why);
    before.is_none_or(|before| before != *why)
}

async fn dial(around: &Around, address: &str) -> Result<Greeted, Failed> {
    let broken = |why: String| Failed::Broken(why);
    let Some(options) = around.cluster.options() else {
        return Err(broken("this kernel attaches to no nodes".to_owned()));
    };
    let name = around.cluster.dial(address).and_then(|dial| dial.name);
    let connected = async {
        if let Some(name) = name {
            around.cluster.there_and_back(&name).await;
        }
        options.link.connect(address).await
    };
    let wire = match timeout(CONNECTS_WITHIN, connected).await {
        Ok(Ok(wire)) => wire,
        Ok(Err(error)) => return Err(broken(error.to_string())),
        Err(_elapsed) => {
            return Err(broken(format!(
                "{address} cannot be reached within {CONNECTS_WITHIN:?}"
            )));
        }
    };
    around.meet(wire, true).await
}

/// Pauses between tries.
#[derive(Default)]
struct Pause {
    tries: i32,
}

impl Pause {
    async fn after(&mut self, lasted: Duration, kernel: &Kernel) {
        if lasted >= GOOD_AFTER {
            self.tries = 0;
        }
        let pause = PAUSES
            .min
            .mul_f64(PAUSES.factor.powi(self.tries))
            .min(PAUSES.max);
        self.tries = (self.tries + 1).min(16);
        let spread = kernel.with_rng(|rng| rng.f64());
        sleep(pause.mul_f64(1.0 - PAUSES.jitter * spread)).await;
    }
}

/// Listens until this life ends.
async fn listening(
    around: Around,
    link: Arc<dyn super::link::Link>,
    address: String,
    myself: Address<NodesMessage>,
) -> Result<(), Exit> {
    loop {
        let listener = match link.listen(&address).await {
            Ok(listener) => listener,
            Err(error) => {
                let why = format!("cannot listen for nodes on {address}: {error}");
                if around.cluster.deaf().as_ref() != Some(&why) {
                    tracing::error!("{why}; it is tried again");
                }
                around.cluster.set_address(Err(why));
                sleep(LISTENS_AGAIN).await;
                continue;
            }
        };
        tracing::info!(address = %listener.address(), "listens for nodes");
        around.cluster.set_address(Ok(listener.address()));
        accepting(&around, listener, &myself).await;
    }
}

/// Takes connections in. Who greets too slowly holds up nobody.
async fn accepting(
    around: &Around,
    mut listener: Box<dyn Listener>,
    myself: &Address<NodesMessage>,
) {
    let mut greeting = FuturesUnordered::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            Some(greeted) = greeting.next() => {
                if let Ok(Some(greeted)) = greeted {
                    let met = NodesMessage::Met(Met(Some(Box::new(greeted))));
                    if let Err(error) = myself.try_tell(met) {
                        tracing::warn!(%error, "a node could not be let in; it comes again");
                    }
                }
            }
            accepted = listener.accept() => match accepted {
                Ok(incoming) => {
                    oldest.retain(|handle| !handle.is_aborted());
                    if greeting.len() >= GREETINGS_MAX && let Some(oldest) = oldest.pop_front() {
                        oldest.abort();
                    }
                    let (abort, registered) = AbortHandle::new_pair();
                    oldest.push_back(abort);
                    if oldest.len() > GREETINGS_MAX * 2 {
                        oldest.drain(..GREETINGS_MAX);
                    }
                    greeting.push(Abortable::new(take_in(around, incoming), registered));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of a node could not be taken in");
                    sleep(LISTENS_AGAIN).await;
                }
            },
        }
    }
}

/// Greets who has come.
async fn take_in(around: &Around, incoming: Incoming) -> Option<Greeted> {
    let peer = incoming.peer;
    let met = async {
        let wire = match timeout(GREETS_WITHIN, incoming.wire).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => return Err(Failed::Broken(error.to_string())),
            Err(_elapsed) => return Err(Failed::Broken("it said nothing".to_owned())),
        };
        around.meet(wire, false).await
    };
    match met.await {
        Ok(greeted) => Some(greeted),
        Err(Failed::Duplicate(_)) => None,
        Err(failed) => {
            tracing::warn!(%peer, why = %failed, "a connection was refused");
            None
        }
    }
}
