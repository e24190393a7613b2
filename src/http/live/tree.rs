//! What has changed in the tree since the last look.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use unity_supervisors::Kernel;

use crate::commands::tree::note_rollbacks;
use crate::screen::{put, text};

/// Where a node says in how long a restart is free again.
const FREE_IN: &str = "/restarts/free_in_ms";

/// The tree as it was at the last look.
#[derive(Debug, Default)]
pub(super) struct Tree {
    whole: Option<Arc<str>>,
    nodes: BTreeMap<String, Node>,
    mode: Value,
}

/// A node without its children, and where it stands.
#[derive(Debug, Clone)]
struct Node {
    parent: String,
    after: Option<String>,
    json: Value,
    /// In how long a restart is free again. That it grows less is no change.
    free_in_ms: Value,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (&self.parent, &self.after, &self.json) == (&other.parent, &other.after, &other.json)
    }
}

impl Tree {
    /// The whole document, as of the last look.
    pub(super) fn whole(&self) -> Option<Arc<str>> {
        self.whole.clone()
    }

    /// Looks at the tree; says what has changed, if something has and there was a look before.
    pub(super) fn look(&mut self, kernel: &Kernel) -> Option<String> {
        let tree = kernel.whole_tree(None)?;
        let mut document = serde_json::to_value(tree).ok()?;
        note_rollbacks(&mut document, kernel);
        kernel.secrets().mask_json(&mut document);
        self.take(document)
    }

    fn take(&mut self, mut document: Value) -> Option<String> {
        let whole: Arc<str> = document.to_string().into();
        if self.whole.as_deref() == Some(&*whole) {
            return None;
        }
        let mut nodes = BTreeMap::new();
        for top in ["tree", "system"] {
            if let Some(node) = document.get_mut(top).map(Value::take) {
                flatten(node, "", None, &mut nodes);
            }
        }
        let mode = document.get("mode").cloned().unwrap_or_default();
        let is_first = self.whole.is_none();
        let changed: Vec<Value> = nodes
            .iter()
            .filter(|(path, node)| self.nodes.get(*path) != Some(node))
            .map(|(path, node)| {
                let mut json = node.json.clone();
                if let Some(free_in_ms) = json.pointer_mut(FREE_IN) {
                    free_in_ms.clone_from(&node.free_in_ms);
                }
                let moved = self
                    .nodes
                    .get(path)
                    .is_none_or(|old| (&old.parent, &old.after) != (&node.parent, &node.after));
                if moved {
                    put(&mut json, "parent", node.parent.as_str());
                    put(&mut json, "after", node.after.clone());
                }
                json
            })
            .collect();
        let removed: Vec<&String> = self
            .nodes
            .keys()
            .filter(|path| !nodes.contains_key(*path))
            .collect();
        let change = json!({ "mode": mode, "changed": changed, "removed": removed });
        let is_same = changed.is_empty() && removed.is_empty() && self.mode == mode;
        let change = (!is_first && !is_same).then(|| change.to_string());
        (self.whole, self.nodes, self.mode) = (Some(whole), nodes, mode);
        change
    }
}

fn flatten(
    mut node: Value,
    parent: &str,
    after: Option<String>,
    into: &mut BTreeMap<String, Node>,
) {
    let children = node
        .as_object_mut()
        .and_then(|node| node.remove("children"));
    let path = text(&node, "path").to_owned();
    if path.is_empty() {
        return;
    }
    let mut before = None;
    if let Some(Value::Array(children)) = children {
        for child in children {
            let id = text(&child, "id").to_owned();
            flatten(child, &path, before.replace(id), into);
        }
    }
    let parent = parent.to_owned();
    let free_in_ms = node.pointer_mut(FREE_IN).map(Value::take);
    into.insert(
        path,
        Node {
            parent,
            after,
            json: node,
            free_in_ms: free_in_ms.unwrap_or_default(),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, state: &str, children: Vec<Value>) -> Value {
        let id = path.rsplit('/').next().unwrap();
        json!({ "path": path, "id": id, "state": state, "children": children })
    }

    fn document(children: Vec<Value>) -> Value {
        json!({ "version": 1, "mode": "normal", "tree": node("/", "running", children), "system": null })
    }

    #[test]
    fn that_time_passes_is_no_change_and_who_comes_later_is_told_how_it_is_then() {
        let mut tree = Tree::default();
        let look = |used: u32, free_in_ms: Value| {
            let mut a = node("/a", "running", vec![]);
            put(
                &mut a,
                "restarts",
                json!({ "used": used, "free_in_ms": free_in_ms }),
            );
            document(vec![a])
        };
        assert_eq!(tree.take(look(0, Value::Null)), None);
        let told = tree.take(look(1, json!(5_000))).unwrap();
        assert!(told.contains(r#""free_in_ms":5000"#), "{told}");

        assert_eq!(tree.take(look(1, json!(4_900))), None);

        let whole = tree.whole().unwrap();
        assert!(whole.contains(r#""free_in_ms":4900"#), "{whole}");
        let told = tree.take(look(0, Value::Null)).unwrap();
        assert!(told.contains(r#""free_in_ms":null"#), "{told}");
    }

    #[test]
    fn what_changed_is_told_and_nothing_else() {
        let mut tree = Tree::default();
        let (a, b) = (node("/a", "running", vec![]), node("/b", "running", vec![]));
        assert_eq!(tree.take(document(vec![a.clone(), b.clone()])), None);
        assert_eq!(tree.take(document(vec![a.clone(), b])), None);

        let b = node("/b", "backoff", vec![node("/b/c", "running", vec![])]);
        let told = tree.take(document(vec![a.clone(), b.clone()])).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        let expected = json!([
            { "path": "/b", "id": "b", "state": "backoff" },
            { "path": "/b/c", "id": "c", "state": "running", "parent": "/b", "after": null },
        ]);
        assert_eq!(
            (&told["changed"], &told["removed"]),
            (&expected, &json!([]))
        );

        let told = tree.take(document(vec![b, a])).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["changed"][0]["after"], "b");
        let told = tree.take(document(vec![])).unwrap();
        assert!(told.contains(r#""removed":["/a","/b","/b/c"]"#), "{told}");
    }
}
