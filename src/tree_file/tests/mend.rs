//! What is mended without asking, and what is left alone.

use super::*;
use crate::tree_file::mend::{Mended, mend};

fn mend_files(files: &[(&str, &[u8])]) -> Mended {
    let memory = Memory(files);
    let read = |path: &Path, max: usize| memory.read(path, max);
    let sources = Sources {
        read: &read,
        env: &env,
        kinds: &Kinds,
        limits: Limits::default(),
    };
    mend(Path::new("tree.yaml"), &sources)
}

/// The one line of a child that is mended, or nothing.
fn mended_child(child: &str) -> Option<String> {
    let text = format!(
        "version: 1\ntree:\n  children:\n    - {{ id: camera, kind: log }}\n    - {{ id: b, {child} }} # last\n"
    );
    let mended = mend_files(&[("tree.yaml", text.as_bytes())]);
    let file = mended.files.first()?;
    let (_, _, after) = file.lines().next()?;
    let inner = after
        .strip_prefix("    - { id: b, ")?
        .strip_suffix(" } # last")?;
    Some(inner.to_owned())
}

#[test]
fn the_bare_name_of_a_node_is_made_a_place() {
    for (child, expected) in [
        (
            "kind: log, place: edge-1",
            Some("kind: log, place: { node: edge-1 }"),
        ),
        (
            "kind: log, place: \"7\"",
            Some("kind: log, place: { node: \"7\" }"),
        ),
        ("kind: log, place: her", Some("kind: log, place: here")),
        // It may be one that the other node has.
        ("kind: lgo, place: { node: edge-1 }", None),
    ] {
        assert_eq!(mended_child(child).as_deref(), expected, "{child}");
    }
}

#[test]
fn what_can_be_meant_in_one_way_only_is_mended() {
    for (child, expected) in [
        ("kidn: log", Some("kind: log")),
        ("\"kidn\": log", Some("\"kind\": log")),
        ("kind: sensor.hots", Some("kind: sensor.host")),
        ("kind: 'lgo'", Some("kind: 'log'")),
        (
            "kind: log, restart: Permanent",
            Some("kind: log, restart: permanent"),
        ),
        (
            "kind: log, needs: [camra]",
            Some("kind: log, needs: [camera]"),
        ),
        (
            "kind: log, needs: camera",
            Some("kind: log, needs: [camera]"),
        ),
        (
            "kind: log, essential: yes",
            Some("kind: log, essential: true"),
        ),
        (
            "kind: log, essential: \"false\"",
            Some("kind: log, essential: false"),
        ),
        (
            "kind: log, shutdown: 5 sec",
            Some("kind: log, shutdown: 5s"),
        ),
        (
            "kind: log, shutdown: 1.5s",
            Some("kind: log, shutdown: 1500ms"),
        ),
        (
            "kind: log, labels: { v: 007 }",
            Some("kind: log, labels: { v: \"007\" }"),
        ),
        (
            "kind: log, labels: { v: true }",
            Some("kind: log, labels: { v: \"true\" }"),
        ),
        (
            "kind: log, mailbox: { retry: '5' }",
            Some("kind: log, mailbox: { retry: 5 }"),
        ),
        (
            "kind: log, mailbox: { retry 5 }",
            Some("kind: log, mailbox: { retry: 5 }"),
        ),
        (
            "kind: log, mailbox: { retry:5 }",
            Some("kind: log, mailbox: { retry: 5 }"),
        ),
        (
            "kind: sensor.host, settings: { evry: 1s }",
            Some("kind: sensor.host, settings: { every: 1s }"),
        ),
        // What the first fix uncovers is mended as well.
        ("kidn: lgo", Some("kind: log")),
        // These could mean more than one thing, or something else altogether.
        ("kind: log, shutdown: 5", None),
        ("kind: log, shutdown: 5M", None),
        ("kind: log, restart: always", None),
        ("kind: log, mailbox: { overflow: drop }", None),
        ("kind: log, colour: red", None),
        ("kind: log, health: { every: 1s, timeout: 5s }", None),
        ("kind: log, kind: log", None),
        ("kind: \"l\\x67o\"", None),
    ] {
        assert_eq!(mended_child(child).as_deref(), expected, "{child}");
    }
}

#[test]
fn what_an_alias_or_a_variable_brings_is_left_alone() {
    for text in [
        "version: 1\ntree:\n  strategy: ${NONE:-one_for_al}\n  children: []\n",
        "version: 1\nname: &n rest_for_on\ntree:\n  strategy: *n\n  children: []\n",
    ] {
        let mended = mend_files(&[("tree.yaml", text.as_bytes())]);

        assert_eq!(mended.files, []);
        assert!(mended.checked.tree.is_none());
    }
}

#[test]
fn an_included_file_is_mended_once_however_often_it_is_included() {
    let main = "version: 1\ntree:\n  strateg: one_for_all\n  children:\n    - { id: s, children: [{ include: b.yaml }] }\n    - { id: t, children: [{ include: ./b.yaml }] }\n";
    let files: &[(&str, &[u8])] = &[
        ("tree.yaml", main.as_bytes()),
        ("b.yaml", b"- { id: a, kidn: log }\n"),
        ("./b.yaml", b"- { id: a, kidn: log }\n"),
    ];

    let mended = mend_files(files);

    let after: Vec<&str> = mended
        .files
        .iter()
        .map(|file| file.after.as_str())
        .collect();
    assert_eq!(
        after,
        [
            "- { id: a, kind: log }\n",
            &main.replace("strateg", "strategy")
        ]
    );
    assert!(mended.checked.tree.is_some());
}

#[test]
fn a_fix_that_would_bring_a_new_fault_is_left_out_and_the_others_are_made() {
    for slip in ["mailbx: 5", "bakoff: {min: '5'}", "kidn: no-such-kind"] {
        let kind = if slip.starts_with("kidn") {
            ""
        } else {
            "kind: lgo,"
        };
        let text = format!(
            "version: 1\ntree:\n  strateg: one_for_all\n  children:\n    - {{ id: a, {kind} {slip}, essential: yes }}\n    - {{ id: b, kidn: lgo }}\n"
        );
        let before = load_files("tree.yaml", &[("tree.yaml", text.as_bytes())]);

        let mended = mend_files(&[("tree.yaml", text.as_bytes())]);

        let after = &mended.files.first().expect("the others are made").after;
        assert!(after.contains(slip), "{after}");
        for made in [
            "strategy: one_for_all",
            "essential: true",
            "id: b, kind: log",
        ] {
            assert!(after.contains(made), "{made}: {after}");
        }
        let [left] = &*mended.checked.diagnostics else {
            panic!("{:?}", mended.checked.diagnostics);
        };
        let why = left.notes.last().expect("it says why");
        assert!(why.contains("`--fix` leaves this to you"), "{why}");
        let offered = |found: &&Diagnostic| found.fix.is_some();
        let all = before.diagnostics.iter().filter(offered).count();
        let offers = mended.before.diagnostics.iter().filter(offered).count();
        assert_eq!(offers, all - 1, "{after}");
        let again = mend_files(&[("tree.yaml", after.as_bytes())]);
        assert_eq!(again.files, []);
        assert!(again.before.diagnostics.iter().all(|it| it.fix.is_none()));
    }
}

#[test]
fn lines_that_end_with_a_lone_carriage_return_are_mended_and_stay_so() {
    let text = "version: 1\rtree:\r  strateg: one_for_all\r  children: [{ id: a, kind: log }]\r";

    let mended = mend_files(&[("tree.yaml", text.as_bytes())]);

    let file = mended.files.first().unwrap();
    assert_eq!(file.after, text.replace("strateg", "strategy"));
    let line = (3, "  strateg: one_for_all", "  strategy: one_for_all");
    assert_eq!(file.lines().collect::<Vec<_>>(), [line]);
}

#[test]
fn every_row_of_the_table_is_mended_into_something_no_worse() {
    for (code, text, ..) in super::codes::rows() {
        let files = text.files();
        let Some((main, _)) = files.first().cloned() else {
            continue;
        };
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_slice()))
            .collect();
        if main != "tree.yaml" {
            continue;
        }
        let before = load_files("tree.yaml", &files).faults().count();

        let mended = mend_files(&files);

        assert!(mended.checked.faults().count() <= before, "{code:?}");
        for file in mended.files {
            assert_eq!(file.before.lines().count(), file.after.lines().count());
        }
    }
}
