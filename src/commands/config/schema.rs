//! `uk config schema`: what settings may be, for editors.

use crate::arguments::Args;
use crate::cli::Caller;
use crate::commands::Command;
use crate::error::CommandError;
use crate::output;
use crate::settings::system::schema;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Print the JSON Schema of settings, for editors",
    help: "An editor with a YAML language server then completes keys, shows what they mean and marks what is wrong, \
           if the first line of a system.yaml is `# yaml-language-server: $schema=system.schema.json`.\n\n\
           Example: uk config schema system > system.schema.json",
    args: &[super::TARGET],
    ..Command::local(&["config", "schema"], run)
};

fn run(_: &Caller, _: &Args) -> Result<u8, CommandError> {
    output::out(&format!("{:#}\n", schema()))?;
    Ok(0)
}
