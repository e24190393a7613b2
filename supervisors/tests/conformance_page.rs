//! `CONFORMANCE.md`: each line of the floor with the tests that hold it, or why there are none.
//!
//! It is made of `conformance/lines.txt` and of the names of all tests of the workspace, so it cannot claim what is
//! not there. `UK_SNAPSHOTS=write` writes it anew.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for other code"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const LINES: &str = include_str!("conformance/lines.txt");

const GROUPS: [(&str, &str); 12] = [
    ("A", "Start"),
    ("B", "Stop: order, times, exits meanwhile"),
    ("C", "Restart type and exit reason"),
    ("D", "Strategies and group restarts"),
    ("E", "Restart budget and giving up"),
    ("F", "Restarts that fail, are slow or hang"),
    ("G", "Templates, dynamic supervisors, partitions, tasks"),
    ("H", "Significant children and `auto_shutdown`"),
    ("I", "The child API and what can be looked at"),
    ("J", "What is accepted"),
    ("K", "Reports"),
    ("L", "Reload"),
];

/// A line of the floor.
struct Line {
    number: u16,
    group: &'static str,
    says: &'static str,
    /// Why there is no test.
    reason: Option<&'static str>,
}

/// A test and the file that it is in, seen from the crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    name: String,
    file: String,
}

fn lines() -> Vec<Line> {
    let lines = LINES.lines().filter(|line| line.starts_with('S'));
    let lines = lines.map(|line| {
        let mut parts = line.split(" | ");
        let number = number(parts.next().unwrap()).unwrap();
        let (group, says) = (parts.next().unwrap(), parts.next().unwrap());
        let reason = parts.next();
        let is_known =
            |reason: &str| reason.starts_with("differs: ") || reason.starts_with("later: ");
        assert!(reason.is_none_or(is_known), "{line}");
        Line {
            number,
            group,
            says,
            reason,
        }
    });
    lines.collect()
}

/// The number of `s084` and `S084`.
fn number(word: &str) -> Option<u16> {
    let digits = word.strip_prefix(['s', 'S'])?;
    (digits.len() == 3).then(|| digits.parse().ok())?
}

/// The numbers in the name of a test: `s084_…`, `s073_s074_…`, `s055_to_s059_…`; the last means all between.
fn numbers(name: &str, known: &[u16]) -> Vec<u16> {
    let mut numbers = Vec::new();
    let mut words = name.split('_').peekable();
    while let Some(word) = words.next() {
        match (number(word), numbers.last().copied()) {
            (Some(number), _) => numbers.push(number),
            (None, Some(first)) if word == "to" => {
                let Some(last) = words.next().and_then(number) else {
                    break;
                };
                let between = known.iter().filter(|of| **of > first && **of < last);
                numbers.extend(between);
                numbers.push(last);
            }
            _ => break,
        }
    }
    numbers
}

/// All tests of the workspace whose names begin with a number.
fn tests() -> Vec<Test> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "../src", "../tests", "../actors"] {
        rust_files(&crate_folder.join(folder), folder, &mut files);
    }
    let mut tests = Vec::new();
    for (path, file) in files {
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("async ").unwrap_or(line);
            let name = line
                .strip_prefix("fn ")
                .and_then(|rest| rest.split('(').next());
            let name = name.filter(|name| name.split('_').next().and_then(number).is_some());
            tests.extend(name.map(|name| Test {
                name: name.to_owned(),
                file: file.clone(),
            }));
        }
    }
    tests.sort();
    tests
}

fn rust_files(folder: &Path, name: &str, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            rust_files(&path, &name, files);
        } else if name.ends_with(".rs") {
            files.push((path, name));
        }
    }
}

/// The tests of each line; panics if one names a line that does not exist.
fn held(lines: &[Line]) -> BTreeMap<u16, Vec<Test>> {
    let known: Vec<u16> = lines.iter().map(|line| line.number).collect();
    let mut held: BTreeMap<u16, Vec<Test>> = BTreeMap::new();
    for test in tests() {
        for number in numbers(&test.name, &known) {
            assert!(
                known.contains(&number),
                "`{}` in {} names line S{number:03}, which lines.txt does not have",
                test.name,
                test.file
            );
            held.entry(number).or_default().push(test.clone());
        }
    }
    held
}

fn page() -> String {
    let lines = lines();
    let held = held(&lines);
    let mut page = String::from(
        "# What OTP's supervisors do, and what holds it here\n\n\
         Generated by `tests/conformance_page.rs` from `tests/conformance/lines.txt` and the names of the tests;\n\
         `UK_SNAPSHOTS=write cargo nextest run -p unity-supervisors --test conformance_page` writes it anew.\n\n",
    );
    page.push_str(&sums(&lines, &held));
    for (group, title) in GROUPS {
        write!(
            page,
            "\n## {group}. {title}\n\n| line | what is so | held by |\n|---|---|---|\n"
        )
        .unwrap();
        for line in lines.iter().filter(|line| line.group == group) {
            let by = match (held.get(&line.number), line.reason) {
                (Some(tests), _) => {
                    let links = tests
                        .iter()
                        .map(|test| format!("[{}]({})", test.name, test.file));
                    links.collect::<Vec<_>>().join("<br>")
                }
                (None, Some(reason)) => reason.to_owned(),
                (None, None) => "**open**".to_owned(),
            };
            writeln!(page, "| S{:03} | {} | {by} |", line.number, line.says).unwrap();
        }
    }
    page
}

/// How many lines are held, differ, come later and are open.
fn sums(lines: &[Line], held: &BTreeMap<u16, Vec<Test>>) -> String {
    let untested = |begins: &str| {
        let lines = lines.iter().filter(|line| !held.contains_key(&line.number));
        let lines = lines.filter(|line| line.reason.unwrap_or("open").starts_with(begins));
        lines.count()
    };
    format!(
        "{} lines: {} held by tests, {} different on purpose, {} of parts that are not built yet, {} open.\n",
        lines.len(),
        held.len(),
        untested("differs"),
        untested("later"),
        untested("open"),
    )
}

#[test]
fn the_page_is_that_of_the_tests() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFORMANCE.md");
    let page = page();
    if std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write") {
        std::fs::write(&file, &page).unwrap();
    }

    let kept = std::fs::read_to_string(&file).unwrap_or_default();

    let differs = kept
        .lines()
        .zip(page.lines())
        .find(|(kept, found)| kept != found);
    assert!(
        kept == page,
        "CONFORMANCE.md is stale, first in {differs:?}; UK_SNAPSHOTS=write writes it anew"
    );
}

#[test]
fn lines_are_in_order_of_groups_that_there_are() {
    let lines = lines();

    assert!(lines.is_sorted_by(|one, other| one.number < other.number));
    assert!(lines.is_sorted_by_key(|line| line.group));
    for line in &lines {
        let is_group = |(group, _): &(&str, &str)| *group == line.group;
        assert!(GROUPS.iter().any(is_group), "S{:03}", line.number);
        assert!(
            line.says.ends_with('.') && !line.says.contains('|'),
            "S{:03}",
            line.number
        );
    }
}

#[test]
fn a_name_may_hold_one_line_several_or_a_range() {
    let known = [55, 56, 59, 73, 74];

    assert_eq!(numbers("s073_s074_a_bystander", &known), [73, 74]);
    assert_eq!(numbers("s055_to_s059_a_child", &known), [55, 56, 59]);
    assert_eq!(numbers("s055_to_a_child", &known), [55]);
    assert_eq!(numbers("start", &known), []);
}
