//! Reads tree files: [`load`] turns YAML (or JSON) into a [`TreeSpec`], or says all that is wrong.
//!
//! Promises: every fault and warning of a file and of what it includes is reported at once, each
//! with its place and with what to do next; a reading ends, whatever the file holds, within the
//! [`Limits`]; nothing is read but through [`Sources`]. A tree comes out only if there is no fault.
//! Left out on purpose: comments and layout (this is no editor), and whatever needs a running
//! kernel, such as whether an id is taken there.
//!
//! The way of a file: `yaml` makes nodes with places of the text, `document`, `supervisor`,
//! `child` and `worker` lower them, `render` shows what was found. Each code stands in [`codes`].
//! The other way, `effective` writes a tree as a file, and `schema` says what a file may hold, from
//! the same table of keys. For who edits a file, `layout` tells where its values stand and `locate` where a child does.
//!
//! YAML is ours from the event stream on, because serde's data model loses the places and stops
//! at the first fault.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Value, json};
use unity_supervisors::SecretError;
use unity_supervisors::secret::Unwise;
use unity_supervisors::spec::TreeSpec;

mod budget;
mod child;
pub mod codes;
pub mod diagnostic;
mod document;
pub(crate) mod effective;
pub mod explain;
pub(crate) mod fields;
mod include;
mod json;
mod keys;
mod ladder;
pub(crate) mod layout;
mod locate;
mod mapping;
pub mod mend;
mod needs;
pub(crate) mod node;
mod place;
pub(crate) mod plain;
pub(crate) mod reader;
mod render;
mod scalar;
mod schema;
mod secrets;
pub(crate) mod settings;
mod slips;
pub mod source;
mod stall;
mod supervisor;
mod template;
#[cfg(test)]
mod tests;
mod variables;
mod worker;
mod yaml;

pub use self::codes::Code;
pub use self::diagnostic::{Diagnostic, Level};
pub use self::effective::{to_json, to_yaml};
pub use self::json::{Home, JsonChild, child_from_json};
pub use self::locate::{Located, NoPlace, locate};
pub use self::schema::schema;
pub use unity_actors::duration::{DURATION_DAYS_MAX, format_duration, parse_duration};

use self::reader::Reader;
use self::source::{SourceFile, SourceFiles};

/// After this many diagnostics [`Checked::render`] only counts.
pub const RENDERED_MAX: usize = 100;

/// Where a reading gets things from.
pub struct Sources<'a> {
    /// Reads a file. It may stop after as many bytes as its second argument says.
    pub read: &'a dyn Fn(&Path, usize) -> io::Result<Vec<u8>>,
    /// Looks up a variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The kinds of workers.
    pub kinds: &'a dyn KindCheck,
    /// What a reading may take.
    pub limits: Limits,
}

/// What a reading may take, all files together where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of a file in bytes: 4 MiB.
    pub file_bytes: usize,
    /// How deep lists and mappings may be nested: 64.
    pub depth: usize,
    /// How many values there may be, aliases counted each time they are used: 200,000.
    pub nodes: usize,
    /// How many files may be included: 64.
    pub files: usize,
    /// How deep includes may be nested: 8.
    pub include_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 4 << 20,
            depth: 64,
            nodes: 200_000,
            files: 64,
            include_depth: 8,
        }
    }
}

/// The table of kinds, as far as a file is concerned.
pub trait KindCheck {
    /// The names of all kinds.
    fn names(&self) -> Vec<String>;

    /// Whether `settings`, a JSON object, fit `kind`, which is one of [`Self::names`].
    ///
    /// # Errors
    /// All that does not fit.
    fn check(&self, kind: &str, settings: &Value) -> Result<(), Vec<SettingsFault>>;

    /// The same for a child that lives on another node. Its secrets are there, so nothing is said of what holds one.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn check_elsewhere(&self, kind: &str, settings: &Value) -> Result<(), Vec<SettingsFault>> {
        self.check(kind, settings)
    }

    /// Whether `kind` has a state that can be kept.
    fn keeps_state(&self, _kind: &str) -> bool {
        true
    }

    /// Whether a secret of that name can be read, and what is unwise about how it is kept.
    ///
    /// # Errors
    /// [`SecretError`]. What [`check`](Self::check) says of the same begins with ``the secret ` ``.
    fn secret(&self, _name: &str) -> Result<Option<Unwise>, SecretError> {
        Ok(None)
    }

    /// What `kind` is, in one line; empty if that is not known.
    fn about(&self, _kind: &str) -> String {
        String::new()
    }

    /// The JSON Schema of the settings of `kind`; any object unless something better is known.
    fn schema(&self, _kind: &str) -> Value {
        json!({ "type": "object" })
    }
}

/// A step into settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// Something in settings that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFault {
    /// The way to it; for a missing field, to what should have it or to the field itself.
    pub path: Vec<PathStep>,
    /// What is wrong, in one line.
    pub what: String,
    /// For an unknown field or word, those that are known.
    pub expected: Vec<String>,
}

/// What came of a reading: of a tree, unless something else was read.
#[derive(Debug, Clone)]
pub struct Checked<T = TreeSpec> {
    /// The tree, or what else was read, if there is no fault.
    pub tree: Option<T>,
    /// All faults and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    files: SourceFiles,
}

/// Reads the tree file at `path` and the files that it includes.
///
/// ```
/// use unity_kernel::tree_file::{KindCheck, Limits, SettingsFault, Sources, load_text};
///
/// struct Kinds;
/// impl KindCheck for Kinds {
///     fn names(&self) -> Vec<String> {
///         vec!["probe".to_owned()]
///     }
///     fn check(&self, _: &str, _: &serde_json::Value) -> Result<(), Vec<SettingsFault>> {
///         Ok(())
///     }
/// }
///
/// let sources = Sources {
///     read: &unity_kernel::tree_file::read_file,
///     env: &|name| std::env::var(name).ok(),
///     kinds: &Kinds,
///     limits: Limits::default(),
/// };
/// let text = "version: 1\ntree:\n  strateg: one_for_all\n  children: []\n";
/// let checked = load_text("robot.yaml", text, &sources);
///
/// assert!(checked.tree.is_none());
/// assert!(checked.render(false).contains("error[UK0201]: unknown key `strateg`"));
/// ```
#[must_use]
pub fn load(path: &Path, sources: &Sources<'_>) -> Checked {
    let mut reader = Reader::new(sources, true);
    let tree = reader
        .open(path, None)
        .and_then(|root| reader.document(&root));
    reader.checked(tree)
}

/// Reads a tree file from `text`; `name` is shown, and includes are relative to it.
#[must_use]
pub fn load_text(name: &str, text: &str, sources: &Sources<'_>) -> Checked {
    let mut reader = Reader::new(sources, true);
    let tree = reader
        .text(Path::new(name), text)
        .and_then(|root| reader.document(&root));
    reader.checked(tree)
}

/// Reads a file for [`Sources::read`], no more than `max` bytes of it.
///
/// # Errors
/// What the system says, and that it is no regular file: a pipe may never end.
pub fn read_file(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let what = std::fs::metadata(path)?;
    if !what.is_file() && !what.is_dir() {
        let error = "it is neither a regular file nor a folder";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let mut bytes = Vec::new();
    let max = u64::try_from(max).unwrap_or(u64::MAX);
    std::fs::File::open(path)?
        .take(max)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl<T> Checked<T> {
    /// The diagnostics that keep the tree from running.
    pub fn faults(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.level() == Level::Fault)
    }

    /// The diagnostics that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.level() == Level::Warning)
    }

    /// The files that were read, the tree file first, each as often as it is included.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// `2 faults, 1 warning`; empty if there is nothing to say.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let parts = [
            count(self.faults().count(), "fault"),
            count(self.warnings().count(), "warning"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// All diagnostics for people, an empty line after each, and where to read more; empty if there
    /// are none.
    ///
    /// After [`RENDERED_MAX`] the rest is only counted; [`Self::to_json`] has them all.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in self.diagnostics.iter().take(RENDERED_MAX) {
            text.push_str(&render::render(diagnostic, &self.files, colour));
            text.push_str("\n\n");
        }
        let more = self.diagnostics.len().saturating_sub(RENDERED_MAX);
        if more > 0 {
            text.push_str(&format!("… and {more} more; mend these first\n\n"));
        }
        text.push_str(&self.where_to_read_more());
        text
    }

    /// The line that names `uk explain` and the codes that are shown.
    fn where_to_read_more(&self) -> String {
        const CODES_MAX: usize = 4;
        let shown = self.diagnostics.iter().take(RENDERED_MAX);
        let codes: BTreeSet<&str> = shown.map(|found| found.code.as_str()).collect();
        let mut names = codes.iter().copied();
        let Some(first) = names.next() else {
            return String::new();
        };
        let mut text = format!("More about this: `uk explain {first}`");
        for (at, code) in names.enumerate() {
            let lead = if at == 0 { "; also" } else { "," };
            if at == CODES_MAX {
                text.push_str(", …");
                break;
            }
            text.push_str(&format!("{lead} {code}"));
        }
        text.push_str("\n\n");
        text
    }

    /// `{"version":1,"ok":…,"diagnostics":[…]}`, all diagnostics.
    ///
    /// A diagnostic has `code`, `level` (`error` or `warning`), `message`, `related`, `fixes` and,
    /// where there are any, `help`, `notes` and its place with a `label`. Each in `related` is a
    /// place with a `label`, each in `fixes` a place with a `replacement`.
    ///
    /// A place has `file`; `line`, `column`, `end_line` and `end_column`, from 1 and in characters;
    /// `bytes`, the offsets in the file from 0, the end not included; and `range` as the language
    /// server protocol has it: `start` and `end` with `line` and `character` from 0, in UTF-16.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let all: Vec<Value> = self
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.to_json(&self.files))
            .collect();
        json!({ "version": 1, "ok": self.tree.is_some(), "diagnostics": all })
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
