//! Children that come over the console.

use serde_json::json;
use unity_supervisors::path::{ActorPath, ChildId};
use unity_supervisors::spec::{AutoShutdown, Strategy};

use super::*;

pub(super) fn child(value: &Value) -> Result<JsonChild, Vec<String>> {
    let siblings = [ChildId::new("camera").unwrap()];
    let supervisor = ActorPath::root();
    child_from_json(
        value,
        &Home {
            node: "kernel",
            supervisor: &supervisor,
            siblings: &siblings,
            strategy: Strategy::OneForOne,
            auto_shutdown: AutoShutdown::Never,
        },
        &Kinds,
    )
}

#[test]
fn a_child_of_json_is_the_child_of_a_file() {
    let value = json!({
        "id": "host2", "kind": "sensor.host", "settings": { "every": "500ms" },
        "needs": ["camera"], "labels": { "a": "${HOST}" },
    });

    let made = child(&value).unwrap();

    let text = "version: 1\ntree:\n  children:\n    - { id: camera, kind: log }\n    - { id: host2, kind: sensor.host, settings: { every: 500ms }, needs: [camera], labels: { a: \"$${HOST}\" } }\n";
    assert_eq!(made.spec, *tree(text).root.children[1]);
    assert_eq!(made.warnings, Vec::<String>::new());
}

#[test]
fn faults_of_json_come_in_one_line_each_with_what_to_do() {
    for (value, expected) in [
        (
            json!({ "id": "a", "kind": "prob" }),
            "unknown kind `prob`; did you mean `probe`?",
        ),
        (
            json!({ "id": "a", "kind": "log", "shutdown": 5 }),
            "`shutdown`: `5` has no unit; did you mean `5s`?",
        ),
        (
            json!({ "id": "a", "kind": "log", "needs": ["camra"] }),
            "`a` needs `camra`, which is no sibling; did you mean `camera`?",
        ),
        (
            json!({ "id": "a", "kind": "log", "restart": "temporary", "significant": true }),
            "`a` is significant, and / never ends because of its children; \
             give / `auto_shutdown: any_significant`, or take out `significant`",
        ),
        (
            json!({ "id": "a", "kind": "log", "needs": ["a"] }),
            "`a` needs itself; take it out of `needs`",
        ),
        (
            json!({ "id": "system", "kind": "log" }),
            "a child of the root cannot be called `system`; give it another id",
        ),
        (
            json!({ "id": "a", "children": [{ "include": "/etc/passwd" }] }),
            "files cannot be included here; list the children themselves",
        ),
        (
            json!(5),
            "a child must be a mapping, found the integer `5`; write `- id: …`, with `kind: …` on the next line",
        ),
    ] {
        assert_eq!(child(&value).unwrap_err(), [expected], "{value}");
    }
}

#[test]
fn json_that_is_too_deep_or_too_large_is_refused() {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let large = json!(vec![0; 200_001]);

    for settings in [deep, large] {
        let value = json!({ "id": "a", "kind": "probe", "settings": { "a": settings } });
        let faults = child(&value).unwrap_err();
        assert!(
            faults[0].contains("nested more than 64 deep or has more than 200000"),
            "{faults:?}"
        );
    }
}

#[test]
fn warnings_of_json_are_handed_on() {
    let value = json!({ "id": "a", "children": [] });

    let made = child(&value).unwrap();

    assert_eq!(made.warnings.len(), 1);
    assert!(
        made.warnings[0].contains("the supervisor /a has no children"),
        "{:?}",
        made.warnings
    );
}
