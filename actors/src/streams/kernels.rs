//! What is planted in the streams is found through whole kernels too: simulated ones, that are killed while they write.

use serde_json::json;
use unity_supervisors::ChildId;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};

use super::bug::{Bug, PLANTED};
use crate::chaos::plan::Plan;
use crate::chaos::simulate::Simulation;

/// How many seeds it takes to find a fault of the streams in a simulated kernel, at most.
const SEEDS_TO_FIND: u64 = 200;

/// How many seeds go without a fault.
const SEEDS_TO_SURVIVE: u64 = 50;

/// Those that an append, a read and an end have to do with, and that so many seeds find; the others take the histories of
/// `crash`, or are of groups, which nobody uses there.
const OF_WRITING: [Bug; 6] = [
    Bug::AcksBeforeSync,
    Bug::ForgetsNames,
    Bug::TrustsRecords,
    Bug::ReusesSealed,
    Bug::TrustsMemory,
    Bug::ForgetsIds,
];

fn simulation() -> Simulation {
    let worker = ChildSpec::worker(ChildId::new("worker").unwrap(), "probe");
    let root = SupervisorSpec {
        children: vec![worker.into()],
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "streams".to_owned(),
        test: true,
        root,
    };
    let plan: Plan = serde_json::from_value(json!({
        "version": 1, "name": "disk and kernel",
        "phases": [{ "name": "both", "for": "60s", "rate": "1/s", "faults": [
            { "fault": "kill_kernel", "weight": 3 },
            { "fault": { "disk_full": { "for": "700ms" } } },
            { "fault": { "sync_fails": { "for": "700ms" } } },
        ] }],
    }))
    .unwrap();
    Simulation::new(tree, plan)
}

fn first_broken() -> Option<u64> {
    let simulation = simulation();
    (0..SEEDS_TO_FIND).find(|seed| {
        let found = simulation.run(*seed);
        let mut violations = found.violations.iter();
        violations.any(|violation| violation.checker() == "streams")
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "how soon each is found")]
fn what_is_planted_in_the_streams_breaks_a_simulated_kernel() {
    let mut missed = Vec::new();
    for bug in OF_WRITING {
        PLANTED.set(Some(bug));
        let found = first_broken();
        PLANTED.set(None);

        match found {
            Some(seed) => println!("streams: {bug:?} is found with seed {seed}"),
            None => missed.push(bug),
        }
    }
    assert_eq!(missed, [], "not found within {SEEDS_TO_FIND} seeds");
}

#[test]
fn streams_without_a_planted_fault_survive_any_end_of_a_simulated_kernel() {
    let simulation = Simulation {
        keeps_log: true,
        ..simulation()
    };
    for seed in 0..SEEDS_TO_SURVIVE {
        let found = simulation.run(seed);
        let log = found.log.join("\n");
        assert_eq!(found.violations, [], "seed {seed}\n{log}");
    }
}
