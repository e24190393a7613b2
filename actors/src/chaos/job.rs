//! A run as a job of `/system/chaos`: how it is made, how it ends, and what the next life or the next kernel makes of one that did
//! not come to its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::{Kernel, Mode};

use super::above::{self, Above};
use super::outside::{NOTES_MAX, RealOutside};
use super::plan::{Act, Fault};
use super::report::{Done, OfFault, Outcome, Report, Spread};
use super::run::{NOBODY, Order, Run, to_ms};
use super::runs::{Chaos, Stage, Unfinished, Wish};
use super::service::{BEGUN, ENDED, PATH, STRUCK};
use super::shelf::Journal;
use super::traffic::{self, Traffic};
use crate::duration::DurationText;

/// Time between two looks whether all is up again in the kernel after one that was killed.
const LOOK: Duration = Duration::from_millis(10);

/// A run, as a job of the service.
pub(super) struct Job {
    pub(super) kernel: Kernel,
    pub(super) chaos: Arc<Chaos>,
    pub(super) wish: Wish,
    pub(super) orders: watch::Receiver<Order>,
}

impl Job {
    pub(super) async fn run(
        self,
        name: String,
        found: oneshot::Sender<Arc<Traffic>>,
        over: watch::Sender<bool>,
        quiet: oneshot::Receiver<()>,
    ) {
        let Self {
            kernel,
            chaos,
            wish,
            orders,
        } = &self;
        let begun = json!({ "run": name, "plan": wish.plan.name, "seed": wish.seed });
        publish(kernel, BEGUN, begun).await;
        tracing::warn!(
            run = name,
            plan = wish.plan.name,
            seed = wish.seed,
            "a chaos run begins"
        );
        let up = above::up(kernel);
        let traffic = Arc::new(Traffic::begin(kernel).await);
        // Without it nobody sends.
        drop(found.send(Arc::clone(&traffic)));
        let (notes, mut noted) = mpsc::channel(NOTES_MAX);
        let meddled = Arc::default();
        let (sends, its) = (Arc::clone(&traffic), Arc::clone(&meddled));
        let (above, source) = (wish.above, wish.source.clone());
        let complete = move |report: &mut Report| {
            report.told.above = above;
            report.told.source.clone_from(&source);
            sends.counts(&its).write(report);
        };
        let outside = RealOutside {
            kernel: kernel.clone(),
            chaos: Arc::clone(chaos),
            notes,
            up,
            settles_within_ms: to_ms(wish.plan.settles_within.0),
            complete: Box::new(complete),
        };
        let run = Run::new(kernel, &wish.plan, wish.seed, &outside, orders.clone());
        let running = run.meddling(Arc::clone(&meddled)).run();
        let publishing = async {
            while let Some(done) = noted.recv().await {
                publish(kernel, STRUCK, json!({ "run": name, "act": done })).await;
            }
            std::future::pending().await
        };
        let mut report = tokio::select! {
            biased;
            report = running => report,
            never = publishing => never,
        };
        while let Ok(done) = noted.try_recv() {
            publish(kernel, STRUCK, json!({ "run": name, "act": done })).await;
        }
        over.send_replace(true);
        // All are answered once whoever sends has let go of it.
        drop(quiet.await);
        (outside.complete)(&mut report);
        traffic.end().await;
        judge(&mut report, traffic.has_own());
        if wish.above && matches!(report.outcome, Outcome::Passed | Outcome::Idle) {
            self.go_above(&mut report).await;
        }
        let report = chaos.end(report);
        say_end(kernel, &report).await;
    }

    async fn go_above(&self, report: &mut Report) {
        let mut words = report.clone();
        words.outcome = Outcome::Stopped;
        let left = Vec::new();
        self.chaos.keep_words(Unfinished {
            report: words,
            left,
        });
        self.chaos.set_stage(Stage::Above);
        let above = Above {
            kernel: &self.kernel,
            orders: self.orders.clone(),
            settles_within: self.wish.plan.settles_within.0,
        };
        let above = above.run().await;
        let why = match (above.safe_mode, above.essential_up, above.restored) {
            (_, _, false) => "not all came back after safe mode",
            (false, ..) => {
                "safe mode was not reached: the root has nobody who can be killed as often as its budget takes"
            }
            (_, false, _) => "an essential child was not up in safe mode",
            _ => "",
        };
        report.above = Some(above);
        if *self.orders.borrow() == Order::Stop {
            report.outcome = Outcome::Stopped;
            report.why = Some("it was stopped".to_owned());
        } else if !why.is_empty() {
            report.outcome = Outcome::Failed;
            report.why = Some(why.to_owned());
        } else if report.outcome == Outcome::Idle {
            report.outcome = Outcome::Passed;
            report.why = None;
        }
    }
}

/// Counts what became of messages into how it ended.
fn judge(report: &mut Report, has_own: bool) {
    if report.outcome != Outcome::Passed {
        return;
    }
    let Report {
        lost,
        doubled,
        out_of_order,
        ..
    } = *report;
    if lost + doubled + out_of_order > 0 {
        report.outcome = Outcome::Failed;
        let why = format!(
            "of its messages {lost} were lost, {doubled} doubled, {out_of_order} overtaken"
        );
        report.why = Some(why);
        return;
    }
    let own = traffic::own_path().filter(|_| has_own);
    let is_own = |done: &Done| {
        let path = done.act.path.as_ref();
        path.is_some_and(|path| own.as_ref().is_some_and(|own| own.contains(path)))
    };
    let mut struck = report.acts.iter().filter(|done| done.refused.is_none());
    if struck.all(is_own) {
        report.outcome = Outcome::Idle;
        report.why = Some(NOBODY.to_owned());
    }
}

/// Undoes what a life of the service left behind that ended during a run, and keeps its report.
pub(super) async fn clean_up(kernel: &Kernel, chaos: &Chaos) {
    let words = chaos.last_words().await;
    let was_above = chaos
        .progress()
        .is_some_and(|under| under.state == Stage::Above);
    let report = match words {
        Some(Unfinished { mut report, left }) => {
            futures_util::future::join_all(left).await;
            report.why = Some("the service `/system/chaos` was restarted".to_owned());
            Some(report)
        }
        None => None,
    };
    traffic::remove_own(kernel).await;
    if was_above && let Err(error) = kernel.release_all().await {
        tracing::error!(%error, "what chaos brought into safe mode cannot be released");
    }
    match report {
        Some(report) => {
            let report = chaos.end(report);
            say_end(kernel, &report).await;
        }
        None => {
            // It had not begun, or had come to its end but for the part above.
            chaos.forget();
        }
    }
}

/// Brings the report of a run to its end whose kernel was killed.
pub(super) async fn return_from(kernel: &Kernel, chaos: &Chaos, journal: Journal) {
    let gone = journal.killed_at.age(Clock::real().wall());
    let until = Instant::now() + Duration::from_millis(journal.settles_within_ms);
    kernel.booted().await;
    let is_back = loop {
        if above::are_up(kernel, &journal.up) {
            break true;
        }
        if Instant::now() >= until || kernel.mode() == Mode::Stopping {
            break false;
        }
        sleep(LOOK).await;
    };
    let took = is_back.then(|| journal.killed_at.age(Clock::real().wall()));
    chaos.forget_journal();
    let down = journal
        .up
        .iter()
        .filter(|path| !above::are_up(kernel, std::slice::from_ref(path)));
    let down = down.cloned().collect();
    let mut report = returned(journal.report, gone, took, journal.killed_at);
    report.not_recovered = down;
    let report = chaos.end(report);
    say_end(kernel, &report).await;
}

/// The report of a run whose kernel was killed and came back.
fn returned(mut report: Report, gone: Duration, took: Option<Duration>, at: Timestamp) -> Report {
    report.gone_ms = Some(to_ms(gone));
    report.outcome = match took {
        Some(_) if report.lost + report.doubled + report.out_of_order == 0 => Outcome::Passed,
        _ => Outcome::Failed,
    };
    report.why = match took {
        None => Some("not all came back after the kernel was killed".to_owned()),
        Some(_) if report.outcome == Outcome::Failed => {
            Some("not all messages arrived once, in order".to_owned())
        }
        Some(_) => None,
    };
    let at = report.started_at.age(at);
    report.took_ms = to_ms(at + took.unwrap_or(gone));
    // Who was on the way up when the kernel was killed is up by now.
    if took.is_some() {
        report.recovered = report.kills;
    }
    report.faults.insert(
        Fault::KillKernel.name().to_owned(),
        OfFault {
            count: 1,
            recovered: u64::from(took.is_some()),
            recovery_ms: Spread::of(took),
        },
    );
    report.acts.push(Done {
        act: Act {
            at: DurationText(at),
            fault: Fault::KillKernel,
            path: None,
        },
        incarnation: None,
        recovered_ms: took.map(|took| took.as_secs_f64() * 1e3),
        refused: None,
    });
    report
}

async fn say_end(kernel: &Kernel, report: &Report) {
    let Report {
        run,
        outcome,
        why,
        kills,
        lost,
        ..
    } = report;
    tracing::warn!(run, ?outcome, why, kills, lost, "a chaos run has ended");
    let said = json!({ "run": run, "outcome": outcome, "why": why, "kills": kills, "lost": lost });
    publish(kernel, ENDED, said).await;
}

/// What cannot be published is logged: above all while chaos has filled the disk.
async fn publish(kernel: &Kernel, topic: &str, data: Value) {
    let Ok(topic) = Topic::new(topic) else { return };
    let draft = Draft::new(&topic, data);
    if let Err(error) = kernel.bus().publish(&PATH.into(), draft).await {
        tracing::warn!(%topic, %error, "what chaos does was not published");
    }
}
