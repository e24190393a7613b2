//! `/system/control`: HTTP and JSON over a Unix socket, as a supervised service of the kernel.
//!
//! The routes are the table of commands: a reading one is `GET /api/v1/<its words joined by />` with its
//! arguments as query, a changing one `POST` with a JSON object. The actor only listens; each request
//! is a task of its own on the control runtime, so a long one delays nobody, and an answer that is under
//! way still goes out when the actor is killed. The socket is made under another name, closed to
//! others, and then put in place, so that there is always one to connect to.

mod audit;
pub(crate) mod bridge;
mod connections;
mod door;
pub mod listener;
pub mod live;
mod openapi;
mod tls;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::net::{UnixListener, UnixSocket};
use tokio::time::timeout;
use unity_supervisors::spec::{ChildKind, ChildSpec};
use unity_supervisors::{Actor, ChildId, Context, Exit, Kernel, Kinds, Next, NoMessage, Start};

use self::audit::Audit;
use self::door::Door;
use crate::arguments::Args;
use crate::commands::{Access, Command, Documents, KernelRun, Run, StreamRun, TABLE, open};
use crate::error::{Code, CommandError};
use crate::mcp;
use crate::nodes::{self, Whither};
use crate::page;
use crate::rights::Who;
use crate::rights::tokens::Tokens;

mod metrics;
mod status;

/// The largest body of a request, in bytes.
pub const BODY_LEN_MAX: usize = 1 << 20;
/// How long the body of a request may take.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;
/// Where the service lives.
pub const PATH: &str = "/system/control";

/// The kinds of this file.
#[must_use]
pub fn kinds() -> Kinds {
    let kinds = Kinds::new().with_service::<Control>("control", "HTTP and JSON over a Unix socket");
    live::with_kind(listener::with_kind(kinds))
}

/// The child of `/system` that listens on `socket`.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child(socket: &Path) -> ChildSpec {
    let id = ChildId::new("control").expect("`control` is an id");
    let mut child = ChildSpec::worker(id, "control");
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!({ "socket": socket });
    }
    child
}

/// Settings of `control`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlSettings {
    /// The socket; its lock is held by this process.
    pub socket: PathBuf,
}

/// Listens on the control socket.
#[derive(Debug)]
pub struct Control;

impl Actor for Control {
    type Message = NoMessage;
    type Settings = ControlSettings;

    async fn start(
        settings: &ControlSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let listener = listen(&settings.socket)?;
        let router = router(ctx.kernel()).layer(axum::middleware::from_fn(from_socket));
        let router = router.into_make_service_with_connect_info::<SocketPeer>();
        ctx.spawn(async move { Ok(axum::serve(listener, router).await?) });
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut NoMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match *message {}
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let mut making = path.as_os_str().to_owned();
    making.push("~");
    let making = PathBuf::from(making);
    match fs::remove_file(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixSocket::new_stream()?;
    let owner_only = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    if let Err(error) = rustix::fs::fchmod(&socket, owner_only) {
        // On Linux the file gets the mode of the socket; elsewhere `set_permissions` closes it a moment later.
        tracing::debug!(%error, "the mode of a socket cannot be set before it is bound");
    }
    socket.bind(&making)?;
    fs::set_permissions(&making, Permissions::from_mode(0o600))?;
    let listener = socket.listen(BACKLOG)?;
    fs::rename(&making, path)?;
    Ok(listener)
}

/// The routes of the commands and of how the kernel is. Who is [`Who`] stands beside each request.
pub fn router(kernel: &Kernel) -> Router {
    let mut router = Router::new();
    for command in TABLE {
        let path = command.http_path();
        let kernel = kernel.clone();
        router = match (command.run, command.access) {
            (Run::Local(_), _) => continue,
            (Run::Stream(run), _) => {
                let answer = move |Caller(who), query| async move {
                    // Whoever may not use it is told so first.
                    let args = who.may_use(command).and_then(|()| read(command, query));
                    many(command, args, run, kernel, who).await
                };
                router.route(&path, get(answer))
            }
            (Run::Kernel(run), Access::Read) => {
                let answer = move |Caller(who), query| async move {
                    let args = read(command, query);
                    match written(command, &args, &kernel, &who) {
                        Some(answer) => answer,
                        None => answer(command, args, run, kernel, &who).await,
                    }
                };
                router.route(&path, get(answer))
            }
            (Run::Kernel(run), Access::Change) => {
                let answer = move |Caller(who), request: Request| async move {
                    // Whoever may not use it need not be listened to.
                    let args = match who.may_use(command) {
                        Ok(()) => change(command, request).await,
                        Err(denied) => Err(denied),
                    };
                    answer(command, args, run, kernel, &who).await
                };
                router.route(&path, post(answer))
            }
        };
    }
    router
        .merge(live::routes(kernel))
        .merge(bridge::routes(kernel))
        .merge(openapi::routes())
        .merge(metrics::routes(kernel))
        .merge(status::routes(kernel))
        .merge(mcp::http::routes(kernel))
        .fallback(|| async { failure(&no_such_route()) })
        .method_not_allowed_fallback(|| async { wrong_method() })
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
}

/// What is there besides for who comes in by a [`Door`]: the login of the page.
fn outer(kernel: &Kernel, door: &Arc<Door>) -> Router {
    let (at, door) = (kernel.clone(), Arc::clone(door));
    let log_in = move |query: Result<Query<LoginCode>, QueryRejection>| async move {
        let Ok(Query(login)) = query else {
            let error = CommandError::usage("a login has one code, as in /login?code=…")
                .hint("`uk open` makes one");
            return failure(&error);
        };
        let (tokens, now) = (at.shared::<Tokens>(), at.clock().wall());
        let Some(session) = tokens.log_in(&login.code, now) else {
            let error = CommandError::new(Code::Denied, "that login is used up, or too old")
                .hint("`uk open` makes another");
            return failure(&error);
        };
        let secure = if door.is_tls { "; Secure" } else { "" };
        let cookie = format!(
            "{}={session}; Path=/; HttpOnly; SameSite=Strict{secure}",
            door.cookie()
        );
        let to = [
            (header::SET_COOKIE, cookie),
            (header::LOCATION, "/".to_owned()),
        ];
        (StatusCode::SEE_OTHER, to).into_response()
    };
    router(kernel)
        .route("/login", get(log_in))
        .merge(page::routes())
        // Once more for the routes that have come since.
        .method_not_allowed_fallback(|| async { wrong_method() })
}

#[derive(Deserialize)]
struct LoginCode {
    code: String,
}

/// Who sends a request. Every way in puts them beside it.
struct Caller(Arc<Who>);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match parts.extensions.get::<Arc<Who>>() {
            Some(who) => Ok(Self(Arc::clone(who))),
            None => Err(failure(&CommandError::new(Code::Denied, "who is there?"))),
        }
    }
}

/// Who sends a request over the socket: its peer, as the system says.
#[derive(Clone)]
struct SocketPeer(Arc<Who>);

impl Connected<IncomingStream<'_, UnixListener>> for SocketPeer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        // Nobody else can have connected, so a system that does not say is no reason to refuse.
        let uid = stream.io().peer_cred().map(|peer| peer.uid());
        let uid = uid.unwrap_or_else(|_| rustix::process::getuid().as_raw());
        Self(Arc::new(Who::user(uid)))
    }
}

async fn from_socket(
    ConnectInfo(SocketPeer(who)): ConnectInfo<SocketPeer>,
    mut request: Request,
    next: axum::middleware::Next,
) -> Response {
    request.extensions_mut().insert(who);
    next.run(request).await
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

fn read(command: &Command, query: Pairs) -> Result<Args, CommandError> {
    let Query(pairs) = query.map_err(|error| CommandError::usage(error.body_text()))?;
    Args::from_query(&command.inputs(), pairs)
}

async fn change(command: &Command, request: Request) -> Result<Args, CommandError> {
    let body = body(request).await?;
    if body.is_empty() {
        return Args::from_json(&command.inputs(), Map::new());
    }
    let object: Value = serde_json::from_slice(&body)
        .map_err(|error| CommandError::usage(format!("the body is not JSON: {error}")))?;
    match object {
        Value::Object(object) => Args::from_json(&command.inputs(), object),
        _ => Err(CommandError::usage("the body is not a JSON object")),
    }
}

/// The body of a request, which has so long and may be so much.
async fn body(request: Request) -> Result<Bytes, CommandError> {
    let too_long = || {
        CommandError::new(
            Code::TooLarge,
            format!("the body has more than {BODY_LEN_MAX} bytes"),
        )
        .hint("publish where it is to be found instead")
    };
    let said = request.headers().get(header::CONTENT_LENGTH);
    let said = said.and_then(|said| said.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > BODY_LEN_MAX) {
        return Err(too_long());
    }
    let reading = Bytes::from_request(request, &());
    match timeout(BODY_WITHIN, reading).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_long()),
        Ok(Err(error)) => Err(CommandError::usage(error.body_text())),
        Err(_elapsed) => Err(CommandError::new(
            Code::TimedOut,
            format!("the body did not come within {} s", BODY_WITHIN.as_secs()),
        )),
    }
}

async fn answer(
    command: &Command,
    args: Result<Args, CommandError>,
    run: KernelRun,
    kernel: Kernel,
    who: &Who,
) -> Response {
    let done = match args {
        Ok(args) => run_for(who, &kernel, command, run, args).await,
        Err(error) => Err(error),
    };
    let (status, mut document) = match done {
        Ok(document) => (StatusCode::OK, document),
        Err(error) => {
            tracing::debug!(command = command.name(), %error, "command not done");
            (status(&error), error.to_json())
        }
    };
    if !command.is_secret {
        kernel.secrets().mask_json(&mut document);
    }
    json_response(status, &document)
}

/// The answer of a command that writes its document itself, if `who` may use it and it can.
fn written(
    command: &Command,
    args: &Result<Args, CommandError>,
    kernel: &Kernel,
    who: &Who,
) -> Option<Response> {
    let (write, args) = (command.write?, args.as_ref().ok()?);
    if nodes::whither(kernel, command, &mut args.clone()) != Ok(Whither::Here) {
        return None;
    }
    let may = who
        .may_use(command)
        .and_then(|()| who.may_with(command, args));
    may.ok()?;
    let text = write(kernel, args).ok()??;
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Some((kind, text).into_response())
}

/// Runs a command for somebody, if they may use it, and writes down that they did.
pub(crate) async fn run_for(
    who: &Who,
    kernel: &Kernel,
    command: &Command,
    run: KernelRun,
    mut args: Args,
) -> Result<Value, CommandError> {
    who.may_use(command)?;
    who.may_with(command, &args)?;
    command.check(&args)?;
    let audit = command
        .is_audited
        .then(|| Audit::new(kernel, command, &args, who));
    if command.words == open::COMMAND.words {
        // No argument that somebody could give: a session is of who asked for it.
        args.insert(open::BY, Value::from(&*who.name));
    }
    let done = match nodes::whither(kernel, command, &mut args) {
        Ok(Whither::Here) => run(kernel.clone(), args).await,
        Ok(elsewhere) => nodes::run(kernel, who, command, (run, args), elsewhere).await,
        Err(error) => Err(error),
    };
    if let Some(audit) = audit {
        audit.write(done.as_ref().err()).await;
    }
    done
}

/// Begins a command that has many documents for somebody, if they may use it.
pub(crate) async fn stream_for(
    who: &Who,
    kernel: &Kernel,
    command: &Command,
    run: StreamRun,
    mut args: Args,
) -> Result<Documents, CommandError> {
    who.may_use(command)?;
    who.may_with(command, &args)?;
    command.check(&args)?;
    match nodes::whither(kernel, command, &mut args)? {
        Whither::Here => run(kernel.clone(), args).await,
        elsewhere => nodes::tail(kernel, who, command, (run, args), elsewhere).await,
    }
}

/// Answers with a line of JSON for each document, until there is no more. When the kernel ends before that, or `who` asked
/// is nobody any more, the answer breaks off, so that its reader knows.
async fn many(
    command: &Command,
    args: Result<Args, CommandError>,
    run: StreamRun,
    kernel: Kernel,
    who: Arc<Who>,
) -> Response {
    let done = match args {
        Ok(args) => stream_for(&who, &kernel, command, run, args).await,
        Err(error) => Err(error),
    };
    let documents = match done {
        Ok(documents) => documents,
        Err(error) => {
            tracing::debug!(command = command.name(), %error, "command not done");
            return failure(&error);
        }
    };
    let ended = kernel.clone();
    let ended = async move {
        ended.ended().await;
    };
    let tokens = kernel.shared::<Tokens>();
    let begin = Some((documents, ended.boxed(), kernel));
    let is_still = move |kernel: &Kernel| tokens.is_still(&who, kernel.clock().wall());
    let lines = stream::unfold(begin, move |state| {
        let is_still = is_still.clone();
        async move {
            let (mut documents, mut ended, kernel) = state?;
            let document = tokio::select! {
                biased;
                document = documents.next() => document?,
                () = &mut ended => return Some((Err(io::Error::other("the kernel has ended")), None)),
            };
            if !is_still(&kernel) {
                return Some((Err(io::Error::other("who asked is nobody any more")), None));
            }
            let (mut document, is_last) = match document {
                Ok(document) => (document, false),
                Err(error) => (error.to_json(), true),
            };
            kernel.secrets().mask_json(&mut document);
            let rest = (!is_last).then_some((documents, ended, kernel));
            Some((Ok(Bytes::from(format!("{document}\n"))), rest))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

fn failure(error: &CommandError) -> Response {
    json_response(status(error), &error.to_json())
}

fn status(error: &CommandError) -> StatusCode {
    StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn json_response(status: StatusCode, document: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        document.to_string(),
    )
        .into_response()
}

fn no_such_route() -> CommandError {
    CommandError::new(Code::NotFound, "there is no such route")
        .hint("a command is /api/v1/<its words joined by />, as in /api/v1/tree")
}

fn wrong_method() -> Response {
    let error = CommandError::usage("wrong method").hint("GET reads, POST changes");
    json_response(StatusCode::METHOD_NOT_ALLOWED, &error.to_json())
}
