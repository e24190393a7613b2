//! One thing to say about a tree file: [`Diagnostic`].

use serde_json::{Value, json};

use super::codes::Code;
use super::source::{Position, SourceFiles, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The tree cannot run.
    Fault,
    /// It can, but probably not as it was meant.
    Warning,
}

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said beside the caret; may be empty.
    pub text: String,
}

/// A change of a file that mends a diagnostic and can mean nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fix {
    /// What is replaced, within one line.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// A fault or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What it is about.
    pub code: Code,
    /// What was found, in one line.
    pub message: String,
    /// Where, and what is expected there; none where a file could not be read at all.
    pub primary: Option<Label>,
    /// Other places that have to do with it.
    pub related: Vec<Label>,
    /// What explains it.
    pub notes: Vec<String>,
    /// What to do next.
    pub help: Option<String>,
    /// What `uk check --fix` does about it, unless that would uncover another fault: see [`mend`](super::mend).
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic without a place.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            primary: None,
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Puts the caret at `span`.
    pub(crate) fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Points at another place.
    pub(crate) fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds an explanation.
    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Says what to do next.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says how it is mended without asking, if it can be.
    pub(crate) fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }

    /// All places that it has to do with.
    pub(super) fn spans(&mut self) -> impl Iterator<Item = &mut Span> {
        let labels = self.primary.iter_mut().chain(&mut self.related);
        labels
            .map(|label| &mut label.span)
            .chain(self.fix.iter_mut().map(|fix| &mut fix.span))
    }

    /// Whether it is a fault or a warning.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.code.is_warning() {
            Level::Warning
        } else {
            Level::Fault
        }
    }

    /// The message and what to do about it in one line, for where no file can be shown.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        }
    }

    pub(super) fn to_json(&self, files: &SourceFiles) -> Value {
        let level = match self.level() {
            Level::Fault => "error",
            Level::Warning => "warning",
        };
        let mut json = json!({
            "code": self.code.as_str(),
            "level": level,
            "message": self.message,
            "related": self.related.iter().map(|label| label.to_json(files)).collect::<Vec<_>>(),
            "fixes": self.fix.iter().map(|fix| fix.to_json(files)).collect::<Vec<_>>(),
        });
        if let Some(object) = json.as_object_mut() {
            if let Some(Value::Object(primary)) = self.primary.as_ref().map(|l| l.to_json(files)) {
                object.extend(primary);
            }
            if let Some(help) = &self.help {
                object.insert("help".to_owned(), json!(help));
            }
            if !self.notes.is_empty() {
                object.insert("notes".to_owned(), json!(self.notes));
            }
        }
        json
    }
}

impl Label {
    fn to_json(&self, files: &SourceFiles) -> Value {
        with(place(self.span, files), "label", &self.text)
    }
}

impl Fix {
    fn to_json(&self, files: &SourceFiles) -> Value {
        with(place(self.span, files), "replacement", &self.replacement)
    }
}

fn with(mut place: Value, key: &str, text: &str) -> Value {
    if let Some(object) = place.as_object_mut() {
        object.insert(key.to_owned(), json!(text));
    }
    place
}

/// A place three times over: for people, for programs that hold the bytes, and for editors.
fn place(span: Span, files: &SourceFiles) -> Value {
    let span = files.one_line(span);
    let start = files.position(span.file, span.start);
    let end = files.position(span.file, span.end);
    let file = files
        .get(span.file)
        .map(|file| file.path().display().to_string());
    let for_editors =
        |position: Position| json!({ "line": position.line - 1, "character": position.utf16 });
    json!({
        "file": file,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
        "bytes": [span.start, span.end],
        "range": { "start": for_editors(start), "end": for_editors(end) },
    })
}
