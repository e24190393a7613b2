//! `uk events`, and the catalog of a kernel that runs.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::json;

use crate::harness::{Folder, Rig, Said, TREE, signal};

const CATALOG: &str = "version: 1\nevents:\n  door.opened:\n    description: A door\n    schema:\n      type: object\n      \
                       required: [which]\n      properties: { which: { type: string } }\n    publishers: [/a]\n";

/// A kernel with a catalog of its own.
fn rig() -> Rig {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    folder.file("config/events.yaml", CATALOG);
    let process = Rig::spawn(&folder, &[]);
    Rig { folder, process }.until_booted()
}

/// A tail, and its lines as they come.
pub(crate) fn tail(
    folder: &Folder,
    args: &[&str],
) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = folder.command(&[&["events", "tail"], args].concat());
    let mut tail = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: BufReader<ChildStdout> = BufReader::new(tail.stdout.take().unwrap());
    (tail, lines.lines().map_while(Result::ok))
}

fn until_heard(rig: &Rig, topic: &str) {
    rig.until(&["events", "show", topic], |shown| {
        shown["subscribers"] == json!(["uk events tail"])
    });
}

/// A command line, its exit code, and what it says.
const WRONG: &[(&[&str], i32, &[&str])] = &[
    (
        &["events", "publish", "door.opened", "{}"],
        3,
        &["`which` is missing", "uk events show door.opened"],
    ),
    (
        &["events", "publish", "door.opened", r#"{"which": 5}"#],
        3,
        &["`/which`: `5` is not a text"],
    ),
    (
        &["events", "publish", "door.*", "1"],
        2,
        &["is a pattern, not a topic", "without a `*`"],
    ),
    (
        &["events", "publish", "door/opened", "1"],
        2,
        &["did you mean `door.opened`?"],
    ),
    (
        &["events", "publish", "x", "1", "--id", "x"],
        2,
        &["`id`: `x` is not the id of an event"],
    ),
    (
        &[
            "events",
            "publish",
            "door.opened",
            r#"{"which": "a"}"#,
            "--source",
            "/b",
        ],
        6,
        &["`/b` may not publish `door.opened`", "lists its publishers"],
    ),
    (
        &["events", "show", "door.openet"],
        4,
        &["did you mean `door.opened`?"],
    ),
    (&["events", "tail", "door..x"], 2, &["is not a pattern"]),
    (
        &["events", "tail", "door.*", "--from", "noon"],
        2,
        &["write now, start, 2h for two hours ago, or a time"],
    ),
    (
        &["events", "tail", "door.*", "--from", "start"],
        2,
        &["nothing that fits `door.*` is kept"],
    ),
];

#[test]
fn what_is_published_is_checked_and_counted() {
    let rig = rig();
    let published = rig.json(&["events", "publish", "door.opened", r#"{"which": "front"}"#]);
    let id = published["id"].as_str().unwrap();
    assert_eq!((id.len(), &published["stream"]), (26, &json!(null)));

    for (args, code, says) in WRONG {
        let said: Said = rig.uk(args);
        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        for text in *says {
            assert!(said.err.contains(text), "{args:?}: {said:?}");
        }
    }
    let stats = rig.json(&["events", "stats", "--pattern", "door.*"]);
    assert_eq!(
        (
            &stats["topics"][0]["published"],
            &stats["topics"][0]["refused"]
        ),
        (&json!(1), &json!(0))
    );
    let listed = rig.json(&["events", "list", "--pattern", "door.*"]);
    assert_eq!(
        (
            &listed["types"][0]["topic"],
            &listed["types"][0]["published"]
        ),
        (&json!("door.opened"), &json!(1))
    );
}

#[test]
fn a_tail_shows_events_as_they_come_until_its_limit() {
    let rig = rig();
    let (mut tail, mut lines) = tail(&rig.folder, &["door.*", "--limit", "2", "--json"]);
    until_heard(&rig, "door.shut");

    for (which, topic) in [
        ("x", "other.x"),
        ("1", "door.shut"),
        ("2", "door.shut"),
        ("3", "door.shut"),
    ] {
        let args = [
            "events",
            "publish",
            topic,
            which,
            "--priority",
            "high",
            "--meta",
            "k=v",
        ];
        assert_eq!(rig.uk(&args).code, 0);
    }

    let events: Vec<serde_json::Value> = lines
        .by_ref()
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    let data: Vec<_> = events.iter().map(|event| &event["data"]).collect();
    assert_eq!(data, [&json!(1), &json!(2)]);
    let first = &events[0];
    assert_eq!(
        (
            &first["topic"],
            &first["source"],
            &first["priority"],
            &first["meta"]
        ),
        (
            &json!("door.shut"),
            &json!("uk"),
            &json!("high"),
            &json!({"k": "v"})
        )
    );
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    // Nobody listens any more.
    rig.until(&["events", "show", "door.shut"], |shown| {
        shown["subscribers"] == json!([])
    });
}

#[test]
fn a_tail_ends_with_ctrl_c_and_says_when_the_kernel_has_gone() {
    let rig = rig();
    let (mut by_hand, _lines) = tail(&rig.folder, &["door.*"]);
    until_heard(&rig, "door.shut");
    signal(&by_hand, "INT");
    assert_eq!(by_hand.wait().unwrap().code(), Some(0));
    for end in ["TERM", "KILL"] {
        let mut rig = self::rig();
        let (left, mut lines) = tail(&rig.folder, &["door.*"]);
        until_heard(&rig, "door.shut");
        rig.uk(&["events", "publish", "door.shut", "1"]);
        assert!(lines.next().unwrap().ends_with("door.shut  uk  1"));

        rig.signal(end);
        rig.wait();

        assert_eq!(lines.next(), None);
        let left = left.wait_with_output().unwrap();
        let said = String::from_utf8(left.stderr).unwrap();
        assert_eq!(left.status.code(), Some(5), "{end}: {said}");
        assert!(said.contains("lost the kernel at"), "{said}");
    }
}

#[test]
fn a_catalog_that_changes_is_in_force_at_once_and_one_at_fault_is_not() {
    let rig = rig();
    let strict = format!("{CATALOG}  door.shut: {{ description: Shut }}\n");
    let strict = strict.replace("events:", "strict: true\nevents:");
    assert_eq!(rig.uk(&["events", "publish", "door.locked", "1"]).code, 0);

    rig.folder.swap("config/events.yaml", &strict);

    rig.until(&["events", "list"], |list| list["strict"] == json!(true));
    let said = rig.uk(&["events", "publish", "door.shot", "1"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("did you mean `door.shut`?"), "{said:?}");
    assert_eq!(rig.uk(&["events", "publish", "door.shut", "1"]).code, 0);

    rig.folder.swap(
        "config/events.yaml",
        format!("{strict}  x: {{ prority: low }}\n"),
    );

    rig.until(&["health"], |health| {
        health["settings"]["troubles"][0]["what"].is_string()
    });
    let said = rig.uk(&["health"]);
    assert_eq!(said.code, 9);
    for text in [
        "the catalog of events was not applied: unknown key `prority`",
        "events.yaml:12:8",
        "did you mean `priority`?",
    ] {
        assert!(said.out.contains(text), "{text}: {said:?}");
    }
    assert_eq!(rig.uk(&["events", "publish", "door.shut", "1"]).code, 0);

    rig.folder.swap("config/events.yaml", CATALOG);

    rig.until(&["health"], |health| {
        health["settings"]["troubles"] == json!([])
    });
    assert_eq!(rig.uk(&["events", "publish", "door.locked", "1"]).code, 0);
}

#[test]
fn sighup_looks_at_the_catalog_where_files_are_not_watched() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    folder.file("config/system.yaml", "watch: { enabled: false }\n");
    let process = Rig::spawn(&folder, &[]);
    let rig = Rig { folder, process }.until_booted();
    rig.folder.file(
        "config/events.json",
        r#"{"version": 1, "events": {"door.opened": {}}}"#,
    );

    rig.until(&["events", "list"], |list| {
        rig.signal("HUP");
        list["types"].as_array().unwrap().len() == 1
    });
}

#[test]
fn a_kernel_whose_streams_cannot_be_opened_runs_without_and_says_why() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    folder.file("data/streams", "a file, not a folder");
    let data = folder.path().join("data");
    let process = Rig::spawn(&folder, &["--data-dir", data.to_str().unwrap()]);
    let rig = Rig { folder, process }.until_booted();

    for args in [
        &["streams", "list"][..],
        &[
            "events",
            "publish",
            "perception.user_input",
            r#"{"text": "hi"}"#,
        ],
        &["events", "tail", "sensor.*", "--from", "start"],
        &["events", "replay", "sensor.*", "--bus"],
    ] {
        let said = rig.uk(args);
        assert_eq!(said.code, 1, "{args:?}: {said:?}");
        assert!(said.err.contains("`uk health` says why"), "{said:?}");
    }
    let health = rig.uk(&["health"]);
    assert_eq!(health.code, 9);
    assert!(health.out.contains("it has no streams: "), "{health:?}");
    assert_eq!(rig.uk(&["events", "publish", "quick.hi", "1"]).code, 0);
}

#[test]
fn a_kernel_does_not_start_with_a_catalog_at_fault() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    folder.file("config/events.yaml", "version: 1\nevents: { a/b: }\n");

    let said = folder.uk(&["run", "tree.yaml"]);
    let as_json = folder.uk(&["run", "tree.yaml", "--json"]);
    let checked = folder.uk(&["check", "config/events.yaml"]);

    assert_eq!((said.code, as_json.code, checked.code), (3, 3, 3));
    assert!(
        said.err.contains("error[UK0605]") && said.err.contains("nothing was started"),
        "{said:?}"
    );
    assert_eq!(as_json.json()["diagnostics"][0]["code"], "UK0605");
    assert!(checked.out.contains("did you mean `a.b`?"), "{checked:?}");
}
