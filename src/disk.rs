//! Files that are replaced as a whole or not at all: [`replace`].
//!
//! The new content goes into a file beside the old one, reaches the disk, and takes its name; then the folder reaches
//! the disk. So whatever happens there is the old content or the new one, never a part. What is written stays private:
//! files are for their owner alone, and so are the folders that are made for them.
//!
//! The steps are those of a [`Disk`], so that a test can end them anywhere.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The end of the name of a file that has not taken its place yet.
pub(crate) const NEW: &str = ".new";

/// What is done to a disk, one step each.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a folder and those above it, unless they are there.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Writes a whole file, which is on the disk when this returns.
    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()>;
    /// Gives a file another name, in place of what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is no error.
    fn remove(&self, file: &Path) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        let mut new = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)?;
        new.write_all(content)?;
        new.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Puts `content` in the place of what `file` holds, and makes its folder if that is missing.
///
/// # Errors
/// What the system says; the old content is untouched then.
pub(crate) fn replace(disk: &dyn Disk, file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    disk.make_folder(folder)?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(NEW);
    let beside = PathBuf::from(beside);
    disk.write(&beside, content)?;
    disk.rename(&beside, file)?;
    disk.sync_folder(folder)
}
