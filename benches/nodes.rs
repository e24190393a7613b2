//! `cargo bench --bench nodes`: messages between two nodes over the loopback, beside `ractor_cluster`.
//!
//! | row | what is measured |
//! |---|---|
//! | `remote tell 64 B` | one task tells 64 bytes to an actor of another process; messages handled, until the last. Where nothing holds the task back it runs twice, freely and with at most 1,024 on the way, and the faster counts |
//! | `remote ask p50`, `p99` | one ask at a time, with a time limit of 1 s |
//! | `memory, stalled peer` | the receiver's process is stopped for 3 s while the sender tells 64 bytes as fast as it can: by how much the sender's resident memory has grown at its peak |
//! | `mesh of 32 kernels` | 32 kernels in one process, with links in memory, each told of those before it: from the start of the first until each is attached to all others |
//! | `failover beyond the lease` | a placed child with `failover: elsewhere` and a lease of 3 s; its node is cut off (links in memory): from the cut until it answers from another node, less the lease |
//! | `events to 8 nodes` | one kernel publishes what it keeps in a stream (async), eight others relay it over TCP and publish each event again, all in one process: events heard by all eight together, until the last |
//!
//! The first rows are measured on each side, the last three on ours alone. Each side is two processes, two workers each; the loops are those of `benches/peers/measure`. Rounds go row by row
//! and side by side; what is printed is the median of the rounds, and what is held is the ratio of the medians. Ends
//! with exit code 1 when a limit is broken or a side fails. A run that prints the tables is kept for `RELIABILITY.md`.

#[path = "nodes/alone.rs"]
mod alone;
mod kept;
mod medians;
#[path = "nodes/ours.rs"]
mod ours;
mod process;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use self::kept::keep;
use self::kept::promises::{NODES, table};
use self::medians::{figure, median, spread};

const USAGE: &str = "\
usage: cargo bench --bench nodes -- [--rounds N] [--seconds S] [--json]

rounds: how many times each row is measured; default: 5
seconds: how long tells and asks are measured; default: 1
json: one document on one line instead of the table";

/// What a figure of ours has to reach.
enum Limit {
    /// So many times the peer's, or more.
    AtLeast(f64),
    /// So many times the peer's, or less.
    AtMost(f64),
    /// So much, or less.
    Below(f64),
    /// So much, or more.
    Above(f64),
    ForInformation,
}

/// Which sides have a row.
#[derive(Clone, Copy, PartialEq)]
enum Has {
    Both,
    Ours,
}

struct Row {
    /// In the lines of the processes, and in the document.
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    limit: Limit,
}

/// What one process measures in one run, in the order of the table, and whether the peer has it too.
const GROUPS: [(&str, &[Row], Has); 6] = [
    (
        "remote_tell",
        &[Row {
            name: "remote_tell_64",
            title: "remote tell 64 B",
            unit: "per_s",
            limit: Limit::AtLeast(2.0),
        }],
        Has::Both,
    ),
    (
        "remote_ask",
        &[
            Row {
                name: "remote_ask_p50",
                title: "remote ask p50",
                unit: "us",
                limit: Limit::AtMost(1.2),
            },
            Row {
                name: "remote_ask_p99",
                title: "remote ask p99",
                unit: "us",
                limit: Limit::ForInformation,
            },
        ],
        Has::Both,
    ),
    (
        "stalled",
        &[Row {
            name: "stalled_peer_bytes",
            title: "memory, stalled peer",
            unit: "bytes",
            limit: Limit::Below(64e6),
        }],
        Has::Both,
    ),
    (
        "mesh",
        &[Row {
            name: "mesh_32",
            title: "mesh of 32 kernels",
            unit: "s",
            limit: Limit::Below(3.0),
        }],
        Has::Ours,
    ),
    (
        "failover",
        &[Row {
            name: "failover_beyond_lease",
            title: "failover beyond the lease",
            unit: "s",
            limit: Limit::Below(1.0),
        }],
        Has::Ours,
    ),
    (
        "events",
        &[Row {
            name: "events_to_8",
            title: "events to 8 nodes",
            unit: "per_s",
            limit: Limit::Above(100_000.0),
        }],
        Has::Ours,
    ),
];

/// Fields that say more about a row.
const EXTRAS: [&str; 11] = [
    "free_per_s",
    "windowed_per_s",
    "drain_ms",
    "peak_bytes",
    "after_bytes",
    "taken",
    "handled",
    "told_ms",
    "caught_up_ms",
    "took_s",
    "lease_s",
];

const PEER: &str = "ractor_cluster";

/// Figures by row, or further field of one, and side: one a round.
type Figures = BTreeMap<(String, &'static str), Vec<f64>>;

struct Options {
    rounds: usize,
    seconds: f64,
    json: bool,
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`; a receiver never sees it.
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "--ours"
    {
        // Our side is a process of this program.
        return ours::run(rest);
    }
    if let Some((first, rest)) = arguments.split_first()
        && first == "--alone"
    {
        return alone::run(rest);
    }
    let run = parse(&arguments).and_then(|options| bench(&options));
    run.unwrap_or_else(|error| {
        complain(&format!("error: {error:#}\n\n{USAGE}"));
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stderr, reason = "progress and errors of a bench")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 5,
        seconds: 1.0,
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
                let seconds = seconds.filter(|it| (0.01..=20.0).contains(it));
                options.seconds = seconds.context("--seconds is a number from 0.01 to 20")?;
            }
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(options)
}

fn bench(options: &Options) -> Result<ExitCode> {
    let this = env::current_exe()?;
    let peer = process::build_package("ractor_cluster_peer", &process::target(&this)?)?;
    let alone = [("ours", vec![this.clone().into(), "--alone".into()])];
    let both: [(&'static str, Vec<OsString>); 2] = [
        ("ours", vec![this.into(), "--ours".into()]),
        (PEER, vec![peer.into()]),
    ];
    let sides = |has| match has {
        Has::Both => both.as_slice(),
        Has::Ours => alone.as_slice(),
    };
    let mut figures = Figures::new();
    for round in 1..=options.rounds {
        for (group, _, has) in GROUPS {
            complain(&format!("round {round} of {}: {group}", options.rounds));
            for (side, program) in sides(has) {
                let lines = process::measure(program, group, options.seconds)
                    .with_context(|| format!("{side} in {group}"))?;
                for line in lines.lines() {
                    add(&mut figures, side, line)?;
                }
            }
        }
    }
    let text = if options.json {
        document(&figures) + "\n"
    } else {
        keep(NODES, &kept(&figures))?;
        table::render(&rows_table(&figures)) + "\n" + &table::render(&extras_table(&figures))
    };
    io::stdout().write_all(text.as_bytes()).context("stdout")?;
    let is_broken = rows().any(|row| reached(&figures, row) == Some(false));
    Ok(ExitCode::from(u8::from(is_broken)))
}

/// Takes in a line that a process printed.
fn add(figures: &mut Figures, side: &'static str, line: &str) -> Result<()> {
    let fields: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
    let row = fields.get("row").and_then(Value::as_str);
    let row = row.with_context(|| format!("a line without a row: {line}"))?;
    let value = fields.get("value").and_then(Value::as_f64);
    let value = value.with_context(|| format!("a line without a value: {line}"))?;
    let mut add = |name: String, value| figures.entry((name, side)).or_default().push(value);
    add(row.to_owned(), value);
    for extra in EXTRAS {
        if let Some(value) = fields.get(extra).and_then(Value::as_f64) {
            add(format!("{row} {extra}"), value);
        }
    }
    Ok(())
}

fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|(_, rows, _)| *rows)
}

fn sides() -> impl Iterator<Item = &'static str> {
    ["ours", PEER].into_iter()
}

fn of(figures: &Figures, name: &str, side: &'static str) -> Option<f64> {
    figures.get(&(name.to_owned(), side)).map(|it| median(it))
}

fn ratio(figures: &Figures, row: &Row) -> Option<f64> {
    Some(of(figures, row.name, "ours")? / of(figures, row.name, PEER)?)
}

fn reached(figures: &Figures, row: &Row) -> Option<bool> {
    Some(match row.limit {
        Limit::AtLeast(factor) => ratio(figures, row)? >= factor,
        Limit::AtMost(factor) => ratio(figures, row)? <= factor,
        Limit::Below(limit) => of(figures, row.name, "ours")? <= limit,
        Limit::Above(limit) => of(figures, row.name, "ours")? >= limit,
        Limit::ForInformation => return None,
    })
}

fn rows_table(figures: &Figures) -> Vec<Vec<String>> {
    let mut head: Vec<_> = ["row", "unit"].into_iter().chain(sides()).collect();
    head.extend(["ratio", "has to be", "reached"]);
    let mut lines = vec![head.into_iter().map(str::to_owned).collect()];
    for row in rows() {
        let mut line = vec![row.title.to_owned(), row.unit.to_owned()];
        line.extend(sides().map(|side| {
            let values = figures.get(&(row.name.to_owned(), side));
            values.map_or_else(none, |values| {
                let spread = spread(values) * 100.0;
                // Of a median of nothing there is no share.
                let spread = match spread.is_finite() {
                    true => format!(" ±{spread:.0} %"),
                    false => String::new(),
                };
                format!("{}{spread}", figure(median(values)))
            })
        }));
        let ratio = ratio(figures, row);
        line.push(ratio.map_or_else(none, |ratio| format!("{ratio:.2}")));
        line.push(match row.limit {
            Limit::AtLeast(factor) => format!("≥ {factor} × {PEER}"),
            Limit::AtMost(factor) => format!("≤ {factor} × {PEER}"),
            Limit::Below(limit) => format!("≤ {}", figure(limit)),
            Limit::Above(limit) => format!("≥ {}", figure(limit)),
            Limit::ForInformation => String::new(),
        });
        let reached = reached(figures, row);
        line.push(reached.map_or_else(none, |it| if it { "yes" } else { "NO" }.to_owned()));
        lines.push(line);
    }
    lines
}

fn extras_table(figures: &Figures) -> Vec<Vec<String>> {
    let head = ["row", "figure"].into_iter().chain(sides());
    let mut lines = vec![head.map(str::to_owned).collect()];
    for row in rows() {
        for extra in EXTRAS {
            let name = format!("{} {extra}", row.name);
            let values: Vec<_> = sides().map(|side| of(figures, &name, side)).collect();
            if values.iter().any(Option::is_some) {
                let cells = values.into_iter().map(|it| it.map_or_else(none, figure));
                let head = [row.title.to_owned(), extra.to_owned()];
                lines.push(head.into_iter().chain(cells).collect());
            }
        }
    }
    lines
}

/// What the page of reliability has.
fn kept(figures: &Figures) -> Value {
    let ours = |name: &str, digits: f64| {
        of(figures, name, "ours").map(|it| (it * digits).round() / digits)
    };
    let times = |name: &str| {
        let row = rows().find(|row| row.name == name)?;
        Some((ratio(figures, row)? * 100.0).round() / 100.0)
    };
    json!({
        "tell_times": times("remote_tell_64"),
        "ask_times": times("remote_ask_p50"),
        "growth_bytes": ours("stalled_peer_bytes", 1.0),
        "mesh_s": ours("mesh_32", 100.0),
        "failover_beyond_lease_s": ours("failover_beyond_lease", 100.0),
        "events_per_s": ours("events_to_8", 1.0),
    })
}

/// The rows in the form of the other peers' document: a `null` where there is no figure.
fn document(figures: &Figures) -> String {
    let rows: Map<String, Value> = rows()
        .map(|row| {
            let entry = json!({
                "unit": row.unit,
                "ours": of(figures, row.name, "ours"),
                "peers": { PEER: of(figures, row.name, PEER) },
            });
            (row.name.to_owned(), entry)
        })
        .collect();
    json!({ "rows": rows }).to_string()
}

fn none() -> String {
    "–".to_owned()
}
