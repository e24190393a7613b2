//! `uk release`: ends quarantines, and safe mode.

use futures_util::FutureExt;
use serde_json::Value;
use unity_supervisors::{ActorPath, Kernel};

use super::{Command, done};
use crate::arguments::{Arg, ArgKind, Args, Rule, Together};
use crate::error::CommandError;
use crate::screen::{Screen, children, number, text};

pub(super) const COMMAND: Command = Command {
    about: "End a quarantine or a swap of a ladder; with --all also safe mode",
    help: "The child is started again with its own settings, its count of crashes at zero and its ladder at the beginning. \
           So is one that runs with what its ladder has swapped in.\n\n\
           Examples: uk release /sensors/host, uk release --all",
    args: &[
        Arg::optional(
            "path",
            ArgKind::Path,
            "the child in quarantine, or with other settings",
        ),
        Arg::option(
            "all",
            ArgKind::Flag,
            "all children of the root; ends safe mode",
        ),
    ],
    rules: &[Rule::new(
        Together::One(&["path", "all"]),
        "release takes a path or --all",
        "`uk health` lists what is in quarantine",
    )],
    show,
    ..Command::changing(&["release"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    match args.path("path") {
        Some(path) => done(&kernel, &path, kernel.release(&path).await),
        None => done(&kernel, &ActorPath::root(), kernel.release_all().await),
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    if document.get("count").is_some() {
        let released = children(number(document, "count"));
        return format!("released {released} of {}\n", text(document, "path"));
    }
    super::show_done(document, screen)
}
