//! The command line, end to end: the real binary, real sockets, folders of its own for each test.

mod alarms;
mod bad_input;
mod boot;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
#[expect(
    clippy::indexing_slicing,
    reason = "what helps tests may fail as they do"
)]
mod bridge;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod bundle;
mod chaos;
mod child_api;
mod commands;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod completions;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
#[expect(
    clippy::indexing_slicing,
    reason = "what helps tests may fail as they do"
)]
mod config;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod connections;
mod console;
mod control;
#[expect(
    clippy::indexing_slicing,
    reason = "what helps tests may fail as they do"
)]
mod crashes;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod dead_letters;
mod demo;
mod deploy;
mod diagnostics;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod events;
mod exit_codes;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod guard;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod hangup;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod harness;
#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what helps tests may fail as they do"
)]
mod http;
mod last_good;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod live;
mod logs;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
#[expect(
    clippy::indexing_slicing,
    reason = "what helps tests may fail as they do"
)]
mod mcp;
mod monitoring;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
#[expect(
    clippy::indexing_slicing,
    reason = "what helps tests may fail as they do"
)]
mod nodes;
mod replay;
mod schemathesis;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod secrets;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod settings;
mod simulate;
mod stalls;
mod state;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
#[expect(
    clippy::indexing_slicing,
    reason = "what helps tests may fail as they do"
)]
mod streams;
mod templates;
#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
mod terminal;
