//! The real file system: files are read through [`files`](super::files), and the system tells of changes through `notify`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{EventKind, ModifyKind};
use notify::{ErrorKind, Event};
use parking_lot::Mutex;
use unity_actors::notices::{self, SafeWatcher, may_change};

use super::Shared;
use super::files::{self, Armed, Entry, FileSystem, FolderId, Stamp, State};
use super::spots::Spots;

/// Files, and what is heard of them.
pub(super) struct RealFiles {
    ear: Arc<Ear>,
    watcher: Option<SafeWatcher>,
}

/// Where is listened, and who is told.
struct Ear {
    shared: Arc<Shared>,
    listened: Mutex<Listened>,
}

#[derive(Default)]
struct Listened {
    spots: Spots,
    /// Each folder that is listened in, and what tells it from others that had its name.
    folders: BTreeMap<PathBuf, FolderId>,
}

impl RealFiles {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let ear = Ear {
            shared,
            listened: Mutex::default(),
        };
        Self {
            ear: Arc::new(ear),
            watcher: None,
        }
    }

    /// Listens in the folders of `wanted`, and in no other. Goes on where one of them fails.
    fn listen(&mut self, wanted: BTreeMap<PathBuf, FolderId>) -> Result<Heard, notify::Error> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => {
                let ear = Arc::clone(&self.ear);
                none.insert(SafeWatcher::new(move |event| ear.hear(event))?)
            }
        };
        let before = self.ear.listened.lock().folders.clone();
        for (folder, id) in &before {
            if wanted.get(folder) != Some(id) {
                self.ear.listened.lock().folders.remove(folder);
                watcher.unwatch(folder)?;
            }
        }
        let mut heard = Heard::default();
        for (folder, id) in wanted {
            if before.get(&folder) == Some(&id) {
                continue;
            }
            // Noted before, so that it is forgotten again should the folder go at once.
            self.ear.listened.lock().folders.insert(folder.clone(), id);
            match watcher.watch(&folder, false) {
                Ok(()) => heard.is_new = true,
                Err(error) if matches!(error.kind, ErrorKind::Generic(_)) => return Err(error),
                Err(error) => {
                    self.ear.listened.lock().folders.remove(&folder);
                    heard.failed = Some(error);
                }
            }
        }
        Ok(heard)
    }
}

/// What came of listening.
#[derive(Default)]
struct Heard {
    is_new: bool,
    /// Why one of the folders cannot be listened in.
    failed: Option<notify::Error>,
}

impl FileSystem for RealFiles {
    fn entry(&self, path: &Path) -> Entry {
        files::entry(path)
    }

    fn names(&self, folder: &Path) -> Vec<PathBuf> {
        files::names(folder)
    }

    fn stamp(&self, path: &Path) -> Stamp {
        files::stamp(path)
    }

    fn state(&self, path: &Path) -> State {
        files::state(path)
    }

    fn arm(&mut self, spots: Spots) -> Armed {
        let wanted = files::ids(spots.folders());
        self.ear.listened.lock().spots = spots;
        let heard = self.listen(wanted).unwrap_or_else(|error| {
            // Made again at the next look.
            self.watcher = None;
            self.ear.listened.lock().folders.clear();
            Heard {
                is_new: false,
                failed: Some(error),
            }
        });
        let is_gone = |error: &notify::Error| matches!(error.kind, ErrorKind::PathNotFound);
        if heard.failed.as_ref().is_some_and(is_gone) {
            // It went between two steps: what is there now is seen by a further look.
            self.ear.shared.bell.ring();
        }
        let failed = heard.failed.filter(|error| !is_gone(error));
        Armed {
            is_new: heard.is_new,
            trouble: failed.as_ref().map(trouble),
        }
    }
}

impl Ear {
    fn hear(&self, event: Result<Event, notify::Error>) {
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            // Nobody knows what was missed.
            Ok(_) | Err(_) => return self.shared.bell.ring_at_once(),
        };
        if !may_change(event.kind) {
            return;
        }
        let mut listened = self.listened.lock();
        let Listened { spots, folders } = &mut *listened;
        let is_listened = |path: &PathBuf| folders.contains_key(path);
        let matters = event
            .paths
            .iter()
            .any(|path| spots.concern(path) || is_listened(path));
        if matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        ) {
            // `notify` then stops to listen there and below, also if another folder has that name by now.
            folders.retain(|folder, _| !event.paths.iter().any(|gone| folder.starts_with(gone)));
        }
        if matters {
            self.shared.bell.ring();
        }
    }
}

/// Why changes are found late, and what helps.
fn trouble(error: &notify::Error) -> String {
    let (why, help) = notices::why(error);
    let place = error.paths.first();
    let place = place.map_or_else(String::new, |path| format!(" in {}", path.display()));
    format!("changes of files{place} are found late, by a slow look only: {why}{help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_says_what_is_late_why_and_what_helps() {
        let full = notify::Error::new(ErrorKind::MaxFilesWatch).add_path("/etc/uk".into());
        let files = notify::Error::io(std::io::Error::from_raw_os_error(24));

        let (full, files) = (trouble(&full), trouble(&files));

        assert!(full.contains("in /etc/uk are found late") && full.contains("max_user_watches"));
        assert!(
            files.contains("max_user_instances") && files.contains("ulimit -n"),
            "{files}"
        );
    }
}
