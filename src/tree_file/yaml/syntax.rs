//! Faults of YAML's syntax in words that help: [`fault`].
//!
//! The parser says where it could not go on, which is often a line or more after the mistake; where
//! that can be guessed the caret is put on the mistake instead.

use granit_parser::{ErrorKind, ScanError};

use crate::tree_file::codes::Code;
use crate::tree_file::diagnostic::Diagnostic;
use crate::tree_file::node::shown;
use crate::tree_file::source::{FileId, Span};

/// What is known about the place.
pub(super) struct Where {
    /// The file.
    pub(super) file: FileId,
    /// Where the last thing that could be read ended.
    pub(super) after: usize,
    /// The innermost `[` or `{` that is open.
    pub(super) open: Option<Span>,
    /// The list or mapping of lines that ended last.
    pub(super) block: Option<Span>,
    /// The last text without quotes.
    pub(super) plain: Option<Span>,
}

/// What the parser's error means for the one who wrote the file.
pub(super) fn fault(error: &ScanError, text: &str, place: &Where) -> Diagnostic {
    let offset = error
        .marker()
        .byte_offset()
        .unwrap_or(text.len())
        .min(text.len());
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return Diagnostic::new(Code::TooDeep, "lists and mappings are nested too deep")
            .at(span(place.file, text, offset), "one level too many")
            .help("use fewer levels of supervisors, or flatter settings");
    }
    if let Some(fault) = unreadable(text, span(place.file, text, offset)) {
        return fault;
    }
    let (what, label, help) = match error.kind() {
        // Two texts beside each other are a list or a mapping that has lost a comma.
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar
            if begins_value(text, offset) =>
        {
            words_in_a_line(&ErrorKind::ExpectedFlowMappingSeparator)
        }
        kind => words(kind),
    };
    let message = what.unwrap_or_else(|| error.kind().to_string());
    if unclosed_quote(error.kind())
        && let Some(quote) = quote_after(text, place.after, offset)
    {
        return Diagnostic::new(Code::Syntax, "a quoted text is not closed")
            .at(span(place.file, text, quote), "this quote has no partner")
            .help("close it on the same line, or indent the lines that go on with it");
    }
    if let Some(fault) = continued(error.kind(), text, place, offset) {
        return fault;
    }
    if let Some((open, bracket)) = unclosed(text, offset) {
        let message = format!("`{bracket}` is not closed");
        let closing = if bracket == '[' { ']' } else { '}' };
        return Diagnostic::new(Code::Syntax, message)
            .at(span(place.file, text, open), "opened here")
            .related(span(place.file, text, offset), "so this cannot be read")
            .help(format!(
                "add `{closing}` at the end of the line, or a comma if it goes on below"
            ));
    }
    let at = span(place.file, text, offset);
    if matches!(error.kind(), ErrorKind::SimpleKeyExpected) {
        return colonless(text, at);
    }
    let mut fault = Diagnostic::new(Code::Syntax, message).at(at, label);
    if let Some(open) = place.open.filter(|open| open.start != offset) {
        fault = fault.related(open, "opened here");
    }
    let misfits = matches!(
        error.kind(),
        ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::ExpectedBlockSequenceEntry
            | ErrorKind::InvalidIndentation
    );
    if let Some(block) = place.block.filter(|_| misfits) {
        let is_list = text
            .get(block.start..)
            .is_some_and(|rest| rest.starts_with("- "));
        let sort = if is_list { "a list" } else { "a mapping" };
        let begin = span(place.file, text, block.start);
        fault = fault.related(begin, format!("above it is {sort}, which begins here"));
    }
    let before = text.get(..offset).unwrap_or_default();
    if before.ends_with('$') && text.get(offset..).is_some_and(|rest| rest.starts_with('{')) {
        return fault.help("inside of `{ }` and `[ ]` put a `${…}` in quotes: \"${NAME}\"");
    }
    fault.help(help)
}

/// The fault of a character that YAML has not, wherever it stands, if that is what is there.
fn unreadable(text: &str, at: Span) -> Option<Diagnostic> {
    let c = text.get(at.start..)?.chars().next()?;
    let is_break = matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    if is_break || !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}') {
        return None;
    }
    let code = u32::from(c);
    let help = if c != '\0' {
        format!("take it out; a text in double quotes can have it as `\\u{code:04x}`")
    } else if text.matches('\0').count() * 3 > text.len() {
        "it looks like UTF-16 or like no text at all: save it as UTF-8".to_owned()
    } else {
        "take it out; no id, name or setting can hold it".to_owned()
    };
    let message = format!("the control character U+{code:04X} cannot stand in a tree file");
    let fault = Diagnostic::new(Code::Syntax, message);
    Some(
        fault
            .at(at, "no text has it, neither does a comment")
            .help(help),
    )
}

type Words = (Option<String>, &'static str, &'static str);

/// What was found, what is expected there, and what to do.
fn words(kind: &ErrorKind) -> Words {
    let say = |what: &str, label, help| (Some(what.to_owned()), label, help);
    match kind {
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart => say(
            "a tab cannot indent a line",
            "expected spaces",
            "indent with spaces, two a level",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => say(
            "a `:` cannot stand here",
            "no key can end here",
            "check the indentation and the brackets above; put a text that has `: ` in it in quotes",
        ),
        ErrorKind::InvalidSimpleKey => say(
            "a key has no `:`",
            "expected `key: value`",
            "write `key: value`, with a space after the colon",
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation => say(
            "this line does not fit the lines above it",
            "neither a key nor a list item of what is above",
            "indent it like its siblings; a list has `- ` and a mapping `key: `, never both",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => say(
            "a list item cannot begin here",
            "expected a value",
            "begin the list on the next line, indented, or write it as `[a, b]`",
        ),
        ErrorKind::UnexpectedCharacter { character } => (
            Some(format!(
                "no value can begin with `{}`",
                character.escape_default()
            )),
            "expected a value",
            "put the text in quotes",
        ),
        _ => words_in_a_line(kind),
    }
}

/// The same for what is wrong with brackets and quotes.
fn words_in_a_line(kind: &ErrorKind) -> Words {
    let say = |what: &str, label, help| (Some(what.to_owned()), label, help);
    match kind {
        ErrorKind::UnclosedFlowCollection { open } => (
            Some(format!("`{open}` is not closed")),
            "opened here",
            "add the closing bracket",
        ),
        ErrorKind::MisplacedFlowCollectionEnd => say(
            "this bracket closes nothing",
            "nothing is open here",
            "take it out, or put the text in quotes",
        ),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => (
            Some(format!("`{open}` is closed by `{close}`")),
            "another bracket is open",
            "close the brackets in the order they were opened",
        ),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => say(
            "a comma or a closing bracket is missing",
            "expected `,` or the closing bracket",
            "put commas between the items, and texts with brackets in quotes",
        ),
        ErrorKind::ExpectedDocumentStart => say(
            "the file goes on after its end",
            "the first value was complete before this",
            "a file has one mapping or one list: take out what is too much, or check the brackets",
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => say(
            "a text goes on after its closing quote",
            "expected the end of the line",
            "double a `'` inside of single quotes, write `\\\"` inside of double quotes",
        ),
        ErrorKind::UnknownQuotedScalarEscape => say(
            "an escape in a quoted text is not known",
            "in this text",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        _ => (
            None,
            "the file cannot be read on from here",
            "check this line and the one above it",
        ),
    }
}

/// The fault of a key that YAML takes for a part of the text on the lines above it.
fn continued(kind: &ErrorKind, text: &str, place: &Where, offset: usize) -> Option<Diagnostic> {
    let plain = place.plain.filter(|plain| plain.end == offset)?;
    let taken = text.get(plain.start..plain.end)?;
    let (first, _) = taken.split_once('\n')?;
    if !matches!(kind, ErrorKind::MappingValueNotAllowed) || place.open.is_some() {
        return None;
    }
    let last = taken.rsplit('\n').next().unwrap_or_default().trim_start();
    let at = Span {
        start: offset - last.len(),
        end: offset,
        ..plain
    };
    let first = first.trim_end();
    let help = match first.split_once(':') {
        Some((key, value)) => {
            format!(
                "write a space after the colon: `{}: {}`",
                shown(key),
                shown(value)
            )
        }
        None => format!("indent `{}` like the key above it", shown(last)),
    };
    let what = format!("`{}` is read as a part of the text above it", shown(last));
    let above = Span {
        end: plain.start + first.len(),
        ..plain
    };
    let fault = Diagnostic::new(Code::Syntax, what).at(at, "meant as a key?");
    Some(fault.related(above, "the text begins here").help(help))
}

/// The fault of a line that has no colon; `at` is where it begins.
fn colonless(text: &str, at: Span) -> Diagnostic {
    let line = text.get(at.start..).and_then(|rest| rest.lines().next());
    let line = line.unwrap_or_default();
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let help = match line.split_once(' ') {
        Some((key, value)) => format!("write `{}: {}`", shown(key), shown(value.trim_start())),
        None => "write `key: value`, with a space after the colon".to_owned(),
    };
    let whole = Span {
        end: at.start + line.len(),
        ..at
    };
    Diagnostic::new(Code::Syntax, "a key has no `:`")
        .at(whole, "expected `key: value`")
        .help(help)
}

/// The bracket that is open at the end of a line although nothing goes on there, before `until`.
fn unclosed(text: &str, until: usize) -> Option<(usize, char)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut quote = None;
    // The last character that is no blank, and whether a line ended with it although nothing goes on.
    let mut last = ' ';
    let mut ended = false;
    for (at, c) in text.char_indices().take_while(|(at, _)| *at <= until) {
        match c {
            '\n' => ended = !matches!(last, ',' | '[' | '{' | ':'),
            c if c.is_whitespace() => {}
            _ if ended && quote.is_none() && !matches!(c, ']' | '}' | ',' | '#') => {
                if let Some(found) = open.first() {
                    return Some(*found);
                }
                ended = false;
            }
            _ => ended = false,
        }
        match c {
            _ if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' if matches!(last, ' ' | ',' | '[' | '{' | ':' | '-') => quote = Some(c),
            '[' | '{' => open.push((at, c)),
            ']' | '}' => drop(open.pop()),
            _ => {}
        }
        if !c.is_whitespace() {
            last = c;
        }
    }
    None
}

fn unclosed_quote(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::DocumentIndicatorInQuotedScalar
    )
}

/// Whether a text or a bracket begins at `offset`.
fn begins_value(text: &str, offset: usize) -> bool {
    text.get(offset..)
        .is_some_and(|rest| rest.starts_with(['"', '\'', '[', '{']))
}

/// The first quote after `after`, if there is one before `before` or at it.
fn quote_after(text: &str, after: usize, before: usize) -> Option<usize> {
    let between = text.get(after..=before.min(text.len().saturating_sub(1)))?;
    between.find(['"', '\'']).map(|at| after + at)
}

/// The character at `offset`; nothing at the end of the text.
fn span(file: FileId, text: &str, offset: usize) -> Span {
    let rest = text.get(offset..).unwrap_or_default();
    let len = rest
        .chars()
        .next()
        .filter(|c| !matches!(c, '\n' | '\r'))
        .map_or(0, char::len_utf8);
    Span {
        file,
        start: offset,
        end: offset + len,
    }
}
