//! `uk dlq`: messages that nobody will handle.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::dead_letter::DeadLetter;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args, milliseconds};
use crate::error::{Code, CommandError};
use crate::screen::{Screen, Tone, ago, count, list, number, reason, table, text};

/// How many are listed unless told otherwise.
const LIMIT: u64 = 50;

pub(super) const LIST: Command = Command {
    about: "List dead letters, the newest first",
    help: "A message is a dead letter when its actor crashed with it in hand, when it was dropped by a full \
           mailbox, expired, or was sent to what is down. The newest thousand are kept.\n\n\
           Example: uk dlq list --path /arm/driver",
    args: &[
        Arg::option("path", ArgKind::Path, "only those of this part of the tree"),
        Arg::option("limit", ArgKind::Integer, "how many; 50"),
    ],
    show: show_list,
    ..Command::reading(&["dlq", "list"], |kernel, args| {
        async move { Ok(list_letters(&kernel, &args)) }.boxed()
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
        async move { show_letter(&kernel, &args) }.boxed()
    })
};

fn list_letters(kernel: &Kernel, args: &Args) -> Value {
    let letters = kernel.dead_letters();
    let limit = usize::try_from(args.integer("limit").unwrap_or(LIMIT)).unwrap_or(usize::MAX);
    let path = args.path("path");
    let all = letters.list();
    let wanted = all
        .iter()
        .rev()
        .filter(|letter| path.as_ref().is_none_or(|path| path.contains(&letter.path)));
    let shown: Vec<Value> = wanted
        .take(limit)
        .map(|letter| json_of(letter, kernel))
        .collect();
    json!({ "version": 1, "total": letters.total(), "kept": all.len(), "letters": shown })
}

fn show_letter(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let id = args.integer("id").unwrap_or(0);
    let letter = kernel.dead_letters().get(id).ok_or_else(|| {
        CommandError::new(Code::NotFound, format!("there is no dead letter {id}"))
            .hint("`uk dlq list` lists those that are kept")
    })?;
    Ok(json!({ "version": 1, "letter": json_of(&letter, kernel) }))
}

fn json_of(letter: &DeadLetter, kernel: &Kernel) -> Value {
    let mut value = serde_json::to_value(letter).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        let age = letter.at.age(kernel.clock().wall());
        object.insert("ago_ms".to_owned(), Value::from(milliseconds(age)));
    }
    value
}

fn show_list(document: &Value, screen: &Screen) -> String {
    let letters = list(document, "letters");
    let total = count(number(document, "total"), "dead letter");
    if letters.is_empty() {
        return format!("{total}, none to show\n");
    }
    let mut rows = vec![
        ["id", "when", "path", "reason", "message"]
            .map(|head| (Tone::Dim, head.to_owned()))
            .to_vec(),
    ];
    for letter in letters {
        let body = letter.get("message").map(ToString::to_string);
        let body = body.or_else(|| {
            letter
                .get("debug")
                .and_then(Value::as_str)
                .map(str::to_owned)
        });
        let why = match letter.get("exit") {
            Some(exit) => reason(exit),
            None => text(letter, "reason").to_owned(),
        };
        rows.push(vec![
            (Tone::Bold, number(letter, "id").to_string()),
            (Tone::Plain, ago(number(letter, "ago_ms"))),
            (Tone::Plain, text(letter, "path").to_owned()),
            (Tone::Warn, crate::screen::cut(&why, 24)),
            (
                Tone::Plain,
                body.unwrap_or_else(|| text(letter, "name").to_owned()),
            ),
        ]);
    }
    format!(
        "{}{total}; `uk dlq show ID` shows one\n",
        table(&rows, screen)
    )
}
