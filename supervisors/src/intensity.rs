//! The restart budget: how many restarts within a sliding window.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Restarts within the last `period`. Costs the same however many there were before.
///
/// OTP's rule (`supervisor`, restart intensity): a restart is allowed while no more than `intensity`
/// of them, itself included, lie within `period`. Time is monotonic, so a wall clock that is set does not
/// matter.
#[derive(Debug, Clone)]
pub struct Window {
    intensity: u32,
    period: Duration,
    charges: VecDeque<Instant>,
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(intensity: u32, period: Duration) -> Self {
        Self {
            intensity,
            period,
            charges: VecDeque::new(),
        }
    }

    /// Counts a restart at `now`; whether it is allowed.
    pub fn charge(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.charges.push_back(now);
        let allowed = self.charges.len() <= self.intensity as usize;
        if !allowed {
            // Only the last `intensity` can ever matter again.
            self.charges.pop_front();
        }
        allowed
    }

    /// How many restarts count at `now`.
    #[must_use]
    pub fn used(&self, now: Instant) -> u32 {
        let used = self
            .charges
            .iter()
            .filter(|at| !self.is_past(**at, now))
            .count();
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// In how long the oldest of the restarts that count at `now` does so no more; `None` if none does.
    #[must_use]
    pub fn free_in(&self, now: Instant) -> Option<Duration> {
        let oldest = self.charges.iter().find(|at| !self.is_past(**at, now))?;
        Some(self.left(*oldest, now))
    }

    /// In how long a restart does not count any more.
    pub(crate) fn left(&self, at: Instant, now: Instant) -> Duration {
        self.period.saturating_sub(now.duration_since(at))
    }

    /// How many restarts are allowed.
    #[must_use]
    pub fn intensity(&self) -> u32 {
        self.intensity
    }

    /// Within how long.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Other limits; the restarts that were counted stay.
    pub fn set_limits(&mut self, intensity: u32, period: Duration) {
        self.intensity = intensity;
        self.period = period;
        let excess = self.charges.len().saturating_sub(intensity as usize);
        self.charges.drain(..excess);
    }

    /// Forgets all restarts.
    pub fn clear(&mut self) {
        self.charges.clear();
    }

    fn forget(&mut self, now: Instant) {
        while self
            .charges
            .front()
            .is_some_and(|at| self.is_past(*at, now))
        {
            self.charges.pop_front();
        }
    }

    fn is_past(&self, at: Instant, now: Instant) -> bool {
        now.duration_since(at) > self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test(start_paused = true)]
    async fn s102_restarts_spaced_wider_than_the_period_never_trip() {
        let mut window = Window::new(1, Duration::from_secs(1));
        let start = Instant::now();

        for crash in 0..4 {
            assert!(window.charge(start + Duration::from_millis(2_100) * crash));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn intensity_zero_allows_nothing() {
        assert!(!Window::new(0, Duration::from_secs(5)).charge(Instant::now()));
    }

    proptest! {
        #![proptest_config(crate::testing::cases())]

        /// Against the naive model: keep every charge and filter the list.
        #[test]
        fn the_window_agrees_with_a_list_of_all_charges(
            intensity in 0_u32..6,
            period_ms in 1_u64..5_000,
            gaps_ms in prop::collection::vec(0_u64..3_000, 0..60),
        ) {
            let period = Duration::from_millis(period_ms);
            let mut window = Window::new(intensity, period);
            let mut all = Vec::new();
            let mut now = Instant::now();
            for gap in gaps_ms {
                now += Duration::from_millis(gap);
                all.push(now);
                let within: Vec<Instant> =
                    all.iter().copied().filter(|at| now.duration_since(*at) <= period).collect();
                let counted = within.len().min(intensity as usize);
                prop_assert_eq!(window.charge(now), within.len() <= intensity as usize);
                prop_assert_eq!(window.used(now), u32::try_from(counted).unwrap());
                let oldest = within.iter().rev().take(counted).next_back();
                let free_in = oldest.map(|at| *at + period - now);
                prop_assert_eq!(window.free_in(now), free_in);
            }
        }
    }
}
