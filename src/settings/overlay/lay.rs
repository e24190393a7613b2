//! Lays operations over a tree: [`lay_over`].

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use unity_supervisors::path::{ActorPath, ChildId};
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};

use super::{Op, patch};
use crate::tree_file::{Home, KindCheck, child_from_json};

/// An operation that has no effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The operation.
    pub op: Op,
    /// Why it has none.
    pub why: Why,
}

/// Why an operation has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its path is not in the tree.
    #[error("there is no `{0}` in the tree")]
    Gone(ActorPath),
    /// The tree says the same without it.
    #[error("the tree says the same without it")]
    Same,
    /// The tree has another child there.
    #[error("the tree has another child of this name")]
    Taken,
    /// The child is made from a template, so that it has no place in the tree.
    #[error(
        "the children of `{0}` come and go and are not in the tree: change its `template` in the file"
    )]
    OfTemplate(ActorPath),
    /// The child is one of those that share a load.
    #[error("the children of `{0}` are partitions, all alike: change its `template` in the file")]
    OfPartitions(ActorPath),
    /// It has no settings.
    #[error("`{0}` is a supervisor, which has no settings")]
    NotWorker(ActorPath),
    /// It has no children.
    #[error("`{0}` is a worker, which has no children")]
    NotSupervisor(ActorPath),
    /// It is the root.
    #[error("the root is always there")]
    Root,
    /// The kind refuses the settings, or nothing can be made of the child.
    #[error("refused: {}", .0.join("; "))]
    Refused(Vec<String>),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has no effect: {}", self.op, self.why)
    }
}

/// Lays operations over a tree, in their order: what comes of it, and those that have no effect, and why.
///
/// Sets of the same child beside each other are judged as one. Of children that stay as they are the specs are shared.
#[must_use]
pub fn lay_over(tree: &TreeSpec, ops: &[Op], kinds: &dyn KindCheck) -> (TreeSpec, Vec<Left>) {
    let mut tree = tree.clone();
    let mut left = Vec::new();
    let same = |a: &Op, b: &Op| match (a, b) {
        (Op::Set { path: a, .. }, Op::Set { path: b, .. }) => a == b,
        _ => false,
    };
    for group in ops.chunk_by(same) {
        if let Err(why) = lay(&mut tree, group, kinds) {
            left.extend(group.iter().map(|op| Left {
                op: op.clone(),
                why: why.clone(),
            }));
        }
    }
    (tree, left)
}

fn lay(tree: &mut TreeSpec, group: &[Op], kinds: &dyn KindCheck) -> Result<(), Why> {
    match group {
        [Op::Spawn { parent, child }] => spawn(tree, parent, child, kinds),
        [Op::Delete { path }] => delete(&mut tree.root, path),
        [Op::Stop { path }] => stop(&mut tree.root, path),
        sets => set(&mut tree.root, sets, kinds),
    }
}

/// Sets of one child.
fn set(root: &mut SupervisorSpec, sets: &[Op], kinds: &dyn KindCheck) -> Result<(), Why> {
    let patches: Vec<(&ActorPath, &Map<String, Value>)> = sets
        .iter()
        .filter_map(|op| match op {
            Op::Set { path, settings } => Some((path, settings)),
            _ => None,
        })
        .collect();
    let Some((path, _)) = patches.first() else {
        return Ok(());
    };
    if path.is_root() {
        return Err(Why::NotWorker(ActorPath::root()));
    }
    let child = find(root, path)?;
    let worker = child
        .as_worker()
        .ok_or_else(|| Why::NotWorker((*path).clone()))?;
    let mut settings = worker.settings.clone();
    for (_, patch) in &patches {
        patch::apply(&mut settings, patch);
    }
    if settings == worker.settings {
        return Err(Why::Same);
    }
    let checked = match worker.place {
        Some(_) => kinds.check_elsewhere(&worker.kind, &settings),
        None => kinds.check(&worker.kind, &settings),
    };
    checked.map_err(|faults| {
        let kind = &worker.kind;
        let faults = faults.iter();
        Why::Refused(
            faults
                .map(|fault| format!("settings of `{kind}`: {fault}"))
                .collect(),
        )
    })?;
    if let ChildKind::Worker(worker) = &mut find_mut(root, path)?.what {
        worker.settings = settings;
    }
    Ok(())
}

fn spawn(
    TreeSpec {
        name: node, root, ..
    }: &mut TreeSpec,
    parent: &ActorPath,
    child: &Value,
    kinds: &dyn KindCheck,
) -> Result<(), Why> {
    let supervisor = supervisor(root, parent)?;
    listed(supervisor, parent)?;
    let mut siblings: Vec<ChildId> = ids(supervisor).cloned().collect();
    let there = child.get("id").and_then(Value::as_str);
    let there = supervisor
        .children
        .iter()
        .find(|sibling| Some(sibling.id.as_str()) == there);
    if let Some(there) = there {
        siblings.retain(|sibling| *sibling != there.id);
    }
    let home = Home {
        node,
        supervisor: parent,
        siblings: &siblings,
        strategy: supervisor.strategy,
        auto_shutdown: supervisor.auto_shutdown,
    };
    let made = child_from_json(child, &home, kinds).map_err(Why::Refused)?;
    match there {
        Some(there) if **there == made.spec => return Err(Why::Same),
        Some(_) => return Err(Why::Taken),
        None => {}
    }
    supervisor_mut(root, parent)?
        .children
        .push(Arc::new(made.spec));
    Ok(())
}

/// Also takes a child out of what its siblings need: nobody can need what is not there.
fn delete(root: &mut SupervisorSpec, path: &ActorPath) -> Result<(), Why> {
    let (Some(parent), Some(id)) = (path.parent(), path.id()) else {
        return Err(Why::Root);
    };
    find(root, path)?;
    let supervisor = supervisor_mut(root, &parent)?;
    supervisor.children.retain(|child| child.id != id);
    for sibling in &mut supervisor.children {
        if sibling.needs.contains(&id) {
            Arc::make_mut(sibling).needs.retain(|need| *need != id);
        }
    }
    Ok(())
}

fn stop(root: &mut SupervisorSpec, path: &ActorPath) -> Result<(), Why> {
    if path.is_root() {
        return Err(Why::Root);
    }
    if find(root, path)?.begins_stopped {
        return Err(Why::Same);
    }
    find_mut(root, path)?.begins_stopped = true;
    Ok(())
}

fn ids(supervisor: &SupervisorSpec) -> impl Iterator<Item = &ChildId> {
    supervisor.children.iter().map(|child| &child.id)
}

/// Refuses supervisors whose children are not each their own.
fn listed(supervisor: &SupervisorSpec, path: &ActorPath) -> Result<(), Why> {
    match (&supervisor.template, supervisor.partitions) {
        (Some(_), _) => Err(Why::OfTemplate(path.clone())),
        (None, Some(_)) => Err(Why::OfPartitions(path.clone())),
        (None, None) => Ok(()),
    }
}

/// The child at a path that is not the root.
fn find<'a>(root: &'a SupervisorSpec, path: &ActorPath) -> Result<&'a ChildSpec, Why> {
    let gone = || Why::Gone(path.clone());
    let parent = path.parent().ok_or_else(gone)?;
    let supervisor = supervisor(root, &parent)?;
    listed(supervisor, &parent)?;
    let id = path.id().ok_or_else(gone)?;
    let child = supervisor.children.iter().find(|child| child.id == id);
    child.map(|child| &**child).ok_or_else(gone)
}

fn supervisor<'a>(root: &'a SupervisorSpec, path: &ActorPath) -> Result<&'a SupervisorSpec, Why> {
    if path.is_root() {
        return Ok(root);
    }
    find(root, path)?
        .as_supervisor()
        .ok_or_else(|| Why::NotSupervisor(path.clone()))
}

/// As [`find`], to be changed: what leads there is copied if it is shared.
fn find_mut<'a>(root: &'a mut SupervisorSpec, path: &ActorPath) -> Result<&'a mut ChildSpec, Why> {
    let gone = || Why::Gone(path.clone());
    let (parent, id) = path.parent().zip(path.id()).ok_or_else(gone)?;
    let supervisor = supervisor_mut(root, &parent)?;
    let mut children = supervisor.children.iter_mut();
    let child = children.find(|child| child.id == id).ok_or_else(gone)?;
    Ok(Arc::make_mut(child))
}

fn supervisor_mut<'a>(
    root: &'a mut SupervisorSpec,
    path: &ActorPath,
) -> Result<&'a mut SupervisorSpec, Why> {
    if path.is_root() {
        return Ok(root);
    }
    match &mut find_mut(root, path)?.what {
        ChildKind::Supervisor(supervisor) => Ok(supervisor),
        ChildKind::Worker(_) => Err(Why::NotSupervisor(path.clone())),
    }
}
