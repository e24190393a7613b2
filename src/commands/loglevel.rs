//! `uk loglevel`: what is logged, and what is from now on.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args, Form, LEVELS};
use crate::error::{Code, CommandError};
use crate::screen::text;
use crate::settings::system::InForce;

pub(super) const COMMAND: Command = Command {
    about: "Show what is logged, or change it while the kernel runs",
    help: "LEVEL is off, error, warn, info, debug or trace; TARGET=LEVEL says it of one part alone, the rest stays. Without it \
           the filter in force is printed. It lasts until the kernel stops or its settings say something else; \
           `uk config set system log=…` is for good.\n\n\
           Example: uk loglevel unity_supervisors=debug",
    args: &[Arg::optional(
        "level",
        ArgKind::Form(Form::Level),
        "a level, or a part and its level, as in unity_kernel=debug",
    )],
    show: |document, _| {
        let (log, before) = (text(document, "log"), text(document, "before"));
        match before {
            "" => format!("{log}\n"),
            before if before == log => format!("{log}, as before\n"),
            before => format!("{before} → {log}\n"),
        }
    },
    ..Command::changing(&["loglevel"], |kernel, args| {
        async move { run(&kernel, &args) }.boxed()
    })
};

fn run(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let in_force = kernel.shared::<InForce>();
    let before = in_force.get().log.clone();
    let Some(wanted) = args.text("level") else {
        return Ok(json!({ "version": 1, "log": before }));
    };
    let log = changed(&before, wanted)?;
    let failed = |why| CommandError::new(Code::Failed, format!("the log stays as it is: {why}"));
    in_force.set_log(&log).map_err(failed)?;
    tracing::info!(filter = log, "the log goes by another filter");
    Ok(json!({ "version": 1, "log": log, "before": before }))
}

/// The filter with one of its parts as wanted.
fn changed(filter: &str, wanted: &str) -> Result<String, CommandError> {
    let (target, level) = match wanted.rsplit_once('=') {
        Some((target, level)) => (Some(target), level),
        None => (None, wanted),
    };
    let level = level.to_ascii_lowercase();
    let stays = |part: &&str| match (target, part.rsplit_once('=')) {
        (Some(target), Some((its, _))) => its != target,
        (None, None) => !LEVELS.contains(&part.to_ascii_lowercase().as_str()),
        (Some(target), None) => *part != target,
        (None, Some(_)) => true,
    };
    let new = match target {
        Some(target) => format!("{target}={level}"),
        None => level,
    };
    let mut parts: Vec<&str> = parts(filter).into_iter().filter(stays).collect();
    // A level for all stands first, as people write it.
    parts.insert(if target.is_some() { parts.len() } else { 0 }, &new);
    Ok(parts.join(","))
}

/// The parts of a filter; a comma between brackets parts none.
fn parts(filter: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = filter.split(|c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_of_a_filter_is_changed_and_the_rest_stays() {
        for (filter, wanted, expected) in [
            ("warn", "debug", "debug"),
            ("warn,a=info", "debug", "debug,a=info"),
            ("warn,a=info", "a=trace", "warn,a=trace"),
            ("warn,a=info", "b::c=OFF", "warn,a=info,b::c=off"),
            ("a=info", "error", "error,a=info"),
            ("", "info", "info"),
            (
                "warn,a[s{x=1,y=2}]=debug",
                "info",
                "info,a[s{x=1,y=2}]=debug",
            ),
        ] {
            assert_eq!(
                changed(filter, wanted).unwrap(),
                expected,
                "{filter} {wanted}"
            );
        }
    }
}
