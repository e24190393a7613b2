//! The console: reads commands of the table from the keyboard, a pipe or an argument.
//!
//! It is a client like any other: quitting it never stops the kernel, and losing the kernel does not end it. Of one that is
//! not typed in it says nothing of its own and stops at the first error, with its exit code. On a terminal lines are edited
//! (`editor`), with what the table and the kernel know at hand; a terminal that cannot do that gets plain lines.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

use self::editor::{Editor, Typed};
pub use self::place::Place;
pub(crate) use self::place::written;
pub use self::session::own;
use self::session::{Done, Session};
pub use self::words::commands;
use crate::arguments::Args;
use crate::cli::{self, Caller};
use crate::client::Client;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::{Line, Screen, Tone, text};
use crate::watch::Interrupts;

mod editor;
mod history;
mod notices;
mod place;
mod secrets;
mod session;
mod words;

/// The longest line, in bytes.
const LINE_LEN_MAX: usize = 1 << 20;

/// Attaches to the kernel that the caller means, until the input ends or `exit`; with `line` only that is run.
///
/// # Errors
/// If there is no kernel.
pub fn attach(caller: &Caller, line: Option<&str>) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let node = node_of(&client)?;
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let way = match line {
        Some(_) => Way::Script,
        None if !stdin.is_terminal() => Way::Script,
        None if output::takes_drawing(&stdin) && output::takes_drawing(&stdout) => Way::Edited,
        None => Way::Plain,
    };
    let prompt = Arc::default();
    let caller = Caller {
        socket: Some(client.socket().to_owned()),
        name: None,
        interrupts: Some(listen(way, Arc::clone(&prompt))?),
        place: Some(Place::root()),
        ..caller.clone()
    };
    let mut session = Session::new(caller, node);
    match (line, way) {
        (Some(line), _) => Ok(session.run(line).code()),
        (None, Way::Edited) => edited(&mut session, &client),
        (None, _) => plain(&mut session, way, &prompt),
    }
}

fn node_of(client: &Client) -> Result<String, CommandError> {
    let paths = Command::find(&["paths"])
        .ok_or_else(|| CommandError::new(Code::Failed, "there is no command `paths`"))?;
    let mut args = Args::default();
    args.insert("limit", 0.into());
    let document = cli::block_on(client.call(paths, &args))??;
    Ok(text(&document, "node").to_owned())
}

/// How lines come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From a pipe or an argument.
    Script,
    /// Typed into a terminal that can do no more than lines.
    Plain,
    /// Typed into a terminal.
    Edited,
}

/// Says where one is, and how to get on.
fn greet(session: &Session, how: &str) -> Result<(), CommandError> {
    let mut line = Line::new();
    let said = format!("attached to `{}`; {how}", session.node());
    line.push(Tone::Plain, &said);
    output::out(&line.wrap(&Screen::stdout(), 0))
}

fn edited(session: &mut Session, client: &Client) -> Result<u8, CommandError> {
    let mut editor = Editor::new(session, client)?;
    greet(
        session,
        "Tab completes, `help` lists commands, Ctrl-D leaves",
    )?;
    loop {
        match editor.read(session)? {
            Typed::Line(line) => {
                if session.run(&line) == Done::Leave {
                    return Ok(0);
                }
            }
            Typed::Nothing => {}
            Typed::End => return Ok(0),
        }
    }
}

fn plain(session: &mut Session, way: Way, prompt: &Mutex<String>) -> Result<u8, CommandError> {
    let is_typed = way == Way::Plain;
    if is_typed {
        greet(session, "`help` lists commands, Ctrl-D or `exit` leaves")?;
    }
    let mut lines = io::stdin().lock();
    loop {
        if is_typed {
            let asked = format!("{}> ", session.prompt());
            prompt.lock().clone_from(&asked);
            output::out(&asked)?;
        }
        let Some(line) = read_line(&mut lines)? else {
            if is_typed {
                output::out("\n")?;
            }
            return Ok(0);
        };
        match session.run(&line) {
            Done::Leave => return Ok(0),
            Done::Code(code) if code != 0 && !is_typed => return Ok(code),
            Done::Code(_) => {}
        }
    }
}

/// Listens to Ctrl-C and SIGTERM on a thread of its own, from now on: they end what runs. Where nothing runs, SIGTERM ends
/// the console, and Ctrl-C only that of a script; a line that is typed is begun anew after `prompt`.
fn listen(way: Way, prompt: Arc<Mutex<String>>) -> Result<Arc<Interrupts>, CommandError> {
    let failed = |error: io::Error| {
        CommandError::new(Code::Failed, format!("cannot listen for signals: {error}"))
    };
    let interrupts = Arc::new(Interrupts::default());
    let heard = Arc::clone(&interrupts);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    drop(guard);
    let listening = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => match way {
                    Way::Script if !heard.end_what_runs() => leave(way, 130),
                    // The terminal has dropped the line itself.
                    Way::Plain if !heard.end_what_runs() => {
                        output::err(&format!("\n{}", prompt.lock()));
                    }
                    // While a line is edited, Ctrl-C is a key.
                    Way::Edited => drop(heard.end_what_runs()),
                    _ => {}
                },
                _ = terminate.recv() => {
                    if heard.end_what_runs() && way == Way::Edited {
                        // It may have drawn on the whole of the screen.
                        ratatui::restore();
                    }
                    leave(way, 143);
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("uk-signals".to_owned())
        .spawn(move || runtime.block_on(listening))
        .map_err(failed)?;
    Ok(interrupts)
}

#[expect(
    clippy::exit,
    reason = "the console may be reading a line, which nothing else ends"
)]
fn leave(way: Way, code: i32) {
    if way == Way::Edited {
        editor::restore_terminal();
    }
    output::err("\n");
    std::process::exit(code);
}

fn read_line(from: &mut impl BufRead) -> Result<Option<String>, CommandError> {
    let mut bytes = Vec::new();
    let mut limited = io::Read::take(from, u64::try_from(LINE_LEN_MAX).unwrap_or(u64::MAX));
    let read = limited.read_until(b'\n', &mut bytes);
    let read =
        read.map_err(|error| CommandError::new(Code::Failed, format!("cannot read: {error}")))?;
    if read == LINE_LEN_MAX {
        return Err(CommandError::usage(format!(
            "a line is longer than {LINE_LEN_MAX} bytes"
        )));
    }
    if read == 0 {
        return Ok(None);
    }
    match String::from_utf8(bytes) {
        Ok(line) => Ok(Some(line)),
        Err(_) => Err(CommandError::usage("a line is not UTF-8")),
    }
}
