//! What a reload does to slots: the half of the supervisor's actor that carries it out.

use super::*;
use crate::health;

impl State {
    /// Makes the slots of a child and of all below it. One that cannot be made has none, and its start fails.
    pub(super) fn add(&mut self, key: Key, spec: &Arc<ChildSpec>) {
        let path = self.slot.path().child(&spec.id);
        let slot = match self.kernel.build(path.clone(), spec) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(%path, %error, "a child that was checked cannot be made");
                return;
            }
        };
        register(&slot);
        ladders::begin(&mut self.core, &slot);
        if let Some(body) = self.slot.supervisor() {
            body.children.write().insert(key, slot);
        }
    }

    pub(super) fn move_child(&self, from: Key, to: Key) {
        let Some(body) = self.slot.supervisor() else {
            return;
        };
        let mut children = body.children.write();
        if let Some(slot) = children.remove(&from) {
            children.insert(to, slot);
        }
    }

    pub(super) fn respec(&self, key: Key, spec: Arc<ChildSpec>, marks: bool) {
        let Some(slot) = self.child(key) else {
            return;
        };
        if marks && let Some(kept) = slot.kept() {
            kept.mark(&slot);
        }
        // A change of settings ends what a ladder has laid over them.
        let swap = slot.swap().filter(|_| !marks);
        self.put_in_place(&slot, spec, swap);
    }

    pub(super) fn roll_back(&self, key: Key, spec: Arc<ChildSpec>) {
        let Some(slot) = self.child(key) else {
            return;
        };
        self.put_in_place(&slot, Arc::clone(&spec), None);
        self.kernel.amend(slot.path(), spec);
        if let Some(kept) = slot.kept() {
            kept.put_back(&slot);
        }
    }

    fn put_in_place(
        &self,
        slot: &Arc<Slot>,
        spec: Arc<ChildSpec>,
        swap: Option<crate::ladder::Swap>,
    ) {
        let asks = |spec: &ChildSpec| {
            spec.as_worker()
                .is_some_and(|worker| worker.health.is_some())
        };
        let is_asked = asks(&slot.spec());
        let is_to_be_asked = asks(&spec);
        if let Err(error) = slot.respec(spec, swap) {
            tracing::error!(path = %slot.path(), %error, "settings that were checked do not fit");
            return;
        }
        let running = slot.life().filter(|life| !life.has_ended());
        if let Some(life) = running
            && is_to_be_asked
            && !is_asked
        {
            health::watch(slot, &life);
        }
    }
}
