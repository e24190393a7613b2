//! A tree file that is at fault when its kernel starts, with nobody there.

use crate::harness::{Folder, Rig};

const SOUND: &str = "version: 1\nname: rig\ntree:\n  children: [{ id: a, kind: probe }]\n";

#[test]
fn a_file_at_fault_is_replaced_by_its_last_version_until_it_is_mended() {
    let mut rig = Rig::boot_tree(SOUND);
    let versions = rig.folder.path().join("unity-kernel/rig/settings/versions");
    while !versions.join("0000000001.json").exists() {
        // Takes some milliseconds, which is what it is run for.
        rig.uk(&["version"]);
    }
    rig.uk(&["shutdown"]);
    rig.wait();
    let half_written = "version: 1\nname: rig\ntree:\n  childr";
    rig.folder.file("tree.yaml", half_written);

    let refused = rig.uk(&["run", "tree.yaml"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("nothing was started"), "{refused:?}");

    rig.process = Rig::spawn(&rig.folder, &["--last-good"]);
    let rig = rig.until_booted();
    assert!(rig.uk(&["tree"]).out.contains("probe"));
    let log = rig.log();
    assert!(log.contains("version 1 is run instead"), "{log}");
}

#[test]
fn without_a_version_a_file_at_fault_starts_nothing() {
    let folder = Folder::new();
    folder.file("tree.yaml", "version: 1\nname: rig\ntree: 7\n");

    let refused = folder.uk(&["run", "tree.yaml", "--last-good"]);

    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused.err.contains("there is no version of it"),
        "{refused:?}"
    );
}
