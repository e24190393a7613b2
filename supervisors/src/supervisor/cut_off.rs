//! Cutting off a life that a thread is stuck in: the slot goes on without waiting for it.
//!
//! The thread cannot be taken back. So the life is made harmless instead: it is revoked, takes no further message, its
//! message in hand is among the dead letters by name, and its supervisor hears of its end. When the thread lets go at
//! last, what is left of it is dropped, and [`Slot::abandoned`] counts down.

use super::*;

/// Cuts `life` off, which is part of `slot`. `false` if it has to be waited for, because as many are stuck as may be.
pub(crate) fn cut_off(slot: &Slot, life: &Life, reason: ExitReason) -> bool {
    if life.has_ended() {
        return true;
    }
    let kernel = slot.kernel();
    if !kernel.may_abandon() {
        return false;
    }
    slot.note_abandoned();
    if !life.abandon() {
        // Somebody else cut it off, or nothing of it has begun.
        slot.undo_abandoned();
        kernel.let_go();
        if !life.is_abandoned() {
            life.replace_exit(reason.clone());
            life.finish(reason);
        }
        return true;
    }
    life.revoke();
    // Once the thread lets go, it finds this before it looks for a message.
    life.request(|requests| requests.kill = Some(reason.clone()));
    if let Some(worker) = slot.worker() {
        worker.cut_off(life, &reason);
    }
    kernel.report(Fact::CutOff {
        path: slot.path().clone(),
        incarnation: life.incarnation(),
        abandoned: kernel.abandoned() as u64,
    });
    life.replace_exit(reason.clone());
    life.finish(reason);
    life.abort();
    true
}

/// Waits for a killed life; a worker that holds its thread for longer than the kernel's `kill_grace` is
/// cut off.
pub(crate) async fn wait_for_killed(slot: &Slot, life: &Life) {
    if slot.is_supervisor() {
        return life.ended().await;
    }
    let grace = slot.kernel().kill_grace();
    while tokio::time::timeout(grace, life.ended()).await.is_err() {
        let text = match life.exit().and_then(|exit| exit.text) {
            Some(why) => format!("{why}; it held its thread for {grace:?}, and was cut off"),
            None => {
                format!("it held its thread for {grace:?} after it was killed, and was cut off")
            }
        };
        cut_off(slot, life, ExitReason::with_text(ExitKind::Killed, text));
    }
}

impl State {
    /// Cuts off a life of a child that a thread is stuck in: its end is one like any other.
    pub(super) fn stalled(
        &mut self,
        life: &Arc<Life>,
        reason: ExitReason,
        myself: &ActorRef<SupervisorMessage>,
    ) {
        let Some((key, slot)) = self.child_of(life) else {
            return;
        };
        if life.has_ended() || !cut_off(&slot, life, reason.clone()) {
            return;
        }
        if slot.incarnation() == life.incarnation() {
            self.ended(life, myself);
        } else {
            // It is being started, by a job that has to hear why it failed.
            self.jobs
                .values()
                .for_each(|control| control.kill(key, reason.clone()));
        }
    }
}
