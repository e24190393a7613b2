//! `uk trace`: messages as an actor takes them in hand, or events of a topic; so many, for so long.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use futures_util::{FutureExt, future};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use unity_supervisors::trace::{Trace, Traced};
use unity_supervisors::{ActorPath, Kernel, KernelError, RequestError};

use super::events::tail;
use super::{Command, Documents};
use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together, duration_text, milliseconds};
use crate::error::CommandError;
use crate::screen::{Line, NARROW, Screen, Tone, clock, count, number, text, thousands};

/// How many are shown, and for how long, unless other limits are given.
const LIMIT: u64 = 100;
const FOR: Duration = Duration::from_secs(10);
/// The longest trace, an hour.
const FOR_MAX_MS: u64 = 3_600_000;
/// How many messages wait for who reads slowly.
const ROOM: usize = 256;
/// Time between two looks for the next life of an actor that has none.
const LOOK: Duration = Duration::from_millis(20);

pub(super) const COMMAND: Command = Command {
    about: "Show what an actor does, message by message, or events of a topic; ends by itself",
    help: "Of each message: the lane that it was in, how many waited behind it, how long it was in hand, what came of it. \
           How long it had waited is known of events only. It follows the actor into its next life; what that takes in \
           hand in its very first moment may be left out. An actor that nobody traces is not slowed down by it.\n\n\
           Example: uk trace /arm/driver --limit 20 --for 1m\n\
           Example: uk trace --topic 'sensor.*'",
    args: &[
        Arg::optional("path", ArgKind::Path, "the actor, as in /arm/driver"),
        Arg::option(
            "topic",
            ArgKind::Form(Form::Pattern),
            "events of these topics instead",
        ),
        Arg::option("limit", ArgKind::Integer, "end after so many; 100"),
        Arg::option("for", ArgKind::Duration, "end after so long; 10s").within(0, FOR_MAX_MS),
    ],
    rules: &[
        Rule::new(
            Together::Some(&["path", "topic"]),
            "nothing is named that could be traced",
            "name an actor, as in `uk trace /arm/driver`, or a topic: --topic 'sensor.*'",
        ),
        Rule::new(
            Together::NotBoth("path", "topic"),
            "a path and --topic are given both",
            "trace an actor, or the events of a topic",
        ),
    ],
    show,
    ..Command::streaming(&["trace"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Documents, CommandError> {
    let limit = args.integer("limit").unwrap_or(LIMIT);
    let long = args.duration("for").unwrap_or(FOR);
    let until = Instant::now() + long;
    match (args.path("path"), args.text("topic")) {
        (Some(path), _) => {
            let trace = kernel.trace(&path, ROOM);
            let trace = trace.map_err(|error| CommandError::of_kernel(error, &kernel))?;
            Ok(messages(kernel, path, trace, (limit, until)))
        }
        (None, topic) => {
            let mut tail = Args::default();
            tail.insert("pattern", topic.unwrap_or("*").into());
            tail.insert("limit", limit.into());
            let events = tail::run(kernel, tail).await?;
            Ok(events.take_until(sleep_until(until)).boxed())
        }
    }
}

/// A trace under way.
struct Tracing {
    kernel: Kernel,
    path: ActorPath,
    trace: Trace,
    left: u64,
    until: Instant,
    /// Left out in lives that have ended.
    missed: u64,
    told_missed: u64,
    ahead: VecDeque<Value>,
    is_over: bool,
}

/// The messages of an actor as documents, then one that says why there are no more.
fn messages(
    kernel: Kernel,
    path: ActorPath,
    trace: Trace,
    (limit, until): (u64, Instant),
) -> Documents {
    let tracing = Tracing {
        kernel,
        path,
        trace,
        left: limit,
        until,
        missed: 0,
        told_missed: 0,
        ahead: VecDeque::new(),
        is_over: false,
    };
    let documents = stream::unfold(tracing, |mut tracing| async move {
        let document = tracing.next().await?;
        Some((Ok(document), tracing))
    });
    documents.boxed()
}

impl Tracing {
    async fn next(&mut self) -> Option<Value> {
        if let Some(document) = self.ahead.pop_front() {
            return Some(document);
        }
        if self.is_over {
            return None;
        }
        let found = if self.left == 0 {
            None
        } else {
            let until = sleep_until(self.until);
            let more = std::pin::pin!(self.more());
            match future::select(more, std::pin::pin!(until)).await {
                future::Either::Left((traced, _)) => Some(traced),
                future::Either::Right(_) => None,
            }
        };
        let missed = self.missed + self.trace.missed();
        let left_out = missed - self.told_missed;
        self.told_missed = missed;
        match found {
            Some(traced) => {
                self.left -= 1;
                let mut document = json!(traced);
                if let Some(object) = document.as_object_mut() {
                    object.insert("version".to_owned(), 1.into());
                    object.insert("path".to_owned(), json!(self.path));
                }
                self.ahead.push_back(document);
            }
            None => {
                self.is_over = true;
                let ended = if self.left == 0 { "limit" } else { "time" };
                self.ahead
                    .push_back(json!({ "version": 1, "ended": ended, "missed": missed }));
            }
        }
        if left_out > 0 && !self.is_over {
            return Some(json!({ "version": 1, "missed": left_out }));
        }
        self.ahead.pop_front()
    }

    /// The next message, of the next life if this one has ended.
    async fn more(&mut self) -> Traced {
        loop {
            if let Some(traced) = self.trace.next().await {
                return traced;
            }
            let ended = self.trace.incarnation();
            self.missed += self.trace.missed();
            self.trace = loop {
                match self.kernel.trace(&self.path, ROOM) {
                    Ok(trace) if trace.incarnation() > ended => break trace,
                    Err(KernelError::Refused {
                        error: RequestError::NotRunning,
                        ..
                    })
                    | Ok(_) => {}
                    // It may come back by another way.
                    Err(_gone) => {}
                }
                sleep(LOOK).await;
            };
        }
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    if !text(document, "topic").is_empty() {
        return tail::show(document, screen);
    }
    let missed = number(document, "missed");
    match (text(document, "ended"), text(document, "message")) {
        ("", "") => {
            let missed = count(missed, "message");
            let said = format!("… {missed} left out: they came faster than they were read");
            line.push(Tone::Warn, &said);
        }
        ("", message) => return show_message(document, message, screen),
        (ended, _) => {
            let why = match ended {
                "limit" => "that is as many as were asked for; --limit says how many",
                _ => "time is up; --for says how long",
            };
            line.push(Tone::Dim, why);
        }
    }
    line.render(screen)
}

fn show_message(document: &Value, message: &str, screen: &Screen) -> String {
    let mut line = Line::new();
    line.push(Tone::Dim, clock(text(document, "at")));
    line.push(Tone::Plain, "  ");
    line.push(Tone::Bold, message);
    let outcome = text(document, "outcome");
    let (tone, said) = match outcome {
        "done" => (Tone::Good, "done"),
        "stops" => (Tone::Warn, "done, and it stops"),
        "error" => (Tone::Bad, "error"),
        "panic" => (Tone::Bad, "panic"),
        _ => (Tone::Warn, "ended meanwhile"),
    };
    line.push(Tone::Plain, "  ");
    line.push(tone, said);
    let took = format!(" in {}", short(number(document, "took_us")));
    line.push(Tone::Plain, &took);
    if screen.width >= NARROW {
        let (lane, life) = (text(document, "lane"), number(document, "incarnation"));
        line.push(Tone::Dim, &format!("  {lane}, life {life}"));
        if let Some(waited) = document.get("waited_us").and_then(Value::as_u64) {
            line.push(Tone::Dim, &format!(", waited {}", short(waited)));
        }
    }
    let waiting = number(document, "waiting");
    if waiting > 0 {
        line.push(Tone::Warn, &format!("  {} wait", thousands(waiting)));
    }
    line.render(screen)
}

/// `3.4 ms`, as short as it can be told.
fn short(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        _ => duration_text(milliseconds(Duration::from_millis(us / 1_000))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_a_narrow_screen_has_what_counts() {
        let mut document = json!({
            "at": "2026-11-20T21:30:00.123456Z", "message": "close", "outcome": "done", "lane": "high",
            "incarnation": 2, "took_us": 1_234, "waiting": 3, "waited_us": 17,
        });

        assert_eq!(
            show(&document, &Screen::plain(100)),
            "21:30:00.123  close  done in 1.2 ms  high, life 2, waited 17 µs  3 wait\n"
        );
        assert_eq!(
            show(&document, &Screen::plain(40)),
            "21:30:00.123  close  done in 1.2 ms  3 …\n"
        );
        document["outcome"] = json!("panic");
        assert!(show(&document, &Screen::plain(80)).contains("close  panic in"));
        let over = show(&json!({"ended": "time", "missed": 0}), &Screen::plain(80));
        assert_eq!(over, "time is up; --for says how long\n");
    }
}
