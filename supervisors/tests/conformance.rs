//! What OTP's supervisors do, line by line: a test carries the number of the line that it covers.
//! `CONFORMANCE.md` lists all lines.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for other code"
)]

#[path = "conformance/children.rs"]
mod children;
#[path = "conformance/intensity.rs"]
mod intensity;
#[path = "conformance/reload.rs"]
mod reload;
#[path = "conformance/reports.rs"]
mod reports;
#[path = "conformance/restart_types.rs"]
mod restart_types;
#[path = "conformance/retries.rs"]
mod retries;
#[path = "conformance/significant.rs"]
mod significant;
#[path = "conformance/start.rs"]
mod start;
#[path = "conformance/stop.rs"]
mod stop;
#[path = "conformance/strategies.rs"]
mod strategies;
#[path = "conformance/support.rs"]
mod support;
#[path = "conformance/tasks.rs"]
mod tasks;
#[path = "conformance/templates.rs"]
mod templates;
#[path = "conformance/threads.rs"]
mod threads;
