//! Recorded events told again: to an actor, on the bus, from streams and from whoever feeds them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::replay::merge::Merge;
use unity_actors::replay::{
    self, FED_WITHIN, FEED_MAX, From, Newest, Refused, Replay, ReplayMessage, State, To,
};
use unity_supervisors::bus::{Blob, Catalog, EventType, Pattern, Persist};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::{
    Durability, MemoryStreams, Position, Retention, StreamName, StreamStore,
};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Delivery, Draft, Exit, Kernel, KernelConfig, Kinds,
    Message, Next, NoMessage, Runtimes, Start,
};

/// What was heard, and when.
#[derive(Default)]
struct Heard(Mutex<Vec<(Value, u64, Option<Blob>)>>);

struct Ear(Arc<Heard>);

#[derive(Debug, Message)]
enum EarMessage {
    Event(Delivery),
}

impl Actor for Ear {
    type Message = EarMessage;
    type Settings = Value;

    async fn start(_: &Value, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self(ctx.kernel().shared())))
    }

    async fn handle(
        &mut self,
        message: &mut EarMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let EarMessage::Event(event) = message;
        let at = ctx.kernel().clock().wall().unix_ms();
        let mut heard = self.0.0.lock().unwrap();
        heard.push((event.data.clone(), at, event.blob().cloned()));
        Ok(Next::Continue)
    }
}

struct Deaf;

impl Actor for Deaf {
    type Message = NoMessage;
    type Settings = Value;

    async fn start(_: &Value, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
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

struct World {
    kernel: Kernel,
    store: Arc<dyn StreamStore>,
}

fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

async fn world() -> World {
    let clock = Clock::simulated(Timestamp::from_secs(1_767_225_600));
    let store: Arc<dyn StreamStore> = MemoryStreams::new(clock);
    let kept = |family: &str| {
        let mut event_type = EventType::new(format!("{family}.*").parse().unwrap());
        event_type.persist = Some(Persist {
            stream: name(family),
            mode: Durability::Async,
            retention: Retention::default(),
        });
        event_type
    };
    let config = KernelConfig {
        service_kinds: replay::with_kind(Kinds::new()),
        services: vec![replay::child()],
        clock,
        streams: Some(Arc::clone(&store)),
        catalog: Catalog::new(false, [kept("a"), kept("b")]),
        ..KernelConfig::new(
            Runtimes::current(),
            Kinds::new()
                .with::<Ear>("ear", "hears")
                .with::<Deaf>("deaf", "does not"),
            7,
        )
    };
    let worker = |id: &str| Arc::new(ChildSpec::worker(ChildId::new(id).unwrap(), id));
    let root = SupervisorSpec {
        children: vec![worker("ear"), worker("deaf")],
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root,
    };
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    World { kernel, store }
}

fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

fn draft(topic: &str, data: i64) -> Draft {
    Draft::new(&topic.parse().unwrap(), json!(data))
}

impl World {
    async fn publish(&self, topic: &str, data: i64) {
        let bus = self.kernel.bus();
        bus.publish(&"test".into(), draft(topic, data))
            .await
            .unwrap();
    }

    /// Ten events, one a second, in two streams.
    async fn record(&self) {
        for number in 0..10 {
            let topic = if number % 3 == 0 { "b.x" } else { "a.x" };
            self.publish(topic, number).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn merge(&self, after: Position, until: Position) -> From {
        let streams = vec![name("a"), name("b")];
        let merge = Merge::new(&self.store, streams, after, until).await;
        From::Streams(Box::new(merge.unwrap()))
    }

    async fn all(&self) -> From {
        self.merge(Position::START, Position::END).await
    }

    async fn begin(&self, from: From, to: &str, speed: Option<f64>) -> Result<u64, Refused> {
        let to = match to {
            "bus" => To::Bus,
            path_of => To::Actor(path(path_of)),
        };
        let replay = Box::new(Replay {
            from,
            pattern: Pattern::all(),
            to,
            speed,
        });
        let service = self
            .kernel
            .address::<ReplayMessage>(&path(replay::PATH))
            .unwrap();
        let begun = service.ask(Duration::from_secs(5), |begun| {
            ReplayMessage::Begin(replay, begun)
        });
        begun.await.unwrap()
    }

    async fn feed(&self, id: u64, events: Vec<Draft>, is_last: bool) -> Result<usize, Refused> {
        let service = self
            .kernel
            .address::<ReplayMessage>(&path(replay::PATH))
            .unwrap();
        let fed = service.ask(Duration::from_secs(5), |taken| ReplayMessage::Feed {
            id,
            events,
            is_last,
            taken,
        });
        fed.await.unwrap()
    }

    /// Waits for the end of the replay; returns how it ended, and why.
    async fn ended(&self) -> (State, Value) {
        let newest = self.kernel.shared::<Newest>().get().unwrap();
        while newest.state() == State::Running {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // What was told last is in the mailbox.
        tokio::time::sleep(Duration::from_millis(1)).await;
        (newest.state(), newest.to_json())
    }

    fn heard(&self) -> Vec<i64> {
        let heard: Arc<Heard> = self.kernel.shared();
        let heard = heard.0.lock().unwrap();
        heard
            .iter()
            .map(|(data, _, _)| data.as_i64().unwrap())
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_told_as_one_in_the_order_in_which_they_were_kept_and_at_their_speed() {
    let world = world().await;
    world.record().await;
    for (speed, took_ms) in [
        (Some(1.0), 9_000),
        (Some(2.0), 4_500),
        (Some(0.5), 18_000),
        (None, 0),
    ] {
        let heard: Arc<Heard> = world.kernel.shared();
        heard.0.lock().unwrap().clear();

        world.begin(world.all().await, "/ear", speed).await.unwrap();
        let (state, json) = world.ended().await;

        assert_eq!((state, json.get("told")), (State::Done, Some(&json!(10))));
        assert_eq!(world.heard(), (0..10).collect::<Vec<_>>());
        let heard = heard.0.lock().unwrap();
        let times = heard.first().zip(heard.last());
        let took = times.map(|((_, first, _), (_, last, _))| last - first);
        assert!(
            took.is_some_and(|took| took.abs_diff(took_ms) <= 2),
            "{speed:?}: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_kept_between_two_times_is_told() {
    let world = world().await;
    world.record().await;
    let at = |second: i64| Position::before(Timestamp::from_secs(1_767_225_600 + second));

    world
        .begin(world.merge(at(3), at(7)).await, "/ear", None)
        .await
        .unwrap();
    world.ended().await;

    assert_eq!(world.heard(), [3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_is_read_a_page_at_a_time_and_all_of_it_is_told() {
    let world = world().await;
    for number in 0..5_000 {
        world
            .publish(if number % 2 == 0 { "a.x" } else { "b.x" }, number)
            .await;
    }

    world.begin(world.all().await, "/ear", None).await.unwrap();
    let (state, _) = world.ended().await;

    // Within one millisecond the streams are in the order of their names.
    let mut heard = world.heard();
    heard.sort_unstable();
    assert_eq!(
        (state, heard),
        (State::Done, (0..5_000).collect::<Vec<_>>())
    );
}

#[tokio::test(start_paused = true)]
async fn on_the_bus_what_a_stream_knows_is_kept_once_and_what_it_does_not_know_is_kept() {
    let world = world().await;
    world.record().await;
    let before = world.store.last(&name("a")).await.unwrap();

    world.begin(world.all().await, "bus", None).await.unwrap();
    let (state, _) = world.ended().await;
    let id = world.begin(From::Fed, "bus", None).await.unwrap();
    let events = vec![draft("a.new", 100), draft("not.kept", 101)];
    assert_eq!(world.feed(id, events, true).await, Ok(2));
    world.ended().await;

    assert_eq!(state, State::Done);
    let new = world
        .store
        .read(&name("a"), before, Position::END, 9)
        .await
        .unwrap();
    let new: Vec<&Value> = new.iter().map(|entry| &entry.event.data).collect();
    assert_eq!(new, [&json!(100)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_ends_and_another_may_begin() {
    let world = world().await;
    world.record().await;
    world
        .begin(world.all().await, "/ear", Some(1.0))
        .await
        .unwrap();
    let second = world.begin(world.all().await, "/ear", None).await;
    assert_eq!(second, Err(Refused::Busy));
    tokio::time::sleep(Duration::from_millis(3_500)).await;

    assert!(replay::stop(&world.kernel).is_some());
    assert!(replay::stop(&world.kernel).is_none());
    tokio::time::sleep(Duration::from_secs(60)).await;

    assert_eq!(world.ended().await.0, State::Stopped);
    assert_eq!(world.heard(), [0, 1, 2, 3]);
    assert_eq!(world.begin(world.all().await, "/ear", None).await, Ok(2));
    assert_eq!(world.ended().await.0, State::Done);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_killed_ends_its_replay_and_the_kernel_goes_on() {
    let world = world().await;
    world.record().await;
    world
        .begin(world.all().await, "/ear", Some(1.0))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;

    world.kernel.kill(&path(replay::PATH), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;

    let (state, json) = world.ended().await;
    assert_eq!(state, State::Failed);
    assert!(json.to_string().contains("uk why /system/replay"), "{json}");
    assert_eq!(world.heard(), [0, 1, 2]);
    assert_eq!(world.begin(world.all().await, "/ear", None).await, Ok(2));
    assert_eq!(world.ended().await.0, State::Done);
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_events_or_is_down_ends_it_and_it_says_why() {
    let world = world().await;
    world.record().await;
    world.kernel.stop(&path("/ear")).await.unwrap();

    for (to, why) in [
        ("/deaf", "no message of this kind carries an event"),
        ("/ear", "it is not running"),
        ("/none", "/none"),
    ] {
        world.begin(world.all().await, to, None).await.unwrap();
        let (state, json) = world.ended().await;
        assert_eq!(state, State::Failed);
        assert!(json.to_string().contains(why), "{json}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_fed_waits_in_bounds_and_who_feeds_no_more_ends_it() {
    let world = world().await;
    world.record().await;
    let id = world.begin(From::Fed, "/ear", Some(1.0)).await.unwrap();
    let events = |range: std::ops::Range<i64>| {
        let timed = range.map(|number| {
            let mut draft = draft("a.x", number);
            draft.time = Some(Timestamp::from_secs(number * 60));
            draft
        });
        timed.collect::<Vec<Draft>>()
    };
    assert_eq!(world.feed(id, events(0..300), false).await, Ok(FEED_MAX));
    assert_eq!(
        world.feed(id + 1, events(0..1), false).await,
        Err(Refused::NotFed(id + 1))
    );
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(world.heard(), [0, 1, 2]);

    let began = Instant::now();
    let (state, json) = world.ended().await;
    let minutes = Duration::from_secs(60 * (FEED_MAX as u64 - 1)) - Duration::from_secs(150);
    assert_eq!(state, State::Failed);
    assert!(json.to_string().contains("nothing was fed"), "{json}");
    assert!(began.elapsed() >= minutes + FED_WITHIN);
    assert_eq!(world.heard().len(), FEED_MAX);
    assert_eq!(
        world.feed(id, events(0..1), true).await,
        Err(Refused::NotFed(id))
    );
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_told_as_it_was_kept() {
    let world = world().await;
    let blob = Blob {
        media_type: "image/raw".into(),
        bytes: vec![7; 1_000].into(),
    };
    let bus = world.kernel.bus();
    let draft = draft("a.frame", 1).blob(blob.clone());
    bus.publish(&"test".into(), draft).await.unwrap();

    world.begin(world.all().await, "/ear", None).await.unwrap();
    world.ended().await;

    let heard: Arc<Heard> = world.kernel.shared();
    let heard = heard.0.lock().unwrap();
    assert_eq!(
        heard.first().and_then(|(_, _, blob)| blob.clone()),
        Some(blob)
    );
}
