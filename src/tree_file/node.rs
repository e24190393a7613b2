//! YAML as we keep it: values that know where they stand.
//!
//! A [`Node`] is cheap to copy: lists and mappings are shared, so an alias costs nothing until it is
//! walked. What could not be made out, and has been reported, is [`Value::Broken`]; whoever reads it
//! keeps quiet.

use std::rc::Rc;

use super::source::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands. Of a block that goes over several lines, where it begins.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`, and no other word.
    Bool(bool),
    /// An integer that JSON can hold.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    Text {
        /// The text, variables filled in.
        text: Rc<str>,
        /// Whether it stood there without quotes.
        plain: bool,
    },
    /// A text of settings with placeholders for secrets, which are not filled in.
    Secret(Rc<str>),
    /// A list.
    List(Rc<Vec<Node>>),
    /// A mapping, in the order of the file, without duplicate keys.
    Map(Rc<Vec<Entry>>),
    /// What was reported already.
    Broken,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: Key,
    /// The value.
    pub(crate) node: Node,
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Where it stands.
    pub(crate) span: Span,
    /// The key itself.
    pub(crate) text: Rc<str>,
    /// Whether it is `<<` without quotes.
    pub(crate) merges: bool,
}

impl Node {
    /// A node that was reported already.
    pub(super) fn broken(span: Span) -> Self {
        Self {
            span,
            value: Value::Broken,
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value of `key`, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key.text == key),
            _ => None,
        }
    }

    /// Where to put a caret: the first key of a mapping, else where it stands.
    pub(crate) fn caret(&self) -> Span {
        match &self.value {
            Value::Map(entries) => entries.first().map_or(self.span, |entry| entry.key.span),
            _ => self.span,
        }
    }

    /// What it is, in words: `the integer 5`.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Int(value) => format!("the integer `{value}`"),
            Value::Float(value) => format!("the number `{value}`"),
            Value::Text { text, .. } if text.is_empty() => "an empty text".to_owned(),
            Value::Text { text, .. } => format!("the text `{}`", shown(text)),
            Value::Secret(_) => "a secret".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Broken => "a value that is at fault".to_owned(),
        }
    }
}

/// A text that somebody wrote, short and harmless enough for a message.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut chars = harmless(text);
    let mut short: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// The characters of a text, those escaped that would move the cursor or turn the line around.
pub(super) fn harmless(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(|c| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let escaped = (c.is_control() || turns).then(|| c.escape_default());
        let kept = escaped.is_none().then_some(c);
        kept.into_iter().chain(escaped.into_iter().flatten())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_texts_are_short_and_have_no_control_characters() {
        for (text, expected) in [
            ("host", "host".to_owned()),
            (
                "a\nb\u{1b}[31m\u{202e}",
                "a\\nb\\u{1b}[31m\\u{202e}".to_owned(),
            ),
            (&"x".repeat(41), format!("{}…", "x".repeat(40))),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
