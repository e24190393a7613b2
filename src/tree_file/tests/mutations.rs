//! Every slip of the fingers in every shipped tree, and in one of every key, is told, with a caret at it or beside it.
//!
//! A slip is one token: a letter of a key or of a word with a meaning dropped, doubled or swapped
//! with the next; a unit, a bracket, a quote or a colon dropped; a line indented by one or two more
//! or less, deleted or doubled. All of them are tried, so nothing is left to chance.
//!
//! Silence is right in two cases only: the tree is the same, or it is one that somebody could have
//! written on purpose. The latter is a rule and no list: what means nothing to the kernel (ids, keys
//! of `labels` and `env`, numbers, what is in quotes) is not touched; a line may be deleted unseen
//! if it holds whole entries, so that nothing below it hangs in the air; an item that is a mere text
//! may be doubled unseen, and one with a comma less is a text as well.

use std::fmt::Write;

use unity_supervisors::Secrets;

use super::*;
use crate::kind_check::KnownKinds;
use crate::tree_file::explain::{CHAOS, EVENTS, Part, SYSTEM, explain};

/// The words that have a meaning as values.
const WORDS: &[&str] = &[
    "one_for_one",
    "one_for_all",
    "rest_for_one",
    "permanent",
    "transient",
    "temporary",
    "brutal_kill",
    "infinity",
    "block",
    "reject",
    "drop_oldest",
    "drop_newest",
    "keep",
    "drop",
    "work",
    "own",
    "never",
    "wait",
    "elsewhere",
    "none",
    "true",
    "false",
    "probe",
    "process",
    "log",
    "sensor.host",
];

/// A tree with nearly every key, in lines and in braces.
const RICH: &str = r#"version: 1
name: rich
test: true
tree:
  strategy: rest_for_one
  intensity: 3
  period: 1m
  children:
    - id: sensors
      strategy: one_for_all
      intensity: 4
      period: 30s
      children:
        - id: host
          kind: sensor.host
          settings:
            every: 500ms
          mailbox:
            capacity: 64
            overflow: drop_oldest
            send_timeout: 5s
            on_restart: drop
            lanes: { critical: 8, low: 3 }
          backoff:
            min: 100ms
            max: 1s
            jitter: 0.2
            factor: 2
        - id: cam
          kind: probe
          needs: [host]
          restart: transient
          essential: false
          start_timeout: infinity
          shutdown: brutal_kill
          labels:
            place: lab
    - id: bridge
      kind: process
      restart: temporary
      needs:
        - sensors
      settings:
        command:
          - sh
          - -c
          - "sleep 30"
        env: { A: b }
    - id: cams
      template:
        kind: probe
        settings: { trap_exit: true }
        restart: temporary
        mailbox: { capacity: 8 }
      max_children: 64
      strategy: one_for_one
    - id: far
      kind: probe
      place:
        labels: { gpu: "true" }
        lease: 30s
        failover: elsewhere
    - { id: near, kind: log, place: { node: edge-1, lease: 5s, failover: none } }
    - { id: tail, kind: log, shutdown: 2s, mailbox: { retry: 3, ttl: 5s } }
"#;

/// A file with one slip in it.
struct Slip {
    what: String,
    text: String,
    /// The line of the slip in `text`, from 1.
    line: usize,
    /// How many lines away it is told at most.
    reach: usize,
    /// Whether the tree without it could have been meant.
    may_be_meant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    Unit,
    Sign,
    /// Between two texts it may be a part of one.
    Comma,
}

fn shipped() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root.join("config/trees")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    for entry in std::fs::read_dir(root.join("examples")).unwrap() {
        paths.push(entry.unwrap().path().join("tree.yaml"));
    }
    paths.retain(|path| path.is_file());
    let mut trees: Vec<(String, String)> = paths
        .iter()
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = readme.split("```yaml\n").skip(1);
    trees.extend(blocks.map(|block| {
        (
            "README".to_owned(),
            block.split("```").next().unwrap().to_owned(),
        )
    }));
    trees.push(("RICH".to_owned(), RICH.to_owned()));
    for code in Code::ALL {
        let files = explain(*code).into_iter().filter_map(|part| match part {
            Part::File(example)
                if !example.is_wrong && ![SYSTEM, EVENTS, CHAOS].contains(&example.file) =>
            {
                Some(example.text.to_owned())
            }
            _ => None,
        });
        let files: Vec<String> = files.collect();
        if let [only] = files.as_slice() {
            trees.push((code.as_str().to_owned(), only.clone()));
        }
    }
    assert!(trees.len() >= 3, "{trees:?}");
    trees
}

fn load_shipped(text: &str) -> Checked {
    let kinds = unity_actors::kinds().with_secrets(Secrets::of(Vault));
    let memory = Memory(&[("tree.yaml", text.as_bytes())]);
    let sources = Sources {
        read: &|path, max| memory.read(path, max),
        env: &|_| None,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    load(Path::new("tree.yaml"), &sources)
}

/// The tokens of a line: where, and what.
fn tokens(line: &str) -> Vec<(std::ops::Range<usize>, Token)> {
    let mut tokens = Vec::new();
    let mut quote = None;
    let mut at = 0;
    let mut after_key = false;
    while let Some(c) = line[at..].chars().next() {
        let rest = &line[at..];
        let len = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)))
            .unwrap_or(rest.len());
        match c {
            '"' | '\'' if quote.is_none_or(|open| open == c) => {
                quote = if quote.is_some() { None } else { Some(c) };
                tokens.push((at..at + 1, Token::Sign));
            }
            _ if quote.is_some() => {}
            '#' if at == 0 || line[..at].ends_with(' ') => break,
            ',' => tokens.push((at..at + 1, Token::Comma)),
            '[' | ']' | '{' | '}' => tokens.push((at..at + 1, Token::Sign)),
            ':' if after_key => tokens.push((at..at + 1, Token::Sign)),
            _ if len > 0 => {
                let (word, after) = rest.split_at(len);
                let digits = word
                    .trim_end_matches(|c: char| c.is_ascii_alphabetic())
                    .len();
                let is_duration = matches!(&word[digits..], "ms" | "s" | "m" | "h" | "d")
                    && word[..digits].bytes().all(|byte| byte.is_ascii_digit())
                    && digits > 0;
                let is_key = after.starts_with(": ") || after == ":";
                if is_key || WORDS.contains(&word) {
                    tokens.push((at..at + len, Token::Word));
                } else if is_duration {
                    tokens.push((at + digits..at + len, Token::Unit));
                }
                after_key = is_key;
                at += len;
                continue;
            }
            _ => {}
        }
        after_key = false;
        at += c.len_utf8();
    }
    tokens
}

/// The ways to get a word wrong by one slip.
fn misspelt(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut made = Vec::new();
    for at in 0..chars.len() {
        let mut dropped = chars.clone();
        dropped.remove(at);
        let mut doubled = chars.clone();
        doubled.insert(at, chars[at]);
        made.extend([dropped, doubled]);
        if at + 1 < chars.len() && chars[at] != chars[at + 1] {
            let mut swapped = chars.clone();
            swapped.swap(at, at + 1);
            made.push(swapped);
        }
    }
    made.push(Vec::new());
    made.into_iter()
        .map(|chars| chars.into_iter().collect())
        .collect()
}

/// The key of the mapping that something at `column` of line `at` stands in.
fn above<'t>(lines: &[&'t str], at: usize, column: usize) -> &'t str {
    let line = lines[at];
    let before = &line[..column];
    let opened = match before.rfind('{') {
        Some(brace) if !before[brace..].contains('}') => Some(&line[..brace]),
        _ => {
            let own = line.len() - line.trim_start().len();
            let is_outer = |line: &&&str| line.len() - line.trim_start().len() < own;
            lines[..at].iter().rev().find(is_outer).copied()
        }
    };
    let key = opened.unwrap_or_default().trim_end().trim_end_matches(':');
    key.rsplit([' ', '{']).next().unwrap_or_default()
}

fn slips(text: &str) -> Vec<Slip> {
    let lines: Vec<&str> = text.lines().collect();
    let mut slips = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut slip = |what: String, new: &[String], may_be_meant: bool| {
            let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            all.splice(at..=at, new.iter().cloned());
            slips.push(Slip {
                // A slip in a line is told in that line.
                reach: usize::from(!what.starts_with('`')),
                what,
                text: all.join("\n") + "\n",
                line: at + 1,
                may_be_meant,
            });
        };
        for (range, token) in tokens(line) {
            let old = &line[range.clone()];
            let is_key = line[range.end..].starts_with(':');
            if is_key && matches!(above(&lines, at, range.start), "labels" | "env") {
                continue;
            }
            let news = if token == Token::Word {
                misspelt(old)
            } else {
                vec![String::new()]
            };
            for new in news {
                let mut changed = (*line).to_owned();
                changed.replace_range(range.clone(), &new);
                slip(
                    format!("`{old}` as `{new}` at column {}", range.start + 1),
                    &[changed],
                    token == Token::Comma,
                );
            }
        }
        for by in 1..=2 {
            slip(
                format!("indented by {by} more"),
                &[format!("{}{line}", " ".repeat(by))],
                false,
            );
            if by <= indent {
                slip(
                    format!("indented by {by} less"),
                    &[line[by..].to_owned()],
                    false,
                );
            }
        }
        let below = lines[at + 1..]
            .iter()
            .find(|below| !below.trim().is_empty());
        let is_whole = below.is_none_or(|below| below.len() - below.trim_start().len() <= indent);
        slip("deleted".to_owned(), &[], is_whole);
        let is_text =
            line.trim_start().starts_with("- ") && !line.contains(": ") && !line.ends_with(':');
        slip(
            "doubled".to_owned(),
            &[(*line).to_owned(), (*line).to_owned()],
            is_text,
        );
    }
    slips
}

/// Why a slip is not told as it should be, if it is not.
fn complaint(slip: &Slip, original: &TreeSpec) -> Option<String> {
    let checked = load_shipped(&slip.text);
    let is_same = checked.tree.as_ref() == Some(original);
    if checked.diagnostics.is_empty() {
        return (!is_same && !slip.may_be_meant).then(|| "nothing is said".to_owned());
    }
    let found = checked.diagnostics.iter();
    let mut labels = found.flat_map(|found| found.primary.iter().chain(&found.related));
    let near = labels.any(|label| {
        let place = checked.files.position(label.span.file, label.span.start);
        place.line.abs_diff(slip.line) <= slip.reach
    });
    (!near).then(|| checked.render(false))
}

#[test]
fn every_slip_in_a_shipped_tree_is_told_where_it_is() {
    let mut complaints = String::new();
    let mut tried = 0;
    for (name, text) in shipped() {
        let original = load_shipped(&text);
        assert!(
            original.diagnostics.is_empty(),
            "{name}\n{}",
            original.render(false)
        );
        let original = original.tree.unwrap();
        for slip in slips(&text) {
            tried += 1;
            if let Some(complaint) = complaint(&slip, &original) {
                let line = slip.text.lines().nth(slip.line - 1).unwrap_or_default();
                writeln!(
                    complaints,
                    "{name}:{} {}\n{line}\n{complaint}",
                    slip.line, slip.what
                )
                .unwrap();
            }
        }
    }

    assert!(tried > 1000, "only {tried} slips");
    assert!(complaints.is_empty(), "of {tried}:\n{complaints}");
}
