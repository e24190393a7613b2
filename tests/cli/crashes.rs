//! `uk crashes` and `uk why` over a tree of three levels, where a grandchild takes its supervisor with it.

use serde_json::{Value, json};

use crate::harness::Rig;

const TREE: &str = "
version: 1
name: rig
test: true
tree:
  intensity: 50
  period: 10s
  children:
    - id: arm
      intensity: 5
      period: 10s
      children:
        - id: hand
          strategy: one_for_all
          intensity: 1
          period: 1h
          children:
            - { id: finger, kind: probe }
            - { id: thumb, kind: probe }
        - { id: elbow, kind: probe }
    - { id: other, kind: probe }
";

/// A tree in which the finger crashed twice, which its hand did not bear, and another child was killed after that.
fn fallen() -> Rig {
    let rig = Rig::boot_tree(TREE);
    for life in 1..=2 {
        rig.until(&["tree", "/arm/hand/finger"], |tree| {
            tree["tree"]["state"] == "running" && tree["tree"]["incarnation"] == life
        });
        rig.json(&["tell", "/arm/hand/finger", r#"{"crash": "it is bent"}"#]);
    }
    rig.until(&["tree", "/arm/hand"], |tree| {
        tree["tree"]["state"] == "running" && tree["tree"]["incarnation"] == 2
    });
    rig.json(&["kill", "/other", "--reason", "drill"]);
    rig.until(&["tree", "/other"], |tree| tree["tree"]["incarnation"] == 2);
    rig
}

#[test]
fn a_grandchild_and_the_supervisor_that_it_took_with_it_are_one_story() {
    let rig = fallen();

    let crashes = rig.json(&["crashes"])["crashes"].clone();

    let causes: Vec<&Value> = crashes
        .as_array()
        .unwrap()
        .iter()
        .map(|story| &story["path"])
        .collect();
    assert_eq!(causes, ["/other", "/arm/hand/finger"], "{crashes:#}");
    let story = &crashes[1];
    assert_eq!(story["times"], 2);
    assert_eq!(story["with"], json!(["/arm/hand", "/arm/hand/thumb"]));
    let steps = story["timeline"].as_array().unwrap().iter();
    let steps: Vec<String> = steps
        .map(|step| {
            format!(
                "{} {}",
                step["path"].as_str().unwrap(),
                step["text"].as_str().unwrap()
            )
        })
        .collect();
    let expected = [
        "/arm/hand/finger crashed: it is bent; it was started again",
        "/arm/hand/thumb was stopped with it",
        "/arm/hand/finger crashed: it is bent; its supervisor /arm/hand gave up",
        "/arm/hand/thumb was stopped with it",
        "/arm/hand gave up: more than 1 restart within 3600s; the last was of `finger` (error: it is bent); \
         it was started again",
    ];
    assert_eq!(steps, expected);
    assert_eq!(
        story["now"]["text"],
        "/arm/hand is running, /arm/hand/finger is running"
    );
    assert_eq!(
        story["suggest"]["command"],
        json!(["uk", "dlq", "list", "--path", "/arm/hand/finger"])
    );
}

#[test]
fn why_names_the_neighbour_that_began_it() {
    let rig = fallen();

    for path in ["/arm/hand", "/arm/hand/thumb"] {
        let why = rig.json(&["why", path]);

        assert_eq!(why["began"], "/arm/hand/finger", "{why:#}");
        assert_eq!(
            why["suggest"]["command"],
            json!(["uk", "why", "/arm/hand/finger"])
        );
        let drawn = rig.uk(&["why", path]).out;
        assert!(drawn.contains("/arm/hand/finger began it:"), "{drawn}");
        assert!(drawn.contains("/arm/hand gave up"), "{drawn}");
    }
    let cause = rig.uk(&["why", "/arm/hand/finger"]).out;
    assert!(cause.contains("it began this:"), "{cause}");
    let alone = rig.uk(&["why", "/other"]).out;
    assert!(!alone.contains("began"), "{alone}");
}

#[test]
fn crashes_are_of_a_part_of_the_tree_and_of_a_time() {
    let rig = fallen();

    for (args, causes) in [
        (vec!["crashes", "/arm"], vec!["/arm/hand/finger"]),
        (vec!["crashes", "/arm/elbow"], vec![]),
        (
            vec!["crashes", "--since", "1h"],
            vec!["/other", "/arm/hand/finger"],
        ),
        (vec!["crashes", "--since", "2040-01-01T00:00:00Z"], vec![]),
    ] {
        let crashes = rig.json(&args)["crashes"].clone();
        let found: Vec<&Value> = crashes
            .as_array()
            .unwrap()
            .iter()
            .map(|story| &story["path"])
            .collect();
        assert_eq!(found, causes, "{args:?}");
    }
    assert_eq!(rig.uk(&["crashes", "/arm/elbow"]).out, "nothing crashed\n");
    let wrong = rig.uk(&["crashes", "/amr"]);
    assert_eq!(wrong.code, 4);
    let wrong = rig.uk(&["crashes", "--since", "yesterday"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.err.contains("1h for") || wrong.err.contains("2h for two hours ago"),
        "{wrong:?}"
    );
}
