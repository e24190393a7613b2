use std::collections::BTreeSet;

use super::*;
use crate::bug::Bug;

/// How many seeds CI runs. `UK_SIM_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("UK_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000)
}

/// Where they begin: `UK_SIM_FIRST`.
fn first_seed() -> u64 {
    std::env::var("UK_SIM_FIRST")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[test]
fn no_seed_breaks_a_promise() {
    for seed in first_seed()..first_seed() + seeds() {
        let report = simulate(seed, &SimConfig::default());
        assert!(
            report.violations.is_empty(),
            "seed {seed}: {:#?}\n{}",
            report.violations,
            report.log.join("\n")
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let mut hashes = BTreeSet::new();
    for seed in 0..seeds() {
        let first = simulate(seed, &SimConfig::default());
        let second = simulate(seed, &SimConfig::default());
        if first.hash != second.hash {
            let at = first
                .log
                .iter()
                .zip(&second.log)
                .position(|(one, other)| one != other);
            let around = at.unwrap_or_default().saturating_sub(8);
            let part = |log: &[String]| {
                log.iter()
                    .skip(around)
                    .take(16)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            panic!(
                "seed {seed}: {:#?}\n{:#?}",
                part(&first.log),
                part(&second.log)
            );
        }
        hashes.insert(first.hash);
    }
    assert!(
        hashes.len() as u64 > seeds() * 9 / 10,
        "different seeds give different logs"
    );
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let config = SimConfig {
            bug: Some(bug),
            ..SimConfig::default()
        };
        let found = (0..3_000).find(|seed| !simulate(*seed, &config).violations.is_empty());
        assert!(found.is_some(), "{bug:?} was not found within 3,000 seeds");
    }
}
