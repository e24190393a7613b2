//! `uk check`: reads a tree file and says all that is wrong with it.

use std::path::Path;

use unity_supervisors::spec::TreeSpec;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::kind_check::KnownKinds;
use crate::output;
use crate::tree_file::{Checked, Limits, Sources, load, load_text, read_file, to_json, to_yaml};

pub(super) const COMMAND: Command = Command {
    about: "Check a tree file and show every fault at once",
    help: "Exits 0 if there are only warnings (9 with --strict), 3 if there are faults. Starts nothing. \
           With --effective it prints the tree as a tree file that says everything: includes and variables \
           filled in, defaults too.\n\n\
           Example: uk check robot.yaml --strict\n\
           Example: uk check robot.yaml --effective",
    args: &[
        Arg::required("file", ArgKind::File, "a tree file, YAML or JSON"),
        Arg::option("strict", ArgKind::Flag, "exit 9 if there are warnings"),
        Arg::option(
            "effective",
            ArgKind::Flag,
            "print the tree with all that it does not say",
        ),
    ],
    ..Command::local(&["check"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let file = args.text("file").unwrap_or_default();
    let checked = read(Some(file), "");
    let has_warnings = checked.warnings().next().is_some();
    if let Some(tree) = checked.tree.as_ref().filter(|_| args.flag("effective")) {
        show_effective(caller, tree, &checked)?;
    } else if caller.json {
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

/// Prints the tree in full, as a tree file; warnings go where they do not get into it.
fn show_effective(caller: &Caller, tree: &TreeSpec, checked: &Checked) -> Result<(), CommandError> {
    output::err(&checked.render(output::wants_colour(&std::io::stderr())));
    if caller.json {
        return output::out(&format!("{}\n", to_json(tree)));
    }
    let kinds = unity_actors::kinds();
    let yaml = to_yaml(tree, &KnownKinds(&kinds));
    if read(None, &yaml).tree.as_ref() != Some(tree) {
        output::err("note: written in full the tree is too large to be read back\n");
    }
    output::out(&yaml)
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
