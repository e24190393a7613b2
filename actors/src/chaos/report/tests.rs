//! What reports look like. `UK_SNAPSHOTS=write` writes the files under `snapshots/` anew; what changed is read in the diff.

use std::path::Path;

use serde_json::json;

use super::Report;
use super::markdown::markdown;
use super::numbers;
use super::svg::svg;
use super::words;
use crate::chaos::plan::{Plan, Rate};

/// Made up: all faults with what did not go well, a run that passed, one in which there was nothing to strike, and one
/// whose names and numbers are as bad as they get.
const SAMPLES: [(&str, &str); 4] = [
    ("full", include_str!("samples/full.json")),
    ("passed", include_str!("samples/passed.json")),
    ("empty", include_str!("samples/empty.json")),
    ("nasty", include_str!("samples/nasty.json")),
];

fn sample(name: &str) -> Report {
    let found = SAMPLES.iter().find(|(known, _)| *known == name);
    serde_json::from_str(found.unwrap().1).unwrap()
}

#[test]
fn reports_look_as_their_snapshots_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chaos/report/snapshots");
    let is_writing = std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write");
    for (name, _) in SAMPLES {
        let report = sample(name);
        for (ending, text) in [("md", markdown(&report)), ("svg", svg(&report))] {
            let file = folder.join(format!("{name}.{ending}"));
            if is_writing {
                std::fs::write(&file, &text).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            let differs = kept
                .lines()
                .zip(text.lines())
                .find(|(kept, text)| kept != text);
            assert!(
                kept == text,
                "{name}.{ending} differs, first in {differs:?}; UK_SNAPSHOTS=write writes it anew"
            );
        }
    }
}

#[test]
fn the_sample_has_every_fault() {
    let report = sample("full");
    let schema = schemars::schema_for!(crate::chaos::plan::Fault).to_value();
    let all = schema["oneOf"].as_array().unwrap().len();

    assert_eq!(report.faults.len(), all);
}

/// Goes through XML and says what is wrong with it: enough for what has neither comments nor processing instructions.
fn check_xml(text: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.trim_end();
    while let Some(tag_at) = rest.find('<') {
        let (before, tag) = rest.split_at(tag_at);
        check_text(before)?;
        if open.is_empty() && tag_at > 0 {
            return Err(format!("text outside of the root: {before}"));
        }
        // No attribute holds a `>`: it is escaped.
        let end = tag.find('>').ok_or("a tag that does not end")?;
        let (inner, after) = (&tag[1..end], &tag[end + 1..]);
        rest = after;
        if let Some(name) = inner.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes something else"));
            }
            continue;
        }
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let name = inner.split(' ').next().unwrap();
        if !name.chars().all(|c| c.is_ascii_lowercase()) || name.is_empty() {
            return Err(format!("`{name}` is no element"));
        }
        let pieces: Vec<&str> = inner[name.len()..].split('"').collect();
        for (at, piece) in pieces.iter().enumerate() {
            match at % 2 {
                0 if at + 1 == pieces.len() && piece.is_empty() => {}
                0 if piece.starts_with(' ') && piece.ends_with('=') => {}
                1 if !piece.contains('<') => check_text(piece)?,
                _ => return Err(format!("no attribute: {piece} in {inner}")),
            }
        }
        if !tag[..end].ends_with('/') {
            open.push(name);
        }
    }
    if open.is_empty() && rest.is_empty() {
        Ok(())
    } else {
        Err(format!("{open:?} stay open, {rest:?} is left"))
    }
}

fn check_text(text: &str) -> Result<(), String> {
    let entities = ["amp;", "lt;", "gt;", "quot;"];
    let mut after = text.split('&').skip(1);
    if after.any(|rest| !entities.iter().any(|entity| rest.starts_with(entity))) {
        return Err(format!("a bare & in {text}"));
    }
    let is_bad = |c: char| c.is_control() && c != '\n';
    match text.chars().find(|c| is_bad(*c)) {
        Some(c) => Err(format!("{c:?} cannot stand in XML")),
        None => Ok(()),
    }
}

#[test]
fn the_picture_is_well_formed_bounded_and_holds_nothing_that_runs_or_is_fetched() {
    for (name, _) in SAMPLES {
        let picture = svg(&sample(name));

        assert_eq!(check_xml(&picture), Ok(()), "{name}");
        assert!(picture.len() < 200_000, "{name}: {}", picture.len());
        for never in [
            "<script",
            "href",
            "url(",
            "@import",
            "foreignObject",
            "NaN",
            "inf ",
        ] {
            assert!(!picture.contains(never), "{name} has {never}");
        }
    }
    for wrong in [
        "<a><b></a></b>",
        "<a>&x;</a>",
        "<a b=c></a>",
        "<a",
        "<a></a>x",
        "<a>\u{1b}</a>",
    ] {
        assert!(check_xml(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_picture_of_many_acts_is_bounded_too() {
    let mut report = sample("full");
    let acts = report.acts.clone();
    for _ in 0..200 {
        report.acts.extend(acts.iter().cloned());
    }

    assert!(svg(&report).len() < 300_000);
}

#[test]
fn nothing_in_markdown_is_markup_that_the_report_brought() {
    let text = markdown(&sample("nasty"));

    // Between fences nothing is markup, and the command is one line.
    let outside: Vec<&str> = text.split("```").step_by(2).collect();
    assert_eq!(outside.len(), 2, "{text}");
    assert!(!outside.concat().contains("<script"), "{text}");
    assert!(!text.contains("\n## head"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn times_are_shown_in_three_digits() {
    for (time, shown) in [
        (0.0, "0.0 ms"),
        (0.04, "0.0 ms"),
        (4.24, "4.2 ms"),
        (9.96, "10 ms"),
        (241.4, "241 ms"),
        (999.6, "1.00 s"),
        (1_240.0, "1.24 s"),
        (9_996.0, "10.0 s"),
        (59_960.0, "1 min"),
        (125_000.0, "2 min 5 s"),
        (3_599_600.0, "1.0 h"),
        (12_600_000.0, "3.5 h"),
        (864e5 * 30.0, "30.0 d"),
        (1e300, "over 100 years"),
        (f64::NAN, "–"),
        (-1.0, "–"),
    ] {
        assert_eq!(numbers::ms(time), shown, "{time}");
    }
}

#[test]
fn what_is_not_all_is_never_shown_as_all() {
    for (share, shown) in [
        (1.0, "100 %"),
        (0.999_999_9, "99.999 %"),
        (0.998_62, "99.862 %"),
        (0.5, "50 %"),
        (0.0, "0 %"),
        (1.5, "–"),
        (f64::NAN, "–"),
    ] {
        assert_eq!(numbers::percent(share), shown, "{share}");
    }
}

#[test]
fn the_sentence_says_how_it_went_and_the_command_plays_it_again() {
    let told = |name: &str| words::headline(&sample(name));

    assert!(told("passed").starts_with("Passed: "), "{}", told("passed"));
    assert!(
        told("full")
            .starts_with("Failed: /models/deep did not come back; 1 message was out of order.")
    );
    assert!(
        told("empty").starts_with("Nothing was struck"),
        "{}",
        told("empty")
    );
    assert!(
        told("nasty").starts_with("Ended early"),
        "{}",
        told("nasty")
    );
    assert_eq!(words::again(&sample("full")), "uk chaos run storm --seed 7");
}

#[test]
fn what_the_run_was_told_is_in_the_command_that_plays_it_again() {
    let again = |told: serde_json::Value| {
        let mut report = sample("passed");
        report.told = serde_json::from_value(told).unwrap();
        words::again(&report)
    };

    assert_eq!(
        again(json!({ "for": "2m", "rate": "5/s" })),
        "uk chaos run default --for 2m --rate 5/s --seed 7"
    );
    // No more than integers can be typed.
    for (count, typed) in [(0.5, "30/m"), (7.0 / 60.0, "7/m"), (1.0 / 3600.0, "1/h")] {
        let rate = Rate::per_second(count).unwrap();
        let said = again(json!({ "rate": rate }));
        assert!(said.contains(&format!(" --rate {typed} ")), "{said}");
    }
    assert_eq!(
        again(json!({ "above": true })),
        "uk chaos run default --seed 7 --above"
    );
    // A plan has a name of its own, which is not where it lies.
    let file = json!({ "plan": "plans/my storm.yaml", "config_dir": "/etc/uk" });
    assert_eq!(
        again(json!({ "file": file })),
        "uk chaos run 'plans/my storm.yaml' --config-dir /etc/uk --seed 7"
    );
    let plan = json!({ "version": 1, "name": "it's mine" });
    let said = again(json!({ "document": plan }));
    let document = said.strip_prefix("uk chaos run --document '").unwrap();
    let document = document.strip_suffix("' --seed 7").unwrap();
    let document: Plan = serde_json::from_str(&document.replace("'\\''", "'")).unwrap();
    assert_eq!(document.name, "it's mine");
}
