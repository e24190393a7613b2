//! Files that change while the kernel runs.

use super::{EVERY_2S, rig};

#[test]
fn a_file_that_is_saved_is_applied_and_each_change_is_told_in_a_line() {
    let rig = rig();
    let (host, one) = (rig.life("/host"), rig.life("/group/one"));

    rig.edit((
        "settings: { trap_exit: false }",
        "settings: { trap_exit: true }\n    - { id: new, kind: probe }",
    ));
    rig.until_version(2);
    rig.edit(EVERY_2S);
    let version = rig.until_version(3);

    assert_eq!(version["cause"], "file");
    assert_eq!(
        version["changes"].as_array().unwrap().len(),
        1,
        "{version:#}"
    );
    assert_eq!(version["changes"][0], "/host every 1s → 2s, live");
    let log = rig.log();
    for line in [
        "/a trap_exit false → true, restarted",
        "/new added, started",
        "/host every 1s → 2s, live",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
    assert_eq!(rig.value("/host", "every"), "2s");
    assert_eq!((rig.life("/host"), rig.life("/group/one")), (host, one));
}

#[test]
fn a_move_is_told_as_one() {
    let rig = rig();
    let text = rig.folder.text("tree.yaml");
    let text = text.replace(
        "        - { id: one, kind: probe }\n",
        "        - { id: two, kind: probe }\n",
    );

    rig.folder
        .file("tree.yaml", text + "    - { id: one, kind: probe }\n");

    let version = rig.until_version(2);
    let changes = version["changes"].to_string();
    assert!(
        changes.contains("/one added, moved from /group/one, started"),
        "{changes}"
    );
    let diff = rig.uk(&["config", "diff", "1", "2"]).out;
    assert!(
        diff.contains("moved to /one") && diff.contains("moved from /group/one"),
        "{diff}"
    );
}

#[test]
fn a_child_that_crashes_on_probation_has_its_former_settings_back() {
    let rig = rig();

    rig.edit(("trap_exit: false", "starts: [ok, fail]"));
    let version = rig.until_version(3);

    assert_eq!(version["cause"]["rolled_back"]["of"], 2, "{version:#}");
    assert_eq!(rig.value("/a", "starts"), serde_json::json!([]));
    rig.until(&["tree", "/a"], |tree| tree["tree"]["state"] == "running");
    let history = rig.json(&["config", "history"]);
    assert_eq!(
        history["versions"][1]["state"], "rolled_back",
        "{history:#}"
    );
    // It is said wherever somebody looks.
    let tree = rig.uk(&["tree"]).out;
    assert!(tree.contains("settings rolled back"), "{tree}");
    let why = rig.uk(&["why", "/a"]).out;
    assert!(
        why.contains("rolled back: it did not live with the settings of version 2"),
        "{why}"
    );
    assert!(why.contains("next  uk config diff 2 3"), "{why}");
    let explain = rig.uk(&["config", "explain", "/a", "starts"]).out;
    assert!(
        explain.contains("from the rollback of version 2"),
        "{explain}"
    );
    rig.until_trouble("the version 2 that was rolled back");

    let diff = rig.uk(&["config", "diff"]).out;
    assert!(
        diff.starts_with("put back by a rollback, until the file changes\n/a  starts"),
        "{diff}"
    );

    // What the file says of others is applied, what it says of this one is not tried again.
    rig.edit(EVERY_2S);
    rig.until_version(4);
    assert_eq!(rig.value("/host", "every"), "2s");
    assert_eq!(rig.value("/a", "starts"), serde_json::json!([]));
    // Forced, it is tried again, and comes to the same.
    assert_eq!(rig.uk(&["config", "apply", "--force"]).code, 0);
    let version = rig.until_version(6);
    assert_eq!(version["cause"]["rolled_back"]["of"], 5, "{version:#}");
    assert_eq!(rig.value("/a", "starts"), serde_json::json!([]));
    // Mended, it is applied.
    rig.edit(("starts: [ok, fail]", "stop_takes: 1ms"));
    rig.until_version(7);
    assert_eq!(rig.value("/a", "stop_takes"), "1ms");
    rig.until_well();
    assert!(!rig.uk(&["tree"]).out.contains("rolled back"));
}

#[test]
fn settings_that_are_taken_live_are_rolled_back_without_a_failed_start() {
    let rig = rig();
    rig.json(&["config", "set", "/a", "apply=live", "stop_takes=1ms"]);
    rig.until_version(2);

    assert_eq!(rig.uk(&["tell", "/a", r#"{"crash": "boom"}"#]).code, 0);

    let version = rig.until_version(3);
    assert_eq!(
        version["cause"]["rolled_back"]["why"], "error: boom",
        "{version:#}"
    );
    assert_eq!(rig.uk(&["config", "get", "/a", "stop_takes"]).code, 4);
    assert_eq!(rig.uk(&["config", "diff"]).code, 0);
}

#[test]
fn a_version_that_was_rolled_back_is_passed_over_until_it_is_forced() {
    let rig = rig();
    rig.edit(EVERY_2S);
    rig.until_version(2);

    let back = rig.uk(&["config", "rollback"]);
    assert!(
        back.out.starts_with("/host  live  every 2s → 1s\n"),
        "{back:?}"
    );
    let trouble = rig.until_trouble("the version 2 that was rolled back");
    assert!(
        trouble["hint"]
            .as_str()
            .unwrap()
            .contains("uk config apply --force")
    );
    let health = rig.uk(&["health"]);
    assert_eq!(health.code, 9);
    assert!(health.out.contains("it is passed over"), "{health:?}");
    let apply = rig.uk(&["config", "apply"]);
    assert_eq!(apply.code, 1, "{apply:?}");
    let rig = rig.stopped_and_started();
    assert_eq!(rig.value("/host", "every"), "1s");
    rig.until_trouble("the version 2 that was rolled back");

    assert_eq!(rig.uk(&["config", "apply", "--force"]).code, 0);

    assert_eq!(rig.value("/host", "every"), "2s");
    rig.until_well();
    let rig = rig.stopped_and_started();
    assert_eq!(rig.value("/host", "every"), "2s");
    rig.until_well();
}

#[test]
fn a_rollback_can_be_undone() {
    let rig = rig();
    rig.edit(EVERY_2S);
    rig.until_version(2);
    rig.json(&["config", "rollback"]);

    rig.json(&["config", "rollback", "2"]);

    assert_eq!(rig.value("/host", "every"), "2s");
    rig.until_well();
}

#[test]
fn a_signal_has_the_file_looked_at_where_it_is_not_watched() {
    let rig = rig();
    std::fs::create_dir(rig.folder.path().join("config")).unwrap();
    rig.folder
        .file("config/system.yaml", "watch: { enabled: false }\n");
    let rig = rig.stopped_and_started();
    rig.edit(EVERY_2S);

    let plan = rig.uk(&["config", "apply", "--dry-run"]);
    assert!(plan.out.contains("every 1s → 2s"), "{plan:?}");
    assert_eq!(rig.value("/host", "every"), "1s");
    rig.signal("HUP");

    rig.until(&["config", "get", "/host", "every"], |got| {
        got["value"] == "2s"
    });
}
