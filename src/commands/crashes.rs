//! `uk crashes`: what crashed in the whole tree, one story for each cause.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::{ActorPath, Kernel};

use super::Command;
use super::why::{story, telling};
use crate::arguments::{Arg, ArgKind, Args, Form, moment};
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, ago, list, number, text};

/// How many stories are drawn; `--json` has all.
const SHOWN: usize = 10;

pub(super) const COMMAND: Command = Command {
    about: "What crashed in the whole tree, the latest first: the cause, what went with it, what was done",
    help: "One cause is one story: the same crash again, the supervisor that gave up because of it, and what was stopped \
           together with it belong to it. A kernel remembers the last 32 exits of each child.\n\n\
           Example: uk crashes --since 1h\n\
           Example: uk crashes /sensors",
    args: &[
        Arg::optional(
            "path",
            ArgKind::Path,
            "only those that touched it, or what is below it",
        ),
        Arg::option(
            "since",
            ArgKind::Form(Form::Moment),
            "1h for the last hour, or a time as in 2026-11-20T21:30:00Z",
        ),
    ],
    show,
    ..Command::reading(&["crashes"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let since = moment(args, "since", kernel.clock().wall())?;
    let path = args.path("path").unwrap_or_else(ActorPath::root);
    let mut stories = story::of_kernel(kernel);
    stories.retain(|story| {
        let is_late =
            since.is_none_or(|since| story.last().is_some_and(|last| last.record.at >= since));
        is_late && story.touches(&path)
    });
    if stories.is_empty()
        && kernel.registry().get(&path).is_none()
        && !kernel
            .tombstones()
            .iter()
            .any(|deleted| deleted.path == path)
    {
        return Err(CommandError::not_found(&path, kernel));
    }
    let stories: Vec<Value> = stories
        .iter()
        .map(|story| telling::document(kernel, story))
        .collect();
    Ok(json!({ "version": 1, "crashes": stories }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let stories = list(document, "crashes");
    if stories.is_empty() {
        return "nothing crashed\n".to_owned();
    }
    let mut out = String::new();
    for story in stories.iter().take(SHOWN) {
        let mut line = Line::new();
        line.push(Tone::Bad, text(story, "text"));
        line.push(Tone::Dim, &format!("  {}", ago(number(story, "ago_ms"))));
        out.push_str(&line.wrap(screen, 2));
        out.push_str(&telling::timeline(story, screen));
        let mut line = Line::new();
        line.push(Tone::Dim, "now   ");
        line.push(
            Tone::Plain,
            story
                .pointer("/now/text")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
        out.push_str(&line.wrap(screen, 6));
        out.push_str(&telling::next(
            story.get("suggest").unwrap_or(&Value::Null),
            screen,
        ));
        out.push('\n');
    }
    if let Some(more) = stories.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        out.push_str(&format!("… and {more} more; --json has them\n"));
    } else {
        out.pop();
    }
    out
}
