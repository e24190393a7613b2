//! What the system tells of changes of files, through `notify`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

/// A watcher of `notify`, which panics, also when it is dropped, once its thread has ended or if it never came to be.
#[derive(Debug)]
pub struct SafeWatcher(Option<RecommendedWatcher>);

impl SafeWatcher {
    /// One that tells `hear` what happens, on a thread of its own. It does not follow links to folders.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn new(
        hear: impl Fn(Result<Event, notify::Error>) + Send + 'static,
    ) -> Result<Self, notify::Error> {
        let config = Config::default().with_follow_symlinks(false);
        RecommendedWatcher::new(hear, config).map(|watcher| Self(Some(watcher)))
    }

    /// Listens in `folder`, and below if `recursive`.
    ///
    /// # Errors
    /// If it cannot be, or the thread has ended.
    pub fn watch(&mut self, folder: &Path, recursive: bool) -> Result<(), notify::Error> {
        let mode = match recursive {
            true => RecursiveMode::Recursive,
            false => RecursiveMode::NonRecursive,
        };
        self.caught(|watcher| watcher.watch(folder, mode))
    }

    /// Listens there no more.
    ///
    /// # Errors
    /// If the thread has ended.
    pub fn unwatch(&mut self, folder: &Path) -> Result<(), notify::Error> {
        match self.caught(|watcher| watcher.unwatch(folder)) {
            Err(error) if matches!(error.kind, ErrorKind::WatchNotFound) => Ok(()),
            done => done,
        }
    }

    fn caught(
        &mut self,
        act: impl FnOnce(&mut RecommendedWatcher) -> Result<(), notify::Error>,
    ) -> Result<(), notify::Error> {
        let ended = || Err(notify::Error::generic("the thread that listens has ended"));
        let Some(watcher) = &mut self.0 else {
            return ended();
        };
        catch_unwind(AssertUnwindSafe(|| act(watcher))).unwrap_or_else(|_| ended())
    }
}

impl Drop for SafeWatcher {
    fn drop(&mut self) {
        let watcher = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(watcher))).is_err() {
            tracing::debug!("the thread that listens for changes of files had ended before");
        }
    }
}

/// Whether an event can mean that something is another than before. That a file was opened or read does not, or each look
/// would be followed by one more.
#[must_use]
pub fn may_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Why something cannot be listened to, and what helps.
#[must_use]
pub fn why(error: &notify::Error) -> (String, &'static str) {
    match &error.kind {
        ErrorKind::MaxFilesWatch => (
            "this user has no inotify watches left".to_owned(),
            "; `sysctl fs.inotify.max_user_watches` is the limit",
        ),
        ErrorKind::Io(error) if is_out_of_instances(error) => (
            error.to_string(),
            "; `sysctl fs.inotify.max_user_instances` and `ulimit -n` are the limits",
        ),
        ErrorKind::Io(error) => (error.to_string(), ""),
        _ => (error.to_string(), ""),
    }
}

fn is_out_of_instances(error: &io::Error) -> bool {
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| limits.contains(&errno))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, ModifyKind};

    use super::*;

    #[test]
    fn a_look_is_not_followed_by_a_look_at_what_it_opened() {
        for (kind, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Read)),
                false,
            ),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Write)),
                true,
            ),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), true),
            (
                EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
                true,
            ),
            (EventKind::Any, true),
        ] {
            assert_eq!(may_change(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_watcher_whose_thread_has_ended_is_an_error_and_no_panic() {
        let mut watcher = SafeWatcher::new(drop).unwrap();
        // Its thread ends with what it cannot hear.
        watcher.0 = Some(notify::recommended_watcher(|_| panic!("deaf")).unwrap());
        watcher.watch(&std::env::temp_dir(), false).unwrap();
        let folder = std::env::temp_dir().join(format!("uk-deaf-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();

        while watcher.watch(&folder, false).is_ok() {}

        std::fs::remove_dir(&folder).unwrap();
        assert!(watcher.unwatch(&folder).is_err());
    }
}
