//! When to look after something happened: [`Debounce`].

use std::time::Duration;

use tokio::time::Instant;

/// How many times the quiet time it waits for quiet, at most.
const PATIENCE: u32 = 10;

/// Waits until nothing has happened for a while, but not for ever.
#[derive(Debug, Default)]
pub struct Debounce {
    first: Option<Instant>,
    due: Option<Instant>,
}

impl Debounce {
    /// Something happened; it is looked at after `quiet`, unless more follows.
    pub fn event(&mut self, now: Instant, quiet: Duration) {
        let first = *self.first.get_or_insert(now);
        self.due = Some((now + quiet).min(first + quiet * PATIENCE));
    }

    /// When it is time to look, if anything happened.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It was looked at.
    pub fn done(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);

    #[test]
    fn each_event_puts_it_off_but_not_beyond_ten_times_the_quiet() {
        let start = Instant::now();
        let mut debounce = Debounce::default();
        let mut due_after = |at_ms: u64| {
            debounce.event(start + Duration::from_millis(at_ms), QUIET);
            debounce.due().unwrap().duration_since(start).as_millis()
        };

        let dues = [0, 30, 440, 460, 490].map(&mut due_after);

        assert_eq!(dues, [50, 80, 490, 500, 500]);
        debounce.done();
        assert_eq!(debounce.due(), None);
    }

    #[test]
    fn without_a_quiet_time_it_is_due_at_once() {
        let now = Instant::now();
        let mut debounce = Debounce::default();

        debounce.event(now, QUIET);
        debounce.event(now, Duration::ZERO);

        assert_eq!(debounce.due(), Some(now));
    }
}
