//! What changed between two trees, key by key, for people and programs: [`describe`].

use serde_json::{Map, Value, json};
use unity_supervisors::path::ActorPath;
use unity_supervisors::reload::{Change, What};
use unity_supervisors::spec::TreeSpec;

use super::keeper::find;
use crate::tree_file::to_json;

/// Each change as JSON: `path`, `what`, `how`, `moved_from` where it moved, and `keys`: what of it was and is another, each
/// with `key`, `from` and `to`, absent where there was or is none.
#[must_use]
pub fn describe(changes: &[Change], before: &TreeSpec, after: &TreeSpec) -> Vec<Value> {
    let (before_tree, after_tree) = (before, after);
    let before = document(before);
    let after = document(after);
    let described = changes.iter().map(|change| {
        let keys = match change.what {
            What::Added | What::Removed | What::Order => Vec::new(),
            _ => {
                let old = at(&before, &change.path);
                let new = at(&after, &change.path);
                let mut keys = Vec::new();
                differences("", &bare(old), &bare(new), &mut keys);
                keys.extend(is_down(before_tree, after_tree, &change.path));
                keys
            }
        };
        let mut described = json!({
            "path": change.path,
            "what": change.what,
            "how": change.how,
            "keys": keys,
        });
        if let Some(from) = &change.moved_from
            && let Some(object) = described.as_object_mut()
        {
            object.insert("moved_from".to_owned(), json!(from));
        }
        described
    });
    described.collect()
}

/// One line for a change as [`describe`] says it: `/sensors/host every 1s → 2s, live`.
#[must_use]
pub fn in_one_line(change: &Value) -> String {
    let text = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
    let keys: Vec<String> = change
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(key_in_words)
        .collect();
    let what = match (text("what"), keys.is_empty()) {
        ("settings" | "keys" | "flags" | "life" | "template" | "replaced", false) => {
            keys.join(", ")
        }
        (what, _) => what.to_owned(),
    };
    let moved = match text("moved_from") {
        "" => String::new(),
        from => format!(", moved from {from}"),
    };
    let how = how_in_words(text("how"));
    format!("{} {what}{moved}, {how}", text("path"))
}

/// `settings.every 1s → 2s`, the word `settings` left out.
#[must_use]
pub fn key_in_words(key: &Value) -> String {
    let name = key.get("key").and_then(Value::as_str).unwrap_or_default();
    let name = name.strip_prefix("settings.").unwrap_or(name);
    let side = |side: &str| match key.get(side) {
        None => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    format!("{name} {} → {}", side("from"), side("to"))
}

/// What was done, in a word or two.
#[must_use]
pub fn how_in_words(how: &str) -> &'static str {
    match how {
        "asks" => "live if it can, else a restart",
        "live" => "live",
        "restart" => "restarted",
        "start" => "started",
        "stop" => "stopped",
        "later" => "with its next start",
        _ => "",
    }
}

fn document(tree: &TreeSpec) -> Value {
    serde_json::from_str(&to_json(tree)).unwrap_or(Value::Null)
}

/// What the document says at a path.
fn at<'a>(document: &'a Value, path: &ActorPath) -> &'a Value {
    let mut node = document.get("tree").unwrap_or(&Value::Null);
    for id in path.segments() {
        let children = node.get("children").and_then(Value::as_array);
        let child = children.and_then(|children| {
            children
                .iter()
                .find(|child| child.get("id").and_then(Value::as_str) == Some(id))
        });
        node = child.unwrap_or(&Value::Null);
    }
    node
}

/// Whether a child is to be down, which no key of a file says, where that differs.
fn is_down(before: &TreeSpec, after: &TreeSpec, path: &ActorPath) -> Option<Value> {
    let is_down = |tree: &TreeSpec| find(&tree.root, path).map(|child| child.begins_stopped);
    let (was, is) = (is_down(before)?, is_down(after)?);
    (was != is).then(|| difference("stopped", &Value::Bool(was), &Value::Bool(is)))
}

/// What is said of a child itself, not of those below it.
fn bare(node: &Value) -> Value {
    let mut node = node.clone();
    if let Some(object) = node.as_object_mut() {
        object.remove("children");
    }
    node
}

/// The keys that differ, those of mappings with dots.
fn differences(at: &str, old: &Value, new: &Value, keys: &mut Vec<Value>) {
    if old == new {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let inner = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            let (old, new) = (before.get(name), after.get(name));
            let none = Value::Null;
            if old != new {
                match (old, new) {
                    (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) => {
                        differences(&inner, old, new, keys);
                    }
                    _ => keys.push(difference(
                        &inner,
                        old.unwrap_or(&none),
                        new.unwrap_or(&none),
                    )),
                }
            }
        }
    } else {
        keys.push(difference(at, old, new));
    }
}

fn difference(key: &str, old: &Value, new: &Value) -> Value {
    let mut object = Map::new();
    object.insert("key".to_owned(), json!(key));
    if !old.is_null() {
        object.insert("from".to_owned(), old.clone());
    }
    if !new.is_null() {
        object.insert("to".to_owned(), new.clone());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use unity_supervisors::reload::diff;

    use super::*;
    use crate::kind_check::KnownKinds;
    use crate::tree_file::{Limits, Sources, load_text, read_file};

    fn tree(keys: &str) -> TreeSpec {
        let kinds = unity_actors::kinds();
        let sources = Sources {
            read: &read_file,
            env: &|_| None,
            kinds: &KnownKinds(&kinds),
            limits: Limits::default(),
        };
        let text =
            format!("version: 1\ntree: {{ children: [{{ id: a, kind: probe, {keys} }}] }}\n");
        let checked = load_text("tree.yaml", &text, &sources);
        checked.tree.unwrap()
    }

    #[test]
    fn where_a_child_lived_and_where_it_lives_is_told() {
        let on = |lease: &str| format!("place: {{ node: edge-1, lease: {lease} }}");
        for (before, after, expected) in [
            (
                "place: here",
                on("5s"),
                r#"/a place here → {"failover":"wait","lease":"5s","node":"edge-1"}, restarted"#,
            ),
            (&on("5s"), on("6s"), "/a place.lease 5s → 6s, restarted"),
        ] {
            let (before, after) = (tree(before), tree(&after));

            let changes = diff(&before.root, &after.root);
            let described = describe(&changes, &before, &after);

            let lines: Vec<String> = described.iter().map(in_one_line).collect();
            assert_eq!(lines, [expected]);
        }
    }
}
