//! An assistant at work: the official client of the Model Context Protocol, over standard input and over HTTP.

use std::process::Command;

use serde_json::{Value, json};

use crate::control::http;
use crate::harness::Rig;

/// Runs the client; `None` where it is not installed, which `tests/run` says.
fn drive(args: &[&str]) -> Option<Value> {
    let python =
        std::env::var_os("MCP_PYTHON").filter(|python| std::path::Path::new(python).exists())?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp/client.py");
    let output = Command::new(python)
        .arg(script)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn check(found: &Value) {
    assert_eq!(found["server"], "unity-kernel");
    let tools: Vec<&str> = found["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool.as_str().unwrap())
        .collect();
    assert!(
        tools.contains(&"config_set") && tools.contains(&"crashes"),
        "{tools:?}"
    );
    assert!(
        !tools.contains(&"run") && !tools.contains(&"console"),
        "{tools:?}"
    );
    let kill = &found["kill"];
    assert_eq!(kill["inputSchema"]["required"], json!(["path"]));
    assert_eq!(kill["annotations"]["destructiveHint"], true);
    assert_eq!(found["tree_hints"]["readOnlyHint"], true);

    assert_eq!(
        (&found["tree"]["error"], &found["tree"]["node"]),
        (&json!(false), &json!("rig"))
    );
    assert!(
        found["tree"]["text"].as_str().unwrap().contains("└─ two"),
        "{found:#}"
    );
    assert_eq!(found["killed"]["done"], "killed");
    assert_eq!(
        found["logs"][0]["fields"]["reason"],
        "killed: by an assistant"
    );
    assert_eq!(found["wrong"]["error"], true);
    assert!(
        found["wrong"]["text"]
            .as_str()
            .unwrap()
            .contains("/nowhere"),
        "{found:#}"
    );
    assert!(
        found["typo"]["text"]
            .as_str()
            .unwrap()
            .contains("did you mean `path`?"),
        "{found:#}"
    );

    assert!(
        found["resources"]
            .as_array()
            .unwrap()
            .contains(&json!("uk://tree"))
    );
    assert_eq!(
        found["why"]["exits"][0]["reason"]["text"],
        "by an assistant"
    );
}

#[test]
fn an_assistant_looks_after_a_kernel_over_standard_input() {
    let rig = Rig::boot();
    let socket = rig.socket();

    if let Some(found) = drive(&["stdio", env!("CARGO_BIN_EXE_uk"), socket.to_str().unwrap()]) {
        check(&found);
    }
}

#[test]
fn an_assistant_looks_after_a_kernel_over_http() {
    let rig = Rig::boot();
    let socket = rig.socket();

    if let Some(found) = drive(&["http", socket.to_str().unwrap()]) {
        check(&found);
    }
    // What is no request of the protocol is refused, and the kernel goes on.
    let (status, _) = http(&rig, "POST /mcp", "{");
    assert!((400..500).contains(&status), "{status}");
    assert_eq!(rig.json(&["tree"])["mode"], "normal");
}
