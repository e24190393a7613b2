//! The one table of commands. Parser, help, HTTP routes and console derive from it.
//!
//! A command that runs in the kernel makes a JSON document there ([`Run::Kernel`]) and draws it where it
//! is shown ([`Command::show`]), or many of them one after the other ([`Run::Stream`]); one that runs where it was typed ([`Run::Local`]) does both itself. A new
//! command is one file here and one line in [`TABLE`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};
use unity_supervisors::slot::Slot;
use unity_supervisors::spec::Strategy;
use unity_supervisors::{ActorPath, Done, Kernel, KernelError, SlotState};

use crate::arguments::{Arg, ArgKind, Args, NODE, Rule, Together, schema_of};
use crate::cli::Caller;
use crate::error::CommandError;
use crate::nodes;
use crate::rights::Scope;
use crate::screen::{Screen, put};
use crate::settings::keeper::{Act, Ask};
use crate::settings::service;

mod ask;
pub(crate) mod chaos;
mod check;
mod completions;
pub(crate) mod config;
mod console;
mod count;
mod crashes;
mod delete;
mod demo;
mod dlq;
mod doctor;
pub(crate) mod events;
mod explain;
mod health;
mod jobs;
mod kill;
mod loglevel;
mod logs;
mod mcp;
mod node;
pub(crate) mod open;
mod overriding;
mod paths;
mod release;
mod restart;
mod resume;
mod run;
mod schema;
mod shutdown;
mod simulate;
mod spawn;
mod stall;
mod start;
mod state;
mod stop;
pub(crate) mod streams;
mod suspend;
pub(crate) mod telemetry;
mod tell;
mod token;
mod top;
mod trace;
pub(crate) mod tree;
mod version;
mod which;
pub(crate) mod why;

/// All commands, in the order of the help.
pub static TABLE: &[Command] = &[
    run::COMMAND,
    demo::COMMAND,
    check::COMMAND,
    explain::COMMAND,
    tree::COMMAND,
    top::COMMAND,
    which::COMMAND,
    count::COMMAND,
    paths::COMMAND,
    why::COMMAND,
    crashes::COMMAND,
    logs::COMMAND,
    health::COMMAND,
    doctor::COMMAND,
    state::COMMAND,
    jobs::COMMAND,
    trace::COMMAND,
    loglevel::COMMAND,
    kill::COMMAND,
    restart::COMMAND,
    stop::COMMAND,
    start::COMMAND,
    suspend::COMMAND,
    resume::COMMAND,
    overriding::COMMAND,
    release::COMMAND,
    spawn::COMMAND,
    delete::COMMAND,
    tell::COMMAND,
    ask::COMMAND,
    telemetry::COMMAND,
    events::LIST,
    events::SHOW,
    events::PUBLISH,
    events::TAIL,
    events::STATS,
    events::replay::REPLAY,
    streams::LIST,
    streams::SHOW,
    streams::READ,
    streams::PENDING,
    streams::ACK,
    streams::CLAIM,
    streams::TRIM,
    streams::DROP,
    dlq::LIST,
    dlq::SHOW,
    dlq::settle::RETRY,
    dlq::settle::DROP,
    chaos::PLAN,
    chaos::RUN,
    chaos::PAUSE,
    chaos::RESUME,
    chaos::STOP,
    chaos::REPORT,
    chaos::LIST,
    simulate::COMMAND,
    node::LIST,
    node::ATTACH,
    node::DETACH,
    node::DRAIN,
    node::TOKEN,
    node::CA,
    open::COMMAND,
    token::CREATE,
    token::LIST,
    token::REVOKE,
    console::COMMAND,
    mcp::COMMAND,
    completions::COMMAND,
    schema::TREE,
    schema::EVENTS,
    schema::CHAOS,
    config::GET,
    config::EXPLAIN,
    config::SCHEMA,
    config::SET,
    config::UNSET,
    config::DIFF,
    config::HISTORY,
    config::ROLLBACK,
    config::APPLY,
    shutdown::COMMAND,
    version::COMMAND,
];

/// What the first words of commands of two words mean.
pub static GROUPS: &[(&str, &str)] = &[
    ("schema", "What files may hold, for editors"),
    (
        "config",
        "Settings: what is in force and why, change it, undo it",
    ),
    (
        "events",
        "Events: which there are, publish one, see them come by",
    ),
    (
        "node",
        "Nodes: attach other kernels, see how they are, make what they trust each other by",
    ),
    ("token", "Tokens: who may reach the kernel from outside"),
    ("streams", "What is kept of events, and who has read it"),
    ("dlq", "Dead letters: messages that nobody will handle"),
    (
        "chaos",
        "Break things on purpose and check that all comes back and nothing is lost",
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
/// The documents of a command that has many, as they come. Who does not read them holds up nobody.
pub type Documents = BoxStream<'static, Result<Value, CommandError>>;
/// What a command in the kernel is that answers with many documents.
pub type StreamRun = fn(Kernel, Args) -> BoxFuture<'static, Result<Documents, CommandError>>;
/// Writes the document of a command as text, without making values of it first; `None` where that cannot be done.
pub type WriteRun = fn(&Kernel, &Args) -> Result<Option<String>, CommandError>;
/// What a command where it was typed is; it returns its exit code.
pub type LocalRun = fn(&Caller, &Args) -> Result<u8, CommandError>;

/// Where a command runs.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// In the kernel; the document is shown by the client.
    Kernel(KernelRun),
    /// In the kernel; each document is shown by the client as it comes, until there is no more.
    Stream(StreamRun),
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
    /// What of its arguments goes together.
    pub rules: &'static [Rule],
    /// Whether it reads or changes.
    pub access: Access,
    /// What it takes to use it.
    pub scope: Scope,
    /// Whether the audit has who used it.
    pub is_audited: bool,
    /// Whether what it answers is a secret itself, and so not masked.
    pub is_secret: bool,
    /// Whether it can be asked of all nodes at once.
    pub is_of_all: bool,
    /// What it does, and where.
    pub run: Run,
    /// A quicker way to the same document, of a command whose documents are large.
    pub write: Option<WriteRun>,
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
    /// One without arguments, that reads and has exit code 0.
    const fn new(words: &'static [&'static str], run: Run) -> Self {
        Self {
            words,
            about: "",
            help: "",
            args: &[],
            rules: &[],
            access: Access::Read,
            scope: Scope::Read,
            is_audited: false,
            is_secret: false,
            is_of_all: false,
            run,
            write: None,
            show: |document, _| format!("{document:#}\n"),
            exit: |_| 0,
            attend: None,
        }
    }

    const fn reading(words: &'static [&'static str], run: KernelRun) -> Self {
        Self::new(words, Run::Kernel(run))
    }

    const fn changing(words: &'static [&'static str], run: KernelRun) -> Self {
        Self {
            access: Access::Change,
            scope: Scope::Operate,
            is_audited: true,
            ..Self::reading(words, run)
        }
    }

    /// As [`changing`](Self::changing), of what is there and not of how it is.
    const fn administering(words: &'static [&'static str], run: KernelRun) -> Self {
        Self {
            scope: Scope::Admin,
            ..Self::changing(words, run)
        }
    }

    const fn streaming(words: &'static [&'static str], run: StreamRun) -> Self {
        Self::new(words, Run::Stream(run))
    }

    const fn local(words: &'static [&'static str], run: LocalRun) -> Self {
        Self::new(words, Run::Local(run))
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

    /// Its arguments as a request has them: of what runs in a kernel, also which node.
    #[must_use]
    pub fn inputs(&self) -> Vec<Arg> {
        let node = matches!(self.run, Run::Kernel(_) | Run::Stream(_)).then_some(NODE);
        self.args.iter().copied().chain(node).collect()
    }

    /// Draws its document for people, or those of all nodes.
    #[must_use]
    pub fn draw(&self, document: &Value, screen: &Screen) -> String {
        match self.is_of_all.then(|| nodes::each(document)).flatten() {
            Some(each) => nodes::draw_each(each, screen, |one| (self.show)(one, screen)),
            None => (self.show)(document, screen),
        }
    }

    /// The exit code that its document stands for, or those of all nodes.
    #[must_use]
    pub fn exit_of(&self, document: &Value) -> u8 {
        match self.is_of_all.then(|| nodes::each(document)).flatten() {
            Some(each) => nodes::exit_of_each(each, self.exit),
            None => (self.exit)(document),
        }
    }

    /// Reads its arguments from the JSON object of a request.
    ///
    /// # Errors
    /// As [`Args::from_json`]; also what does not go together.
    pub fn read_json(&self, object: Map<String, Value>) -> Result<Args, CommandError> {
        let args = Args::from_json(&self.inputs(), object)?;
        self.check(&args)?;
        Ok(args)
    }

    /// Refuses arguments that do not go together.
    ///
    /// # Errors
    /// What would.
    pub fn check(&self, args: &Args) -> Result<(), CommandError> {
        self.rules.iter().try_for_each(|rule| rule.check(args))
    }

    /// Whether a request must have this argument.
    #[must_use]
    pub fn requires(&self, arg: &Arg) -> bool {
        let is_alone = |rule: &Rule| matches!(rule.is, Together::Some([name]) if *name == arg.name);
        arg.required || self.rules.iter().any(is_alone)
    }

    /// The schema of the object of a request.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = schema_of(&self.inputs());
        if !self.rules.is_empty() {
            let rules = self.rules.iter().map(|rule| rule.schema(self.args));
            put(&mut schema, "allOf", rules.collect::<Vec<_>>());
        }
        schema
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

/// The argument of commands about the children of a supervisor.
const SUPERVISOR: Arg = Arg::required("path", ArgKind::Supervisor, "a supervisor, as in /sensors");

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
        Done::Waiting { .. } => "waiting",
        Done::Suspended => "suspended",
        Done::Resumed => "resumed",
        Done::Reloaded => "reloaded",
        Done::Each(_) => "spawned",
    };
    let slot = kernel.registry().get(path);
    let mut document = serde_json::json!({
        "version": 1,
        "path": path,
        "done": word,
        "state": slot.as_ref().map(|slot| slot.state()),
        "incarnation": slot.as_ref().map(|slot| slot.incarnation()),
    });
    let Some(object) = document.as_object_mut() else {
        return Ok(document);
    };
    match &done {
        Done::Released { count } => {
            object.insert("count".to_owned(), Value::from(*count));
        }
        Done::Waiting { need } => {
            let need = path.parent().map(|parent| parent.child(need));
            let need = need.and_then(|need| kernel.registry().get(&need));
            if let Some(need) = need {
                // What it waits for may itself wait.
                let root = waits_for(kernel, &need).unwrap_or(need);
                object.insert("waits_for".to_owned(), need_of(&root));
            }
        }
        _ => {}
    }
    Ok(document)
}

/// The slot that is down and that `slot` waits for, if that is why it does not run.
///
/// What waits for one that is down for good says `stopped` as well, so a child that somebody stopped counts as waiting
/// while one of its needs is down: without that it cannot start either.
fn waits_for(kernel: &Kernel, slot: &Slot) -> Option<Arc<Slot>> {
    if !matches!(slot.state(), SlotState::Starting | SlotState::Stopped) {
        return None;
    }
    let parent = slot.path().parent()?;
    let spec = slot.spec();
    let siblings = spec.needs.iter();
    let needs = siblings.filter_map(|need| kernel.registry().get(&parent.child(need)));
    let mut unmet = needs.filter_map(|need| match need.state() {
        SlotState::Running | SlotState::Stopping | SlotState::Suspended => None,
        SlotState::Starting => waits_for(kernel, &need),
        SlotState::Stopped => waits_for(kernel, &need).or(Some(need)),
        _ => Some(need),
    });
    unmet.next().or_else(|| held_back_by(kernel, slot))
}

/// The earlier sibling in quarantine that a child stays stopped with, where the ones after it are restarted with it.
fn held_back_by(kernel: &Kernel, slot: &Slot) -> Option<Arc<Slot>> {
    let parent = kernel.registry().get(&slot.path().parent()?)?;
    let strategy = parent.spec().as_supervisor()?.strategy;
    if strategy != Strategy::RestForOne {
        return None;
    }
    let children = parent.children().into_iter();
    let mut before = children.take_while(|child| child.id() != slot.id());
    before.find(|child| {
        let ladder = kernel.node(child.path()).and_then(|node| node.ladder);
        ladder.is_some_and(|ladder| ladder.quarantined)
    })
}

/// The option of what is done for good.
const SAVE: Arg = Arg::option(
    "save",
    ArgKind::Flag,
    "for good: it outlives the kernel and changes of the file",
);

/// Has the settings service do something for good.
async fn saved(kernel: &Kernel, act: Act, by: &str) -> Result<Value, CommandError> {
    let ask = Ask {
        act,
        dry_run: false,
        by: by.to_owned(),
    };
    service::ask(kernel, ask).await
}

/// What [`waits_for`] found, as a document has it.
fn need_of(need: &Slot) -> Value {
    serde_json::json!({ "path": need.path(), "state": need.state() })
}

/// `waits for /a, which is stopped`, if the document of [`need_of`] says so.
fn waits_text(waits_for: &Value) -> Option<String> {
    use crate::screen::{is_in_state, text};
    let path = text(waits_for, "path");
    let state = is_in_state(text(waits_for, "state"));
    (!path.is_empty()).then(|| format!("waits for {path}, which {state}"))
}

/// One line about what [`done`] made.
fn show_done(document: &Value, screen: &Screen) -> String {
    use crate::screen::{Line, Tone, number, text};
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "path"));
    let (done, state) = (text(document, "done"), text(document, "state"));
    if done == "waiting" {
        let waits = document.get("waits_for").and_then(waits_text);
        let waits = waits.unwrap_or_else(|| "waits for what it needs".to_owned());
        line.push(Tone::Warn, &format!(" {waits}"));
        return line.wrap(screen, 2);
    }
    line.push(Tone::Plain, &format!(" {done}"));
    if done == "stopped" && matches!(state, "starting" | "restarting" | "running") {
        line.push(Tone::Plain, ", and is started again");
    } else if !state.is_empty() && state != done {
        line.push(Tone::Plain, ", now ");
        let word = match state {
            "backoff" => "in backoff",
            "quarantined" => "in quarantine",
            "restarting" => "being restarted",
            other => other,
        };
        line.push(Tone::of_state(state), word);
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
                let carried = command.access == Access::Change
                    || matches!(command.run, Run::Local(_))
                    || arg.kind != ArgKind::Settings;
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
