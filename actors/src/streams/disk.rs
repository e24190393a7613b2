//! What the streams do to a disk, one step each: [`Disk`], so that a test can have one that crashes.
//!
//! The history of settings has a trait of that name too, of whole files that are replaced at once. A log is written
//! in place, bit by bit, and synced apart from that: no step of the one is a step of the other.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use unity_supervisors::fault::Undo;

/// A disk. What is written is there for all who read, and outlives a crash of the machine only once it is synced: the
/// content of a file by [`sync`](Self::sync), its name by [`sync_folder`](Self::sync_folder).
pub trait Disk: Debug + Send + Sync + 'static {
    /// An open file; it can be read though its name is gone.
    type File: Send + Sync + 'static;

    /// Makes a folder and those above it, unless they are there.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names in a folder; none if it is not there.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes a file, empty whatever had its name.
    fn create(&self, file: &Path) -> io::Result<Self::File>;
    /// Opens one that is there.
    fn open(&self, file: &Path) -> io::Result<Self::File>;
    /// Gives a file another name, in place of what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is no error.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// How long a file is.
    fn len(&self, file: &Self::File) -> io::Result<u64>;
    /// Cuts a file, or fills it up with zeros.
    fn set_len(&self, file: &Self::File, len: u64) -> io::Result<()>;
    /// Reads what there is from `at` on, and returns how much that is.
    fn read_at(&self, file: &Self::File, into: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&self, file: &Self::File, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Waits until what was written to a file, and its length, is on the disk.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
}

/// At most `len` bytes from `at` on; fewer where the file ends.
pub(super) fn read<D: Disk>(disk: &D, file: &D::File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match disk.read_at(file, rest, at + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// A whole file.
pub(super) fn read_all<D: Disk>(disk: &D, file: &D::File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(disk.len(file)?).map_err(io::Error::other)?;
    read(disk, file, 0, len)
}

/// What is broken of a disk on purpose. What is not broken costs one look at a number.
#[derive(Debug, Default)]
pub struct DiskFaults {
    /// How many say that it is full.
    full: AtomicU32,
    /// How many say that nothing can be synced.
    syncs: AtomicU32,
}

impl DiskFaults {
    /// No byte more can be written until this is undone.
    pub fn fill(self: &Arc<Self>) -> Undo {
        self.break_one(|faults| &faults.full)
    }

    /// What is written cannot be synced until this is undone.
    pub fn fail_syncs(self: &Arc<Self>) -> Undo {
        self.break_one(|faults| &faults.syncs)
    }

    fn break_one(self: &Arc<Self>, which: fn(&Self) -> &AtomicU32) -> Undo {
        which(self).fetch_add(1, Ordering::Relaxed);
        let faults = Arc::clone(self);
        Undo::new(move || {
            which(&faults).fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// As a full disk answers, if it is one.
    fn write(&self) -> io::Result<()> {
        answer(&self.full, Errno::NOSPC)
    }

    /// As a disk answers that has lost what it was given, if it is one.
    fn sync(&self) -> io::Result<()> {
        answer(&self.syncs, Errno::IO)
    }
}

fn answer(broken: &AtomicU32, error: Errno) -> io::Result<()> {
    match broken.load(Ordering::Relaxed) {
        0 => Ok(()),
        _ => Err(error.into()),
    }
}

/// The disk of this machine. What is made is for its owner alone.
#[derive(Debug, Default)]
pub struct RealDisk {
    /// What is broken of it on purpose.
    pub(super) faults: Arc<DiskFaults>,
}

impl Disk for RealDisk {
    type File = File;

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.faults.sync()?;
        File::open(folder)?.sync_all()
    }

    fn create(&self, file: &Path) -> io::Result<File> {
        self.faults.write()?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        options.mode(0o600).open(file)
    }

    fn open(&self, file: &Path) -> io::Result<File> {
        File::options().read(true).write(true).open(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        // Also a full disk lets a file be cut.
        if len > self.len(file)? {
            self.faults.write()?;
        }
        file.set_len(len)
    }

    fn read_at(&self, file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
        file.read_at(into, at)
    }

    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        self.faults.write()?;
        file.write_all_at(bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.faults.sync()?;
        file.sync_data()
    }
}
