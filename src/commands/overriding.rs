//! `uk override`: takes an actor in hand at once.
//!
//! It does what `suspend`, `resume`, `stop` and `kill` do, by one name and one route that programs for emergencies know. It
//! waits for nobody: each request is a task of its own, and a supervisor takes it between two steps, never behind work.

use futures_util::FutureExt;
use serde_json::Value;
use unity_supervisors::Kernel;

use super::{Command, PATH, done, show_done};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::CommandError;

/// What can be done.
const ACTS: &[&str] = &["suspend", "resume", "stop", "kill"];

pub(super) const COMMAND: Command = Command {
    about: "Take an actor in hand at once: suspend, resume, stop or kill it",
    help: "For emergencies: what `uk suspend`, `resume`, `stop` and `kill` do, by one name, as in `POST /api/v1/override` \
           with {\"path\": \"/arm/driver\", \"act\": \"suspend\"}. A stop waits for the message in hand; a kill does \
           not, and its supervisor starts the actor again by its rules.\n\n\
           Example: uk override /arm/driver suspend",
    args: &[
        PATH,
        Arg::required("act", ArgKind::Word(ACTS), "suspend, resume, stop or kill"),
    ],
    show: show_done,
    ..Command::changing(&["override"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    let result = match args.text("act") {
        Some("suspend") => kernel.suspend(&path).await,
        Some("resume") => kernel.resume(&path).await,
        Some("stop") => kernel.stop(&path).await,
        _ => kernel.kill(&path, Some("uk override".to_owned())).await,
    };
    done(&kernel, &path, result)
}
