//! `cargo bench --bench swap`: what it costs that settings can change while a kernel runs, and how soon they do.
//!
//! Reads settings through a handle beside a plain `Arc`; saves a tree file of 1,000 children and waits until a child goes
//! by it; changes one child 1,000 times a second under a flood of messages; and goes back, by a crash and by hand. Each row
//! checks first that what it measures is what it says. Ends with exit code 1 when a limit is broken.

#[path = "swap/files.rs"]
mod files;
#[path = "swap/flood.rs"]
mod flood;
#[path = "swap/reads.rs"]
mod reads;
#[path = "swap/subject.rs"]
mod subject;
#[path = "verdict.rs"]
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use self::verdict::report;

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    let mut holds = reads::run()?;
    holds &= files::run()?;
    holds &= flood::run()?;
    Ok(holds)
}

/// Times, smallest first.
struct Sorted(Vec<Duration>);

impl Sorted {
    fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    /// The smallest time that so many of a hundred do not exceed.
    fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        let sample = self.0.get(rank - 1);
        sample.map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }

    /// A line of a table, and whether the 99th percentile is within the limit, where there is one.
    fn row(&self, what: &str, limit: Option<Duration>) -> bool {
        let [p50, p99, worst] = [50, 99, 100].map(|percent| self.percentile_ms(percent));
        let limit_ms = limit.map(|limit| limit.as_secs_f64() * 1e3);
        let shown = limit_ms.map_or("–".to_owned(), |limit| format!("{limit:.0} ms"));
        report(&format!(
            "| {what} | {p50:.2} ms | {p99:.2} ms | {worst:.2} ms | {shown} |"
        ));
        limit_ms.is_none_or(|limit| p99 <= limit)
    }
}
