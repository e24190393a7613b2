//! `uk run`: boots a kernel and stays with it until it ends.

mod origin;
mod signals;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use unity_supervisors::report::Fact;
use unity_supervisors::{ExitKind, ExitReason, Kernel, Mode, SlotState};

use self::log::{Log, Masked};
use self::origin::Asked;
use self::signals::{Early, Signals};
use super::{Command, check, config, tree};
use crate::arguments::{Arg, ArgKind, Args};
use crate::boot::{BootError, BootOptions, RunningKernel, boot};
use crate::bundle;
use crate::cli::Caller;
use crate::error::{Code, CommandError};
use crate::event_file::EventFiles;
use crate::guard::{self, Guarded};
use crate::output;
use crate::screen::{Screen, Tone, count};
use crate::settings::system::{Flags, Loaded, SystemFiles};
use crate::socket::{self, SocketError};
use crate::systemd::SystemdSettings;
use crate::tree_file::Checked;

mod log;

/// The tree of a `uk` without a file.
pub(super) const DEFAULT_TREE: &str = include_str!("../../config/trees/default.yaml");
/// How long a tree that booted into safe mode may take to come to rest before it is shown.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);
/// Time between two looks whether it has.
const SETTLE_LOOK: Duration = Duration::from_millis(20);

pub(super) const COMMAND: Command = Command {
    about: "Boot a kernel and stay with it; without a file, a small robot",
    help: "Prints the tree and what to do next, then the log. Ctrl-C, SIGTERM and `uk shutdown` stop it in \
           order; a second signal kills it at once. SIGHUP looks at its files again and applies them; it stops the kernel if \
           the terminal is gone that it was started in. UK_LOG sets what is logged, as in UK_LOG=debug.\n\n\
           The kernel's own settings are in `system.yaml` in --config-dir, else in `config/` beside the tree file; \
           `uk config explain system` lists them. So is `events.yaml`, the catalog of events; without one, that in this \
           program counts.\n\n\
           With --guard a small parent process starts the kernel again when its process dies, after \
           pauses that double from 100ms to 10s and begin anew after a minute of life. After three deaths within 60s it \
           starts it in safe mode. An exit code is no death, but 101: the guard ends with the same, also with the 1 of \
           --exit-on-give-up. Signals are passed on, a third kills. Of each death there is a bundle for `uk why --bundle`.\n\n\
           Other kernels attach to it at --node-listen, or at `nodes.listen` of system.yaml: see `uk help node`.\n\n\
           Example: uk run robot.yaml --name robot1 --guard",
    args: &[
        Arg::optional("file", ArgKind::File, "a tree file, YAML or JSON"),
        Arg::option(
            "exit-on-give-up",
            ArgKind::Flag,
            "end with exit code 1 instead of safe mode",
        ),
        Arg::option(
            "guard",
            ArgKind::Flag,
            "start it again when its process dies",
        ),
        Arg::option(
            "safe",
            ArgKind::Flag,
            "boot into safe mode: only children of the root marked essential",
        ),
        Arg::internal("guarded", ArgKind::Json, "what the guard says"),
        Arg::option(
            "last-good",
            ArgKind::Flag,
            "if the files are at fault, run the last version of them that was not",
        ),
        Arg::option(
            "listen",
            ArgKind::Address,
            "the address and port to be reached at from outside, as in 127.0.0.1:8080",
        ),
        Arg::option(
            "node-listen",
            ArgKind::Address,
            "the address and port where other nodes may attach, as in 127.0.0.1:4697",
        ),
        Arg::option(
            "node-cookie-file",
            ArgKind::File,
            "the file of the cookie that all nodes of a cluster know",
        ),
        Arg::option(
            "label",
            ArgKind::Settings,
            "what the node is marked with, as in gpu=true; as often as wanted",
        ),
        Arg::option("seed", ArgKind::Integer, "what chance begins with"),
        Arg::option(
            "memory-limit",
            ArgKind::Size,
            "from 90 % of it on `deferred` messages are shed, then `low` ones",
        ),
        check::SECRETS_DIR,
        config::FOLDER,
    ],
    ..Command::local(&["run"], run)
};

/// What is said beside the command.
fn flags(caller: &Caller, args: &Args) -> Result<Flags, CommandError> {
    Ok(Flags {
        memory_limit: args.integer("memory-limit"),
        exit_on_give_up: args.flag("exit-on-give-up"),
        listen: args.text("listen").map(str::to_owned),
        name: caller.name.clone(),
        node_listen: args.text("node-listen").map(str::to_owned),
        node_cookie_file: args.text("node-cookie-file").map(str::to_owned),
        labels: labels(args)?,
    })
}

fn labels(args: &Args) -> Result<BTreeMap<String, String>, CommandError> {
    let labels = args.get("label").and_then(Value::as_object);
    let label = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Object(_) | Value::Array(_) => {
            let error = CommandError::usage(format!("the label `{name}` is no text"));
            Err(error.hint("write --label gpu=true, without dots in the name"))
        }
        other => Ok((name.clone(), other.to_string())),
    };
    labels.into_iter().flatten().map(label).collect()
}

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let (file, since) = (args.text("file"), Instant::now());
    let flags = flags(caller, args)?;
    let settings = config::load(args, file, &flags);
    if args.flag("guard") {
        return guard(caller, args, settings, &flags);
    }
    let guarded = args.get("guarded").map(Guarded::obey).transpose()?;
    let screen = Screen {
        colour: output::wants_colour(&std::io::stderr()),
        ..caller.screen
    };
    let secrets = check::places(args)?.secrets();
    let kinds = unity_actors::kinds().with_secrets(secrets.clone());
    let asked = Asked {
        file,
        last_good: args.flag("last-good"),
        name: flags.name.as_deref(),
        kinds: &kinds,
    };
    let folder = config::folder(args, file);
    let (event_files, events) = EventFiles::open(folder.clone());
    let Some((origin, system, events)) = asked.read(caller, settings, events, screen)? else {
        return Ok(Code::Invalid.exit());
    };
    let log = Log::start(screen, &system.log, secrets);
    let loud = log.lines.clone();
    // What is refused has done nothing, so nothing is ticked off before it is known.
    let name = file.unwrap_or("the default tree");
    let configured = step(screen, "configuration", name, since.elapsed());
    let steps = Rc::new(RefCell::new(vec![configured]));
    let told = Rc::clone(&steps);
    let tree = origin.1.tree.clone();
    let options = BootOptions {
        source: Some(origin),
        system_files: Some(SystemFiles::new(folder, flags)),
        events: Some(events),
        event_files: Some(event_files),
        kinds,
        system,
        log: log.kernel.clone(),
        socket: caller.socket.clone(),
        data_dir: caller.data_dir.clone(),
        seed: args.integer("seed"),
        safe: args.flag("safe").then(|| safe_reason(guarded.as_ref())),
        systemd: SystemdSettings::from_env(guarded.as_ref().map(|guarded| guarded.pid)),
        guarded,
        observer: Some(Arc::new(move |fact| {
            say_safe_mode(fact, screen, loud.clone())
        })),
        progress: Some(Box::new(move |name, what, took| {
            told.borrow_mut().push(step(screen, name, what, took));
        })),
        ..BootOptions::new(tree)
    };
    let (early, running) = (Early::listen()?, boot(options).map_err(of_boot)?);
    output::err(&steps.take().concat());
    running.block_on(async {
        let code = tokio::select! {
            biased;
            code = attend(&running, caller, screen, early) => code,
            never = keep_bundles(&running) => match never {},
        };
        if let Some(picture) = running.recorder().take() {
            keep_bundle(&running, &picture);
        }
        code
    })
}

/// Stays with the processes of the kernel, one after the other.
fn guard(
    caller: &Caller,
    args: &Args,
    settings: Checked<Loaded>,
    flags: &Flags,
) -> Result<u8, CommandError> {
    // What is wrong with the settings is told by the kernel, which then does not start.
    let settings = settings.tree.map(|loaded| loaded.settings);
    let exit_on_give_up = settings.map_or(flags.exit_on_give_up, |system| system.exit_on_give_up);
    guard::run(caller, exit_on_give_up, args.flag("safe"))
}

fn safe_reason(guarded: Option<&Guarded>) -> String {
    let reason = guarded.and_then(Guarded::safe_reason);
    reason.unwrap_or_else(|| "it was started with --safe".to_owned())
}

/// Writes a bundle at each entry of safe mode.
async fn keep_bundles(running: &RunningKernel) -> Infallible {
    loop {
        let picture = running.recorder().picture().await;
        keep_bundle(running, &picture);
    }
}

/// Writes a bundle; called on the main thread, where it holds up nothing but the answer to a signal.
fn keep_bundle(running: &RunningKernel, picture: &Value) {
    match bundle::store(running.data_dir(), picture) {
        Ok(file) => tracing::info!(
            "`uk why --bundle {}` tells how it came to this",
            file.display()
        ),
        Err(error) => tracing::warn!(%error, "no bundle could be written"),
    }
}

fn step(screen: Screen, name: &str, what: &str, took: Duration) -> String {
    let tick = screen.paint(Tone::Good, "✓");
    let took = screen.paint(Tone::Dim, &format!("{:.1}ms", took.as_secs_f64() * 1e3));
    format!("{tick} {name:<16}{what}  {took}\n")
}

fn say_safe_mode(fact: &Fact, screen: Screen, mut lines: Masked) {
    let text = match fact {
        Fact::Safe { why: Some(why) } => {
            let head = screen.paint(Tone::Bad, "=== SAFE MODE ===");
            format!(
                "\n{head} {why}\nEssential children run, the rest is in quarantine: `uk health` lists it, \
                 `uk release --all` starts it again.\n\n"
            )
        }
        Fact::Safe { why: None } => "safe mode is over\n".to_owned(),
        _ => return,
    };
    // It is in the log as well; that this line is lost is counted.
    drop(lines.write_all(text.as_bytes()));
}

fn of_boot(error: BootError) -> CommandError {
    let message = error.to_string();
    match error {
        BootError::Socket(SocketError::Held(held)) => CommandError::new(Code::Failed, message)
            .hint(format!(
                "`uk --name {0} console` attaches to it, `uk --name {0} shutdown` stops it, \
             `uk run --name OTHER` starts one beside it",
                held.name
            )),
        BootError::Socket(SocketError::Name(_)) => CommandError::usage(message),
        BootError::Socket(SocketError::TooLong(_)) => {
            CommandError::usage(message).hint("name a shorter one with --socket")
        }
        BootError::Build(_) => CommandError::new(Code::Invalid, message),
        BootError::Nodes(why) => CommandError::new(Code::Invalid, message).hint(why.hint()),
        _ => CommandError::new(Code::Failed, message),
    }
}

/// Stays with the kernel until it ends.
async fn attend(
    running: &RunningKernel,
    caller: &Caller,
    screen: Screen,
    early: Early,
) -> Result<u8, CommandError> {
    let mut signals = Signals::listen(running.reload_bell(), early)?;
    let kernel = running.kernel();
    let since = Instant::now();
    let booted = tokio::select! {
        biased;
        mode = kernel.booted() => Some(mode),
        _ = signals.next() => None,
    };
    if let Some(mode) = booted {
        if mode == Mode::Safe {
            settled(kernel).await;
        }
        if mode != Mode::Stopping {
            let paths = kernel.registry().paths().into_iter();
            let actors = paths.filter(|path| !path.is_system()).count();
            let actors = u64::try_from(actors).unwrap_or(u64::MAX);
            let actors = count(actors, "actor");
            output::err(&step(screen, "tree", &actors, since.elapsed()));
            show_tree(running, caller);
        }
        let signalled = tokio::select! {
            biased;
            _ = kernel.ended() => false,
            _ = signals.next() => true,
        };
        if !signalled {
            return Ok(say_end(kernel, screen).await);
        }
    }
    output::err("stopping in order; a second signal kills\n");
    tokio::select! {
        biased;
        _ = kernel.shutdown() => Ok(say_end(kernel, screen).await),
        code = signals.next() => {
            output::err("killed\n");
            Ok(code)
        }
    }
}

/// Waits for a while until no child is on its way up or down any more, so that the tree shows what safe mode made.
async fn settled(kernel: &Kernel) {
    let until = Instant::now() + SETTLES_WITHIN;
    let is_on_its_way = |state| {
        matches!(
            state,
            SlotState::Starting | SlotState::Stopping | SlotState::Restarting
        )
    };
    let settling = || {
        let paths = kernel.registry().paths();
        let mut slots = paths.iter().filter_map(|path| kernel.registry().get(path));
        slots.any(|slot| is_on_its_way(slot.state()))
    };
    while settling() && Instant::now() < until {
        sleep(SETTLE_LOOK).await;
    }
}

async fn say_end(kernel: &Kernel, screen: Screen) -> u8 {
    let reason = kernel.ended().await;
    if matches!(reason.kind, ExitKind::Shutdown | ExitKind::Normal) {
        let why = reason.text.as_ref().map(|why| format!(": {why}"));
        let why = why.unwrap_or_default();
        let text = format!("kernel `{}` has stopped{why}\n", kernel.name());
        output::err(&kernel.secrets().mask(&text));
        return 0;
    }
    say_failure(kernel, &reason, screen)
}

fn say_failure(kernel: &Kernel, reason: &ExitReason, screen: Screen) -> u8 {
    let message = format!("the kernel `{}` has ended: {reason}", kernel.name());
    let error = CommandError::new(Code::Failed, message)
        .hint("without --exit-on-give-up it goes on in safe mode");
    let text = error.render(screen.colour);
    output::err(&kernel.secrets().mask(&text));
    Code::Failed.exit()
}

/// Shows the tree; a kernel goes on when nobody can read that.
fn show_tree(running: &RunningKernel, caller: &Caller) {
    let mut document = serde_json::to_value(running.kernel().tree(None)).unwrap_or(Value::Null);
    running.kernel().secrets().mask_json(&mut document);
    let text = if caller.json {
        format!("{document}\n")
    } else {
        let drawn = first_rows(&tree::render(&document, &caller.screen, false));
        format!("\n{drawn}\n{}", next_steps(running, caller))
    };
    if let Err(error) = output::out(&text) {
        tracing::warn!(%error, "the tree cannot be shown");
    }
}

/// How many rows of the tree are shown at boot.
const BOOT_ROWS_MAX: usize = 60;

/// The beginning of a drawn tree, and how much is left out.
fn first_rows(drawn: &str) -> String {
    let mut rows = drawn.lines();
    let mut shown: String = rows
        .by_ref()
        .take(BOOT_ROWS_MAX)
        .map(|row| format!("{row}\n"))
        .collect();
    let left = rows.count();
    if left > 0 {
        shown.push_str(&format!("… and {left} rows more: `uk tree` shows all\n"));
    }
    shown
}

fn next_steps(running: &RunningKernel, caller: &Caller) -> String {
    let kernel = running.kernel();
    let worker = kernel.registry().paths().into_iter().rev().find(|path| {
        let slot = kernel.registry().get(path);
        let is_running_worker =
            slot.is_some_and(|slot| !slot.is_supervisor() && slot.state() == SlotState::Running);
        is_running_worker && !path.as_str().starts_with("/system")
    });
    let uk = if caller.socket.is_some() {
        format!("uk --socket {}", running.socket().display())
    } else if socket::running().len() > 1 {
        format!("uk --name {}", kernel.name())
    } else {
        "uk".to_owned()
    };
    let mut text = String::from("next, in another terminal:\n");
    let mut add = |command: String, what: &str| {
        text.push_str(&format!("  {:<38} {what}\n", format!("{uk} {command}")));
    };
    if kernel.mode() == Mode::Safe {
        add("health".to_owned(), "what is in quarantine, and why");
        add("release --all".to_owned(), "end safe mode");
    }
    if let Some(path) = worker {
        add(format!("kill {path}"), "kill a part; it comes back");
        add(format!("why {path}"), "what happened to it");
    }
    add("open".to_owned(), "the page in a browser, with buttons");
    add("tree --watch".to_owned(), "the live tree");
    add("console".to_owned(), "commands without the `uk`");
    text.push_str("Ctrl-C here stops the kernel.\n\n");
    text
}
