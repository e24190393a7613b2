//! `uk schema`: what files may hold, for editors.

use super::Command;
use crate::arguments::Args;
use crate::cli::Caller;
use crate::error::CommandError;
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

fn run(_: &Caller, _: &Args) -> Result<u8, CommandError> {
    let kinds = unity_actors::kinds();
    let schema = tree_file::schema(&KnownKinds(&kinds));
    output::out(&format!("{schema:#}\n"))?;
    Ok(0)
}
