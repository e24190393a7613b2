//! `uk streams ack`.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Asked, GROUP, STREAM, positions};
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, count, number, text};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Say that a group has handled events of a stream",
    help: "They are not handed out again. Positions that are not pending are passed over.\n\n\
           Example: uk streams ack action_log audit 1763675400123-0",
    args: &[
        STREAM,
        GROUP,
        Arg::required(
            "positions",
            ArgKind::Many(Form::Position),
            "where they stand, as in 1763675400123-0",
        ),
    ],
    show,
    ..Command::changing(&["streams", "ack"], |kernel, args| {
        async move { run(&kernel, &args).await }.boxed()
    })
};

async fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Asked::of(kernel, args)?;
    let group = args.text(GROUP.name).unwrap_or_default();
    let positions = positions(args)?;
    let done = asked.store.ack(&asked.name, group, &positions).await;
    let acked = asked.told(done).await?;
    Ok(json!({
        "version": 1, "stream": asked.name, "group": group, "acknowledged": acked, "asked": positions.len(),
    }))
}

fn show(document: &Value, _: &Screen) -> String {
    let (acked, asked) = (number(document, "acknowledged"), number(document, "asked"));
    let left = match asked.saturating_sub(acked) {
        0 => String::new(),
        left => format!("; {left} not pending"),
    };
    format!(
        "{}: {} acknowledged{left}\n",
        text(document, "group"),
        count(acked, "event")
    )
}
