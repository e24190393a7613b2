//! Several kernels in one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use unity_actors::cluster::greeting::Cookie;
use unity_actors::cluster::guests::{self, Guests};
use unity_actors::cluster::link::Link;
use unity_actors::cluster::link::memory::MemoryNet;
use unity_actors::cluster::{Cluster, NodeOptions, placed, service};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{ActorPath, ChildId, Kernel, KernelConfig, Kinds, Runtimes};

/// A network and the moment at which its machines were switched on.
pub(crate) struct World {
    pub(crate) net: MemoryNet,
    pub(crate) began: Instant,
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) kernel: Kernel,
    pub(crate) cluster: Arc<Cluster>,
}

/// How a node begins.
#[derive(Clone)]
pub(crate) struct Begin {
    pub(crate) epoch: u64,
    pub(crate) cookie: Cookie,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) seeds: Vec<String>,
    pub(crate) children: Vec<ChildSpec>,
    pub(crate) kinds: Kinds,
    pub(crate) services: Vec<ChildSpec>,
    pub(crate) ledger: Arc<Ledger>,
}

/// Which children live, all nodes together.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) Mutex<Lives>);

#[derive(Default)]
pub(crate) struct Lives {
    /// Each life has a number, later ones a larger one.
    pub(crate) last: u64,
    /// Those that run, by child.
    pub(crate) running: BTreeMap<String, Vec<u64>>,
    /// What must never be.
    pub(crate) violations: Vec<String>,
}

impl Default for Begin {
    fn default() -> Self {
        Self {
            epoch: 1,
            cookie: Cookie::none(),
            labels: BTreeMap::new(),
            seeds: Vec::new(),
            children: Vec::new(),
            kinds: unity_actors::kinds(),
            services: vec![guests::child(), service::child()],
            ledger: Arc::default(),
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            net: MemoryNet::new(seed),
            began: Instant::now(),
        }
    }

    pub(crate) async fn node(&self, name: &str, begin: Begin) -> Node {
        self.begin(name, name, Arc::new(self.net.link(name)), begin)
            .await
    }

    /// One that is at another place than its name says.
    pub(crate) async fn node_at(
        &self,
        name: &str,
        at: &str,
        link: Arc<dyn Link>,
        epoch: u64,
    ) -> Node {
        let begin = Begin {
            epoch,
            ..Begin::default()
        };
        self.begin(name, at, link, begin).await
    }

    async fn begin(&self, name: &str, at: &str, link: Arc<dyn Link>, begin: Begin) -> Node {
        let tree = TreeSpec {
            name: name.to_owned(),
            test: true,
            root: SupervisorSpec {
                children: begin.children.into_iter().map(Arc::new).collect(),
                intensity: 100,
                ..SupervisorSpec::default()
            },
        };
        let began = self.began;
        let options = NodeOptions {
            listen: Some(at.to_owned()),
            cookie: begin.cookie,
            labels: begin.labels,
            seeds: begin.seeds,
            boot_clock: Arc::new(move || began.elapsed()),
            nonces: |kernel| kernel.with_rng(|rng| std::array::from_fn(|_| rng.u8(..))),
            ..NodeOptions::new(link, begin.epoch)
        };
        let cluster = Arc::new(Cluster::new(options));
        let guests = Arc::new(Guests::default());
        let config = KernelConfig::new(
            Runtimes::current(),
            placed::with_kind(begin.kinds),
            begin.epoch,
        );
        let config = KernelConfig {
            service_kinds: service::with_kind(Kinds::new()),
            services: begin.services,
            clock: Clock::simulated(Timestamp::from_secs(1_800_000_000)),
            states: Arc::new(guests::GuestStates::new(
                Arc::clone(&config.states),
                Arc::clone(&guests),
            )),
            ..config
        };
        let config = config
            .with_shared(Arc::clone(&cluster))
            .with_shared(guests)
            .with_shared(begin.ledger);
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Node { kernel, cluster }
    }
}

impl Node {
    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let looked = tokio::time::timeout(Duration::from_secs(600), async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(
            looked.await.is_ok(),
            "never: {what}; {:#?}",
            self.cluster.nodes()
        );
    }

    pub(crate) async fn until_up(&self, name: &str) {
        self.until(&format!("{name} is up"), |node| node.cluster.is_up(name))
            .await;
    }

    pub(crate) async fn until_down(&self, name: &str) {
        self.until(&format!("{name} is down"), |node| !node.cluster.is_up(name))
            .await;
    }
}

pub(crate) fn id(text: &str) -> ChildId {
    ChildId::new(text).unwrap()
}

pub(crate) fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

pub(crate) fn probe(name: &str) -> ChildSpec {
    ChildSpec::worker(id(name), "probe")
}
