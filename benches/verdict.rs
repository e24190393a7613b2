//! What the benches that hold limits share: lines on stdout, and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

/// 0 if all limits hold, 1 if one is broken or the bench could not be run; then it says why.
pub(crate) fn of(run: Result<bool>) -> ExitCode {
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn report(line: &str) {
    // A closed pipe ends the bench soon enough.
    drop(writeln!(io::stdout().lock(), "{line}"));
}
