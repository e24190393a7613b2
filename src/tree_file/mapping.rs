//! Keys of mappings: what can be one, which stand twice, and what `<<` brings in.

use std::collections::HashSet;
use std::rc::Rc;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::node::{Entry, Key, Node, Value, shown};
use super::reader::Reader;

/// The key that a node is; `None` if it is none.
pub(super) fn key(node: &Node) -> Option<Key> {
    let (text, plain): (Rc<str>, bool) = match &node.value {
        Value::Text { text, plain } => (Rc::clone(text), *plain),
        Value::Int(value) => (value.to_string().into(), false),
        Value::Bool(value) => (value.to_string().into(), false),
        _ => return None,
    };
    let merges = plain && &*text == "<<";
    Some(Key {
        span: node.span,
        text,
        merges,
    })
}

/// The fault of a node that cannot be a key.
pub(super) fn complex_key(node: &Node) -> Diagnostic {
    if matches!(node.value, Value::Null) {
        return Diagnostic::new(Code::ComplexKey, "a colon has no key before it")
            .at(node.span, "expected a key")
            .help("write the key, or take out the line");
    }
    Diagnostic::new(
        Code::ComplexKey,
        format!("{} cannot be a key", node.describe()),
    )
    .at(node.caret(), "expected a text")
    .help("write a text before the colon")
}

/// Ends a mapping: reports duplicate keys, keeps the first of each, and merges.
pub(super) fn finish(reader: &mut Reader<'_>, mut entries: Vec<Entry>) -> Vec<Entry> {
    drop_duplicates(reader, &mut entries);
    if !entries.iter().any(|entry| entry.key.merges) {
        return entries;
    }
    let (merges, mut kept): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.key.merges);
    let mut seen: HashSet<Rc<str>> = kept
        .iter()
        .map(|entry| Rc::clone(&entry.key.text))
        .collect();
    for merge in merges {
        let sources = match &merge.node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&merge.node),
        };
        for source in sources {
            match &source.value {
                Value::Map(brought) => kept.extend(
                    brought
                        .iter()
                        .filter(|entry| seen.insert(Rc::clone(&entry.key.text)))
                        .cloned(),
                ),
                Value::Broken => {}
                _ => reader.report(
                    Diagnostic::new(
                        Code::BadMerge,
                        format!("`<<` cannot merge {}", source.describe()),
                    )
                    .at(source.caret(), "expected a mapping")
                    .help("name the anchor of a mapping, as in `<<: *common`, or a list of them"),
                ),
            }
        }
    }
    kept
}

fn drop_duplicates(reader: &mut Reader<'_>, entries: &mut Vec<Entry>) {
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by(|a, b| a.key.text.cmp(&b.key.text));
    let mut first: Option<&Key> = None;
    let mut again = HashSet::new();
    for entry in order {
        match first.filter(|first| first.text == entry.key.text) {
            Some(first) => {
                again.insert(entry.key.span);
                let message = format!("the key `{}` stands twice", shown(&entry.key.text));
                reader.report(
                    Diagnostic::new(Code::DuplicateKey, message)
                        .at(entry.key.span, "here again")
                        .related(first.span, "first here")
                        .help("keep one of them"),
                );
            }
            None => first = Some(&entry.key),
        }
    }
    if !again.is_empty() {
        entries.retain(|entry| !again.contains(&entry.key.span));
    }
}
