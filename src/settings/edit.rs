//! Changes one value in a YAML text and leaves the rest as it is: [`set`], [`unset`].
//!
//! Promises: comments, order, quotes and layout stay, block style, flow style and JSON alike. What comes out was read
//! again and means what the text meant, with that one change and no other; where that cannot be done the answer is an
//! error that says why, never a broken file. A comment on the line of a key that is taken out goes with it.
//! Left out on purpose: reading and writing files, and what a key may hold.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::tree_file::PathStep;
use crate::tree_file::effective::settings_literal;
use crate::tree_file::layout::{Item, Layout, Member, What};

mod lines;
#[cfg(test)]
mod tests;
mod write;

pub use crate::tree_file::{Located, NoPlace, locate};

/// Where in a text the key is.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// Among the settings of the child at these steps, see [`Located::steps`]. A value there may hold `${secret:NAME}`;
    /// any other `${` is escaped.
    Settings(&'a [PathStep]),
    /// In the mapping that the text is. Values are written as they are.
    Top,
}

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It cannot be read as it is.
    #[error("the file is at fault as it is: {0}; mend that first")]
    Faulty(String),
    /// There is no such key.
    #[error("`{0}` does not stand in the file")]
    NotThere(String),
    /// A part of the key is something that has no keys.
    #[error(
        "line {line}: `{key}` is no mapping, so that nothing can be set below it; set it as a whole"
    )]
    NotMapping {
        /// The part.
        key: String,
        /// Where it stands.
        line: usize,
    },
    /// It takes a person.
    #[error("line {line}: {why}; edit the file by hand")]
    ByHand {
        /// Where.
        line: usize,
        /// What is in the way.
        why: String,
    },
}

/// Sets a key, such as `["health", "http"]`, to a value. Mappings on the way that are missing are made. An object in the
/// place of a mapping is laid in key by key, so that comments stay.
///
/// A new key comes after its commented-out like (`# keep: 100`) if there is one, else at the end of its mapping.
///
/// # Errors
/// [`EditError`].
pub fn set(text: &str, at: At<'_>, key: &[&str], value: &Value) -> Result<String, EditError> {
    match at {
        At::Top => set_raw(text, &[], key, value),
        At::Settings(steps) => {
            let key: Vec<&str> = ["settings"]
                .into_iter()
                .chain(key.iter().copied())
                .collect();
            let document = Document::of(text)?;
            if let Some(line) = document.variable_at(steps, &key) {
                let why = "its value comes from a variable".to_owned();
                return Err(EditError::ByHand { line, why });
            }
            set_raw(text, steps, &key, &settings_literal(value))
        }
    }
}

/// Takes a key out.
///
/// # Errors
/// [`EditError`].
pub fn unset(text: &str, at: At<'_>, key: &[&str]) -> Result<String, EditError> {
    match at {
        At::Top => unset_raw(text, &[], key),
        At::Settings(steps) => {
            let key: Vec<&str> = ["settings"]
                .into_iter()
                .chain(key.iter().copied())
                .collect();
            unset_raw(text, steps, &key)
        }
    }
}

fn set_raw(
    text: &str,
    steps: &[PathStep],
    key: &[&str],
    value: &Value,
) -> Result<String, EditError> {
    let document = Document::of(text)?;
    let old = document.value(steps, key);
    if old == Some(value) {
        return Ok(text.to_owned());
    }
    let (Some(Value::Object(old)), Value::Object(new)) = (old, value) else {
        let edits = document.set(steps, key, value)?;
        return document.finish(edits, |root| put(root, steps, key, value));
    };
    let mut text = text.to_owned();
    let below = |last: &str| {
        [key, &[last]]
            .concat()
            .iter()
            .map(|k| (*k).to_owned())
            .collect()
    };
    // First what is new, so that the mapping is not empty in between.
    for (last, value) in new {
        let key: Vec<String> = below(last);
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        text = set_raw(&text, steps, &key, value)?;
    }
    for last in old.keys().filter(|last| !new.contains_key(*last)) {
        let key: Vec<String> = below(last);
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        text = unset_raw(&text, steps, &key)?;
    }
    Ok(text)
}

fn unset_raw(text: &str, steps: &[PathStep], key: &[&str]) -> Result<String, EditError> {
    let document = Document::of(text)?;
    if document.value(steps, key).is_none() {
        return Err(EditError::NotThere(key.join(".")));
    }
    let edits = document.unset(steps, key)?;
    document.finish(edits, |root| take_out(root, steps, key))
}

/// Puts another text in the place of a range.
type Edit = (Range<usize>, String);

/// A text, and what stands where in it.
struct Document<'t> {
    text: &'t str,
    layout: Layout,
    /// How its lines end.
    newline: &'static str,
}

impl<'t> Document<'t> {
    fn of(text: &'t str) -> Result<Self, EditError> {
        let layout = Layout::of(text).map_err(EditError::Faulty)?;
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Ok(Self {
            text,
            layout,
            newline,
        })
    }

    /// What a key means.
    fn value(&self, steps: &[PathStep], key: &[&str]) -> Option<&Value> {
        let at = walk(&self.layout.value, steps)?;
        key.iter().try_fold(at, |value, key| value.get(*key))
    }

    /// The line of a value that is to be replaced and holds a variable of the environment.
    fn variable_at(&self, steps: &[PathStep], key: &[&str]) -> Option<usize> {
        let keys = key.iter().map(|key| PathStep::Key((*key).to_owned()));
        let steps: Vec<PathStep> = steps.iter().cloned().chain(keys).collect();
        let item = self.layout.at(&steps)?;
        let written = self.slice(&item.span).replace("${secret:", "");
        let is_scalar = matches!(item.what, What::Scalar);
        (is_scalar && written.replace("$${", "").contains("${")).then(|| self.line(item.span.start))
    }

    /// Makes the edits, and reads what came of them.
    fn finish(
        &self,
        mut edits: Vec<Edit>,
        change: impl FnOnce(&mut Value),
    ) -> Result<String, EditError> {
        edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
        let mut text = self.text.to_owned();
        for (range, new) in &edits {
            text.replace_range(range.clone(), new);
        }
        let mut expected = self.layout.value.clone();
        change(&mut expected);
        let first = edits.last().map_or(0, |(range, _)| range.start);
        let refused = |why: &str| self.by_hand(first, why);
        let layout = Layout::of(&text)
            .map_err(|fault| refused(&format!("the change would break the file: {fault}")))?;
        if layout.value != expected {
            let why = "the change would change more than this, perhaps through an anchor";
            return Err(refused(why));
        }
        let removed = |comment: &Range<usize>| {
            let starts = self.line_start(comment.start);
            let is_alone = self.slice(&(starts..comment.start)).trim().is_empty();
            let within =
                |(range, _): &Edit| range.start <= comment.start && comment.end <= range.end;
            edits.iter().any(within) && !is_alone
        };
        let kept = self
            .layout
            .comments
            .iter()
            .filter(|comment| !removed(comment));
        let now = layout.comments.iter().map(|range| text.get(range.clone()));
        if kept.map(|range| Some(self.slice(range))).eq(now) {
            Ok(text)
        } else {
            Err(refused("there are comments in what would change"))
        }
    }

    fn by_hand(&self, at: usize, why: &str) -> EditError {
        EditError::ByHand {
            line: self.line(at),
            why: why.to_owned(),
        }
    }

    fn slice(&self, range: &Range<usize>) -> &'t str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn line(&self, at: usize) -> usize {
        self.slice(&(0..at)).matches('\n').count() + 1
    }

    /// Whether the file is JSON, or as good as.
    fn is_json(&self) -> bool {
        let root = self.layout.root.as_ref();
        root.is_some_and(|root| self.slice(&root.span).starts_with(['{', '[']))
            && self.layout.comments.is_empty()
            && serde_json::from_str::<serde::de::IgnoredAny>(self.text).is_ok()
    }

    /// The entry of a key, and the mapping that it is in.
    fn entry<'a>(&self, map: &'a Item, key: &str) -> Option<&'a Member> {
        match &map.what {
            What::Map { entries, .. } => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

fn walk<'v>(value: &'v Value, steps: &[PathStep]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        PathStep::Key(key) => value.get(key),
        PathStep::Index(index) => value.get(*index),
    })
}

fn walk_mut<'v>(value: &'v mut Value, steps: &[PathStep]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        PathStep::Key(key) => value.get_mut(key),
        PathStep::Index(index) => value.get_mut(*index),
    })
}

/// Sets a key of JSON; what is nothing on the way becomes an object.
fn put(root: &mut Value, steps: &[PathStep], key: &[&str], value: &Value) {
    let Some(mut at) = walk_mut(root, steps) else {
        return;
    };
    for key in key {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(members) = at else { return };
        at = members.entry(*key).or_insert(Value::Null);
    }
    *at = value.clone();
}

fn take_out(root: &mut Value, steps: &[PathStep], key: &[&str]) {
    let Some((last, above)) = key.split_last() else {
        return;
    };
    let at = walk_mut(root, steps);
    let at = above
        .iter()
        .try_fold(at, |at, key| Some(at?.get_mut(*key)))
        .flatten();
    if let Some(Value::Object(members)) = at {
        members.remove(*last);
    }
}
