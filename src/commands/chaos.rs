//! `uk chaos`: breaks things on purpose, by a plan, and reports what came of it.
//!
//! The run is the service's in the kernel ([`unity_actors::chaos::service`]): here it is asked for, followed and shown.

pub(super) mod file;
mod orders;
mod plan;
mod report;
mod run;
pub(crate) use self::run::begin;

use std::time::Duration;

use serde_json::{Value, json};
use unity_actors::chaos::plan::{Plan, Rate};
use unity_actors::chaos::report::{Outcome, Report};
use unity_actors::chaos::runs::{Chaos, Progress};
use unity_supervisors::Kernel;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args, Rule, Together};
use crate::chaos_report;
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::screen::{Line, Screen, Tone, count, number, text};

pub(super) use self::orders::{PAUSE, RESUME, STOP};
pub(super) use self::plan::PLAN;
pub(super) use self::report::{LIST, REPORT};
pub(super) use self::run::RUN;

/// How long a run without a plan takes.
const FOR: Duration = Duration::from_secs(60);
/// How many faults a second it has.
const RATE: f64 = 5.0;

const FOR_ARG: Arg = Arg::option("for", ArgKind::Duration, "how long, without a plan; 60s");
const RATE_ARG: Arg = Arg::option(
    "rate",
    ArgKind::Rate,
    "how many faults at most, without a plan; 5/s",
);
const DOCUMENT: Arg = Arg::option(
    "document",
    ArgKind::Json,
    "a plan as JSON, where there is no file to be read",
);

/// A plan says itself how long its phases are, and how fast.
const RULES: &[Rule] = &[
    Rule::new(
        Together::NotBoth("document", "for"),
        "--for does not go with a plan",
        "a plan says itself how long its phases are",
    ),
    Rule::new(
        Together::NotBoth("document", "rate"),
        "--rate does not go with a plan",
        "a plan says itself how fast its phases are",
    ),
];

/// The plan that the arguments say: a document, or the usual one.
fn plan_of(args: &Args) -> Result<Plan, CommandError> {
    let Some(document) = args.get(DOCUMENT.name) else {
        let rate = Rate::per_second(args.rate(RATE_ARG.name).unwrap_or(RATE));
        let rate = rate.map_err(|why| CommandError::conflict(format!("`rate`: {why}")))?;
        let takes = args.duration(FOR_ARG.name).unwrap_or(FOR);
        return Ok(Plan::usual(takes, rate));
    };
    let plan: Result<Plan, _> = serde_json::from_value(document.clone());
    let plan = plan.map_err(|error| file::invalid("`document`", &error))?;
    if plan.version != 1 {
        let message = format!("the plan `{}` has version {}", plan.name, plan.version);
        return Err(CommandError::new(Code::Invalid, message).hint("write `version: 1`"));
    }
    Ok(plan)
}

fn runs(kernel: &Kernel) -> std::sync::Arc<Chaos> {
    kernel.shared::<Chaos>()
}

/// The document of a run under way.
fn under_way(progress: &Progress) -> Value {
    let mut document = json!(progress);
    if let Some(document) = document.as_object_mut() {
        document.insert("version".to_owned(), json!(1));
    }
    document
}

fn no_run() -> CommandError {
    CommandError::new(Code::NotFound, "no chaos run is under way")
        .hint("`uk chaos list` has those that have ended")
}

/// The exit code of a report; a run under way has none of its own.
fn exit(document: &Value) -> u8 {
    let outcome = document.get("outcome").cloned().unwrap_or_default();
    match serde_json::from_value(outcome) {
        Ok(Outcome::Passed) => 0,
        Ok(Outcome::Idle) => Code::Failed.exit(),
        Ok(_) => EXIT_DIFFERENCE,
        Err(_) => 0,
    }
}

/// Draws a run: how far it is, or what it came to.
fn show_run(document: &Value, screen: &Screen) -> String {
    if let Ok(report) = serde_json::from_value::<Report>(document.clone()) {
        return chaos_report::show(&report, screen);
    }
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "run"));
    line.push(Tone::Plain, &format!(" {}", far(document)));
    line.wrap(screen, 2)
}

/// How far a run is, in words.
fn far(document: &Value) -> String {
    let seconds = |key| {
        let ms = Duration::from_millis(number(document, key));
        format!("{:.0} s", ms.as_secs_f64())
    };
    let (elapsed, all) = (seconds("elapsed_ms"), seconds("for_ms"));
    let struck = count(number(document, "struck"), "fault");
    match (text(document, "state"), text(document, "order")) {
        ("returning", _) => "waits for all to come back after its kernel was killed".to_owned(),
        ("above", _) => "goes above all budgets, into safe mode and back".to_owned(),
        (_, "stop") => format!("is being stopped: {struck}"),
        (_, "pause") => format!("is at a pause after {elapsed} of {all}: {struck}"),
        _ => format!("runs for {elapsed} of {all}: {struck}"),
    }
}
