//! `uk demo`, in a few seconds.

use serde_json::Value;

use crate::harness::Folder;

#[test]
fn a_robot_survives_a_storm_and_all_that_is_said_is_counted() {
    let folder = Folder::new();
    let said = folder.uk(&["demo", "--for", "4s", "--seed", "7", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let end: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(end["outcome"], "passed", "{end}");
    assert!(end["kills"].as_u64().unwrap() > 5, "{end}");
    assert_eq!(end["kills"], end["recovered"]);
    assert_eq!(end["lost"], 0);
    assert!(end["kernel_uptime_ms"].as_u64().unwrap() >= 4_000);
    let up = end["availability"].as_f64().unwrap();
    assert!(up > 0.5 && up < 1.0, "{end}");
    assert!(said.err.contains("The robot is up."), "{said:?}");
}
