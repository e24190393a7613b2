//! Alarms, from the outside.

use crate::harness::{Folder, Rig};

const TREE: &str = "version: 1\nname: rig\ntree:\n  children:\n    - { id: a, kind: probe, mailbox: { capacity: 10 } }\n";

#[test]
fn an_alarm_that_stands_degrades_and_a_limit_that_is_taken_away_clears_it() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let settings = |limit: &str| format!("alarms: {{ every: 100ms, mailbox_depth: {limit} }}\n");
    folder.file("config/system.yaml", settings("80%"));
    let process = Rig::spawn(&folder, &[]);
    let rig = Rig { folder, process }.until_booted();
    assert_eq!(rig.uk(&["health"]).code, 0);

    rig.uk(&["tell", "/a", "{\"hang\": \"1h\"}"]);
    for _ in 0..9 {
        rig.uk(&["tell", "/a", "{\"hang\": \"0s\"}"]);
    }
    // It may stand with eight that wait already.
    let raised = rig.until(&["health"], |health| health["alarms"][0]["value"] == 90);
    let shown = rig.uk(&["health"]);
    rig.folder.swap("config/system.yaml", settings("off"));
    let cleared = rig.until(&["health"], |health| health["status"] == "ok");

    let alarm = &raised["alarms"][0];
    assert_eq!(
        (&alarm["alarm"], &alarm["path"]),
        (&"mailbox_depth".into(), &"/a".into())
    );
    assert_eq!((&alarm["value"], &alarm["limit"]), (&90.into(), &80.into()));
    assert_eq!(shown.code, 9, "{shown:?}");
    for part in [
        "rig is degraded",
        "alarm       /a has 90% of a lane's room waiting; the limit is 80%",
        "hint: `uk state PATH` shows what it does",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert_eq!(cleared["alarms"], serde_json::json!([]));
}

#[test]
fn a_limit_that_is_none_is_told_with_its_place() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    for (line, parts) in [
        (
            "disk: 120%",
            ["`120%` is no share", "write a share, as in `80%`, or `off`"],
        ),
        (
            "disk: 5",
            ["a share", "write a share, as in `80%`, or `off`"],
        ),
        ("restarts: 33", ["`33`", "at most 32"]),
        (
            "restart: 3",
            ["unknown key `restart`", "did you mean `restarts`?"],
        ),
    ] {
        folder.file("config/system.yaml", format!("alarms:\n  {line}\n"));
        let said = folder.uk(&["run", "tree.yaml"]);
        assert_eq!(said.code, 3, "{said:?}");
        for part in parts {
            assert!(said.err.contains(part), "{line}: {part}: {}", said.err);
        }
        assert!(said.err.contains("system.yaml:2:"), "{}", said.err);
    }
}
