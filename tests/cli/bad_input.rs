//! What people and machines get wrong: each a clear error, nothing else disturbed.

use crate::harness::{Folder, Rig, TREE};

#[test]
fn a_second_run_of_the_same_name_is_refused_and_names_the_first() {
    let rig = Rig::boot();

    let file = rig.folder.path().join("tree.yaml");
    let said = rig.uk(&["run", file.to_str().unwrap()]);

    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains(&format!("pid {}", rig.process.id())),
        "{said:?}"
    );
    assert!(
        said.err.contains(rig.socket().to_str().unwrap()),
        "{said:?}"
    );
    assert_eq!(rig.uk(&["health"]).code, 0);
}

#[test]
fn the_socket_of_a_killed_kernel_is_taken_over() {
    let mut first = Rig::boot();
    first.process.kill().unwrap();
    first.wait();
    assert!(first.socket().exists());
    let said = first.uk(&["tree"]);
    assert_eq!(said.code, 5, "{said:?}");

    first.process = Rig::spawn(&first.folder, &[]);
    let second = first.until_booted();

    assert_eq!(second.uk(&["health"]).code, 0);
}

#[test]
fn several_kernels_are_listed_and_one_is_chosen_by_name() {
    let first = Rig::boot();
    let mut second = Rig::spawn(&first.folder, &["--name", "other"]);
    first.until(&["--name", "other", "tree"], |tree| {
        tree["mode"] == "normal"
    });

    let said = first.uk(&["tree"]);

    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("  rig (pid") && said.err.contains("  other (pid"),
        "{said:?}"
    );
    assert_eq!(first.json(&["--name", "rig", "tree"])["node"], "rig");
    assert_eq!(first.uk(&["--name", "other", "shutdown"]).code, 0);
    assert_eq!(second.wait().unwrap().code(), Some(0));
}

#[test]
fn a_message_that_does_not_fit_says_the_shape_that_would() {
    let rig = Rig::boot();

    let said = rig.uk(&["tell", "/a", r#"{"eco": 1}"#]);

    assert_eq!(said.code, 2);
    assert!(said.err.contains("there is no message `eco`"), "{said:?}");
    assert!(said.err.contains(r#"{"echo": any}"#), "{said:?}");
    assert_eq!(
        rig.json(&["tree", "/a"])["tree"]["mailbox"]["dead_letters"],
        0
    );
}

#[test]
fn a_file_that_is_no_tree_starts_nothing() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.yaml");
    let files = [
        missing,
        folder.path().to_owned(),
        folder.file("empty.yaml", ""),
        folder.file("binary.yaml", [0xff, 0xfe, 0x00, 0x80]),
        folder.file("word.yaml", "hello"),
        folder.file(
            "kind.yaml",
            "version: 1\ntree:\n  children:\n    - { id: a, kind: prob }\n",
        ),
        folder.file("huge.yaml", "# x\n".repeat(2 << 20)),
    ];
    for file in files {
        let file = file.to_str().unwrap();
        for command in ["check", "run"] {
            let said = folder.uk(&[command, file]);
            assert_eq!(said.code, 3, "{command} {file}: {said:?}");
            assert!(
                format!("{}{}", said.out, said.err).contains("error["),
                "{command} {file}: {said:?}"
            );
        }
        let said = folder.uk(&["check", file, "--json"]);
        assert_eq!(said.json()["ok"], false);
    }
    assert_eq!(folder.uk(&["tree"]).code, 5);
}

#[test]
fn an_empty_name_of_a_file_is_told_as_such() {
    let folder = Folder::new();

    for command in [&["check", ""][..], &["run", ""], &["explain", ""]] {
        let said = folder.uk(command);
        assert_eq!(said.code, 2, "{command:?}: {said:?}");
        assert!(said.err.contains("an empty text was given"), "{said:?}");
        assert!(said.err.contains("hint: expected a "), "{said:?}");
    }
}

#[test]
fn a_socket_that_cannot_be_made_is_a_clear_error() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let file = folder.path().join("tree.yaml");
    let file = file.to_str().unwrap();
    let occupied = folder.path().join("occupied");
    std::fs::create_dir_all(occupied.join("inside")).unwrap();
    let long = folder.path().join("x".repeat(120));

    for (socket, code, expected) in [
        (long.to_str().unwrap(), 2, "longer than"),
        ("/proc/nope/uk.sock", 1, "/proc/nope"),
        (occupied.to_str().unwrap(), 1, "does not listen"),
    ] {
        let said = folder.uk(&["run", file, "--socket", socket]);
        assert_eq!(said.code, code, "{socket}: {said:?}");
        assert!(said.err.contains(expected), "{socket}: {said:?}");
    }
    let said = folder.uk(&["run", file, "--name", "../up"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let file = folder.file("tree.yaml", TREE);
    let place = folder.path().join("unity-kernel");
    std::fs::create_dir(&place).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o777)).unwrap();

    let said = folder.uk(&["run", file.to_str().unwrap()]);

    assert_eq!(said.code, 1);
    assert!(said.err.contains("mode 0700"), "{said:?}");
}

#[test]
fn a_full_disk_is_an_error_and_not_a_panic() {
    let rig = Rig::boot();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();

    let output = rig.folder.command(&["tree"]).stdout(full).output().unwrap();

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_the_kernel() {
    let folder = Folder::new();
    folder.file(
        "tree.yaml",
        "
version: 1
name: rig
tree:
  intensity: 1000
  children:
    - id: flood
      kind: process
      settings: { command: [sh, -c, 'while :; do echo a line of some length, again and again; done'] }
    - id: a
      kind: probe
",
    );
    let file = folder.path().join("tree.yaml");
    // Standard error is a pipe that is never read: it is full after 64 KiB.
    let process = folder
        .command(&["run", file.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let rig = Rig { folder, process }.until_booted();
    rig.until(&["state", "/flood"], |state| !state.is_null());

    // The flood fills the pipe within two seconds, which is about what this takes.
    for life in 1..200 {
        rig.uk(&["kill", "/a"]);
        rig.until(&["tree", "/a"], |tree| {
            tree["tree"]["incarnation"].as_i64() > Some(life)
        });
    }
}
