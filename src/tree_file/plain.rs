//! Files of plain settings, such as `system.yaml`: read by the rules of tree files, against a table of keys.
//!
//! Promises what the reading of trees does: every fault at once, each at its place, within the limits. Variables of the
//! environment are texts of one line here, so that what is wrong with one is told with a caret too.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value as Json, json};
use unity_actors::{duration, size};
use unity_supervisors::Kinds;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Key as NodeKey, Node, Value, shown};
use super::reader::Reader;
use super::source::Span;
use super::{Checked, Limits, Sources, read_file, scalar, schema};
use crate::kind_check::KnownKinds;
use crate::nearest::nearest;

mod form;

pub(crate) use self::form::{Form, is_place};

/// A key: its name with that of the mapping it stands in, and what may stand after it.
pub(crate) type PlainKey = (&'static str, &'static Form);

/// A value that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// The way to it: `[history, keep]`.
    pub(crate) key: Vec<String>,
    /// What stands there.
    pub(crate) value: Json,
    /// The line it stands in, from 1.
    pub(crate) line: usize,
}

/// A reading of files and variables that are laid over each other.
pub(crate) struct PlainReader<'a> {
    reader: Reader<'a>,
    keys: Vec<PlainKey>,
    /// What has these keys: `system.yaml`.
    what: &'static str,
}

impl<'a> PlainReader<'a> {
    pub(crate) fn new(
        sources: &'a Sources<'a>,
        what: &'static str,
        keys: impl Iterator<Item = PlainKey>,
    ) -> Self {
        Self {
            reader: Reader::new(sources, true),
            keys: keys.collect(),
            what,
        }
    }

    /// Reads a file.
    pub(crate) fn file(&mut self, path: &Path) -> Vec<Found> {
        self.read(|reader| reader.open(path, None))
    }

    /// Reads a file, or nothing should it not be there: also one that was a moment ago. A link to nothing is a fault.
    pub(crate) fn file_if_there(&mut self, path: &Path) -> Vec<Found> {
        let before = self.reader.told();
        let found = self.file(path);
        let is_gone = || fs::symlink_metadata(path).is_err_and(|error| is_missing(&error));
        self.reader
            .retell(before, |fault| fault.code != Code::Missing || !is_gone());
        found
    }

    /// Reads a text that was read elsewhere; `name` is shown.
    pub(crate) fn text(&mut self, name: &Path, text: &str) -> Vec<Found> {
        self.read(|reader| reader.text(name, text))
    }

    fn read(&mut self, open: impl FnOnce(&mut Reader<'a>) -> Option<Node>) -> Vec<Found> {
        let mut found = Vec::new();
        let before = self.reader.told();
        let node = open(&mut self.reader);
        // A file that has nothing at all was cut off, more likely than meant.
        let last = self.reader.files.iter().last();
        let has_comments = last.is_some_and(|file| !file.text().trim().is_empty());
        if let Some(node) = node {
            self.mapping(&node, None, &mut found);
        }
        self.reader.retell(before, |fault| {
            if fault.code == Code::Empty {
                fault.help = Some(
                    "write its keys, or a comment where all are left to their defaults".to_owned(),
                );
            }
            fault.code = own_code(fault.code);
            !(fault.code == Code::Empty && has_comments)
        });
        found
    }

    /// Reads the keys of the whole file, or of the mapping `of` in it.
    fn mapping(&mut self, node: &Node, of: Option<&str>, found: &mut Vec<Found>) {
        let what = of.map_or_else(|| self.what.to_owned(), |of| format!("`{of}`"));
        let Some(fields) = self.reader.fields(node, &what) else {
            return;
        };
        let keys = self.keys.clone();
        let below = |name: &'static str| match of {
            Some(of) => name.strip_prefix(of)?.strip_prefix('.'),
            None => Some(name),
        };
        let keys: Vec<PlainKey> = keys
            .into_iter()
            .filter_map(|(name, form)| Some((below(name)?, form)))
            .collect();
        let mut known: Vec<&str> = keys
            .iter()
            .map(|(name, _)| name.split_once('.').map_or(*name, |(section, _)| section))
            .collect();
        known.dedup();
        self.reader.only_keys(fields, &known, &what);
        for entry in fields.entries {
            let key = &*entry.key.text;
            if let Some((_, form)) = keys.iter().find(|(name, _)| *name == key) {
                let way = of.into_iter().chain([key]).map(str::to_owned).collect();
                self.value(form, entry, way, found);
            } else if known.contains(&key) && !matches!(entry.node.value, Value::Null) {
                self.mapping(&entry.node, Some(key), found);
            }
        }
    }

    fn value(&mut self, form: &Form, entry: &Entry, key: Vec<String>, found: &mut Vec<Found>) {
        let span = entry.key.span;
        let line = self.reader.files.position(span.file, span.start).line;
        if matches!(form, Form::Labels) {
            return self.labels(entry, &key, found);
        }
        if let Some(value) = self.reader.form(form, entry) {
            found.push(Found { key, value, line });
        }
    }

    fn labels(&mut self, entry: &Entry, key: &[String], found: &mut Vec<Found>) {
        if matches!(entry.node.value, Value::Null) {
            return;
        }
        let fields: Option<Fields<'_>> = self.reader.fields(&entry.node, "`labels`");
        for label in fields.into_iter().flat_map(|fields| fields.entries) {
            let mut key = key.to_vec();
            key.push(label.key.text.to_string());
            self.value(&Form::Text, label, key, found);
        }
    }

    /// Reads a value that a variable of the environment has for `key`.
    pub(crate) fn variable(
        &mut self,
        name: &str,
        text: &str,
        key: Vec<String>,
        form: &Form,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        let before = self.reader.told();
        let (of_name, of_value) = self.line_of(name, Some(text));
        let value = match scalar::resolve(text) {
            Value::Null if form.may_be_nothing() => Value::Null,
            value @ (Value::Bool(_) | Value::Int(_)) if !form.is_text() => value,
            _ => scalar::text_value(text, true),
        };
        let entry = Entry {
            key: NodeKey {
                span: of_name,
                text: name.into(),
                merges: false,
            },
            node: Node {
                span: of_value,
                value,
            },
        };
        self.value(form, &entry, key, &mut found);
        self.reader.retell(before, |fault| {
            fault.code = own_code(fault.code);
            // No file can be mended.
            fault.fix = None;
            true
        });
        found
    }

    /// Warns of a variable that means nothing, though it looks as if it should.
    pub(crate) fn unknown_variable<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        // Whatever it is for, its value may be a secret.
        let (span, _) = self.line_of(name, None);
        let message = format!("the variable `{}` means nothing here", shown(name));
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`uk config explain system` lists all that mean something".to_owned(),
        };
        self.reader.report(
            Diagnostic::new(Code::UnknownVariable, message)
                .at(span, "no setting has this name")
                .help(help),
        );
    }

    /// Tells of a variable whose value is no text.
    pub(crate) fn no_text(&mut self, name: &str) {
        let (span, _) = self.line_of(name, None);
        self.reader.report(
            Diagnostic::new(
                Code::VariableNotUtf8,
                format!("the variable `{name}` is not UTF-8"),
            )
            .at(span, "its value is no text")
            .help("set it anew, or unset it"),
        );
    }

    /// Tells that a folder cannot be read.
    pub(crate) fn no_folder(&mut self, path: &Path, why: &str, help: &str) {
        let message = format!("the folder {}: {why}", super::reader::shown_path(path));
        self.reader
            .report(Diagnostic::new(Code::ConfigFolder, message).help(help));
    }

    /// Makes a text of a variable, and says where in it the name and the value are.
    fn line_of(&mut self, name: &str, value: Option<&str>) -> (Span, Span) {
        let line = value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}"));
        let file = self
            .reader
            .files
            .add(Path::new("the environment"), &line, None);
        let span = |start, end| Span { file, start, end };
        let start = line.len() - value.map_or(0, str::len);
        (span(0, name.len()), span(start, line.len()))
    }

    /// Ends the reading; `made` counts only if there is no fault.
    pub(crate) fn finish<T>(self, made: T) -> Checked<T> {
        self.reader.checked(Some(made))
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The code of a fault of trees where it is one of plain settings.
fn own_code(code: Code) -> Code {
    match code {
        Code::UnknownKey => Code::UnknownSystemKey,
        Code::WrongType => Code::SystemType,
        Code::BadDuration => Code::SystemDuration,
        Code::OutOfRange => Code::SystemRange,
        other => other,
    }
}

/// Runs `work` with what reads real files and this process's environment.
pub(crate) fn with_sources<T>(work: impl FnOnce(&Sources<'_>) -> T) -> T {
    let kinds = Kinds::new();
    work(&Sources {
        read: &read_file,
        env: &|name| std::env::var(name).ok(),
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    })
}

/// The definition that the schemas of [`Form::schema`] refer to.
pub(crate) fn variable_schema() -> Json {
    schema::variable_definition(
        "A text with variables of the environment: ${NAME} or ${NAME:-default}.",
    )
}
