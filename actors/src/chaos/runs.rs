//! The runs of a kernel, of which there is one at a time: how far that one is, and what it came to. [`Chaos`] outlives the service
//! that runs them, and is found by its type with [`Kernel::shared`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use unity_supervisors::{Kernel, Mode};

use super::plan::Plan;
use super::report::{Done, Report, Source};
use super::run::{Order, Work, to_ms};
use super::shelf::{Journal, Shelf};
use crate::streams::DiskFaults;

/// Time between two looks whether a run has said what it came to.
const LOOK: Duration = Duration::from_millis(10);
/// How long a life that has ended may take until its run has said what it came to.
const WORDS_WITHIN: Duration = Duration::from_secs(2);

/// What a run stands on.
#[derive(Debug, Default)]
pub struct Ground {
    /// The disk of the streams, where it can be broken.
    pub disk: Option<Arc<DiskFaults>>,
    /// Whether a guard starts the kernel again when its process dies.
    pub guarded: bool,
    /// Whether the kernel ends in the place of safe mode.
    pub ends_on_give_up: bool,
}

/// A run that is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What it does.
    pub plan: Plan,
    /// What chance begins with.
    pub seed: u64,
    /// Whether it goes above all budgets in the end.
    pub above: bool,
    /// Where the plan came from, for the command that plays the run again.
    pub source: Option<Source>,
}

/// Why a run does not begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// There is one.
    #[error("the run {0} is under way")]
    Busy(String),
    /// The tree is not well.
    #[error("the kernel is in {0} mode")]
    Mode(&'static str),
    /// The kernel would end.
    #[error("this kernel ends when it gives up, so there is no safe mode to be tried")]
    Ends,
    /// The plan has nothing in it.
    #[error("the plan `{0}` has neither phases nor acts")]
    Empty(String),
}

/// How a run under way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It strikes, or waits until all is well.
    Running,
    /// It goes above all budgets.
    Above,
    /// Its kernel was killed, and it is seen what comes back.
    Returning,
}

/// What there is to know of a run under way.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// Which.
    pub run: String,
    /// Its plan.
    pub plan: String,
    /// What chance began with.
    pub seed: u64,
    /// How far it is.
    pub state: Stage,
    /// What somebody wants of it.
    pub order: &'static str,
    /// How long it has been.
    pub elapsed_ms: u64,
    /// How long it is to strike.
    pub for_ms: u64,
    /// How often it struck.
    pub struck: u64,
    /// How often it could not.
    pub refused: u64,
}

struct Under {
    run: String,
    plan: String,
    seed: u64,
    stage: Stage,
    begun: Instant,
    lasts: Duration,
    orders: watch::Sender<Order>,
    struck: u64,
    refused: u64,
}

/// What a run came to that did not come to its end, and what is to be undone of it.
pub(super) struct Unfinished {
    pub(super) report: Report,
    pub(super) left: Vec<Work>,
}

#[derive(Default)]
struct Inner {
    last_number: u64,
    under: Option<Under>,
    words: Option<Unfinished>,
    journal: Option<Journal>,
    /// The last report, also where none are kept.
    last: Option<Arc<Report>>,
}

/// The runs of a kernel.
#[derive(Default)]
pub struct Chaos {
    ground: Ground,
    shelf: Shelf,
    inner: Mutex<Inner>,
    ended: watch::Sender<()>,
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos")
            .field("ground", &self.ground)
            .field("shelf", &self.shelf)
            .finish_non_exhaustive()
    }
}

impl Chaos {
    /// The runs of a kernel on this ground, whose reports are kept there. One whose kernel was killed is under way again.
    #[must_use]
    pub fn new(ground: Ground, shelf: Shelf) -> Self {
        let journal = shelf.take_journal();
        let under = journal.as_ref().map(|journal| Under {
            stage: Stage::Returning,
            ..Under::new(
                &journal.report.run,
                &journal.report.plan,
                journal.report.seed,
            )
        });
        Self {
            ground,
            shelf,
            inner: Mutex::new(Inner {
                under,
                journal,
                ..Inner::default()
            }),
            ended: watch::Sender::default(),
        }
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Whether a guard starts the kernel again when its process dies.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.ground.guarded
    }

    /// Where reports are kept.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The run under way, if there is one.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.inner.lock().under.as_ref().map(Under::progress)
    }

    /// The report of a run that has ended; of the last one where none is named.
    #[must_use]
    pub fn report(&self, run: Option<&str>) -> Option<Report> {
        let last = self.inner.lock().last.clone();
        let is_it = |last: &Arc<Report>| run.is_none_or(|run| last.run == run);
        if let Some(last) = last.filter(is_it) {
            return Some(Arc::unwrap_or_clone(last));
        }
        match run {
            Some(run) => self.shelf.report(run),
            None => self.shelf.report(&self.shelf.list().first()?.run),
        }
    }

    /// Waits until that run has ended.
    pub async fn ended(&self, run: &str) -> Option<Report> {
        let mut ended = self.ended.subscribe();
        loop {
            if self.progress().is_none_or(|under| under.run != run) {
                return self.report(Some(run));
            }
            ended.changed().await.ok()?;
        }
    }

    /// Says what is wanted of the run under way, and returns how it is then; `None` if there is none.
    pub fn order(&self, order: Order) -> Option<Progress> {
        let inner = self.inner.lock();
        let under = inner.under.as_ref()?;
        under.orders.send_if_modified(|now| {
            // One that is to end does not go on.
            let changes = *now != order && *now != Order::Stop;
            if changes {
                *now = order;
            }
            changes
        });
        Some(under.progress())
    }

    pub(super) fn note(&self, done: &Done) {
        if let Some(under) = &mut self.inner.lock().under {
            match &done.refused {
                None => under.struck += 1,
                Some(_) => under.refused += 1,
            }
        }
    }

    pub(super) fn keep_words(&self, mut words: Unfinished) {
        let mut inner = self.inner.lock();
        if let Some(under) = &inner.under {
            words.report.run.clone_from(&under.run);
        }
        inner.words = Some(words);
    }

    /// What a run came to whose life has ended, once that is known: it takes a moment until all of a life is gone.
    pub(super) async fn last_words(&self) -> Option<Unfinished> {
        let until = Instant::now() + WORDS_WITHIN;
        loop {
            let words = self.inner.lock().words.take();
            if words.is_some() || Instant::now() >= until {
                return words;
            }
            sleep(LOOK).await;
        }
    }

    pub(super) fn take_words(&self) -> Option<Report> {
        let words = self.inner.lock().words.take();
        words.map(|words| words.report)
    }

    pub(super) fn begin(
        &self,
        kernel: &Kernel,
        wish: &Wish,
    ) -> Result<(String, watch::Receiver<Order>), Refused> {
        let mut inner = self.inner.lock();
        if let Some(under) = &inner.under {
            return Err(Refused::Busy(under.run.clone()));
        }
        if kernel.mode() != Mode::Normal {
            return Err(Refused::Mode(kernel.mode().as_str()));
        }
        if wish.above && self.ground.ends_on_give_up {
            return Err(Refused::Ends);
        }
        if wish.plan.phases.is_empty() && wish.plan.acts.is_empty() {
            return Err(Refused::Empty(wish.plan.name.clone()));
        }
        let (number, run) = self.shelf.next(inner.last_number);
        let under = Under {
            lasts: wish.plan.lasts(),
            ..Under::new(&run, &wish.plan.name, wish.seed)
        };
        let orders = under.orders.subscribe();
        inner.last_number = number;
        inner.words = None;
        inner.under = Some(under);
        Ok((run, orders))
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        if let Some(under) = &mut self.inner.lock().under {
            under.stage = stage;
        }
    }

    /// Forgets the run under way, which leaves no report.
    pub(super) fn forget(&self) {
        self.inner.lock().under = None;
        self.ended.send_replace(());
    }

    /// What the kernel before has written down, until it is forgotten.
    pub(super) fn journal(&self) -> Option<Journal> {
        self.inner.lock().journal.clone()
    }

    /// Forgets what the kernel before has written down.
    pub(super) fn forget_journal(&self) {
        self.inner.lock().journal = None;
    }

    /// Keeps the report of the run under way, which has ended by that.
    pub(super) fn end(&self, mut report: Report) -> Arc<Report> {
        if let Some(under) = &self.inner.lock().under {
            report.run.clone_from(&under.run);
        }
        if let Err(error) = self.shelf.keep(&report) {
            tracing::warn!(run = report.run, %error, "the report of a chaos run cannot be kept");
        }
        let report = Arc::new(report);
        let mut inner = self.inner.lock();
        inner.last = Some(Arc::clone(&report));
        inner.under = None;
        drop(inner);
        self.ended.send_replace(());
        report
    }
}

impl Under {
    fn new(run: &str, plan: &str, seed: u64) -> Self {
        Self {
            run: run.to_owned(),
            plan: plan.to_owned(),
            seed,
            stage: Stage::Running,
            begun: Instant::now(),
            lasts: Duration::ZERO,
            orders: watch::Sender::default(),
            struck: 0,
            refused: 0,
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            run: self.run.clone(),
            plan: self.plan.clone(),
            seed: self.seed,
            state: self.stage,
            order: match *self.orders.borrow() {
                Order::Go => "go",
                Order::Pause => "pause",
                Order::Stop => "stop",
            },
            elapsed_ms: to_ms(self.begun.elapsed()),
            for_ms: to_ms(self.lasts),
            struck: self.struck,
            refused: self.refused,
        }
    }
}
