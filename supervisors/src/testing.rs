//! What unit tests share.

use proptest::prelude::ProptestConfig;

/// How many cases a property is tried on: 100,000, or what `UK_CASES` says.
pub(crate) fn cases() -> ProptestConfig {
    let asked = std::env::var("UK_CASES").ok();
    let cases = asked.map_or(100_000, |cases| {
        cases.parse().expect("UK_CASES is a number")
    });
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
