//! Reads plans of chaos, `config/chaos/*.yaml`: [`load`] makes a [`Plan`] of one, or says all that is wrong.
//!
//! Promises what the reading of trees does: every fault and warning at once, each with its place and with what to do next;
//! nothing is read but through [`Sources`]. A plan is called by the name of its file, or by its path. Those in this program
//! ([`SHIPPED`]) are there without a file; a file of the same name counts instead.
//!
//! What can be said of a plan only beside a tree that runs, such as a path that nobody has, is no fault of the file:
//! [`strangers`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unity_actors::chaos::plan::{Plan, Probe};
use unity_supervisors::ActorPath;

use crate::kind_check::KnownKinds;
use crate::nearest::nearest;
use crate::settings::system::FolderFrom;
use crate::tree_file::node::{Value, shown};
use crate::tree_file::reader::Reader;
use crate::tree_file::{Checked, Code, Diagnostic, Limits, Sources, read_file};

mod checks;
mod keys;
mod lower;
mod schema;
#[cfg(test)]
mod tests;
mod values;

pub use self::schema::schema;

/// The plans that are in this program, by their names.
pub const SHIPPED: [(&str, &str); 4] = [
    ("default", include_str!("../config/chaos/default.yaml")),
    ("storm", include_str!("../config/chaos/storm.yaml")),
    ("disk", include_str!("../config/chaos/disk.yaml")),
    ("nodes", include_str!("../config/chaos/nodes.yaml")),
];

/// The folder of plans in a folder of settings.
pub const FOLDER: &str = "chaos";
const ENDINGS: [&str; 2] = ["yaml", "json"];

/// Reads the plan of that name, or at that path: what has a `/` or ends like a file is a path.
#[must_use]
pub fn load(named: &str, folder: &FolderFrom) -> Checked<Plan> {
    with_kinds(|sources| {
        let path = Path::new(named);
        let ending = path.extension().and_then(|ending| ending.to_str());
        if named.contains('/') || ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            return check_file(path, sources);
        }
        if let Some(file) = file_of(named, folder) {
            return check_file(&file, sources);
        }
        let mut reader = Reader::new(sources, true);
        let Some((_, text)) = SHIPPED.iter().find(|(name, _)| *name == named) else {
            reader.report(unknown(named, &names(folder)));
            return reader.checked(None);
        };
        let name = format!("the plan `{named}` in this program");
        let root = reader.text(Path::new(&name), text);
        let plan = reader.plan(root);
        reader.checked(plan)
    })
}

/// The names of all plans, those in the folder and those in this program.
#[must_use]
pub fn names(folder: &FolderFrom) -> BTreeSet<String> {
    let shipped = SHIPPED.iter().map(|(name, _)| (*name).to_owned());
    let folder = folder.path().map(|folder| folder.join(FOLDER));
    let files = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let files = files.into_iter().flatten().filter_map(|file| {
        let path = file.ok()?.path();
        let ending = path.extension()?.to_str()?;
        let name = path.file_stem()?.to_str()?;
        ENDINGS.contains(&ending).then(|| name.to_owned())
    });
    shipped.chain(files).collect()
}

/// Reads one file.
#[must_use]
pub fn check_file(path: &Path, sources: &Sources<'_>) -> Checked<Plan> {
    let mut reader = Reader::new(sources, true);
    let root = reader.open(path, None);
    let plan = reader.plan(root);
    reader.checked(plan)
}

/// Whether `path` is a plan and no tree: by its folder, or by a key `phases` or `acts` at the top and none `tree`.
#[must_use]
pub fn is_plan_file(path: &Path, sources: &Sources<'_>) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    if folder.is_some_and(|folder| folder == FOLDER) {
        return true;
    }
    // What cannot be read is told by whoever reads it for good.
    let root = Reader::new(sources, true).open(path, None);
    root.is_some_and(|root| {
        matches!(root.value, Value::Map(_))
            && ["phases", "acts"].iter().any(|key| root.get(key).is_some())
            && root.get("tree").is_none()
    })
}

/// What a plan names that nobody in a tree is called, a line each, in the order of the plan.
#[must_use]
pub fn strangers(plan: &Plan, tree: &[ActorPath]) -> Vec<String> {
    let targets = plan
        .phases
        .iter()
        .filter_map(|phase| phase.targets.as_ref());
    let patterns = std::iter::once(&plan.targets)
        .chain(targets)
        .flat_map(|targets| targets.paths.iter().chain(&targets.spare))
        .filter(|pattern| !tree.iter().any(|path| pattern.covers(path)))
        .map(ToString::to_string);
    let probes = plan.probes.iter().filter_map(|probe| match probe {
        Probe::Ask { path, .. } | Probe::GoesOn { path, .. } => Some(path),
        _ => None,
    });
    let paths = probes.chain(plan.acts.iter().filter_map(|act| act.path.as_ref()));
    let paths = paths
        .filter(|path| !tree.contains(path))
        .map(ToString::to_string);
    let mut told = BTreeSet::new();
    patterns
        .chain(paths)
        .filter(|name| told.insert(name.clone()))
        .map(|name| {
            let there = tree.iter().map(ActorPath::as_str);
            let help = match nearest(&name, there) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`uk tree` shows all paths".to_owned(),
            };
            format!("nobody in the tree is at `{}`; {help}", shown(&name))
        })
        .collect()
}

fn file_of(name: &str, folder: &FolderFrom) -> Option<PathBuf> {
    let folder = folder.path()?.join(FOLDER);
    let mut files = ENDINGS
        .map(|ending| folder.join(format!("{name}.{ending}")))
        .into_iter();
    // A link to nothing is a file that cannot be read, and told of.
    files.find(|file| std::fs::symlink_metadata(file).is_ok())
}

fn unknown(named: &str, names: &BTreeSet<String>) -> Diagnostic {
    let help = match nearest(named, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!(
                "there are {}; or name a file, as in ./mine.yaml",
                names.join(", ")
            )
        }
    };
    let message = format!("there is no plan `{}`", shown(named));
    Diagnostic::new(Code::Missing, message).help(help)
}

/// Runs `work` with what reads real files and this process's environment, and knows our kinds.
fn with_kinds<T>(work: impl FnOnce(&Sources<'_>) -> T) -> T {
    let kinds = unity_actors::kinds();
    work(&Sources {
        read: &read_file,
        env: &|name| std::env::var(name).ok(),
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    })
}
