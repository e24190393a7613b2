//! What hangs on a life: who is told of its end, who ends with it, which notices it waits for.
//!
//! Two lives know of each other, each in its own [`Bonds`]. Never are two of them locked at a time, and no lock is held
//! while a message is made or a life is killed. Who takes an entry out of a map is the one who acts on it; that is what
//! makes a `Down` come once. A life that is revoked takes no entry any more, so that what its end has cut stays cut.
//!
//! All maps are ordered by numbers that the kernel gave in order, so that who is told first is no chance.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::bus::Bus;
use crate::exit::ExitReason;
use crate::group::{GroupName, Groups};
use crate::life::Life;
use crate::monitor::Down;
use crate::path::ChildId;

/// Tells somebody of an end. Makes their message, which is code of theirs.
pub(crate) type Tell = Box<dyn FnOnce(Down) + Send>;

/// What hangs on a life; for most lives nothing, so it takes little room.
#[derive(Default)]
pub(crate) struct Bonds(Mutex<Option<Box<Ties>>>);

#[derive(Default)]
struct Ties {
    /// What tells this life from all others in the links of its peers.
    id: u64,
    /// Who is told of its end, by the number of the notice.
    monitors: BTreeMap<u64, Tell>,
    /// This life's side of its links, by the id of the peer.
    links: BTreeMap<u64, Side>,
    /// The notices that it waits for.
    awaited: BTreeMap<u64, Awaited>,
    /// The groups that it is in, and its number there.
    joined: BTreeMap<GroupName, u64>,
    groups: Option<Arc<Groups>>,
    /// The numbers of its subscriptions.
    subscriptions: BTreeSet<u64>,
    bus: Option<Arc<Bus>>,
    /// The names of its durable subscriptions.
    durable: BTreeSet<ChildId>,
}

/// One side of a link.
pub(crate) struct Side {
    pub(crate) peer: Weak<Life>,
    /// What becomes of this side when the peer has ended.
    pub(crate) tell: Tell,
    /// The notice that it waits for, if it wants to be told.
    pub(crate) notice: Option<u64>,
}

/// A notice that a life waits for.
pub(crate) enum Awaited {
    /// Of the end of this life.
    End(Weak<Life>),
    /// Of the end of the peer of a link, or of a life that was not there in the first place.
    Told,
    /// Of each change of a group; whether one of them waits in the mailbox.
    Change(GroupName, bool),
    /// It waits in the mailbox.
    Sent,
}

impl Bonds {
    /// Changes what hangs on `life`, whose bonds these are; `None` if it has ended.
    fn change<T>(&self, life: &Life, change: impl FnOnce(&mut Ties) -> T) -> Option<T> {
        let mut ties = self.0.lock();
        if life.is_revoked() {
            return None;
        }
        Some(change(ties.get_or_insert_default()))
    }

    fn find<T>(&self, find: impl FnOnce(&mut Ties) -> Option<T>) -> Option<T> {
        find(self.0.lock().as_mut()?)
    }

    /// What tells `life` from all others: `new`, unless it has an id.
    pub(crate) fn id(&self, life: &Life, new: u64) -> Option<u64> {
        self.change(life, |ties| {
            if ties.id == 0 {
                ties.id = new;
            }
            ties.id
        })
    }

    /// From now on `life` waits for the notice `number`. `false` if it has ended.
    pub(crate) fn await_notice(&self, life: &Life, number: u64, awaited: Awaited) -> bool {
        let added = self.change(life, |ties| ties.awaited.insert(number, awaited));
        added.is_some()
    }

    /// The notice `number` is no longer waited for; returns what it was.
    pub(crate) fn forget_notice(&self, number: u64) -> Option<Awaited> {
        self.find(|ties| ties.awaited.remove(&number))
    }

    /// Has `push` put the notice `number` into the mailbox, if it is waited for and not there.
    pub(crate) fn send(&self, number: u64, push: impl FnOnce() -> Option<()>) {
        self.find(|ties| {
            let awaited = ties.awaited.get_mut(&number)?;
            match awaited {
                Awaited::Sent | Awaited::Change(_, true) => return None,
                Awaited::End(_) | Awaited::Told => *awaited = Awaited::Sent,
                Awaited::Change(_, is_sent) => *is_sent = true,
            }
            push()
        });
    }

    /// The notice `number` is taken out of the mailbox; whether it is waited for.
    pub(crate) fn take(&self, number: u64) -> bool {
        let found = self.find(|ties| {
            if let Awaited::Change(_, is_sent) = ties.awaited.get_mut(&number)? {
                *is_sent = false;
            } else {
                ties.awaited.remove(&number);
            }
            Some(())
        });
        found.is_some()
    }

    /// From now on `tell` is told of the end of `life`. Gives it back if that has ended.
    pub(crate) fn add_monitor(
        &self,
        life: &Life,
        number: u64,
        mut tell: Option<Tell>,
    ) -> Option<Tell> {
        self.change(life, |ties| {
            ties.monitors.extend(tell.take().map(|tell| (number, tell)))
        });
        tell
    }

    pub(crate) fn remove_monitor(&self, number: u64) {
        // Dropped outside of the lock.
        let tell = self.find(|ties| ties.monitors.remove(&number));
        drop(tell);
    }

    /// Adds the side of `life` to its link with `peer`, or puts it in the place of the one that is there: two lives have
    /// one link. `false` if `life` has ended.
    pub(crate) fn add_link(&self, life: &Life, peer: u64, side: Side) -> bool {
        let before = self.change(life, |ties| {
            let before = ties.links.insert(peer, side);
            if let Some(notice) = before.as_ref().and_then(|before| before.notice) {
                ties.awaited.remove(&notice);
            }
            before
        });
        before.is_some()
    }

    /// Adds the side of `life` to a link that its `peer` makes, unless it has one. `false` if `life` has ended.
    pub(crate) fn accept_link(&self, life: &Life, peer: u64, side: Side) -> bool {
        let mut side = Some(side);
        let accepted = self.change(life, |ties| {
            if let Some(side) = side.take_if(|_| !ties.links.contains_key(&peer)) {
                ties.links.insert(peer, side);
            }
        });
        accepted.is_some()
    }

    /// Takes out this side of the link with `peer`, if there is one; returns it with the id that the peer knows it by.
    pub(crate) fn remove_link(&self, peer: u64) -> Option<(u64, Side)> {
        self.find(|ties| Some((ties.id, ties.links.remove(&peer)?)))
    }

    /// Notes that `life` uses `groups`, which are told of its end. `false` if it has ended.
    pub(crate) fn use_groups(&self, life: &Life, groups: &Arc<Groups>) -> bool {
        let used = self.change(life, |ties| ties.groups = Some(Arc::clone(groups)));
        used.is_some()
    }

    /// Whether it is in the group `name`.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        let found = self.find(|ties| ties.joined.contains_key(name).then_some(()));
        found.is_some()
    }

    /// Notes that `life` is in a group. `false` if it has ended.
    pub(crate) fn join(&self, life: &Life, name: &GroupName, number: u64) -> bool {
        let joined = self.change(life, |ties| ties.joined.insert(name.clone(), number));
        joined.is_some()
    }

    /// Notes that it is in the group `name` no longer; returns the number that it had there.
    pub(crate) fn leave(&self, name: &str) -> Option<u64> {
        self.find(|ties| ties.joined.remove(name))
    }

    /// Notes that `life` has a subscription. `false` if it has ended.
    pub(crate) fn subscribe(&self, life: &Life, bus: &Arc<Bus>, number: u64) -> bool {
        let noted = self.change(life, |ties| {
            ties.bus.get_or_insert_with(|| Arc::clone(bus));
            ties.subscriptions.insert(number)
        });
        noted.is_some()
    }

    /// Notes that it has the subscription no longer.
    pub(crate) fn unsubscribe(&self, number: u64) {
        self.find(|ties| ties.subscriptions.remove(&number).then_some(()));
    }

    /// Notes that `life` has a durable subscription; whether it had none of this name. `None` if it has ended.
    pub(crate) fn subscribe_durable(&self, life: &Life, name: &ChildId) -> Option<bool> {
        self.change(life, |ties| ties.durable.insert(name.clone()))
    }

    /// Cuts all bonds of `life`, which ends with `reason`, and tells whom they bound it to. The second call does nothing.
    pub(crate) fn cut(&self, life: &Life, reason: &ExitReason) {
        let ties = self.0.lock().take();
        let Some(ties) = ties else {
            return;
        };
        let Ties {
            id,
            monitors,
            links,
            awaited,
            joined,
            groups,
            subscriptions,
            bus,
            durable: _,
        } = *ties;
        let down = || Down {
            path: life.path().clone(),
            incarnation: life.incarnation(),
            reason: reason.clone(),
        };
        for number in subscriptions {
            if let Some(bus) = &bus {
                calmly(life, || {
                    bus.unsubscribe(number);
                });
            }
        }
        if let Some(groups) = groups {
            for (number, awaited) in &awaited {
                if let Awaited::Change(name, _) = awaited {
                    calmly(life, || groups.unwatch(name, *number));
                }
            }
            for (name, number) in &joined {
                calmly(life, || groups.leave(name, *number));
            }
        }
        for (number, awaited) in awaited {
            if let Awaited::End(target) = awaited
                && let Some(target) = target.upgrade()
            {
                calmly(life, || target.bonds().remove_monitor(number));
            }
        }
        for tell in monitors.into_values() {
            calmly(life, || tell(down()));
        }
        for side in links.into_values() {
            let peer = side.peer.upgrade();
            calmly(life, || drop(side));
            if let Some((_, side)) = peer.and_then(|peer| peer.bonds().remove_link(id)) {
                calmly(life, || (side.tell)(down()));
            }
        }
    }
}

/// What others wrote (the making of a message, the drop of what it holds) does not keep the rest from being told.
fn calmly(life: &Life, act: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(act)).is_err() {
        tracing::warn!(path = %life.path(), "a panic while the bonds of a life were cut");
    }
}
