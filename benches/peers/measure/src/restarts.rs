//! From a crash to the answer of the next life: one child at a time, and a thousand at once.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::figure::{Extra, Figure, percentiles};
use crate::histogram::Histogram;
use crate::peer::Restarts;
use crate::suite::{on_worker, warm_up};

const CROWD: usize = 1_000;
/// Crowds are counted when so many have warmed up.
const WARM_UP_CROWDS: usize = 2;

pub(crate) fn restart<P: Restarts>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let run = on_worker(runtime, async move {
        let (_supervisor, mut crowd) = P::start_crowd(1).await;
        let mut member = crowd.pop().expect("one was asked for");
        let mut lives = 0;
        restart_for::<P>(&mut member, &mut lives, warm_up(time)).await;
        restart_for::<P>(&mut member, &mut lives, time).await
    });
    let flat = run.last.percentile_us(50) / run.first.percentile_us(50);
    percentiles(
        ["restart_p50", "restart_p99"],
        &run.all,
        &[("flat", Extra::Number(flat))],
    )
}

struct RestartRun {
    all: Histogram,
    /// Of the first tenth of the time.
    first: Histogram,
    /// Of the last tenth.
    last: Histogram,
}

async fn restart_for<P: Restarts>(
    member: &mut P::Member,
    lives: &mut u64,
    time: Duration,
) -> RestartRun {
    let mut run = RestartRun {
        all: Histogram::new(),
        first: Histogram::new(),
        last: Histogram::new(),
    };
    let started = Instant::now();
    let mut told = started;
    while told < started + time {
        P::crash(member).await;
        *lives += 1;
        assert_eq!(P::ask_next(member).await, *lives, "the next life answers");
        let answered = Instant::now();
        let latency = answered - told;
        run.all.record(latency);
        if answered < started + time / 10 {
            run.first.record(latency);
        } else if answered > started + time / 10 * 9 {
            run.last.record(latency);
        }
        told = answered;
    }
    run
}

pub(crate) fn crash<P: Restarts>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let bursts = on_worker(runtime, async move {
        for _ in 0..WARM_UP_CROWDS {
            crash_at_once::<P>().await;
        }
        let mut bursts = Histogram::new();
        let started = Instant::now();
        while started.elapsed() < time {
            bursts.record(crash_at_once::<P>().await);
        }
        bursts
    });
    vec![Figure {
        row: "crash_1000",
        unit: "per_s",
        value: CROWD as f64 / bursts.percentile_us(50) * 1e6,
        extras: vec![("bursts", Extra::Number(bursts.samples() as f64))],
    }]
}

/// From the first crash until all have answered in their next life.
async fn crash_at_once<P: Restarts>() -> Duration {
    let (crowd, mut members) = P::start_crowd(CROWD).await;
    let started = Instant::now();
    for member in &mut members {
        P::crash(member).await;
    }
    for member in &mut members {
        assert_eq!(P::ask_next(member).await, 1, "the second life answers");
    }
    let elapsed = started.elapsed();
    P::end_crowd(crowd).await;
    elapsed
}
