//! What texts may be: [`Form`], the one home of what is read, what is refused and what documents say of it.
//!
//! A pattern is for who writes a request, the parser decides. Tests hold them together: what fits a pattern is read, what is
//! near it and does not fit is refused.

use std::fmt::Display;

use serde_json::{Value, json};
use unity_supervisors::bus::{EventId, Pattern, Topic};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::{Position, StreamName};
use unity_supervisors::{ActorPath, ChildId};

use super::{NODE_PATTERN, PATH_PATTERN, SHOWN_MAX, of_node};
use crate::error::CommandError;
use crate::nearest::nearest;
use crate::screen::{cut, printable, put};
use crate::tree_file::parse_duration;

/// The longest text without a form of its own, in characters.
pub const TEXT_LEN_MAX: u64 = 4_096;
/// The longest name of a group or consumer, in characters.
const NAME_LEN_MAX: usize = 255;
/// What a name begins with, and goes on with: no signs that steer a terminal or turn the direction of what follows.
const NAME_BEGINS: &str = r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u200e\u200f\u2028-\u202f\u205f\u2066-\u2069\u3000]";
const NAME_GOES_ON: &str = r"[^\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]";

/// The words of `uk loglevel`, the quietest first.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A topic.
    Topic,
    /// A pattern of topics.
    Pattern,
    /// Patterns with commas between.
    Patterns,
    /// Paths with commas between.
    Paths,
    /// What paths begin with.
    Beginning,
    /// The id of a child.
    Id,
    /// The name of a stream.
    Stream,
    /// The name of a group of readers, or of one of them.
    Name,
    /// A position in a stream.
    Position,
    /// The id of an event.
    EventId,
    /// A time, or how long ago.
    Moment,
    /// `now`, `start`, or a [`Moment`](Self::Moment).
    Since,
    /// `start`, a position, or a [`Moment`](Self::Moment).
    Place,
    /// How many times as fast, or `max`.
    Speed,
    /// A level of the log, or a part of the program and its level.
    Level,
    /// The id of a token.
    TokenId,
    /// The number of a dead letter.
    Letter,
    /// A key of settings, with dots for those of mappings.
    Key,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Topic,
        Self::Pattern,
        Self::Patterns,
        Self::Paths,
        Self::Beginning,
        Self::Id,
        Self::Stream,
        Self::Name,
        Self::Position,
        Self::EventId,
        Self::Moment,
        Self::Since,
        Self::Place,
        Self::Speed,
        Self::Level,
        Self::TokenId,
        Self::Letter,
        Self::Key,
    ];

    /// Refuses what is not of this form.
    ///
    /// # Errors
    /// What would fit; `name` is that of the argument.
    pub fn check(self, name: &str, text: &str) -> Result<(), CommandError> {
        match self {
            Self::Topic => Ok(Topic::new(text).map(drop)?),
            Self::Pattern => Ok(Pattern::new(text).map(drop)?),
            Self::Patterns => each(text, |one| Pattern::new(one).map(drop)).map_err(of(name)),
            Self::Paths => each(text, |one| one.parse::<ActorPath>().map(drop)).map_err(of(name)),
            Self::Beginning => beginning(of_node(text).1),
            Self::Id => is(ChildId::new(text)),
            Self::Stream => {
                is(StreamName::new(text)).map_err(|error| error.hint("`uk streams list` lists all"))
            }
            Self::Name => named(name, text),
            Self::Position => is(text.parse::<Position>())
                .map_err(|error| error.hint("`uk streams read STREAM` shows positions")),
            Self::EventId => text.parse::<EventId>().map(drop).map_err(of(name)),
            Self::Moment => moment(name, text, ("a time", "")),
            Self::Since if matches!(text, "now" | "start") => Ok(()),
            Self::Since => moment(name, text, ("a time", "now, start, ")),
            Self::Place if text == "start" || text.parse::<Position>().is_ok() => Ok(()),
            Self::Place => moment(
                name,
                text,
                (
                    "a place in a stream",
                    "start, a position as in 1763675400123-0, ",
                ),
            ),
            Self::Speed => speed(name, text),
            Self::Level => level(text),
            Self::TokenId => token_id(text),
            Self::Letter => letter(text),
            Self::Key if text.is_empty() => Err(CommandError::usage(format!(
                "`{name}`: an empty text was given"
            ))
            .hint("a key is as in health.every")),
            Self::Key => Ok(()),
        }
    }

    /// The same for others: a JSON Schema.
    #[must_use]
    pub fn schema(self) -> Value {
        let longest = match self {
            // Of a list no pattern can say how long each may be, so it says what surely fits; longer ones are read.
            Self::Topic | Self::Pattern | Self::Patterns | Self::Name => 255,
            Self::Stream => 128,
            _ => TEXT_LEN_MAX,
        };
        let mut schema = json!({ "type": "string", "minLength": 1, "maxLength": longest });
        if let Some(pattern) = self.pattern() {
            put(&mut schema, "pattern", format!("^{pattern}$"));
        }
        match self {
            // A calendar is no pattern.
            Self::Moment | Self::Since | Self::Place => {
                json!({ "anyOf": [schema, { "type": "string", "format": "date-time" }] })
            }
            _ => schema,
        }
    }

    /// What a whole text of this form looks like, but for dates.
    fn pattern(self) -> Option<String> {
        const WORD: &str = "[A-Za-z0-9_-]+";
        const POSITION: &str = "[0-9]{1,19}(-[0-9]{1,19})?";
        // All that is surely shorter than the longest duration.
        const AGO: &str = "([0-9]{1,12}ms|[0-9]{1,9}s|[0-9]{1,7}m|[0-9]{1,5}h|[0-9]{1,4}d)";
        let of_topics = format!(r"(\*|{WORD})(\.(\*|{WORD}))*");
        let list = |one: &str| format!(" *{one} *(, *{one} *)*");
        Some(match self {
            Self::Topic => format!(r"{WORD}(\.{WORD})*"),
            Self::Pattern => of_topics,
            Self::Patterns => list(&of_topics),
            Self::Paths => list(PATH_PATTERN),
            Self::Beginning => {
                format!("{NODE_PATTERN}/([A-Za-z0-9_-]{{1,64}}/)*[A-Za-z0-9_-]{{0,64}}")
            }
            Self::Id => "[A-Za-z0-9_-]{1,64}".to_owned(),
            Self::Stream => "[A-Za-z0-9][A-Za-z0-9_.:-]*".to_owned(),
            Self::Name => format!("{NAME_BEGINS}{NAME_GOES_ON}*"),
            Self::Position => POSITION.to_owned(),
            Self::EventId => "[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}".to_owned(),
            Self::Moment => AGO.to_owned(),
            Self::Since => format!("(now|start|{AGO})"),
            Self::Place => format!("(start|{POSITION}|{AGO})"),
            Self::Speed => SPEED.to_owned(),
            Self::Level => format!("([A-Za-z0-9_:]+=)?({})", LEVELS.map(any_case).join("|")),
            Self::TokenId => "t-[0-9a-f]{6}".to_owned(),
            Self::Letter => "[0-9]{1,19}".to_owned(),
            Self::Key => return None,
        })
    }
}

/// From 0.001 to 999999.999.
const SPEED: &str =
    r"(max|[1-9][0-9]{0,5}(\.[0-9]{1,3})?|0\.(00[1-9]|0[1-9][0-9]?|[1-9][0-9]{0,2}))";

/// `[Oo][Ff][Ff]`: patterns of JSON Schema know no other way.
fn any_case(word: &str) -> String {
    let letters = word.chars();
    letters
        .map(|letter| format!("[{}{letter}]", letter.to_ascii_uppercase()))
        .collect()
}

fn is<T, E: Display>(read: Result<T, E>) -> Result<(), CommandError> {
    read.map(drop)
        .map_err(|error| CommandError::usage(error.to_string()))
}

fn of<E: Display>(name: &str) -> impl Fn(E) -> CommandError {
    move |error| CommandError::usage(format!("`{name}`: {error}"))
}

fn each<E>(text: &str, read: impl Fn(&str) -> Result<(), E>) -> Result<(), E> {
    text.split(',').try_for_each(|one| read(one.trim()))
}

fn beginning(text: &str) -> Result<(), CommandError> {
    let (above, last) = text.rsplit_once('/').ok_or_else(|| {
        CommandError::usage(format!("`{text}` is no beginning of a path"))
            .hint("a path begins with `/`, as in /sensors/host")
    })?;
    match last {
        "" => {}
        last => drop(ChildId::new(last).map_err(|error| CommandError::usage(error.to_string()))?),
    }
    match above {
        "" => Ok(()),
        above if above.ends_with('/') => is(format!("{above}/").parse::<ActorPath>()),
        above => is(above.parse::<ActorPath>()),
    }
}

/// Groups and consumers are made by what they are called, so a slip would be kept.
fn named(what: &str, text: &str) -> Result<(), CommandError> {
    let begins = text.chars().next().is_some_and(|c| !c.is_whitespace());
    if begins && text == printable(text) && text.chars().count() <= NAME_LEN_MAX {
        return Ok(());
    }
    let said = cut(&printable(text), 40);
    Err(
        CommandError::usage(format!("`{said}` is not the name of a {what}")).hint(format!(
            "a name is a line of at most {NAME_LEN_MAX} characters, as in audit"
        )),
    )
}

fn moment(name: &str, text: &str, (what, also): (&str, &str)) -> Result<(), CommandError> {
    if text.parse::<Timestamp>().is_ok() || parse_duration(text).is_ok() {
        return Ok(());
    }
    let said = cut(&printable(text), SHOWN_MAX);
    Err(
        CommandError::usage(format!("`{name}`: `{said}` is not {what}")).hint(format!(
            "write {also}2h for two hours ago, or a time as in 2026-11-20T21:30:00Z"
        )),
    )
}

fn speed(name: &str, text: &str) -> Result<(), CommandError> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let speed = text.parse::<f64>().ok().filter(|_| is_plain);
    if text == "max" || speed.is_some_and(|speed| (0.001..=1e6).contains(&speed)) {
        return Ok(());
    }
    let error = CommandError::usage(format!("`{name}`: `{text}` is no speed"));
    Err(error.hint("1 is as fast as they came, 2 twice as fast, max without waiting"))
}

fn level(text: &str) -> Result<(), CommandError> {
    let (target, level) = match text.rsplit_once('=') {
        Some((target, level)) => (Some(target), level),
        None => (None, text),
    };
    let level = level.to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) {
        let error = CommandError::usage(format!("`{level}` is no level"));
        return Err(match nearest(&level, LEVELS) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("a level is one of {}", LEVELS.join(", "))),
        });
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if target.is_some_and(|target| target.is_empty() || !target.chars().all(is_name)) {
        let error = CommandError::usage(format!("`{text}` names no part of the program"));
        return Err(error.hint("write TARGET=LEVEL, as in unity_kernel=debug"));
    }
    Ok(())
}

fn token_id(text: &str) -> Result<(), CommandError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = text.strip_prefix("t-").unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(is_digit) {
        return Ok(());
    }
    let said = cut(&printable(text), SHOWN_MAX);
    Err(
        CommandError::usage(format!("`{said}` is not the id of a token"))
            .hint("an id is as in t-3f09a1; `uk token list` says which there are"),
    )
}

fn letter(text: &str) -> Result<(), CommandError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    match is_number {
        true => Ok(()),
        false => Err(
            CommandError::usage(format!("`{text}` is not the number of a letter"))
                .hint("`uk dlq list` has their numbers in its first column"),
        ),
    }
}

#[cfg(test)]
mod tests;
