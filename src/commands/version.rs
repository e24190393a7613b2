//! `uk version`: what this program is.

use serde_json::{Value, json};

use super::Command;
use crate::arguments::Args;
use crate::cli::Caller;
use crate::error::CommandError;
use crate::screen::text;

pub(super) const COMMAND: Command = Command {
    about: "What this program is",
    help: "Example: uk version --json",
    show: |document, _| format!("uk {}\n", text(document, "release")),
    ..Command::local(&["version"], run)
};

fn run(caller: &Caller, _: &Args) -> Result<u8, CommandError> {
    let document: Value =
        json!({ "version": 1, "name": "uk", "release": env!("CARGO_PKG_VERSION") });
    caller.print(&COMMAND, &document)
}
