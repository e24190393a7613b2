//! Secrets in settings: `${secret:NAME}` in a text stands for one, [`Secrets`] fills it in and keeps it out of sight.
//!
//! - Settings hold the placeholder wherever they are kept, shown or compared. It is filled in at one place, where a kind
//!   reads its settings; `$${secret:` stands for `${secret:` itself.
//! - What was filled in once is known from then on, and [`Secrets::mask`] takes it out of what is to be shown or written.
//!   That is the second line: the first is that nobody else is given it.
//! - A secret that cannot be read any more keeps its last value, so that a restart never fails for one that was there.
//! - Left out on purpose: what an actor does with its own settings, as in its state or in files that it writes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

mod book;
mod text;

pub use self::text::{Part, escape, is_name, parts};

use self::book::Book;
use self::text::MARK;

/// What stands in the place of a secret.
pub const MASKED: &str = "***";
/// What variables of the environment that hold secrets begin with. A command that a child runs is not given them.
pub const VARIABLE_PREFIX: &str = "UK_SECRET_";
/// How long a name may be, in bytes.
pub const NAME_LEN_MAX: usize = 64;

/// Where secrets come from. Called where settings are read, so it must not take long.
pub trait SecretSource: Send + Sync {
    /// The value of a secret; `name` is one by [`is_name`].
    ///
    /// # Errors
    /// [`SecretError`], which never tells a part of the value.
    fn read(&self, name: &str) -> Result<String, SecretError>;

    /// Whether the secret can be read, and what is unwise about how it is kept.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn look(&self, name: &str) -> Result<Option<Unwise>, SecretError> {
        self.read(name).map(|_| None)
    }
}

/// Why a secret cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct SecretError {
    /// What sort of problem it is.
    pub problem: SecretProblem,
    /// What is wrong; names the secret.
    pub what: String,
    /// What to do.
    pub help: String,
}

/// Sorts of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretProblem {
    /// It is in none of the places where it could be.
    Missing,
    /// The same, where the tree is only looked at and need not run.
    NotHere,
    /// It is there and cannot be used.
    Unusable,
}

/// What is unwise about how a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwise {
    /// What it is.
    pub what: String,
    /// What to do.
    pub help: String,
}

/// The secrets of a kernel: where they come from, and those that were handed out. A handle; none by default.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<Inner>>);

struct Inner {
    source: Box<dyn SecretSource>,
    book: RwLock<Arc<Book>>,
    /// The last value of each name.
    last: RwLock<BTreeMap<String, Arc<str>>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.book().map_or(0, |book| book.len());
        write!(f, "Secrets({known} known)")
    }
}

/// A placeholder that cannot be filled in, and where in the settings it stands.
#[derive(Debug)]
pub(crate) struct Unfilled {
    pub(crate) path: String,
    pub(crate) error: SecretError,
}

impl Secrets {
    /// Those of a source.
    #[must_use]
    pub fn of(source: impl SecretSource + 'static) -> Self {
        Self(Some(Arc::new(Inner {
            source: Box::new(source),
            book: RwLock::default(),
            last: RwLock::default(),
        })))
    }

    /// Whether a secret can be read, and what is unwise about how it is kept.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn look(&self, name: &str) -> Result<Option<Unwise>, SecretError> {
        match &self.0 {
            Some(inner) => inner.source.look(name),
            None => Err(no_source(name)),
        }
    }

    /// A text without what is known to be secret.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.book() {
            Some(book) => book.mask(text),
            None => Cow::Borrowed(text),
        }
    }

    /// Whether anything is known to be secret.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.book().is_some()
    }

    /// Masks all texts of a document, and its keys but those of small letters and `_`, which are the form's.
    pub fn mask_json(&self, document: &mut Value) {
        if let Some(book) = self.book() {
            mask_json(&book, document);
        }
    }

    /// The settings with their placeholders filled in. What is handed out is known before it is out.
    pub(crate) fn fill<'v>(&self, settings: &'v Value) -> Result<Cow<'v, Value>, Unfilled> {
        if !holds_mark(settings) {
            return Ok(Cow::Borrowed(settings));
        }
        let mut filled = settings.clone();
        self.fill_in(&mut filled, &mut String::new())?;
        Ok(Cow::Owned(filled))
    }

    fn fill_in(&self, value: &mut Value, path: &mut String) -> Result<(), Unfilled> {
        let len = path.len();
        match value {
            Value::String(text) if text.contains(MARK) => {
                *text = self.filled(text).map_err(|error| Unfilled {
                    path: path.clone(),
                    error,
                })?;
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    path.push_str(&format!("[{at}]"));
                    self.fill_in(item, path)?;
                    path.truncate(len);
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    path.push_str(if len == 0 { "" } else { "." });
                    path.push_str(key);
                    self.fill_in(value, path)?;
                    path.truncate(len);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn filled(&self, text: &str) -> Result<String, SecretError> {
        let mut filled = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Secret(name) => filled.push_str(&self.value(name)?),
                Part::Broken(broken) => return Err(no_name(broken)),
            }
        }
        Ok(filled)
    }

    /// The value of a secret, its last one if it cannot be read any more.
    fn value(&self, name: &str) -> Result<Arc<str>, SecretError> {
        let Some(inner) = &self.0 else {
            return Err(no_source(name));
        };
        let error = match inner.source.read(name) {
            Ok(value) => return Ok(inner.remember(name, value.into())),
            Err(error) => error,
        };
        let last = inner.last.read().get(name).cloned();
        if last.is_some() {
            tracing::warn!(%error, "a secret cannot be read any more, its last value is used");
        }
        last.ok_or(error)
    }

    /// What is known, if anything is.
    fn book(&self) -> Option<Arc<Book>> {
        let inner = self.0.as_ref()?;
        let book = Arc::clone(&inner.book.read());
        (book.len() > 0).then_some(book)
    }
}

impl Inner {
    fn remember(&self, name: &str, value: Arc<str>) -> Arc<str> {
        let mut last = self.last.write();
        if last.get(name) != Some(&value) {
            last.insert(name.to_owned(), Arc::clone(&value));
            let mut book = self.book.write();
            *book = Arc::new(book.with(&value));
        }
        value
    }
}

/// Whether a text below has what could be a placeholder.
fn holds_mark(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(MARK),
        Value::Array(items) => items.iter().any(holds_mark),
        Value::Object(members) => members.values().any(holds_mark),
        _ => false,
    }
}

/// Whether a text below has a placeholder.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => parts(text)
            .iter()
            .any(|part| !matches!(part, Part::Text(_))),
        Value::Array(items) => items.iter().any(holds_secret),
        Value::Object(members) => members.values().any(holds_secret),
        _ => false,
    }
}

/// What serde says of settings, without what was filled in: it may quote it, however short it is.
///
/// `settings` have their placeholders, `path` leads to what does not fit.
pub(crate) fn unfit(
    secrets: &Secrets,
    settings: &Value,
    path: &serde_path_to_error::Path,
    what: String,
) -> String {
    use serde_path_to_error::Segment;
    let mut found = settings;
    let mut is_whole = true;
    for step in path {
        let next = match step {
            Segment::Map { key } => found.get(key),
            Segment::Seq { index } => found.get(index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(next) = next else { break };
        (found, is_whole) = (next, false);
    }
    // Names of fields are the kind's, or keys, which are never filled in.
    let is_about_a_name = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .any(|lead| what.starts_with(lead));
    if is_whole || is_about_a_name || !holds_secret(found) {
        return match holds_mark(settings) {
            true => secrets.mask(&what).into_owned(),
            false => what,
        };
    }
    match what.rsplit_once(", expected ") {
        Some((_, expected)) => format!("its secret does not fit; expected {expected}"),
        None => "its secret does not fit; give it another value".to_owned(),
    }
}

fn mask_json(book: &Book, value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = book.mask(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask_json(book, item)),
        Value::Object(members) => {
            let is_form = |key: &str| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let is_shown = |key: &String| !is_form(key) && matches!(book.mask(key), Cow::Owned(_));
            if members.keys().any(is_shown) {
                let old = std::mem::take(members).into_iter();
                members.extend(old.map(|(key, value)| match is_form(&key) {
                    true => (key, value),
                    false => (book.mask(&key).into_owned(), value),
                }));
            }
            members
                .values_mut()
                .for_each(|value| mask_json(book, value));
        }
        _ => {}
    }
}

fn no_source(name: &str) -> SecretError {
    SecretError {
        problem: SecretProblem::Missing,
        what: format!("the secret `{name}` is missing: nothing was said of where secrets are"),
        help: "give the kinds a source of secrets".to_owned(),
    }
}

fn no_name(broken: &str) -> SecretError {
    SecretError {
        problem: SecretProblem::Unusable,
        what: format!("the secret `{}` has no name", broken.escape_debug()),
        help: NAME_HELP.to_owned(),
    }
}

/// What a placeholder looks like.
pub const NAME_HELP: &str = "write `${secret:NAME}` with a name of at most 64 letters, digits, `_`, `-` and `.`, \
     the first no `.`; or `$${secret:` for the text itself";

#[cfg(test)]
mod tests;
