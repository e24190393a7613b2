//! The kernel's clock: wall time that simulation owns.
//!
//! Monotonic time is `tokio::time::Instant`, which a test can pause; nothing else is used to measure.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
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

    /// From microseconds since 1970.
    #[must_use]
    pub fn from_unix_us(us: i64) -> Self {
        Self(jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::MAX))
    }

    /// In microseconds since 1970; below zero before.
    #[must_use]
    pub fn unix_us(self) -> i64 {
        self.0.as_microsecond()
    }

    /// From seconds since 1970 and parts of them; `None` if that is no moment.
    #[must_use]
    pub fn from_unix_secs_f64(seconds: f64) -> Option<Self> {
        let since = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
        jiff::Timestamp::from_duration(since).ok().map(Self)
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

impl std::str::FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = text.parse().map(Self);
        parsed.map_err(|_| InvalidTimestamp(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: a time is RFC 3339, as in 2026-11-20T21:30:00Z")]
pub struct InvalidTimestamp(pub String);

/// Tells the wall time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    source: Source,
    /// How far it was set ahead on purpose, in microseconds.
    ahead: Option<&'static AtomicI64>,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// The machine's.
    Real,
    /// Begins at a fixed moment and goes on with tokio's clock.
    Simulated(Timestamp, Instant),
    /// Is set from outside, in microseconds since 1970.
    Set(&'static AtomicI64),
}

impl Clock {
    /// The machine's wall clock.
    #[must_use]
    pub fn real() -> Self {
        Source::Real.into()
    }

    /// A wall clock that begins at `epoch` now and goes on with tokio's, which may be paused.
    #[must_use]
    pub fn simulated(epoch: Timestamp) -> Self {
        Source::Simulated(epoch, Instant::now()).into()
    }

    /// A wall clock that shows what `unix_us` holds, which may be set back: for tests.
    #[must_use]
    pub fn set_by(unix_us: &'static AtomicI64) -> Self {
        Source::Set(unix_us).into()
    }

    /// This clock, so that [`jump`](Self::jump) sets it and all its copies: one of a kernel.
    pub(crate) fn that_jumps(self) -> Self {
        // Eight bytes of each kernel stay, so that a clock can be copied about.
        let ahead: &'static AtomicI64 = Box::leak(Box::default());
        Self {
            ahead: Some(ahead),
            ..self
        }
    }

    /// Sets it ahead by so many microseconds, or back.
    pub(crate) fn jump(&self, by_us: i64) {
        if let Some(ahead) = self.ahead {
            ahead.fetch_add(by_us, Ordering::Relaxed);
        }
    }

    /// The wall time.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        let now = self.source.now();
        match self.ahead.map_or(0, |ahead| ahead.load(Ordering::Relaxed)) {
            0 => now,
            ahead => Timestamp::from_unix_us(now.unix_us().saturating_add(ahead)),
        }
    }
}

impl From<Source> for Clock {
    fn from(source: Source) -> Self {
        let ahead = None;
        Self { source, ahead }
    }
}

impl Source {
    fn now(self) -> Timestamp {
        match self {
            Source::Real => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the one place that reads the machine's clock"
                )]
                let now = SystemTime::now();
                let now = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
                // What is written down has no more either, and reads back as the same.
                Timestamp::from_unix_us(now.as_microsecond())
            }
            Source::Simulated(epoch, since) => {
                let ahead = jiff::SignedDuration::try_from(since.elapsed()).unwrap_or_default();
                Timestamp(epoch.0.checked_add(ahead).unwrap_or(epoch.0))
            }
            Source::Set(unix_us) => Timestamp::from_unix_us(unix_us.load(Ordering::Relaxed)),
        }
    }
}
