//! Where is listened, and what was heard: [`Ear`], [`Listener`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{EventKind, ModifyKind};
use notify::{ErrorKind, Event};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::notices::{self, SafeWatcher, may_change};

/// After so many paths all that is watched is looked at instead.
const TOUCHED_MAX: usize = 10_000;

/// Hears what happens, on the thread of `notify`.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: Mutex<Heard>,
    pub(super) rung: Notify,
}

/// What was heard since somebody asked last.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Where something happened.
    pub(super) touched: BTreeSet<PathBuf>,
    /// Whether it may have happened anywhere.
    pub(super) all: bool,
    /// Folders that are listened in no more.
    lost: BTreeSet<PathBuf>,
    /// Why not everything is heard any more.
    pub(super) trouble: Option<String>,
}

impl Ear {
    /// What was heard; where nothing is heard any more is left to [`Listener::arm`].
    pub(super) fn take(&self) -> Heard {
        let mut heard = self.heard.lock();
        let lost = std::mem::take(&mut heard.lost);
        std::mem::replace(
            &mut *heard,
            Heard {
                lost,
                ..Heard::default()
            },
        )
    }

    /// Everything is to be looked at.
    pub(super) fn touch_all(&self) {
        self.heard.lock().all = true;
        self.rung.notify_one();
    }

    fn hear(&self, event: Result<Event, notify::Error>) {
        let mut heard = self.heard.lock();
        match event {
            Ok(event) if event.need_rescan() => heard.all = true,
            Ok(event) if !may_change(event.kind) => return,
            Ok(event) => {
                let is_gone = matches!(
                    event.kind,
                    EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
                );
                if is_gone {
                    heard.lost.extend(event.paths.iter().cloned());
                }
                heard.touched.extend(event.paths);
                if heard.touched.len() > TOUCHED_MAX {
                    heard.touched.clear();
                    heard.all = true;
                }
                if heard.lost.len() > TOUCHED_MAX {
                    heard.lost = BTreeSet::from(["/".into()]);
                }
            }
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                heard.trouble = Some(trouble(&error));
            }
            // Something was missed.
            Err(_) => heard.all = true,
        }
        drop(heard);
        self.rung.notify_one();
    }
}

fn trouble(error: &notify::Error) -> String {
    let (why, help) = notices::why(error);
    let place = error.paths.first();
    let place = place.map_or_else(String::new, |path| format!(" in {}", path.display()));
    format!("changes{place} are not heard: {why}{help}")
}

/// How a folder is listened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    /// What tells it from another that had its name.
    id: (u64, u64),
    recursive: bool,
}

/// Listens where something can happen to what is watched.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) ear: Arc<Ear>,
    watcher: SafeWatcher,
    spots: BTreeMap<PathBuf, Spot>,
}

impl Listener {
    /// # Errors
    /// Why the system has no ear to give, and what helps.
    pub(super) fn new() -> Result<Self, String> {
        let ear = Arc::<Ear>::default();
        let its = Arc::clone(&ear);
        let watcher = SafeWatcher::new(move |event| its.hear(event));
        let watcher = watcher.map_err(|error| trouble(&error))?;
        Ok(Self {
            ear,
            watcher,
            spots: BTreeMap::new(),
        })
    }

    /// Listens in the folders of `roots`, or where one that is missing would appear, and nowhere else. Whether that is
    /// somewhere new, so that what happened there before went unheard.
    ///
    /// # Errors
    /// Why that cannot be, and what helps.
    pub(super) fn arm(&mut self, roots: &[PathBuf], recursive: bool) -> Result<bool, String> {
        let lost = std::mem::take(&mut self.ear.heard.lock().lost);
        let wanted = spots(roots, recursive);
        let mut is_new = false;
        for (folder, spot) in &self.spots {
            let is_lost = lost.iter().any(|gone| folder.starts_with(gone));
            if is_lost || wanted.get(folder) != Some(spot) {
                let done = self.watcher.unwatch(folder);
                done.map_err(|error| trouble(&error))?;
                is_new = true;
            }
        }
        let is_kept = |folder: &Path, spot: &Spot| {
            let is_lost = lost.iter().any(|gone| folder.starts_with(gone));
            !is_lost && wanted.get(folder) == Some(spot)
        };
        self.spots.retain(|folder, spot| is_kept(folder, spot));
        for (folder, spot) in wanted {
            if self.spots.contains_key(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, spot.recursive) {
                Ok(()) => {
                    self.spots.insert(folder, spot);
                    is_new = true;
                }
                // It went between two steps: the next look sees it.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(trouble(&error)),
            }
        }
        Ok(is_new)
    }
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The folders to listen in.
fn spots(roots: &[PathBuf], recursive: bool) -> BTreeMap<PathBuf, Spot> {
    let mut spots = BTreeMap::new();
    for root in roots {
        let is_folder = root.is_dir();
        let folder = if is_folder {
            Some(&**root)
        } else {
            root.parent()
        };
        let Some(folder) = folder else { continue };
        let Ok(data) = fs::metadata(folder) else {
            continue;
        };
        let spot = spots.entry(folder.to_owned()).or_insert(Spot {
            id: (data.dev(), data.ino()),
            recursive: false,
        });
        spot.recursive |= is_folder && recursive;
    }
    spots
}
