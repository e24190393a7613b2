//! The settings of a slot as they are in force: read by its actor without a lock, replaced while it runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use tokio::sync::{Notify, oneshot};

use crate::actor::Apply;
use crate::exit::ExitReason;

/// Settings that were read as those of their kind, the type forgotten.
#[derive(Clone)]
pub(crate) struct Parsed(pub(crate) Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parsed")
    }
}

/// New settings for a life, and where its answer goes. Without an answer it ended, which its exit explains.
#[derive(Debug)]
pub(crate) struct ApplyRequest {
    pub(crate) settings: Parsed,
    /// How long it may think about it.
    pub(crate) limit: Duration,
    /// Set when it begins to.
    pub(crate) begun: Arc<AtomicBool>,
    pub(crate) reply: oneshot::Sender<Vote>,
}

/// What a life says to new settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Vote {
    Said(Apply),
    /// Nothing within its time: whatever it was about to do was broken off.
    Late,
    /// It panicked, and takes no more messages. Whoever asked has it restarted.
    Broken(ExitReason),
}

/// What a slot and the handles of its lives share.
pub(crate) struct InForce<S> {
    settings: Arc<ArcSwap<S>>,
    /// How often they were replaced.
    version: AtomicU64,
    changed: Notify,
}

impl<S> InForce<S> {
    pub(crate) fn new(settings: Arc<S>) -> Arc<Self> {
        Arc::new(Self {
            settings: Arc::new(ArcSwap::new(settings)),
            version: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    pub(crate) fn now(&self) -> Arc<S> {
        self.settings.load_full()
    }

    pub(crate) fn replace(&self, settings: Arc<S>) {
        self.settings.store(settings);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

/// An actor's own settings as they are in force: see [`Context::settings`](crate::Context::settings).
///
/// Each handle keeps the settings that it read last, and looks with one load whether they are still those in force. So
/// tasks and helpers of an actor read them as often as they like; each has a handle of its own.
pub struct SettingsHandle<S> {
    cache: Cache<Arc<ArcSwap<S>>, Arc<S>>,
    in_force: Arc<InForce<S>>,
    /// Which version `changed` returned last.
    seen: u64,
}

impl<S> SettingsHandle<S> {
    pub(crate) fn new(in_force: &Arc<InForce<S>>) -> Self {
        Self {
            seen: in_force.version.load(Ordering::Acquire),
            cache: Cache::new(Arc::clone(&in_force.settings)),
            in_force: Arc::clone(in_force),
        }
    }

    /// The settings in force.
    #[inline]
    pub fn get(&mut self) -> &Arc<S> {
        self.cache.load()
    }

    /// Waits until others are in force than those that this returned last, or that the handle was made with; returns
    /// them. Of several changes in a row only the last one is seen.
    pub async fn changed(&mut self) -> &Arc<S> {
        loop {
            let changed = self.in_force.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let version = self.in_force.version.load(Ordering::Acquire);
            if version != self.seen {
                self.seen = version;
                break;
            }
            changed.await;
        }
        self.cache.load()
    }
}

impl<S: fmt::Debug> fmt::Debug for SettingsHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettingsHandle")
            .field(&self.in_force.now())
            .finish()
    }
}

impl<S> Clone for SettingsHandle<S> {
    fn clone(&self) -> Self {
        Self {
            seen: self.seen,
            ..Self::new(&self.in_force)
        }
    }
}
