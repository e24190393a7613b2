//! Reports of runs that are kept in `benches/reliability`, and the page that is written from them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use serde_json::{Value, json};

#[path = "machine.rs"]
mod machine;
#[path = "promises.rs"]
pub(crate) mod promises;

use self::promises::{FOLDER, PAGE, RUNS, page};

/// Keeps the report of a run, with what it was measured on, and writes the page anew.
///
/// # Errors
/// If it is no run that is known, if its report lacks a figure of the page, or if a file cannot be written.
pub(crate) fn keep(run: &str, report: &Value) -> Result<()> {
    if !RUNS.iter().any(|(name, _)| *name == run) {
        let known: Vec<&str> = RUNS.iter().map(|(name, _)| *name).collect();
        bail!("there is no run `{run}`; there are {}", known.join(", "));
    }
    let mut report = report.clone();
    if let Some(report) = report.as_object_mut() {
        // What was done when is long, and the seed tells it again.
        report.retain(|key, _| !["acts", "down"].contains(&key.as_str()));
    }
    let document = json!({ "version": 1, "measured": machine::describe(), "report": report });
    // What lacks a figure is refused before it replaces what does not.
    page(&|name| (name == run).then(|| document.clone())).map_err(Error::msg)?;
    let file = file_of(run);
    fs::create_dir_all(root().join(FOLDER)).context(FOLDER)?;
    fs::write(&file, format!("{document:#}\n"))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    write_page()
}

/// Writes the page from the reports that are there.
///
/// # Errors
/// If a report lacks a figure, or if it cannot be written.
pub(crate) fn write_page() -> Result<()> {
    let read = |run: &str| serde_json::from_str(&fs::read_to_string(file_of(run)).ok()?).ok();
    let text = page(&read).map_err(Error::msg)?;
    fs::write(root().join(PAGE), text).with_context(|| format!("{PAGE} cannot be written"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file_of(run: &str) -> PathBuf {
    root().join(FOLDER).join(format!("{run}.json"))
}
