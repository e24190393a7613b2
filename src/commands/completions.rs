//! `uk completions`: a script that lets a shell complete `uk`.

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::CommandError;
use crate::output;

/// The scripts by shell. Each asks `uk __complete`, see [`crate::complete`].
const SCRIPTS: [(&str, &str); 3] = [
    ("bash", include_str!("completions/uk.bash")),
    ("zsh", include_str!("completions/uk.zsh")),
    ("fish", include_str!("completions/uk.fish")),
];

pub(super) const COMMAND: Command = Command {
    about: "Print a script that lets a shell complete `uk`",
    help: "It completes commands, options, kinds and files, and the paths of the kernel that runs.\n\n\
           In ~/.bashrc: eval \"$(uk completions bash)\"\n\
           In ~/.zshrc, after compinit: eval \"$(uk completions zsh)\"\n\
           In ~/.config/fish/config.fish: source (uk completions fish | psub)\n\n\
           Example: uk completions bash",
    args: &[Arg::required(
        "shell",
        ArgKind::Word(&["bash", "zsh", "fish"]),
        "which shell",
    )],
    ..Command::local(&["completions"], run)
};

fn run(_: &Caller, args: &Args) -> Result<u8, CommandError> {
    let shell = args.text("shell").unwrap_or_default();
    let script = SCRIPTS.iter().find(|(name, _)| *name == shell);
    let script = script.ok_or_else(|| CommandError::usage("`shell` is missing"))?;
    output::out(script.1)?;
    Ok(0)
}
