//! States on disk: one file a path, below `state/` in the data folder.
//!
//! A thread of its own writes, so that no actor waits for a disk; of each path only the newest state waits to be
//! written, which bounds what waits. A file is [replaced](disk::replace) as a whole, so that whatever happens there is an
//! old state or a new one, never a part.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use unity_supervisors::ActorPath;
use unity_supervisors::state::StateStore;

use crate::disk::{self, Disk as _, RealDisk};

/// What is to be in the file of a path; `None` for no file.
type Wanted = Arc<Option<Vec<u8>>>;

#[derive(Default)]
struct Queue {
    /// The newest of each path that is not written yet.
    wanted: BTreeMap<ActorPath, Wanted>,
    /// What is being written.
    writing: Option<(ActorPath, Wanted)>,
    writer: Option<JoinHandle<()>>,
    is_closed: bool,
}

struct Shared {
    folder: PathBuf,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Keeps states in files.
pub(crate) struct FileStore(Arc<Shared>);

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileStore").field(&self.0.folder).finish()
    }
}

impl FileStore {
    /// In this data folder, which is made with the first state.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(Arc::new(Shared {
            folder: data_dir.join("state"),
            queue: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Writes what waits, and ends the writer. What is saved after this is not kept.
    pub(crate) fn close(&self) {
        let writer = {
            let mut queue = self.0.lock();
            queue.is_closed = true;
            queue.writer.take()
        };
        self.0.changed.notify_all();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the writer of states panicked; the last states may be lost");
        }
    }
}

impl StateStore for FileStore {
    fn load(&self, path: &ActorPath) -> io::Result<Option<Vec<u8>>> {
        {
            let queue = self.0.lock();
            let writing = queue.writing.as_ref().filter(|(of, _)| of == path);
            let newest = queue.wanted.get(path).or(writing.map(|(_, wanted)| wanted));
            if let Some(newest) = newest {
                return Ok((**newest).clone());
            }
        }
        match fs::read(self.0.file(path)) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&self, path: &ActorPath, stored: Option<Vec<u8>>) {
        let mut queue = self.0.lock();
        if queue.is_closed {
            return;
        }
        queue.wanted.insert(path.clone(), Arc::new(stored));
        if queue.writer.is_none() {
            let shared = Arc::clone(&self.0);
            // A disk may hold it for long, and the runtimes' threads are for actors.
            let spawned = Builder::new()
                .name("uk-state".to_owned())
                .spawn(move || shared.write_all());
            match spawned {
                Ok(writer) => queue.writer = Some(writer),
                Err(error) => tracing::error!(%error, "states cannot be written yet"),
            }
        }
        drop(queue);
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// A panic under the lock leaves a queue that is whole: all changes of it are one call.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No id has a dot, so that no file has the name of a folder.
    fn file(&self, path: &ActorPath) -> PathBuf {
        let mut file = self.folder.clone();
        file.extend(path.segments());
        file.with_extension("state")
    }

    /// The writer's thread.
    fn write_all(&self) {
        let mut queue = self.lock();
        loop {
            let Some((path, wanted)) = queue.wanted.pop_first() else {
                if queue.is_closed {
                    return;
                }
                let woken = self.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.writing = Some((path.clone(), Arc::clone(&wanted)));
            drop(queue);
            let file = self.file(&path);
            if let Err(error) = write(&file, (*wanted).as_deref()) {
                tracing::error!(%path, file = %file.display(), %error, "state not written");
            }
            queue = self.lock();
            queue.writing = None;
        }
    }
}

fn write(file: &Path, stored: Option<&[u8]>) -> io::Result<()> {
    match stored {
        Some(stored) => disk::replace(&RealDisk, file, stored),
        None => RealDisk.remove(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ActorPath {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_is_read_at_once_and_after_a_new_start() {
        let folder = std::env::temp_dir().join(format!("uk-states-{}", std::process::id()));
        let store = FileStore::new(&folder);
        for number in 0..100 {
            store.save(&path("/a"), Some(vec![number]));
            assert_eq!(store.load(&path("/a")).unwrap(), Some(vec![number]));
        }
        store.save(&path("/a/b"), Some(vec![7]));
        store.save(&path("/c"), Some(vec![8]));
        store.save(&path("/c"), None);
        store.close();

        let again = FileStore::new(&folder);

        assert_eq!(again.load(&path("/a")).unwrap(), Some(vec![99]));
        assert_eq!(again.load(&path("/a/b")).unwrap(), Some(vec![7]));
        assert_eq!(again.load(&path("/c")).unwrap(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
