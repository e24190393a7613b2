//! `uk schema`: what files may hold, for editors.

use super::Command;
use crate::arguments::Args;
use crate::chaos_file;
use crate::cli::Caller;
use crate::error::CommandError;
use crate::event_file;
use crate::kind_check::KnownKinds;
use crate::output;
use crate::tree_file;

pub(super) const TREE: Command = Command {
    about: "Print the JSON Schema of tree files, for editors",
    help: "An editor with a YAML language server then completes keys, shows what they mean and marks what is wrong, \
           if the first line of a tree file is `# yaml-language-server: $schema=tree.schema.json`.\n\n\
           Example: uk schema tree > tree.schema.json",
    ..Command::local(&["schema", "tree"], run)
};

pub(super) const EVENTS: Command = Command {
    about: "Print the JSON Schema of catalogs of events, for editors",
    help: "For the first line of an events.yaml: `# yaml-language-server: $schema=events.schema.json`.\n\n\
           Example: uk schema events > events.schema.json",
    ..Command::local(&["schema", "events"], |_, _| {
        output::out(&format!("{:#}\n", event_file::schema()))?;
        Ok(0)
    })
};

pub(super) const CHAOS: Command = Command {
    about: "Print the JSON Schema of plans of chaos, for editors",
    help: "For the first line of a plan: `# yaml-language-server: $schema=chaos.schema.json`.\n\n\
           Example: uk schema chaos > chaos.schema.json",
    ..Command::local(&["schema", "chaos"], |_, _| {
        output::out(&format!("{:#}\n", chaos_file::schema()))?;
        Ok(0)
    })
};

fn run(_: &Caller, _: &Args) -> Result<u8, CommandError> {
    let kinds = unity_actors::kinds();
    let schema = tree_file::schema(&KnownKinds(&kinds));
    output::out(&format!("{schema:#}\n"))?;
    Ok(0)
}
