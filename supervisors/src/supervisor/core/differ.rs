//! How much of a child, and of a supervisor's own part, differs between two specs: pure functions.

use super::*;
use crate::spec::{SupervisorSpec, WorkerSpec};

/// How a child is told to change, from one spec to the next, while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing differs.
    None,
    /// Only what its supervisor and its slot look at.
    Keys,
    /// Its settings: it says itself whether it needs a restart.
    Settings,
    /// What only a new life can have.
    Life,
    /// It is made of something else, or lives elsewhere.
    Replace,
}

/// How much of a child differs. A supervisor is looked at as a child here: what it supervises is its own business.
pub(crate) fn change(old: &ChildSpec, new: &ChildSpec) -> Change {
    match (&old.what, &new.what) {
        (ChildKind::Worker(before), ChildKind::Worker(after)) => {
            // Another node has another body of it, and so has the same node under another lease: grants are never amended.
            if before.kind != after.kind || before.place != after.place {
                Change::Replace
            } else if before.runtime != after.runtime || before.state != after.state {
                Change::Life
            } else if before.settings != after.settings {
                Change::Settings
            } else if old == new {
                Change::None
            } else {
                Change::Keys
            }
        }
        (ChildKind::Supervisor(before), ChildKind::Supervisor(after)) => {
            if before.template.is_some() != after.template.is_some() {
                Change::Replace
            } else if same_child(old, new) {
                Change::None
            } else {
                Change::Keys
            }
        }
        _ => Change::Replace,
    }
}

/// Whether two specs of supervisors say the same of them as children.
fn same_child(old: &ChildSpec, new: &ChildSpec) -> bool {
    let bare = |spec: &ChildSpec| ChildSpec {
        what: ChildKind::Supervisor(SupervisorSpec::default()),
        ..spec.clone()
    };
    bare(old) == bare(new)
}

/// Whether the supervisor's own part differs: its flags, and which children it has and how, but not what those that are
/// supervisors supervise.
pub(crate) fn own_part_differs(old: &SupervisorSpec, new: &SupervisorSpec) -> bool {
    let bare = |spec: &SupervisorSpec| SupervisorSpec {
        children: Vec::new(),
        ..spec.clone()
    };
    let same = |(old, new): (&Arc<ChildSpec>, &Arc<ChildSpec>)| {
        old.id == new.id && (Arc::ptr_eq(old, new) || change(old, new) == Change::None)
    };
    old.children.len() != new.children.len()
        || bare(old) != bare(new)
        || !old.children.iter().zip(&new.children).all(same)
}

/// The child of a template as the next template has it: what was laid over the settings of the old one stays.
pub(crate) fn of_next_template(child: &ChildSpec, old: &Template, new: &Template) -> ChildSpec {
    let settings = |spec: &ChildSpec| {
        spec.as_worker()
            .map(|worker: &WorkerSpec| worker.settings.clone())
    };
    let laid = match (settings(&old.child), settings(child)) {
        (Some(below), Some(settings)) => laid_over(&below, &settings),
        _ => None,
    };
    let mut next = new.child(child.id.clone(), laid.unwrap_or_default());
    next.labels.extend(
        child
            .labels
            .iter()
            .filter(|(key, _)| !old.child.labels.contains_key(*key))
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    next
}

/// What has to be laid over `below` to make `settings` of it; nothing if they are the same.
fn laid_over(below: &serde_json::Value, settings: &serde_json::Value) -> Option<serde_json::Value> {
    use serde_json::Value;
    match (below, settings) {
        (below, settings) if below == settings => None,
        (Value::Object(below), Value::Object(settings)) => {
            let laid = settings.iter().filter_map(|(key, value)| {
                let laid = match below.get(key) {
                    Some(below) => laid_over(below, value)?,
                    None => value.clone(),
                };
                Some((key.clone(), laid))
            });
            Some(Value::Object(laid.collect()))
        }
        (_, settings) => Some(settings.clone()),
    }
}

impl Change {
    /// Whether it is one that a child has to prove itself with.
    pub(super) fn is_of_settings(self) -> bool {
        matches!(self, Self::Settings | Self::Life)
    }
}
