//! Connections that are slow and that break.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Folder, Rig};
use crate::relay::{Fault, Relay};
use crate::world::until_state;

fn late() -> Fault {
    Fault {
        delay: Duration::from_millis(200),
        ..Fault::default()
    }
}

fn node(name: &str, child: &str, more: &[&str]) -> Rig {
    let folder = Folder::new();
    let tree = format!("version: 1\nname: {name}\ntest: true\ntree:\n  children:\n{child}");
    folder.file("tree.yaml", tree);
    let process = Rig::spawn(&folder, more);
    Rig { folder, process }.until_booted()
}

fn until_answers(home: &Rig, path: &str) -> Value {
    home.until(&["ask", path, r#"{"echo": "far"}"#], |said| {
        said["answer"] == "far"
    })
}

#[test]
fn a_node_behind_a_slow_connection_that_breaks_is_used_as_any_other() {
    let edge = node(
        "edge-1",
        "    - { id: a, kind: probe }\n",
        &["--node-listen", "127.0.0.1:0"],
    );
    let listed = edge.until(&["node", "list"], |list| list["address"].is_string());
    let relay = Relay::to(listed["address"].as_str().unwrap().to_owned());
    let child = "    - { id: far, kind: probe, place: { node: edge-1 } }\n";
    let home = node("home", child, &[]);
    relay.set(late());

    let attached = home.json(&["node", "attach", &relay.address]);

    assert_eq!(attached["name"], "edge-1");
    let slow = home.until(&["node", "list"], |list| {
        let rtt = list["nodes"][0]["rtt_ms"].as_f64();
        rtt.is_some_and(|rtt| rtt >= 400.0)
    });
    // The clock of the same machine is not taken for another because the way is long.
    let skew = slow["nodes"][0]["skew_ms"].as_f64().unwrap();
    assert!(skew.abs() < 400.0, "{slow}");
    assert_eq!(home.json(&["tree", "--node", "edge-1"])["node"], "edge-1");
    until_answers(&home, "edge-1:/a");
    until_answers(&home, "/far");

    for _ in 0..3 {
        relay.break_all();
        // Whoever asks meanwhile is told so or waits; then it is as before.
        until_answers(&home, "edge-1:/a");
        until_state(&home, "edge-1", "up");
        until_answers(&home, "/far");
    }
    assert_eq!(home.json(&["why", "/far"])["incarnation"], 1);

    // What is lost in one direction is found by silence, not by an end.
    relay.set(Fault {
        loses_answers: true,
        ..late()
    });
    until_state(&home, "edge-1", "down");
    relay.set(Fault::default());
    relay.break_all();
    until_state(&home, "edge-1", "up");
    until_answers(&home, "edge-1:/a");
    until_answers(&home, "/far");
}
