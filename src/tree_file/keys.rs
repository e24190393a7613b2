//! Which keys there are, of what, and what stands after them: the one table that the reader checks
//! keys against and that the JSON Schema of tree files is made of.

use unity_supervisors::spec::Ladder;

use super::{child, place, stall, supervisor, template, worker};

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

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it says, in one line.
    pub(super) about: &'static str,
    pub(super) form: Form,
}

/// What may stand after a key.
#[derive(Debug)]
pub(super) enum Form {
    /// The version of the format.
    Version,
    /// An id, or the name of a node.
    Id,
    /// `true` or `false`.
    Bool,
    /// An integer of at least and at most so much.
    Integer(u32, u32),
    /// A number of a range.
    Number(f64, f64),
    /// One of some words.
    Words(fn() -> Vec<&'static str>),
    /// A duration, or one of some words.
    Duration {
        /// Whether it must be above zero.
        positive: bool,
        words: &'static [&'static str],
    },
    /// The name of a kind.
    Kind,
    /// What the kind says.
    Settings,
    /// A mapping of texts.
    Labels,
    /// A list of ids.
    Ids,
    /// A list of children and includes.
    Children,
    /// A child without an id, which others are made from.
    Template,
    /// The root supervisor.
    Root,
    /// Capacities by lane.
    Lanes,
    /// The steps of a ladder.
    Ladder,
    /// What a step of a ladder lays over the settings.
    Swap,
    /// A mapping of these keys; nothing at all is the same as an empty one where it is optional.
    Map(&'static [Key], Optional),
    /// Where it lives.
    Place,
    /// A mapping of texts, at least one.
    Marks,
    /// For how long it may live elsewhere without being renewed.
    Lease,
}

/// What may stand after a key instead of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    /// Nothing at all.
    Yes,
    No,
    /// `off`.
    Off,
}

const fn key(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, about, form }
}

const TIME: Form = Form::Duration {
    positive: false,
    words: &[],
};
const TIME_ABOVE_ZERO: Form = Form::Duration {
    positive: true,
    words: &[],
};

/// The keys of a child.
#[rustfmt::skip]
pub(super) const CHILD: &[(Owner, Key)] = &[
    (Owner::Child, key("id", Form::Id, "Its name, unique in its supervisor: 1 to 64 of A-Z a-z 0-9 _ -.")),
    (Owner::Child, key("labels", Form::Labels, "What people mark it with: texts by name.")),
    (Owner::Worker, key("kind", Form::Kind, "What the worker is made from.")),
    (Owner::Worker, key("settings", Form::Settings, "What the worker is configured with; its kind says which keys there are.")),
    (Owner::Child, key("restart", Form::Words(|| words(&child::RESTARTS)), "When a child that exited is restarted: permanent is always, transient when it did not end in order, temporary never.")),
    (Owner::Child, key("shutdown", Form::Duration { positive: false, words: &["brutal_kill", "infinity"] }, "How long it may take to stop before it is killed.")),
    (Owner::Child, key("significant", Form::Bool, "Whether its end can end its supervisor, which says with `auto_shutdown` when: it exits by itself and its restart type leaves it down.")),
    (Owner::Child, key("essential", Form::Bool, "Whether it goes on in safe mode; of children of the root only.")),
    (Owner::Child, key("start_timeout", Form::Duration { positive: true, words: &["infinity"] }, "How long its start may take.")),
    (Owner::Child, key("backoff", Form::Map(BACKOFF, Optional::No), "Pauses before restarts, longer each time; they begin anew after `max` without an exit. Without it a restart comes at once.")),
    (Owner::Child, key("probation", TIME_ABOVE_ZERO, "How long it must run without an exit for new settings to count as good; of a child that keeps its state, also for a second crash not to make it start without.")),
    (Owner::Child, key("needs", Form::Ids, "Ids of siblings before it that must run for it to run.")),
    (Owner::Worker, key("place", Form::Place, "The node that it lives on: here, or another one by its `node` or by `labels`.")),
    (Owner::Worker, key("mailbox", Form::Map(MAILBOX, Optional::Yes), "The bounds of its mailbox.")),
    (Owner::Worker, key("health", Form::Map(HEALTH, Optional::Off), "How often it is asked whether it still gets to its next message, and when it counts as stalled. Without it, it is not asked.")),
    (Owner::Worker, key("stall_after", TIME_ABOVE_ZERO, "How long it may hold its thread without yielding before it counts as stalled.")),
    (Owner::Worker, key("stall", Form::Words(|| words(&stall::STALLS)), "What is done about a stall: report tells of it, abandon cuts the stuck life off and starts the next one.")),
    (Owner::Worker, key("on_crash", Form::Ladder, "What is tried when it crashes again and again, step by step. While a step is left its supervisor is charged nothing.")),
    (Owner::Worker, key("runtime", Form::Words(|| words(&stall::RUNTIMES)), "Where it runs: work is with others on the work threads, own is on a thread of its own.")),
    (Owner::Worker, key("state", Form::Map(STATE, Optional::No), "Whether its state outlives it, and the kernel. Without it each life begins anew.")),
    (Owner::Supervisor, key("strategy", Form::Words(|| words(&supervisor::STRATEGIES)), "Which children are restarted when one fails: one_for_one is that child, one_for_all are all, rest_for_one is that child and those after it.")),
    (Owner::Supervisor, key("intensity", Form::Integer(0, u32::MAX), "How many restarts it allows within `period`; one more and it gives up.")),
    (Owner::Supervisor, key("period", TIME_ABOVE_ZERO, "The time within which restarts are counted.")),
    (Owner::Supervisor, key("auto_shutdown", Form::Words(|| words(&supervisor::AUTO_SHUTDOWNS)), "Whether it ends when significant children have ended and stay down: any_significant is any of them, all_significant the last one that runs. The root ends the kernel with it, in order.")),
    (Owner::Supervisor, key("children", Form::Children, "Its children in the order of their start; they stop in reverse.")),
    (Owner::Supervisor, key("template", Form::Template, "The child that all of its children are made from.")),
    (Owner::Supervisor, key("max_children", Form::Integer(0, u32::MAX), "How many children its template makes at most. Without it, as many as are spawned.")),
    (Owner::Supervisor, key("partitions", Form::Integer(1, template::PARTITIONS_MAX), "How many children its template makes at the start, called 0, 1 and so on, that share a load by key.")),
];

/// Keys of a child that cannot be the same for all children of a template.
pub(super) const NOT_IN_TEMPLATE: [&str; 3] = ["id", "needs", "essential"];

/// The keys of a tree file.
pub(super) const FILE: &[Key] = &[
    key("version", Form::Version, "The version of the format: 1."),
    key("name", Form::Id, "The name of the node."),
    key(
        "test",
        Form::Bool,
        "Whether this is a test kernel, on which chaos asks no questions.",
    ),
    key(
        "tree",
        Form::Root,
        "The root supervisor. It never gives up.",
    ),
];

/// The keys of a `backoff`.
pub(super) const BACKOFF: &[Key] = &[
    key("min", TIME, "The first pause."),
    key("max", TIME_ABOVE_ZERO, "The longest pause."),
    key(
        "factor",
        Form::Number(1.0, f64::MAX),
        "What a pause is multiplied by for the next; at least 1.",
    ),
    key(
        "jitter",
        Form::Number(0.0, 1.0),
        "The share of a pause that chance may add or take away, from 0 to 1.",
    ),
];

/// The keys of a step of a ladder.
#[rustfmt::skip]
pub(super) const STEP: &[Key] = &[
    key("after", Form::Integer(1, Ladder::CRASHES_MAX), "After how many crashes within `within` it is taken; those before the step above count too."),
    key("within", TIME_ABOVE_ZERO, "The time within which crashes are counted."),
    key("swap", Form::Swap, "What is laid over its settings until it is released, its settings change or the kernel starts anew; or last_good, the last settings that completed their probation."),
    key("quarantine", Form::Bool, "Whether it is kept down until it is released, so that the rest goes on."),
];

/// Keys that every step of a ladder has.
pub(super) const STEP_REQUIRED: [&str; 2] = ["after", "within"];

/// The keys of a `state`.
#[rustfmt::skip]
pub(super) const STATE: &[Key] = &[
    key("keep", Form::Bool, "Whether it is kept."),
    key("every", TIME_ABOVE_ZERO, "Time between two snapshots; what was done since the last one is lost in a crash."),
];

/// The keys of a `place`.
#[rustfmt::skip]
pub(super) const PLACE: &[Key] = &[
    key("node", Form::Id, "The name of the node."),
    key("labels", Form::Marks, "What the node is marked with: one that has all of these fits."),
    key("lease", Form::Lease, "How long it lives there without being renewed, from 1s to 1h; nothing takes its place before."),
    key("failover", Form::Words(|| words(&place::FAILOVERS)), "What is done when that node cannot be reached: wait is until it can, elsewhere starts the child on another node that fits, none is an exit like any other, charged to its supervisor."),
];

/// The keys of a `health`.
pub(super) const HEALTH: &[Key] = &[
    key(
        "every",
        TIME_ABOVE_ZERO,
        "How long it is left alone between two questions.",
    ),
    key(
        "timeout",
        TIME_ABOVE_ZERO,
        "How long an answer may take; at most `every`.",
    ),
    key(
        "fails",
        Form::Integer(1, u32::MAX),
        "After how many questions in a row without an answer it counts as stalled.",
    ),
];

/// The keys of a `mailbox`.
#[rustfmt::skip]
pub(super) const MAILBOX: &[Key] = &[
    key("capacity", Form::Integer(1, u32::MAX), "How many messages each lane holds."),
    key("lanes", Form::Lanes, "Lanes with a capacity of their own."),
    key("overflow", Form::Words(|| words(&worker::OVERFLOWS)), "What happens when a lane is full: block lets the sender wait, reject gives the message back, drop_oldest and drop_newest make a dead letter."),
    key("send_timeout", TIME, "How long a sender waits for room."),
    key("on_restart", Form::Words(|| words(&worker::ON_RESTART)), "What a restart does to messages that wait."),
    key("retry", Form::Integer(0, u32::MAX), "How many times a message in hand at a crash is tried again."),
    key("fairness", Form::Integer(1, u32::MAX), "After how many messages taken above it a waiting lane has its turn."),
    key("ttl", TIME_ABOVE_ZERO, "How long a message may wait; then it becomes a dead letter. Without it, for ever."),
];

/// The owner of a key of a child.
pub(super) fn owner(key: &str) -> Option<Owner> {
    CHILD
        .iter()
        .find(|(_, known)| known.name == key)
        .map(|(owner, _)| *owner)
}

/// The keys of a child of some sort: its own and those of every child, or of the root.
pub(super) fn of(sort: Option<Owner>, root: bool) -> Vec<&'static str> {
    let fits = |owner: Owner| match sort {
        Some(sort) => owner == sort || (owner == Owner::Child && !root),
        None => true,
    };
    CHILD
        .iter()
        .filter(|(owner, _)| fits(*owner))
        .map(|(_, key)| key.name)
        .collect()
}

/// The names of keys.
pub(super) fn names(keys: &'static [Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// The words of a table of words.
fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}

/// The word of a value in a table of words.
pub(super) fn word_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    let found = table.iter().find(|(_, known)| known == value);
    found.map_or("", |(word, _)| word)
}
