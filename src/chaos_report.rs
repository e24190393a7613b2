//! A report of chaos for the terminal: [`show`]. Markdown and the picture are in `unity_actors::chaos::report`.

use unity_actors::chaos::report::numbers::printable;
use unity_actors::chaos::report::words::{self, Sense, Table};
use unity_actors::chaos::report::{Outcome, Report};

use crate::screen::{Line, NARROW, Screen, Tone, wrapped_table};

/// The report: how it went in a sentence, the numbers, each fault, the probes, and the command that plays it again.
#[must_use]
pub fn show(report: &Report, screen: &Screen) -> String {
    let mut out = headline(report, screen);
    // Where nothing was struck there is nothing to count.
    if report.outcome != Outcome::Idle {
        out.push('\n');
        out.push_str(&bare_table(&words::totals(report), screen));
        for part in [
            words::by_fault(report),
            words::probes(report),
            words::above(report),
            words::refused(report),
        ] {
            if !part.rows.is_empty() {
                out.push_str(&format!("\n{}\n", screen.paint(Tone::Bold, part.title)));
                out.push_str(&titled_table(&part, screen));
            }
        }
    }
    out.push('\n');
    let mut again = Line::new();
    again.push(Tone::Dim, &format!("seed {}, again: ", report.seed));
    again.push(Tone::Plain, &words::again(report));
    out.push_str(&again.wrap(screen, 2));
    out
}

/// The sentence, its first word in a colour.
fn headline(report: &Report, screen: &Screen) -> String {
    let tone = match report.outcome {
        Outcome::Passed => Tone::Good,
        Outcome::Failed | Outcome::Broken => Tone::Bad,
        Outcome::Stopped | Outcome::Idle => Tone::Warn,
    };
    let said = words::headline(report);
    let end = said.find([':', ',', ' ']).unwrap_or(said.len());
    let (first, rest) = said.split_at(end);
    let mut line = Line::new();
    line.push(tone, first);
    line.push(Tone::Plain, rest);
    line.wrap(screen, 0)
}

/// A table without its head, whose first column says what each row is.
fn bare_table(table: &Table, screen: &Screen) -> String {
    let rows: Vec<_> = table.rows.iter().map(|row| cells(row)).collect();
    wrapped_table(&rows, screen)
}

/// A table with its head; on a narrow screen the slowest says enough.
fn titled_table(table: &Table, screen: &Screen) -> String {
    let is_shown = |title: &str| screen.width >= NARROW || !words::SPREAD.contains(&title);
    let shown: Vec<bool> = table.head.iter().map(|title| is_shown(title)).collect();
    let head = table
        .head
        .iter()
        .map(|title| (Tone::Dim, (*title).to_owned()));
    let rows = table.rows.iter().map(|row| cells(row));
    let rows: Vec<Vec<_>> = std::iter::once(head.collect())
        .chain(rows)
        .map(|row: Vec<_>| {
            let cells = row.into_iter().zip(&shown);
            cells
                .filter(|(_, shown)| **shown)
                .map(|(cell, _)| cell)
                .collect()
        })
        .collect();
    wrapped_table(&rows, screen)
}

fn cells(row: &[words::Cell]) -> Vec<(Tone, String)> {
    let tone = |sense: Sense| match sense {
        Sense::Plain => Tone::Plain,
        Sense::Good => Tone::Good,
        Sense::Bad => Tone::Bad,
    };
    let cells = row
        .iter()
        .map(|(sense, cell)| (tone(*sense), printable(cell)));
    cells.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The made-up reports of `unity_actors::chaos::report`.
    const SAMPLES: [(&str, &str); 4] = [
        (
            "full",
            include_str!("../actors/src/chaos/report/samples/full.json"),
        ),
        (
            "passed",
            include_str!("../actors/src/chaos/report/samples/passed.json"),
        ),
        (
            "empty",
            include_str!("../actors/src/chaos/report/samples/empty.json"),
        ),
        (
            "nasty",
            include_str!("../actors/src/chaos/report/samples/nasty.json"),
        ),
    ];

    #[test]
    fn reports_look_as_their_snapshots_do_wide_narrow_and_in_colour() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chaos_report/snapshots");
        let is_writing = std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write");
        for (name, sample) in SAMPLES {
            let report: Report = serde_json::from_str(sample).unwrap();
            let colour = Screen {
                colour: true,
                ..Screen::plain(100)
            };
            let text = format!(
                "-- wide\n\n{}\n-- narrow\n\n{}\n-- in colour\n\n{}",
                show(&report, &Screen::plain(100)),
                show(&report, &Screen::plain(50)),
                show(&report, &colour).replace('\u{1b}', "\\e"),
            );
            let file = folder.join(format!("{name}.txt"));
            if is_writing {
                std::fs::write(&file, &text).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == text,
                "{name}.txt differs; UK_SNAPSHOTS=write writes it anew\n{text}"
            );
        }
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for (name, sample) in SAMPLES {
            let report: Report = serde_json::from_str(sample).unwrap();
            for width in [40, 72, 80, 120] {
                let text = show(&report, &Screen::plain(width));
                let widest = text.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(width), "{name} at {width}\n{text}");
                assert!(!text.contains('\u{1b}'), "{name}");
            }
        }
    }
}
