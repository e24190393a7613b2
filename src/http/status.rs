//! How the kernel is, in few words: `/livez` and `/readyz` for whoever starts and routes to it, `/status` for a person with
//! a cable.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use unity_supervisors::slot::Slot;
use unity_supervisors::{Kernel, Mode, SlotState};

use super::json_response;
use crate::screen::printable;

/// How many children of the root are listed.
const LISTED_MAX: usize = 200;

/// The routes of this file.
pub(super) fn routes(kernel: &Kernel) -> Router {
    let (ready, status) = (kernel.clone(), kernel.clone());
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move |RawQuery(query): RawQuery| async move {
                if wants_verbose(query.as_deref()) {
                    listed(&ready)
                } else {
                    readiness(ready.mode())
                }
            }),
        )
        .route(
            "/status",
            get(move || async move { json_response(StatusCode::OK, &read(&status)) }),
        )
}

fn wants_verbose(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| matches!(pair, "verbose" | "verbose=" | "verbose=true"))
}

fn status_of(mode: Mode) -> StatusCode {
    if mode == Mode::Normal {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn readiness(mode: Mode) -> Response {
    let ready = mode == Mode::Normal;
    let document = json!({ "version": 1, "ready": ready, "mode": mode });
    json_response(status_of(mode), &document)
}

/// What users of earlier systems read. The load is that of this machine in the last minute, for each of its cores.
fn read(kernel: &Kernel) -> Value {
    json!({ "mode": kernel.mode(), "cpu_load": cpu_load(), "peers_visible": 0 })
}

fn cpu_load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split(' ').next()?.parse().ok()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    Some((load / f64::from(cores) * 100.0).round() / 100.0)
}

/// A plain list of what is up (`[+]`) and what is not (`[-]`): the kernel, its services, the children of the root.
fn listed(kernel: &Kernel) -> Response {
    let mode = kernel.mode();
    let mut text = match kernel.safe_reason() {
        Some(why) => format!("[-] mode {}: {}\n", mode.as_str(), printable(&why)),
        None => format!("{} mode {}\n", mark(mode == Mode::Normal), mode.as_str()),
    };
    let (root, system) = (kernel.root(), kernel.system());
    for child in system.iter().flat_map(|system| system.children()) {
        text.push_str(&line(&child));
    }
    let children = root.iter().flat_map(|root| root.children());
    let children: Vec<_> = children.collect();
    for child in children.iter().take(LISTED_MAX) {
        text.push_str(&line(child));
    }
    if let Some(more) = children.len().checked_sub(LISTED_MAX + 1) {
        text.push_str(&format!("… and {} more\n", more + 1));
    }
    text.push_str(if mode == Mode::Normal {
        "ready\n"
    } else {
        "not ready\n"
    });
    let text = kernel.secrets().mask(&text).into_owned();
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status_of(mode), kind, text).into_response()
}

fn line(slot: &Slot) -> String {
    let state = slot.state();
    let is_up = matches!(state, SlotState::Running | SlotState::Ignored);
    let why = slot.last_exit().filter(|_| !is_up);
    let why = why
        .map(|exit| format!(": {}", exit.reason))
        .unwrap_or_default();
    format!(
        "{} {} {}{}\n",
        mark(is_up),
        slot.path(),
        state.as_str(),
        printable(&why)
    )
}

fn mark(is_up: bool) -> &'static str {
    if is_up { "[+]" } else { "[-]" }
}
