//! `uk events publish`: says something about a topic.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Catalog, Draft, EventId, Pattern, PublishError, Topic};

use super::unknown;
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::commands::Command;
use crate::commands::streams::{no_streams, of_stream};
use crate::error::{Code, CommandError};
use crate::screen::{Line, Screen, Tone, count, number, text};

/// What publishes unless it says who it is.
const SOURCE: &str = "uk";

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Publish an event",
    help: "Data is checked against the schema that the catalog has of the topic; `uk events show TOPIC` prints it. What is \
           kept durable is on disk when this is done. The same id published again is kept only once.\n\n\
           Example: uk events publish notifications.email '{\"to\": \"a@b.example\", \"template\": \"hello\"}'\n\
           Example: uk events publish sensor.lab.door '{\"open\": true}' --priority high --meta trace_id=t1",
    args: &[
        Arg::required(
            "topic",
            ArgKind::Form(Form::Topic),
            "what it is about, as in sensor.lab.door",
        ),
        Arg::required(
            "data",
            ArgKind::Json,
            "what there is to say, JSON; a bare word is text",
        ),
        Arg::option(
            "priority",
            ArgKind::Word(&["critical", "high", "normal", "low", "deferred"]),
            "its lane; that of its type unless given",
        ),
        Arg::option(
            "source",
            ArgKind::Text,
            "who says it, a path or any name; uk",
        ),
        Arg::option(
            "meta",
            ArgKind::Settings,
            "what travels along, as in trace_id=t1",
        ),
        Arg::option(
            "id",
            ArgKind::Form(Form::EventId),
            "its id, if it was published before",
        ),
    ],
    show,
    is_audited: false,
    ..Command::changing(&["events", "publish"], |kernel, args| {
        run(kernel, args).boxed()
    })
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let topic = Topic::new(args.text("topic").unwrap_or_default())?;
    let catalog = kernel.bus().catalog();
    let draft = draft(&topic, &args)?;
    check(&catalog, &draft)?;
    let source: Arc<str> = args.text("source").unwrap_or(SOURCE).into();
    let published = kernel.bus().publish(&source, draft).await;
    let id = published.map_err(|error| of_publish(error, &catalog))?;
    let persist = catalog.find(&topic).and_then(|found| found.persist.clone());
    let persist = persist.filter(|_| kernel.bus().store().is_some());
    let readers = persist
        .as_ref()
        .map_or(0, |persist| kernel.bus().readers(&persist.stream).len());
    Ok(json!({
        "version": 1,
        "id": id,
        "topic": topic,
        "subscribers": kernel.bus().subscribers(&topic).len(),
        "readers": readers,
        "stream": persist.as_ref().map(|persist| persist.stream.clone()),
        "mode": persist.map(|persist| persist.mode),
    }))
}

fn draft(topic: &Topic, args: &Args) -> Result<Draft, CommandError> {
    let data = args.get("data").cloned().unwrap_or_default();
    let mut draft = Draft::new(topic, data);
    if let Some(id) = args.text("id") {
        let id: EventId = id
            .parse()
            .map_err(|error| CommandError::usage(format!("`id`: {error}")))?;
        draft.id = Some(id);
    }
    let priority = args.get("priority").cloned();
    draft.priority = priority.and_then(|word| serde_json::from_value(word).ok());
    if let Some(Value::Object(meta)) = args.get("meta") {
        draft.extras().meta.clone_from(meta);
    }
    Ok(draft)
}

/// Checks the data against the schema of its type.
fn check(catalog: &Catalog, draft: &Draft) -> Result<(), CommandError> {
    let found = catalog.find(&draft.topic);
    let Some(check) = found.and_then(|found| found.check.as_ref()) else {
        return Ok(());
    };
    check(&draft.data).map_err(|misfits| {
        let all: Vec<String> = misfits.iter().map(ToString::to_string).collect();
        let topic = &draft.topic;
        let message = format!(
            "the data of `{topic}` does not fit its schema: {}",
            all.join("; ")
        );
        let hint = format!("`uk events show {topic}` shows what it looks like");
        CommandError::new(Code::Invalid, message).hint(hint)
    })
}

fn of_publish(error: PublishError, catalog: &Catalog) -> CommandError {
    let message = error.to_string();
    match error {
        PublishError::Unknown(topic) => {
            let unknown = unknown(&Pattern::from(&topic), catalog);
            CommandError { message, ..unknown }
        }
        PublishError::NotAllowed { topic, .. } => CommandError::new(Code::Denied, message)
            .hint(format!("`uk events show {topic}` lists its publishers")),
        PublishError::TooLarge { .. } => CommandError::new(Code::TooLarge, message),
        PublishError::NoStreams(_) => CommandError {
            message,
            ..no_streams()
        },
        PublishError::Stream(error) => of_stream(error),
        PublishError::Revoked | PublishError::Nested => CommandError::new(Code::Failed, message),
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    line.push(Tone::Plain, "published ");
    line.push(Tone::Bold, text(document, "id"));
    let kept = match (text(document, "mode"), text(document, "stream")) {
        ("durable", stream) => format!("on disk in {stream}"),
        (_, "") => "not kept".to_owned(),
        (_, stream) => format!("kept in {stream}"),
    };
    let (subscribers, readers) = (number(document, "subscribers"), number(document, "readers"));
    let heard = match (subscribers, readers) {
        (0, 0) => "nobody listens".to_owned(),
        (some, 0) => count(some, "subscriber"),
        (0, some) => format!("{} of its stream", count(some, "reader")),
        (some, more) => format!(
            "{}, {} of its stream",
            count(some, "subscriber"),
            count(more, "reader")
        ),
    };
    line.push(Tone::Dim, &format!(" ({heard}, {kept})"));
    line.render(screen)
}
