//! What goes down and comes up, from the kernel's facts.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use unity_supervisors::report::Fact;
use unity_supervisors::{ActorPath, Kernel};

use super::to_ms;
use crate::chaos::report::Down;

/// How many facts are read at once.
const READ_AT_ONCE: usize = 256;

/// The permanent children that were up at the beginning, and since when those are down that are.
#[derive(Debug)]
pub(super) struct Watched {
    begun: Instant,
    /// Since when each is down; those that are up have none.
    children: BTreeMap<ActorPath, Option<Instant>>,
    count: u64,
    log: Vec<Down>,
    /// Up to when that is added up.
    known: Instant,
    /// Seconds that children were down, all added up.
    down_s: f64,
    last_event: u64,
    is_due: bool,
}

impl Watched {
    pub(super) fn new(kernel: &Kernel, begun: Instant) -> Self {
        let root = kernel.root();
        let children = root.iter().flat_map(|root| root.permanent_below());
        let children = children.map(|slot| (slot.path().clone(), None)).collect();
        Self {
            begun,
            children,
            count: 0,
            log: Vec::new(),
            known: begun,
            down_s: 0.0,
            last_event: kernel.events().last().map_or(0, |event| event.id),
            is_due: true,
        }
    }

    /// Those that are down.
    pub(super) fn down(&self) -> impl Iterator<Item = &ActorPath> {
        let down = self.children.iter().filter(|(_, since)| since.is_some());
        down.map(|(path, _)| path)
    }

    /// The one that has been down longest, and for how long.
    pub(super) fn longest_down(&self) -> Option<(&ActorPath, Duration)> {
        let since = |(path, since): (_, &Option<Instant>)| Some((path, (*since)?.elapsed()));
        let down = self.children.iter().filter_map(since);
        down.max_by_key(|(_, time)| *time)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// Waits until something has happened.
    pub(super) async fn something(&mut self, kernel: &Kernel) {
        let events = kernel.events_after(self.last_event, READ_AT_ONCE).await;
        let is_whole = events
            .first()
            .is_some_and(|event| event.id == self.last_event + 1);
        self.last_event = events.last().map_or(self.last_event, |event| event.id);
        if !is_whole {
            // Some are kept no more.
            self.is_due = true;
            return;
        }
        for event in events {
            match &event.fact {
                Fact::Started { path, .. }
                | Fact::Exited { path, .. }
                | Fact::State { path, .. }
                | Fact::Deleted { path } => self.look_at(kernel, path),
                _ => {}
            }
        }
    }

    /// Looks at all, where that is due.
    pub(super) fn look(&mut self, kernel: &Kernel) {
        if !std::mem::take(&mut self.is_due) {
            return;
        }
        let all: Vec<ActorPath> = self.children.keys().cloned().collect();
        for path in all {
            self.look_at(kernel, &path);
        }
    }

    fn look_at(&mut self, kernel: &Kernel, path: &ActorPath) {
        let now = Instant::now();
        let Some(since) = self.children.get_mut(path) else {
            return;
        };
        let is_up = kernel
            .registry()
            .get(path)
            .is_some_and(|slot| slot.state().is_up());
        let before = self.count;
        match (is_up, *since) {
            (true, Some(_)) => {
                *since = None;
                self.count -= 1;
            }
            (false, None) => {
                *since = Some(now);
                self.count += 1;
            }
            _ => return,
        }
        self.add_up(now, before);
        self.log.push(Down {
            at_ms: to_ms(now - self.begun),
            count: self.count,
        });
    }

    fn add_up(&mut self, now: Instant, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a count of children")]
        let count = count as f64;
        self.down_s += (now - self.known).as_secs_f64() * count;
        self.known = now;
    }

    /// Which part of the time the children were up.
    pub(super) fn availability(&mut self) -> f64 {
        self.add_up(Instant::now(), self.count);
        #[expect(clippy::cast_precision_loss, reason = "a count of children")]
        let all = self.begun.elapsed().as_secs_f64() * self.len() as f64;
        if all > 0.0 {
            1.0 - self.down_s / all
        } else {
            1.0
        }
    }

    /// How many were down, each time that it changed; the last of several at a time counts.
    pub(super) fn log(&self) -> Vec<Down> {
        let mut log = self.log.clone();
        log.reverse();
        log.dedup_by_key(|down| down.at_ms);
        log.reverse();
        log
    }
}
