//! Where the files of a history are, and what is read from them at a start.
//!
//! `versions/0000000007.json` is version 7, `texts/HASH` a text that versions refer to, `bad.json` and `last_good.json`
//! hold what their names say. A text is written before the version that names it and removed after it, so that
//! whenever the power goes every version that is there can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Marks, Version};
use crate::disk::NEW;
use crate::settings::sealed::{self, ContentHash, DiskError};

/// The paths of a history.
#[derive(Debug, Clone)]
pub(super) struct Paths(PathBuf);

impl Paths {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("settings"))
    }

    pub(super) fn versions(&self) -> PathBuf {
        self.0.join("versions")
    }

    /// With as many digits as keep the order of numbers in a listing.
    pub(super) fn version(&self, number: u64) -> PathBuf {
        self.versions().join(format!("{number:010}.json"))
    }

    pub(super) fn texts(&self) -> PathBuf {
        self.0.join("texts")
    }

    pub(super) fn text(&self, hash: ContentHash) -> PathBuf {
        self.texts().join(hash.to_string())
    }

    pub(super) fn bad(&self) -> PathBuf {
        self.0.join("bad.json")
    }

    pub(super) fn last_good(&self) -> PathBuf {
        self.0.join("last_good.json")
    }
}

/// What was on disk.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) versions: BTreeMap<u64, Version>,
    /// Versions that are there and cannot be used.
    pub(super) unusable: BTreeSet<u64>,
    pub(super) texts: BTreeSet<ContentHash>,
    pub(super) marks: Marks,
    pub(super) warnings: Vec<String>,
    /// The folder cannot be read, so that nobody knows what numbers are taken.
    pub(super) blocked: Option<DiskError>,
}

/// Reads what is there. What cannot be used becomes a warning.
pub(super) fn load(paths: &Paths) -> Loaded {
    let mut loaded = Loaded::default();
    let texts = names(&paths.texts()).unwrap_or_default();
    loaded.texts = texts.iter().filter_map(|name| name.parse().ok()).collect();
    match names(&paths.versions()) {
        Ok(names) => {
            for number in names.iter().filter_map(|name| number(name)) {
                loaded.version(paths, number);
            }
        }
        Err(error) => loaded.blocked = Some(error),
    }
    loaded.marks = Marks {
        bad: loaded.part(&paths.bad(), "no version counts as bad now"),
        last_good: loaded.part(&paths.last_good(), "no settings count as last good now"),
    };
    loaded
}

impl Loaded {
    fn version(&mut self, paths: &Paths, number: u64) {
        let file = paths.version(number);
        let why = match sealed::read::<Version>(&file) {
            Ok(Some(version)) if version.number == number => {
                self.versions.insert(number, version);
                return;
            }
            Ok(Some(other)) => format!("says that it is version {}", other.number),
            Ok(None) => return,
            Err(why) => why,
        };
        let file = file.display();
        self.warnings
            .push(format!("{file} {why}; version {number} is skipped"));
        self.unusable.insert(number);
    }

    fn part<T: serde::de::DeserializeOwned + Default>(&mut self, file: &Path, so: &str) -> T {
        sealed::read(file)
            .unwrap_or_else(|why| {
                self.warnings
                    .push(format!("{} {why}; {so}", file.display()));
                None
            })
            .unwrap_or_default()
    }
}

/// The names in a folder, in order; none if there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, DiskError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        list => list.map_err(DiskError::new("read", folder)),
    }
}

/// The number in the name of a version's file.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let number = digits.parse().ok()?;
    (format!("{number:010}") == digits).then_some(number)
}

/// Whether a file was written beside another whose name it never took.
pub(super) fn is_leftover(name: &str) -> bool {
    name.ends_with(NEW)
}
