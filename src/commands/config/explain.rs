//! `uk config explain`: why a setting is what it is.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{READING, asked, attend, no_such_key, schema_of, worker};
use crate::arguments::{Args, SYSTEM};
use crate::cli::Caller;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::{Line, Screen, Tone, list, number, printable, text, wrapped_table};
use crate::settings::layers::{self, From, is_within};
use crate::settings::service::Room;
use crate::settings::system::{Explained, Origin, find};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Say of each setting what is in force and where it comes from",
    help: "The layers of a child, lowest first: defaults of its kind, the file, what was changed live and saved, what was \
           changed live and not saved, what its ladder lays over that. Those of `system`: defaults, the system.yaml in this \
           program, the one in --config-dir (else in config/ beside the tree file), the files of its system.d/ in the order \
           of their names, UK_… variables, flags. With a key it also says what the layers below have and what the key \
           means; of `system` also what may stand there and when a change takes effect.\n\n\
           Example: uk config explain /sensors/host every\n\
           Example: uk config explain system history.keep\n\
           Example: uk config explain system --tree robot.yaml",
    args: READING,
    show,
    attend: Some(|caller, args| attend(caller, args, &COMMAND, system)),
    ..Command::reading(&["config", "explain"], |kernel, args| {
        async move { read(&kernel, &args).await }.boxed()
    })
};

/// The settings of a child.
async fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let (slot, kind) = worker(kernel, args)?;
    let room = kernel.shared::<Room>();
    let mut found = room
        .read(|keeper| layers::explain(&slot, keeper, kernel.kinds()))
        .await?;
    let key = args.text("key");
    if let Some(key) = key {
        found.retain(|found| is_within(&found.name, key));
        if found.is_empty() {
            return Err(no_such_key(kernel, &kind, key));
        }
    }
    let schema = kernel.kinds().get(&kind).map(|kind| kind.settings_schema());
    let schema = schema.unwrap_or_default();
    let keys = found.iter().map(|found| {
        let lower = found.lower.iter();
        let lower = lower.map(|(value, from)| json!({ "value": value, "from": layer_json(from) }));
        let about = schema_of(&schema, &found.name).map(|schema| text(schema, "description"));
        json!({
            "name": found.name,
            "value": found.value,
            "from": layer_json(&found.from),
            "lower": lower.collect::<Vec<_>>(),
            "about": about.unwrap_or_default(),
        })
    });
    Ok(json!({
        "version": 1, "target": slot.path(), "kind": kind, "key": key, "keys": keys.collect::<Vec<_>>(),
    }))
}

fn layer_json(from: &From) -> Value {
    match from {
        From::Default => json!({ "layer": "default" }),
        From::File { file, line } => json!({ "layer": "file", "file": file, "line": line }),
        From::Saved => json!({ "layer": "saved" }),
        From::Unsaved => json!({ "layer": "unsaved" }),
        From::RolledBack { of } => json!({ "layer": "rolled_back", "of": of }),
        From::Spawned => json!({ "layer": "spawned" }),
        From::Ladder => json!({ "layer": "ladder" }),
    }
}

fn system(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let Some((found, _)) = asked(caller, args)? else {
        return Ok(Code::Invalid.exit());
    };
    let keys: Vec<Value> = found.iter().map(key_json).collect();
    let document = json!({
        "version": 1,
        "target": args.text("target"),
        "key": args.text("key"),
        "keys": keys,
    });
    caller.print(&COMMAND, &document)
}

fn key_json(found: &Explained) -> Value {
    let lower = found.lower.iter();
    let lower = lower.map(|(value, origin)| json!({ "value": value, "from": origin_json(origin) }));
    let mut document = json!({
        "name": found.name,
        "value": found.value,
        "from": origin_json(&found.origin),
        "lower": lower.collect::<Vec<_>>(),
    });
    if let (Some(key), Some(object)) = (find(found.key), document.as_object_mut()) {
        let variable = format!("UK_{}", found.name.replace('.', "__").to_ascii_uppercase());
        object.extend([
            ("about".to_owned(), key.about().into()),
            ("expected".to_owned(), key.expected().into()),
            ("takes_effect".to_owned(), key.effect.as_str().into()),
            ("variable".to_owned(), variable.into()),
        ]);
    }
    document
}

fn origin_json(origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({ "layer": "default" }),
        Origin::File(place) => {
            json!({ "layer": "file", "file": place.file.display().to_string(), "line": place.line })
        }
        Origin::Variable(name) => json!({ "layer": "environment", "variable": name }),
        Origin::Flag(name) => json!({ "layer": "flag", "flag": name }),
    }
}

/// `robot/config/system.yaml:12`
fn origin_text(from: &Value) -> String {
    let text = match text(from, "layer") {
        "file" => match from.get("line").and_then(Value::as_u64) {
            Some(line) => format!("{}:{line}", text(from, "file")),
            None => text(from, "file").to_owned(),
        },
        "saved" => "what was set live with --save".to_owned(),
        "unsaved" => "what was set live, until the kernel stops".to_owned(),
        "rolled_back" => format!("the rollback of version {}", number(from, "of")),
        "spawned" => "whoever spawned it, or its template".to_owned(),
        "ladder" => "its ladder".to_owned(),
        "environment" => text(from, "variable").to_owned(),
        "flag" => text(from, "flag").to_owned(),
        layer => layer.to_owned(),
    };
    printable(&text)
}

fn value_text(of: &Value) -> String {
    match of.get("value") {
        Some(Value::String(text)) => printable(text),
        Some(Value::Null) if of.pointer("/from/layer") != Some(&"default".into()) => {
            "not set".to_owned()
        }
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    let keys = list(document, "keys");
    match keys {
        [key] if document.get("key") == key.get("name") => one(key, screen),
        [] if text(document, "target") == SYSTEM => "no labels are set\n".to_owned(),
        [] => "nothing is set, and its kind has no defaults\n".to_owned(),
        keys => all(keys, screen),
    }
}

fn all(keys: &[Value], screen: &Screen) -> String {
    let rows: Vec<Vec<(Tone, String)>> = keys
        .iter()
        .map(|key| {
            let from = origin_text(key.get("from").unwrap_or(&Value::Null));
            let tone = if from == "default" {
                Tone::Dim
            } else {
                Tone::Plain
            };
            vec![
                (Tone::Bold, text(key, "name").to_owned()),
                (tone, from),
                (tone, value_text(key)),
            ]
        })
        .collect();
    wrapped_table(&rows, screen)
}

fn one(key: &Value, screen: &Screen) -> String {
    let mut out = String::new();
    let mut row = |tone: Tone, value: &Value, lead: &str| {
        let mut line = Line::new();
        line.push(Tone::Plain, lead);
        line.push(tone, &value_text(value));
        let from = origin_text(value.get("from").unwrap_or(&Value::Null));
        line.push(Tone::Dim, &format!("  from {from}"));
        out.push_str(&line.wrap(screen, 2));
    };
    row(Tone::Bold, key, &format!("{}: ", text(key, "name")));
    for lower in list(key, "lower") {
        row(Tone::Plain, lower, "  else: ");
    }
    let mut told = vec![text(key, "about").to_owned()];
    if key.get("expected").is_some() {
        told.push(format!(
            "It is {}. A change takes effect {}. In the environment it is {}.",
            text(key, "expected"),
            text(key, "takes_effect"),
            text(key, "variable")
        ));
    }
    told.retain(|paragraph| !paragraph.is_empty());
    for paragraph in told {
        let mut line = Line::new();
        line.push(Tone::Plain, &paragraph);
        out.push('\n');
        out.push_str(&line.wrap(screen, 0));
    }
    out
}
