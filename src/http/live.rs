//! What happens, as it happens, for pages: `GET /api/v1/stream`, server-sent events.
//!
//! What a client asks for is a **channel**, and those who ask for the same share one: at most ten times a second the service
//! looks what has changed, writes that down once, and all readers send the same bytes. A channel keeps the last frames in a
//! ring. A reader is a number in it, so one that is slow, or was away for a moment (`Last-Event-ID`), goes on where it was,
//! and one that was away for too long is told so and gets the whole tree again. Nothing grows with a reader.

mod channel;
mod tree;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use unity_actors::cluster::Cluster;
use unity_supervisors::bus::{Event, Pattern, Place, Refused, Subscriber};
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{Actor, ChildId, Context, Exit, Kernel, Kinds, Next, NoMessage, Start};

use self::channel::{Channel, Read};
use self::tree::Tree;
use super::{Caller, failure};
use crate::error::{Code, CommandError};
use crate::rights::tokens::Tokens;
use crate::rights::{Scope, Who};
use crate::settings::service::NoSettings;

/// Time between two looks at what has changed, at least.
const LOOK: Duration = Duration::from_millis(100);
/// A look that takes long is followed by a pause so many times as long: looking takes a tenth of a core at most.
const PAUSE: u32 = 9;
/// How many channels there may be, and how many readers of all.
const CHANNELS_MAX: usize = 64;
const READERS_MAX: usize = 1_024;
/// How long a channel without readers is kept: who comes back by then goes on.
const KEPT: Duration = Duration::from_secs(60);
/// How often a reader hears something, if only that nothing has happened.
const HEARD: Duration = Duration::from_secs(15);
/// How many events a channel takes between two looks.
const EVENTS_MAX: usize = 256;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    tree: bool,
    events: Vec<Pattern>,
}

impl Wish {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, CommandError> {
        let mut wish = Self {
            tree: false,
            events: Vec::new(),
        };
        for (key, value) in pairs {
            match (key.as_str(), value.as_str()) {
                ("tree", "true") => wish.tree = true,
                ("tree", "false") => {}
                ("events", pattern) => wish.events.push(Pattern::new(pattern)?),
                _ => {
                    let hint =
                        "a stream has tree=true and events=PATTERN, the latter as often as wanted";
                    return Err(
                        CommandError::usage(format!("`{key}={value}` is not known here"))
                            .hint(hint),
                    );
                }
            }
        }
        wish.events.sort();
        wish.events.dedup();
        match wish.tree || !wish.events.is_empty() {
            true => Ok(wish),
            // A query cannot be told what goes together, so it is not malformed.
            false => Err(CommandError::conflict("nothing is asked for")
                .hint("as in ?tree=true&events=sensor.*")),
        }
    }

    fn is_for(&self, who: &Who) -> Result<(), CommandError> {
        who.may(Scope::Read, "the stream")?;
        let is_within = |pattern: &Pattern| who.bounds.has_pattern(pattern);
        if (self.tree && !who.bounds.is_none()) || !self.events.iter().all(is_within) {
            return Err(who.out_of_bounds("the stream"));
        }
        Ok(())
    }
}

/// All channels of a kernel. Found with [`Kernel::shared`].
#[derive(Debug, Default)]
pub struct Live {
    channels: Mutex<BTreeMap<Wish, Arc<Open>>>,
    readers: AtomicUsize,
    /// Wakes the service when the first channel opens.
    opened: Notify,
}

/// A channel with what fills it.
#[derive(Debug)]
struct Open {
    channel: Channel,
    /// What came since the last look.
    events: Arc<Heard>,
    subscriptions: Mutex<Vec<u64>>,
    readers: AtomicUsize,
    left: Mutex<Instant>,
}

impl Live {
    /// How many channels are kept, and how many read.
    pub(super) fn counts(&self) -> (usize, usize) {
        (
            self.channels.lock().len(),
            self.readers.load(Ordering::Acquire),
        )
    }

    /// The channel of a wish, made if it is the first.
    fn open(&self, kernel: &Kernel, wish: &Wish) -> Result<Arc<Open>, CommandError> {
        let mut channels = self.channels.lock();
        if let Some(open) = channels.get(wish) {
            return Ok(Arc::clone(open));
        }
        if channels.len() >= CHANNELS_MAX {
            return Err(CommandError::new(
                Code::Unreachable,
                format!("{CHANNELS_MAX} different streams are open"),
            )
            .hint("ask for one that others ask for, or try again in a minute"));
        }
        let events = Arc::new(Heard::default());
        let subscribe = |pattern| kernel.bus().subscribe(pattern, events.clone());
        let open = Arc::new(Open {
            channel: Channel::new(fastrand::u32(..), wish.tree),
            subscriptions: Mutex::new(wish.events.iter().map(subscribe).collect()),
            events,
            readers: AtomicUsize::new(0),
            left: Mutex::new(Instant::now()),
        });
        channels.insert(wish.clone(), Arc::clone(&open));
        self.opened.notify_one();
        Ok(open)
    }

    /// Closes what nobody has read for a while; returns the others.
    fn current(&self, kernel: &Kernel) -> Vec<(Wish, Arc<Open>)> {
        let mut channels = self.channels.lock();
        channels.retain(|_, open| {
            let is_kept =
                open.readers.load(Ordering::Acquire) > 0 || open.left.lock().elapsed() < KEPT;
            if !is_kept {
                for number in open.subscriptions.lock().drain(..) {
                    kernel.bus().unsubscribe(number);
                }
            }
            is_kept
        });
        channels
            .iter()
            .map(|(wish, open)| (wish.clone(), Arc::clone(open)))
            .collect()
    }
}

/// The events that a channel has not written down yet.
#[derive(Debug, Default)]
struct Heard(Mutex<(Vec<Arc<Event>>, u64)>);

impl Subscriber for Heard {
    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        let mut heard = self.0.lock();
        if heard.0.len() >= EVENTS_MAX {
            // It is told how many it missed: that is no fault of the subscriber's.
            heard.1 += 1;
        } else {
            heard.0.push(Arc::clone(event));
        }
        Ok(())
    }

    fn name(&self) -> String {
        "a page".to_owned()
    }
}

pub(super) fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<Service>("live", "what happens, for pages")
}

/// The child of `/system` that fills the channels.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("live").expect("`live` is an id"), "live")
}

/// Looks what has changed, and writes it down for all who read.
#[derive(Debug)]
pub struct Service;

impl Actor for Service {
    type Message = NoMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let kernel = ctx.kernel().clone();
        ctx.spawn(async move {
            look(&kernel).await;
            Ok(())
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

async fn look(kernel: &Kernel) {
    let live = kernel.shared::<Live>();
    let mut nodes = kernel.shared::<Cluster>().watch();
    let mut tree = Tree::default();
    loop {
        let current = live.current(kernel);
        if current.is_empty() {
            // What was seen is forgotten with the last who wanted it.
            tree = Tree::default();
            live.opened.notified().await;
            continue;
        }
        let began = Instant::now();
        let change = match current.iter().any(|(wish, _)| wish.tree) {
            true => tree.look(kernel),
            false => None,
        };
        let has_nodes_changed = nodes.has_changed().unwrap_or(false);
        nodes.mark_unchanged();
        for (wish, open) in &current {
            if wish.tree {
                open.channel.set_whole(tree.whole());
                if let Some(change) = &change {
                    open.channel.write("change", change);
                }
                if has_nodes_changed {
                    // Only that: who shows them reads them, at a pace of its own.
                    open.channel.write("nodes", r#"{"version":1}"#);
                }
            }
            let (events, missed) = std::mem::take(&mut *open.events.0.lock());
            if !events.is_empty() {
                let events: Vec<&Event> = events.iter().map(|event| &**event).collect();
                let mut document = json!({ "events": events, "missed": missed });
                kernel.secrets().mask_json(&mut document);
                open.channel.write("events", &document.to_string());
            }
            open.channel.tell();
        }
        sleep(LOOK.max(began.elapsed() * PAUSE)).await;
    }
}

pub(super) fn routes(kernel: &Kernel) -> Router {
    let kernel = kernel.clone();
    let answer = move |Caller(who), headers: HeaderMap, query| async move {
        follow(kernel, who, &headers, query).unwrap_or_else(|error| failure(&error))
    };
    Router::new().route("/api/v1/stream", get(answer))
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

fn follow(
    kernel: Kernel,
    who: Arc<Who>,
    headers: &HeaderMap,
    query: Pairs,
) -> Result<Response, CommandError> {
    let Query(pairs) = query.map_err(|error| CommandError::usage(error.body_text()))?;
    let wish = Wish::read(pairs)?;
    wish.is_for(&who)?;
    let live = kernel.shared::<Live>();
    let open = live.open(&kernel, &wish)?;
    let reading = Reading::new(live, open)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let reader = Reader {
        read: reading.open.channel.reader(last),
        hello: Some(hello(&kernel, &who)),
        reading,
        tokens: kernel.shared::<Tokens>(),
        ended: kernel,
        who,
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let bytes = reader.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), reader))
    });
    let heads = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((heads, Body::from_stream(frames)).into_response())
}

fn hello(kernel: &Kernel, who: &Who) -> Bytes {
    let document = json!({
        "version": 1, "node": kernel.name(),
        "kernel": { "version": env!("CARGO_PKG_VERSION") },
        "who": { "name": &*who.name, "scope": who.scope },
    });
    format!("retry: 1000\nevent: hello\ndata: {document}\n\n").into()
}

/// One who reads, counted for as long as they do.
struct Reading {
    live: Arc<Live>,
    open: Arc<Open>,
}

impl Reading {
    fn new(live: Arc<Live>, open: Arc<Open>) -> Result<Self, CommandError> {
        open.readers.fetch_add(1, Ordering::AcqRel);
        let before = live.readers.fetch_add(1, Ordering::AcqRel);
        let reading = Self { live, open };
        match before < READERS_MAX {
            true => Ok(reading),
            false => Err(CommandError::new(
                Code::Unreachable,
                format!("{READERS_MAX} pages are open"),
            )
            .hint("close one, or try again in a moment")),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        *self.open.left.lock() = Instant::now();
        self.open.readers.fetch_sub(1, Ordering::AcqRel);
        self.live.readers.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Reader {
    read: Read,
    hello: Option<Bytes>,
    reading: Reading,
    tokens: Arc<Tokens>,
    ended: Kernel,
    who: Arc<Who>,
}

impl Reader {
    /// What is sent next. `None` ends the stream: the kernel stops, or who reads is nobody any more.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(hello) = self.hello.take() {
            return Some(hello);
        }
        let next = self.read.next(&self.reading.open.channel);
        let heard = tokio::select! {
            biased;
            heard = timeout(HEARD, next) => heard,
            _ = self.ended.ended() => return None,
        };
        // Looked at last: what happens after a token is gone is not for its holder.
        if !self.tokens.is_still(&self.who, self.ended.clock().wall()) {
            return None;
        }
        Some(heard.unwrap_or_else(|_elapsed| Bytes::from_static(b": nothing new\n\n")))
    }
}
