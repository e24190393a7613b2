//! The console: reads commands of the table, one a line, from the keyboard or a pipe.
//!
//! It is a client like any other: quitting it never stops the kernel. From a pipe it says nothing of its
//! own and stops at the first error, with its exit code.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Args;
use crate::cli::{self, Caller};
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::text;
use crate::watch::Interrupts;

/// The longest line, in bytes.
const LINE_LEN_MAX: usize = 1 << 20;

/// Attaches to the kernel that the caller means, until the input ends or `exit`.
///
/// # Errors
/// If there is no kernel.
pub fn attach(caller: &Caller) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let caller = Caller {
        socket: Some(client.socket().to_owned()),
        name: None,
        interrupts: Some(listen()?),
        ..caller.clone()
    };
    let health = Command::find(&["health"])
        .ok_or_else(|| CommandError::new(Code::Failed, "there is no command `health`"))?;
    let document = cli::block_on(client.call(health, &Args::default()))??;
    let node = text(&document, "node").to_owned();
    let stdin = io::stdin();
    let is_piped = !stdin.is_terminal();
    if !is_piped {
        output::out(&format!(
            "attached to `{node}`; `help` lists commands, `exit` leaves\n"
        ))?;
    }
    let mut lines = stdin.lock();
    loop {
        if !is_piped {
            output::out(&format!("{node}> "))?;
        }
        let Some(line) = read_line(&mut lines)? else {
            if !is_piped {
                output::out("\n")?;
            }
            return Ok(0);
        };
        let code = match line.trim() {
            "" => 0,
            "exit" | "quit" => return Ok(0),
            line if line.starts_with('#') => 0,
            line => run_line(line, &caller),
        };
        if code != 0 && (is_piped || code == Code::Unreachable.exit()) {
            return Ok(code);
        }
    }
}

/// Listens to Ctrl-C and SIGTERM on a thread of its own, from now on: they end the watch that is on, else the
/// console, also while it waits for a line or an answer.
fn listen() -> Result<Arc<Interrupts>, CommandError> {
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
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if !heard.end_watch() {
                leave(code);
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
fn leave(code: i32) {
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

fn run_line(line: &str, caller: &Caller) -> u8 {
    let words = match split(line) {
        Ok(mut words) => {
            // Whoever copies a line from elsewhere brings its `uk` along.
            if words.len() > 1 && words.first().is_some_and(|word| word == "uk") {
                words.remove(0);
            }
            words
        }
        Err(error) => {
            cli::show_error(&error, caller.json);
            return error.code.exit();
        }
    };
    match cli::parser(true).try_get_matches_from(words) {
        Ok(matches) => {
            let caller = Caller {
                json: caller.json || matches.get_flag("json"),
                ..caller.clone()
            };
            cli::run(&matches, &caller)
        }
        Err(error) => cli::show_parse_error(&error, caller.json),
    }
}

/// Splits a line into words as a shell does: blanks, `'…'`, `"…"`, backslashes. A word that begins with
/// `{` or `[` is JSON and goes to the end of its value; if it is not valid, to the end of the line.
///
/// # Errors
/// A quote that is not closed, a backslash at the end.
pub fn split(line: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = if rest.starts_with(['{', '[']) {
            json_word(rest)
        } else {
            shell_word(rest)?
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn json_word(rest: &str) -> (String, &str) {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let end = match values.next() {
        Some(Ok(_)) => values.byte_offset(),
        Some(Err(_)) | None => rest.len(),
    };
    let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    (word.to_owned(), after)
}

fn shell_word(rest: &str) -> Result<(String, &str), CommandError> {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                return Ok((word, rest.get(at..).unwrap_or_default()));
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => match chars.next() {
                Some((_, escaped)) => word.push(escaped),
                None => return Err(CommandError::usage("the line ends with a backslash")),
            },
            (_, c) => word.push(c),
        }
    }
    match quote {
        Some(open) => Err(CommandError::usage(format!("a quote {open} is not closed"))),
        None => Ok((word, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_a_shell_does() {
        for (line, words) in [
            ("tree", vec!["tree"]),
            ("  kill   /a  ", vec!["kill", "/a"]),
            (
                "kill /a --reason 'un plug'",
                vec!["kill", "/a", "--reason", "un plug"],
            ),
            (
                r#"kill /a --reason "say \"hi\"""#,
                vec!["kill", "/a", "--reason", r#"say "hi""#],
            ),
            (r"a\ b ''", vec!["a b", ""]),
            ("a'b'c", vec!["abc"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for line in ["'a", "\"a", "a\\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }

    #[test]
    fn json_needs_no_quotes() {
        assert_eq!(
            split(r#"ask /a {"echo": {"a b": [1, 2]}} --timeout 2s"#).unwrap(),
            [
                "ask",
                "/a",
                r#"{"echo": {"a b": [1, 2]}}"#,
                "--timeout",
                "2s"
            ]
        );
        assert_eq!(
            split("tell /a {echo: 1").unwrap(),
            ["tell", "/a", "{echo: 1"]
        );
        assert_eq!(
            split(r#"tell /a '{"echo": 1}'"#).unwrap(),
            ["tell", "/a", r#"{"echo": 1}"#]
        );
    }
}
