//! `uk logs`: what the log said, from outside.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Rig, signal};

#[test]
fn the_last_lines_are_those_of_the_log_and_can_be_chosen() {
    let rig = Rig::boot();
    rig.json(&["kill", "/group/one", "--reason", "unplug test"]);
    rig.json(&["kill", "/b"]);

    let of_group = rig.uk(&["logs", "/group", "--json"]);

    let line: Value = serde_json::from_str(of_group.out.trim()).unwrap();
    assert_eq!(
        (&line["level"], &line["path"]),
        (&"warn".into(), &"/group/one".into())
    );
    assert_eq!(line["text"], "child exited; restarting");
    assert_eq!(line["fields"]["reason"], "killed: unplug test");
    assert_eq!(rig.uk(&["logs", "--level", "error"]).out, "");
    let last = rig.uk(&["logs", "--limit", "1"]).out;
    assert!(last.contains(" WARN /b child exited"), "{last}");
    assert_eq!(last.lines().count(), 1);
    let wrong = rig.uk(&["logs", "/groop"]);
    assert_eq!(wrong.code, 4);
    assert!(wrong.err.contains("did you mean `/group`"), "{wrong:?}");
}

#[test]
fn who_follows_sees_what_comes_until_ctrl_c() {
    let rig = Rig::boot();
    rig.json(&["kill", "/a"]);
    let mut follow = rig
        .folder
        .command(&["logs", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();

    let kept = lines.next().unwrap().unwrap();
    rig.json(&["kill", "/b"]);
    let new = lines.next().unwrap().unwrap();

    assert!(kept.contains("/a child exited"), "{kept}");
    assert!(new.contains("/b child exited"), "{new}");
    signal(&follow, "INT");
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

#[test]
fn a_secret_is_in_no_line() {
    let tree = "
version: 1
name: rig
test: true
tree:
  children:
    - { id: a, kind: process, settings: { command: [sh, -c, 'echo it is $TOKEN >&2; sleep 60'], env: { TOKEN: '${secret:TOKEN}' } } }
";
    let folder = crate::harness::Folder::new();
    folder.file("tree.yaml", tree);
    std::fs::create_dir_all(folder.path().join("config/secrets")).unwrap();
    folder.file("config/secrets/TOKEN", "hunter2hunter2");
    let process = Rig::spawn(&folder, &[]);
    let rig = Rig { folder, process }.until_booted();

    let mut said = String::new();
    while !said.contains("it is") {
        said = rig.uk(&["logs"]).out;
    }

    assert!(said.contains("it is ***"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
