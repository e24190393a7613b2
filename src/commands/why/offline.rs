//! `uk why --bundle FILE [PATH]`: what a bundle knows, drawn as `uk why` draws what runs.

use serde_json::{Value, json};
use unity_supervisors::ActorPath;

use super::COMMAND;
use crate::arguments::Args;
use crate::bundle;
use crate::cli::{Caller, block_on};
use crate::error::{Code, CommandError};
use crate::nearest::nearest;
use crate::output;
use crate::screen::{Line, Screen, Tone, ago, count, list, number, reason, rough, text};

/// How many paths with exits are drawn; `--json` has all.
const SHOWN: usize = 20;

/// Reads the bundle that was named, else asks the kernel.
pub(super) fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let Some(file) = args.text("bundle") else {
        let named = args.the_path().map_err(|error| {
            error.hint("name a child, as in `uk why /sensors/host`, or a file with --bundle")
        });
        named?;
        let client = caller.kernel()?;
        let document = block_on(client.call(&COMMAND, args))??;
        return caller.print(&COMMAND, &document);
    };
    let document = bundle::read(file.as_ref())?;
    let (mut answer, drawn) = match args.path("path") {
        Some(path) => {
            let why = find(&document, &path, file)?;
            let drawn = (COMMAND.show)(&why, &caller.screen);
            (why, drawn)
        }
        None => (overview(&document), draw(&document, file, &caller.screen)),
    };
    let shown = if caller.json {
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("bundle".to_owned(), head(&document, file));
        }
        format!("{answer}\n")
    } else {
        format!("{}{drawn}", draw_head(&document, &caller.screen))
    };
    output::out(&shown)?;
    Ok(0)
}

/// The document of one path.
fn find(document: &Value, path: &ActorPath, file: &str) -> Result<Value, CommandError> {
    let whys = document.get("why").and_then(Value::as_object);
    if let Some(why) = whys.and_then(|whys| whys.get(path.as_str())) {
        return Ok(why.clone());
    }
    let error = CommandError::new(Code::NotFound, format!("{file} knows nothing of `{path}`"));
    let names = whys.into_iter().flat_map(|whys| whys.keys());
    let hint = match nearest(path.as_str(), names.map(String::as_str)) {
        _ if number(document, "slots_left_out") > 0 => {
            let left_out = count(number(document, "slots_left_out"), "slot");
            format!(
                "{left_out} with older exits or none are not in it; leave the path out to see what is"
            )
        }
        Some(near) => format!("did you mean `{near}`?"),
        None if text(document, "written_by") == "guard" => {
            "a guard knows only how the process died; leave the path out".to_owned()
        }
        None => "leave the path out to see what is in it".to_owned(),
    };
    Err(error.hint(hint))
}

/// Which bundle it is.
fn head(document: &Value, file: &str) -> Value {
    let of = |key: &str| document.get(key).cloned().unwrap_or_default();
    json!({
        "file": file, "written_at": of("written_at"), "written_by": of("written_by"), "node": of("node"),
        "cause": of("cause"), "versions": of("versions"),
    })
}

fn overview(document: &Value) -> Value {
    let of = |key: &str| document.get(key).cloned().unwrap_or_default();
    json!({
        "version": 1,
        "mode": of("mode"),
        "safe_reason": of("safe_reason"),
        "deaths": of("deaths"),
        "root": document.pointer("/why/~1").cloned(),
        "exited": exited(document).into_iter().map(|(path, _)| path).collect::<Vec<_>>(),
    })
}

/// The paths with exits and their documents, the latest exit first.
fn exited(document: &Value) -> Vec<(&String, &Value)> {
    let whys = document.get("why").and_then(Value::as_object);
    let mut exited: Vec<(&String, &Value)> = whys.into_iter().flatten().collect();
    exited.retain(|(_, why)| latest(why).is_some());
    exited.sort_by_key(|(_, why)| latest(why).map(|exit| number(exit, "ago_ms")));
    exited
}

fn latest(why: &Value) -> Option<&Value> {
    list(why, "exits")
        .first()
        .or_else(|| list(why, "earlier_exits").first())
}

fn draw_head(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "node"));
    line.push(Tone::Dim, " as it was at ");
    line.push(Tone::Plain, text(document, "written_at"));
    let versions = document.get("versions").unwrap_or(&Value::Null);
    line.push(
        Tone::Dim,
        &format!(" · uk {} · {}", text(versions, "uk"), text(versions, "os")),
    );
    let mut out = line.wrap(screen, 2);
    let cause = document.get("cause").unwrap_or(&Value::Null);
    let kind = text(cause, "kind").replace('_', " ");
    let mut line = Line::new();
    line.push(
        if kind == "asked" {
            Tone::Plain
        } else {
            Tone::Bad
        },
        &kind,
    );
    line.push(Tone::Plain, &format!(": {}", text(cause, "text")));
    out.push_str(&line.wrap(screen, 2));
    out.push('\n');
    out
}

fn draw(document: &Value, file: &str, screen: &Screen) -> String {
    let mut out = String::new();
    for death in list(document, "deaths") {
        let mut line = Line::new();
        line.push(Tone::Dim, text(death, "at"));
        line.push(
            Tone::Plain,
            &format!(
                "  pid {} after {}: ",
                number(death, "pid"),
                rough(number(death, "ran_ms"))
            ),
        );
        line.push(Tone::Warn, text(death, "how"));
        out.push_str(&line.wrap(screen, 2));
    }
    if text(document, "written_by") == "guard" {
        out.push_str("a guard knows no more; what the process wrote last is in its log\n");
        return out;
    }
    if let Some(root) = document.pointer("/why/~1") {
        out.push_str(&(COMMAND.show)(root, screen));
    }
    let exited = exited(document);
    out.push_str(if exited.is_empty() {
        "\nnothing had exited\n"
    } else {
        "\nlast exits, as of then:\n"
    });
    for (path, why) in exited.iter().take(SHOWN) {
        let exit = latest(why).unwrap_or(&Value::Null);
        let mut line = Line::new();
        line.push(Tone::Plain, "  ");
        line.push(Tone::Bold, path);
        line.pad_to(24);
        line.push(Tone::Dim, &format!(" {}  ", ago(number(exit, "ago_ms"))));
        line.push(
            Tone::Warn,
            &reason(exit.get("reason").unwrap_or(&Value::Null)),
        );
        out.push_str(&line.wrap(screen, 24));
    }
    let more = exited.len().saturating_sub(SHOWN);
    if more > 0 {
        out.push_str(&format!("  … and {more} more; --json has them\n"));
    }
    if let Some((path, _)) = exited.first() {
        out.push_str(&format!("next: uk why --bundle {file} {path}\n"));
    }
    out
}
