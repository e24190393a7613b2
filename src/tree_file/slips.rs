//! Keys and words that are not known: what was meant by them, and the fix where that is sure.

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Value, shown};
use super::reader::Reader;
use crate::nearest::Near;

/// A key that was meant by another, and the value that got into that.
struct Slip<'k> {
    meant: Near<'k>,
    value: Option<String>,
}

impl Reader<'_> {
    /// Reports the keys that are not among `known`.
    pub(crate) fn only_keys(&mut self, fields: Fields<'_>, known: &[&str], what: &str) {
        for entry in fields.entries {
            if !known.contains(&&*entry.key.text) {
                self.unknown_key(entry, fields.entries, known, what);
            }
        }
    }

    /// Whether a key that is missing is there with a slip in it, which is reported as such.
    pub(crate) fn has_misspelt(&self, fields: Fields<'_>, missing: &str, known: &[&str]) -> bool {
        let unknown = fields
            .entries
            .iter()
            .filter(|entry| !known.contains(&&*entry.key.text));
        let mut slips = unknown.filter_map(|entry| self.slip(entry, fields.entries, known));
        slips.any(|slip| slip.meant.word == missing)
    }

    /// What key was meant by one that is not known; one that is there already was not.
    fn slip<'k>(&self, entry: &Entry, beside: &[Entry], known: &[&'k str]) -> Option<Slip<'k>> {
        let written = &*entry.key.text;
        let free = known
            .iter()
            .copied()
            .filter(|key| !beside.iter().any(|other| &*other.key.text == *key));
        if matches!(entry.node.value, Value::Null)
            && let Some((word, value)) = parted(written, free.clone())
        {
            let meant = Near { word, sure: true };
            let value = Some(value.to_owned());
            return Some(Slip { meant, value });
        }
        let meant = self.suggest(written, free)?;
        Some(Slip { meant, value: None })
    }

    /// Reports a key that `what` does not have; `beside` is the mapping that it stands in.
    pub(super) fn unknown_key(
        &mut self,
        entry: &Entry,
        beside: &[Entry],
        known: &[&str],
        what: &str,
    ) {
        let (key, span) = (&*entry.key.text, entry.key.span);
        let fault = Diagnostic::new(Code::UnknownKey, format!("unknown key `{}`", shown(key)));
        let slip = self.slip(entry, beside, known);
        self.report(match slip {
            Some(Slip { meant, value: None }) => fault
                .at(span, format!("not a key of {what}"))
                .help(format!("did you mean `{}`?", meant.word))
                .fix(self.respell(span, key, meant)),
            Some(Slip { meant, value }) => {
                let whole = format!("{}: {}", meant.word, value.unwrap_or_default());
                fault
                    .at(span, parted_label(key, meant.word))
                    .help(format!("write `{}`", shown(&whole)))
                    .fix(self.rewrite(span, key, whole))
            }
            None => fault
                .at(span, format!("not a key of {what}"))
                .help(format!("the keys of {what} are: {}", known.join(", "))),
        });
    }

    /// Reports a word that is none of `words`.
    pub(super) fn unknown_word(&mut self, entry: &Entry, text: &str, words: &[&str]) {
        let span = entry.node.span;
        let all = either(words);
        let near = self.suggest(text, words.iter().copied());
        let alike = words.iter().filter(|word| word.starts_with(text));
        let help = match (near, elsewhere(text).filter(|word| words.contains(word))) {
            // A beginning of several words is not one of them more than another.
            (Some(_), _) if alike.clone().count() > 1 => {
                let alike: Vec<&str> = alike.copied().collect();
                format!("did you mean {}?", either(&quoted(&alike)))
            }
            (Some(near), _) => format!("did you mean `{}`?", near.word),
            (None, Some(word)) => format!("did you mean `{word}`?"),
            (None, None) => format!("write {all}"),
        };
        // The words are told once.
        let label = match help.starts_with("write ") {
            true => "no such word".to_owned(),
            false => format!("expected {all}"),
        };
        let message = format!("`{}` cannot be `{}`", entry.key.text, shown(text));
        let fix = near.and_then(|near| self.respell(span, text, near));
        let fault = Diagnostic::new(Code::UnknownWord, message);
        self.report(fault.at(span, label).help(help).fix(fix));
    }
}

/// A key and its value, if `written` is both of them without the colon or the space between.
pub(super) fn parted<'k, 'w>(
    written: &'w str,
    mut known: impl Iterator<Item = &'k str>,
) -> Option<(&'k str, &'w str)> {
    let (key, value) = written.split_once([' ', ':'])?;
    let word = known.find(|known| *known == key)?;
    Some((word, value.trim_start_matches([' ', ':'])))
}

/// What `written`, which [`parted`] took apart, lacks.
pub(super) fn parted_label(written: &str, key: &str) -> String {
    match written.contains(':') {
        true => format!("a space is missing after `{key}:`"),
        false => format!("a colon is missing after `{key}`"),
    }
}

/// What systemd and containers call the same thing.
fn elsewhere(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
        "always" | "unless-stopped" => Some("permanent"),
        "on-failure" | "onfailure" | "on-abnormal" => Some("transient"),
        "never" | "no" => Some("temporary"),
        _ => None,
    }
}

/// `a, b or c`
fn either<T: AsRef<str>>(words: &[T]) -> String {
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        match at {
            0 => {}
            _ if at + 1 == words.len() => text.push_str(" or "),
            _ => text.push_str(", "),
        }
        text.push_str(word.as_ref());
    }
    text
}

fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("`{word}`")).collect()
}
