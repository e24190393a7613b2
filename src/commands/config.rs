//! `uk config`: settings, what is in force of them and why.

use std::path::Path;

use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::{Code, CommandError};
use crate::nearest::nearest;
use crate::output;
use crate::settings::system::{self, Explained, Flags, FolderFrom, KEYS, Loaded};
use crate::tree_file::Checked;

mod explain;
mod get;
mod schema;

pub(super) use self::explain::COMMAND as EXPLAIN;
pub(super) use self::get::COMMAND as GET;
pub(super) use self::schema::COMMAND as SCHEMA;

/// Where the files of settings are.
pub(super) const FOLDER: Arg = Arg::option(
    "config-dir",
    ArgKind::Folder,
    "where system.yaml is, else config/ beside the tree file [env: UK_CONFIG_DIR]",
);

/// What settings are of.
const TARGET: Arg = Arg::required(
    "target",
    ArgKind::Word(&["system"]),
    "`system`: the kernel's own settings",
);
const KEY: Arg = Arg::optional(
    "key",
    ArgKind::Text,
    "one key, or the mapping of several, as in history.keep; without it all",
);
const TREE: Arg = Arg::option(
    "tree",
    ArgKind::File,
    "the tree file that `uk run` is given: config/ beside it is looked into",
);

/// What reading commands are given.
const READING: &[Arg] = &[TARGET, KEY, TREE, FOLDER];

/// Reads all layers of the kernel's own settings.
pub(super) fn load(args: &Args, tree: Option<&str>, flags: &Flags) -> Checked<Loaded> {
    system::load(&folder(args, tree), std::env::vars_os(), flags)
}

/// Where the kernel's own settings are looked for.
pub(super) fn folder(args: &Args, tree: Option<&str>) -> FolderFrom {
    let folder = args.text(FOLDER.name).map(Path::new);
    system::folder_of(folder, tree.map(Path::new))
}

/// The keys that are asked for, and all settings; `None` if there are faults, which were told.
fn asked(caller: &Caller, args: &Args) -> Result<Option<(Vec<Explained>, Loaded)>, CommandError> {
    let checked = load(args, args.text(TREE.name), &Flags::default());
    let Some(loaded) = &checked.tree else {
        if caller.json {
            output::out(&format!("{}\n", checked.to_json()))?;
        } else {
            output::err(&checked.render(output::wants_colour(&std::io::stderr())));
            output::err(&format!(
                "the kernel's own settings: {}\n",
                checked.summary()
            ));
        }
        return Ok(None);
    };
    output::err(&checked.render(output::wants_colour(&std::io::stderr())));
    let name = args.text(KEY.name);
    let found = loaded.explain(name);
    match name {
        Some(name) if found.is_empty() && name != "labels" => Err(unknown(name)),
        _ => Ok(checked.tree.map(|loaded| (found, loaded))),
    }
}

fn unknown(name: &str) -> CommandError {
    let names = KEYS.iter().map(|key| key.name);
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`uk config explain system` lists all".to_owned(),
    };
    let message = format!("`{name}` is no key of the kernel's own settings");
    CommandError::new(Code::NotFound, message).hint(hint)
}
