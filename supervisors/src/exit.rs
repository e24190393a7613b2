//! Why a life ended: [`ExitReason`], and [`Exit`], what a handler returns to end its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of an exit; what the restart rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    /// It had nothing left to do.
    Normal,
    /// Its supervisor, or a person, stopped it in order.
    Shutdown,
    /// It was killed: by a person, or because it did not stop in time.
    Killed,
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
    /// It did not yield or answer for too long.
    Stalled,
    /// A supervisor that used up its budget. Counts as `shutdown` for the restart rules, as in OTP.
    GaveUp,
    /// The node it ran on is not reachable.
    NodeDown,
}

impl ExitKind {
    /// Whether a transient child with this exit is *not* restarted: `normal`, `shutdown`, `gave_up`.
    #[must_use]
    pub fn is_clean(self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::GaveUp)
    }

    /// The word in JSON and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Killed => "killed",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Stalled => "stalled",
            Self::GaveUp => "gave_up",
            Self::NodeDown => "node_down",
        }
    }
}

/// Why a life ended, in JSON `{"kind": "panic", "text"?: "…", "location"?: "src/arm.rs:31:9"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitReason {
    /// What the restart rules look at.
    pub kind: ExitKind,
    /// What it said: the error's or panic's text, or the reason a person gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it panicked: `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl ExitReason {
    /// A reason without text.
    #[must_use]
    pub fn new(kind: ExitKind) -> Self {
        Self {
            kind,
            text: None,
            location: None,
        }
    }

    /// A reason that says something.
    #[must_use]
    pub fn with_text(kind: ExitKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: Some(text.into()),
            location: None,
        }
    }

    /// `normal`.
    #[must_use]
    pub fn normal() -> Self {
        Self::new(ExitKind::Normal)
    }

    /// `shutdown`.
    #[must_use]
    pub fn shutdown() -> Self {
        Self::new(ExitKind::Shutdown)
    }

    /// `killed`.
    #[must_use]
    pub fn killed() -> Self {
        Self::new(ExitKind::Killed)
    }

    /// `error`, with its text.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self::with_text(ExitKind::Error, text)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if let Some(text) = &self.text {
            write!(f, ": {}", OneLine(text))?;
        }
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        Ok(())
    }
}

/// How many characters of a text are printed.
const PRINTED_MAX: usize = 1_000;

/// A text of somebody else's in one line, without what could play tricks on a terminal or a log.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars().take(PRINTED_MAX) {
            if letter.is_control() || turns_around(letter) {
                write!(f, "{}", letter.escape_default())?;
            } else {
                write!(f, "{letter}")?;
            }
        }
        let is_cut = self.0.chars().nth(PRINTED_MAX).is_some();
        f.write_str(if is_cut { "…" } else { "" })
    }
}

/// Whether a letter changes the direction in which others are shown.
fn turns_around(letter: char) -> bool {
    matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a handler returns to end its life.
///
/// Any error converts into an exit of kind `error`, so `?` works in handlers. `Exit` itself is not
/// an `Error`, for the same reason that makes this conversion possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit(pub ExitReason);

impl Exit {
    /// An exit of kind `error` with a text.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self(ExitReason::error(text))
    }
}

impl<E: std::error::Error> From<E> for Exit {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::error(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_prints_in_one_line_that_plays_no_tricks() {
        let reason = ExitReason::error("one\ntwo \u{1b}[31mred\u{202e}");
        assert_eq!(reason.to_string(), r"error: one\ntwo \u{1b}[31mred\u{202e}");

        let long = ExitReason::error("x".repeat(5_000)).to_string();
        assert_eq!(long.chars().count(), "error: ".len() + PRINTED_MAX + 1);
    }
}
