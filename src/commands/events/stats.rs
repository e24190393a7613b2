//! `uk events stats`: what was counted of each topic.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Counted, PATTERN, pattern};
use crate::arguments::Args;
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, Tone, ago, list, number, table, text, thousands};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Show how many events of each topic were published, delivered and refused",
    help: "Counted since the kernel started. Delivered is once for each subscriber; refused is one that had no room, or did \
           not run.\n\n\
           Example: uk events stats --pattern 'sensor.*'",
    args: &[PATTERN],
    show,
    ..Command::reading(&["events", "stats"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let pattern = pattern(args, PATTERN.name)?;
    let all = kernel.bus().stats().into_iter();
    let fits = all.filter(|stats| {
        let topic = stats.topic.as_ref();
        topic.is_none_or(|topic| pattern.fits(topic.as_str()))
    });
    let topics = fits.filter(|stats| stats.published > 0).map(|stats| {
        let mut counted = Counted::default();
        counted.add(&stats);
        let mut document = json!({ "topic": stats.topic });
        counted.put(&mut document, kernel);
        document
    });
    let topics: Vec<Value> = topics.collect();
    let subscriptions = kernel.bus().subscriptions();
    Ok(json!({ "version": 1, "subscriptions": subscriptions, "topics": topics }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let topics = list(document, "topics");
    if topics.is_empty() {
        return "nothing was published\n".to_owned();
    }
    let mut rows = vec![
        ["topic", "published", "delivered", "refused", "last"]
            .map(|head| (Tone::Dim, head.to_owned()))
            .to_vec(),
    ];
    for topic in topics {
        let name = match text(topic, "topic") {
            "" => "all further topics",
            name => name,
        };
        let refused = number(topic, "refused");
        let tone = if refused > 0 { Tone::Warn } else { Tone::Plain };
        rows.push(vec![
            (Tone::Bold, name.to_owned()),
            (Tone::Plain, thousands(number(topic, "published"))),
            (Tone::Plain, thousands(number(topic, "delivered"))),
            (tone, thousands(refused)),
            (Tone::Dim, ago(number(topic, "ago_ms"))),
        ]);
    }
    table(&rows, screen)
}
