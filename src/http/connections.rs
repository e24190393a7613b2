//! Who is connected over TCP, and who has to go when there are too many.
//!
//! A connection is a **stranger's** until a request on it has shown a token or a session. Strangers have [`STRANGERS_MAX`] for
//! each address, and none that somebody known could use: where all is taken, the address with the most of them loses the one
//! that came first. So one who knocks without end closes their own connections, and who knocks once and says who they are is
//! let in.
//!
//! Considered: to refuse who comes last. Then one who holds what an address may have shuts out all others there, as all
//! programs of this machine. And a smaller number: many who come at once are not heard at once, and with 64 a program that
//! opened two hundred streams in a row lost most of them before its tokens were read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many connections there may be.
pub(super) const CONNECTIONS_MAX: usize = 2_048;
/// How many of an address may have shown nothing yet.
const STRANGERS_MAX: usize = CONNECTIONS_MAX / 4;

/// The connections of a kernel. Found with [`Kernel::shared`](unity_supervisors::Kernel::shared).
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Inner>);

/// By address, then by age; what is sent asks the connection to go.
type Strangers = BTreeMap<(IpAddr, u64), oneshot::Sender<()>>;

#[derive(Debug, Default)]
struct Inner {
    strangers: Strangers,
    counts: Counts,
    last: u64,
    /// Whether it was said that some are closed, since there were no strangers last.
    is_said: bool,
}

/// How many there are, and were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Open, of somebody known.
    pub(super) known: usize,
    /// Open, of strangers.
    pub(super) strangers: usize,
    /// Closed, as their address had too many.
    pub(super) closed_of_address: u64,
    /// Closed, as there were too many of all.
    pub(super) closed_of_all: u64,
}

impl Connections {
    /// Counts one more from `address`, and has another closed where there is no room. `None` if it has to go itself: all are
    /// of somebody known.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<(Visit, Leave)> {
        let network = network_of(address);
        let mut inner = self.0.lock();
        let mut of_it = inner.strangers.range((network, 0)..=(network, u64::MAX));
        if let Some(oldest) = of_it.next().map(|(key, _)| *key)
            && of_it.count() + 1 >= STRANGERS_MAX
        {
            inner.counts.closed_of_address += 1;
            inner.close(oldest);
        } else if inner.strangers.len() + inner.counts.known >= CONNECTIONS_MAX {
            inner.counts.closed_of_all += 1;
            let oldest = inner.oldest_of_most()?;
            inner.close(oldest);
        }
        inner.last += 1;
        let key = (network, inner.last);
        let (ask, asked) = oneshot::channel();
        inner.strangers.insert(key, ask);
        let visit = Visit {
            connections: Arc::clone(self),
            key,
            is_known: AtomicBool::new(false),
        };
        Some((visit, asked))
    }

    pub(super) fn counts(&self) -> Counts {
        let inner = self.0.lock();
        Counts {
            strangers: inner.strangers.len(),
            ..inner.counts
        }
    }
}

impl Inner {
    /// The stranger that came first of the address that has the most.
    fn oldest_of_most(&self) -> Option<(IpAddr, u64)> {
        let keys: Vec<(IpAddr, u64)> = self.strangers.keys().copied().collect();
        let of_each = keys.chunk_by(|(one, _), (other, _)| one == other);
        let most = of_each.max_by_key(|keys| keys.len())?;
        most.first().copied()
    }

    fn close(&mut self, key: (IpAddr, u64)) {
        let asked = self.strangers.remove(&key).map(|ask| ask.send(()));
        // Said once: whoever knocks on does not fill the log.
        if asked.is_some() && !std::mem::replace(&mut self.is_said, true) {
            let address = key.0;
            tracing::warn!(%address, "there are too many connections that say nothing; the oldest are closed");
        }
    }
}

/// Done with `Ok` when a connection has to go.
pub(super) type Leave = oneshot::Receiver<()>;

/// A connection, counted as long as it lives.
#[derive(Debug)]
pub(super) struct Visit {
    connections: Arc<Connections>,
    key: (IpAddr, u64),
    is_known: AtomicBool,
}

impl Visit {
    /// Somebody has shown who they are: it makes room for nobody from now on.
    pub(super) fn is_of_somebody(&self) {
        if self.is_known.load(Ordering::Acquire) {
            return;
        }
        let mut inner = self.connections.0.lock();
        // Who was asked to go is counted no more.
        if inner.strangers.remove(&self.key).is_some() {
            inner.counts.known += 1;
            self.is_known.store(true, Ordering::Release);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut inner = self.connections.0.lock();
        inner.strangers.remove(&self.key);
        inner.counts.known -= usize::from(*self.is_known.get_mut());
        inner.is_said &= !inner.strangers.is_empty();
    }
}

/// What counts as one address: of IPv6 the first half, which is what a household has.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_what_a_household_has() {
        for (address, network) in [
            ("127.0.0.2", "127.0.0.2"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
            ("::1", "::"),
        ] {
            assert_eq!(network_of(ip(address)), ip(network));
        }
    }

    #[test]
    fn the_stranger_that_came_first_makes_room_for_its_address() {
        let connections = Arc::new(Connections::default());
        let enter = |address| connections.enter(ip(address)).unwrap();
        let (_elsewhere, mut leave_elsewhere) = enter("10.0.0.2");
        let (known, mut leave_known) = enter("10.0.0.1");
        known.is_of_somebody();
        let mut strangers: Vec<_> = (0..STRANGERS_MAX).map(|_| enter("10.0.0.1")).collect();
        assert!(strangers[0].1.try_recv().is_err());

        let _newest = enter("10.0.0.1");

        assert_eq!(strangers[0].1.try_recv(), Ok(()));
        assert!(strangers[1].1.try_recv().is_err());
        assert!(leave_elsewhere.try_recv().is_err() && leave_known.try_recv().is_err());
        // Too late to be somebody.
        strangers[0].0.is_of_somebody();
        let counts = Counts {
            known: 1,
            strangers: STRANGERS_MAX + 1,
            closed_of_address: 1,
            closed_of_all: 0,
        };
        assert_eq!(connections.counts(), counts);
        drop((known, strangers));
        let counts = Counts {
            known: 0,
            strangers: 2,
            ..counts
        };
        assert_eq!(connections.counts(), counts);
    }

    #[test]
    fn where_all_is_taken_the_address_with_the_most_makes_room_and_else_who_comes() {
        let connections = Arc::new(Connections::default());
        let mut all: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|at| {
                // One address of two connections among many of one.
                let [.., high, low] = (at.max(1)).to_be_bytes();
                connections.enter([10, 0, high, low].into()).unwrap()
            })
            .collect();

        all.push(connections.enter(ip("10.1.0.1")).unwrap());

        assert_eq!(all[0].1.try_recv(), Ok(()));
        assert_eq!(connections.counts().strangers, CONNECTIONS_MAX);
        for (visit, _) in &all {
            visit.is_of_somebody();
        }
        assert!(connections.enter(ip("10.1.0.1")).is_none());
        assert_eq!(connections.counts().closed_of_all, 2);
    }
}
