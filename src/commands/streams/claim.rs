//! `uk streams claim`.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::stream::Position;

use super::read::rows;
use super::{Asked, GROUP, STREAM, positions};
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, count, list, table, text};

/// How many are claimed at once unless they are named.
const CLAIMED_MAX: usize = 1_000;
/// How long ago they were handed out at least, unless it is said.
const IDLE: Duration = Duration::from_secs(60);

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Hand what is pending to another consumer of its group",
    help: "Those at these positions, or all; but only what was handed out at least --idle ago, so that nobody loses what \
           they have in hand. What is kept no more is acknowledged. Meant for consumers outside of the tree: what an actor left that is \
           gone, another actor with a durable subscription of that name takes over by itself.\n\n\
           Example: uk streams claim action_log audit berta --idle 5m",
    args: &[
        STREAM,
        GROUP,
        Arg::required("consumer", ArgKind::Form(Form::Name), "who gets them"),
        Arg::optional(
            "positions",
            ArgKind::Many(Form::Position),
            "where they stand; all that are pending",
        ),
        Arg::option(
            "idle",
            ArgKind::Duration,
            "how long ago they were handed out, at least; 1m",
        ),
    ],
    show,
    ..Command::changing(&["streams", "claim"], |kernel, args| {
        async move { run(&kernel, &args).await }.boxed()
    })
};

async fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Asked::of(kernel, args)?;
    let group = args.text(GROUP.name).unwrap_or_default();
    let consumer = args.text("consumer").unwrap_or_default();
    let mut positions = positions(args)?;
    if positions.is_empty() {
        let all = asked
            .store
            .pending(&asked.name, group, Position::START, CLAIMED_MAX);
        let all = asked.told(all.await).await?;
        positions = all.iter().map(|pending| pending.position).collect();
    }
    let idle = args.duration("idle").unwrap_or(IDLE);
    let done = asked
        .store
        .claim(&asked.name, group, consumer, idle, &positions);
    let claimed = asked.told(done.await).await?;
    let entries: Vec<Value> = claimed
        .iter()
        .map(|(entry, deliveries)| {
            json!({ "position": entry.position, "event": *entry.event, "deliveries": deliveries })
        })
        .collect();
    Ok(json!({
        "version": 1, "stream": asked.name, "group": group, "consumer": consumer, "entries": entries,
    }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let entries = list(document, "entries");
    let claimed = count(u64::try_from(entries.len()).unwrap_or(u64::MAX), "event");
    let consumer = text(document, "consumer");
    format!(
        "{}{claimed} handed to {consumer}\n",
        table(&rows(entries, screen), screen)
    )
}
