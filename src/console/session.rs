//! What lines do: [`Session`] runs them, and knows where in the tree they are meant.

use clap::ArgMatches;
use unity_supervisors::ActorPath;

use super::place::Place;
use super::words::commands;
use crate::arguments::{Arg, ArgKind, Args, Place as ArgPlace, of_node};
use crate::cli::{self, Caller};
use crate::commands::{Access, Command, Run};
use crate::error::{Code, CommandError};
use crate::screen::{Screen, cut};
use crate::watch::watch;

/// What came of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It was run, with this exit code.
    Code(u8),
    /// The console is to be left.
    Leave,
}

impl Done {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Leave => 0,
        }
    }
}

/// The commands that only a console has.
pub fn own() -> [clap::Command; 3] {
    let path = clap::Arg::new("path")
        .value_name("PATH")
        .help("where to go, also on another node, as in edge-1:/sensors; without it the root");
    let command = clap::Arg::new("command")
        .value_name("COMMAND")
        .help("a command that only reads, with its arguments")
        .required(true)
        .num_args(1..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true);
    [
        clap::Command::new("cd")
            .about("Go to a place in the tree, which other paths are then meant from")
            .arg(path),
        clap::Command::new("watch")
            .about("Run a command that only reads again and again, until q or Ctrl-C")
            .arg(command),
        clap::Command::new("exit")
            .about("Leave the console; the kernel goes on")
            .visible_alias("quit"),
    ]
}

/// One console.
pub(super) struct Session {
    caller: Caller,
    node: String,
}

impl Session {
    pub(super) fn new(caller: Caller, node: String) -> Self {
        Self { caller, node }
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where in the tree it is.
    pub(super) fn place(&self) -> Place {
        self.caller.place.clone().unwrap_or_else(Place::root)
    }

    /// `robot:/sensors`, or as much of its end as there is room for on the screen as it is now.
    pub(super) fn prompt(&self) -> String {
        let place = self.place();
        let node = place.node.as_ref().unwrap_or(&self.node);
        shortened(node, place.path.as_str(), Screen::stdout().width)
    }

    /// Runs a line: each of its commands, until one fails.
    pub(super) fn run(&mut self, line: &str) -> Done {
        let commands = match commands(line) {
            Ok(commands) => commands,
            Err(error) => return self.failed(&error),
        };
        let mut done = Done::Code(0);
        for words in commands {
            done = self.run_one(words);
            if done != Done::Code(0) {
                break;
            }
        }
        done
    }

    fn failed(&self, error: &CommandError) -> Done {
        cli::show_error(error, self.caller.json);
        Done::Code(error.code.exit())
    }

    fn run_one(&mut self, mut words: Vec<String>) -> Done {
        // Whoever copies a line from elsewhere brings its `uk` along.
        if words.len() > 1 && words.first().is_some_and(|word| word == "uk") {
            words.remove(0);
        }
        let matches = match cli::parser(true).try_get_matches_from(cli::with_node(words)) {
            Ok(matches) => matches,
            Err(error) => return Done::Code(cli::show_parse_error(&error, self.caller.json)),
        };
        let done = match matches.subcommand() {
            Some(("exit", _)) => return Done::Leave,
            Some(("cd", to)) => self.go(to.get_one::<String>("path")),
            Some(("watch", what)) => self.watch(what),
            _ => self.dispatch(&matches),
        };
        match done {
            Ok(code) => Done::Code(code),
            Err(error) => self.failed(&error),
        }
    }

    /// The command that was typed, its arguments, and whether JSON is wanted.
    fn read(
        &mut self,
        matches: &ArgMatches,
    ) -> Result<(&'static Command, Args, Caller), CommandError> {
        let place = self.place();
        let mut node = matches.get_one::<String>("node").cloned();
        // A node that is named counts more than the one that this is on.
        let meant = Place {
            node: place.node.clone().filter(|_| node.is_none()),
            ..place.clone()
        };
        let (command, mut args) = cli::read(matches, Some(&meant))?;
        if let Some((on, path)) = named(command, &args) {
            if on == place.node {
                self.remember(path);
            }
        } else if node.is_none() && !matches!(command.run, Run::Local(_)) {
            node.clone_from(&place.node);
            let has_none = args.get("path").is_none();
            if is_about_a_place(command) && !place.path.is_root() && has_none {
                args.insert("path", place.path.as_str().into());
            }
        }
        let caller = Caller {
            json: self.caller.json || matches.get_flag("json"),
            screen: Screen::stdout(),
            node,
            ..self.caller.clone()
        };
        Ok((command, args, caller))
    }

    fn dispatch(&mut self, matches: &ArgMatches) -> Result<u8, CommandError> {
        let (command, args, caller) = self.read(matches)?;
        let done = caller.dispatch(command, &args);
        match done {
            Err(error) if caller.json != self.caller.json => {
                cli::show_error(&error, caller.json);
                Ok(error.code.exit())
            }
            done => done,
        }
    }

    fn remember(&mut self, path: ActorPath) {
        let place = self.caller.place.get_or_insert_with(Place::root);
        place.last = Some(path);
    }

    /// Without a path that is the root of the console's own node.
    fn go(&mut self, to: Option<&String>) -> Result<u8, CommandError> {
        let to = match to {
            Some(to) => self.place().meant(ArgKind::Path, to)?,
            None => "/".to_owned(),
        };
        let (node, path) = of_node(&to);
        let node = node.filter(|node| *node != self.node).map(str::to_owned);
        let path: ActorPath = path.parse().map_err(CommandError::from)?;
        let which = find("count")?;
        let mut args = Args::default();
        args.insert("path", path.as_str().into());
        let there = Caller {
            node: node.clone(),
            ..self.caller.clone()
        };
        let (there, args) = there.aimed(which, &args)?;
        let asked = cli::block_on(there.kernel()?.call(which, &args))?;
        // A worker is a place as well, though nothing lies below it.
        match asked {
            Err(error) if matches!(error.code, Code::NotFound | Code::Unreachable) => Err(error),
            _ => {
                self.caller.place = Some(Place::at(node, path));
                Ok(0)
            }
        }
    }

    fn watch(&mut self, what: &ArgMatches) -> Result<u8, CommandError> {
        let words = what.get_many::<String>("command").into_iter().flatten();
        let words: Vec<String> = words.cloned().collect();
        let line = cli::with_node(words.clone());
        let matches = match cli::parser(true).try_get_matches_from(line) {
            Ok(matches) => matches,
            Err(error) => return Ok(cli::show_parse_error(&error, self.caller.json)),
        };
        let typed = words.first().map_or("", |word| word.as_str());
        let refused = |why: &str| {
            let error = CommandError::usage(format!("`{typed}` {why}"));
            Err(error.hint("`watch` takes a command that only reads, as in `watch health`"))
        };
        if own().iter().any(|own| own.get_name() == typed) {
            return refused("is no command that reads");
        }
        let (command, mut args, caller) = self.read(&matches)?;
        match (command.run, command.access) {
            (Run::Stream(_), _) => return refused("goes on by itself"),
            (Run::Local(_), _) => return refused("does not ask the kernel"),
            (Run::Kernel(_), Access::Change) => return refused("changes something"),
            (Run::Kernel(_), Access::Read) if command.words == ["top"] => {
                return refused("goes on by itself");
            }
            (Run::Kernel(_), Access::Read) => {}
        }
        if command.args.iter().any(|arg| arg.name == "watch") && !caller.json {
            args.insert("watch", true.into());
            return caller.dispatch(command, &args);
        }
        let (caller, args) = caller.aimed(command, &args)?;
        let client = caller.kernel()?;
        let frames = watch(caller.json, caller.interrupts.as_deref(), |screen| {
            let (client, args) = (&client, &args);
            async move {
                let document = client.call(command, args).await?;
                Ok(match caller.json {
                    true => format!("{document}\n"),
                    false => command.draw(&document, &screen) + "\n",
                })
            }
        });
        cli::block_on(frames)??;
        Ok(0)
    }
}

fn find(word: &str) -> Result<&'static Command, CommandError> {
    Command::find(&[word])
        .ok_or_else(|| CommandError::new(Code::Failed, format!("there is no command `{word}`")))
}

fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.kind,
        ArgKind::Path | ArgKind::Supervisor | ArgKind::Target
    )
}

/// The first path among the arguments, and the node that it is on.
fn named(command: &Command, args: &Args) -> Option<(Option<String>, ActorPath)> {
    let mut paths = command.args.iter().filter(|arg| is_path(arg));
    paths.find_map(|arg| {
        let (node, path) = of_node(args.text(arg.name)?);
        Some((node.map(str::to_owned), path.parse().ok()?))
    })
}

/// Whether a command is about where one is when it is given no path.
fn is_about_a_place(command: &Command) -> bool {
    let takes =
        |arg: &Arg| arg.kind == ArgKind::Path && arg.place == ArgPlace::Position && !arg.required;
    let is_read = command.access == Access::Read && matches!(command.run, Run::Kernel(_));
    is_read && command.args.iter().any(takes)
}

/// A prompt that leaves more than half of a line to who types.
fn shortened(node: &str, path: &str, width: usize) -> String {
    let whole = format!("{node}:{path}");
    let room = (width / 2).saturating_sub(2).max(1);
    if whole.chars().count() <= room {
        return whole;
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let short = if last.is_empty() {
        node.to_owned()
    } else {
        format!("…/{last}")
    };
    cut(&short, room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_leaves_room_to_type() {
        for (path, width, prompt) in [
            ("/", 80, "robot:/"),
            ("/sensors/host", 80, "robot:/sensors/host"),
            ("/sensors/host", 20, "…/host"),
            ("/", 12, "rob…"),
            ("/sensors", 0, "…"),
        ] {
            assert_eq!(shortened("robot", path, width), prompt, "{path} {width}");
        }
    }

    #[test]
    fn a_reading_command_without_a_path_is_about_where_one_is() {
        let about: Vec<String> = crate::commands::TABLE
            .iter()
            .filter(|command| is_about_a_place(command))
            .map(Command::name)
            .collect();

        assert!(about.contains(&"tree".to_owned()) && about.contains(&"why".to_owned()));
        assert!(!about.contains(&"release".to_owned()), "{about:?}");
    }
}
