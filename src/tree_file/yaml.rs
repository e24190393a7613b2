//! From text to [`Node`]s: [`parse`]. This file and its folder are the home of `granit_parser`.
//!
//! Promises an end: nesting, the number of values (aliases counted as often as they are used) and
//! the size of the file are bounded, and nothing here calls itself. Faults of the syntax end the
//! file; everything else (duplicate keys, unknown aliases, variables) is reported and reading goes
//! on. Comments and the choice between block and flow style are not kept.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::node::{Entry, Key, Node, Value, shown};
use super::reader::Reader;
use super::source::{FileId, Span};
use super::variables::{self, Expanded};
use super::{mapping, scalar};

mod syntax;
mod traps;

/// The keys below which secrets may stand.
const SETTINGS: [&str; 2] = ["settings", "swap"];

/// Parses a file into its one document. `None` if it is empty, or broken, which is reported.
pub(super) fn parse(reader: &mut Reader<'_>, file: FileId) -> Option<Node> {
    let text = reader.files.text(file);
    let mut builder = Builder {
        text: Arc::clone(&text),
        file,
        reader,
        frames: Vec::new(),
        anchors: HashMap::new(),
        names: Vec::new(),
        root: None,
        documents: 0,
        last_end: 0,
        last_plain: None,
        last_block: None,
    };
    for event in Parser::new_from_str_with_options(&text, options(builder.reader)) {
        let step = match event {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or_default();
                let tag = span.tag_span().and_then(|tag| tag.byte_range());
                let tag = tag.map(|tag| Span {
                    file,
                    start: tag.start,
                    end: tag.end,
                });
                builder.event(
                    event,
                    Span {
                        file,
                        start: range.start,
                        end: range.end,
                    },
                    tag,
                )
            }
            Err(error) => {
                let open = builder.frames.iter().rev().find(|frame| frame.flow);
                let at = syntax::Where {
                    block: builder.last_block,
                    file,
                    after: builder.last_end,
                    open: open.map(|frame| frame.span),
                    plain: builder.last_plain,
                };
                let fault = syntax::fault(&error, &text, &at);
                builder.reader.report(fault);
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
    }
    builder.root
}

/// Where the comments of a text are, up to the first fault of its syntax.
pub(super) fn comments(text: &str) -> Vec<Range<usize>> {
    let with_comments = granit_parser::options! { emit_comments: true };
    let events = Parser::new_from_str_with_options(text, with_comments).map_while(Result::ok);
    let comments = events.filter(|(event, _)| matches!(event, Event::Comment(..)));
    comments.filter_map(|(_, span)| span.byte_range()).collect()
}

fn options(reader: &Reader<'_>) -> Options {
    let depth = reader.sources.limits.depth + 1;
    granit_parser::options! {
        emit_comments: false,
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: depth,
        block_nesting_limit: depth,
    }
}

/// The file is not read any further; why has been reported.
struct Stop;

struct Builder<'r, 'a> {
    text: Arc<str>,
    file: FileId,
    reader: &'r mut Reader<'a>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Measured>,
    names: Vec<String>,
    root: Option<Node>,
    documents: usize,
    /// Where the last event ended.
    last_end: usize,
    /// The last text without quotes.
    last_plain: Option<Span>,
    /// Where the list or mapping of lines that ended last begins.
    last_block: Option<Span>,
}

/// A finished node, how many values it holds and how deep it goes.
#[derive(Clone)]
struct Measured {
    node: Node,
    size: usize,
    height: usize,
}

/// A list or a mapping that is not finished.
struct Frame {
    span: Span,
    flow: bool,
    anchor: usize,
    size: usize,
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<Option<Key>>,
    },
}

impl Builder<'_, '_> {
    fn event(&mut self, event: Event<'_>, span: Span, tag_span: Option<Span>) -> Result<(), Stop> {
        let before = self.last_end;
        self.last_end = span.end.max(before);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.second_document(before, span)
                } else {
                    Ok(())
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                // Only values count: there are no more keys than values.
                self.count(usize::from(!self.at_key()), 0, span)?;
                let node = self.scalar(&text, style, span, tag.as_deref(), tag_span);
                self.done(
                    Measured {
                        node,
                        size: 1,
                        height: 0,
                    },
                    anchor,
                );
                Ok(())
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", tag_span.unwrap_or(span));
                self.begin(Content::List(Vec::new()), span, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", tag_span.unwrap_or(span));
                self.begin(
                    Content::Map {
                        entries: Vec::new(),
                        key: None,
                    },
                    span,
                    anchor,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(span);
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                self.unknown_alias(&name, span);
                self.done(
                    Measured {
                        node: Node::broken(span),
                        size: 1,
                        height: 0,
                    },
                    0,
                );
                Ok(())
            }
            Event::Anchor(_, name) => {
                self.names.push(name.into_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn second_document(&mut self, after: usize, span: Span) -> Result<(), Stop> {
        let marker = self.text.get(after..).and_then(|rest| rest.find("---"));
        let at = marker.map(|at| after + at).filter(|at| *at <= span.start);
        let span = at.map_or(span, |at| Span {
            file: self.file,
            start: at,
            end: at + 3,
        });
        self.reader.report(
            Diagnostic::new(Code::SeveralDocuments, "a second YAML document begins here")
                .at(span, "the first document ends before this line")
                .help("put it into a file of its own, or take out the line"),
        );
        Err(Stop)
    }

    /// Takes `size` values off the budget and checks that `height` more levels are allowed.
    fn count(&mut self, size: usize, height: usize, span: Span) -> Result<(), Stop> {
        let limits = &self.reader.sources.limits;
        if self.reader.depth + self.frames.len() + height > limits.depth {
            let message = format!(
                "lists and mappings are nested more than {} deep",
                limits.depth
            );
            self.reader.report(
                Diagnostic::new(Code::TooDeep, message)
                    .at(span, "one level too many")
                    .help("use fewer levels of supervisors, or flatter settings"),
            );
            return Err(Stop);
        }
        if size > self.reader.nodes_left {
            let message = format!("there are more than {} values", limits.nodes);
            self.reader.report(
                Diagnostic::new(Code::TooManyNodes, message)
                    .at(span, "this is where they become too many")
                    .note("what an alias stands for counts each time it is used")
                    .help("make the tree smaller, or run it as two kernels"),
            );
            return Err(Stop);
        }
        self.reader.nodes_left -= size;
        Ok(())
    }

    fn begin(&mut self, content: Content, span: Span, anchor: usize) -> Result<(), Stop> {
        self.count(1, 1, span)?;
        let flow = span.end > span.start;
        self.frames.push(Frame {
            span,
            flow,
            anchor,
            size: 1,
            height: 1,
            content,
        });
        Ok(())
    }

    fn end(&mut self, end: Span) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let span = Span {
            end: if frame.flow { end.end } else { frame.span.end },
            ..frame.span
        };
        if !frame.flow {
            self.last_block = Some(frame.span);
        }
        let value = match frame.content {
            Content::List(items) => Value::List(items.into()),
            Content::Map { entries, .. } => {
                Value::Map(mapping::finish(self.reader, entries).into())
            }
        };
        let node = Node { span, value };
        self.done(
            Measured {
                node,
                size: frame.size,
                height: frame.height,
            },
            frame.anchor,
        );
    }

    /// Puts a finished node where it belongs.
    fn done(&mut self, measured: Measured, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, measured.clone());
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(measured.node);
            return;
        };
        frame.size += measured.size;
        frame.height = frame.height.max(measured.height + 1);
        match &mut frame.content {
            Content::List(items) => items.push(measured.node),
            Content::Map { entries, key } => match key.take() {
                Some(Some(key)) => entries.push(Entry {
                    key,
                    node: measured.node,
                }),
                Some(None) => {}
                None => {
                    let made = mapping::key(&measured.node);
                    let broken = made.is_none() && !matches!(measured.node.value, Value::Broken);
                    *key = Some(made);
                    if broken {
                        self.reader.report(mapping::complex_key(&measured.node));
                    }
                }
            },
        }
    }

    /// Whether the next node is a key of a mapping.
    fn at_key(&self) -> bool {
        let content = self.frames.last().map(|frame| &frame.content);
        matches!(content, Some(Content::Map { key: None, .. }))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        span: Span,
        tag: Option<&Tag>,
        tag_span: Option<Span>,
    ) -> Node {
        let plain = style == ScalarStyle::Plain;
        self.last_plain = plain.then_some(span);
        if self.at_key() {
            if plain && span.is_empty() {
                let value = Value::Null;
                return Node { span, value };
            }
            return Node {
                span,
                value: scalar::text_value(text, plain),
            };
        }
        if plain {
            let source = self.text.get(span.start..span.end).unwrap_or_default();
            let found = [
                traps::stray_quote(text, span),
                traps::swallowed_item(source, span),
            ];
            for warning in found.into_iter().flatten() {
                self.reader.report(warning);
            }
        }
        let text = match self.expanded(text, span) {
            Some(Expanded::Text(text)) => text,
            Some(Expanded::Secret(text)) => {
                self.check_tag(tag, "str", tag_span.unwrap_or(span));
                let value = Value::Secret(text.into());
                return Node { span, value };
            }
            None => return Node::broken(span),
        };
        let value = match tag.map(tag_name) {
            Some("str" | "") => scalar::text_value(&text, false),
            None if !plain => scalar::text_value(&text, false),
            _ => scalar::resolve(&text),
        };
        let name = match &value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            _ => "str",
        };
        self.check_tag(tag, name, tag_span.unwrap_or(span));
        Node { span, value }
    }

    /// The text with its variables filled in; `None` if something is wrong with one.
    fn expanded(&mut self, text: &str, span: Span) -> Option<Expanded> {
        if !self.reader.trusted || !text.contains("${") {
            return Some(Expanded::Text(text.to_owned()));
        }
        let room = self.reader.expansion_left;
        let env = self.reader.sources.env;
        let problems = match variables::expand(text, env, room, self.is_in_settings()) {
            Ok(expanded) => {
                let (Expanded::Text(text) | Expanded::Secret(text)) = &expanded;
                self.reader.expansion_left = room.saturating_sub(text.len());
                return Some(expanded);
            }
            Err(problems) => problems,
        };
        for (range, problem) in problems {
            let expression = text.get(range).unwrap_or_default();
            let at = self.reader.within(span, expression);
            self.reader.report(variable_fault(&problem, expression, at));
        }
        None
    }

    /// Whether what is read belongs to settings.
    fn is_in_settings(&self) -> bool {
        self.frames.iter().any(|frame| match &frame.content {
            Content::Map {
                key: Some(Some(key)),
                ..
            } => SETTINGS.contains(&&*key.text),
            _ => false,
        })
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(mut measured) = self.anchors.get(&anchor).cloned() else {
            let name = self.text.get(span.start..span.end).unwrap_or_default();
            self.reader.report(
                Diagnostic::new(
                    Code::UnknownAlias,
                    format!("`{}` contains itself", shown(name)),
                )
                .at(span, "its anchor is not finished here")
                .help("write out what it should stand for"),
            );
            self.done(
                Measured {
                    node: Node::broken(span),
                    size: 1,
                    height: 0,
                },
                0,
            );
            return Ok(());
        };
        self.count(measured.size, measured.height, span)?;
        // What is wrong with the value as such is shown where it is used.
        measured.node.span = span;
        self.done(measured, 0);
        Ok(())
    }

    fn unknown_alias(&mut self, name: &str, span: Span) {
        let fault = Diagnostic::new(
            Code::UnknownAlias,
            format!("unknown alias `{}`", shown(name)),
        )
        .at(span, "no anchor of this name stands before it");
        let meant = self
            .reader
            .suggest(name, self.names.iter().map(String::as_str));
        let help = match meant {
            Some(near) => format!("did you mean `*{}`?", shown(near.word)),
            None => format!(
                "put `&{0}` before the value that `*{0}` stands for",
                shown(name)
            ),
        };
        let fix = meant.filter(|near| near.sure).and_then(|near| {
            let written = format!("*{name}");
            self.reader
                .rewrite(span, &written, format!("*{}", near.word))
        });
        self.reader.report(fault.help(help).fix(fix));
    }

    /// Reports a tag that is not known, or is another than `name`, the tag of what was found.
    fn check_tag(&mut self, tag: Option<&Tag>, name: &str, span: Span) {
        let Some(tag) = tag else { return };
        let found = tag_name(tag);
        let source = shown(self.reader.files.slice(span));
        let fault = |message: String, label: &str| {
            Diagnostic::new(Code::UnknownTag, message)
                .at(span, label)
                .help("take out the tag: values have the type that they look like")
        };
        if !matches!(
            found,
            "str" | "" | "int" | "float" | "bool" | "null" | "seq" | "map"
        ) {
            self.reader.report(fault(
                format!("unknown tag `{source}`"),
                "only YAML's own are known",
            ));
        } else if found != name && !found.is_empty() {
            let message = format!("the tag `{source}` does not fit its value");
            let is = match name {
                "seq" => "a list",
                "map" => "a mapping",
                "null" => "nothing",
                "bool" => "a boolean",
                "int" => "an integer",
                "float" => "a number",
                _ => "a text",
            };
            self.reader
                .report(fault(message, &format!("the value is {is}")));
        }
    }
}

/// The name of a tag of YAML's own; empty for `!`; `?` for any other.
fn tag_name(tag: &Tag) -> &str {
    match (tag.handle(), tag.suffix()) {
        ("tag:yaml.org,2002:", suffix) => suffix,
        ("!", "") | ("", "!") => "",
        _ => "?",
    }
}

fn variable_fault(problem: &variables::Problem, source: &str, span: Span) -> Diagnostic {
    let expression = shown(source);
    match problem {
        variables::Problem::Unset(name) => {
            let name = shown(name);
            Diagnostic::new(Code::VariableUnset, format!("the variable `{name}` is not set"))
                .at(span, "and it has no default")
                .help(format!(
                    "set it, give it a default: `${{{name}:-default}}`, or write `$${{` for a plain `${{`"
                ))
        }
        variables::Problem::SecretPlace => Diagnostic::new(
            Code::SecretPlace,
            format!("the secret `{expression}` stands outside of settings"),
        )
        .at(span, "this is shown and kept, and would not be secret")
        .help("use a secret in the `settings` of a worker only, and a variable of the environment here: `${NAME}`"),
        variables::Problem::SecretName => super::secrets::bad_name(source, span),
        variables::Problem::Form(why) => Diagnostic::new(
            Code::VariableForm,
            format!("`{expression}` is not a variable"),
        )
        .at(span, *why)
        .help("write `${NAME}` or `${NAME:-default}`, or `$${` for a plain `${`"),
    }
}
