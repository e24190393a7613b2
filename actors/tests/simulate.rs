//! Simulated kernels that are struck by plans: nothing breaks, and what is planted is found and shrunk.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use unity_actors::chaos::plan::{Fault, Plan};
use unity_actors::chaos::report::Done;
use unity_actors::chaos::shrink::shrink;
use unity_actors::chaos::simulate::{Simulation, default_plan};
use unity_supervisors::ChildId;
use unity_supervisors::spec::{
    ChildSpec, Ladder, LadderAction, LadderStep, StateSpec, Strategy, SupervisorSpec, Template,
    TreeSpec,
};

fn worker(id: &str, kind: &str) -> ChildSpec {
    ChildSpec::worker(ChildId::new(id).unwrap(), kind)
}

fn group(id: &str, strategy: Strategy, children: Vec<ChildSpec>) -> Arc<ChildSpec> {
    let group = SupervisorSpec {
        strategy,
        intensity: 8,
        period: Duration::from_secs(10),
        children: children.into_iter().map(Arc::new).collect(),
        ..SupervisorSpec::default()
    };
    Arc::new(ChildSpec::supervisor(ChildId::new(id).unwrap(), group))
}

/// A tree with a little of everything.
fn tree() -> TreeSpec {
    let mut keeper = worker("keeper", "probe");
    let mut model = worker("model", "model.scripted");
    let needed = keeper.id.clone();
    keeper.as_worker_mut().unwrap().state = Some(StateSpec {
        every: Duration::from_millis(300),
    });
    let step = |after, action| LadderStep {
        after,
        within: Duration::from_secs(20),
        action,
    };
    model.as_worker_mut().unwrap().on_crash = Some(Arc::new(Ladder {
        steps: vec![
            step(2, LadderAction::Swap(json!({ "model": "small" }))),
            step(4, LadderAction::LastGood),
        ],
    }));
    let mut client = worker("client", "probe");
    client.needs = vec![needed];
    let template = Template {
        child: ChildSpec::worker(Template::id(), "probe"),
        max_children: Some(2),
    };
    let pool = SupervisorSpec {
        intensity: 8,
        template: Some(Arc::new(template)),
        ..SupervisorSpec::default()
    };
    let pool = ChildSpec::supervisor(ChildId::new("pool").unwrap(), pool);
    let four = |kind| ["a", "b", "c", "d"].map(|id| worker(id, kind)).into();
    TreeSpec {
        name: "everything".to_owned(),
        test: true,
        root: SupervisorSpec {
            intensity: 8,
            children: vec![
                group("one", Strategy::OneForOne, four("probe")),
                group("all", Strategy::OneForAll, four("sensor.host")),
                group("rest", Strategy::RestForOne, four("process")),
                group("kept", Strategy::OneForOne, vec![keeper, client, model]),
                Arc::new(pool),
            ],
            ..SupervisorSpec::default()
        },
    }
}

#[test]
fn the_default_plan_breaks_no_promise_and_strikes_with_everything() {
    let simulation = Simulation::new(tree(), default_plan(Duration::from_secs(60)));
    let mut names = std::collections::BTreeSet::new();

    for seed in 0..40 {
        let found = simulation.run(seed);

        assert_eq!(found.violations, [], "seed {seed}");
        assert!(found.acknowledged > 20, "seed {seed}");
        let struck = found.acts.iter().filter(|done| done.refused.is_none());
        names.extend(struck.map(|done| done.act.fault.name()));
    }

    assert_eq!(names.len(), 19, "{names:?}");
}

#[test]
fn the_same_seed_gives_the_same_log_to_the_byte_and_another_seed_another() {
    let simulation = Simulation {
        keeps_log: true,
        ..Simulation::new(tree(), default_plan(Duration::from_secs(20)))
    };
    let quiet = Simulation {
        keeps_log: false,
        ..simulation.clone()
    };
    for seed in 0..10 {
        let (first, second) = (simulation.run(seed), simulation.run(seed));

        assert!(first.log == second.log, "seed {seed}");
        assert!(first.log.len() > 200);
        assert_ne!(first.hash, simulation.run(seed + 1).hash);
        assert_eq!(quiet.run(seed).acts, first.acts);
    }
}

#[test]
fn a_kernel_that_is_killed_is_followed_by_another_on_the_same_disk() {
    let plan = json!({
        "version": 1, "name": "kills",
        "acts": [
            { "at": "2s", "fault": "kill_kernel" }, { "at": "3s", "fault": "kill", "path": "/one/a" },
            { "at": "9s", "fault": "kill_kernel" }, { "at": "10s", "fault": "panic", "path": "/one/b" },
        ],
    });
    let simulation = Simulation::new(tree(), serde_json::from_value(plan).unwrap());

    let found = simulation.run(1);

    assert_eq!((found.violations.len(), found.kernels), (0, 3));
    let at: Vec<_> = found.acts.iter().map(|done| done.act.clone()).collect();
    assert_eq!(at, simulation.plan.acts);
}

/// Loses an entry once two faults strike within a second.
fn loses_after_two(done: &[Done]) -> bool {
    let done: Vec<&Done> = done.iter().filter(|done| done.refused.is_none()).collect();
    done.windows(2).any(|pair| match pair {
        [one, next] => next.act.at.0.saturating_sub(one.act.at.0) <= Duration::from_secs(1),
        _ => false,
    })
}

/// How many seeds it takes to find a store that loses an entry, at most.
const SEEDS_TO_FIND: u64 = 10;

#[test]
#[expect(clippy::print_stdout, reason = "how soon it is found")]
fn a_store_that_loses_an_entry_after_two_faults_within_a_second_is_shrunk_to_those_two() {
    let mut plan = default_plan(Duration::from_secs(30));
    plan.phases[0]
        .faults
        .retain(|chance| chance.fault != Fault::KillKernel);
    let simulation = Simulation {
        saboteur: Some(loses_after_two),
        ..Simulation::new(tree(), plan)
    };

    let found = (0..SEEDS_TO_FIND).map(|seed| simulation.run(seed));
    let found = found.into_iter().find(|found| !found.violations.is_empty());
    let found = found.unwrap();
    let shrunk = shrink(&simulation, &found, &found.violations[0]).unwrap();

    assert_eq!(found.violations[0].checker(), "streams");
    let [one, next] = shrunk.plan.acts.as_slice() else {
        panic!("{:?}", shrunk.plan.acts);
    };
    assert!(next.at.0 - one.at.0 <= Duration::from_secs(1));
    assert!(
        shrunk.acts_before > 20 && shrunk.runs < 200,
        "{}",
        shrunk.runs
    );
    // It is found again by what was written.
    let text = serde_json::to_string(&shrunk.plan).unwrap();
    let plan: Plan = serde_json::from_str(&text).unwrap();
    let again = Simulation { plan, ..simulation }.run(found.seed);
    assert!(
        again
            .violations
            .iter()
            .any(|other| other.is_like(&found.violations[0]))
    );
    println!(
        "streams: a lost entry is found with seed {}, and shrunk from {} acts to 2 in {} simulations",
        found.seed, shrunk.acts_before, shrunk.runs
    );
}
