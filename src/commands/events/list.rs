//! `uk events list`: the catalog, and how much was published of each type.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::bus::Topic;

use super::{Counted, PATTERN, counted, json_of, kept, pattern};
use crate::arguments::Args;
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Screen, Tone, ago, count, list, number, table, text, thousands};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "List the types of events, and how many were published",
    help: "The types are those of `events.yaml`. A pattern there stands for all topics that fit it and no narrower one.\n\n\
           Example: uk events list --pattern 'sensor.*'",
    args: &[PATTERN],
    show,
    ..Command::reading(&["events", "list"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let pattern = pattern(args, PATTERN.name)?;
    let catalog = kernel.bus().catalog();
    let counted = counted(kernel, &catalog);
    let mut types: Vec<_> = catalog
        .types()
        .iter()
        .filter(|event_type| event_type.topic.meets(&pattern))
        .collect();
    types.sort_by(|one, other| one.topic.cmp(&other.topic));
    let types = types.into_iter().map(|event_type| {
        let counted = counted.get(&Some(event_type.topic.clone()));
        let mut document = json_of(event_type);
        counted
            .copied()
            .unwrap_or_default()
            .put(&mut document, kernel);
        document
    });
    let types: Vec<Value> = types.collect();
    let mut others = Counted::default();
    let is_other = |topic: &Topic| catalog.find(topic).is_none() && pattern.fits(topic.as_str());
    for stats in kernel.bus().stats() {
        if stats.topic.as_ref().is_none_or(is_other) {
            others.add(&stats);
        }
    }
    Ok(json!({
        "version": 1,
        "strict": catalog.strict,
        "types": types,
        "not_in_catalog": { "published": others.published },
    }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let types = list(document, "types");
    let mut rows = vec![
        ["topic", "published", "last", "kept", "description"]
            .map(|head| (Tone::Dim, head.to_owned()))
            .to_vec(),
    ];
    for event_type in types {
        let last = match event_type.get("ago_ms").and_then(Value::as_u64) {
            Some(ms) => ago(ms),
            None => "never".to_owned(),
        };
        rows.push(vec![
            (Tone::Bold, text(event_type, "topic").to_owned()),
            (Tone::Plain, thousands(number(event_type, "published"))),
            (Tone::Dim, last),
            (Tone::Plain, kept(event_type)),
            (Tone::Dim, text(event_type, "description").to_owned()),
        ]);
    }
    let mut out = if types.is_empty() {
        "the catalog has none that fits\n".to_owned()
    } else {
        table(&rows, screen)
    };
    let others = document.get("not_in_catalog").unwrap_or(&Value::Null);
    let others = number(others, "published");
    if others > 0 {
        let events = count(others, "event");
        out.push_str(&format!(
            "{events} of topics that are not in it; `uk events stats` has them\n"
        ));
    }
    out
}
