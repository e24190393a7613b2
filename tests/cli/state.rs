//! State that outlives lives and kernels, through the command line.

use serde_json::Value;

use crate::harness::Rig;

/// A probe that keeps its count, and lets itself be stopped in order.
const TREE: &str = "
version: 1
name: rig
test: true
tree:
  intensity: 100
  period: 10s
  children:
    - id: counter
      kind: probe
      settings: { trap_exit: true }
      state: { keep: true, every: 10ms }
      probation: 1h
";

fn count(rig: &Rig) -> Option<u64> {
    let answer = rig.json(&["ask", "/counter", "{\"count\": null}"]);
    answer.pointer("/answer/total")?.as_u64()
}

/// Waits until what was counted last is in the file.
fn kept(rig: &Rig, total: u8) {
    let file = rig
        .folder
        .path()
        .join("unity-kernel/rig/state/counter.state");
    rig.until(&["tree"], |_| {
        std::fs::read(&file).is_ok_and(|stored| stored.last() == Some(&total))
    });
}

#[test]
fn a_count_survives_a_kill_and_a_kernel_start_and_two_crashes_start_fresh() {
    let mut rig = Rig::boot_tree(TREE);
    for before in 0..3 {
        assert_eq!(count(&rig), Some(before));
    }
    kept(&rig, 3);

    rig.json(&["kill", "/counter"]);
    assert_eq!(count(&rig), Some(3), "it survives a kill");

    rig.json(&["shutdown"]);
    assert!(rig.wait().success());
    rig.process = Rig::spawn(&rig.folder, &[]);
    let rig = rig.until_booted();
    assert_eq!(count(&rig), Some(4), "and a kernel start");
    kept(&rig, 5);

    rig.json(&["tell", "/counter", "{\"crash\": \"one\"}"]);
    assert_eq!(count(&rig), Some(5), "and a crash");
    rig.json(&["tell", "/counter", "{\"panic\": \"two\"}"]);
    assert_eq!(
        count(&rig),
        Some(0),
        "but not a second one within its probation"
    );

    let why: Value = rig.json(&["why", "/counter"]);
    assert_eq!(
        why["started_fresh"],
        "it crashed twice within 3600s, its probation"
    );
    let said = rig.uk(&["why", "/counter"]).out;
    assert!(
        said.contains("started fresh: it crashed twice within 3600s, its probation"),
        "{said}"
    );
}
