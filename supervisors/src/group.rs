//! Groups: actors that others find by a name (Erlang's `pg`), in the order in which they joined.
//!
//! A group is there as long as it has members or somebody watches it. A life is in a group once at most, and leaves all
//! its groups when it ends; the next life of its slot joins anew, at the end of the line. Groups are the kernel's, not
//! the process's, and a group may have members of several types: who asks gets those that receive its messages.

use std::any::Any;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::actor::Actor;
use crate::address::Address;
use crate::bonds::Awaited;
use crate::context::Context;
use crate::kernel::Kernel;
use crate::mailbox::{Mailbox, SendError};
use crate::message::Message;
use crate::monitor::Monitor;
use crate::path::ActorPath;

/// The longest name of a group, in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// How many members a group has, at most.
pub const MEMBERS_MAX: usize = 65_536;
/// How many groups a kernel has, at most.
pub const GROUPS_MAX: usize = 65_536;

/// The name of a group: 1 to 64 of `A-Z a-z 0-9 _ - .`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

impl GroupName {
    fn new(text: &str) -> Result<Self, GroupError> {
        let fits = (1..=NAME_LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(GroupError::Name(text.to_owned()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for GroupName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a group was not joined or watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// No group has such a name.
    #[error(
        "`{0}` is not the name of a group: a name is 1 to 64 of the characters A-Z a-z 0-9 _ - ."
    )]
    Name(String),
    /// It has as many members as a group may have.
    #[error("group `{0}` is full: it has {MEMBERS_MAX} members")]
    Full(GroupName),
    /// There are as many groups as there may be.
    #[error("there are {GROUPS_MAX} groups already: `{0}` would be one too many")]
    TooMany(GroupName),
    /// The life that asks has ended.
    #[error("the life that asks has ended")]
    Revoked,
}

/// The members of a group are others than they were. Several changes may be told of as one: read
/// [`Kernel::members`] for what is so now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChanged {
    /// Which group.
    pub group: GroupName,
}

type Watcher = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Group {
    /// The mailboxes of the members, in the order in which they joined.
    members: BTreeMap<u64, Arc<dyn Any + Send + Sync>>,
    watchers: BTreeMap<u64, Watcher>,
}

/// All groups of a kernel.
#[derive(Default)]
pub(crate) struct Groups(Mutex<BTreeMap<GroupName, Group>>);

impl Groups {
    /// Changes a group, which is made if it is not there and dropped once nobody uses it; then its watchers are told if
    /// it has other members. No lock is held meanwhile.
    fn change<T>(
        &self,
        name: &GroupName,
        change: impl FnOnce(&mut Group) -> Result<T, GroupError>,
    ) -> Result<T, GroupError> {
        let (changed, watchers) = {
            let mut groups = self.0.lock();
            if groups.len() >= GROUPS_MAX && !groups.contains_key(name) {
                return Err(GroupError::TooMany(name.clone()));
            }
            let group = groups.entry(name.clone()).or_default();
            let before = group.members.len();
            let changed = change(group);
            let watchers: Vec<Watcher> = if group.members.len() == before {
                Vec::new()
            } else {
                group.watchers.values().cloned().collect()
            };
            if group.members.is_empty() && group.watchers.is_empty() {
                groups.remove(name);
            }
            (changed, watchers)
        };
        watchers.iter().for_each(|tell| tell());
        changed
    }

    fn join(
        &self,
        name: &GroupName,
        number: u64,
        mailbox: Arc<dyn Any + Send + Sync>,
    ) -> Result<(), GroupError> {
        self.change(name, |group| {
            if group.members.len() >= MEMBERS_MAX {
                return Err(GroupError::Full(name.clone()));
            }
            group.members.insert(number, mailbox);
            Ok(())
        })
    }

    pub(crate) fn leave(&self, name: &GroupName, number: u64) {
        // A group that is not there has no members that could leave.
        drop(self.change(name, |group| Ok(group.members.remove(&number))));
    }

    fn watch(&self, name: &GroupName, number: u64, tell: Watcher) -> Result<(), GroupError> {
        self.change(name, |group| {
            group.watchers.insert(number, tell);
            Ok(())
        })
    }

    pub(crate) fn unwatch(&self, name: &GroupName, number: u64) {
        // What it holds is dropped here, outside of the lock.
        drop(self.change(name, |group| Ok(group.watchers.remove(&number))));
    }

    fn members(&self, name: &str) -> Vec<Arc<dyn Any + Send + Sync>> {
        let groups = self.0.lock();
        let group = groups.get(name);
        group.map_or_else(Vec::new, |group| group.members.values().cloned().collect())
    }
}

impl Kernel {
    /// The members of the group `name` that receive `M`, in the order in which they joined.
    #[must_use]
    pub fn members<M: Message>(&self, name: &str) -> Vec<Address<M>> {
        let members = self.groups().members(name).into_iter();
        members
            .filter_map(|member| member.downcast::<Mailbox<M>>().ok())
            .map(Address::new)
            .collect()
    }

    /// Tries to tell each of [`members`](Self::members) what `make` makes, in order, without waiting; returns who did not
    /// take it, and why.
    pub fn tell_members<M: Message>(
        &self,
        name: &str,
        mut make: impl FnMut() -> M,
    ) -> Vec<(ActorPath, SendError<M>)> {
        let mut refused = Vec::new();
        for member in self.members::<M>(name) {
            if let Err(error) = member.try_tell(make()) {
                refused.push((member.path().clone(), error));
            }
        }
        refused
    }
}

impl<A: Actor> Context<A> {
    /// Joins the group `name` until this life ends or leaves it. Joining twice is joining once.
    ///
    /// # Errors
    /// [`GroupError`]: the name does not fit, or the group is full.
    pub fn join(&self, name: &str) -> Result<(), GroupError> {
        let name = GroupName::new(name)?;
        let (bonds, groups) = (self.life.bonds(), self.kernel().groups());
        if bonds.is_in(name.as_str()) {
            return Ok(());
        }
        let number = self.kernel().next_serial();
        groups.join(&name, number, self.mailbox.clone())?;
        if bonds.use_groups(&self.life, groups) && bonds.join(&self.life, &name, number) {
            return Ok(());
        }
        groups.leave(&name, number);
        Err(GroupError::Revoked)
    }

    /// Leaves the group `name`. `false` if it was not in it.
    pub fn leave(&self, name: &str) -> bool {
        let number = self.life.bonds().leave(name);
        if let (Some(number), Ok(name)) = (number, GroupName::new(name)) {
            self.kernel().groups().leave(&name, number);
        }
        number.is_some()
    }

    /// From now on this life is told when an actor joins the group `name`, or leaves it, until
    /// [`demonitor`](Self::demonitor). Of a monitor one message waits at a time: what changes before it is taken in hand
    /// is told of by the same.
    ///
    /// # Errors
    /// [`GroupError`]: the name does not fit, or there are too many groups.
    pub fn monitor_group(
        &self,
        name: &str,
        make: impl Fn(GroupChanged) -> A::Message + Send + Sync + 'static,
    ) -> Result<Monitor, GroupError> {
        let name = GroupName::new(name)?;
        let (bonds, groups) = (self.life.bonds(), self.kernel().groups());
        let number = self.kernel().next_serial();
        let notifier = self.notifier(number);
        let changed = GroupChanged {
            group: name.clone(),
        };
        let tell = move || notifier.notify(|| make(changed.clone()));
        groups.watch(&name, number, Arc::new(tell))?;
        let awaited = Awaited::Change(name.clone(), false);
        if bonds.use_groups(&self.life, groups) && bonds.await_notice(&self.life, number, awaited) {
            return Ok(Monitor(number));
        }
        groups.unwatch(&name, number);
        Err(GroupError::Revoked)
    }
}
