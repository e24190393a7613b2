//! What changes between two trees, as plain values: the plan of a [`Kernel::reload`](crate::Kernel::reload), before and
//! after.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::kernel::BuildError;
use crate::path::{ActorPath, ChildId};
use crate::spec::{ChildKind, ChildSpec, SupervisorSpec};
use crate::supervisor::core::RequestError;
use crate::supervisor::core::differ::{self, change};

/// One thing that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where.
    pub path: ActorPath,
    /// What differs.
    pub what: What,
    /// What is done about it, or was.
    pub how: How,
    /// Where a child was before that is another's from here on, under the same id: a removal there and an addition here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<ActorPath>,
}

impl Change {
    fn new(path: ActorPath, what: What, how: How) -> Self {
        Self {
            path,
            what,
            how,
            moved_from: None,
        }
    }
}

/// What differs at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is new.
    Added,
    /// It is no more.
    Removed,
    /// It is made of another kind, or lives on another node.
    Replaced,
    /// Its settings.
    Settings,
    /// Where it runs, or whether it keeps its state.
    Life,
    /// Other keys of it.
    Keys,
    /// The flags of a supervisor: strategy, budget, `auto_shutdown`.
    Flags,
    /// What the children of a supervisor are made from.
    Template,
    /// The order of its children.
    Order,
}

/// What is done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is asked whether it takes its settings as it runs, or wants a restart. Only before the change.
    Asks,
    /// In force without a restart.
    Live,
    /// Stopped and started.
    Restart,
    /// Started.
    Start,
    /// Stopped, and gone.
    Stop,
    /// It does not run: what differs is in force with its next start.
    Later,
}

/// Why a tree was not changed. What ran before runs on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// A child cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A child needs one that is no earlier sibling.
    #[error("`{path}` needs `{need}`, which is no earlier sibling")]
    NoSuchNeed {
        /// Which child.
        path: ActorPath,
        /// What it needs.
        need: ChildId,
    },
    /// A child does not take its new settings.
    #[error("`{path}` does not take its new settings: {why}")]
    Rejected {
        /// Which child.
        path: ActorPath,
        /// Why, in its own words where it had any.
        why: String,
    },
    /// A supervisor could not do its part.
    #[error("`{path}`: {error}")]
    Refused {
        /// Which supervisor.
        path: ActorPath,
        /// Why.
        error: RequestError,
    },
    /// The kernel is ending.
    #[error("the kernel is ending")]
    Ending,
}

/// What differs between two trees, in the order of the new one, each removal where the child was.
#[must_use]
pub fn diff(old: &SupervisorSpec, new: &SupervisorSpec) -> Vec<Change> {
    let mut changes = Vec::new();
    supervisors(&ActorPath::root(), old, new, &mut changes);
    find_moves(&mut changes);
    changes
}

fn supervisors(
    path: &ActorPath,
    old: &SupervisorSpec,
    new: &SupervisorSpec,
    changes: &mut Vec<Change>,
) {
    let flags = |spec: &SupervisorSpec| SupervisorSpec {
        children: Vec::new(),
        template: None,
        ..spec.clone()
    };
    if flags(old) != flags(new) {
        changes.push(Change::new(path.clone(), What::Flags, How::Live));
    }
    if old.template != new.template {
        changes.push(Change::new(path.clone(), What::Template, How::Asks));
    }
    let before = by_id(&old.children);
    let after = by_id(&new.children);
    let was = old.children.iter().map(|child| &child.id);
    let is = new.children.iter().map(|child| &child.id);
    if !was
        .filter(|id| after.contains_key(id))
        .eq(is.filter(|id| before.contains_key(id)))
    {
        changes.push(Change::new(path.clone(), What::Order, How::Live));
    }
    for child in &old.children {
        if !after.contains_key(&child.id) {
            let path = path.child(&child.id);
            changes.push(Change::new(path, What::Removed, How::Stop));
        }
    }
    for child in &new.children {
        let path = path.child(&child.id);
        match before.get(&child.id) {
            None if child.begins_stopped => {
                changes.push(Change::new(path, What::Added, How::Later));
            }
            None => changes.push(Change::new(path, What::Added, How::Start)),
            Some(before) if Arc::ptr_eq(before, child) => {}
            Some(before) => one_child(path, before, child, changes),
        }
    }
}

/// A child that is in both.
fn one_child(path: ActorPath, old: &ChildSpec, new: &ChildSpec, changes: &mut Vec<Change>) {
    let change = change(old, new);
    let what = match change {
        differ::Change::None => None,
        differ::Change::Keys => Some((What::Keys, How::Live)),
        differ::Change::Settings => Some((What::Settings, How::Asks)),
        differ::Change::Life => Some((What::Life, How::Restart)),
        differ::Change::Replace => Some((What::Replaced, How::Restart)),
    };
    if let Some((what, how)) = what {
        let how = match (old.begins_stopped, new.begins_stopped) {
            (false, true) => How::Stop,
            (true, false) => How::Start,
            _ => how,
        };
        changes.push(Change::new(path.clone(), what, how));
    }
    if change != differ::Change::Replace
        && let (Some(old), Some(new)) = (old.as_supervisor(), new.as_supervisor())
    {
        supervisors(&path, old, new, changes);
    }
}

/// Children by their ids.
pub(crate) fn by_id(children: &[Arc<ChildSpec>]) -> BTreeMap<&ChildId, &Arc<ChildSpec>> {
    children.iter().map(|child| (&child.id, child)).collect()
}

/// A child that goes at one place and comes at another under the same id has moved, as far as people are concerned.
fn find_moves(changes: &mut [Change]) {
    let mut gone: BTreeMap<ChildId, Vec<ActorPath>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.what == What::Removed) {
        if let Some(id) = change.path.id() {
            gone.entry(id).or_default().push(change.path.clone());
        }
    }
    for change in changes
        .iter_mut()
        .filter(|change| change.what == What::Added)
    {
        let from = change.path.id().and_then(|id| gone.remove(&id));
        change.moved_from = from
            .filter(|from| from.len() == 1)
            .and_then(|mut from| from.pop());
    }
}

/// `new`, with every child that is the same as in `old` shared with it: what is the same is then the same value.
pub(crate) fn share(old: &SupervisorSpec, new: &SupervisorSpec) -> SupervisorSpec {
    let before = by_id(&old.children);
    let shared = |child: &Arc<ChildSpec>| {
        let Some(before) = before.get(&child.id) else {
            return Arc::clone(child);
        };
        if *before == child {
            return Arc::clone(before);
        }
        match (&before.what, &child.what) {
            (ChildKind::Supervisor(old), ChildKind::Supervisor(new)) => Arc::new(ChildSpec {
                what: ChildKind::Supervisor(share(old, new)),
                ..(**child).clone()
            }),
            _ => Arc::clone(child),
        }
    };
    SupervisorSpec {
        children: new.children.iter().map(shared).collect(),
        ..new.clone()
    }
}
