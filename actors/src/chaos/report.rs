//! What a run came to: all of it computed, in numbers that a program reads.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unity_supervisors::ActorPath;
use unity_supervisors::clock::Timestamp;

use super::plan::{Act, Plan, Rate};
use crate::duration::DurationText;

pub mod markdown;
pub mod numbers;
pub mod svg;
#[cfg(test)]
mod tests;
pub mod words;

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// Which run it was.
    pub run: String,
    /// The name of its plan.
    pub plan: String,
    /// The name of the kernel.
    pub kernel: String,
    /// What chance began with.
    pub seed: u64,
    /// What else it was told.
    #[serde(default)]
    pub told: Told,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, if it did not pass.
    pub why: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, the time to settle included.
    pub took_ms: u64,
    /// How many faults ended a life.
    pub kills: u64,
    /// After how many of those it was up again.
    pub recovered: u64,
    /// Those that were not.
    pub not_recovered: Vec<ActorPath>,
    /// How long that took.
    pub recovery_ms: Spread,
    /// The same for each fault, by its name.
    pub faults: BTreeMap<String, OfFault>,
    /// Which part of the time what must be up was up, over all permanent children; 1 is always.
    pub availability: f64,
    /// Messages that the run sent.
    pub sent: u64,
    /// Of those, how many were in hand when their handler crashed: kept as dead letters.
    pub in_hand: u64,
    /// How many a fault of the plan took away on their way: kept as dead letters.
    pub dropped: u64,
    /// How many were accepted and never heard of again.
    pub lost: u64,
    /// How many were handled twice, but for those that a fault of the plan doubled.
    pub doubled: u64,
    /// How many overtook an earlier one.
    pub out_of_order: u64,
    /// What must hold, and whether it did.
    pub probes: Vec<OfProbe>,
    /// The part above all budgets, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub above: Option<Above>,
    /// For how long the kernel was gone, from when it was killed until its guard had started it again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gone_ms: Option<u64>,
    /// All that was done, in order.
    pub acts: Vec<Done>,
    /// How many were down, each time that it changed.
    pub down: Vec<Down>,
    /// For how long it was to last, by phase.
    pub phases: Vec<OfPhase>,
}

/// What a run was told beside its plan and its seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Where its plan came from, if it was not the usual one.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Source>,
    /// How long it was to strike, if no plan of somebody's said so.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none", default)]
    pub takes: Option<DurationText>,
    /// How fast, likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rate: Option<Rate>,
    /// Whether it was to go above all budgets in the end.
    #[serde(skip_serializing_if = "is_false", default)]
    pub above: bool,
}

/// Where a plan came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A name or a file, as it was typed; what was read lay with whoever typed it.
    File {
        /// The name or the file.
        plan: String,
        /// The folder with the plans, if one was given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        config_dir: Option<String>,
    },
    /// The plan itself.
    Document(Box<Plan>),
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All came back, and nothing was lost.
    Passed,
    /// Something did not come back, was lost, doubled or overtaken.
    Failed,
    /// A probe did not hold: it was ended at once, and all was undone.
    Broken,
    /// Somebody ended it.
    Stopped,
    /// There was nothing that could be struck.
    Idle,
}

/// Times, spread from the median to the worst, in milliseconds; none if there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub p50: Option<f64>,
    /// The slowest in a hundred.
    pub p99: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

impl Spread {
    /// Of these.
    #[must_use]
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        let at = |percent: usize| {
            // The nearest rank: the least time that so many percent do not exceed.
            let rank = (times.len() * percent).div_ceil(100).max(1);
            let time = times.get(rank - 1)?;
            Some((time.as_secs_f64() * 1e4).round() / 10.0)
        };
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

/// What one kind of fault did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfFault {
    /// How often it struck.
    pub count: u64,
    /// After how many of those all was well again.
    pub recovered: u64,
    /// How long that took.
    pub recovery_ms: Spread,
}

/// What a probe said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfProbe {
    /// Which.
    pub probe: String,
    /// Whether it held whenever it was looked at.
    pub held: bool,
    /// How often it was looked at.
    pub looks: u64,
    /// The worst that was seen, in words.
    pub worst: String,
}

/// What came of the part above all budgets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// Whether the kernel entered safe mode.
    pub safe_mode: bool,
    /// Whether every essential child was up in it.
    pub essential_up: bool,
    /// Whether all that was up before was up again after all was released.
    pub restored: bool,
    /// How long that took, from the release on.
    pub restored_ms: Option<u64>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// What.
    #[serde(flatten)]
    pub act: Act,
    /// Which life it struck.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incarnation: Option<u64>,
    /// How long it was until all was well again; none if that never was.
    pub recovered_ms: Option<f64>,
    /// Why it could not be done, if so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}

/// How many were down from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// How long after the beginning.
    pub at_ms: u64,
    /// How many that must be up were not.
    pub count: u64,
}

/// A phase of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfPhase {
    /// Its name.
    pub name: String,
    /// When it began, from the beginning of the run on.
    pub at_ms: u64,
    /// How long it was.
    pub for_ms: u64,
}
