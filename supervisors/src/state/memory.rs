//! A store in memory: for tests and simulation, and for kernels that nobody gave another one.

use std::collections::BTreeMap;
use std::io;

use parking_lot::Mutex;

use super::StateStore;
use crate::path::ActorPath;

/// Keeps snapshots in memory. [`forgetting`](Self::forget) and [`tearing`](Self::tear) are what a machine that lost its
/// power does to a disk.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<ActorPath, Vec<u8>>>);

impl MemoryStore {
    /// Forgets what is kept of `path`.
    pub fn forget(&self, path: &ActorPath) {
        self.0.lock().remove(path);
    }

    /// Keeps only the first `len` bytes of what is kept of `path`.
    pub fn tear(&self, path: &ActorPath, len: usize) {
        if let Some(stored) = self.0.lock().get_mut(path) {
            stored.truncate(len);
        }
    }
}

impl StateStore for MemoryStore {
    fn load(&self, path: &ActorPath) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().get(path).cloned())
    }

    fn save(&self, path: &ActorPath, stored: Option<Vec<u8>>) {
        let mut states = self.0.lock();
        match stored {
            Some(stored) => drop(states.insert(path.clone(), stored)),
            None => drop(states.remove(path)),
        }
    }
}
