//! What is told above the prompt while somebody types: crashes, quarantine, safe mode, and that the kernel was lost.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::arguments::Args;
use crate::cli::block_on;
use crate::client::Client;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::{Line, Screen, Tone, count, reason, text};

/// How long after the loss of a kernel it is looked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// So many crashes are told one by one within [`WITHIN`]; then only their number.
const CRASHES_MAX: u32 = 5;
const WITHIN: Duration = Duration::from_secs(2);

/// Tells `to` from now on what happens in a kernel, on a thread of its own that ends with the process.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn tell(client: Client, to: SyncSender<String>) -> Result<(), CommandError> {
    let thread = std::thread::Builder::new().name("uk-notices".to_owned());
    let telling = move || drop(block_on(follow(&client, &to)));
    let begun = thread.spawn(telling);
    let failed = |error| CommandError::new(Code::Failed, format!("cannot listen: {error}"));
    begun.map(drop).map_err(failed)
}

async fn follow(client: &Client, to: &SyncSender<String>) {
    let Some(tail) = Command::find(&["events", "tail"]) else {
        return;
    };
    let mut args = Args::default();
    args.insert("pattern", "system.*".into());
    let mut flood = Flood::default();
    let mut is_lost = false;
    loop {
        let shown = client.follow(tail, &args, |event| {
            if std::mem::take(&mut is_lost) {
                say(to, Tone::Good, "the kernel is back");
            }
            if let Some((tone, said)) = notice(event) {
                for said in flood.pass(said, Instant::now()) {
                    say(to, tone, &said);
                }
            }
            Ok(true)
        });
        let ended = shown.await;
        if !is_lost {
            let why = match ended {
                Err(error) if error.code != Code::Unreachable => error.message,
                _ => "the kernel is gone; each line tries again to reach it".to_owned(),
            };
            say(to, Tone::Warn, &why);
        }
        is_lost = true;
        sleep(AGAIN).await;
    }
}

fn say(to: &SyncSender<String>, tone: Tone, said: &str) {
    let mut line = Line::new();
    line.push(tone, said);
    // What there is no room for is of no use any more when there is.
    drop(to.try_send(line.render(&Screen::stdout()).trim_end().to_owned()));
}

/// What is said of an event, if it is worth an interruption.
fn notice(event: &Value) -> Option<(Tone, String)> {
    let (path, data) = (text(event, "source"), event.get("data")?);
    match text(event, "topic") {
        "system.child.exited" => exit(path, data),
        "system.child.stalled" => Some((
            Tone::Warn,
            format!("{path} does not come to its next message"),
        )),
        "system.safe_mode.entered" => {
            let why = text(data, "why");
            Some((Tone::Bad, format!("SAFE MODE: {why}")))
        }
        "system.safe_mode.ended" => Some((Tone::Good, "safe mode has ended".to_owned())),
        "system.memory.short" => {
            Some((Tone::Warn, "memory is short: messages are shed".to_owned()))
        }
        _ => None,
    }
}

/// An end that nobody asked for.
fn exit(path: &str, data: &Value) -> Option<(Tone, String)> {
    let why = data.get("reason")?;
    let response = match text(data, "action") {
        "restarted" => "restarted",
        "backoff" => "restarted after a pause",
        "rolled_back" => "restarted with its former settings",
        "left_down" => "left down",
        "quarantined" => "in quarantine",
        "gave_up" => "its supervisor gives up",
        "auto_shutdown" => "its supervisor shuts down",
        _ => return None,
    };
    if matches!(text(why, "kind"), "normal" | "shutdown" | "killed") {
        return None;
    }
    let what = if data.get("failed_start").and_then(Value::as_bool) == Some(true) {
        "did not start"
    } else {
        "crashed"
    };
    Some((
        Tone::Bad,
        format!("{path} {what} ({}): {response}", reason(why)),
    ))
}

/// Lets a few through in a while, then their number.
#[derive(Default)]
struct Flood {
    since: Option<Instant>,
    told: u32,
    held: u64,
}

impl Flood {
    /// What is told now that there is `said` to tell.
    fn pass(&mut self, said: String, now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        if self.since.is_none_or(|since| now - since >= WITHIN) {
            if self.held > 0 {
                told.push(format!(
                    "… and {}; `why` tells more",
                    count(self.held, "more notice")
                ));
            }
            *self = Self {
                since: Some(now),
                ..Self::default()
            };
        }
        if self.told < CRASHES_MAX {
            self.told += 1;
            told.push(said);
        } else {
            self.held += 1;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exited(kind: &str, action: &str) -> Value {
        json!({
            "topic": "system.child.exited", "source": "/arm",
            "data": { "reason": { "kind": kind, "text": "ouch" }, "action": action },
        })
    }

    #[test]
    fn only_what_nobody_asked_for_is_told() {
        for (kind, action, said) in [
            (
                "panic",
                "restarted",
                Some("/arm crashed (panic: ouch): restarted"),
            ),
            (
                "error",
                "quarantined",
                Some("/arm crashed (error: ouch): in quarantine"),
            ),
            ("killed", "restarted", None),
            ("shutdown", "stopped", None),
            ("normal", "left_down", None),
        ] {
            let notice = notice(&exited(kind, action)).map(|(_, said)| said);
            assert_eq!(notice.as_deref(), said, "{kind} {action}");
        }
        let started = json!({ "topic": "system.child.started", "source": "/arm", "data": {} });
        assert!(notice(&started).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_flood_only_the_first_are_told_and_then_how_many_there_were() {
        let mut flood = Flood::default();
        let begin = Instant::now();

        let told: usize = (0..100)
            .map(|_| flood.pass("x".to_owned(), begin).len())
            .sum();
        let later = flood.pass("y".to_owned(), begin + WITHIN);

        assert_eq!(told, 5);
        assert_eq!(later, ["… and 95 more notices; `why` tells more", "y"]);
    }
}
