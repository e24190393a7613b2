//! `uk tell`: sends a message and does not wait for it to be handled.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::{ActorPath, Kernel};

use super::{Command, PATH};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;
use crate::screen::text;

pub(super) const MESSAGE: Arg = Arg::required(
    "message",
    ArgKind::Json,
    r#"JSON, as in '{"echo": 1}'; a bare word is text"#,
);

pub(super) const KEY: Arg = Arg::option(
    "key",
    ArgKind::Text,
    "where the path has `partitions`: send to the one whose key this is",
);

/// Where a message goes: the path, or the partition there that takes its key.
pub(super) fn receiver(kernel: &Kernel, args: &Args) -> Result<ActorPath, CommandError> {
    let path = args.the_path()?;
    match args.text("key") {
        Some(key) => kernel
            .partition(
                &path,
                &key.parse::<i64>()
                    .map_or_else(|_| json!(key), |key| json!(key)),
            )
            .map_err(|error| CommandError::of_kernel(error, kernel)),
        None => Ok(path),
    }
}

pub(super) const COMMAND: Command = Command {
    about: "Send a message",
    help: "Waits for room in the mailbox, not for the message to be handled. A message that \
           does not fit is refused and the shape that would fit is said.\n\n\
           Example: uk tell /arm/driver '{\"crash\": \"ouch\"}'\n\
           Example: uk tell /users --key 'user 7' '{\"echo\": 1}'",
    args: &[PATH, MESSAGE, KEY],
    show: |document, _| format!("told {}\n", text(document, "path")),
    is_audited: false,
    ..Command::changing(&["tell"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let path = receiver(&kernel, &args)?;
    let message = args.get("message").cloned().unwrap_or_default();
    kernel
        .tell(&path, message)
        .await
        .map_err(|error| CommandError::of_kernel(error, &kernel))?;
    Ok(json!({ "version": 1, "path": path, "done": "told" }))
}
