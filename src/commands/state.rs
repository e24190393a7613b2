//! `uk state`: what an actor says of itself.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Command, PATH};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;

/// How long an actor may take to say what it is unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const COMMAND: Command = Command {
    about: "What an actor says of itself",
    help: "Answered between two of its messages, so a busy actor takes its time.\n\n\
           Example: uk state /sensors/host",
    args: &[
        PATH,
        Arg::option("timeout", ArgKind::Duration, "how long to wait for it; 5s"),
    ],
    show: |document, _| format!("{:#}\n", document.get("state").unwrap_or(&Value::Null)),
    ..Command::reading(&["state"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    let timeout = args.duration("timeout").unwrap_or(TIMEOUT);
    let state = kernel.observe(&path, timeout).await;
    let state = state.map_err(|error| CommandError::of_kernel(error, &kernel))?;
    Ok(json!({ "version": 1, "path": path, "state": state }))
}
