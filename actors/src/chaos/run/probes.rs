//! What must hold: looked at before, during and after a run.

use std::time::Duration;

use tokio::time::Instant;
use unity_supervisors::{ActorPath, Kernel};

use super::Outside;
use super::watch::Watched;
use crate::chaos::plan::Probe;
use crate::chaos::report::{OfProbe, Spread};
use crate::duration::format_duration;

/// How often they are looked at.
const EVERY: Duration = Duration::from_millis(250);
/// From so many answers on one in a hundred is known.
const ANSWERS_MIN: usize = 100;

/// The probes of a run.
#[derive(Debug)]
pub(super) struct Probes {
    list: Vec<Watch>,
    next: Instant,
}

#[derive(Debug)]
struct Watch {
    probe: Probe,
    looks: u64,
    broke: bool,
    worst: f64,
    said: String,
    answers: Vec<Duration>,
    /// The messages that it had handled, and since when that has not changed.
    handled: Option<(u64, Instant)>,
}

impl Probes {
    pub(super) fn new(probes: &[Probe]) -> Self {
        let watch = |probe: &Probe| Watch {
            probe: probe.clone(),
            looks: 0,
            broke: false,
            worst: -1.0,
            said: "never looked at".to_owned(),
            answers: Vec::new(),
            handled: None,
        };
        Self {
            list: probes.iter().map(watch).collect(),
            next: Instant::now(),
        }
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.list.is_empty()).then_some(self.next)
    }

    /// The next look is due at once.
    pub(super) fn look_now(&mut self) {
        self.next = Instant::now();
    }

    /// Looks, if that is due; says what does not hold, if something does not.
    pub(super) async fn look(
        &mut self,
        kernel: &Kernel,
        outside: &dyn Outside,
        watched: &Watched,
    ) -> Option<String> {
        let now = Instant::now();
        if self.list.is_empty() || now < self.next {
            return None;
        }
        self.next = now + EVERY;
        let mut broken = None;
        for watch in &mut self.list {
            let holds = watch.look(kernel, outside, watched).await;
            watch.looks += 1;
            if !holds {
                watch.broke = true;
                let why = format!("`{}` does not hold: {}", watch.probe.name(), watch.said);
                broken.get_or_insert(why);
            }
        }
        broken
    }

    pub(super) fn report(&self) -> Vec<OfProbe> {
        let report = |watch: &Watch| OfProbe {
            probe: watch.probe.name(),
            held: !watch.broke && watch.looks > 0,
            looks: watch.looks,
            worst: watch.said.clone(),
        };
        self.list.iter().map(report).collect()
    }
}

impl Watch {
    async fn look(&mut self, kernel: &Kernel, outside: &dyn Outside, watched: &Watched) -> bool {
        match self.probe.clone() {
            Probe::PermanentUp { within } => {
                let Some((path, down)) = watched.longest_down() else {
                    self.note(0.0, || format!("all {} up", watched.len()));
                    return true;
                };
                let said = || format!("`{path}` down for {}", format_duration(down));
                self.note(down.as_secs_f64(), said);
                down <= within.0
            }
            Probe::Ask { path, message, p99 } => {
                // One that takes much longer is not waited for: the look would be late for the others.
                let begun = Instant::now();
                let answer = kernel.ask(&path, message, p99.0 * 4).await;
                let took = match answer {
                    Ok(_) => begun.elapsed(),
                    Err(_) => p99.0 * 4,
                };
                self.answered(&path, took) <= p99.0
            }
            Probe::GoesOn { path, within } => {
                let still = self.stands_still(kernel, &path);
                let said = || format!("no message for {}", format_duration(still));
                self.note(still.as_secs_f64(), said);
                still <= within.0
            }
            Probe::Lag { stream, most } => {
                let Some(lag) = outside.lag(&stream).await else {
                    self.note(f64::MAX, || format!("there is no stream `{stream}`"));
                    return false;
                };
                #[expect(clippy::cast_precision_loss, reason = "to be compared only")]
                self.note(lag as f64, || format!("{lag} entries behind"));
                lag <= most
            }
            Probe::Memory { most_mib } => {
                let Some(used) = outside.memory() else {
                    self.note(0.0, || "memory cannot be measured here".to_owned());
                    return true;
                };
                let mib = used >> 20;
                #[expect(clippy::cast_precision_loss, reason = "to be compared only")]
                self.note(used as f64, || format!("{mib} MiB"));
                mib <= most_mib
            }
        }
    }

    /// Keeps the worst.
    fn note(&mut self, how_bad: f64, said: impl FnOnce() -> String) {
        if how_bad > self.worst {
            self.worst = how_bad;
            self.said = said();
        }
    }

    /// Adds an answer; the slowest in a hundred so far, or the median while there are few.
    fn answered(&mut self, path: &ActorPath, took: Duration) -> Duration {
        self.answers.push(took);
        let spread = Spread::of(self.answers.iter().copied());
        let (few, ms) = match self.answers.len() < ANSWERS_MIN {
            true => ("median", spread.p50),
            false => ("p99", spread.p99),
        };
        let ms = ms.unwrap_or_default();
        self.said = format!("`{path}` answers in {ms} ms ({few})");
        Duration::from_secs_f64(ms / 1e3)
    }

    /// For how long it has handled nothing.
    fn stands_still(&mut self, kernel: &Kernel, path: &ActorPath) -> Duration {
        let mailbox = kernel.node(path).and_then(|node| node.mailbox);
        let handled = mailbox.map_or(0, |mailbox| mailbox.handled);
        match self.handled {
            Some((before, since)) if before == handled => since.elapsed(),
            _ => {
                self.handled = Some((handled, Instant::now()));
                Duration::ZERO
            }
        }
    }
}
