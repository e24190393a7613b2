//! A kernel with streams that outlive it, and an actor that says what it handled.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use unity_supervisors::bus::{Catalog, EventType, Persist, Since, SubscribeError};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::spec::{ChildKind, ChildSpec, MailboxSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::{
    Durability, GroupInfo, MemoryStreams, Retention, StreamName, StreamStore,
};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Delivery, Draft, Exit, Kernel, KernelConfig, Kinds,
    Message, Next, Runtimes, Start,
};

/// How long is waited for what must come, on a clock that only goes when nothing else does.
const SOON: Duration = Duration::from_secs(3_600);

pub(crate) struct Store {
    pub(crate) clock: Clock,
    pub(crate) streams: Arc<MemoryStreams>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let clock = Clock::simulated(Timestamp::from_secs(1_767_225_600));
        let streams = MemoryStreams::new(clock);
        Self { clock, streams }
    }

    /// Puts numbers into the stream while no kernel runs.
    pub(crate) async fn append_all(&self, numbers: Range<i64>) {
        for number in numbers {
            let mut draft = Draft::new(&"kept.number".parse().unwrap(), json!(number));
            let id = u128::try_from(number).unwrap() + (1 << 100);
            draft.id = Some(unity_supervisors::bus::EventId::from_u128(id));
            let event = Arc::new(draft.as_it_is());
            let append = self
                .streams
                .append(&name("kept"), event, Durability::Async, None);
            append.await.unwrap();
        }
    }
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

pub(crate) fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

pub(crate) fn numbers(range: Range<i64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

/// All of `kept.*` is kept in the stream `kept`.
pub(crate) fn kept() -> Catalog {
    let mut event_type = EventType::new("kept.*".parse().unwrap());
    event_type.persist = Some(Persist {
        stream: name("kept"),
        mode: Durability::Async,
        retention: Retention::default(),
    });
    Catalog::new(false, [event_type])
}

/// Each in the order in which it was handled first.
pub(crate) fn firsts(handled: &[Value]) -> Vec<Value> {
    let mut firsts: Vec<Value> = Vec::new();
    for value in handled {
        if !firsts.contains(value) {
            firsts.push(value.clone());
        }
    }
    firsts
}

pub(crate) fn sorted(mut handled: Vec<Value>) -> Vec<Value> {
    handled.sort_by_key(Value::as_i64);
    handled
}

/// What was begun, and what was handled to the end, by whom.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) begun: Mutex<Vec<(String, Value)>>,
    pub(crate) done: Mutex<Vec<(String, Value)>>,
    /// What came of the last second subscription.
    pub(crate) second: Mutex<Option<Result<(), SubscribeError>>>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReaderSettings {
    /// Its durable subscription; its id unless given.
    name: Option<String>,
    since: String,
    #[serde(default = "yes")]
    durable: bool,
    /// The numbers that it crashes with.
    #[serde(default)]
    crashes: Vec<i64>,
    /// The numbers that it panics with.
    #[serde(default)]
    panics: Vec<i64>,
    /// The numbers that it hangs with.
    #[serde(default)]
    hangs: Vec<i64>,
    /// How long it takes for each.
    #[serde(default)]
    takes_ms: u64,
    /// A second durable subscription.
    second: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Message)]
#[message(json)]
pub(crate) enum ReaderMessage {
    Event(Delivery),
    #[message(priority = "critical")]
    Hang(Duration),
    #[message(priority = "critical")]
    Crash,
}

pub(crate) struct Reader(Arc<Heard>);

impl Actor for Reader {
    type Message = ReaderMessage;
    type Settings = ReaderSettings;

    async fn start(
        settings: &ReaderSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let since: Since = settings.since.parse()?;
        if settings.durable {
            let own = ctx.path().id().map(|id| id.as_str().to_owned());
            let name = settings.name.clone().or(own).unwrap_or_default();
            ctx.subscribe_durable(&name, "kept.number", since, ReaderMessage::Event)?;
            if let Some(second) = &settings.second {
                let heard: Arc<Heard> = ctx.kernel().shared();
                let made = ctx.subscribe_durable(second, "kept.other", since, ReaderMessage::Event);
                *heard.second.lock() = Some(made);
            }
        } else {
            ctx.subscribe("kept.number", ReaderMessage::Event)?;
        }
        Ok(Start::Running(Self(ctx.kernel().shared())))
    }

    async fn handle(
        &mut self,
        message: &mut ReaderMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let event = match message {
            ReaderMessage::Event(event) => event,
            ReaderMessage::Hang(time) => {
                tokio::time::sleep(*time).await;
                return Ok(Next::Continue);
            }
            ReaderMessage::Crash => return Err(Exit::error("as asked")),
        };
        let who = ctx.path().to_string();
        self.0.begun.lock().push((who.clone(), event.data.clone()));
        let settings = std::sync::Arc::clone(ctx.settings().get());
        let number = event.data.as_i64().unwrap();
        if settings.takes_ms > 0 {
            tokio::time::sleep(Duration::from_millis(settings.takes_ms)).await;
        }
        if settings.hangs.contains(&number) {
            std::future::pending::<()>().await;
        }
        if settings.crashes.contains(&number) {
            return Err(Exit::error(format!("no {number} here")));
        }
        assert!(!settings.panics.contains(&number), "no {number} here");
        let mut done = self.0.done.lock();
        done.push((who, event.data.clone()));
        self.0.count.send_replace(done.len());
        Ok(Next::Continue)
    }
}

pub(crate) fn child(id: &str, since: &str) -> ChildSpec {
    let mut child = ChildSpec::worker(ChildId::new(id).unwrap(), "reader");
    set(&mut child, "since", json!(since));
    child
}

pub(crate) fn set(child: &mut ChildSpec, key: &str, value: Value) {
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    if worker.settings.is_null() {
        worker.settings = json!({});
    }
    worker.settings[key] = value;
}

pub(crate) fn with_mailbox(mut child: ChildSpec, spec: MailboxSpec) -> ChildSpec {
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.mailbox = Arc::new(spec);
    child
}

pub(crate) fn supervisor(id: &str, intensity: u32, children: Vec<ChildSpec>) -> ChildSpec {
    let spec = SupervisorSpec {
        children: children.into_iter().map(Arc::new).collect(),
        intensity,
        ..SupervisorSpec::default()
    };
    ChildSpec::supervisor(ChildId::new(id).unwrap(), spec)
}

pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) heard: Arc<Heard>,
    streams: Arc<MemoryStreams>,
}

impl World {
    pub(crate) async fn boot(store: &Store, children: Vec<ChildSpec>) -> Self {
        Self::boot_with(store, children, kept()).await
    }

    pub(crate) async fn boot_with(
        store: &Store,
        children: Vec<ChildSpec>,
        catalog: Catalog,
    ) -> Self {
        let kinds = Kinds::new().with::<Reader>("reader", "reads");
        let config = KernelConfig {
            catalog,
            clock: store.clock,
            streams: Some(Arc::clone(&store.streams) as Arc<dyn StreamStore>),
            ..KernelConfig::new(Runtimes::current(), kinds, 7)
        };
        let root = SupervisorSpec {
            children: children.into_iter().map(Arc::new).collect(),
            intensity: 10_000,
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self {
            heard: kernel.shared(),
            kernel,
            streams: Arc::clone(&store.streams),
        }
    }

    pub(crate) async fn end(&self) {
        self.kernel.shutdown().await;
    }

    pub(crate) async fn publish(&self, number: i64) {
        self.publish_to("kept.number", json!(number)).await;
    }

    pub(crate) async fn publish_to(&self, topic: &str, data: Value) {
        let draft = Draft::new(&topic.parse().unwrap(), data);
        self.kernel
            .bus()
            .publish(&"test".into(), draft)
            .await
            .unwrap();
    }

    pub(crate) async fn publish_all(&self, numbers: Range<i64>) {
        for number in numbers {
            self.publish(number).await;
        }
    }

    /// What it handled to the end, in order.
    pub(crate) fn numbers(&self, who: &str) -> Vec<Value> {
        let done = self.heard.done.lock();
        let its = done.iter().filter(|(its, _)| its == who);
        its.map(|(_, data)| data.clone()).collect()
    }

    pub(crate) fn firsts(&self, who: &str) -> Vec<Value> {
        firsts(&self.numbers(who))
    }

    /// How often it took `number` in hand.
    pub(crate) fn tries(&self, number: i64) -> usize {
        let begun = self.heard.begun.lock();
        begun
            .iter()
            .filter(|(_, its)| *its == json!(number))
            .count()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut counted = self.heard.count.subscribe();
        let waited = counted.wait_for(|_| is_so(self));
        let waited = tokio::time::timeout(SOON, waited).await.map(drop);
        assert!(
            waited.is_ok(),
            "{what} never came: {:?}",
            self.heard.done.lock()
        );
    }

    /// Waits until it handled so many, those that it handled twice too.
    pub(crate) async fn heard(&self, who: &str, count: usize) {
        let what = format!("{count} at {who}");
        self.until(&what, |world| world.numbers(who).len() >= count)
            .await;
    }

    /// Waits until it handled all of these.
    pub(crate) async fn heard_all(&self, who: &str, range: Range<i64>) {
        let wanted = numbers(range);
        let has_all = |world: &Self| {
            let its = world.numbers(who);
            wanted.iter().all(|number| its.contains(number))
        };
        self.until("all", has_all).await;
    }

    pub(crate) async fn group(&self, group: &str) -> Option<GroupInfo> {
        let streams = self.streams.streams().await.unwrap();
        let kept = streams.into_iter().find(|its| its.name == name("kept"))?;
        kept.groups.into_iter().find(|its| its.name == group)
    }

    pub(crate) async fn pending(&self, group: &str) -> u64 {
        self.group(group).await.unwrap().pending
    }

    /// Waits until so many are handed out and not handled.
    pub(crate) async fn until_pending(&self, group: &str, count: u64) {
        self.until_group(group, |its| its.pending >= count).await;
    }

    /// Waits until all is handled.
    pub(crate) async fn caught_up(&self, group: &str) {
        self.until_group(group, |its| its.pending == 0 && its.lag == 0)
            .await;
    }

    async fn until_group(&self, group: &str, is_so: impl Fn(&GroupInfo) -> bool) {
        let wait = async {
            while !self.group(group).await.as_ref().is_some_and(&is_so) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, wait).await;
        assert!(waited.is_ok(), "{:?}", self.group(group).await);
    }

    /// Lets all that can be done be done: on a paused clock, time goes on only then.
    pub(crate) async fn settled(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Has it do nothing any more.
    pub(crate) async fn hang(&self, at: &str) {
        self.tell_hang(at, Duration::from_secs(1_000_000)).await;
    }

    pub(crate) async fn tell_hang(&self, at: &str, time: Duration) {
        self.tell(at, ReaderMessage::Hang(time)).await;
        self.settled().await;
    }

    pub(crate) async fn tell(&self, at: &str, message: ReaderMessage) {
        let address = self.kernel.address::<ReaderMessage>(&path(at)).unwrap();
        address.tell(message).await.unwrap();
    }
}
