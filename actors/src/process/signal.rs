//! Signals by name: the one that asks a command to end, and the ones that commands die of.

use std::fmt;
use std::str::FromStr;

use rustix::process::Signal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::nearest::nearest;

/// Every signal with a name on Linux, without its `SIG`.
const SIGNALS: [(&str, Signal); 31] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("STKFLT", Signal::STKFLT),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("VTALRM", Signal::VTALARM),
    ("PROF", Signal::PROF),
    ("WINCH", Signal::WINCH),
    ("IO", Signal::IO),
    ("PWR", Signal::POWER),
    ("SYS", Signal::SYS),
];

/// The name of signal `number`, without its `SIG`; none for real-time signals.
pub(super) fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS
        .iter()
        .find(|(_, signal)| signal.as_raw() == number)
        .map(|(name, _)| *name)
}

/// The signal that asks a command to end, written by its name: `TERM`, `SIGTERM` or `term`.
///
/// The default is `TERM`. Signals that pause a process instead of ending it are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSignal(Signal);

/// Why a word is no stop signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopSignalError {
    /// A number.
    #[error(
        "a signal is written by its name, not as the number {number}{}",
        .name.map(|name| format!("; write `{name}`")).unwrap_or_default()
    )]
    Number {
        /// What was written.
        number: i64,
        /// The name of the signal with this number.
        name: Option<&'static str>,
    },
    /// No signal has this name.
    #[error(
        "unknown signal `{word}`{}",
        .hint.as_ref().map(|hint| format!("; did you mean `{hint}`?")).unwrap_or_default()
    )]
    Unknown {
        /// What was written.
        word: String,
        /// A name that is near.
        hint: Option<String>,
    },
    /// A signal that pauses.
    #[error("signal `{0}` would pause the process, not end it")]
    Pauses(&'static str),
}

impl StopSignal {
    /// The name, without `SIG`.
    #[must_use]
    pub fn name(self) -> &'static str {
        signal_name(self.0.as_raw()).unwrap_or("unnamed")
    }

    pub(super) fn signal(self) -> Signal {
        self.0
    }
}

impl Default for StopSignal {
    fn default() -> Self {
        Self(Signal::TERM)
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StopSignal {
    type Err = StopSignalError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = word.trim().parse() {
            return Err(number_refused(number));
        }
        let upper = word.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let Some((name, signal)) = SIGNALS.iter().find(|(name, _)| *name == bare) else {
            let names = SIGNALS.iter().map(|(name, _)| (*name).to_owned());
            // Names are short: `TREM` is two letters off.
            let hint = nearest(bare, names.clone()).or_else(|| anagram(bare, names));
            return Err(StopSignalError::Unknown {
                word: word.to_owned(),
                hint,
            });
        };
        match *signal {
            Signal::STOP | Signal::TSTP | Signal::TTIN | Signal::TTOU => {
                Err(StopSignalError::Pauses(name))
            }
            signal => Ok(Self(signal)),
        }
    }
}

fn number_refused(number: i64) -> StopSignalError {
    let name = i32::try_from(number).ok().and_then(signal_name);
    StopSignalError::Number { number, name }
}

fn anagram(word: &str, mut names: impl Iterator<Item = String>) -> Option<String> {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    names.find(|name| sorted(name) == sorted(word))
}

impl Serialize for StopSignal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for StopSignal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = StopSignal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a signal, such as `TERM`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<StopSignal, E> {
        word.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<StopSignal, E> {
        Err(E::custom(number_refused(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<StopSignal, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl JsonSchema for StopSignal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StopSignal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "default": "TERM", "examples": ["TERM", "INT", "QUIT"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_signal_is_a_name_in_any_spelling() {
        for (json, expected) in [
            (r#""TERM""#, Ok("TERM")),
            (r#""SIGTERM""#, Ok("TERM")),
            (r#""sigint""#, Ok("INT")),
            (r#""quit""#, Ok("QUIT")),
            (r#""KILL""#, Ok("KILL")),
            (
                "15",
                Err("a signal is written by its name, not as the number 15; write `TERM`"),
            ),
            (
                r#""9""#,
                Err("a signal is written by its name, not as the number 9; write `KILL`"),
            ),
            (
                "-1",
                Err("a signal is written by its name, not as the number -1"),
            ),
            (
                r#""TREM""#,
                Err("unknown signal `TREM`; did you mean `TERM`?"),
            ),
            (r#""banana""#, Err("unknown signal `banana`")),
            (
                r#""stop""#,
                Err("signal `STOP` would pause the process, not end it"),
            ),
            (
                "true",
                Err("invalid type: boolean `true`, expected the name of a signal"),
            ),
        ] {
            let read: Result<StopSignal, _> = serde_json::from_str(json);
            match expected {
                Ok(name) => {
                    let signal = read.unwrap();
                    assert_eq!(signal.name(), name);
                    assert_eq!(
                        serde_json::to_string(&signal).unwrap(),
                        format!("\"{name}\"")
                    );
                }
                Err(text) => {
                    let error = read.unwrap_err().to_string();
                    assert!(error.starts_with(text), "{json}: {error}");
                }
            }
        }
    }

    #[test]
    fn numbers_have_their_linux_names() {
        assert_eq!(signal_name(9), Some("KILL"));
        assert_eq!(signal_name(15), Some("TERM"));
        assert_eq!(signal_name(34), None);
    }
}
