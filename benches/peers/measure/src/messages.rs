//! Tells and asks.

use std::time::Duration;

use tokio::{runtime::Runtime, task, time::Instant};

use crate::figure::{Extra, Figure, percentiles};
use crate::histogram::Histogram;
use crate::peer::Messages;
use crate::suite::warm_up;

/// Producers look at the clock, and yield where the mailbox is unbounded, after so many tells.
const TELLS_PER_SLICE: u64 = 64;

pub(crate) fn tell_1_1<P: Messages>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    tells::<P>(runtime, "tell_1_1", 1, time)
}

pub(crate) fn tell_4_1<P: Messages>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    tells::<P>(runtime, "tell_4_1", 4, time)
}

pub(crate) fn ask<P: Messages>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let latencies = runtime.block_on(P::spawn(runtime.handle(), asks::<P>(time)));
    percentiles(["ask_p50", "ask_p99"], &latencies, &[])
}

pub(crate) fn ask_outside<P: Messages>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let latencies = runtime.block_on(asks::<P>(time));
    percentiles(["ask_outside_p50", "ask_outside_p99"], &latencies, &[])
}

fn tells<P: Messages>(
    runtime: &Runtime,
    row: &'static str,
    producers: usize,
    time: Duration,
) -> Vec<Figure> {
    runtime.block_on(async {
        let consumer = P::start_consumer().await;
        tell_for::<P>(runtime, &consumer, producers, warm_up(time)).await;
        let run = tell_for::<P>(runtime, &consumer, producers, time).await;
        let capacity = P::CAPACITY.map_or(Extra::Text("unbounded"), |capacity| {
            Extra::Number(capacity as f64)
        });
        vec![Figure {
            row,
            unit: "per_s",
            value: run.messages as f64 / run.elapsed.as_secs_f64(),
            extras: vec![
                ("capacity", capacity),
                ("drain_ms", Extra::Number(run.drain.as_secs_f64() * 1_000.0)),
            ],
        }]
    })
}

struct TellRun {
    messages: u64,
    elapsed: Duration,
    /// From the last send until all was handled.
    drain: Duration,
}

/// Lets `producers` tasks tell for `time`, and waits until all is handled.
async fn tell_for<P: Messages>(
    runtime: &Runtime,
    consumer: &P::Consumer,
    producers: usize,
    time: Duration,
) -> TellRun {
    let handled_before = P::ask(consumer).await;
    let started = Instant::now();
    let tasks: Vec<_> = (0..producers)
        .map(|_| {
            let produce = produce::<P>(consumer.clone(), started + time);
            P::spawn(runtime.handle(), produce)
        })
        .collect();
    let mut messages = 0;
    for task in tasks {
        messages += task.await;
    }
    let last_sent = Instant::now();
    let handled = P::ask(consumer).await - handled_before;
    assert_eq!(handled, messages, "every message told is handled once");
    TellRun {
        messages,
        elapsed: started.elapsed(),
        drain: last_sent.elapsed(),
    }
}

/// Returns how many it told.
async fn produce<P: Messages>(consumer: P::Consumer, deadline: Instant) -> u64 {
    let mut told = 0;
    while Instant::now() < deadline {
        for _ in 0..TELLS_PER_SLICE {
            P::tell(&consumer, told).await;
            told += 1;
        }
        if P::CAPACITY.is_none() {
            task::yield_now().await;
        }
    }
    told
}

async fn asks<P: Messages>(time: Duration) -> Histogram {
    let consumer = P::start_consumer().await;
    ask_for::<P>(&consumer, warm_up(time)).await;
    ask_for::<P>(&consumer, time).await
}

async fn ask_for<P: Messages>(consumer: &P::Consumer, time: Duration) -> Histogram {
    let mut latencies = Histogram::new();
    let mut asked = Instant::now();
    let deadline = asked + time;
    while asked < deadline {
        P::ask(consumer).await;
        let answered = Instant::now();
        latencies.record(answered - asked);
        asked = answered;
    }
    latencies
}
