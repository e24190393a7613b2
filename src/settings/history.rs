//! Versions of the settings: what was in force, since when, why, and whether it was good. [`History`].
//!
//! Promises: a version has a number that no other had before it, and versions are in the order of their numbers,
//! whatever the clock says. What [`History::record`] wrote is on the disk; whenever the power goes, every version that is
//! there can be read. What cannot be read is skipped with a warning. Where nothing can be written the history goes on in
//! memory, says so in [`History::trouble`], and writes what waits with the next change that can be written. Texts are kept
//! as they were read, placeholders included, each once.
//! Left out on purpose: who decides that a version is good or bad, and threads: calls wait for the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unity_supervisors::path::ActorPath;

use super::overlay::Overlay;
pub use super::sealed::{ContentHash, DiskError, InvalidHash};
use super::system::SystemSettings;
use crate::disk::{self, Disk, RealDisk};
use crate::tree_file::read_file;

mod store;
#[cfg(test)]
mod tests;

use self::store::{Loaded, Paths};

/// How many hashes may be marked as bad; then those of the oldest versions are forgotten.
pub const BAD_MAX: usize = 256;

/// How much is kept. The newest version, the newest good one and those on probation are kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many versions: 100. At least 1.
    pub versions: usize,
    /// How long a version is kept that another has followed: 30 days, counted from that.
    pub age: Duration,
}

impl Keep {
    /// As the kernel's own settings say.
    #[must_use]
    pub fn of(system: &SystemSettings) -> Self {
        Self {
            versions: usize::try_from(system.history.keep).unwrap_or(usize::MAX),
            age: system.history.max_age.0,
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            versions: 100,
            age: Duration::from_hours(30 * 24),
        }
    }
}

/// Why there is a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A kernel started.
    Boot,
    /// A file changed.
    File,
    /// Settings were set.
    Set,
    /// Settings were taken back.
    Unset,
    /// Somebody went back to an older version.
    Rollback {
        /// That version.
        of: u64,
    },
    /// A child did not live through its probation.
    RolledBack {
        /// The version whose settings were taken back.
        of: u64,
        /// The child.
        path: ActorPath,
        /// What happened to it.
        why: String,
    },
    /// A child was added.
    Spawn,
    /// A child was deleted.
    Delete,
    /// A child was stopped.
    Stop,
    /// A child that was stopped was started.
    Start,
    /// Somebody asked for the files to be read.
    Apply,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is new, and has to show that it is good.
    Probation,
    /// Another followed that changes the same, before it had shown anything.
    Superseded,
    /// It was good.
    Good,
    /// It was taken back.
    RolledBack,
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// Its path as the reading has it. A part of the hash: name a file the same each time.
    pub name: String,
    /// Its text, placeholders unresolved.
    pub text: Arc<str>,
}

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Its path as the reading had it.
    pub name: String,
    /// The hash of its text.
    pub text: ContentHash,
}

/// A version of the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// 1, 2, 3 …
    pub number: u64,
    /// When it came, in milliseconds since 1970 by the clock of that time, which may have been wrong.
    pub at_ms: u64,
    /// Why.
    pub cause: Cause,
    /// Who or what made it, for people.
    pub by: String,
    /// The files that were read, the tree file first.
    pub files: Vec<FileRef>,
    /// Of all files: the same for the same set of names and texts.
    pub hash: ContentHash,
    /// What was changed live and was in force.
    pub overlay: Overlay,
    /// What is different from the version before, for people.
    pub changes: Vec<String>,
    /// What became of it.
    pub state: State,
}

/// A version that has no number yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Why.
    pub cause: Cause,
    /// Who or what makes it, for people.
    pub by: String,
    /// The files that were read, the tree file first.
    pub files: Vec<FileText>,
    /// What was changed live and is in force.
    pub overlay: Overlay,
    /// What is different, for people.
    pub changes: Vec<String>,
    /// [`State::Probation`], unless nothing has to show that it is good.
    pub state: State,
}

/// Why the files of a hash are not to be used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// The version that was rolled back.
    pub version: u64,
    /// What happened.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Why a version cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// There is none of this number.
    #[error("there is no version {number}; {known}")]
    Unknown {
        /// The number that was asked for.
        number: u64,
        /// Those that are there, in words.
        known: String,
    },
    /// A text of it cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A text of it is another than it was.
    #[error("{file} is damaged, it held `{name}` of version {number}; choose another version")]
    Damaged {
        /// The version.
        number: u64,
        /// The file whose text it was.
        name: String,
        /// Where it is stored.
        file: String,
    },
}

/// What is known beside the versions.
#[derive(Debug, Clone, Default)]
struct Marks {
    bad: BTreeMap<ContentHash, Bad>,
    last_good: BTreeMap<ActorPath, Value>,
}

/// What is not on the disk yet.
#[derive(Debug, Default)]
struct Waiting {
    texts: HashMap<ContentHash, Arc<str>>,
    versions: BTreeSet<u64>,
    bad: bool,
    last_good: bool,
    /// Versions that are to go.
    gone: BTreeSet<u64>,
    /// There may be files that nothing refers to.
    sweep: bool,
}

/// The versions of one kernel's settings.
#[derive(Debug)]
pub struct History {
    disk: Arc<dyn Disk>,
    paths: Paths,
    keep: Keep,
    versions: BTreeMap<u64, Version>,
    unusable: BTreeSet<u64>,
    next: u64,
    marks: Marks,
    /// The texts that are on the disk.
    stored: BTreeSet<ContentHash>,
    waiting: Waiting,
    blocked: Option<DiskError>,
    trouble: Option<String>,
}

impl History {
    /// Reads the history in this data folder, and says what of it cannot be used. Nothing is written until something is
    /// recorded. Only the kernel that holds the folder's lock may record.
    #[must_use]
    pub fn open(data_dir: &Path, keep: Keep) -> (Self, Vec<String>) {
        Self::open_on(Arc::new(RealDisk), data_dir, keep)
    }

    fn open_on(disk: Arc<dyn Disk>, data_dir: &Path, keep: Keep) -> (Self, Vec<String>) {
        let paths = Paths::new(data_dir);
        let Loaded {
            versions,
            unusable,
            texts,
            marks,
            mut warnings,
            blocked,
        } = store::load(&paths);
        let highest = versions.keys().chain(&unusable).max().copied();
        let mut history = Self {
            disk,
            paths,
            keep,
            versions,
            unusable,
            next: highest.unwrap_or_default().saturating_add(1),
            marks,
            stored: texts,
            waiting: Waiting {
                sweep: true,
                ..Waiting::default()
            },
            blocked,
            trouble: None,
        };
        history.trouble = history.blocked_text();
        warnings.extend(history.trouble.clone());
        (history, warnings)
    }

    /// Adds a version, which is the newest then, at the time `now`. What the limits leave no room for goes.
    ///
    /// Its number counts in any case; the error is that it is in memory only, see [`Self::trouble`].
    pub fn record(&mut self, draft: Draft, now: SystemTime) -> (u64, Result<(), DiskError>) {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let texts = draft.files.iter().map(|file| (&*file.name, &*file.text));
        let hash = ContentHash::of_texts(texts);
        let mut files = Vec::with_capacity(draft.files.len());
        for FileText { name, text } in draft.files {
            let hash = ContentHash::of(text.as_bytes());
            if !self.stored.contains(&hash) {
                self.waiting.texts.insert(hash, text);
            }
            files.push(FileRef { name, text: hash });
        }
        let version = Version {
            number,
            at_ms: unix_ms(now),
            cause: draft.cause,
            by: draft.by,
            files,
            hash,
            overlay: draft.overlay,
            changes: draft.changes,
            state: draft.state,
        };
        self.versions.insert(number, version);
        self.waiting.versions.insert(number);
        self.prune(now);
        (number, self.write())
    }

    /// Notes what became of a version.
    ///
    /// # Errors
    /// There is no such version, or it is noted in memory only.
    pub fn set_state(&mut self, number: u64, state: State) -> Result<(), VersionError> {
        let Some(version) = self.versions.get_mut(&number) else {
            return Err(self.unknown(number));
        };
        if version.state != state {
            version.state = state;
            self.waiting.versions.insert(number);
        }
        Ok(self.write()?)
    }

    /// All versions, in order.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.versions.values()
    }

    /// The newest version, which is in force.
    #[must_use]
    pub fn newest(&self) -> Option<&Version> {
        self.versions.values().next_back()
    }

    /// The newest version that was good.
    #[must_use]
    pub fn newest_good(&self) -> Option<&Version> {
        let mut newest_first = self.versions.values().rev();
        newest_first.find(|version| version.state == State::Good)
    }

    /// A version by its number.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, number: u64) -> Result<&Version, VersionError> {
        self.versions
            .get(&number)
            .ok_or_else(|| self.unknown(number))
    }

    /// The texts of a version's files, the tree file first.
    ///
    /// # Errors
    /// There is no such version, or one of its texts cannot be read or is damaged.
    pub fn texts(&self, number: u64) -> Result<Vec<FileText>, VersionError> {
        let files = self.get(number)?.files.iter();
        let texts = files.map(|file| {
            let text = self.text(number, file)?;
            let name = file.name.clone();
            Ok(FileText { name, text })
        });
        texts.collect()
    }

    /// Why the files of this hash are not to be used, if they were rolled back.
    #[must_use]
    pub fn is_bad(&self, hash: ContentHash) -> Option<&Bad> {
        self.marks.bad.get(&hash)
    }

    /// Marks the files of a hash as bad. It is written with what is written next, and before any version, so that going
    /// back does not wait for the disk. Do this before the version that takes their place is recorded: whoever starts
    /// after a fall of the power in between then knows.
    pub fn mark_bad(&mut self, hash: ContentHash, bad: Bad) {
        self.marks.bad.insert(hash, bad);
        while self.marks.bad.len() > BAD_MAX {
            let oldest = self.marks.bad.iter().min_by_key(|(_, bad)| bad.version);
            let oldest = oldest.map(|(hash, _)| *hash);
            oldest.and_then(|hash| self.marks.bad.remove(&hash));
        }
        self.waiting.bad = true;
    }

    /// Lets the files of a hash be used again; whether they were bad.
    ///
    /// # Errors
    /// It is in memory only.
    pub fn forgive(&mut self, hash: ContentHash) -> Result<bool, DiskError> {
        let was_bad = self.marks.bad.remove(&hash).is_some();
        self.waiting.bad |= was_bad;
        self.write().map(|()| was_bad)
    }

    /// Keeps more or less from the next version on.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// The last good settings of all children, placeholders unresolved.
    #[must_use]
    pub fn all_last_good(&self) -> &BTreeMap<ActorPath, Value> {
        &self.marks.last_good
    }

    /// The last settings of a child that were good, placeholders unresolved.
    #[must_use]
    pub fn last_good(&self, path: &ActorPath) -> Option<&Value> {
        self.marks.last_good.get(path)
    }

    /// Notes the last good settings of children, placeholders unresolved; `None` forgets a child. All of them are one
    /// write: give those that became good together at once.
    ///
    /// # Errors
    /// It is in memory only.
    pub fn set_last_good(
        &mut self,
        settings: impl IntoIterator<Item = (ActorPath, Option<Value>)>,
    ) -> Result<(), DiskError> {
        let known = &mut self.marks.last_good;
        for (path, settings) in settings {
            self.waiting.last_good |= known.get(&path) != settings.as_ref();
            match settings {
                Some(settings) => known.insert(path, settings),
                None => known.remove(&path),
            };
        }
        self.write()
    }

    /// What keeps the history from being on the disk, and what to do, if something does.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn text(&self, number: u64, file: &FileRef) -> Result<Arc<str>, VersionError> {
        if let Some(text) = self.waiting.texts.get(&file.text) {
            return Ok(Arc::clone(text));
        }
        let stored = self.paths.text(file.text);
        let bytes = read_file(&stored, usize::MAX).map_err(DiskError::new("read", &stored))?;
        let is_whole = ContentHash::of(&bytes) == file.text;
        let text = String::from_utf8(bytes).ok().filter(|_| is_whole);
        text.map(Arc::from).ok_or_else(|| VersionError::Damaged {
            number,
            name: file.name.clone(),
            file: stored.display().to_string(),
        })
    }

    fn unknown(&self, number: u64) -> VersionError {
        let ends = self.versions.first_key_value().zip(self.newest());
        let known = match ends {
            Some(((oldest, _), newest)) => {
                format!("there are {oldest} to {}", newest.number)
            }
            None => "none is kept yet".to_owned(),
        };
        VersionError::Unknown { number, known }
    }

    /// Takes out what the limits leave no room for, from the oldest on.
    fn prune(&mut self, now: SystemTime) {
        let kept = |version: &Version| {
            let number = Some(version.number);
            version.state == State::Probation
                || number == self.newest().map(|newest| newest.number)
                || number == self.newest_good().map(|good| good.number)
        };
        // A clock that was set back makes no version older than one before it, and one that was set forward by mistake
        // makes none older than it is now.
        let (now, age) = (unix_ms(now), self.keep.age.as_millis());
        let mut latest = 0;
        let times = self.versions.values().map(|version| {
            latest = version.at_ms.max(latest);
            u128::from(now.saturating_sub(latest))
        });
        let ages: Vec<u128> = times.collect();
        let mut left = self.versions.len();
        let mut gone = BTreeSet::new();
        for (version, followed_for) in self.versions.values().zip(ages.into_iter().skip(1)) {
            if !kept(version) && (left > self.keep.versions.max(1) || followed_for > age) {
                gone.insert(version.number);
                left -= 1;
            }
        }
        let horizon = u64::try_from(self.keep.versions).unwrap_or(u64::MAX);
        let horizon = self.next.saturating_sub(horizon);
        gone.extend(self.unusable.range(..horizon));
        self.versions.retain(|number, _| !gone.contains(number));
        self.unusable.retain(|number| !gone.contains(number));
        self.waiting
            .versions
            .retain(|number| !gone.contains(number));
        self.waiting.sweep |= !gone.is_empty();
        let used = self.used();
        self.waiting.texts.retain(|hash, _| used.contains(hash));
        self.waiting.gone.extend(gone);
    }

    /// Writes what waits, and notes whether it could be.
    fn write(&mut self) -> Result<(), DiskError> {
        if let Some(blocked) = &self.blocked {
            let source = std::io::Error::from(blocked.source.kind());
            self.trouble = self.blocked_text();
            return Err(DiskError::new(blocked.what, &blocked.file)(source));
        }
        let written = self.write_all();
        self.trouble = written.as_ref().err().map(|error| {
            let waiting = self.waiting.versions.len();
            format!(
                "the history of settings is not on the disk: {error}; {waiting} versions are in memory only. Make room or \
                 give the folder back: the next change writes them"
            )
        });
        written
    }

    fn blocked_text(&self) -> Option<String> {
        self.blocked.as_ref().map(|error| {
            format!(
                "the history of settings is in memory only: {error}. Mend the folder and start the kernel again"
            )
        })
    }

    fn write_all(&mut self) -> Result<(), DiskError> {
        if self.waiting.bad {
            super::sealed::write(&*self.disk, &self.paths.bad(), &self.marks.bad)?;
            self.waiting.bad = false;
        }
        while let Some(number) = self.waiting.versions.first().copied() {
            if let Some(version) = self.versions.get(&number) {
                // First the texts, then what names them.
                for file in &version.files {
                    let Some(text) = self.waiting.texts.get(&file.text) else {
                        continue;
                    };
                    let stored = self.paths.text(file.text);
                    disk::replace(&*self.disk, &stored, text.as_bytes())
                        .map_err(DiskError::new("write", &stored))?;
                    self.waiting.texts.remove(&file.text);
                    self.stored.insert(file.text);
                }
                super::sealed::write(&*self.disk, &self.paths.version(number), version)?;
            }
            self.waiting.versions.remove(&number);
        }
        if self.waiting.last_good {
            super::sealed::write(&*self.disk, &self.paths.last_good(), &self.marks.last_good)?;
            self.waiting.last_good = false;
        }
        while let Some(number) = self.waiting.gone.first().copied() {
            self.remove(&self.paths.version(number))?;
            self.waiting.gone.remove(&number);
        }
        if self.waiting.sweep {
            self.sweep()?;
            self.waiting.sweep = false;
        }
        Ok(())
    }

    /// The texts that versions refer to.
    fn used(&self) -> BTreeSet<ContentHash> {
        let files = self.versions.values().flat_map(|version| &version.files);
        files.map(|file| file.text).collect()
    }

    fn remove(&self, file: &Path) -> Result<(), DiskError> {
        self.disk
            .remove(file)
            .map_err(DiskError::new("remove", file))
    }

    /// Removes texts that no version refers to, and what never took its name.
    fn sweep(&mut self) -> Result<(), DiskError> {
        for folder in [self.paths.versions(), self.paths.texts()] {
            let names = store::names(&folder)?;
            for name in names.iter().filter(|name| store::is_leftover(name)) {
                self.remove(&folder.join(name))?;
            }
        }
        // A version that cannot be read may need any of them: a newer kernel may have written it.
        if self.unusable.is_empty() {
            let unused: Vec<ContentHash> = self.stored.difference(&self.used()).copied().collect();
            for hash in unused {
                self.remove(&self.paths.text(hash))?;
                self.stored.remove(&hash);
            }
        }
        Ok(())
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
