//! Texts with placeholders, taken apart: [`parts`].

use super::NAME_LEN_MAX;

/// What a placeholder begins with.
pub(super) const MARK: &str = "${secret:";

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// The text itself.
    Text(&'t str),
    /// The name of a secret.
    Secret(&'t str),
    /// A placeholder with something that is no name, or without an end.
    Broken(&'t str),
}

/// Takes a text apart. `$${secret:` is the text `${secret:`.
#[must_use]
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(found) = rest.find(MARK) {
        let (before, from) = rest.split_at(found);
        if let Some(before) = before.strip_suffix('$') {
            let (mark, after) = from.split_at(MARK.len());
            parts.extend([Part::Text(before), Part::Text(mark)]);
            rest = after;
            continue;
        }
        parts.push(Part::Text(before));
        let Some(end) = from.find('}') else {
            parts.push(Part::Broken(from));
            return parts;
        };
        let (whole, after) = from.split_at(end + 1);
        let name = whole.get(MARK.len()..end).unwrap_or_default();
        parts.push(match is_name(name) {
            true => Part::Secret(name),
            false => Part::Broken(whole),
        });
        rest = after;
    }
    parts.push(Part::Text(rest));
    parts
}

/// A text in which nothing is a placeholder: [`parts`] gives it back as it was.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace(MARK, "$${secret:")
}

/// Whether a secret may be called that: letters, digits, `_`, `-` and `.`, the first no `.`, so that a name is never a
/// way to another folder or to what is hidden.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=NAME_LEN_MAX).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_fine)
}
