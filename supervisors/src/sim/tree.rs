//! Random trees.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::actor::{SimApply, SimSettings};
use crate::path::ChildId;
use crate::spec::{
    AutoShutdown, Backoff, ChildKind, ChildSpec, Ladder, LadderAction, LadderStep, MailboxSpec,
    OnRestart, OnStall, Overflow, Restart, Shutdown, StateSpec, Strategy, SupervisorSpec, TASK,
    Template, TreeSpec, lay_over,
};

/// How deep supervisors nest below the root.
const DEPTH_MAX: usize = 3;

/// Grows a tree of at most `actors_max` workers, and at least one.
pub(super) fn grow(rng: &mut fastrand::Rng, actors_max: usize) -> TreeSpec {
    let mut left = rng.usize(1..=actors_max.max(1));
    let mut root = supervisor(rng, 0, &mut left);
    root.intensity = rng.u32(1..30);
    TreeSpec {
        name: "simulation".to_owned(),
        test: true,
        root,
    }
}

fn supervisor(rng: &mut fastrand::Rng, depth: usize, left: &mut usize) -> SupervisorSpec {
    let mut children: Vec<Arc<ChildSpec>> = Vec::new();
    // A root that ends itself ends the whole run, so it is seldom one.
    let auto_shutdown = match rng.u8(0..if depth == 0 { 20 } else { 4 }) {
        0 => AutoShutdown::AnySignificant,
        1 => AutoShutdown::AllSignificant,
        _ => AutoShutdown::Never,
    };
    let wanted = rng.usize(1..=5);
    while children.len() < wanted && *left > 0 {
        let id = ChildId::known_number(children.len());
        let mut child = if depth < DEPTH_MAX && rng.u8(0..3) == 0 {
            let below = match rng.u8(0..5) {
                0 => of_template(rng),
                1 => SupervisorSpec {
                    intensity: rng.u32(0..8),
                    ..SupervisorSpec::tasks(pick(rng, [None, Some(1), Some(3)]))
                },
                _ => supervisor(rng, depth + 1, left),
            };
            let mut child = ChildSpec::supervisor(id, below);
            child.restart = restart(rng);
            if rng.u8(0..8) == 0 {
                child.shutdown = Shutdown::Timeout(Duration::from_millis(rng.u64(0..200)));
            }
            child
        } else {
            *left -= 1;
            worker(rng, id)
        };
        child.significant = auto_shutdown != AutoShutdown::Never
            && child.restart != Restart::Permanent
            && rng.bool();
        child.essential = depth == 0 && rng.u8(0..4) == 0;
        if rng.u8(0..6) == 0
            && let Some(need) = rng.choice(&children)
        {
            child.needs = vec![need.id.clone()];
        }
        children.push(Arc::new(child));
    }
    SupervisorSpec {
        strategy: pick(
            rng,
            [
                Strategy::OneForOne,
                Strategy::OneForAll,
                Strategy::RestForOne,
            ],
        ),
        intensity: rng.u32(0..8),
        period: Duration::from_millis(rng.u64(100..5_000)),
        auto_shutdown,
        children,
        ..SupervisorSpec::default()
    }
}

/// Takes out of a tree that is to change what the checkers could not tell from a fault then: states, which go back with the
/// settings, ladders, which lay something over them, and, where nothing is to happen by itself, what fails by chance.
pub(super) fn simplify(supervisor: &mut SupervisorSpec, is_calm: bool) {
    if is_calm {
        supervisor.intensity = 1_000;
    }
    for child in &mut supervisor.children {
        simplify_child(Arc::make_mut(child), is_calm);
    }
    if let Some(template) = &mut supervisor.template {
        simplify_child(&mut Arc::make_mut(template).child, is_calm);
    }
}

pub(super) fn simplify_child(child: &mut ChildSpec, is_calm: bool) {
    match &mut child.what {
        ChildKind::Worker(worker) => {
            worker.state = None;
            worker.on_crash = None;
            if is_calm && worker.kind != TASK {
                let percent = json!({ "fails_percent": 0 });
                lay_over(&mut worker.settings, percent);
            }
        }
        ChildKind::Supervisor(below) => simplify(below, is_calm),
    }
}

/// A small random supervisor, to be put below another.
pub(super) fn below(rng: &mut fastrand::Rng) -> SupervisorSpec {
    if rng.u8(0..4) == 0 {
        return of_template(rng);
    }
    supervisor(rng, DEPTH_MAX - 1, &mut 4)
}

/// A random restart type.
pub(super) fn restart(rng: &mut fastrand::Rng) -> Restart {
    pick(
        rng,
        [
            Restart::Permanent,
            Restart::Permanent,
            Restart::Transient,
            Restart::Temporary,
        ],
    )
}

/// A supervisor whose children come and go.
fn of_template(rng: &mut fastrand::Rng) -> SupervisorSpec {
    let template = Template {
        child: worker(rng, Template::id()),
        max_children: pick(rng, [None, Some(1), Some(3)]),
    };
    SupervisorSpec {
        intensity: rng.u32(0..8),
        template: Some(Arc::new(template)),
        ..SupervisorSpec::default()
    }
}

/// A random worker with this id.
pub(super) fn worker(rng: &mut fastrand::Rng, id: ChildId) -> ChildSpec {
    let mut child = ChildSpec::worker(id, "sim");
    child.restart = restart(rng);
    child.shutdown = match rng.u8(0..6) {
        0 => Shutdown::BrutalKill,
        1 => Shutdown::Infinity,
        _ => Shutdown::Timeout(Duration::from_millis(rng.u64(0..400))),
    };
    if rng.u8(0..3) == 0 {
        child.backoff = Some(Backoff {
            min: Duration::from_millis(rng.u64(1..100)),
            max: Duration::from_millis(rng.u64(100..1_000)),
            ..Backoff::default()
        });
    }
    let settings = SimSettings {
        fails_percent: pick(rng, [0, 0, 10, 50]),
        start_ms: pick(rng, [0, 0, 1, 20]),
        stop_ms: pick(rng, [0, 0, 5, 300]),
        traps: rng.bool(),
        step: 0,
        version: rng.u64(..1 << 50),
        apply: SimApply::Live,
    };
    let on_crash = (rng.u8(0..3) == 0).then(|| Arc::new(ladder(rng)));
    child.probation = Duration::from_millis(rng.u64(0..5_000));
    if let crate::spec::ChildKind::Worker(worker) = &mut child.what {
        let every = Duration::from_millis(rng.u64(50..2_000));
        worker.state = (rng.u8(0..3) == 0).then_some(StateSpec { every });
        worker.settings = json!(settings);
        worker.mailbox = Arc::new(mailbox(rng));
        worker.on_crash = on_crash;
        worker.stall_after = Duration::from_millis(rng.u64(1..3_000));
        worker.stall = pick(rng, [OnStall::Report, OnStall::Abandon, OnStall::Abandon]);
    }
    child
}

fn ladder(rng: &mut fastrand::Rng) -> Ladder {
    let count = rng.usize(1..4);
    let steps = (1..=count).map(|step| LadderStep {
        after: rng.u32(1..4),
        within: Duration::from_millis(rng.u64(100..5_000)),
        action: match rng.u8(0..3) {
            0 => LadderAction::LastGood,
            1 if step == count => LadderAction::Quarantine,
            _ => LadderAction::Swap(json!({ "step": step })),
        },
    });
    Ladder {
        steps: steps.collect(),
    }
}

fn mailbox(rng: &mut fastrand::Rng) -> MailboxSpec {
    MailboxSpec {
        capacity: pick(rng, [1, 4, 64, 1_024]),
        overflow: pick(
            rng,
            [
                Overflow::Block,
                Overflow::Block,
                Overflow::Reject,
                Overflow::DropOldest,
                Overflow::DropNewest,
            ],
        ),
        send_timeout: Duration::from_millis(rng.u64(0..500)),
        on_restart: pick(rng, [OnRestart::Keep, OnRestart::Keep, OnRestart::Drop]),
        retry: pick(rng, [0, 0, 1, 3]),
        fairness: rng.u32(1..65),
        ttl: (rng.u8(0..5) == 0).then(|| Duration::from_millis(rng.u64(1..500))),
        ..MailboxSpec::default()
    }
}

fn pick<T, const N: usize>(rng: &mut fastrand::Rng, from: [T; N]) -> T {
    let index = rng.usize(0..N);
    let mut from = from.into_iter();
    match from.nth(index) {
        Some(picked) => picked,
        None => unreachable!("an index below the length"),
    }
}
