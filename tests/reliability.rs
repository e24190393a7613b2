//! `benches/RELIABILITY.md` says what is so: its tests and checkers are there, and it is that of the table and the reports.

#[path = "../benches/promises.rs"]
mod promises;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use promises::{CHAOS, FOLDER, PAGE, PROMISES, RUNS, page};
use serde_json::{Value, json};

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_default()
}

/// Whether there is a test of that name: a function with a line that makes it one, or in a macro that does, before it.
fn has_test(text: &str, name: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else {
        return false;
    };
    let attributes = before.lines().rev().take(8);
    attributes.take_while(|line| *line != "}").any(|line| {
        line.trim_start().starts_with("#[") && line.contains("test") || line.contains("proptest!")
    })
}

#[test]
fn what_shows_a_promise_is_there() {
    let mut missing = Vec::new();
    for promise in PROMISES {
        for (file, name) in promise.tests {
            if !has_test(&source(file), name) {
                missing.push(format!("{file}: {name}"));
            }
        }
        assert!(!promise.tests.is_empty(), "nothing shows: {}", promise.says);
    }

    assert!(
        missing.is_empty(),
        "no such tests; mend benches/promises.rs: {missing:#?}"
    );
}

#[test]
fn every_checker_of_the_simulation_is_in_a_row_and_no_other() {
    let text = source("supervisors/src/sim/violation.rs");
    let (_, body) = text.split_once("pub enum Violation {\n").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let names = body.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.trim_end_matches([' ', '{', ',']);
        name.chars().all(char::is_alphanumeric).then_some(name)
    });
    let there: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    let told: BTreeSet<&str> = PROMISES
        .iter()
        .flat_map(|promise| promise.checkers)
        .copied()
        .collect();

    assert!(there.len() > 20, "{there:?}");
    assert_eq!(
        told, there,
        "benches/promises.rs and the variants of `Violation` differ"
    );
}

#[test]
fn the_page_is_that_of_the_table_and_the_reports() {
    let run = |name: &str| serde_json::from_str(&source(&format!("{FOLDER}/{name}.json"))).ok();

    assert!(
        source(PAGE) == page(&run).unwrap(),
        "{PAGE} is stale; renew it: cargo bench --bench reliability"
    );
}

#[test]
fn figures_come_from_the_report_and_one_that_it_lacks_is_told() {
    let report: Value =
        serde_json::from_str(&source("actors/src/chaos/report/samples/passed.json")).unwrap();
    let run = |report: &Value| json!({ "measured": [["date", "today"], ["processor", "Z80"]], "report": report });
    let of = |document: Value| page(&move |name| (name == CHAOS).then(|| document.clone()));

    let text = of(run(&report)).unwrap();
    let without = of(run(&json!({})));

    assert!(text.contains("110 lives ended, 110 back again"), "{text}");
    assert!(text.contains("99.991 % of the time up"), "{text}");
    assert!(text.contains("date today; processor Z80"), "{text}");
    assert!(
        !text.contains("at 50 a second"),
        "of a run that there is none of: {text}"
    );
    let lacks = "benches/reliability/chaos.json has no number at /kills: take the run again";
    assert_eq!(without, Err(lacks.to_owned()));
    let none = page(&|_| None).unwrap();
    assert_eq!(none.matches("no run was taken yet").count(), RUNS.len());
}
