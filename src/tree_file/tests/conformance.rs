//! Group J of what OTP's supervisors do: what is accepted as a child and as a supervisor, and what is not.
//!
//! A file is looked at as a whole before anything starts, and so is a child that is spawned; that nothing becomes of
//! what is at fault is that there is no tree, and no spec.

use super::json::child as spawned;
use super::*;

/// A file whose root has these children.
fn file(children: &str) -> Checked {
    load_one(&format!(
        "version: 1\ntree:\n  children:\n{}",
        indented(children, 4)
    ))
}

/// The file is at fault for `code` alone, and says `says`.
fn refused(checked: &Checked, code: Code, says: &str) {
    let shown = checked.render(false);
    let codes: Vec<Code> = checked.faults().map(|fault| fault.code).collect();
    assert_eq!(codes, [code], "{shown}");
    assert!(shown.contains(says), "{says}\n{shown}");
    assert!(checked.tree.is_none());
}

#[test]
fn s241_s242_s243_s244_s246_s247_what_is_no_child_is_refused_by_name() {
    for (child, code, says) in [
        ("{ id: a, kind: prob }", Code::UnknownKind, "`prob`"),
        (
            "{ id: a, kind: log, restart: permanently }",
            Code::UnknownWord,
            "`permanently`",
        ),
        (
            "{ id: a, kind: log, shutdown: -10ms }",
            Code::BadDuration,
            "`-10ms`",
        ),
        (
            "{ id: a }",
            Code::NeitherKindNorChildren,
            "`a` has neither `kind` nor `children`",
        ),
        (
            "{ id: a, kind: log, children: [] }",
            Code::KindAndChildren,
            "`a` has `kind` and `children`",
        ),
        (
            "{ id: a, kind: log, significant: 5 }",
            Code::WrongType,
            "`5`",
        ),
        (
            "{ kind: log }",
            Code::MissingKey,
            "a child of / has no `id`",
        ),
        ("5", Code::WrongType, "a child must be a mapping"),
    ] {
        refused(&file(&format!("- {child}")), code, says);
    }
}

#[test]
fn s241_s242_s243_s246_s247_what_is_no_child_cannot_be_spawned() {
    for (child, says) in [
        (json!({ "id": "a", "kind": "prob" }), "`prob`"),
        (
            json!({ "id": "a", "kind": "log", "restart": "never" }),
            "`never`",
        ),
        (
            json!({ "id": "a", "kind": "log", "shutdown": "-10ms" }),
            "`-10ms`",
        ),
        (
            json!({ "id": "a", "kind": "log", "significant": "maybe" }),
            "`maybe`",
        ),
        (json!({ "kind": "log" }), "no `id`"),
        (json!({ "id": "a" }), "neither `kind` nor `children`"),
        (json!(5), "a child must be a mapping"),
    ] {
        let faults = spawned(&child).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains(says), "{faults:?}");
    }
}

#[test]
fn s248_children_that_are_no_list_are_refused() {
    for children in ["5", "{ id: a }", "a"] {
        let text = format!("version: 1\ntree:\n  children: {children}\n");
        refused(
            &load_one(&text),
            Code::WrongType,
            "must be a list of children",
        );
    }
}

#[test]
fn s249_two_children_of_one_id_are_refused() {
    let twice = file("- { id: a, kind: log }\n- { id: b, kind: log }\n- { id: a, kind: probe }");

    refused(
        &twice,
        Code::DuplicateId,
        "two children of / have the id `a`",
    );
}

#[test]
fn s250_every_combination_of_what_is_valid_is_accepted() {
    for restart in ["permanent", "transient", "temporary"] {
        for shutdown in ["0s", "1500ms", "infinity", "brutal_kill"] {
            for sort in ["kind: log", "children: [{ id: w, kind: log }]"] {
                let keys = format!("{{ id: a, restart: {restart}, shutdown: {shutdown}, {sort} }}");
                let checked = file(&format!("- {keys}"));
                assert!(checked.tree.is_some(), "{keys}\n{}", checked.render(false));
            }
        }
    }
}

#[test]
fn s251_exactly_two_combinations_of_significance_are_refused() {
    let key = |name: &str, word: &str| match word {
        "" => String::new(),
        word => format!("{name}: {word}"),
    };
    for auto_shutdown in ["", "never", "any_significant", "all_significant"] {
        for restart in ["", "permanent", "transient", "temporary"] {
            for significant in ["", "false", "true"] {
                let text = format!(
                    "version: 1\ntree:\n  {}\n  children:\n    - id: a\n      kind: log\n      {}\n      {}\n",
                    key("auto_shutdown", auto_shutdown),
                    key("restart", restart),
                    key("significant", significant),
                );
                let mut expected = Vec::new();
                if significant == "true" && matches!(auto_shutdown, "" | "never") {
                    expected.push(Code::SignificantNever);
                }
                if significant == "true" && matches!(restart, "" | "permanent") {
                    expected.push(Code::SignificantPermanent);
                }

                let checked = load_one(&text);

                let mut found: Vec<Code> = checked.faults().map(|fault| fault.code).collect();
                found.sort_unstable();
                assert_eq!(found, expected, "{text}");
            }
        }
    }
}

#[test]
fn s252_a_supervisor_with_a_child_at_fault_does_not_start() {
    let below = "- id: s\n  children: [{ id: w, kind: log }, { id: x, kind: lag }]";
    refused(&file(below), Code::UnknownKind, "`lag`");

    let child = json!({ "id": "s", "children": [{ "id": "x", "kind": "lag" }] });
    let faults = spawned(&child).unwrap_err();
    assert!(faults[0].contains("`lag`"), "{faults:?}");
}

#[test]
fn s253_what_is_no_supervisor_is_refused_by_name() {
    for (keys, code, says) in [
        (
            "{ strategy: one_for_two, children: [] }",
            Code::UnknownWord,
            "`one_for_two`",
        ),
        (
            "{ strategy: [], children: [] }",
            Code::WrongType,
            "`strategy`",
        ),
        (
            "{ intensity: infinity, children: [] }",
            Code::WrongType,
            "`infinity`",
        ),
        ("{ intensity: -1, children: [] }", Code::OutOfRange, "`-1`"),
        ("{ period: 0s, children: [] }", Code::OutOfRange, "`0s`"),
        (
            "{ period: infinity, children: [] }",
            Code::BadDuration,
            "`infinity`",
        ),
        (
            "{ auto_shutdown: any, children: [] }",
            Code::UnknownWord,
            "`any`",
        ),
        ("5", Code::WrongType, "`tree` must be a mapping"),
    ] {
        refused(
            &load_one(&format!("version: 1\ntree: {keys}\n")),
            code,
            says,
        );
    }
}

#[test]
fn s254_an_unknown_key_is_refused_with_the_nearest_that_is_known() {
    let child = file("- { id: a, kind: log, restrat: permanent }");
    refused(&child, Code::UnknownKey, "did you mean `restart`?");

    let root = load_one("version: 1\ntree: { intensty: 3, children: [] }\n");
    refused(&root, Code::UnknownKey, "did you mean `intensity`?");
}

#[test]
fn s256_what_is_given_instead_of_a_child_is_named_with_what_was_expected() {
    for (child, given) in [
        ("sensor.host", "the text `sensor.host`"),
        ("[a, b]", "a list"),
        ("true", "`true`"),
    ] {
        let checked = file(&format!("- {child}"));
        refused(&checked, Code::WrongType, given);
        assert!(checked.render(false).contains("write `- id: …`"));
    }
}
