//! Finding the program of a command, and saying plainly why it cannot be started.
//!
//! The program is looked for before the fork, as a shell would do it, because afterwards all that is known
//! is one error number, which is the same for a missing program, folder and interpreter.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

use super::keeper::KeeperError;
use super::nearest::nearest;
use super::settings::ProcessSettings;
use super::unsafe_calls::NOT_ANNOUNCED;

/// What is searched when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a command was not started. Each text names what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A name that no folder of `PATH` holds.
    #[error(
        "command `{command}` was not found in PATH{}",
        advice(.hint.as_deref(), "install it, or write its full path")
    )]
    NotFound {
        /// The word that was written.
        command: String,
        /// A name that is near and in `PATH`.
        hint: Option<String>,
    },
    /// A path where nothing is.
    #[error(
        "command `{}` does not exist{}",
        .path.display(),
        advice(.hint.as_deref(), "check the path; it begins at `cwd` unless it begins with `/`")
    )]
    Missing {
        /// The whole path.
        path: PathBuf,
        /// A name that is near and in the same folder.
        hint: Option<String>,
    },
    /// A folder.
    #[error("command `{}` is a folder; name a program in it", .0.display())]
    Folder(PathBuf),
    /// A file that may not be run.
    #[error(
        "command `{}` is not executable; \
         run `chmod +x` on it, or put its interpreter first, such as [python3, …]",
        .0.display()
    )]
    NotExecutable(PathBuf),
    /// The file is there, but its interpreter or loader is not.
    #[error(
        "command `{}` needs an interpreter that does not exist; \
         look at its first line (`#!…`), or at what it was built for",
        .0.display()
    )]
    NoInterpreter(PathBuf),
    /// A file that this machine cannot run. With glibc such a file is given to `/bin/sh`, as shells do, and
    /// this does not come up.
    #[error(
        "command `{}` is no program for this machine; \
         if it is a script, its first line must be `#!` and its interpreter",
        .0.display()
    )]
    NotAProgram(PathBuf),
    /// Arguments and environment are too long.
    #[error(
        "the arguments and environment of `{0}` are longer than the system allows; pass a file instead"
    )]
    TooLong(String),
    /// There is no such folder.
    #[error("cwd `{}` does not exist; create it, or correct `cwd`", .0.display())]
    CwdMissing(PathBuf),
    /// It is a file.
    #[error("cwd `{}` is not a folder", .0.display())]
    CwdNotAFolder(PathBuf),
    /// No rights.
    #[error("cwd `{}` may not be entered by this user", .0.display())]
    CwdDenied(PathBuf),
    /// The command could outlive the kernel, so it was not started.
    #[error("command `{command}` was not started, for it could outlive the kernel")]
    Keeper {
        /// The word that was written.
        command: String,
        /// What is wrong with the keeper.
        source: KeeperError,
    },
    /// The system refused for another reason.
    #[error("command `{command}` was not started")]
    System {
        /// The word that was written.
        command: String,
        /// What the system says.
        source: io::Error,
    },
}

fn advice(hint: Option<&str>, otherwise: &str) -> String {
    hint.map_or_else(
        || format!("; {otherwise}"),
        |hint| format!("; did you mean `{hint}`?"),
    )
}

/// The file to run for `settings`, as an absolute path. Looks at the working folder, too.
///
/// # Errors
/// [`StartError`], without having started anything.
pub(super) fn find_program(settings: &ProcessSettings) -> Result<PathBuf, StartError> {
    let word = settings.command.program();
    let system = |source| StartError::System {
        command: word.to_owned(),
        source,
    };
    let here = std::env::current_dir().map_err(system)?;
    let base = match &settings.cwd {
        Some(cwd) => {
            check_folder(cwd)?;
            here.join(cwd)
        }
        None => here,
    };
    if word.contains('/') {
        let path = base.join(word);
        return match look(&path) {
            Found::Program => Ok(path),
            Found::Folder => Err(StartError::Folder(path)),
            Found::NoProgram => Err(StartError::NotExecutable(path)),
            Found::Nothing => Err(missing(path)),
        };
    }
    let path = search_path(&settings.env);
    let folders = || std::env::split_paths(&path).map(|folder| base.join(folder));
    let mut unusable = None;
    for file in folders().map(|folder| folder.join(word)) {
        match look(&file) {
            Found::Program => return Ok(file),
            Found::NoProgram => {
                unusable.get_or_insert(StartError::NotExecutable(file));
            }
            Found::Folder | Found::Nothing => {}
        }
    }
    Err(unusable.unwrap_or_else(|| StartError::NotFound {
        command: word.to_owned(),
        hint: nearest(word, folders().flat_map(|folder| names_in(&folder))),
    }))
}

/// What an error of `spawn` means, given that `program` was there a moment ago.
pub(super) fn explain(
    error: io::Error,
    program: PathBuf,
    settings: &ProcessSettings,
) -> StartError {
    let command = settings.command.program().to_owned();
    match Errno::from_io_error(&error) {
        Some(NOT_ANNOUNCED) => StartError::Keeper {
            command,
            source: KeeperError::Write(Errno::AGAIN.into()),
        },
        Some(Errno::NOENT) => StartError::NoInterpreter(program),
        Some(Errno::ACCESS) => StartError::NotExecutable(program),
        Some(Errno::NOEXEC) => StartError::NotAProgram(program),
        Some(Errno::TOOBIG) => StartError::TooLong(command),
        _ => StartError::System {
            command,
            source: error,
        },
    }
}

fn search_path(env: &BTreeMap<String, String>) -> OsString {
    env.get("PATH")
        .map(OsString::from)
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_else(|| DEFAULT_PATH.into())
}

fn check_folder(cwd: &Path) -> Result<(), StartError> {
    match std::fs::metadata(cwd) {
        Ok(found) if !found.is_dir() => Err(StartError::CwdNotAFolder(cwd.to_owned())),
        Ok(_) if rustix::fs::access(cwd, Access::EXEC_OK).is_ok() => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Err(StartError::CwdMissing(cwd.to_owned()))
        }
        _ => Err(StartError::CwdDenied(cwd.to_owned())),
    }
}

/// What is at a path.
enum Found {
    Program,
    NoProgram,
    Folder,
    Nothing,
}

fn look(path: &Path) -> Found {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Found::Folder,
        Ok(_) if rustix::fs::access(path, Access::EXEC_OK).is_ok() => Found::Program,
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Found::Nothing,
        _ => Found::NoProgram,
    }
}

fn missing(path: PathBuf) -> StartError {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let siblings = path.parent().map(names_in).into_iter().flatten();
    let hint = nearest(name, siblings);
    StartError::Missing { path, hint }
}

fn names_in(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
