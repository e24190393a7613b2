//! What a reload does to slots: the half of the supervisor's actor that carries it out.

use super::core::Mark;
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

    pub(super) fn respec(&self, key: Key, spec: Arc<ChildSpec>, mark: Option<Mark>) {
        let Some(slot) = self.child(key) else {
            return;
        };
        if slot.is_supervisor() {
            return self.kernel.respec_supervisor(&slot, spec);
        }
        // A change of settings ends what a ladder has laid over them.
        let settings = |spec: &ChildSpec| spec.as_worker().map(|worker| worker.settings.clone());
        let has_new = settings(&slot.spec()) != settings(&spec);
        let swap = slot.swap().filter(|_| !has_new);
        self.put_in_place(&slot, spec, swap);
        if let (Some(mark), Some(kept)) = (mark, slot.kept()) {
            kept.mark(&slot, mark);
        }
    }

    pub(super) fn roll_back(&self, key: Key, spec: Arc<ChildSpec>, number: u64) {
        let Some(slot) = self.child(key) else {
            return;
        };
        if let Some(kept) = slot.kept() {
            kept.put_back(&slot, number);
        }
        self.kernel.amend(slot.path(), Arc::clone(&spec));
        #[cfg(test)]
        if self.kernel.bug() == Some(crate::bug::Bug::KeepsBadSettings) {
            return;
        }
        self.put_in_place(&slot, spec, None);
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
