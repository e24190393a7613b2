//! Where the system decides what a path means: the places that are listened at.
//!
//! A path is followed as the system does it. Each symbolic link on the way, the end of the way, and the first name that is
//! missing are spots: when one of them changes, the path may mean another file. So a ConfigMap of Kubernetes
//! (`tree.yaml -> ..data/tree.yaml`, `..data -> ..2026_11_21`) has the spots `tree.yaml`, `..data` and the file itself.
//! A folder on the way is none: that one is renamed is told where it holds a spot, and found by the slow look otherwise.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::WatchSet;
use super::files::{Entry, FileSystem};

/// As many links as Linux follows in one path.
const LINKS_MAX: usize = 40;

/// The places to listen at. No path in it leads through a symbolic link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spots {
    /// What happens to these matters.
    pub(super) names: BTreeSet<PathBuf>,
    /// What happens to anything directly in these matters.
    pub(super) whole: BTreeSet<PathBuf>,
}

impl Spots {
    pub(super) fn of(set: &WatchSet, files: &impl FileSystem) -> Self {
        let mut spots = Self::default();
        for path in &set.paths(files) {
            let end = spots.follow(path, files);
            if set.folders.contains(path) {
                spots.whole.extend(end);
            }
        }
        spots
    }

    /// The folders to listen in.
    pub(super) fn folders(&self) -> BTreeSet<&Path> {
        let holding = self.names.iter().filter_map(|name| name.parent());
        holding
            .chain(self.whole.iter().map(PathBuf::as_path))
            .collect()
    }

    /// Whether something that happened to `path` may matter.
    pub(super) fn concern(&self, path: &Path) -> bool {
        let is_in_whole = || path.parent().is_some_and(|it| self.whole.contains(it));
        self.names.contains(path) || is_in_whole()
    }

    /// Follows `path`, and returns where it ends if that is a folder.
    fn follow(&mut self, path: &Path, files: &impl FileSystem) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        let mut ahead = steps(path);
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            if step == ".." {
                at.pop();
                continue;
            }
            at.push(step);
            match files.entry(&at) {
                Entry::Link(target) if links < LINKS_MAX => {
                    links += 1;
                    self.names.insert(at.clone());
                    at.pop();
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    ahead.extend(steps(&target));
                }
                Entry::Folder if !ahead.is_empty() => {}
                entry => {
                    self.names.insert(at.clone());
                    return (entry == Entry::Folder).then_some(at);
                }
            }
        }
        None
    }
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|step| match step {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    steps.collect()
}
