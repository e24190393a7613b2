//! README cannot lie: each command it shows is one, each tree it shows has no fault.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::io::Write;
use std::process::{Command, Stdio};

use unity_kernel::cli::{parser, with_node};

const README: &str = include_str!("../README.md");

/// The code blocks of one language, README's and the examples'.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        match (&mut current, line.strip_prefix("```")) {
            (None, Some(named)) if named == language => current = Some(String::new()),
            (None, Some(_)) => current = Some("\u{0}".to_owned()),
            (Some(block), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (Some(_), Some(_)) => {
                blocks.extend(current.take().filter(|block| !block.starts_with('\u{0}')));
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Splits as a shell does, as far as README needs: blanks, single and double quotes, comments.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (None, '#') => break,
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_place_of_the_code_map_is_there() {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `"));
    let places = rows.filter_map(|row| Some(row.split_once('`')?.0));
    let places: Vec<&str> = places
        .filter(|place| place.contains('/') && !place.contains(' '))
        .collect();

    assert!(places.contains(&"supervisors/src/bus/"), "{places:?}");
    for place in places {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/").to_owned() + place;
        assert!(std::path::Path::new(&path).exists(), "{place}");
    }
}

#[test]
fn every_command_that_is_shown_is_one() {
    let mut texts = vec![README.to_owned()];
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    for entry in std::fs::read_dir(examples).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path().join("README.md")).unwrap());
    }
    let mut seen = 0;
    for line in texts
        .iter()
        .flat_map(|text| blocks(text, "sh"))
        .collect::<String>()
        .lines()
    {
        let words = words(line);
        if words.first().is_some_and(|word| word == "uk") {
            let parsed = parser(false).try_get_matches_from(with_node(words));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 15, "README shows {seen} commands");
}

#[test]
fn every_tree_and_every_setting_that_is_shown_has_no_fault() {
    shown_without_fault("yaml", "robot.yaml");
    shown_without_fault("yaml system.yaml", "system.yaml");
    shown_without_fault("yaml events.yaml", "events.yaml");
}

fn shown_without_fault(language: &str, name: &str) {
    let trees = blocks(README, language);
    assert!(!trees.is_empty());
    for tree in trees {
        let folder = std::env::temp_dir().join(format!("uk-readme-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        std::fs::File::create(&file)
            .unwrap()
            .write_all(tree.as_bytes())
            .unwrap();

        let output = Command::new(env!("CARGO_BIN_EXE_uk"))
            .args(["check", "--strict"])
            .arg(&file)
            .env("UK_SECRET_TOKEN", "a token")
            .stdin(Stdio::null())
            .output()
            .unwrap();

        std::fs::remove_dir_all(&folder).unwrap();
        assert!(output.status.success(), "{output:?}\n{tree}");
    }
}
