//! Handles to actors on other nodes: [`RemoteAddress`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use unity_supervisors::ActorPath;

use super::codec::{Blob, FaultV1, TargetV1};
use super::fault;
use super::nodes::Cluster;
use super::session::{Session, Target, body};

/// A handle to the slot of an actor on another node. Cheap to clone. A slot that was deleted, or a node that was started
/// anew, is `not_found`: resolve it again.
#[derive(Clone)]
pub struct RemoteAddress {
    cluster: Arc<Cluster>,
    node: String,
    path: ActorPath,
    to: TargetV1,
    way: Arc<Mutex<Option<Way>>>,
}

/// The session that was used last, and the number of the actor there.
#[derive(Clone)]
struct Way {
    session: Arc<Session>,
    target: Arc<Target>,
}

impl fmt::Debug for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteAddress({}:{})", self.node, self.path)
    }
}

impl RemoteAddress {
    /// That of what `to` names on `node`, reached over the connections that `cluster` has.
    pub(super) fn new(cluster: &Arc<Cluster>, node: &str, path: &ActorPath, to: TargetV1) -> Self {
        Self {
            cluster: Arc::clone(cluster),
            node: node.to_owned(),
            path: path.clone(),
            to,
            way: Arc::default(),
        }
    }

    /// On which node it is.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its path there.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.path
    }

    fn way(&self) -> Result<Way, FaultV1> {
        if let Some(way) = &*self.way.lock()
            && way.session.over().is_none()
        {
            return Ok(way.clone());
        }
        let session = self.cluster.reach(&self.node)?;
        if session.peer.epoch != self.to.epoch {
            return Err(fault::new(
                "not_found",
                format!(
                    "node `{}` was started anew: what was at `{}` is gone",
                    self.node, self.path
                ),
            ));
        }
        let target = session.target(&self.to)?;
        let way = Way { session, target };
        *self.way.lock() = Some(way.clone());
        Ok(way)
    }

    /// Sends a message in its JSON form, once there is room on the way: at most once. That it was not delivered after all
    /// (the connection broke, the actor has gone) is counted and logged, and not told here.
    ///
    /// # Errors
    /// [`FaultV1`].
    pub async fn tell(&self, message: &Value, timeout: Duration) -> Result<(), FaultV1> {
        let way = self.way()?;
        way.session.tell(&way.target, body(message), timeout).await
    }

    /// Sends a message that is answered, and awaits the answer.
    ///
    /// # Errors
    /// [`FaultV1`].
    pub async fn ask(&self, message: &Value, timeout: Duration) -> Result<Value, FaultV1> {
        let way = self.way()?;
        let answer = way.session.ask(&way.target, body(message), timeout).await?;
        json_of(&self.node, &answer)
    }
}

pub(super) fn json_of(node: &str, answer: &Blob) -> Result<Value, FaultV1> {
    serde_json::from_slice(&answer.0).map_err(|error| {
        fault::new(
            "failed",
            format!("node `{node}` answered with no JSON: {error}"),
        )
    })
}
