//! `uk streams drop`.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Asked, GROUP, STREAM};
use crate::arguments::{Arg, ArgKind, Args};
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::{Screen, count, number, text};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Forget a group of readers of a stream",
    help: "How far it got and what it has pending are forgotten; the events stay. Whoever reads by this name later begins anew. \
           A group that an actor reads right now, by a durable subscription, is dropped with --force only: the actor then \
           begins where its subscription says, as if it were new.\n\n\
           Example: uk streams drop action_log audit",
    args: &[
        STREAM,
        GROUP,
        Arg::option("force", ArgKind::Flag, "even if an actor reads it"),
    ],
    show,
    ..Command::changing(&["streams", "drop"], |kernel, args| {
        async move { run(&kernel, &args).await }.boxed()
    })
};

async fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Asked::of(kernel, args)?;
    let name = args.text(GROUP.name).unwrap_or_default();
    let group = asked.group(name).await?;
    let readers = kernel.bus().readers(&asked.name).into_iter();
    let readers: Vec<String> = readers
        .filter(|(group, _)| group == name)
        .map(|(_, path)| path)
        .collect();
    if !readers.is_empty() && !args.flag("force") {
        return Err(is_read(&asked, name, &readers));
    }
    let dropped = asked.store.drop_group(&asked.name, name).await;
    if !asked.told(dropped).await? {
        return Err(asked.no_group(name, &[]));
    }
    kernel.bus().group_dropped(&asked.name, name);
    Ok(json!({
        "version": 1, "stream": asked.name, "group": name, "pending": group.pending, "lag": group.lag,
        "readers": readers,
    }))
}

fn is_read(asked: &Asked, group: &str, readers: &[String]) -> CommandError {
    let (stream, who) = (&asked.name, readers.join(", "));
    let message = format!("group `{group}` of stream `{stream}` is read by {who} right now");
    let first = readers.first().map_or("", String::as_str);
    CommandError::new(Code::Failed, message).hint(format!(
        "stop who reads it first, as by `uk stop {first}`, or say --force: then it begins anew"
    ))
}

fn show(document: &Value, _: &Screen) -> String {
    let (pending, lag) = (number(document, "pending"), number(document, "lag"));
    let left = match (pending, lag) {
        (0, 0) => "it had handled all".to_owned(),
        (pending, lag) => format!(
            "{} not acknowledged, {lag} never handed out",
            count(pending, "event")
        ),
    };
    let (stream, group) = (text(document, "stream"), text(document, "group"));
    format!("{stream}: group {group} dropped; {left}\n")
}
