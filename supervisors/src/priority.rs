//! The five lanes of a mailbox.

use serde::{Deserialize, Serialize};

/// How urgent a message is; also the lane of the mailbox that it waits in.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Safety, health.
    Critical,
    /// Commands, sensors.
    High,
    /// What has no reason to be anything else.
    #[default]
    Normal,
    /// Analytics.
    Low,
    /// Clean-up; shed first when memory is short.
    Deferred,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; LANES] = [
        Self::Critical,
        Self::High,
        Self::Normal,
        Self::Low,
        Self::Deferred,
    ];

    /// The word in YAML and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Deferred => "deferred",
        }
    }
}

/// How many lanes a mailbox has.
pub const LANES: usize = 5;
