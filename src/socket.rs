//! Where a kernel is reached, and who holds that place: socket paths and the lock beside each.
//!
//! The kernel of a socket is whoever holds the lock on `<socket>.lock`; the lock is kept open for the
//! kernel's whole life and freed by the system, however it ends. So a socket file that is there says
//! nothing, a lock that is held says all. The lock file stays behind: removing it would race with the
//! next kernel that opens it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The longest name of a kernel.
pub const NAME_LEN_MAX: usize = 64;
/// The longest path of a socket, in bytes: what Linux and macOS both take, less one for the name it is made under.
pub const SOCKET_LEN_MAX: usize = 102;

/// Who holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The kernel's name.
    pub name: String,
    /// Where it is reached.
    pub socket: PathBuf,
}

/// Why a socket cannot be held or found.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another kernel holds it.
    #[error("a kernel named `{}` is running already: pid {}, socket {}", .0.name, .0.pid, .0.socket.display())]
    Held(Holder),
    /// It cannot be a name.
    #[error(
        "`{0}` cannot be a kernel's name: it is 1 to 64 of the characters A-Z a-z 0-9 _ - and inner dots"
    )]
    Name(String),
    /// The path is too long for a socket.
    #[error("the socket path {} is longer than {SOCKET_LEN_MAX} bytes", .0.display())]
    TooLong(PathBuf),
    /// The folder belongs to somebody else, or others may write to it.
    #[error("{} is not safe for a control socket: {why}", .path.display())]
    Unsafe {
        /// Which folder.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// The system refused.
    #[error("cannot use {}: {error}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The folder of this user's sockets.
#[must_use]
pub fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => PathBuf::from(dir).join("unity-kernel"),
        None => PathBuf::from(format!(
            "/tmp/unity-kernel-{}",
            rustix::process::getuid().as_raw()
        )),
    }
}

/// The socket of the kernel named `name`.
///
/// # Errors
/// [`SocketError::Name`] if that cannot be a name.
pub fn of_name(name: &str) -> Result<PathBuf, SocketError> {
    let fits = (1..=NAME_LEN_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if fits {
        Ok(folder().join(format!("{name}.sock")))
    } else {
        Err(SocketError::Name(name.to_owned()))
    }
}

/// The data folder of the kernel named `name`.
#[must_use]
pub fn data_folder(name: &str) -> PathBuf {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(folder)
        .join("unity-kernel")
        .join(name)
}

/// A socket that is ours for as long as this lives.
#[derive(Debug)]
pub struct SocketLock {
    socket: PathBuf,
    _file: File,
}

impl SocketLock {
    /// Takes `socket` for this process, also when a killed kernel left it behind.
    ///
    /// # Errors
    /// [`SocketError::Held`] if another kernel holds it.
    pub fn take(socket: &Path, name: &str) -> Result<Self, SocketError> {
        if socket.as_os_str().len() > SOCKET_LEN_MAX {
            return Err(SocketError::TooLong(socket.to_owned()));
        }
        let folder = socket
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            make_folder(folder)?;
        }
        let path = lock_path(socket);
        let io = |error| SocketError::Io {
            path: path.clone(),
            error,
        };
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SocketError::Held(holder(socket, &mut file)));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let holder = Holder {
            pid: std::process::id(),
            name: name.to_owned(),
            socket: socket.to_owned(),
        };
        let text = serde_json::to_string(&holder).map_err(|error| io(error.into()))?;
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        Ok(Self {
            socket: socket.to_owned(),
            _file: file,
        })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for SocketLock {
    fn drop(&mut self) {
        // It may never have been made; whoever comes next replaces it anyway.
        drop(fs::remove_file(&self.socket));
    }
}

/// Who holds `socket`, if a kernel does.
#[must_use]
pub fn holder_of(socket: &Path) -> Option<Holder> {
    let mut file = File::open(lock_path(socket)).ok()?;
    // A shared lock, taken for a moment: `SocketLock::take` is tried again for that reason by its caller.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(socket, &mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// All kernels of this user that run at the usual place, by name.
#[must_use]
pub fn running() -> Vec<Holder> {
    let mut found: Vec<Holder> = fs::read_dir(folder())
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            holder_of(&path.with_extension(""))
                .filter(|_| path.extension().is_some_and(|end| end == "lock"))
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// What process `pid` said of its kernel when it took a lock, also when it has died since.
#[must_use]
pub fn left_by(pid: u32, socket: Option<&Path>) -> Option<Holder> {
    let usual = || {
        let entries = fs::read_dir(folder()).into_iter().flatten();
        let locks = entries.filter_map(|entry| Some(entry.ok()?.path()));
        locks.filter(|path| path.extension().is_some_and(|end| end == "lock"))
    };
    let sockets = match socket {
        Some(socket) => vec![socket.to_owned()],
        None => usual().map(|path| path.with_extension("")).collect(),
    };
    let mut held = sockets.iter().filter_map(|socket| {
        let mut file = File::open(lock_path(socket)).ok()?;
        Some(holder(socket, &mut file))
    });
    held.find(|held| held.pid == pid)
}

fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// What the lock file says; a holder that is just about to write it is `pid 0`.
fn holder(socket: &Path, file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.take(4096).read_to_string(&mut text).is_ok();
    let held = if read {
        serde_json::from_str(&text).ok()
    } else {
        None
    };
    held.unwrap_or_else(|| Holder {
        pid: 0,
        name: socket
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        socket: socket.to_owned(),
    })
}

/// Whether the folder of this user's sockets can be used; it is made if it is not there.
///
/// # Errors
/// Why not.
pub fn check_folder() -> Result<(), SocketError> {
    make_folder(&folder())
}

/// Makes the folder for us alone. One that is there and is ours by name must belong to us and be closed to others.
fn make_folder(path: &Path) -> Result<(), SocketError> {
    let io = |error| SocketError::Io {
        path: path.to_owned(),
        error,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io)?;
    if path != folder() {
        return Ok(());
    }
    let found = rustix::fs::lstat(path).map_err(|error| io(error.into()))?;
    let refuse = |why| {
        Err(SocketError::Unsafe {
            path: path.to_owned(),
            why,
        })
    };
    if found.st_uid != rustix::process::getuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if found.st_mode & 0o077 != 0 {
        return refuse("others may enter it (it needs mode 0700)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("uk-socket-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_socket_has_one_holder_who_is_named() {
        let folder = temporary("held");
        let socket = folder.join("a.sock");

        let first = SocketLock::take(&socket, "a").unwrap();
        let second = SocketLock::take(&socket, "a");

        let Err(SocketError::Held(holder)) = second else {
            panic!("{second:?}")
        };
        assert_eq!(
            (holder.pid, holder.name.as_str()),
            (std::process::id(), "a")
        );
        assert_eq!(holder_of(&socket), Some(holder));
        drop(first);
        assert_eq!(holder_of(&socket), None);
        SocketLock::take(&socket, "a").unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_could_leave_the_folder_is_no_name() {
        for name in ["", ".", "..", "a/b", ".hidden", "ä", &"x".repeat(65)] {
            assert!(of_name(name).is_err(), "{name:?}");
        }
        assert!(of_name("edge-1.local").is_ok());
    }
}
