//! Watches a changing set of files and folders, and says when one of them is another than before.
//!
//! - What counts is what a file *is*: its content, or that it is missing, a folder, or cannot be read. A `touch` says nothing.
//! - Files are found again however they are replaced: written in place, renamed over, deleted and made again, behind symbolic
//!   links that are swapped. What is watched are the folders that decide about a path (`spots`), so what is missing is
//!   watched too.
//! - It looks once nothing has happened for [`Pace::debounce`], but not later than ten times that after the first event.
//! - A look at each file's metadata every [`Pace::look_every`] finds what the system did not tell: on network mounts, after a
//!   folder high above was renamed, without inotify. Then [`WatchHandle::trouble`] says why changes are found late.
//! - Nothing outlives it: it has no task, and dropping it ends the one thread, which is that of `notify`.
//!
//! It reads files where it is polled, which may block on a mount that hangs.
//!
//! What else was possible: acting on events alone, which loses what an overflow, a mount or a race swallows; looking alone,
//! which is late, or costly where it is not.

mod files;
mod notices;
mod spots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use unity_actors::debounce::Debounce;

use self::files::{FileSystem, Stamp, State};
use self::notices::RealFiles;
use self::spots::Spots;

/// How often what is armed is compared with what should be, before the rest is left to the next look.
const ARM_ROUNDS: usize = 3;

/// What is watched. Paths should be absolute; others are taken from the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchSet {
    /// Files, also ones that are missing.
    pub files: BTreeSet<PathBuf>,
    /// Folders, of which each YAML or JSON file directly in it is watched.
    pub folders: BTreeSet<PathBuf>,
}

impl WatchSet {
    fn holds(&self, path: &Path) -> bool {
        let is_in_folder = || path.parent().is_some_and(|it| self.folders.contains(it));
        self.files.contains(path) || self.folders.contains(path) || is_in_folder()
    }

    /// The paths that are watched now: what is in a folder is known only when it is looked at.
    fn paths(&self, files: &impl FileSystem) -> BTreeSet<PathBuf> {
        let within = self.folders.iter().flat_map(|folder| {
            let names = files.names(folder).into_iter();
            names.filter(is_settings).map(|name| folder.join(name))
        });
        let named = self.files.iter().chain(&self.folders).cloned();
        named.chain(within).collect()
    }

    fn absolute(self) -> Self {
        let absolute = |paths: BTreeSet<PathBuf>| -> BTreeSet<PathBuf> {
            let paths = paths.into_iter();
            paths
                .map(|path| std::path::absolute(&path).unwrap_or(path))
                .collect()
        };
        Self {
            files: absolute(self.files),
            folders: absolute(self.folders),
        }
    }
}

/// Whether a file of a folder counts: what editors leave beside it does not.
#[expect(clippy::ptr_arg, reason = "an argument of `filter`")]
fn is_settings(name: &PathBuf) -> bool {
    let is_hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
    let extension = name.extension().and_then(|it| it.to_str());
    !is_hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// How soon a change is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long nothing must happen before it looks; 50ms.
    pub debounce: Duration,
    /// Time between two looks at the metadata; 2s.
    pub look_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(50),
            look_every: Duration::from_secs(2),
        }
    }
}

/// What is another than it was when something was said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesChanged {
    /// The paths as they stand in the [`WatchSet`], or of files directly in its folders. Never empty.
    pub paths: BTreeSet<PathBuf>,
}

/// What a watch and those that steer it have in common.
#[derive(Default)]
struct Shared {
    set: Mutex<WatchSet>,
    pace: Mutex<Pace>,
    trouble: Mutex<Option<String>>,
    bell: Bell,
}

/// Tells a watch that something happened.
#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    at_once: AtomicBool,
}

impl Bell {
    /// Something happened, and more may follow.
    fn ring(&self) {
        self.rung.notify_one();
    }

    /// Looks without waiting for quiet.
    fn ring_at_once(&self) {
        self.at_once.store(true, Ordering::Release);
        self.rung.notify_one();
    }
}

/// Steers a [`Watch`].
#[derive(Clone)]
pub struct WatchHandle(Arc<Shared>);

impl std::fmt::Debug for WatchHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WatchHandle").field(&self.0.set).finish()
    }
}

impl WatchHandle {
    /// Watches `set` from now on. What is new in it is said once, so that a change while the set was made is not missed;
    /// what is no longer in it is forgotten.
    pub fn set(&self, set: WatchSet) {
        *self.0.set.lock() = set.absolute();
        self.0.bell.ring_at_once();
    }

    /// Changes how soon a change is said.
    pub fn set_pace(&self, pace: Pace) {
        *self.0.pace.lock() = pace;
        self.0.bell.ring();
    }

    /// Why changes are found late, if they are.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble.lock().clone()
    }
}

/// Watches files. Its owner polls [`next`](Self::next); dropped, it ends.
pub struct Watch {
    inner: Looker<RealFiles>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Watches `set`, and what steers it.
    #[must_use]
    pub fn new(set: WatchSet, pace: Pace) -> (Self, WatchHandle) {
        let (inner, handle) = Looker::new(set, pace, |shared| RealFiles::new(Arc::clone(shared)));
        (Self { inner }, handle)
    }

    /// Waits until something is another than when this returned last. The first call returns at once with all paths: what
    /// changed before the watch stood is not missed either.
    ///
    /// May be dropped at any await point; nothing is lost then.
    pub async fn next(&mut self) -> FilesChanged {
        self.inner.next().await
    }
}

/// A watch on some file system.
struct Looker<F> {
    files: F,
    shared: Arc<Shared>,
    debounce: Debounce,
    look_at: Instant,
    /// What each path was when it was said last.
    said: BTreeMap<PathBuf, State>,
    /// The metadata of the last look.
    stamps: BTreeMap<PathBuf, Stamp>,
}

impl<F: FileSystem> Looker<F> {
    fn new(
        set: WatchSet,
        pace: Pace,
        files: impl FnOnce(&Arc<Shared>) -> F,
    ) -> (Self, WatchHandle) {
        let shared = Arc::new(Shared::default());
        *shared.pace.lock() = pace;
        let handle = WatchHandle(Arc::clone(&shared));
        handle.set(set);
        let looker = Self {
            files: files(&shared),
            shared,
            debounce: Debounce::default(),
            look_at: Instant::now() + pace.look_every,
            said: BTreeMap::new(),
            stamps: BTreeMap::new(),
        };
        (looker, handle)
    }

    async fn next(&mut self) -> FilesChanged {
        loop {
            let due = self.debounce.due();
            let pace = *self.shared.pace.lock();
            let look_at = self.look_at.min(Instant::now() + pace.look_every);
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or(look_at)), if due.is_some() => {
                    self.debounce.done();
                    if let Some(changed) = self.look() {
                        return changed;
                    }
                }
                () = self.shared.bell.rung.notified() => {
                    let is_at_once = self.shared.bell.at_once.swap(false, Ordering::AcqRel);
                    let quiet = if is_at_once { Duration::ZERO } else { pace.debounce };
                    self.debounce.event(Instant::now(), quiet);
                }
                () = sleep_until(look_at) => {
                    self.look_at = Instant::now() + pace.look_every;
                    if self.has_missed() {
                        self.debounce.event(Instant::now(), pace.debounce);
                    }
                }
            }
        }
    }

    /// Looks at everything, and says what is new.
    fn look(&mut self) -> Option<FilesChanged> {
        let set = self.shared.set.lock().clone();
        self.arm(&set);
        let paths = set.paths(&self.files);
        // First, so that what changes while it is read is seen by the next look.
        self.stamps = stamps(&self.files, &paths);
        let now = paths
            .into_iter()
            .map(|path| (path.clone(), self.files.state(&path)))
            .collect();
        self.said.retain(|path, _| set.holds(path));
        let paths = differing(&self.said, &now);
        self.said = now;
        (!paths.is_empty()).then_some(FilesChanged { paths })
    }

    /// Looks at the metadata; whether something is another that nobody told of.
    fn has_missed(&mut self) -> bool {
        let set = self.shared.set.lock().clone();
        self.arm(&set);
        stamps(&self.files, &set.paths(&self.files)) != self.stamps
    }

    /// Listens where it matters; again, if that changed meanwhile.
    fn arm(&mut self, set: &WatchSet) {
        for _ in 0..ARM_ROUNDS {
            let spots = Spots::of(set, &self.files);
            let armed = self.files.arm(spots);
            self.note(armed.trouble);
            if !armed.is_new {
                return;
            }
        }
    }

    fn note(&self, trouble: Option<String>) {
        let mut before = self.shared.trouble.lock();
        if *before != trouble {
            match &trouble {
                Some(trouble) => tracing::warn!("{trouble}"),
                None => tracing::info!("changes of files are heard of again"),
            }
            *before = trouble;
        }
    }
}

fn stamps(files: &impl FileSystem, paths: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Stamp> {
    let stamps = paths.iter().map(|path| (path.clone(), files.stamp(path)));
    stamps.collect()
}

/// The paths of which `before` and `now` say another thing.
fn differing(
    before: &BTreeMap<PathBuf, State>,
    now: &BTreeMap<PathBuf, State>,
) -> BTreeSet<PathBuf> {
    let paths = before.keys().chain(now.keys());
    let differ = paths.filter(|path| before.get(*path) != now.get(*path));
    differ.cloned().collect()
}
