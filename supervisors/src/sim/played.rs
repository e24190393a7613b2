//! A tree of real kinds, whose workers are played: all rules of its supervisors and children are kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::actor::{SimActor, SimApply, SimSettings};
use crate::kind::Kinds;
use crate::path::ActorPath;
use crate::spec::{ChildKind, ChildSpec, LadderAction, SupervisorSpec, TASK, Template, TreeSpec};

/// The settings that a driver swaps in tell themselves from all others by this.
const BAD_VERSION: u64 = 1 << 52;

/// The paths of all children that a tree lists.
pub(super) fn listed(root: &SupervisorSpec) -> BTreeSet<ActorPath> {
    fn below(parent: &ActorPath, spec: &SupervisorSpec, found: &mut BTreeSet<ActorPath>) {
        for child in &spec.children {
            let path = parent.child(&child.id);
            if let Some(spec) = child.as_supervisor() {
                below(&path, spec, found);
            }
            found.insert(path);
        }
    }
    let mut found = BTreeSet::new();
    below(&ActorPath::root(), root, &mut found);
    found
}

/// Whether workers of this kind are played; tasks bring their own futures.
#[must_use]
pub fn is_played(kind: &str) -> bool {
    kind != TASK
}

/// Settings that are bad for a played worker, to be laid over its own: it refuses them, hangs or panics over them, or dies of
/// them later.
#[must_use]
pub fn bad_settings() -> Value {
    json!({ "version": BAD_VERSION, "fails_percent": 50, "apply": SimApply::Any })
}

/// The tree as it is played, and the kinds that it takes. How long each worker takes to start and stop is chance's.
pub(super) fn play(tree: &TreeSpec, rng: &mut fastrand::Rng) -> (TreeSpec, Kinds) {
    let mut tree = tree.clone();
    let mut names = BTreeSet::new();
    play_below(&mut tree.root, rng, &mut names);
    let about = "an actor of the simulation";
    let with = |kinds: Kinds, name: &String| kinds.with::<SimActor>(name, about);
    let kinds = names.iter().fold(Kinds::new(), with);
    (tree, kinds)
}

fn play_below(spec: &mut SupervisorSpec, rng: &mut fastrand::Rng, names: &mut BTreeSet<String>) {
    for child in &mut spec.children {
        play_child(Arc::make_mut(child), rng, names);
    }
    if let Some(template) = &mut spec.template {
        let template: &mut Template = Arc::make_mut(template);
        play_child(&mut template.child, rng, names);
    }
}

fn play_child(child: &mut ChildSpec, rng: &mut fastrand::Rng, names: &mut BTreeSet<String>) {
    let worker = match &mut child.what {
        ChildKind::Supervisor(below) => return play_below(below, rng, names),
        ChildKind::Worker(worker) if is_played(&worker.kind) => worker,
        ChildKind::Worker(_) => return,
    };
    names.insert(worker.kind.clone());
    let pick = |rng: &mut fastrand::Rng, of: [u64; 4]| rng.choice(of).unwrap_or_default();
    worker.settings = json!(SimSettings {
        fails_percent: 0,
        start_ms: pick(rng, [0, 0, 1, 20]),
        stop_ms: pick(rng, [0, 0, 5, 300]),
        traps: rng.bool(),
        step: 0,
        version: rng.u64(..1 << 50),
        apply: SimApply::Live,
    });
    if let Some(ladder) = &mut worker.on_crash {
        for (step, number) in Arc::make_mut(ladder).steps.iter_mut().zip(1..) {
            if let LadderAction::Swap(settings) = &mut step.action {
                let number: u64 = number;
                *settings = json!({ "step": number });
            }
        }
    }
}
