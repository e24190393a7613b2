//! `uk config get`: the settings in force.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{READING, asked, attend, no_such_key, value_at, worker};
use crate::arguments::Args;
use crate::cli::Caller;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::{Screen, number, text};
use crate::settings::layers::defaults;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Print the settings in force, or one of them",
    help: "Of a child: what it runs with, defaults and what its ladder makes of it included; secrets are shown as \
           `${secret:NAME}`. Of `system`: without a key a whole system.yaml, with one its value alone. That reads what a \
           kernel that starts now would; flags of its command line are not among it.\n\n\
           Example: uk config get /sensors/host every\n\
           Example: uk config get system history.keep\n\
           Example: uk config get system --tree robot.yaml --json",
    args: READING,
    show,
    attend: Some(|caller, args| attend(caller, args, &COMMAND, system)),
    ..Command::reading(&["config", "get"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

/// The settings of a child.
fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let (slot, kind) = worker(kernel, args)?;
    let mut value = defaults(kernel.kinds(), &kind);
    if let (Value::Object(value), Value::Object(said)) = (&mut value, slot.settings()) {
        value.extend(said);
    }
    let key = args.text("key");
    let value = match key {
        Some(key) => {
            let found = value_at(&value, key).cloned();
            found.ok_or_else(|| no_such_key(kernel, &kind, key))?
        }
        None => value,
    };
    let ladder = kernel.node(slot.path()).and_then(|node| node.ladder);
    let ladder = ladder.filter(|_| slot.swap().is_some());
    Ok(json!({
        "version": 1, "target": slot.path(), "kind": kind, "key": key, "value": value, "ladder": ladder,
    }))
}

fn system(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
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
    let ladder = document.get("ladder").unwrap_or(&Value::Null);
    if ladder.get("swap").is_some() && document.get("key").is_some_and(Value::is_null) {
        let (taken, steps) = (number(ladder, "taken"), number(ladder, "steps"));
        out.push_str(&format!(
            "# with what step {taken} of {steps} of its ladder lays over them\n"
        ));
    }
    match document.get("value") {
        Some(Value::Object(values)) if values.is_empty() => out.push_str("{}\n"),
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
