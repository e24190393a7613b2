//! The express: a run of starts or stops of workers, taken on their own runtime.
//!
//! Seen from the control runtime each step costs two wakes of another thread. So a run of them goes over as one task
//! that does the plain thing only: start, or ask to stop and wait. The control side watches it, and as soon as there
//! is anything else to do (an interrupt, patience that runs out, no progress because work threads are held) it takes
//! back what is left and goes on step by step. What a step came to is decided under one lock, so that it
//! is either the express's or the control side's, never both's.

use tokio::time::{Instant, sleep_until};

use super::*;
use crate::spec::{RunsOn, WorkerSpec};

/// How many steps go over at once.
pub(super) const STEPS_MAX: usize = 64;
/// Without progress for so long, what is not begun is taken back.
const TICK: Duration = Duration::from_millis(50);

/// What both sides know.
#[derive(Default)]
struct Progress {
    reports: Vec<Report>,
    /// The step under way, and since when.
    current: Option<(Arc<Life>, Instant)>,
    /// The express begins no further step.
    recalled: bool,
    /// Not even the step under way is its own any more.
    over: bool,
    /// Whether what was under way came up after that.
    is_late: bool,
}

type Shared = Arc<Mutex<Progress>>;

/// Which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// What the control side found that it has to do.
enum Turn {
    /// Let it go on.
    Watch,
    /// Take back what is not begun.
    Recall,
    /// Take the start under way from it, with what it came to.
    GiveUp(Arc<Life>, Outcome),
    /// End the life that takes too long to stop.
    Force(Arc<Life>, ExitReason),
}

impl Job {
    /// Takes a run of steps as far as it goes plainly. What it returns are the reports of the first of them; the rest
    /// is left to do. Starts end with the first that did not come to run.
    pub(super) async fn express(&self, steps: &[(Step, Arc<Slot>)]) -> Vec<Report> {
        let (Some(way), Some((_, first))) = (self.way(steps), steps.first()) else {
            return Vec::new();
        };
        let shared = Shared::default();
        let run = steps
            .iter()
            .map(|(step, slot)| (step.key(), Arc::clone(slot)));
        let run: Vec<(Key, Arc<Slot>)> = run.collect();
        let mut task = match way {
            Way::Up => {
                let up = starts(
                    Arc::clone(&shared),
                    run,
                    self.supervisor.clone(),
                    Arc::clone(&self.control),
                    self.starting(),
                );
                first.kernel().spawn_work(up)
            }
            Way::Down => {
                let down = stops(Arc::clone(&shared), run, self.manner.gave_up);
                first.kernel().spawn_work(down)
            }
        };
        let end = self.watch(way, steps, &shared, &mut task).await;
        let mut reports = std::mem::take(&mut shared.lock().reports);
        let Some((step, slot)) = steps.get(reports.len()) else {
            return reports;
        };
        match end {
            Turn::Watch | Turn::Recall => {}
            Turn::GiveUp(life, outcome) => {
                let late = async {
                    // Aborted, or answered too late.
                    drop(task.await);
                    shared.lock().is_late
                };
                call_off(slot, &life, late).await;
                self.end_attempt(slot, &life, &outcome).await;
                reports.push(Report {
                    key: step.key(),
                    outcome,
                    started: None,
                });
            }
            Turn::Force(life, killed) => {
                end_by_force(slot, &life, killed).await;
                reports.push(Report {
                    key: step.key(),
                    outcome: Outcome::Stopped(life.exit().unwrap_or_else(ExitReason::killed)),
                    started: None,
                });
            }
        }
        reports
    }

    /// Which way a run goes, if it is one that an express can take.
    fn way(&self, steps: &[(Step, Arc<Slot>)]) -> Option<Way> {
        let is_way = |way| steps.iter().all(|step| self.fits(way, step));
        [Way::Up, Way::Down].into_iter().find(|way| is_way(*way))
    }

    fn fits(&self, way: Way, (step, slot): &(Step, Arc<Slot>)) -> bool {
        let Body::Worker(worker) = slot.body() else {
            return false;
        };
        let spec = slot.spec();
        !worker.is_service()
            && match (way, step) {
                (Way::Up, Step::Start { .. }) => {
                    // What is more impatient than a tick is watched step by step.
                    let limit = spec.start_timeout;
                    let on_work = |worker: &WorkerSpec| worker.runtime == RunsOn::Work;
                    spec.as_worker().is_some_and(on_work)
                        && limit.is_none_or(|limit| limit > TICK * 2)
                }
                (Way::Down, Step::Stop { .. }) => match spec.shutdown {
                    Shutdown::Infinity => !self.manner.brutal,
                    Shutdown::Timeout(patience) => !self.manner.brutal && patience > TICK * 2,
                    Shutdown::BrutalKill => false,
                },
                _ => false,
            }
    }

    /// How many of `steps` go over in one run: those of one way, while nothing is known that keeps one from it.
    pub(super) fn run_len(&self, steps: &[(Step, Arc<Slot>)], course: &Course) -> usize {
        let Some(way) = steps
            .first()
            .and_then(|one| self.way(std::slice::from_ref(one)))
        else {
            return 0;
        };
        let is_free = |step: &Step| match way {
            Way::Up => {
                !course.over && !course.misses_need(step) && !self.control.touches(step.key())
            }
            Way::Down => self.control.is_brutal().is_none(),
        };
        let run = steps
            .iter()
            .take(STEPS_MAX)
            .take_while(|one| self.fits(way, one) && is_free(&one.0));
        run.count()
    }

    /// Waits until the express has arrived, or has to be cut short.
    async fn watch(
        &self,
        way: Way,
        steps: &[(Step, Arc<Slot>)],
        shared: &Shared,
        task: &mut JoinHandle<()>,
    ) -> Turn {
        let mut seen = usize::MAX;
        let mut tick = Instant::now() + TICK;
        let mut recalled = false;
        loop {
            let (at, deadline) = {
                let progress = shared.lock();
                let at = progress.reports.len();
                let patience = steps.get(at).and_then(|(_, slot)| patience(way, slot));
                let begun = progress.current.as_ref().map(|(_, begun)| *begun);
                (
                    at,
                    begun
                        .zip(patience)
                        .map(|(begun, patience)| begun + patience),
                )
            };
            let touched = |control: &JobControl| match way {
                Way::Up if recalled => steps
                    .get(shared.lock().reports.len())
                    .is_some_and(|(step, _)| control.touches(step.key())),
                Way::Up => steps.iter().any(|(step, _)| control.touches(step.key())),
                Way::Down => control.is_brutal().is_some(),
            };
            let is_late = tokio::select! {
                biased;
                _ = &mut *task => return Turn::Watch,
                () = self.control.until(|control| touched(control).then_some(())) => false,
                () = sleep_until(deadline.map_or(tick, |deadline| deadline.min(tick))) => true,
            };
            let is_stuck = is_late && tick <= Instant::now() && at == seen;
            if tick <= Instant::now() {
                tick = Instant::now() + TICK;
                seen = at;
            }
            let turn = self.look(way, steps, &mut shared.lock(), is_late, is_stuck);
            match turn {
                Turn::Watch => {}
                Turn::Recall if shared.lock().current.is_none() => {
                    task.abort();
                    return Turn::Recall;
                }
                Turn::Recall => recalled = true,
                turn => {
                    task.abort();
                    return turn;
                }
            }
        }
    }

    /// Decides what is to be done, and takes from the express what it loses by that.
    fn look(
        &self,
        way: Way,
        steps: &[(Step, Arc<Slot>)],
        progress: &mut Progress,
        is_late: bool,
        is_stuck: bool,
    ) -> Turn {
        let Some((step, slot)) = steps.get(progress.reports.len()) else {
            return Turn::Watch;
        };
        let Some((life, begun)) = progress.current.clone() else {
            if is_late && !is_stuck {
                return Turn::Watch;
            }
            progress.recalled = true;
            return Turn::Recall;
        };
        let limit = patience(way, slot);
        let is_over = limit.is_some_and(|limit| begun + limit <= Instant::now());
        let turn = match way {
            Way::Up => match self.control.start_interrupt(step.key()) {
                Some(outcome) => Turn::GiveUp(life, outcome),
                None if is_over => {
                    Turn::GiveUp(life, Outcome::Failed(too_slow(limit.unwrap_or_default())))
                }
                None if is_late => return Turn::Watch,
                None => {
                    progress.recalled = true;
                    return Turn::Recall;
                }
            },
            Way::Down if life.has_ended() && is_late && !is_stuck => return Turn::Watch,
            // It is down, and the express is not there to see it.
            Way::Down if life.has_ended() => Turn::Recall,
            Way::Down if is_over => Turn::Force(life, too_slow_to_stop(limit.unwrap_or_default())),
            Way::Down if !is_late => Turn::Force(life, ExitReason::killed()),
            Way::Down => return Turn::Watch,
        };
        progress.recalled = true;
        progress.over = true;
        match &turn {
            Turn::GiveUp(life, _) => life.revoke(),
            Turn::Recall => progress.current = None,
            Turn::Force(..) | Turn::Watch => {}
        }
        turn
    }
}

/// How long a step may take.
fn patience(way: Way, slot: &Slot) -> Option<Duration> {
    match (way, slot.spec().shutdown) {
        (Way::Up, _) => slot.spec().start_timeout,
        (Way::Down, Shutdown::Timeout(patience)) => Some(patience),
        (Way::Down, Shutdown::Infinity | Shutdown::BrutalKill) => None,
    }
}

/// Begins the next step, unless there is to be none.
fn begin(shared: &Shared, life: impl FnOnce() -> Arc<Life>) -> Option<Arc<Life>> {
    let mut progress = shared.lock();
    if progress.recalled {
        return None;
    }
    let life = life();
    progress.current = Some((Arc::clone(&life), Instant::now()));
    Some(life)
}

/// Starts one worker after the other.
async fn starts(
    shared: Shared,
    steps: Vec<(Key, Arc<Slot>)>,
    supervisor: ActorRef<SupervisorMessage>,
    control: Arc<JobControl>,
    state: SlotState,
) {
    for (key, slot) in steps {
        let Body::Worker(worker) = slot.body() else {
            return;
        };
        let Some(life) = begin(&shared, || slot.begin_life()) else {
            return;
        };
        slot.set_state(state);
        let above = Above {
            supervisor: supervisor.clone(),
        };
        let spawn = worker.spawn(Arc::clone(&slot), Arc::clone(&life), above);
        let spawned = AssertUnwindSafe(spawn).catch_unwind().await;
        let spawned = spawned.unwrap_or_else(|_| Err(ExitReason::error("its start was lost")));
        let mut progress = shared.lock();
        progress.current = None;
        if progress.over {
            progress.is_late = matches!(spawned, Ok(Spawned::Running));
            return;
        }
        let (outcome, started) = came_up(&slot, &life, spawned);
        let is_up = started.is_some();
        progress.reports.push(Report {
            key,
            outcome,
            started,
        });
        drop(progress);
        if !is_up {
            life.finish(ExitReason::killed());
            return;
        }
        if let Some(reason) = control.take_kill(key) {
            kill(&slot, &life, reason);
        }
    }
}

/// Stops one worker after the other.
async fn stops(shared: Shared, steps: Vec<(Key, Arc<Slot>)>, gave_up: bool) {
    for (key, slot) in steps {
        let running = slot.life().filter(|life| !life.has_ended());
        if let Some(life) = running {
            let Some(life) = begin(&shared, || life) else {
                return;
            };
            begin_stop(&slot, &life);
            ask_to_stop(&slot, &life, gave_up);
            life.ended().await;
        }
        let mut progress = shared.lock();
        progress.current = None;
        if progress.recalled {
            return;
        }
        progress.reports.push(Report {
            key,
            outcome: Outcome::Stopped(last_exit(&slot)),
            started: None,
        });
    }
}
