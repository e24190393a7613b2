//! The one table of commands. Parser, help, HTTP routes and console derive from it.
//!
//! A command that runs in the kernel makes a JSON document there ([`Run::Kernel`]) and draws it where it
//! is shown ([`Command::show`]); one that runs where it was typed ([`Run::Local`]) does both itself. A new
//! command is one file here and one line in [`TABLE`].

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use unity_supervisors::{ActorPath, Done, Kernel, KernelError};

use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::CommandError;
use crate::screen::Screen;

mod ask;
mod chaos;
mod check;
mod console;
mod delete;
mod dlq;
mod health;
mod kill;
mod release;
mod restart;
mod run;
mod shutdown;
mod spawn;
mod start;
mod state;
mod stop;
mod tell;
mod tree;
mod version;
mod why;

/// All commands, in the order of the help.
pub static TABLE: &[Command] = &[
    run::COMMAND,
    check::COMMAND,
    tree::COMMAND,
    why::COMMAND,
    health::COMMAND,
    state::COMMAND,
    kill::COMMAND,
    restart::COMMAND,
    stop::COMMAND,
    start::COMMAND,
    release::COMMAND,
    spawn::COMMAND,
    delete::COMMAND,
    tell::COMMAND,
    ask::COMMAND,
    dlq::LIST,
    dlq::SHOW,
    chaos::COMMAND,
    console::COMMAND,
    shutdown::COMMAND,
    version::COMMAND,
];

/// What the first words of commands of two words mean.
pub static GROUPS: &[(&str, &str)] = &[
    ("dlq", "Dead letters: messages that nobody will handle"),
    (
        "chaos",
        "Kill actors on purpose and check that nothing is lost",
    ),
];

/// Whether a command reads or changes: `GET` or `POST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It only looks.
    Read,
    /// It changes something.
    Change,
}

/// What a command in the kernel is.
pub type KernelRun = fn(Kernel, Args) -> BoxFuture<'static, Result<Value, CommandError>>;
/// What a command where it was typed is; it returns its exit code.
pub type LocalRun = fn(&Caller, &Args) -> Result<u8, CommandError>;

/// Where a command runs.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// In the kernel; the document is shown by the client.
    Kernel(KernelRun),
    /// In the process of whoever typed it.
    Local(LocalRun),
}

/// One command.
pub struct Command {
    /// What is typed.
    pub words: &'static [&'static str],
    /// One line about it.
    pub about: &'static str,
    /// More about it, with an example.
    pub help: &'static str,
    /// Its arguments, those by position first.
    pub args: &'static [Arg],
    /// Whether it reads or changes.
    pub access: Access,
    /// What it does, and where.
    pub run: Run,
    /// Draws its document for people.
    pub show: fn(&Value, &Screen) -> String,
    /// The exit code that its document stands for.
    pub exit: fn(&Value) -> u8,
    /// What a client does for a command in the kernel, if not just call it and show the answer.
    pub attend: Option<LocalRun>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({})", self.name())
    }
}

impl Command {
    /// What most commands are: no arguments, read in the kernel, exit code 0.
    const fn reading(words: &'static [&'static str], run: KernelRun) -> Self {
        Self {
            words,
            about: "",
            help: "",
            args: &[],
            access: Access::Read,
            run: Run::Kernel(run),
            show: |document, _| format!("{document:#}\n"),
            exit: |_| 0,
            attend: None,
        }
    }

    const fn changing(words: &'static [&'static str], run: KernelRun) -> Self {
        Self {
            access: Access::Change,
            ..Self::reading(words, run)
        }
    }

    const fn local(words: &'static [&'static str], run: LocalRun) -> Self {
        Self {
            words,
            about: "",
            help: "",
            args: &[],
            access: Access::Read,
            run: Run::Local(run),
            show: |document, _| format!("{document:#}\n"),
            exit: |_| 0,
            attend: None,
        }
    }

    /// Its words, with blanks.
    #[must_use]
    pub fn name(&self) -> String {
        self.words.join(" ")
    }

    /// Its route.
    #[must_use]
    pub fn http_path(&self) -> String {
        format!("/api/v1/{}", self.words.join("/"))
    }

    /// The command of these words.
    #[must_use]
    pub fn find(words: &[&str]) -> Option<&'static Self> {
        TABLE.iter().find(|command| command.words == words)
    }
}

/// The argument of most commands.
const PATH: Arg = Arg::required(
    "path",
    ArgKind::Path,
    "where in the tree, as in /sensors/host",
);

/// How long a request waits for what it started to be seen.
const SEEN_WITHIN: Duration = Duration::from_millis(250);

/// What most changing commands answer.
fn done(
    kernel: &Kernel,
    path: &ActorPath,
    result: Result<Done, KernelError>,
) -> Result<Value, CommandError> {
    let done = result.map_err(|error| CommandError::of_kernel(error, kernel))?;
    let word = match &done {
        Done::Started { .. } => "started",
        Done::Ignored => "ignored",
        Done::Stopped => "stopped",
        Done::Killed => "killed",
        Done::Deleted => "deleted",
        Done::Released { .. } => "released",
    };
    let slot = kernel.registry().get(path);
    let mut document = serde_json::json!({
        "version": 1,
        "path": path,
        "done": word,
        "state": slot.as_ref().map(|slot| slot.state()),
        "incarnation": slot.as_ref().map(|slot| slot.incarnation()),
    });
    if let (Done::Released { count }, Some(object)) = (&done, document.as_object_mut()) {
        object.insert("count".to_owned(), Value::from(*count));
    }
    Ok(document)
}

/// One line about what [`done`] made.
fn show_done(document: &Value, screen: &Screen) -> String {
    use crate::screen::{Line, Tone, number, text};
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "path"));
    line.push(Tone::Plain, &format!(" {}", text(document, "done")));
    let state = text(document, "state");
    if !state.is_empty() && state != text(document, "done") {
        line.push(Tone::Plain, ", now ");
        line.push(Tone::of_state(state), state);
        line.push(
            Tone::Dim,
            &format!(" (life {})", number(document, "incarnation")),
        );
    }
    line.render(screen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Place;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_is_complete_and_told_apart() {
        let mut seen = BTreeSet::new();
        for command in TABLE {
            assert!(seen.insert(command.words), "{command:?} is there twice");
            assert!((1..=2).contains(&command.words.len()), "{command:?}");
            assert!(
                !command.about.is_empty() && !command.about.ends_with('.'),
                "{command:?}"
            );
            assert!(command.help.contains("uk"), "{command:?} has no example");
            if let [group, _] = command.words {
                assert!(GROUPS.iter().any(|(word, _)| word == group), "{command:?}");
            }
        }
    }

    #[test]
    fn arguments_are_in_an_order_that_can_be_parsed() {
        for command in TABLE {
            let mut names = BTreeSet::new();
            let mut optional = false;
            for arg in command.args {
                assert!(
                    names.insert(arg.name),
                    "{command:?} {} is there twice",
                    arg.name
                );
                if arg.place == Place::Position {
                    assert!(!(optional && arg.required), "{command:?} {}", arg.name);
                    optional |= !arg.required;
                }
                let carried = command.access == Access::Change || arg.kind != ArgKind::Settings;
                assert!(
                    carried,
                    "{command:?} {}: a query carries no object",
                    arg.name
                );
            }
        }
    }

    #[test]
    fn every_group_has_a_command() {
        for (group, _) in GROUPS {
            assert!(
                TABLE
                    .iter()
                    .any(|command| command.words.first() == Some(group)),
                "{group}"
            );
        }
    }
}
