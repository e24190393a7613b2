//! Whether a command is well: [`probe()`].
//!
//! One question, one answer, no memory: how often it is asked, and how many bad answers are too many,
//! is decided elsewhere. HTTP is written by hand, because one line of the answer is all that is wanted.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::child::{ProcessChild, ProcessExit, WaitError};
use super::command::StartError;
use super::keeper::Keeper;
use super::lines::Stream;
use super::settings::{CommandLine, ProbeSettings, ProcessSettings};
use super::target::HttpTarget;

/// How much of an answer is read to find its first line, in bytes.
const HEAD_LEN_MAX: u64 = 4 * 1024;

/// How much of a first line, or of a last word, is repeated in an error, in characters.
const QUOTE_LEN_MAX: usize = 200;

/// Why a command is not well. The text says all of it; there are no sources to walk.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No answer in time.
    #[error("no answer from {target} within {timeout:?}")]
    Timeout {
        /// What was asked.
        target: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// Nobody listens, or the connection broke.
    #[error("cannot reach {target}: {cause}")]
    Connection {
        /// What was asked.
        target: String,
        /// What the system says.
        cause: io::Error,
    },
    /// An HTTP answer with a status outside of 200 to 299.
    #[error("{target} answered {status}")]
    Status {
        /// What was asked.
        target: String,
        /// The status, with the words that came with it.
        status: String,
    },
    /// An answer that is not HTTP.
    #[error("{target} did not answer in HTTP, but {answer:?}")]
    NotHttp {
        /// What was asked.
        target: String,
        /// How the answer begins.
        answer: String,
    },
    /// The probe's command did not start.
    #[error("the health command did not start: {}", whole(.0))]
    Start(StartError),
    /// The probe's command did not exit with code 0.
    #[error("health command `{command}` {exit}{}", last_words(.said.as_deref()))]
    Exit {
        /// The program.
        command: String,
        /// How it ended.
        exit: ProcessExit,
        /// The last line that it wrote, to standard error if there is one.
        said: Option<String>,
    },
    /// The end of the probe's command was not seen.
    #[error("the end of the health command is not known: {}", whole(.0))]
    Wait(WaitError),
}

fn last_words(said: Option<&str>) -> String {
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

/// An error and all of its causes.
fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", whole(cause)),
        None => error.to_string(),
    }
}

/// Asks the command of `settings` whether it is well, in the way that its `health` says; without one it is.
///
/// A command that is the probe is killed, with its process group, when `timeout` is over or this is dropped.
///
/// # Errors
/// [`ProbeError`]: why it is not well, or that no answer came within `timeout`.
pub async fn probe(
    settings: &ProcessSettings,
    keeper: &Keeper,
    timeout: Duration,
) -> Result<(), ProbeError> {
    let Some(health) = &settings.health else {
        return Ok(());
    };
    let (target, answer) = match health {
        ProbeSettings::Tcp(target) => {
            let name = target.to_string();
            let connect = connect(&name, target.host_and_port());
            (
                name.clone(),
                tokio::time::timeout(timeout, connect)
                    .await
                    .map(|answer| answer.map(drop)),
            )
        }
        ProbeSettings::Http(target) => (
            target.to_string(),
            tokio::time::timeout(timeout, get(target)).await,
        ),
        ProbeSettings::Exec(command) => {
            let exec = exec(command, settings, keeper);
            (
                format!("`{}`", command.program()),
                tokio::time::timeout(timeout, exec).await,
            )
        }
    };
    answer.unwrap_or(Err(ProbeError::Timeout { target, timeout }))
}

async fn connect(target: &str, address: (&str, u16)) -> Result<TcpStream, ProbeError> {
    TcpStream::connect(address)
        .await
        .map_err(|cause| ProbeError::Connection {
            target: target.to_owned(),
            cause,
        })
}

async fn get(target: &HttpTarget) -> Result<(), ProbeError> {
    let name = target.to_string();
    let mut stream = connect(&name, target.host_and_port()).await?;
    let answer = exchange(&mut stream, target)
        .await
        .map_err(|cause| ProbeError::Connection {
            target: name.clone(),
            cause,
        })?;
    let line = quote(&String::from_utf8_lossy(&answer));
    match status(&line) {
        Some((200..=299, _)) => Ok(()),
        Some((_, status)) => Err(ProbeError::Status {
            target: name,
            status: status.to_owned(),
        }),
        None => Err(ProbeError::NotHttp {
            target: name,
            answer: line,
        }),
    }
}

/// Sends the request and reads until the end of the first line.
async fn exchange(stream: &mut TcpStream, target: &HttpTarget) -> io::Result<Vec<u8>> {
    let (path, host) = (target.path(), target.authority());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: unity-kernel\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut stream = stream.take(HEAD_LEN_MAX);
    let mut head = Vec::new();
    while !head.contains(&b'\n') {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

/// The status in the first line of an answer, as a number and with its words.
fn status(line: &str) -> Option<(u16, &str)> {
    let (version, status) = line.split_once(' ')?;
    let number = status.split(' ').next()?;
    let is_number = number.len() == 3 && number.bytes().all(|digit| digit.is_ascii_digit());
    let is_http = version.starts_with("HTTP/1.") && is_number;
    Some((number.parse().ok().filter(|_| is_http)?, status))
}

/// The first line, as far as it is fit to be repeated.
fn quote(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars()
        .filter(|character| !character.is_control())
        .take(QUOTE_LEN_MAX)
        .collect()
}

async fn exec(
    command: &CommandLine,
    settings: &ProcessSettings,
    keeper: &Keeper,
) -> Result<(), ProbeError> {
    let settings = ProcessSettings {
        command: command.clone(),
        env: settings.env.clone(),
        cwd: settings.cwd.clone(),
        ..ProcessSettings::new(command.clone())
    };
    // What is written to standard error is more likely to be the reason.
    let said = Mutex::new(None::<(Stream, String)>);
    let child = ProcessChild::start(&settings, keeper, "health").map_err(ProbeError::Start)?;
    let exit = child
        .run(|stream, line| {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            let better = said
                .as_ref()
                .is_none_or(|(of, _)| *of == stream || stream == Stream::Stderr);
            if better && !line.trim().is_empty() {
                *said = Some((stream, quote(line)));
            }
        })
        .await
        .map_err(ProbeError::Wait)?;
    if exit.is_success() {
        return Ok(());
    }
    let said = said
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .map(|(_, line)| line);
    Err(ProbeError::Exit {
        command: command.program().to_owned(),
        exit,
        said,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_second_word_of_an_http_answer() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK", Some((200, "200 OK"))),
            ("HTTP/1.0 204", Some((204, "204"))),
            (
                "HTTP/1.1 503 Service Unavailable",
                Some((503, "503 Service Unavailable")),
            ),
            ("HTTP/1.1 20 OK", None),
            ("HTTP/1.1 +20 OK", None),
            ("SSH-2.0-x 200 OK", None),
            ("HTTP/1.1", None),
            ("", None),
        ] {
            assert_eq!(status(line), expected, "{line}");
        }
    }

    #[test]
    fn only_the_first_line_is_quoted_and_without_control_characters() {
        assert_eq!(quote("a\u{1b}[31mb\r\nc"), "a[31mb");
        assert_eq!(quote(&"x".repeat(1000)).len(), QUOTE_LEN_MAX);
    }
}
