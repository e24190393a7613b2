//! Where the reports of runs are kept: a file each in a folder, the last [`KEPT_MAX`] of them, and the journal of a run whose
//! kernel is about to be killed.
//!
//! A file is there whole or not at all. It is none of the kernel's promises that a report outlives a machine that loses its power,
//! so nothing is synced.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use unity_supervisors::ActorPath;
use unity_supervisors::clock::Timestamp;

use super::report::markdown::markdown;
use super::report::svg::svg;
use super::report::{Outcome, Report};

/// How many reports are kept.
pub const KEPT_MAX: usize = 100;
/// What stands before the number of a run.
const RUN: char = 'r';
const JOURNAL: &str = "journal";

/// The folder of reports; without one none are kept.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Option<PathBuf>);

/// What is told of a run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which run it was.
    pub run: String,
    /// The name of its plan.
    pub plan: String,
    /// What chance began with.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
    /// How many faults ended a life.
    pub kills: u64,
    /// How many messages were lost.
    pub lost: u64,
}

/// What the next kernel needs to bring a report to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The report so far.
    pub report: Report,
    /// When the kernel was killed.
    pub killed_at: Timestamp,
    /// What is to be up again.
    pub up: Vec<ActorPath>,
    /// How long that may take.
    pub settles_within_ms: u64,
}

impl Shelf {
    /// The one in this folder, which is made with the first report.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(Some(folder))
    }

    /// What the next run is called, after the last that was known.
    #[must_use]
    pub fn next(&self, last: u64) -> (u64, String) {
        let kept = self.numbers().pop().unwrap_or_default();
        let number = last.max(kept) + 1;
        (number, format!("{RUN}{number}"))
    }

    /// Keeps a report, and removes the oldest beyond [`KEPT_MAX`].
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(&self, report: &Report) -> io::Result<()> {
        self.write(&report.run, report)?;
        self.write_text(&report.run, "svg", svg(report).as_bytes())?;
        self.write_text(&report.run, "md", markdown(report).as_bytes())?;
        let mut numbers = self.numbers();
        numbers.truncate(numbers.len().saturating_sub(KEPT_MAX));
        for number in numbers {
            for ending in ["json", "svg", "md"] {
                self.remove(&format!("{RUN}{number}"), ending)?;
            }
        }
        Ok(())
    }

    /// The report of a run, if it is kept.
    #[must_use]
    pub fn report(&self, run: &str) -> Option<Report> {
        // Not every text is the name of a file here.
        number_of(run)?;
        self.read(run)
    }

    /// Those that are kept, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        let numbers = self.numbers().into_iter().rev();
        let summary = |number| self.read(&format!("{RUN}{number}"));
        numbers.filter_map(summary).collect()
    }

    /// Writes down what the next kernel needs.
    ///
    /// # Errors
    /// What the system says, or that there is no folder.
    pub fn write_journal(&self, journal: &Journal) -> io::Result<()> {
        match &self.0 {
            Some(_) => self.write(JOURNAL, journal),
            None => Err(io::Error::other("this kernel has no data folder")),
        }
    }

    /// What was written down, if something was; it is not there a second time.
    #[must_use]
    pub fn take_journal(&self) -> Option<Journal> {
        let journal = self.read(JOURNAL);
        if journal.is_some()
            && let Err(error) = self.remove(JOURNAL, "json")
        {
            tracing::warn!(%error, "the journal of a chaos run cannot be removed");
        }
        journal
    }

    /// The numbers of those that are kept, oldest first.
    fn numbers(&self) -> Vec<u64> {
        let entries = self.0.as_ref().and_then(|folder| fs::read_dir(folder).ok());
        let names = entries.into_iter().flatten().flatten();
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            number_of(name.strip_suffix(".json")?)
        };
        let mut numbers: Vec<u64> = names.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn file(&self, name: &str, ending: &str) -> Option<PathBuf> {
        let folder = self.0.as_ref()?;
        Some(folder.join(format!("{name}.{ending}")))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = fs::read(self.file(name, "json")?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        self.write_text(name, "json", &text)
    }

    fn write_text(&self, name: &str, ending: &str, text: &[u8]) -> io::Result<()> {
        let (Some(folder), Some(file)) = (&self.0, self.file(name, ending)) else {
            return Ok(());
        };
        let mut maker = DirBuilder::new();
        maker.recursive(true).mode(0o700).create(folder)?;
        let beside = file.with_extension("new");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&beside)?.write_all(text)?;
        fs::rename(beside, file)
    }

    /// Removes a file; one that is not there is no error.
    fn remove(&self, name: &str, ending: &str) -> io::Result<()> {
        match self.file(name, ending).map_or(Ok(()), fs::remove_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The number of a run that is called so.
fn number_of(run: &str) -> Option<u64> {
    let digits = run.strip_prefix(RUN)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_runs_are_names_of_files() {
        for (run, number) in [
            ("r1", Some(1)),
            ("r120", Some(120)),
            ("r", None),
            ("1", None),
            ("r+1", None),
            ("../r1", None),
            ("journal", None),
        ] {
            assert_eq!(number_of(run), number, "{run}");
        }
    }
}
