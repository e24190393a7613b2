//! Reads the values of a mapping, each by its type: [`Fields`] and the readers on [`Reader`].
//!
//! A reader takes `None` for a key that is not there and gives `None` for it; it gives `None` too
//! for a value that does not fit, after reporting it, so that the caller goes on with the default.

use std::ops::RangeInclusive;
use std::time::Duration;

use unity_actors::duration::{self, Refusal};
use unity_supervisors::path::ChildId;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::keys;
use super::node::{Entry, Node, Value, shown};
use super::reader::Reader;
use super::source::Span;

/// The entries of a mapping and where to point for what is missing.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    pub(crate) entries: &'n [Entry],
    pub(crate) head: Span,
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| &*entry.key.text == key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl Reader<'_> {
    /// The entries of a mapping; `what` names it: `a tree file`.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
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

    /// Reports a value of the wrong type.
    pub(crate) fn wrong_type(&mut self, entry: &Entry, expected: &str, help: Option<String>) {
        self.wrong_type_but(entry, expected, help, None);
    }

    /// The same where the text that was `written` can only mean one thing: `(written, value)`.
    pub(super) fn wrong_type_but(
        &mut self,
        entry: &Entry,
        expected: &str,
        help: Option<String>,
        meant: Option<(&str, String)>,
    ) {
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
        let fix = meant.and_then(|(written, value)| self.rewrite(span, written, value));
        let fault = Diagnostic::new(Code::WrongType, message).fix(fix);
        self.report(fault.at(span, format!("expected {expected}")).help(help));
    }

    /// Reports a value that is outside of its range.
    pub(super) fn out_of_range(&mut self, entry: &Entry, found: &str, expected: &str) {
        let key = &entry.key.text;
        let written = self.files.slice(entry.node.span);
        let found = if written.is_empty() {
            found.to_owned()
        } else {
            format!("`{}`", shown(written))
        };
        let message = format!("`{key}` must be {expected}, found {found}");
        self.report(
            Diagnostic::new(Code::OutOfRange, message)
                .at(entry.node.span, format!("expected {expected}"))
                .help(match keys::STEP_REQUIRED.contains(&&**key) {
                    true => format!("write {expected}"),
                    false => format!("write {expected}, or take out `{key}` for its default"),
                }),
        );
    }

    /// A text.
    pub(crate) fn word<'n>(&mut self, entry: Option<&'n Entry>) -> Option<&'n str> {
        let entry = entry?;
        if let Some(text) = entry.node.as_text() {
            return Some(text);
        }
        // As it was written: `007` and `1.10` are more than their numbers.
        let source = self.files.slice(entry.node.span).to_owned();
        let written = match &entry.node.value {
            Value::Bool(value) => value.to_string(),
            Value::Int(_) | Value::Float(_) if is_number(&source) => source,
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            _ => {
                self.wrong_type(entry, "a text", None);
                return None;
            }
        };
        let quoted = format!("\"{written}\"");
        let help = Some(format!("put it in quotes: {quoted}"));
        self.wrong_type_but(entry, "a text", help, Some((&written, quoted)));
        None
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, entry: Option<&Entry>) -> Option<bool> {
        let entry = entry?;
        if let Value::Bool(value) = &entry.node.value {
            return Some(*value);
        }
        let text = entry
            .node
            .as_text()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let meant = match text.as_str() {
            "yes" | "on" | "true" | "y" => Some("true"),
            "no" | "off" | "false" | "n" => Some("false"),
            _ => None,
        };
        let help = meant.map(|meant| format!("write `{meant}`, without quotes"));
        let written = entry.node.as_text().unwrap_or_default();
        let meant = meant.map(|meant| (written, meant.to_owned()));
        self.wrong_type_but(entry, "`true` or `false`", help, meant);
        None
    }

    /// An integer of a range.
    pub(crate) fn integer(
        &mut self,
        entry: Option<&Entry>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let entry = entry?;
        let value = match &entry.node.value {
            Value::Int(value) => *value,
            Value::Text { text, .. } if text.parse::<i64>().is_ok() => {
                let (help, bare) = ("take away the quotes".to_owned(), text.to_string());
                self.wrong_type_but(entry, "an integer", Some(help), Some((text, bare)));
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
    pub(crate) fn duration(&mut self, entry: Option<&Entry>) -> Option<Duration> {
        self.duration_or(entry, "")
    }

    /// A duration above zero.
    pub(crate) fn positive(&mut self, entry: Option<&Entry>) -> Option<Duration> {
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
        match duration::check(&text) {
            Ok(duration) => return Some(duration),
            Err(refusal) => self.bad_duration(entry, &text, others, refusal),
        }
        None
    }

    fn bad_duration(&mut self, entry: &Entry, text: &str, others: &str, refusal: Refusal) {
        let (key, span) = (&entry.key.text, entry.node.span);
        let others = others.trim_start_matches([',', ' ']);
        let others = others.trim_start_matches("or ");
        let meant = refusal.meant.clone().filter(|_| refusal.sure);
        let fix = meant.and_then(|meant| self.rewrite(span, text, meant));
        let help = match refusal.meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if others.is_empty() => duration::FORM.to_owned(),
            None => format!("{}; or {others}", duration::FORM),
        };
        let label = match others {
            _ if refusal.what.ends_with("has no unit") => {
                "expected a unit too: ms, s, m, h or d".to_owned()
            }
            "" => "expected a duration".to_owned(),
            others if others.contains(" or ") => format!("expected a duration, {others}"),
            others => format!("expected a duration or {others}"),
        };
        let message = format!("`{key}`: {}", refusal.what);
        let fault = Diagnostic::new(Code::BadDuration, message).at(span, label);
        self.report(fault.help(help).fix(fix));
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(
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
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.unknown_word(entry, text, &words);
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

/// Whether this is how a number is written, and not an alias of one.
fn is_number(source: &str) -> bool {
    source.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && !source.contains('$')
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
