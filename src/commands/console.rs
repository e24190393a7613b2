//! `uk console`: attaches a console to a running kernel.

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::console;
use crate::error::CommandError;

pub(super) const COMMAND: Command = Command {
    about: "Attach a console; quitting it never stops the kernel",
    help: "Reads commands from the keyboard or from a pipe, one a line, without the leading `uk`. \
           `cd PATH` goes to a place in the tree: other paths may then be written from there, `.` is the place itself, `$_` \
           the path that was named last. Tab completes, `;` parts commands, `#` begins a comment, `watch COMMAND` runs one that \
           reads again and again. What is typed is kept for the next time, unless it looks like a secret. \
           From a pipe or with -e it says nothing of its own and stops at the first error, with its exit code.\n\n\
           Example: echo 'tree /sensors' | uk console\n\
           Example: uk console --execute 'tree; health'",
    args: &[Arg::option("execute", ArgKind::Text, "run this line and nothing else").short('e')],
    ..Command::local(&["console"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    console::attach(caller, args.text("execute"))
}
