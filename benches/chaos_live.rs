//! `cargo bench --bench chaos_live`: a minute of 50 kills a second on a kernel with room for them, while 64 of its 100 workers
//! are sent 200 numbered messages a second each.
//!
//! Prints what came back, how soon, what was lost and which tasks are left, each beside its limit, and keeps that for the page
//! of reliability. Ends with exit code 1 when a limit is broken.

mod kept;
#[path = "storm.rs"]
mod storm;
#[path = "verdict.rs"]
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use unity_actors::chaos::report::Report;

use self::kept::keep;
use self::kept::promises::LIVE;
use self::storm::storm;
use self::verdict::report;

const LASTS: Duration = Duration::from_secs(60);
/// The slowest restart in a hundred, in milliseconds.
const P99_MS_MAX: f64 = 10.0;
/// Below the rate times the time, since who is on the way up is not killed.
const KILLS_MIN: u64 = 2_700;

fn main() -> ExitCode {
    verdict::of(run())
}

/// What is told of: its name, how much it was, its limit, and whether that holds.
type Row = (&'static str, String, String, bool);

fn run() -> Result<bool> {
    let storm = storm(LASTS)?;
    let (before, after) = storm.tasks;
    let leaked = after.saturating_sub(before) as u64;
    report("| in 60 s of 50 kills a second | | limit |\n|---|---|---|");
    let mut holds = true;
    for (what, found, limit, its_holds) in rows(&storm.report, leaked) {
        report(&format!("| {what} | {found} | {limit} |"));
        holds &= its_holds;
    }
    let mut document = json!(storm.report);
    if let Some(document) = document.as_object_mut() {
        let tasks = json!({ "before": before, "after": after, "left": leaked });
        document.insert("tasks".to_owned(), tasks);
    }
    keep(LIVE, &document)?;
    Ok(holds)
}

fn rows(its: &Report, leaked: u64) -> [Row; 9] {
    let p99 = its.recovery_ms.p99.unwrap_or(f64::INFINITY);
    let counted = |what, count: u64| (what, count.to_string(), String::new(), true);
    let none = |what, count: u64| (what, count.to_string(), "0".to_owned(), count == 0);
    [
        (
            "kills",
            its.kills.to_string(),
            format!("at least {KILLS_MIN}"),
            its.kills >= KILLS_MIN,
        ),
        (
            "of those up again",
            its.recovered.to_string(),
            "all".to_owned(),
            its.recovered == its.kills,
        ),
        (
            "p99 until then",
            format!("{p99:.1} ms"),
            format!("{P99_MS_MAX} ms"),
            p99 <= P99_MS_MAX,
        ),
        counted("messages", its.sent),
        counted("of those in hand at a kill", its.in_hand),
        none("lost", its.lost),
        none("doubled", its.doubled),
        none("overtaken", its.out_of_order),
        none("tasks left over", leaked),
    ]
}
