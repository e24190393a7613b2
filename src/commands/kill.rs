//! `uk kill`: an exit like any other, counted and restarted by the rules.

use futures_util::FutureExt;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};
use unity_supervisors::{ActorPath, Kernel, SlotState};

use super::{Command, PATH, SEEN_WITHIN, done, show_done};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;

pub(super) const COMMAND: Command = Command {
    about: "Kill an actor or a supervisor with all below it",
    help: "The exit is counted and the child restarted by the rules of its supervisor. \
           A reason is kept in its history.\n\n\
           Example: uk kill /sensors/host --reason \"unplug test\"",
    args: &[
        PATH,
        Arg::option("reason", ArgKind::Text, "why, for its history"),
    ],
    show: show_done,
    ..Command::changing(&["kill"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    let before = kernel.registry().get(&path).map(|slot| slot.incarnation());
    let killed = kernel
        .kill(&path, args.text("reason").map(str::to_owned))
        .await;
    if killed.is_ok() {
        settle(&kernel, &path, before.unwrap_or(0)).await;
    }
    done(&kernel, &path, killed)
}

/// Waits for a moment until the rules have had their say, so that the answer tells what came of it.
async fn settle(kernel: &Kernel, path: &ActorPath, before: u64) {
    let until = Instant::now() + SEEN_WITHIN;
    while Instant::now() < until {
        let Some(slot) = kernel.registry().get(path) else {
            return;
        };
        let is_decided = match slot.state() {
            SlotState::Running => slot.incarnation() != before,
            SlotState::Restarting | SlotState::Starting | SlotState::Stopping => false,
            _ => true,
        };
        if is_decided {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
}
