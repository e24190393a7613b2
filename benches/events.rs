//! `cargo bench --bench events`: how soon events arrive where they are handled.
//!
//! Boots real kernels in this process. Each row checks first that what it measures is what it says. Ends with exit code 1
//! when a limit is broken.

#[path = "events/jobs.rs"]
mod jobs;
#[path = "verdict.rs"]
mod verdict;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    verdict::of(run())
}

fn run() -> Result<bool> {
    jobs::run()
}
