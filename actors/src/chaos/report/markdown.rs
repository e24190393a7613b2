//! A report as Markdown: [`markdown`].

use super::Report;
use super::numbers::printable;
use super::words::{self, Sense, Table};

/// The report, for a page or a pull request. What the report's names hold is never taken for Markdown or HTML.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!(
        "# Chaos: {} on {}\n\n**{}**\n\n",
        plain(&report.plan),
        plain(&report.kernel),
        plain(&words::headline(report)),
    );
    text += &format!(
        "Run {} began {}, seed {}. Play it again:\n\n```sh\n{}\n```\n\n",
        plain(&report.run),
        words::began(report),
        report.seed,
        printable(&words::again(report)),
    );
    text += &table(&words::totals(report));
    for part in [
        words::by_fault(report),
        words::probes(report),
        words::above(report),
        words::refused(report),
    ] {
        if !part.rows.is_empty() {
            text += &format!("\n## {}\n\n{}", part.title, table(&part));
        }
    }
    if !report.not_recovered.is_empty() {
        text += "\n## Did not come back\n\n";
        for path in &report.not_recovered {
            text += &format!("- {}\n", plain(path.as_str()));
        }
    }
    text
}

fn table(table: &Table) -> String {
    let head: Vec<String> = table.head.iter().map(|title| plain(title)).collect();
    let cell = |(sense, cell): &words::Cell| match sense {
        Sense::Bad => format!("**{}**", plain(cell)),
        Sense::Plain | Sense::Good => plain(cell),
    };
    let rows = table.rows.iter();
    let mut lines: Vec<Vec<String>> = rows.map(|row| row.iter().map(cell).collect()).collect();
    lines.insert(0, head);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if number == 0 {
            let rules: Vec<String> = (0..line.len())
                .map(|it| "-".repeat(width(it) + 2))
                .collect();
            text += &format!("|{}|\n", rules.join("|"));
        }
    }
    text
}

/// A text of one line in which nothing is markup.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in printable(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '[' | ']' | '#' | '~' => out.extend(['\\', c]),
            // In the middle of a word it is a letter.
            '_' if !out.ends_with(|before: char| before.is_ascii_alphanumeric()) => {
                out.extend(['\\', c])
            }
            c => out.push(c),
        }
    }
    out
}
