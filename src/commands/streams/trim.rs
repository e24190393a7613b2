//! `uk streams trim`.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::stream::Retention;

use super::{Asked, STREAM};
use crate::arguments::{Arg, ArgKind, Args, Rule, Together};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, count, number, text};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Drop the oldest events of a stream, now",
    help: "Down to what is said; what the stream keeps from then on is in `events.yaml`.\n\n\
           Example: uk streams trim sensor:camera --age 10m --bytes 100MiB",
    args: &[
        STREAM,
        Arg::option("length", ArgKind::Integer, "keep so many events"),
        Arg::option("age", ArgKind::Duration, "keep those of so long"),
        Arg::option("bytes", ArgKind::Size, "keep so much"),
    ],
    rules: &[Rule::new(
        Together::Some(&["length", "age", "bytes"]),
        "nothing says what is to be kept",
        "say --length, --age or --bytes; --length 0 keeps nothing",
    )],
    show,
    ..Command::changing(&["streams", "trim"], |kernel, args| {
        async move { run(&kernel, &args).await }.boxed()
    })
};

async fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Asked::of(kernel, args)?;
    let retention = Retention {
        age: args.duration("age"),
        length: args.integer("length"),
        bytes: args.integer("bytes"),
    };
    let done = asked.store.trim(&asked.name, retention).await;
    let dropped = asked.told(done).await?;
    Ok(json!({ "version": 1, "stream": asked.name, "dropped": dropped }))
}

fn show(document: &Value, _: &Screen) -> String {
    let dropped = count(number(document, "dropped"), "event");
    format!("{}: {dropped} dropped\n", text(document, "stream"))
}
