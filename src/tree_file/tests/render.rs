//! How diagnostics look, for people and for programs.

use serde_json::json;

use super::*;

#[test]
fn a_diagnostic_shows_its_line_its_caret_and_the_help() {
    let checked = load_one("version: 1\ntree:\n  strateg: one_for_all\n  children: []\n");

    let expected = "\
error[UK0201]: unknown key `strateg`
 --> tree.yaml:3:3
  |
3 |   strateg: one_for_all
  |   ^^^^^^^ not a key of the root supervisor
  |
  = help: did you mean `strategy`?

warning[UK0305]: the supervisor / has no children
 --> tree.yaml:4:3
  |
4 |   children: []
  |   ^^^^^^^^ an empty list
  |
  = help: add a child, or leave it so if children are spawned later

More about this: `uk explain UK0201`; also UK0305

";
    assert_eq!(checked.render(false), expected);
    assert_eq!(checked.summary(), "1 fault, 1 warning");
}

#[test]
fn what_is_wrong_in_a_file_that_is_included_twice_is_told_once() {
    let main = "version: 1\ntree:\n  children:\n    - { id: s, children: [{ include: b.yaml }] }\n    - { id: t, children: [{ include: ./b.yaml }] }\n";
    let included: &[(&str, Code)] = &[
        ("- { id: a, kidn: log }\n", Code::UnknownKey),
        ("- { id: a\n", Code::Syntax),
        ("version: 1\nchildren: []\n", Code::BadInclude),
        ("5\n", Code::BadInclude),
    ];
    for (text, code) in included {
        let files = [
            ("tree.yaml", main.as_bytes()),
            ("b.yaml", text.as_bytes()),
            ("./b.yaml", text.as_bytes()),
        ];

        let checked = load_files("tree.yaml", &files);

        let faults: Vec<Code> = checked.faults().map(|fault| fault.code).collect();
        assert_eq!(faults, [*code], "{}", checked.render(false));
    }
}

#[test]
fn lone_carriage_returns_end_lines() {
    let checked = load_one("version: 1\rtree:\r  strateg: one_for_all\r  children: []\r");

    let shown = checked.render(false);
    let expected = "\
 --> tree.yaml:3:3
  |
3 |   strateg: one_for_all
  |   ^^^^^^^ not a key of the root supervisor
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn places_in_two_files_are_both_shown() {
    let main =
        "version: 1\ntree:\n  children:\n    - { id: a, kind: log }\n    - include: b.yaml\n";
    let checked = load_files(
        "tree.yaml",
        &[
            ("tree.yaml", main.as_bytes()),
            ("b.yaml", b"- id: a\n  kind: log\n"),
        ],
    );

    let expected = "\
error[UK0206]: two children of / have the id `a`
 --> b.yaml:1:7
  |
1 | - id: a
  |       ^ here again
  |
 ::: tree.yaml:4:13
  |
4 |     - { id: a, kind: log }
  |             - first here
  |
  = help: give one of them another id, such as `a2`

More about this: `uk explain UK0206`

";
    assert_eq!(checked.render(false), expected);
}

#[test]
fn colour_is_there_only_when_asked_for() {
    let checked = load_one("version: 1\n");

    assert!(checked.render(true).contains("\u{1b}["));
    assert!(!checked.render(false).contains('\u{1b}'));
}

#[test]
fn what_a_file_holds_cannot_steer_the_terminal() {
    let checked = load_one("version: 1\ntree:\n  \"\\e[31mx\\u202e\": 5\n  children: []\n");

    assert!(
        checked
            .render(false)
            .contains("unknown key `\\u{1b}[31mx\\u{202e}`")
    );
}

#[test]
fn programs_get_codes_lines_and_columns_from_one() {
    let checked = load_one("version: 1\ntree:\n  children:\n    - { id: ä, kind: log }\n");

    let expected = json!({
        "version": 1,
        "ok": false,
        "diagnostics": [{
            "code": "UK0205",
            "level": "error",
            "message": "`ä` cannot be an id",
            "help": "use letters, digits, `_` and `-`",
            "file": "tree.yaml",
            "line": 4,
            "column": 13,
            "end_line": 4,
            "end_column": 14,
            "bytes": [41, 43],
            "range": {
                "start": { "line": 3, "character": 12 },
                "end": { "line": 3, "character": 13 },
            },
            "label": "expected 1 to 64 of the characters A-Z a-z 0-9 _ -",
            "related": [],
            "fixes": [],
        }],
    });
    assert_eq!(checked.to_json(), expected);
}
