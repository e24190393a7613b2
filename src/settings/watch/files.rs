//! What can be known of a file.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::spots::Spots;

/// Files larger than this are told apart by their metadata.
const READ_MAX: u64 = 16 << 20;

/// The file system, as far as a watch needs it.
pub(super) trait FileSystem {
    /// What is at `path` itself.
    fn entry(&self, path: &Path) -> Entry;
    /// What is in a folder, without the names that cannot be read.
    fn names(&self, folder: &Path) -> Vec<PathBuf>;
    /// What can be told of the file behind `path` without reading it.
    fn stamp(&self, path: &Path) -> Stamp;
    /// What the file behind `path` is.
    fn state(&self, path: &Path) -> State;
    /// Listens at `spots` from now on.
    fn arm(&mut self, spots: Spots) -> Armed;
}

/// How listening goes.
#[derive(Debug, Default)]
pub(super) struct Armed {
    /// Whether some folder is listened in only now, so that what happened in it before went unheard.
    pub(super) is_new: bool,
    /// Why not everything is heard, if so.
    pub(super) trouble: Option<String>,
}

/// What is at a path, which is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A symbolic link, and where it leads.
    Link(PathBuf),
    Folder,
    /// Anything else, or nothing.
    Other,
}

/// What a file is. Two that are equal mean the same to who reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// A file with this length and hash.
    Content(u64, u64),
    /// A file that is too large to be settings.
    Large(Stamp),
    Folder,
    /// A pipe, a socket or a device: reading it could block, or take from it what others wait for.
    Special,
    /// Missing, or it cannot be read.
    Failed(ErrorKind),
}

/// What the system notes of a file. A change of content, of rights, or of which file it is changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stamp {
    Of {
        id: (u64, u64),
        len: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    Failed(ErrorKind),
}

impl From<&Metadata> for Stamp {
    fn from(data: &Metadata) -> Self {
        Self::Of {
            id: (data.dev(), data.ino()),
            len: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// See [`FileSystem::entry`].
pub(super) fn entry(path: &Path) -> Entry {
    match std::fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => Entry::Folder,
        Ok(data) if data.is_symlink() => std::fs::read_link(path).map_or(Entry::Other, Entry::Link),
        Ok(_) | Err(_) => Entry::Other,
    }
}

/// See [`FileSystem::names`].
pub(super) fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().into()))
        .collect()
}

/// See [`FileSystem::stamp`].
pub(super) fn stamp(path: &Path) -> Stamp {
    match std::fs::metadata(path) {
        Ok(data) => Stamp::from(&data),
        Err(error) => Stamp::Failed(error.kind()),
    }
}

/// See [`FileSystem::state`].
pub(super) fn state(path: &Path) -> State {
    read(path).unwrap_or_else(|error| State::Failed(error.kind()))
}

fn read(path: &Path) -> io::Result<State> {
    let data = std::fs::metadata(path)?;
    if data.is_dir() {
        return Ok(State::Folder);
    }
    if !data.is_file() {
        return Ok(State::Special);
    }
    // Should it have become a pipe since then, opening it does not block.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let data = file.metadata()?;
    if !data.is_file() {
        return Ok(State::Special);
    }
    content(file, &data)
}

fn content(file: File, data: &Metadata) -> io::Result<State> {
    let mut text = Vec::new();
    let len = u64::try_from(file.take(READ_MAX + 1).read_to_end(&mut text)?).unwrap_or(u64::MAX);
    if len > READ_MAX {
        return Ok(State::Large(data.into()));
    }
    let mut hash = DefaultHasher::new();
    hash.write(&text);
    Ok(State::Content(len, hash.finish()))
}

/// What tells a folder from others that had its name.
pub(super) type FolderId = (u64, u64);

/// Which folders there are, by what tells them from others that had their names.
pub(super) fn ids<'a>(folders: impl IntoIterator<Item = &'a Path>) -> BTreeMap<PathBuf, FolderId> {
    let id = |folder: &Path| {
        let data = std::fs::symlink_metadata(folder).ok()?;
        Some((folder.to_owned(), (data.dev(), data.ino())))
    };
    folders.into_iter().filter_map(id).collect()
}
