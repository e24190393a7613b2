//! `uk paths`: the paths of what is there, one a line.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::slot::Slot;
use unity_supervisors::{ActorPath, Kernel};

use super::Command;
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::error::CommandError;
use crate::screen::{Screen, list, number, text};

/// How many are listed unless another number is given.
const LIMIT: u64 = 100_000;

pub(super) const COMMAND: Command = Command {
    about: "List paths, one a line, as scripts and completion want them",
    help: "With BEGIN only those that begin so, which need not end with a whole id. In the order of the tree; the kernel's own \
           services come last. `--json` says of each what it is and how it is.\n\n\
           Example: uk paths /drones/ | while read -r path; do uk restart \"$path\"; done",
    args: &[
        Arg::optional(
            "begin",
            ArgKind::Form(Form::Beginning),
            "what they begin with, as in /sensors/",
        ),
        Arg::option("supervisors", ArgKind::Flag, "only those of supervisors"),
        Arg::option("limit", ArgKind::Integer, "no more than so many"),
    ],
    show,
    ..Command::reading(&["paths"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let begin = args.text("begin").unwrap_or("/");
    let limit = args.integer("limit").unwrap_or(LIMIT);
    let mut found = Found {
        begin,
        only_supervisors: args.flag("supervisors"),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        paths: Vec::new(),
        more: 0,
    };
    let (above, _) = begin.rsplit_once('/').unwrap_or_default();
    let above: Option<ActorPath> = match above {
        "" => None,
        above => Some(above.parse().map_err(CommandError::from)?),
    };
    let tops = match above {
        Some(above) => vec![kernel.registry().get(&above)],
        None => vec![kernel.root(), kernel.system()],
    };
    for top in tops.iter().flatten() {
        found.add(top);
    }
    Ok(json!({ "version": 1, "node": kernel.name(), "paths": found.paths, "more": found.more }))
}

struct Found<'a> {
    begin: &'a str,
    only_supervisors: bool,
    limit: usize,
    paths: Vec<Value>,
    more: u64,
}

impl Found<'_> {
    /// Adds a slot and those below it, as far as they begin as wanted.
    fn add(&mut self, slot: &Arc<Slot>) {
        let path = slot.path().as_str();
        let begins = path.starts_with(self.begin);
        if begins && (slot.is_supervisor() || !self.only_supervisors) {
            if self.paths.len() < self.limit {
                let spec = slot.spec();
                let what = spec.as_worker().map_or("supervisor", |worker| &worker.kind);
                self.paths
                    .push(json!({ "path": path, "what": what, "state": slot.state() }));
            } else {
                self.more += 1;
            }
        }
        let is_above = self.begin.starts_with(path) && is_above(path, self.begin);
        if begins || is_above {
            slot.children().iter().for_each(|child| self.add(child));
        }
    }
}

/// Whether what begins with `begin` can lie below `path`, with which that begins.
fn is_above(path: &str, begin: &str) -> bool {
    let rest = begin.get(path.len()..).unwrap_or_default();
    path == "/" || rest.starts_with('/')
}

fn show(document: &Value, _: &Screen) -> String {
    let mut out = String::new();
    for path in list(document, "paths") {
        out.push_str(text(path, "path"));
        out.push('\n');
    }
    match number(document, "more") {
        0 => out,
        more => out + &format!("… and {more} more\n"),
    }
}
