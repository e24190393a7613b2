//! `uk check`: reads a tree file and says all that is wrong with it.

use std::path::Path;

use serde_json::{Value, json};
use unity_supervisors::Kinds;
use unity_supervisors::spec::TreeSpec;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::chaos_file;
use crate::cli::Caller;
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::event_file;
use crate::kind_check::KnownKinds;
use crate::output;
use crate::screen::{Screen, Tone, printable};
use crate::settings::secrets::Places;
use crate::settings::system::{check_file, is_system_file};
use crate::tree_file::mend::{Edited, Mended, mend, mend_read};
use crate::tree_file::{Checked, Limits, Sources, load, load_text, read_file, to_json, to_yaml};

pub(super) const COMMAND: Command = Command {
    about: "Check a tree file, a system.yaml, an events.yaml or a chaos plan, and show every fault at once",
    help: "Exits 0 if there are only warnings (9 with --strict), 3 if there are faults. Starts nothing.\n\n\
           With --fix, what can be meant in one way only is mended in the file and in what it includes: \
           a misspelt key or word with one near neighbour, `yes` for `true`, `5 sec` for `5s`. Comments and \
           layout stay, and what would uncover another fault is left as it is.\n\n\
           With --effective it prints the tree as a tree file that says everything: includes and variables \
           filled in, defaults too. Secrets are shown as `${secret:NAME}`.\n\n\
           A secret that is missing is a warning here, for the tree may be meant for another machine; `uk run` \
           refuses it.\n\n\
           A file called `system.yaml`, or in a folder `system.d`, has the kernel's own settings and is checked as such. One called \
           `events.yaml`, or with a key `events` and none `tree`, is a catalog of events. One in a folder `chaos`, or with a key \
           `phases` or `acts` and none `tree`, is a plan of chaos. Any other is a tree.\n\n\
           In --json each place has `line` and `column` from 1 in characters, `bytes` from 0, and `range` \
           as the language server protocol has it: from 0, in UTF-16.\n\n\
           Example: uk check robot.yaml --fix --dry-run\n\
           Example: uk check robot.yaml --effective",
    args: &[
        Arg::required(
            "file",
            ArgKind::File,
            "a tree file, a system.yaml, an events.yaml or a chaos plan",
        ),
        Arg::option("strict", ArgKind::Flag, "exit 9 if there are warnings"),
        Arg::option(
            "fix",
            ArgKind::Flag,
            "mend what can be meant in one way only",
        ),
        Arg::option(
            "dry-run",
            ArgKind::Flag,
            "with --fix: show what it would do, write nothing",
        ),
        Arg::option(
            "effective",
            ArgKind::Flag,
            "print the tree with all that it does not say",
        ),
        SECRETS_DIR,
    ],
    ..Command::local(&["check"], run)
};

/// Where secrets are.
pub(super) const SECRETS_DIR: Arg = Arg::option(
    "secrets-dir",
    ArgKind::File,
    "a folder with a file for each secret [env: UK_SECRETS_DIR]",
);

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let file = args.text("file").unwrap_or_default();
    let secrets = places(args)?.to_look_at().secrets();
    let kinds = unity_actors::kinds().with_secrets(secrets);
    let known = KnownKinds(&kinds);
    let path = Path::new(file);
    if is_system_file(path) {
        let mended = mend_read(path, &sources(&known), &check_file);
        let what = "has the kernel's own settings";
        return check_other(
            caller,
            args,
            mended,
            (what, "`uk config get system` prints those in force"),
        );
    }
    if event_file::is_event_file(path, &sources(&known)) {
        let mended = mend_read(path, &sources(&known), &event_file::check_file);
        let what = "is a catalog of events";
        return check_other(
            caller,
            args,
            mended,
            (what, "`uk events list` shows what is in force"),
        );
    }
    if chaos_file::is_plan_file(path, &sources(&known)) {
        let mended = mend_read(path, &sources(&known), &chaos_file::check_file);
        let what = "is a plan of chaos";
        return check_other(
            caller,
            args,
            mended,
            (what, "`uk chaos plan` shows what it would touch"),
        );
    }
    let checked = match mode(args)? {
        Mode::Fix { dry } => fix(caller, file, dry, mend(path, &sources(&known)))?,
        mode => {
            // What `--fix` would leave out has no fix.
            let checked = mend(path, &sources(&known)).before;
            match (mode, &checked.tree) {
                (Mode::Effective, Some(tree)) => show_effective(caller, tree, &checked, &kinds)?,
                (Mode::Effective, None) if !caller.json => output::err(&faults(
                    file,
                    &checked,
                    output::wants_colour(&std::io::stderr()),
                )),
                _ => show(caller, file, &checked)?,
            }
            checked
        }
    };
    Ok(exit(&checked, args))
}

/// The same for a file that is no tree; `what` it is, and where to look for what is in force of it.
fn check_other<T>(
    caller: &Caller,
    args: &Args,
    mended: Mended<T>,
    (what, instead): (&str, &str),
) -> Result<u8, CommandError> {
    let file = args.text("file").unwrap_or_default();
    let checked = match mode(args)? {
        Mode::Fix { dry } => fix(caller, file, dry, mended)?,
        Mode::Show => {
            show(caller, file, &mended.before)?;
            mended.before
        }
        Mode::Effective => {
            let error = CommandError::usage(format!("--effective is for trees, this file {what}"));
            return Err(error.hint(instead));
        }
    };
    Ok(exit(&checked, args))
}

fn exit<T>(checked: &Checked<T>, args: &Args) -> u8 {
    let has_warnings = checked.warnings().next().is_some();
    match checked.tree {
        None => Code::Invalid.exit(),
        Some(_) if has_warnings && args.flag("strict") => EXIT_DIFFERENCE,
        Some(_) => 0,
    }
}

/// What is wanted besides the faults.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Show,
    Effective,
    Fix { dry: bool },
}

fn mode(args: &Args) -> Result<Mode, CommandError> {
    let file = args.text("file").unwrap_or_default();
    let (fix, dry) = (args.flag("fix"), args.flag("dry-run"));
    match (fix, dry, args.flag("effective")) {
        (false, true, _) => {
            let error = CommandError::usage("--dry-run is for --fix");
            Err(error.hint("without --fix nothing is written anyway"))
        }
        (true, _, true) => {
            let error = CommandError::usage("--fix and --effective exclude each other");
            let hint =
                format!("mend first: `uk check {file} --fix`, then `uk check {file} --effective`");
            Err(error.hint(hint))
        }
        (true, dry, false) => Ok(Mode::Fix { dry }),
        (false, false, true) => Ok(Mode::Effective),
        (false, false, false) => Ok(Mode::Show),
    }
}

fn show<T>(caller: &Caller, file: &str, checked: &Checked<T>) -> Result<(), CommandError> {
    if caller.json {
        return output::out(&format!("{}\n", checked.to_json()));
    }
    if checked.diagnostics.is_empty() {
        return output::out(&format!("{file}: ok\n"));
    }
    output::out(&faults(file, checked, caller.screen.colour))
}

/// What is wrong, for people, and how much of it can be mended.
fn faults<T>(file: &str, checked: &Checked<T>, colour: bool) -> String {
    let all = &checked.diagnostics;
    let mends = all.iter().filter(|found| found.fix.is_some()).count();
    let mends = match (mends, all.len()) {
        (0, _) => String::new(),
        (1, 1) => format!("; `uk check --fix {file}` mends it"),
        (some, all) if some == all => format!("; `uk check --fix {file}` mends them all"),
        (some, _) => format!("; `uk check --fix {file}` mends {some} of them"),
    };
    let (told, summary) = (checked.render(colour), checked.summary());
    format!("{told}{file}: {summary}{mends}\n")
}

/// Prints the tree in full, as a tree file; warnings go where they do not get into it.
fn show_effective(
    caller: &Caller,
    tree: &TreeSpec,
    checked: &Checked,
    kinds: &Kinds,
) -> Result<(), CommandError> {
    output::err(&checked.render(output::wants_colour(&std::io::stderr())));
    if caller.json {
        return output::out(&format!("{}\n", to_json(tree)));
    }
    let yaml = to_yaml(tree, &KnownKinds(kinds));
    if read(None, &yaml, kinds).tree.as_ref() != Some(tree) {
        output::err("note: written in full the tree is too large to be read back\n");
    }
    output::out(&yaml)
}

/// Mends the file, shows what was mended and what is left, and returns the reading of what is there then.
fn fix<T>(
    caller: &Caller,
    file: &str,
    dry: bool,
    mended: Mended<T>,
) -> Result<Checked<T>, CommandError> {
    if !dry {
        crate::replace::replace(&mended.files)?;
    }
    let checked = mended.checked;
    if caller.json {
        let mut document = checked.to_json();
        if let Some(object) = document.as_object_mut() {
            let lines: Vec<Value> = mended.files.iter().flat_map(lines_json).collect();
            object.insert("written".to_owned(), json!(!dry && !lines.is_empty()));
            object.insert("mended".to_owned(), json!(lines));
        }
        output::out(&format!("{document}\n"))?;
        return Ok(checked);
    }
    output::out(&diff(&mended.files, &caller.screen))?;
    let count: usize = mended.files.iter().map(|file| file.lines().count()).sum();
    let lines = if count == 1 { "line" } else { "lines" };
    output::out(&match (count, dry) {
        (0, _) if checked.diagnostics.is_empty() => String::new(),
        (0, _) => "nothing was mended, this is left to you:\n\n".to_owned(),
        (_, false) => format!("mended {count} {lines}\n\n"),
        (_, true) => {
            format!("would mend {count} {lines}, nothing was written; it would leave:\n\n")
        }
    })?;
    show(caller, file, &checked)?;
    Ok(checked)
}

/// The lines that differ, one below the other.
fn diff(files: &[Edited], screen: &Screen) -> String {
    let mut out = String::new();
    for file in files {
        for (number, before, after) in file.lines() {
            let place = printable(&format!("{}:{number}", file.path.display()));
            out.push_str(&format!("{}\n", screen.paint(Tone::Dim, &place)));
            for (tone, sign, line) in [(Tone::Bad, '-', before), (Tone::Good, '+', after)] {
                let line = format!("{sign} {}", printable(line));
                out.push_str(&format!("{}\n", screen.paint(tone, &line)));
            }
        }
    }
    out
}

fn lines_json(file: &Edited) -> Vec<Value> {
    let path = file.path.display().to_string();
    let line = |(number, before, after)| json!({ "file": path, "line": number, "before": before, "after": after });
    file.lines().map(line).collect()
}

fn sources<'a>(kinds: &'a KnownKinds<'a>) -> Sources<'a> {
    Sources {
        read: &read_file,
        env: &|name| std::env::var(name).ok(),
        kinds,
        limits: Limits::default(),
    }
}

/// Where the secrets of a tree file are.
///
/// # Errors
/// If the folder that was named is none: then what is in it would be missed later, and one by one.
pub(super) fn places(args: &Args) -> Result<Places, CommandError> {
    let env = |name: &str| std::env::var(name).ok();
    let named = args.text("secrets-dir").map(str::to_owned);
    let named = named.or_else(|| env("UK_SECRETS_DIR").filter(|folder| !folder.is_empty()));
    if let Some(folder) = named
        .as_deref()
        .filter(|folder| !Path::new(folder).is_dir())
    {
        let message = format!("`secrets-dir`: there is no folder `{}`", printable(folder));
        let hint = "name a folder with a file for each secret, or leave it out";
        return Err(CommandError::usage(message).hint(hint));
    }
    let file = args.text("file").map(Path::new);
    Ok(Places::new(named.as_deref().map(Path::new), file, env))
}

/// Reads the tree file, or the text of the default tree.
pub(super) fn read(file: Option<&str>, default: &str, kinds: &Kinds) -> Checked {
    let kinds = KnownKinds(kinds);
    let sources = sources(&kinds);
    match file {
        Some(file) => load(Path::new(file), &sources),
        None => load_text("default tree", default, &sources),
    }
}
