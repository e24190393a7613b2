//! Why something was not done on another node: the words that commands have for it, in a form that travels.

use std::time::Duration;

use super::codec::FaultV1;

/// A fault without a hint.
pub fn new(code: &str, message: impl Into<String>) -> FaultV1 {
    FaultV1 {
        code: code.to_owned(),
        message: message.into(),
        hint: None,
    }
}

/// One that says what to do next.
pub fn hinted(code: &str, message: impl Into<String>, hint: &str) -> FaultV1 {
    FaultV1 {
        hint: Some(hint.to_owned()),
        ..new(code, message)
    }
}

/// A node cannot be reached.
pub(super) fn down(node: &str, why: &str) -> FaultV1 {
    hinted(
        "unreachable",
        format!("node `{node}` cannot be reached: {why}"),
        "`uk node list` says how the nodes are; it is reconnected by itself",
    )
}

/// There is no such node.
pub(super) fn unknown(node: &str, known: &[String]) -> FaultV1 {
    let known = match known {
        [] => "no node is attached".to_owned(),
        known => format!("attached are {}", known.join(", ")),
    };
    hinted(
        "not_found",
        format!("there is no node `{node}`: {known}"),
        "`uk node attach ADDRESS` attaches one",
    )
}

pub(super) fn late(node: &str, timeout: Duration) -> FaultV1 {
    new(
        "timed_out",
        format!("node `{node}` did not answer within {timeout:?}"),
    )
}

pub(super) fn full(node: &str, timeout: Duration) -> FaultV1 {
    hinted(
        "timed_out",
        format!("there was no room on the way to node `{node}` within {timeout:?}"),
        "the actor there is slower than what is sent to it",
    )
}

impl std::fmt::Display for FaultV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FaultV1 {}
