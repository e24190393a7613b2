//! Texts without quotes that are good YAML and seldom what was meant.

use crate::tree_file::codes::Code;
use crate::tree_file::diagnostic::Diagnostic;
use crate::tree_file::node::shown;
use crate::tree_file::source::Span;

/// Warns of a text that only ends with a quote.
pub(super) fn stray_quote(text: &str, span: Span) -> Option<Diagnostic> {
    let quote = text
        .chars()
        .next_back()
        .filter(|c| matches!(c, '"' | '\''))?;
    if text.matches(quote).count().is_multiple_of(2) {
        return None;
    }
    let last = Span {
        start: span.end.saturating_sub(1),
        ..span
    };
    let begin = Span {
        end: span.start,
        ..span
    };
    let message = "a text ends with a quote that it does not begin with";
    let help = format!("put one before `{}` too, or take this one out", shown(text));
    Some(
        Diagnostic::new(Code::StrayQuote, message)
            .at(last, "a part of the text")
            .related(begin, "the text begins here")
            .help(help),
    )
}

/// Warns of a text that goes on in a line that looks like a list item; `source` is what stands at `span`.
pub(super) fn swallowed_item(source: &str, span: Span) -> Option<Diagnostic> {
    let mut start = span.start;
    for line in source.split_inclusive('\n') {
        let (at, item) = (start + line.len() - line.trim_start().len(), line.trim());
        start += line.len();
        if !item.starts_with("- ") {
            continue;
        }
        let of = |start: usize, text: &str| Span {
            start,
            end: start + text.len(),
            ..span
        };
        let first = source.lines().next().unwrap_or_default().trim_end();
        let message = format!("`{}` is read as a part of the text above it", shown(item));
        return Some(
            Diagnostic::new(Code::SwallowedItem, message)
                .at(of(at, item), "meant as an item of its own?")
                .related(of(span.start, first), "the text begins here")
                .help("indent it like the item above it, or put the whole text in quotes"),
        );
    }
    None
}
