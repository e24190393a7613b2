//! Which keys there are, of what: the one table that a child's keys are checked against.

/// What a key of a child belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Every child.
    Child,
    /// Children that have a `kind`.
    Worker,
    /// Children that have `children`, and the root.
    Supervisor,
}

/// The keys of a child.
pub(super) const CHILD: &[(&str, Owner)] = &[
    ("id", Owner::Child),
    ("labels", Owner::Child),
    ("kind", Owner::Worker),
    ("settings", Owner::Worker),
    ("restart", Owner::Child),
    ("shutdown", Owner::Child),
    ("significant", Owner::Child),
    ("essential", Owner::Child),
    ("start_timeout", Owner::Child),
    ("backoff", Owner::Child),
    ("probation", Owner::Child),
    ("needs", Owner::Child),
    ("place", Owner::Child),
    ("mailbox", Owner::Worker),
    ("health", Owner::Worker),
    ("stall_after", Owner::Worker),
    ("stall", Owner::Worker),
    ("on_crash", Owner::Worker),
    ("runtime", Owner::Worker),
    ("state", Owner::Worker),
    ("strategy", Owner::Supervisor),
    ("intensity", Owner::Supervisor),
    ("period", Owner::Supervisor),
    ("auto_shutdown", Owner::Supervisor),
    ("children", Owner::Supervisor),
    ("template", Owner::Supervisor),
    ("max_children", Owner::Supervisor),
    ("partitions", Owner::Supervisor),
];

/// The keys of a tree file.
pub(super) const FILE: &[&str] = &["version", "name", "test", "tree"];
/// The keys of a `backoff`.
pub(super) const BACKOFF: &[&str] = &["min", "max", "factor", "jitter"];
/// The keys of a `mailbox`.
pub(super) const MAILBOX: &[&str] = &[
    "capacity",
    "lanes",
    "overflow",
    "send_timeout",
    "on_restart",
    "retry",
    "fairness",
    "ttl",
];

/// The owner of a key of a child.
pub(super) fn owner(key: &str) -> Option<Owner> {
    CHILD
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, owner)| *owner)
}

/// The keys of a child of some sort: its own and those of every child, or of the root.
pub(super) fn of(sort: Option<Owner>, root: bool) -> Vec<&'static str> {
    let fits = |owner: Owner| match sort {
        Some(sort) => owner == sort || (owner == Owner::Child && !root),
        None => true,
    };
    CHILD
        .iter()
        .filter(|(_, owner)| fits(*owner))
        .map(|(key, _)| *key)
        .collect()
}
