//! A YAML text as an editor needs it: what it holds, and where each value begins and ends. [`Layout::of`].
//!
//! Any mapping or list, no tree file in particular; variables stay as they are written.

use std::io;
use std::ops::Range;
use std::path::Path;

use serde_json::Value as Json;

use super::node::{Entry, Node, Value};
use super::reader::Reader;
use super::{KindCheck, Limits, PathStep, SettingsFault, Sources, yaml};

/// What a text holds and where.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Its one value; `None` if there are but comments.
    pub(crate) root: Option<Item>,
    /// What that means; null if there is none.
    pub(crate) value: Json,
    /// Where its comments are.
    pub(crate) comments: Vec<Range<usize>>,
}

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Item {
    /// From its first byte to its last one, anchor and tag left out.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) what: What,
}

/// What an item is.
#[derive(Debug)]
pub(crate) enum What {
    /// Nothing, perhaps not even written.
    Null,
    /// A text, a number or a boolean.
    Scalar,
    /// A list.
    List(Vec<Item>),
    /// A mapping.
    Map {
        /// Whether it is written in `{ }`.
        flow: bool,
        /// Its own keys, not those that `<<` brings.
        entries: Vec<Member>,
    },
    /// Another name of a value that stands elsewhere.
    Alias,
}

/// A key of a mapping, and its value.
#[derive(Debug)]
pub(crate) struct Member {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) at: Range<usize>,
    /// Where its colon ends, if that stands beside it.
    pub(crate) colon: Option<usize>,
    /// Whether there is an anchor or a tag before the value.
    pub(crate) is_marked: bool,
    /// The value.
    pub(crate) item: Item,
}

struct NoKinds;

impl KindCheck for NoKinds {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn check(&self, _: &str, _: &Json) -> Result<(), Vec<SettingsFault>> {
        Ok(())
    }
}

impl Layout {
    /// Reads a text.
    ///
    /// # Errors
    /// Its first fault, with its line.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let sources = Sources {
            read: &|_, _| Err(io::Error::from(io::ErrorKind::Unsupported)),
            env: &|_| None,
            kinds: &NoKinds,
            limits: Limits::default(),
        };
        if text.len() > sources.limits.file_bytes {
            return Err(format!(
                "it has more than {} bytes",
                sources.limits.file_bytes
            ));
        }
        let mut reader = Reader::new(&sources, false);
        let file = reader.files.add(Path::new(""), text, None);
        let node = yaml::parse(&mut reader, file);
        let value = match &node {
            Some(node) => reader.json(node),
            None => Some(Json::Null),
        };
        if let (Some(value), 0) = (value, reader.faults()) {
            let comments = yaml::comments(text);
            let walk = Walk {
                text,
                comments: &comments,
            };
            let root = node.map(|node| walk.item(&node, 0));
            return Ok(Self {
                root,
                value,
                comments,
            });
        }
        let (_, diagnostics, files) = reader.finish(None::<()>);
        let fault = diagnostics.iter().find(|found| !found.code.is_warning());
        Err(fault.map_or_else(
            || "it cannot be read".to_owned(),
            |fault| {
                let place = fault.primary.as_ref().map(|label| label.span);
                let line = place.map(|span| files.position(span.file, span.start).line);
                format!("line {}: {}", line.unwrap_or(1), fault.in_one_line())
            },
        ))
    }

    /// The item at the end of steps.
    pub(crate) fn at(&self, steps: &[PathStep]) -> Option<&Item> {
        let root = self.root.as_ref()?;
        steps
            .iter()
            .try_fold(root, |item, step| match (&item.what, step) {
                (What::List(items), PathStep::Index(index)) => items.get(*index),
                (What::Map { entries, .. }, PathStep::Key(key)) => {
                    let mut entries = entries.iter();
                    let entry = entries.find(|entry| entry.key == *key)?;
                    Some(&entry.item)
                }
                _ => None,
            })
    }

    /// The steps to the list item that begins at a byte.
    pub(crate) fn steps_to(&self, start: usize) -> Option<Vec<PathStep>> {
        let mut steps = Vec::new();
        steps_to(self.root.as_ref()?, start, &mut steps).then_some(steps)
    }
}

fn steps_to(item: &Item, start: usize, steps: &mut Vec<PathStep>) -> bool {
    match &item.what {
        What::List(items) => items.iter().enumerate().any(|(index, item)| {
            steps.push(PathStep::Index(index));
            let is_there = matches!(item.what, What::Map { .. } | What::Alias)
                && item.span.start == start
                || steps_to(item, start, steps);
            if !is_there {
                steps.pop();
            }
            is_there
        }),
        What::Map { entries, .. } => entries.iter().any(|entry| {
            steps.push(PathStep::Key(entry.key.clone()));
            let is_there = steps_to(&entry.item, start, steps);
            if !is_there {
                steps.pop();
            }
            is_there
        }),
        _ => false,
    }
}

struct Walk<'a> {
    text: &'a str,
    comments: &'a [Range<usize>],
}

impl Walk<'_> {
    /// The item that a node is; one that is not written stands at `otherwise`.
    fn item(&self, node: &Node, otherwise: usize) -> Item {
        let span = node.span.start..node.span.end;
        if self.slice(&span).starts_with('*') {
            let what = What::Alias;
            return Item { span, what };
        }
        let flow = !span.is_empty();
        match &node.value {
            Value::Null if span.is_empty() => Item {
                span: otherwise..otherwise,
                what: What::Null,
            },
            Value::Null => Item {
                span,
                what: What::Null,
            },
            Value::List(items) => {
                let items: Vec<Item> = items
                    .iter()
                    .map(|item| self.item(item, item.span.start))
                    .collect();
                let end = items.last().map_or(span.end, |item| item.span.end);
                let span = span.start..span.end.max(end);
                let what = What::List(items);
                Item { span, what }
            }
            Value::Map(entries) => {
                // What `<<` brings stands before: no alias stands before its anchor.
                let own = entries
                    .iter()
                    .filter(|entry| entry.key.span.start >= span.start);
                let entries: Vec<Member> = own.map(|entry| self.member(entry)).collect();
                let end = entries.iter().map(|entry| entry.item.span.end).max();
                let span = span.start..span.end.max(end.unwrap_or_default());
                let what = What::Map { flow, entries };
                Item { span, what }
            }
            _ => {
                // The reading of lines of text ends with the indentation of what follows.
                let written = self.slice(&span);
                let lines = written.rfind('\n').map_or(0, |at| at + 1);
                let is_over = lines > 0
                    && written
                        .get(lines..)
                        .is_some_and(|rest| rest.trim().is_empty());
                let end = if is_over {
                    span.start + lines
                } else {
                    span.end
                };
                Item {
                    span: span.start..end,
                    what: What::Scalar,
                }
            }
        }
    }

    fn member(&self, entry: &Entry) -> Member {
        let at = entry.key.span.start..entry.key.span.end;
        let rest = self.text.get(at.end..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let has_colon = rest.get(blanks..).is_some_and(|rest| rest.starts_with(':'));
        let colon = has_colon.then_some(at.end + blanks + 1);
        let mut item = self.item(&entry.node, colon.unwrap_or(at.end));
        let between = colon.unwrap_or(at.end)..item.span.start;
        let mark = self.mark(between.clone());
        // The reading leaves out how the lines of a text are announced, and the first dash of some lists.
        let begins: &[char] = match item.what {
            What::Scalar => &['|', '>'],
            What::List(_) => &['-'],
            _ => &[],
        };
        let begins = mark.filter(|mark| self.slice(&(*mark..between.end)).starts_with(begins));
        item.span.start = begins.unwrap_or(item.span.start);
        Member {
            key: entry.key.text.to_string(),
            is_marked: mark.is_some() && begins.is_none(),
            at,
            colon,
            item,
        }
    }

    /// Where there is something that is neither a blank nor a comment.
    fn mark(&self, between: Range<usize>) -> Option<usize> {
        let mut at = between.start;
        while at < between.end {
            if let Some(comment) = self.comments.iter().find(|comment| comment.start == at) {
                at = comment.end;
                continue;
            }
            let next = self.slice(&(at..between.end)).chars().next()?;
            if !next.is_whitespace() {
                return Some(at);
            }
            at += next.len_utf8();
        }
        None
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}
