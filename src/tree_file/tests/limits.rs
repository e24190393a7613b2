//! Large, hostile and senseless files: a reading always ends, and soon.

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = "
version: 1
name: ${HOST}
tree:
  strategy: rest_for_one
  intensity: 5
  period: 10s
  children:
    - id: sensors
      shutdown: 4s
      children:
        - &base
          id: host
          kind: sensor.host
          settings: { every: 1s, list: [1, 2] }
          mailbox: { capacity: 1024, overflow: drop_oldest, lanes: { low: 3 } }
          backoff: { min: 100ms, max: 10s, jitter: 0.2 }
        - <<: *base
          id: \"other\"
          needs: [host]
          labels: { a: 'ü', b: \"${NONE:-${HOST}}\" }
    - include: b.yaml
    - id: tail
      kind: probe
      settings: |
        text
";

fn load_anything(main: &[u8]) {
    let checked = load_files("tree.yaml", &[("tree.yaml", main), ("b.yaml", main)]);
    let rendered = checked.render(false);
    assert_eq!(rendered.is_empty(), checked.diagnostics.is_empty());
    assert_eq!(checked.tree.is_some(), checked.faults().next().is_none());
    assert!(checked.to_json().is_object());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load_anything(&bytes);
    }

    #[test]
    fn no_text_of_yaml_signs_makes_the_reading_panic(
        text in "[-a{}\\[\\]:,&*!|>'\"#%@`?<~$ \t\n0.ü]{0,80}"
    ) {
        load_anything(text.as_bytes());
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_reading_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..20, "[-a{}\\[\\]:,&*!|'\"$ \n0ü]{0,6}"), 1..6)
    ) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for (at, len, with) in changes {
            let start = at.index(bytes.len() + 1);
            let end = (start + len).min(bytes.len());
            bytes.splice(start..end, with.into_bytes());
        }
        load_anything(&bytes);
    }
}

fn many(line: impl Fn(usize) -> String) -> String {
    let children: String = (0..10_000).map(line).collect();
    format!("version: 1\ntree:\n  intensity: 9\n  children:\n{children}")
}

#[test]
fn ten_thousand_children_load() {
    let text = many(|at| {
        format!(
            "    - id: c{at}\n      kind: probe\n      settings: {{ every: 1s, n: {at} }}\n      mailbox: {{ capacity: 64 }}\n      needs: [c{}]\n",
            at.saturating_sub(1)
        )
    })
    .replacen("      needs: [c0]\n", "", 1);

    let tree = tree(&text);

    assert_eq!(tree.root.children.len(), 10_000);
}

#[test]
fn ten_thousand_faults_are_all_told_but_not_all_shown() {
    let text = many(|at| format!("    - {{ id: c{at}, kind: prob, needs: [d{at}], idd: 5 }}\n"));

    let checked = load_one(&text);

    assert_eq!(checked.faults().count(), 30_000);
    assert!(
        checked
            .render(false)
            .contains("… and 29900 more; mend these first")
    );
}

#[test]
fn ten_thousand_names_that_stand_twice_end_soon() {
    let text = many(|at| format!("    - {{ id: c{at}, kind: probe }}\n"));
    let children: String = text
        .lines()
        .skip(4)
        .map(|line| format!("{line}\n"))
        .collect();

    let checked = load_one(&format!("{text}{children}"));

    assert_eq!(checked.faults().count(), 10_000);
}

#[test]
fn a_file_in_one_long_line_is_shown_in_part() {
    let shown = |kind: &str| {
        let children = (0..5000)
            .map(|at| format!("{{ id: c{}, kind: {kind} }}", at % 4999))
            .collect::<Vec<_>>()
            .join(", ");
        load_one(&format!(
            "{{ version: 1, tree: {{ children: [{children}] }} }}"
        ))
        .render(false)
    };

    for (kind, expected) in [
        ("prob", "did you mean `probe`?"),
        ("probe", "^^\n  |\n ::: tree.yaml:1:40"),
    ] {
        let shown = shown(kind);
        assert!(shown.contains(expected), "{shown}");
        assert!(
            shown.lines().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
    }
}

#[test]
fn nesting_is_bounded_over_aliases_and_includes() {
    let mut aliases = "version: 1\ntree:\n  children: []\nx:\n  a0: &a0 [1]\n".to_owned();
    for at in 1..100 {
        aliases.push_str(&format!("  a{at}: &a{at} [*a{}]\n", at - 1));
    }
    let open = "[".repeat(100_000);
    let block = (0..200)
        .map(|at| format!("{}- \n", " ".repeat(at)))
        .collect::<String>();

    for text in [aliases, open, block] {
        let checked = load_one(&text);
        let codes: Vec<Code> = checked.faults().map(|fault| fault.code).collect();
        assert!(
            matches!(codes[..], [Code::TooDeep | Code::Syntax, ..]),
            "{codes:?}"
        );
    }

    let nested = |children: &str| {
        let mut text = format!("- {{ id: w, kind: log }}\n{children}");
        for _ in 0..12 {
            let inner: String = text.lines().map(|line| format!("    {line}\n")).collect();
            text = format!("- id: s\n  children:\n{inner}");
        }
        text
    };
    let main = format!(
        "version: 1\ntree:\n  children:\n{}",
        indented(&nested("- include: b.yaml"), 4)
    );
    let b = nested("- include: c.yaml");
    let c = nested("");
    let checked = load_files(
        "tree.yaml",
        &[
            ("tree.yaml", main.as_bytes()),
            ("b.yaml", b.as_bytes()),
            ("c.yaml", c.as_bytes()),
        ],
    );
    let codes: Vec<Code> = checked.faults().map(|fault| fault.code).collect();
    assert_eq!(codes, [Code::TooDeep], "{}", checked.render(false));
}

#[test]
fn limits_can_be_set() {
    let text = worker("");
    let files: &[(&str, &[u8])] = &[("tree.yaml", text.as_bytes())];
    for (limits, expected) in [
        (
            Limits {
                file_bytes: 10,
                ..Limits::default()
            },
            Code::TooLarge,
        ),
        (
            Limits {
                nodes: 5,
                ..Limits::default()
            },
            Code::TooManyNodes,
        ),
        (
            Limits {
                depth: 3,
                ..Limits::default()
            },
            Code::TooDeep,
        ),
    ] {
        let checked = load_within("tree.yaml", files, limits);
        assert_eq!(checked.diagnostics[0].code, expected);
    }
}
