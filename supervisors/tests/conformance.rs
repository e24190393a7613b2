//! What OTP's supervisors do, line by line: a test carries the number of the line that it covers.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for other code"
)]

#[path = "conformance/intensity.rs"]
mod intensity;
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

/// Lines of the groups A to F without a test.
///
/// | line | why |
/// |---|---|
/// | S002 | differs: a supervisor is data, it has no `init` that could say `ignore` |
/// | S004 | differs: as S002; what can be wrong with the data is S003 |
/// | S015, S107 | differs: a start answers no extra info |
/// | S020 | differs: names are paths, so no child can take another's name |
/// | S041 | differs: nothing of ours can be unlinked |
/// | S046 | differs: a kernel's `shutdown` carries no reason; the test covers a supervisor that gives up |
/// | S047 | differs: a stop has the reason `shutdown` and waits for the end; whoever has no patience drops the future |
#[cfg(doc)]
mod without_a_test {}
