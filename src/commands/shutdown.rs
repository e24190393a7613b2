//! `uk shutdown`: stops the whole kernel in order.
//!
//! The kernel only begins here, because an answer must not depend on what is being stopped; the command
//! line then waits until the kernel's lock is free.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use unity_supervisors::Kernel;

use super::Command;
use crate::arguments::Args;
use crate::cli::{Caller, block_on};
use crate::error::{Code, CommandError};
use crate::screen::{put, text};
use crate::socket::holder_of;

/// How long the command line waits for the end.
const STOPS_WITHIN: Duration = Duration::from_secs(120);

pub(super) const COMMAND: Command = Command {
    about: "Stop the whole kernel in order",
    help: "Children are stopped in reverse start order, each as its `shutdown` says.\n\n\
           Example: uk shutdown",
    show: |document, _| {
        let is_stopping = document.get("stopped") == Some(&Value::Bool(false));
        let what = if is_stopping {
            "is stopping"
        } else {
            "has stopped"
        };
        format!("kernel `{}` {what}\n", text(document, "node"))
    },
    attend: Some(attend),
    ..Command::administering(&["shutdown"], |kernel, _| run(kernel).boxed())
};

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let document = block_on(async {
        let document = client.call(&COMMAND, args).await?;
        if client.is_for_node() {
            // When it has is known on its own machine.
            let mut document = document;
            put(&mut document, "stopped", false);
            return Ok(document);
        }
        let stopped = timeout(STOPS_WITHIN, until_free(client.socket())).await;
        stopped.map_err(|_elapsed| {
            CommandError::new(Code::TimedOut, "the kernel is still stopping")
                .hint("a child takes its time: `uk tree` shows which")
        })?;
        Ok::<_, CommandError>(document)
    })??;
    caller.print(&COMMAND, &document)
}

async fn until_free(socket: &Path) {
    while holder_of(socket).is_some() {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn run(kernel: Kernel) -> Result<Value, CommandError> {
    kernel.begin_shutdown();
    Ok(json!({ "version": 1, "node": kernel.name(), "done": "stopping" }))
}
