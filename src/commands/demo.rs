//! `uk demo`: a rescue robot in a storm.

use std::io;
use std::time::Duration;

use unity_actors::chaos::report::Outcome;
use unity_actors::chaos::report::svg::svg;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::demo::{self, Show};
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::output;
use crate::screen::printable;

/// How long the storm is unless it is said.
const FOR: Duration = Duration::from_secs(40);

pub(super) const COMMAND: Command = Command {
    about: "See a robot survive a storm, in a minute",
    help: "Boots a rescue robot in this process: a camera, a lidar, two models that fall back to smaller ones, an arm with an \
           interlock, a program in Python. Then a storm kills, hangs and floods them, while you see the tree. It ends with what was \
           counted. Needs no kernel, no file and no network; nothing is left behind. q or Ctrl-C ends it in order.\n\n\
           Where nothing can be drawn, and with --json, it says what happens line by line on stderr. The same seed strikes the same \
           parts.\n\n\
           Example: uk demo --seed 7",
    args: &[
        Arg::option("for", ArgKind::Duration, "how long the storm is; 40s"),
        Arg::option(
            "seed",
            ArgKind::Integer,
            "what chance begins with; drawn if not given",
        ),
        Arg::option("svg", ArgKind::File, "a picture of it is written there"),
    ],
    ..Command::local(&["demo"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let show = Show {
        takes: args.duration("for").unwrap_or(FOR),
        seed: args
            .integer("seed")
            .unwrap_or_else(|| fastrand::u64(..1 << 32)),
        draws: !caller.json && output::takes_drawing(&io::stdout()),
        tells: true,
        interrupts: caller.interrupts.as_deref(),
    };
    let (report, end) = demo::play(show)?;
    if let Some(file) = args.text("svg") {
        std::fs::write(file, svg(&report)).map_err(|error| {
            CommandError::new(Code::Failed, format!("{}: {error}", printable(file)))
                .hint("name a file in a folder that you may write to")
        })?;
    }
    if caller.json {
        output::out(&format!("{end}\n"))?;
    } else {
        output::out(&demo::last_lines(&end, &caller.screen))?;
    }
    Ok(match report.outcome {
        Outcome::Passed | Outcome::Stopped => 0,
        _ => EXIT_DIFFERENCE,
    })
}
