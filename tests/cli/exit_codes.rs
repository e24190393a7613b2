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

    let output = rig.folder.command(&["tree"]).stdout(full).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("cannot write")
    );
}
