//! What a command says: its events, and all else that it prints as `system.log`.
//!
//! A line that is no event that it may publish is told to the log and as `system.log`, with the reason. It never ends the
//! command.

use serde_json::json;
use tokio::sync::mpsc;
use unity_supervisors::bus::{Draft, EVENT_LEN_MAX, Topic};
use unity_supervisors::{ActorPath, Kernel};

use super::hears::TopicPattern;
use super::lines::{Limiter, Said, Stream};

/// How much is said in advance of what is published.
pub(super) const AHEAD: usize = 64;
/// The topic of what is no event.
const LOG: &str = "system.log";
/// How many characters of a line are shown beside what is wrong with it.
const SHOWN: usize = 120;

/// Publishes what one life of a command says.
pub(super) struct Speaker {
    pub(super) kernel: Kernel,
    pub(super) path: ActorPath,
    pub(super) pid: i32,
    pub(super) publishes: Vec<TopicPattern>,
}

impl Speaker {
    /// Until nobody speaks any more.
    pub(super) async fn run(self, mut said: mpsc::Receiver<Said>) {
        let mut limit = Limiter::default();
        while let Some(said) = said.recv().await {
            let refused = match said {
                Said::Line(stream, line) => {
                    self.log(stream, &line, None).await;
                    continue;
                }
                Said::Json(line) => match self.publish(&line).await {
                    Ok(()) => continue,
                    Err(why) => format!("{why}, in {}", shown(&line)),
                },
                Said::TooLong => {
                    format!("a line is longer than the {EVENT_LEN_MAX} bytes of an event")
                }
            };
            if limit.admits() {
                let why = self.kernel.secrets().mask(&refused).into_owned();
                tracing::warn!(path = %self.path, "not published: {why}");
                let line = format!("not published: {why}");
                self.log(Stream::Stdout, &line, Some("warn")).await;
            }
        }
    }

    async fn publish(&self, line: &str) -> Result<(), String> {
        let mut draft: Draft = serde_json::from_str(line).map_err(|error| misread(&error))?;
        // It speaks for nobody else.
        draft.source = None;
        let topic = &draft.topic;
        if !self.publishes.iter().any(|its| its.0.fits(topic.as_str())) {
            let may: Vec<&str> = self.publishes.iter().map(|its| its.0.as_str()).collect();
            let may = match may.is_empty() {
                true => "it has none".to_owned(),
                false => may.join(", "),
            };
            return Err(format!("`{topic}` is not among its `publishes`: {may}"));
        }
        let bus = self.kernel.bus();
        let catalog = bus.catalog();
        if let Some(check) = catalog.find(topic).and_then(|its| its.check.as_ref()) {
            check(&draft.data).map_err(|misfits| {
                let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                format!("the data of `{topic}` do not fit: {}", misfits.join("; "))
            })?;
        }
        let source = self.path.as_str().into();
        let published = bus.publish(&source, draft).await;
        published.map(drop).map_err(|error| error.to_string())
    }

    /// Publishes a line that is no event.
    async fn log(&self, stream: Stream, line: &str, level: Option<&str>) {
        let level = level.unwrap_or(match stream {
            Stream::Stdout => "info",
            Stream::Stderr => "warn",
        });
        let line = self.kernel.secrets().mask(line);
        let data =
            json!({ "level": level, "line": line, "stream": stream.as_str(), "pid": self.pid });
        let Ok(topic) = Topic::new(LOG) else { return };
        let source = self.path.as_str().into();
        let published = self.kernel.bus().publish(&source, Draft::new(&topic, data));
        if let Err(error) = published.await {
            tracing::debug!(path = %self.path, %error, "a line was not published");
        }
    }
}

/// What is wrong with a line, and where in it.
fn misread(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (column {column})"),
        None => text,
    }
}

/// The beginning of a line.
fn shown(line: &str) -> String {
    let shown: String = line.chars().take(SHOWN).collect();
    match shown.len() < line.len() {
        true => format!("{shown}…"),
        false => shown,
    }
}
