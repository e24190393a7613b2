//! Runs of chaos plans on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use unity_actors::chaos::plan::{Fault, Plan};
use unity_actors::chaos::report::{Outcome, Report};
use unity_actors::chaos::run::{Order, Outside, Run};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::fault::Undo;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{ActorPath, ChildId, Kernel, KernelConfig, Runtimes};

/// There is nothing outside of the kernel.
#[derive(Debug)]
struct Nothing;

impl Outside for Nothing {
    fn strike<'a>(
        &'a self,
        fault: &'a Fault,
        _: Option<&'a ActorPath>,
    ) -> BoxFuture<'a, Result<Option<Undo>, String>> {
        async move { Err(format!("there is no {} here", fault.name())) }.boxed()
    }

    fn lag<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<u64>> {
        async { None }.boxed()
    }

    fn memory(&self) -> Option<u64> {
        None
    }
}

fn probe(id: &str) -> ChildSpec {
    ChildSpec::worker(ChildId::new(id).unwrap(), "probe")
}

/// A tree of groups of probes.
fn tree(groups: usize, probes: usize) -> TreeSpec {
    let group = |number: usize| {
        let children = (0..probes).map(|probe_number| Arc::new(probe(&format!("p{probe_number}"))));
        let group = SupervisorSpec {
            intensity: 20,
            children: children.collect(),
            ..SupervisorSpec::default()
        };
        let id = ChildId::new(format!("g{number}")).unwrap();
        Arc::new(ChildSpec::supervisor(id, group))
    };
    TreeSpec {
        name: "test".to_owned(),
        test: true,
        root: SupervisorSpec {
            children: (0..groups).map(group).collect(),
            ..SupervisorSpec::default()
        },
    }
}

async fn run(plan: &Plan, seed: u64, tree: TreeSpec) -> Report {
    let config = KernelConfig {
        clock: Clock::simulated(Timestamp::from_secs(1_767_225_600)),
        memory_limit: Some(1 << 30),
        ..KernelConfig::new(Runtimes::current(), unity_actors::kinds(), seed)
    };
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    let (_orders, heard) = watch::channel(Order::Go);
    let report = Run::new(&kernel, plan, seed, &Nothing, heard).run().await;
    kernel.shutdown().await;
    report
}

fn plan(faults: Value) -> Plan {
    serde_json::from_value(json!({
        "version": 1, "name": "test",
        "phases": [
            { "name": "all at once", "for": "60s", "rate": "5/s", "faults": faults },
            { "name": "rest", "for": "5s" },
        ],
        "probes": [{ "permanent_up": { "within": "10s" } }],
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_that_is_struck_comes_back_and_the_same_seed_gives_the_same_report() {
    let faults = json!([
        { "fault": "kill", "weight": 3 }, { "fault": "panic" }, { "fault": "error" },
        { "fault": { "hang": { "for": "2s" } } },
        { "fault": { "slow_start": { "by": "500ms", "for": "1s" } } },
        { "fault": { "fail_start": { "times": 2 } } },
        { "fault": { "flood": { "for": "1s" } } },
        { "fault": { "flood": { "for": "1s", "message": { "echo": 1 } } } },
        { "fault": { "drop": { "percent": 50, "for": "1s" } } },
        { "fault": { "double": { "percent": 50, "for": "1s" } } },
        { "fault": { "delay": { "by": "100ms", "for": "1s" } } },
        { "fault": { "clock_jump": { "by": "1h", "back": true, "for": "3s" } } },
        { "fault": { "memory": { "percent": 99, "for": "1s" } } },
        { "fault": { "bad_swap": {} } },
        { "fault": { "bad_swap": { "set": { "starts": ["fail"] } } } },
    ]);
    let plan = plan(faults);

    let first = run(&plan, 7, tree(4, 8)).await;
    let second = run(&plan, 7, tree(4, 8)).await;

    assert_eq!(first.outcome, Outcome::Passed, "{first:#?}");
    assert_eq!(first.faults.len(), 13, "{:?}", first.faults);
    for (name, of) in &first.faults {
        assert!(of.count > 0 && of.count == of.recovered, "{name} {of:?}");
    }
    assert!(first.availability > 0.95 && first.availability < 1.0);
    assert!(first.kills > 40, "{}", first.kills);
    assert_eq!(json!(first), json!(second));
}

#[tokio::test(start_paused = true)]
async fn what_was_struck_by_chance_is_struck_again_by_its_acts() {
    let first = run(&plan(json!([{ "fault": "kill" }])), 3, tree(2, 4)).await;
    let again = Plan {
        acts: first.acts.iter().map(|done| done.act.clone()).collect(),
        phases: Vec::new(),
        ..plan(json!([]))
    };

    let second = run(&again, 4, tree(2, 4)).await;

    assert!(first.kills > 10);
    assert_eq!(second.outcome, Outcome::Passed);
    let struck = |report: &Report| {
        let acts = report.acts.iter();
        acts.map(|done| (done.act.clone(), done.incarnation))
            .collect::<Vec<_>>()
    };
    assert_eq!(struck(&first), struck(&second));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_does_not_hold_ends_the_run_at_once_and_undoes_all() {
    let mut plan = plan(json!([{ "fault": { "fail_start": { "times": 100 } } }]));
    plan.phases[0].budget = 100_000;
    let report = run(&plan, 1, tree(1, 2)).await;
    assert_ne!(report.outcome, Outcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn nobody_to_strike_is_said() {
    let mut plan = plan(json!([{ "fault": "kill" }]));
    plan.targets.kinds = vec!["log".to_owned()];
    let report = run(&plan, 1, tree(1, 2)).await;
    assert_eq!(report.outcome, Outcome::Idle);
    assert!(report.why.unwrap().contains("nobody could be struck"));
    let plan = serde_json::from_value(json!({
        "version": 1, "name": "test", "acts": [{ "at": "0s", "fault": { "disk_full": { "for": "1s" } } }],
    }));
    let report = run(&plan.unwrap(), 1, tree(1, 2)).await;
    assert_eq!(report.why.unwrap(), "there is no disk_full here");
}
