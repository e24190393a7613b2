//! From exits to stories: which exits have one cause, and what went down with it. Pure; [`collect`] reads the exits.
//!
//! An exit belongs to the story of another one if it is the same again, if it is that of the supervisor that gave up
//! because of it, if its supervisor stopped it together with it, or if it ended for the same reason at the same time, as
//! one does that is linked to it. Who came first is the cause. What a person stops in order is no story.

use std::collections::HashSet;
use std::time::Duration;

use unity_supervisors::report::Fact;
use unity_supervisors::slot::{ExitRecord, Response};
use unity_supervisors::spec::Strategy;
use unity_supervisors::{ActorPath, ExitKind, Kernel};

/// How long after the last exit of a story the same one may come again to be a part of it; a pause before a restart is on top.
const AGAIN: Duration = Duration::from_secs(60);
/// How long a supervisor may take until it has stopped what goes down together.
const TOGETHER: Duration = Duration::from_secs(10);
/// How far apart the exits of those may be that are linked.
const LINKED: Duration = Duration::from_secs(1);
/// How many exits that somebody stopped are looked at for the one that caused them.
const ORPHANS_MAX: usize = 1_000;
/// How many of the last stories an exit may belong to.
const OPEN_MAX: usize = 100;
/// How many of the last exits of a story are looked at for that.
const LOOK_BACK: usize = 32;
/// How many exits are made stories of; the last of all that are known.
const EXITS_MAX: usize = 10_000;

/// An exit, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Exit {
    pub(crate) path: ActorPath,
    pub(crate) record: ExitRecord,
}

/// What an exit is in its story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It began it.
    Cause,
    /// The same again.
    Again,
    /// The supervisor that gave up because of it.
    Above,
    /// Stopped together with it.
    Along,
    /// Ended for the same reason at the same time.
    Linked,
}

/// Exits that have one cause, oldest first; the first one that is no [`Part::Along`] is the cause.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) exits: Vec<(Part, Exit)>,
}

impl Story {
    /// The exit that began it.
    pub(crate) fn cause(&self) -> Option<&Exit> {
        let cause = self.exits.iter().find(|(part, _)| *part == Part::Cause);
        cause.map(|(_, exit)| exit)
    }

    /// Its last exit that was not only stopped along.
    pub(crate) fn last(&self) -> Option<&Exit> {
        let mut failed = self
            .exits
            .iter()
            .rev()
            .filter(|(part, _)| *part != Part::Along);
        failed.next().map(|(_, exit)| exit)
    }

    /// Whether it is about `path` or what lies below it.
    pub(crate) fn touches(&self, path: &ActorPath) -> bool {
        self.exits.iter().any(|(_, exit)| path.contains(&exit.path))
    }

    /// Whether `path` itself has a part in it.
    pub(crate) fn has(&self, path: &ActorPath) -> bool {
        self.exits.iter().any(|(_, exit)| exit.path == *path)
    }

    /// What a further exit is in it, if it is a part of it.
    fn part_of(&self, exit: &Exit, goes_together: &impl Fn(&ActorPath) -> bool) -> Option<Part> {
        let failed = self
            .exits
            .iter()
            .rev()
            .filter(|(part, _)| *part != Part::Along);
        let mut failed = failed.map(|(_, before)| before).take(LOOK_BACK);
        failed.find_map(|before| {
            let since = exit
                .record
                .when
                .saturating_duration_since(before.record.when);
            if is_in_order(exit) {
                let is_along = since <= TOGETHER && takes_along(before, &exit.path, goes_together);
                return is_along.then_some(Part::Along);
            }
            let has_ended = matches!(
                before.record.response,
                Response::GaveUp | Response::AutoShutdown
            );
            if has_ended && since <= TOGETHER && before.path.parent().as_ref() == Some(&exit.path) {
                return Some(Part::Above);
            }
            let is_same = before.record.reason == exit.record.reason;
            if before.path == exit.path && (is_same || exit.record.failed_start) {
                return (since <= AGAIN + pause(&before.record)).then_some(Part::Again);
            }
            let says_why = exit.record.reason.text.is_some();
            let is_linked = is_same && says_why && before.path != exit.path && since <= LINKED;
            is_linked.then_some(Part::Linked)
        })
    }
}

/// Whether somebody or some rule stopped it, and it ended as asked.
fn is_in_order(exit: &Exit) -> bool {
    let record = &exit.record;
    record.response == Response::Stopped
        || (record.reason.kind.is_clean()
            && record.reason.kind != ExitKind::GaveUp
            && matches!(
                record.response,
                Response::LeftDown | Response::Deleted | Response::StopFailed
            ))
}

fn pause(record: &ExitRecord) -> Duration {
    match record.response {
        Response::Backoff { pause_ms } => Duration::from_millis(pause_ms),
        _ => Duration::ZERO,
    }
}

/// Whether the exit `failed` has what is at `path` stopped: it is below it, or its supervisor stops them together.
fn takes_along(
    failed: &Exit,
    path: &ActorPath,
    goes_together: &impl Fn(&ActorPath) -> bool,
) -> bool {
    if failed.path == *path {
        return false;
    }
    let Some(parent) = failed.path.parent() else {
        return failed.path.contains(path);
    };
    let has_ended = matches!(
        failed.record.response,
        Response::GaveUp | Response::AutoShutdown
    );
    failed.path.contains(path) || (parent.contains(path) && (has_ended || goes_together(&parent)))
}

/// The stories that `exits` make, which are oldest first; the stories are in the order of their causes.
///
/// `goes_together` says of a supervisor whether it stops other children when one fails.
pub(crate) fn stories(exits: Vec<Exit>, goes_together: impl Fn(&ActorPath) -> bool) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    // Stopped in order, and nothing was known yet that would have stopped them: what is below a supervisor ends before it.
    let mut orphans: Vec<Exit> = Vec::new();
    for exit in exits {
        let found = stories.iter_mut().rev().take(OPEN_MAX).find_map(|story| {
            let part = story.part_of(&exit, &goes_together)?;
            Some((story, part))
        });
        if let Some((story, part)) = found {
            story.exits.push((part, exit));
        } else if is_in_order(&exit) {
            orphans.push(exit);
            if orphans.len() > ORPHANS_MAX {
                orphans.remove(0);
            }
        } else {
            let is_below = |orphan: &Exit| {
                let since = exit
                    .record
                    .when
                    .saturating_duration_since(orphan.record.when);
                since <= TOGETHER && exit.path != orphan.path && exit.path.contains(&orphan.path)
            };
            let below = orphans.extract_if(.., |orphan| is_below(orphan));
            let mut exits: Vec<(Part, Exit)> = below.map(|below| (Part::Along, below)).collect();
            exits.push((Part::Cause, exit));
            stories.push(Story { exits });
        }
    }
    stories
}

/// All exits that a kernel remembers, oldest first.
pub(crate) fn collect(kernel: &Kernel) -> Vec<Exit> {
    let of = |path: &ActorPath, history: Vec<ExitRecord>| {
        let path = path.clone();
        let exits = history.into_iter();
        exits.map(move |record| Exit {
            path: path.clone(),
            record,
        })
    };
    let events = kernel
        .events()
        .into_iter()
        .filter_map(|event| match event.fact {
            Fact::Exited { path, record } => Some(Exit { path, record }),
            _ => None,
        });
    let mut exits: Vec<Exit> = events.collect();
    for path in kernel.registry().paths() {
        if let Some(slot) = kernel.registry().get(&path) {
            exits.extend(of(&path, slot.history()));
        }
    }
    for tombstone in kernel.tombstones() {
        exits.extend(of(&tombstone.path, tombstone.history));
    }
    let mut seen = HashSet::new();
    exits
        .retain(|exit| seen.insert((exit.path.clone(), exit.record.when, exit.record.incarnation)));
    exits.sort_by_key(|exit| exit.record.when);
    exits.split_off(exits.len().saturating_sub(EXITS_MAX))
}

/// The stories of a kernel, the latest first.
pub(crate) fn of_kernel(kernel: &Kernel) -> Vec<Story> {
    let goes_together = |path: &ActorPath| {
        let Some(slot) = kernel.registry().get(path) else {
            return false;
        };
        let spec = slot.spec();
        let strategy = spec.as_supervisor().map(|supervisor| supervisor.strategy);
        let has_needs = || {
            slot.children()
                .iter()
                .any(|child| !child.spec().needs.is_empty())
        };
        strategy.is_some_and(|strategy| strategy != Strategy::OneForOne || has_needs())
    };
    let mut stories = stories(collect(kernel), goes_together);
    stories.sort_by_key(|story| std::cmp::Reverse(story.last().map(|exit| exit.record.when)));
    stories
}

#[cfg(test)]
mod tests;
