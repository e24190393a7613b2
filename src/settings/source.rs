//! Where the tree of a running kernel comes from: [`Source`], and what was read of it: [`Base`].
//!
//! A reading is named by its texts and by nothing else: the same texts have the same hash wherever the files lie. Texts that
//! were kept are read as the files would be.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unity_supervisors::spec::TreeSpec;
use unity_supervisors::{ActorPath, Kinds};

use super::edit::{Located, NoPlace, locate};
use super::history::{ContentHash, FileText};
use crate::kind_check::KnownKinds;
use crate::tree_file::{Checked, Limits, Sources, load, load_text, read_file};

/// What a kernel was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A tree file, and what it includes.
    File(PathBuf),
    /// A text in the program, and what it is called.
    Embedded {
        /// What it is called.
        name: String,
        /// The text.
        text: Arc<str>,
    },
    /// A tree that a program made, of which there is no text.
    Made,
}

/// A tree as it was read, and its texts.
#[derive(Debug, Clone)]
pub struct Base {
    /// What the texts say.
    pub tree: TreeSpec,
    /// The texts, the tree file first.
    pub files: Vec<FileText>,
    /// Of all texts.
    pub hash: ContentHash,
}

impl Base {
    /// A tree of which there is no text.
    #[must_use]
    pub fn made(tree: TreeSpec) -> Self {
        Self {
            tree,
            files: Vec::new(),
            hash: ContentHash::of_texts([]),
        }
    }
}

/// What came of a reading.
#[derive(Debug)]
pub struct Reading {
    /// All faults and warnings.
    pub checked: Checked,
    /// What was read, if there is no fault.
    pub base: Option<Base>,
    /// The files that were looked for, also those that were not there.
    pub tried: BTreeSet<PathBuf>,
}

impl Source {
    /// Reads what there is now. `None` for a tree without a text.
    #[must_use]
    pub fn read(&self, kinds: &Kinds) -> Option<Reading> {
        match self {
            Self::File(path) => {
                let read = |path: &Path, max: usize| read_file(path, max);
                Some(self.reading(kinds, &read, |sources| load(path, sources)))
            }
            Self::Embedded { name, text } => {
                let read = |path: &Path, max: usize| read_file(path, max);
                Some(self.reading(kinds, &read, |sources| load_text(name, text, sources)))
            }
            Self::Made => None,
        }
    }

    /// Reads texts that were kept.
    #[must_use]
    pub fn read_kept(&self, files: &[FileText], kinds: &Kinds) -> Option<Reading> {
        let path = self.place(&files.first()?.name);
        let kept = self.kept(files);
        let read = |path: &Path, _: usize| kept(path);
        Some(self.reading(kinds, &read, |sources| load(&path, sources)))
    }

    /// Reads the files that were kept, and no other.
    fn kept<'a>(&self, files: &'a [FileText]) -> impl Fn(&Path) -> io::Result<Vec<u8>> + 'a {
        let kept: HashMap<PathBuf, &FileText> = files
            .iter()
            .map(|file| (self.place(&file.name), file))
            .collect();
        move |path| match kept.get(path) {
            Some(file) => Ok(file.text.as_bytes().to_vec()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Finds the child at a path in the files as they are now.
    ///
    /// # Errors
    /// Why it has no place of its own there.
    pub fn locate(&self, child: &ActorPath, kinds: &Kinds) -> Result<Located, NoPlace> {
        let Self::File(path) = self else {
            return Err(NoPlace::Faulty("there is no tree file".to_owned()));
        };
        let read = |path: &Path, max: usize| read_file(path, max);
        locate(path, &sources(&read, &KnownKinds(kinds)), child)
    }

    /// Finds the child at a path in texts that were kept. `None` where it has no place of its own.
    #[must_use]
    pub fn locate_kept(
        &self,
        files: &[FileText],
        child: &ActorPath,
        kinds: &Kinds,
    ) -> Option<Located> {
        let path = self.place(&files.first()?.name);
        let kept = self.kept(files);
        let read = |path: &Path, _: usize| kept(path);
        locate(&path, &sources(&read, &KnownKinds(kinds)), child).ok()
    }

    /// What is shown of it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Embedded { name, .. } => name.clone(),
            Self::Made => "the tree of the program".to_owned(),
        }
    }

    /// The folder that includes and the configuration are found from.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent(),
            Self::Embedded { .. } | Self::Made => None,
        }
    }

    fn reading(
        &self,
        kinds: &Kinds,
        read: &dyn Fn(&Path, usize) -> io::Result<Vec<u8>>,
        load: impl FnOnce(&Sources<'_>) -> Checked,
    ) -> Reading {
        let tried = RefCell::new(BTreeSet::new());
        let read = |path: &Path, max: usize| {
            tried.borrow_mut().insert(path.to_owned());
            read(path, max)
        };
        let checked = load(&sources(&read, &KnownKinds(kinds)));
        let mut seen = BTreeSet::new();
        let files: Vec<FileText> = checked
            .files()
            .filter(|file| seen.insert(file.path().to_owned()))
            .map(|file| FileText {
                name: self.short_name(file.path()),
                text: Arc::from(file.written()),
            })
            .collect();
        let texts = files.iter().map(|file| (&*file.name, &*file.text));
        let hash = ContentHash::of_texts(texts);
        let base = checked.tree.clone().map(|tree| Base { tree, files, hash });
        Reading {
            checked,
            base,
            tried: tried.into_inner(),
        }
    }

    /// The name of a file in the history: relative to the tree file, wherever that lies.
    pub(crate) fn short_name(&self, path: &Path) -> String {
        let short = self
            .folder()
            .and_then(|folder| path.strip_prefix(folder).ok());
        short.unwrap_or(path).display().to_string()
    }

    /// Where a file of that name lies.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        match self.folder() {
            Some(folder) => folder.join(name),
            None => PathBuf::from(name),
        }
    }
}

fn sources<'a>(
    read: &'a dyn Fn(&Path, usize) -> io::Result<Vec<u8>>,
    kinds: &'a KnownKinds<'a>,
) -> Sources<'a> {
    Sources {
        read,
        env: &|name| std::env::var(name).ok(),
        kinds,
        limits: Limits::default(),
    }
}
