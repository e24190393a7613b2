//! Puts the children of included files in the place of their `include`.

use std::path::Path;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::keys;
use super::node::{Entry, Node, Value};
use super::reader::Reader;
use super::source::Span;
use crate::nearest::nearest;

impl Reader<'_> {
    /// The children of a list, those of included files among them, in start order.
    pub(super) fn items(&mut self, list: &[Node]) -> Vec<Node> {
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            match item.get("include") {
                Some(entry) => items.extend(self.include(item, entry)),
                None if self.misspelt(item) => {}
                None => items.push(item.clone()),
            }
        }
        items
    }

    /// Whether an item is an `include` with a slip in it, which is then reported.
    fn misspelt(&mut self, item: &Node) -> bool {
        let Value::Map(entries) = &item.value else {
            return false;
        };
        let [entry] = entries.as_slice() else {
            return false;
        };
        let slip = keys::owner(&entry.key.text).is_none()
            && nearest(&entry.key.text, ["include"]).is_some();
        if slip {
            self.unknown_key(entry, entries, &["include"], "a list of children");
        }
        slip
    }

    fn include(&mut self, item: &Node, entry: &Entry) -> Vec<Node> {
        if let Value::Map(entries) = &item.value
            && let Some(other) = entries.iter().find(|other| &*other.key.text != "include")
        {
            self.report(
                Diagnostic::new(Code::BadInclude, "an `include` stands alone")
                    .at(other.key.span, "another key beside it")
                    .related(entry.key.span, "the include")
                    .help("take out this key, or make it a child of its own"),
            );
        }
        if !self.trusted {
            self.report(
                Diagnostic::new(Code::BadInclude, "files cannot be included here")
                    .at(entry.key.span, "only a file can include files")
                    .help("list the children themselves"),
            );
            return Vec::new();
        }
        let Some(path) = self.word(Some(entry)) else {
            return Vec::new();
        };
        let at = entry.node.span;
        let above = self
            .files
            .get(entry.key.span.file)
            .and_then(|file| file.path().parent());
        let path = above.unwrap_or(Path::new("")).join(path);
        match self.open(&path, Some(at)) {
            Some(node) => self.included(&node, at),
            None => Vec::new(),
        }
    }

    /// The children in an included file.
    fn included(&mut self, node: &Node, from: Span) -> Vec<Node> {
        let children = match &node.value {
            Value::Map(entries) if node.get("children").is_some() => {
                for other in entries
                    .iter()
                    .filter(|entry| &*entry.key.text != "children")
                {
                    let help =
                        "take it out; the keys of the supervisor stand in the including file";
                    let message = format!("`{}` cannot stand in an included file", other.key.text);
                    self.report(
                        Diagnostic::new(Code::BadInclude, message)
                            .at(other.key.span, "expected `children` alone")
                            .related(from, "included here")
                            .help(help),
                    );
                }
                node.get("children").map(|entry| &entry.node)
            }
            _ => Some(node),
        };
        match children.map(|children| &children.value) {
            Some(Value::List(items)) => self.items(items),
            Some(Value::Broken) => Vec::new(),
            _ => {
                let message = "an included file must be a list of children";
                self.report(
                    Diagnostic::new(Code::BadInclude, message)
                        .at(node.caret(), format!("found {}", node.describe()))
                        .related(from, "included here")
                        .help("begin each child with `- id:`, at the left edge"),
                );
                Vec::new()
            }
        }
    }
}
