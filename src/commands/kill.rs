//! `uk kill`: an exit like any other, counted and restarted by the rules.

use futures_util::FutureExt;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};
use unity_supervisors::{ActorPath, Kernel, SlotState};

use super::{Command, PATH, SEEN_WITHIN, done, show_done};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, text};

pub(super) const COMMAND: Command = Command {
    about: "Kill an actor or a supervisor with all below it",
    help: "The exit is counted and the child restarted by the rules of its supervisor. \
           A reason is kept in its history.\n\n\
           Example: uk kill /sensors/host --reason \"unplug test\"",
    args: &[
        PATH,
        Arg::option("reason", ArgKind::Text, "why, for its history"),
    ],
    show,
    ..Command::changing(&["kill"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    let before = kernel.registry().get(&path).map(|slot| slot.incarnation());
    let killed = kernel
        .kill(&path, args.text("reason").map(str::to_owned))
        .await;
    let mut has_ended = true;
    if killed.is_ok() {
        has_ended = settle(&kernel, &path, before.unwrap_or(0)).await;
    }
    let mut document = done(&kernel, &path, killed)?;
    if let Some(object) = document.as_object_mut().filter(|_| !has_ended) {
        object.insert("done".to_owned(), Value::from("requested"));
    }
    Ok(document)
}

fn show(document: &Value, screen: &Screen) -> String {
    if text(document, "done") != "requested" {
        return show_done(document, screen);
    }
    let mut line = Line::new();
    line.push(Tone::Plain, "kill sent to ");
    line.push(Tone::Bold, text(document, "path"));
    line.push(
        Tone::Plain,
        "; it holds its thread, or waits for one, and ends when that yields, or is cut off after 5s",
    );
    line.wrap(screen, 2)
}

/// Waits for a moment until the rules have had their say, so that the answer tells what came of it. Returns whether
/// the life that was killed has ended.
async fn settle(kernel: &Kernel, path: &ActorPath, before: u64) -> bool {
    let until = Instant::now() + SEEN_WITHIN;
    while Instant::now() < until {
        let Some(slot) = kernel.registry().get(path) else {
            return true;
        };
        let is_decided = match slot.state() {
            SlotState::Running => slot.incarnation() != before,
            SlotState::Restarting | SlotState::Starting | SlotState::Stopping => false,
            _ => true,
        };
        if is_decided {
            return true;
        }
        sleep(Duration::from_millis(1)).await;
    }
    let slot = kernel.registry().get(path);
    slot.is_none_or(|slot| slot.state() != SlotState::Running || slot.incarnation() != before)
}
