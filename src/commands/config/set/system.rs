//! The kernel's own settings: they are written into `system.yaml`, and a kernel that runs sees the file change.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::super::{DRY_RUN, FOLDER, TREE, folder, unknown};
use super::{SET, UNSET};
use crate::arguments::Args;
use crate::cli::Caller;
use crate::disk;
use crate::error::{Code, CommandError};
use crate::kind_check::KnownKinds;
use crate::output;
use crate::replace;
use crate::screen::{Line, Screen, Tone, list, printable, text};
use crate::settings::edit::{self, At};
use crate::settings::keeper::flat;
use crate::settings::system::{FILE, FolderFrom, KEYS, check_file};
use crate::tree_file::mend::Edited;
use crate::tree_file::{Limits, Sources, read_file};

pub(super) fn set(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let settings = args.get("settings").and_then(Value::as_object);
    let edits = flat(settings.unwrap_or(&Map::new()));
    change(caller, args, &edits).and_then(|document| show_done(caller, &SET, document))
}

pub(super) fn unset(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let keys = args.get("keys").and_then(Value::as_array);
    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
    let edits: Vec<(Vec<String>, Value)> = keys
        .map(|key| (key.splitn(2, '.').map(str::to_owned).collect(), Value::Null))
        .collect();
    change(caller, args, &edits).and_then(|document| show_done(caller, &UNSET, document))
}

/// Prints a document; without one the faults were told.
fn show_done(
    caller: &Caller,
    command: &crate::commands::Command,
    document: Option<Value>,
) -> Result<u8, CommandError> {
    match document {
        Some(document) => caller.print(command, &document),
        None => Ok(Code::Invalid.exit()),
    }
}

/// Writes the edits into the file, if what comes of it has no fault; `null` takes a key out.
fn change(
    caller: &Caller,
    args: &Args,
    edits: &[(Vec<String>, Value)],
) -> Result<Option<Value>, CommandError> {
    if args.flag("save") {
        let error = CommandError::usage("`save`: the kernel's own settings are in its file alone");
        return Err(error.hint("leave it out: they are written into the file in any case"));
    }
    for (key, _) in edits {
        let name = key.join(".");
        let is_known =
            |known: &str| known == name || known == "labels" && name.starts_with("labels.");
        if !KEYS.iter().any(|key| is_known(key.name)) {
            return Err(unknown(&name));
        }
    }
    let file = file(args)?;
    let before = read(&file)?;
    let mut after = before.clone().unwrap_or_default();
    let mut changes = Vec::new();
    for (key, value) in edits {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        let edited = match value {
            Value::Null if args.get("keys").is_some() => edit::unset(&after, At::Top, &key),
            value => edit::set(&after, At::Top, &key, value),
        };
        after = edited.map_err(|error| {
            CommandError::new(Code::Failed, format!("{}: {error}", file.display()))
                .hint("nothing was written")
        })?;
        changes.push(json!({ "key": key.join("."), "to": value }));
    }
    if !is_sound(caller, &file, &after)? {
        return Ok(None);
    }
    let dry_run = args.flag(DRY_RUN.name);
    if !dry_run {
        write(&file, before, after)?;
    }
    Ok(Some(json!({
        "version": 1,
        "done": if dry_run { "planned" } else { "written" },
        "file": file.display().to_string(),
        "changes": changes,
    })))
}

/// The file that is written: in the folder that is looked into, which may not be there yet.
fn file(args: &Args) -> Result<PathBuf, CommandError> {
    match folder(args, args.text(TREE.name)) {
        FolderFrom::Named(folder) | FolderFrom::Usual(folder) => Ok(folder.join(FILE)),
        FolderFrom::Nowhere => Err(CommandError::usage(
            "it is not said where the kernel's own settings are",
        )
        .hint(format!(
            "name the tree file with --{}, or the folder with --{}",
            TREE.name, FOLDER.name
        ))),
    }
}

fn read(file: &Path) -> Result<Option<String>, CommandError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let message = format!("cannot read {}: {error}", file.display());
            Err(CommandError::new(Code::Failed, message).hint("nothing was changed"))
        }
    }
}

/// Whether the file would have no fault; else they are told.
fn is_sound(caller: &Caller, file: &Path, after: &str) -> Result<bool, CommandError> {
    let kinds = unity_actors::kinds();
    let read = |path: &Path, max: usize| {
        if path == file {
            Ok(after.as_bytes().to_vec())
        } else {
            read_file(path, max)
        }
    };
    let sources = Sources {
        read: &read,
        env: &|name| std::env::var(name).ok(),
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    let checked = check_file(file, &sources);
    if checked.tree.is_some() {
        return Ok(true);
    }
    if caller.json {
        output::out(&format!("{}\n", checked.to_json()))?;
    } else {
        output::err(&checked.render(output::wants_colour(&std::io::stderr())));
        let summary = checked.summary();
        output::err(&format!(
            "{}: {summary}; nothing was written\n",
            file.display()
        ));
    }
    Ok(false)
}

fn write(file: &Path, before: Option<String>, after: String) -> Result<(), CommandError> {
    if let Some(before) = before {
        return replace::replace(&[Edited {
            path: file.to_owned(),
            before: before.into(),
            after,
        }]);
    }
    disk::replace(&disk::RealDisk, file, after.as_bytes()).map_err(|error| {
        let message = format!("cannot write {}: {error}", file.display());
        CommandError::new(Code::Failed, message).hint("nothing was changed")
    })
}

pub(super) fn show(document: &Value, screen: &Screen) -> String {
    let mut out = String::new();
    for change in list(document, "changes") {
        let said = match change.get("to") {
            None | Some(Value::Null) => "taken out".to_owned(),
            Some(Value::String(text)) => printable(text),
            Some(value) => value.to_string(),
        };
        out.push_str(&format!("system {}: {said}\n", text(change, "key")));
    }
    let mut line = Line::new();
    if text(document, "done") == "planned" {
        line.push(Tone::Bold, "nothing was written");
        line.push(Tone::Plain, ": without --dry-run it is");
    } else {
        line.push(Tone::Good, "written");
        let told = format!(
            " into {}; a kernel that runs with it puts in force what it can as it runs",
            text(document, "file")
        );
        line.push(Tone::Plain, &told);
    }
    out.push_str(&line.wrap(screen, 2));
    out
}
