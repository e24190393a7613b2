//! `uk check`: reads a tree file and says all that is wrong with it.

use std::path::Path;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::kind_check::KnownKinds;
use crate::output;
use crate::tree_file::{Checked, Limits, Sources, load, load_text, read_file};

pub(super) const COMMAND: Command = Command {
    about: "Check a tree file and show every fault at once",
    help: "Exits 0 if there are only warnings (9 with --strict), 3 if there are faults. Starts nothing.\n\n\
           Example: uk check robot.yaml --strict",
    args: &[
        Arg::required("file", ArgKind::File, "a tree file, YAML or JSON"),
        Arg::option("strict", ArgKind::Flag, "exit 9 if there are warnings"),
    ],
    ..Command::local(&["check"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let file = args.text("file").unwrap_or_default();
    let checked = read(Some(file), "");
    let has_warnings = checked.warnings().next().is_some();
    if caller.json {
        output::out(&format!("{}\n", checked.to_json()))?;
    } else if checked.diagnostics.is_empty() {
        output::out(&format!("{file}: ok\n"))?;
    } else {
        output::out(&checked.render(caller.screen.colour))?;
        output::out(&format!("{file}: {}\n", checked.summary()))?;
    }
    Ok(match checked.tree {
        None => Code::Invalid.exit(),
        Some(_) if has_warnings && args.flag("strict") => EXIT_DIFFERENCE,
        Some(_) => 0,
    })
}

/// Reads the tree file, or the text of the default tree.
pub(super) fn read(file: Option<&str>, default: &str) -> Checked {
    let kinds = unity_actors::kinds();
    let sources = Sources {
        read: &read_file,
        env: &|name| std::env::var(name).ok(),
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    match file {
        Some(file) => load(Path::new(file), &sources),
        None => load_text("default tree", default, &sources),
    }
}
