//! `uk ask`: sends a message and waits for its answer.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::tell::{KEY, MESSAGE, receiver};
use super::{Command, PATH};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;

/// How long an answer may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const COMMAND: Command = Command {
    about: "Send a message and wait for its answer",
    help: "Prints the answer. If the actor crashes with the message in hand, that is the answer, \
           and it comes at once.\n\n\
           Example: uk ask /arm/driver '{\"echo\": [1, 2]}' --timeout 2s",
    args: &[
        PATH,
        MESSAGE,
        KEY,
        Arg::option(
            "timeout",
            ArgKind::Duration,
            "how long to wait for the answer; 5s",
        ),
    ],
    show: |document, _| match document.get("answer") {
        Some(Value::String(text)) => format!("{text}\n"),
        Some(answer) => format!("{answer:#}\n"),
        None => "null\n".to_owned(),
    },
    is_audited: false,
    ..Command::changing(&["ask"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let path = receiver(&kernel, &args)?;
    let message = args.get("message").cloned().unwrap_or_default();
    let timeout = args.duration("timeout").unwrap_or(TIMEOUT);
    let answer = kernel.ask(&path, message, timeout).await;
    let answer = answer.map_err(|error| CommandError::of_kernel(error, &kernel))?;
    Ok(json!({ "version": 1, "answer": answer }))
}
