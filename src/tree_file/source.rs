//! The texts that were read, and places in them: [`SourceFiles`], [`Span`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::plain;

/// A file among [`SourceFiles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(usize);

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Whether it holds nothing, as places in what was never a file do.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A place as people count it, and its column as the language server protocol does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// How many units of UTF-16 stand before it in the line.
    pub utf16: usize,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    path: PathBuf,
    written: Arc<str>,
    /// As it was written, but for lone carriage returns: they are line feeds here.
    text: Arc<str>,
    line_starts: Vec<usize>,
    included_at: Option<Span>,
}

/// The files that were read, in the order of reading.
#[derive(Debug, Clone, Default)]
pub struct SourceFiles(Vec<SourceFile>);

impl SourceFile {
    /// The path as it was given, or made from the include that named it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text. Each line ends with a line feed, also where a lone carriage return was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text as it was written, of as many bytes.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The index of the line, from 0, that holds the byte at `offset`.
    fn line_index(&self, offset: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    /// Where line `index`, from 0, begins; the end of the text for lines after the last.
    pub(super) fn line_start(&self, index: usize) -> usize {
        self.line_starts
            .get(index)
            .copied()
            .unwrap_or(self.text.len())
    }

    /// Where line `index`, from 0, ends, its line break left out.
    pub(super) fn line_end(&self, index: usize) -> usize {
        let start = self.line_start(index);
        let line = self
            .text
            .get(start..self.line_start(index + 1))
            .unwrap_or_default();
        start + line.trim_end_matches(['\n', '\r']).len()
    }

    /// The largest offset up to `offset` that a character begins or the text ends at.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

impl SourceFiles {
    /// All of them, in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.0.iter()
    }

    /// Adds a file that was included at `included_at`.
    pub(super) fn add(&mut self, path: &Path, text: &str, included_at: Option<Span>) -> FileId {
        let written: Arc<str> = text.into();
        let text = with_line_feeds(text).map_or_else(|| Arc::clone(&written), Arc::from);
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        self.0.push(SourceFile {
            path: path.to_owned(),
            written,
            line_starts: std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect(),
            text,
            included_at,
        });
        FileId(self.0.len() - 1)
    }

    /// The file of an id that is in a [`Span`].
    #[must_use]
    pub fn get(&self, file: FileId) -> Option<&SourceFile> {
        self.0.get(file.0)
    }

    /// The text of a file, shared.
    pub(super) fn text(&self, file: FileId) -> Arc<str> {
        self.get(file)
            .map_or_else(|| "".into(), |file| Arc::clone(&file.text))
    }

    /// What stands at `span`.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|file| file.text.get(span.start..span.end))
            .unwrap_or_default()
    }

    /// `span` cut to whole characters of its first line.
    #[must_use]
    pub fn one_line(&self, span: Span) -> Span {
        let Some(file) = self.get(span.file) else {
            return span;
        };
        let start = file.floor(span.start);
        let line_end = file.line_end(file.line_index(start));
        // A place in a line break is shown at the end of the line.
        let start = start.min(line_end);
        Span {
            file: span.file,
            start,
            end: file.floor(span.end).clamp(start, line_end),
        }
    }

    /// The line and column of the byte at `offset`.
    #[must_use]
    pub fn position(&self, file: FileId, offset: usize) -> Position {
        let Some(file) = self.get(file) else {
            return Position {
                line: 1,
                column: 1,
                utf16: 0,
            };
        };
        let offset = file.floor(offset);
        let line = file.line_index(offset);
        let before = file
            .text
            .get(file.line_start(line)..offset)
            .unwrap_or_default();
        Position {
            line: line + 1,
            column: before.chars().count() + 1,
            utf16: before.encode_utf16().count(),
        }
    }

    /// The two includes that brought the same place in twice, if that is what `first` and `again` are.
    pub(super) fn included_twice(&self, first: Span, again: Span) -> Option<(Span, Span)> {
        let (one, other) = (self.get(first.file)?, self.get(again.file)?);
        let is_same =
            first.file != again.file && one.path == other.path && first.start == again.start;
        let includes = (one.included_at?, other.included_at?);
        if !is_same {
            return None;
        }
        // What includes it may itself be included twice.
        self.included_twice(includes.0, includes.1)
            .or(Some(includes))
    }

    /// Files that were read before, and the first reading of each.
    pub(super) fn first_readings(&self) -> HashMap<FileId, FileId> {
        let mut first: HashMap<(PathBuf, &str), FileId> = HashMap::new();
        let again = self.0.iter().enumerate().filter_map(|(at, file)| {
            let key = (plain(&file.path), file.written());
            let before = *first.entry(key).or_insert(FileId(at));
            (before != FileId(at)).then_some((FileId(at), before))
        });
        again.collect()
    }

    /// The chain of files that leads to `file`: itself, the one that includes it, and so on.
    pub(super) fn ancestors(&self, file: FileId) -> impl Iterator<Item = &SourceFile> {
        std::iter::successors(self.get(file), |file| self.get(file.included_at?.file))
    }
}

/// The text with a line feed for each lone carriage return, which ends a line in YAML and in editors, too.
fn with_line_feeds(text: &str) -> Option<String> {
    let mut pieces = text.split('\r').skip(1);
    pieces.find(|piece| !piece.starts_with('\n'))?;
    let mut out = String::with_capacity(text.len());
    for (at, piece) in text.split('\r').enumerate() {
        if at > 0 {
            out.push(if piece.starts_with('\n') { '\r' } else { '\n' });
        }
        out.push_str(piece);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one_and_units_from_zero() {
        let mut files = SourceFiles::default();
        let file = files.add(Path::new("a.yaml"), "ä: 1\r\n🦀: 2", None);

        for (offset, line, column, utf16) in [
            (0, 1, 1, 0),
            (2, 1, 2, 1),
            (7, 2, 1, 0),
            (11, 2, 2, 2),
            (14, 2, 5, 5),
            (99, 2, 5, 5),
        ] {
            let expected = Position {
                line,
                column,
                utf16,
            };
            assert_eq!(files.position(file, offset), expected, "{offset}");
        }
    }

    #[test]
    fn a_lone_carriage_return_ends_a_line_and_stays_in_what_was_written() {
        let mut files = SourceFiles::default();
        let text = "a: 1\rb: 2\r\rc: 3\r\nd: 4\r";
        let file = files.add(Path::new("a.yaml"), text, None);

        let read = files.get(file).unwrap();

        assert_eq!(read.text(), "a: 1\nb: 2\n\nc: 3\r\nd: 4\n");
        assert_eq!(read.written(), text);
        assert_eq!(files.position(file, 11).line, 4);
    }

    #[test]
    fn a_span_is_cut_to_its_first_line_without_the_line_break() {
        let mut files = SourceFiles::default();
        let file = files.add(Path::new("a.yaml"), "ä: 1\r\nb: 2", None);

        let cut = files.one_line(Span {
            file,
            start: 0,
            end: 10,
        });

        assert_eq!(files.slice(cut), "ä: 1");
        let in_break = files.one_line(Span {
            file,
            start: 6,
            end: 7,
        });
        assert_eq!((in_break.start, in_break.end), (5, 5));
    }
}
