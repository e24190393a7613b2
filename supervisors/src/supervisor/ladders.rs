//! What a ladder does to slots, and what of it outlives the supervisor: the half of its actor that carries it out.

use serde_json::Value;

use super::core::LadderEffect;
use super::*;
use crate::ladder::Climbing;

/// Tells the core how far up their ladders the children in `slot` are since an earlier life of the supervisor, and puts in
/// force what was swapped in by then.
pub(super) fn recall(core: &mut Core, slot: &Slot) {
    for child in slot.children() {
        let spec = child.spec();
        let has_ladder = spec
            .as_worker()
            .is_some_and(|worker| worker.on_crash.is_some());
        if !has_ladder {
            continue;
        }
        recall_good(core, &child);
        #[cfg(test)]
        if slot.kernel().bug() == Some(crate::bug::Bug::ForgetsSwaps) {
            continue;
        }
        if let Some(climbing) = slot.kernel().ladders().climbing(child.path(), &spec) {
            put_in_place(&child, spec, climbing.swap.clone());
            core.recall(child.id(), climbing);
        }
    }
}

/// A child is new: what is kept of another one of its path is not its own. Its last good settings are.
pub(super) fn begin(core: &mut Core, slot: &Slot) {
    let ladders = slot.kernel().ladders();
    ladders.keep(slot.path(), &slot.spec(), None);
    recall_good(core, slot);
}

/// Tells the core the last good settings of a child. Those of an older version of its kind may not fit any more.
fn recall_good(core: &mut Core, slot: &Slot) {
    let good = slot.kernel().ladders().good(slot.path());
    let fits = |good: &Arc<Value>| {
        slot.worker()
            .is_some_and(|body| body.parse(good, slot.kernel().secrets()).is_ok())
    };
    if let Some(good) = good.filter(fits) {
        core.know_good(slot.id().clone(), good);
    }
}

impl State {
    pub(super) fn act_on_ladder(
        &self,
        key: Key,
        effect: LadderEffect,
        myself: &ActorRef<SupervisorMessage>,
    ) {
        let Some(slot) = self.child(key) else {
            return;
        };
        match effect {
            LadderEffect::Climbing(climbing) => self.keep_climbing(&slot, climbing),
            LadderEffect::Probation {
                id,
                incarnation,
                pause,
            } => {
                let Some(life) = slot.life().filter(|life| life.incarnation() == incarnation)
                else {
                    return;
                };
                let myself = myself.clone();
                life.adopt(self.kernel.spawn_control(async move {
                    tokio::time::sleep(pause).await;
                    // A supervisor that is gone has no use for it.
                    drop(myself.send_message(SupervisorMessage::Proved { id, incarnation }));
                }));
            }
            LadderEffect::Proved(settings) => {
                let path = slot.path().clone();
                let kept = Arc::clone(&settings);
                self.kernel.ladders().keep_good(&path, kept);
                self.kernel.report(Fact::Proved { path, settings });
            }
        }
    }

    fn keep_climbing(&self, slot: &Slot, climbing: Option<Climbing>) {
        let spec = slot.spec();
        if climbing.is_none() {
            let path = slot.path().clone();
            self.kernel.report(Fact::Released { path });
        }
        let swap = climbing.as_ref().and_then(|climbing| climbing.swap.clone());
        self.kernel.ladders().keep(slot.path(), &spec, climbing);
        if slot.swap() != swap {
            put_in_place(slot, spec, swap);
        }
    }
}

fn put_in_place(slot: &Slot, spec: Arc<ChildSpec>, swap: Option<crate::ladder::Swap>) {
    if let Err(error) = slot.respec(spec, swap) {
        tracing::error!(path = %slot.path(), %error, "what a ladder swaps in does not fit");
    }
}
