//! `/mcp`: the same over HTTP. Each request stands for itself, so a client that goes away leaves nothing behind.

use std::sync::Arc;

use axum::Router;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use unity_supervisors::Kernel;

use super::Server;
use super::door::Door;
use crate::http::BODY_LEN_MAX;

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
    Router::new().route_service("/mcp", service)
}
