//! Questions for health: a life is asked every now and then whether it still gets to its next message.
//!
//! The shell answers between two messages, so that a life which awaits something for ever does not answer either; the
//! [watchdog](crate::watchdog) sees only who holds a thread.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::exit::{ExitKind, ExitReason};
use crate::life::Life;
use crate::report::Fact;
use crate::slot::{Slot, Stall, StallKind};
use crate::spec::{HealthSpec, OnStall};
use crate::supervisor::job::kill;

/// Asks `life` for its health from here to its end, if its spec says so.
pub(crate) fn watch(slot: &Arc<Slot>, life: &Arc<Life>) {
    let Some((health, _)) = questions(slot) else {
        return;
    };
    let (slot, of_life) = (Arc::clone(slot), Arc::clone(life));
    let asks = slot.kernel().clone().spawn_control(async move {
        let mut questions = Questions {
            slot,
            life: of_life,
            health,
            missed: 0,
            since: Instant::now(),
        };
        // As the spec says by then, which may change meanwhile.
        while let Some((health, stall)) = self::questions(&questions.slot) {
            tokio::time::sleep(health.every).await;
            questions.health = health;
            questions.ask(stall).await;
        }
    });
    life.adopt(asks);
}

/// How the child in `slot` is asked, if it is.
fn questions(slot: &Slot) -> Option<(HealthSpec, OnStall)> {
    let spec = slot.spec();
    // A child on another node is asked there.
    let worker = spec.as_worker().filter(|worker| worker.place.is_none())?;
    Some((worker.health?, worker.stall))
}

/// What is asked of a life, and how often in a row it did not answer.
struct Questions {
    slot: Arc<Slot>,
    life: Arc<Life>,
    health: HealthSpec,
    missed: u32,
    /// Since when it does not.
    since: Instant,
}

impl Questions {
    async fn ask(&mut self, stall: OnStall) {
        let asked = Instant::now();
        let (asker, answer) = oneshot::channel();
        self.life.request(|requests| {
            requests.well.retain(|asker| !asker.is_closed());
            requests.well.push(asker);
        });
        self.slot.wake();
        let answered = tokio::time::timeout(self.health.timeout, answer).await;
        let kernel = self.slot.kernel();
        if matches!(answered, Ok(Ok(()))) {
            if self.missed >= self.health.fails {
                self.slot.set_stall(None);
                kernel.report(Fact::GoesOn {
                    path: self.slot.path().clone(),
                    incarnation: self.life.incarnation(),
                });
            }
            self.missed = 0;
            return;
        }
        if self.life.says_busy(kernel) {
            return;
        }
        if self.missed == 0 {
            self.since = asked;
        }
        self.missed = self.missed.saturating_add(1);
        if self.missed == self.health.fails {
            self.stalled(stall);
        }
    }

    fn stalled(&self, stall: OnStall) {
        let held = self.since.elapsed();
        let in_hand = self
            .slot
            .worker()
            .and_then(|worker| worker.in_hand(&self.life));
        let incarnation = self.life.incarnation();
        self.slot.set_stall(Some(Stall {
            incarnation,
            since: self.since,
            in_hand,
            what: StallKind::NoAnswer,
        }));
        self.slot.kernel().report(Fact::Stalled {
            path: self.slot.path().clone(),
            incarnation,
            what: StallKind::NoAnswer,
            held_ms: u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
            in_hand,
        });
        if stall == OnStall::Abandon {
            let with = in_hand.map_or_else(String::new, |name| format!(" with `{name}` in hand"));
            let text = format!(
                "it did not answer {} times in a row{with}",
                self.health.fails
            );
            // Where it holds its thread too, the watchdog cuts it off.
            kill(
                &self.slot,
                &self.life,
                ExitReason::with_text(ExitKind::Stalled, text),
            );
        }
    }
}
