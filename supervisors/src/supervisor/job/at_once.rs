//! The stop of all children of a template: all are asked at once, and each is judged by its own deadline.

use tokio::time::{Instant, sleep_until};

use super::*;

/// A child that was asked to stop.
struct Asked<'a> {
    slot: &'a Slot,
    life: Arc<Life>,
    /// `None` is never.
    deadline: Option<Instant>,
}

impl Job {
    /// Takes all steps, which are stops, at once.
    pub(super) async fn stop_at_once(&self) -> Vec<Report> {
        let mut asked = Vec::with_capacity(self.steps.len());
        for (turn, (_, slot)) in self.steps.iter().enumerate() {
            asked.extend(self.ask(slot));
            if turn % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        // Those that may take for ever hold up nobody's deadline.
        asked.sort_by_key(|asked| (asked.deadline.is_none(), asked.deadline));
        let mut late = Vec::new();
        for asked in asked {
            tokio::select! {
                biased;
                () = asked.life.ended() => {}
                () = self.control.until(JobControl::is_brutal) => late.push((asked, ExitReason::killed())),
                () = until(asked.deadline) => {
                    let killed = self.out_of_patience(asked.slot);
                    late.push((asked, killed));
                }
            }
        }
        for (asked, killed) in &late {
            force(asked.slot, &asked.life, killed.clone());
        }
        for (asked, _) in &late {
            wait_for_killed(asked.slot, &asked.life).await;
        }
        let reports = self.steps.iter().map(|(step, slot)| Report {
            key: step.key(),
            outcome: Outcome::Stopped(last_exit(slot)),
            started: None,
        });
        reports.collect()
    }

    fn ask<'a>(&self, slot: &'a Slot) -> Option<Asked<'a>> {
        let life = slot.life().filter(|life| !life.has_ended())?;
        begin_stop(slot, &life);
        let deadline = match self.patience(slot) {
            None => {
                force(slot, &life, ExitReason::killed());
                Some(Instant::now())
            }
            Some(patience) => {
                ask_to_stop(slot, &life, self.manner.gave_up);
                patience.map(|patience| Instant::now() + patience)
            }
        };
        Some(Asked {
            slot,
            life,
            deadline,
        })
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
