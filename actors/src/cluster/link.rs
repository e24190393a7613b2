//! How nodes reach each other: the [`Link`], and what connections it gives.
//!
//! A link opens connections and takes them in; what goes over them is the business of the session. Between processes it is
//! TCP, with TLS; in simulation, and for several kernels of one process, a network in memory that can be cut and
//! slowed.

use std::fmt;
use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub mod memory;
pub mod tcp;

/// Reads what the other side writes.
pub type WireRead = Box<dyn AsyncRead + Send + Unpin>;
/// Writes to the other side.
pub type WireWrite = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection: bytes in order, both ways, until one side closes it or it breaks.
pub struct Wire {
    /// From the other side.
    pub read: WireRead,
    /// To the other side.
    pub write: WireWrite,
    /// Where the other side is, for people.
    pub peer: String,
    /// The name in the certificate that it has shown, if it has shown one that this side trusts.
    pub certified: Option<String>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("peer", &self.peer)
            .field("certified", &self.certified)
            .finish_non_exhaustive()
    }
}

/// A connection that somebody else has opened, before anything was said on it.
pub struct Incoming {
    /// Where it comes from, for people.
    pub peer: String,
    /// Makes it one to talk over: with TLS, that is its handshake. To be bounded in time by whoever waits for it, and not to be
    /// waited for where others are taken in.
    pub wire: BoxFuture<'static, io::Result<Wire>>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.peer).finish()
    }
}

/// Takes connections in.
pub trait Listener: Send {
    /// Where others reach it.
    fn address(&self) -> String;
    /// The next connection. An error is about one connection or a shortage that passes: the next call may have one.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;
}

/// A way to other nodes.
pub trait Link: Send + Sync {
    /// Opens a connection, ready to be talked over. To be bounded in time by whoever waits for it.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Wire>>;
    /// Takes connections in at `address`.
    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}
