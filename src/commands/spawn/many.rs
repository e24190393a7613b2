//! `uk spawn --count`: many children of a template at once.

use serde_json::{Value, json};
use unity_supervisors::{ActorPath, Done, Kernel, RequestError};

use crate::arguments::Args;
use crate::error::{Code, CommandError, refusal_hint};
use crate::screen::{Line, Screen, Tone, children, list, number, text, thousands};

/// How many are made at once.
pub(super) const COUNT_MAX: u64 = 100_000;
/// How many different reasons of failures are told.
const FAILURES_SHOWN: usize = 5;

/// Why some of them were not started.
struct Failure {
    error: RequestError,
    first: ActorPath,
    count: u64,
}

pub(super) async fn run(
    kernel: &Kernel,
    args: &Args,
    under: &ActorPath,
    settings: &Value,
) -> Result<Value, CommandError> {
    let asked = args.integer("count").unwrap_or_default();
    let each = (0..asked).map(|_| (None, settings.clone()));
    let each = kernel.spawn_many(under, each).await;
    let each = each.map_err(|error| CommandError::of_kernel(error, kernel))?;

    Ok(document(kernel, under, each))
}

/// What became of each, failures of the same kind together.
fn document(
    kernel: &Kernel,
    under: &ActorPath,
    each: Vec<(ActorPath, Result<Done, RequestError>)>,
) -> Value {
    let asked = each.len();
    let (mut started, mut ignored) = (0_u64, 0_u64);
    let mut ends: Option<(ActorPath, ActorPath)> = None;
    let mut failures: Vec<Failure> = Vec::new();
    for (path, result) in each {
        match result {
            Ok(Done::Started { .. }) => {
                started += 1;
                let first = ends.take().map_or_else(|| path.clone(), |(first, _)| first);
                ends = Some((first, path));
            }
            Ok(_) => ignored += 1,
            Err(error) => match failures.iter_mut().find(|known| known.error == error) {
                Some(known) => known.count += 1,
                None => failures.push(Failure {
                    error,
                    first: path,
                    count: 1,
                }),
            },
        }
    }
    let failed: u64 = failures.iter().map(|failure| failure.count).sum();
    let told = failures.iter().take(FAILURES_SHOWN);
    let told: Vec<Value> = told.map(|failure| told_of(failure, kernel)).collect();
    json!({
        "version": 1,
        "path": under,
        "done": "spawned",
        "asked": asked,
        "started": started,
        "ignored": ignored,
        "failed": failed,
        "first": ends.as_ref().map(|(first, _)| first),
        "last": ends.as_ref().map(|(_, last)| last),
        "failures": told,
    })
}

fn told_of(failure: &Failure, kernel: &Kernel) -> Value {
    let hint = match failure.error {
        RequestError::StartFailed(_) => {
            "nothing was left of them: mend it and spawn them again".to_owned()
        }
        ref error => refusal_hint(&failure.first, error, kernel),
    };
    json!({
        "error": failure.error.to_string(),
        "hint": hint,
        "first": failure.first,
        "count": failure.count,
    })
}

/// 1 if some of them were not started.
pub(super) fn exit(document: &Value) -> u8 {
    match number(document, "failed") {
        0 => 0,
        _ => Code::Failed.exit(),
    }
}

pub(super) fn show(document: &Value, screen: &Screen) -> String {
    let (asked, started) = (number(document, "asked"), number(document, "started"));
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "path"));
    let tone = if asked == started {
        Tone::Plain
    } else {
        Tone::Warn
    };
    let of = if asked == started {
        format!(" started {}", children(started))
    } else {
        format!(" started {} of {}", thousands(started), children(asked))
    };
    line.push(tone, &of);
    let (first, last) = (text(document, "first"), text(document, "last"));
    if first == last {
        line.push(
            Tone::Dim,
            &format!("{}{first}", if first.is_empty() { "" } else { ": " }),
        );
    } else {
        line.push(Tone::Dim, &format!(": {first} to {last}"));
    }
    let mut out = line.wrap(screen, 2);
    let ignored = number(document, "ignored");
    if ignored > 0 {
        out.push_str(&format!(
            "{} not wanted by their own start\n",
            thousands(ignored)
        ));
    }
    for failure in list(document, "failures") {
        let mut line = Line::new();
        let (count, first) = (thousands(number(failure, "count")), text(failure, "first"));
        line.push(Tone::Bad, "error");
        line.push(
            Tone::Plain,
            &format!(
                ": {count} not started, the first `{first}`: {}",
                text(failure, "error")
            ),
        );
        out.push_str(&line.wrap(screen, 2));
        out.push_str(&format!("hint: {}\n", text(failure, "hint")));
    }
    out
}
