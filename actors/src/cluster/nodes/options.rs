//! What a node is told when it starts: [`NodeOptions`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use unity_supervisors::Kernel;

use crate::cluster::codec::FaultV1;
use crate::cluster::greeting::Cookie;
use crate::cluster::link::Link;
use crate::cluster::session::Tail;

/// How long a node may say nothing unless it is told otherwise.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// What a node is told when it starts.
pub struct NodeOptions {
    /// Larger with each start of the kernel of this name.
    pub epoch: u64,
    /// The version of the kernel, for others.
    pub version: String,
    /// What it is marked with.
    pub labels: BTreeMap<String, String>,
    /// How others are reached.
    pub link: Arc<dyn Link>,
    /// Where it listens, if it does.
    pub listen: Option<String>,
    /// What all nodes of the cluster know.
    pub cookie: Cookie,
    /// Where others may be found: it attaches to them and keeps trying.
    pub seeds: Vec<String>,
    /// After so long without a word a node is down.
    pub heartbeat: Duration,
    /// Does the commands that other nodes ask for.
    pub commands: Option<Arc<dyn Commands>>,
    /// The time since the machine was started, its sleep included: what leases are counted on.
    pub boot_clock: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// What nonces are made of; the system's chance, but in simulation.
    pub nonces: fn(&Kernel) -> [u8; 32],
}

impl NodeOptions {
    /// A node that listens nowhere and knows nobody.
    #[must_use]
    pub fn new(link: Arc<dyn Link>, epoch: u64) -> Self {
        Self {
            epoch,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: BTreeMap::new(),
            link,
            listen: None,
            cookie: Cookie::none(),
            seeds: Vec::new(),
            heartbeat: HEARTBEAT,
            commands: None,
            boot_clock: Arc::new(|| {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                Duration::new(
                    u64::try_from(time.tv_sec).unwrap_or_default(),
                    u32::try_from(time.tv_nsec).unwrap_or_default(),
                )
            }),
            nonces: |_| {
                let mut nonce = [0; 32];
                // A system without chance has no nodes: the greeting fails then.
                if ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut nonce)
                    .is_err()
                {
                    tracing::error!("the system has no random numbers");
                }
                nonce
            },
        }
    }
}

impl fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeOptions")
            .field("epoch", &self.epoch)
            .field("listen", &self.listen)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// Does the commands of a kernel in the name of another node.
pub trait Commands: Send + Sync {
    /// Does one that answers with a document in JSON.
    fn run(
        &self,
        kernel: &Kernel,
        from: &str,
        name: &str,
        args: Value,
    ) -> BoxFuture<'static, Result<Value, FaultV1>>;
    /// Begins one that answers with many.
    fn tail(
        &self,
        kernel: &Kernel,
        from: &str,
        name: &str,
        args: Value,
    ) -> BoxFuture<'static, Result<Tail, FaultV1>>;
}
