//! A disk that is played: it crashes at any step, and then has what a disk may have.
//!
//! - Of what was written and not synced any part may be there, in pieces of [`SECTOR`] bytes, each as it was at some
//!   moment since the last sync; the length of the file likewise.
//! - Of the names that were made, changed or removed in a folder since that was synced any may be there or not.
//! - A sync that fails leaves some of what was written to be there and some never, and the next one knows nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::disk::Disk;

/// What is written at once or not at all.
const SECTOR: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct SimDisk(Arc<Mutex<World>>);

#[derive(Debug)]
struct World {
    rng: Rng,
    inodes: BTreeMap<usize, Inode>,
    next_inode: usize,
    /// As a process sees them, and as they are on disk.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// What happened to names since their folder was synced.
    renames: Vec<(PathBuf, Option<usize>)>,
    /// How many steps there are until the crash.
    steps: Option<usize>,
    has_crashed: bool,
    /// Of a hundred syncs and writes, how many fail.
    failing: u8,
    /// Of four steps that need room, how many find none.
    full: u8,
    life: usize,
}

#[derive(Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

/// Folders are names too, and have no content.
const FOLDER: usize = 0;

#[derive(Debug)]
pub(super) struct SimFile {
    inode: usize,
    life: usize,
}

fn crashed() -> io::Error {
    io::Error::other("the disk has crashed")
}

impl Change {
    /// Does this to `content`, where a place may be left as it is.
    fn apply(&self, content: &mut Vec<u8>, mut takes: impl FnMut(usize) -> bool) {
        match self {
            Self::Len(len) => content.resize(*len, 0),
            Self::Write(at, bytes) => {
                if content.len() < at + bytes.len() {
                    content.resize(at + bytes.len(), 0);
                }
                for (place, byte) in (*at..).zip(bytes) {
                    if takes(place / SECTOR)
                        && let Some(old) = content.get_mut(place)
                    {
                        *old = *byte;
                    }
                }
            }
        }
    }

    fn len_after(&self, len: usize) -> usize {
        match self {
            Self::Len(len) => *len,
            Self::Write(at, bytes) => len.max(at + bytes.len()),
        }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.content, |_| true);
        self.pending.push(change);
    }

    /// All of what is pending may be on disk, in any part.
    fn tear(&mut self, rng: &mut Rng) {
        let mut len = self.durable.len();
        let chosen = rng.usize(0..=self.pending.len());
        for change in self.pending.iter().take(chosen) {
            len = change.len_after(len);
        }
        // Mostly all is there or nothing, as most crashes are between things.
        let how = rng.u8(0..4);
        let mut versions: BTreeMap<usize, usize> = BTreeMap::new();
        let changes = std::mem::take(&mut self.pending);
        let count = changes.len();
        for (number, change) in changes.iter().enumerate() {
            change.apply(&mut self.durable, |sector| {
                let version = versions.entry(sector).or_insert_with(|| match how {
                    0 => count,
                    1 => chosen,
                    _ => rng.usize(0..=count),
                });
                number < *version
            });
        }
        self.durable
            .resize(if how == 0 { self.durable.len() } else { len }, 0);
    }
}

impl SimDisk {
    pub(super) fn new(seed: u64) -> Self {
        let mut names = BTreeMap::new();
        names.insert(PathBuf::from("/"), FOLDER);
        Self(Arc::new(Mutex::new(World {
            rng: Rng::with_seed(seed),
            inodes: BTreeMap::new(),
            next_inode: FOLDER + 1,
            durable_names: names.clone(),
            names,
            renames: Vec::new(),
            steps: None,
            has_crashed: false,
            failing: 0,
            full: 0,
            life: 0,
        })))
    }

    /// Crashes after so many steps.
    pub(super) fn crash_after(&self, steps: usize) {
        self.0.lock().steps = Some(steps);
    }

    #[cfg(test)]
    pub(super) fn has_crashed(&self) -> bool {
        self.0.lock().has_crashed
    }

    /// Of a hundred syncs and writes, so many fail.
    pub(super) fn fail(&self, of_hundred: u8) {
        self.0.lock().failing = of_hundred;
    }

    /// There is no room, or now and then.
    pub(super) fn fill(&self, is_full: bool) {
        self.0.lock().full = if is_full { 3 } else { 0 };
    }

    /// There is no room at all.
    pub(super) fn fill_up(&self) {
        self.0.lock().full = 4;
    }

    /// The machine starts again, with what reached the disk.
    pub(super) fn restart(&self) {
        let mut world = self.0.lock();
        let World { rng, inodes, .. } = &mut *world;
        for inode in inodes.values_mut() {
            inode.tear(rng);
            inode.content = inode.durable.clone();
        }
        world.settle_names();
        world.begin();
    }

    /// A process starts again, with all that was written.
    pub(super) fn restart_process(&self) {
        self.0.lock().begin();
    }

    fn step<T>(&self, act: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.0.lock();
        if world.has_crashed {
            return Err(crashed());
        }
        if let Some(steps) = &mut world.steps {
            if *steps == 0 {
                world.has_crashed = true;
                if world.rng.bool() {
                    // The last thing may have happened, and nobody hears of it.
                    drop(act(&mut world));
                }
                return Err(crashed());
            }
            *steps -= 1;
        }
        act(&mut world)
    }
}

impl World {
    /// A new life, in which nothing fails until it is told to.
    fn begin(&mut self) {
        self.has_crashed = false;
        self.steps = None;
        self.failing = 0;
        self.full = 0;
        self.life += 1;
    }

    fn settle_names(&mut self) {
        for (path, inode) in std::mem::take(&mut self.renames) {
            if self.rng.bool() {
                self.set_durable(path, inode);
            }
        }
        let folders: BTreeSet<_> = self
            .durable_names
            .iter()
            .filter(|(_, inode)| **inode == FOLDER)
            .map(|(path, _)| path.clone())
            .collect();
        self.durable_names.retain(|path, _| match path.parent() {
            Some(parent) => folders.contains(parent),
            None => true,
        });
        self.names = self.durable_names.clone();
    }

    fn set_durable(&mut self, path: PathBuf, inode: Option<usize>) {
        match inode {
            Some(inode) => self.durable_names.insert(path, inode),
            None => self.durable_names.remove(&path),
        };
    }

    fn rename(&mut self, path: &Path, inode: Option<usize>) {
        match inode {
            Some(inode) => self.names.insert(path.to_owned(), inode),
            None => self.names.remove(path),
        };
        self.renames.push((path.to_owned(), inode));
    }

    fn inode(&mut self, file: &SimFile) -> io::Result<&mut Inode> {
        if file.life != self.life {
            return Err(crashed());
        }
        let inode = self.inodes.get_mut(&file.inode);
        inode.ok_or_else(|| io::Error::other("no such inode"))
    }

    /// Fails now and then, if it is to.
    fn luck(&mut self) -> io::Result<()> {
        if self.failing > 0 && self.rng.u8(0..100) < self.failing {
            return Err(io::Error::other("a bad sector"));
        }
        Ok(())
    }

    fn room(&mut self) -> io::Result<()> {
        if self.rng.u8(0..4) < self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(|world| {
            if !world.names.contains_key(folder) {
                world.rename(folder, Some(FOLDER));
            }
            Ok(())
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.step(|world| {
            let inside = world
                .names
                .keys()
                .filter(|path| path.parent() == Some(folder));
            let names = inside.filter_map(|path| path.file_name()?.to_str());
            Ok(names.map(str::to_owned).collect())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(|world| {
            world.luck()?;
            let renames = std::mem::take(&mut world.renames);
            for (path, inode) in renames {
                if path.parent() == Some(folder) {
                    world.set_durable(path, inode);
                } else {
                    world.renames.push((path, inode));
                }
            }
            Ok(())
        })
    }

    fn create(&self, file: &Path) -> io::Result<SimFile> {
        self.step(|world| {
            world.room()?;
            let parent = file.parent().unwrap_or(file);
            if !world.names.contains_key(parent) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let life = world.life;
            if let Some(inode) = world.names.get(file).copied() {
                if let Some(there) = world.inodes.get_mut(&inode) {
                    there.change(Change::Len(0));
                }
                return Ok(SimFile { inode, life });
            }
            let inode = world.next_inode;
            world.next_inode += 1;
            world.inodes.insert(inode, Inode::default());
            world.rename(file, Some(inode));
            Ok(SimFile { inode, life })
        })
    }

    fn open(&self, file: &Path) -> io::Result<SimFile> {
        self.step(|world| {
            let inode = world.names.get(file).copied();
            let inode = inode.ok_or(io::ErrorKind::NotFound)?;
            let life = world.life;
            Ok(SimFile { inode, life })
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|world| {
            let inode = world.names.get(from).copied();
            let inode = inode.ok_or(io::ErrorKind::NotFound)?;
            world.rename(to, Some(inode));
            world.rename(from, None);
            Ok(())
        })
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.step(|world| {
            if world.names.contains_key(file) {
                world.rename(file, None);
            }
            Ok(())
        })
    }

    fn len(&self, file: &SimFile) -> io::Result<u64> {
        self.step(|world| Ok(world.inode(file)?.content.len() as u64))
    }

    fn set_len(&self, file: &SimFile, len: u64) -> io::Result<()> {
        self.step(|world| {
            let len = usize::try_from(len).map_err(io::Error::other)?;
            world.inode(file)?.change(Change::Len(len));
            Ok(())
        })
    }

    fn read_at(&self, file: &SimFile, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.step(|world| {
            let content = &world.inode(file)?.content;
            let at = usize::try_from(at).map_err(io::Error::other)?;
            let rest = content.get(at..).unwrap_or_default();
            let len = rest.len().min(into.len());
            for (to, from) in into.iter_mut().zip(rest) {
                *to = *from;
            }
            Ok(len)
        })
    }

    fn write_at(&self, file: &SimFile, bytes: &[u8], at: u64) -> io::Result<()> {
        self.step(|world| {
            let at = usize::try_from(at).map_err(io::Error::other)?;
            let went = world.room().and_then(|()| world.luck());
            // What fails may have been done in part.
            let done = match went {
                Ok(()) => bytes.len(),
                Err(_) => world.rng.usize(0..=bytes.len()),
            };
            let bytes = bytes.get(..done).unwrap_or_default();
            let change = Change::Write(at, bytes.to_vec());
            world.inode(file)?.change(change);
            went
        })
    }

    fn sync(&self, file: &SimFile) -> io::Result<()> {
        self.step(|world| {
            let went = world.luck();
            let mut rng = world.rng.fork();
            let inode = world.inode(file)?;
            match went {
                Ok(()) => {
                    for change in inode.pending.drain(..) {
                        change.apply(&mut inode.durable, |_| true);
                    }
                }
                // Nothing of it is written again.
                Err(_) => inode.tear(&mut rng),
            }
            went
        })
    }
}
