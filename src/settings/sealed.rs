//! JSON on disk with a version and a checksum: [`seal`], [`open`].
//!
//! The first line is `uk-settings 1 sha256:…`, the rest is JSON for people to read. Whoever reads one knows whether it is
//! whole, and whether a newer kernel wrote it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk::{self, Disk};
use crate::tree_file::read_file;

const HEAD: &str = "uk-settings";
const FORMAT: u32 = 1;

/// No file of ours comes near this many bytes.
const BYTES_MAX: usize = 256 << 20;

/// A hash of content, SHA-256: 64 hexadecimal digits when shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Of bytes.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Of a set of texts with their names. Neither the order matters nor how often one of them is there.
    #[must_use]
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut texts: Vec<(&str, &str)> = texts.into_iter().collect();
        texts.sort_unstable();
        texts.dedup();
        let mut hasher = Sha256::new();
        for part in texts.into_iter().flat_map(|(name, text)| [name, text]) {
            // With its length, so that no two sets run together to the same bytes.
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// A text that is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no hash: expected 64 hexadecimal digits")]
pub struct InvalidHash(String);

impl FromStr for ContentHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let invalid = || InvalidHash(text.chars().take(80).collect());
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(at * 2..at * 2 + 2).ok_or_else(invalid)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ContentHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

/// What could not be done on disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", file.display())]
pub struct DiskError {
    /// As in `write`.
    pub what: &'static str,
    /// The file or folder.
    pub file: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl DiskError {
    pub(super) fn new(what: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            what,
            file: file.to_owned(),
            source,
        }
    }
}

/// Replaces `file` by `value`, sealed.
pub(crate) fn write(disk: &dyn Disk, file: &Path, value: &impl Serialize) -> Result<(), DiskError> {
    let sealed = seal(value);
    let written = sealed.and_then(|content| disk::replace(disk, file, &content));
    written.map_err(DiskError::new("write", file))
}

/// What is in a sealed file; `None` where there is no file.
///
/// # Errors
/// Why it cannot be used, in words that go on after the name of the file.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, String> {
    match read_file(file, BYTES_MAX) {
        Ok(content) => open(&content).map(Some),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn seal(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    json.push(b'\n');
    let mut sealed = format!("{HEAD} {FORMAT} sha256:{}\n", ContentHash::of(&json)).into_bytes();
    sealed.append(&mut json);
    Ok(sealed)
}

fn open<T: DeserializeOwned>(content: &[u8]) -> Result<T, String> {
    let newline = content.iter().position(|byte| *byte == b'\n');
    let (head, json) = content.split_at(newline.map_or(0, |at| at + 1));
    let head = String::from_utf8_lossy(head);
    let words: Vec<&str> = head.split_whitespace().collect();
    let [HEAD, format, sum] = words.as_slice() else {
        return Err("is damaged: its first line is none of ours".to_owned());
    };
    match format.parse::<u32>() {
        Ok(FORMAT) => {}
        Ok(newer) => return Err(format!("has format {newer}: a newer kernel wrote it")),
        Err(_) => return Err("is damaged: its first line is none of ours".to_owned()),
    }
    if *sum != format!("sha256:{}", ContentHash::of(json)) {
        return Err("is damaged: its checksum does not fit".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| format!("cannot be understood: {error}"))
}
