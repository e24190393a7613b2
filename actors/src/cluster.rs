//! Nodes: kernels that attach to each other, run children for each other, and survive that they are cut off.
//!
//! | file | holds |
//! |---|---|
//! | [`codec`] | what nodes say to each other, and how it is written |
//! | [`link`] | how they reach each other: over TCP, or in memory |
//! | `greeting` | how they come to know each other |
//! | `session` | one connection: calls, messages, credit, heartbeat |
//! | [`ca`] | makes the certificates with which they know each other |
//! | [`nodes`] | which nodes there are |
//! | `remote` | handles to their actors |
//! | `agent` | what a node does for others |
//! | `grants`, `placed` | the children of this node that live elsewhere |
//! | [`guests`] | those that live here for others |
//! | [`relay`] | what another node publishes, published here |
//! | `weather` | trouble on the way to a node, made on purpose |
//! | [`service`] | `/system/nodes`, which listens and keeps connections |
//!
//! DESIGN has `ractor_cluster` behind the link. Measured and read, its queues grow without bound on five hops, it takes nobody
//! for dead, its registries are the process's, and it brings a second TLS library: a session of our own over the same
//! bytes is smaller than what would have to be built around it. `benches/nodes.rs` has it beside this one.

mod agent;
pub mod ca;
mod changes;
pub mod codec;
pub mod fault;
mod grants;
pub mod greeting;
pub mod guests;
pub mod link;
pub mod nodes;
pub mod placed;
pub mod relay;
mod remote;
pub mod service;
mod session;
mod weather;

pub use self::codec::{FaultV1 as Fault, FenceV1 as Fence};
pub use self::nodes::{Cluster, Commands, NodeInfo, NodeOptions, NodeState};
pub use self::remote::RemoteAddress;
pub use self::session::Tail;
pub use self::weather::Trouble;
