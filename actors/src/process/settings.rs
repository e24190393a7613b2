//! What a `process` child is configured with: [`ProcessSettings`].
//!
//! Everything that can be known to be wrong without looking at the machine is refused when the settings
//! are read; whether the command exists is seen when it is started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::hears::{Hears, TopicPattern};
use super::signal::StopSignal;
use super::target::{HttpTarget, TcpTarget};

/// Any command as a child process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSettings {
    /// The program and its arguments, without a shell between: `[python3, bridge.py]`.
    pub command: CommandLine,
    /// Environment variables, laid over those of the kernel.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "environment"
    )]
    pub env: BTreeMap<String, String>,
    /// The folder it runs in; the kernel's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// The signal that asks it, and all of its process group, to end: a name such as `TERM`.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// How to see whether it is well; not asked unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<ProbeSettings>,
    /// What it may publish, as patterns such as `sensor.*`: each line of JSON on its standard output that has a `topic`. None
    /// unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publishes: Vec<TopicPattern>,
    /// The events that it gets, each as a line of JSON on its standard input, which is empty unless there are some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribes: Vec<Hears>,
}

impl ProcessSettings {
    /// Settings for `command`, everything else by default.
    #[must_use]
    pub fn new(command: CommandLine) -> Self {
        Self {
            command,
            env: BTreeMap::new(),
            cwd: None,
            stop_signal: StopSignal::default(),
            health: None,
            publishes: Vec::new(),
            subscribes: Vec::new(),
        }
    }

    /// Whether it has to do with events.
    #[must_use]
    pub fn speaks(&self) -> bool {
        !self.publishes.is_empty() || !self.subscribes.is_empty()
    }
}

/// The values of the environment are left out: they are where secrets are.
impl fmt::Debug for ProcessSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSettings")
            .field("command", &self.command)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("stop_signal", &self.stop_signal)
            .field("health", &self.health)
            .field("publishes", &self.publishes)
            .field("subscribes", &self.subscribes)
            .finish()
    }
}

/// How to see whether a command is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSettings {
    /// A GET that is answered with a status from 200 to 299.
    Http(HttpTarget),
    /// A port that can be connected to.
    Tcp(TcpTarget),
    /// A command that exits with code 0, run with the same `env` and `cwd`.
    Exec(CommandLine),
}

/// A program and its arguments; never empty.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Vec<String>")]
pub struct CommandLine {
    program: String,
    args: Vec<String>,
}

/// Why a list of words is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// No word, or an empty first one.
    #[error("the command is empty; its first word is the program to run")]
    Empty,
    /// A word that no system call takes.
    #[error("the word {0:?} of the command contains a NUL character")]
    Nul(String),
}

impl CommandLine {
    /// The program: a name that is looked for in `PATH`, or a path.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.args
    }
}

/// Only the program: arguments are where secrets are, now and then.
impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CommandLine({:?} and {} arguments)",
            self.program,
            self.args.len()
        )
    }
}

impl TryFrom<Vec<String>> for CommandLine {
    type Error = CommandLineError;

    fn try_from(words: Vec<String>) -> Result<Self, CommandLineError> {
        if let Some(word) = words.iter().find(|word| word.contains('\0')) {
            return Err(CommandLineError::Nul(word.clone()));
        }
        let mut words = words.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Ok(Self {
                program,
                args: words.collect(),
            }),
            _ => Err(CommandLineError::Empty),
        }
    }
}

impl From<CommandLine> for Vec<String> {
    fn from(command: CommandLine) -> Self {
        std::iter::once(command.program)
            .chain(command.args)
            .collect()
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(WordsVisitor)
    }
}

/// Tells who writes a command as one text what is expected instead.
struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = CommandLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of words that begins with the program, such as `[python3, bridge.py]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CommandLine, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        CommandLine::try_from(words).map_err(de::Error::custom)
    }
}

impl JsonSchema for CommandLine {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandLine".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }
}

fn environment<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let env = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (name, value) in &env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(de::Error::custom(format!(
                "{name:?} is no name of an environment variable"
            )));
        }
        if value.contains('\0') {
            return Err(de::Error::custom(format!(
                "the value of environment variable `{name}` contains a NUL character"
            )));
        }
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<ProcessSettings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_read_and_written_alike() {
        let value = json!({
            "command": ["python3", "bridge.py"],
            "env": { "PORT": "9000" },
            "cwd": "bridge",
            "stop_signal": "INT",
            "health": { "http": "http://127.0.0.1:9000/ok" },
            "publishes": ["answer.*"],
            "subscribes": ["sensor.*", { "pattern": "order.*", "durable": "orders", "since": "start" }],
        });

        let settings = read(value.clone()).unwrap();

        assert_eq!(settings.command.program(), "python3");
        assert_eq!(settings.command.args(), ["bridge.py"]);
        assert_eq!(serde_json::to_value(&settings).unwrap(), value);
    }

    #[test]
    fn only_the_command_is_required() {
        let settings = read(json!({ "command": ["true"] })).unwrap();

        assert_eq!(
            settings,
            ProcessSettings::new(vec!["true".to_owned()].try_into().unwrap())
        );
        assert_eq!(
            serde_json::to_value(&settings).unwrap(),
            json!({ "command": ["true"], "stop_signal": "TERM" })
        );
    }

    #[test]
    fn each_fault_is_named() {
        for (value, text) in [
            (json!({}), "missing field `command`"),
            (json!({ "command": [] }), "the command is empty"),
            (json!({ "command": [""] }), "the command is empty"),
            (json!({ "command": "a b" }), "expected a list of words"),
            (json!({ "command": ["a\u{0}"] }), "NUL"),
            (
                json!({ "command": ["a"], "comand": 1 }),
                "unknown field `comand`",
            ),
            (
                json!({ "command": ["a"], "env": { "A=B": "c" } }),
                "\"A=B\" is no name",
            ),
            (
                json!({ "command": ["a"], "stop_signal": 9 }),
                "write `KILL`",
            ),
            (
                json!({ "command": ["a"], "health": { "ping": "a" } }),
                "unknown variant `ping`",
            ),
            (
                json!({ "command": ["a"], "health": { "exec": [] } }),
                "the command is empty",
            ),
            (
                json!({ "command": ["a"], "health": { "tcp": "a" } }),
                "must end in a port",
            ),
            (json!({ "command": ["a"], "publishes": ["a..b"] }), "`a..b`"),
            (
                json!({ "command": ["a"], "subscribes": [{ "pattern": "a", "durable": "b c" }] }),
                "b c",
            ),
            (
                json!({ "command": ["a"], "subscribes": [{ "pattern": "a", "since": "now" }] }),
                "`since` is for a durable subscription: give it `durable: NAME` as well",
            ),
            (
                json!({ "command": ["a"], "subscribes": [{ "pattern": "a", "durable": "b", "since": "soon" }] }),
                "`soon` is no place to begin",
            ),
            (
                json!({ "command": ["a"], "subscribes": [7] }),
                "a pattern such as `sensor.*`, or `{pattern, durable, since}`",
            ),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(text), "{value}: {error}");
        }
    }

    #[test]
    fn debug_output_keeps_secrets() {
        let settings =
            read(json!({ "command": ["a", "--key=hush"], "env": { "KEY": "hush" } })).unwrap();

        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn the_schema_knows_every_field() {
        let schema = schemars::schema_for!(ProcessSettings).to_value();

        assert_eq!(schema["required"], json!(["command"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        for field in [
            "command",
            "env",
            "cwd",
            "stop_signal",
            "health",
            "publishes",
            "subscribes",
        ] {
            assert!(
                schema["properties"][field].is_object(),
                "{field} in {schema}"
            );
        }
    }
}
