//! Whether a restart budget can be spent at all, given the pauses that backoff makes.
//!
//! A budget is spent by more than `intensity` restarts within `period`. A child without backoff that
//! crashes at once spends any budget. One with backoff can crash only as often as its shortest
//! pauses (jitter taken off) fit into the period, and the first pauses are the shortest. If all
//! children together cannot crash often enough, the supervisor will restart them for ever.

use std::time::Duration;

use unity_supervisors::spec::{Backoff, Restart, SupervisorSpec};

use super::child::Lowered;
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::format_duration;
use super::reader::Reader;
use super::source::Span;

/// How many pauses are looked at one by one before a budget is taken to be fine.
const PAUSES_MAX: usize = 10_000;
/// How many children and pauses a warning shows.
const SHOWN_MAX: usize = 3;
/// More equal pauses than this are shown as a product.
const TERMS_MAX: u64 = 3;

impl Reader<'_> {
    /// Warns if the children can never spend the budget of their supervisor because of backoff. The one child of a
    /// template stands for as many as there may be.
    pub(super) fn check_budget(
        &mut self,
        spec: &SupervisorSpec,
        children: &[Lowered],
        path: &str,
        at: Span,
    ) {
        let intensity = u64::from(spec.intensity);
        let copies = match (&spec.template, spec.partitions) {
            (None, _) => 1,
            (Some(_), Some(count)) => u64::from(count),
            (Some(template), None) => {
                let most = template.max_children.map(u64::try_from);
                most.and_then(Result::ok).unwrap_or(u64::MAX)
            }
        };
        let mut total = 0_u64;
        let mut paused = Vec::new();
        for child in children
            .iter()
            .filter(|child| child.spec.restart != Restart::Temporary)
        {
            let has_ladder = child
                .spec
                .as_worker()
                .is_some_and(|worker| worker.on_crash.is_some());
            let Some(backoff) = child.spec.backoff.as_ref().filter(|_| !has_ladder) else {
                // What a ladder takes upon itself, and for how long, is no matter of pauses.
                return;
            };
            let Some(fit) = crashes_in(backoff, spec.period, intensity) else {
                return;
            };
            total = total.saturating_add(fit.saturating_mul(copies));
            if total > intensity {
                return;
            }
            paused.push((child, backoff, fit));
        }
        if total == 0 {
            return;
        }
        let period = format_duration(spec.period);
        let most = total.saturating_sub(1);
        let message = format!("the restart limit of {path} can never be reached");
        let label = format!(
            "takes more than {} in {period}",
            times(intensity, "restart")
        );
        let mut warning = Diagnostic::new(Code::BudgetNeverSpent, message).at(at, label);
        for (child, backoff, fit) in paused.iter().take(SHOWN_MAX) {
            let of = match spec.template {
                Some(_) => "a child".to_owned(),
                None => format!("`{}`", child.spec.id),
            };
            warning = warning.note(format!(
                "crash {} of {of} comes at least {} after crash 1, more than {period}",
                fit + 1,
                sum_of_pauses(backoff, *fit),
            ));
            if let Some(at) = child.backoff_at {
                warning = warning.related(at, format!("the pauses of {of}"));
            }
        }
        let all = times(total, "restart");
        let count = u64::try_from(paused.len()).unwrap_or(u64::MAX);
        warning = warning.note(match count.saturating_mul(copies) {
            1 => format!("so at most {all} in {period}, not more than {intensity}: it is restarted for ever"),
            count => format!(
                "so at most {all} of all {count} children in {period}, not more than {intensity}: they are restarted for ever"
            ),
        });
        let less = if most == 0 { "" } else { " or less" };
        self.report(warning.help(format!(
            "to give up at last: `intensity: {most}`{less}, a longer `period`, or shorter pauses"
        )));
    }
}

fn times(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How many crashes fit into `period`, the first at its begin; `None` if more than `enough`, or if
/// it takes too long to find out.
pub(super) fn crashes_in(backoff: &Backoff, period: Duration, enough: u64) -> Option<u64> {
    let period = period.as_secs_f64();
    let mut at = 0.0;
    for ((pause, steady), crashes) in pauses(backoff).take(PAUSES_MAX).zip(1_u64..) {
        if crashes > enough {
            return None;
        }
        if steady {
            // Whole pauses, counted as whole seconds; no pause at all gives no duration.
            let more = Duration::try_from_secs_f64((period - at) / pause)
                .ok()?
                .as_secs();
            return Some(crashes.saturating_add(more)).filter(|crashes| *crashes <= enough);
        }
        at += pause;
        if at > period {
            return Some(crashes);
        }
    }
    None
}

/// The shortest pauses in seconds, and whether all that follow are as long.
fn pauses(backoff: &Backoff) -> impl Iterator<Item = (f64, bool)> {
    let (max, factor) = (backoff.max.as_secs_f64(), backoff.factor);
    let share = 1.0 - backoff.jitter;
    std::iter::successors(Some(backoff.min.as_secs_f64().min(max)), move |pause| {
        Some((pause * factor).min(max))
    })
    .map(move |pause| {
        let steady = pause >= max || factor <= 1.0 || pause <= 0.0;
        (pause * share, steady)
    })
}

/// The first `count` pauses added up: `800ms + 1600ms + … + 6400ms = 12s`.
pub(super) fn sum_of_pauses(backoff: &Backoff, count: u64) -> String {
    // Rounded, as 0.8 of 100 ms is a hair below 80 ms.
    let shown = |pause: f64| {
        let pause = Duration::try_from_secs_f64((pause * 1000.0).round() / 1000.0);
        pause.map_or_else(|_| "for ever".to_owned(), format_duration)
    };
    let mut sum = 0.0;
    let mut terms = Vec::new();
    for ((pause, steady), left) in pauses(backoff).zip((1..=count).rev()) {
        terms.push(shown(pause));
        sum += pause;
        if steady && left > TERMS_MAX {
            let times = left.to_string();
            sum += pause * (times.parse::<f64>().unwrap_or(f64::INFINITY) - 1.0);
            let pause = terms.pop().unwrap_or_default();
            terms.push(format!("{times} x {pause}"));
            break;
        }
    }
    if let [first, second, .., last] = terms.as_slice()
        && terms.len() > SHOWN_MAX + 2
    {
        terms = vec![first.clone(), second.clone(), "…".to_owned(), last.clone()];
    }
    match terms.as_slice() {
        [only] if !only.contains(" x ") => only.clone(),
        _ => format!("{} = {}", terms.join(" + "), shown(sum)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_are_counted_with_the_shortest_pauses() {
        for (min_ms, max_ms, factor, jitter, period_s, enough, expected) in [
            // 0, 1, 3, 7 s; the next is at 15 s.
            (1000, 60_000, 2.0, 0.0, 10, 100, Some(4)),
            // A fifth shorter: 0, 0.8, 2.4, 5.6 s; the next is at 12 s.
            (1000, 60_000, 2.0, 0.2, 10, 100, Some(4)),
            // 0, 1, 3, 5, 7, 9 s.
            (1000, 2000, 2.0, 0.0, 10, 100, Some(6)),
            // Every second, both ends counted.
            (1000, 1000, 2.0, 0.0, 10, 100, Some(11)),
            (1000, 60_000, 1.0, 0.0, 10, 100, Some(11)),
            (1000, 1000, 1.0, 0.0, 10, 5, None),
            (0, 1000, 2.0, 0.0, 10, 100, None),
            (1000, 1000, 2.0, 1.0, 10, 100, None),
            (20_000, 60_000, 2.0, 0.0, 10, 1, Some(1)),
            (
                1,
                86_400_000,
                1.000_000_1,
                0.0,
                86_400,
                u64::from(u32::MAX),
                None,
            ),
            (1, 1, 1.0, 0.0, 3_000_000_000, u64::from(u32::MAX), None),
        ] {
            let backoff = Backoff {
                min: Duration::from_millis(min_ms),
                max: Duration::from_millis(max_ms),
                factor,
                jitter,
            };
            let found = crashes_in(&backoff, Duration::from_secs(period_s), enough);
            assert_eq!(
                found, expected,
                "{backoff:?} in {period_s} s, {enough} are enough"
            );
        }
    }

    #[test]
    fn the_sum_of_the_pauses_is_told_with_its_terms() {
        let of = |min_ms, max_ms, jitter, count| {
            let backoff = Backoff {
                min: Duration::from_millis(min_ms),
                max: Duration::from_millis(max_ms),
                factor: 2.0,
                jitter,
            };
            sum_of_pauses(&backoff, count)
        };

        assert_eq!(of(100, 10_000, 0.2, 1), "80ms");
        assert_eq!(
            of(1000, 60_000, 0.2, 4),
            "800ms + 1600ms + 3200ms + 6400ms = 12s"
        );
        assert_eq!(
            of(100, 60_000, 0.0, 8),
            "100ms + 200ms + … + 12800ms = 25500ms"
        );
        assert_eq!(of(10_000, 10_000, 0.2, 2), "8s + 8s = 16s");
        assert_eq!(of(10_000, 10_000, 0.0, 361), "361 x 10s = 3610s");
        assert_eq!(of(5000, 10_000, 0.0, 6), "5s + 5 x 10s = 55s");
    }
}
