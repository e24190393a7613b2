//! The kernel's clock: wall time that simulation owns.
//!
//! Monotonic time is `tokio::time::Instant`, which a test can pause; nothing else is used to measure.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

/// A moment on the wall clock: RFC 3339 in UTC with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// From seconds since 1970.
    #[must_use]
    pub fn from_secs(seconds: i64) -> Self {
        Self(jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// From milliseconds since 1970.
    #[must_use]
    pub fn from_unix_ms(ms: u64) -> Self {
        let moment = i64::try_from(ms)
            .ok()
            .map(jiff::Timestamp::from_millisecond);
        Self(moment.and_then(Result::ok).unwrap_or(jiff::Timestamp::MAX))
    }

    /// In milliseconds since 1970; zero before.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.0.as_millisecond()).unwrap_or_default()
    }

    /// For what takes the standard library's.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        self.0.into()
    }

    /// How long ago it was, seen from `now`; zero if it lies ahead.
    #[must_use]
    pub fn age(self, now: Self) -> Duration {
        Duration::try_from(now.0.duration_since(self.0)).unwrap_or_default()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Tells the wall time.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    /// The machine's.
    Real,
    /// Begins at a fixed moment and goes on with tokio's clock.
    Simulated(Timestamp, Instant),
}

impl Clock {
    /// The machine's wall clock.
    #[must_use]
    pub fn real() -> Self {
        Self(Source::Real)
    }

    /// A wall clock that begins at `epoch` now and goes on with tokio's, which may be paused.
    #[must_use]
    pub fn simulated(epoch: Timestamp) -> Self {
        Self(Source::Simulated(epoch, Instant::now()))
    }

    /// The wall time.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        match self.0 {
            Source::Real => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the one place that reads the machine's clock"
                )]
                let now = SystemTime::now();
                Timestamp(jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
            }
            Source::Simulated(epoch, since) => {
                let ahead = jiff::SignedDuration::try_from(since.elapsed()).unwrap_or_default();
                Timestamp(epoch.0.checked_add(ahead).unwrap_or(epoch.0))
            }
        }
    }
}
