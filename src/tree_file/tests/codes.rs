//! One row for every way to raise every code: the smallest file, the caret, what is said.

use super::*;

mod chaos;
mod content;
mod events;
mod files;
mod ladder;
mod place;
mod rest;
mod system;

use Text::{
    Chaos, Children, Events, Files, Including, Made, Supervisor, System, Variable, Whole, Worker,
};

/// A code, the text, `line:column token` of the caret, and what is said.
pub(super) type Row = (Code, Text, &'static str, &'static [&'static str]);

/// Files by name; the first is loaded.
pub(super) type Owned = Vec<(String, Vec<u8>)>;

pub(super) enum Text {
    /// A whole file.
    Whole(&'static str),
    /// Keys of a worker.
    Worker(&'static str),
    /// Keys of a supervisor.
    Supervisor(&'static str),
    /// Children of the root.
    Children(&'static str),
    /// What is included, and the text of `b.yaml`.
    Including(&'static str, &'static [u8]),
    /// Files; one without text does not exist.
    Files(&'static [(&'static str, &'static [u8])]),
    /// Files that are made.
    Made(fn() -> Owned),
    /// A file of the kernel's own settings.
    System(&'static str),
    /// A catalog of events.
    Events(&'static str),
    /// A plan of chaos.
    Chaos(&'static str),
    /// A variable of the environment and its value.
    Variable(&'static str, &'static [u8]),
}

impl Text {
    pub(super) fn load(&self) -> Checked {
        let files = self.files();
        match self {
            System(_) => return system::load(&files),
            Events(text) => return events::load(text),
            Chaos(text) => return chaos::load(text),
            Variable(name, value) => return system::load_variable(name, value),
            _ => {}
        }
        let main = files[0].0.clone();
        let there = |(_, text): &&(String, Vec<u8>)| !(matches!(self, Files(_)) && text.is_empty());
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .filter(there)
            .map(|(n, text)| (n.as_str(), text.as_slice()))
            .collect();
        load_files(&main, &files)
    }

    /// The files, that which is loaded first.
    pub(super) fn files(&self) -> Owned {
        let tree = |text: String| vec![("tree.yaml".to_owned(), text.into_bytes())];
        match self {
            Whole(text) => tree((*text).to_owned()),
            Worker(keys) => tree(worker(keys)),
            Supervisor(keys) => tree(supervisor(keys)),
            Children(list) => tree(children(list)),
            Including(include, text) => {
                let mut files = tree(children(&format!("- include: {include}\n")));
                files.push(("b.yaml".to_owned(), text.to_vec()));
                files
            }
            Files(files) => files
                .iter()
                .map(|(n, text)| ((*n).to_owned(), text.to_vec()))
                .collect(),
            Made(make) => make(),
            System(text) => vec![("system.yaml".to_owned(), text.as_bytes().to_vec())],
            Events(text) => vec![("events.yaml".to_owned(), text.as_bytes().to_vec())],
            Chaos(text) => vec![("plan.yaml".to_owned(), text.as_bytes().to_vec())],
            Variable(..) => Vec::new(),
        }
    }
}

fn children(list: &str) -> String {
    format!("version: 1\ntree:\n  children:\n{}", indented(list, 4))
}

pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    let tables = [
        files::ROWS,
        files::INCLUDES,
        content::ROWS,
        ladder::ROWS,
        rest::SECRETS,
        rest::WARNINGS,
        place::ROWS,
        system::ROWS,
        events::ROWS,
        chaos::ROWS,
    ];
    tables.into_iter().flatten()
}

fn check((code, text, at, says): &Row) -> Result<(), String> {
    let checked = text.load();
    let shown = checked.render(false);
    let fail = |why: String| Err(format!("{code:?}: {why}\n{shown}"));
    if let Some(other) = checked.diagnostics.iter().find(|found| found.code != *code) {
        return fail(format!("found {:?}", other.code));
    }
    let Some(diagnostic) = checked.diagnostics.iter().find(|found| found.code == *code) else {
        return fail("not found".to_owned());
    };
    let place = diagnostic.primary.as_ref().map(|label| {
        let span = checked.files.one_line(label.span);
        let position = checked.files.position(span.file, span.start);
        let token = checked.files.slice(span);
        format!("{}:{} {token}", position.line, position.column)
    });
    if place.as_deref().unwrap_or_default() != *at {
        return fail(format!("the caret is at {place:?}, expected {at:?}"));
    }
    let level = if code.is_warning() {
        "warning"
    } else {
        "error"
    };
    let head = format!("{level}[{}]:", code.as_str());
    let unwrapped = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in says.iter().copied().chain([head.as_str(), "help:"]) {
        if !unwrapped.contains(text) {
            return fail(format!("it does not say {text:?}"));
        }
    }
    if checked.tree.is_some() != code.is_warning() {
        return fail("a tree is there exactly when there are only warnings".to_owned());
    }
    Ok(())
}

#[test]
fn everything_is_told_with_its_code_its_caret_and_what_to_do() {
    let failures: Vec<String> = rows().filter_map(|row| check(row).err()).collect();

    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_code_has_a_row() {
    for code in Code::ALL {
        assert!(
            rows().any(|(found, ..)| found == code),
            "{code:?} has no row"
        );
    }
}

#[test]
fn rendered_diagnostics_fit_eighty_columns() {
    for (code, text, ..) in rows() {
        for line in text.load().render(false).lines() {
            assert!(line.chars().count() <= 80, "{code:?}: {line}");
        }
    }
}
