//! `uk dlq`: messages that nobody will handle.

pub(super) mod settle;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_actors::dead_letters::Written;
use unity_actors::dead_letters::desk::{Desk, Letter};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::stream::StreamError;
use unity_supervisors::{ActorPath, Kernel};

use super::Command;
use super::streams::of_stream;
use crate::arguments::{Arg, ArgKind, Args, milliseconds};
use crate::error::{Code, CommandError};
use crate::screen::{Screen, Tone, ago, count, list, number, reason, table, text};

/// How many are listed unless told otherwise.
const LIMIT: u64 = 50;

pub(super) const LIST: Command = Command {
    about: "List dead letters, the newest first",
    help: "A message is a dead letter when its actor crashed with it in hand, when it was dropped by a full \
           mailbox, expired, or was sent to what is down. A kernel that has streams writes them into one, and \
           lists those of its earlier runs too; without, it keeps the newest thousand.\n\n\
           Example: uk dlq list --path /arm/driver --reason crashed",
    args: &[
        Arg::option("path", ArgKind::Path, "only those of this part of the tree"),
        Arg::option(
            "reason",
            ArgKind::Word(DeadReason::WORDS),
            "only those that died of this",
        ),
        Arg::option("limit", ArgKind::Integer, "how many; 50"),
    ],
    show: show_list,
    ..Command::reading(&["dlq", "list"], |kernel, args| {
        async move { list_letters(&kernel, &args).await }.boxed()
    })
};

pub(super) const SHOW: Command = Command {
    about: "Show one dead letter",
    help: "Example: uk dlq show 3",
    args: &[Arg::required(
        "id",
        ArgKind::Integer,
        "its number in the list",
    )],
    show: |document, _| format!("{:#}\n", document.get("letter").unwrap_or(&Value::Null)),
    ..Command::reading(&["dlq", "show"], |kernel, args| {
        async move { show_letter(&kernel, &args).await }.boxed()
    })
};

fn unreadable(error: &StreamError) -> CommandError {
    of_stream(error.clone())
}

fn no_such_letter(id: u64) -> CommandError {
    CommandError::new(Code::NotFound, format!("there is no dead letter {id}"))
        .hint("`uk dlq list` lists those that are kept and not settled")
}

/// Whether a letter is of this part of the tree, if one is named.
fn is_below(letter: &Letter, part: Option<&ActorPath>) -> bool {
    part.is_none_or(|part| letter.path().is_some_and(|path| part.contains(&path)))
}

async fn list_letters(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let limit = usize::try_from(args.integer("limit").unwrap_or(LIMIT)).unwrap_or(usize::MAX);
    let (path, reason) = (args.path("path"), args.text("reason"));
    let wanted = |letter: &Letter| {
        is_below(letter, path.as_ref())
            && reason.is_none_or(|reason| text(&letter.json, "reason") == reason)
    };
    let read = async {
        let desk = Desk::look(kernel).await?;
        Ok((desk.count().await?, desk.newest(limit, wanted).await?))
    };
    let (kept, letters) = read.await.map_err(|error| unreadable(&error))?;
    let shown: Vec<Value> = letters
        .into_iter()
        .map(|letter| json_of(letter, kernel))
        .collect();
    Ok(json!({
        "version": 1, "total": kernel.dead_letters().total(), "kept": kept,
        "not_written": kernel.shared::<Written>().failed(), "letters": shown,
    }))
}

async fn show_letter(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let id = args.integer("id").unwrap_or(0);
    let read = async { Desk::look(kernel).await?.get(id).await };
    let letter = read.await.map_err(|error| unreadable(&error))?;
    let letter = letter.ok_or_else(|| no_such_letter(id))?;
    Ok(json!({ "version": 1, "letter": json_of(letter, kernel) }))
}

fn json_of(letter: Letter, kernel: &Kernel) -> Value {
    let mut value = letter.json;
    let at = text(&value, "at").parse::<Timestamp>();
    if let (Some(object), Ok(at)) = (value.as_object_mut(), at) {
        let age = at.age(kernel.clock().wall());
        object.insert("ago_ms".to_owned(), Value::from(milliseconds(age)));
        if letter.is_begun {
            object.insert("retry".to_owned(), Value::from("cut_off"));
        }
    }
    value
}

fn show_list(document: &Value, screen: &Screen) -> String {
    let letters = list(document, "letters");
    let (total, kept) = (number(document, "total"), number(document, "kept"));
    let mut end = count(kept, "dead letter");
    if total != kept {
        end.push_str(&format!(" ({total} since the kernel started)"));
    }
    let failed = number(document, "not_written");
    if failed > 0 {
        end.push_str(&format!("; {failed} could not be written: see the log"));
    }
    if letters.is_empty() {
        return format!("{end}; none to show\n");
    }
    let mut rows = vec![
        ["id", "when", "path", "reason", "message"]
            .map(|head| (Tone::Dim, head.to_owned()))
            .to_vec(),
    ];
    rows.extend(letters.iter().map(row));
    format!(
        "{}{end}; `uk dlq retry ID` sends one again, `uk dlq drop ID` forgets it\n",
        table(&rows, screen)
    )
}

fn row(letter: &Value) -> Vec<(Tone, String)> {
    let body = letter.get("message").map(ToString::to_string);
    let debug = || {
        let debug = letter.get("debug").and_then(Value::as_str);
        debug.map(str::to_owned)
    };
    let body = body.or_else(debug);
    let mut why = match letter.get("exit") {
        Some(exit) if text(letter, "reason") == "poison" => format!("poison: {}", reason(exit)),
        Some(exit) => reason(exit),
        None => text(letter, "reason").to_owned(),
    };
    if letter.get("retry").is_some() {
        why = "its retry was cut off".to_owned();
    }
    vec![
        (Tone::Bold, number(letter, "id").to_string()),
        (Tone::Plain, ago(number(letter, "ago_ms"))),
        (Tone::Plain, text(letter, "path").to_owned()),
        (Tone::Warn, crate::screen::cut(&why, 24)),
        (
            Tone::Plain,
            body.unwrap_or_else(|| text(letter, "name").to_owned()),
        ),
    ]
}
