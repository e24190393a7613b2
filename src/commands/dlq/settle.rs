//! `uk dlq retry` and `uk dlq drop`: what becomes of dead letters.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::dead_letters::desk::{Desk, Letter, RetryError};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::Position;
use unity_supervisors::{ActorPath, Kernel};

use super::{is_below, no_such_letter, unreadable};
use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together, moment};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, count, list, number, text};

/// For how long one command settles letters; what is left then is said, and left to the next.
const WITHIN: Duration = Duration::from_secs(60);
/// Of how many refusals the reasons are said.
const SAID_MAX: usize = 20;

const IDS: Arg = Arg::optional(
    "ids",
    ArgKind::Many(Form::Letter),
    "their numbers in the list",
);
const ALL: Arg = Arg::option("all", ArgKind::Flag, "all of them");
/// What goes together of both commands.
const WHICH: Rule = Rule::new(
    Together::Some(&["ids", "all"]),
    "no letter is named",
    "name some by their numbers, as in `3 4`, or say --all; `uk dlq list` has them",
);
const NOT_BOTH: Rule = Rule::new(
    Together::NotBoth("ids", "all"),
    "letters are named, and --all is given",
    HINT,
);
const PART_OF_ALL: Rule = Rule::new(
    Together::NotBoth("ids", "path"),
    "letters are named, and --path is given",
    HINT,
);
const HINT: &str = "name some, or say --all with what narrows it";
const PART: Arg = Arg::option(
    "path",
    ArgKind::Path,
    "with --all: only those of this part of the tree",
);

pub(in crate::commands) const RETRY: Command = Command {
    about: "Send dead letters again",
    help: "To whom they were for, or to another; the oldest first. One that is taken is settled and listed no more. One whose \
           receiver is down, gone or refuses it stays, and so does one of which only the name was kept. A retry that the end of \
           its kernel cut off may have arrived: such a letter says so in the list, --all passes it over, and naming it sends it again.\n\n\
           Example: uk dlq retry 3\n\
           Example: uk dlq retry 3 --message '{\"move\": 2}'\n\
           Example: uk dlq retry --all --path /arm --to /arm/spare",
    args: &[
        IDS,
        ALL,
        PART,
        Arg::option("to", ArgKind::Path, "another receiver"),
        Arg::option(
            "message",
            ArgKind::Json,
            "with one letter: another message in place of its own",
        ),
    ],
    rules: &[
        WHICH,
        NOT_BOTH,
        PART_OF_ALL,
        Rule::new(
            Together::NeedsOne("message", "ids"),
            "--message goes with one letter",
            "name one by its number",
        ),
    ],
    show: show_retried,
    exit: |document| u8::from(number(document, "refused") > 0),
    ..Command::changing(&["dlq", "retry"], |kernel, args| {
        async move { retry(&kernel, &args).await }.boxed()
    })
};

pub(in crate::commands) const DROP: Command = Command {
    about: "Forget dead letters",
    help: "They are listed no more, and nobody handles them.\n\n\
           Example: uk dlq drop 3 4\n\
           Example: uk dlq drop --all --path /arm --before 2h",
    args: &[
        IDS,
        ALL,
        PART,
        Arg::option(
            "before",
            ArgKind::Form(Form::Moment),
            "with --all: only those before this time, or older than 2h",
        ),
    ],
    rules: &[
        WHICH,
        NOT_BOTH,
        PART_OF_ALL,
        Rule::new(
            Together::NotBoth("ids", "before"),
            "letters are named, and --before is given",
            HINT,
        ),
    ],
    show: |document, screen| {
        let mut line = Line::new();
        line.push(Tone::Plain, "dropped ");
        let dropped = number(document, "dropped");
        line.push(Tone::Bold, &count(dropped, "dead letter"));
        push_more(&mut line, document);
        line.render(screen)
    },
    ..Command::changing(&["dlq", "drop"], |kernel, args| {
        async move { drop_letters(&kernel, &args).await }.boxed()
    })
};

/// Which letters are meant.
enum Which {
    These(Vec<Letter>),
    All,
}

/// Finds the letters that are named; all of them unless some are.
async fn which(desk: &Desk, args: &Args) -> Result<Which, CommandError> {
    let ids = args.get("ids").and_then(Value::as_array);
    let Some(ids) = ids else {
        return Ok(Which::All);
    };
    // One that is named twice is one.
    let ids = ids.iter().filter_map(Value::as_str);
    let ids: BTreeSet<u64> = ids.filter_map(|id| id.parse().ok()).collect();
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let letter = desk.get(id).await.map_err(|error| unreadable(&error))?;
        letters.push(letter.ok_or_else(|| no_such_letter(id))?);
    }
    Ok(Which::These(letters))
}

/// Goes through letters, the oldest first, for as long as one command may.
struct Walk<'a> {
    desk: &'a Desk,
    letters: VecDeque<Letter>,
    /// How far the pages go that `letters` are from, and where they end.
    after: Position,
    end: Position,
    until: Instant,
    /// Whether it ended before all were there.
    more: bool,
}

impl<'a> Walk<'a> {
    async fn new(desk: &'a Desk, which: Which) -> Result<Self, CommandError> {
        let end = desk.last().await.map_err(|error| unreadable(&error))?;
        let (letters, after) = match which {
            Which::These(letters) => (letters.into(), end),
            Which::All => (VecDeque::new(), Position::START),
        };
        Ok(Self {
            desk,
            letters,
            after,
            end,
            until: Instant::now() + WITHIN,
            more: false,
        })
    }

    async fn next(&mut self) -> Result<Option<Letter>, CommandError> {
        while self.letters.is_empty() && self.after < self.end {
            let page = self.desk.page(self.after, self.end).await;
            let Some((last, letters)) = page.map_err(|error| unreadable(&error))? else {
                return Ok(None);
            };
            (self.after, self.letters) = (last, letters.into());
        }
        let next = self.letters.pop_front();
        self.more = next.is_some() && Instant::now() >= self.until;
        Ok(next.filter(|_| !self.more))
    }
}

async fn retry(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let desk = Desk::work(kernel).await;
    let desk = desk.map_err(|error| unreadable(&error))?;
    let which = which(&desk, args).await?;
    let (part, to, message) = (args.path("path"), args.path("to"), args.get("message"));
    let is_all = matches!(which, Which::All);
    let mut done = Retried::default();
    let mut walk = Walk::new(&desk, which).await?;
    while let Some(letter) = walk.next().await? {
        if !is_below(&letter, part.as_ref()) {
            continue;
        }
        if is_all && letter.is_begun {
            done.cut_off += 1;
            continue;
        }
        done.retry(kernel, &desk, &letter, (to.as_ref(), message))
            .await?;
    }
    Ok(json!({
        "version": 1, "retried": done.retried, "refused": done.refused, "refusals": done.refusals,
        "cut_off": done.cut_off, "more": walk.more,
    }))
}

/// What became of letters.
#[derive(Default)]
struct Retried {
    retried: u64,
    refused: u64,
    refusals: Vec<Value>,
    cut_off: u64,
    /// Who did not take a message for want of room, or at all: the rest of theirs would wait for the same.
    closed: BTreeSet<ActorPath>,
}

impl Retried {
    async fn retry(
        &mut self,
        kernel: &Kernel,
        desk: &Desk,
        letter: &Letter,
        (to, message): (Option<&ActorPath>, Option<&Value>),
    ) -> Result<(), CommandError> {
        let receiver = to.cloned().or_else(|| letter.path());
        if receiver
            .as_ref()
            .is_some_and(|path| self.closed.contains(path))
        {
            self.refused += 1;
            return Ok(());
        }
        let error = match desk.retry(letter, to, message).await {
            Ok(_) => {
                self.retried += 1;
                return Ok(());
            }
            Err(RetryError::Stream(error)) => return Err(unreadable(&error)),
            Err(error) => error,
        };
        self.refused += 1;
        let id = letter.number;
        let (why, hint) = match error {
            RetryError::Refused(refused) => {
                let is_misfit = matches!(refused, unity_supervisors::KernelError::Message { .. });
                self.closed.extend(receiver.clone().filter(|_| !is_misfit));
                let error = CommandError::of_kernel(refused, kernel);
                (error.message, error.hint)
            }
            RetryError::NoJson | RetryError::Masked => {
                let hint = format!("`uk dlq retry {id} --message JSON` sends one in its place");
                (error.to_string(), Some(hint))
            }
            other => (other.to_string(), None),
        };
        if self.refusals.len() < SAID_MAX {
            let path = receiver.map(|path| path.to_string());
            self.refusals
                .push(json!({ "id": id, "to": path, "why": why, "hint": hint }));
        }
        Ok(())
    }
}

fn show_retried(document: &Value, screen: &Screen) -> String {
    let (retried, refused) = (number(document, "retried"), number(document, "refused"));
    let mut line = Line::new();
    line.push(Tone::Plain, "sent ");
    line.push(Tone::Bold, &count(retried, "dead letter"));
    line.push(Tone::Plain, " again");
    if refused > 0 {
        line.push(Tone::Warn, &format!("; {refused} stay"));
    }
    let cut_off = number(document, "cut_off");
    if cut_off > 0 {
        let said = format!("; {cut_off} whose retry was cut off were passed over");
        line.push(Tone::Warn, &said);
    }
    push_more(&mut line, document);
    let mut out = line.wrap(screen, 2);
    for refusal in list(document, "refusals") {
        let mut line = Line::new();
        line.push(Tone::Bold, &format!("  {}", number(refusal, "id")));
        line.push(Tone::Dim, &format!("  {}", text(refusal, "to")));
        line.push(Tone::Plain, &format!("  {}", text(refusal, "why")));
        let hint = text(refusal, "hint");
        if !hint.is_empty() {
            line.push(Tone::Dim, &format!(" ({hint})"));
        }
        out.push_str(&line.wrap(screen, 4));
    }
    out
}

/// Says that one command was not enough, where that is so.
fn push_more(line: &mut Line, document: &Value) {
    if document.get("more") == Some(&Value::Bool(true)) {
        line.push(Tone::Warn, "; there are more: say it again");
    }
}

async fn drop_letters(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let desk = Desk::work(kernel).await;
    let desk = desk.map_err(|error| unreadable(&error))?;
    let which = which(&desk, args).await?;
    let part = args.path("path");
    let before = moment(args, "before", kernel.clock().wall())?;
    let is_older = |letter: &Letter| {
        let at = text(&letter.json, "at").parse::<Timestamp>();
        before.is_none_or(|before| at.is_ok_and(|at| at < before))
    };
    let mut dropped = 0_u64;
    let mut walk = Walk::new(&desk, which).await?;
    while let Some(letter) = walk.next().await? {
        if is_below(&letter, part.as_ref()) && is_older(&letter) {
            let gone = desk.drop_letter(&letter).await;
            dropped += u64::from(gone.map_err(|error| unreadable(&error))?);
        }
    }
    Ok(json!({ "version": 1, "dropped": dropped, "more": walk.more }))
}
