//! Names of slots: path to slot. A value of its kernel, never a global.

use std::sync::Arc;

use dashmap::DashMap;

use crate::path::ActorPath;
use crate::slot::Slot;

/// All slots of a kernel by path. No decision iterates it: its order is not stable.
#[derive(Debug, Default)]
pub struct Registry {
    slots: DashMap<ActorPath, Arc<Slot>>,
}

impl Registry {
    /// The slot at `path`.
    #[must_use]
    pub fn get(&self, path: &ActorPath) -> Option<Arc<Slot>> {
        self.slots.get(path).map(|slot| Arc::clone(slot.value()))
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All paths, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<ActorPath> {
        let mut paths: Vec<ActorPath> = self.slots.iter().map(|slot| slot.key().clone()).collect();
        paths.sort();
        paths
    }

    /// The slot of which `is_it` is true; of one at most.
    pub(crate) fn find(&self, is_it: impl Fn(&Slot) -> bool) -> Option<Arc<Slot>> {
        let found = self.slots.iter().find(|slot| is_it(slot.value()));
        found.map(|slot| Arc::clone(slot.value()))
    }

    pub(crate) fn insert(&self, slot: &Arc<Slot>) {
        self.slots.insert(slot.path().clone(), Arc::clone(slot));
    }

    /// Removes `slot`, unless another one has taken its path; says whether it was there.
    pub(crate) fn remove(&self, path: &ActorPath, slot: &Slot) -> bool {
        let is_it = |held: &Arc<Slot>| std::ptr::eq(Arc::as_ptr(held), slot);
        self.slots.remove_if(path, |_, held| is_it(held)).is_some()
    }
}
