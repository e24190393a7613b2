//! Strikes, and when who was struck is well again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, abortable};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;
use unity_supervisors::fault::{BY_CHAOS, LifeFault, RouteCounts, RouteFault, StartFault, Undo};
use unity_supervisors::{ActorPath, Kernel, KernelError, Mode, Placement, SlotState};

use super::Outside;
use crate::chaos::plan::{BadSwap, ClockJump, Fault, Flood};
use crate::chaos::swap::{self, Swapped};
use crate::chaos::target::living_on;
use crate::cluster::Cluster;

/// How many messages of a flood are sent before others have their turn.
const FLOOD_LEN: usize = 64;
/// How long it is until the next.
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// Time between two looks whether a node is there again.
const LOOKS_AT_A_LINK: Duration = Duration::from_millis(10);

/// Something that was struck and is not well yet.
pub(super) struct Open {
    /// Which of the things that were done.
    act: usize,
    name: &'static str,
    path: Option<ActorPath>,
    /// The link to which node it is, and who lived there.
    link: Option<(String, Vec<ActorPath>)>,
    /// Which slot and life it was, where that has to end.
    was: Option<(u64, u64)>,
    incarnation: Option<u64>,
    is_kill: bool,
    /// When it is undone.
    ends: Instant,
    undo: Option<Undo>,
    swapped: Option<Swapped>,
}

/// What lasts: how it is undone, and what is to be done meanwhile.
#[derive(Default)]
struct Lasting {
    undo: Option<Undo>,
    swapped: Option<Swapped>,
    work: Option<Work>,
}

/// Something that a run does besides.
pub type Work = BoxFuture<'static, ()>;

impl From<Undo> for Lasting {
    fn from(undo: Undo) -> Self {
        Self {
            undo: Some(undo),
            ..Self::default()
        }
    }
}

impl Open {
    /// Undoes it; what that takes is to be done.
    pub(super) fn end(&mut self, kernel: &Kernel) -> Option<Work> {
        self.undo = None;
        self.ends = self.ends.min(Instant::now());
        let (swapped, path) = (self.swapped.take()?, self.path.clone()?);
        Some(swapped.put_back(kernel.clone(), path).boxed())
    }

    pub(super) fn act(&self) -> usize {
        self.act
    }

    pub(super) fn path(&self) -> Option<&ActorPath> {
        self.path.as_ref()
    }

    /// The node whose link it is.
    pub(super) fn node(&self) -> Option<&str> {
        self.link.as_ref().map(|(node, _)| node.as_str())
    }

    pub(super) fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }

    pub(super) fn is_kill(&self) -> bool {
        self.is_kill
    }

    pub(super) fn is_of(&self, fault: &Fault) -> bool {
        self.name == fault.name()
    }

    /// When it is to be looked at, whatever happens.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let now = Instant::now();
        match self.link {
            // No fact of the kernel tells of nodes.
            Some(_) if self.ends <= now => Some(now + LOOKS_AT_A_LINK),
            _ => (now < self.ends).then_some(self.ends),
        }
    }

    /// Ends it once its time is over; how long it was until all was well after that, if it is.
    pub(super) fn look(&mut self, kernel: &Kernel) -> Option<Duration> {
        let now = Instant::now();
        if now < self.ends {
            return None;
        }
        if self.link.is_some() {
            // It heals before it is looked at.
            self.undo = None;
        }
        let is_well = match &self.path {
            None if self.link.is_some() => self.is_joined(kernel),
            None => matches!(kernel.mode(), Mode::Normal | Mode::Safe),
            Some(path) => kernel.registry().get(path).is_some_and(|slot| {
                let is_another = self.was != Some((slot.serial(), slot.incarnation()));
                slot.state() == SlotState::Running && is_another && slot.stall().is_none()
            }),
        };
        // Where starts fail as often as they are to, what fails them stays until one works.
        if is_well || self.was.is_none() {
            self.undo = None;
        }
        is_well.then(|| now - self.ends)
    }

    /// Whether the node has answered since the link was healed, and all live somewhere that lived there.
    fn is_joined(&self, kernel: &Kernel) -> bool {
        let Some((node, children)) = &self.link else {
            return true;
        };
        let lives = |path: &ActorPath| {
            kernel.registry().get(path).is_none_or(|slot| {
                let placed = slot.placement();
                let is_somewhere =
                    |placed: Placement| placed.node.is_some() && placed.why.is_none();
                slot.state() == SlotState::Running && placed.is_none_or(is_somewhere)
            })
        };
        let cluster = kernel.shared::<Cluster>();
        cluster.has_answered_since(node, self.ends) && children.iter().all(lives)
    }
}

/// A fault that is about to strike.
pub(super) struct Strike<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) outside: &'a dyn Outside,
    pub(super) meddled: &'a Meddled,
    pub(super) fault: &'a Fault,
    pub(super) seed: u64,
}

impl Strike<'_> {
    /// Strikes.
    pub(super) async fn strike(
        &self,
        path: Option<&ActorPath>,
        act: usize,
    ) -> Result<(Open, Option<Work>), String> {
        let begun = Instant::now();
        let link = fault_link(self.kernel, self.fault);
        let slot = path.and_then(|path| self.kernel.registry().get(path));
        let was = slot.map(|slot| (slot.serial(), slot.incarnation()));
        let Lasting {
            undo,
            swapped,
            work,
        } = match path {
            Some(path) => self.at(path).await?,
            None => self.node().await?,
        };
        let fault = self.fault;
        let exits = fault.exits() > 0 && !matches!(fault, Fault::BadSwap(_));
        let open = Open {
            act,
            name: fault.name(),
            path: path.cloned(),
            link,
            was: was.filter(|_| exits),
            incarnation: was.map(|(_, incarnation)| incarnation),
            is_kill: exits,
            ends: begun + if exits { Duration::ZERO } else { fault.lasts() },
            undo,
            swapped,
        };
        Ok((open, work))
    }

    async fn at(&self, path: &ActorPath) -> Result<Lasting, String> {
        let kernel = self.kernel;
        let life = |fault| kernel.break_life(path, fault).map(|_| Lasting::default());
        let starts = |fault| kernel.break_starts(path, fault).map(Lasting::from);
        let done = match self.fault {
            Fault::Kill => Ok(Lasting::default()),
            Fault::Panic => life(LifeFault::Panic),
            Fault::Error => life(LifeFault::Error),
            Fault::Hang(its) => life(LifeFault::Hang(its.lasts.0)),
            Fault::Busy(its) => life(LifeFault::Busy(its.lasts.0)),
            Fault::SlowStart(its) => starts(StartFault {
                slow: its.by.0,
                fail: 0,
            }),
            Fault::FailStart(its) => starts(StartFault {
                slow: Duration::ZERO,
                fail: its.times,
            }),
            Fault::Flood(its) => self.flood(path, its),
            Fault::Drop(its) => self.route(path, |route| route.drop = its.percent),
            Fault::Double(its) => self.route(path, |route| route.double = its.percent),
            Fault::Delay(its) => self.route(path, |route| route.delay = its.by.0),
            Fault::BadSwap(its) => return bad_swap(kernel, path, its).await,
            _ => return self.outside(Some(path)).await,
        };
        let lasting = done.map_err(|error| error.to_string())?;
        if matches!(
            self.fault,
            Fault::Kill | Fault::SlowStart(_) | Fault::FailStart(_)
        ) {
            let killed = kernel.kill(path, Some(BY_CHAOS.to_owned())).await;
            killed.map_err(|error| error.to_string())?;
        }
        Ok(lasting)
    }

    async fn node(&self) -> Result<Lasting, String> {
        if let (Some(trouble), Some(node)) = (self.fault.trouble(), self.fault.node()) {
            let cluster = self.kernel.shared::<Cluster>();
            let undo = cluster.trouble(&node.to_string(), trouble);
            return undo.map(Lasting::from).map_err(|fault| fault.message);
        }
        match self.fault {
            Fault::ClockJump(ClockJump { by, back, .. }) => {
                let us = i64::try_from(by.0.as_micros()).unwrap_or(i64::MAX);
                Ok(self.kernel.jump_clock(if *back { -us } else { us }).into())
            }
            Fault::Memory(its) => match self.kernel.pretend_memory(its.percent) {
                Some(undo) => Ok(undo.into()),
                None => Err("there is no limit of memory: set `memory.limit`".to_owned()),
            },
            _ => self.outside(None).await,
        }
    }

    async fn outside(&self, path: Option<&ActorPath>) -> Result<Lasting, String> {
        let undo = self.outside.strike(self.fault, path).await?;
        Ok(undo.map(Lasting::from).unwrap_or_default())
    }

    fn route(
        &self,
        path: &ActorPath,
        set: impl FnOnce(&mut RouteFault),
    ) -> Result<Lasting, KernelError> {
        let mut fault = RouteFault {
            seed: self.seed,
            ..RouteFault::default()
        };
        set(&mut fault);
        let (undo, counts) = self.kernel.break_route(path, fault)?;
        self.meddled.routes.lock().push((path.clone(), counts));
        Ok(undo.into())
    }

    /// Floods a mailbox.
    fn flood(&self, path: &ActorPath, its: &Flood) -> Result<Lasting, KernelError> {
        let Some(message) = &its.message else {
            return self.kernel.fill_mailbox(path).map(Lasting::from);
        };
        let taken = Arc::new(AtomicU64::new(0));
        let flood = (path.clone(), Arc::clone(&taken));
        self.meddled.floods.lock().push(flood);
        let (sender, path, message) = (self.kernel.clone(), path.clone(), message.clone());
        let (sends, handle) = abortable(async move {
            loop {
                for _ in 0..FLOOD_LEN {
                    // One that is refused is a part of the flood.
                    let told = sender.tell(&path, message.clone()).await;
                    taken.fetch_add(u64::from(told.is_ok()), Ordering::Relaxed);
                }
                tokio::time::sleep(FLOOD_PAUSE).await;
            }
        });
        Ok(Lasting {
            work: Some(sends.map(|_| ()).boxed()),
            ..Undo::new(move || handle.abort()).into()
        })
    }
}

/// What the faults of a run did to messages, so that who counts messages can tell it apart from what must not be.
#[derive(Debug, Default)]
pub struct Meddled {
    routes: Mutex<Vec<(ActorPath, Arc<RouteCounts>)>>,
    floods: Mutex<Vec<(ActorPath, Arc<AtomicU64>)>>,
}

impl Meddled {
    /// How many messages to `path` were dropped.
    #[must_use]
    pub fn dropped(&self, path: &ActorPath) -> u64 {
        sum(&self.routes, path, RouteCounts::dropped)
    }

    /// How many messages came to `path` beside those that were sent: doubled, or a flood.
    #[must_use]
    pub fn added(&self, path: &ActorPath) -> u64 {
        let floods = sum(&self.floods, path, |taken| taken.load(Ordering::Relaxed));
        floods + sum(&self.routes, path, RouteCounts::doubled)
    }
}

fn sum<T>(
    all: &Mutex<Vec<(ActorPath, Arc<T>)>>,
    path: &ActorPath,
    count: impl Fn(&T) -> u64,
) -> u64 {
    let all = all.lock();
    let its = all.iter().filter(|(its, _)| its == path);
    its.map(|(_, counts)| count(counts)).sum()
}

/// The node whose link a fault strikes, and who lives there.
fn fault_link(kernel: &Kernel, fault: &Fault) -> Option<(String, Vec<ActorPath>)> {
    fault.trouble()?;
    let node = fault.node()?.to_string();
    let children = living_on(kernel, &node);
    Some((node, children))
}

/// Gives it settings that are bad: they are refused, or put back, or else it is given its own again in the end.
async fn bad_swap(kernel: &Kernel, path: &ActorPath, its: &BadSwap) -> Result<Lasting, String> {
    let nobody_takes = json!({ "chaos": null });
    let over = its.set.clone().unwrap_or(nobody_takes);
    Ok(Lasting {
        swapped: swap::lay_over(kernel, path, over).await?,
        ..Lasting::default()
    })
}
