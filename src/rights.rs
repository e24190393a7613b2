//! Who calls, and what they may do: [`Who`], with a [`Scope`], perhaps only for some topics and paths.
//!
//! A rule is decided here and nowhere else: the scope of a command before its body is read, the topics and paths once its
//! arguments are known.

pub mod tokens;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unity_supervisors::ActorPath;
use unity_supervisors::bus::{Pattern, Topic};

use crate::arguments::{ArgKind, Args, Form};
use crate::commands::Command;
use crate::error::{Code, CommandError};

/// What reaches further than the path or the topic that it names: a token may be for anything, and of replays there is one
/// in a kernel, which anybody's feeds and stops.
const FOR_ALL: [&[&str]; 2] = [&["token", "create"], &["events", "replay"]];

/// How much a caller may do; each has what those before it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// Act on what the tree says is there: kill, restart, stop, start, tell, publish, retry.
    Operate,
    /// Change what is there: settings, spawn, delete, tokens, shutdown.
    Admin,
}

impl Scope {
    /// The words for all of them.
    pub const WORDS: &[&str] = &["read", "operate", "admin"];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        match text {
            "read" => Ok(Self::Read),
            "operate" => Ok(Self::Operate),
            "admin" => Ok(Self::Admin),
            _ => Err(CommandError::usage(format!("`{text}` is no scope"))
                .hint(format!("one is {}", Self::WORDS.join(", ")))),
        }
    }
}

/// What a caller is bound to; both empty for one that is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Only topics within one of these.
    #[serde(default)]
    pub topics: Vec<Pattern>,
    /// Only these paths, and what lies below them.
    #[serde(default)]
    pub paths: Vec<ActorPath>,
}

impl Bounds {
    /// Whether there are any.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.topics.is_empty() && self.paths.is_empty()
    }

    /// Whether all topics that fit `pattern` are within.
    #[must_use]
    pub fn has_pattern(&self, pattern: &Pattern) -> bool {
        self.is_none() || self.topics.iter().any(|own| own.covers(pattern))
    }

    /// Whether `topic` is within.
    #[must_use]
    pub fn has_topic(&self, topic: &Topic) -> bool {
        self.has_pattern(&Pattern::from(topic))
    }

    /// Whether `path` is within.
    #[must_use]
    pub fn has_path(&self, path: &ActorPath) -> bool {
        self.is_none() || self.paths.iter().any(|own| own.contains(path))
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// As the audit has it: `uid 1000`, or the id of a token.
    pub name: Arc<str>,
    /// How much they may do.
    pub scope: Scope,
    /// What they are bound to.
    pub bounds: Bounds,
}

impl Who {
    /// Somebody who is this user of the machine, and reached the socket: that is all there is to be asked.
    #[must_use]
    pub fn user(uid: u32) -> Self {
        Self {
            name: format!("uid {uid}").into(),
            scope: Scope::Admin,
            bounds: Bounds::default(),
        }
    }

    /// Another node. What people may do there was looked at there, and who can have any process run here, as nodes can for
    /// each other, needs no less: it may do all but what has a secret for an answer, which is refused before.
    #[must_use]
    pub fn node(name: &str) -> Self {
        Self {
            name: format!("node:{name}").into(),
            scope: Scope::Admin,
            bounds: Bounds::default(),
        }
    }

    /// Whether they may use `command` at all: known before its arguments are read.
    ///
    /// # Errors
    /// [`Code::Denied`], with the scope that it takes.
    pub fn may_use(&self, command: &Command) -> Result<(), CommandError> {
        self.may(command.scope, &format!("`{}`", command.name()))
    }

    /// Whether they may do `what`, which takes `scope`.
    ///
    /// # Errors
    /// [`Code::Denied`].
    pub fn may(&self, scope: Scope, what: &str) -> Result<(), CommandError> {
        if self.scope >= scope {
            return Ok(());
        }
        let message = format!(
            "{what} takes the scope {scope}, and {} has {}",
            self.name, self.scope
        );
        Err(CommandError::new(Code::Denied, message).hint(format!(
            "who runs the kernel can make another: `uk token create --scope {scope}`"
        )))
    }

    /// Whether they may use `command` with these arguments. Who is bound may use what names a path or a topic within, and
    /// `health` and `version`; whoever a thing goes `to` does not say what is taken. To look into a stream is to read, to
    /// have it handed out to a group is not.
    ///
    /// # Errors
    /// [`Code::Denied`], with what they are bound to.
    pub fn may_with(&self, command: &Command, args: &Args) -> Result<(), CommandError> {
        if command.words == ["streams", "read"] && args.get("group").is_some() {
            self.may(Scope::Operate, "`streams read --group`")?;
        }
        if self.bounds.is_none() || matches!(command.words, ["health"] | ["version"]) {
            return Ok(());
        }
        let mut is_named = false;
        for arg in command.args {
            let Some(value) = args.text(arg.name) else {
                continue;
            };
            let is_within = match (arg.kind, arg.name) {
                (ArgKind::Path | ArgKind::Supervisor | ArgKind::Target, _) => {
                    value.parse().is_ok_and(|path| self.bounds.has_path(&path))
                }
                // Nobody speaks for an actor that is not theirs; a name that is no path is nobody's.
                (ArgKind::Text, "source") if value.starts_with('/') => {
                    value.parse().is_ok_and(|path| self.bounds.has_path(&path))
                }
                (ArgKind::Form(Form::Topic | Form::Pattern | Form::Patterns), _) => value
                    .parse()
                    .is_ok_and(|pattern| self.bounds.has_pattern(&pattern)),
                _ => continue,
            };
            if !is_within {
                return Err(self.out_of_bounds(&format!("`{}` {value}", command.name())));
            }
            is_named |= !matches!(arg.name, "to" | "source");
        }
        match is_named && !FOR_ALL.contains(&command.words) {
            true => Ok(()),
            false => Err(self.out_of_bounds(&format!("`{}`", command.name()))),
        }
    }

    /// What is said to somebody who is bound to something else.
    #[must_use]
    pub fn out_of_bounds(&self, what: &str) -> CommandError {
        let texts = |all: Vec<String>| match all.is_empty() {
            true => "none".to_owned(),
            false => all.join(", "),
        };
        let topics = texts(self.bounds.topics.iter().map(ToString::to_string).collect());
        let paths = texts(self.bounds.paths.iter().map(ToString::to_string).collect());
        let message = format!("{what} is not within what {} is for", self.name);
        CommandError::new(Code::Denied, message)
            .hint(format!("its topics: {topics}; its paths: {paths}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn who(scope: Scope, topics: &[&str], paths: &[&str]) -> Who {
        Who {
            name: "t-1".into(),
            scope,
            bounds: Bounds {
                topics: topics.iter().map(|text| text.parse().unwrap()).collect(),
                paths: paths.iter().map(|text| text.parse().unwrap()).collect(),
            },
        }
    }

    #[test]
    fn a_scope_has_what_those_before_it_have() {
        for (words, least) in [
            (&["tree"][..], Scope::Read),
            (&["kill"], Scope::Operate),
            (&["events", "publish"], Scope::Operate),
            (&["spawn"], Scope::Admin),
            (&["config", "set"], Scope::Admin),
            (&["shutdown"], Scope::Admin),
            (&["token", "list"], Scope::Admin),
        ] {
            let command = Command::find(words).unwrap();
            for scope in [Scope::Read, Scope::Operate, Scope::Admin] {
                let may = who(scope, &[], &[]).may_use(command);
                assert_eq!(may.is_ok(), scope >= least, "{words:?} {scope}: {may:?}");
            }
        }
    }

    #[test]
    fn who_is_bound_may_use_what_is_within() {
        let arm = who(Scope::Operate, &["sensor.arm.*"], &["/arm"]);
        for (words, name, value, is_allowed) in [
            (&["kill"][..], "path", "/arm/left", true),
            (&["kill"], "path", "/arms", false),
            (&["kill"], "path", "/", false),
            (&["tree"], "path", "/arm", true),
            (&["events", "publish"], "topic", "sensor.arm.left", true),
            (&["events", "publish"], "topic", "sensor.leg", false),
            (&["events", "tail"], "pattern", "sensor.arm.*", true),
            (&["events", "tail"], "pattern", "sensor.*", false),
            (&["dlq", "retry"], "path", "/arm", true),
            (&["dlq", "retry"], "to", "/arm/spare", false),
            (&["events", "replay"], "pattern", "sensor.arm.*", false),
            (&["token", "create"], "topic", "sensor.arm.*", false),
            (&["config", "get"], "target", "system", false),
            (&["spawn"], "under", "/", false),
            (&["tree"], "", "", false),
            (&["health"], "", "", true),
        ] {
            let mut args = Args::default();
            if !name.is_empty() {
                args.insert(name, Value::from(value));
            }
            let may = arm.may_with(Command::find(words).unwrap(), &args);
            assert_eq!(may.is_ok(), is_allowed, "{words:?} {value}: {may:?}");
        }
    }
}
