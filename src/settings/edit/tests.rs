//! Edits of texts, by hand and by chance.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;
use unity_supervisors::path::ActorPath;

use super::*;
use crate::tree_file::{KindCheck, Limits, SettingsFault, Sources};

mod by_chance;

/// Sets a dotted key at the top to a value in JSON.
fn top(text: &str, key: &str, value: &str) -> Result<String, EditError> {
    let value: Value = serde_json::from_str(value).unwrap();
    set(text, At::Top, &key.split('.').collect::<Vec<_>>(), &value)
}

fn without(text: &str, key: &str) -> Result<String, EditError> {
    unset(text, At::Top, &key.split('.').collect::<Vec<_>>())
}

/// A text, a key in it, its new value, and what comes of the text.
const REPLACED: &[(&str, &str, &str, &str)] = &[
    ("a: 1 # why\nb: 2\n", "a", r#"5"#, "a: 5 # why\nb: 2\n"),
    ("a: 1", "a", r#""x y""#, "a: \"x y\""),
    ("a: 'it''s'\n", "a", r#""what's""#, "a: 'what''s'\n"),
    ("a: \"x\"  # c\n", "a", r#""y\n""#, "a: \"y\\n\"  # c\n"),
    ("a: 'x'\n", "a", r#"5"#, "a: 5\n"),
    ("a: 500ms\r\nb: 1\r\n", "a", r#""1s""#, "a: 1s\r\nb: 1\r\n"),
    ("a:\nb: 1\n", "a", r#"true"#, "a: true\nb: 1\n"),
    (
        "a:  # none\nb: 1\n",
        "a",
        r#"true"#,
        "a: true  # none\nb: 1\n",
    ),
    ("a: ~\n", "a", r#"[1, "x"]"#, "a: [1, x]\n"),
    ("a: |\n  one\n  two\nb: 1\n", "a", r#""x""#, "a: x\nb: 1\n"),
    ("a: >-\n  one\n\n  two\n", "a", r#""x""#, "a: x\n"),
    (
        "a: one\n  two\n# c\nb: 1\n",
        "a",
        r#""x""#,
        "a: x\n# c\nb: 1\n",
    ),
    ("a:\n  - 1\n  - 2\nb: 1\n", "a", r#"[3]"#, "a: [3]\nb: 1\n"),
    ("a:\n- 1\n- 2\n", "a", r#"7"#, "a: 7\n"),
    (
        "ä: { 'ö': 1, u: 2 } # ü\n",
        "ä.ö",
        r#""é""#,
        "ä: { 'ö': \"é\", u: 2 } # ü\n",
    ),
    (
        "{\"a\": {\"b\": \"x\"}}",
        "a.b",
        r#""y""#,
        "{\"a\": {\"b\": \"y\"}}",
    ),
    ("a: {b: 1,c: 2}\n", "a.c", r#"null"#, "a: {b: 1,c: null}\n"),
    ("a: 1\n", "a", r#"1"#, "a: 1\n"),
    (
        "a:\n  b: 1 # x\n  # c: 5\n  d: 2\n",
        "a",
        r#"{ "b": 2, "c": 3 }"#,
        "a:\n  b: 2 # x\n  # c: 5\n  c: 3\n",
    ),
    ("---\na: 1\n...\n", "a", r#"2"#, "---\na: 2\n...\n"),
    ("\"a b\": 1\n", "a b", r#"2"#, "\"a b\": 2\n"),
];

#[test]
fn a_value_is_replaced_in_its_style() {
    for (text, key, value, expected) in REPLACED {
        let found = top(text, key, value);
        assert_eq!(found.as_deref(), Ok(*expected), "{text}");
    }
}

/// The same for keys that are not there.
const ADDED: &[(&str, &str, &str, &str)] = &[
    ("a: 1\n", "b", r#"2"#, "a: 1\nb: 2\n"),
    ("a: 1", "b", r#"2"#, "a: 1\nb: 2"),
    ("a: 1\r\n", "b.c", r#"2"#, "a: 1\r\nb:\r\n  c: 2\r\n"),
    ("", "a.b", r#"1"#, "a:\n  b: 1\n"),
    (
        "# all is default\n",
        "a",
        r#"1"#,
        "# all is default\na: 1\n",
    ),
    (
        "# keep: 5\n# age: 1d\n",
        "keep",
        r#"9"#,
        "# keep: 5\nkeep: 9\n# age: 1d\n",
    ),
    (
        "a: 1\n# keep: 5\n\n# more\nz: 1\n",
        "keep",
        r#"9"#,
        "a: 1\n# keep: 5\nkeep: 9\n\n# more\nz: 1\n",
    ),
    (
        "a:\n  b: 1 # x\n\n# end\nz: 2\n",
        "a.c",
        r#"3"#,
        "a:\n  b: 1 # x\n  c: 3\n\n# end\nz: 2\n",
    ),
    (
        "a:\n    b:\n        c: 1\n",
        "a.d",
        r#"2"#,
        "a:\n    b:\n        c: 1\n    d: 2\n",
    ),
    (
        "a:\n  # b: 1\n  # c: 2\nz: 1\n",
        "a.b",
        r#"3"#,
        "a:\n  # b: 1\n  b: 3\n  # c: 2\nz: 1\n",
    ),
    (
        "a: # about\nz: 1\n",
        "a.b",
        r#"3"#,
        "a: # about\n  b: 3\nz: 1\n",
    ),
    ("a: {}\n", "a.b", r#"3"#, "a: { b: 3 }\n"),
    ("a: ~\n", "a.b.c", r#"3"#, "a: { b: { c: 3 } }\n"),
    (
        "a: {b: 1}\n",
        "a.c",
        r#""x, y""#,
        "a: {b: 1, c: \"x, y\"}\n",
    ),
    ("a: { b: 1 }\n", "a.c", r#"2"#, "a: { b: 1, c: 2 }\n"),
    (
        "a: {\n  b: 1,\n  c: 2   # last\n}\n",
        "a.d",
        r#"3"#,
        "a: {\n  b: 1,\n  c: 2,   # last\n  d: 3\n}\n",
    ),
    (
        "a: {\n  b: 1,  # first\n}\n",
        "a.d",
        r#"3"#,
        "a: {\n  b: 1,  # first\n  d: 3,\n}\n",
    ),
    (
        "{\n  \"a\": 1,\n  \"b\": {}\n}\n",
        "b.c",
        r#""x""#,
        "{\n  \"a\": 1,\n  \"b\": {\"c\": \"x\"}\n}\n",
    ),
    (
        "{\n  \"a\": 1\n}\n",
        "b",
        r#"{ "c": 1 }"#,
        "{\n  \"a\": 1,\n  \"b\": {\"c\":1}\n}\n",
    ),
    (
        "a: |\n  text\n\nb: |\n  more\n",
        "c",
        r#"1"#,
        "a: |\n  text\n\nb: |\n  more\nc: 1\n",
    ),
    ("a: |+\n  text\n\n", "c", r#"1"#, "a: |+\n  text\n\nc: 1\n"),
    ("a: |\n  # c: 5\n", "c", r#"1"#, "a: |\n  # c: 5\nc: 1\n"),
    (
        "a:\n- 1\n# c: 5\n- 2\n",
        "c",
        r#"1"#,
        "a:\n- 1\n# c: 5\n- 2\nc: 1\n",
    ),
    (
        "x: &x { b: 1 }\na:\n  <<: *x\n  c: 1\n",
        "a.b",
        r#"2"#,
        "x: &x { b: 1 }\na:\n  <<: *x\n  c: 1\n  b: 2\n",
    ),
    ("a: 1\n", "true", r#""null""#, "a: 1\n\"true\": \"null\"\n"),
];

#[test]
fn a_new_key_comes_where_it_belongs() {
    for (text, key, value, expected) in ADDED {
        let found = top(text, key, value);
        assert_eq!(found.as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn a_key_goes_with_its_lines_and_the_comments_of_others_stay() {
    for (text, key, expected) in [
        ("a: 1 # x\nb: 2\n", "a", "b: 2\n"),
        ("a: 1\nb: 2", "b", "a: 1\n"),
        (
            "# top\na:\n  # in\n  b: 1\n  c: 2\n",
            "a",
            "# top\n# in\n{}\n",
        ),
        ("a:\n  b: 1\n  # in\n  c: 2\nz: 1\n", "a", "# in\nz: 1\n"),
        (
            "a:\n  # about b\n  b: 1\nz: 1\n",
            "a.b",
            "a: {}\n  # about b\nz: 1\n",
        ),
        ("a: # x\n  b: 1\n", "a.b", "a: {} # x\n"),
        ("a: {b: 1, c: 2, d: 3}\n", "a.b", "a: {c: 2, d: 3}\n"),
        ("a: {b: 1, c: 2, d: 3}\n", "a.d", "a: {b: 1, c: 2}\n"),
        ("a: { b: 1 }\n", "a.b", "a: {}\n"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}\n", "b", "{\n  \"a\": 1\n}\n"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}\n", "a", "{\n  \"b\": 2\n}\n"),
        ("a: |\n  x\nb: 1\r\n", "a", "b: 1\r\n"),
        ("a: 1\n", "a", "{}\n"),
    ] {
        assert_eq!(without(text, key).as_deref(), Ok(expected), "{text}");
    }
}

/// The same for what is refused, and how that is told.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "a: [1\n",
        "a",
        r#"1"#,
        "the file is at fault as it is: line 1: ",
    ),
    (
        "a: 1\na: 2\n",
        "b",
        r#"1"#,
        "the file is at fault as it is: line 2: the key `a` stands twice",
    ),
    (
        "x: &x 1\na: *x\n",
        "a",
        r#"2"#,
        "line 2: `a` is an alias of what stands elsewhere; edit the file by hand",
    ),
    (
        "x: &x 1\na: *x\n",
        "x",
        r#"2"#,
        "line 1: `x` has an anchor or a tag; edit",
    ),
    (
        "x: &x { b: 1 }\na: *x\n",
        "x.b",
        r#"2"#,
        "line 1: the change would change more than this, perhaps through",
    ),
    (
        "x: &x { b: 1 }\na: *x\n",
        "a.b",
        r#"2"#,
        "line 2: `a` is an alias",
    ),
    (
        "a: !!str 5\n",
        "a",
        r#"2"#,
        "line 1: `a` has an anchor or a tag",
    ),
    (
        "a: 5\n",
        "a.b",
        r#"2"#,
        "line 1: `a` is no mapping, so that nothing can be set below it",
    ),
    ("- 5\n", "a", r#"2"#, "line 1: there is no mapping here"),
    (
        "a:\n  # why\n  - 1\n",
        "a",
        r#"2"#,
        "line 1: there are comments in what would change",
    ),
    (
        "? a\n: 1\n",
        "a",
        r#"2"#,
        "line 1: `a` has no colon beside it",
    ),
    (
        "a: 1\n---\nb: 2\n",
        "a",
        r#"2"#,
        "the file is at fault as it is: line 2: ",
    ),
];

#[test]
fn what_takes_a_person_is_refused_with_the_reason() {
    for (text, key, value, expected) in REFUSED {
        let told = top(text, key, value).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{text}: {told}");
    }
    for (text, key, expected) in [
        ("a: { b: 1 }\n", "a.c", "`a.c` does not stand in the file"),
        (
            "x: &x { b: 1, c: 1 }\na: { <<: *x }\n",
            "a.b",
            "line 2: `b` comes from elsewhere through `<<`",
        ),
        (
            "x: &x 1\na: *x\n",
            "x",
            "line 1: the change would break the file: line 1: unknown alias",
        ),
        (
            "x: &x { b: 1 }\na: *x\n",
            "a.b",
            "line 2: there is no mapping here, but perhaps an alias",
        ),
    ] {
        let told = without(text, key).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{text}: {told}");
    }
}

struct Probe;

impl KindCheck for Probe {
    fn names(&self) -> Vec<String> {
        vec!["probe".to_owned()]
    }

    fn check(&self, _: &str, _: &Value) -> Result<(), Vec<SettingsFault>> {
        Ok(())
    }
}

const KERNEL: &str = "\
version: 1
tree:
  children:
    - id: a   # first
      kind: probe
      restart: transient
    - id: arm
      children:
        - include: parts/arm.yaml
        - { id: last, kind: probe, settings: { every: 1s } }
    - id: drones
      template: { kind: probe }
    - &shared
      id: b
      kind: probe
      settings:
        every: ${EVERY:-1s}
        # times: 3
        text: '$${x}'
    - id: twice
      children: [{ include: two.yaml }]
    - id: again
      children: [{ include: two.yaml }]
";
const ARM: &str =
    "children:\n- id: left\n  kind: probe\n  settings: {}\n- id: right\n  kind: probe\n";

fn located(child: &str) -> Result<Located, NoPlace> {
    let read = |path: &Path, _: usize| match path.to_str().unwrap() {
        "t/kernel.yaml" => Ok(KERNEL.into()),
        "t/parts/arm.yaml" => Ok(ARM.into()),
        "t/two.yaml" => Ok("- { id: x, kind: probe }".into()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let sources = Sources {
        read: &read,
        env: &|_| None,
        kinds: &Probe,
        limits: Limits::default(),
    };
    let child: ActorPath = child.parse().unwrap();
    locate(Path::new("t/kernel.yaml"), &sources, &child)
}

#[test]
fn settings_of_a_child_are_set_in_the_file_that_it_stands_in() {
    for (child, key, value, file, old, new) in [
        (
            "/a",
            "x",
            json!(1),
            "t/kernel.yaml",
            "kind: probe\n      restart",
            "kind: probe\n      settings:\n        x: 1\n      restart",
        ),
        (
            "/arm/left",
            "x",
            json!(1),
            "t/parts/arm.yaml",
            "settings: {}",
            "settings: { x: 1 }",
        ),
        (
            "/arm/right",
            "x.z",
            json!("${HOME}"),
            "t/parts/arm.yaml",
            "right\n  kind: probe\n",
            "right\n  kind: probe\n  settings:\n    x:\n      z: \"$${HOME}\"\n",
        ),
        (
            "/arm/last",
            "every",
            json!("${secret:E}"),
            "t/kernel.yaml",
            "every: 1s",
            "every: \"${secret:E}\"",
        ),
        (
            "/b",
            "times",
            json!(4),
            "t/kernel.yaml",
            "# times: 3\n",
            "# times: 3\n        times: 4\n",
        ),
        (
            "/b",
            "text",
            json!("${y}"),
            "t/kernel.yaml",
            "'$${x}'",
            "'$${y}'",
        ),
    ] {
        let place = located(child).unwrap();
        assert_eq!(place.file, Path::new(file));
        let key: Vec<&str> = key.split('.').collect();
        let found = set(&place.text, At::Settings(&place.steps), &key, &value).unwrap();
        assert_eq!(found, place.text.replacen(old, new, 1), "{child}");
    }
    let place = located("/b").unwrap();
    let at = At::Settings(&place.steps);
    let told = set(&place.text, at, &["every"], &json!("2s")).unwrap_err();
    assert_eq!(
        told.to_string(),
        "line 17: its value comes from a variable; edit the file by hand"
    );
    let found = unset(&place.text, at, &["every"]).unwrap();
    assert_eq!(
        found,
        KERNEL.replacen("        every: ${EVERY:-1s}\n", "", 1)
    );
}

#[test]
fn a_child_without_a_place_of_its_own_is_refused_with_the_reason() {
    for (child, expected) in [
        ("/", "there is no `/` in t/kernel.yaml; `uk tree` lists"),
        ("/a/b", "there is no `/a/b` in t/kernel.yaml"),
        (
            "/drones/7",
            "`/drones/7` is made from a template: change the `template` of /drones in the file",
        ),
        (
            "/twice/x",
            "t/two.yaml is included more than once: a change of it would change several children",
        ),
    ] {
        let told = located(child).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
}
