//! Lowers `needs`: the ids of siblings that start earlier.

use std::collections::HashSet;

use unity_supervisors::path::ChildId;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::node::{Entry, Node, Value, shown};
use super::reader::Reader;
use super::source::Span;
use super::supervisor::Owner;

impl Reader<'_> {
    /// The siblings that the child `id`, at `index` of its supervisor, needs.
    pub(super) fn needs(
        &mut self,
        entry: &Entry,
        id: &str,
        index: usize,
        owner: &Owner<'_>,
    ) -> Vec<ChildId> {
        let items = match &entry.node.value {
            Value::List(items) => items,
            Value::Null => return Vec::new(),
            _ => {
                let one = entry
                    .node
                    .as_text()
                    .filter(|text| ChildId::new(text).is_ok());
                let help = match one {
                    Some(id) => format!("write `needs: [{id}]`"),
                    None => "write `needs: [id, id]`".to_owned(),
                };
                let source = self.files.slice(entry.node.span);
                let meant = one.map(|id| (id, format!("[{source}]")));
                self.wrong_type_but(entry, "a list of ids", Some(help), meant);
                return Vec::new();
            }
        };
        let mut seen = HashSet::new();
        items
            .iter()
            .filter_map(|item| self.need(entry, item, id, index, owner))
            .filter(|need| seen.insert(need.clone()))
            .collect()
    }

    fn need(
        &mut self,
        entry: &Entry,
        item: &Node,
        id: &str,
        index: usize,
        owner: &Owner<'_>,
    ) -> Option<ChildId> {
        let item_entry = Entry {
            key: entry.key.clone(),
            node: item.clone(),
        };
        let text = self.word(Some(&item_entry))?;
        let name = shown(text);
        let fault = match owner.ids.get(text) {
            Some((place, _)) if *place < index => return ChildId::new(text).ok(),
            Some((place, _)) if *place == index => {
                Diagnostic::new(Code::NeedsItself, format!("`{name}` needs itself"))
                    .at(item.span, "its own id")
                    .help("take it out of `needs`")
            }
            Some((_, at)) => Diagnostic::new(
                Code::NeedsLater,
                format!("`{}` needs `{name}`, which starts after it", shown(id)),
            )
            .at(item.span, "children start in the order of the file")
            .related(*at, "starts here")
            .help(format!("move `{name}` before `{}`", shown(id))),
            None if owner.running.iter().any(|sibling| sibling.as_str() == text) => {
                return ChildId::new(text).ok();
            }
            None => self.unknown_need(&name, text, id, index, owner, item),
        };
        self.report(fault);
        None
    }

    fn unknown_need(
        &self,
        name: &str,
        text: &str,
        id: &str,
        index: usize,
        owner: &Owner<'_>,
        item: &Node,
    ) -> Diagnostic {
        // Looking at all siblings for each of many faults would take for ever.
        let most = if self.suggests() { usize::MAX } else { 0 };
        let mut siblings: Vec<(usize, &str, Span)> = owner
            .ids
            .iter()
            .take(most)
            .map(|(id, (place, at))| (*place, id.as_str(), *at))
            .filter(|(place, ..)| *place != index)
            .collect();
        siblings.sort_unstable_by_key(|(place, ..)| *place);
        let ids =
            |of: &[(usize, &str, Span)]| of.iter().map(|(_, id, _)| (*id).to_owned()).collect();
        let split = siblings.partition_point(|(place, ..)| *place < index);
        let (earlier, later) = siblings.split_at_checked(split).unwrap_or_default();
        let mut known: Vec<String> = ids(earlier);
        known.extend(owner.running.iter().map(ToString::to_string));
        let later_ids: Vec<String> = ids(later);
        let message = format!("`{}` needs `{name}`, which is no sibling", shown(id));
        let fault = Diagnostic::new(Code::NeedsUnknown, message)
            .at(item.span, format!("no child of {} has this id", owner.path));
        let starts = |fault: Diagnostic, near: &str| {
            let place = siblings.iter().find(|(_, id, _)| *id == near);
            match place.filter(|(.., at)| !at.is_empty()) {
                Some((.., at)) => fault.related(*at, "a sibling of a similar name"),
                None => fault,
            }
        };
        if let Some(near) = self.suggest(text, known.iter().map(String::as_str)) {
            let fix = self.respell(item.span, text, near);
            return starts(fault, near.word)
                .help(format!("did you mean `{}`?", near.word))
                .fix(fix);
        }
        if let Some(near) = self.suggest(text, later_ids.iter().map(String::as_str)) {
            let meant = near.word;
            let help = format!(
                "did you mean `{meant}`? It starts later: move it before `{}`",
                shown(id)
            );
            return starts(fault, meant).help(help);
        }
        fault.help(match self.homes.get(text) {
            Some(home) => elsewhere(text, home, owner.path, &known),
            None if index == 0 && owner.running.is_empty() => format!(
                "`{}` is the first child of {}: take it out",
                shown(id),
                owner.path
            ),
            None if known.is_empty() => {
                format!(
                    "name a child of {} that stands before `{}`",
                    owner.path,
                    shown(id)
                )
            }
            None => format!("what starts before `{}` is: {}", shown(id), some(&known)),
        })
    }
}

/// What to do about a need that is a child of another supervisor, `home`.
fn elsewhere(id: &str, home: &str, path: &str, earlier: &[String]) -> String {
    let below = home.strip_prefix(path.trim_end_matches('/'));
    let first = below.and_then(|below| below.split('/').nth(1));
    match first.filter(|first| earlier.iter().any(|id| id == first)) {
        Some(first) => format!(
            "`{}` is a child of {home}; need the sibling that it is below: `{first}`",
            shown(id)
        ),
        None => format!(
            "`{}` is a child of {home}; what is needed has to be a child of {path}",
            shown(id)
        ),
    }
}

/// Some of the names of a list.
fn some(names: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let mut shown = names
        .iter()
        .take(SHOWN_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN_MAX {
        shown.push_str(", …");
    }
    shown
}
