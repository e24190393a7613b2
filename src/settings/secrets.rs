//! Where the secrets of a kernel come from: [`Places`].
//!
//! A secret is a file of its name in one of a few folders, else a variable of the environment; the first place that has
//! it decides, also when what is there cannot be used. Files come first, because an environment is inherited, and shown
//! by more tools.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use unity_supervisors::secret::{SecretProblem, Unwise, VARIABLE_PREFIX};
use unity_supervisors::{SecretError, SecretSource, Secrets};

use crate::tree_file::read_file;

/// The largest secret, in bytes.
pub const SECRET_LEN_MAX: usize = 64 << 10;
/// Where containers put secrets.
const OF_CONTAINERS: &str = "/run/secrets";

/// Looks up a variable of the environment.
pub type Env = fn(&str) -> Option<String>;

/// The folders that may hold a secret, in their order, and then the environment.
#[derive(Debug, Clone)]
pub struct Places {
    folders: Vec<PathBuf>,
    /// How many of the folders are this user's own, and not made by a system that closes them in its own way.
    own: usize,
    env: Env,
    missing: SecretProblem,
}

impl Places {
    /// The folder that was `given`, `config/secrets` beside the tree file, what systemd and containers give, then `env`.
    #[must_use]
    pub fn new(given: Option<&Path>, tree_file: Option<&Path>, env: Env) -> Self {
        let beside = tree_file.map(|file| {
            let folder = file.parent().unwrap_or_else(|| Path::new(""));
            folder.join("config/secrets")
        });
        let mut folders: Vec<PathBuf> = given
            .map(Path::to_owned)
            .into_iter()
            .chain(beside)
            .collect();
        let own = folders.len();
        let of_systemd = env("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
        folders.extend(of_systemd.map(PathBuf::from));
        folders.push(PathBuf::from(OF_CONTAINERS));
        Self {
            folders,
            own,
            env,
            missing: SecretProblem::Missing,
        }
    }

    /// For who only looks at a tree: what is missing here may be there where it is to run.
    #[must_use]
    pub fn to_look_at(self) -> Self {
        Self {
            missing: SecretProblem::NotHere,
            ..self
        }
    }

    /// Them as the secrets of a kernel.
    #[must_use]
    pub fn secrets(self) -> Secrets {
        Secrets::of(self)
    }

    /// The value, and the file that it is from.
    fn find(&self, name: &str) -> Result<(String, Option<&Path>), SecretError> {
        for folder in &self.folders {
            let file = folder.join(name);
            match read_file(&file, SECRET_LEN_MAX + 1) {
                Ok(bytes) => {
                    let place = format!("the file {}", file.display());
                    return Ok((usable(name, bytes, &place)?, Some(folder)));
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(unreadable(name, &file, &error)),
            }
        }
        let variable = variable(name);
        match (self.env)(&variable) {
            Some(value) => {
                let place = format!("the variable {variable}");
                Ok((usable(name, value.into_bytes(), &place)?, None))
            }
            None => Err(self.missing(name, &variable)),
        }
    }

    fn missing(&self, name: &str, variable: &str) -> SecretError {
        let files = self.folders.iter().map(|folder| folder.join(name));
        let mut files = files.map(|file| file.display().to_string());
        let first = files.next().unwrap_or_default();
        let others: String = files.map(|file| format!(" or {file}")).collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!("; it is not in{} either", others.trim_start_matches(" or")),
        };
        SecretError {
            problem: self.missing,
            what: format!("the secret `{name}` is missing"),
            help: format!(
                "write it into {first}, for its owner alone (chmod 600), or set {variable}{others}"
            ),
        }
    }
}

impl SecretSource for Places {
    fn read(&self, name: &str) -> Result<String, SecretError> {
        Ok(self.find(name)?.0)
    }

    fn look(&self, name: &str) -> Result<Option<Unwise>, SecretError> {
        let (_, folder) = self.find(name)?;
        let is_own = |folder: &&Path| self.folders.iter().take(self.own).any(|own| own == folder);
        let file = folder.filter(is_own).map(|folder| folder.join(name));
        let open = file.filter(|file| is_open(file));
        Ok(open.map(|file| Unwise {
            what: format!("the secret `{name}` is open to every user"),
            help: format!("close its file: `chmod 600 {}`", file.display()),
        }))
    }
}

/// The variable of the environment that holds a secret. No shell could set one with `-` or `.` in its name.
fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.replace(['-', '.'], "_"))
}

/// Whether all users may read a file and enter its folder.
fn is_open(file: &Path) -> bool {
    let may = |path: &Path, bit: u32| {
        std::fs::metadata(path).is_ok_and(|what| what.permissions().mode() & bit != 0)
    };
    may(file, 0o004) && file.parent().is_none_or(|folder| may(folder, 0o001))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The text of a secret, without the line break that an editor puts at its end.
fn usable(name: &str, bytes: Vec<u8>, place: &str) -> Result<String, SecretError> {
    let unusable = |what: &str, help: &str| SecretError {
        problem: SecretProblem::Unusable,
        what: format!("the secret `{name}` {what}"),
        help: format!("{help}: it is from {place}"),
    };
    if bytes.len() > SECRET_LEN_MAX {
        let what = format!("is larger than {SECRET_LEN_MAX} bytes");
        let help = "give the name of a file in the settings, and let the child read it";
        return Err(unusable(&what, help));
    }
    let Ok(mut text) = String::from_utf8(bytes) else {
        return Err(unusable("is not UTF-8", "keep what is no text in base64"));
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(unusable("is empty", "give it a value"));
    }
    Ok(text)
}

fn unreadable(name: &str, file: &Path, error: &io::Error) -> SecretError {
    let (why, help) = match error.kind() {
        io::ErrorKind::IsADirectory => ("it is a folder".to_owned(), "put a file in its place"),
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            "let the user that runs the kernel read it, and nobody else",
        ),
        _ => (error.to_string(), "put a regular file in its place"),
    };
    SecretError {
        problem: SecretProblem::Unusable,
        what: format!("the secret `{name}` cannot be read: {why}"),
        help: format!("{help}: {}", file.display()),
    }
}

#[cfg(test)]
mod tests;
