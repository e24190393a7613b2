//! The loops: what the crate's documentation promises for each row.
//!
//! A broken promise of a framework (a lost message, an ask without an answer) panics, for a figure
//! from such a run would be worth nothing.

use std::{
    io::{self, Write},
    panic,
    process::ExitCode,
    time::Duration,
};

use tokio::{
    runtime::{self, Runtime},
    task,
    time::Instant,
};

use crate::{
    figure::{Extra, Figure, locked_version},
    histogram::Histogram,
    options::{self, Measurement, Options, USAGE},
    peer::{CRASH_TEXT, Peer},
};

const WORKERS: usize = 2;
/// Producers look at the clock, and yield where the mailbox is unbounded, after so many tells.
const TELLS_PER_SLICE: u64 = 64;
const CHILDREN: usize = 20_000;
const WARM_UP_CHILDREN: usize = 2_000;

/// Runs a framework's process: reads the arguments, measures, and prints one JSON line per row.
///
/// `lock_file` is the text of the `Cargo.lock` that the process was built with; it says the version.
///
/// The exit code is 0, 2 for arguments that cannot be followed, or 1 if stdout is closed.
///
/// # Panics
/// If the framework breaks a promise, such as losing a message.
pub fn run<P: Peer>(lock_file: &str) -> ExitCode {
    run_with::<P>(lock_file, std::env::args().skip(1))
}

/// [`run`] with arguments that are not the process's own.
///
/// # Panics
/// As [`run`].
pub fn run_with<P: Peer>(lock_file: &str, arguments: impl Iterator<Item = String>) -> ExitCode {
    let version = locked_version(lock_file, P::PACKAGE).unwrap_or("unknown");
    match options::parse(arguments) {
        Ok(Options::Help) => {
            complain(USAGE);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("error: {error}\n\n{USAGE}"));
            ExitCode::from(2)
        }
        Ok(Options::Measure { requests, time }) => {
            silence_the_crash();
            for request in requests {
                let figures = measure::<P>(request.measurement, time);
                let wanted = figures
                    .iter()
                    .filter(|figure| request.rows.contains(&figure.row));
                if let Err(error) = print(P::FRAMEWORK, version, wanted) {
                    complain(&format!("error: stdout: {error}"));
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
    }
}

fn print<'a>(
    framework: &str,
    version: &str,
    figures: impl Iterator<Item = &'a Figure>,
) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for figure in figures {
        writeln!(stdout, "{}", figure.json(framework, version))?;
    }
    stdout.flush()
}

#[expect(
    clippy::print_stderr,
    reason = "a command's usage and errors belong there"
)]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Thousands of reports of a wanted panic would be what is measured. All others stay.
fn silence_the_crash() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(CRASH_TEXT) {
            report(info);
        }
    }));
}

fn measure<P: Peer>(measurement: Measurement, time: Duration) -> Vec<Figure> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_time()
        .build()
        .expect("two worker threads can be started");
    let warm_up = (time / 5).clamp(Duration::from_millis(50), Duration::from_millis(500));
    match measurement {
        Measurement::TellOneToOne => vec![tells::<P>(&runtime, "tell_1_1", 1, warm_up, time)],
        Measurement::TellFourToOne => vec![tells::<P>(&runtime, "tell_4_1", 4, warm_up, time)],
        Measurement::Ask => {
            let latencies = on_worker(&runtime, asks::<P>(warm_up, time));
            percentiles(["ask_p50", "ask_p99"], &latencies, None)
        }
        Measurement::AskOutside => {
            let latencies = runtime.block_on(asks::<P>(warm_up, time));
            percentiles(["ask_outside_p50", "ask_outside_p99"], &latencies, None)
        }
        Measurement::Spawn => vec![on_worker(&runtime, spawns::<P>(time))],
        Measurement::Restart => {
            let latencies = on_worker(&runtime, restarts::<P>(warm_up, time));
            percentiles(
                ["restart_p50", "restart_p99"],
                &latencies,
                Some(P::RESTART_NOTE),
            )
        }
    }
}

fn on_worker<T: Send + 'static>(
    runtime: &Runtime,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime
        .block_on(runtime.spawn(future))
        .expect("the measuring task does not panic")
}

fn percentiles(
    [p50, p99]: [&'static str; 2],
    latencies: &Histogram,
    note: Option<&'static str>,
) -> Vec<Figure> {
    [(p50, 50), (p99, 99)]
        .into_iter()
        .map(|(row, percent)| {
            let samples = ("samples", Extra::Number(latencies.samples() as f64));
            let note = note.map(|note| ("note", Extra::Text(note)));
            Figure {
                row,
                unit: "us",
                value: latencies.percentile_us(percent),
                extras: [samples].into_iter().chain(note).collect(),
            }
        })
        .collect()
}

fn tells<P: Peer>(
    runtime: &Runtime,
    row: &'static str,
    producers: usize,
    warm_up: Duration,
    time: Duration,
) -> Figure {
    runtime.block_on(async {
        let consumer = P::start_consumer().await;
        tell_for::<P>(runtime, &consumer, producers, warm_up).await;
        let run = tell_for::<P>(runtime, &consumer, producers, time).await;
        let capacity = P::CAPACITY.map_or(Extra::Text("unbounded"), |capacity| {
            Extra::Number(capacity as f64)
        });
        Figure {
            row,
            unit: "messages/s",
            value: run.messages as f64 / run.elapsed.as_secs_f64(),
            extras: vec![
                ("capacity", capacity),
                ("drain_ms", Extra::Number(run.drain.as_secs_f64() * 1_000.0)),
            ],
        }
    })
}

struct TellRun {
    messages: u64,
    elapsed: Duration,
    drain: Duration,
}

/// Lets `producers` tasks tell for `time`, and waits until all is handled.
async fn tell_for<P: Peer>(
    runtime: &Runtime,
    consumer: &P::Consumer,
    producers: usize,
    time: Duration,
) -> TellRun {
    let handled_before = P::ask(consumer).await;
    let started = Instant::now();
    let tasks: Vec<_> = (0..producers)
        .map(|_| runtime.spawn(produce::<P>(consumer.clone(), started + time)))
        .collect();
    let mut messages = 0;
    for task in tasks {
        messages += task.await.expect("a producer does not panic");
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
async fn produce<P: Peer>(consumer: P::Consumer, deadline: Instant) -> u64 {
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

async fn asks<P: Peer>(warm_up: Duration, time: Duration) -> Histogram {
    let consumer = P::start_consumer().await;
    ask_for::<P>(&consumer, warm_up).await;
    ask_for::<P>(&consumer, time).await
}

async fn ask_for<P: Peer>(consumer: &P::Consumer, time: Duration) -> Histogram {
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

async fn spawns<P: Peer>(time: Duration) -> Figure {
    P::start_and_stop(WARM_UP_CHILDREN).await;
    let (mut starts, mut stops) = (Duration::ZERO, Duration::ZERO);
    let mut children = 0;
    while starts + stops < time {
        let (start, stop) = P::start_and_stop(CHILDREN).await;
        starts += start;
        stops += stop;
        children += CHILDREN;
    }
    let per_second = |time: Duration| children as f64 / time.as_secs_f64();
    Figure {
        row: "spawn_ordered",
        unit: "actors/s",
        value: per_second(starts + stops),
        extras: vec![
            ("start_per_s", Extra::Number(per_second(starts))),
            ("stop_per_s", Extra::Number(per_second(stops))),
        ],
    }
}

async fn restarts<P: Peer>(warm_up: Duration, time: Duration) -> Histogram {
    let mut crashing = P::start_crashing().await;
    let mut incarnation = P::crash_and_ask(&mut crashing).await;
    restart_for::<P>(&mut crashing, &mut incarnation, warm_up).await;
    restart_for::<P>(&mut crashing, &mut incarnation, time).await
}

async fn restart_for<P: Peer>(
    crashing: &mut P::Crashing,
    incarnation: &mut u64,
    time: Duration,
) -> Histogram {
    let mut latencies = Histogram::new();
    let mut told = Instant::now();
    let deadline = told + time;
    while told < deadline {
        let answer = P::crash_and_ask(crashing).await;
        let answered = Instant::now();
        latencies.record(answered - told);
        assert_eq!(answer, *incarnation + 1, "the next incarnation answers");
        *incarnation = answer;
        told = answered;
    }
    latencies
}
