//! State that outlives a life: what an actor keeps with [`Actor::snapshot`] and finds again with [`Context::restored`].
//!
//! Only for children whose spec has a [`StateSpec`]. A snapshot is taken between two messages, each `every` if any was
//! handled since, and before an orderly stop; so after a crash or a kill what was done since the last one is lost, and so
//! it is when an actor is stopped that does not trap exits. It
//! goes through the slot, which refuses that of a life that has been replaced. Where it is kept is a [`StateStore`]'s
//! business; the newest counts alone.
//!
//! A life starts fresh, and says so, when what is stored does not fit it, and when its slot has crashed twice within
//! `probation`: then it may well be the state that it crashes of. Crashes are errors, panics and stalls, and starts that
//! failed of them; not what a person does.

mod codec;
mod memory;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::codec::{CodecError, SNAPSHOT_LEN_MAX};
pub use self::memory::MemoryStore;
use crate::actor::Actor;
#[cfg(test)]
use crate::bug::Bug;
use crate::context::Context;
use crate::exit::ExitKind;
use crate::life::Life;
use crate::path::ActorPath;
use crate::report::Fact;
use crate::slot::{ExitRecord, Response, Slot};
use crate::spec::StateSpec;
use crate::supervisor::core::Mark;
use crate::supervisor::core::trial::TRIALS_MAX;

/// What an actor keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(Vec<u8>);

impl Snapshot {
    /// Of any value that serde takes; not of types that say what they are only when they are read, such as
    /// `serde_json::Value` and internally tagged enums: keep their JSON as a text.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be encoded, or is larger than [`SNAPSHOT_LEN_MAX`].
    pub fn of<T: Serialize>(value: &T) -> Result<Self, CodecError> {
        codec::encode(value).map(Self)
    }
}

/// Keeps the newest snapshot of each path.
pub trait StateStore: Send + Sync {
    /// The newest that is known, written already or not.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn load(&self, path: &ActorPath) -> io::Result<Option<Vec<u8>>>;
    /// Keeps `stored` soon, and never waits; `None` forgets what there is. What was to be kept before it and is not yet
    /// need not be.
    fn save(&self, path: &ActorPath, stored: Option<Vec<u8>>);
}

/// How a slot keeps state.
pub(crate) struct Kept {
    store: Arc<dyn StateStore>,
    kind: String,
    version: u32,
    every: Duration,
    /// How many messages the life of the last snapshot had handled by then.
    handled: Mutex<(u64, u64)>,
    /// Why the last life that wanted it did not get it.
    fresh: Mutex<Option<String>>,
    /// What there was before each change of settings that may be on probation, by its number.
    before: Mutex<BTreeMap<u64, Before>>,
}

/// A state to go back to.
#[derive(Clone)]
enum Before {
    /// That of the last life with the old settings, which may keep a newer one before it ends.
    Marked(Option<Vec<u8>>),
    /// What a life with the new settings began with.
    Taken(Option<Vec<u8>>),
}

impl Kept {
    pub(crate) fn new(
        store: Arc<dyn StateStore>,
        kind: &str,
        version: u32,
        spec: StateSpec,
    ) -> Self {
        Self {
            store,
            kind: kind.to_owned(),
            version,
            every: spec.every,
            handled: Mutex::default(),
            fresh: Mutex::default(),
            before: Mutex::default(),
        }
    }

    /// Takes over what the way before it of keeping the same state knows.
    pub(crate) fn succeed(&self, former: &Self) {
        self.before.lock().clone_from(&former.before.lock());
    }

    /// The settings change: remembers the state that there is.
    pub(crate) fn mark(&self, slot: &Slot, mark: Mark) {
        // Unreadable is as good as none: there is nothing to go back to.
        let stored = self.store.load(slot.path()).unwrap_or_default();
        let before = if mark.is_live {
            Before::Taken(stored)
        } else {
            Before::Marked(stored)
        };
        let mut marks = self.before.lock();
        marks.insert(mark.number, before);
        if marks.len() > TRIALS_MAX {
            marks.pop_first();
        }
    }

    /// The settings go back to before a change, and with them the state that there was.
    pub(crate) fn put_back(&self, slot: &Slot, number: u64) {
        let before = self.before.lock().remove(&number);
        if let Some(Before::Marked(stored) | Before::Taken(stored)) = before {
            self.store.save(slot.path(), stored);
        }
    }

    /// Time between two snapshots.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// Why the last life that wanted its state started fresh, if it did.
    pub(crate) fn fresh(&self) -> Option<String> {
        self.fresh.lock().clone()
    }

    /// Takes a snapshot for `life`, if it handled anything since the last one.
    pub(crate) fn take(
        &self,
        slot: &Slot,
        life: &Life,
        snapshot: impl FnOnce() -> Result<Option<Snapshot>, CodecError>,
    ) {
        let handled = life.handled.load(std::sync::atomic::Ordering::Relaxed);
        // Not `starts`, which a life that was replaced would say of its successor.
        let now = (life.incarnation(), handled);
        if std::mem::replace(&mut *self.handled.lock(), now) == now {
            return;
        }
        let stored = match snapshot() {
            Ok(None) => return,
            Ok(Some(Snapshot(state))) => codec::frame(&self.kind, self.version, state),
            Err(error) => Err(error),
        };
        match stored {
            #[cfg(test)]
            Ok(stored) if slot.kernel().bug() == Some(Bug::KeepsLateState) => {
                self.store.save(slot.path(), Some(stored));
            }
            #[cfg(test)]
            Ok(stored) if slot.kernel().bug() == Some(Bug::MixesStates) => {
                slot.kernel().registry().paths().iter().for_each(|path| {
                    self.store.save(path, Some(stored.clone()));
                });
            }
            Ok(stored) => slot.while_current(life, || self.store.save(slot.path(), Some(stored))),
            Err(error) => tracing::warn!(path = %slot.path(), %error, "state not kept"),
        }
    }

    fn restore<T: DeserializeOwned>(&self, slot: &Slot) -> Result<Option<T>, String> {
        let is_bad = has_crashed_twice(&slot.history(), slot.spec().probation);
        #[cfg(test)]
        let is_bad = is_bad && slot.kernel().bug() != Some(Bug::KeepsBadState);
        if is_bad {
            self.store.save(slot.path(), None);
            let probation = slot.spec().probation;
            return Err(format!(
                "it crashed twice within {probation:?}, its probation"
            ));
        }
        let stored = self.store.load(slot.path());
        let stored = stored.map_err(|error| format!("its state cannot be read: {error}"))?;
        for before in self.before.lock().values_mut() {
            if matches!(before, Before::Marked(_)) {
                *before = Before::Taken(stored.clone());
            }
        }
        let Some(stored) = stored else {
            return Ok(None);
        };
        codec::unframe(&self.kind, self.version, &stored)
            .and_then(|state| codec::decode(&state))
            .map(Some)
            .map_err(|error| format!("its state does not fit: {error}"))
    }
}

/// Whether the last two exits were crashes, the later one within `probation` of the earlier one. New settings that were put
/// back for it are to blame for theirs.
fn has_crashed_twice(history: &[ExitRecord], probation: Duration) -> bool {
    let is_crash = |record: &&ExitRecord| {
        let kind = record.reason.kind;
        matches!(kind, ExitKind::Error | ExitKind::Panic | ExitKind::Stalled)
            && record.response != Response::RolledBack
    };
    let mut crashes = history.iter().rev().filter(is_crash);
    let (Some(last), Some(before)) = (crashes.next(), crashes.next()) else {
        return false;
    };
    let is_last = history.last().is_some_and(|record| is_crash(&record));
    is_last && last.when.duration_since(before.when) <= probation
}

impl<A: Actor> Context<A> {
    /// Whether this child keeps state: its spec says so, and its kind can.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        self.slot.kept().is_some()
    }

    /// What the last life kept, for [`Actor::start`] to begin with. `None` where there is nothing, or nothing that may be
    /// used: then the log and `uk why` say why this life starts fresh.
    #[must_use]
    pub fn restored<T: DeserializeOwned>(&self) -> Option<T> {
        let kept = self.slot.kept()?;
        match kept.restore(&self.slot) {
            Ok(state) => {
                *kept.fresh.lock() = None;
                state
            }
            Err(why) => {
                *kept.fresh.lock() = Some(why.clone());
                let path = self.path().clone();
                self.kernel().report(Fact::Fresh { path, why });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::{Next, Start};
    use crate::exit::Exit;
    use crate::kernel::{Kernel, KernelConfig, Runtimes};
    use crate::kind::Kinds;
    use crate::message::NoMessage;
    use crate::path::ChildId;
    use crate::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};

    struct Probe;

    impl Actor for Probe {
        type Message = NoMessage;
        type Settings = serde_json::Value;
        const STATE: Option<u32> = Some(1);

        async fn start(_: &Self::Settings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
            Ok(Start::Running(Self))
        }

        async fn handle(&mut self, _: &mut NoMessage, _: &mut Context<Self>) -> Result<Next, Exit> {
            Ok(Next::Continue)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_snapshot_of_a_dead_life_holds_up_none_of_the_next() {
        let mut child = ChildSpec::worker(ChildId::known("probe"), "probe");
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.state = Some(StateSpec::default());
        }
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root: SupervisorSpec {
                children: vec![Arc::new(child)],
                ..SupervisorSpec::default()
            },
        };
        let kinds = Kinds::new().with::<Probe>("probe", "keeps nothing of its own");
        let config = KernelConfig::new(Runtimes::current(), kinds, 1);
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        let slot = kernel.root().unwrap().children().remove(0);
        let dead = slot.life().unwrap();
        kernel.restart(slot.path()).await.unwrap();
        let alive = slot.life().unwrap();
        let kept = slot.kept().unwrap();

        kept.take(&slot, &dead, || Snapshot::of(&"dead").map(Some));
        kept.take(&slot, &alive, || Snapshot::of(&"alive").map(Some));

        assert_eq!(kept.restore(&slot), Ok(Some("alive".to_owned())));
        kernel.shutdown().await;
    }
}
