//! The monitors and links of simulated actors, and what must be true of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Violation;
use crate::exit::ExitKind;
use crate::life::Life;

/// A monitor of one life.
#[derive(Debug)]
struct Watch {
    watcher: Arc<Life>,
    /// The life that ran, if one did.
    target: Option<Arc<Life>>,
    downs: u32,
    is_over: bool,
}

/// One side of a link.
#[derive(Debug)]
struct Side {
    life: Arc<Life>,
    peer: Arc<Life>,
    /// Whether it ends with its peer; else it is told.
    follows: bool,
}

#[derive(Debug, Default)]
struct Tables {
    watches: BTreeMap<u64, Watch>,
    sides: Vec<Side>,
    violations: Vec<Violation>,
}

/// All monitors and links that there ever were.
#[derive(Debug, Default)]
pub(super) struct SimBonds(Mutex<Tables>);

impl SimBonds {
    pub(super) fn watch(&self, bond: u64, watcher: &Arc<Life>, target: Option<Arc<Life>>) {
        let watch = Watch {
            watcher: Arc::clone(watcher),
            target,
            downs: 0,
            is_over: false,
        };
        self.0.lock().watches.insert(bond, watch);
    }

    pub(super) fn unwatch(&self, bond: u64) {
        if let Some(watch) = self.0.lock().watches.get_mut(&bond) {
            watch.is_over = true;
        }
    }

    /// `life` links itself to `peer`: its own side is as it says, the other one as it was, if they were linked.
    pub(super) fn link(&self, life: &Arc<Life>, peer: &Arc<Life>, follows: bool) {
        let mut tables = self.0.lock();
        for (life, peer, follows, counts) in
            [(life, peer, follows, true), (peer, life, true, false)]
        {
            let is_it =
                |side: &&mut Side| Arc::ptr_eq(&side.life, life) && Arc::ptr_eq(&side.peer, peer);
            match tables.sides.iter_mut().find(is_it) {
                Some(side) if counts => side.follows = follows,
                Some(_) => {}
                None => tables.sides.push(Side {
                    life: Arc::clone(life),
                    peer: Arc::clone(peer),
                    follows,
                }),
            }
        }
    }

    /// `reader` was told that what it watched by `bond` has ended.
    pub(super) fn down(&self, bond: u64, reader: &Arc<Life>) {
        let mut tables = self.0.lock();
        let Some(watch) = tables.watches.get_mut(&bond) else {
            return;
        };
        watch.downs += 1;
        let has_ended = |target: &Arc<Life>| target.is_revoked();
        let is_right = watch.downs == 1
            && !watch.is_over
            && Arc::ptr_eq(&watch.watcher, reader)
            && watch.target.as_ref().is_none_or(has_ended);
        if !is_right {
            let path = reader.path().clone();
            tables.violations.push(Violation::WrongDown { path, bond });
        }
    }

    /// Looks when nothing has happened for a long time: whoever lives knows of all ends that it is to know of.
    pub(super) fn quiet(&self, violations: &mut Vec<Violation>) {
        let tables = self.0.lock();
        for (bond, watch) in &tables.watches {
            let is_due = watch
                .target
                .as_ref()
                .is_none_or(|target| target.has_ended());
            if is_due && !watch.is_over && watch.downs == 0 && !watch.watcher.has_ended() {
                violations.push(Violation::MissingDown {
                    path: watch.watcher.path().clone(),
                    bond: *bond,
                });
            }
        }
        for side in tables.sides.iter().filter(|side| side.follows) {
            let exit = side.peer.exit().filter(|_| side.peer.has_ended());
            let reaches = exit.is_some_and(|exit| exit.kind != ExitKind::Normal);
            if reaches && !side.life.has_ended() {
                let path = side.life.path().clone();
                violations.push(Violation::Unlinked { path });
            }
        }
    }

    /// What was found on the way.
    pub(super) fn take_violations(&self) -> Vec<Violation> {
        std::mem::take(&mut self.0.lock().violations)
    }
}
