//! Lowers `needs`: the ids of siblings that start earlier.

use std::collections::HashSet;

use unity_supervisors::path::ChildId;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::node::{Entry, Node, Value, shown};
use super::reader::Reader;
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
                let help = match entry.node.as_text() {
                    Some(text) => format!("write `needs: [{}]`", shown(text)),
                    None => "write `needs: [id, id]`".to_owned(),
                };
                self.wrong_type(entry, "a list of ids", Some(help));
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
                    .help("take it out")
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
        let mut earlier: Vec<(usize, &str)> = owner
            .ids
            .iter()
            .take(most)
            .filter(|(_, (place, _))| *place < index)
            .map(|(id, (place, _))| (*place, id.as_str()))
            .collect();
        earlier.sort_unstable();
        let earlier = earlier.into_iter().map(|(_, id)| id);
        let running = owner.running.iter().map(ChildId::as_str);
        let help = match self.suggest(text, earlier.chain(running)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "name a child of {} that stands before `{}`",
                owner.path,
                shown(id)
            ),
        };
        let message = format!("`{}` needs `{name}`, which is no sibling", shown(id));
        Diagnostic::new(Code::NeedsUnknown, message)
            .at(item.span, format!("no child of {} has this id", owner.path))
            .help(help)
    }
}
