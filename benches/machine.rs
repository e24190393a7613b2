//! What a figure was measured on.

use std::fs;
use std::process::Command;

/// Processor, memory, system, compiler and day, as far as they can be told.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = line_of("/proc/cpuinfo", "model name");
    let kilobytes: f64 = line_of("/proc/meminfo", "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or(f64::NAN);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
    vec![
        ("date", output_of("date", &["-u", "+%Y-%m-%d"])),
        ("processor", format!("{model}, {cores} cores")),
        ("memory", format!("{:.1} GB", kilobytes * 1_024.0 / 1e9)),
        ("Linux", kernel.trim().to_owned()),
        ("compiler", output_of("rustc", &["--version"])),
    ]
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// What stands behind the colon of the first line that begins so.
fn line_of(file: &str, start: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(start));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(unknown, |(_, value)| value.trim().to_owned())
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(unknown, |text| text.trim().to_owned())
}
