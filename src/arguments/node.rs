//! Which node a command is for: `--node edge-1`, or `edge-1:` before its paths.

use serde_json::Value;
use unity_supervisors::{ActorPath, ChildId};

use super::{Arg, ArgKind, Args, Form};
use crate::error::CommandError;

/// The argument of all commands that run in a kernel.
pub const NODE: Arg = Arg::option(
    "node",
    ArgKind::Form(Form::Id),
    "do it on this node, as in edge-1; where all can be seen at once, `all`",
);
/// What stands for all nodes.
pub const ALL: &str = "all";

/// The node that a path is on, if it says one, and the path there: `edge-1:/sensors/host`.
#[must_use]
pub fn of_node(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((node, path)) if path.starts_with('/') && ChildId::new(node).is_ok() => {
            (Some(node), path)
        }
        _ => (None, text),
    }
}

pub(super) fn read_path(text: &str) -> Result<Value, CommandError> {
    let (node, path) = of_node(text);
    let path: ActorPath = path.parse().map_err(CommandError::from)?;
    Ok(match node {
        Some(node) => Value::from(format!("{node}:{path}")),
        None => Value::from(path.as_str()),
    })
}

fn may_be_on_a_node(arg: &Arg) -> bool {
    matches!(
        arg.kind,
        ArgKind::Path
            | ArgKind::Supervisor
            | ArgKind::Target
            | ArgKind::Schema
            | ArgKind::Form(Form::Beginning)
    )
}

impl Args {
    /// Takes out for which node they are: none is the one that is asked. What is left is meant there.
    ///
    /// # Errors
    /// They name several.
    pub fn take_node(&mut self, table: &[Arg]) -> Result<Option<String>, CommandError> {
        let named = match self.0.remove(NODE.name) {
            Some(Value::String(node)) => Some(node),
            _ => None,
        };
        let mut meant = named.clone();
        let mut here = None;
        for arg in table.iter().filter(|arg| may_be_on_a_node(arg)) {
            let Some(text) = self.text(arg.name) else {
                continue;
            };
            let (node, path) = of_node(text);
            let (node, path) = (node.map(str::to_owned), path.to_owned());
            match node {
                None if path.starts_with('/') => here = Some(path.clone()),
                None => {}
                Some(node) if meant.as_ref().is_some_and(|meant| *meant != node) => {
                    return Err(several(&meant.unwrap_or_default(), &node));
                }
                Some(node) => meant = Some(node),
            }
            self.insert(arg.name, Value::from(path));
        }
        match (&named, &meant, here) {
            (None, Some(node), Some(path)) => {
                let error = CommandError::conflict(format!(
                    "`{path}` is of the node that is asked, and another path of `{node}`"
                ));
                Err(error.hint(format!(
                    "write {node}:{path}, or the node once, as in --node {node}"
                )))
            }
            _ => Ok(meant),
        }
    }
}

fn several(one: &str, other: &str) -> CommandError {
    CommandError::conflict(format!(
        "a command is for one node, and this one names `{one}` and `{other}`"
    ))
    .hint("write one command for each")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TABLE: &[Arg] = &[
        Arg::required("path", ArgKind::Path, "where"),
        Arg::option("to", ArgKind::Path, "where to"),
        Arg::option("target", ArgKind::Target, "of what"),
    ];

    fn taken(given: &Value) -> Result<(Option<String>, Value), CommandError> {
        let mut args = Args(given.as_object().unwrap().clone());
        let node = args.take_node(TABLE)?;
        Ok((node, Value::Object(args.0)))
    }

    #[test]
    fn a_node_is_named_beside_the_paths_or_before_them() {
        for (given, node, left) in [
            (json!({"path": "/a"}), None, json!({"path": "/a"})),
            (json!({"path": "e:/a"}), Some("e"), json!({"path": "/a"})),
            (
                json!({"path": "/a", "node": "e"}),
                Some("e"),
                json!({"path": "/a"}),
            ),
            (
                json!({"path": "e:/a", "node": "e"}),
                Some("e"),
                json!({"path": "/a"}),
            ),
            (
                json!({"path": "e:/a", "to": "e:/b"}),
                Some("e"),
                json!({"path": "/a", "to": "/b"}),
            ),
            (
                json!({"path": "e:/a", "to": "/b", "node": "e"}),
                Some("e"),
                json!({"path": "/a", "to": "/b"}),
            ),
            (
                json!({"target": "system", "node": "e"}),
                Some("e"),
                json!({"target": "system"}),
            ),
        ] {
            let (found, rest) = taken(&given).unwrap();
            assert_eq!((found.as_deref(), rest), (node, left), "{given}");
        }
    }

    #[test]
    fn what_names_several_nodes_is_refused() {
        for given in [
            json!({"path": "e:/a", "to": "f:/b"}),
            json!({"path": "e:/a", "node": "f"}),
            json!({"path": "e:/a", "to": "/b"}),
        ] {
            let error = taken(&given).unwrap_err();
            assert_eq!(error.code, crate::error::Code::Conflict, "{given}");
            assert!(error.hint.is_some(), "{given}");
        }
    }

    #[test]
    fn only_a_name_before_a_path_is_a_node() {
        for (text, node, path) in [
            ("edge-1:/a", Some("edge-1"), "/a"),
            ("/a:/b", None, "/a:/b"),
            ("edge-1:a", None, "edge-1:a"),
            (":/a", None, ":/a"),
            ("a b:/a", None, "a b:/a"),
            ("system", None, "system"),
        ] {
            assert_eq!(of_node(text), (node, path), "{text}");
        }
    }
}
