//! Supervisors with a template: what the command line makes of them.

use serde_json::json;

use crate::harness::Rig;

const TREE: &str = r#"
version: 1
name: rig
test: true
tree:
  intensity: 100
  children:
    - id: cams
      intensity: 100
      template: { kind: probe, settings: { starts: [ok] }, restart: transient }
      max_children: 30
    - { id: pool, template: { kind: probe }, max_children: 0 }
    - { id: bad, template: { kind: probe, settings: { starts: [fail] } } }
    - { id: arms, template: { children: [{ id: hand, kind: probe }] } }
    - { id: w, kind: probe }
"#;

#[test]
fn children_are_made_from_a_template_under_numbers_and_names() {
    let rig = Rig::boot_tree(TREE);

    let first = rig.json(&["spawn", "--under", "/cams"]);
    let named = rig.json(&[
        "spawn",
        "--under",
        "/cams",
        "--id",
        "front",
        "--set",
        "trap_exit=true",
    ]);
    let arm = rig.json(&["spawn", "--under", "/arms"]);

    let started = |path: &str| json!([path, "started", "running", 1]);
    for (document, path) in [(first, "/cams/1"), (named, "/cams/front"), (arm, "/arms/1")] {
        let found = ["path", "done", "state", "incarnation"].map(|key| document[key].clone());
        assert_eq!(json!(found), started(path));
    }
    assert_eq!(
        rig.json(&["which", "/arms/1"])["children"][0]["path"],
        "/arms/1/hand"
    );
}

#[test]
fn a_child_of_a_template_that_is_stopped_leaves_nothing_behind() {
    let rig = Rig::boot_tree(TREE);
    rig.json(&["spawn", "--under", "/cams", "--id", "front"]);

    rig.json(&["kill", "/cams/front"]);
    rig.until(&["which", "/cams"], |which| {
        which["children"][0]["incarnation"] == 2
    });
    rig.json(&["stop", "/cams/front"]);

    assert_eq!(rig.json(&["which", "/cams"])["children"], json!([]));
    assert_eq!(rig.uk(&["which", "/cams"]).out, "/cams has no children\n");
    assert_eq!(rig.uk(&["start", "/cams/front"]).code, 4);
}

#[test]
fn many_are_spawned_at_once_up_to_max_children() {
    let rig = Rig::boot_tree(TREE);

    let some = rig.uk(&["spawn", "--under", "/cams", "--count", "25"]);
    let rest = rig.uk(&["spawn", "--under", "/cams", "--count", "8"]);
    let document = rig.uk(&["spawn", "--under", "/cams", "--count", "2", "--json"]);
    let failed = rig.uk(&["spawn", "--under", "/bad", "--count", "3"]);

    assert_eq!(
        (some.code, some.out.as_str()),
        (0, "/cams started 25 children: /cams/1 to /cams/25\n")
    );
    assert_eq!(rest.code, 1, "{rest:?}");
    for line in [
        "/cams started 5 of 8 children: /cams/26 to /cams/30",
        "error: 3 not started, the first `/cams/31`",
        "hint: 30 are there: `uk which /cams` lists them",
    ] {
        assert!(rest.out.contains(line), "{line}: {rest:?}");
    }
    let document = document.json();
    let found = ["version", "asked", "started", "failed", "first"].map(|key| document[key].clone());
    assert_eq!(json!(found), json!([1, 2, 0, 2, null]));
    assert_eq!(document["failures"][0]["count"], 2);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(
        failed
            .out
            .contains("3 not started, the first `/bad/1`: its start failed"),
        "{failed:?}"
    );
    assert_eq!(rig.json(&["count", "/bad"])["specs"], 0);
    assert_eq!(
        rig.uk(&["count", "/cams"]).out,
        "/cams  30 children of at most 30, 30 running\n"
    );
}

#[test]
fn the_tree_shows_the_first_children_of_a_template_and_all_with_all() {
    let rig = Rig::boot_tree(TREE);
    rig.json(&["spawn", "--under", "/cams", "--count", "30"]);
    let shown = |args: &[&str]| {
        rig.json(args)["tree"]["children"]
            .as_array()
            .map_or(0, Vec::len)
    };

    let drawn = rig.uk(&["tree"]).out;
    let part = rig.uk(&["tree", "/cams"]).out;
    let all = rig.uk(&["tree", "/cams", "--all"]).out;

    assert!(drawn.starts_with("rig · normal · 31 workers\n"), "{drawn}");
    assert!(
        drawn.contains("│  └─ … 10 more: uk tree /cams --all\n"),
        "{drawn}"
    );
    assert!(
        part.contains("└─ … 10 more: uk tree /cams --all\n"),
        "{part}"
    );
    assert!(all.contains("└─ 30") && !all.contains("more:"), "{all}");
    assert_eq!(rig.json(&["tree", "/cams"])["tree"]["counts"]["specs"], 30);
    assert_eq!(
        (
            shown(&["tree", "/cams"]),
            shown(&["tree", "/cams", "--all"])
        ),
        (20, 30)
    );
}

/// Arguments, the exit code, what the error says, what the hint says.
const WRONG: &[(&[&str], i32, &str, &str)] = &[
    (
        &["spawn", "probe", "--under", "/cams", "--id", "x"],
        2,
        "the children of `/cams` are made from its template",
        "leave out the kind: `uk spawn --under /cams --set key=value`",
    ),
    (
        &["spawn", "--under", "/"],
        2,
        "`/` has no template",
        "name a kind and an id: `uk spawn probe --under / --id NAME`",
    ),
    (
        &["spawn", "probe", "--under", "/"],
        2,
        "`id` is missing",
        "add --id NAME",
    ),
    (
        &["spawn", "probe", "--under", "/", "--count", "3"],
        2,
        "`/` has no template that many could be made from",
        "one by one",
    ),
    (
        &["spawn", "--under", "/cams", "--restart", "temporary"],
        2,
        "`restart`: the template of `/cams` says that for all of its children",
        "leave it out",
    ),
    (
        &["spawn", "--under", "/arms", "--set", "a=1"],
        2,
        "the template of `/arms` is a supervisor, which has no settings",
        "uk spawn --under /arms",
    ),
    (
        &["spawn", "--under", "/cams", "--set", "trap_ext=true"],
        3,
        "unknown key `trap_ext`",
        "did you mean `trap_exit`?",
    ),
    (
        &[
            "spawn",
            "--under",
            "/cams",
            "--count",
            "2",
            "--set",
            "trap_ext=true",
        ],
        3,
        "unknown key `trap_ext`",
        "did you mean `trap_exit`?",
    ),
    (
        &["spawn", "--under", "/cams", "--count", "0"],
        2,
        "`count`: 0 is not 1 to 100,000",
        "so many children",
    ),
    (
        &["spawn", "--under", "/cams", "--count", "100001"],
        2,
        "`count`: 100,001 is not 1 to 100,000",
        "at most 100000 at once",
    ),
    (
        &["spawn", "--under", "/cams", "--count", "2", "--id", "x"],
        2,
        "`id` names one child, `count` makes many",
        "leave one of them out",
    ),
    (
        &["spawn", "--under", "/cams", "--id", "a b"],
        2,
        "`a b` is not an id",
        "",
    ),
    (
        &["spawn", "--under", "/pool"],
        1,
        "all the children that its `max_children` (0) allows",
        "raise `max_children` of /pool in the tree file",
    ),
    (
        &["spawn", "--under", "/bad"],
        1,
        "`/bad/1`: its start failed",
        "nothing was added",
    ),
];

#[test]
fn what_does_not_go_with_a_template_says_what_does() {
    let rig = Rig::boot_tree(TREE);

    for (args, code, says, hint) in WRONG {
        let said = rig.uk(args);

        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        assert!(
            said.err.contains(says) && said.err.contains(hint),
            "{args:?}: {said:?}"
        );
    }
    assert_eq!(rig.json(&["count", "/cams"])["specs"], 0);
}

#[test]
fn a_supervisor_with_a_template_can_be_added_while_the_kernel_runs() {
    let rig = Rig::boot_tree(TREE);
    let spec = r#"{"template": {"kind": "probe"}, "max_children": 2}"#;

    rig.json(&["spawn", "--under", "/", "--id", "extra", "--spec", spec]);
    let spawned = rig.json(&["spawn", "--under", "/extra", "--count", "2"]);

    assert_eq!(spawned["started"], 2);
    assert_eq!(rig.uk(&["spawn", "--under", "/extra"]).code, 1);
}

#[test]
fn a_key_leads_to_the_same_partition_each_time() {
    let rig = Rig::boot_tree(
        "version: 1\nname: rig\ntree:\n  children:\n    - { id: users, partitions: 4, template: { kind: probe } }\n    - { id: w, kind: probe }\n",
    );

    for key in ["5", "-5", "1"] {
        let told = rig.json(&["tell", "/users", "--key", key, r#"{"echo": 1}"#]);
        assert_eq!(told["path"], "/users/1", "{key}");
    }
    let told =
        |key: &str| rig.json(&["tell", "/users", "--key", key, r#"{"echo": 1}"#])["path"].clone();
    assert_eq!(told("user 7"), told("user 7"));
    let answer = rig.json(&["ask", "/users", "--key", "3", r#"{"echo": "three"}"#]);
    assert_eq!(answer["answer"], "three");
    let said = rig.uk(&["tell", "/", "--key", "1", "x"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("are no partitions"), "{}", said.err);
}
