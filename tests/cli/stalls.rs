//! A child that holds its thread, as people see it.

use serde_json::{Value, json};

use crate::harness::Rig;

const TREE: &str = "
version: 1
name: stuck
test: true
tree:
  intensity: 9
  children:
    - { id: told, kind: probe, stall_after: 50ms }
    - { id: cut, kind: probe, stall_after: 50ms, stall: abandon }
    - { id: asked, kind: probe, health: { every: 20ms, timeout: 20ms, fails: 2 } }
    - { id: alone, kind: probe, runtime: own, stall_after: 50ms }
";

fn unwell<'a>(health: &'a Value, path: &str) -> &'a Value {
    let unwell = health["unwell"].as_array().map_or(&[][..], Vec::as_slice);
    unwell
        .iter()
        .find(|child| child["path"] == path)
        .unwrap_or(&Value::Null)
}

#[test]
fn a_child_that_holds_its_thread_is_told_of_until_it_is_killed_and_cut_off() {
    let rig = Rig::boot_tree(TREE);

    for child in ["/told", "/alone"] {
        rig.json(&["tell", child, r#"{"busy": "1h"}"#]);
        let health = rig.until(&["health"], |health| !unwell(health, child).is_null());

        assert_eq!(health["status"], "degraded");
        assert_eq!(unwell(&health, child)["stall"]["what"], "holds_thread");
        assert_eq!(unwell(&health, child)["stall"]["in_hand"], "busy");
        assert_eq!(rig.uk(&["health"]).code, 9);
        let why = rig.uk(&["why", child]).out;
        assert!(why.contains("stalled: it holds its thread for "), "{why}");
        assert!(why.contains(&format!("uk kill {child}")), "{why}");
        let tree = rig.uk(&["tree"]).out;
        assert!(tree.contains("holds its thread for"), "{tree}");
    }
    for child in ["/told", "/alone"] {
        rig.json(&["kill", child, "--reason", "unplug test"]);
    }
    for child in ["/told", "/alone"] {
        let tree = rig.until(&["tree", child], |tree| tree["tree"]["incarnation"] == 2);

        assert_eq!(tree["tree"]["abandoned"], 1);
        let exit = &tree["tree"]["last_exit"]["reason"];
        assert_eq!(exit["kind"], "killed");
        let text = exit["text"].as_str().unwrap_or_default();
        assert!(
            text.starts_with("unplug test; it held its thread"),
            "{text}"
        );
    }
    assert_eq!(rig.json(&["health"])["abandoned"], 2);
    let letters = rig.json(&["dlq", "list"]);
    let count = letters["letters"].as_array().map(Vec::len);
    assert_eq!(count, Some(2), "{letters}");
}

#[test]
fn a_child_that_is_abandoned_comes_back_and_says_why() {
    let rig = Rig::boot_tree(TREE);

    rig.json(&["tell", "/cut", r#"{"busy": "5s"}"#]);
    let answer = rig.json(&["ask", "/cut", r#"{"count": null}"#]);

    assert_eq!(answer["answer"], json!({ "incarnation": 2, "total": 1 }));
    let why = rig.uk(&["why", "/cut"]).out;
    assert!(why.contains("stalled: it held its thread for "), "{why}");
    assert!(why.contains("1 life of it is cut off"), "{why}");
    // Once the thread lets go, nothing is wrong any more.
    let health = rig.until(&["health"], |health| health["status"] == "ok");
    assert_eq!(
        (&health["abandoned"], &health["max_abandoned"]),
        (&json!(0), &json!(8))
    );
}

#[test]
fn a_child_that_does_not_answer_is_told_of() {
    let rig = Rig::boot_tree(TREE);

    rig.json(&["tell", "/asked", r#"{"hang": "1h"}"#]);

    let health = rig.until(&["health"], |health| !unwell(health, "/asked").is_null());
    assert_eq!(unwell(&health, "/asked")["stall"]["what"], "no_answer");
    let said = rig.uk(&["health"]).out;
    assert!(said.contains("/asked has not answered for "), "{said}");
}
