//! `uk logs`: the last lines of the log of a kernel that runs, and those that come.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tracing::Level;
use unity_supervisors::Kernel;

use super::{Command, Documents};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;
use crate::log_ring::{LINES_MAX, LogLine, LogRing, Wanted};
use crate::screen::{Line, NARROW, Screen, Tone, clock, number, text};

/// The words of `--level`, the gravest first.
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

pub(super) const COMMAND: Command = Command {
    about: "Show the last lines of the log, those about a part of the tree, or as they come",
    help: "A kernel keeps the last 2,048 lines that its log let through; which these are is said by the key `log` of \
           system.yaml. --follow goes on until Ctrl-C; who reads too slowly is told how many lines were left out.\n\n\
           Example: uk logs /sensors --level warn\n\
           Example: uk logs --follow --limit 10 --json",
    args: &[
        Arg::optional(
            "path",
            ArgKind::Path,
            "only lines about it, or about what is below it",
        ),
        Arg::option(
            "level",
            ArgKind::Word(LEVELS),
            "only those as grave as this, or graver",
        ),
        Arg::option("follow", ArgKind::Flag, "go on with what comes"),
        Arg::option(
            "limit",
            ArgKind::Integer,
            "begin with the last so many; all that are kept if not given",
        ),
    ],
    show,
    ..Command::streaming(&["logs"], |kernel, args| {
        async move { run(&kernel, &args) }.boxed()
    })
};

fn run(kernel: &Kernel, args: &Args) -> Result<Documents, CommandError> {
    let ring: Arc<LogRing> = kernel.shared();
    let path = args.path("path");
    if let Some(path) = &path
        && kernel.registry().get(path).is_none()
        && !kernel
            .tombstones()
            .iter()
            .any(|deleted| deleted.path == *path)
    {
        return Err(CommandError::not_found(path, kernel));
    }
    let level = args.text("level").and_then(|word| word.parse().ok());
    let wanted = Wanted {
        level: level.unwrap_or(Level::TRACE),
        path: path.map(|path| path.to_string()),
    };
    let limit = args.integer("limit").unwrap_or(LINES_MAX as u64);
    let begin = ring.kept(&wanted, usize::try_from(limit).unwrap_or(usize::MAX));
    let lines = stream::iter(begin.lines).map(|line| Ok(json!(*line)));
    if !args.flag("follow") {
        return Ok(lines.boxed());
    }
    Ok(lines.chain(following(ring, wanted, begin.last)).boxed())
}

/// The documents of what comes after a line.
fn following(ring: Arc<LogRing>, wanted: Wanted, after: u64) -> Documents {
    let begin = (ring, wanted, after, VecDeque::<Value>::new());
    stream::unfold(begin, |(ring, wanted, mut after, mut ready)| async move {
        while ready.is_empty() {
            let next = ring.next(after).await;
            after = next.last;
            let missed = (next.missed > 0).then(|| json!({ "version": 1, "missed": next.missed }));
            let lines = next.lines.iter().filter(|line| wanted.fits(line));
            ready.extend(
                missed
                    .into_iter()
                    .chain(lines.map(|line: &Arc<LogLine>| json!(**line))),
            );
        }
        let document = ready.pop_front()?;
        Some((Ok(document), (ring, wanted, after, ready)))
    })
    .boxed()
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    let missed = number(document, "missed");
    if missed > 0 {
        line.push(
            Tone::Warn,
            &format!("… {missed} lines came faster than they were read"),
        );
        return line.render(screen);
    }
    let (tone, level) = match text(document, "level") {
        "error" => (Tone::Bad, "ERROR"),
        "warn" => (Tone::Warn, " WARN"),
        "info" => (Tone::Good, " INFO"),
        "debug" => (Tone::Dim, "DEBUG"),
        _ => (Tone::Dim, "TRACE"),
    };
    let time = text(document, "time");
    line.push(
        Tone::Dim,
        if screen.width < NARROW {
            clock(time)
        } else {
            time
        },
    );
    line.push(tone, &format!(" {level} "));
    let path = text(document, "path");
    if !path.is_empty() {
        line.push(Tone::Bold, &format!("{path} "));
    }
    line.push(Tone::Plain, text(document, "text"));
    let fields = document.get("fields").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        line.push(Tone::Dim, &format!("  {name}="));
        line.push(Tone::Plain, &value);
    }
    line.wrap(screen, 6)
}
