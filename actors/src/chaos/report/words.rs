//! What is said of a report wherever it is shown: the sentence that tells how it went, and the tables, from which the terminal, Markdown and the picture are drawn.

use super::numbers::{as_float, counted, ms, none, percent, thousands};
use super::{Outcome, Report, Source};

/// So many names are told one by one.
const NAMES_MAX: usize = 5;

/// The columns that only tell more of how long it took.
pub const SPREAD: [&str; 2] = ["half within", "99 % within"];

/// What a number means, for whoever gives it a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// It only tells.
    Plain,
    /// As it must be.
    Good,
    /// Not as it must be.
    Bad,
}

impl Sense {
    /// Whether it is as it must be.
    #[must_use]
    pub fn of(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Bad }
    }
}

/// A cell and what it means.
pub type Cell = (Sense, String);

/// A table, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it is about; empty if that goes without saying.
    pub title: &'static str,
    /// What stands above each column.
    pub head: Vec<&'static str>,
    /// Its rows.
    pub rows: Vec<Vec<Cell>>,
}

/// How it went, in one or two sentences that need nothing else to be understood.
#[must_use]
pub fn headline(report: &Report) -> String {
    let struck: u64 = report.faults.values().map(|of| of.count).sum();
    let well: u64 = report.faults.values().map(|of| of.recovered).sum();
    let faults = counted(struck, "fault");
    let took = ms(as_float(report.took_ms));
    let why = report
        .why
        .as_deref()
        .unwrap_or("the report does not say why");
    match report.outcome {
        Outcome::Passed => format!(
            "Passed: {faults} in {took}, and all was well again after {}{}. {}.",
            if struck == 1 { "it" } else { "each" },
            slowest(report),
            messages(report),
        ),
        Outcome::Failed => format!(
            "Failed: {}. All was well again after {} of {faults} in {took}.",
            failures(report, why),
            thousands(well),
        ),
        Outcome::Broken => format!(
            "Ended early, after {took} and {faults}, since a probe did not hold: {why}. All that was broken was undone."
        ),
        Outcome::Stopped => {
            format!("Stopped after {took} and {faults}. All that was broken was undone.")
        }
        Outcome::Idle => format!("Nothing was struck, so nothing is shown: {why}."),
    }
}

fn slowest(report: &Report) -> String {
    let max = report.recovery_ms.max;
    max.map_or_else(String::new, |max| {
        format!(", at the latest within {}", ms(max))
    })
}

fn messages(report: &Report) -> String {
    match report.sent {
        0 => "No messages were sent meanwhile".to_owned(),
        sent => {
            let sent = counted(sent, "message");
            format!("Of {sent} none was lost, doubled or out of order")
        }
    }
}

/// What went wrong, most grave first.
fn failures(report: &Report, why: &str) -> String {
    let mut all = Vec::new();
    if !report.not_recovered.is_empty() {
        let names: Vec<&str> = report
            .not_recovered
            .iter()
            .map(|path| path.as_str())
            .collect();
        all.push(format!("{} did not come back", some(&names)));
    }
    for (count, what) in [
        (report.lost, "lost"),
        (report.doubled, "handled twice"),
        (report.out_of_order, "out of order"),
    ] {
        if count > 0 {
            let were = if count == 1 { "was" } else { "were" };
            all.push(format!("{} {were} {what}", counted(count, "message")));
        }
    }
    match all.is_empty() {
        true => why.to_owned(),
        false => all.join("; "),
    }
}

/// The command that plays the run again. Whatever it was told is quoted for a shell.
#[must_use]
pub fn again(report: &Report) -> String {
    let told = &report.told;
    let mut words = vec!["uk chaos run".to_owned()];
    match &told.source {
        Some(Source::File { plan, config_dir }) => {
            words.push(quoted(plan));
            if let Some(folder) = config_dir {
                words.push(format!("--config-dir {}", quoted(folder)));
            }
        }
        Some(Source::Document(plan)) => {
            let plan = serde_json::to_string(plan).unwrap_or_default();
            words.push(format!("--document {}", quoted(&plan)));
        }
        None => words.push(quoted(&report.plan)),
    }
    let takes = told.takes.map(|takes| format!("--for {takes}"));
    let rate = told.rate.map(|rate| format!("--rate {}", rate.typed()));
    words.extend(takes.into_iter().chain(rate));
    words.push(format!("--seed {}", report.seed));
    if told.above {
        words.push("--above".to_owned());
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The run in numbers.
#[must_use]
pub fn totals(report: &Report) -> Table {
    let plain = |what: &str, number: String, note: String| {
        vec![
            (Sense::Plain, what.to_owned()),
            (Sense::Plain, number),
            (Sense::Plain, note),
        ]
    };
    let checked = |what: &str, is_good, number: String, note: String| {
        vec![
            (Sense::Plain, what.to_owned()),
            (Sense::of(is_good), number),
            (Sense::Plain, note),
        ]
    };
    let zero = |what: &str, count: u64, note: &str| {
        checked(what, count == 0, thousands(count), note.to_owned())
    };
    let spread = &report.recovery_ms;
    let times = [
        (SPREAD[0], spread.p50),
        (SPREAD[1], spread.p99),
        ("all within", spread.max),
    ];
    let times: Vec<String> = times
        .iter()
        .filter_map(|(share, time)| Some(format!("{share} {}", ms((*time)?))))
        .collect();
    let mut rows = vec![
        plain("lives ended", thousands(report.kills), String::new()),
        checked(
            "back again",
            report.recovered == report.kills,
            thousands(report.recovered),
            times.join(", "),
        ),
        plain(
            "up",
            percent(report.availability),
            "of the time, over all that must be".to_owned(),
        ),
        plain("messages", thousands(report.sent), String::new()),
        zero("lost", report.lost, ""),
        zero("doubled", report.doubled, ""),
        zero("out of order", report.out_of_order, ""),
    ];
    for (count, what) in [
        (report.in_hand, "in hand at a crash"),
        (report.dropped, "taken away by the plan"),
    ] {
        if count > 0 {
            rows.push(plain(
                what,
                thousands(count),
                "kept as dead letters".to_owned(),
            ));
        }
    }
    Table {
        title: "",
        head: vec!["what", "count", "note"],
        rows,
    }
}

/// What each fault did.
#[must_use]
pub fn by_fault(report: &Report) -> Table {
    let time = |time: Option<f64>| (Sense::Plain, time.map_or_else(none, ms));
    let row = |(name, of): (&String, &super::OfFault)| {
        vec![
            (Sense::Plain, name.clone()),
            (Sense::Plain, thousands(of.count)),
            (Sense::of(of.recovered == of.count), thousands(of.recovered)),
            time(of.recovery_ms.p50),
            time(of.recovery_ms.p99),
            time(of.recovery_ms.max),
        ]
    };
    Table {
        title: "By fault",
        head: vec![
            "fault",
            "struck",
            "well again",
            SPREAD[0],
            SPREAD[1],
            "all within",
        ],
        rows: report.faults.iter().map(row).collect(),
    }
}

/// What the probes said.
#[must_use]
pub fn probes(report: &Report) -> Table {
    let row = |probe: &super::OfProbe| {
        let held = if probe.held { "held" } else { "did not hold" };
        vec![
            (Sense::Plain, probe.probe.clone()),
            (Sense::of(probe.held), held.to_owned()),
            (Sense::Plain, thousands(probe.looks)),
            (Sense::Plain, probe.worst.clone()),
        ]
    };
    Table {
        title: "Probes",
        head: vec!["probe", "whether", "looks", "worst"],
        rows: report.probes.iter().map(row).collect(),
    }
}

/// What came of the part above all budgets; empty if there was none.
#[must_use]
pub fn above(report: &Report) -> Table {
    let row = |what: &str, is_so: bool, note: String| {
        let said = if is_so { "yes" } else { "no" };
        vec![
            (Sense::Plain, what.to_owned()),
            (Sense::of(is_so), said.to_owned()),
            (Sense::Plain, note),
        ]
    };
    let rows = report.above.as_ref().map(|above| {
        let after = above
            .restored_ms
            .map(|time| format!("{} after the release", ms(as_float(time))));
        vec![
            row("safe mode entered", above.safe_mode, String::new()),
            row("essentials up in it", above.essential_up, String::new()),
            row("all restored", above.restored, after.unwrap_or_default()),
        ]
    });
    Table {
        title: "Beyond every budget",
        head: vec!["what", "whether", "note"],
        rows: rows.unwrap_or_default(),
    }
}

/// Which acts could not be done, and why: a line a reason, most frequent first.
#[must_use]
pub fn refused(report: &Report) -> Table {
    let mut reasons: Vec<(&str, &str, u64)> = Vec::new();
    for done in &report.acts {
        let Some(why) = done.refused.as_deref() else {
            continue;
        };
        let name = done.act.fault.name();
        match reasons
            .iter_mut()
            .find(|(of, known, _)| *of == name && *known == why)
        {
            Some((_, _, count)) => *count += 1,
            None => reasons.push((name, why, 1)),
        }
    }
    reasons.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    let cell = |text: &str| (Sense::Plain, text.to_owned());
    let row = |(name, why, count): &(&str, &str, u64)| {
        vec![cell(name), cell(&thousands(*count)), cell(why)]
    };
    Table {
        title: "Could not be done",
        head: vec!["fault", "times", "why"],
        rows: reasons.iter().take(NAMES_MAX).map(row).collect(),
    }
}

/// `/a, /b and 3 more`.
fn some(names: &[&str]) -> String {
    let told: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
    match names.len().saturating_sub(told.len()) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

/// When it began, to the second.
#[must_use]
pub fn began(report: &Report) -> String {
    let text = report.started_at.to_string();
    match text.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.get(..8).unwrap_or(time)),
        None => text,
    }
}
