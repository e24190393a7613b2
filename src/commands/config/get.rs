//! `uk config get`: the settings in force.

use serde_json::{Value, json};

use super::{READING, asked};
use crate::arguments::Args;
use crate::cli::Caller;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::{Screen, text};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Print the settings in force, or one of them",
    help: "Without a key it prints a whole system.yaml, with one its value alone. It reads what a kernel that starts now \
           would; flags of its command line are not among it.\n\n\
           Example: uk config get system history.keep\n\
           Example: uk config get system --tree robot.yaml --json",
    args: READING,
    show,
    ..Command::local(&["config", "get"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let Some((_, loaded)) = asked(caller, args)? else {
        return Ok(Code::Invalid.exit());
    };
    let key = args.text("key");
    let mut value = serde_json::to_value(&loaded.settings).unwrap_or(Value::Null);
    // The name of a label may have dots.
    for step in key.iter().flat_map(|key| key.splitn(2, '.')) {
        value = value.get_mut(step).map(Value::take).unwrap_or_default();
    }
    let document =
        json!({ "version": 1, "target": args.text("target"), "key": key, "value": value });
    caller.print(&COMMAND, &document)
}

fn show(document: &Value, _: &Screen) -> String {
    let mut out = String::new();
    match document.get("value") {
        Some(Value::Object(values)) => {
            for (name, value) in values {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push_str(&format!("{name}:\n"));
                        for (name, value) in inner {
                            out.push_str(&format!("  {}: {value}\n", key_text(name)));
                        }
                    }
                    value => out.push_str(&format!("{}: {value}\n", key_text(name))),
                }
            }
        }
        Some(Value::String(_)) => out = format!("{}\n", text(document, "value")),
        other => out = format!("{}\n", other.unwrap_or(&Value::Null)),
    }
    out
}

/// A key as YAML takes it: in quotes unless it is a plain word.
fn key_text(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_plain {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
