//! Monitors and links: how an actor hears of the end of another that is not its sibling, or ends with it.
//!
//! Semantics are Erlang's, and all of it belongs to the life that made it and ends with it:
//!
//! - A **monitor** is one-way and gives exactly one [`Down`], as a message of the watcher's own type. It is about one
//!   life: a restart of the target in its slot is a `Down`, and the next life has to be monitored anew. Where nothing
//!   runs the `Down` comes at once, with [`not_running`] as its reason (Erlang's `noproc`) and incarnation 0.
//! - After [`Context::demonitor`] no `Down` comes, not even one that waited already (Erlang's `flush`).
//! - A **link** is two-way. When one of the two lives ends with anything but `normal`, the other ends with that reason,
//!   which its supervisor treats as any other exit. `shutdown` does propagate, as in Erlang: who is stopped in order takes
//!   along what it is linked to. A link to what does not run ends the caller. Two lives have one link, whoever makes it.
//! - The side that made its link with [`Context::link_as`] is told instead, of `normal` too; this is for each link what
//!   `trap_exit` is for an Erlang process. ([`Context::trap_exit`] is about stop requests alone.)
//! - A supervisor can be monitored and linked to by its path. It traps exits, as OTP's does: its end ends the other side,
//!   never the other way round.
//!
//! Order: a `Down` waits in the lane of the message that is made of it, behind all that its target had sent to that lane,
//! and before anything that the next life of the target sends there. It needs no room in the lane. Two lives that end
//! at the same time are told of in either order; those who hear of one end, in the order in which they asked.
//!
//! Considered: `Down` as a request to the shell, which would overtake the last words of its target; room reserved in a
//! lane at the call of `monitor`, which could then fail or wait.

use std::sync::{Arc, Weak};

use serde::Serialize;

use crate::actor::Actor;
use crate::address::Address;
use crate::bonds::{Awaited, Side, Tell};
use crate::context::Context;
use crate::exit::{ExitKind, ExitReason};
use crate::kernel::Kernel;
use crate::life::{Life, guarded_call};
use crate::mailbox::Mailbox;
use crate::message::Message;
use crate::path::ActorPath;
use crate::slot::Slot;
use crate::supervisor::job::kill;

/// A life that was monitored or linked to has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Down {
    /// Whose it was.
    pub path: ActorPath,
    /// Which life of its slot; 0 if none ran.
    pub incarnation: u64,
    /// Why it ended.
    pub reason: ExitReason,
}

/// A monitor, to end it with [`Context::demonitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Monitor(pub(crate) u64);

/// A link, to end it with [`Context::unlink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    peer: u64,
    notice: Option<u64>,
}

/// The reason of a [`Down`] where nothing ran: kind `error`, so that it propagates through links.
#[must_use]
pub fn not_running(path: &ActorPath) -> ExitReason {
    ExitReason::error(format!("`{path}` is not running"))
}

/// What can be monitored and linked to: an [`Address`], or the [`ActorPath`] of an actor or supervisor.
pub trait Target {
    /// Where it is.
    fn path(&self) -> &ActorPath;
    #[doc(hidden)]
    fn slot(&self, kernel: &Kernel) -> Option<Arc<Slot>>;
}

impl Target for ActorPath {
    fn path(&self) -> &ActorPath {
        self
    }

    fn slot(&self, kernel: &Kernel) -> Option<Arc<Slot>> {
        kernel.registry().get(self)
    }
}

impl<M: Message> Target for Address<M> {
    fn path(&self) -> &ActorPath {
        self.path()
    }

    /// The slot it leads to, not a later one of the same path.
    fn slot(&self, kernel: &Kernel) -> Option<Arc<Slot>> {
        let slot = kernel.registry().get(self.path())?;
        let mailbox = slot.worker()?.mailbox();
        self.leads_to(&mailbox).then_some(slot)
    }
}

/// A life and its slot, as others remember it.
#[derive(Clone)]
struct Peer {
    slot: Weak<Slot>,
    life: Weak<Life>,
}

impl Peer {
    fn new(slot: &Arc<Slot>, life: &Arc<Life>) -> Self {
        Self {
            slot: Arc::downgrade(slot),
            life: Arc::downgrade(life),
        }
    }

    /// Ends the life, as a kill does.
    fn end(&self, reason: ExitReason) {
        if let Some(slot) = self.slot.upgrade()
            && let Some(life) = self.life.upgrade()
        {
            kill(&slot, &life, reason);
        }
    }

    /// Ends this side of a link when the other one has ended.
    fn follow(self) -> Tell {
        Box::new(move |down| {
            #[cfg(test)]
            if self
                .slot
                .upgrade()
                .is_some_and(|slot| slot.kernel().bug() == Some(crate::bug::Bug::IgnoresLinks))
            {
                return;
            }
            if down.reason.kind != ExitKind::Normal {
                self.end(down.reason);
            }
        })
    }
}

/// A life that runs, and its slot.
fn running(kernel: &Kernel, target: &impl Target) -> Option<(Arc<Slot>, Arc<Life>)> {
    let slot = target.slot(kernel)?;
    let life = slot.life().filter(|life| !life.is_revoked())?;
    Some((slot, life))
}

impl<A: Actor> Context<A> {
    /// From now on this life is told, once, when the life that `target` has now ends; at once if it has none.
    ///
    /// What `make` makes of the [`Down`] comes as a message, whether there is room for it or not.
    pub fn monitor(
        &self,
        target: &impl Target,
        make: impl FnOnce(Down) -> A::Message + Send + 'static,
    ) -> Monitor {
        let number = self.kernel().next_serial();
        let mut tell = Some(self.teller(number, make));
        let found = running(self.kernel(), target);
        let awaited = match &found {
            Some((_, life)) => Awaited::End(Arc::downgrade(life)),
            None => Awaited::Told,
        };
        if !self.life.bonds().await_notice(&self.life, number, awaited) {
            return Monitor(number);
        }
        if let Some((_, life)) = found {
            tell = life.bonds().add_monitor(&life, number, tell);
            if self.life.is_revoked() {
                // It ended meanwhile, and did not find what it had not yet added.
                life.bonds().remove_monitor(number);
            }
        }
        if let Some(tell) = tell {
            tell(not_there(target));
        }
        Monitor(number)
    }

    /// Ends a monitor: no message of it comes after this, not even one that waits already. `false` if there is nothing
    /// to end: the message was taken in hand before.
    pub fn demonitor(&self, monitor: Monitor) -> bool {
        #[cfg(test)]
        if self.kernel().bug() == Some(crate::bug::Bug::KeepsMonitors) {
            return false;
        }
        match self.forget(monitor.0) {
            None => false,
            Some(Awaited::End(target)) => {
                if let Some(target) = target.upgrade() {
                    target.bonds().remove_monitor(monitor.0);
                }
                true
            }
            Some(Awaited::Change(group, _)) => {
                self.kernel().groups().unwatch(&group, monitor.0);
                true
            }
            Some(Awaited::Told | Awaited::Sent) => true,
        }
    }

    /// Links this life with the one that `target` has now: when one of them ends with anything but `normal`, so does the
    /// other, for the same reason. If `target` does not run this life ends, with [`not_running`].
    pub fn link(&self, target: &impl Target) -> Link {
        self.bind(target, None, Peer::new(&self.slot, &self.life).follow())
    }

    /// The same, but this side does not end with the other one: it is told, as by [`monitor`](Self::monitor).
    pub fn link_as(
        &self,
        target: &impl Target,
        make: impl FnOnce(Down) -> A::Message + Send + 'static,
    ) -> Link {
        let notice = self.kernel().next_serial();
        let told = Awaited::Told;
        self.life.bonds().await_notice(&self.life, notice, told);
        self.bind(target, Some(notice), self.teller(notice, make))
    }

    /// Ends a link, on both sides: from here on neither end reaches the other, and no message of it comes, not even one
    /// that waits already. `false` if there is nothing to end.
    pub fn unlink(&self, link: Link) -> bool {
        let side = self.life.bonds().remove_link(link.peer);
        let mut is_linked = side.is_some();
        let mut notices = vec![link.notice];
        if let Some((id, side)) = side {
            if let Some(peer) = side.peer.upgrade() {
                drop(peer.bonds().remove_link(id));
            }
            notices.push(side.notice);
        }
        for notice in notices.into_iter().flatten() {
            is_linked |= self.forget(notice).is_some();
        }
        is_linked
    }

    fn bind(&self, target: &impl Target, notice: Option<u64>, tell: Tell) -> Link {
        let nobody = Link { peer: 0, notice };
        let Some((slot, life)) = running(self.kernel(), target) else {
            tell(not_there(target));
            return nobody;
        };
        if Arc::ptr_eq(&life, &self.life) {
            notice.map(|notice| self.forget(notice));
            return nobody;
        }
        let id = |life: &Life| life.bonds().id(life, self.kernel().next_serial());
        let (Some(mine), Some(peer)) = (id(&self.life), id(&life)) else {
            tell(not_there(target));
            return nobody;
        };
        let side = Side {
            peer: Arc::downgrade(&life),
            tell,
            notice,
        };
        if !self.life.bonds().add_link(&self.life, peer, side) {
            return nobody;
        }
        let theirs = Side {
            peer: Arc::downgrade(&self.life),
            tell: if slot.is_supervisor() {
                Box::new(|_traps_exits| {})
            } else {
                Peer::new(&slot, &life).follow()
            },
            notice: None,
        };
        if !life.bonds().accept_link(&life, mine, theirs)
            && let Some((_, side)) = self.life.bonds().remove_link(peer)
        {
            (side.tell)(not_there(target));
        } else if self.life.is_revoked() {
            // It ended meanwhile, and did not find what it had not yet added.
            drop(life.bonds().remove_link(mine));
        }
        Link { peer, notice }
    }

    /// Forgets a notice, and takes it out of the mailbox if it waits there.
    fn forget(&self, number: u64) -> Option<Awaited> {
        let awaited = self.life.bonds().forget_notice(number)?;
        if matches!(awaited, Awaited::Sent | Awaited::Change(_, true)) {
            self.mailbox.retract(&self.life, |other| other == number);
        }
        Some(awaited)
    }

    /// What puts the notice `number` into the mailbox of this life.
    fn teller(&self, number: u64, make: impl FnOnce(Down) -> A::Message + Send + 'static) -> Tell {
        let notifier = self.notifier(number);
        Box::new(move |down| notifier.notify(|| make(down)))
    }

    pub(crate) fn notifier(&self, number: u64) -> Notifier<A::Message> {
        Notifier {
            reader: Peer::new(&self.slot, &self.life),
            mailbox: Arc::clone(&self.mailbox),
            number,
        }
    }
}

/// The way of one notice into the mailbox of the life that waits for it.
pub(crate) struct Notifier<M> {
    reader: Peer,
    mailbox: Arc<Mailbox<M>>,
    number: u64,
}

impl<M: Message> Notifier<M> {
    /// Has the message made in the name of its reader. A panic there ends that life, like one in its handlers.
    pub(crate) fn notify(&self, make: impl FnOnce() -> M) {
        let Some(life) = self.reader.life.upgrade() else {
            return;
        };
        let made = guarded_call(&life, || {
            let message = make();
            (message.priority(), message)
        });
        match made {
            Ok(made) => self.mailbox.notify(&life, self.number, made),
            Err(panic) => self.reader.end(panic.into()),
        }
    }
}

fn not_there(target: &impl Target) -> Down {
    Down {
        path: target.path().clone(),
        incarnation: 0,
        reason: not_running(target.path()),
    }
}
