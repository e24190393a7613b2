//! Plans in files, as they are read where a command was typed.

use serde_json::Value;
use unity_actors::chaos::plan::{Plan, USUAL};

use crate::arguments::{Arg, ArgKind, Args};
use crate::chaos_file;
use crate::cli::Caller;
use crate::commands::config;
use crate::error::{Code, CommandError};
use crate::output;

/// Which plan.
pub(super) const PLAN: Arg = Arg::optional(
    "plan",
    ArgKind::File,
    "the name of a plan, as in storm, or its file; without one the usual",
)
.stays();

/// Reads the plan that is named; `None` is the usual one.
pub(super) fn read(caller: &Caller, args: &Args) -> Result<Option<Value>, CommandError> {
    let Some(named) = args.text(PLAN.name).filter(|named| *named != USUAL) else {
        return Ok(None);
    };
    let plan = load(named, caller, args)?;
    serde_json::to_value(plan)
        .map(Some)
        .map_err(|error| invalid(named, &error))
}

/// Reads a plan, and tells what is the matter with it.
pub(in crate::commands) fn load(
    named: &str,
    caller: &Caller,
    args: &Args,
) -> Result<Plan, CommandError> {
    let checked = chaos_file::load(named, &config::folder(args, None));
    let said = checked.render(!caller.json && output::wants_colour(&std::io::stderr()));
    let Some(plan) = checked.tree else {
        let message = format!("the plan `{named}` is not valid: {}", checked.summary());
        return Err(CommandError::new(Code::Invalid, message)
            .hint("`uk schema chaos` says what may stand in a plan")
            .shown(said));
    };
    if !caller.json {
        output::err(&said);
    }
    Ok(plan)
}

/// What is said of a plan that is none.
pub(super) fn invalid(name: &str, error: &serde_json::Error) -> CommandError {
    CommandError::new(Code::Invalid, format!("{name} is no plan: {error}"))
        .hint("`uk schema chaos` says what may stand in a plan")
}
