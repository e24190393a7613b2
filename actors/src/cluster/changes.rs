//! Hearing of who comes and goes, for those who are no part of the cluster.

use tokio::sync::watch;

use super::nodes::Cluster;

impl Cluster {
    /// Counts on with each change of who is there.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes()
    }
}
