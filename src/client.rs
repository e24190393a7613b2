//! Asks a running kernel over its socket: one connection a request, every wait bounded.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use crate::arguments::{ArgKind, Args, NODE, duration_text, milliseconds};
use crate::commands::{Access, Command};
use crate::error::{Code, CommandError};
use crate::socket;
use crate::watch::Interrupts;

/// How long a kernel that is there may take to listen: at boot, and after its control service was killed.
const LISTENS_WITHIN: Duration = Duration::from_secs(3);
/// How long a reading command may take beyond the times in its arguments.
const READS_WITHIN: Duration = Duration::from_secs(10);
/// How long a changing command may take beyond the times in its arguments.
const CHANGES_WITHIN: Duration = Duration::from_secs(120);
/// The largest answer, in bytes.
const ANSWER_LEN_MAX: usize = 256 << 20;

/// One kernel, as seen from outside.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    /// Who ends a call that waits, if anybody but the end of the process does.
    interrupts: Option<Arc<Interrupts>>,
    /// The node that commands are for, if not that of the kernel.
    node: Option<String>,
}

impl Client {
    /// The kernel at `socket`.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            interrupts: None,
            node: None,
        }
    }

    /// Has its kernel pass each command on to another node.
    #[must_use]
    pub fn for_node(self, node: Option<String>) -> Self {
        Self { node, ..self }
    }

    /// Whether what it asks is passed on to another node.
    #[must_use]
    pub fn is_for_node(&self) -> bool {
        self.node.is_some()
    }

    /// What is sent of arguments.
    fn wire(&self, command: &Command, args: &Args) -> Map<String, Value> {
        let mut wire = args.to_wire(command.args);
        if let Some(node) = &self.node {
            wire.entry(NODE.name)
                .or_insert_with(|| node.as_str().into());
        }
        wire
    }

    /// Its calls end when `interrupts` says so.
    #[must_use]
    pub fn ended_by(self, interrupts: Option<Arc<Interrupts>>) -> Self {
        Self { interrupts, ..self }
    }

    /// Where it is reached.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs a command in the kernel.
    ///
    /// # Errors
    /// What the kernel says, or that it cannot be reached.
    pub async fn call(&self, command: &Command, args: &Args) -> Result<Value, CommandError> {
        let wire = self.wire(command, args);
        let within = patience(command, args);
        let request = match command.access {
            Access::Read => self.request(
                Method::GET,
                &with_query(&command.http_path(), &wire),
                Bytes::new(),
            ),
            Access::Change => self.request(
                Method::POST,
                &command.http_path(),
                Value::Object(wire).to_string().into(),
            ),
        }?;
        let exchange = timeout(within, self.exchange(request));
        let answered = match &self.interrupts {
            None => exchange.await,
            Some(interrupts) => tokio::select! {
                biased;
                () = interrupts.told() => return Err(interrupted(command)),
                answered = exchange => answered,
            },
        };
        answered.unwrap_or_else(|_elapsed| Err(too_late(command, within)))
    }

    /// Runs a command in the kernel that answers with many documents; each is given to `show` as it comes, until that says
    /// `false`.
    ///
    /// # Errors
    /// What the kernel or `show` says, or that the kernel cannot be reached, or has gone.
    pub async fn follow(
        &self,
        command: &Command,
        args: &Args,
        mut show: impl FnMut(&Value) -> Result<bool, CommandError>,
    ) -> Result<(), CommandError> {
        let uri = with_query(&command.http_path(), &self.wire(command, args));
        let request = self.request(Method::GET, &uri, Bytes::new())?;
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.lost(&error))?;
        let follow = async move {
            let answer = timeout(READS_WITHIN, sender.send_request(request)).await;
            let response = answer.map_err(|_elapsed| too_late(command, READS_WITHIN))?;
            let response = response.map_err(|error| self.lost(&error))?;
            let status = response.status();
            let mut body = response.into_body();
            if !status.is_success() {
                let body = Limited::new(body, ANSWER_LEN_MAX).collect().await;
                let body = body.map_err(|error| self.lost(&error))?;
                return read_answer(status, &body.to_bytes()).map(drop);
            }
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.lost(&error))?;
                rest.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    let document = read_answer(status, &line)?;
                    if let Some(error) = CommandError::from_json(&document) {
                        return Err(error);
                    }
                    if !show(&document)? {
                        return Ok(());
                    }
                }
                if rest.len() > ANSWER_LEN_MAX {
                    return Err(self.lost(&"a line of its answer has no end"));
                }
            }
            Ok(())
        };
        drive(connection, follow).await
    }

    /// The kernel was there, and is no more.
    fn lost(&self, why: &dyn std::fmt::Display) -> CommandError {
        CommandError::new(
            Code::Unreachable,
            format!("lost the kernel at {}: {why}", self.socket.display()),
        )
        .hint("it has stopped, or was killed; `uk run` starts one")
    }

    fn request(
        &self,
        method: Method,
        uri: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, CommandError> {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "kernel")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| CommandError::usage(error.to_string()))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Value, CommandError> {
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.lost(&error))?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LEN_MAX)
                .collect()
                .await;
            Ok::<_, hyper::Error>((status, body.map(|body| body.to_bytes())))
        };
        let (status, body) = drive(connection, exchange)
            .await
            .map_err(|error| self.lost(&error))?;
        let body = body.map_err(|error| self.lost(&error))?;
        read_answer(status, &body)
    }

    async fn connect(&self) -> Result<UnixStream, CommandError> {
        let until = Instant::now() + LISTENS_WITHIN;
        loop {
            let error = match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Err(CommandError::new(
                    Code::Denied,
                    format!("{} belongs to another user", self.socket.display()),
                ));
            }
            let Some(holder) = socket::holder_of(&self.socket) else {
                return Err(CommandError::new(
                    Code::Unreachable,
                    format!("no kernel is running at {}", self.socket.display()),
                )
                .hint("start one with `uk run`, or with `uk run FILE` for a tree of your own"));
            };
            if Instant::now() >= until {
                return Err(CommandError::new(
                    Code::Unreachable,
                    format!(
                        "the kernel `{}` (pid {}) does not listen: {error}",
                        holder.name, holder.pid
                    ),
                )
                .hint("its log says why its control service does not run"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How long the answer to a command may take: the times in its arguments, and some more.
pub(crate) fn patience(command: &Command, args: &Args) -> Duration {
    let base = match command.access {
        Access::Read => READS_WITHIN,
        Access::Change => CHANGES_WITHIN,
    };
    let own = command
        .args
        .iter()
        .filter(|arg| arg.kind == ArgKind::Duration);
    let own: Duration = own.filter_map(|arg| args.duration(arg.name)).sum();
    base.saturating_add(own)
}

/// Drives a connection for as long as its exchange needs it.
async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        done = &mut exchange => done,
        _ended = connection => exchange.await,
    }
}

fn too_late(command: &Command, within: Duration) -> CommandError {
    let within = duration_text(milliseconds(within));
    let message = format!("the kernel did not answer within {within}");
    CommandError::new(Code::TimedOut, message).hint(if command.words == ["health"] {
        "it is there but does not come to answer: its log says more, SIGTERM stops it in order"
    } else {
        "`uk health` says how it is"
    })
}

fn interrupted(command: &Command) -> CommandError {
    let error = CommandError::new(Code::Failed, "interrupted");
    match command.access {
        Access::Read => error,
        Access::Change => error.hint("the kernel may still do what it was asked for"),
    }
}

fn read_answer(status: StatusCode, body: &[u8]) -> Result<Value, CommandError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        CommandError::new(
            Code::Failed,
            format!("the kernel's answer ({status}) is not JSON: {error}"),
        )
        .hint("is it a kernel of another release?")
    })?;
    if status.is_success() {
        return Ok(value);
    }
    Err(CommandError::from_json(&value).unwrap_or_else(|| {
        CommandError::new(
            Code::Failed,
            format!("the kernel answered {status}: {value}"),
        )
    }))
}

fn with_query(path: &str, args: &Map<String, Value>) -> String {
    let mut uri = path.to_owned();
    for (index, (key, value)) in args.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(key);
        uri.push('=');
        match value {
            Value::String(text) => encode(text, &mut uri),
            other => encode(&other.to_string(), &mut uri),
        }
    }
    uri
}

/// Percent-encodes all but letters, digits and `-_./`.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_percent_encoded() {
        let mut args = Map::new();
        args.insert("path".to_owned(), Value::from("/a b&c"));
        args.insert("limit".to_owned(), Value::from(5));

        assert_eq!(with_query("/x", &args), "/x?limit=5&path=/a%20b%26c");
    }
}
