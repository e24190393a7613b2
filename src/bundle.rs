//! Crash bundles: all that a kernel knows of itself in one JSON file, to be read where it no longer runs.
//!
//! A bundle is written when a kernel enters safe mode or gives up, by a guard when a process died, and by
//! `uk doctor --bundle`. It is `{"version":1,"bundle":"unity-kernel",…}`; [`of_kernel`] and [`of_death`] say what is
//! in it, and `uk why --bundle FILE` reads it. A guard knows of a death only how it came; its bundles are short.
//!
//! - A bundle is there whole or not at all (a temporary file, then a rename), readable for its owner alone, and a
//!   folder keeps the last [`KEPT`].
//! - Settings are in it without secrets, also what was changed live, and the versions that they had: those of `${secret:NAME}` are nowhere in it, others as `mask` finds them. Messages are not in it, only counts of dead letters.
//! - Of a large tree the `SLOTS_MAX` slots that say most are in it, and of each supervisor the first
//!   `CHILDREN_MAX` children; what was left out is counted.

mod machine;
pub(crate) mod mask;
mod store;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::{ActorPath, Kernel};

pub use machine::{machine, versions};
pub use store::{read, store, stored, write};

use self::mask::Mask;
use crate::arguments::milliseconds;
use crate::commands;
use crate::commands::config::history;
use crate::guard::Death;
use crate::recorder::Recorder;
use crate::settings::service::Room;

/// The version of the form.
pub const VERSION: u64 = 1;
/// What `bundle` says.
const MARK: &str = "unity-kernel";
/// How many bundles a data folder keeps.
pub const KEPT: usize = 8;
/// How many slots are told of.
const SLOTS_MAX: usize = 1_000;
/// How many versions of the settings are told of.
const VERSIONS_MAX: usize = 20;
/// How many children of a supervisor the tree in it has.
const CHILDREN_MAX: usize = 200;

/// Why a bundle is written.
#[derive(Debug, Clone)]
pub struct Cause {
    /// `asked`, `safe_mode`, `gave_up` or `death`.
    pub kind: &'static str,
    /// More about it.
    pub text: String,
}

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    Clock::real().wall()
}

/// Who writes a bundle, why, with what and where.
fn head(by: &str, name: &str, cause: &Cause) -> Map<String, Value> {
    let head = json!({
        "version": VERSION,
        "bundle": MARK,
        "written_at": now(),
        "written_by": by,
        "node": name,
        "cause": { "kind": cause.kind, "text": cause.text },
        "versions": versions(),
        "machine": machine(),
    });
    match head {
        Value::Object(head) => head,
        _ => Map::new(),
    }
}

/// What a guard knows of a death of the kernel `name`.
#[must_use]
pub fn of_death<'a>(name: &str, deaths: impl IntoIterator<Item = &'a Death>) -> Value {
    let deaths: Vec<&Death> = deaths.into_iter().collect();
    let cause = Cause {
        kind: "death",
        text: deaths
            .last()
            .map(|last| last.how.clone())
            .unwrap_or_default(),
    };
    let mut document = head("guard", name, &cause);
    document.insert("deaths".to_owned(), json!(deaths));
    Value::Object(document)
}

/// What a kernel knows of itself. Asks no supervisor and awaits nothing.
#[must_use]
pub fn of_kernel(kernel: &Kernel, cause: &Cause) -> Value {
    let recorder = kernel.shared::<Recorder>();
    let mut mask = Mask::default();
    let mut whys = Map::new();
    let mut settings = Map::new();
    let mut dead = BTreeMap::new();
    let (paths, left_out) = telling(kernel);
    for path in paths {
        let Some(slot) = kernel.registry().get(&path) else {
            continue;
        };
        if let Ok(why) = commands::why::living(kernel, &slot, None) {
            let letters = why.pointer("/mailbox/dead_letters").and_then(Value::as_u64);
            if let Some(letters) = letters.filter(|letters| *letters > 0) {
                dead.insert(path.to_string(), letters);
            }
            whys.insert(path.to_string(), why);
        }
        if let Some(worker) = slot.spec().as_worker() {
            let mut own = worker.settings.clone();
            mask.settings(&mut own);
            settings.insert(path.to_string(), own);
        }
    }
    for tombstone in kernel.tombstones() {
        let path = &tombstone.path;
        if let Ok(why) = commands::why::deleted(kernel, path) {
            whys.entry(path.to_string()).or_insert(why);
        }
    }
    let mut tree = json!(kernel.tree(None));
    commands::tree::note_rollbacks(&mut tree, kernel);
    for part in ["tree", "system"] {
        cut(tree.get_mut(part));
    }
    let mut document = head("kernel", kernel.name(), cause);
    let body = json!({
        "mode": kernel.mode(),
        "safe_reason": kernel.safe_reason(),
        "uptime_ms": milliseconds(kernel.uptime()),
        "boot": recorder.origin(),
        "deaths": recorder.deaths(),
        "tree": tree,
        "why": whys,
        "slots_left_out": left_out,
        "settings": settings,
        "settings_history": settings_history(kernel, &mut mask),
        "masked": mask::HOW,
        "events": kernel.events(),
        "dead_letters": {
            "total": kernel.dead_letters().total(),
            "by_path": dead,
            "kept_by_reason": by_reason(kernel),
        },
    });
    if let Value::Object(body) = body {
        document.extend(body);
    }
    let mut document = Value::Object(document);
    mask.texts(&mut document);
    kernel.secrets().mask_json(&mut document);
    document
}

/// The version of the settings in force, the heads of the last ones, and what was changed live. What the versions changed is
/// left out: no key announces a secret there.
fn settings_history(kernel: &Kernel, mask: &mut Mask) -> Value {
    let room = kernel.shared::<Room>();
    let status = room.status();
    let now = kernel.clock().wall();
    let glance = room.glance(|keeper| {
        let versions = keeper.history().versions().rev().take(VERSIONS_MAX);
        let heads = versions.map(|version| {
            let mut head = history::entry(version, now);
            head.as_object_mut().map(|head| head.remove("changes"));
            head
        });
        (heads.collect::<Vec<_>>(), json!(keeper.overlay()))
    });
    let (versions, mut overlay) = glance.unwrap_or_default();
    mask.settings(&mut overlay);
    json!({
        "number": status.number,
        "troubles": status.troubles,
        "versions": versions,
        "overlay": overlay,
    })
}

/// The paths that say most, those with the latest exits first, and how many there are besides.
fn telling(kernel: &Kernel) -> (Vec<ActorPath>, usize) {
    let mut paths = kernel.registry().paths();
    let last_exit = |path: &ActorPath| {
        let slot = kernel.registry().get(path);
        slot.and_then(|slot| slot.last_exit()).map(|exit| exit.at)
    };
    paths.sort_by_cached_key(|path| Reverse(last_exit(path)));
    let left_out = paths.len().saturating_sub(SLOTS_MAX);
    paths.truncate(SLOTS_MAX);
    (paths, left_out)
}

/// Leaves [`CHILDREN_MAX`] children to each supervisor of a tree, and says so.
fn cut(node: Option<&mut Value>) {
    let Some(node) = node.and_then(Value::as_object_mut) else {
        return;
    };
    let Some(children) = node.get_mut("children").and_then(Value::as_array_mut) else {
        return;
    };
    let left_out = children.len().saturating_sub(CHILDREN_MAX);
    children.truncate(CHILDREN_MAX);
    for child in children {
        cut(Some(child));
    }
    if left_out > 0 {
        node.insert("children_left_out".to_owned(), left_out.into());
    }
}

fn by_reason(kernel: &Kernel) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for letter in kernel.dead_letters().list() {
        *counts.entry(letter.reason.as_str()).or_default() += 1_u64;
    }
    counts
}
