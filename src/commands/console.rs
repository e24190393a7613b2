//! `uk console`: attaches a console to a running kernel.

use super::Command;
use crate::arguments::Args;
use crate::cli::Caller;
use crate::console;
use crate::error::CommandError;

pub(super) const COMMAND: Command = Command {
    about: "Attach a console; quitting it never stops the kernel",
    help: "Reads commands from the keyboard or from a pipe, one a line, without the leading `uk`. \
           From a pipe it stops at the first error, with its exit code.\n\n\
           Example: echo 'tree /sensors' | uk console",
    ..Command::local(&["console"], run)
};

fn run(caller: &Caller, _: &Args) -> Result<u8, CommandError> {
    console::attach(caller)
}
