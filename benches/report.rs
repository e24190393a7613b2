//! What the driver makes of the figures: medians, ratios, whether targets are reached; as tables, a document, a file.
//!
//! Pure: figures in, text out. The rows, their targets and the frameworks stand here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use self::medians::{figure, median, spread};
use self::table::render;

#[path = "medians.rs"]
mod medians;
#[path = "table.rs"]
mod table;

/// The columns: the name in the document, and in the table.
pub(crate) const FRAMEWORKS: [(&str, &str); 5] = [
    ("ours", "ours"),
    ("ractor", "ractor"),
    ("kameo", "kameo"),
    ("actix", "actix"),
    ("erlang", "Erlang"),
];

/// What a figure of ours has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// So many times the peer's, or more.
    AtLeast(f64, &'static str),
    /// So many times the peer's, or less.
    AtMost(f64, &'static str),
    /// So much, or less.
    Below(f64),
}

use Target::{AtLeast, AtMost, Below};

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// What is measured together with it, by one process.
    pub(crate) group: &'static str,
    targets: &'static [Target],
    /// Who drives, with what, on which threads.
    note: &'static str,
}

const fn row(
    name: &'static str,
    unit: &'static str,
    group: &'static str,
    targets: &'static [Target],
    note: &'static str,
) -> Row {
    Row {
        name,
        unit,
        group,
        targets,
        note,
    }
}

const ASK: &[Target] = &[AtMost(1.2, "ractor")];
const RESTART: &[Target] = &[AtMost(0.6, "erlang")];

/// All rows, in the order of the table.
pub(crate) const ROWS: [Row; 14] = [
    row(
        "tell_1_1",
        "per_s",
        "tell_1_1",
        &[AtLeast(3.0, "ractor"), AtLeast(1.5, "erlang")],
        "one producer task tells a `u64`, which the consumer adds up; until the last is handled. Mailbox 1,024: ours, kameo and actix bounded (the producer waits for room); ractor unbounded (the producer yields every 64); Erlang unbounded (the producer has at most 1,024 on the way)",
    ),
    row(
        "tell_4_1",
        "per_s",
        "tell_4_1",
        &[AtLeast(3.0, "ractor"), AtLeast(2.0, "erlang")],
        "the same with four producers",
    ),
    row(
        "ask_p50",
        "us",
        "ask",
        ASK,
        "one ask at a time from a task in the runtime, with a time limit of 1 s; a `u64` comes back. actix: asker and actor on one thread. Erlang: plain processes, no `gen_server`",
    ),
    row("ask_p99", "us", "ask", ASK, "the same run"),
    row(
        "ask_outside_p50",
        "us",
        "ask_outside",
        ASK,
        "the same from a thread that is no worker of the runtime. Erlang has no outside",
    ),
    row("ask_outside_p99", "us", "ask_outside", ASK, "the same run"),
    row(
        "spawn_ordered",
        "per_s",
        "spawn",
        &[AtLeast(0.4, "ractor")],
        "20,000 children of one supervisor, started in order and stopped in reverse, each awaited. Ours and Erlang: by the supervisor, as its boot and shutdown; ractor and kameo: one by one from a task; actix: the same, without a supervisor, on one thread",
    ),
    row(
        "spawn_batch",
        "per_s",
        "batch",
        &[AtLeast(0.8, "ractor")],
        "100,000 children of one supervisor in no order, started and then stopped all at once, the fastest way that waits for each to run and to be down. Ours: a template, one batch, and the stop of its supervisor; Erlang: `simple_one_for_one`, each child asked for; ractor, kameo and actix: started one by one, stopped together",
    ),
    row(
        "group_1000",
        "us",
        "group",
        &[AtMost(3.0, "ractor")],
        "1,000 children of one supervisor stopped in reverse and started again in order. Ours and Erlang: one of them crashes under `one_for_all`, until all are up; ractor, kameo and actix have no such strategy: each stopped and then each started from a task, one after the other",
    ),
    row(
        "restart_p50",
        "us",
        "restart",
        RESTART,
        "from the tell that makes a child panic until its next life has answered an ask; 1,000,000 restarts in 1 s are allowed. Ours: supervisor and child on two runtimes. ractor: ractor-supervisor. actix ends with a panic",
    ),
    row("restart_p99", "us", "restart", RESTART, "the same run"),
    row(
        "crash_1000",
        "per_s",
        "crash",
        &[AtLeast(1.0, "ractor")],
        "1,000 children of one fresh supervisor are made to panic, then each is asked; restarts per second until the last has answered. The median of the bursts. ractor: ractor-supervisor. actix ends with a panic",
    ),
    row(
        "idle_bytes",
        "bytes",
        "idle",
        &[AtMost(1.25, "ractor")],
        "growth of resident memory by 100,000 children that wait for a message, with their addresses, after 2,000 others; in a process of its own. actix: without a supervisor",
    ),
    row(
        "critical_wait",
        "us",
        "critical",
        &[Below(120.0)],
        "10,000 low messages of 20 µs work wait; from sending one critical message to its handler, which includes up to 20 µs of the one in progress. The sender is no worker of the runtime. ractor, kameo and actix have no priorities: it waits for all. Erlang: selective receive",
    ),
];

/// Figures by row and framework: one a round.
#[derive(Debug, Default)]
pub(crate) struct Results {
    figures: BTreeMap<(String, String), Vec<f64>>,
    /// Further figures of a row, by their names.
    extras: BTreeMap<(String, String, String), Vec<f64>>,
    versions: BTreeMap<String, BTreeSet<String>>,
    /// Why a framework has no figure in a group.
    failures: BTreeMap<(String, String), String>,
}

/// Fields that say more about the row.
const EXTRAS: [&str; 6] = [
    "flat",
    "gen_server_p50",
    "gen_server_p99",
    "p99",
    "start_per_s",
    "stop_per_s",
];

impl Results {
    /// Takes in a line that a framework's process printed. A line without row, version and value is given back as the
    /// reason of a failure.
    pub(crate) fn add(&mut self, framework: &str, line: &str) -> Result<(), String> {
        let value: Value =
            serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let (Some(row), Some(version), Some(figure)) = (
            text("row"),
            text("version"),
            value.get("value").and_then(Value::as_f64),
        ) else {
            return Err(format!("a line without row, version and value: {line}"));
        };
        let key = (row.to_owned(), framework.to_owned());
        self.figures.entry(key).or_default().push(figure);
        let versions = self.versions.entry(framework.to_owned()).or_default();
        versions.insert(version.to_owned());
        for name in EXTRAS {
            if let Some(figure) = value.get(name).and_then(Value::as_f64) {
                let key = (row.to_owned(), name.to_owned(), framework.to_owned());
                self.extras.entry(key).or_default().push(figure);
            }
        }
        Ok(())
    }

    /// Takes the framework out of a group, with what it has there: a figure beside a failure is worth nothing.
    pub(crate) fn fail(&mut self, framework: &str, group: &str, why: String) {
        let is_in = |row: &str| {
            ROWS.iter()
                .any(|other| other.group == group && other.name == row)
        };
        self.figures
            .retain(|(row, of), _| of != framework || !is_in(row));
        self.extras
            .retain(|(row, _, of), _| of != framework || !is_in(row));
        self.failures
            .insert((framework.to_owned(), group.to_owned()), why);
    }

    /// Whether it was taken out.
    pub(crate) fn has_failed(&self, framework: &str, group: &str) -> bool {
        let key = (framework.to_owned(), group.to_owned());
        self.failures.contains_key(&key)
    }

    /// Whether ours was, anywhere.
    pub(crate) fn ours_failed(&self) -> bool {
        self.failures
            .keys()
            .any(|(framework, _)| framework == "ours")
    }

    fn of(&self, row: &Row, framework: &str) -> Option<&[f64]> {
        let key = (row.name.to_owned(), framework.to_owned());
        self.figures.get(&key).map(Vec::as_slice)
    }

    fn median(&self, row: &Row, framework: &str) -> Option<f64> {
        self.of(row, framework).map(median)
    }

    fn ratio(&self, row: &Row, peer: &str) -> Option<f64> {
        Some(self.median(row, "ours")? / self.median(row, peer)?)
    }

    fn reached(&self, row: &Row, target: Target) -> Option<bool> {
        Some(match target {
            AtLeast(factor, peer) => self.ratio(row, peer)? >= factor,
            AtMost(factor, peer) => self.ratio(row, peer)? <= factor,
            Below(limit) => self.median(row, "ours")? <= limit,
        })
    }

    /// The document, on one line: a `null` where there is no figure.
    pub(crate) fn document(&self, rows: &[&Row]) -> String {
        let rows: Map<String, Value> = rows
            .iter()
            .map(|row| {
                let peers: Map<String, Value> = peers()
                    .map(|(name, _)| (name.to_owned(), json!(self.median(row, name))))
                    .collect();
                let ours = self.median(row, "ours");
                let entry = json!({ "unit": row.unit, "ours": ours, "peers": peers });
                (row.name.to_owned(), entry)
            })
            .collect();
        json!({ "rows": rows }).to_string()
    }

    /// The tables: medians with their spread, ratios with their targets, further figures; then what failed.
    pub(crate) fn tables(&self, rows: &[&Row]) -> String {
        let mut text = [self.figures_table(rows), self.ratios_table(rows)].join("\n");
        if !self.extras.is_empty() {
            text += "\nBeside the rows; `flat` is the median of the last tenth of a run by that of its first:\n\n";
            text += &self.extras_table(rows);
        }
        if !self.failures.is_empty() {
            text += "\nNot measured:\n\n";
        }
        for ((framework, group), why) in &self.failures {
            text += &format!("- {framework} in `{group}`: {why}\n");
        }
        text
    }

    fn figures_table(&self, rows: &[&Row]) -> String {
        let head = ["row", "unit"].map(str::to_owned).into_iter();
        let mut lines = vec![head.chain(titles(|title| title.to_owned())).collect()];
        for row in rows {
            let cells = FRAMEWORKS.iter().map(|(name, _)| {
                let cell = |values: &[f64]| {
                    let spread = spread(values) * 100.0;
                    format!("{} ±{spread:.0} %", figure(median(values)))
                };
                self.of(row, name).map_or_else(none, cell)
            });
            let head = [row.name.to_owned(), row.unit.to_owned()];
            lines.push(head.into_iter().chain(cells).collect());
        }
        render(&lines)
    }

    fn ratios_table(&self, rows: &[&Row]) -> String {
        let peer_titles = titles(|title| format!("ours ÷ {title}")).skip(1);
        let tail = ["has to be", "reached"].map(str::to_owned);
        let head = ["row".to_owned()].into_iter();
        let mut lines = vec![head.chain(peer_titles).chain(tail).collect()];
        for row in rows {
            let ratio = |name| {
                self.ratio(row, name)
                    .map_or_else(none, |ratio| match ratio {
                        ratio if ratio < 0.1 => format!("{ratio:.4}"),
                        ratio => format!("{ratio:.2}"),
                    })
            };
            let targets: Vec<_> = row.targets.iter().map(|target| say(*target)).collect();
            let reached: Vec<_> = row
                .targets
                .iter()
                .map(|target| match self.reached(row, *target) {
                    Some(true) => "yes",
                    Some(false) => "NO",
                    None => "–",
                })
                .collect();
            let head = [row.name.to_owned()].into_iter();
            let tail = [targets.join(", "), reached.join(", ")];
            let ratios = peers().map(|(name, _)| ratio(name));
            lines.push(head.chain(ratios).chain(tail).collect());
        }
        render(&lines)
    }

    fn extras_table(&self, rows: &[&Row]) -> String {
        let head = ["row", "figure"].map(str::to_owned).into_iter();
        let mut lines = vec![head.chain(titles(|title| title.to_owned())).collect()];
        for row in rows {
            for extra in EXTRAS {
                let cells: Vec<_> = FRAMEWORKS
                    .iter()
                    .map(|(name, _)| {
                        let key = (row.name.to_owned(), extra.to_owned(), (*name).to_owned());
                        let values = self.extras.get(&key);
                        values.map_or_else(none, |values| figure(median(values)))
                    })
                    .collect();
                if cells.iter().any(|cell| *cell != none()) {
                    let head = [row.name.to_owned(), extra.to_owned()];
                    lines.push(head.into_iter().chain(cells).collect());
                }
            }
        }
        render(&lines)
    }

    /// The file: where and with what it was measured, the tables, and what each row is.
    pub(crate) fn file(&self, rows: &[&Row], run: &str, machine: &[(&str, String)]) -> String {
        let mut text = format!(
            "# Figures beside the peers\n\nWritten by `cargo bench --bench peers`, not by hand. {run}\n\n"
        );
        for (what, value) in machine {
            text += &format!("- {what}: {value}\n");
        }
        for (name, title) in FRAMEWORKS {
            if let Some(versions) = self.versions.get(name) {
                let versions: Vec<_> = versions.iter().map(String::as_str).collect();
                text += &format!("- {title}: {}\n", versions.join(", "));
            }
        }
        text += &format!("\n{}\n## The rows\n\n", self.tables(rows));
        for row in rows {
            text += &format!("- `{}`: {}.\n", row.name, row.note);
        }
        text
    }
}

fn peers() -> impl Iterator<Item = (&'static str, &'static str)> {
    FRAMEWORKS.into_iter().skip(1)
}

fn titles(title: impl Fn(&str) -> String) -> impl Iterator<Item = String> {
    FRAMEWORKS.into_iter().map(move |(_, of)| title(of))
}

fn none() -> String {
    "–".to_owned()
}

fn say(target: Target) -> String {
    let title = |peer| {
        peers()
            .find(|(name, _)| *name == peer)
            .map_or(peer, |(_, title)| title)
    };
    match target {
        AtLeast(factor, peer) => format!("≥ {factor} × {}", title(peer)),
        AtMost(factor, peer) => format!("≤ {factor} × {}", title(peer)),
        Below(limit) => format!("≤ {limit}"),
    }
}
