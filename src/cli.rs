//! The command line: clap's parser made of the table, and what each command does with its answer.

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches};
use serde_json::Value;
use unity_supervisors::ChildId;

use crate::arguments::{Arg, ArgKind, Args, NODE, Place, read_settings};
use crate::client::Client;
use crate::commands::{Command, GROUPS, Run, TABLE};
use crate::complete;
use crate::console::{self, Place as TreePlace};
use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::Screen;
use crate::socket::{self, Holder};
use crate::watch::{self, Interrupts};

const ABOUT: &str =
    "Keeps AI and robot systems running while their parts crash, hang or are replaced";
const GLOBAL: &str = "Options of all commands";
const AFTER_HELP: &str = "\
Without a command `uk` boots a small robot; in another terminal `uk tree` shows it and `uk kill PATH` kills a part of it.

Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration invalid, 4 not found, 5 kernel unreachable,
6 denied, 7 timed out, 9 a check is false or health is degraded.";

/// Who calls: what was said beside the command, and where the answer goes.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whether JSON is wanted.
    pub json: bool,
    /// The socket that was named.
    pub socket: Option<PathBuf>,
    /// The kernel that was named.
    pub name: Option<String>,
    /// The data folder that was named.
    pub data_dir: Option<PathBuf>,
    /// Where answers are shown.
    pub screen: Screen,
    /// Who hears of signals, where that is not each command itself.
    pub interrupts: Option<Arc<Interrupts>>,
    /// Where in the tree paths are meant from; from its root where there is none, as in a shell.
    pub place: Option<TreePlace>,
    /// The node that commands are for, if not that of the kernel.
    pub node: Option<String>,
}

/// Runs the command line.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    if args.get(1).is_some_and(|word| word == complete::WORD) {
        complete::main(args.into_iter().skip(2));
        return ExitCode::SUCCESS;
    }
    let args = with_node(args);
    let wants_json = args.iter().any(|arg| arg == "--json");
    let code = match parser(false).try_get_matches_from(args) {
        Ok(matches) => run(&matches, &Caller::of(&matches)),
        Err(error) => show_parse_error(&error, wants_json),
    };
    ExitCode::from(code)
}

/// The same words, with `@edge-1` written out as `--node=edge-1`. What is the value of an option stays as it is, and so does
/// all behind `--`.
#[must_use]
pub fn with_node<W: AsRef<OsStr> + From<String>>(words: Vec<W>) -> Vec<W> {
    let mut is_value = false;
    let mut is_closed = false;
    let mut written = Vec::with_capacity(words.len());
    for word in words {
        let text = word.as_ref().to_str().unwrap_or_default().to_owned();
        let node = text
            .strip_prefix('@')
            .filter(|name| ChildId::new(name).is_ok());
        match node {
            Some(node) if !is_value && !is_closed => written.push(format!("--node={node}").into()),
            _ => written.push(word),
        }
        is_closed |= text == "--";
        is_value = !is_value && text.strip_prefix("--").is_some_and(takes_value);
    }
    written
}

/// Whether an option of any command has its value behind it.
fn takes_value(option: &str) -> bool {
    let own = TABLE.iter().flat_map(|command| command.args);
    let mut own = own.filter(|arg| arg.place == Place::Option && arg.kind != ArgKind::Flag);
    matches!(option, "socket" | "name" | "data-dir" | "node") || own.any(|arg| arg.name == option)
}

/// Runs what was parsed; prints what comes of it; returns the exit code.
#[must_use]
pub fn run(matches: &ArgMatches, caller: &Caller) -> u8 {
    let read = read(matches, caller.place.as_ref());
    let done = read.and_then(|(command, args)| caller.dispatch(command, &args));
    done.unwrap_or_else(|error| {
        show_error(&error, caller.json);
        error.code.exit()
    })
}

/// What was parsed: the command, and its arguments as they are meant at a place in the tree.
///
/// # Errors
/// A value that does not fit.
pub fn read(
    matches: &ArgMatches,
    place: Option<&TreePlace>,
) -> Result<(&'static Command, Args), CommandError> {
    let (command, matches) = chosen(matches).ok_or_else(|| {
        CommandError::usage("there is no such command").hint("`uk --help` lists all")
    })?;
    Ok((command, read_args(command, matches, place)?))
}

/// Prints an error: for people to standard error, as JSON to standard output.
pub fn show_error(error: &CommandError, json: bool) {
    if json {
        if let Err(unwritten) = output::out(&format!("{}\n", error.to_json())) {
            output::err(&unwritten.render(false));
        }
    } else {
        output::err(&error.render(output::wants_colour(&std::io::stderr())));
    }
}

/// Prints what clap says; returns the exit code.
#[must_use]
pub fn show_parse_error(error: &clap::Error, json: bool) -> u8 {
    let text = |colour: bool| {
        let styled = error.render();
        if colour {
            styled.ansi().to_string()
        } else {
            styled.to_string()
        }
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let shown = output::out(&text(output::wants_colour(&std::io::stdout())));
            return shown.map_or_else(|error| error.code.exit(), |()| 0);
        }
        _ if json => {
            show_error(&usage_error(&text(false)), json);
        }
        _ => {
            output::err(&text(output::wants_colour(&std::io::stderr())));
        }
    }
    Code::Usage.exit()
}

/// What clap's text says: its lines up to the usage as the message, its tip as the hint.
fn usage_error(text: &str) -> CommandError {
    let is_usage = |line: &&str| line.starts_with("Usage:");
    let usage = text.lines().find(is_usage).unwrap_or_default();
    if !text.starts_with("error: ") {
        // Only the help of what lacks a word; it says what comes next.
        let usage = usage.trim_start_matches("Usage:").trim();
        return CommandError::usage(format!("a word is missing: {usage}"))
            .hint("add --help to what is there, and it lists the words");
    }
    let lines = text.trim_start_matches("error: ").lines();
    let lines = lines
        .take_while(|line| !is_usage(line) && !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let (tips, said): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("tip: "));
    let tips: Vec<&str> = tips
        .iter()
        .map(|tip| tip.trim_start_matches("tip: "))
        .collect();
    let hint = if tips.is_empty() {
        "`uk --help` lists all commands".to_owned()
    } else {
        tips.join("; ")
    };
    CommandError::usage(said.join(" ")).hint(hint)
}

/// The parser of the whole table; in a console without what makes no sense there.
#[must_use]
pub fn parser(in_console: bool) -> clap::Command {
    let mut root = clap::Command::new("uk")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .no_binary_name(in_console)
        .subcommand_required(in_console)
        .max_term_width(100);
    if !in_console {
        root = root.after_help(AFTER_HELP).args(globals());
    } else {
        root = root.subcommands(console::own());
    }
    root = root.arg(json_flag()).arg(node_option());
    let commands = TABLE
        .iter()
        .filter(|command| !in_console || is_for_console(command));
    for command in commands.clone().filter(|command| command.words.len() == 1) {
        root = root.subcommand(parser_of(command));
    }
    for (group, about) in GROUPS {
        let mut parent = clap::Command::new(*group)
            .about(*about)
            .subcommand_required(true)
            .arg_required_else_help(true)
            .disable_help_subcommand(true);
        for command in commands.clone().filter(|command| command.words.len() == 2) {
            if command.words.first() == Some(group) {
                parent = parent.subcommand(parser_of(command));
            }
        }
        root = root.subcommand(parent);
    }
    root
}

fn is_for_console(command: &Command) -> bool {
    !matches!(command.words, ["run" | "console" | "mcp"])
}

fn json_flag() -> clap::Arg {
    clap::Arg::new("json")
        .long("json")
        .global(true)
        .action(ArgAction::SetTrue)
        .help("Print one JSON document, errors too")
        .help_heading(GLOBAL)
}

fn node_option() -> clap::Arg {
    clap::Arg::new("node")
        .long("node")
        .global(true)
        .value_name("NAME")
        .value_parser(clap::builder::NonEmptyStringValueParser::new())
        .help("Do it on this node that is attached; `@NAME` is the same")
        .help_heading(GLOBAL)
}

fn globals() -> [clap::Arg; 3] {
    let global = |name: &'static str, value: &'static str, help: &'static str| {
        clap::Arg::new(name)
            .long(name)
            .global(true)
            .value_name(value)
            .help(help)
            .help_heading(GLOBAL)
    };
    [
        global("socket", "PATH", "The kernel's socket [env: UK_SOCKET]")
            .value_parser(clap::value_parser!(PathBuf)),
        global(
            "name",
            "NAME",
            "The kernel's name; else its file's, or the only one that runs",
        ),
        global(
            "data-dir",
            "DIR",
            "The kernel's data folder [env: UK_DATA_DIR]",
        )
        .value_parser(clap::value_parser!(PathBuf)),
    ]
}

fn parser_of(command: &'static Command) -> clap::Command {
    let name = command.words.last().copied().unwrap_or_default();
    let args = command.args.iter().map(clap_arg);
    clap::Command::new(name)
        .about(command.about)
        .long_about(format!("{}\n\n{}", command.about, command.help))
        .args(args)
}

fn clap_arg(arg: &'static Arg) -> clap::Arg {
    let mut made = clap::Arg::new(arg.name)
        .required(arg.required)
        .hide(arg.internal)
        .help(arg.help);
    if arg.place == Place::Option {
        made = made.long(arg.name).short(arg.short);
    }
    match arg.kind {
        ArgKind::Flag => made.action(ArgAction::SetTrue),
        ArgKind::Settings | ArgKind::Many(_) => {
            let made = made.action(ArgAction::Append).value_name(arg.value_name());
            if arg.place == Place::Position {
                made.num_args(1..)
            } else {
                made
            }
        }
        ArgKind::Word(words) => made
            .value_parser(clap::builder::PossibleValuesParser::new(words))
            .value_name(arg.value_name()),
        ArgKind::Json | ArgKind::Object => {
            made.allow_hyphen_values(true).value_name(arg.value_name())
        }
        _ => made.value_name(arg.value_name()),
    }
}

/// The command that was chosen; none at all is `run`.
fn chosen(matches: &ArgMatches) -> Option<(&'static Command, Option<&ArgMatches>)> {
    let Some((first, inner)) = matches.subcommand() else {
        return Command::find(&["run"]).map(|command| (command, None));
    };
    match inner.subcommand() {
        Some((second, inner)) => {
            Command::find(&[first, second]).map(|command| (command, Some(inner)))
        }
        None => Command::find(&[first]).map(|command| (command, Some(inner))),
    }
}

fn read_args(
    command: &Command,
    matches: Option<&ArgMatches>,
    place: Option<&TreePlace>,
) -> Result<Args, CommandError> {
    let mut args = Args::default();
    let Some(matches) = matches else {
        return Ok(args);
    };
    for arg in command.args {
        match arg.kind {
            ArgKind::Flag => {
                if matches.get_flag(arg.name) {
                    args.insert(arg.name, Value::Bool(true));
                }
            }
            ArgKind::Settings => {
                if let Some(pairs) = matches.get_many::<String>(arg.name) {
                    args.insert(arg.name, read_settings(pairs.map(String::as_str))?);
                }
            }
            ArgKind::Many(_) => {
                if let Some(keys) = matches.get_many::<String>(arg.name) {
                    let keys: Vec<&String> = keys.collect();
                    args.insert(arg.name, serde_json::json!(keys));
                }
            }
            _ => {
                let Some(text) = matches.get_one::<String>(arg.name) else {
                    continue;
                };
                let meant = place.map(|place| place.meant(arg.kind, text)).transpose()?;
                let value = arg.read_text(meant.as_deref().unwrap_or(text))?;
                arg.check_bounds(&value)?;
                args.insert(arg.name, value);
            }
        }
    }
    Ok(args)
}

impl Caller {
    fn of(matches: &ArgMatches) -> Self {
        // A subcommand's matches hold the globals too, also those that were given before it.
        let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
        let name = matches.get_one::<String>("name").cloned();
        Self {
            json: matches.get_flag("json"),
            data_dir: path("data-dir").or_else(|| env_path("UK_DATA_DIR")),
            node: matches.get_one::<String>("node").cloned(),
            ..Self::naming(path("socket"), name)
        }
    }

    /// Who names a kernel, or none: then the environment may.
    pub(crate) fn naming(socket: Option<PathBuf>, name: Option<String>) -> Self {
        let env = env_path("UK_SOCKET").filter(|_| name.is_none());
        Self {
            json: false,
            socket: socket.or(env),
            name,
            data_dir: None,
            screen: Screen::stdout(),
            interrupts: None,
            place: None,
            node: None,
        }
    }

    /// Runs a command; returns its exit code.
    ///
    /// # Errors
    /// Why it was not done; nothing was printed then.
    pub fn dispatch(&self, command: &Command, args: &Args) -> Result<u8, CommandError> {
        let (caller, args) = self.aimed(command, args)?;
        match (command.run, command.attend) {
            (Run::Local(_), _) if caller.node.is_some() => Err(is_local(command)),
            (Run::Local(run), _) => run(&caller, &args),
            (Run::Stream(_), _) => block_on(caller.follow(command, &args))?,
            (Run::Kernel(_), Some(attend)) => attend(&caller, &args),
            (Run::Kernel(_), None) => {
                let client = caller.kernel()?;
                let document = block_on(client.call(command, &args))??;
                caller.print(command, &document)
            }
        }
    }

    /// The same for the node that the arguments name, if they do, and the arguments as they are meant there.
    ///
    /// # Errors
    /// They name several.
    pub(crate) fn aimed(
        &self,
        command: &Command,
        args: &Args,
    ) -> Result<(Self, Args), CommandError> {
        let mut args = args.clone();
        if let Some(node) = &self.node {
            args.insert(NODE.name, Value::from(node.as_str()));
        }
        let node = args.take_node(command.args)?;
        Ok((
            Self {
                node,
                ..self.clone()
            },
            args,
        ))
    }

    /// Prints the documents of a command as they come, until Ctrl-C or until nobody reads them any more.
    async fn follow(&self, command: &Command, args: &Args) -> Result<u8, CommandError> {
        let client = self.kernel()?;
        let show = |document: &Value| output::frame(&self.drawn(command, document));
        tokio::select! {
            biased;
            ended = watch::interrupted(self.interrupts.as_deref()) => ended?,
            done = client.follow(command, args, show) => done?,
        }
        Ok(0)
    }

    fn drawn(&self, command: &Command, document: &Value) -> String {
        if self.json {
            format!("{document}\n")
        } else {
            command.draw(document, &self.screen)
        }
    }

    /// Prints a command's document; returns the exit code that it stands for.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn print(&self, command: &Command, document: &Value) -> Result<u8, CommandError> {
        output::out(&self.drawn(command, document))?;
        Ok(command.exit_of(document))
    }

    /// The kernel that is meant: the one that was named, else the only one that runs.
    ///
    /// # Errors
    /// None runs, or several do.
    pub fn kernel(&self) -> Result<Client, CommandError> {
        Ok(self.asked()?.for_node(self.node.clone()))
    }

    fn asked(&self) -> Result<Client, CommandError> {
        if let Some(socket) = &self.socket {
            return Ok(Client::new(socket.clone()).ended_by(self.interrupts.clone()));
        }
        if let Some(name) = &self.name {
            let socket =
                socket::of_name(name).map_err(|error| CommandError::usage(error.to_string()))?;
            return Ok(Client::new(socket));
        }
        let mut running = socket::running();
        match (running.pop(), running.as_slice()) {
            (Some(only), []) => Ok(Client::new(only.socket)),
            (Some(last), others) => Err(several(others, &last)),
            (None, _) => Err(CommandError::new(Code::Unreachable, "no kernel of yours is running").hint(
                "start one with `uk` (a small robot) or `uk run FILE`; --socket names one elsewhere",
            )),
        }
    }
}

fn is_local(command: &Command) -> CommandError {
    let name = command.name();
    CommandError::usage(format!(
        "`{name}` runs where it is typed, and not on a node"
    ))
    .hint(format!(
        "leave out the node, or run `uk {name}` on its machine"
    ))
}

/// The path in a variable of the environment; an empty one counts as none.
pub(crate) fn env_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

fn several(others: &[Holder], last: &Holder) -> CommandError {
    let all = others.iter().chain([last]);
    let lines: Vec<String> = all
        .map(|held| {
            format!(
                "  {} (pid {}, {})",
                held.name,
                held.pid,
                held.socket.display()
            )
        })
        .collect();
    CommandError::usage(format!(
        "several kernels are running:\n{}",
        lines.join("\n")
    ))
    .hint(format!(
        "say which one, as in `uk --name {} tree`",
        last.name
    ))
}

/// Runs a client's future.
///
/// # Errors
/// If the system gives no runtime.
pub fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        CommandError::new(Code::Failed, format!("cannot start a runtime: {error}"))
    })?;
    Ok(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_sound_and_knows_every_command() {
        parser(false).debug_assert();
        parser(true).debug_assert();
        for command in TABLE {
            let mut parser = parser(false);
            let mut found = &mut parser;
            for word in command.words {
                found = found.find_subcommand_mut(word).expect(word);
            }
            let help = found.render_long_help().to_string();
            for arg in command.args {
                let is_told = help.contains(arg.help);
                assert_eq!(is_told, !arg.internal, "{command:?} {}", arg.name);
            }
            assert!(help.contains(command.about), "{command:?}");
        }
    }

    #[test]
    fn the_help_lists_every_command() {
        let help = parser(false).render_help().to_string();

        for command in TABLE {
            let first = command.words[0];
            assert!(
                help.lines()
                    .any(|line| line.trim_start().starts_with(first)),
                "{first}"
            );
        }
    }

    #[test]
    fn a_usage_error_says_what_was_missing_and_keeps_the_tip() {
        let of = |line: &[&str]| {
            let error = parser(false).try_get_matches_from(line).unwrap_err();
            let error = usage_error(&error.render().to_string());
            (error.message, error.hint.unwrap())
        };

        let (message, _) = of(&["uk", "kill"]);
        assert_eq!(
            message,
            "the following required arguments were not provided: <PATH>"
        );
        let (message, hint) = of(&["uk", "kil", "/a"]);
        assert_eq!(message, "unrecognized subcommand 'kil'");
        assert!(hint.contains("'kill'"), "{hint}");
        let (message, _) = of(&["uk", "dlq"]);
        assert!(message.contains("uk dlq"), "{message}");
    }

    #[test]
    fn help_is_a_command() {
        for line in [&["uk", "help"][..], &["uk", "help", "kill"]] {
            let error = parser(false).try_get_matches_from(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{line:?}");
        }
    }

    #[test]
    fn no_command_is_run() {
        let matches = parser(false)
            .try_get_matches_from(["uk", "--name", "x"])
            .unwrap();

        let (command, _) = chosen(&matches).unwrap();
        assert_eq!(command.words, ["run"]);
    }

    #[test]
    fn arguments_reach_the_command_as_the_table_says() {
        let line = ["uk", "ask", "/a", "{\"echo\": 1}", "--timeout", "2s"];
        let matches = parser(false).try_get_matches_from(line).unwrap();
        let (command, inner) = chosen(&matches).unwrap();

        let args = read_args(command, inner, None).unwrap();

        assert_eq!(args.text("path"), Some("/a"));
        assert_eq!(args.integer("timeout"), Some(2000));
        assert_eq!(args.get("message"), Some(&serde_json::json!({"echo": 1})));
    }
}
