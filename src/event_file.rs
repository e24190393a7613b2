//! Reads `events.yaml`, the catalog of events: [`load`] makes a [`Catalog`] of it, or says all that is wrong.
//!
//! Promises what the reading of trees does: every fault and warning at once, each with its place and with what to do next;
//! nothing is read but through [`Sources`]. Where there is no file, the one in this program counts ([`SHIPPED`]); one that is
//! there counts instead of it, whole.
//!
//! A stream is one thing with one retention, whoever writes into it: it is said with one of the types, and counts for all.
//!
//! Considered: warning of a type that no topic ever comes to, since a narrower one takes them all. There is none: of two
//! patterns the narrower leaves topics to the wider, however many there are.

use std::io;
use std::path::{Path, PathBuf};

use unity_supervisors::bus::Catalog;

use crate::settings::system::FolderFrom;
use crate::tree_file::node::Value;
use crate::tree_file::plain::with_sources;
use crate::tree_file::reader::Reader;
use crate::tree_file::{Checked, Sources};

mod data;
mod files;
mod lower;
mod schema;
#[cfg(test)]
mod tests;

pub use self::files::EventFiles;
pub use self::schema::schema;

/// The text of `config/events.yaml`, which is in this program.
pub const SHIPPED: &str = include_str!("../config/events.yaml");
/// The names of the file, in the order in which they are looked for.
pub const FILES: [&str; 2] = ["events.yaml", "events.json"];
/// What the file in this program is called where it is shown.
const SHIPPED_NAME: &str = "the events.yaml in this program";

/// Reads the catalog of a kernel with that folder of settings.
#[must_use]
pub fn load(folder: &FolderFrom) -> Checked<Catalog> {
    match file_in(folder) {
        Some(file) => with_sources(|sources| check_file(&file, sources)),
        None => with_sources(|sources| {
            let mut reader = Reader::new(sources, true);
            let root = reader.text(Path::new(SHIPPED_NAME), SHIPPED);
            let catalog = reader.events(root);
            reader.checked(catalog)
        }),
    }
}

/// The catalog in this program.
#[must_use]
pub fn shipped() -> Catalog {
    load(&FolderFrom::Nowhere).tree.unwrap_or_default()
}

/// Reads one file.
#[must_use]
pub fn check_file(path: &Path, sources: &Sources<'_>) -> Checked<Catalog> {
    let mut reader = Reader::new(sources, true);
    let root = reader.open(path, None);
    let catalog = reader.events(root);
    reader.checked(catalog)
}

/// Whether `path` is a catalog of events and no tree: by its name, or by a key `events` at the top and none `tree`.
#[must_use]
pub fn is_event_file(path: &Path, sources: &Sources<'_>) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    if name.is_some_and(|name| FILES.contains(&name)) {
        return true;
    }
    // What cannot be read is told by whoever reads it for good.
    let root = Reader::new(sources, true).open(path, None);
    root.is_some_and(|root| {
        matches!(root.value, Value::Map(_))
            && root.get("events").is_some()
            && root.get("tree").is_none()
    })
}

/// The file in a folder, should there be one: a link to nothing is one, and told of.
fn file_in(folder: &FolderFrom) -> Option<PathBuf> {
    let mut files = files_of(folder);
    files.find(|file| {
        let found = std::fs::symlink_metadata(file);
        !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    })
}

/// The files that may be in a folder.
fn files_of(folder: &FolderFrom) -> impl Iterator<Item = PathBuf> {
    let folder = folder.path().map(Path::to_owned);
    folder
        .into_iter()
        .flat_map(|folder| FILES.map(|name| folder.join(name)))
}
