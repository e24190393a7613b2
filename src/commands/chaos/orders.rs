//! `uk chaos pause`, `resume` and `stop`: what somebody wants of the run under way.

use futures_util::FutureExt;
use serde_json::Value;
use unity_actors::chaos::run::Order;
use unity_supervisors::Kernel;

use super::{Command, no_run, runs, show_run, under_way};
use crate::error::CommandError;

pub(in super::super) const PAUSE: Command = Command {
    about: "Strike nobody for now",
    help: "What was struck comes back meanwhile, and what must hold is looked at as before. `uk chaos resume` goes on.\n\n\
           Example: uk chaos pause",
    show: show_run,
    ..Command::changing(&["chaos", "pause"], |kernel, _| {
        async move { order(&kernel, Order::Pause) }.boxed()
    })
};

pub(in super::super) const RESUME: Command = Command {
    about: "Go on after a pause",
    help: "A run at a pause goes on where it was: the pause does not count as its time.\n\n\
           Example: uk chaos resume",
    show: show_run,
    ..Command::changing(&["chaos", "resume"], |kernel, _| {
        async move { order(&kernel, Order::Go) }.boxed()
    })
};

pub(in super::super) const STOP: Command = Command {
    about: "Undo all faults and end the run",
    help: "It ends as soon as all is well again, and has a report like any other.\n\n\
           Example: uk chaos stop",
    show: show_run,
    ..Command::changing(&["chaos", "stop"], |kernel, _| {
        async move { order(&kernel, Order::Stop) }.boxed()
    })
};

fn order(kernel: &Kernel, order: Order) -> Result<Value, CommandError> {
    let progress = runs(kernel).order(order).ok_or_else(no_run)?;
    Ok(under_way(&progress))
}
