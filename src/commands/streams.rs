//! `uk streams`: what is kept, who reads it, and what they have not handled yet.

use std::sync::Arc;

use serde_json::{Value, json};
use unity_actors::size::format_size;
use unity_supervisors::Kernel;
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::{
    GroupInfo, Position, Retention, StreamError, StreamInfo, StreamName, StreamStore,
};

use crate::arguments::{Arg, ArgKind, Args, Form, duration_text, milliseconds};
use crate::error::{Code, CommandError};
use crate::nearest::nearest;
use crate::screen::count;

mod ack;
mod claim;
mod drop;
mod list;
mod pending;
mod read;
mod show;
mod trim;

pub(super) use self::ack::COMMAND as ACK;
pub(super) use self::claim::COMMAND as CLAIM;
pub(super) use self::drop::COMMAND as DROP;
pub(super) use self::list::COMMAND as LIST;
pub(super) use self::pending::COMMAND as PENDING;
pub(super) use self::read::COMMAND as READ;
pub(super) use self::show::COMMAND as SHOW;
pub(super) use self::trim::COMMAND as TRIM;

const STREAM: Arg = Arg::required(
    "stream",
    ArgKind::Form(Form::Stream),
    "a stream, as in sensor:camera",
);
const GROUP: Arg = Arg::required(
    "group",
    ArgKind::Form(Form::Name),
    "a group of readers of it",
);
const LIMIT: Arg = Arg::option("limit", ArgKind::Integer, "how many; 50");

/// A stream that is named, and where it is.
pub(crate) struct Asked {
    pub(crate) store: Arc<dyn StreamStore>,
    pub(crate) name: StreamName,
}

impl Asked {
    pub(crate) fn of(kernel: &Kernel, args: &Args) -> Result<Self, CommandError> {
        let text = args.text(STREAM.name).unwrap_or_default();
        let name = StreamName::new(text).map_err(|error| {
            CommandError::usage(error.to_string()).hint("`uk streams list` lists all")
        })?;
        let store = Arc::clone(store(kernel)?);
        Ok(Self { store, name })
    }

    /// How the stream is.
    pub(crate) async fn info(&self) -> Result<StreamInfo, CommandError> {
        let all = self.store.streams().await.map_err(of_stream)?;
        let names: Vec<String> = all.iter().map(|info| info.name.to_string()).collect();
        let found = all.into_iter().find(|info| info.name == self.name);
        found.ok_or_else(|| {
            let error = of_stream(StreamError::NoStream(self.name.clone()));
            did_you_mean(error, self.name.as_str(), &names)
        })
    }

    /// What the store says, with what was probably meant where it knows no such stream or group.
    pub(crate) async fn told<T>(&self, done: Result<T, StreamError>) -> Result<T, CommandError> {
        match done {
            Ok(done) => Ok(done),
            Err(StreamError::NoStream(_)) => Err(match self.info().await {
                Err(error) => error,
                Ok(_) => of_stream(StreamError::NoStream(self.name.clone())),
            }),
            Err(StreamError::NoGroup { group, .. }) => {
                let groups = self.info().await.map(|info| info.groups);
                Err(self.no_group(&group, &groups.unwrap_or_default()))
            }
            Err(error) => Err(of_stream(error)),
        }
    }

    /// A group that is there.
    async fn group(&self, name: &str) -> Result<GroupInfo, CommandError> {
        let groups = self.info().await?.groups;
        let found = groups.iter().find(|its| its.name == name);
        found.cloned().ok_or_else(|| self.no_group(name, &groups))
    }

    fn no_group(&self, name: &str, groups: &[GroupInfo]) -> CommandError {
        let names: Vec<String> = groups.iter().map(|its| its.name.clone()).collect();
        let missing = StreamError::NoGroup {
            stream: self.name.clone(),
            group: name.to_owned(),
        };
        did_you_mean(of_stream(missing), name, &names)
    }
}

fn did_you_mean(error: CommandError, word: &str, names: &[String]) -> CommandError {
    match nearest(word, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

fn store(kernel: &Kernel) -> Result<&Arc<dyn StreamStore>, CommandError> {
    kernel.bus().store().ok_or_else(no_streams)
}

/// That a kernel has no streams: it boots without those that it cannot open.
pub(super) fn no_streams() -> CommandError {
    CommandError::new(Code::Failed, "this kernel keeps no streams").hint("`uk health` says why")
}

/// What a store of streams says.
pub(crate) fn of_stream(error: StreamError) -> CommandError {
    let message = error.to_string();
    match error {
        StreamError::NoStream(_) => CommandError::new(Code::NotFound, message)
            .hint("`uk streams list` lists all; one is made by the first event that is kept in it"),
        StreamError::NoGroup { stream, .. } => CommandError::new(Code::NotFound, message)
            .hint(format!("`uk streams show {stream}` lists its groups")),
        StreamError::TooLarge { .. } => CommandError::new(Code::TooLarge, message),
        StreamError::Full { .. } | StreamError::NotWritten { .. } | StreamError::NotRead { .. } => {
            CommandError::new(Code::Failed, message)
                .hint("see to the disk; the same event published again with its id is kept once")
        }
        StreamError::Closed => {
            CommandError::new(Code::Failed, message).hint("the kernel is stopping")
        }
    }
}

pub(crate) fn position(text: &str) -> Result<Position, CommandError> {
    text.parse().map_err(|error| {
        CommandError::usage(format!("{error}")).hint("`uk streams read STREAM` shows positions")
    })
}

/// The positions of a list of texts.
fn positions(args: &Args) -> Result<Vec<Position>, CommandError> {
    let texts = args.get("positions").and_then(Value::as_array);
    let texts = texts.into_iter().flatten().filter_map(Value::as_str);
    texts.map(position).collect()
}

fn limit(args: &Args) -> usize {
    let limit = args.integer(LIMIT.name).unwrap_or(50);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn info_json(info: &StreamInfo, now: Timestamp) -> Value {
    let ago = |position: Position| {
        let at = Timestamp::from_unix_ms(position.ms);
        milliseconds(at.age(now))
    };
    let last = Some(info.last).filter(|last| *last > Position::START);
    json!({
        "stream": info.name,
        "length": info.length,
        "bytes": info.bytes,
        "first": info.first,
        "first_ago_ms": info.first.map(ago),
        "last": last,
        "last_ago_ms": last.map(ago),
        "retention": retention_json(info.retention),
        "groups": info.groups,
        "skipped": info.skipped,
        "trouble": info.trouble,
    })
}

/// `{"age_ms","length","bytes"}`, `null` for what is not bounded.
pub(super) fn retention_json(retention: Retention) -> Value {
    json!({
        "age_ms": retention.age.map(milliseconds),
        "length": retention.length,
        "bytes": retention.bytes,
    })
}

/// The same for people: `30d, 1GiB`.
pub(super) fn retention_text(retention: &Value) -> String {
    let of = |name: &str| retention.get(name).and_then(Value::as_u64);
    let all = [
        of("age_ms").map(duration_text),
        of("length").map(|length| count(length, "event")),
        of("bytes").map(format_size),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() {
        "everything".to_owned()
    } else {
        all.join(", ")
    }
}
