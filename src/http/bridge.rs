//! Programs that take part: `GET /api/v1/bridge`, a WebSocket of JSON, a document a frame.
//!
//! A request has an `op` and an `id` of the client's, which its answer repeats: `ok` with what was done, or `error`. What can
//! wait is done beside the rest and answered when it is done, begun in the order in which it was sent; while
//! [`UNDER_WAY_MAX`] wait, no more is read. All of a connection is one task, and has bounds: what is not taken stays in its
//! stream, or is counted as missed. The rights are those of the commands that do the same, and such a
//! request counts as one over HTTP does.
//!
//! Considered: the lines of a `process`, which have no answers; server-sent events beside POST, where a client keeps two
//! connections together.

mod frame;
pub(super) mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable, BoxFuture, pending};
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll, StreamExt};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};
use unity_supervisors::Kernel;

use self::frame::{ID_LEN_MAX, Request, answer, no_text, said_of};
use self::reading::{InHand, Item, Turns, Wish};
use super::door::Door;
use super::{Caller, failure, run_for};
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::commands::streams::position;
use crate::commands::{Command, Run};
use crate::error::{Code, CommandError};
use crate::nearest::nearest;
use crate::rights::tokens::Tokens;
use crate::rights::{Scope, Who};
use crate::screen::cut;

/// The longest frame of a client, in bytes.
const FRAME_LEN_MAX: usize = 1 << 20;
/// How many bridges there may be.
const BRIDGES_MAX: usize = 256;
/// How many subscriptions one may have.
const SUBSCRIPTIONS_MAX: usize = 64;
/// How many requests of one are under way at a time.
const UNDER_WAY_MAX: usize = 64;
/// How long a client may leave a frame untaken.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// How often it is pinged, and how long it may say nothing, not even that it is there.
const PING: Duration = Duration::from_secs(20);
const SILENT_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether who it is still is somebody, if nothing goes to and fro.
const LOOK: Duration = Duration::from_secs(1);
/// How long the other side has to hear that this one ends.
const END_WITHIN: Duration = Duration::from_secs(1);

pub(super) const OPS: [&str; 6] = ["publish", "subscribe", "unsubscribe", "ack", "tell", "ask"];

pub(super) const SUBSCRIPTION: Arg = Arg::required(
    "subscription",
    ArgKind::Json,
    "the id of the request that subscribed",
);
pub(super) const ACK: &[Arg] = &[
    SUBSCRIPTION,
    Arg::required(
        "position",
        ArgKind::Form(Form::Position),
        "that of the delivery, as in 1763675400123-0",
    ),
];

/// What all bridges of a kernel share. Found with [`Kernel::shared`].
#[derive(Debug, Default)]
pub(super) struct Bridges {
    open: AtomicUsize,
    turns: Arc<Turns>,
}

impl Bridges {
    pub(super) fn count(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

/// One that is open, counted as long as it is.
struct Counted(Arc<Bridges>);

impl Counted {
    fn new(bridges: Arc<Bridges>) -> Result<Self, CommandError> {
        let before = bridges.open.fetch_add(1, Ordering::AcqRel);
        let counted = Self(bridges);
        match before < BRIDGES_MAX {
            true => Ok(counted),
            false => {
                let message = format!("{BRIDGES_MAX} bridges are open");
                Err(CommandError::new(Code::Unreachable, message)
                    .hint("close one, or try again in a moment"))
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Put beside a request by a listener that takes its bridges along when it ends.
#[derive(Debug, Clone)]
pub(super) struct Listens {
    pub(super) listens: watch::Receiver<()>,
    /// Counts what is asked.
    pub(super) door: Arc<Door>,
}

pub(super) fn routes(kernel: &Kernel) -> Router {
    let kernel = kernel.clone();
    let answer = move |Caller(who), listens: Option<Extension<Listens>>, upgrade| async move {
        let listens = listens.map(|Extension(listens)| listens);
        match upgrade {
            Ok(upgrade) => {
                open(kernel, who, listens, upgrade).unwrap_or_else(|error| failure(&error))
            }
            Err(rejected) => no_web_socket(&rejected),
        }
    };
    Router::new().route("/api/v1/bridge", get(answer))
}

fn no_web_socket(rejected: &WebSocketUpgradeRejection) -> Response {
    let why = rejected.body_text();
    let error = CommandError::usage(format!("a bridge is a WebSocket: {why}"))
        .hint("`examples/bridge` has a client; what is asked once is asked over HTTP");
    let wanted = [(header::UPGRADE, "websocket")];
    (StatusCode::UPGRADE_REQUIRED, wanted, failure(&error)).into_response()
}

fn open(
    kernel: Kernel,
    who: Arc<Who>,
    listens: Option<Listens>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, CommandError> {
    let counted = Counted::new(kernel.shared::<Bridges>())?;
    let upgrade = upgrade
        .max_message_size(FRAME_LEN_MAX)
        .max_frame_size(FRAME_LEN_MAX);
    let door = listens.as_ref().map(|its| Arc::clone(&its.door));
    let bridge = Bridge::new(kernel, who, door, counted);
    Ok(upgrade.on_upgrade(|socket| serve(socket, bridge, listens)))
}

async fn serve(mut socket: WebSocket, mut bridge: Bridge, listens: Option<Listens>) {
    let (kernel, who) = (bridge.kernel.clone(), Arc::clone(&bridge.who));
    let why = tokio::select! {
        why = bridge.run(&mut socket) => why,
        why = ended(kernel, &who, listens) => Some(why),
    };
    // What it holds is free from now on, whatever the other side does.
    drop(bridge);
    let Some((code, reason)) = why else { return };
    let frame = CloseFrame {
        code,
        reason: cut(&reason, 100).into(),
    };
    let end = async {
        let mut said = socket.send(Message::Close(Some(frame))).await.is_ok();
        while said {
            said = matches!(socket.recv().await, Some(Ok(_)));
        }
    };
    if timeout(END_WITHIN, end).await.is_err() {
        tracing::debug!(who = &*who.name, "a bridge was closed by this side alone");
    }
}

/// Why a connection ends, if that can still be said.
type End = Option<(u16, String)>;

/// Done when a bridge ends whatever it does: with the kernel, its listener, or the rights of its client.
async fn ended(kernel: Kernel, who: &Who, listens: Option<Listens>) -> (u16, String) {
    let tokens = kernel.shared::<Tokens>();
    let elsewhere = async {
        match listens {
            Some(Listens { mut listens, .. }) => while listens.changed().await.is_ok() {},
            None => pending().await,
        }
    };
    let nobody = async {
        let mut look = interval(LOOK);
        while tokens.is_still(who, kernel.clock().wall()) {
            look.tick().await;
        }
    };
    tokio::select! {
        _ = kernel.ended() => (close_code::AWAY, "the kernel stops".to_owned()),
        () = elsewhere => (close_code::AWAY, "the kernel does not listen here any more".to_owned()),
        () = nobody => revoked(),
    }
}

fn revoked() -> (u16, String) {
    (
        close_code::POLICY,
        "the token is good no more: `uk token create` makes another".to_owned(),
    )
}

/// What a request came to: a document, or a subscription, which begins once that is said.
enum Said {
    Document(Value),
    Subscribed(BoxStream<'static, Item>),
}

type Answer = Result<Said, CommandError>;

/// The number of a subscription, and what its client calls it.
type Name = (u64, Value);

struct Subscription {
    number: u64,
    ends: AbortHandle,
    /// Of a group.
    in_hand: Option<Arc<InHand>>,
}

/// One connection.
struct Bridge {
    kernel: Kernel,
    tokens: Arc<Tokens>,
    who: Arc<Who>,
    /// Where it came in, if that was over TCP.
    door: Option<Arc<Door>>,
    counted: Counted,
    /// By the `id` that they were asked for with, as JSON.
    subscriptions: BTreeMap<String, Subscription>,
    numbers: u64,
    under_way: FuturesUnordered<BoxFuture<'static, (Name, Answer)>>,
    deliveries: SelectAll<BoxStream<'static, (Name, Item)>>,
    /// When the client said something last.
    heard: Instant,
}

impl Bridge {
    fn new(kernel: Kernel, who: Arc<Who>, door: Option<Arc<Door>>, counted: Counted) -> Self {
        Self {
            tokens: kernel.shared::<Tokens>(),
            kernel,
            who,
            door,
            counted,
            subscriptions: BTreeMap::new(),
            numbers: 0,
            under_way: FuturesUnordered::new(),
            deliveries: SelectAll::new(),
            heard: Instant::now(),
        }
    }

    async fn run(&mut self, socket: &mut WebSocket) -> End {
        let mut ping = interval(PING);
        loop {
            let is_open = self.under_way.len() < UNDER_WAY_MAX;
            let frame = tokio::select! {
                frame = socket.recv(), if is_open => {
                    self.heard = Instant::now();
                    match frame? {
                        Ok(Message::Text(text)) => {
                            self.take(&text);
                            None
                        }
                        Ok(Message::Binary(_)) => {
                            Some(self.frame(answer(&Value::Null, Err(no_text()))))
                        }
                        Ok(Message::Ping(_) | Message::Pong(_)) => None,
                        Ok(Message::Close(_)) => return None,
                        Err(error) => return Some((close_code::PROTOCOL, error.to_string())),
                    }
                }
                Some((name, said)) = self.under_way.next() => Some(self.done(name, said)),
                Some((name, item)) = self.deliveries.next() => Some(self.deliver(name, item)),
                _ = ping.tick() => {
                    // While nothing is read, it may have said something.
                    if is_open && self.heard.elapsed() > SILENT_MAX {
                        return None;
                    }
                    Some(Message::Ping(Vec::new().into()))
                }
            };
            // Before what was just asked begins.
            if !self.tokens.is_still(&self.who, self.kernel.clock().wall()) {
                return Some(revoked());
            }
            // What is not taken by then, or breaks off, has nobody to be told.
            if let Some(frame) = frame {
                timeout(TAKEN_WITHIN, socket.send(frame)).await.ok()?.ok()?;
            }
        }
    }

    fn frame(&self, mut document: Value) -> Message {
        self.kernel.secrets().mask_json(&mut document);
        Message::Text(document.to_string().into())
    }

    /// Takes what is asked in; it begins when what is under way is looked at next.
    fn take(&mut self, text: &str) {
        self.numbers += 1;
        let (id, begun) = match Request::read(text) {
            Ok(request) => {
                let id = request.id.clone();
                (id, self.begin(request))
            }
            Err((id, error)) => (id, Err(error)),
        };
        let name = (self.numbers, id);
        let doing = begun.unwrap_or_else(|error| std::future::ready(Err(error)).boxed());
        self.under_way.push(doing.map(|said| (name, said)).boxed());
    }

    fn begin(&mut self, request: Request) -> Result<BoxFuture<'static, Answer>, CommandError> {
        let Request { id, op, mut args } = request;
        match op.as_str() {
            "publish" => {
                if let Some(id) = args.remove("event_id") {
                    args.insert("id".to_owned(), id);
                }
                Ok(self.command(&["events", "publish"], args, ("id", "event")))
            }
            "tell" => Ok(self.command(&["tell"], args, ("path", "told"))),
            "ask" => Ok(self.command(&["ask"], args, ("answer", "answer"))),
            "subscribe" => self.subscribe(&id, args),
            "unsubscribe" => {
                let (key, _) = self.subscribed(&Args::from_json(&[SUBSCRIPTION], args)?)?;
                if let Some(subscription) = self.subscriptions.remove(&key) {
                    subscription.ends.abort();
                }
                Ok(std::future::ready(Ok(Said::Document(json!({})))).boxed())
            }
            "ack" => {
                self.who.may(Scope::Operate, "`ack`")?;
                let args = Args::from_json(ACK, args)?;
                let (_, subscription) = self.subscribed(&args)?;
                let Some(in_hand) = subscription.in_hand.clone() else {
                    let error = CommandError::usage("only what a group reads is acknowledged");
                    return Err(error.hint("subscribe with a stream and a group"));
                };
                let at = position(args.text("position").unwrap_or_default())?;
                Ok(async move {
                    let acked = in_hand.ack(at).await?;
                    Ok(Said::Document(json!({ "acknowledged": acked })))
                }
                .boxed())
            }
            op => {
                let error = CommandError::usage(format!("`{}` is no op", cut(op, 40)));
                Err(match nearest(op, OPS.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("one is {}", OPS.join(", "))),
                })
            }
        }
    }

    /// Does what a command does; the answer is one key of what it says.
    fn command(
        &self,
        words: &'static [&'static str],
        args: Map<String, Value>,
        (from, to): (&'static str, &'static str),
    ) -> BoxFuture<'static, Answer> {
        let (kernel, who) = (self.kernel.clone(), Arc::clone(&self.who));
        let counted = self.door.as_ref().map_or(Ok(()), |door| door.count(&who));
        async move {
            counted?;
            let command = Command::find(words).filter(|its| matches!(its.run, Run::Kernel(_)));
            let Some((command, Run::Kernel(run))) = command.map(|its| (its, its.run)) else {
                return Err(CommandError::usage("this is no command of the kernel"));
            };
            who.may_use(command)?;
            let args = Args::from_json(&command.inputs(), args)?;
            let mut document = run_for(&who, &kernel, command, run, args).await?;
            let value = document.get_mut(from).map(Value::take);
            Ok(Said::Document(json!({ to: value })))
        }
        .boxed()
    }

    fn subscribe(
        &mut self,
        id: &Value,
        args: Map<String, Value>,
    ) -> Result<BoxFuture<'static, Answer>, CommandError> {
        if id.is_null() {
            return Err(CommandError::usage("`id` is missing")
                .hint("deliveries name the subscription by it, as in \"id\": 2"));
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let message = format!("a connection has {SUBSCRIPTIONS_MAX} subscriptions at most");
            return Err(CommandError::new(Code::Failed, message)
                .hint("unsubscribe from one, or use a pattern that is wider, as in `sensor.*`"));
        }
        let key = id.to_string();
        if self.subscriptions.contains_key(&key) {
            let error = CommandError::usage(format!("{key} is the id of a subscription"));
            return Err(error.hint("subscribe with an id of its own"));
        }
        let wish = Wish::read(&self.kernel, &self.who, args)?;
        let (ends, ending) = AbortHandle::new_pair();
        let in_hand = wish.in_hand();
        let number = self.numbers;
        self.subscriptions.insert(
            key,
            Subscription {
                number,
                ends,
                in_hand: in_hand.clone(),
            },
        );
        let (kernel, who) = (self.kernel.clone(), Arc::clone(&self.who));
        let turns = Arc::clone(&self.counted.0.turns);
        Ok(async move {
            let items = wish.open(&kernel, who, &turns, in_hand).await?;
            Ok(Said::Subscribed(Abortable::new(items, ending).boxed()))
        }
        .boxed())
    }

    /// The subscription that is meant, and what it is found by.
    fn subscribed(&self, args: &Args) -> Result<(String, &Subscription), CommandError> {
        let id = args.get(SUBSCRIPTION.name).unwrap_or(&Value::Null);
        let key = id.to_string();
        match self.subscriptions.get(&key) {
            Some(subscription) => Ok((key, subscription)),
            None => {
                let message = format!("there is no subscription {}", cut(&key, ID_LEN_MAX));
                Err(CommandError::new(Code::NotFound, message)
                    .hint("it is named by the `id` of the request that subscribed"))
            }
        }
    }

    fn done(&mut self, name: Name, said: Answer) -> Message {
        let said = match said {
            Ok(Said::Document(document)) => Ok(document),
            Ok(Said::Subscribed(items)) => {
                let of = name.clone();
                let items = items.map(move |item| (of.clone(), item));
                self.deliveries.push(items.boxed());
                Ok(json!({ "subscription": name.1 }))
            }
            Err(error) => {
                self.forget(&name);
                Err(error)
            }
        };
        self.frame(answer(&name.1, said))
    }

    fn deliver(&mut self, name: Name, item: Item) -> Message {
        let (_, id) = &name;
        let document = match item {
            Item::Event(event, position, deliveries) => {
                let mut document = json!({ "subscription": id, "event": *event });
                if let (Some(position), Some(fields)) = (position, document.as_object_mut()) {
                    fields.insert("position".to_owned(), json!(position));
                    // Handed out again, as nobody has said that it was handled.
                    if deliveries > 1 {
                        fields.insert("deliveries".to_owned(), json!(deliveries));
                    }
                }
                document
            }
            Item::Missed(missed) => json!({ "subscription": id, "missed": missed }),
            Item::Ended(error) => {
                let document = json!({ "subscription": id, "error": said_of(&error) });
                self.forget(&name);
                document
            }
        };
        self.frame(document)
    }

    /// Forgets the subscription that a request of this number made, if it did.
    fn forget(&mut self, (number, id): &Name) {
        let key = id.to_string();
        if self
            .subscriptions
            .get(&key)
            .is_some_and(|its| its.number == *number)
        {
            self.subscriptions.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
