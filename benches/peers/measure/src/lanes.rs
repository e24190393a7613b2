//! How long a critical message waits behind many low ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task;
use tokio::time::Instant;

use crate::figure::{Extra, Figure};
use crate::histogram::Histogram;
use crate::peer::Lanes;

/// Low messages that wait when the critical one is sent.
const WAITING: u64 = 10_000;
/// They are sent in slices, so never more than this wait.
const SLICE: u64 = 64;
/// Without priorities one sample takes as long as all that waits.
const SAMPLES_MIN: u64 = 3;

/// Driven by main, so that the actor is at work while the critical message is sent.
pub(crate) fn critical<P: Lanes>(runtime: &Runtime, time: Duration) -> Vec<Figure> {
    let waits = runtime.block_on(async {
        let handled = Arc::new(AtomicU64::new(0));
        let capacity = usize::try_from(WAITING + SLICE).expect("it is small");
        let desk = P::start_desk(Arc::clone(&handled), capacity).await;
        let mut told = 0;
        let mut waits = Histogram::new();
        let started = Instant::now();
        while started.elapsed() < time || waits.samples() < SAMPLES_MIN {
            while told - handled.load(Ordering::Relaxed) < WAITING {
                for _ in 0..SLICE {
                    P::tell_low(&desk).await;
                }
                told += SLICE;
                task::yield_now().await;
            }
            waits.record(P::ask_critical(&desk, Instant::now()).await);
        }
        waits
    });
    vec![Figure {
        row: "critical_wait",
        unit: "us",
        value: waits.percentile_us(50),
        extras: vec![
            ("p99", Extra::Number(waits.percentile_us(99))),
            ("samples", Extra::Number(waits.samples() as f64)),
        ],
    }]
}
