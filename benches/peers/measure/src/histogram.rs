//! Latencies in buckets of at most 0.8 % of their value, in constant memory.
//!
//! A vector of all samples would grow by megabytes a second and evict the caches of what is
//! measured. Exact below 256 ns; longest value 2^64 − 1 ns.

use std::time::Duration;

/// An octave has two to the power of this many buckets.
const OCTAVE_BITS: u32 = 7;
const BUCKETS_PER_OCTAVE: usize = 1 << OCTAVE_BITS;
const BUCKETS: usize = (64 - OCTAVE_BITS as usize + 1) * BUCKETS_PER_OCTAVE;

/// How often each latency was seen.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    samples: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            samples: 0,
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
            self.samples += 1;
        }
    }

    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }

    /// The smallest latency, in µs, that at least `percent` of the samples do not exceed; to the
    /// lower edge of its bucket. 0 without samples.
    pub(crate) fn percentile_us(&self, percent: u64) -> f64 {
        let rank = (self.samples * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.map_or(0.0, |bucket| lower_edge(bucket) / 1_000.0)
    }
}

/// Values below two octaves have a bucket each; above, the upper bits choose one.
fn bucket(nanoseconds: u64) -> usize {
    let octave = (64 - nanoseconds.leading_zeros()).saturating_sub(OCTAVE_BITS + 1);
    let upper_bits = usize::try_from(nanoseconds >> octave).expect("they are eight");
    octave as usize * BUCKETS_PER_OCTAVE + upper_bits
}

fn lower_edge(bucket: usize) -> f64 {
    let octave = (bucket / BUCKETS_PER_OCTAVE).saturating_sub(1);
    let upper_bits = bucket - octave * BUCKETS_PER_OCTAVE;
    upper_bits as f64 * (octave as f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_eight_thousandths_above_its_bucket() {
        let mut value = 1_u64;
        while value < u64::MAX / 3 {
            for value in [value - 1, value, value + 1] {
                let edge = lower_edge(bucket(value));
                assert!(
                    edge <= value as f64 && value as f64 <= edge * 1.008,
                    "{value} in {edge}"
                );
            }
            value += value / 4 + 1;
        }
    }

    #[test]
    fn the_longest_value_has_the_last_bucket() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut histogram = Histogram::new();
        for nanoseconds in 1..=200 {
            histogram.record(Duration::from_nanos(nanoseconds));
        }

        assert_eq!(histogram.samples(), 200);
        assert_eq!(histogram.percentile_us(50), 0.1);
        assert_eq!(histogram.percentile_us(99), 0.198);
        assert_eq!(Histogram::new().percentile_us(99), 0.0);
    }
}
