//! Tells and asks between two processes over the loopback, and a sender whose receiver stands still.
//!
//! The receiver is this program again, called with `--serve`: it prints where its node is reached and ends with its
//! standard input, so that it does not outlive the sender.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::{self, JoinHandle};
use tokio::time::{Instant, timeout_at};

use crate::figure::{Extra, Figure, percentiles};
use crate::histogram::Histogram;
use crate::peer::{Nodes, PAYLOAD_LEN, REPLY_TIMEOUT};
use crate::suite::{on_worker, warm_up};

/// Producers look at the clock, and yield where nothing holds them, after so many tells.
const TELLS_PER_SLICE: u64 = 64;
/// With a window, half of it is told between two marks, and a mark waits for the one before.
const WINDOW: u64 = 1_024;
/// All that was told is handled after that, or counts as lost.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// For so long the receiver stands still.
const STALL: Duration = Duration::from_secs(3);
/// A sender that has grown by so much is not let go on: it shows no bound, and others use the machine too.
const GROWTH_MAX_BYTES: u64 = 4 << 30;
/// The sender's memory is looked at after so many slices.
const SLICES_PER_LOOK: u64 = 64;

/// Serves as the receiver until standard input ends.
///
/// # Errors
/// If standard output is closed.
pub(crate) fn serve<P: Nodes>(runtime: &Runtime) -> io::Result<()> {
    let (address, node) = on_worker(runtime, P::serve());
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{address}")?;
    stdout.flush()?;
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    drop(node);
    Ok(())
}

/// Where nothing holds the producer back, once without and once with a window: the value is the faster.
pub(crate) fn tell<P: Nodes>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let receiver = Receiver::start::<P>();
    let address = receiver.address.clone();
    let [free, windowed] = on_worker(runtime, async move {
        let remote = P::connect(address).await;
        tell_for::<P>(&remote, Some(WINDOW), warm_up(time)).await;
        let windowed = tell_for::<P>(&remote, Some(WINDOW), time).await;
        [tell_for::<P>(&remote, None, time).await, windowed]
    });
    vec![Figure {
        row: "remote_tell_64",
        unit: "per_s",
        value: free.per_second().max(windowed.per_second()),
        extras: vec![
            ("free_per_s", Extra::Number(free.per_second())),
            ("windowed_per_s", Extra::Number(windowed.per_second())),
            ("drain_ms", Extra::Number(milliseconds(free.drain))),
        ],
    }]
}

pub(crate) fn ask<P: Nodes>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let receiver = Receiver::start::<P>();
    let address = receiver.address.clone();
    let latencies = on_worker(runtime, async move {
        let remote = P::connect(address).await;
        ask_for::<P>(&remote, warm_up(time)).await;
        ask_for::<P>(&remote, time).await
    });
    percentiles(["remote_ask_p50", "remote_ask_p99"], &latencies, &[])
}

async fn ask_for<P: Nodes>(remote: &P::Remote, time: Duration) -> Histogram {
    let mut latencies = Histogram::new();
    let mut asked = Instant::now();
    let deadline = asked + time;
    while asked < deadline {
        let handled = P::ask(remote, REPLY_TIMEOUT).await;
        assert_eq!(
            handled,
            Some(0),
            "the receiver answers, and was told nothing"
        );
        let answered = Instant::now();
        latencies.record(answered - asked);
        asked = answered;
    }
    latencies
}

/// Takes as long as it takes.
pub(crate) fn stalled<P: Nodes>(runtime: &Runtime, _time: Duration) -> Vec<Figure> {
    let receiver = Receiver::start::<P>();
    let run = on_worker(runtime, async move {
        let remote = P::connect(receiver.address.clone()).await;
        tell_for::<P>(&remote, Some(WINDOW), warm_up(Duration::from_secs(1))).await;
        stall::<P>(&remote, &receiver).await
    });
    vec![Figure {
        row: "stalled_peer_bytes",
        unit: "bytes",
        value: run.peak_bytes.saturating_sub(run.before_bytes) as f64,
        extras: vec![
            ("peak_bytes", Extra::Number(run.peak_bytes as f64)),
            ("after_bytes", Extra::Number(run.after_bytes as f64)),
            ("taken", Extra::Number(run.taken as f64)),
            (
                "handled",
                Extra::Number(run.handled.map_or(f64::NAN, |it| it as f64)),
            ),
            ("told_ms", Extra::Number(milliseconds(run.told))),
            ("caught_up_ms", Extra::Number(milliseconds(run.caught_up))),
        ],
    }]
}

struct StallRun {
    /// Resident memory of the sender: before, the peak, and when all was handled.
    before_bytes: u64,
    peak_bytes: u64,
    after_bytes: u64,
    /// How many tells were taken while the receiver stood still.
    taken: u64,
    /// How many of them it has handled in the end; nothing if it does not answer any more.
    handled: Option<u64>,
    /// For how long was told: less than [`STALL`] if the sender had grown by [`GROWTH_MAX_BYTES`].
    told: Duration,
    /// From when the receiver went on until it had answered.
    caught_up: Duration,
}

async fn stall<P: Nodes>(remote: &P::Remote, receiver: &Receiver) -> StallRun {
    let handled_before = handled::<P>(remote.clone()).await;
    let before_bytes = memory_bytes("VmRSS:");
    receiver.signal("STOP");
    let taken = AtomicU64::new(0);
    let started = Instant::now();
    let telling = tell_on::<P>(remote, &taken, before_bytes + GROWTH_MAX_BYTES);
    // A sender that is held back is not waited for any longer.
    let _held_back = timeout_at(started + STALL, telling).await.is_err();
    let told = started.elapsed();
    assert!(
        receiver.stands_still(),
        "the receiver stood still all the time"
    );
    let peak_bytes = memory_bytes("VmHWM:");
    receiver.signal("CONT");
    let went_on = Instant::now();
    let handled = P::ask(remote, DRAIN_TIMEOUT).await;
    StallRun {
        before_bytes,
        peak_bytes: peak_bytes.max(memory_bytes("VmHWM:")),
        after_bytes: memory_bytes("VmRSS:"),
        taken: taken.load(Ordering::Relaxed),
        handled: handled.map(|handled| handled - handled_before),
        told,
        caught_up: went_on.elapsed(),
    }
}

/// Tells until the memory of this process is above the limit.
async fn tell_on<P: Nodes>(remote: &P::Remote, taken: &AtomicU64, limit_bytes: u64) {
    let mut slices = 0_u64;
    while !slices.is_multiple_of(SLICES_PER_LOOK) || memory_bytes("VmRSS:") < limit_bytes {
        for _ in 0..TELLS_PER_SLICE {
            if P::tell(remote, &payload(slices)).await {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
        slices += 1;
        task::yield_now().await;
    }
}

struct TellRun {
    messages: u64,
    elapsed: Duration,
    /// From the last send until all was handled.
    drain: Duration,
}

impl TellRun {
    fn per_second(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }
}

/// Tells for `time`, with at most `window` on the way if there is one, and waits until all is handled.
async fn tell_for<P: Nodes>(remote: &P::Remote, window: Option<u64>, time: Duration) -> TellRun {
    let handled_before = handled::<P>(remote.clone()).await;
    let started = Instant::now();
    let mut messages = 0;
    let mut mark: Option<JoinHandle<u64>> = None;
    while started.elapsed() < time {
        for _ in 0..TELLS_PER_SLICE {
            assert!(P::tell(remote, &payload(messages)).await, "the link holds");
            messages += 1;
        }
        match window {
            Some(window) if messages % (window / 2) == 0 => {
                let next = Handle::current().spawn(handled::<P>(remote.clone()));
                if let Some(mark) = mark.replace(next) {
                    mark.await.expect("no panic");
                }
            }
            Some(_) => {}
            None => task::yield_now().await,
        }
    }
    let last_sent = Instant::now();
    let handled = handled::<P>(remote.clone()).await - handled_before;
    assert_eq!(handled, messages, "every message told is handled once");
    TellRun {
        messages,
        elapsed: started.elapsed(),
        drain: last_sent.elapsed(),
    }
}

/// Asks behind all that was told.
async fn handled<P: Nodes>(remote: P::Remote) -> u64 {
    let answer = P::ask(&remote, DRAIN_TIMEOUT).await;
    answer.expect("the receiver answers")
}

/// Printable, so that it is as long in any form in which it travels.
fn payload(number: u64) -> [u8; PAYLOAD_LEN] {
    let mut payload = [b'.'; PAYLOAD_LEN];
    for (place, digit) in payload.iter_mut().zip(0..16) {
        *place = b'a' + (number >> (4 * digit) & 0xf) as u8;
    }
    payload
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What `/proc` says of this process under that name.
fn memory_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let kilobytes: Option<u64> = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kilobytes.expect("a line `VmRSS: 123 kB`") * 1_024
}

/// The process of the receiver, which ends with this value.
struct Receiver {
    process: Child,
    /// Where its node is reached.
    address: String,
}

impl Receiver {
    fn start<P: Nodes>() -> Self {
        let program = env::current_exe().expect("the program has a path");
        let mut process = Command::new(program)
            .args(P::WORDS)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receiver starts");
        let stdout = process.stdout.take().expect("it is a pipe");
        let mut address = String::new();
        let read = BufReader::new(stdout).read_line(&mut address);
        read.expect("the receiver says where it is");
        Self {
            process,
            address: address.trim().to_owned(),
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.process.id().to_string()])
            .status();
        let is_sent = status.expect("`kill` is a program").success();
        assert!(is_sent, "the receiver is there");
    }

    /// Whether it is stopped by a signal. The state stands behind the name, which is in brackets.
    fn stands_still(&self) -> bool {
        let file = format!("/proc/{}/stat", self.process.id());
        let stat = fs::read_to_string(file).expect("the receiver is there");
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself, and may stand still: then it does not see the end of its input.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
