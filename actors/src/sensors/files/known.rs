//! What is known of the files, and what another look at them means: [`changes`].

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Serialize;

/// Files, and what tells each from what it was.
pub(super) type Files = BTreeMap<PathBuf, Stamp>;

/// What tells a file from another one, and from what it was. A file that is renamed keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) id: (u64, u64),
    pub(super) modified: (i64, i64),
    pub(super) len: u64,
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self {
            id: (data.dev(), data.ino()),
            modified: (data.mtime(), data.mtime_nsec()),
            len: data.len(),
        }
    }
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Change {
    /// Where it is, or was.
    pub(super) path: PathBuf,
    /// What.
    pub(super) change: What,
    /// Where it was before it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Created,
    Changed,
    Removed,
    Renamed,
}

/// What became of the files that were `before` and are `now`, by path. However an editor writes a file, by a copy that is
/// renamed over it or in place, one look sees one change.
pub(super) fn changes(before: &Files, now: &Files) -> Vec<Change> {
    let mut gone: BTreeMap<Stamp, &PathBuf> = BTreeMap::new();
    for (path, stamp) in before {
        if !now.contains_key(path) {
            gone.insert(*stamp, path);
        }
    }
    let mut renamed: Vec<&PathBuf> = Vec::new();
    let mut changes = Vec::new();
    for (path, stamp) in now {
        let from = match before.get(path) {
            Some(known) if known == stamp => continue,
            Some(_) => None,
            None => gone.remove(stamp),
        };
        renamed.extend(from);
        let change = match (from, before.contains_key(path)) {
            (Some(_), _) => What::Renamed,
            (None, true) => What::Changed,
            (None, false) => What::Created,
        };
        changes.push(Change {
            path: path.clone(),
            change,
            from: from.cloned(),
        });
    }
    let is_gone = |path: &&PathBuf| !now.contains_key(*path) && !renamed.contains(path);
    changes.extend(before.keys().filter(is_gone).map(|path| Change {
        path: path.clone(),
        change: What::Removed,
        from: None,
    }));
    changes.sort();
    changes
}

/// Which files are looked at.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    recursive: bool,
    /// Of names alone, and of ways below what is watched.
    names: Option<GlobSet>,
    ways: Option<GlobSet>,
}

impl Filter {
    pub(super) fn new(recursive: bool, patterns: &[String]) -> Result<Self, globset::Error> {
        let set = |has_slash: bool| -> Result<Option<GlobSet>, globset::Error> {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns.iter().filter(|its| its.contains('/') == has_slash) {
                set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
            }
            Ok((!patterns.is_empty()).then_some(set.build()?))
        };
        Ok(Self {
            recursive,
            names: set(false)?,
            ways: set(true)?,
        })
    }

    /// Whether the file at `path`, below `root` or it itself, is looked at.
    fn fits(&self, root: &Path, path: &Path) -> bool {
        let (Some(names), Some(ways)) = (&self.names, &self.ways) else {
            return true;
        };
        let way = path.strip_prefix(root).unwrap_or(path);
        let name = path.file_name().map(Path::new);
        // Who names a file means it.
        way.as_os_str().is_empty()
            || name.is_some_and(|name| names.is_match(name))
            || ways.is_match(way)
    }

    /// Adds to `files` what is at `scope`, which is `root` or below it, and below.
    ///
    /// # Errors
    /// How many it would be, at least, if that is more than `most`.
    pub(super) fn look(
        &self,
        root: &Path,
        scope: &Path,
        files: &mut Files,
        most: usize,
    ) -> Result<(), usize> {
        if !self.recursive && scope != root && scope.parent() != Some(root) {
            return Ok(());
        }
        let mut left = vec![scope.to_owned()];
        while let Some(path) = left.pop() {
            // Links are followed to files, but not to folders: those may lead in a circle.
            let entry = if path == root {
                fs::metadata(&path)
            } else {
                fs::symlink_metadata(&path)
            };
            // What cannot be looked at is not there for whoever looks.
            let Ok(entry) = entry else { continue };
            if entry.is_dir() {
                if path == root || self.recursive {
                    left.extend(children(&path).unwrap_or_default());
                }
                continue;
            }
            let file = fs::metadata(&path).ok().filter(Metadata::is_file);
            if let Some(file) = file.filter(|_| self.fits(root, &path)) {
                files.insert(path, Stamp::of(&file));
                if files.len() > most {
                    return Err(files.len());
                }
            }
        }
        Ok(())
    }
}

fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(rows: &[(&str, u64, i64)]) -> Files {
        let stamp = |ino, at| Stamp {
            id: (1, ino),
            modified: (at, 0),
            len: 1,
        };
        rows.iter()
            .map(|(path, ino, at)| ((*path).into(), stamp(*ino, *at)))
            .collect()
    }

    #[test]
    fn what_two_looks_mean() {
        let said = |before: &[(&str, u64, i64)], now: &[(&str, u64, i64)]| {
            let changes = changes(&files(before), &files(now));
            let texts = changes.iter().map(|its| {
                let from = its
                    .from
                    .as_ref()
                    .map(|from| format!(" from {}", from.display()));
                let from = from.unwrap_or_default();
                format!("{} {:?}{from}", its.path.display(), its.change)
            });
            texts.collect::<Vec<_>>().join(", ")
        };
        for (before, now, expected) in [
            (&[][..], &[][..], ""),
            (&[], &[("a", 1, 1)], "a Created"),
            (&[("a", 1, 1)], &[("a", 1, 1)], ""),
            (&[("a", 1, 1)], &[("a", 1, 2)], "a Changed"),
            // Renamed over: another file of that name.
            (&[("a", 1, 1)], &[("a", 2, 2)], "a Changed"),
            (&[("a", 1, 1)], &[], "a Removed"),
            (&[("a", 1, 1)], &[("b", 1, 1)], "b Renamed from a"),
            // The same number, but another file: numbers are used again.
            (&[("a", 1, 1)], &[("b", 1, 2)], "a Removed, b Created"),
            // The copy that an editor keeps.
            (
                &[("a", 1, 1)],
                &[("a", 2, 2), ("a~", 1, 1)],
                "a Changed, a~ Created",
            ),
            (
                &[("a", 1, 1), ("b", 2, 1)],
                &[("b", 1, 1), ("c", 2, 1)],
                "a Removed, b Changed, c Created",
            ),
        ] {
            assert_eq!(said(before, now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn a_pattern_without_a_slash_is_of_names_and_one_with_of_ways() {
        let filter = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|its| (*its).to_owned()).collect();
            Filter::new(true, &patterns).unwrap()
        };
        for (patterns, path, expected) in [
            (&[][..], "/w/a.txt", true),
            (&["*.py"], "/w/deep/a.py", true),
            (&["*.py"], "/w/a.txt", false),
            (&["*.py", "*.txt"], "/w/a.txt", true),
            (&["src/*.py"], "/w/src/a.py", true),
            (&["src/*.py"], "/w/src/deep/a.py", false),
            (&["src/**/*.py"], "/w/src/deep/a.py", true),
            (&["*.py"], "/w", true),
        ] {
            let fits = filter(patterns).fits(Path::new("/w"), Path::new(path));
            assert_eq!(fits, expected, "{patterns:?} {path}");
        }
    }
}
