//! `uk token create`, `list`, `revoke`: who may reach the kernel from outside.

use std::str::FromStr;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::clock::Timestamp;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::error::{Code, CommandError};
use crate::rights::tokens::{Tokens, Wanted};
use crate::rights::{Bounds, Scope};
use crate::screen::{Screen, Tone, list, put, table, text};
use crate::tree_file::DURATION_DAYS_MAX;

/// How long a token is good for at most if it is said, in milliseconds: as long as any time may be.
const EXPIRES_MAX_MS: u64 = DURATION_DAYS_MAX * 86_400_000;

pub(super) const CREATE: Command = Command {
    about: "Make a token for somebody who is not this user of this machine",
    help: "Whoever shows it may do what its scope says: `read` looks, `operate` also kills, restarts, stops, tells and \
           publishes, `admin` also changes settings and makes tokens. With --topic or --path it is for those alone, and what \
           lies below them. It is shown once; the kernel keeps only a hash of it.\n\n\
           Example: uk token create --scope operate --path /arm --topic 'sensor.arm.*' --expires 90d",
    args: &[
        Arg::needed(
            "scope",
            ArgKind::Word(Scope::WORDS),
            "what it may do: read, operate or admin",
        ),
        Arg::option(
            "topic",
            ArgKind::Form(Form::Patterns),
            "only these topics; patterns, with commas between",
        ),
        Arg::option(
            "path",
            ArgKind::Form(Form::Paths),
            "only these paths and all below; with commas between",
        ),
        Arg::option(
            "expires",
            ArgKind::Duration,
            "how long it is good for, 100 years at most; for ever unless said",
        )
        .within(1, EXPIRES_MAX_MS),
        Arg::option(
            "note",
            ArgKind::Text,
            "whose it is, for lists; 200 characters at most",
        )
        .within(1, 200),
    ],
    show: show_created,
    is_secret: true,
    ..Command::administering(&["token", "create"], |kernel, args| {
        async move { create(&kernel, &args) }.boxed()
    })
};

pub(super) const LIST: Command = Command {
    about: "List the tokens: what each may do, and until when",
    help: "What was shown when they were made is not known any more.\n\nExample: uk token list --json",
    show: show_list,
    scope: Scope::Admin,
    ..Command::reading(&["token", "list"], |kernel, _| {
        async move { Ok(all(&kernel)) }.boxed()
    })
};

pub(super) const REVOKE: Command = Command {
    about: "Take a token away: its holder is nobody from now on",
    help: "Streams that are open by it end with their next message.\n\nExample: uk token revoke t-3f09a1",
    args: &[Arg::required(
        "id",
        ArgKind::Form(Form::TokenId),
        "which, as `uk token list` has it",
    )],
    show: |document, _| format!("{} is good for nothing any more\n", text(document, "id")),
    ..Command::administering(&["token", "revoke"], |kernel, args| {
        async move { revoke(&kernel, &args) }.boxed()
    })
};

fn create(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let now = kernel.clock().wall();
    let expires_at = args.duration("expires").map(|after| {
        let us = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_unix_us(now.unix_us().saturating_add(us))
    });
    let wanted = Wanted {
        scope: args.text("scope").unwrap_or_default().parse()?,
        bounds: Bounds {
            topics: each(args, "topic")?,
            paths: each(args, "path")?,
        },
        expires_at,
        note: args.text("note").map(str::to_owned),
    };
    let (token, shown) = kernel.shared::<Tokens>().create(wanted, now)?;
    let mut document = token.to_json(now);
    put(&mut document, "version", 1);
    put(&mut document, "token", shown);
    Ok(document)
}

/// What stands between commas.
fn each<T: FromStr<Err: std::fmt::Display>>(
    args: &Args,
    name: &str,
) -> Result<Vec<T>, CommandError> {
    let Some(text) = args.text(name) else {
        return Ok(Vec::new());
    };
    let parse = |one: &str| {
        one.trim()
            .parse()
            .map_err(|error| CommandError::usage(format!("`{name}`: {error}")))
    };
    text.split(',').map(parse).collect()
}

fn all(kernel: &Kernel) -> Value {
    let now = kernel.clock().wall();
    let all = kernel.shared::<Tokens>().list();
    let all: Vec<Value> = all.iter().map(|token| token.to_json(now)).collect();
    json!({ "version": 1, "tokens": all })
}

fn revoke(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let id = args.text("id").unwrap_or_default();
    match kernel.shared::<Tokens>().revoke(id)? {
        true => Ok(json!({ "version": 1, "id": id })),
        false => Err(
            CommandError::new(Code::NotFound, format!("there is no token `{id}`"))
                .hint("`uk token list` says which there are"),
        ),
    }
}

fn show_created(document: &Value, screen: &Screen) -> String {
    let (id, shown) = (text(document, "id"), text(document, "token"));
    let mut out = format!("{shown}\n\n");
    out.push_str(&bounds_line(document));
    out.push_str(&format!(
        "Its id is {id}; it is shown this once. Programs send it as\n  Authorization: Bearer {}\n",
        crate::screen::cut(shown, 9)
    ));
    let _unused = screen;
    out
}

/// `It may operate, below /arm and on sensor.arm.*, until 2026-…`, in a line.
fn bounds_line(document: &Value) -> String {
    let mut line = format!("It may {}", text(document, "scope"));
    let texts = |key: &str| {
        let all: Vec<&str> = list(document, key)
            .iter()
            .filter_map(Value::as_str)
            .collect();
        all.join(", ")
    };
    match (texts("paths"), texts("topics")) {
        (paths, topics) if paths.is_empty() && topics.is_empty() => {}
        (paths, topics) if topics.is_empty() => line.push_str(&format!(", at {paths} and below")),
        (paths, topics) if paths.is_empty() => line.push_str(&format!(", on {topics}")),
        (paths, topics) => line.push_str(&format!(", at {paths} and below, and on {topics}")),
    }
    match text(document, "expires_at") {
        "" => line.push_str(", for as long as it is not revoked.\n"),
        until => line.push_str(&format!(", until {until}.\n")),
    }
    line
}

fn show_list(document: &Value, screen: &Screen) -> String {
    let tokens = list(document, "tokens");
    if tokens.is_empty() {
        return "no tokens; `uk token create --scope read` makes one\n".to_owned();
    }
    let heads = ["id", "scope", "for", "until", "note"];
    let mut rows = vec![heads.map(|head| (Tone::Dim, head.to_owned())).to_vec()];
    for token in tokens {
        let bounds = ["paths", "topics"].iter().flat_map(|key| list(token, key));
        let bounds: Vec<&str> = bounds.filter_map(Value::as_str).collect();
        let is_expired = token.get("expired") == Some(&Value::Bool(true));
        let until = match text(token, "expires_at") {
            "" => "it is revoked",
            _ if is_expired => "expired",
            until => until,
        };
        rows.push(vec![
            (Tone::Bold, text(token, "id").to_owned()),
            (Tone::Plain, text(token, "scope").to_owned()),
            (
                Tone::Plain,
                if bounds.is_empty() {
                    "all".to_owned()
                } else {
                    bounds.join(", ")
                },
            ),
            (
                if is_expired { Tone::Warn } else { Tone::Plain },
                until.to_owned(),
            ),
            (Tone::Plain, text(token, "note").to_owned()),
        ]);
    }
    table(&rows, screen)
}
