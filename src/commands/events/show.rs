//! `uk events show`: all that is known of a type of events.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::bus::Pattern;

use super::{Counted, json_of, kept, unknown};
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::commands::Command;
use crate::commands::streams::retention_text;
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, ago, list, number, text, thousands};

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Show what is known of a topic: what its data looks like, how it is kept, who listens",
    help: "Of a topic that the catalog has by a pattern only, that pattern is shown.\n\n\
           Example: uk events show perception.user_input",
    args: &[Arg::required(
        "topic",
        ArgKind::Form(Form::Pattern),
        "a topic, as in sensor.host.load, or a pattern of the catalog",
    )],
    show,
    ..Command::reading(&["events", "show"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let asked = Pattern::new(args.text("topic").unwrap_or_default())?;
    let catalog = kernel.bus().catalog();
    let topic = asked.as_topic();
    let event_type = match &topic {
        Some(topic) => catalog.find(topic),
        None => catalog.get(&asked),
    };
    let mut counted = Counted::default();
    for stats in kernel.bus().stats() {
        let Some(found) = &stats.topic else { continue };
        if asked.fits(found.as_str()) {
            counted.add(&stats);
        }
    }
    let subscribers = topic.map(|topic| kernel.bus().subscribers(&topic));
    let is_seen = counted.published > 0 || subscribers.as_ref().is_some_and(|all| !all.is_empty());
    if event_type.is_none() && !is_seen {
        return Err(unknown(&asked, &catalog));
    }
    let persist = event_type.and_then(|event_type| event_type.persist.as_ref());
    let readers = persist.map(|persist| kernel.bus().readers(&persist.stream));
    let readers = readers.unwrap_or_default().into_iter();
    let readers = readers.map(|(name, path)| json!({ "name": name, "path": path }));
    let mut document = json!({
        "version": 1,
        "topic": asked,
        "readers": readers.collect::<Vec<_>>(),
        "type": event_type.map(|event_type| json_of(event_type)),
        "subscribers": subscribers,
    });
    counted.put(&mut document, kernel);
    Ok(document)
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut out = String::new();
    let mut fact = |name: &str, value: &str| {
        let mut line = Line::new();
        line.push(Tone::Plain, "  ");
        line.push(Tone::Dim, name);
        line.pad_to(14);
        line.push(Tone::Plain, value);
        out.push_str(&line.wrap(screen, 14));
    };
    let event_type = document.get("type").unwrap_or(&Value::Null);
    if event_type.is_null() {
        fact("catalog", "it is not in the catalog");
    } else {
        let about = text(event_type, "description");
        fact("about", if about.is_empty() { "–" } else { about });
        if text(event_type, "topic") != text(document, "topic") {
            fact(
                "catalog",
                &format!("by the pattern {}", text(event_type, "topic")),
            );
        }
        fact("priority", text(event_type, "priority"));
        let retention = event_type.pointer("/persist/retention");
        let keeps = retention.map(|its| format!(", which keeps {}", retention_text(its)));
        fact(
            "kept",
            &format!("{}{}", kept(event_type), keeps.unwrap_or_default()),
        );
        fact(
            "publishers",
            &joined(list(event_type, "publishers"), "everybody"),
        );
    }
    if document.get("subscribers").is_some_and(Value::is_array) {
        fact(
            "subscribers",
            &joined(list(document, "subscribers"), "nobody"),
        );
    }
    let readers = list(document, "readers").iter();
    let readers: Vec<String> = readers
        .map(|its| format!("{} as {}", text(its, "path"), text(its, "name")))
        .collect();
    if !readers.is_empty() {
        // They read all of its stream, and handle what fits their patterns.
        fact("read by", &readers.join(", "));
    }
    let [published, delivered, refused] =
        ["published", "delivered", "refused"].map(|name| thousands(number(document, name)));
    let last = document.get("ago_ms").and_then(Value::as_u64).map(ago);
    let last = last
        .map(|last| format!(", the last {last}"))
        .unwrap_or_default();
    fact(
        "published",
        &format!("{published}{last}; {delivered} delivered, {refused} refused"),
    );
    let title = screen.paint(Tone::Bold, text(document, "topic"));
    let mut out = format!("{title}\n{out}");
    if let Some(schema) = event_type.get("schema").filter(|schema| !schema.is_null()) {
        out.push_str(&format!("\n{schema:#}\n"));
    }
    out
}

fn joined(texts: &[Value], none: &str) -> String {
    let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
    if texts.is_empty() {
        none.to_owned()
    } else {
        texts.join(", ")
    }
}
