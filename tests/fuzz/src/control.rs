//! Requests to a small running kernel, one a line: `POST /api/v1/kill {"path":"/a"}`.
//!
//! They go through the routes that the socket serves. The kernel runs on a paused clock, so whatever
//! waits costs nothing; each input has a kernel of its own, so what one does is not felt by the next.
//! Its kinds are harmless: one that runs commands, panics or spins would be a fault of the request.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_service::Service;
use unity_kernel::http::router;
use unity_kernel::kind_check::KnownKinds;
use unity_kernel::tree_file::{Limits, Sources, load_text};
use unity_supervisors::spec::TreeSpec;
use unity_supervisors::{
    Actor, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next, Reply, Runtimes, Start,
};

/// How many requests an input may have.
const REQUESTS_MAX: usize = 16;
/// How long a request is waited for, on the paused clock.
const WAITS: Duration = Duration::from_secs(2);
/// No answer about so small a tree is longer, but for what an echo was told.
const ANSWER_LEN_MAX: usize = 4 << 20;

const TREE: &str = "
version: 1
name: fuzz
test: true
tree:
  intensity: 3
  period: 10s
  children:
    - { id: a, kind: parrot, mailbox: { capacity: 4, overflow: reject } }
    - { id: b, kind: parrot, needs: [a], backoff: {} }
    - id: group
      strategy: rest_for_one
      children:
        - { id: one, kind: parrot, restart: transient }
        - { id: two, kind: log }
";

/// Settings of `parrot`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParrotSettings {
    /// Whether it starts.
    #[serde(default)]
    fails: bool,
}

/// Messages of `parrot`.
#[derive(Debug, Message)]
#[message(json)]
pub(crate) enum ParrotMessage {
    /// Ends with this error.
    Crash(String),
    /// Ends in order.
    End,
    /// Waits so many milliseconds.
    Hang(u32),
    /// Answers this.
    Echo(Value, Reply<Value>),
    /// Answers how many messages there were.
    Count(Reply<Value>),
}

/// A probe that does not panic and never spins.
struct Parrot;

impl Actor for Parrot {
    type Message = ParrotMessage;
    type Settings = ParrotSettings;

    async fn start(settings: &ParrotSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        if settings.fails {
            return Err(Exit::error("told to fail"));
        }
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut ParrotMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            ParrotMessage::Crash(text) => return Err(Exit::error(text.clone())),
            ParrotMessage::End => return Ok(Next::Stop),
            ParrotMessage::Hang(ms) => {
                tokio::time::sleep(Duration::from_millis(u64::from(*ms))).await;
            }
            ParrotMessage::Echo(value, reply) => reply.send(value.clone()),
            ParrotMessage::Count(reply) => {
                let (_, total) = ctx.handled_before();
                reply.send(json!({ "incarnation": ctx.incarnation(), "total": total }));
            }
        }
        Ok(Next::Continue)
    }
}

/// Sends the requests of `data`, one a line, to a kernel.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let requests: Vec<Request<Body>> = text
        .lines()
        .filter_map(request)
        .take(REQUESTS_MAX)
        .collect();
    if requests.is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(serve(requests));
}

fn request(line: &str) -> Option<Request<Body>> {
    let mut parts = line.splitn(3, ' ');
    let method: Method = parts.next()?.parse().ok()?;
    let uri: Uri = parts.next()?.parse().ok()?;
    let body = parts.next().unwrap_or_default().to_owned();
    Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::from(body))
        .ok()
}

fn kinds() -> Kinds {
    Kinds::new()
        .with::<Parrot>("parrot", "answers and crashes")
        .with::<unity_actors::log::Log>("log", "writes what it is told")
}

fn tree() -> TreeSpec {
    let sources = Sources {
        read: &|_, _| Err(std::io::ErrorKind::Unsupported.into()),
        env: &|_| None,
        kinds: &KnownKinds(&kinds()),
        limits: Limits::default(),
    };
    let checked = load_text("tree.yaml", TREE, &sources);
    checked
        .tree
        .clone()
        .unwrap_or_else(|| panic!("{}", checked.render(false)))
}

async fn serve(requests: Vec<Request<Body>>) {
    let config = KernelConfig::new(Runtimes::current(), kinds(), 7);
    let kernel = Kernel::start(config, tree())
        .await
        .expect("the tree is sound");
    let mut router = router(&kernel);
    for request in requests {
        let line = format!("{} {}", request.method(), request.uri());
        let answered = timeout(WAITS, answer(&mut router, request)).await;
        if let Ok((status, headers, body)) = answered {
            check(&line, status, &headers, &body);
        }
    }
    // Whatever was asked of it, it still answers, unless it was told to stop.
    let health = Request::get("/api/v1/health")
        .body(Body::empty())
        .expect("a request");
    let answered = timeout(WAITS, answer(&mut router, health)).await;
    assert!(answered.is_ok(), "the kernel does not answer any more");
    kernel.kill_all();
    let ended = timeout(WAITS, kernel.ended()).await;
    assert!(ended.is_ok(), "the kernel does not end");
}

async fn answer(
    router: &mut axum::Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let Ok(response) = Service::call(router, request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the body is there").to_bytes();
    (parts.status, parts.headers, body.to_vec())
}

/// What holds of every answer.
fn check(line: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    assert!(body.len() <= ANSWER_LEN_MAX, "{line}: {} bytes", body.len());
    let json = headers
        .get("content-type")
        .is_some_and(|found| found == "application/json");
    if !json {
        return;
    }
    let document: Value = serde_json::from_slice(body).expect("an answer in JSON is JSON");
    assert_eq!(
        document.get("version"),
        Some(&json!(1)),
        "{line}: {status} {document}"
    );
    assert!(
        !status.is_server_error() || [503, 504].contains(&status.as_u16()),
        "{line}: {status} {document}"
    );
    if line.contains("/readyz") {
        return;
    }
    assert_eq!(
        document.get("error").is_some(),
        !status.is_success(),
        "{line}: {status} {document}"
    );
    if let Some(error) = document.get("error") {
        let said = |key: &str| {
            error
                .get(key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty())
        };
        assert!(said("code") && said("message"), "{line}: {document}");
    }
}
