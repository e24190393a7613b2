//! Merge patches of settings (RFC 7396), one after the other as one: [`Patch`].
//!
//! Two merge patches are not always one: a key that is taken out and then set to an object again has lost what it held,
//! which no single patch can say. So what they come to is kept as a tree that knows it, and is written as at most two
//! patches.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Lays a merge patch over a value: objects are merged, null removes, anything else replaces.
pub(super) fn apply(below: &mut Value, patch: &Map<String, Value>) {
    if !below.is_object() {
        *below = Value::Object(Map::new());
    }
    let Value::Object(below) = below else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(below.remove(key)),
            Value::Object(patch) => {
                apply(below.entry(key.as_str()).or_insert(Value::Null), patch);
            }
            other => drop(below.insert(key.clone(), other.clone())),
        }
    }
}

/// What merge patches come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Patch(BTreeMap<String, Change>);

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Remove,
    /// Puts this, which is no object.
    Put(Value),
    /// Merges into what is there.
    Merge(Patch),
    /// Begins from nothing.
    Anew(Patch),
}

impl Patch {
    /// Lays another patch over this one.
    pub(super) fn then(&mut self, patch: &Map<String, Value>) {
        self.lay(patch, Change::Merge);
    }

    fn lay(&mut self, patch: &Map<String, Value>, begin: fn(Patch) -> Change) {
        for (key, value) in patch {
            let Value::Object(inner) = value else {
                let change = match value {
                    Value::Null => Change::Remove,
                    other => Change::Put(other.clone()),
                };
                self.0.insert(key.clone(), change);
                continue;
            };
            let change = self.0.entry(key.clone());
            let change = change.or_insert_with(|| begin(Self::default()));
            if let Change::Remove | Change::Put(_) = change {
                *change = Change::Anew(Self::default());
            }
            match change {
                Change::Merge(merged) => merged.lay(inner, Change::Merge),
                Change::Anew(made) => made.lay(inner, Change::Anew),
                Change::Remove | Change::Put(_) => {}
            }
        }
    }

    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what it does to a key, and the objects above it that hold nothing else; whether it did something.
    pub(super) fn forget(&mut self, key: &[&str]) -> bool {
        let Some((first, rest)) = key.split_first() else {
            return false;
        };
        let Some(change) = self.0.get_mut(*first) else {
            return false;
        };
        if rest.is_empty() {
            self.0.remove(*first);
            return true;
        }
        let (Change::Merge(inner) | Change::Anew(inner)) = change else {
            return false;
        };
        let forgot = inner.forget(rest);
        if forgot && inner.is_empty() {
            self.0.remove(*first);
        }
        forgot
    }

    /// Forgets what it does to the keys of another patch.
    pub(super) fn forget_all(&mut self, patch: &Map<String, Value>) {
        for (key, value) in patch {
            let Some(change) = self.0.get_mut(key) else {
                continue;
            };
            if let (Change::Merge(inner), Value::Object(patch)) = (change, value) {
                inner.forget_all(patch);
                if !inner.is_empty() {
                    continue;
                }
            }
            self.0.remove(key);
        }
    }

    /// As merge patches: one, or two of which the first takes out what begins anew; none if nothing is changed.
    pub(super) fn patches(&self) -> impl Iterator<Item = Map<String, Value>> + use<> {
        let both = [self.removals(), self.merges()];
        both.into_iter().filter(|patch| !patch.is_empty())
    }

    fn removals(&self) -> Map<String, Value> {
        let removed = self.0.iter().filter_map(|(key, change)| match change {
            Change::Anew(_) => Some((key.clone(), Value::Null)),
            Change::Merge(inner) => {
                let inner = inner.removals();
                (!inner.is_empty()).then(|| (key.clone(), Value::Object(inner)))
            }
            Change::Remove | Change::Put(_) => None,
        });
        removed.collect()
    }

    fn merges(&self) -> Map<String, Value> {
        let merged = self.0.iter().map(|(key, change)| {
            let value = match change {
                Change::Remove => Value::Null,
                Change::Put(value) => value.clone(),
                Change::Merge(inner) | Change::Anew(inner) => Value::Object(inner.merges()),
            };
            (key.clone(), value)
        });
        merged.collect()
    }
}
