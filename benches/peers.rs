//! `cargo bench --bench peers`: our rows with the peers beside us, interleaved in one run.
//!
//! Each framework is a process of its own (`benches/peers/`, ours is this program called with `--ours`),
//! so that no feature of one is linked into another. Rounds go row by row and framework by framework;
//! what is printed is the median of the rounds, its spread, and our ratio to each peer. A framework that fails
//! loses its own figures and no others.

mod frameworks;
mod machine;
mod ours;
mod process;
mod report;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::frameworks::Programs;
use crate::report::{FRAMEWORKS, ROWS, Results, Row};

const USAGE: &str = "\
usage: cargo bench --bench peers -- [--rounds N] [--seconds S] [--rows ROW,...] [--json]

rounds: how many times each row is measured; default: 5
seconds: how long each measurement lasts; default: 1
rows: only these; benches/RESULTS.md is then left as it is
json: one document on one line instead of the tables; benches/RESULTS.md is left as it is";

struct Options {
    rounds: usize,
    seconds: f64,
    rows: Vec<&'static Row>,
    json: bool,
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`; a peer's process never sees it.
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "--ours"
    {
        return ours::run(rest);
    }
    if arguments.iter().any(|word| word == "--help") {
        complain(USAGE);
        return ExitCode::SUCCESS;
    }
    match parse(&arguments) {
        Err(error) => {
            complain(&format!("error: {error:#}\n\n{USAGE}"));
            ExitCode::from(2)
        }
        Ok(options) => bench(&options).unwrap_or_else(|error| {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }),
    }
}

#[expect(clippy::print_stderr, reason = "progress and errors of a bench")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 5,
        seconds: 1.0,
        rows: ROWS.iter().collect(),
        json: false,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "--json" => options.json = true,
            "--rounds" => {
                let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                options.rounds = rounds.context("--rounds is a whole number above 0")?;
            }
            "--seconds" => {
                let seconds = value()?.parse().ok();
                let seconds = seconds.filter(|it| (0.01..=60.0).contains(it));
                options.seconds = seconds.context("--seconds is a number from 0.01 to 60")?;
            }
            "--rows" => options.rows = rows(value()?)?,
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(options)
}

fn rows(names: &str) -> Result<Vec<&'static Row>> {
    for name in names.split(',') {
        if !ROWS.iter().any(|row| row.name == name) {
            let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            bail!("there is no row `{name}`; there are {}", known.join(", "));
        }
    }
    let is_wanted = |row: &&Row| names.split(',').any(|name| name == row.name);
    Ok(ROWS.iter().filter(is_wanted).collect())
}

fn bench(options: &Options) -> Result<ExitCode> {
    let programs = Programs::build()?;
    let mut results = Results::default();
    let mut groups: Vec<_> = options.rows.iter().map(|row| row.group).collect();
    groups.dedup();
    for round in 1..=options.rounds {
        for group in &groups {
            complain(&format!("round {round} of {}: {group}", options.rounds));
            for (framework, _) in FRAMEWORKS {
                if !results.has_failed(framework, group) {
                    measure(&programs, framework, group, options, &mut results);
                }
            }
        }
    }
    let text = if options.json {
        results.document(&options.rows) + "\n"
    } else {
        results.tables(&options.rows)
    };
    io::stdout().write_all(text.as_bytes()).context("stdout")?;
    if options.json {
        complain("benches/RESULTS.md is left as it is: --json");
    } else if options.rows.len() < ROWS.len() {
        complain("benches/RESULTS.md is left as it is: not all rows were measured");
    } else {
        write_results(options, &results)?;
    }
    Ok(ExitCode::from(u8::from(results.ours_failed())))
}

/// One process; what it fails of is told now and in the end.
fn measure(
    programs: &Programs,
    framework: &str,
    group: &str,
    options: &Options,
    results: &mut Results,
) {
    let lines = programs
        .measure(framework, group, options.seconds)
        .map_err(|error| format!("{error:#}"));
    let added = lines.and_then(|lines| {
        lines
            .lines()
            .try_for_each(|line| results.add(framework, line))
    });
    if let Err(why) = added {
        complain(&format!("{framework} failed in {group}: {why}"));
        results.fail(framework, group, why);
    }
}

fn write_results(options: &Options, results: &Results) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let run = format!(
        "Medians of {} rounds of {} s each, frameworks interleaved, ± half the distance between the extremes.",
        options.rounds, options.seconds
    );
    let text = results.file(&options.rows, &run, &machine::describe());
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    complain("benches/RESULTS.md is written");
    Ok(())
}
