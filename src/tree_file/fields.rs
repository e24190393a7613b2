//! Reads the values of a mapping, each by its type: [`Fields`] and the readers on [`Reader`].
//!
//! A reader takes `None` for a key that is not there and gives `None` for it; it gives `None` too
//! for a value that does not fit, after reporting it, so that the caller goes on with the default.

use std::ops::RangeInclusive;
use std::time::Duration;

use unity_actors::duration;
use unity_supervisors::path::ChildId;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::node::{Entry, Node, Value, shown};
use super::reader::Reader;
use super::source::Span;

/// The entries of a mapping and where to point for what is missing.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    pub(super) entries: &'n [Entry],
    pub(super) head: Span,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| &*entry.key.text == key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl Reader<'_> {
    /// The entries of a mapping; `what` names it: `a tree file`.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
        match &node.value {
            Value::Map(entries) => Some(Fields {
                entries,
                head: node.caret(),
            }),
            Value::Broken => None,
            _ => {
                let message = format!("{what} must be a mapping, found {}", node.describe());
                self.report(
                    Diagnostic::new(Code::WrongType, message)
                        .at(node.span, "expected a mapping")
                        .help(match what {
                            "a child" => "write `- id: …`, with `kind: …` on the next line",
                            _ => "write `key: value` lines",
                        }),
                );
                None
            }
        }
    }

    /// Reports the keys that are not among `known`.
    pub(super) fn only_keys(&mut self, fields: Fields<'_>, known: &[&str], what: &str) {
        for entry in fields.entries {
            if !known.contains(&&*entry.key.text) {
                self.unknown_key(entry, known, what);
            }
        }
    }

    /// Reports a key that `what` does not have.
    pub(super) fn unknown_key(&mut self, entry: &Entry, known: &[&str], what: &str) {
        let key = &*entry.key.text;
        let fault = Diagnostic::new(Code::UnknownKey, format!("unknown key `{}`", shown(key)))
            .at(entry.key.span, format!("not a key of {what}"));
        let help = match self.suggest(key, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys of {what} are: {}", known.join(", ")),
        };
        self.report(fault.help(help));
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(&mut self, entry: &Entry, expected: &str, help: Option<String>) {
        if matches!(entry.node.value, Value::Broken) {
            return;
        }
        let (key, found) = (shown(&entry.key.text), entry.node.describe());
        let message = format!("`{key}` must be {expected}, found {found}");
        // Nothing has no width, so the caret goes to the key.
        let nothing = matches!(entry.node.value, Value::Null);
        let span = if nothing {
            entry.key.span
        } else {
            entry.node.caret()
        };
        let help = help.unwrap_or_else(|| match nothing {
            true => format!("write {expected} after `{key}:`, or take out the key"),
            false => format!("write {expected}"),
        });
        let fault = Diagnostic::new(Code::WrongType, message);
        self.report(fault.at(span, format!("expected {expected}")).help(help));
    }

    /// Reports a value that is outside of its range.
    pub(super) fn out_of_range(&mut self, entry: &Entry, found: &str, expected: &str) {
        let key = &entry.key.text;
        let message = format!("`{key}` must be {expected}, found {found}");
        self.report(
            Diagnostic::new(Code::OutOfRange, message)
                .at(entry.node.span, format!("expected {expected}"))
                .help(format!(
                    "write {expected}, or take out `{key}` for its default"
                )),
        );
    }

    /// A text.
    pub(super) fn word<'n>(&mut self, entry: Option<&'n Entry>) -> Option<&'n str> {
        let entry = entry?;
        if let Some(text) = entry.node.as_text() {
            return Some(text);
        }
        let help = match &entry.node.value {
            Value::Bool(value) => Some(format!("put it in quotes: \"{value}\"")),
            Value::Int(value) => Some(format!("put it in quotes: \"{value}\"")),
            Value::Float(value) => Some(format!("put it in quotes: \"{value}\"")),
            _ => None,
        };
        self.wrong_type(entry, "a text", help);
        None
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, entry: Option<&Entry>) -> Option<bool> {
        let entry = entry?;
        if let Value::Bool(value) = &entry.node.value {
            return Some(*value);
        }
        let text = entry
            .node
            .as_text()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let help = match text.as_str() {
            "yes" | "on" | "true" | "y" => Some("write `true`, without quotes".to_owned()),
            "no" | "off" | "false" | "n" => Some("write `false`, without quotes".to_owned()),
            _ => None,
        };
        self.wrong_type(entry, "`true` or `false`", help);
        None
    }

    /// An integer of a range.
    pub(super) fn integer(
        &mut self,
        entry: Option<&Entry>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let entry = entry?;
        let value = match &entry.node.value {
            Value::Int(value) => *value,
            Value::Text { text, .. } if text.parse::<i64>().is_ok() => {
                self.wrong_type(entry, "an integer", Some("take away the quotes".to_owned()));
                return None;
            }
            _ => {
                let help = format!("write an integer, as in `{}: 5`", shown(&entry.key.text));
                self.wrong_type(entry, "an integer", Some(help));
                return None;
            }
        };
        let fits = u32::try_from(value)
            .ok()
            .filter(|value| range.contains(value));
        if fits.is_none() {
            let expected = if value > i128::from(*range.end()) {
                format!("at most {}", range.end())
            } else {
                format!("an integer of at least {}", range.start())
            };
            self.out_of_range(entry, &format!("`{value}`"), &expected);
        }
        fits
    }

    /// A number of a range; `expected` says which: `a number from 0 to 1`.
    pub(super) fn number(
        &mut self,
        entry: Option<&Entry>,
        range: RangeInclusive<f64>,
        expected: &str,
    ) -> Option<f64> {
        let entry = entry?;
        let value = match &entry.node.value {
            // An integer that is too large for a double's precision is out of every range here.
            Value::Int(value) => value.to_string().parse::<f64>().ok(),
            Value::Float(value) => Some(*value),
            _ => None,
        };
        let Some(value) = value else {
            self.wrong_type(entry, expected, None);
            return None;
        };
        if !range.contains(&value) {
            self.out_of_range(entry, &format!("`{value}`"), expected);
            return None;
        }
        Some(value)
    }

    /// A duration.
    pub(super) fn duration(&mut self, entry: Option<&Entry>) -> Option<Duration> {
        self.duration_or(entry, "")
    }

    /// A duration above zero.
    pub(super) fn positive(&mut self, entry: Option<&Entry>) -> Option<Duration> {
        self.positive_or(entry, "")
    }

    /// A duration above zero where other words are allowed too.
    pub(super) fn positive_or(&mut self, entry: Option<&Entry>, others: &str) -> Option<Duration> {
        let value = self.duration_or(entry, others)?;
        if value.is_zero() {
            let entry = entry?;
            self.out_of_range(entry, "`0`", "a duration above zero");
            return None;
        }
        Some(value)
    }

    /// A duration where other words are allowed too, which the help then names: ` or infinity`.
    pub(super) fn duration_or(&mut self, entry: Option<&Entry>, others: &str) -> Option<Duration> {
        let entry = entry?;
        let text = match &entry.node.value {
            Value::Text { text, .. } => text.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            _ => {
                let expected = format!("a duration{others}");
                self.wrong_type(entry, &expected, Some(duration::FORM.to_owned()));
                return None;
            }
        };
        let refusal = match duration::check(&text) {
            Ok(duration) => return Some(duration),
            Err(refusal) => refusal,
        };
        let help = match refusal.meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if others.is_empty() => duration::FORM.to_owned(),
            None => format!(
                "{}; or {}",
                duration::FORM,
                others
                    .trim_start_matches([',', ' '])
                    .trim_start_matches("or ")
            ),
        };
        self.report(
            Diagnostic::new(
                Code::BadDuration,
                format!("`{}`: {}", entry.key.text, refusal.what),
            )
            .at(entry.node.span, format!("expected a duration{others}"))
            .help(help),
        );
        None
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        entry: Option<&Entry>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let entry = entry?;
        let text = self.word(Some(entry))?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let all = words
                .iter()
                .map(|(word, _)| *word)
                .collect::<Vec<_>>()
                .join(", ");
            let help = match self.suggest(text, words.iter().map(|(word, _)| *word)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write one of: {all}"),
            };
            let message = format!("`{}` cannot be `{}`", entry.key.text, shown(text));
            self.report(
                Diagnostic::new(Code::UnknownWord, message)
                    .at(entry.node.span, format!("expected one of: {all}"))
                    .help(help),
            );
        }
        found
    }

    /// An id; `what` is what it is of.
    pub(super) fn id(&mut self, text: &str, span: Span, what: &str) -> Option<ChildId> {
        let id = ChildId::new(text).ok();
        if id.is_none() {
            let tidy = tidy_id(text);
            let help = match tidy {
                Some(tidy) => format!("did you mean `{tidy}`?"),
                None => "use letters, digits, `_` and `-`".to_owned(),
            };
            let message = format!("`{}` cannot be {what}", shown(text));
            self.report(
                Diagnostic::new(Code::BadId, message)
                    .at(span, "expected 1 to 64 of the characters A-Z a-z 0-9 _ -")
                    .help(help),
            );
        }
        id
    }
}

/// The id that a text could be, other characters replaced.
fn tidy_id(text: &str) -> Option<ChildId> {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let tidy: String = text.trim().chars().map(keep).collect();
    ChildId::new(&tidy)
        .ok()
        .filter(|_| tidy.bytes().any(|byte| byte.is_ascii_alphanumeric()))
}
