//! `/system/replay`: tells recorded events again, to a live actor or on the bus, at the speed at which they were recorded or another.
//!
//! One replay at a time, a job of the service's life: one that is killed ends it, and it does not begin anew by itself, since
//! nobody can say what the receiver has made of the first half. Events are read from streams a page at a time, merged in the order in
//! which they were kept, or fed by whoever reads them from a file. Memory stays bounded however many there are.
//!
//! An actor receives an event as its subscriptions would give it, in the lane of its priority, and is waited for when it has no
//! room. On the bus an event is published with the id, source and time that it had: a stream that knows the
//! id keeps it no second time, and nobody hears it again then.

pub mod merge;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use unity_supervisors::bus::{Delivery, Draft, Pattern};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, Kernel, Kinds, Message, Next, Reply, Start,
};

use self::merge::Merge;

/// Where the service lives.
pub const PATH: &str = "/system/replay";
/// How many events that were fed may wait.
pub const FEED_MAX: usize = 256;
/// How long nothing may be fed before whoever feeds is taken to have gone.
pub const FED_WITHIN: Duration = Duration::from_secs(30);
/// In whose name events are published that do not say whose they are.
const SOURCE: &str = "replay";

/// The kinds with this service.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<ReplayService>("replay", "tells recorded events again")
}

/// The child of `/system` that it is.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("replay").expect("`replay` is an id"), "replay")
}

/// Where the events of a replay come from.
pub enum From {
    /// Streams.
    Streams(Box<Merge>),
    /// Whoever feeds them.
    Fed,
}

impl fmt::Debug for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Streams(_) => "Streams",
            Self::Fed => "Fed",
        })
    }
}

/// Where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To an actor.
    Actor(ActorPath),
    /// To whoever is subscribed.
    Bus,
}

/// A replay to be.
#[derive(Debug)]
pub struct Replay {
    /// Where its events come from.
    pub from: From,
    /// Which of them are told.
    pub pattern: Pattern,
    /// Where they go.
    pub to: To,
    /// How many times as fast as they were recorded; as fast as it goes without.
    pub speed: Option<f64>,
}

/// How a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It tells.
    Running,
    /// All are told.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not go on.
    Failed,
}

/// How far the newest replay of a kernel is.
#[derive(Debug)]
pub struct Progress {
    /// Counts up from 1 in each kernel.
    pub id: u64,
    told: AtomicU64,
    passed_over: AtomicU64,
    refused: AtomicU64,
    rest: Mutex<Rest>,
    stop: Notify,
}

#[derive(Debug)]
struct Rest {
    state: State,
    at: Option<Timestamp>,
    why: Option<String>,
}

impl Progress {
    fn new(id: u64) -> Self {
        Self {
            id,
            told: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rest: Mutex::new(Rest {
                state: State::Running,
                at: None,
                why: None,
            }),
            stop: Notify::new(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Rest) -> T) -> T {
        act(&mut self.rest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self, state: State, why: Option<String>) {
        self.with(|rest| {
            if rest.state == State::Running {
                rest.state = state;
                rest.why = why.or(rest.why.take());
            }
        });
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.with(|rest| rest.state)
    }

    /// How many it told.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (state, at, why) = self.with(|rest| (rest.state, rest.at, rest.why.clone()));
        json!({
            "id": self.id, "state": state, "told": self.told(), "at": at, "why": why,
            "passed_over": self.passed_over.load(Ordering::Relaxed),
            "refused": self.refused.load(Ordering::Relaxed),
        })
    }
}

/// The newest replay of a kernel; outlives the service.
#[derive(Debug, Default)]
pub struct Newest(Mutex<Option<Arc<Progress>>>);

impl Newest {
    /// It, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Progress>> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.clone()
    }

    fn begin(&self) -> Arc<Progress> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = newest.as_ref().map_or(0, |last| last.id) + 1;
        let progress = Arc::new(Progress::new(id));
        *newest = Some(Arc::clone(&progress));
        progress
    }
}

/// Why a replay does not begin, or is not fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// There is one already.
    #[error("a replay is running already")]
    Busy,
    /// There is none of this number that is fed.
    #[error("there is no replay {0} that takes events")]
    NotFed(u64),
}

/// Messages of the service.
#[derive(Debug, Message)]
pub enum ReplayMessage {
    /// Begin; the answer is the number that it has.
    Begin(Box<Replay>, Reply<Result<u64, Refused>>),
    /// Take these events for the replay of this number; the answer is how many there was room for.
    Feed {
        /// Of which replay.
        id: u64,
        /// The events.
        events: Vec<Draft>,
        /// Whether these are the last.
        is_last: bool,
        /// How many it took.
        taken: Reply<Result<usize, Refused>>,
    },
}

/// Settings of `replay`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaySettings {}

/// Tells recorded events again.
#[derive(Debug)]
pub struct ReplayService {
    newest: Arc<Newest>,
    feed: Option<(u64, mpsc::Sender<Draft>)>,
}

impl Actor for ReplayService {
    type Message = ReplayMessage;
    type Settings = ReplaySettings;

    async fn start(_: &ReplaySettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let newest: Arc<Newest> = ctx.kernel().shared();
        if let Some(interrupted) = newest.get() {
            let why = "the service that did it was restarted: `uk why /system/replay`";
            interrupted.end(State::Failed, Some(why.to_owned()));
        }
        Ok(Start::Running(Self { newest, feed: None }))
    }

    async fn handle(
        &mut self,
        message: &mut ReplayMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            ReplayMessage::Begin(replay, begun) => {
                let is_busy = |last: Arc<Progress>| last.state() == State::Running;
                if self.newest.get().is_some_and(is_busy) {
                    begun.send(Err(Refused::Busy));
                    return Ok(Next::Continue);
                }
                let progress = self.newest.begin();
                let nothing = Replay {
                    from: From::Fed,
                    pattern: Pattern::all(),
                    to: To::Bus,
                    speed: None,
                };
                let replay = std::mem::replace(&mut **replay, nothing);
                let (feed, fed) = mpsc::channel(FEED_MAX);
                self.feed = matches!(replay.from, From::Fed).then_some((progress.id, feed));
                begun.send(Ok(progress.id));
                let kernel = ctx.kernel().clone();
                ctx.spawn(async move {
                    run(&kernel, replay, fed, &progress).await;
                    Ok(())
                });
            }
            ReplayMessage::Feed {
                id,
                events,
                is_last,
                taken,
            } => taken.send(self.take(*id, events, *is_last)),
        }
        Ok(Next::Continue)
    }
}

impl ReplayService {
    fn take(&mut self, id: u64, events: &mut Vec<Draft>, is_last: bool) -> Result<usize, Refused> {
        let feed = self.feed.as_ref().filter(|(its, _)| *its == id);
        let (_, feed) = feed.ok_or(Refused::NotFed(id))?;
        let room = feed.capacity().min(events.len());
        let rest = events.split_off(room);
        for event in events.drain(..) {
            feed.try_send(event).map_err(|_| Refused::NotFed(id))?;
        }
        if is_last && rest.is_empty() {
            self.feed = None;
        }
        Ok(room)
    }
}

/// Stops the newest replay, if it runs.
pub fn stop(kernel: &Kernel) -> Option<Arc<Progress>> {
    let newest = kernel.shared::<Newest>().get()?;
    if newest.state() != State::Running {
        return None;
    }
    newest.end(State::Stopped, None);
    newest.stop.notify_one();
    Some(newest)
}

async fn run(kernel: &Kernel, replay: Replay, fed: mpsc::Receiver<Draft>, progress: &Progress) {
    let told = tokio::select! {
        biased;
        () = progress.stop.notified() => return,
        told = tell_all(kernel, replay, fed, progress) => told,
    };
    match told {
        Ok(()) => progress.end(State::Done, None),
        Err(why) => progress.end(State::Failed, Some(why)),
    }
}

async fn tell_all(
    kernel: &Kernel,
    mut replay: Replay,
    mut fed: mpsc::Receiver<Draft>,
    progress: &Progress,
) -> Result<(), String> {
    let mut pace = None;
    loop {
        let next = match &mut replay.from {
            From::Streams(merge) => {
                let next = merge.next().await.map_err(|error| error.to_string())?;
                next.map(|event| Draft::again(&event))
            }
            From::Fed => timeout(FED_WITHIN, fed.recv())
                .await
                .map_err(|_| format!("nothing was fed for {} s", FED_WITHIN.as_secs()))?,
        };
        let Some(draft) = next else {
            return Ok(());
        };
        if !replay.pattern.fits(draft.topic.as_str()) {
            progress.passed_over.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if let (Some(speed), Some(time)) = (replay.speed, draft.time) {
            let (since, first) = *pace.get_or_insert((Instant::now(), time));
            sleep_until(since + first.age(time).div_f64(speed)).await;
        }
        let time = draft.time;
        tell(kernel, &replay.to, draft, progress).await?;
        progress.with(|rest| rest.at = time.or(rest.at));
    }
}

async fn tell(kernel: &Kernel, to: &To, draft: Draft, progress: &Progress) -> Result<(), String> {
    match to {
        To::Actor(path) => {
            let delivery = Delivery::new(Arc::new(draft.as_it_is()));
            let told = kernel.tell_event(path, delivery).await;
            told.map_err(|error| error.to_string())?;
        }
        To::Bus => {
            let published = kernel.bus().publish_when_room(&SOURCE.into(), draft).await;
            if let Err(error) = published {
                progress.refused.fetch_add(1, Ordering::Relaxed);
                progress.with(|rest| rest.why.get_or_insert(error.to_string()).len());
                return Ok(());
            }
        }
    }
    progress.told.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
