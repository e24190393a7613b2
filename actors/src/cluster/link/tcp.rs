//! Nodes over TCP: [`TcpLink`], with TLS where there is an [`Identity`].
//!
//! Without one it goes nowhere but on this machine: whoever is to be reached or to reach us from elsewhere has to show who he
//! is, and to be hidden from those between.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

pub use self::tls::Identity;
pub(crate) use self::tls::{check, name_in};
use super::{Incoming, Link, Listener, Wire};

#[cfg(test)]
mod tests;
mod tls;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;
/// How long one address of several has before the next one is tried.
const ADDRESS_WITHIN: Duration = Duration::from_secs(3);

/// A way over TCP.
#[derive(Debug, Clone, Default)]
pub struct TcpLink {
    identity: Option<Identity>,
}

impl TcpLink {
    /// One with TLS, where each side shows its certificate; or one without, for this machine alone.
    #[must_use]
    pub fn new(identity: Option<Identity>) -> Self {
        Self { identity }
    }

    async fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        let found = lookup_host(address).await.map_err(|error| {
            let text = match error.kind() {
                io::ErrorKind::InvalidInput => {
                    format!("{address} is no address: one is a host and a port, `edge-1:7946`")
                }
                _ => format!("{address} is not known: {error}"),
            };
            io::Error::new(error.kind(), text)
        })?;
        let found: Vec<_> = found.collect();
        let is_here = |found: &SocketAddr| found.ip().to_canonical().is_loopback();
        if self.identity.is_none() && !found.iter().all(is_here) {
            let text = format!(
                "{address} is beyond this machine, where nodes need TLS: give each a certificate of one CA, which \
                 `uk node ca` makes"
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(found)
    }

    async fn open(self, address: String) -> io::Result<Wire> {
        let stream = reach(&address, &self.resolve(&address).await?).await?;
        match &self.identity {
            Some(identity) => identity.open(stream, address).await,
            None => Ok(plain(stream, address)),
        }
    }

    async fn claim(self, address: String) -> io::Result<Box<dyn Listener>> {
        let found = self.resolve(&address).await?;
        let listener = first(&address, found.iter().map(|found| bind(*found)))?;
        let bound = listener.local_addr()?;
        Ok(Box::new(Bound {
            listener,
            address: bound.to_string(),
            identity: self.identity,
        }))
    }
}

impl Link for TcpLink {
    /// To `host:port`, where a host is an address or a name: each address that it has is tried, in their order.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Wire>> {
        Box::pin(self.clone().open(address.to_owned()))
    }

    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(self.clone().claim(address.to_owned()))
    }
}

/// What succeeds first, or why the last one did not.
fn first<T>(address: &str, tried: impl Iterator<Item = io::Result<T>>) -> io::Result<T> {
    let mut fault = unknown(address);
    for tried in tried {
        match tried {
            Ok(done) => return Ok(done),
            Err(error) => fault = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(fault)
}

fn unknown(address: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("{address} is not known: its name has no address"),
    )
}

async fn reach(address: &str, found: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut fault = unknown(address);
    for (tried, to) in found.iter().enumerate() {
        // The last has as long as the caller waits.
        let connected = if tried + 1 < found.len() {
            let connected = timeout(ADDRESS_WITHIN, dial(*to)).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            dial(*to).await
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(fault)
}

async fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = socket(to)?.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(at)?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// With keepalive, which those have too that are accepted from it.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_keepalive(true)?;
    Ok(socket)
}

fn plain(stream: TcpStream, peer: String) -> Wire {
    let (read, write) = stream.into_split();
    Wire {
        read: Box::new(read),
        write: Box::new(write),
        peer,
        certified: None,
    }
}

struct Bound {
    listener: TcpListener,
    address: String,
    identity: Option<Identity>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bound").field(&self.address).finish()
    }
}

impl Listener for Bound {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let (stream, from) = self.listener.accept().await?;
            let (identity, peer) = (self.identity.clone(), from.to_string());
            let wire = {
                let peer = peer.clone();
                async move {
                    stream.set_nodelay(true)?;
                    match identity {
                        Some(identity) => identity.take_in(stream, peer).await,
                        None => Ok(plain(stream, peer)),
                    }
                }
            };
            let wire = Box::pin(wire);
            Ok(Incoming { peer, wire })
        })
    }
}
