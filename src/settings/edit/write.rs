//! What to write where: the edits that set a key or take it out.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{Document, Edit, EditError};
use crate::tree_file::PathStep;
use crate::tree_file::effective::{self, json_text, quoted, quoted_key};
use crate::tree_file::layout::{Item, Member, What};

impl Document<'_> {
    /// The edits that set a key, which is not what it should be.
    pub(super) fn set(
        &self,
        steps: &[PathStep],
        key: &[&str],
        value: &Value,
    ) -> Result<Vec<Edit>, EditError> {
        let Some((first, rest)) = key.split_first() else {
            return Err(self.by_hand(0, "there is no key to set"));
        };
        let Some(mut map) = self.layout.at(steps) else {
            return self.set_in_nothing(key, value);
        };
        let (mut key, mut rest) = (*first, rest);
        loop {
            let entry = match &map.what {
                What::Map { .. } => self.entry(map, key),
                What::Null if map.span.is_empty() => {
                    return self.set_in_nothing(&whole(key, rest), value);
                }
                _ => return Err(self.by_hand(map.span.start, "there is no mapping here")),
            };
            let Some(entry) = entry else {
                return self.insert(map, &whole(key, rest), value);
            };
            let Some((next, others)) = rest.split_first() else {
                return self.replace(entry, value);
            };
            match &entry.item.what {
                What::Map { .. } => map = &entry.item,
                What::Null => return self.fill(map, entry, rest, value),
                What::Alias => return Err(self.alias(entry)),
                _ => {
                    let line = self.line(entry.at.start);
                    let key = key.to_owned();
                    return Err(EditError::NotMapping { key, line });
                }
            }
            (key, rest) = (next, others);
        }
    }

    fn alias(&self, entry: &Member) -> EditError {
        let why = format!("`{}` is an alias of what stands elsewhere", entry.key);
        self.by_hand(entry.at.start, &why)
    }

    /// In a text that has nothing but comments.
    fn set_in_nothing(&self, key: &[&str], value: &Value) -> Result<Vec<Edit>, EditError> {
        let first = key.first().copied().unwrap_or_default();
        let all = 0..self.text.len();
        let place = self.commented_out(all, first, Some(0));
        let at = place.map_or(self.text.len(), |(at, _)| at);
        let lines = self.as_line(at, &self.lines(key, value, 0));
        Ok(vec![(at..at, lines)])
    }

    /// Another value for a key.
    fn replace(&self, entry: &Member, value: &Value) -> Result<Vec<Edit>, EditError> {
        let (Some(colon), item) = (entry.colon, &entry.item) else {
            return Err(self.no_colon(entry));
        };
        if let What::Alias = item.what {
            return Err(self.alias(entry));
        }
        if entry.is_marked {
            let why = format!("`{}` has an anchor or a tag", entry.key);
            return Err(self.by_hand(entry.at.start, &why));
        }
        let written = self.slice(&item.span);
        let text = self.value_like(written, value);
        Ok(vec![match &item.what {
            _ if item.span.is_empty() => (colon..colon, format!(" {text}")),
            What::Map { flow: false, .. } | What::List(_) if !written.starts_with(['[', '{']) => {
                let end = item.span.start + written.trim_end().len();
                (colon..end, format!(" {text}"))
            }
            _ => {
                let end = item.span.start + written.trim_end().len();
                (item.span.start..end, text)
            }
        }])
    }

    fn no_colon(&self, entry: &Member) -> EditError {
        let why = format!("`{}` has no colon beside it", entry.key);
        self.by_hand(entry.at.start, &why)
    }

    /// A mapping for a key that has nothing.
    fn fill(
        &self,
        map: &Item,
        entry: &Member,
        key: &[&str],
        value: &Value,
    ) -> Result<Vec<Edit>, EditError> {
        let is_block = matches!(map.what, What::Map { flow: false, .. });
        let (Some(colon), Some(first)) = (entry.colon, key.first()) else {
            return Err(self.no_colon(entry));
        };
        if !is_block || !entry.item.span.is_empty() || entry.is_marked {
            return self.replace(entry, &nested(key, value));
        }
        let below = self.next_line(colon);
        let place = self.commented_out(below..self.comments_end(colon), first, None);
        let own = self.column(entry.at.start);
        let place = place.filter(|(_, column)| *column > own);
        let (at, column) = place.unwrap_or((below, own + 2));
        let lines = self.as_line(at, &self.lines(key, value, column));
        Ok(vec![(at..at, lines)])
    }

    /// A new key in a mapping.
    fn insert(&self, map: &Item, key: &[&str], value: &Value) -> Result<Vec<Edit>, EditError> {
        let What::Map { flow, entries } = &map.what else {
            return Err(self.by_hand(map.span.start, "there is no mapping here"));
        };
        if *flow {
            return Ok(self.insert_in_flow(map, entries, key, value));
        }
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            let why = "all keys of the mapping come from elsewhere";
            return Err(self.by_hand(map.span.start, why));
        };
        let column = self.column(first.at.start);
        let name = key.first().copied().unwrap_or_default();
        // Settings belong to their kind.
        let kind = entries.iter().find(|entry| entry.key == "kind");
        let after = kind.filter(|_| name == "settings").unwrap_or(last);
        let end = self.next_line(after.item.span.end.max(after.at.end));
        let region = map.span.start..self.comments_end(map.span.end);
        let commented = self.commented_out(region, name, Some(column));
        let at = commented.map_or(end, |(at, _)| at);
        let lines = self.lines(key, value, column);
        let edits = vec![(at..at, self.as_line(at, &lines))];
        // A comment that looks like the key may stand among the lines of another one.
        let fits = |edits: &Vec<Edit>| self.fits(edits);
        Ok(match commented.is_some() && !fits(&edits) {
            true => vec![(end..end, self.as_line(end, &lines))],
            false => edits,
        })
    }

    /// Whether a text can be read after edits, with one key more at the place where they are.
    fn fits(&self, edits: &[Edit]) -> bool {
        let mut text = self.text.to_owned();
        for (range, new) in edits {
            text.replace_range(range.clone(), new);
        }
        crate::tree_file::layout::Layout::of(&text).is_ok()
    }

    fn insert_in_flow(
        &self,
        map: &Item,
        entries: &[Member],
        key: &[&str],
        value: &Value,
    ) -> Vec<Edit> {
        let (first, rest) = key
            .split_first()
            .map_or(("", key), |(first, rest)| (*first, rest));
        let value = if rest.is_empty() {
            value.clone()
        } else {
            nested(rest, value)
        };
        let is_json = self.is_json();
        let name = if is_json {
            json_text(&Value::from(first))
        } else {
            quoted_key(first)
        };
        let member = format!("{name}: {}", self.in_one_line(&value));
        let Some(last) = entries.last() else {
            let inside = map.span.start + 1..map.span.end.saturating_sub(1);
            let spaced = if is_json {
                member
            } else {
                format!(" {member} ")
            };
            let is_blank = self.slice(&inside).trim().is_empty();
            let range = if is_blank {
                inside
            } else {
                inside.start..inside.start
            };
            return vec![(range, spaced)];
        };
        let before = self.slice(&(map.span.start + 1..last.at.start));
        let blanks = before.len() - before.trim_end().len();
        let gap = before.get(before.len() - blanks..).unwrap_or_default();
        let is_first = before.trim().is_empty();
        let gap = if gap.contains('\n') || !is_first {
            gap
        } else {
            " "
        };
        let end = last.item.span.end.max(last.colon.unwrap_or(last.at.end));
        let comma = self.comma_after(end, map.span.end);
        let has_comma = comma.is_some();
        let after = comma.unwrap_or(end);
        let mut edits = Vec::new();
        if !has_comma {
            edits.push((end..end, ",".to_owned()));
        }
        // After a comment on the same line.
        let line_end = after + self.slice(&(after..map.span.end)).find('\n').unwrap_or(0);
        let rest = self.slice(&(after..line_end)).trim();
        let at = if gap.contains('\n') && rest.starts_with('#') {
            after + self.slice(&(after..line_end)).trim_end().len()
        } else {
            after
        };
        let comma = if has_comma { "," } else { "" };
        match edits.first_mut().filter(|(range, _)| range.start == at) {
            Some((_, text)) => text.push_str(&format!("{gap}{member}")),
            None => edits.push((at..at, format!("{gap}{member}{comma}"))),
        }
        edits
    }

    /// The byte after the comma that follows `from`, if one does before `until`.
    fn comma_after(&self, from: usize, until: usize) -> Option<usize> {
        let mut at = from;
        while at < until {
            if let Some(comment) = self.layout.comments.iter().find(|c| c.start == at) {
                at = comment.end;
                continue;
            }
            let next = self.slice(&(at..until)).chars().next()?;
            match next {
                ',' => return Some(at + 1),
                c if c.is_whitespace() => at += c.len_utf8(),
                _ => return None,
            }
        }
        None
    }

    /// The edits that take a key out, which is there in some way.
    pub(super) fn unset(&self, steps: &[PathStep], key: &[&str]) -> Result<Vec<Edit>, EditError> {
        let mut owner: Option<&Member> = None;
        let mut map = self.layout.at(steps);
        for (at, name) in key.iter().enumerate() {
            let Some(Item {
                what: What::Map { flow, entries },
                span,
            }) = map
            else {
                let at = owner.map_or(0, |owner| owner.at.start);
                return Err(self.by_hand(at, "there is no mapping here, but perhaps an alias"));
            };
            let Some(entry) = entries.iter().find(|entry| entry.key == *name) else {
                let why = format!("`{name}` comes from elsewhere through `<<`");
                return Err(self.by_hand(span.start, &why));
            };
            if at + 1 < key.len() {
                (owner, map) = (Some(entry), Some(&entry.item));
                continue;
            }
            return match (flow, entries.as_slice()) {
                (true, _) => Ok(vec![(self.in_flow(span, entries, entry), String::new())]),
                (false, [_]) => self.empty(owner, entry),
                (false, _) => Ok(vec![self.without_lines(entry, "")?]),
            };
        }
        Err(EditError::NotThere(String::new()))
    }

    /// The part of a mapping in braces that goes with an entry.
    fn in_flow(&self, map: &Range<usize>, entries: &[Member], entry: &Member) -> Range<usize> {
        let at = entries.iter().position(|other| other.at == entry.at);
        let at = at.unwrap_or_default();
        let end = |entry: &Member| entry.item.span.end.max(entry.at.end);
        let before = at.checked_sub(1).and_then(|at| entries.get(at));
        match (before, entries.get(at + 1)) {
            (_, Some(next)) => entry.at.start..next.at.start,
            (Some(before), None) => end(before)..end(entry),
            (None, None) => map.start + 1..map.end.saturating_sub(1),
        }
    }

    /// Takes the only key out of a mapping of lines, which becomes `{}`.
    fn empty(&self, owner: Option<&Member>, entry: &Member) -> Result<Vec<Edit>, EditError> {
        let Some(owner) = owner else {
            return Ok(vec![self.without_lines(entry, "{}")?]);
        };
        let colon = owner.colon.ok_or_else(|| self.no_colon(owner))?;
        if owner.is_marked {
            let why = format!("`{}` has an anchor or a tag", owner.key);
            return Err(self.by_hand(owner.at.start, &why));
        }
        let lines = self.without_lines(entry, "")?;
        Ok(vec![(colon..colon, " {}".to_owned()), lines])
    }

    /// Takes the lines of an entry out, all but those of comments, and puts a line in their place.
    fn without_lines(&self, entry: &Member, line: &str) -> Result<Edit, EditError> {
        let start = self.line_start(entry.at.start);
        let indent = self.slice(&(start..entry.at.start));
        if !indent.trim().is_empty() {
            let why = format!("`{}` shares its line with what it belongs to", entry.key);
            return Err(self.by_hand(entry.at.start, &why));
        }
        let end = self.next_line(entry.item.span.end.max(entry.at.end));
        let mut left = self.comment_lines(&(start..end), indent);
        if !line.is_empty() {
            left.push_str(line);
            left.push_str(self.newline);
        }
        Ok((start..end, left))
    }

    /// A key below others, one line each, at a column.
    fn lines(&self, key: &[&str], value: &Value, column: usize) -> String {
        let last = key.len().saturating_sub(1);
        let lines = key.iter().enumerate().map(|(depth, key)| {
            let indent = " ".repeat(column + 2 * depth);
            let value = if depth == last {
                format!(" {}", self.in_one_line(value))
            } else {
                String::new()
            };
            format!("{indent}{}:{value}", quoted_key(key))
        });
        lines.collect::<Vec<_>>().join(self.newline)
    }

    fn in_one_line(&self, value: &Value) -> String {
        if self.is_json() {
            json_text(value)
        } else {
            effective::flow(value)
        }
    }

    /// A value, in the quotes of the one that was written.
    fn value_like(&self, written: &str, value: &Value) -> String {
        let Value::String(text) = value else {
            return self.in_one_line(value);
        };
        let is_tame = !text.chars().any(char::is_control);
        match written.chars().next() {
            Some('\'') if is_tame => format!("'{}'", text.replace('\'', "''")),
            Some('"') if self.is_json() => json_text(value),
            Some('"') => quoted(text),
            _ => self.in_one_line(value),
        }
    }
}

fn whole<'k>(first: &'k str, rest: &[&'k str]) -> Vec<&'k str> {
    [&[first], rest].concat()
}

/// The value below keys.
fn nested(key: &[&str], value: &Value) -> Value {
    key.iter().rev().fold(value.clone(), |value, key| {
        Value::Object(Map::from_iter([((*key).to_owned(), value)]))
    })
}
