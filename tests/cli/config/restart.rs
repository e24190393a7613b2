//! What is left when the kernel, or its disk, goes away in the middle of things.

use super::{EVERY_2S, rig};
use crate::harness::Rig;

#[test]
fn a_kernel_that_is_killed_in_the_middle_of_changes_boots_with_what_was_saved() {
    let mut rig = rig();
    for round in 1..=4 {
        let every = format!("every={round}00ms");
        rig.json(&["config", "set", "/host", &every, "--save"]);
        // A change that may be under way when it dies.
        rig.edit((
            "settings: { trap_exit",
            "settings: { stop_takes: 1ms, trap_exit",
        ));
        rig = rig.killed_and_started();

        assert_eq!(rig.value("/host", "every"), format!("{round}00ms"));
        rig.until_well();
        rig.edit((
            "settings: { stop_takes: 1ms, trap_exit",
            "settings: { trap_exit",
        ));
    }
}

#[test]
fn a_history_that_cannot_be_written_stops_no_change_and_is_told() {
    let mut rig = rig();
    assert_eq!(rig.uk(&["shutdown"]).code, 0);
    assert!(rig.wait().success());
    // A file stands where its folder was.
    let folder = rig.folder.path().join("unity-kernel/rig/settings");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    rig.process = Rig::spawn(&rig.folder, &[]);
    let rig = rig.until_booted();

    rig.edit(EVERY_2S);
    rig.until(&["config", "get", "/host", "every"], |got| {
        got["value"] == "2s"
    });

    rig.until_trouble("in memory only");
    rig.json(&["config", "rollback"]);
    assert_eq!(rig.value("/host", "every"), "1s");
    rig.json(&["config", "set", "/a", "trap_exit=true", "--save"]);
    rig.until(&["health"], |health| {
        let troubles = health["settings"]["troubles"].to_string();
        troubles.contains("what was saved of live changes is not on disk")
    });
    // With room again it is written.
    std::fs::remove_file(&folder).unwrap();
    rig.json(&["config", "set", "/a", "stop_takes=1ms", "--save"]);
    let rig = rig.killed_and_started();
    assert_eq!(rig.value("/a", "trap_exit"), true);
}

#[test]
fn a_bundle_has_the_versions_and_what_was_changed_live_without_secrets() {
    let rig = rig();
    rig.json(&["config", "set", "/a", "stop_takes=7ms", "--save"]);

    rig.json(&["doctor", "--bundle", "crash.json"]);

    let bundle: serde_json::Value = serde_json::from_str(&rig.folder.text("crash.json")).unwrap();
    let history = &bundle["settings_history"];
    assert_eq!(history["number"], 2);
    assert_eq!(history["versions"][0]["cause"], "set");
    assert_eq!(
        history["overlay"]["saved"][0]["settings"]["stop_takes"],
        "7ms"
    );
}

#[test]
fn what_was_on_probation_in_an_earlier_kernel_is_waited_for_no_more() {
    let rig = rig();
    rig.json(&["config", "set", "/host", "every=2s"]);
    rig.json(&["config", "set", "/a", "trap_exit=true"]);
    rig.until_version(3);

    let rig = rig.killed_and_started();

    rig.until(&["config", "history"], |history| {
        let versions = history["versions"].as_array().unwrap().iter();
        let waiting = versions.filter(|version| version["state"] == "probation");
        history["number"] == 4 && waiting.count() == 1
    });
}
