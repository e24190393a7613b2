//! `uk config`: settings, what is in force of them and why, what was changed, and how it is undone.
//!
//! What settings are of is a path in the tree, which the kernel that runs knows, or `system`: the kernel's own settings,
//! which are read where the command was typed.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use unity_supervisors::slot::Slot;
use unity_supervisors::{ActorPath, Kernel, KernelError};

use crate::arguments::{Arg, ArgKind, Args, Form, SYSTEM};
use crate::cli::{Caller, block_on};
use crate::commands::{Command, LocalRun};
use crate::error::{Code, CommandError};
use crate::nearest::nearest;
use crate::output;
use crate::settings::system::{self, Explained, Flags, FolderFrom, KEYS, Loaded};
use crate::tree_file::Checked;

mod apply;
mod diff;
mod explain;
mod get;
pub(crate) mod history;
mod plan;
mod rollback;
mod schema;
mod set;

pub(super) use self::apply::COMMAND as APPLY;
pub(super) use self::diff::COMMAND as DIFF;
pub(super) use self::explain::COMMAND as EXPLAIN;
pub(super) use self::get::COMMAND as GET;
pub(super) use self::history::COMMAND as HISTORY;
pub(super) use self::rollback::COMMAND as ROLLBACK;
pub(super) use self::schema::COMMAND as SCHEMA;
pub(super) use self::set::{SET, UNSET};

/// Where the files of settings are.
pub(super) const FOLDER: Arg = Arg::option(
    "config-dir",
    ArgKind::Folder,
    "where system.yaml is, else config/ beside the tree file [env: UK_CONFIG_DIR]",
)
.stays();

/// What settings are of.
const TARGET: Arg = Arg::required(
    "target",
    ArgKind::Target,
    "a child, as in /sensors/host, or `system`: the kernel's own settings",
);
const KEY: Arg = Arg::optional(
    "key",
    ArgKind::Form(Form::Key),
    "one key, or the mapping of several, as in history.keep; without it all",
);
const TREE: Arg = Arg::option(
    "tree",
    ArgKind::File,
    "with `system`: the tree file that `uk run` is given; config/ beside it is looked into",
)
.stays();
const DRY_RUN: Arg = Arg::option("dry-run", ArgKind::Flag, "only say what it would do");

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

/// Does what is about the kernel's own settings here, and asks the kernel about all else.
fn attend(
    caller: &Caller,
    args: &Args,
    command: &Command,
    own: LocalRun,
) -> Result<u8, CommandError> {
    if args.text(TARGET.name) == Some(SYSTEM) {
        return own(caller, args);
    }
    let client = caller.kernel()?;
    let document = block_on(client.call(command, args))??;
    caller.print(command, &document)
}

/// The worker that settings are asked of, and its kind.
fn worker(kernel: &Kernel, args: &Args) -> Result<(Arc<Slot>, String), CommandError> {
    let path = args.path(TARGET.name).ok_or_else(|| {
        CommandError::conflict("the kernel's own settings are asked for where its files are")
            .hint("`uk config get system` in a shell reads them")
    })?;
    let slot = kernel
        .registry()
        .get(&path)
        .ok_or_else(|| CommandError::of_kernel(KernelError::NotFound(path.clone()), kernel))?;
    let spec = slot.spec();
    let Some(worker) = spec.as_worker() else {
        return Err(has_no_settings(&path));
    };
    Ok((slot, worker.kind.clone()))
}

fn has_no_settings(path: &ActorPath) -> CommandError {
    CommandError::conflict(format!("`{path}` is a supervisor, which has no settings")).hint(
        format!("name one of its children: `uk tree {path}` shows them"),
    )
}

/// There is no such key of the settings of a kind.
fn no_such_key(kernel: &Kernel, kind: &str, name: &str) -> CommandError {
    let known = known_keys(kernel, kind);
    let hint = if known.iter().any(|known| known == name) {
        format!("it may be set: `uk config schema {kind}` says what may stand there")
    } else {
        did_you_mean(name, kind, &known)
    };
    CommandError::new(Code::NotFound, format!("`{name}` is not set")).hint(hint)
}

fn did_you_mean(name: &str, kind: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("kind `{kind}` has no settings"),
        None => format!("the settings of kind `{kind}` are {}", known.join(", ")),
    }
}

fn known_keys(kernel: &Kernel, kind: &str) -> Vec<String> {
    let schema = kernel.kinds().get(kind).map(|kind| kind.settings_schema());
    let properties = schema.as_ref().and_then(|schema| schema.get("properties"));
    let names = properties.and_then(Value::as_object).into_iter().flatten();
    names.map(|(name, _)| name.clone()).collect()
}

/// What a schema says of a key with dots.
fn schema_of<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let mut at = schema;
    for name in key.split('.') {
        at = resolved(schema, at)?.get("properties")?.get(name)?;
    }
    Some(at)
}

/// The object that a schema is, behind references and what may also be null.
fn resolved<'a>(root: &'a Value, at: &'a Value) -> Option<&'a Value> {
    if at.get("properties").is_some() {
        return Some(at);
    }
    if let Some(name) = at.get("$ref").and_then(Value::as_str) {
        return resolved(root, root.pointer(name.trim_start_matches('#'))?);
    }
    let any = at.get("anyOf").and_then(Value::as_array)?;
    any.iter().find_map(|one| resolved(root, one))
}

/// The value of a key with dots; a name of a mapping may have dots as well.
fn value_at<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(key) {
        return Some(found);
    }
    key.match_indices('.').find_map(|(dot, _)| {
        let inner = value.get(key.get(..dot)?)?;
        value_at(inner, key.get(dot + 1..)?)
    })
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
