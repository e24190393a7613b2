//! `/system/chaos`: owns the one run that there may be at a time.
//!
//! A run is a job of the service's life: one that is killed ends it. What lasts is undone by that, and the next life undoes the
//! rest and keeps the report, as stopped. What a run is about, and who waits for its end, lies in [`Chaos`], which outlives the
//! service. A run does not begin anew by itself.
//!
//! A run that kills its kernel has written down before what it came to. The next kernel brings that report to its end: how long
//! there was none, and what came back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{
    Actor, ChildId, Context, Exit, Kernel, Kinds, Message, Mode, Next, Reply, Start,
};

use super::job::{Job, clean_up, return_from};
use super::plan::Plan;
use super::report::{Done, Report};
use super::run::{Order, Work};
use super::shelf::{Journal, Shelf};
use super::traffic::Traffic;
use crate::streams::DiskFaults;

/// Where the service lives.
pub const PATH: &str = "/system/chaos";
/// A fault struck.
pub const STRUCK: &str = "system.chaos.struck";
/// A run began.
pub const BEGUN: &str = "system.chaos.begun";
/// A run ended.
pub const ENDED: &str = "system.chaos.ended";
/// Why a kernel is not killed.
pub const NO_GUARD: &str = "no guard would start the kernel again: `uk run --guard` has one";
const KIND: &str = "chaos";
/// Time between two looks whether a run has said what it came to.
const LOOK: Duration = Duration::from_millis(10);
/// How long a life that has ended may take until its run has said what it came to.
const WORDS_WITHIN: Duration = Duration::from_secs(2);

/// The kinds of services with that of this file.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<ChaosService>(KIND, "breaks things on purpose, by a plan")
}

/// The child of `/system` that does.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("chaos").expect("`chaos` is an id"), KIND)
}

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

/// The runs of a kernel; found by its type with [`Kernel::shared`].
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

    fn begin(
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

pub(super) fn to_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// It has no settings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChaosSettings {}

/// Messages of the service.
#[derive(Debug, Message)]
pub enum ChaosMessage {
    /// Begin; the answer is which run it is.
    Begin(Box<Wish>, Reply<Result<String, Refused>>),
}

/// Owns the run.
#[derive(Debug)]
pub struct ChaosService {
    chaos: Arc<Chaos>,
}

impl Actor for ChaosService {
    type Message = ChaosMessage;
    type Settings = ChaosSettings;

    async fn start(_: &ChaosSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let chaos: Arc<Chaos> = ctx.kernel().shared();
        let (kernel, its) = (ctx.kernel().clone(), Arc::clone(&chaos));
        let journal = chaos.inner.lock().journal.clone();
        if let Some(journal) = journal {
            ctx.spawn(async move {
                return_from(&kernel, &its, journal).await;
                Ok(())
            });
        } else if chaos.progress().is_some() {
            ctx.spawn(async move {
                clean_up(&kernel, &its).await;
                Ok(())
            });
        }
        Ok(Start::Running(Self { chaos }))
    }

    async fn handle(
        &mut self,
        message: &mut ChaosMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let ChaosMessage::Begin(wish, begun) = message;
        let kernel = ctx.kernel().clone();
        let (run, orders) = match self.chaos.begin(&kernel, wish) {
            Ok(begun) => begun,
            Err(refused) => {
                begun.send(Err(refused));
                return Ok(Next::Continue);
            }
        };
        begun.send(Ok(run.clone()));
        let (found, traffic) = oneshot::channel::<Arc<Traffic>>();
        let (over, is_over) = watch::channel(false);
        let (quiet, is_quiet) = oneshot::channel::<()>();
        // Messages are sent and judged beside the run, so that neither waits for the other.
        ctx.spawn(async move {
            if let Ok(traffic) = traffic.await {
                traffic.run(is_over).await;
            }
            drop(quiet);
            Ok(())
        });
        let job = Job {
            kernel,
            chaos: Arc::clone(&self.chaos),
            wish: (**wish).clone(),
            orders,
        };
        ctx.spawn(async move {
            job.run(run, found, over, is_quiet).await;
            Ok(())
        });
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "run": self.chaos.progress() })
    }
}
