//! Every exit code, each with an error that says what to do next.

use crate::harness::{Folder, Rig};

const BROKEN: &str = "version: 1\nname: rig\ntree:\n  strateg: one_for_one\n  children: []\n";

/// Exit code, arguments, what the error says, what the hint says.
const ROWS: &[(i32, &[&str], &str, &str)] = &[
    (0, &["tree"], "", ""),
    (1, &["start", "/a"], "it is running", "uk stop /a"),
    (1, &["delete", "/a"], "it is running", "uk stop /a"),
    (
        1,
        &[
            "spawn",
            "process",
            "--under",
            "/group",
            "--id",
            "p",
            "--set",
            "command=[\"/nope\"]",
        ],
        "`/nope` does not exist",
        "nothing was added",
    ),
    (1, &["stop", "/"], "cannot be stopped", ""),
    (2, &["kill"], "PATH", ""),
    (2, &["kil", "/a"], "kil", "kill"),
    (2, &["kill", "a"], "begins with `/`", ""),
    (2, &["release"], "a path or --all", "uk health"),
    (
        2,
        &["tell", "/group", "1"],
        "is a supervisor",
        "uk tree /group",
    ),
    (2, &["tell", "/a", "{no json"], "is not JSON", "quote"),
    (2, &["ask", "/a", r#"{"eco": 1}"#], "expected one of", ""),
    (
        2,
        &["ask", "/a", r#"{"echo": 1}"#, "--timeout", "5"],
        "`5`",
        "",
    ),
    (3, &["check", "broken.yaml"], "", ""),
    (
        3,
        &[
            "spawn", "probe", "--under", "/", "--id", "x", "--set", "nope=1",
        ],
        "nope",
        "",
    ),
    (
        4,
        &["kill", "/nope"],
        "there is no `/nope`",
        "the nearest is `/`",
    ),
    (
        4,
        &["kill", "/group/on"],
        "there is no `/group/on`",
        "did you mean `/group/one`?",
    ),
    (
        4,
        &["spawn", "prob", "--under", "/", "--id", "x"],
        "no kind `prob`",
        "did you mean `probe`?",
    ),
    (
        4,
        &["dlq", "show", "99"],
        "no dead letter 99",
        "uk dlq list",
    ),
    (
        4,
        &["explain", "UK0299"],
        "there is no code `UK0299`",
        "did you mean `UK0209`?",
    ),
    (
        5,
        &["--name", "other", "tree"],
        "no kernel is running",
        "uk run",
    ),
    (
        7,
        &["ask", "/b", r#"{"echo": 1}"#, "--timeout", "50ms"],
        "no answer within 50ms",
        "uk tree /b",
    ),
    (
        7,
        &["state", "/b", "--timeout", "50ms"],
        "no answer within 50ms",
        "",
    ),
    (9, &["check", "odd.yaml", "--strict"], "", ""),
];

#[test]
fn each_exit_code_has_its_cause() {
    let rig = Rig::boot();
    rig.folder.file("broken.yaml", BROKEN);
    rig.folder.file(
        "odd.yaml",
        "version: 1\nname: odd\ntree:\n  intensity: 5\n  period: 10s\n  children:\n    - { id: a, kind: probe, backoff: { min: 60s, max: 90s } }\n",
    );
    rig.json(&["tell", "/b", r#"{"hang": "1h"}"#]);
    for (code, args, error, hint) in ROWS {
        let said = rig.uk(args);
        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        assert!(
            said.err.contains(error) && said.err.contains(hint),
            "{args:?}: {said:?}"
        );
        assert_eq!(said.err.is_empty(), error.is_empty(), "{args:?}: {said:?}");
    }
    assert_eq!(rig.uk(&["check", "odd.yaml"]).code, 0);
}

#[test]
fn health_that_is_degraded_is_exit_code_nine() {
    let rig = Rig::boot();
    assert_eq!(rig.uk(&["health"]).code, 0);

    rig.json(&["kill", "/slow"]);

    let said = rig.uk(&["health"]);
    assert_eq!(said.code, 9, "{said:?}");
    assert!(said.out.contains("degraded") && said.out.contains("/slow"));
    assert_eq!(
        rig.json(&["why", "/slow"])["next"]["command"],
        "uk start /slow"
    );
    rig.json(&["start", "/slow"]);
    assert_eq!(rig.uk(&["health"]).code, 0);
}

#[test]
fn a_socket_of_somebody_else_is_exit_code_six() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    let rig = Rig::boot();
    let socket = rig.socket();
    let output = if rustix::process::geteuid().is_root() {
        // Root may do everything, so somebody else must try; they need a binary they can reach.
        let binary = rig.folder.path().join("uk");
        std::fs::copy(env!("CARGO_BIN_EXE_uk"), &binary).unwrap();
        let mut command = Command::new(binary);
        command
            .uid(65534)
            .gid(65534)
            .args(["tree", "--socket"])
            .arg(&socket)
            .output()
            .unwrap()
    } else {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
        rig.folder.command(&["tree"]).output().unwrap()
    };

    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{error}");
    assert!(error.contains("belongs to another user"), "{error}");
}

#[test]
fn errors_are_json_where_json_is_wanted() {
    let rig = Rig::boot();

    for (args, code) in [
        (&["kill", "/nope"][..], "not_found"),
        (&["kil"], "usage"),
        (&["--name", "x", "tree"], "unreachable"),
    ] {
        let said = rig.uk(&[args, &["--json"]].concat());
        let document = said.json();
        assert_eq!(document["version"], 1);
        assert_eq!(document["error"]["code"], code, "{said:?}");
        assert!(document["error"]["hint"].is_string(), "{said:?}");
        assert_eq!(said.err, "");
    }
}

#[test]
fn no_kernel_at_all_says_how_to_start_one() {
    let folder = Folder::new();

    let said = folder.uk(&["tree"]);

    assert_eq!(said.code, 5);
    assert_eq!(
        said.err,
        "error: no kernel of yours is running\nhint: start one with `uk` (a small robot) or `uk run FILE`; \
         --socket names one elsewhere\n"
    );
}

#[test]
fn what_cannot_be_written_is_an_error_and_no_panic() {
    let rig = Rig::boot();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();

    for args in [&["tree"][..], &["tree", "--watch"]] {
        let full = full.try_clone().unwrap();
        let output = rig.folder.command(args).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(said.contains("cannot write"), "{args:?} {said}");
    }
}

#[test]
fn a_child_that_waits_for_one_that_is_down_is_named() {
    let rig = Rig::boot_tree(
        "
version: 1
name: rig
tree:
  intensity: 100
  children:
    - { id: p, kind: probe, backoff: { min: 1h, max: 2h } }
    - { id: q, kind: probe, needs: [p] }
    - { id: r, kind: probe, needs: [q] }
",
    );
    rig.json(&["kill", "/p"]);
    rig.json(&["kill", "/q"]);
    let health = rig.until(&["health"], |health| {
        health["unwell"].as_array().map(Vec::len) == Some(2)
    });

    assert_eq!(health["unwell"][1]["path"], "/q");
    assert_eq!(health["unwell"][1]["waits_for"]["path"], "/p");
    let said = rig.uk(&["why", "/q"]);
    assert!(
        said.out.contains("waits for /p, which waits in backoff")
            && said.out.contains("uk start /p"),
        "{said:?}"
    );

    rig.json(&["start", "/p"]);
    rig.until(&["health"], |health| health["status"] == "ok");
    rig.json(&["stop", "/p"]);

    let health = rig.until(&["health"], |health| {
        health["unwell"].as_array().map(Vec::len) == Some(2)
    });
    assert_eq!(health["unwell"][1]["waits_for"]["path"], "/p");
    let said = rig.uk(&["start", "/r"]);
    assert!(
        said.out.contains("/r waits for /p, which is stopped"),
        "{said:?}"
    );
}

#[test]
fn exits_before_the_supervisor_was_restarted_are_told() {
    let rig = Rig::boot();
    rig.json(&["kill", "/group/one", "--reason", "first"]);
    rig.json(&["kill", "/group"]);
    rig.until(&["why", "/group/one"], |why| {
        why["state"] == "running" && why["exits"] == serde_json::json!([])
    });

    let said = rig.uk(&["why", "/group/one"]);

    assert!(
        said.out.contains("before its supervisor was restarted") && said.out.contains("first"),
        "{said:?}"
    );
}

#[test]
fn a_kill_that_has_not_ended_the_life_says_so() {
    let rig = Rig::boot();
    rig.json(&["tell", "/b", r#"{"busy": "30s"}"#]);
    rig.until(&["tree", "/b"], |tree| {
        tree["tree"]["mailbox"]["depth"] == 0
    });

    assert_eq!(rig.json(&["kill", "/b"])["done"], "requested");
}

#[test]
fn a_pipe_is_no_tree_file() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());

    let said = folder.uk(&["check", "fifo"]);

    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.out.contains("neither a regular file"), "{said:?}");
}

#[test]
fn settings_faults_are_all_told_and_suggest_nothing_that_stands_there() {
    let folder = Folder::new();
    folder.file(
        "tree.yaml",
        "version: 1\ntree:\n  children:\n    - { id: a, kind: process, settings: { command: 5, comand: [a], stop_signal: 9 } }\n",
    );

    let said = folder.uk(&["check", "tree.yaml"]);

    assert!(said.out.contains("3 faults"), "{said:?}");
    assert_eq!(said.out.matches("did you mean").count(), 1, "{said:?}");
    assert!(!said.out.contains("expected one of"), "{said:?}");
}

#[test]
fn a_refused_run_ticks_nothing_off() {
    let rig = Rig::boot();

    let said = rig.uk(&["run", "tree.yaml"]);

    assert_eq!(said.code, 1, "{said:?}");
    assert!(!said.err.contains('\u{2713}'), "{said:?}");
}

#[test]
fn nothing_is_cut_where_it_is_no_terminal() {
    let rig = Rig::boot();
    let long = "a long story ".repeat(20);

    rig.json(&["kill", "/slow", "--reason", &long]);

    for args in [&["why", "/slow"][..], &["health"], &["tree"]] {
        let said = rig.uk(args);
        assert!(said.out.contains(long.trim_end()), "{args:?} {said:?}");
    }
}
