//! What monitors and people with a cable ask of a kernel: `/metrics`, `/readyz`, `/status`, telemetry, override.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::control::http;
use crate::harness::Rig;

pub(crate) fn metrics(rig: &Rig) -> String {
    let (status, text) = http(rig, "GET /metrics", "");
    assert_eq!(status, 200);
    text
}

/// The value of a sample.
pub(crate) fn sample(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok())
}

#[test]
fn metrics_count_what_happens_also_to_those_that_are_gone() {
    let rig = Rig::boot();
    let handled = r#"unitykernel_messages_total{kind="probe",outcome="handled"}"#;
    rig.json(&["kill", "/a"]);
    rig.json(&["kill", "/group/one"]);
    rig.json(&["ask", "/group/one", r#"{"echo": 1}"#]);
    rig.json(&["tell", "/b", r#"{"crash": "ouch"}"#]);
    rig.until(&["why", "/b"], |why| {
        why["exits"][0]["reason"]["kind"] == "error"
    });
    let before = metrics(&rig);

    rig.json(&["stop", "/group"]);
    rig.json(&["delete", "/group"]);

    let after = metrics(&rig);
    for (name, value) in [
        (
            r#"unitykernel_actor_restarts_total{supervisor="/",kind="probe",reason="killed"}"#,
            1.0,
        ),
        (
            r#"unitykernel_actor_restarts_total{supervisor="/",kind="probe",reason="error"}"#,
            1.0,
        ),
        (
            r#"unitykernel_actor_restarts_total{supervisor="/group",kind="probe",reason="killed"}"#,
            1.0,
        ),
        (
            r#"unitykernel_messages_total{kind="probe",outcome="dead_letter"}"#,
            1.0,
        ),
        ("unitykernel_dead_letters", 1.0),
        (handled, 2.0),
        (r#"unitykernel_actors{state="quarantined"}"#, 0.0),
    ] {
        assert_eq!(sample(&before, name), Some(value), "{name} in {before}");
        assert_eq!(sample(&after, name), Some(value), "{name} in {after}");
    }
    assert_eq!(
        sample(&before, "unitykernel_restart_duration_seconds_count"),
        Some(3.0)
    );
    assert!(!before.contains("/group/one"), "{before}");
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let rig = Rig::boot();
    rig.json(&["kill", "/a"]);
    rig.json(&["events", "publish", "quick.hello", r#"{"text": "hi"}"#]);
    let page = metrics(&rig);

    let linter = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();

    assert_eq!(
        sample(&page, r#"unitykernel_events_total{family="quick"}"#),
        Some(1.0)
    );
    // Without promtool, which `tests/run` says, at least each sample belongs to a family that was told of.
    let mut family = "";
    for line in page.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(told) => family = told.split(' ').next().unwrap(),
            None if line.starts_with("# HELP ") => {}
            None => assert!(line.starts_with(family) && !family.is_empty(), "{line}"),
        }
    }
    let Ok(mut linter) = linter else { return };
    linter
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let said = linter.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success() && complaints.is_empty(),
        "{complaints}\n{page}"
    );
}

#[test]
fn readiness_says_what_is_up_and_what_is_not() {
    let tree = "
version: 1
name: rig
tree:
  intensity: 0
  children:
    - { id: a, kind: probe, essential: true }
    - { id: b, kind: probe }
";
    let rig = Rig::boot_tree(tree);
    let (status, up) = http(&rig, "GET /readyz?verbose", "");
    assert_eq!(status, 200);
    assert!(
        up.starts_with("[+] mode normal\n[+] /system/control running\n"),
        "{up}"
    );
    assert!(
        up.ends_with("[+] /a running\n[+] /b running\nready\n"),
        "{up}"
    );

    rig.json(&["kill", "/b", "--reason", "drill"]);
    rig.until(&["tree", "/b"], |tree| {
        tree["tree"]["state"] == "quarantined"
    });

    let (status, down) = http(&rig, "GET /readyz?verbose", "");
    assert_eq!(status, 503);
    assert!(down.starts_with("[-] mode safe: "), "{down}");
    assert!(
        down.ends_with("[+] /a running\n[-] /b quarantined: killed: drill\nnot ready\n"),
        "{down}"
    );
}

#[test]
fn status_is_what_earlier_systems_said() {
    let rig = Rig::boot();

    let (code, text) = http(&rig, "GET /status", "");

    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &status["mode"], &status["peers_visible"]),
        (200, &json!("normal"), &json!(0))
    );
    assert!(status["cpu_load"].as_f64().unwrap() >= 0.0, "{text}");
}

#[test]
fn telemetry_has_what_each_sensor_said_last_also_when_its_service_was_killed() {
    let rig = Rig::boot();
    for cpu in ["0.1", "0.2"] {
        let data = format!(r#"{{"cpu": {cpu}}}"#);
        rig.json(&["events", "publish", "sensor.host.load", &data]);
    }

    rig.json(&["kill", "/system/control"]);

    let sensors = rig.json(&["telemetry"])["sensors"].clone();
    assert_eq!(sensors.as_array().unwrap().len(), 1, "{sensors}");
    assert_eq!(sensors[0]["topic"], "sensor.host.load");
    assert_eq!(sensors[0]["data"], json!({ "cpu": 0.2 }));
    // From now on it is heard, and no stream looked at.
    rig.json(&["events", "publish", "sensor.host.load", r#"{"cpu": 0.3}"#]);
    let sensors = rig.json(&["telemetry"])["sensors"].clone();
    assert_eq!(sensors[0]["data"], json!({ "cpu": 0.3 }));
}

#[test]
fn an_actor_that_is_busy_is_overridden_at_once() {
    let rig = Rig::boot();
    rig.json(&["tell", "/a", r#"{"hang": "1h"}"#]);

    let (status, killed) = http(
        &rig,
        "POST /api/v1/override",
        r#"{"path": "/a", "act": "kill"}"#,
    );

    assert_eq!(status, 200, "{killed}");
    rig.until(&["tree", "/a"], |tree| tree["tree"]["incarnation"] == 2);
    let (status, wrong) = http(
        &rig,
        "POST /api/v1/override",
        r#"{"path": "/a", "act": "eat"}"#,
    );
    assert_eq!(status, 400);
    assert!(
        wrong.contains("`eat` is not one of suspend, resume, stop, kill"),
        "{wrong}"
    );
}
