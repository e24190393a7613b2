//! What is told of a node: [`NodeInfo`].

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Serialize;
use unity_supervisors::clock::Timestamp;

use super::Known;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// A connection to it is being opened for the first time.
    Connecting,
    /// It is there.
    Up,
    /// It cannot be reached, which does not say that it does not run.
    Down,
    /// It is there, and takes no new children.
    Draining,
}

/// A node as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeInfo {
    /// Its name; that of its address as long as it has not said it.
    pub name: String,
    /// Where it is reached; `None` if it is the one that opens the connections.
    pub address: Option<String>,
    /// How it is.
    pub state: NodeState,
    /// When it came, or was lost: of one that never was there, when it could not be reached first. Not known while it is
    /// being connected for the first time; that it is being drained is no other beginning.
    pub since: Option<Timestamp>,
    /// Time of a ping there and back, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// How far its wall clock is ahead of this node's, in milliseconds.
    pub skew_ms: Option<f64>,
    /// What it is marked with.
    pub labels: BTreeMap<String, String>,
    /// Its epoch.
    pub epoch: Option<u64>,
    /// The version of its kernel.
    pub version: Option<String>,
    /// How many children of this node live there.
    pub placed: usize,
    /// Why it is not up, if it is not.
    pub why: Option<String>,
}

/// Why it is not up: of a connection that has ended and still says its last words, why that did.
pub(super) fn why_down(known: &Known) -> Option<String> {
    let session = known.session.as_ref();
    let why = session.and_then(|session| session.over());
    why.or_else(|| known.why.clone())
}

pub(super) fn info(name: &str, known: &Known) -> NodeInfo {
    let session = known
        .session
        .as_ref()
        .filter(|session| session.over().is_none());
    let state = match session {
        Some(session) if session.is_draining.load(Ordering::Relaxed) => NodeState::Draining,
        Some(_) => NodeState::Up,
        None => NodeState::Down,
    };
    let rtt = session.and_then(|session| session.rtt());
    NodeInfo {
        name: name.to_owned(),
        address: known.address.clone(),
        state,
        since: Some(known.since),
        rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        skew_ms: rtt.and(session).map(|session| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "it is shown to a tenth of a millisecond"
            )]
            let us = session.skew_us() as f64;
            us / 1e3
        }),
        labels: session.map_or_else(
            || known.about.labels.clone(),
            |session| (*session.labels()).clone(),
        ),
        epoch: Some(known.epoch),
        version: Some(known.about.version.clone()),
        placed: 0,
        why: why_down(known).filter(|_| session.is_none()),
    }
}
