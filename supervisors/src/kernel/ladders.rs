//! What outlives a restart of the supervisor of a child with a ladder: how far up it is, and its last good settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::ladder::Climbing;
use crate::path::ActorPath;
use crate::spec::{ChildSpec, Ladder};

/// By path, of all children that have a ladder.
#[derive(Debug, Default)]
pub(crate) struct Ladders(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    climbing: BTreeMap<ActorPath, Kept>,
    good: BTreeMap<ActorPath, Arc<Value>>,
}

/// How far up a child was, and what it was then: what has changed since begins anew.
#[derive(Debug)]
struct Kept {
    settings: Value,
    ladder: Arc<Ladder>,
    climbing: Climbing,
}

impl Ladders {
    /// With the good settings of an earlier kernel.
    pub(super) fn new(good: &BTreeMap<ActorPath, Value>) -> Self {
        let good = good.iter();
        let good = good.map(|(path, settings)| (path.clone(), Arc::new(settings.clone())));
        Self(Mutex::new(Inner {
            climbing: BTreeMap::new(),
            good: good.collect(),
        }))
    }

    /// Keeps how far up the child at `path` is; nothing if it is at the beginning.
    pub(crate) fn keep(&self, path: &ActorPath, spec: &ChildSpec, climbing: Option<Climbing>) {
        let worker = spec.as_worker();
        let kept = worker.and_then(|worker| {
            Some(Kept {
                settings: worker.settings.clone(),
                ladder: Arc::clone(worker.on_crash.as_ref()?),
                climbing: climbing?,
            })
        });
        let mut inner = self.0.lock();
        match kept {
            Some(kept) => drop(inner.climbing.insert(path.clone(), kept)),
            None => drop(inner.climbing.remove(path)),
        }
    }

    /// How far up the child at `path` is that is now made from `spec`.
    pub(crate) fn climbing(&self, path: &ActorPath, spec: &ChildSpec) -> Option<Climbing> {
        let worker = spec.as_worker()?;
        let inner = self.0.lock();
        let kept = inner.climbing.get(path)?;
        let is_same =
            kept.settings == worker.settings && Some(&kept.ladder) == worker.on_crash.as_ref();
        is_same.then(|| kept.climbing.clone())
    }

    /// Keeps settings that have completed their probation.
    pub(crate) fn keep_good(&self, path: &ActorPath, settings: Arc<Value>) {
        self.0.lock().good.insert(path.clone(), settings);
    }

    /// The last settings at `path` that have completed their probation.
    pub(crate) fn good(&self, path: &ActorPath) -> Option<Arc<Value>> {
        self.0.lock().good.get(path).cloned()
    }

    /// Forgets the child at `path`, which is deleted, and all that was below it.
    pub(crate) fn forget(&self, path: &ActorPath) {
        let mut inner = self.0.lock();
        let is_left = |other: &ActorPath| !path.contains(other);
        inner.climbing.retain(|other, _| is_left(other));
        inner.good.retain(|other, _| is_left(other));
    }
}
