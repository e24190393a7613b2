//! `uk demo`: a rescue robot in a storm.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
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
/// A shorter one strikes nobody.
const LEAST_MS: u64 = 1_000;

pub(super) const COMMAND: Command = Command {
    about: "See a robot survive a storm, in a minute",
    help: "Boots a rescue robot in this process: a camera, a lidar, two models that fall back to smaller ones, an arm with an \
           interlock, a program in Python. Then a storm kills, hangs and floods them, while you see the tree. It ends with what was \
           counted. Needs no kernel, no file and no network; nothing is left behind. q or Ctrl-C ends it in order.\n\n\
           Where nothing can be drawn, and with --json, it says what happens line by line on stderr. The same seed strikes the same \
           parts.\n\n\
           Example: uk demo --seed 7",
    args: &[
        Arg::option("for", ArgKind::Duration, "how long the storm is; 40s")
            .within(LEAST_MS, u64::MAX),
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
    // Whether it can be written is known before the storm, not after it.
    let picture = args.text("svg").map(Picture::open).transpose()?;
    let (report, end) = demo::play(show)?;
    if let Some(picture) = picture {
        picture.write(&svg(&report))?;
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

/// The file that the picture is to be in. What is there is kept until the picture is.
struct Picture<'a> {
    name: &'a str,
    file: File,
    /// Whether it was made for this, and is empty until then.
    is_new: bool,
}

impl<'a> Picture<'a> {
    fn open(name: &'a str) -> Result<Self, CommandError> {
        let mut options = OpenOptions::new();
        options.write(true);
        let (opened, is_new) = match options.clone().create_new(true).open(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(name), false)
            }
            opened => (opened, true),
        };
        let file = opened.map_err(|error| cannot(name, &error))?;
        Ok(Self { name, file, is_new })
    }

    fn write(mut self, svg: &str) -> Result<(), CommandError> {
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.write_all(svg.as_bytes()));
        written.map_err(|error| cannot(self.name, &error))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for Picture<'_> {
    fn drop(&mut self) {
        if self.is_new && std::fs::remove_file(self.name).is_err() {
            tracing::warn!(file = self.name, "an empty file is left behind");
        }
    }
}

fn cannot(name: &str, error: &io::Error) -> CommandError {
    CommandError::new(Code::Failed, format!("{}: {error}", printable(name)))
        .hint("name a file in a folder that you may write to")
}
