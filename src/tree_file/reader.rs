//! What every part of the reading shares: the files, the limits, and what was found: [`Reader`].

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::codes::Code;
use super::diagnostic::{Diagnostic, Fix};
use super::node::{Node, Value, harmless};
use super::source::{FileId, SourceFiles, Span};
use super::{Checked, Sources, yaml};
use crate::nearest::{Near, near};

/// After this many diagnostics nobody reads suggestions, and looking for them takes time.
const SUGGESTIONS_MAX: usize = 200;

/// The state of one reading.
pub(crate) struct Reader<'a> {
    pub(super) sources: &'a Sources<'a>,
    /// The names of all kinds.
    pub(crate) kinds: Vec<String>,
    /// Whether variables are filled in and files included: not in what comes over the wire.
    pub(super) trusted: bool,
    /// How many values may still be read.
    pub(super) nodes_left: usize,
    /// How many bytes texts with variables may still have: one more file's worth.
    pub(super) expansion_left: usize,
    /// How deep in the tree the lowering is, in nested lists and mappings.
    pub(super) depth: usize,
    pub(super) files: SourceFiles,
    /// The name of the node whose tree it is, if that is known.
    pub(super) node: Option<String>,
    /// Whether the child that is being lowered lives on another node.
    pub(super) is_elsewhere: bool,
    /// Ids and the supervisor that the first child of that id is under.
    pub(super) homes: HashMap<String, String>,
    opened: usize,
    faults: usize,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sources: &'a Sources<'a>, trusted: bool) -> Self {
        Self {
            sources,
            kinds: sources.kinds.names(),
            trusted,
            nodes_left: sources.limits.nodes,
            expansion_left: sources.limits.file_bytes,
            depth: 0,
            files: SourceFiles::default(),
            node: None,
            is_elsewhere: false,
            homes: HashMap::new(),
            opened: 0,
            faults: 0,
            diagnostics: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.faults += usize::from(!diagnostic.code.is_warning());
        self.diagnostics.push(diagnostic);
    }

    /// How much was told so far, for [`retell`](Self::retell).
    pub(crate) fn told(&self) -> usize {
        self.diagnostics.len()
    }

    /// Tells what was told since then in other words; what `keep` refuses was never told.
    pub(crate) fn retell(&mut self, since: usize, mut keep: impl FnMut(&mut Diagnostic) -> bool) {
        let mut later = self.diagnostics.split_off(since);
        self.faults -= later.iter().filter(|told| !told.code.is_warning()).count();
        later.retain_mut(&mut keep);
        later.into_iter().for_each(|told| self.report(told));
    }

    /// How many faults there are so far.
    pub(super) fn faults(&self) -> usize {
        self.faults
    }

    /// The place of `expression` within `span`, all of it if it is not written there as it is.
    pub(super) fn within(&self, span: Span, expression: &str) -> Span {
        let found = self.files.slice(span).find(expression);
        found.map_or(span, |at| Span {
            file: span.file,
            start: span.start + at,
            end: span.start + at + expression.len(),
        })
    }

    /// The candidate that was probably meant.
    pub(super) fn suggest<'c>(
        &self,
        word: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<Near<'c>> {
        if self.suggests() {
            near(word, candidates)
        } else {
            None
        }
    }

    /// Puts the near word in the place of the one that was `written`, if it is sure.
    pub(crate) fn respell(&self, span: Span, written: &str, near: Near<'_>) -> Option<Fix> {
        let source = self.files.slice(span);
        let bare = source.trim_matches(['"', '\'']);
        if !near.sure || bare != written {
            // It comes from an alias or a variable, or has escapes: its place is elsewhere.
            return None;
        }
        Some(Fix {
            span,
            replacement: source.replacen(bare, near.word, 1),
        })
    }

    /// Puts `value` in the place of the one that was `written`, quotes included.
    pub(super) fn rewrite(&self, span: Span, written: &str, value: String) -> Option<Fix> {
        let source = self.files.slice(span);
        (source.trim_matches(['"', '\'']) == written && !written.is_empty()).then_some(Fix {
            span,
            replacement: value,
        })
    }

    /// Whether suggestions are still looked for.
    pub(super) fn suggests(&self) -> bool {
        self.diagnostics.len() < SUGGESTIONS_MAX
    }

    /// Ends the reading: what was found, in the order of the files, once each.
    pub(super) fn finish<T>(self, tree: Option<T>) -> (Option<T>, Vec<Diagnostic>, SourceFiles) {
        let mut diagnostics = self.diagnostics;
        let first = self.files.first_readings();
        for span in diagnostics.iter_mut().flat_map(Diagnostic::spans) {
            span.file = first.get(&span.file).copied().unwrap_or(span.file);
        }
        diagnostics.sort_by_key(|diagnostic| diagnostic.primary.as_ref().map(|label| label.span));
        // What is wrong in a file that is included twice was found twice, each time by another way.
        let mut told = HashSet::new();
        diagnostics.retain(|found| {
            let place = found.primary.as_ref().map(|label| label.span);
            told.insert((found.code, place, found.message.clone(), found.help.clone()))
        });
        (tree.filter(|_| self.faults == 0), diagnostics, self.files)
    }

    /// Ends the reading of what has no more to say than its faults.
    pub(crate) fn checked<T>(self, tree: Option<T>) -> Checked<T> {
        let (tree, diagnostics, files) = self.finish(tree);
        Checked {
            tree,
            diagnostics,
            files,
        }
    }

    /// Reads and parses a file; `from` is the include that names it.
    pub(crate) fn open(&mut self, path: &Path, from: Option<Span>) -> Option<Node> {
        if !self.may_open(path, from) {
            return None;
        }
        let limit = self.sources.limits.file_bytes;
        match (self.sources.read)(path, limit + 1) {
            Ok(bytes) if bytes.len() > limit => self.report(placed(too_large(path, limit), from)),
            Ok(bytes) => return self.decode(path, &bytes, from),
            Err(error) => self.report(placed(unreadable(path, &error, from.is_some()), from)),
        }
        None
    }

    /// Parses a text that was read elsewhere.
    pub(crate) fn text(&mut self, path: &Path, text: &str) -> Option<Node> {
        let limit = self.sources.limits.file_bytes;
        if text.len() > limit {
            self.report(too_large(path, limit));
            return None;
        }
        self.opened += 1;
        self.parse(path, text, None)
    }

    fn decode(&mut self, path: &Path, bytes: &[u8], from: Option<Span>) -> Option<Node> {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) => return self.parse(path, text, from),
            Err(error) => error,
        };
        let offset = error.valid_up_to();
        let byte = bytes.get(offset).copied().unwrap_or_default();
        let file = self.files.add(path, &String::from_utf8_lossy(bytes), from);
        let help = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16: save it as UTF-8",
            _ => "save it as UTF-8",
        };
        let span = Span {
            file,
            start: offset,
            end: offset + '\u{fffd}'.len_utf8(),
        };
        let message = format!("{} is not UTF-8", shown_path(path));
        let label = format!("the byte 0x{byte:02x} at offset {offset} cannot stand here");
        self.report(
            Diagnostic::new(Code::NotUtf8, message)
                .at(span, label)
                .help(help),
        );
        None
    }

    fn parse(&mut self, path: &Path, text: &str, from: Option<Span>) -> Option<Node> {
        let file = self.files.add(path, text, from);
        let faults = self.diagnostics.len();
        let node = yaml::parse(self, file);
        if self.diagnostics.len() > faults && node.is_none() {
            return None;
        }
        let node = node.filter(|node| !matches!(node.value, Value::Null));
        if node.is_none() {
            let message = format!("{} is empty", shown_path(path));
            let help = match from {
                Some(_) => "write a list of children, or `[]` for none",
                None => "begin with `version: 1` and `tree:`",
            };
            self.report(placed(
                Diagnostic::new(Code::Empty, message).help(help),
                from,
            ));
        }
        node
    }

    /// Whether the limits allow one more file.
    fn may_open(&mut self, path: &Path, from: Option<Span>) -> bool {
        let limits = &self.sources.limits;
        let chain: Vec<PathBuf> = from.map_or_else(Vec::new, |from| self.chain(from.file));
        let refusal = if chain.contains(&plain(path)) {
            let message = format!("{} includes itself", shown_path(path));
            let links = chain.iter().rev().skip_while(|link| **link != plain(path));
            let circle: String = links
                .map(|link| format!("{} -> ", shown_path(link)))
                .collect();
            Diagnostic::new(Code::IncludeCycle, message)
                .note(format!("the circle: {circle}{}", shown_path(&plain(path))))
                .help("take out one of the includes that form the circle")
        } else if chain.len() > limits.include_depth {
            let message = format!(
                "includes are nested more than {} deep",
                limits.include_depth
            );
            Diagnostic::new(Code::IncludeTooDeep, message)
                .help("move the children into a file further up")
        } else if self.opened > limits.files {
            if self.opened > limits.files + 1 {
                return false;
            }
            // Once is enough: whatever is mended about it, the others go with it.
            self.opened += 1;
            let message = format!("more than {} files are included", limits.files);
            Diagnostic::new(Code::TooManyFiles, message).help("join some of the included files")
        } else {
            self.opened += 1;
            return true;
        };
        self.report(placed(refusal, from));
        false
    }

    /// The paths that lead to a file, itself first.
    fn chain(&self, file: FileId) -> Vec<PathBuf> {
        self.files
            .ancestors(file)
            .map(|file| plain(file.path()))
            .collect()
    }
}

/// A path for messages.
pub(super) fn shown_path(path: &Path) -> String {
    harmless(&path.display().to_string()).collect()
}

/// A path without `.` and with every `..` taken back, by its letters alone.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        let back = matches!(plain.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if back => {
                plain.pop();
            }
            other => plain.push(other),
        }
        plain
    })
}

fn placed(diagnostic: Diagnostic, from: Option<Span>) -> Diagnostic {
    match from {
        Some(span) => diagnostic.at(span, "included here"),
        None => diagnostic,
    }
}

fn too_large(path: &Path, limit: usize) -> Diagnostic {
    let message = format!("{} is larger than {limit} bytes", shown_path(path));
    Diagnostic::new(Code::TooLarge, message)
        .help("split it: a list of children can stand in a file of its own, see `include`")
}

fn unreadable(path: &Path, error: &io::Error, included: bool) -> Diagnostic {
    let path = shown_path(path);
    match error.kind() {
        io::ErrorKind::NotFound => Diagnostic::new(Code::Missing, format!("{path} does not exist"))
            .help(if included {
                "check the spelling; the path begins at the folder of the including file"
            } else {
                "check the spelling, and the folder that the command runs in"
            }),
        io::ErrorKind::IsADirectory => {
            Diagnostic::new(Code::Folder, format!("{path} is a folder")).help("name a file in it")
        }
        io::ErrorKind::PermissionDenied => Diagnostic::new(
            Code::Unreadable,
            format!("{path} cannot be read: permission denied"),
        )
        .help("let the user that runs this command read it"),
        _ => Diagnostic::new(Code::Unreadable, format!("{path} cannot be read: {error}"))
            .help("check that the path is a readable file"),
    }
}
