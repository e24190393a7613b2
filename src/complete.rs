//! What could come next on a command line: [`candidates`], from the one table of commands.
//!
//! A shell's script (see `uk completions`) calls `uk __complete SHELL uk WORD …` with the words up to the
//! cursor, the last of them unfinished. What it prints is one candidate a line, a tab and what it is;
//! the one line `files` says that the shell should complete a file. Nothing else is ever printed: a line
//! that makes no sense, and a kernel that does not answer within 150 ms, have no candidates.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::arguments::{Arg, ArgKind, Args, Form, NODE, Place, SYSTEM, of_node};
use crate::cli::{Caller, block_on};
use crate::commands::{Command, GROUPS, TABLE};
use crate::console::{self, Place as TreePlace};
use crate::output;
use crate::screen::{count, list, number, text};
use crate::settings::system::{KEYS, Key};
use crate::socket;
use crate::tree_file::Code;

mod json;

/// The word that says that candidates are wanted. No command: people never type it.
pub const WORD: &str = "__complete";
/// How long what runs is waited for.
const LIVE_WITHIN: Duration = Duration::from_millis(150);
/// How many live names are offered at most.
const LIVE_MAX: usize = 500;

/// Options of all commands, as far as they are completed.
const GLOBALS: &[Arg] = &[
    Arg::option("json", ArgKind::Flag, "one JSON document, errors too"),
    Arg::option("help", ArgKind::Flag, "what it does"),
    Arg::option("socket", ArgKind::File, "the kernel's socket"),
    Arg::option("name", ArgKind::Text, "the kernel's name"),
    Arg::option("data-dir", ArgKind::Folder, "the kernel's data folder"),
    NODE,
];

/// Something that could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What would stand there.
    pub value: String,
    /// What it is, in one line.
    pub about: String,
}

/// What could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// Any file.
    Files,
    /// One of these.
    Some(Vec<Candidate>),
}

/// Which paths are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Any,
    /// Those of supervisors.
    Supervisors,
}

/// Names that a kernel has besides its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Topics of events, and the patterns of its catalog.
    Topics,
    /// Streams.
    Streams,
    /// Runs of chaos.
    Runs,
    /// Nodes that are attached.
    Nodes,
    /// The groups of readers of this stream.
    Groups(String),
}

/// What runs, for those who complete its names.
pub trait Live {
    /// The paths of the kernel that `socket` and `name` mean that begin with `begin`, of supervisors alone if wanted, and what
    /// is there.
    fn paths(
        &self,
        begin: &str,
        only: Only,
        socket: Option<&str>,
        name: Option<&str>,
    ) -> Vec<Candidate>;
    /// Other names of that kernel, and what each is.
    fn names(&self, of: Names, socket: Option<&str>, name: Option<&str>) -> Vec<Candidate>;
    /// The names of all kernels.
    fn kernels(&self) -> Vec<Candidate>;
}

/// Prints the candidates for the words after [`WORD`].
pub fn main(args: impl Iterator<Item = OsString>) {
    let mut words = args.map(|word| word.to_string_lossy().into_owned());
    let shell = words.next().unwrap_or_default();
    let mut words: Vec<String> = words.skip(1).collect();
    if shell == "bash" {
        words = joined(words);
    }
    let Some(current) = words.pop() else { return };
    let said = match candidates(&words, &current, &Running::default()) {
        Candidates::Files => "files\n".to_owned(),
        Candidates::Some(found) => {
            // Bash looks at what stands after a `=` or a `:` alone.
            let lead = current
                .rfind(['=', ':'])
                .filter(|_| shell == "bash")
                .map_or(0, |at| at + 1);
            let line = |candidate: &Candidate| {
                let value = candidate.value.get(lead..)?;
                Some(format!("{value}\t{}\n", candidate.about))
            };
            found.iter().filter_map(line).collect()
        }
    };
    // There is nobody to tell that it cannot be written.
    drop(output::out(&said));
}

/// The words of bash, which takes a `=` and a `:` for words of their own.
fn joined(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for word in words {
        let is_sign = word == "=" || word == ":";
        match joined.last_mut() {
            Some(last) if is_sign || open => last.push_str(&word),
            _ => joined.push(word),
        }
        open = is_sign;
    }
    joined
}

/// What could stand in the place of `current`, after `words`.
#[must_use]
pub fn candidates(words: &[String], current: &str, live: &dyn Live) -> Candidates {
    candidates_at(None, words, current, live)
}

/// The same in a console, where paths are meant from a place in the tree and JSON needs no quotes.
pub(crate) fn candidates_at(
    place: Option<&TreePlace>,
    words: &[String],
    current: &str,
    live: &dyn Live,
) -> Candidates {
    let line = Line::read(place, words);
    let found = line.next(current, live);
    match found {
        Candidates::Some(mut found) => {
            found.retain(|candidate| candidate.value.starts_with(current));
            Candidates::Some(found)
        }
        files => files,
    }
}

/// What a command goes on with after `words`, for people: `PATH [--reason TEXT]`. `None` if that is nothing, or no command.
pub(crate) fn usage(words: &[String]) -> Option<String> {
    let line = Line::read(None, words);
    let own = line.chosen()?.args.iter().filter(|arg| !arg.internal);
    if let Some(open) = line.open.and_then(|open| line.option(open)) {
        return Some(open.value_name());
    }
    let (positions, options): (Vec<&Arg>, Vec<&Arg>) =
        own.partition(|arg| arg.place == Place::Position);
    let positions = positions.into_iter().skip(line.positions.len());
    let options = options
        .into_iter()
        .filter(|arg| line.given(arg.name).is_none());
    let shown = positions.chain(options).map(|arg| {
        let shown = match (arg.place, takes_value(arg)) {
            (Place::Position, _) => arg.value_name(),
            (Place::Option, true) => format!("--{} {}", arg.name, arg.value_name()),
            (Place::Option, false) => format!("--{}", arg.name),
        };
        if arg.required {
            shown
        } else {
            format!("[{shown}]")
        }
    });
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| shown.join(" "))
}

/// What stands before the cursor.
#[derive(Default)]
struct Line<'w> {
    /// Where in the tree paths are meant from.
    place: Option<&'w TreePlace>,
    /// The words of the command, one or two, as far as they are there.
    command: Vec<&'w str>,
    /// What was given by its position.
    positions: Vec<&'w str>,
    /// Options that were given, with their values.
    options: Vec<(&'w str, &'w str)>,
    /// The option whose value comes next.
    open: Option<&'w str>,
    /// Whether no option comes any more.
    closed: bool,
}

impl<'w> Line<'w> {
    fn read(place: Option<&'w TreePlace>, words: &'w [String]) -> Self {
        let mut line = Self {
            place,
            ..Self::default()
        };
        for word in words {
            line.take(word);
        }
        line
    }

    fn take(&mut self, word: &'w str) {
        if let Some(open) = self.open.take() {
            self.options.push((open, word));
        } else if let Some(node) = word.strip_prefix('@').filter(|_| !self.closed) {
            self.options.push((NODE.name, node));
        } else if word == "--" && !self.closed {
            self.closed = true;
        } else if let Some(option) = word.strip_prefix("--").filter(|_| !self.closed) {
            match option.split_once('=') {
                Some((name, value)) => self.options.push((name, value)),
                None if self.option(option).is_some_and(takes_value) => self.open = Some(option),
                None => self.options.push((option, "")),
            }
        } else if self.chosen().is_none() && self.command.len() < 2 {
            self.command.push(word);
        } else {
            self.positions.push(word);
        }
    }

    fn chosen(&self) -> Option<&'static Command> {
        Command::find(&self.command)
    }

    fn own(&self) -> &'static [Arg] {
        self.chosen().map_or(&[], |command| command.args)
    }

    fn option(&self, name: &str) -> Option<&'static Arg> {
        let own = self.own().iter().filter(|arg| arg.place == Place::Option);
        own.chain(GLOBALS).find(|arg| arg.name == name)
    }

    fn given(&self, name: &str) -> Option<&'w str> {
        let mut given = self.options.iter().rev();
        given
            .find(|(option, _)| *option == name)
            .map(|(_, value)| *value)
    }

    fn next(&self, current: &str, live: &dyn Live) -> Candidates {
        if let Some(arg) = self.open.and_then(|open| self.option(open)) {
            return self.values(arg, "", current, live);
        }
        if let Some(option) = current.strip_prefix("--").filter(|_| !self.closed)
            && let Some((name, _)) = option.split_once('=')
        {
            let Some(arg) = self.option(name) else {
                return none();
            };
            return self.values(arg, &format!("--{name}="), current, live);
        }
        if current.starts_with('@') && !self.closed {
            return self.values(&NODE, "@", current, live);
        }
        if current.starts_with('-') && !self.closed {
            return Candidates::Some(self.options());
        }
        if self.chosen().is_none() {
            return Candidates::Some(self.words());
        }
        let mut positions = self.own().iter().filter(|arg| arg.place == Place::Position);
        let is_many = |arg: &&Arg| matches!(arg.kind, ArgKind::Settings | ArgKind::Many(_));
        let next = positions.clone().nth(self.positions.len());
        match next.or_else(|| positions.next_back().filter(is_many)) {
            Some(arg) => self.values(arg, "", current, live),
            None if self.closed => none(),
            None => Candidates::Some(self.options()),
        }
    }

    /// The words that a command goes on with.
    fn words(&self) -> Vec<Candidate> {
        match self.command.as_slice() {
            [] | ["help"] => {
                let single = TABLE.iter().filter(|command| command.words.len() == 1);
                let single = single.map(|command| candidate(&command.name(), command.about));
                let groups = GROUPS.iter().map(|(word, about)| candidate(word, about));
                let help = candidate("help", "What commands there are, or what one does");
                single.chain(groups).chain([help]).collect()
            }
            [group] => {
                let commands = TABLE.iter().filter_map(|command| match command.words {
                    [first, second] if first == group => Some(candidate(second, command.about)),
                    _ => None,
                });
                commands.collect()
            }
            _ => Vec::new(),
        }
    }

    /// The options that may still come.
    fn options(&self) -> Vec<Candidate> {
        let own = self.own().iter().filter(|arg| arg.place == Place::Option);
        own.chain(GLOBALS)
            .filter(|arg| !arg.internal)
            .filter(|arg| arg.kind == ArgKind::Settings || self.given(arg.name).is_none())
            .map(|arg| candidate(&format!("--{}", arg.name), arg.help))
            .collect()
    }

    /// What is there and is written in a way that begins with `current`.
    fn paths(&self, only: Only, current: &str, live: &dyn Live) -> Vec<Candidate> {
        let (socket, name) = (self.given("socket"), self.given("name"));
        if let Some(node) = self
            .given(NODE.name)
            .filter(|_| of_node(current).0.is_none())
        {
            let lead = format!("{node}:");
            let begin = format!("{lead}{}", if current.is_empty() { "/" } else { current });
            let found = live.paths(&begin, only, socket, name).into_iter();
            let bare = |found: Candidate| Candidate {
                value: found.value.trim_start_matches(&lead).to_owned(),
                ..found
            };
            return found.map(bare).collect();
        }
        let is_elsewhere = self.place.is_some_and(|place| place.node.is_some());
        let is_whole = current.starts_with('/') && !is_elsewhere || of_node(current).0.is_some();
        let Some(place) = self.place.filter(|_| !is_whole) else {
            return live.paths(current, only, socket, name);
        };
        let Ok(begin) = place.absolute(current) else {
            return Vec::new();
        };
        let is_whole = current.is_empty() || current.ends_with('/');
        let begin = match is_whole && !begin.ends_with('/') {
            true => begin + "/",
            false => begin,
        };
        let found = live.paths(&begin, only, socket, name).into_iter();
        let written = found.filter_map(|found| {
            let value = console::written(place, current, &found.value)?;
            Some(Candidate { value, ..found })
        });
        written.collect()
    }

    /// The kind of what runs at the path that stands first.
    fn kind(&self, live: &dyn Live) -> Option<String> {
        let first = self.positions.first().copied().unwrap_or_default();
        let path = match self.place {
            Some(place) => place.absolute(first).ok()?,
            None => first.to_owned(),
        };
        let found = live.paths(&path, Only::Any, self.given("socket"), self.given("name"));
        let found = found.into_iter().find(|found| found.value == path)?;
        Some(found.about.split_once(", ")?.0.to_owned())
    }

    /// The names of events and streams; none for other texts.
    fn names(&self, arg: &Arg, live: &dyn Live) -> Vec<Candidate> {
        let of = match arg.name {
            "topic" | "pattern" => Names::Topics,
            "stream" => Names::Streams,
            "run" => Names::Runs,
            "node" => Names::Nodes,
            "which" if self.command.first() == Some(&"node") => Names::Nodes,
            "group" => Names::Groups(
                self.positions
                    .first()
                    .copied()
                    .unwrap_or_default()
                    .to_owned(),
            ),
            _ => return Vec::new(),
        };
        let mut found = live.names(of, self.given("socket"), self.given("name"));
        if self.command == ["events", "publish"] {
            // An event has one topic.
            found.retain(|candidate| !candidate.value.contains('*'));
        }
        found
    }

    /// The keys of the settings of what comes first: of a kind, of what runs at a path, or of the kernel itself.
    fn keys(&self, live: &dyn Live, after: &str) -> Vec<Candidate> {
        let first = self.positions.first().copied().unwrap_or_default();
        if first == SYSTEM {
            let keys = KEYS.iter();
            let key = |key: &Key| candidate(&format!("{}{after}", key.name), &key.about());
            return keys.map(key).collect();
        }
        let is_kind = match self.own().first().map(|arg| arg.kind) {
            Some(ArgKind::Kind) => true,
            Some(ArgKind::Schema) => !first.starts_with(['/', '.']),
            _ => false,
        };
        if is_kind {
            return settings(first, after);
        }
        let kind = self.kind(live);
        kind.map(|kind| settings(&kind, after)).unwrap_or_default()
    }

    /// The values of an argument; `lead` stands before them in the same word.
    fn values(&self, arg: &Arg, lead: &str, current: &str, live: &dyn Live) -> Candidates {
        let typed = current.strip_prefix(lead).unwrap_or(current);
        let found = match arg.kind {
            ArgKind::File | ArgKind::Folder => return Candidates::Files,
            ArgKind::Path => self.paths(Only::Any, typed, live),
            ArgKind::Supervisor => self.paths(Only::Supervisors, typed, live),
            ArgKind::Word(words) => words.iter().map(|word| candidate(word, "")).collect(),
            ArgKind::Kind => kinds(),
            ArgKind::Code => codes(current),
            ArgKind::Target => {
                let mut found = self.paths(Only::Any, typed, live);
                found.push(system());
                found
            }
            ArgKind::Schema => {
                let mut found = match self.place {
                    Some(_) if !typed.starts_with(['/', '.']) => Vec::new(),
                    _ => self.paths(Only::Any, typed, live),
                };
                found.push(system());
                found.extend(kinds());
                found
            }
            ArgKind::Json if arg.name == "message" => {
                let kind = self.kind(live);
                let schema =
                    kind.and_then(|kind| unity_actors::kinds().get(&kind)?.message_schema());
                let schema = schema.unwrap_or_default();
                match self.place {
                    Some(_) => json::messages(&schema, typed),
                    None => json::words(&schema),
                }
            }
            ArgKind::Settings => self.keys(live, "="),
            ArgKind::Form(Form::Key) | ArgKind::Many(Form::Key) => self.keys(live, ""),
            ArgKind::Text if arg.name == "name" && arg.place == Place::Option => live.kernels(),
            ArgKind::Text | ArgKind::Form(_) => self.names(arg, live),
            _ => Vec::new(),
        };
        let with_lead = |found: Candidate| Candidate {
            value: format!("{lead}{}", found.value),
            ..found
        };
        Candidates::Some(found.into_iter().map(with_lead).collect())
    }
}

fn system() -> Candidate {
    candidate(SYSTEM, "the kernel's own settings")
}

fn takes_value(arg: &Arg) -> bool {
    arg.kind != ArgKind::Flag
}

fn none() -> Candidates {
    Candidates::Some(Vec::new())
}

fn candidate(value: &str, about: &str) -> Candidate {
    Candidate {
        value: value.to_owned(),
        about: about.to_owned(),
    }
}

/// The codes as whoever types them writes them: in small letters, too, and as digits alone.
fn codes(current: &str) -> Vec<Candidate> {
    let written = |code: &str| match current.chars().next() {
        Some('u') => code.to_ascii_lowercase(),
        Some('0'..='9') => code.trim_start_matches("UK").to_owned(),
        _ => code.to_owned(),
    };
    let all = Code::ALL.iter();
    all.map(|code| candidate(&written(code.as_str()), code.meaning()))
        .collect()
}

fn kinds() -> Vec<Candidate> {
    let kinds = unity_actors::kinds();
    let about = |name| kinds.get(name).map_or("", |kind| kind.about());
    kinds
        .names()
        .map(|name| candidate(name, about(name)))
        .collect()
}

/// The keys of the settings of a kind, each with what comes after it.
fn settings(kind: &str, after: &str) -> Vec<Candidate> {
    let kinds = unity_actors::kinds();
    let schema = kinds.get(kind).map(|kind| kind.settings_schema());
    let properties = schema.as_ref().and_then(|schema| schema.get("properties"));
    let properties = properties.and_then(Value::as_object).into_iter().flatten();
    properties
        .map(|(name, property)| {
            candidate(
                &format!("{name}{after}"),
                &line(text(property, "description")),
            )
        })
        .collect()
}

/// What runs on this machine.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The socket of the kernel that is meant where no other is named.
    pub(crate) socket: Option<PathBuf>,
}

impl Running {
    fn caller(&self, socket: Option<&str>, name: Option<&str>) -> Caller {
        let socket = socket.map(PathBuf::from);
        Caller::naming(
            socket.or_else(|| self.socket.clone()),
            name.map(str::to_owned),
        )
    }
}

impl Live for Running {
    fn paths(
        &self,
        begin: &str,
        only: Only,
        socket: Option<&str>,
        name: Option<&str>,
    ) -> Vec<Candidate> {
        let (node, begin) = of_node(begin);
        let node = node.map(str::to_owned);
        let lead = node
            .as_ref()
            .map_or_else(String::new, |node| format!("{node}:"));
        let caller = Caller {
            node,
            ..self.caller(socket, name)
        };
        let mut args = Args::default();
        let begin = if begin.is_empty() { "/" } else { begin };
        args.insert("begin", Value::from(begin));
        args.insert("limit", Value::from(LIVE_MAX));
        args.insert("supervisors", Value::Bool(only == Only::Supervisors));
        within_limit(move || {
            let document = asked_with(&caller, &["paths"], &args)?;
            let found = list(&document, "paths").iter().map(|found| {
                let (what, state) = (text(found, "what"), text(found, "state"));
                let path = format!("{lead}{}", text(found, "path"));
                candidate(&path, &format!("{what}, {state}"))
            });
            Some(found.collect())
        })
    }

    fn names(&self, of: Names, socket: Option<&str>, name: Option<&str>) -> Vec<Candidate> {
        let caller = self.caller(socket, name);
        within_limit(move || {
            let mut found = match of {
                Names::Topics => topics(&caller)?,
                Names::Streams => streams(&caller)?,
                Names::Runs => runs(&caller)?,
                Names::Nodes => nodes(&caller)?,
                Names::Groups(stream) => groups(&caller, &stream)?,
            };
            found.truncate(LIVE_MAX);
            Some(found)
        })
    }

    fn kernels(&self) -> Vec<Candidate> {
        within_limit(|| {
            let running = socket::running().into_iter();
            let about = |pid: u32| format!("pid {pid}");
            Some(
                running
                    .map(|held| candidate(&held.name, &about(held.pid)))
                    .collect(),
            )
        })
    }
}

/// What a command that reads says, asked without arguments.
fn asked(caller: &Caller, words: &[&str]) -> Option<Value> {
    asked_with(caller, words, &Args::default())
}

fn asked_with(caller: &Caller, words: &[&str], args: &Args) -> Option<Value> {
    let client = caller.kernel().ok()?;
    let command = Command::find(words)?;
    block_on(client.call(command, args)).ok()?.ok()
}

/// Those of the catalog, then what else was published.
fn topics(caller: &Caller) -> Option<Vec<Candidate>> {
    let catalog = asked(caller, &["events", "list"])?;
    let published = asked(caller, &["events", "stats"])?;
    let mut found = Vec::new();
    for its in list(&catalog, "types") {
        found.push(candidate(
            text(its, "topic"),
            &line(text(its, "description")),
        ));
    }
    for its in list(&published, "topics") {
        let topic = text(its, "topic");
        if !topic.is_empty() && !found.iter().any(|known| known.value == topic) {
            let published = number(its, "published");
            found.push(candidate(topic, &format!("published {published} times")));
        }
    }
    Some(found)
}

fn streams(caller: &Caller) -> Option<Vec<Candidate>> {
    let all = asked(caller, &["streams", "list"])?;
    let stream = |its: &Value| {
        let events = count(number(its, "length"), "event");
        candidate(text(its, "stream"), &events)
    };
    Some(list(&all, "streams").iter().map(stream).collect())
}

fn runs(caller: &Caller) -> Option<Vec<Candidate>> {
    let all = asked(caller, &["chaos", "list"])?;
    let under = all.get("under_way").filter(|under| under.is_object());
    let under = under.map(|its| candidate(text(its, "run"), "under way"));
    let ended = list(&all, "runs").iter();
    let ended = ended.map(|its| {
        let about = format!("{}, {}", text(its, "outcome"), text(its, "plan"));
        candidate(text(its, "run"), &about)
    });
    Some(under.into_iter().chain(ended).collect())
}

fn nodes(caller: &Caller) -> Option<Vec<Candidate>> {
    let all = asked(caller, &["node", "list"])?;
    let node = |its: &Value| candidate(text(its, "name"), text(its, "state"));
    Some(list(&all, "nodes").iter().map(node).collect())
}

fn groups(caller: &Caller, stream: &str) -> Option<Vec<Candidate>> {
    let all = asked(caller, &["streams", "list"])?;
    let mut all = list(&all, "streams").iter();
    let found = all.find(|its| text(its, "stream") == stream)?;
    let group = |its: &Value| {
        let (pending, lag) = (number(its, "pending"), number(its, "lag"));
        candidate(text(its, "name"), &format!("pending {pending}, lag {lag}"))
    };
    Some(list(found, "groups").iter().map(group).collect())
}

/// The first line of a text, of which there is room for one.
fn line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Does `work` on a thread that is left behind when it takes too long: the process ends without it.
fn within_limit(work: impl FnOnce() -> Option<Vec<Candidate>> + Send + 'static) -> Vec<Candidate> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().spawn(move || {
        // Whoever waits may have gone.
        drop(sender.send(work()));
    });
    match thread {
        Ok(_left_behind) => receiver
            .recv_timeout(LIVE_WITHIN)
            .ok()
            .flatten()
            .unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Live for Fake {
        fn paths(
            &self,
            _: &str,
            only: Only,
            socket: Option<&str>,
            name: Option<&str>,
        ) -> Vec<Candidate> {
            let of = format!("{}:{}", socket.unwrap_or("-"), name.unwrap_or("-"));
            match only {
                Only::Any => vec![candidate("/a", &of), candidate("/group/one", &of)],
                Only::Supervisors => vec![candidate("/group", &of)],
            }
        }

        fn names(&self, of: Names, _: Option<&str>, _: Option<&str>) -> Vec<Candidate> {
            match of {
                Names::Topics => vec![candidate("door.*", ""), candidate("door.front", "")],
                Names::Streams => vec![candidate("sensor:door", "")],
                Names::Runs => vec![candidate("r2", ""), candidate("r1", "")],
                Names::Nodes => vec![candidate("edge-1", "up"), candidate("edge-2", "up")],
                Names::Groups(stream) => vec![candidate(&format!("of-{stream}"), "")],
            }
        }

        fn kernels(&self) -> Vec<Candidate> {
            vec![candidate("rig", "pid 1")]
        }
    }

    /// Splits at blanks; the last word is the one at the cursor.
    fn complete(line: &str) -> Candidates {
        let mut words: Vec<String> = line.split(' ').skip(1).map(str::to_owned).collect();
        let current = words.pop().unwrap_or_default();
        candidates(&words, &current, &Fake)
    }

    fn values(line: &str) -> Vec<String> {
        match complete(line) {
            Candidates::Files => vec!["files".to_owned()],
            Candidates::Some(found) => found.into_iter().map(|one| one.value).collect(),
        }
    }

    #[test]
    fn a_line_goes_on_with_what_fits() {
        for (line, expected) in [
            ("uk ki", &["kill"][..]),
            ("uk d", &["demo", "doctor", "delete", "dlq"]),
            ("uk dlq ", &["list", "show", "retry", "drop"]),
            ("uk help ki", &["kill"]),
            ("uk nope ", &[]),
            ("uk nope x ", &[]),
            ("uk kill ", &["/a", "/group/one"]),
            ("uk kill /g", &["/group/one"]),
            ("uk kill /a --r", &["--reason"]),
            ("uk kill /a --reason ", &[]),
            ("uk kill --reason x /g", &["/group/one"]),
            ("uk --json kill -- /g", &["/group/one"]),
            ("uk kill -- /a ", &[]),
            ("uk check ", &["files"]),
            ("uk check --s", &["--strict", "--secrets-dir", "--socket"]),
            (
                "uk check a.yaml --strict --s",
                &["--secrets-dir", "--socket"],
            ),
            ("uk --socket ", &["files"]),
            ("uk --socket=", &["files"]),
            ("uk --name ", &["rig"]),
            ("uk --name=r", &["--name=rig"]),
            ("uk --nope=r", &[]),
            ("uk spawn sensor.h", &["sensor.host"]),
            ("uk spawn probe --restart t", &["transient", "temporary"]),
            ("uk spawn probe --restart=te", &["--restart=temporary"]),
            ("uk spawn sensor.host --set ", &["every="]),
            ("uk spawn sensor.host --set every=1s --se", &["--set"]),
            ("uk spawn probe --under /a --un", &[]),
            ("uk spawn --under ", &["/group"]),
            ("uk which ", &["/group"]),
            ("uk suspend ", &["/a", "/group/one"]),
            ("uk explain UK0307", &["UK0307"]),
            ("uk explain uk0307", &["uk0307"]),
            ("uk explain 0307", &["0307"]),
            ("uk completions ", &["bash", "zsh", "fish"]),
            ("uk tell /a {\"x\":1} --j", &["--json"]),
            ("uk events tail ", &["door.*", "door.front"]),
            ("uk events show door.f", &["door.front"]),
            ("uk events publish ", &["door.front"]),
            ("uk events list --pattern=door.*", &["--pattern=door.*"]),
            ("uk streams read ", &["sensor:door"]),
            ("uk chaos report ", &["r2", "r1"]),
            ("uk streams drop sensor:door ", &["of-sensor:door"]),
            ("uk streams drop sensor:door x --f", &["--force"]),
            ("uk streams claim d g ", &[]),
            ("uk tree --node e", &["edge-1", "edge-2"]),
            ("uk tree --node=edge-2", &["--node=edge-2"]),
            ("uk tree @edge-1", &["@edge-1"]),
            ("uk @edge-1 ki", &["kill"]),
            ("uk node detach ", &["edge-1", "edge-2"]),
        ] {
            assert_eq!(values(line), expected, "{line}");
        }
    }

    #[test]
    fn live_paths_are_those_of_the_kernel_that_is_named() {
        for (line, of) in [
            ("uk kill /a", "-:-"),
            ("uk --socket /tmp/s kill /a", "/tmp/s:-"),
            ("uk --socket=/tmp/s kill /a", "/tmp/s:-"),
            ("uk kill --name rig /a", "-:rig"),
        ] {
            let found = complete(line);
            assert_eq!(found, Candidates::Some(vec![candidate("/a", of)]), "{line}");
        }
    }

    #[test]
    fn every_command_and_option_can_be_completed() {
        let first = values("uk ");
        for command in TABLE {
            assert!(first.contains(&command.words[0].to_owned()), "{command:?}");
            let options = values(&format!("uk {} --", command.name()));
            for arg in command.args.iter().filter(|arg| arg.place == Place::Option) {
                let is_offered = options.contains(&format!("--{}", arg.name));
                assert_eq!(is_offered, !arg.internal, "{command:?} {}", arg.name);
            }
        }
    }

    #[test]
    fn options_of_all_commands_are_those_of_the_parser() {
        let parser = crate::cli::parser(false);
        let known = parser.get_arguments().filter_map(clap::Arg::get_long);
        let mut known: Vec<&str> = known.chain(["help"]).collect();
        let mut ours: Vec<&str> = GLOBALS.iter().map(|arg| arg.name).collect();
        known.sort_unstable();
        ours.sort_unstable();

        assert_eq!(ours, known);
    }

    #[test]
    fn bash_takes_an_equals_sign_for_a_word() {
        let words = ["uk", "--name", "=", "rig", "kill", "--reason", "="];

        let joined = joined(words.map(str::to_owned).to_vec());

        assert_eq!(joined, ["uk", "--name=rig", "kill", "--reason="]);
        let words = ["uk", "streams", "read", "sensor", ":", "do"];
        let joined = super::joined(words.map(str::to_owned).to_vec());
        assert_eq!(joined, ["uk", "streams", "read", "sensor:do"]);
    }
}
