//! What simulated actors keep, and what each life must therefore find.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::exit::ExitKind;
use crate::path::ActorPath;
use crate::slot::ExitRecord;
use crate::state::MemoryStore;

/// What a simulated actor keeps: no two snapshots of a simulation are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SimState {
    /// Whose it is.
    pub(super) path: String,
    /// Of which slot there.
    pub(super) slot: u64,
    /// Which life took it.
    pub(super) incarnation: u64,
    /// What it had handled by then.
    pub(super) handled: u64,
}

/// What is known of one path.
#[derive(Debug, Default)]
struct Known {
    /// What is stored, if nothing befell it.
    stored: Option<SimState>,
    /// The newest snapshot of a life that had not been replaced.
    newest: Option<SimState>,
    slot: u64,
    /// When its slot crashed last, and before that.
    crashes: [Option<Instant>; 2],
    /// Whether its last exit was a crash.
    has_crashed: bool,
}

/// A store, and what is known of what is in it.
#[derive(Debug, Default)]
pub(super) struct SimStates {
    store: Arc<MemoryStore>,
    known: Mutex<BTreeMap<ActorPath, Known>>,
}

impl SimStates {
    pub(super) fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store)
    }

    fn with<T>(&self, path: &ActorPath, act: impl FnOnce(&mut Known) -> T) -> T {
        act(self.known.lock().entry(path.clone()).or_default())
    }

    /// A kernel begins on what another one has kept: it knows of no crash.
    pub(super) fn begin(&self) {
        for known in self.known.lock().values_mut() {
            *known = Known {
                stored: known.stored.take(),
                ..Known::default()
            };
        }
    }

    /// Writes down how a life ended.
    pub(super) fn exited(&self, path: &ActorPath, record: &ExitRecord) {
        self.with(path, |known| {
            known.has_crashed = matches!(
                record.reason.kind,
                ExitKind::Error | ExitKind::Panic | ExitKind::Stalled
            );
            if known.has_crashed {
                known.crashes = [Some(record.when), known.crashes[0]];
            }
        });
    }

    /// A start begins in `slot`: whether it finds what it is to find.
    pub(super) fn is_right(
        &self,
        path: &ActorPath,
        slot: u64,
        probation: Duration,
        found: Option<&SimState>,
    ) -> bool {
        self.with(path, |known| {
            if known.slot != slot {
                *known = Known {
                    slot,
                    stored: known.stored.take(),
                    ..Known::default()
                };
            }
            let [last, before] = known.crashes;
            let is_within = last
                .zip(before)
                .is_some_and(|(last, before)| last - before <= probation);
            if known.has_crashed && is_within {
                known.stored = None;
            }
            known.stored.as_ref() == found
        })
    }

    /// A life that has not been replaced takes a snapshot.
    pub(super) fn taken(&self, path: &ActorPath, state: &SimState) {
        self.with(path, |known| {
            known.stored = Some(state.clone());
            known.newest = Some(state.clone());
        });
    }

    /// Whether `state` was the last to be taken there.
    pub(super) fn is_newest(&self, path: &ActorPath, state: &SimState) -> bool {
        self.with(path, |known| known.newest.as_ref() == Some(state))
    }

    /// Loses what is stored of `path`, or all but its first bytes.
    pub(super) fn spoil(&self, path: &ActorPath, first: Option<usize>) {
        match first {
            Some(len) => self.store.tear(path, len),
            None => self.store.forget(path),
        }
        self.with(path, |known| known.stored = None);
    }
}
