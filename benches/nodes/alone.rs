//! The rows that no peer has: a mesh of 32 kernels, how soon a child lives elsewhere, events to eight nodes.
//!
//! Each is a process of its own, `--alone GROUP`, which prints its row as the others print theirs.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};
use unity_actors::cluster::greeting::Cookie;
use unity_actors::cluster::guests::{self, GuestStates, Guests};
use unity_actors::cluster::link::Link;
use unity_actors::cluster::link::memory::MemoryNet;
use unity_actors::cluster::link::tcp::TcpLink;
use unity_actors::cluster::{Cluster, NodeOptions, placed, relay, service};
use unity_kernel::settings::system::SystemSettings;
use unity_kernel::{BootOptions, Mode, RunningKernel, boot};
use unity_supervisors::bus::{
    Catalog, Event, EventType, Pattern, Persist, Place as InLane, Refused, Subscriber,
};
use unity_supervisors::spec::{
    ChildKind, ChildSpec, Failover, Place, PlaceAt, SupervisorSpec, TreeSpec,
};
use unity_supervisors::stream::{Durability, Retention};
use unity_supervisors::{ActorPath, ChildId, Kernel, KernelConfig, Kinds, Runtimes};

/// Kernels of the mesh.
const MESH: usize = 32;
/// How long a placed child is another node's without a word.
const LEASE: Duration = Duration::from_secs(3);
/// Nodes that events are relayed to.
const EARS: usize = 8;
/// Events on their way that the slowest node may be behind; more lie in the stream.
const AHEAD: u64 = 20_000;
/// For all that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(1);

/// Measures what `--rows GROUP --seconds S` says.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let [_, group, _, seconds] = args else {
        super::complain("usage: --alone --rows GROUP --seconds S");
        return ExitCode::FAILURE;
    };
    let seconds = seconds.parse().unwrap_or(1.0);
    let time = Duration::from_secs_f64(seconds);
    let measured = match group.as_str() {
        "mesh" => on_workers(mesh()),
        "failover" => on_workers(failover()),
        "events" => events(time),
        other => Err(anyhow::anyhow!("there is no group {other}")),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn on_workers(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

#[expect(clippy::print_stdout, reason = "the lines of a process that measures")]
fn figure(row: &str, unit: &str, value: f64, extras: &[(&str, f64)]) {
    let said = [
        ("row", json!(row)),
        ("unit", json!(unit)),
        ("value", json!(value)),
    ];
    let extras = extras.iter().map(|(name, value)| (*name, json!(value)));
    let line: BTreeMap<&str, Value> = said.into_iter().chain(extras).collect();
    println!("{}", json!(line));
}

/// Kernels in one process, each of which is told of those before it: until each is attached to all others.
async fn mesh() -> Result<()> {
    let net = MemoryNet::new(1);
    let started = Instant::now();
    let mut nodes = Vec::new();
    for number in 0..MESH {
        let name = format!("n{number}");
        let seeds = (0..number).map(|number| format!("n{number}")).collect();
        let link = Arc::new(net.link(&name));
        nodes.push(
            Node::begin(
                &name,
                link,
                &name,
                Begin {
                    seeds,
                    ..Begin::default()
                },
            )
            .await?,
        );
    }
    let all_up = || {
        let up = |node: &Node| {
            let nodes = node.cluster.nodes();
            nodes
                .iter()
                .filter(|its| node.cluster.is_up(&its.name))
                .count()
                == MESH - 1
        };
        nodes.iter().all(up)
    };
    until("the mesh is whole", all_up).await?;
    figure("mesh_32", "s", started.elapsed().as_secs_f64(), &[]);
    Ok(())
}

/// From the cut of a node until its child, which may live elsewhere, answers from there; what that took beyond the lease.
async fn failover() -> Result<()> {
    let net = MemoryNet::new(1);
    let link = |name: &str| -> Arc<dyn Link> { Arc::new(net.link(name)) };
    let gpu: BTreeMap<String, String> = [("gpu".to_owned(), "true".to_owned())].into();
    let mut child = ChildSpec::worker(ChildId::new("far")?, "probe");
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.place = Some(Arc::new(Place {
            at: PlaceAt::Labels(gpu.clone()),
            lease: LEASE,
            failover: Failover::Elsewhere,
        }));
    }
    let begin = Begin {
        children: vec![child],
        ..Begin::default()
    };
    let home = Node::begin("home", link("home"), "home", begin).await?;
    let mut hosts = Vec::new();
    for name in ["a", "b"] {
        let seeds = vec!["home".to_owned()];
        let begin = Begin {
            labels: gpu.clone(),
            seeds,
            ..Begin::default()
        };
        hosts.push(Node::begin(name, link(name), name, begin).await?);
    }
    let path: ActorPath = "/far".parse()?;
    let lives_on = || {
        let placement = home.kernel.registry().get(&path)?.placement()?;
        placement.node.filter(|_| placement.why.is_none())
    };
    until("the child lives", || lives_on().is_some()).await?;
    let first = lives_on().context("the child lives")?;
    answers(&home.kernel, &path).await?;

    let cut = Instant::now();
    net.cut("home", &first);
    let is_elsewhere = || lives_on().is_some_and(|node| node != first);
    until("the child lives elsewhere", is_elsewhere).await?;
    answers(&home.kernel, &path).await?;
    let took = cut.elapsed();
    let beyond = took.saturating_sub(LEASE).as_secs_f64();
    let extras = [
        ("took_s", took.as_secs_f64()),
        ("lease_s", LEASE.as_secs_f64()),
    ];
    figure("failover_beyond_lease", "s", beyond, &extras);
    Ok(())
}

async fn answers(kernel: &Kernel, path: &ActorPath) -> Result<()> {
    let asked = kernel.ask(path, json!({ "count": null }), PATIENCE).await;
    asked.map(drop).context("the child answers")
}

/// One kernel publishes what it keeps in a stream, and eight others, over TCP, publish each event again, with `relay`.
fn events(time: Duration) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("uk-bench-nodes-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (speaker, address) = speaker(&folder)?;
    let done = speaker.block_on(async {
        let mut ears = Vec::new();
        for number in 0..EARS {
            ears.push(Ear::begin(number, &address).await?);
        }
        speak(speaker.kernel(), &ears, time).await
    });
    speaker.shutdown();
    fs::remove_dir_all(&folder)?;
    done
}

/// Publishes for so long, no more ahead of the slowest than may be, and waits until all have all.
async fn speak(kernel: &Kernel, ears: &[Ear], time: Duration) -> Result<()> {
    let source: Arc<str> = "bench".into();
    let mut publisher = kernel.bus().publisher(&source, &"kept.events".parse()?);
    // Each has to hear before the clock runs.
    publisher.publish(json!({ "number": 0 })).await?;
    let slowest = || ears.iter().map(|ear| ear.heard()).min().unwrap_or(0);
    until("each hears", || slowest() >= 1).await?;

    let started = Instant::now();
    let mut sent = 1;
    while started.elapsed() < time {
        for _ in 0..100 {
            publisher.publish(json!({ "number": sent })).await?;
            sent += 1;
        }
        while sent - slowest() > AHEAD {
            sleep(LOOK).await;
        }
    }
    let told = started.elapsed();
    until("each has all", || slowest() >= sent).await?;
    let took = started.elapsed().as_secs_f64();
    let all: u64 = ears.iter().map(Ear::heard).sum();
    ensure!(
        all == sent * EARS as u64,
        "{all} were heard of {sent} that were said to {EARS}"
    );
    let per_s = (all - EARS as u64) as f64 / took;
    let extras = [("drain_ms", (took - told.as_secs_f64()) * 1e3)];
    figure("events_to_8", "per_s", per_s, &extras);
    Ok(())
}

/// A whole kernel, which keeps `kept.*`, and where its node is reached.
fn speaker(folder: &std::path::Path) -> Result<(RunningKernel, String)> {
    let cookie = folder.join("cookie");
    fs::write(&cookie, COOKIE)?;
    fs::set_permissions(&cookie, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let mut system = SystemSettings::default();
    system.nodes.listen = Some("127.0.0.1:0".to_owned());
    system.nodes.cookie_file = Some(cookie.display().to_string());
    let mut kept = EventType::new("kept.*".parse()?);
    kept.persist = Some(Persist {
        stream: "kept".parse()?,
        mode: Durability::Async,
        retention: Retention::default(),
    });
    let speaker = boot(BootOptions {
        system,
        events: Some(Catalog::new(false, [kept])),
        socket: Some(folder.join("socket")),
        data_dir: Some(folder.join("data")),
        seed: Some(1),
        ..BootOptions::new(tree("speaker", Vec::new()))
    })?;
    ensure!(speaker.booted() == Mode::Normal, "it is up");
    let cluster = speaker.kernel().shared::<Cluster>();
    let address = speaker.block_on(async {
        until("it listens", || cluster.address().is_some()).await?;
        cluster.address().context("it listens")
    })?;
    Ok((speaker, address))
}

/// A node that relays, and counts what it publishes again.
struct Ear {
    _node: Node,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard(AtomicU64);

impl Subscriber for Heard {
    fn name(&self) -> String {
        "the bench".to_owned()
    }

    fn deliver(&self, _: &Arc<Event>, _: Option<&InLane>) -> Result<(), Refused> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Ear {
    async fn begin(number: usize, address: &str) -> Result<Self> {
        let mut relay = ChildSpec::worker(ChildId::new("relay")?, "relay");
        if let ChildKind::Worker(worker) = &mut relay.what {
            worker.settings = json!({ "node": "speaker", "topics": "kept.*", "from": "start" });
        }
        let begin = Begin {
            children: vec![relay],
            seeds: vec![address.to_owned()],
            cookie: Cookie::new(COOKIE)?,
            ..Begin::default()
        };
        let link = Arc::new(TcpLink::new(None));
        let node = Node::begin(&format!("ear{number}"), link, "127.0.0.1:0", begin).await?;
        let heard = Arc::new(Heard::default());
        let pattern: Pattern = "kept.*".parse()?;
        let subscriber: Arc<dyn Subscriber> = Arc::clone(&heard) as Arc<dyn Subscriber>;
        node.kernel.bus().subscribe(&pattern, subscriber);
        Ok(Self { _node: node, heard })
    }

    fn heard(&self) -> u64 {
        self.heard.0.load(Ordering::Relaxed)
    }
}

const COOKIE: &str = "a cookie of the bench that is long enough";

/// A kernel that is a node, without all that a whole one has.
struct Node {
    kernel: Kernel,
    cluster: Arc<Cluster>,
}

/// What a node is told.
struct Begin {
    labels: BTreeMap<String, String>,
    seeds: Vec<String>,
    children: Vec<ChildSpec>,
    cookie: Cookie,
}

impl Default for Begin {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            seeds: Vec::new(),
            children: Vec::new(),
            cookie: Cookie::none(),
        }
    }
}

impl Node {
    async fn begin(name: &str, link: Arc<dyn Link>, at: &str, begin: Begin) -> Result<Self> {
        let options = NodeOptions {
            listen: Some(at.to_owned()),
            cookie: begin.cookie,
            labels: begin.labels,
            seeds: begin.seeds,
            ..NodeOptions::new(link, 1)
        };
        let cluster = Arc::new(Cluster::new(options));
        let guests = Arc::new(Guests::default());
        let kinds = relay::with_kind(placed::with_kind(unity_actors::kinds()));
        let config = KernelConfig::new(Runtimes::current(), kinds, 1);
        let config = KernelConfig {
            service_kinds: service::with_kind(Kinds::new()),
            services: vec![guests::child(), service::child()],
            states: Arc::new(GuestStates::new(
                Arc::clone(&config.states),
                Arc::clone(&guests),
            )),
            ..config
        };
        let config = config.with_shared(Arc::clone(&cluster)).with_shared(guests);
        let kernel = Kernel::start(config, tree(name, begin.children)).await?;
        kernel.booted().await;
        Ok(Self { kernel, cluster })
    }
}

fn tree(name: &str, children: Vec<ChildSpec>) -> TreeSpec {
    TreeSpec {
        name: name.to_owned(),
        test: true,
        root: SupervisorSpec {
            children: children.into_iter().map(Arc::new).collect(),
            ..SupervisorSpec::default()
        },
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let looks = timeout(PATIENCE, async {
        while !is_so() {
            sleep(LOOK).await;
        }
    });
    looks.await.with_context(|| format!("never: {what}"))
}
