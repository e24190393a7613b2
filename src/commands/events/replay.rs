//! `uk events replay`: tells recorded events again, or copies them to a file.
//!
//! The kernel reads streams and tells events; files are read and written where the command was typed, so a kernel never opens what a
//! request names. What is in a file goes to the kernel a batch at a time, and waits there.

mod file;

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_actors::replay::merge::{Cursor, Merge};
use unity_actors::replay::{self, From, Newest, Replay, ReplayMessage, To};
use unity_supervisors::bus::line::{from_json, to_line};
use unity_supervisors::bus::{Draft, Pattern};
use unity_supervisors::stream::{Position, StreamError, StreamName, StreamStore};
use unity_supervisors::{ActorPath, Address, Kernel};

use super::pattern;
use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together, moment};
use crate::commands::Command;
use crate::commands::streams::{no_streams, of_stream};
use crate::error::{Code, CommandError};
use crate::screen::{Line, Screen, Tone, count, number, text};

/// How long the service may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long the lines of one page are, in bytes, but for the last.
const PAGE_LEN: usize = 4 << 20;

pub(in crate::commands) const REPLAY: Command = Command {
    about: "Tell recorded events again, or copy them to a file",
    help: "Events come from the streams that keep what fits the pattern, in the order in which they were kept, or from a file. They \
           go to one actor, which receives them as from a subscription; to the bus; or to a file, an event in JSON a line. \
           On the bus they keep their ids: a stream that still knows an id keeps it no second time, and nobody hears it again. \
           One replay runs at a time, in the kernel; Ctrl-C and --stop end it.\n\n\
           Example: uk events replay 'sensor.*' --from 2h --until 1h --to /fusion --speed 2\n\
           Example: uk events replay 'sensor.*' --to-file crash.jsonl\n\
           Example: uk events replay --from-file crash.jsonl --to /fusion --speed max",
    args: &[
        Arg::optional(
            "pattern",
            ArgKind::Form(Form::Pattern),
            "which events, as in sensor.*; all of them",
        ),
        Arg::option("to", ArgKind::Path, "the actor that they are told to"),
        Arg::option("bus", ArgKind::Flag, "publish them on the bus"),
        Arg::option("to-file", ArgKind::File, "the file that they are copied to").stays(),
        Arg::option("from-file", ArgKind::File, "the file that they are in").stays(),
        Arg::option(
            "stream",
            ArgKind::Form(Form::Stream),
            "the stream that they are in",
        ),
        Arg::option(
            "from",
            ArgKind::Form(Form::Moment),
            "those of this time and later, or of the last 2h",
        ),
        Arg::option(
            "until",
            ArgKind::Form(Form::Moment),
            "those before this time",
        ),
        Arg::option(
            "speed",
            ArgKind::Form(Form::Speed),
            "how many times as fast as they came, or max; 1",
        ),
        Arg::option("status", ArgKind::Flag, "only say how far it is"),
        Arg::option("stop", ArgKind::Flag, "end the one that runs"),
        Arg::internal("fed", ArgKind::Flag, "the events are fed"),
        Arg::internal("feed", ArgKind::Json, "events for one that is fed"),
        Arg::internal("page", ArgKind::Json, "events for a file, from here on"),
    ],
    rules: &[Rule::new(
        Together::One(&["to", "bus", "status", "stop", "feed", "page"]),
        "where the events go is not said, or said twice",
        "one of --to PATH, --bus and --to-file FILE",
    )],
    show,
    exit: |document| {
        let replay = document.get("replay").unwrap_or(&Value::Null);
        u8::from(text(replay, "state") == "failed")
    },
    attend: Some(file::attend),
    ..Command::changing(&["events", "replay"], |kernel, args| {
        async move { run(&kernel, &args).await }.boxed()
    })
};

async fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    if args.flag("stop") {
        let stopped = replay::stop(kernel);
        return stopped.map(|its| document(&its.to_json())).ok_or_else(|| {
            CommandError::new(Code::NotFound, "no replay is running")
                .hint("`uk events replay --status` says how the last one ended")
        });
    }
    if args.flag("status") {
        let newest = kernel.shared::<Newest>().get();
        return Ok(document(&json!(newest.map(|its| its.to_json()))));
    }
    if let Some(feed) = args.get("feed") {
        return take(kernel, feed).await;
    }
    if let Some(page) = args.get("page") {
        return read_page(kernel, args, page).await;
    }
    begin(kernel, args).await
}

fn document(replay: &Value) -> Value {
    json!({ "version": 1, "replay": replay })
}

/// How many times as fast; `None` is without waiting.
fn speed(args: &Args) -> Option<f64> {
    args.text("speed").unwrap_or("1").parse().ok()
}

fn unread(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::new(Code::Failed, error.to_string())
}

/// The streams that are named, or that keep what fits, with where the store is.
fn streams(
    kernel: &Kernel,
    args: &Args,
    pattern: &Pattern,
) -> Result<(std::sync::Arc<dyn StreamStore>, Vec<StreamName>), CommandError> {
    let store = kernel.bus().store().cloned().ok_or_else(|| {
        no_streams().hint("`uk health` says why; replay from a file: --from-file FILE")
    })?;
    if let Some(name) = args.text("stream") {
        let name = StreamName::new(name).map_err(|error| CommandError::usage(error.to_string()))?;
        return Ok((store, vec![name]));
    }
    let streams = kernel.bus().catalog().streams(pattern);
    if streams.is_empty() {
        let what = args.text("pattern").unwrap_or("*");
        return Err(CommandError::new(
            Code::NotFound,
            format!("no stream keeps what fits `{what}`"),
        )
        .hint("what is kept is said in the catalog, `persist`; --stream names one"));
    }
    Ok((store, streams))
}

/// All that was kept between the times that are given.
async fn merge(kernel: &Kernel, args: &Args, pattern: &Pattern) -> Result<Merge, CommandError> {
    let now = kernel.clock().wall();
    let (from, until) = (moment(args, "from", now)?, moment(args, "until", now)?);
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err(CommandError::conflict(format!(
            "nothing is from {from} on and before {until}"
        ))
        .hint("--until is the later one; --from 2h --until 1h is the hour before the last"));
    }
    let (store, streams) = streams(kernel, args, pattern)?;
    if let (Some(name), Some(_)) = (streams.first(), args.text("stream")) {
        let there = store.streams().await.map_err(of_stream)?;
        if !there.iter().any(|its| its.name == *name) {
            return Err(of_stream(StreamError::NoStream(name.clone())));
        }
    }
    let after = from.map_or(Position::START, Position::before);
    let end = until.map_or(Position::END, Position::before);
    let merge = Merge::new(&store, streams, after, end).await;
    merge.map_err(of_stream)
}

async fn begin(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let to = match args.path("to") {
        Some(path) => To::Actor(receiver(kernel, path)?),
        None => To::Bus,
    };
    let (pattern, speed) = (pattern(args, "pattern")?, speed(args));
    let from = if args.flag("fed") {
        From::Fed
    } else {
        From::Streams(Box::new(merge(kernel, args, &pattern).await?))
    };
    let replay = Replay {
        from,
        pattern,
        to,
        speed,
    };
    let begun = service(kernel)?
        .ask(ANSWERS_WITHIN, |begun| {
            ReplayMessage::Begin(Box::new(replay), begun)
        })
        .await
        .map_err(|error| unread(&error))?;
    begun.map_err(|error| unread(&error).hint("`uk events replay --stop` ends it"))?;
    let newest = kernel.shared::<Newest>().get();
    Ok(document(&json!(newest.map(|its| its.to_json()))))
}

fn receiver(kernel: &Kernel, path: ActorPath) -> Result<ActorPath, CommandError> {
    match kernel.registry().get(&path) {
        Some(slot) if slot.is_supervisor() => Err(CommandError::conflict(format!(
            "`{path}` is a supervisor, which receives no events"
        ))
        .hint(format!("`uk tree {path}` shows its children"))),
        Some(_) => Ok(path),
        None => Err(CommandError::not_found(&path, kernel)),
    }
}

fn service(kernel: &Kernel) -> Result<Address<ReplayMessage>, CommandError> {
    let path = replay::PATH.parse().ok();
    let service = path.and_then(|path| kernel.address(&path));
    service.ok_or_else(|| CommandError::new(Code::Failed, "this kernel has no replay service"))
}

/// Takes `{"id", "events", "is_last"}` from whoever reads a file; answers how many there was room for.
async fn take(kernel: &Kernel, feed: &Value) -> Result<Value, CommandError> {
    let drafts = crate::screen::list(feed, "events").iter().cloned();
    let events: Result<Vec<Draft>, _> = drafts.map(from_json).collect();
    let events = events.map_err(|error| CommandError::usage(error.to_string()))?;
    let is_last = feed.get("is_last") == Some(&Value::Bool(true));
    let id = number(feed, "id");
    let taken = service(kernel)?
        .ask(ANSWERS_WITHIN, |taken| ReplayMessage::Feed {
            id,
            events,
            is_last,
            taken,
        })
        .await
        .map_err(|error| unread(&error))?;
    let taken = taken.map_err(|error| CommandError::new(Code::NotFound, error.to_string()))?;
    Ok(json!({ "version": 1, "taken": taken }))
}

/// The lines of a page, and where the next one begins: `null` after the last.
async fn read_page(kernel: &Kernel, args: &Args, page: &Value) -> Result<Value, CommandError> {
    let pattern = pattern(args, "pattern")?;
    let mut merge = if page.is_object() {
        let cursor: Cursor = serde_json::from_value(page.clone())
            .map_err(|error| CommandError::usage(format!("`page`: {error}")))?;
        let (store, _) = streams(kernel, args, &pattern)?;
        Merge::on(&store, cursor)
    } else {
        merge(kernel, args, &pattern).await?
    };
    let (mut lines, mut len, mut left_out) = (Vec::new(), 0, 0_u64);
    let mut is_end = false;
    while len < PAGE_LEN && lines.len() < 4096 {
        let Some(event) = merge.next().await.map_err(of_stream)? else {
            is_end = true;
            break;
        };
        if pattern.fits(event.topic.as_str()) {
            let (line, is_left_out) = to_line(&event);
            len += line.len();
            left_out += u64::from(is_left_out);
            lines.push(line);
        }
    }
    let next = if is_end {
        Value::Null
    } else {
        json!(merge.cursor())
    };
    Ok(json!({ "version": 1, "lines": lines, "left_out": left_out, "next": next }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    if let Some(copied) = document.get("copied").and_then(Value::as_u64) {
        line.push(Tone::Plain, "copied ");
        line.push(Tone::Bold, &count(copied, "event"));
        line.push(Tone::Plain, &format!(" to {}", text(document, "file")));
        let left_out = number(document, "left_out");
        if left_out > 0 {
            let said = count(left_out, "blob");
            line.push(
                Tone::Warn,
                &format!("; {said} longer than 512 KiB left out"),
            );
        }
        return line.wrap(screen, 2);
    }
    let replay = document.get("replay").unwrap_or(&Value::Null);
    let state = text(replay, "state");
    if state.is_empty() {
        return "nothing was replayed since the kernel started\n".to_owned();
    }
    let tone = match state {
        "done" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Warn,
    };
    line.push(tone, state);
    line.push(Tone::Plain, ": told ");
    line.push(Tone::Bold, &count(number(replay, "told"), "event"));
    for (key, said) in [("passed_over", "did not fit"), ("refused", "were refused")] {
        let many = number(replay, key);
        if many > 0 {
            line.push(Tone::Plain, &format!(", {many} {said}"));
        }
    }
    let (at, why) = (text(replay, "at"), text(replay, "why"));
    if state != "done" && !at.is_empty() {
        line.push(Tone::Dim, &format!(", the last of {at}"));
    }
    if !why.is_empty() {
        line.push(Tone::Warn, &format!("; {why}"));
    }
    line.wrap(screen, 2)
}
