//! Where each setting of a child comes from: [`explain`].
//!
//! The layers, lowest first: what its kind has by default, the file, what a rollback put back, what was changed live and
//! saved, what was changed live until the kernel stops, and what its ladder makes of all that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use unity_supervisors::Kinds;
use unity_supervisors::path::ActorPath;
use unity_supervisors::slot::Slot;
use unity_supervisors::spec::{SupervisorSpec, TreeSpec};

use super::keeper::{Keeper, find};
use super::overlay::{Layer, lay_over};
use super::rollbacks::rollbacks;
use crate::kind_check::KnownKinds;
use crate::tree_file::layout::Layout;
use crate::tree_file::{Located, PathStep};

/// Who says what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Its kind.
    Default,
    /// The tree file, or one that it includes.
    File {
        /// Its name.
        file: String,
        /// The line, from 1, if the child has a place of its own there.
        line: Option<usize>,
    },
    /// It was changed live and saved.
    Saved,
    /// It was changed live until the kernel stops.
    Unsaved,
    /// It was put back, for the child did not live with another one.
    RolledBack {
        /// The version that it did not live with.
        of: u64,
    },
    /// Whoever spawned the child, or the template that it is made from.
    Spawned,
    /// The child's ladder.
    Ladder,
}

/// Why a setting has the value that it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Its name, dots for those of mappings.
    pub name: String,
    /// The value in force; none if the uppermost layer takes it out.
    pub value: Option<Value>,
    /// Who says so.
    pub from: From,
    /// What it would be without that, and so on downwards.
    pub lower: Vec<(Option<Value>, From)>,
}

/// Explains all settings of a worker that somebody says something about, in the order of their names.
#[must_use]
pub fn explain(slot: &Slot, keeper: &Keeper, kinds: &Kinds) -> Vec<Explained> {
    let layers = layers(slot, keeper, kinds);
    let place = Place::of(slot.path(), keeper, kinds);
    let names: BTreeSet<&String> = layers.iter().flat_map(|(_, keys, _)| keys.keys()).collect();
    let explained = names.into_iter().filter_map(|name| {
        let mut said: Vec<(Option<Value>, From)> = Vec::new();
        for (from, keys, names) in &layers {
            let value = keys.get(name).cloned();
            let is_another = said
                .last()
                .map_or(value.is_some(), |(last, _)| *last != value);
            // What somebody wrote down is not the kind's, even if it is the same.
            let is_written =
                names.contains(name) && matches!(said.as_slice(), [] | [(_, From::Default)]);
            if is_another || is_written {
                let from = match from {
                    From::File { .. } => place.of_key(name),
                    from => from.clone(),
                };
                said.push((value, from));
            }
        }
        let (value, from) = said.pop()?;
        said.reverse();
        Some(Explained {
            name: name.clone(),
            value,
            from,
            lower: said,
        })
    });
    explained.collect()
}

/// Keys with dots, and what they are.
type Keys = BTreeMap<String, Value>;

/// What each layer and those below it make of the settings, as far as there is such a layer, and the names of what is not
/// left to the kind.
fn layers(slot: &Slot, keeper: &Keeper, kinds: &Kinds) -> Vec<(From, Keys, BTreeSet<String>)> {
    let path = slot.path();
    let spec = slot.spec();
    let Some(worker) = spec.as_worker() else {
        return Vec::new();
    };
    let mut layers = Vec::new();
    let defaults = defaults(kinds, &worker.kind);
    let mut add = |from: From, settings: &Value| {
        let mut keys = keys(&defaults);
        let said = self::keys(settings);
        let names = said.keys().cloned().collect();
        // What is said of a mapping as a whole takes the place of what it is by default, and the other way round.
        keys.retain(|key, _| {
            !said
                .keys()
                .any(|said| is_within(said, key) || is_within(key, said))
        });
        keys.extend(said);
        layers.push((from, keys, names));
    };
    add(From::Default, &Value::Null);
    let known = KnownKinds(kinds);
    let settings = |root: &SupervisorSpec| {
        let worker = find(root, path)?.as_worker()?.clone();
        Some(worker.settings)
    };
    let file = as_written(keeper, kinds);
    let put_back = &keeper.base().tree;
    let of = rollbacks(keeper.history().versions()).remove(path);
    let of = of.map(|rollback| rollback.of).unwrap_or_default();
    let (saved, _) = lay_over(put_back, keeper.overlay().ops(Layer::Saved), &known);
    let (unsaved, _) = lay_over(&saved, keeper.overlay().ops(Layer::Unsaved), &known);
    let mut is_in_tree = false;
    for (from, tree) in [
        (
            From::File {
                file: String::new(),
                line: None,
            },
            &file,
        ),
        (From::RolledBack { of }, put_back),
        (From::Saved, &saved),
        (From::Unsaved, &unsaved),
    ] {
        if let Some(settings) = settings(&tree.root) {
            is_in_tree = true;
            add(from, &settings);
        }
    }
    if !is_in_tree {
        add(From::Spawned, &worker.settings);
    }
    if slot.swap().is_some() {
        add(From::Ladder, &slot.settings());
    }
    layers
}

/// The tree of the files as they are written, without what was put back over them.
#[must_use]
pub fn as_written(keeper: &Keeper, kinds: &Kinds) -> TreeSpec {
    let base = keeper.base();
    let reading = keeper.source().read_kept(&base.files, kinds);
    let written = reading.and_then(|reading| reading.base);
    written.map_or_else(|| base.tree.clone(), |written| written.tree)
}

/// Where in the files a child stands.
struct Place {
    file: String,
    /// What stands there, and the steps to the child.
    layout: Option<(Layout, Located)>,
}

impl Place {
    fn of(path: &ActorPath, keeper: &Keeper, kinds: &Kinds) -> Self {
        let located = keeper
            .source()
            .locate_kept(&keeper.base().files, path, kinds);
        let file = located.as_ref().map(|located| located.file.display());
        Self {
            file: file.map_or_else(|| keeper.source().name(), |file| file.to_string()),
            layout: located.and_then(|located| Some((Layout::of(&located.text).ok()?, located))),
        }
    }

    fn of_key(&self, name: &str) -> From {
        let line = self.layout.as_ref().and_then(|(layout, located)| {
            let key = |name: &str| PathStep::Key(name.to_owned());
            let mut steps = located.steps.clone();
            steps.push(key("settings"));
            steps.extend(name.split('.').map(key));
            let start = layout.at(&steps)?.span.start;
            Some(located.text.get(..start)?.matches('\n').count() + 1)
        });
        From::File {
            file: self.file.clone(),
            line,
        }
    }
}

/// What the settings of a kind are where nothing is said.
#[must_use]
pub fn defaults(kinds: &Kinds, kind: &str) -> Value {
    let schema = kinds.get(kind).map(|kind| kind.settings_schema());
    let properties = schema.as_ref().and_then(|schema| schema.get("properties"));
    let properties = properties.and_then(Value::as_object).into_iter().flatten();
    let defaults = properties.filter_map(|(name, property)| {
        let default = property.get("default").filter(|value| !value.is_null())?;
        Some((name.clone(), default.clone()))
    });
    Value::Object(defaults.collect())
}

/// The leaves of settings by their names with dots.
#[must_use]
pub fn keys(settings: &Value) -> BTreeMap<String, Value> {
    fn add(at: &str, settings: &Map<String, Value>, keys: &mut Keys) {
        for (name, value) in settings {
            let name = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            match value {
                Value::Object(inner) if !inner.is_empty() => add(&name, inner, keys),
                value => drop(keys.insert(name, value.clone())),
            }
        }
    }
    let mut keys = Keys::new();
    if let Value::Object(settings) = settings {
        add("", settings, &mut keys);
    }
    keys
}

/// Whether a key is `above`, or one of the mapping of that name.
#[must_use]
pub fn is_within(key: &str, above: &str) -> bool {
    key.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
