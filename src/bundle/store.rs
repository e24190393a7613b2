//! Where bundles lie, and how they are read back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{KEPT, MARK, VERSION};
use crate::error::{Code, CommandError};

/// The folder of bundles in a data folder.
const FOLDER: &str = "bundles";
/// The largest bundle that is read, in bytes.
const LEN_MAX: u64 = 256 << 20;

/// Writes a bundle into the data folder, named for its time and its cause, and removes the oldest beyond [`KEPT`].
///
/// # Errors
/// If it cannot be written; the text names the place.
pub fn store(data_dir: &Path, document: &Value) -> io::Result<PathBuf> {
    let folder = data_dir.join(FOLDER);
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    made.map_err(|error| at(&folder, &error))?;
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    // Names in the order of their time; no colon, which some tools take for a host's.
    let time = text("/written_at").unwrap_or_default().replace(':', "");
    let cause = text("/cause/kind").unwrap_or("unknown");
    let file = folder.join(format!("{time}-{cause}-{}.json", std::process::id()));
    write(&file, document)?;
    let mut all = stored(data_dir);
    all.truncate(all.len().saturating_sub(KEPT));
    for old in all {
        fs::remove_file(&old).map_err(|error| at(&old, &error))?;
    }
    Ok(file)
}

/// The bundles in the data folder, oldest first.
#[must_use]
pub fn stored(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join(FOLDER)).into_iter().flatten();
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    files
}

/// Writes a bundle to `file`, whole or not at all, for its owner alone.
///
/// # Errors
/// If it cannot be written; the text names the place.
pub fn write(file: &Path, document: &Value) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}~", std::process::id()));
    let making = PathBuf::from(name);
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut made = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&making)?;
        made.write_all(format!("{document:#}\n").as_bytes())?;
        made.sync_all()?;
        fs::rename(&making, file)
    })();
    if written.is_err() {
        // It may never have been made.
        drop(fs::remove_file(&making));
    }
    written.map_err(|error| at(file, &error))
}

fn at(place: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", place.display()))
}

/// Reads a bundle.
///
/// # Errors
/// There is no such file, it is none, it is cut off, or it is of a later version.
pub fn read(file: &Path) -> Result<Value, CommandError> {
    let name = file.display();
    let unread = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::PermissionDenied => Code::Denied,
            _ => Code::Failed,
        };
        CommandError::new(code, format!("cannot read {name}: {error}"))
            .hint("`uk doctor` lists the bundles of this machine")
    };
    let invalid = |what: String| CommandError::new(Code::Invalid, format!("{name} {what}"));
    let mut text = Vec::new();
    let opened = File::open(file).map_err(unread)?;
    opened
        .take(LEN_MAX + 1)
        .read_to_end(&mut text)
        .map_err(unread)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LEN_MAX {
        return Err(invalid(format!("is larger than {} MiB", LEN_MAX >> 20)));
    }
    let no_bundle = |what: String| {
        invalid(what).hint("a bundle is written by `uk doctor --bundle`, and by itself under `bundles` in the data folder")
    };
    let document: Value = serde_json::from_slice(&text).map_err(|error| {
        if text.trim_ascii().is_empty() {
            no_bundle("is empty, and no bundle".to_owned())
        } else if error.is_eof() && text.trim_ascii_start().starts_with(b"{") {
            invalid("is cut off: its end is missing".to_owned())
                .hint("copy it again, whole; a kernel never leaves a part of a bundle")
        } else {
            no_bundle(format!("is no bundle: it is not JSON: {error}"))
        }
    })?;
    let version = document.get("version").and_then(Value::as_u64);
    match (document.get("bundle").and_then(Value::as_str), version) {
        (Some(MARK), Some(version)) if version <= VERSION => Ok(document),
        (Some(MARK), Some(version)) => {
            let by = document.pointer("/versions/uk").and_then(Value::as_str);
            Err(invalid(format!(
                "is a bundle of version {version}; this `uk` reads up to version {VERSION}"
            ))
            .hint(format!(
                "read it with `uk` {} or later",
                by.unwrap_or("of the release that wrote it")
            )))
        }
        _ => Err(no_bundle("is no bundle".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_last_eight_are_kept_and_nobody_else_can_read_them() {
        let folder = std::env::temp_dir().join(format!("uk-bundles-{}", std::process::id()));
        let document = |second: usize| {
            json!({
                "version": 1, "bundle": MARK, "cause": { "kind": "asked" },
                "written_at": format!("2026-11-20T21:30:{second:02}.000000Z"),
            })
        };

        let files: Vec<PathBuf> = (0..KEPT + 3)
            .map(|second| store(&folder, &document(second)).unwrap())
            .collect();

        assert_eq!(stored(&folder), files[3..]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&files[5]), mode(&folder.join(FOLDER))),
            (0o600, 0o700)
        );
        assert_eq!(read(&files[5]).unwrap(), document(5));
        let all = fs::read_dir(folder.join(FOLDER)).unwrap().count();
        assert_eq!(all, KEPT, "a temporary file is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_bundle_says_so_and_what_to_do() {
        let file = std::env::temp_dir().join(format!("uk-no-bundle-{}", std::process::id()));
        for (text, code, said, hint) in [
            (
                "",
                Code::Invalid,
                "is empty, and no bundle",
                "uk doctor --bundle",
            ),
            (
                "tree: x",
                Code::Invalid,
                "is no bundle",
                "uk doctor --bundle",
            ),
            ("[1]", Code::Invalid, "is no bundle", "uk doctor --bundle"),
            (
                r#"{"version": 1}"#,
                Code::Invalid,
                "is no bundle",
                "uk doctor --bundle",
            ),
            (
                r#"{"version": 1, "bundle": "unity-k"#,
                Code::Invalid,
                "is cut off",
                "copy it again",
            ),
            (
                r#"{"version": 2, "bundle": "unity-kernel", "versions": {"uk": "9.9.9"}}"#,
                Code::Invalid,
                "is a bundle of version 2; this `uk` reads up to version 1",
                "`uk` 9.9.9 or later",
            ),
        ] {
            fs::write(&file, text).unwrap();

            let error = read(&file).unwrap_err();

            assert_eq!(error.code, code, "{text}");
            assert!(error.message.contains(said), "{text}: {error}");
            assert!(error.hint.unwrap().contains(hint), "{text}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(read(&file).unwrap_err().code, Code::NotFound);
    }
}
