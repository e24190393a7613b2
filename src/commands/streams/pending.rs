//! `uk streams pending`.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::stream::Position;

use super::{Asked, GROUP, LIMIT, STREAM, limit};
use crate::arguments::{Args, milliseconds};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, Tone, ago, list, number, table, text};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "List what a group was handed and has not acknowledged",
    help: "Oldest first, with who has it and how often it was handed out. What an actor has comes to it again \
           when it starts, and goes to one that subscribes by the same name once the tree has it no more. What any other consumer \
           has stays its own until `uk streams claim` hands it to another.\n\n\
           Example: uk streams pending action_log audit",
    args: &[STREAM, GROUP, LIMIT],
    show,
    ..Command::reading(&["streams", "pending"], |kernel, args| {
        async move { read(&kernel, &args).await }.boxed()
    })
};

async fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Asked::of(kernel, args)?;
    let group = args.text(GROUP.name).unwrap_or_default();
    let found = asked
        .store
        .pending(&asked.name, group, Position::START, limit(args));
    let found = asked.told(found.await).await?;
    let now = kernel.clock().wall();
    let pending = found.iter().map(|pending| {
        let mut document = serde_json::to_value(pending).unwrap_or_default();
        if let Some(document) = document.as_object_mut() {
            let idle = milliseconds(pending.delivered_at.age(now));
            document.insert("idle_ms".to_owned(), json!(idle));
        }
        document
    });
    let pending: Vec<Value> = pending.collect();
    Ok(json!({ "version": 1, "stream": asked.name, "group": group, "pending": pending }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let pending = list(document, "pending");
    if pending.is_empty() {
        return "nothing is pending\n".to_owned();
    }
    let mut rows = vec![
        ["position", "consumer", "handed out", "times"]
            .map(|head| (Tone::Dim, head.to_owned()))
            .to_vec(),
    ];
    for entry in pending {
        rows.push(vec![
            (Tone::Bold, text(entry, "position").to_owned()),
            (Tone::Plain, text(entry, "consumer").to_owned()),
            (Tone::Plain, ago(number(entry, "idle_ms"))),
            (Tone::Plain, number(entry, "deliveries").to_string()),
        ]);
    }
    table(&rows, screen)
}
