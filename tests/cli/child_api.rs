//! OTP's child API through the binary: each of its distinct answers, and what to do about it.

use serde_json::json;

use crate::harness::Rig;

/// What OTP's suite calls the step, arguments, exit code, what is said, what the hint says.
type Step = (
    &'static str,
    &'static [&'static str],
    i32,
    &'static str,
    &'static str,
);

/// One after the other in one kernel; `/t` is temporary, `/slow` waits in its backoff.
const STEPS: &[Step] = &[
    (
        "s223 already_started",
        &["spawn", "probe", "--under", "/", "--id", "a"],
        1,
        "`/a`: a child of that id is running already",
        "`uk stop /a` stops it",
    ),
    (
        "s227 delete of a running child",
        &["delete", "/a"],
        1,
        "`/a`: it is running",
        "`uk stop /a` stops it",
    ),
    (
        "s228 start of a running child",
        &["start", "/a"],
        1,
        "`/a`: it is running",
        "`uk restart /a` stops and starts it",
    ),
    ("s226 terminate", &["stop", "/a"], 0, "/a stopped", ""),
    ("s226 terminate again", &["stop", "/a"], 0, "/a stopped", ""),
    (
        "s224 already_present",
        &["spawn", "probe", "--under", "/", "--id", "a"],
        1,
        "`/a`: a child of that id is there already, though it does not run",
        "`uk start /a` starts it, `uk delete /a` removes it",
    ),
    (
        "suspend of what is down",
        &["suspend", "/a"],
        1,
        "`/a`: it is not running",
        "`uk start /a` starts it",
    ),
    (
        "s228 start of a stopped child",
        &["start", "/a"],
        0,
        "/a started, now running (life 2)",
        "",
    ),
    ("s240 terminate", &["stop", "/a"], 0, "/a stopped", ""),
    ("s240 delete", &["delete", "/a"], 0, "/a deleted", ""),
    (
        "s225 terminate of what is not there",
        &["stop", "/a"],
        4,
        "there is no `/a`",
        "did you mean",
    ),
    (
        "s225 delete of what is not there",
        &["delete", "/a"],
        4,
        "there is no `/a`",
        "did you mean",
    ),
    (
        "s225 start of what is not there",
        &["start", "/a"],
        4,
        "there is no `/a`",
        "did you mean",
    ),
    (
        "s230 no such supervisor",
        &["spawn", "probe", "--under", "/nope", "--id", "x"],
        4,
        "there is no `/nope`",
        "the nearest is `/`",
    ),
    (
        "s230 no such supervisor to list",
        &["which", "/grup"],
        4,
        "there is no `/grup`",
        "did you mean `/group`?",
    ),
    (
        "which of a worker",
        &["which", "/b"],
        2,
        "`/b` is a worker, not a supervisor",
        "name a supervisor",
    ),
    (
        "count of a worker",
        &["count", "/b"],
        2,
        "`/b` is a worker, not a supervisor",
        "name a supervisor",
    ),
    (
        "suspend of a supervisor",
        &["suspend", "/group"],
        2,
        "it is a supervisor, which takes no messages",
        "`uk which /group` lists its children",
    ),
    (
        "delete of what waits for its restart",
        &["delete", "/slow"],
        1,
        "`/slow`: it is being started or stopped, or waits for its restart",
        "`uk stop /slow` ends its restarts",
    ),
    (
        "s231 terminate of a temporary child",
        &["stop", "/t"],
        0,
        "/t stopped",
        "",
    ),
    (
        "s231 delete after that",
        &["delete", "/t"],
        4,
        "there is no `/t`",
        "",
    ),
    (
        "release of what is in no quarantine",
        &["release", "/b"],
        1,
        "`/b`: it is not in quarantine",
        "`uk tree /b` shows",
    ),
    (
        "a need that is not there",
        &[
            "spawn",
            "probe",
            "--under",
            "/",
            "--id",
            "x",
            "--spec",
            r#"{"needs": ["bb"]}"#,
        ],
        3,
        "`x` needs `bb`, which is no sibling",
        "did you mean `b`?",
    ),
    (
        "stop of the root",
        &["stop", "/"],
        1,
        "cannot be stopped",
        "uk shutdown",
    ),
];

#[test]
fn each_answer_of_the_child_api_is_told_apart_and_says_what_to_do() {
    let rig = Rig::boot();
    rig.json(&[
        "spawn",
        "probe",
        "--under",
        "/",
        "--id",
        "t",
        "--restart",
        "temporary",
    ]);
    rig.json(&["kill", "/slow"]);
    rig.until(&["tree", "/slow"], |tree| {
        tree["tree"]["state"] == "backoff"
    });

    for (name, args, code, says, hint) in STEPS {
        let said = rig.uk(args);

        assert_eq!(said.code, *code, "{name}: {said:?}");
        let text = if *code == 0 { &said.out } else { &said.err };
        assert!(
            text.contains(says) && text.contains(hint),
            "{name}: {said:?}"
        );
        if *code != 0 {
            let error = &rig.uk(&[args, &["--json"][..]].concat()).json()["error"];
            assert!(error["message"].is_string(), "{name}: {error}");
        }
    }
}

#[test]
fn s232_children_are_listed_in_start_order_and_a_stopped_one_keeps_its_place() {
    let rig = Rig::boot();
    let listed = || {
        let which = rig.json(&["which", "/group"]);
        assert_eq!(which["version"], 1);
        let children = which["children"].as_array().unwrap().iter();
        let of =
            |child: &serde_json::Value| json!([child["id"], child["state"], child["incarnation"]]);
        children.map(of).collect::<serde_json::Value>()
    };
    rig.json(&["spawn", "probe", "--under", "/group", "--id", "new"]);

    rig.json(&["stop", "/group/one"]);
    let stopped = listed();
    rig.json(&["delete", "/group/one"]);
    let deleted = listed();

    let (two, new) = (json!(["two", "running", 1]), json!(["new", "running", 1]));
    assert_eq!(stopped, json!([["one", "stopped", 1], two, new]));
    assert_eq!(deleted, json!([two, new]));
}

#[test]
fn s234_children_are_counted_by_what_they_are_and_whether_they_run() {
    let rig = Rig::boot();
    rig.json(&["stop", "/a"]);

    let root = rig.json(&["count", "/"]);
    let group = rig.json(&["count", "/group"]);

    assert_eq!(
        root,
        json!({"version": 1, "path": "/", "specs": 4, "active": 3, "supervisors": 1, "workers": 3, "max_children": null})
    );
    assert_eq!((&group["specs"], &group["active"]), (&json!(2), &json!(2)));
}

#[test]
fn a_suspended_worker_takes_no_messages_and_has_them_all_once_it_is_resumed() {
    let rig = Rig::boot();

    rig.json(&["suspend", "/a"]);
    rig.json(&["suspend", "/a"]);
    for number in 0..3 {
        rig.json(&["tell", "/a", &format!(r#"{{"echo": {number}}}"#)]);
    }
    let suspended = rig.json(&["tree", "/a"]);
    let said = rig.uk(&["ask", "/a", r#"{"echo": 1}"#, "--timeout", "50ms"]);
    rig.json(&["resume", "/a"]);

    assert_eq!(suspended["tree"]["state"], "suspended");
    assert_eq!(suspended["tree"]["mailbox"]["depth"], 3);
    assert_eq!(said.code, 7, "{said:?}");
    let answer = rig.json(&["ask", "/a", r#"{"count": null}"#]);
    // The ask of which nobody awaits the answer any more is not handled.
    assert_eq!(answer["answer"]["total"], 3);
    rig.json(&["suspend", "/a"]);
    rig.json(&["kill", "/a"]);
    let back = rig.until(&["tree", "/a"], |tree| tree["tree"]["incarnation"] == 2);
    assert_eq!(back["tree"]["state"], "running");
}
