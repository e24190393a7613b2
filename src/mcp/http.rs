//! `/mcp`: the same over HTTP. Each request stands for itself, so a client that goes away leaves nothing behind.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use unity_supervisors::Kernel;

use super::Server;
use super::door::Door;
use crate::error::{Code, CommandError};
use crate::http::BODY_LEN_MAX;

/// How much is read of what is said of an error, in bytes.
const TOLD_LEN_MAX: usize = 4_096;

/// The route of this file.
pub(crate) fn routes(kernel: &Kernel) -> Router {
    // Host and Origin are checked for all routes in one place, where there is a port at all.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts()
        .with_max_request_body_bytes(BODY_LEN_MAX);
    let kernel = kernel.clone();
    let service = StreamableHttpService::new(
        move || Ok(Server::new(Door::Inside(kernel.clone()))),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .route_service("/mcp", service)
        .layer(map_response(in_our_form))
}

/// What the protocol says of its own is JSON already; all else that is wrong is told as everywhere.
async fn in_our_form(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let status = response.status();
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = to_bytes(body, TOLD_LEN_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let said = said.trim();
    let code = Code::ALL
        .into_iter()
        .find(|code| code.status() == status.as_u16());
    let message = match said {
        "" => status.canonical_reason().unwrap_or("not done"),
        said => said,
    };
    let error = CommandError::new(code.unwrap_or(Code::Usage), message)
        .hint("a client POSTs JSON-RPC here, as the Model Context Protocol has it");
    let document = error.to_json().to_string();
    // Other headers stay: they say which methods there are.
    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (parts, document).into_response()
}
