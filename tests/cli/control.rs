//! The control service: it comes back, keeps to itself, and refuses what does not fit.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::Rig;
pub(crate) use crate::harness::http;

#[test]
fn a_killed_control_service_comes_back_and_the_tree_does_not_notice() {
    let rig = Rig::boot();

    for life in 1..=3 {
        let killed = rig.json(&["kill", "/system/control"]);
        assert_eq!(killed["done"], "killed");
        rig.until(&["tree"], |tree| {
            tree["system"]["children"][0]["incarnation"] == life + 1
        });
    }

    let tree = rig.json(&["tree"]);
    assert_eq!(tree["mode"], "normal");
    assert_eq!(tree["system"]["children"][0]["id"], "control");
    for child in tree["tree"]["children"].as_array().unwrap() {
        assert_eq!(child["incarnation"], 1);
    }
}

#[test]
fn all_of_system_can_be_killed() {
    let rig = Rig::boot();

    rig.json(&["kill", "/system"]);

    rig.until(&["tree"], |tree| {
        tree["system"]["incarnation"] == 2 && tree["system"]["state"] == "running"
    });
    assert_eq!(rig.json(&["tree", "/a"])["tree"]["incarnation"], 1);
}

#[test]
fn the_socket_and_its_folder_are_closed_to_others() {
    let rig = Rig::boot();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

    assert_eq!(mode(&rig.socket()), 0o600);
    assert_eq!(mode(rig.socket().parent().unwrap()), 0o700);
}

#[test]
fn routes_answer_with_a_fitting_status_and_an_error_as_json() {
    let rig = Rig::boot();
    let large = format!(
        "{{\"path\": \"/a\", \"reason\": \"{}\"}}",
        "x".repeat(2 << 20)
    );
    let rows = [
        ("GET /api/v1/tree", "", 200),
        ("GET /api/v1/tree?path=%2Fa", "", 200),
        ("GET /api/v1/tree?all=true", "", 200),
        ("GET /api/v1/which?path=%2Fgroup", "", 200),
        ("GET /api/v1/count?path=%2Fgroup", "", 200),
        ("GET /api/v1/count?path=%2Fa", "", 409),
        ("POST /api/v1/suspend", r#"{"path": "/a"}"#, 200),
        ("POST /api/v1/resume", r#"{"path": "/a"}"#, 200),
        ("POST /api/v1/spawn", r#"{"under": "/", "count": 2}"#, 409),
        ("GET /api/v1/dlq/list?limit=1", "", 200),
        (
            "POST /api/v1/kill",
            r#"{"path": "/a", "reason": "http"}"#,
            200,
        ),
        (
            "POST /api/v1/ask",
            r#"{"path": "/a", "message": {"echo": 1}, "timeout_ms": 500}"#,
            200,
        ),
        ("GET /livez", "", 200),
        ("GET /readyz", "", 200),
        ("GET /api/v1/tree?pth=/a", "", 400),
        ("POST /api/v1/kill", r#"{"pth": "/a"}"#, 400),
        ("POST /api/v1/kill", "[]", 400),
        ("POST /api/v1/kill", "{", 400),
        ("POST /api/v1/kill", "", 400),
        ("POST /api/v1/kill", large.as_str(), 413),
        ("POST /api/v1/kill", r#"{"path": "/nope"}"#, 404),
        ("GET /api/v1/nope", "", 404),
        ("GET /api/v1/kill", "", 405),
        ("POST /api/v1/start", r#"{"path": "/a"}"#, 409),
        (
            "POST /api/v1/spawn",
            r#"{"kind": "probe", "under": "/", "id": "x", "set": {"no": 1}}"#,
            422,
        ),
        (
            "POST /api/v1/ask",
            r#"{"path": "/a", "message": {"hang": "1h"}}"#,
            409,
        ),
    ];
    for (request, body, status) in rows {
        let (got, answer) = http(&rig, request, body);
        let shown = &body[..body.len().min(60)];
        assert_eq!(got, status, "{request} {shown}: {answer}");
        if status >= 400 {
            let error: Value = serde_json::from_str(&answer).unwrap();
            assert!(error["error"]["message"].is_string(), "{request}: {answer}");
        }
    }
    let (_, answer) = http(
        &rig,
        "POST /api/v1/ask",
        r#"{"path": "/b", "message": {"echo": [1]}}"#,
    );
    assert_eq!(
        serde_json::from_str::<Value>(&answer).unwrap(),
        json!({"version": 1, "answer": [1]})
    );
}

#[test]
fn a_long_ask_does_not_delay_a_kill() {
    let rig = Rig::boot();
    let mut ask = UnixStream::connect(rig.socket()).unwrap();
    rig.json(&["tell", "/a", r#"{"hang": "1h"}"#]);
    let body = r#"{"path": "/a", "message": {"echo": 1}, "timeout_ms": 60000}"#;
    let head = format!(
        "POST /api/v1/ask HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    ask.write_all(head.as_bytes()).unwrap();
    rig.until(&["tree", "/a"], |tree| {
        tree["tree"]["mailbox"]["depth"] == 1
    });

    rig.json(&["kill", "/a"]);

    let mut answer = [0; 12];
    ask.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn a_kernel_in_safe_mode_is_not_ready() {
    let tree =
        "version: 1\nname: rig\ntree:\n  intensity: 0\n  children: [{ id: a, kind: probe }]\n";
    let rig = Rig::boot_tree(tree);
    assert_eq!(http(&rig, "GET /readyz", "").0, 200);

    rig.json(&["kill", "/a"]);

    rig.until(&["tree"], |tree| tree["mode"] == "safe");
    assert_eq!(http(&rig, "GET /readyz", "").0, 503);
    assert_eq!(http(&rig, "GET /livez", "").0, 200);
}

#[test]
fn a_saturated_work_runtime_delays_neither_tree_nor_kill() {
    let rig = Rig::boot();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let busy: Vec<String> = (0..threads + 1)
        .map(|number| format!("busy{number}"))
        .collect();
    for id in &busy {
        rig.json(&["spawn", "probe", "--under", "/group", "--id", id]);
    }
    for id in &busy {
        rig.json(&["tell", &format!("/group/{id}"), r#"{"busy": "20s"}"#]);
    }
    rig.json(&["tell", "/a", r#"{"echo": 1}"#]);

    let tree = rig.json(&["tree"]);
    let killed = rig.json(&["kill", "/b"]);
    let depth = rig.json(&["tree", "/a"])["tree"]["mailbox"]["depth"].clone();

    assert_eq!(tree["mode"], "normal");
    // It was sent at once; what it is to end has no thread to end on.
    assert_eq!(killed["done"], "requested");
    assert_eq!(
        depth, 1,
        "the work runtime was not saturated, so nothing was shown"
    );
}
