//! What was changed live: [`Overlay`], two layers of operations over the tree of the file.
//!
//! The saved layer outlives the kernel and edits of the file; the unsaved one lies over it and ends with the kernel.
//! Both are kept in a normal form: what a later operation undoes or replaces is not there any more. Operations that have
//! no effect on the tree as it is now are kept, told, and never an error: the file may change again.
//!
//! A change that is saved takes out of the unsaved layer what would hide it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use unity_supervisors::path::{ActorPath, ChildId};
use unity_supervisors::spec::TreeSpec;

use self::patch::Patch;
use super::sealed::{self, DiskError};
use crate::disk::{Disk as _, RealDisk};
use crate::tree_file::KindCheck;

mod lay;
mod patch;
#[cfg(test)]
mod tests;

pub use self::lay::{Left, Why, lay_over};

/// A change of a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Changes settings of a worker.
    Set {
        /// The worker.
        path: ActorPath,
        /// A merge patch (RFC 7396): null removes, objects are merged, anything else replaces.
        settings: Map<String, Value>,
    },
    /// Adds a child as the last one.
    Spawn {
        /// Its supervisor.
        parent: ActorPath,
        /// The child, as it would stand in a file.
        child: Value,
    },
    /// Takes a child out.
    Delete {
        /// The child.
        path: ActorPath,
    },
    /// Lets a child begin stopped.
    Stop {
        /// The child.
        path: ActorPath,
    },
}

impl Op {
    /// The child that it is about; `None` for a spawn whose child has no proper id.
    #[must_use]
    pub fn path(&self) -> Option<ActorPath> {
        match self {
            Self::Set { path, .. } | Self::Delete { path } | Self::Stop { path } => {
                Some(path.clone())
            }
            Self::Spawn { parent, child } => {
                let id = child.get("id")?.as_str()?;
                ChildId::new(id).ok().map(|id| parent.child(&id))
            }
        }
    }

    /// Whether it spawns a child that needs the one at `path`.
    fn needs(&self, path: &ActorPath) -> bool {
        let Self::Spawn { parent, child } = self else {
            return false;
        };
        let needs = child.get("needs").and_then(Value::as_array);
        let mut needs = needs.into_iter().flatten().filter_map(Value::as_str);
        let id = path.id();
        path.parent().as_ref() == Some(parent)
            && needs.any(|need| Some(need) == id.as_ref().map(ChildId::as_str))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { path, settings } => {
                let keys: Vec<&str> = settings.keys().map(String::as_str).collect();
                write!(f, "set {path} {}", keys.join(", "))
            }
            Self::Spawn { parent, .. } => match self.path() {
                Some(path) => write!(f, "spawn {path}"),
                None => write!(f, "spawn a child without an id under {parent}"),
            },
            Self::Delete { path } => write!(f, "delete {path}"),
            Self::Stop { path } => write!(f, "stop {path}"),
        }
    }
}

/// A layer of the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// It is on disk.
    Saved,
    /// It ends with the kernel.
    Unsaved,
}

/// A change that cannot be saved: the child that it is about is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` was spawned without --save, so that nothing about it can be saved: delete it and spawn it with --save"
)]
pub struct NotSaved(pub ActorPath);

/// What was changed live.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    saved: Vec<Op>,
    unsaved: Vec<Op>,
}

impl Overlay {
    /// Adds a change.
    ///
    /// # Errors
    /// It is to be saved, and is about a child that is not.
    pub fn change(&mut self, layer: Layer, op: Op) -> Result<(), NotSaved> {
        let ops = match layer {
            Layer::Saved => self.uncover(op)?,
            Layer::Unsaved => vec![op],
        };
        self.edit(layer, |normal| {
            ops.into_iter().for_each(|op| normal.add(op))
        });
        Ok(())
    }

    /// Takes back what was done to a key of a child's settings, as in `["health", "http"]`; whether there was something.
    pub fn unset(&mut self, layer: Layer, path: &ActorPath, key: &[&str]) -> bool {
        self.edit(layer, |normal| {
            let patch = normal.sets.get_mut(path);
            patch.is_some_and(|patch| patch.forget(key))
        })
    }

    /// Puts what is set for a child back to what `former` sets, in both layers.
    pub fn put_back(&mut self, path: &ActorPath, former: &Self) {
        for layer in [Layer::Saved, Layer::Unsaved] {
            let sets = Normal::of(former.ops(layer).iter().cloned())
                .sets
                .remove(path);
            self.edit(layer, |normal| match sets {
                Some(sets) => drop(normal.sets.insert(path.clone(), sets)),
                None => drop(normal.sets.remove(path)),
            });
        }
    }

    /// Takes back the stop of a child; whether there was one.
    pub fn start(&mut self, layer: Layer, path: &ActorPath) -> bool {
        self.edit(layer, |normal| normal.stops.remove(path))
    }

    /// The operations of a layer, in normal form.
    #[must_use]
    pub fn ops(&self, layer: Layer) -> &[Op] {
        match layer {
            Layer::Saved => &self.saved,
            Layer::Unsaved => &self.unsaved,
        }
    }

    /// Lays both layers over the tree of the file; see [`lay_over`].
    #[must_use]
    pub fn lay_over(
        &self,
        tree: &TreeSpec,
        kinds: &dyn KindCheck,
    ) -> (TreeSpec, Vec<(Layer, Left)>) {
        let (tree, saved) = lay_over(tree, &self.saved, kinds);
        let (tree, unsaved) = lay_over(&tree, &self.unsaved, kinds);
        let saved = saved.into_iter().map(|left| (Layer::Saved, left));
        let unsaved = unsaved.into_iter().map(|left| (Layer::Unsaved, left));
        (tree, saved.chain(unsaved).collect())
    }

    /// Reads the saved layer from this data folder; with a warning, nothing is in it.
    #[must_use]
    pub fn load(data_dir: &Path) -> (Self, Option<String>) {
        let file = file(data_dir);
        let (saved, warning) = match sealed::read::<Vec<Op>>(&file) {
            Ok(saved) => (normalise(saved.unwrap_or_default()), None),
            Err(why) => {
                let file = file.display();
                let warning =
                    format!("{file} {why}; what was saved of live changes is not in force");
                (Vec::new(), Some(warning))
            }
        };
        let unsaved = Vec::new();
        (Self { saved, unsaved }, warning)
    }

    /// Writes the saved layer to this data folder. A file there that cannot be used is put aside as
    /// `overlay.json.damaged`.
    ///
    /// # Errors
    /// What could not be done; the old file is there still.
    pub fn save(&self, data_dir: &Path) -> Result<(), DiskError> {
        let file = file(data_dir);
        if sealed::read::<Vec<Op>>(&file).is_err() && file.is_file() {
            let aside = file.with_extension("json.damaged");
            RealDisk
                .rename(&file, &aside)
                .map_err(DiskError::new("put aside", &file))?;
        }
        sealed::write(&RealDisk, &file, &self.saved)
    }

    fn edit<T>(&mut self, layer: Layer, change: impl FnOnce(&mut Normal) -> T) -> T {
        let ops = match layer {
            Layer::Saved => &mut self.saved,
            Layer::Unsaved => &mut self.unsaved,
        };
        let mut normal = Normal::of(std::mem::take(ops));
        let changed = change(&mut normal);
        *ops = normal.into_ops();
        changed
    }

    /// Takes out of the unsaved layer what would hide a change that is saved; what is to be saved then.
    fn uncover(&mut self, op: Op) -> Result<Vec<Op>, NotSaved> {
        let path = op.path();
        let above = match &op {
            Op::Delete { .. } => path.as_ref().and_then(ActorPath::parent),
            Op::Spawn { parent, .. } => Some(parent.clone()),
            Op::Set { .. } | Op::Stop { .. } => path.clone(),
        };
        if let Some(unsaved) = above.and_then(|above| self.spawned_unsaved(&above)) {
            return Err(NotSaved(unsaved));
        }
        let Some(path) = path else {
            return Ok(vec![op]);
        };
        let is_new = self.spawned_unsaved(&path).is_some();
        Ok(self.edit(Layer::Unsaved, |unsaved| {
            let is_there = |op: &Op| op.path().as_ref() == Some(&path);
            match &op {
                Op::Set { settings, .. } => {
                    let patch = unsaved.sets.get_mut(&path);
                    patch
                        .into_iter()
                        .for_each(|patch| patch.forget_all(settings));
                }
                Op::Stop { .. } => drop(unsaved.stops.remove(&path)),
                Op::Delete { .. } => {
                    unsaved.forget_below(&path);
                    unsaved.structure.retain(|op| !is_there(op));
                    if is_new {
                        return Vec::new();
                    }
                }
                Op::Spawn { .. } => {
                    // It takes the place of a child that was deleted unsaved: that is saved along with it.
                    let deleted = unsaved.structure.iter().position(is_there);
                    let deleted = deleted.map(|at| unsaved.structure.remove(at));
                    return deleted.into_iter().chain([op]).collect();
                }
            }
            vec![op]
        }))
    }

    /// The child at a path or above it that the unsaved layer brought.
    fn spawned_unsaved(&self, path: &ActorPath) -> Option<ActorPath> {
        let mut of = self.unsaved.iter().filter_map(|op| Some((op, op.path()?)));
        let (first, there) = of.find(|(op, there)| {
            let is_structure = matches!(op, Op::Spawn { .. } | Op::Delete { .. });
            is_structure && there.contains(path)
        })?;
        matches!(first, Op::Spawn { .. }).then_some(there)
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("settings").join("overlay.json")
}

/// The same operations without those that others undo or replace.
///
/// Laid over a tree on which each of `ops` has an effect, it makes the same of it.
#[must_use]
pub fn normalise(ops: impl IntoIterator<Item = Op>) -> Vec<Op> {
    Normal::of(ops).into_ops()
}

/// Operations in normal form: what changes the shape of the tree in its order, then the rest, whose order does not
/// matter.
#[derive(Debug, Default)]
struct Normal {
    structure: Vec<Op>,
    sets: BTreeMap<ActorPath, Patch>,
    stops: BTreeSet<ActorPath>,
}

impl Normal {
    fn of(ops: impl IntoIterator<Item = Op>) -> Self {
        let mut normal = Self::default();
        ops.into_iter().for_each(|op| normal.add(op));
        normal
    }

    fn add(&mut self, op: Op) {
        match op {
            Op::Set { path, settings } => self.sets.entry(path).or_default().then(&settings),
            Op::Spawn { .. } => self.structure.push(op),
            Op::Delete { path } => self.delete(path),
            Op::Stop { path } => drop(self.stops.insert(path)),
        }
    }

    fn delete(&mut self, path: ActorPath) {
        self.forget_below(&path);
        let is_there = |op: &Op| op.path().as_ref() == Some(&path);
        let last = self.structure.iter().rposition(is_there);
        let last = last.and_then(|at| self.structure.get(at).map(|op| (at, op)));
        match last {
            Some((_, Op::Delete { .. })) => {}
            // What needs it would be refused if it had never been there.
            Some((at, _)) if !self.structure.iter().any(|op| op.needs(&path)) => {
                self.structure.remove(at);
            }
            _ => self.structure.push(Op::Delete { path }),
        }
    }

    /// Forgets what was done to a child that goes, and to those below it, but for its own spawn and delete.
    fn forget_below(&mut self, path: &ActorPath) {
        self.sets.retain(|other, _| !path.contains(other));
        self.stops.retain(|other| !path.contains(other));
        self.structure.retain(|op| match op.path() {
            Some(other) => other == *path || !path.contains(&other),
            None => true,
        });
    }

    fn into_ops(self) -> Vec<Op> {
        let sets = self.sets.into_iter().flat_map(|(path, patch)| {
            let patches = patch.patches();
            patches.map(move |settings| Op::Set {
                path: path.clone(),
                settings,
            })
        });
        let stops = self.stops.into_iter().map(|path| Op::Stop { path });
        self.structure
            .into_iter()
            .chain(sets)
            .chain(stops)
            .collect()
    }
}
