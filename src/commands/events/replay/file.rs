//! The half of `uk events replay` that runs where it was typed: files, progress, Ctrl-C.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::bus::line::from_line;

use super::{REPLAY, show};
use crate::arguments::Args;
use crate::cli::{Caller, block_on};
use crate::client::Client;
use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::{count, list, number, text};
use crate::watch::interrupted;

/// How often is looked how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// How many bytes and how many lines are sent at once: less than a request may have.
const BATCH_LEN: usize = 512 << 10;
const BATCH_LINES: usize = 128;
/// The longest line that is sent: an event of the greatest length may not fit into a request.
const LINE_LEN_MAX: usize = 960 << 10;

pub(super) fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let from_file = args.text("from-file");
    if let Some(to_file) = args.text("to-file") {
        refuse(args, "to-file", &["to", "bus", "from-file", "speed"])?;
        let copied = block_on(copy(caller, &client, args, to_file))??;
        return print(caller, &copied);
    }
    if from_file.is_some() {
        refuse(args, "from-file", &["stream", "from", "until"])?;
    }
    if args.flag("stop") || args.flag("status") {
        let document = block_on(client.call(&REPLAY, args))??;
        return print(caller, &document);
    }
    let feed = from_file.map(Feed::open).transpose()?;
    let document = block_on(follow(caller, &client, args, feed))??;
    print(caller, &document)
}

fn refuse(args: &Args, with: &str, others: &[&str]) -> Result<(), CommandError> {
    match others.iter().find(|other| args.get(other).is_some()) {
        None => Ok(()),
        Some(other) => Err(
            CommandError::usage(format!("--{other} does not go with --{with}"))
                .hint("`uk help events replay` says what goes together"),
        ),
    }
}

fn print(caller: &Caller, document: &Value) -> Result<u8, CommandError> {
    let said = if caller.json {
        format!("{document}\n")
    } else {
        show(document, &caller.screen)
    };
    output::out(&said)?;
    Ok((REPLAY.exit)(document))
}

fn failed(file: &str, error: &io::Error) -> CommandError {
    let code = match error.kind() {
        io::ErrorKind::NotFound => Code::NotFound,
        io::ErrorKind::PermissionDenied => Code::Denied,
        _ => Code::Failed,
    };
    CommandError::new(code, format!("{file}: {error}"))
}

/// Shows how far it is on a terminal, in one line that is written over.
fn progress(caller: &Caller, said: &str) {
    if !caller.json && io::stderr().is_terminal() {
        output::err(&format!("\r\x1b[K{said}"));
    }
}

/// Copies events to a file, a page at a time.
async fn copy(
    caller: &Caller,
    client: &Client,
    args: &Args,
    file: &str,
) -> Result<Value, CommandError> {
    let mut page = args.clone();
    page.insert("page", Value::Bool(true));
    let mut next = client.call(&REPLAY, &page).await?;
    // Made once there is something to put in: a wrong pattern leaves no file behind.
    let made = File::create(file).map_err(|error| failed(file, &error))?;
    let mut out = BufWriter::new(made);
    let (mut copied, mut left_out) = (0_u64, 0);
    let mut interrupted = std::pin::pin!(interrupted(caller.interrupts.as_deref()));
    loop {
        for line in list(&next, "lines").iter().filter_map(Value::as_str) {
            writeln!(out, "{line}").map_err(|error| failed(file, &error))?;
            copied += 1;
        }
        left_out += number(&next, "left_out");
        let Some(cursor) = next.get("next").filter(|cursor| cursor.is_object()) else {
            break;
        };
        progress(caller, &format!("{} copied", count(copied, "event")));
        page.insert("page", cursor.clone());
        next = tokio::select! {
            biased;
            _ = &mut interrupted => break,
            read = client.call(&REPLAY, &page) => read?,
        };
    }
    out.flush().map_err(|error| failed(file, &error))?;
    progress(caller, "");
    Ok(json!({ "version": 1, "copied": copied, "left_out": left_out, "file": file }))
}

/// Begins a replay, feeds it, and follows it to its end.
async fn follow(
    caller: &Caller,
    client: &Client,
    args: &Args,
    mut feed: Option<Feed>,
) -> Result<Value, CommandError> {
    let mut begin = args.clone();
    if feed.is_some() {
        begin.insert("fed", Value::Bool(true));
    }
    let mut document = client.call(&REPLAY, &begin).await?;
    let id = id_of(&document);
    let mut status = Args::default();
    status.insert("status", Value::Bool(true));
    let mut stop = Args::default();
    stop.insert("stop", Value::Bool(true));
    let mut interrupted = std::pin::pin!(interrupted(caller.interrupts.as_deref()));
    let mut is_stopped = false;
    loop {
        let mut wait = LOOK;
        if let Some(feed) = feed.as_mut().filter(|feed| !feed.is_over) {
            match feed.send(client, id).await {
                Ok(0) => {}
                Ok(_) => wait = Duration::ZERO,
                // It has ended, which its status says.
                Err(error) if error.code == Code::NotFound => feed.is_over = true,
                Err(error) => {
                    client.call(&REPLAY, &stop).await.ok();
                    return Err(error);
                }
            }
        }
        let now = client.call(&REPLAY, &status).await?;
        if id_of(&now) != id {
            // Another has begun since.
            break;
        }
        document = now;
        let replay = document.get("replay").unwrap_or(&Value::Null);
        let told = count(number(replay, "told"), "event");
        progress(
            caller,
            &format!("told {told}, the last of {}", text(replay, "at")),
        );
        if text(replay, "state") != "running" {
            break;
        }
        tokio::select! {
            biased;
            _ = &mut interrupted, if !is_stopped => {
                is_stopped = true;
                // It may have ended by itself meanwhile; its status says which.
                client.call(&REPLAY, &stop).await.ok();
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
    progress(caller, "");
    Ok(document)
}

fn id_of(document: &Value) -> u64 {
    document
        .get("replay")
        .map_or(0, |replay| number(replay, "id"))
}

/// The lines of a file, for a replay that is fed.
struct Feed {
    file: String,
    lines: io::Lines<BufReader<File>>,
    /// Events that were read and are not sent, with the lengths of their lines.
    waiting: Vec<(Value, usize)>,
    is_read: bool,
    /// Whether the replay has all, or wants no more.
    is_over: bool,
}

impl Feed {
    /// Opens a file and looks at each of its lines, so that nothing is told of one that is wrong further down.
    fn open(file: &str) -> Result<Self, CommandError> {
        let open = || File::open(file).map_err(|error| failed(file, &error));
        for (index, line) in BufReader::new(open()?).lines().enumerate() {
            let line = line.map_err(|error| failed(file, &error))?;
            let place = format!("{file}:{}", index + 1);
            if line.len() > LINE_LEN_MAX {
                let error = format!("{place}: the line has {} bytes", line.len());
                let hint = format!("one that is replayed has at most {LINE_LEN_MAX}");
                return Err(CommandError::new(Code::Invalid, error).hint(hint));
            }
            if !line.trim().is_empty() {
                from_line(&line).map_err(|error| {
                    CommandError::new(Code::Invalid, format!("{place}: {error}"))
                        .hint("`uk events replay --to-file FILE` writes such a file")
                })?;
            }
        }
        Ok(Self {
            file: file.to_owned(),
            lines: BufReader::new(open()?).lines(),
            waiting: Vec::new(),
            is_read: false,
            is_over: false,
        })
    }

    /// Sends what there is room for; returns how much that was.
    async fn send(&mut self, client: &Client, id: u64) -> Result<u64, CommandError> {
        let mut len: usize = self.waiting.iter().map(|(_, len)| len).sum();
        while len < BATCH_LEN && self.waiting.len() < BATCH_LINES && !self.is_read {
            let Some(line) = self.lines.next() else {
                self.is_read = true;
                break;
            };
            let line = line.map_err(|error| failed(&self.file, &error))?;
            if !line.trim().is_empty() {
                let event = serde_json::from_str(&line);
                let changed = |error| {
                    CommandError::new(Code::Invalid, format!("{}: {error}", self.file))
                        .hint("it was changed while it was read")
                };
                self.waiting.push((event.map_err(changed)?, line.len()));
                len += line.len();
            }
        }
        // A request has a greatest length; the last line may not fit into this one.
        let mut room = LINE_LEN_MAX;
        let fitting = self.waiting.iter().take_while(|(_, len)| {
            let is_fitting = *len <= room;
            room = room.saturating_sub(*len);
            is_fitting
        });
        let events: Vec<&Value> = fitting.map(|(event, _)| event).collect();
        let is_last = self.is_read && events.len() == self.waiting.len();
        let mut args = Args::default();
        let feed = json!({ "id": id, "events": events, "is_last": is_last });
        args.insert("feed", feed);
        let taken = number(&client.call(&REPLAY, &args).await?, "taken");
        let count = usize::try_from(taken).unwrap_or(usize::MAX);
        self.waiting.drain(..count.min(self.waiting.len()));
        self.is_over = self.is_read && self.waiting.is_empty();
        Ok(taken)
    }
}
