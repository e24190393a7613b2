//! `uk demo`, in a few seconds.

use serde_json::Value;

use crate::harness::Folder;

#[test]
fn a_robot_survives_a_storm_and_all_that_is_said_is_counted() {
    let folder = Folder::new();
    folder.file("storm.svg", "x".repeat(1 << 20));
    let args = ["demo", "--for", "4s", "--seed", "7", "--json"];
    let said = folder.uk(&[&args[..], &["--svg", "storm.svg"]].concat());
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
    let svg = folder.text("storm.svg");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn what_cannot_be_is_said_before_the_storm() {
    let folder = Folder::new();
    folder.file("kept.svg", "a picture");
    let rows: &[(&[&str], i32, &str)] = &[
        (&["--for", "0s"], 2, "`for`"),
        (&["--for", "999ms"], 2, "1s"),
        (&["--svg", "nowhere/storm.svg"], 1, "nowhere/storm.svg"),
        (&["--svg", "."], 1, "."),
        // What is there is kept where the rest of the line is wrong.
        (&["--svg", "kept.svg", "--for", "0s"], 2, "`for`"),
    ];
    for (args, code, text) in rows {
        let said = folder.uk(&[&["demo"], *args].concat());

        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        assert!(said.err.contains(text), "{args:?}: {said:?}");
        assert!(!said.err.contains("The robot is up"), "{args:?}: {said:?}");
    }
    assert_eq!(folder.text("kept.svg"), "a picture");
}
