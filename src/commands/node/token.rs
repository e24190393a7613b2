//! `uk node token`: a cookie that nobody could guess.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde_json::json;

use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::output;

/// How much chance there is in one, in bytes.
const LEN: usize = 32;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Make a cookie for the nodes of a cluster",
    help: "All nodes of a cluster have the same, in a file that only its owner can read: `uk run --node-cookie-file FILE`, \
           or `nodes.cookie_file` in system.yaml. With --out it is written to a new file of that kind, else printed.\n\n\
           Example: uk node token --out cookie",
    args: &[Arg::option(
        "out",
        ArgKind::File,
        "the file to make, for its owner alone",
    )],
    ..Command::local(&["node", "token"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let mut chance = [0; LEN];
    getrandom::fill(&mut chance).map_err(|error| {
        CommandError::new(
            Code::Failed,
            format!("the system has no chance to give: {error}"),
        )
    })?;
    let cookie: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let Some(file) = args.text("out") else {
        let said = match caller.json {
            true => format!("{}\n", json!({ "version": 1, "token": cookie })),
            false => format!("{cookie}\n"),
        };
        output::out(&said)?;
        return Ok(0);
    };
    write_new(file, &cookie).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CommandError::new(Code::Failed, format!("{file} is there already"))
                .hint("a cookie that is in use is not written over; name another file")
        }
        _ => CommandError::new(Code::Failed, format!("cannot write {file}: {error}")),
    })?;
    let said = match caller.json {
        true => format!("{}\n", json!({ "version": 1, "file": file })),
        false => format!(
            "made {file}; copy it to each node, for its owner alone, and start them with\n  \
             uk run FILE --node-cookie-file {file}\n"
        ),
    };
    output::out(&said)?;
    Ok(0)
}

/// A file that is for its owner alone from its first byte on.
fn write_new(file: &str, cookie: &str) -> io::Result<()> {
    let mut made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    made.write_all(format!("{cookie}\n").as_bytes())?;
    made.sync_all()
}
