//! Whatever is cut, killed and started anew, from a seed: no child lives twice, no life is heard of after a later one, and all
//! come back once the network is whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use unity_actors::cluster::guests::Guests;
use unity_supervisors::bus::{Draft, Event, Pattern, Place as At, Refused, Subscriber, Topic};
use unity_supervisors::spec::{Backoff, ChildKind, ChildSpec, Failover, Place, PlaceAt};
use unity_supervisors::{Actor, Context, Exit, Kinds, Message, Next, SlotState, Start};

use super::net::{Begin, Ledger, Node, World, id, path};

const LEASE: Duration = Duration::from_secs(3);
pub(crate) const HOSTS: [&str; 3] = ["one", "two", "three"];
pub(crate) const CHILDREN: [&str; 4] = ["/pinned", "/roams", "/waits", "/exits"];
/// How long it goes on.
const STORM: Duration = Duration::from_secs(60);
/// How long all may take to come back: what a lease, a heartbeat and the pauses between tries come to.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// A child that enters its lives into the ledger.
struct Traced {
    name: String,
    life: u64,
    ledger: Arc<Ledger>,
    topic: Topic,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Named {
    name: String,
}

#[derive(Debug, Message)]
#[message(json)]
enum TracedMessage {
    Beat,
    Crash,
}

impl Actor for Traced {
    type Message = TracedMessage;
    type Settings = Named;

    async fn start(settings: &Named, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let ledger = ctx.kernel().shared::<Ledger>();
        let life = {
            let mut lives = ledger.0.lock().unwrap();
            lives.last += 1;
            let life = lives.last;
            let running = lives.running.entry(settings.name.clone()).or_default();
            running.push(life);
            if running.len() > 1 {
                let text = format!("{} lives {running:?} at {}", settings.name, ctx.path());
                lives.violations.push(text);
            }
            life
        };
        ctx.tell_every(Duration::from_millis(300), || TracedMessage::Beat);
        Ok(Start::Running(Self {
            name: settings.name.clone(),
            life,
            ledger,
            topic: Topic::new("life.beat").unwrap(),
        }))
    }

    async fn handle(
        &mut self,
        message: &mut TracedMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            TracedMessage::Beat => {
                let data = json!({ "name": self.name, "life": self.life });
                drop(ctx.publish(Draft::new(&self.topic, data)).await);
                Ok(Next::Continue)
            }
            TracedMessage::Crash => Err(Exit::error("it was told to")),
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let mut lives = self.ledger.0.lock().unwrap();
        if let Some(running) = lives.running.get_mut(&self.name) {
            running.retain(|life| *life != self.life);
        }
    }
}

/// Hears at home what the children publish.
pub(crate) struct Hears(Arc<Ledger>, std::sync::Mutex<BTreeMap<String, u64>>);

impl Hears {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        Self(Arc::clone(ledger), std::sync::Mutex::default())
    }
}

impl Subscriber for Hears {
    fn deliver(&self, event: &Arc<Event>, _: Option<&At>) -> Result<(), Refused> {
        let name = event.data["name"].as_str().unwrap().to_owned();
        let life = event.data["life"].as_u64().unwrap();
        let mut last = self.1.lock().unwrap();
        let before = last.insert(name.clone(), life).unwrap_or_default();
        if before > life {
            let text = format!("{name}: life {life} was heard of after life {before}");
            self.0.0.lock().unwrap().violations.push(text);
        }
        Ok(())
    }

    fn name(&self) -> String {
        "the test".to_owned()
    }
}

fn child(name: &str, at: PlaceAt, failover: Failover) -> ChildSpec {
    let mut child = ChildSpec::worker(id(name), "traced");
    child.backoff = Some(Backoff {
        max: Duration::from_secs(1),
        ..Backoff::default()
    });
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.settings = json!({ "name": name });
    worker.place = Some(Arc::new(Place {
        at,
        lease: LEASE,
        failover,
    }));
    child
}

fn children() -> Vec<ChildSpec> {
    let labels = || PlaceAt::Labels([("gpu".to_owned(), "true".to_owned())].into());
    vec![
        child("pinned", PlaceAt::Node(id("one")), Failover::Wait),
        child("roams", labels(), Failover::Elsewhere),
        child("waits", labels(), Failover::Wait),
        child("exits", labels(), Failover::None),
    ]
}

pub(crate) fn begin(epoch: u64, ledger: &Arc<Ledger>) -> Begin {
    Begin {
        epoch,
        labels: [("gpu".to_owned(), "true".to_owned())].into(),
        seeds: vec!["home".to_owned()],
        kinds: Kinds::new().with::<Traced>("traced", "enters its lives into the ledger"),
        ledger: Arc::clone(ledger),
        ..Begin::default()
    }
}

pub(crate) async fn begin_home(
    world: &World,
    epoch: u64,
    ledger: &Arc<Ledger>,
    hears: &Arc<Hears>,
) -> Node {
    let home = Begin {
        children: children(),
        labels: BTreeMap::new(),
        seeds: Vec::new(),
        ..begin(epoch, ledger)
    };
    let home = world.node("home", home).await;
    let hears = Arc::clone(hears) as Arc<dyn Subscriber>;
    home.kernel
        .bus()
        .subscribe(&Pattern::new("life.*").unwrap(), hears);
    home
}

/// One run.
struct Run {
    world: World,
    rng: fastrand::Rng,
    home: Node,
    hosts: Vec<Node>,
    ledger: Arc<Ledger>,
    hears: Arc<Hears>,
    epoch: u64,
    log: Vec<String>,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let (world, ledger) = (World::new(seed), Arc::new(Ledger::default()));
        let hears = Arc::new(Hears::new(&ledger));
        let home = begin_home(&world, 1, &ledger, &hears).await;
        let mut hosts = Vec::new();
        for name in HOSTS {
            hosts.push(world.node(name, begin(1, &ledger)).await);
        }
        Self {
            world,
            rng: fastrand::Rng::with_seed(seed),
            home,
            hosts,
            ledger,
            hears,
            epoch: 1,
            log: Vec::new(),
        }
    }

    async fn act(&mut self) {
        let which = self.rng.usize(0..HOSTS.len());
        let host = HOSTS[which];
        let child = path(CHILDREN[self.rng.usize(0..4)]);
        let net = &self.world.net;
        let what = self.rng.u8(0..12);
        self.log.push(format!(
            "{:?} {what} {host} {child}",
            self.world.began.elapsed()
        ));
        match what {
            0..=2 => net.cut("home", host),
            3 => net.cut_one_way("home", host),
            4 => net.cut_one_way(host, "home"),
            5 => net.drop_all("home", host),
            6 => {
                let latency = Duration::from_millis(self.rng.u64(0..400));
                net.delay("home", host, latency, latency / 2);
                net.delay(host, "home", latency, latency / 2);
            }
            7 => drop(self.home.kernel.kill(&child, None).await),
            8 => drop(self.home.kernel.tell(&child, json!("crash")).await),
            9 => {
                let node = if self.rng.bool() {
                    &self.home
                } else {
                    &self.hosts[which]
                };
                drop(node.kernel.kill(&path("/system/nodes"), None).await);
            }
            10 => self.restart(which).await,
            _ => self.restart_home().await,
        }
        if self.rng.u8(0..3) == 0 {
            let host = HOSTS[self.rng.usize(0..HOSTS.len())];
            self.world.net.heal("home", host);
        }
    }

    /// The power of one machine goes, and comes back.
    async fn restart(&mut self, which: usize) {
        self.epoch += 1;
        let former = &self.hosts[which];
        former.kernel.kill_all();
        former.kernel.ended().await;
        self.world.net.drop_all("home", HOSTS[which]);
        let node = self
            .world
            .node(HOSTS[which], begin(self.epoch, &self.ledger))
            .await;
        self.hosts[which] = node;
    }

    async fn restart_home(&mut self) {
        self.epoch += 1;
        self.home.kernel.kill_all();
        self.home.kernel.ended().await;
        for host in HOSTS {
            self.world.net.drop_all("home", host);
        }
        self.home = begin_home(&self.world, self.epoch, &self.ledger, &self.hears).await;
    }

    fn is_whole(&self) -> bool {
        let registry = self.home.kernel.registry();
        CHILDREN.iter().all(|child| {
            let Some(slot) = registry.get(&path(child)) else {
                return false;
            };
            let placed = slot.placement().unwrap_or_default();
            slot.state() == SlotState::Running && placed.node.is_some() && placed.why.is_none()
        })
    }

    async fn until_whole(&mut self) {
        for host in HOSTS {
            self.world.net.heal("home", host);
            self.world
                .net
                .delay("home", host, Duration::ZERO, Duration::ZERO);
            self.world
                .net
                .delay(host, "home", Duration::ZERO, Duration::ZERO);
        }
        let until = Instant::now() + BACK_WITHIN;
        // Whole for a while: not on its way down.
        let mut whole_since = None;
        loop {
            match (self.is_whole(), whole_since) {
                (true, None) => whole_since = Some(Instant::now()),
                (true, Some(since)) if since.elapsed() > Duration::from_secs(5) => return,
                (false, _) => whole_since = None,
                _ => {}
            }
            assert!(Instant::now() < until, "{}", self.state());
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn state(&self) -> String {
        let placements: Vec<Value> = CHILDREN
            .iter()
            .map(|child| {
                let slot = self.home.kernel.registry().get(&path(child));
                slot.map_or(Value::Null, |slot| {
                    json!([slot.state(), slot.placement(), slot.last_exit()])
                })
            })
            .collect();
        format!(
            "{}\n{placements:#?}\nmode {:?}\n{:#?}",
            self.log.join("\n"),
            self.home.kernel.mode(),
            self.home.cluster.nodes()
        )
    }
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut run = Run::new(seed).await;
        let until = Instant::now() + STORM;
        while Instant::now() < until {
            let pause = run.rng.u64(50..4_000);
            sleep(Duration::from_millis(pause)).await;
            run.act().await;
        }
        run.until_whole().await;
        let lives = run.ledger.0.lock().unwrap();
        assert!(
            lives.violations.is_empty(),
            "seed {seed}: {:#?}\n{}",
            lives.violations,
            run.state()
        );
        // What was placed and is over is forgotten on both sides.
        let guests: usize = run
            .hosts
            .iter()
            .map(|host| host.kernel.shared::<Guests>().count())
            .sum();
        assert_eq!(guests, 4, "seed {seed}: {}", run.state());
    });
}

/// How many seeds: `UK_NODE_SEEDS`, or a hundred.
#[test]
fn no_child_lives_twice_and_all_come_back() {
    let seeds = std::env::var("UK_NODE_SEEDS").ok();
    let seeds = seeds.map_or(100, |seeds| {
        seeds.parse().expect("UK_NODE_SEEDS is a number")
    });
    let first = std::env::var("UK_NODE_SEED").ok();
    let first = first.map_or(0, |seed| seed.parse().expect("UK_NODE_SEED is a number"));
    for seed in first..first + seeds {
        eprintln!("seed {seed}");
        run(seed);
    }
}
