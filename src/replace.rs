//! Replaces files as a whole or not at all: [`replace`].
//!
//! The new text goes into a file beside the old one, reaches the disk, and takes its name. Until then
//! the old file is untouched, so that a full disk or a pulled plug costs nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use crate::error::{Code, CommandError};
use crate::tree_file::mend::Edited;

/// Writes all of the files, or none of them if one cannot be written.
///
/// # Errors
/// Which file, and why.
pub(crate) fn replace(files: &[Edited]) -> Result<(), CommandError> {
    let ready: Result<Vec<Ready>, CommandError> = files.iter().map(ready).collect();
    ready?.into_iter().try_for_each(Ready::take_its_name)
}

/// Puts a new text beside the old one, on the disk.
///
/// # Errors
/// Why the file cannot be written.
pub(crate) fn ready(file: &Edited) -> Result<Ready, CommandError> {
    Ready::new(file).map_err(|error| refusal(&file.path, &error))
}

fn refusal(path: &Path, error: &io::Error) -> CommandError {
    let path = path.display();
    let (code, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            Code::Denied,
            format!("let its owner run this, or make it writable: `chmod u+w {path}`"),
        ),
        io::ErrorKind::ResourceBusy => (Code::Failed, "run the command again".to_owned()),
        _ => (
            Code::Failed,
            "nothing was changed; mend the cause and run it again".to_owned(),
        ),
    };
    CommandError::new(code, format!("cannot write {path}: {error}")).hint(hint)
}

/// A text that is on the disk under a name of its own; it goes away again unless it is used.
pub(crate) struct Ready {
    beside: PathBuf,
    target: PathBuf,
}

impl Ready {
    fn new(file: &Edited) -> io::Result<Self> {
        // A link stays one: what it leads to is replaced.
        let target = fs::canonicalize(&file.path)?;
        let old = fs::metadata(&target)?;
        if old.permissions().readonly() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is read-only",
            ));
        }
        OpenOptions::new().write(true).open(&target)?;
        if fs::read(&target)? != file.before.as_bytes() {
            let what = "it has changed since it was read";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let beside = target.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)?;
        let ready = Self { beside, target };
        let own = new.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&new, Some(old.uid()), Some(old.gid()))?;
        }
        new.set_permissions(old.permissions())?;
        new.write_all(file.after.as_bytes())?;
        new.sync_all()?;
        Ok(ready)
    }

    /// Takes the name of the old text.
    ///
    /// # Errors
    /// Which file, and why not.
    pub(crate) fn take_its_name(self) -> Result<(), CommandError> {
        let renamed =
            fs::rename(&self.beside, &self.target).and_then(|()| match self.target.parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            });
        renamed.map_err(|error| refusal(&self.target, &error))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // Nothing is there once it has taken its name.
        drop(fs::remove_file(&self.beside));
    }
}
