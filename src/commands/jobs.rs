//! `uk jobs`: what the dispatcher has in hand, tier by tier.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_actors::dispatcher::Dispatcher;
use unity_supervisors::Kernel;

use super::Command;
use crate::screen::{Screen, Tone, count, list, number, table, text};

/// How many subscriptions are drawn; `--json` has all.
const SHOWN: usize = 10;

pub(super) const COMMAND: Command = Command {
    about: "Show the jobs of each tier: how many wait and run, and what became of the others",
    help: "A job is an event and a handler, done by a worker of its tier. `refused` are those for which there was no room, \
           `dropped` those that ended with the actor that they were of. Below the tiers are the subscriptions of which jobs \
           wait. How many workers a tier has is a system setting, as in `dispatcher: {high: 16}`.\n\n\
           Example: uk jobs --json",
    show,
    ..Command::reading(&["jobs"], |kernel, _| {
        async move { Ok(read(&kernel)) }.boxed()
    })
};

fn read(kernel: &Kernel) -> Value {
    let dispatcher = kernel.shared::<Dispatcher>();
    json!({ "version": 1, "tiers": dispatcher.stats(), "waiting": dispatcher.waiting() })
}

const COLUMNS: [&str; 7] = [
    "workers", "busy", "queued", "done", "failed", "refused", "dropped",
];

fn show(document: &Value, screen: &Screen) -> String {
    let heads = ["tier"].into_iter().chain(COLUMNS).chain(["wait", "run"]);
    let mut rows = vec![
        heads
            .map(|head| (Tone::Dim, head.to_owned()))
            .collect::<Vec<_>>(),
    ];
    for tier in list(document, "tiers") {
        let mut row = vec![(Tone::Bold, text(tier, "tier").to_owned())];
        for column in COLUMNS {
            // Too long is a way to fail: `--json` tells them apart.
            let timed_out = if column == "failed" {
                number(tier, "timed_out")
            } else {
                0
            };
            let number = number(tier, column) + timed_out;
            let tone = match column {
                "failed" | "refused" if number > 0 => Tone::Warn,
                _ => Tone::Plain,
            };
            row.push((tone, number.to_string()));
        }
        for span in ["wait_us", "run_us"] {
            row.push((Tone::Plain, mean_and_max(tier.get(span))));
        }
        rows.push(row);
    }
    let mut out = table(&rows, screen);
    let waiting = list(document, "waiting");
    for line in waiting.iter().take(SHOWN) {
        let (path, pattern) = (text(line, "path"), text(line, "pattern"));
        let queued = count(number(line, "queued"), "job");
        out.push_str(&format!("{path} on {pattern}: {queued} waiting\n"));
    }
    if let Some(more) = waiting.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        out.push_str(&format!("… and {more} more; --json has them\n"));
    }
    out
}

/// `mean / longest`, as in `12 µs / 3.4 ms`.
fn mean_and_max(span: Option<&Value>) -> String {
    let span = span.unwrap_or(&Value::Null);
    match number(span, "max") {
        0 => "–".to_owned(),
        max => format!("{} / {}", short(number(span, "mean")), short(max)),
    }
}

fn short(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        _ => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
    }
}
