//! `cargo bench --bench reliability`: writes `RELIABILITY.md` from the table of promises and from the reports of runs.
//!
//! With `--take RUN` it first takes the report of a run from standard input, and notes where it was measured.

mod machine;
mod promises;

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::promises::{FOLDER, PAGE, RUNS, page};

const USAGE: &str = "\
usage: cargo bench --bench reliability [-- --take RUN < report.json]

take: the report of a run, from standard input, which is kept in benches/reliability/RUN.json; `chaos` is that of
      `uk chaos run --json`
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
        ["--take", run] => take(run).and_then(|()| write_page()),
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
        Ok(()) => ExitCode::SUCCESS,
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
    if !RUNS.iter().any(|(name, _)| *name == run) {
        let known: Vec<&str> = RUNS.iter().map(|(name, _)| *name).collect();
        bail!("there is no run `{run}`; there are {}", known.join(", "));
    }
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .context("standard input")?;
    let report: Value =
        serde_json::from_str(&text).context("standard input is no report in JSON")?;
    let document = json!({ "version": 1, "measured": machine::describe(), "report": report });
    // What lacks a figure is refused before it replaces what does not.
    page(&|name| {
        if name == run {
            Some(document.clone())
        } else {
            None
        }
    })
    .map_err(anyhow::Error::msg)?;
    let file = file_of(run);
    fs::create_dir_all(root().join(FOLDER)).context(FOLDER)?;
    fs::write(&file, format!("{document:#}\n"))
        .with_context(|| format!("{} cannot be written", file.display()))
}

fn write_page() -> Result<()> {
    let read = |run: &str| serde_json::from_str(&fs::read_to_string(file_of(run)).ok()?).ok();
    let text = page(&read).map_err(anyhow::Error::msg)?;
    fs::write(root().join(PAGE), text).with_context(|| format!("{PAGE} cannot be written"))?;
    complain(&format!("{PAGE} is written"));
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file_of(run: &str) -> PathBuf {
    root().join(FOLDER).join(format!("{run}.json"))
}
