//! What happened, one fact at a time: for the log, for tests, for simulation.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tracing::{debug, error, info, warn};

use crate::kernel::memory::Shedding;
use crate::path::ActorPath;
use crate::reload::Change;
use crate::slot::{ExitRecord, Placement, Response, SlotState, StallKind};

/// The log target of starts that supervisors make by themselves, which a whole tree has many of at boot.
pub const PROGRESS: &str = "unity_supervisors::progress";

/// Something that happened in a tree. Each is reported once, by the one that decided or did it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "fact")]
pub enum Fact {
    /// A life began.
    Started {
        /// Whose.
        path: ActorPath,
        /// Which.
        incarnation: u64,
        /// Whether somebody asked for it. The others are starts that its supervisor makes by itself.
        asked: bool,
    },
    /// A life ended, or a start failed.
    Exited {
        /// Whose.
        path: ActorPath,
        /// All of it.
        record: ExitRecord,
    },
    /// A supervisor set the state of a child that does not run.
    State {
        /// Whose.
        path: ActorPath,
        /// Which.
        state: SlotState,
    },
    /// What the tree is to be has changed.
    Changed(Change),
    /// The settings of a child that has a ladder have completed their probation: they are its last good ones.
    Proved {
        /// Whose.
        path: ActorPath,
        /// Which.
        #[serde(skip)]
        settings: Arc<Value>,
    },
    /// A child that its ladder had counted crashes of is at the beginning of that, with its own settings.
    Released {
        /// Which.
        path: ActorPath,
    },
    /// A slot was deleted.
    Deleted {
        /// Which.
        path: ActorPath,
    },
    /// A life that keeps its state starts without it.
    Fresh {
        /// Whose.
        path: ActorPath,
        /// Why.
        why: String,
    },
    /// A child that lives on another node lives somewhere else now, or nowhere.
    Placed {
        /// Whose place it is here.
        path: ActorPath,
        /// Where it lives.
        #[serde(flatten)]
        placement: Placement,
    },
    /// A life does not yield, or does not answer. Told once a stall.
    Stalled {
        /// Whose.
        path: ActorPath,
        /// Which.
        incarnation: u64,
        /// What it does not do.
        what: StallKind,
        /// For how long.
        held_ms: u64,
        /// The name of the message that it has in hand.
        in_hand: Option<&'static str>,
    },
    /// A life that was stalled goes on.
    GoesOn {
        /// Whose.
        path: ActorPath,
        /// Which.
        incarnation: u64,
    },
    /// A life was cut off that a thread is stuck in.
    CutOff {
        /// Whose.
        path: ActorPath,
        /// Which.
        incarnation: u64,
        /// How many are cut off and stuck now, in the whole kernel.
        abandoned: u64,
    },
    /// A life that was cut off let go of its thread.
    LetGo {
        /// Whose.
        path: ActorPath,
        /// Which.
        incarnation: u64,
    },
    /// As many lives are stuck as may be: none is cut off until one lets go. Told once until then.
    Crowded {
        /// How many.
        abandoned: u64,
    },
    /// The kernel entered safe mode, and why, or left it.
    Safe {
        /// Why, or `None` when it left it.
        why: Option<String>,
    },
    /// Memory became so short that more is shed, or less so.
    Memory {
        /// What is shed from now on.
        shedding: Shedding,
        /// How many bytes are in use.
        used: u64,
        /// The limit.
        limit: u64,
        /// How many messages were shed so far.
        shed: u64,
    },
}

impl Fact {
    /// Writes it to the log.
    pub(crate) fn log(&self) {
        match self {
            Self::Started {
                path,
                incarnation,
                asked,
            } => {
                if *asked {
                    debug!(%path, incarnation, "child started");
                } else {
                    info!(target: PROGRESS, %path, incarnation, "child started");
                }
            }
            Self::Exited { path, record } => log_exit(path, record),
            Self::State { path, state } => debug!(%path, state = state.as_str(), "child is down"),
            Self::Deleted { path } => debug!(%path, "child deleted"),
            Self::Released { path } => info!(%path, "at the beginning of its ladder"),
            Self::Changed(Change {
                path, what, how, ..
            }) => debug!(%path, ?what, ?how, "changed"),
            Self::Proved { path, .. } => debug!(%path, "settings have completed their probation"),
            Self::Placed { path, placement } => match (&placement.node, &placement.why) {
                (Some(node), None) => info!(%path, %node, "child lives on another node"),
                (Some(node), Some(why)) => warn!(%path, %node, %why, "child is out of reach"),
                (None, why) => warn!(%path, why = why.as_deref(), "child lives on no node"),
            },
            Self::Fresh { path, why } => warn!(%path, %why, "starts fresh"),
            Self::Stalled {
                path,
                incarnation,
                what: StallKind::HoldsThread,
                held_ms,
                in_hand,
            } => {
                warn!(%path, incarnation, held_ms, message = in_hand.unwrap_or("none"), "child holds its thread");
            }
            Self::Stalled {
                path,
                incarnation,
                held_ms,
                in_hand,
                ..
            } => {
                warn!(%path, incarnation, held_ms, message = in_hand.unwrap_or("none"), "child does not answer");
            }
            Self::GoesOn { path, incarnation } => warn!(%path, incarnation, "child goes on"),
            Self::CutOff {
                path,
                incarnation,
                abandoned,
            } => error!(%path, incarnation, abandoned, "child is cut off, its thread is stuck"),
            Self::LetGo { path, incarnation } => {
                warn!(%path, incarnation, "a life that was cut off let go of its thread");
            }
            Self::Crowded { abandoned } => {
                error!(
                    abandoned,
                    "no more lives are cut off until one lets go of its thread"
                );
            }
            Self::Safe { why: Some(why) } => error!(%why, "safe mode"),
            Self::Safe { why: None } => info!("safe mode ended"),
            Self::Memory { .. } => self.log_memory(),
        }
    }

    fn log_memory(&self) {
        let Self::Memory {
            shedding,
            used,
            limit,
            shed,
        } = *self
        else {
            return;
        };
        match shedding {
            Shedding::Low => error!(
                used,
                limit, shed, "memory is used up: `low` and `deferred` messages are shed"
            ),
            Shedding::Deferred => warn!(
                used,
                limit, shed, "memory is short: `deferred` messages are shed"
            ),
            Shedding::Nothing => info!(used, limit, shed, "memory is no longer short"),
        }
    }
}

fn log_exit(path: &ActorPath, record: &ExitRecord) {
    let (incarnation, reason) = (record.incarnation, &record.reason);
    let what = if record.failed_start {
        "start failed"
    } else {
        "child exited"
    };
    if let Some(ladder) = &record.ladder {
        let then = match &record.response {
            Response::Quarantined => "quarantined",
            Response::GaveUp => "its supervisor gives up",
            Response::Backoff { .. } => "restarting after a pause",
            _ => "restarting",
        };
        return warn!(%path, incarnation, %reason, %ladder, "{what}; {then}");
    }
    match &record.response {
        Response::GaveUp if path.is_root() => {
            error!(%path, incarnation, %reason, "the root gave up; the kernel ends");
        }
        Response::GaveUp => error!(%path, incarnation, %reason, "{what}; its supervisor gives up"),
        Response::Quarantined => error!(%path, incarnation, %reason, "{what}; quarantined"),
        Response::Restarted => warn!(%path, incarnation, %reason, "{what}; restarting"),
        Response::RolledBack => {
            error!(%path, incarnation, %reason, "{what}; on probation, its former settings are back");
        }
        Response::Backoff { pause_ms } => {
            warn!(%path, incarnation, %reason, pause_ms, "{what}; restarting after a pause");
        }
        Response::AutoShutdown if path.is_root() => {
            info!(%path, incarnation, %reason, "the root is done; the kernel ends");
        }
        Response::AutoShutdown => {
            info!(%path, incarnation, %reason, "{what}; its supervisor shuts itself down");
        }
        Response::LeftDown => info!(%path, incarnation, %reason, "{what}; left down"),
        Response::Stopped => debug!(%path, incarnation, %reason, "child stopped"),
        Response::StopFailed if record.failed_start => {
            warn!(%path, incarnation, %reason, "{what}; its supervisor ends");
        }
        Response::StopFailed => {
            warn!(%path, incarnation, %reason, "child did not stop in order");
        }
        Response::Deleted => info!(%path, incarnation, %reason, "{what}; deleted"),
    }
}
