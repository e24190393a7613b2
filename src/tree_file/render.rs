//! Shows diagnostics to people: [`render`], the home of `annotate_snippets`.
//!
//! Only the lines around a diagnostic are handed over, so that the time it takes does not grow with
//! the size of the file.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Element, Group, Level, Renderer, Snippet};

use super::diagnostic::{self, Diagnostic, Label};
use super::source::{FileId, SourceFile, SourceFiles};

/// How wide a rendered diagnostic is, as far as the source allows.
const WIDTH: usize = 80;
/// Places that are further apart than this many lines are shown one after the other.
const LINES_MAX: usize = 40;
/// Places of long lines that are further apart than this many columns are, too.
const COLUMNS_MAX: usize = WIDTH / 2;
/// How much of a long line is shown after the caret, in bytes.
const TAIL_MAX: usize = 400;

/// One diagnostic, its file, line and caret, without a line break at the end.
pub(super) fn render(diagnostic: &Diagnostic, files: &SourceFiles, colour: bool) -> String {
    let level = match diagnostic.level() {
        diagnostic::Level::Fault => Level::ERROR,
        diagnostic::Level::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str());
    let mut group = Group::with_title(title).elements(snippets(diagnostic, files));
    let labels = diagnostic.primary.iter().chain(&diagnostic.related);
    let moved = labels.filter(|label| !fits(label, files)).map(|label| {
        if diagnostic.related.is_empty() {
            return label.text.clone();
        }
        let at = files.position(label.span.file, label.span.start);
        format!("{}:{}: {}", at.line, at.column, label.text)
    });
    for note in moved.chain(diagnostic.notes.iter().cloned()) {
        group = group.element(Level::NOTE.message(wrapped(&note)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(wrapped(help)));
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.term_width(WIDTH).render(&[group])
}

/// The places of a diagnostic, those that are close to each other together.
fn snippets<'a>(diagnostic: &'a Diagnostic, files: &'a SourceFiles) -> Vec<Element<'a>> {
    let mut windows: Vec<Window<'_>> = Vec::new();
    let primary = diagnostic
        .primary
        .iter()
        .map(|label| (label, AnnotationKind::Primary));
    let related = diagnostic
        .related
        .iter()
        .map(|label| (label, AnnotationKind::Context));
    for (label, kind) in primary.chain(related) {
        let window = Window::of(label, kind, files);
        match windows.iter_mut().find(|near| near.takes(&window)) {
            Some(near) => near.join(window),
            None => windows.push(window),
        }
    }
    windows
        .iter()
        .filter_map(|window| window.snippet(files))
        .map(Element::from)
        .collect()
}

/// Some lines of a file, counted from 0, and what is said about them.
struct Window<'a> {
    file: FileId,
    first: usize,
    last: usize,
    /// The columns from 1 that its places take, the last one not included.
    columns: Range<usize>,
    labels: Vec<(&'a Label, AnnotationKind)>,
}

impl<'a> Window<'a> {
    fn of(label: &'a Label, kind: AnnotationKind, files: &SourceFiles) -> Self {
        let span = files.one_line(label.span);
        let start = files.position(span.file, span.start);
        let end = files.position(span.file, span.end);
        Self {
            file: span.file,
            first: start.line - 1,
            last: start.line - 1,
            columns: start.column..end.column,
            labels: vec![(label, kind)],
        }
    }

    fn takes(&self, other: &Self) -> bool {
        let columns = union(&self.columns, &other.columns);
        self.file == other.file
            && self.last.max(other.last) - self.first.min(other.first) <= LINES_MAX
            && (columns.end <= WIDTH || columns.len() <= COLUMNS_MAX)
    }

    fn join(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.columns = union(&self.columns, &other.columns);
        self.labels.extend(other.labels);
    }

    fn snippet(&self, files: &'a SourceFiles) -> Option<Snippet<'a, Annotation<'a>>> {
        let file = files.get(self.file)?;
        let start = file.line_start(self.first);
        let end = self.end(file, files);
        let text = file.text().get(start..end)?;
        let annotations = self.labels.iter().map(|(label, kind)| {
            let span = files.one_line(label.span);
            let range = span.start.saturating_sub(start)..span.end.saturating_sub(start);
            let shown = !label.text.is_empty() && fits(label, files);
            let text = shown.then_some(label.text.as_str());
            kind.span(range).label(text)
        });
        let path = file.path().display().to_string();
        let path = super::node::harmless(&path).collect::<String>();
        Some(
            Snippet::source(text)
                .line_start(self.first + 1)
                .path(path)
                .annotations(annotations),
        )
    }

    /// Where the text to show ends: at the end of the last line, or some way after the last place.
    fn end(&self, file: &SourceFile, files: &SourceFiles) -> usize {
        let places = self
            .labels
            .iter()
            .map(|(label, _)| files.one_line(label.span).end);
        let furthest = places.max().unwrap_or_default() + TAIL_MAX;
        let line_end = file.line_end(self.last);
        if furthest < line_end {
            file.text().floor_char_boundary(furthest)
        } else {
            line_end
        }
    }
}

fn union(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.min(other.start)..one.end.max(other.end)
}

/// Whether the text of a label has room beside its place; else it becomes a note.
fn fits(label: &Label, files: &SourceFiles) -> bool {
    let span = files.one_line(label.span);
    let end = files.position(span.file, span.end);
    let gutter = end.line.to_string().len() + 3;
    gutter + end.column + label.text.chars().count() <= WIDTH
}

/// A text in lines that fit beside `= help: `; what stands in backticks stays together.
fn wrapped(text: &str) -> String {
    const LINE_MAX: usize = WIDTH - 14;
    let mut lines = String::with_capacity(text.len() + 8);
    let mut width = 0;
    let mut quoted = false;
    let words = text.split(|c: char| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    });
    for word in words {
        let len = word.chars().count();
        if width > 0 && width + 1 + len > LINE_MAX {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += len;
    }
    lines
}
