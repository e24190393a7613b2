//! `cargo bench --bench reliability`: writes `RELIABILITY.md` from the table of promises and from the reports of runs.
//!
//! With `--take RUN` it first takes the report of a run from standard input, and notes where it was measured.

mod kept;

use std::env;
use std::io::{self, Read};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::kept::promises::PAGE;
use crate::kept::{keep, write_page};

const USAGE: &str = "\
usage: cargo bench --bench reliability [-- --take RUN < report.json]

take: the report of a run, from standard input, which is kept in benches/reliability/RUN.json; `chaos` is that of
      `uk chaos run --json`; the other runs keep theirs themselves
Without it the page is written anew from the reports that are there.";

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => write_page(),
        ["--take", run] => take(run),
        ["--help"] => {
            complain(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => {
            complain(&format!("{PAGE} is written"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress and errors of a bench")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn take(run: &str) -> Result<()> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .context("standard input")?;
    let report: Value =
        serde_json::from_str(&text).context("standard input is no report in JSON")?;
    keep(run, &report)
}
