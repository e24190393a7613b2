//! `uk streams list`.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{info_json, of_stream, retention_text, store};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, Tone, ago, bytes, list, number, table, text, thousands};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "List the streams: how much is in each, and what they keep",
    help: "A stream is made by the first event that is kept in it; `uk events list` says which are kept where.\n\n\
           Example: uk streams list",
    show,
    ..Command::reading(&["streams", "list"], |kernel, _| {
        async move { read(&kernel).await }.boxed()
    })
};

async fn read(kernel: &Kernel) -> Result<Value, CommandError> {
    let all = store(kernel)?.streams().await.map_err(of_stream)?;
    let now = kernel.clock().wall();
    let streams: Vec<Value> = all.iter().map(|info| info_json(info, now)).collect();
    Ok(json!({ "version": 1, "streams": streams }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let streams = list(document, "streams");
    if streams.is_empty() {
        return "there is no stream yet: nothing that is kept was published\n".to_owned();
    }
    let mut rows = vec![
        [
            "stream", "events", "size", "oldest", "newest", "groups", "keeps",
        ]
        .map(|head| (Tone::Dim, head.to_owned()))
        .to_vec(),
    ];
    for stream in streams {
        let when = |name: &str| match stream.get(name).and_then(Value::as_u64) {
            Some(ms) => ago(ms),
            None => "–".to_owned(),
        };
        let is_well = text(stream, "trouble").is_empty();
        let tone = if is_well { Tone::Bold } else { Tone::Bad };
        let retention = stream.get("retention").unwrap_or(&Value::Null);
        rows.push(vec![
            (tone, text(stream, "stream").to_owned()),
            (Tone::Plain, thousands(number(stream, "length"))),
            (Tone::Plain, bytes(number(stream, "bytes"))),
            (Tone::Dim, when("first_ago_ms")),
            (Tone::Dim, when("last_ago_ms")),
            (Tone::Plain, list(stream, "groups").len().to_string()),
            (Tone::Plain, retention_text(retention)),
        ]);
    }
    let mut out = table(&rows, screen);
    for stream in streams {
        let trouble = text(stream, "trouble");
        if !trouble.is_empty() {
            let said = format!(
                "{} takes nothing for now: {trouble}",
                text(stream, "stream")
            );
            out.push_str(&format!(
                "{}\n",
                screen.paint(Tone::Bad, &crate::screen::printable(&said))
            ));
        }
    }
    out
}
