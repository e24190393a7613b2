//! Starts and stops, and what an actor that does nothing costs.

use std::fs;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::figure::{Extra, Figure};
use crate::histogram::Histogram;
use crate::peer::Spawns;
use crate::suite::on_worker;

const CHILDREN: usize = 20_000;
const BATCH_CHILDREN: usize = 100_000;
const GROUP: usize = 1_000;
const WARM_UP_CHILDREN: usize = 2_000;
const IDLE_ACTORS: usize = 100_000;

pub(crate) fn spawn<P: Spawns>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    vec![on_worker(runtime, async move {
        P::start_and_stop(WARM_UP_CHILDREN).await;
        spawn_for("spawn_ordered", CHILDREN, time, P::start_and_stop).await
    })]
}

pub(crate) fn batch<P: Spawns>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    vec![on_worker(runtime, async move {
        P::start_and_stop_batch(WARM_UP_CHILDREN).await;
        spawn_for("spawn_batch", BATCH_CHILDREN, time, P::start_and_stop_batch).await
    })]
}

pub(crate) fn group<P: Spawns>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let restarts = on_worker(runtime, async move {
        P::restart_group(GROUP).await;
        let mut restarts = Histogram::new();
        let started = Instant::now();
        while started.elapsed() < time {
            restarts.record(P::restart_group(GROUP).await);
        }
        restarts
    });
    vec![Figure {
        row: "group_1000",
        unit: "us",
        value: restarts.percentile_us(50),
        extras: vec![("groups", Extra::Number(restarts.samples() as f64))],
    }]
}

async fn spawn_for<R: Future<Output = (Duration, Duration)>>(
    row: &'static str,
    count: usize,
    time: Duration,
    start_and_stop: impl Fn(usize) -> R,
) -> Figure {
    let (mut starts, mut stops) = (Duration::ZERO, Duration::ZERO);
    let mut children = 0;
    while starts + stops < time {
        let (start, stop) = start_and_stop(count).await;
        starts += start;
        stops += stop;
        children += count;
    }
    let per_second = |time: Duration| children as f64 / time.as_secs_f64();
    Figure {
        row,
        unit: "per_s",
        value: per_second(starts + stops),
        extras: vec![
            ("start_per_s", Extra::Number(per_second(starts))),
            ("stop_per_s", Extra::Number(per_second(stops))),
        ],
    }
}

/// Takes as long as it takes.
pub(crate) fn idle<P: Spawns>(runtime: &Runtime, _time: Duration) -> Vec<Figure> {
    let growth = on_worker(runtime, async {
        let _warm = P::start_idle(WARM_UP_CHILDREN).await;
        let before = resident_bytes();
        let _idle = P::start_idle(IDLE_ACTORS).await;
        resident_bytes() - before
    });
    vec![Figure {
        row: "idle_bytes",
        unit: "bytes",
        value: growth / IDLE_ACTORS as f64,
        extras: vec![("actors", Extra::Number(IDLE_ACTORS as f64))],
    }]
}

fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .expect("a line `VmRSS: 123 kB`");
    kilobytes * 1_024.0
}
