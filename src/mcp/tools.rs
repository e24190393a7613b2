//! Tools from the table of commands.

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value};

use super::door::{LISTENS_FOR, TAKEN_MAX};
use crate::arguments::{Arg, schema_of};
use crate::commands::{Access, Command, Run, TABLE};

/// Commands that end something, or that change what is not undone by itself. All others that change are additive.
const DESTRUCTIVE: &[&[&str]] = &[
    &["kill"],
    &["restart"],
    &["stop"],
    &["suspend"],
    &["override"],
    &["delete"],
    &["streams", "trim"],
    &["streams", "drop"],
    &["dlq", "drop"],
    &["chaos", "run"],
    &["config", "set"],
    &["config", "unset"],
    &["config", "rollback"],
    &["config", "apply"],
    &["node", "detach"],
    &["shutdown"],
];

/// The commands that are tools: those that run in the kernel. What answers with a secret is none of an assistant's business.
pub(super) fn commands() -> impl Iterator<Item = &'static Command> {
    TABLE
        .iter()
        .filter(|command| !matches!(command.run, Run::Local(_)) && !command.is_secret)
}

/// What a command is called as a tool: `config_set`.
pub(super) fn name(command: &Command) -> String {
    command.words.join("_")
}

/// A command as a tool.
pub(super) fn of(command: &'static Command) -> Tool {
    let mut about = format!("{}. {}", command.about, command.help);
    if matches!(command.run, Run::Stream(_)) {
        about.push_str(&format!(
            "\n\nAs a tool it answers with what comes within {LISTENS_FOR:?}, at most {TAKEN_MAX}."
        ));
    }
    let is_reading = command.access == Access::Read;
    let annotations = ToolAnnotations::new()
        .read_only(is_reading)
        .destructive(DESTRUCTIVE.contains(&command.words))
        .open_world(false);
    Tool::new(name(command), about, schema(&command.inputs())).with_annotations(annotations)
}

/// The JSON Schema of what a command takes.
fn schema(args: &[Arg]) -> Map<String, Value> {
    match schema_of(args) {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_command_of_the_kernel_is_a_tool_with_a_schema_that_is_one() {
        for command in commands() {
            let tool = of(command);
            let schema = Value::Object((*tool.input_schema).clone());
            assert!(jsonschema::meta::is_valid(&schema), "{schema}");
            let hints = tool.annotations.unwrap();
            let is_reading = command.access == Access::Read;
            assert_eq!(hints.read_only_hint, Some(is_reading), "{command:?}");
            assert!(!(is_reading && hints.is_destructive()), "{command:?}");
        }
    }

    #[test]
    fn what_is_destructive_is_a_tool() {
        for words in DESTRUCTIVE {
            assert!(
                commands().any(|command| command.words == *words),
                "{words:?}"
            );
        }
    }

    #[test]
    fn what_stays_with_who_types_is_in_no_schema() {
        let why = Command::find(&["why"]).unwrap();
        let tool = of(why);
        let properties = tool.input_schema.get("properties").unwrap();
        assert!(properties.get("path").is_some() && properties.get("bundle").is_none());
        assert_eq!(
            tool.input_schema.get("additionalProperties"),
            Some(&json!(false))
        );
    }
}
