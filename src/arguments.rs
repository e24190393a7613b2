//! The arguments of a command: what they are, and how they are read from a shell, a query or a JSON body.
//!
//! All three ways end in the same [`Args`], so that a command never knows which one it was. A
//! duration is `5s` or, as `<name>_ms`, an integer; `<name>_ms` is what clients send.

use std::time::Duration;

use serde_json::{Map, Value};
use unity_actors::size::parse_size;
use unity_supervisors::ActorPath;
use unity_supervisors::clock::Timestamp;

use crate::error::CommandError;
use crate::nearest::nearest;
use crate::screen::{cut, thousands};
use crate::tree_file::{format_duration, parse_duration};

mod form;
mod node;
mod rule;
mod schema;

pub use self::form::{Form, LEVELS, TEXT_LEN_MAX};
pub use self::node::{ALL, NODE, of_node};
pub use self::rule::{Rule, Together};
pub use self::schema::schema_of;

/// A path, as a regular expression.
const PATH_PATTERN: &str = "/([A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})*/?)?";
/// The node that may stand before a path, as a regular expression.
const NODE_PATTERN: &str = "([A-Za-z0-9_-]{1,64}:)?";
/// How much of a text that is wrong is shown, in characters.
const SHOWN_MAX: usize = 60;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// A path in the tree.
    Path,
    /// The path of a supervisor.
    Supervisor,
    /// What settings are of: a path in the tree, or `system`.
    Target,
    /// What there is a schema of: a path in the tree, a kind, or `system`.
    Schema,
    /// So many texts of a form as wanted, one at least; a list.
    Many(Form),
    /// A file, for commands that run where they were typed.
    File,
    /// A folder, for the same.
    Folder,
    /// Any text, of so many characters as its bounds say.
    Text,
    /// A text of a form.
    Form(Form),
    /// An address and a port: `127.0.0.1:8080`.
    Address,
    /// The name of a kind.
    Kind,
    /// The code of a fault or a warning.
    Code,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A JSON value; in a shell a bare word counts as text.
    Json,
    /// A JSON object.
    Object,
    /// An integer, zero or more.
    Integer,
    /// So many bytes: `512MiB`, `2GB`.
    Size,
    /// A time.
    Duration,
    /// So many in a time: `5/s`, `30/m`.
    Rate,
    /// Given or not.
    Flag,
    /// `key=value`, as often as wanted, by its position once at least; an object.
    Settings,
}

/// The word that stands for the kernel's own settings.
pub const SYSTEM: &str = "system";

/// Where an argument stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By its position.
    Position,
    /// After `--name`.
    Option,
}

/// One argument of a command.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Its name: the option, the key in JSON and in a query.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// Whether it must be given.
    pub required: bool,
    /// Where it stands.
    pub place: Place,
    /// Whether it stays with the client that shows the answer.
    pub stays: bool,
    /// Whether it is between parts of this program: no help or completion names it.
    pub internal: bool,
    /// The least that it may be: of a number that, of a time in milliseconds, of a text so many characters, of an object so
    /// many keys.
    pub least: u64,
    /// The most that it may be, by the same measure.
    pub most: u64,
    /// What may stand for `--name`: this letter after one dash.
    pub short: Option<char>,
    /// One line about it.
    pub help: &'static str,
}

impl Arg {
    /// One that must be given, by its position.
    #[must_use]
    pub const fn required(name: &'static str, kind: ArgKind, help: &'static str) -> Self {
        Self {
            name,
            kind,
            required: true,
            place: Place::Position,
            stays: false,
            internal: false,
            least: 0,
            most: u64::MAX,
            short: None,
            help,
        }
    }

    /// One that may be given, by its position.
    #[must_use]
    pub const fn optional(name: &'static str, kind: ArgKind, help: &'static str) -> Self {
        Self {
            required: false,
            ..Self::required(name, kind, help)
        }
    }

    /// One that may be given after its name.
    #[must_use]
    pub const fn option(name: &'static str, kind: ArgKind, help: &'static str) -> Self {
        Self {
            place: Place::Option,
            ..Self::optional(name, kind, help)
        }
    }

    /// One that must be given after its name.
    #[must_use]
    pub const fn needed(name: &'static str, kind: ArgKind, help: &'static str) -> Self {
        Self {
            required: true,
            ..Self::option(name, kind, help)
        }
    }

    /// A flag that the client keeps to itself.
    #[must_use]
    pub const fn for_client(name: &'static str, help: &'static str) -> Self {
        Self {
            stays: true,
            ..Self::option(name, ArgKind::Flag, help)
        }
    }

    /// One that may be given after its name and stays with the client.
    #[must_use]
    pub const fn stays(self) -> Self {
        Self {
            stays: true,
            ..self
        }
    }

    /// One that is within bounds; see [`least`](Self::least).
    #[must_use]
    pub const fn within(self, least: u64, most: u64) -> Self {
        Self {
            least,
            most,
            ..self
        }
    }

    /// One that a letter may stand for.
    #[must_use]
    pub const fn short(self, letter: char) -> Self {
        Self {
            short: Some(letter),
            ..self
        }
    }

    /// One that people never give.
    #[must_use]
    pub const fn internal(name: &'static str, kind: ArgKind, help: &'static str) -> Self {
        Self {
            internal: true,
            ..Self::option(name, kind, help)
        }
    }

    /// What stands for its value in help.
    #[must_use]
    pub fn value_name(&self) -> String {
        let name = match self.kind {
            ArgKind::Many(_) => return self.name.trim_end_matches('s').to_uppercase(),
            ArgKind::Settings => "KEY=VALUE",
            ArgKind::Json | ArgKind::Object => "JSON",
            ArgKind::Duration => "TIME",
            ArgKind::Size => "SIZE",
            ArgKind::Address => "ADDRESS:PORT",
            ArgKind::File => "FILE",
            ArgKind::Folder => "DIR",
            ArgKind::Path | ArgKind::Supervisor => "PATH",
            ArgKind::Target => "PATH|system",
            ArgKind::Schema => "PATH|KIND|system",
            ArgKind::Text
            | ArgKind::Form(_)
            | ArgKind::Word(_)
            | ArgKind::Kind
            | ArgKind::Code
            | ArgKind::Integer
            | ArgKind::Rate
            | ArgKind::Flag => return self.name.to_uppercase(),
        };
        name.to_owned()
    }

    fn wrong(&self, what: &str) -> CommandError {
        CommandError::usage(format!("`{}`: {what}", self.name))
    }

    /// Reads a text, as a shell or a query gives it.
    ///
    /// # Errors
    /// What would fit.
    pub fn read_text(&self, text: &str) -> Result<Value, CommandError> {
        match self.kind {
            ArgKind::Path | ArgKind::Supervisor => node::read_path(text),
            ArgKind::Target if text == SYSTEM => Ok(Value::from(text)),
            ArgKind::Target if !of_node(text).1.starts_with('/') => {
                let error = self.wrong(&format!("`{text}` is no path"));
                Err(error.hint(format!("a path begins with `/`, as in /sensors/host; the kernel's own settings are `{SYSTEM}`")))
            }
            ArgKind::Target => node::read_path(text),
            ArgKind::File | ArgKind::Folder | ArgKind::Code if text.is_empty() => {
                let error = self.wrong("an empty text was given");
                Err(error.hint(format!("expected {}", self.help)))
            }
            ArgKind::File | ArgKind::Folder | ArgKind::Text | ArgKind::Code => {
                Ok(Value::from(text))
            }
            ArgKind::Form(form) => form.check(self.name, text).map(|()| Value::from(text)),
            ArgKind::Schema if of_node(text).1.starts_with('/') => node::read_path(text),
            ArgKind::Kind | ArgKind::Schema => self.read_kind(text),
            ArgKind::Address => match text.parse::<std::net::SocketAddr>() {
                Ok(address) => Ok(Value::from(address.to_string())),
                Err(_) => Err(self
                    .wrong(&format!(
                        "`{}` is no address to listen on",
                        cut(text, SHOWN_MAX)
                    ))
                    .hint("write 127.0.0.1:8080 for this machine alone, 0.0.0.0:8443 for all")),
            },
            ArgKind::Word(words) if words.contains(&text) => Ok(Value::from(text)),
            ArgKind::Word(words) => {
                Err(self.wrong(&format!("`{text}` is not one of {}", words.join(", "))))
            }
            ArgKind::Json => self.read_json_text(text),
            ArgKind::Object => self.read_json(self.read_json_text(text)?),
            ArgKind::Integer => text
                .parse::<u64>()
                .map(Value::from)
                .map_err(|_| self.wrong(&format!("`{text}` is not an integer"))),
            ArgKind::Size => parse_size(text)
                .map(Value::from)
                .map_err(|what| self.wrong(&what)),
            ArgKind::Duration => parse_duration(text)
                .map(|duration| Value::from(milliseconds(duration)))
                .map_err(|what| self.wrong(&what)),
            ArgKind::Rate => match parse_rate(text) {
                Some(_) => Ok(Value::from(text)),
                None => Err(self.wrong(&format!("`{text}` is not a rate: write 5/s or 30/m"))),
            },
            ArgKind::Flag => match text {
                "" | "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(self.wrong("it is true or false")),
            },
            ArgKind::Settings => Err(self.wrong("it is an object, which a query cannot carry")),
            ArgKind::Many(_) => Err(self.wrong("it is a list, which a query cannot carry")),
        }
    }

    fn read_kind(&self, text: &str) -> Result<Value, CommandError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !text.is_empty() && text.bytes().all(fits) {
            return Ok(Value::from(text));
        }
        let said = cut(text, SHOWN_MAX);
        Err(self
            .wrong(&format!("`{said}` is not the name of a kind"))
            .hint("a name is of A-Z a-z 0-9 _ . -, as in sensor.host"))
    }

    fn read_json_text(&self, text: &str) -> Result<Value, CommandError> {
        let error = match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let is_word = !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_');
        if is_word {
            return Ok(Value::from(text));
        }
        let hint = format!("quote it for the shell: '{}'", r#"{"echo": 1}"#);
        Err(self
            .wrong(&format!("`{}` is not JSON: {error}", cut(text, SHOWN_MAX)))
            .hint(hint))
    }

    /// Reads a JSON value, as a body gives it.
    fn read_json(&self, value: Value) -> Result<Value, CommandError> {
        match (self.kind, &value) {
            (ArgKind::Json, _)
            | (ArgKind::Flag, Value::Bool(_))
            | (ArgKind::Settings | ArgKind::Object, Value::Object(_)) => Ok(value),
            (ArgKind::Integer | ArgKind::Size, Value::Number(_)) if whole(&value).is_some() => {
                Ok(whole(&value).into())
            }
            (ArgKind::Many(form), Value::Array(texts))
                if !texts.is_empty() && texts.iter().all(Value::is_string) =>
            {
                let mut texts = texts.iter().filter_map(Value::as_str);
                texts.try_for_each(|text| form.check(self.name, text))?;
                Ok(value)
            }
            (
                ArgKind::Path
                | ArgKind::Supervisor
                | ArgKind::Target
                | ArgKind::Schema
                | ArgKind::Text
                | ArgKind::Form(_)
                | ArgKind::Address
                | ArgKind::Kind
                | ArgKind::Code
                | ArgKind::File
                | ArgKind::Folder
                | ArgKind::Word(_)
                | ArgKind::Size
                | ArgKind::Duration
                | ArgKind::Rate,
                Value::String(text),
            ) => self.read_text(text),
            _ => Err(self.wrong(&format!("`{value}` is not {}", self.expected()))),
        }
    }

    fn expected(&self) -> &'static str {
        match self.kind {
            ArgKind::Path | ArgKind::Supervisor | ArgKind::Target => {
                "a path, as in \"/sensors/host\""
            }
            ArgKind::Many(_) => "a list of texts",
            ArgKind::File
            | ArgKind::Folder
            | ArgKind::Text
            | ArgKind::Form(_)
            | ArgKind::Kind
            | ArgKind::Schema
            | ArgKind::Code
            | ArgKind::Word(_) => "a text",
            ArgKind::Address => "an address and a port, as in \"127.0.0.1:8080\"",
            ArgKind::Json => "JSON",
            ArgKind::Integer => "an integer of zero or more",
            ArgKind::Size => "a size: so many bytes, or \"512MiB\"",
            ArgKind::Duration => "a duration, as in \"5s\"",
            ArgKind::Rate => "a rate, as in \"5/s\"",
            ArgKind::Flag => "true or false",
            ArgKind::Settings | ArgKind::Object => "an object",
        }
    }

    /// Refuses what is not within its bounds.
    ///
    /// # Errors
    /// What would be.
    pub(crate) fn check_bounds(&self, value: &Value) -> Result<(), CommandError> {
        let (size, what) = match value {
            Value::Number(number) => (number.as_u64().unwrap_or_default(), ""),
            Value::String(text) => (text.chars().count() as u64, " characters"),
            Value::Object(object) => (object.len() as u64, " keys"),
            _ => return Ok(()),
        };
        let most = match value {
            Value::String(_) => self.most.min(TEXT_LEN_MAX),
            _ => self.most,
        };
        if self.kind == ArgKind::Json || (self.least..=most).contains(&size) {
            return Ok(());
        }
        let write = match self.kind {
            ArgKind::Duration => duration_text,
            _ => thousands,
        };
        let least = write(self.least);
        let bounds = match most {
            u64::MAX => format!("{least}{what} or more"),
            _ => format!("{least} to {}{what}", write(most)),
        };
        Err(self
            .wrong(&format!("{} is not {bounds}", write(size)))
            .hint(format!("expected {}", self.help)))
    }
}

/// The integer of zero or more that a JSON number is; `3.0` is one as well.
fn whole(value: &Value) -> Option<u64> {
    /// The first that is too large, 2 to the power of 64.
    const END: f64 = 18_446_744_073_709_551_616.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && (0.0..END).contains(&number);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and within"
        )]
        is_whole.then_some(number as u64)
    })
}

/// The arguments of one call, each of the kind that its [`Arg`] says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args(Map<String, Value>);

impl Args {
    /// Puts one in.
    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Reads the JSON object of a request.
    ///
    /// # Errors
    /// A key that is not known, a value that does not fit, something required that is missing.
    pub fn from_json(table: &[Arg], object: Map<String, Value>) -> Result<Self, CommandError> {
        let mut args = Self::default();
        for (key, value) in object {
            let (arg, is_ms) = find(table, &key)?;
            let value = if !is_ms {
                arg.read_json(value)?
            } else {
                let ms = whole(&value);
                ms.ok_or_else(|| arg.wrong("it is an integer of milliseconds"))?
                    .into()
            };
            args.insert(arg.name, value);
        }
        args.complete(table)
    }

    /// Reads the pairs of a query.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json); also a key that is there twice.
    pub fn from_query(table: &[Arg], pairs: Vec<(String, String)>) -> Result<Self, CommandError> {
        let mut args = Self::default();
        for (key, text) in pairs {
            let (arg, is_ms) = find(table, &key)?;
            let value = if is_ms {
                text.parse::<u64>()
                    .map(Value::from)
                    .map_err(|_| arg.wrong("it is an integer of milliseconds"))?
            } else {
                arg.read_text(&text)?
            };
            if args.0.insert(arg.name.to_owned(), value).is_some() {
                return Err(arg.wrong("it is there twice"));
            }
        }
        args.complete(table)
    }

    fn complete(mut self, table: &[Arg]) -> Result<Self, CommandError> {
        for arg in table {
            let Some(value) = self.0.get(arg.name) else {
                continue;
            };
            arg.check_bounds(value)?;
            // A flag that is false is one that was not given.
            if *value == Value::Bool(false) && arg.kind == ArgKind::Flag {
                self.0.remove(arg.name);
            }
        }
        match table
            .iter()
            .find(|arg| arg.required && !self.0.contains_key(arg.name))
        {
            Some(missing) => Err(CommandError::usage(format!(
                "`{}` is missing: {}",
                missing.name, missing.help
            ))),
            None => Ok(self),
        }
    }

    /// The JSON object of a request: durations as `_ms`, nothing that stays with the client.
    #[must_use]
    pub fn to_wire(&self, table: &[Arg]) -> Map<String, Value> {
        let sent = table.iter().filter(|arg| !arg.stays);
        let wire = sent.chain([&NODE]).filter_map(|arg| {
            let value = self.0.get(arg.name)?.clone();
            Some((arg.wire_name(), value))
        });
        wire.collect()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text of `name`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The path of `name`.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<ActorPath> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// The path of `path`, which the table requires.
    ///
    /// # Errors
    /// Should the table not require it.
    pub fn the_path(&self) -> Result<ActorPath, CommandError> {
        self.path("path")
            .ok_or_else(|| CommandError::usage("`path` is missing"))
    }

    /// The integer of `name`.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_u64)
    }

    /// The duration of `name`.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.integer(name).map(Duration::from_millis)
    }

    /// The rate of `name`, per second.
    #[must_use]
    pub fn rate(&self, name: &str) -> Option<f64> {
        self.text(name).and_then(parse_rate)
    }

    /// Whether the flag `name` was given.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

fn find<'a>(table: &'a [Arg], key: &str) -> Result<(&'a Arg, bool), CommandError> {
    let sent = || table.iter().filter(|arg| !arg.stays);
    if let Some(arg) = sent().find(|arg| arg.name == key) {
        return Ok((arg, false));
    }
    let duration = key
        .strip_suffix("_ms")
        .and_then(|name| sent().find(|arg| arg.name == name && arg.kind == ArgKind::Duration));
    if let Some(arg) = duration {
        return Ok((arg, true));
    }
    let error = CommandError::usage(format!("unknown key `{key}`"));
    let names: Vec<&str> = sent()
        .filter(|arg| !arg.internal)
        .map(|arg| arg.name)
        .collect();
    Err(match nearest(key, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.hint("this command takes no arguments"),
        None => error.hint(format!("the keys are {}", names.join(", "))),
    })
}

/// Reads `key=value` pairs into an object: dots lead into objects, a value is JSON if it parses as JSON, else text.
///
/// # Errors
/// A pair without `=` or without a key, or one that leads into what is no object.
pub fn read_settings<'a>(pairs: impl Iterator<Item = &'a str>) -> Result<Value, CommandError> {
    let mut settings = Map::new();
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(
                CommandError::usage(format!("`{pair}` is not of the form key=value"))
                    .hint("write every=500ms"),
            );
        };
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let mut keys: Vec<&str> = key.split('.').collect();
        let last = keys.pop().unwrap_or(key);
        let mut object = &mut settings;
        for key in keys {
            let inner = object
                .entry(key)
                .or_insert_with(|| Value::Object(Map::new()));
            object = inner.as_object_mut().ok_or_else(|| {
                CommandError::usage(format!("`{pair}`: `{key}` has a value of its own already"))
            })?;
        }
        object.insert(last.to_owned(), value);
    }
    Ok(Value::Object(settings))
}

/// The time that the text `name` says: RFC 3339, or a duration, which is so long ago.
///
/// # Errors
/// If it is neither.
pub fn moment(args: &Args, name: &str, now: Timestamp) -> Result<Option<Timestamp>, CommandError> {
    let Some(text) = args.text(name) else {
        return Ok(None);
    };
    if let Ok(time) = text.parse() {
        return Ok(Some(time));
    }
    let ago = parse_duration(text).map_err(|_| {
        CommandError::usage(format!("`{name}`: `{text}` is not a time"))
            .hint("a time is 2026-11-20T21:30:00Z, or 2h for two hours ago")
    })?;
    let ms = now.unix_ms().saturating_sub(milliseconds(ago));
    Ok(Some(Timestamp::from_unix_ms(ms)))
}

/// `5/s` and `30/m`, per second.
fn parse_rate(text: &str) -> Option<f64> {
    let (count, unit) = text.split_once('/')?;
    let is_plain = (1..=6).contains(&count.len()) && !count.starts_with(['0', '+']);
    let count: u32 = count.parse().ok().filter(|_| is_plain)?;
    let per = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(f64::from(count) / per)
}

/// A duration in whole milliseconds.
#[must_use]
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds as people write them.
#[must_use]
pub fn duration_text(ms: u64) -> String {
    format_duration(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TABLE: &[Arg] = &[
        Arg::required("path", ArgKind::Path, "where"),
        Arg::option("timeout", ArgKind::Duration, "how long"),
        Arg::option("all", ArgKind::Flag, "everything"),
        Arg::for_client("watch", "again and again"),
    ];

    fn from_json(value: &Value) -> Result<Args, CommandError> {
        Args::from_json(TABLE, value.as_object().unwrap().clone())
    }

    #[test]
    fn a_body_and_a_query_read_the_same() {
        let body = from_json(&json!({"path": "/a", "timeout": "5s", "all": true})).unwrap();
        let pairs = [("path", "/a"), ("timeout_ms", "5000"), ("all", "true")];
        let pairs = pairs
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .to_vec();

        assert_eq!(body, Args::from_query(TABLE, pairs).unwrap());
        assert_eq!(body.duration("timeout"), Some(Duration::from_secs(5)));
        assert_eq!(
            Value::Object(body.to_wire(TABLE)),
            json!({"path": "/a", "timeout_ms": 5000, "all": true})
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_and_named() {
        for (body, named) in [
            (json!({}), "`path` is missing"),
            (json!({"path": "a"}), "begins with `/`"),
            (json!({"path": 1}), "`path`"),
            (json!({"path": "/a", "pth": 1}), "unknown key `pth`"),
            (json!({"path": "/a", "watch": true}), "unknown key `watch`"),
            (json!({"path": "/a", "timeout": "5"}), "`timeout`"),
            (json!({"path": "/a", "timeout_ms": "5"}), "milliseconds"),
            (json!({"path": "/a", "all": "yes"}), "true or false"),
        ] {
            let error = from_json(&body).unwrap_err();
            assert!(error.message.contains(named), "{body}: {error}");
        }
        assert_eq!(
            from_json(&json!({"pth": 1})).unwrap_err().hint.unwrap(),
            "did you mean `path`?"
        );
    }

    #[test]
    fn settings_are_json_or_text_and_dots_lead_into_objects() {
        let pairs = [
            "every=500ms",
            "fps=30",
            "backoff.min=1s",
            "backoff.max=2s",
            "list=[1]",
            "empty=",
        ];

        assert_eq!(
            read_settings(pairs.into_iter()).unwrap(),
            json!({"every": "500ms", "fps": 30, "backoff": {"min": "1s", "max": "2s"}, "list": [1], "empty": ""})
        );
        assert!(read_settings(["every"].into_iter()).is_err());
        assert!(read_settings(["=1"].into_iter()).is_err());
        assert!(read_settings(["a=1", "a.b=2"].into_iter()).is_err());
    }

    #[test]
    fn a_bare_word_is_a_json_text_and_all_else_must_parse() {
        let arg = Arg::required("message", ArgKind::Json, "what");

        assert_eq!(arg.read_text("release").unwrap(), json!("release"));
        assert_eq!(arg.read_text(r#"{"echo": 1}"#).unwrap(), json!({"echo": 1}));
        assert_eq!(arg.read_text("grüße").unwrap(), json!("grüße"));
        assert!(arg.read_text("{echo: 1}").unwrap_err().hint.is_some());
        let long = arg.read_text(&"[".repeat(10_000)).unwrap_err();
        assert!(long.message.len() < 200, "{}", long.message);
    }

    #[test]
    fn rates_are_read_per_second() {
        assert_eq!(parse_rate("5/s"), Some(5.0));
        assert_eq!(parse_rate("30/m"), Some(0.5));
        for text in ["5", "0/s", "/s", "5/d", "-1/s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
