//! `uk streams show`.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Asked, STREAM, info_json, retention_text};
use crate::arguments::Args;
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, ago, bytes, count, list, number, table, text, thousands};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Show a stream, and the groups that read it",
    help: "Of a group, `cursor` is the last event that was handed out, `lag` how many were never handed out, `pending` how \
           many were and are not acknowledged.\n\n\
           Example: uk streams show conversation_stream",
    args: &[STREAM],
    show,
    ..Command::reading(&["streams", "show"], |kernel, args| {
        async move { read(&kernel, &args).await }.boxed()
    })
};

async fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let info = Asked::of(kernel, args)?.info().await?;
    let mut document = info_json(&info, kernel.clock().wall());
    if let Some(document) = document.as_object_mut() {
        document.insert("version".to_owned(), json!(1));
    }
    Ok(document)
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut out = format!("{}\n", screen.paint(Tone::Bold, text(document, "stream")));
    let mut fact = |tone: Tone, name: &str, value: &str| {
        let mut line = Line::new();
        line.push(Tone::Plain, "  ");
        line.push(Tone::Dim, name);
        line.pad_to(12);
        line.push(tone, value);
        out.push_str(&line.wrap(screen, 12));
    };
    let place = |position: &str, when: &str| match text(document, position) {
        "" => "none".to_owned(),
        position => format!("{position}, {}", ago(number(document, when))),
    };
    let length = count(number(document, "length"), "event");
    let size = bytes(number(document, "bytes"));
    fact(Tone::Plain, "holds", &format!("{length}, {size}"));
    fact(Tone::Plain, "oldest", &place("first", "first_ago_ms"));
    fact(Tone::Plain, "newest", &place("last", "last_ago_ms"));
    let retention = document.get("retention").unwrap_or(&Value::Null);
    fact(Tone::Plain, "keeps", &retention_text(retention));
    let skipped = number(document, "skipped");
    if skipped > 0 {
        let said = format!("{} could not be read any more", count(skipped, "event"));
        fact(Tone::Warn, "skipped", &said);
    }
    let trouble = text(document, "trouble");
    if !trouble.is_empty() {
        fact(
            Tone::Bad,
            "trouble",
            &format!("it takes nothing for now: {trouble}"),
        );
    }
    let groups = list(document, "groups");
    if groups.is_empty() {
        fact(Tone::Plain, "groups", "none");
        return out;
    }
    let mut rows = vec![
        ["group", "cursor", "pending", "lag"]
            .map(|head| (Tone::Dim, head.to_owned()))
            .to_vec(),
    ];
    for group in groups {
        rows.push(vec![
            (Tone::Bold, text(group, "name").to_owned()),
            (Tone::Plain, text(group, "cursor").to_owned()),
            (Tone::Plain, thousands(number(group, "pending"))),
            (Tone::Plain, thousands(number(group, "lag"))),
        ]);
    }
    format!("{out}\n{}", table(&rows, screen))
}
