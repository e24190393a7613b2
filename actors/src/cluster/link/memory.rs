//! A network in memory, for simulation and for several kernels of one process: [`MemoryNet`].
//!
//! It can be cut, slowed and broken at any time, one way or both, also under connections that are open. A cut is one of the
//! cable: what is under way waits, who writes goes on until there is no room, nobody hears of an end, and all goes on once it
//! is healed. A one-way cut therefore stops who writes the other way too, if later: nobody can tell him what was read.
//!
//! The same seed and the same calls give the same moments. It has no TLS: nothing goes through a cable that others reach.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{poll_fn, ready};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use self::pipe::{Pipe, PipeRead, PipeWrite, Way};
use super::{Incoming, Link, Listener, Wire};

mod pipe;
#[cfg(test)]
mod tests;

/// How many connections wait to be taken in; those after them wait to be opened.
const BACKLOG_LEN_MAX: usize = 128;

/// A network. Its clones are the same one.
#[derive(Clone)]
pub struct MemoryNet(Arc<Shared>);

struct Shared {
    net: Mutex<Net>,
    /// Whether one that waits to be opened may have another look.
    changed: Notify,
}

struct Net {
    rng: fastrand::Rng,
    /// From one link to another, where it is not a free one.
    ways: BTreeMap<[Arc<str>; 2], Way>,
    addresses: BTreeMap<String, Address>,
    /// Both directions of what is open, in the order in which it was opened.
    pipes: Vec<Weak<Pipe>>,
}

struct Address {
    /// Who listens there, or did last: a cut that leads to nobody is one all the same.
    owner: Arc<str>,
    backlog: Option<Backlog>,
}

#[derive(Default)]
struct Backlog {
    wires: VecDeque<(Wire, [Arc<Pipe>; 2])>,
    listener: Option<Waker>,
}

impl fmt::Debug for MemoryNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = self.0.net.lock();
        f.debug_struct("MemoryNet")
            .field("addresses", &net.addresses.keys())
            .field("ways", &net.ways)
            .finish_non_exhaustive()
    }
}

impl MemoryNet {
    /// One without troubles, whose jitter comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let net = Net {
            rng: fastrand::Rng::with_seed(seed),
            ways: BTreeMap::new(),
            addresses: BTreeMap::new(),
            pipes: Vec::new(),
        };
        Self(Arc::new(Shared {
            net: Mutex::new(net),
            changed: Notify::new(),
        }))
    }

    /// The way of a kernel into it. Troubles name the kernel so.
    #[must_use]
    pub fn link(&self, node: &str) -> MemoryLink {
        MemoryLink {
            net: self.clone(),
            node: node.into(),
        }
    }

    /// Cuts both ways between two, until [`heal`](Self::heal).
    pub fn cut(&self, a: &str, b: &str) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts the way from one to another: nothing arrives there, and what comes back does.
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.set(from, to, |way| way.is_cut = true);
    }

    /// Mends what is cut between two; delays stay.
    pub fn heal(&self, a: &str, b: &str) {
        self.set(a, b, |way| way.is_cut = false);
        self.set(b, a, |way| way.is_cut = false);
    }

    /// Has all that is written from now on be under way for `latency`, and up to `jitter` longer, in its order.
    pub fn delay(&self, from: &str, to: &str, latency: Duration, jitter: Duration) {
        self.set(from, to, |way| {
            way.latency = latency;
            way.jitter = jitter;
        });
    }

    /// Breaks what is open between two: both sides find it reset, at once, whatever is cut.
    pub fn drop_all(&self, a: &str, b: &str) {
        let between = self.0.net.lock().between(a, b);
        for pipe in between {
            pipe.reset();
        }
    }

    fn set(&self, from: &str, to: &str, change: impl FnOnce(&mut Way)) {
        let mut net = self.0.net.lock();
        change(net.ways.entry([from.into(), to.into()]).or_default());
        for pipe in net.between(from, to) {
            let [there, back] = net.ways_of(&pipe.from, &pipe.to);
            pipe.set(there, back.is_cut);
        }
        drop(net);
        self.0.changed.notify_waiters();
    }

    /// How long it takes to be answered from `address`; `None` while that cannot be.
    fn round_trip(&self, node: &Arc<str>, address: &str) -> io::Result<Option<Duration>> {
        let mut net = self.0.net.lock();
        let owner = net.addresses.get(address).map(|known| known.owner.clone());
        let owner = owner.ok_or_else(|| refused(address))?;
        let ways = net.ways_of(node, &owner);
        if ways.iter().any(|way| way.is_cut) {
            return Ok(None);
        }
        Ok(Some(ways.iter().map(|way| way.takes(&mut net.rng)).sum()))
    }

    /// Opens a connection; `None` while that cannot be.
    fn open(&self, node: &Arc<str>, address: &str) -> io::Result<Option<Wire>> {
        let mut net = self.0.net.lock();
        let owner = net.addresses.get(address).map(|known| known.owner.clone());
        let owner = owner.ok_or_else(|| refused(address))?;
        let [there, back] = net.ways_of(node, &owner);
        if there.is_cut || back.is_cut {
            return Ok(None);
        }
        let rngs = [net.rng.fork(), net.rng.fork()];
        let backlog = net.addresses.get_mut(address);
        let backlog = backlog.and_then(|known| known.backlog.as_mut());
        let backlog = backlog.ok_or_else(|| refused(address))?;
        if backlog.wires.len() >= BACKLOG_LEN_MAX {
            return Ok(None);
        }
        let [to_owner, to_node] = rngs;
        let to_owner = Pipe::new([node.clone(), owner.clone()], there, false, to_owner);
        let to_node = Pipe::new([owner, node.clone()], back, false, to_node);
        let theirs = wire(node.to_string(), &to_owner, &to_node);
        let both = [to_owner.clone(), to_node.clone()];
        backlog.wires.push_back((theirs, both));
        let listener = backlog.listener.take();
        net.pipes.retain(|pipe| pipe.strong_count() > 0);
        net.pipes.extend([&to_owner, &to_node].map(Arc::downgrade));
        drop(net);
        listener.into_iter().for_each(Waker::wake);
        Ok(Some(wire(address.to_owned(), &to_node, &to_owner)))
    }

    fn claim(&self, node: Arc<str>, address: &str) -> io::Result<()> {
        let mut net = self.0.net.lock();
        let taken = net.addresses.get(address);
        if let Some(taken) = taken.filter(|taken| taken.backlog.is_some()) {
            let text = format!("{address} is taken, by {}", taken.owner);
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        let claimed = Address {
            owner: node,
            backlog: Some(Backlog::default()),
        };
        net.addresses.insert(address.to_owned(), claimed);
        Ok(())
    }

    fn poll_accept(&self, address: &str, cx: &Context<'_>) -> Poll<io::Result<Incoming>> {
        let mut net = self.0.net.lock();
        let backlog = net.addresses.get_mut(address);
        let Some(backlog) = backlog.and_then(|known| known.backlog.as_mut()) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Some((wire, _)) = backlog.wires.pop_front() else {
            backlog.listener = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(net);
        self.0.changed.notify_waiters();
        Poll::Ready(Ok(Incoming {
            peer: wire.peer.clone(),
            wire: Box::pin(ready(Ok(wire))),
        }))
    }
}

impl Net {
    /// There and back.
    fn ways_of(&self, from: &Arc<str>, to: &Arc<str>) -> [Way; 2] {
        [[from, to], [to, from]].map(|ends| {
            let way = self.ways.get(&ends.map(Arc::clone));
            way.copied().unwrap_or_default()
        })
    }

    /// What is open between two, both directions.
    fn between(&self, a: &str, b: &str) -> Vec<Arc<Pipe>> {
        let open = self.pipes.iter().filter_map(Weak::upgrade);
        open.filter(|pipe| [[a, b], [b, a]].contains(&[&*pipe.from, &*pipe.to]))
            .collect()
    }
}

fn wire(peer: String, read: &Arc<Pipe>, write: &Arc<Pipe>) -> Wire {
    Wire {
        read: Box::new(PipeRead::new(read.clone())),
        write: Box::new(PipeWrite::new(write.clone())),
        peer,
        certified: None,
    }
}

fn refused(address: &str) -> io::Error {
    let text = format!("nobody listens at {address}");
    io::Error::new(io::ErrorKind::ConnectionRefused, text)
}

/// The way of one kernel into a [`MemoryNet`].
#[derive(Debug, Clone)]
pub struct MemoryLink {
    net: MemoryNet,
    node: Arc<str>,
}

impl Link for MemoryLink {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Wire>> {
        let (Self { net, node }, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            loop {
                let mut changed = pin!(net.0.changed.notified());
                // From here on no change is missed.
                changed.as_mut().enable();
                if let Some(round_trip) = net.round_trip(&node, &address)? {
                    if !round_trip.is_zero() {
                        sleep(round_trip).await;
                    }
                    if let Some(wire) = net.open(&node, &address)? {
                        return Ok(wire);
                    }
                }
                changed.await;
            }
        })
    }

    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let claimed = self.net.claim(self.node.clone(), address);
        let listener = claimed.map(|()| MemoryListener {
            net: self.net.clone(),
            address: address.to_owned(),
        });
        Box::pin(ready(
            listener.map(|listener| Box::new(listener) as Box<dyn Listener>),
        ))
    }
}

#[derive(Debug)]
struct MemoryListener {
    net: MemoryNet,
    address: String,
}

impl Listener for MemoryListener {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(poll_fn(|cx| self.net.poll_accept(&self.address, cx)))
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut net = self.net.0.net.lock();
        let known = net.addresses.get_mut(&self.address);
        let backlog = known.and_then(|known| known.backlog.take());
        drop(net);
        // Those that nobody took in are not kept waiting.
        let waiting = backlog.into_iter().flat_map(|backlog| backlog.wires);
        for (_wire, pipes) in waiting {
            for pipe in pipes {
                pipe.reset();
            }
        }
        self.net.0.changed.notify_waiters();
    }
}
