//! `uk chaos simulate`: without a kernel, many seeds of a tree file.

use std::fs;

use crate::harness::{Folder, Said};

const TREE: &str = "
version: 1
name: rig
tree:
  intensity: 9
  period: 60s
  children:
    - { id: a, kind: probe }
    - { id: b, kind: probe, needs: [a] }
    - { id: bridge, kind: process, settings: { command: [sh, -c, 'exit 1'] } }
";

/// More kills than the supervisor bears: what the probe promises does not hold.
const TOO_MUCH: &str = "
version: 1
name: too much
phases:
  - name: one and many
    for: 20s
    rate: 4/s
    budget: 100000
    faults:
      - { fault: kill, weight: 9 }
      - { fault: { fail_start: { times: 1000 } } }
targets: { paths: [/a] }
probes:
  - permanent_up: { within: 2s }
settles_within: 1s
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    folder.file("much.yaml", TOO_MUCH);
    folder
}

fn simulate(folder: &Folder, args: &str) -> Said {
    let args: Vec<&str> = args.split(' ').collect();
    folder.uk(&[&["chaos", "simulate"], &args[..]].concat())
}

#[test]
fn seeds_that_break_nothing_end_with_0_and_say_what_was_done() {
    let folder = folder();

    let said = simulate(&folder, "tree.yaml --seeds 1..8 --for 20s");

    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out
            .starts_with("no seed of 1..8 breaks a promise\n8 seeds of `rig`"),
        "{said:?}"
    );
    assert!(said.err.contains("8 of 8 seeds"), "{said:?}");
    let document = simulate(&folder, "tree.yaml --seeds 7 --for 20s --json").json();
    assert_eq!(document["seeds"], 1);
    assert!(
        document["broken"].is_null() && document["acts"].as_u64() > Some(5),
        "{document}"
    );
}

#[test]
fn the_log_of_a_seed_is_the_same_to_the_byte() {
    let folder = folder();
    let log = |seed| {
        simulate(
            &folder,
            &format!("tree.yaml --seeds {seed} --for 20s --log"),
        )
    };

    let (first, second) = (log(7), log(7));

    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.out, second.out);
    assert!(first.out.lines().count() > 100 && first.out.contains("started /a 1"));
    assert_ne!(first.out, log(8).out);
}

#[test]
fn a_seed_that_breaks_a_promise_is_shrunk_to_a_plan_that_breaks_it_again() {
    let folder = folder();

    let said = simulate(&folder, "tree.yaml --plan much.yaml --seeds 1..9");

    assert_eq!(said.code, 9, "{said:?}");
    assert!(
        said.out
            .starts_with("seed 1 breaks a promise of supervision: "),
        "{said:?}"
    );
    assert!(
        said.out.contains("10 acts of 10 still break it"),
        "{said:?}"
    );
    let plan = folder.text("tree.seed-1.yaml");
    // Nine are within the budget.
    assert_eq!(plan.matches("{ at: ").count(), 10, "{plan}");
    let again = said
        .out
        .lines()
        .find_map(|line| line.trim().strip_prefix("again: uk "));
    let again: Vec<&str> = again.unwrap_or_default().split(' ').collect();
    let replayed = folder.uk(&again);
    assert_eq!(replayed.code, 9, "{replayed:?}");
    assert!(
        replayed.out.contains("broken: supervision: "),
        "{replayed:?}"
    );
}

#[test]
fn what_is_typed_wrong_is_said_with_its_place_and_what_is_right() {
    let folder = folder();
    folder.file("bad.yaml", "version: 1\nname: bad\ntree:\n  childs: []\n");
    folder.file(
        "plan.yaml",
        "version: 1\nname: x\nphases: [{ name: a, for: 1s, rate: 9 }]\n",
    );
    let rows = [
        ("tree.yaml --seeds 9..1", 2, "the last is before the first"),
        ("tree.yaml --seeds ", 2, "no seed"),
        ("tree.yaml --seeds 1..x", 2, "`x` is no seed"),
        ("tree.yaml", 2, "--seeds"),
        ("tree.yaml --seeds 1..2 --log", 2, "--seeds 1 --log"),
        (
            "tree.yaml --seeds 1 --plan much.yaml --for 1s",
            2,
            "without a plan",
        ),
        ("none.yaml --seeds 1", 3, "none.yaml"),
        ("bad.yaml --seeds 1", 3, "children"),
        ("tree.yaml --seeds 1 --plan none.yaml", 3, "none.yaml"),
        ("tree.yaml --seeds 1 --plan plan.yaml", 3, "plan.yaml"),
    ];
    for (args, code, says) in rows {
        let said = simulate(&folder, args);

        assert_eq!(said.code, code, "{args:?} {said:?}");
        assert!(said.err.contains(says), "{args:?} {said:?}");
    }
    assert!(fs::read_dir(folder.path()).is_ok_and(|files| files.count() >= 4));
}
