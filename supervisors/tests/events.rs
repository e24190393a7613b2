//! The event bus (DESIGN, section 8) through the public surface.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use unity_supervisors::bus::{
    Blob, Bus, Catalog, EVENT_LEN_MAX, EventType, Pattern, PublishError, SubscribeError, Topic,
    WaitError,
};
use unity_supervisors::spec::{
    ChildKind, ChildSpec, MailboxSpec, Overflow, SupervisorSpec, TreeSpec,
};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Delivery, Draft, Exit, Kernel, KernelConfig, Kinds,
    Message, Next, Priority, Reply, Runtimes, SlotState, Start,
};

const SOON: Duration = Duration::from_secs(5);

/// What was heard, by whom.
#[derive(Default)]
struct Heard {
    log: Mutex<Vec<(String, String, Value)>>,
    count: watch::Sender<usize>,
}

impl Heard {
    fn note(&self, who: &ActorPath, event: &Delivery) {
        let mut log = self.log.lock();
        log.push((who.to_string(), event.topic.to_string(), event.data.clone()));
        self.count.send_replace(log.len());
    }

    /// Waits until so many were heard.
    async fn heard(&self, count: usize) -> Vec<(String, String, Value)> {
        let mut counted = self.count.subscribe();
        tokio::time::timeout(SOON, counted.wait_for(|now| *now >= count))
            .await
            .unwrap()
            .unwrap();
        self.log.lock().clone()
    }

    fn data(&self, who: &str) -> Vec<Value> {
        let log = self.log.lock();
        log.iter()
            .filter(|(its, _, _)| its == who)
            .map(|(_, _, data)| data.clone())
            .collect()
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EarSettings {
    /// What it hears.
    pattern: String,
}

#[derive(Debug, Message)]
#[message(json)]
enum EarMessage {
    Event(Delivery),
    Say {
        topic: String,
        data: Value,
    },
    Ask {
        topic: String,
        answer: Reply<Value>,
    },
    Hang(Duration),
    Crash,
    Count(Reply<usize>),
    SayWhenRoom {
        topic: String,
        count: u64,
        done: Reply<u64>,
    },
}

struct Ear(Arc<Heard>);

impl Actor for Ear {
    type Message = EarMessage;
    type Settings = EarSettings;

    async fn start(settings: &EarSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let make: fn(Delivery) -> EarMessage = match settings.pattern.as_str() {
            "trap.*" => |_| panic!("not made"),
            _ => EarMessage::Event,
        };
        ctx.subscribe(&settings.pattern, make)
            .map_err(|error| Exit::error(error.to_string()))?;
        Ok(Start::Running(Self(ctx.kernel().shared())))
    }

    async fn handle(
        &mut self,
        message: &mut EarMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            EarMessage::Event(event) => {
                self.0.note(ctx.path(), event);
                if event.data == json!("answer me") {
                    ctx.reply(event, json!("here")).await?;
                }
                if event.data == json!("crash") {
                    return Err(Exit::error("as asked"));
                }
            }
            EarMessage::Say { topic, data } => {
                ctx.publish(Draft::new(&topic.parse()?, data.clone()))
                    .await?;
            }
            EarMessage::Ask { topic, answer } => {
                let draft = Draft::new(&topic.parse()?, json!("answer me"));
                match ctx.request(draft, Duration::from_secs(1)).await {
                    Ok(event) => answer.send(event.data.clone()),
                    Err(error) => answer.send(json!(error.to_string())),
                }
            }
            EarMessage::Hang(time) => tokio::time::sleep(*time).await,
            EarMessage::Crash => return Err(Exit::error("as asked")),
            EarMessage::Count(reply) => reply.send(self.0.log.lock().len()),
            EarMessage::SayWhenRoom { topic, count, done } => {
                for number in 0..*count {
                    let draft = Draft::new(&topic.parse()?, json!(number));
                    ctx.publish_when_room(draft).await?;
                }
                done.send(*count);
            }
        }
        Ok(Next::Continue)
    }
}

fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

fn ear(id: &str, pattern: &str) -> ChildSpec {
    let mut child = ChildSpec::worker(ChildId::new(id).unwrap(), "ear");
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.settings = json!({ "pattern": pattern });
    child
}

fn with_mailbox(mut child: ChildSpec, spec: MailboxSpec) -> ChildSpec {
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.mailbox = Arc::new(spec);
    child
}

struct World {
    kernel: Kernel,
    heard: Arc<Heard>,
    bus: Arc<Bus>,
}

async fn world(children: Vec<ChildSpec>, catalog: Catalog) -> World {
    let kinds = Kinds::new().with::<Ear>("ear", "hears");
    let config = KernelConfig {
        catalog,
        ..KernelConfig::new(Runtimes::current(), kinds, 7)
    };
    let root = SupervisorSpec {
        children: children.into_iter().map(Arc::new).collect(),
        intensity: 100,
        ..SupervisorSpec::default()
    };
    let kernel = Kernel::start(
        config,
        TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        },
    )
    .await
    .unwrap();
    kernel.booted().await;
    World {
        heard: kernel.shared(),
        bus: Arc::clone(kernel.bus()),
        kernel,
    }
}

impl World {
    async fn publish(&self, topic: &str, data: Value) {
        self.try_publish(topic, data).await.unwrap();
    }

    async fn try_publish(&self, topic: &str, data: Value) -> Result<(), PublishError> {
        let draft = Draft::new(&topic.parse().unwrap(), data);
        self.bus.publish(&"test".into(), draft).await.map(drop)
    }

    /// Waits until it runs its life of this number.
    async fn runs(&self, at: &str, incarnation: u64) {
        let slot = self.kernel.registry().get(&path(at)).unwrap();
        let runs = || slot.state() == SlotState::Running && slot.incarnation() == incarnation;
        while !runs() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn tell(&self, at: &str, message: EarMessage) {
        self.kernel
            .address::<EarMessage>(&path(at))
            .unwrap()
            .tell(message)
            .await
            .unwrap();
    }

    async fn ask<T>(&self, at: &str, make: impl FnOnce(Reply<T>) -> EarMessage) -> T {
        let address = self.kernel.address::<EarMessage>(&path(at)).unwrap();
        address.ask(Duration::from_secs(60), make).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn each_subscriber_whose_pattern_fits_hears_it_in_order() {
    let ears = vec![
        ear("all", "*"),
        ear("sensors", "sensor.*"),
        ear("one", "sensor.a"),
    ];
    let world = world(ears, Catalog::default()).await;

    for number in 0..100 {
        world.publish("sensor.a", json!(number)).await;
        world.publish("sensor.b.c", json!(number)).await;
        world.publish("other", json!(number)).await;
    }
    world.heard.heard(100 * 6).await;

    let count = |who| world.heard.data(who).len();
    assert_eq!(
        (count("/all"), count("/sensors"), count("/one")),
        (300, 200, 100)
    );
    let numbers: Vec<Value> = (0..100).map(Value::from).collect();
    assert_eq!(world.heard.data("/one"), numbers);
    let stats = world.bus.stats();
    let of = |topic: &str| {
        stats
            .iter()
            .find(|its| its.topic.as_ref().is_some_and(|its| its.as_str() == topic))
            .unwrap()
    };
    assert_eq!(
        (
            of("sensor.a").published,
            of("sensor.a").delivered,
            of("other").delivered
        ),
        (100, 300, 100)
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_life_and_the_next_life_makes_its_own() {
    let world = world(vec![ear("a", "x")], Catalog::default()).await;
    assert_eq!(world.bus.subscriptions(), 1);

    for round in 0..3 {
        world.tell("/a", EarMessage::Crash).await;
        world.runs("/a", round + 2).await;
        world.publish("x", json!(1)).await;
    }
    world.heard.heard(3).await;
    assert_eq!(world.bus.subscriptions(), 1);
    world.kernel.stop(&path("/a")).await.unwrap();

    assert_eq!(world.bus.subscriptions(), 0);
    assert_eq!(
        world.bus.subscribers(&"x".parse().unwrap()),
        Vec::<String>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn urgent_events_overtake_and_a_full_lane_refuses() {
    let spec = MailboxSpec {
        capacity: 4,
        overflow: Overflow::Block,
        ..MailboxSpec::default()
    };
    let world = world(vec![with_mailbox(ear("a", "x"), spec)], Catalog::default()).await;
    world
        .tell("/a", EarMessage::Hang(Duration::from_secs(1)))
        .await;
    tokio::task::yield_now().await;

    for number in 0..6 {
        world.publish("x", json!(number)).await;
    }
    let urgent = Draft::new(&"x".parse().unwrap(), json!("urgent")).priority(Priority::Critical);
    world.bus.publish(&"test".into(), urgent).await.unwrap();
    world.heard.heard(5).await;

    let heard = world.heard.data("/a");
    assert_eq!(heard.first(), Some(&json!("urgent")));
    assert_eq!(
        heard.get(1..),
        Some(&[json!(0), json!(1), json!(2), json!(3)][..])
    );
    assert_eq!(world.bus.stats().first().map(|its| its.refused), Some(2));
}

#[tokio::test(start_paused = true)]
async fn publish_when_room_waits_for_the_slowest_and_loses_nothing() {
    let spec = MailboxSpec {
        capacity: 4,
        ..MailboxSpec::default()
    };
    let ears = vec![
        with_mailbox(ear("a", "x"), spec.clone()),
        with_mailbox(ear("b", "x"), spec),
        ear("c", "nothing"),
    ];
    let world = world(ears, Catalog::default()).await;
    world
        .tell("/a", EarMessage::Hang(Duration::from_secs(30)))
        .await;

    let said = world
        .ask("/c", |done| EarMessage::SayWhenRoom {
            topic: "x".into(),
            count: 1_000,
            done,
        })
        .await;

    assert_eq!(said, 1_000);
    world.heard.heard(2_000).await;
    let numbers: Vec<Value> = (0..1_000).map(Value::from).collect();
    assert_eq!(
        (world.heard.data("/a"), world.heard.data("/b")),
        (numbers.clone(), numbers)
    );
}

#[tokio::test(start_paused = true)]
async fn who_publishes_to_itself_when_there_is_room_does_not_wait_for_itself() {
    let spec = MailboxSpec {
        capacity: 4,
        ..MailboxSpec::default()
    };
    let world = world(vec![with_mailbox(ear("a", "x"), spec)], Catalog::default()).await;

    let said = world.ask("/a", |done| EarMessage::SayWhenRoom {
        topic: "x".into(),
        count: 10,
        done,
    });

    assert_eq!(said.await, 10);
    world.heard.heard(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_finds_its_answer_and_no_answer_is_said() {
    let world = world(
        vec![ear("server", "svc.*"), ear("a", "none"), ear("b", "none")],
        Catalog::default(),
    )
    .await;

    let asks = ["/a", "/b"].map(|who| {
        world.ask(who, |answer| EarMessage::Ask {
            topic: "svc.add".into(),
            answer,
        })
    });
    let [one, other] = asks;
    let (one, other) = tokio::join!(one, other);
    let nobody = world
        .ask("/a", |answer| EarMessage::Ask {
            topic: "nobody.there".into(),
            answer,
        })
        .await;

    assert_eq!((one, other), (json!("here"), json!("here")));
    assert_eq!(nobody, json!("no `reply.a` within 1s"));
    assert_eq!(world.bus.subscriptions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_strict_catalog_refuses_what_it_does_not_have() {
    let mut owned = EventType::new("arm.*".parse().unwrap());
    owned.publishers = vec![path("/arm")];
    owned.priority = Priority::High;
    let world = world(
        vec![ear("a", "*"), ear("arm", "none")],
        Catalog::new(true, [owned]),
    )
    .await;

    let unknown = world.try_publish("leg.moved", json!(1)).await;
    let others = world
        .bus
        .publish(
            &"/a".into(),
            Draft::new(&"arm.moved".parse().unwrap(), json!(1)),
        )
        .await;
    let own = world
        .bus
        .publish(
            &"/arm/driver".into(),
            Draft::new(&"arm.moved".parse().unwrap(), json!(1)),
        )
        .await;
    let answer = world.try_publish("reply.a", json!(1)).await;

    assert_eq!(
        unknown,
        Err(PublishError::Unknown("leg.moved".parse().unwrap()))
    );
    assert!(
        matches!(others, Err(PublishError::NotAllowed { .. })),
        "{others:?}"
    );
    assert!(own.is_ok() && answer.is_ok());
    let hot = Catalog::new(true, [EventType::new(Pattern::all())]);
    world.bus.set_catalog(Arc::new(hot));
    assert_eq!(world.try_publish("leg.moved", json!(1)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_makes_no_message_ends_and_not_the_publisher() {
    let world = world(
        vec![ear("trap", "trap.*"), ear("a", "*")],
        Catalog::default(),
    )
    .await;

    world.publish("trap.sprung", json!(1)).await;
    world.heard.heard(1).await;
    world.runs("/trap", 2).await;

    let history = world
        .kernel
        .registry()
        .get(&path("/trap"))
        .unwrap()
        .history();
    let reason = history.first().unwrap().reason.to_string();
    assert!(
        reason.contains("a panic while a message was made of an event"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_shared_and_bounded() {
    let world = world(vec![ear("a", "*")], Catalog::default()).await;
    let topic: Topic = "frame".parse().unwrap();
    let blob = |len| Blob {
        media_type: "image/raw".into(),
        bytes: vec![0; len].into(),
    };

    let fits = world
        .bus
        .publish(
            &"test".into(),
            Draft::new(&topic, json!(1)).blob(blob(1 << 20)),
        )
        .await;
    let large = Draft::new(&topic, json!(1)).blob(blob((64 << 20) + 1));
    let large = world.bus.publish(&"test".into(), large).await;

    assert!(fits.is_ok());
    assert_eq!(
        large,
        Err(PublishError::TooLarge {
            len: (64 << 20) + 1,
            max: 64 << 20,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_kept_is_bounded_by_its_length_in_json() {
    let world = world(vec![ear("a", "*")], Catalog::default()).await;
    let topic: Topic = "long".parse().unwrap();
    // Without the rest of the event, which is short.
    let most = EVENT_LEN_MAX - 1_000;
    for (what, data) in [
        ("a text", json!("x".repeat(most))),
        ("escapes", json!("\u{1}".repeat(most / 6))),
        ("numbers", json!(vec![0.125; most / 6])),
        (
            "keys",
            json!({ "k".repeat(most / 2): { "k".repeat(most / 2 - 20): 1 } }),
        ),
    ] {
        let twice = json!([data, data]);
        for (data, fits) in [(data, true), (twice, false)] {
            let len = data.to_string().len();
            let by_handle = world.bus.publisher(&"test".into(), &topic);
            let by_handle = { by_handle }.publish_when_room(data.clone()).await;
            let as_meta = Draft::new(&topic, json!(1)).meta("m", data.clone());
            let drafts = [Draft::new(&topic, data), as_meta];
            let mut all = vec![by_handle];
            for draft in drafts {
                all.push(world.bus.publish(&"test".into(), draft).await);
            }
            for published in all {
                match published {
                    Ok(_) => assert!(fits, "{what} of {len}"),
                    Err(PublishError::TooLarge { len: said, max }) => {
                        assert!(
                            !fits && said > len && max == EVENT_LEN_MAX,
                            "{what} of {len}"
                        );
                    }
                    other => panic!("{what} of {len}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_subscribed_to_says_why() {
    struct Wrong;
    impl Actor for Wrong {
        type Message = EarMessage;
        type Settings = EarSettings;

        async fn start(_: &EarSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
            let bad = ctx.subscribe("a..b", EarMessage::Event);
            assert!(matches!(bad, Err(SubscribeError::Pattern(_))));
            let kept =
                ctx.subscribe_durable("n", "a", unity_supervisors::Since::Now, EarMessage::Event);
            assert_eq!(kept, Err(SubscribeError::NoStreams));
            let waited = ctx.wait_for("a..b", |_| true, SOON).await;
            assert!(matches!(waited, Err(WaitError::Pattern(_))));
            Ok(Start::Running(Self))
        }

        async fn handle(
            &mut self,
            _: &mut EarMessage,
            _: &mut Context<Self>,
        ) -> Result<Next, Exit> {
            Ok(Next::Continue)
        }
    }
    let kinds = Kinds::new().with::<Wrong>("ear", "is wrong");
    let root = SupervisorSpec {
        children: vec![Arc::new(ear("a", "x"))],
        ..SupervisorSpec::default()
    };
    let config = KernelConfig::new(Runtimes::current(), kinds, 7);
    let kernel = Kernel::start(
        config,
        TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        },
    )
    .await
    .unwrap();

    assert_eq!(kernel.booted().await, unity_supervisors::Mode::Normal);
}

/// Numbers that one ear heard of one topic.
fn numbers(heard: &Heard, who: &str, topic: &str) -> Vec<u64> {
    let log = heard.log.lock();
    let its = log
        .iter()
        .filter(|(its, about, _)| its == who && about == topic);
    its.filter_map(|(_, _, data)| data.as_u64()).collect()
}

/// Real threads, so that batches are called in from everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_on_many_threads_reaches_all_in_order_and_no_place_is_lost() {
    const EVENTS: u64 = 20_000;
    const ALL: usize = 100_000;
    let ears = vec![
        ear("a", "x.*"),
        ear("b", "x.*"),
        ear("c", "x.one"),
        ear("says-one", "none"),
        ear("says-two", "none"),
    ];
    let world = world(ears, Catalog::default()).await;
    let say = |who: &'static str, topic: &str| {
        let topic = topic.to_owned();
        let count = EVENTS;
        world.ask(who, move |done| EarMessage::SayWhenRoom {
            topic,
            count,
            done,
        })
    };

    let (one, two) = tokio::join!(say("/says-one", "x.one"), say("/says-two", "x.two"));

    assert_eq!((one, two), (EVENTS, EVENTS));
    world.heard.heard(ALL).await;
    let wanted: Vec<u64> = (0..EVENTS).collect();
    for (who, topic) in [
        ("/a", "x.one"),
        ("/a", "x.two"),
        ("/b", "x.one"),
        ("/b", "x.two"),
        ("/c", "x.one"),
    ] {
        assert_eq!(numbers(&world.heard, who, topic), wanted, "{who} {topic}");
    }
    let counted: u64 = world.bus.stats().iter().map(|its| its.delivered).sum();
    assert_eq!(counted, 5 * EVENTS);

    // All places are free again: a lane takes as many as it says, and one is in hand.
    world
        .tell("/c", EarMessage::Hang(Duration::from_millis(500)))
        .await;
    let slot = world.kernel.registry().get(&path("/c")).unwrap();
    while slot.depth() > 0 {
        tokio::task::yield_now().await;
    }
    for number in 0..3_000 {
        world.publish("x.one", json!(number)).await;
    }
    let after = || numbers(&world.heard, "/c", "x.one").split_off(ALL / 5);
    while after().len() < 1_024 {
        tokio::task::yield_now().await;
    }
    let first: Vec<u64> = (0..1_024).collect();
    assert_eq!(after().get(..1_024), Some(&first[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lives_that_end_in_a_flood_neither_double_nor_reorder() {
    const EVENTS: u64 = 20_000;
    let ears = vec![ear("a", "x"), ear("b", "x"), ear("says", "none")];
    let world = world(ears, Catalog::default()).await;
    let flood = world.ask("/says", |done| EarMessage::SayWhenRoom {
        topic: "x".into(),
        count: EVENTS,
        done,
    });
    let crashes = async {
        for round in 0..50 {
            world.tell("/a", EarMessage::Crash).await;
            world.runs("/a", round + 2).await;
        }
    };

    let (said, ()) = tokio::join!(flood, crashes);

    assert_eq!(said, EVENTS);
    let last = Some(&(EVENTS - 1));
    while numbers(&world.heard, "/b", "x").last() != last {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        numbers(&world.heard, "/b", "x"),
        (0..EVENTS).collect::<Vec<u64>>()
    );
    let heard = numbers(&world.heard, "/a", "x");
    assert!(
        heard.is_sorted_by(|one, other| one < other),
        "in order, none twice"
    );
}
