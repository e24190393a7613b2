//! `uk streams read`: what is in a stream, or what a group has not been handed yet.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::stream::Position;

use super::{Asked, LIMIT, STREAM, limit};
use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together, moment};
use crate::commands::Command;
use crate::error::CommandError;
use crate::rights::Scope;
use crate::screen::{NARROW, Screen, Tone, list, table, text};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Show what is in a stream, or hand out what a group has not read",
    help: "Oldest first, or with --reverse newest first. With --group and --consumer it hands out what comes after the \
           group's cursor, which moves on; `uk streams ack` says that it was handled. A group that is not there is made with \
           --from.\n\n\
           Example: uk streams read action_log --reverse --limit 10\n\
           Example: uk streams read action_log --group audit --consumer anna --from start",
    args: &[
        STREAM,
        Arg::option(
            "from",
            ArgKind::Form(Form::Place),
            "with this position or time, 2h for two hours ago, or start; with --reverse before it",
        ),
        LIMIT,
        Arg::option("reverse", ArgKind::Flag, "newest first"),
        Arg::option("group", ArgKind::Form(Form::Name), "hand out to this group"),
        Arg::option(
            "consumer",
            ArgKind::Form(Form::Name),
            "who of the group it is handed to",
        ),
    ],
    rules: &[
        Rule::new(
            Together::Needs("group", &["consumer"]),
            "--group and --consumer belong together",
            "say both, or none to only look",
        ),
        Rule::new(
            Together::Needs("consumer", &["group"]),
            "--group and --consumer belong together",
            "say both, or none to only look",
        ),
        Rule::new(
            Together::NotBoth("group", "reverse"),
            "a group is handed events oldest first",
            "leave out --reverse",
        ),
    ],
    show,
    // To hand out changes something, and takes more than this: see `Who::may_with`.
    scope: Scope::Read,
    ..Command::changing(&["streams", "read"], |kernel, args| {
        async move { run(&kernel, &args).await }.boxed()
    })
};

async fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Asked::of(kernel, args)?;
    let from = from(kernel, args)?;
    let mut made = false;
    let entries = match (args.text("group"), args.text("consumer")) {
        (Some(group), Some(consumer)) => {
            // Otherwise a slip in a name would make a stream.
            asked.info().await?;
            if let Some(from) = from {
                let done = asked.store.make_group(&asked.name, group, from.previous());
                made = asked.told(done.await).await?;
            }
            let read = asked
                .store
                .read_group(&asked.name, group, consumer, limit(args));
            let read = asked.told(read.await).await;
            read.map_err(|error| match from {
                None if error
                    .hint
                    .as_ref()
                    .is_some_and(|hint| !hint.starts_with("did you")) =>
                {
                    error.hint("--from start, a position or a time makes it")
                }
                _ => error,
            })?
        }
        _ if args.flag("reverse") => {
            let before = from.unwrap_or(Position::END);
            let read = asked.store.read_back(&asked.name, before, limit(args));
            asked.told(read.await).await?
        }
        _ => {
            let after = from.map_or(Position::START, Position::previous);
            let read = asked
                .store
                .read(&asked.name, after, Position::END, limit(args));
            asked.told(read.await).await?
        }
    };
    if entries.is_empty() {
        // One that is not there is empty as well.
        asked.info().await?;
    }
    Ok(json!({ "version": 1, "stream": asked.name, "made_group": made, "entries": entries }))
}

/// `start`, a position or a time.
fn from(kernel: &Kernel, args: &Args) -> Result<Option<Position>, CommandError> {
    let Some(text) = args.text("from") else {
        return Ok(None);
    };
    if text == "start" {
        return Ok(Some(Position::START));
    }
    if let Ok(position) = text.parse() {
        return Ok(Some(position));
    }
    let time = moment(args, "from", kernel.clock().wall())?;
    Ok(time.map(|time| Position {
        ms: time.unix_ms(),
        seq: 0,
    }))
}

pub(super) fn rows(entries: &[Value], screen: &Screen) -> Vec<Vec<(Tone, String)>> {
    let is_narrow = screen.width < NARROW;
    let row = |entry: &Value| {
        let event = entry.get("event").unwrap_or(&Value::Null);
        let data = event.get("data").unwrap_or(&Value::Null);
        let time = (Tone::Dim, text(event, "time").to_owned());
        let source = (Tone::Dim, text(event, "source").to_owned());
        // A position tells the time as well.
        let cells = [
            Some((Tone::Bold, text(entry, "position").to_owned())),
            Some(time).filter(|_| !is_narrow),
            Some((Tone::Plain, text(event, "topic").to_owned())),
            Some(source).filter(|_| !is_narrow),
            Some((Tone::Plain, data.to_string())),
        ];
        cells.into_iter().flatten().collect()
    };
    entries.iter().map(row).collect()
}

fn show(document: &Value, screen: &Screen) -> String {
    let entries = list(document, "entries");
    if entries.is_empty() {
        return "nothing there\n".to_owned();
    }
    table(&rows(entries, screen), screen)
}
