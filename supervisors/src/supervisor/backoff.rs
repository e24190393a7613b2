//! How long to wait before a restart attempt.

use std::time::Duration;

use crate::spec::Backoff;

/// The pause before attempt `attempt`, counted from 0: `min * factor^attempt`, at most `max`, spread by `jitter` to
/// both sides.
pub(crate) fn pause(backoff: &Backoff, attempt: u32, rng: &mut fastrand::Rng) -> Duration {
    let exponent = i32::try_from(attempt.min(1_000)).unwrap_or(1_000);
    let grown = backoff.min.as_secs_f64() * backoff.factor.max(1.0).powi(exponent);
    let capped = grown.min(backoff.max.as_secs_f64());
    let spread = 1.0 + backoff.jitter.clamp(0.0, 1.0) * (rng.f64() * 2.0 - 1.0);
    Duration::try_from_secs_f64(capped * spread).unwrap_or(backoff.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_the_factor_up_to_the_longest() {
        let backoff = Backoff {
            jitter: 0.0,
            ..Backoff::default()
        };
        let mut rng = fastrand::Rng::with_seed(1);

        let pauses: Vec<u128> = (0..9)
            .map(|attempt| pause(&backoff, attempt, &mut rng).as_millis())
            .collect();

        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]
        );
    }

    #[test]
    fn jitter_stays_within_its_share_and_is_the_same_for_the_same_seed() {
        let backoff = Backoff::default();
        let draw = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..1_000)
                .map(|_| pause(&backoff, 0, &mut rng))
                .collect::<Vec<_>>()
        };

        assert_eq!(draw(7), draw(7));
        assert!(
            draw(7)
                .iter()
                .all(|pause| (80..=120).contains(&pause.as_millis()))
        );
    }

    #[test]
    fn a_huge_attempt_does_not_overflow() {
        let backoff = Backoff {
            max: Duration::from_secs(10),
            jitter: 0.0,
            ..Backoff::default()
        };

        assert_eq!(
            pause(&backoff, u32::MAX, &mut fastrand::Rng::new()),
            Duration::from_secs(10)
        );
    }
}
