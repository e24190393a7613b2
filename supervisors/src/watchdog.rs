//! The watchdog: sees that a life holds its thread, says so, and has it cut off where its spec asks for that.
//!
//! A plain thread looks at what the threads of the work runtime [say](crate::threads) that they poll. A poll that lasts while
//! its life takes no further message is one that does not yield. Which life that is, is looked up only when the poll has lasted for
//! a good part of the shortest `stall_after` of the tree; so watching costs a look at some numbers, now and then.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::exit::{ExitKind, ExitReason};
use crate::kernel::{Kernel, WeakKernel};
use crate::life::Life;
use crate::report::Fact;
use crate::slot::{Slot, Stall, StallKind};
use crate::spec::OnStall;
use crate::supervisor::SupervisorMessage;
use crate::threads::{Cell, Poll};

/// The longest time between two looks.
const TICK_MAX: Duration = Duration::from_millis(20);
/// The shortest.
const TICK_MIN: Duration = Duration::from_millis(1);
/// A thread is looked at so many times before it counts as stuck, at least.
const LOOKS: u32 = 16;

/// Begins to watch the threads of `kernel`, if it knows them.
pub(crate) fn begin(kernel: &Kernel) -> io::Result<()> {
    let Some(threads) = kernel.threads() else {
        return Ok(());
    };
    let mut looks = looks(kernel);
    if !threads.is_simulated() {
        return threads.watch(looks);
    }
    let threads = Arc::clone(threads);
    // On the clock of the simulation, which would never come to rest if it were looked at for no reason.
    kernel.spawn_control(async move {
        threads.some_held().await;
        while let Some(tick) = looks() {
            tokio::time::sleep(tick).await;
            threads.some_held().await;
        }
    });
    Ok(())
}

/// Looks at the threads of `kernel` each time it is called, and says when it is to be called again; `None` once the
/// kernel has closed.
fn looks(kernel: &Kernel) -> impl FnMut() -> Option<Duration> + Send + use<> {
    let kernel: WeakKernel = kernel.downgrade();
    let mut watchdog = Watchdog::default();
    move || {
        let kernel = kernel.upgrade()?;
        let threads = kernel.threads()?;
        let stuck = watchdog.look(&kernel, &threads.cells(), Instant::now());
        // Once let go, a spare thread stays, and makes up for the next one that is stuck.
        while watchdog.let_go < stuck && threads.let_one_go() {
            watchdog.let_go += 1;
        }
        Some((patience(&kernel) / LOOKS).clamp(TICK_MIN, TICK_MAX))
    }
}

/// How long a poll may last before it is looked at closely.
fn patience(kernel: &Kernel) -> Duration {
    kernel.stall_after().min(kernel.kill_grace())
}

/// What is known of each thread.
#[derive(Default)]
pub(crate) struct Watchdog {
    /// By the address of its cell.
    held: BTreeMap<usize, Held>,
    /// Spare threads that were let go.
    let_go: usize,
}

/// A poll that lasts.
struct Held {
    poll: Poll,
    since: Instant,
    suspect: Option<Suspect>,
}

/// The life that a poll is of.
struct Suspect {
    slot: Arc<Slot>,
    life: Arc<Life>,
    handled: u64,
    is_told: bool,
    killed: Option<Instant>,
}

/// What is to be done about a life that holds its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Wait,
    Tell,
    CutOff,
}

impl Watchdog {
    /// Looks at all threads once. Returns how many that others could run on are stuck.
    pub(crate) fn look(&mut self, kernel: &Kernel, cells: &[Arc<Cell>], now: Instant) -> usize {
        let mut before = std::mem::take(&mut self.held);
        let mut stuck = 0;
        for cell in cells {
            let Some(poll) = cell.poll() else { continue };
            let key = Arc::as_ptr(cell).addr();
            let held = before.remove(&key).filter(|held| held.poll == poll);
            let mut held = held.unwrap_or(Held {
                poll,
                since: now,
                suspect: None,
            });
            if held.look(kernel, cell, now) && cell.is_shared() {
                stuck += 1;
            }
            self.held.insert(key, held);
        }
        stuck
    }
}

impl Held {
    /// Whether the thread is stuck.
    fn look(&mut self, kernel: &Kernel, cell: &Cell, now: Instant) -> bool {
        let patience = patience(kernel);
        if now - self.since < patience / 4 {
            return false;
        }
        if self.suspect.is_none() {
            self.suspect = Suspect::find(kernel, self.poll);
            if let Some(suspect) = &self.suspect {
                if cell.poll() != Some(self.poll) {
                    self.suspect = None;
                    return false;
                }
                if suspect.handled > self.poll.handled + 1 {
                    // It took others in hand before this one.
                    self.since = now;
                }
            }
        }
        if let Some(suspect) = &mut self.suspect {
            if suspect.goes_on() {
                self.since = now;
            }
            suspect.act(kernel, self.poll.is_task, now, self.since);
        }
        now - self.since >= patience
    }
}

impl Drop for Held {
    /// The poll is over, or the kernel is.
    fn drop(&mut self) {
        if let Some(suspect) = &mut self.suspect {
            suspect.went_on();
        }
    }
}

impl Suspect {
    fn find(kernel: &Kernel, poll: Poll) -> Option<Self> {
        let is_it = |slot: &Slot| slot.life().is_some_and(|life| life.key() == poll.life);
        let slot = kernel.registry().find(is_it)?;
        let life = slot.life().filter(|life| life.key() == poll.life)?;
        Some(Self {
            handled: life.handled_now(),
            slot,
            life,
            is_told: false,
            killed: None,
        })
    }

    /// Whether it has taken another message since the last look.
    fn goes_on(&mut self) -> bool {
        let before = std::mem::replace(&mut self.handled, self.life.handled_now());
        let goes_on = before != self.handled;
        if goes_on {
            self.went_on();
        }
        goes_on
    }

    fn went_on(&mut self) {
        if std::mem::take(&mut self.is_told) && !self.life.has_ended() {
            self.slot.set_stall(None);
            self.slot.kernel().report(Fact::GoesOn {
                path: self.slot.path().clone(),
                incarnation: self.life.incarnation(),
            });
        }
    }

    fn act(&mut self, kernel: &Kernel, is_task: bool, now: Instant, since: Instant) {
        let verdict = self.judge(kernel, now, since);
        if verdict == Verdict::Wait {
            return;
        }
        // Told before anything is done about it: whoever hears of that finds the stall.
        if !std::mem::replace(&mut self.is_told, true) {
            let in_hand = self.in_hand().filter(|_| !is_task);
            self.tell(kernel, in_hand, now, since);
        }
        if verdict == Verdict::CutOff {
            self.cut_off(kernel, now - since);
        }
    }

    fn judge(&mut self, kernel: &Kernel, now: Instant, since: Instant) -> Verdict {
        let spec = self.slot.spec();
        let Some(worker) = spec.as_worker() else {
            return Verdict::Wait;
        };
        if self.life.has_ended() {
            return Verdict::Wait;
        }
        if self.life.exit().is_some() {
            // Killed, and it does not hear.
            let killed = *self.killed.get_or_insert(now);
            if now - killed >= kernel.kill_grace() {
                return Verdict::CutOff;
            }
        }
        if now - since < worker.stall_after || self.life.says_busy(kernel) {
            return Verdict::Wait;
        }
        match worker.stall {
            OnStall::Report => Verdict::Tell,
            OnStall::Abandon => Verdict::CutOff,
        }
    }

    fn in_hand(&self) -> Option<&'static str> {
        self.slot.worker()?.in_hand(&self.life)
    }

    fn tell(&self, kernel: &Kernel, in_hand: Option<&'static str>, now: Instant, since: Instant) {
        let incarnation = self.life.incarnation();
        self.slot.set_stall(Some(Stall {
            incarnation,
            since,
            in_hand,
            what: StallKind::HoldsThread,
        }));
        kernel.report(Fact::Stalled {
            path: self.slot.path().clone(),
            incarnation,
            what: StallKind::HoldsThread,
            held_ms: u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX),
            in_hand,
        });
    }

    /// Asks its supervisor to cut it off; asked again at each look until it is done.
    fn cut_off(&self, kernel: &Kernel, held: Duration) {
        let with = self
            .in_hand()
            .map_or_else(String::new, |name| format!(" with `{name}` in hand"));
        let seconds = held.as_secs_f64();
        let (kind, why) = match self.life.exit() {
            Some(exit) => (
                exit.kind,
                exit.text
                    .map_or_else(String::new, |text| format!("{text}; ")),
            ),
            None => (ExitKind::Stalled, String::new()),
        };
        let text = format!("{why}it held its thread for {seconds:.1} s{with}, and was cut off");
        let above = self.slot.path().parent();
        let above = above.and_then(|path| kernel.registry().get(&path));
        if let Some(supervisor) = above.as_ref().and_then(|above| above.supervisor()) {
            supervisor.send(SupervisorMessage::Stalled {
                life: Arc::clone(&self.life),
                reason: ExitReason::with_text(kind, text),
            });
        }
    }
}
