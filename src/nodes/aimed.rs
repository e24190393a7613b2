//! What another node advises to do: its commands with the name of that node, so that they can be typed here.

use serde_json::Value;

use crate::commands::{Command, Run};
use crate::error::CommandError;

/// The error of a node as it is told here.
pub(super) fn error(mut error: CommandError, node: &str) -> CommandError {
    error.hint = error.hint.map(|hint| aimed(&hint, node));
    error
}

/// The document of a node as it is told here.
pub(super) fn document(mut document: Value, node: &str) -> Value {
    if let Some(Value::Array(words)) = document.pointer_mut("/suggest/command") {
        let typed: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        if is_done_there(&typed) {
            words.push(Value::from(format!("@{node}")));
        }
    }
    if let Some(Value::String(command)) = document.pointer_mut("/next/command") {
        let typed: Vec<&str> = command.split(' ').collect();
        if is_done_there(&typed) {
            command.push_str(&format!(" @{node}"));
        }
    }
    document
}

/// A text whose commands, in backticks, are meant on that node.
fn aimed(text: &str, node: &str) -> String {
    let mut aimed = String::with_capacity(text.len());
    for (number, part) in text.split('`').enumerate() {
        if number > 0 {
            aimed.push('`');
        }
        aimed.push_str(part);
        let words: Vec<&str> = part.split_whitespace().collect();
        // Every second part is in backticks.
        if number % 2 == 1 && is_done_there(&words) {
            aimed.push_str(&format!(" @{node}"));
        }
    }
    aimed
}

/// Whether it is a command that a node does for others, and names none yet. Those about nodes are about the asker's.
fn is_done_there(words: &[&str]) -> bool {
    let Some((&"uk", words)) = words.split_first() else {
        return false;
    };
    let names_one = |word: &&str| word.starts_with('@') || word.starts_with("--node");
    if words.first() == Some(&"node") || words.iter().any(names_one) {
        return false;
    }
    let command = (1..=words.len().min(3)).rev();
    let command = command
        .filter_map(|len| Command::find(words.get(..len)?))
        .next();
    command.is_some_and(|command| !matches!(command.run, Run::Local(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commands_are_meant_where_the_advice_comes_from() {
        for (said, told) in [
            ("`uk tree /a` shows it", "`uk tree /a @edge-1` shows it"),
            (
                "`uk config get /a` and `uk why /a`",
                "`uk config get /a @edge-1` and `uk why /a @edge-1`",
            ),
            ("`uk crashes` lists them", "`uk crashes @edge-1` lists them"),
            (
                "`uk node list` says how the nodes are",
                "`uk node list` says how the nodes are",
            ),
            (
                "`uk explain UK0101`, `uk --help`",
                "`uk explain UK0101`, `uk --help`",
            ),
            (
                "write `path: /a`, not uk tree",
                "write `path: /a`, not uk tree",
            ),
            ("`uk tree --node all`", "`uk tree --node all`"),
            ("", ""),
        ] {
            assert_eq!(aimed(said, "edge-1"), told);
        }
    }

    #[test]
    fn what_is_suggested_is_meant_there_too() {
        let story = |command: &[&str]| {
            json!({
                "suggest": { "text": "so", "command": command },
                "next": { "command": command.join(" ") },
            })
        };
        for (said, told) in [
            (
                &["uk", "release", "/a"][..],
                &["uk", "release", "/a", "@edge-1"][..],
            ),
            (&["uk", "explain", "UK0101"], &["uk", "explain", "UK0101"]),
        ] {
            assert_eq!(document(story(said), "edge-1"), story(told));
        }
        assert_eq!(document(json!({}), "edge-1"), json!({}));
    }
}
