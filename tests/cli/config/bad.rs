//! Files and children that are at fault: what ran before runs on, and it is told.

use super::{TREE, rig};
use crate::harness::{Folder, Rig};

#[test]
fn a_file_at_fault_is_told_with_its_place_and_nothing_changes_until_it_is_mended() {
    let rig = rig();
    for (text, place) in [
        (TREE.replace("every: 1s", "every: 2 sec"), "tree.yaml:12:16"),
        (
            TREE.replace("sensor.host", "sensor.hots"),
            "tree.yaml:10:13",
        ),
        // Half of it was written.
        (
            TREE.split_at(TREE.len() / 2).0.to_owned() + " \"",
            "tree.yaml",
        ),
        (
            TREE.replace("    # the machine", "    - include: gone.yaml"),
            "tree.yaml:8:",
        ),
        (String::new(), "tree.yaml"),
    ] {
        rig.folder.swap("tree.yaml", &text);
        rig.until_trouble("was not applied");

        let apply = rig.uk(&["config", "apply"]);
        assert_eq!(apply.code, 3, "{apply:?}");
        assert!(apply.err.contains("error[UK"), "{apply:?}");
        assert!(apply.err.contains(place), "{place}: {apply:?}");
        assert!(
            apply
                .err
                .contains("hint: nothing was changed; mend the file"),
            "{apply:?}"
        );
        let health = rig.uk(&["health"]);
        assert_eq!(health.code, 9);
        assert!(health.out.contains("error[UK"), "{health:?}");

        rig.folder.swap("tree.yaml", TREE);
        rig.until_well();
    }
    assert_eq!(rig.json(&["config", "history"])["number"], 1);
    assert_eq!(rig.life("/host"), 1);
    assert_eq!(
        rig.log().matches("the old version stays in force").count(),
        5,
        "{}",
        rig.log()
    );
}

#[test]
fn a_file_that_becomes_a_folder_and_comes_back_is_applied_again() {
    let rig = rig();
    let file = rig.folder.path().join("tree.yaml");

    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    rig.until_trouble("was not applied");
    assert_eq!(rig.value("/host", "every"), "1s");
    std::fs::remove_dir(&file).unwrap();
    rig.folder
        .file("tree.yaml", TREE.replace("every: 1s", "every: 2s"));

    rig.until_version(2);
    rig.until_well();
    assert_eq!(rig.value("/host", "every"), "2s");
}

#[test]
fn a_child_that_does_not_take_its_settings_stops_the_whole_change() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    folder.file("config/system.yaml", "apply_timeout: 100ms\n");
    let process = Rig::spawn(&folder, &[]);
    let rig = Rig { folder, process }.until_booted();
    rig.until_version(1);
    for (answer, part) in [
        ("reject", "it was told to refuse them"),
        ("hang", "/a"),
        ("panic", "/a"),
    ] {
        rig.edit(("trap_exit: false", &format!("apply: {answer}")));
        rig.edit(("every: 1s", "every: 2s"));

        let trouble = rig.until_trouble("`/a` does not take its new settings");
        assert!(
            trouble["what"].as_str().unwrap().contains(part),
            "{trouble}"
        );
        let said = rig.uk(&["config", "set", "/a", &format!("apply={answer}")]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("all is as it was"), "{said:?}");

        assert_eq!(rig.value("/host", "every"), "1s");
        rig.folder.file("tree.yaml", TREE);
        rig.until_well();
    }
    rig.until(&["tree", "/a"], |tree| tree["tree"]["state"] == "running");
    assert_eq!(rig.json(&["config", "history"])["number"], 1);
}
