//! What an actor has at hand: itself, its kernel, timers and tasks that die with it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::actor::Actor;
use crate::address::Address;
use crate::exit::{Exit, ExitReason};
use crate::kernel::Kernel;
use crate::life::{Life, Stay, guarded_task};
use crate::mailbox::Mailbox;
use crate::message::Message;
use crate::path::ActorPath;
use crate::settings::{InForce, SettingsHandle};
use crate::slot::{Placement, Slot};
use crate::spec::ChildSpec;

/// What one life of an actor has at hand. What is made through it ends with the life.
pub struct Context<A: Actor> {
    pub(crate) slot: Arc<Slot>,
    pub(crate) life: Arc<Life>,
    pub(crate) mailbox: Arc<Mailbox<A::Message>>,
    pub(crate) settings: Arc<InForce<A::Settings>>,
}

impl<A: Actor> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl<A: Actor> Context<A> {
    /// Where this actor is.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        self.slot.path()
    }

    /// Which life of its slot this is; the first is 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.life.incarnation()
    }

    /// How many times this slot was started before, failed starts included.
    #[must_use]
    pub fn starts_before(&self) -> u64 {
        self.slot.starts().saturating_sub(1)
    }

    /// How many messages this life, and all lives of this slot, had taken in hand before this one.
    #[must_use]
    pub fn handled_before(&self) -> (u64, u64) {
        let life = self.life.handled.load(Ordering::Relaxed).saturating_sub(1);
        let total = self.mailbox.handled().saturating_sub(1);
        (life, total)
    }

    /// What tells this slot from all others of the kernel, earlier ones of the same path included.
    #[must_use]
    pub fn slot_serial(&self) -> u64 {
        self.slot.serial()
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> Arc<ChildSpec> {
        self.slot.spec()
    }

    /// A handle to its settings as they are in force, to be kept and read as often as one likes. What
    /// [`Actor::apply`] has taken is in force once all that changes with it has agreed; until then the handle shows the
    /// settings before.
    #[must_use]
    pub fn settings(&self) -> SettingsHandle<A::Settings> {
        SettingsHandle::new(&self.settings)
    }

    /// Draws from the kernel's chance, which is seeded.
    pub fn with_rng<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        self.kernel().with_rng(draw)
    }

    /// The kernel it lives in.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        self.slot.kernel()
    }

    /// Its own address. Sending to oneself never waits: a full lane answers `Full` at once.
    #[must_use]
    pub fn myself(&self) -> Address<A::Message> {
        Address::new(Arc::clone(&self.mailbox))
    }

    /// The address of the actor at `path`, if there is one that receives `M`.
    #[must_use]
    pub fn lookup<M: Message>(&self, path: &ActorPath) -> Option<Address<M>> {
        self.kernel().address(path)
    }

    /// Which partition this is, if its supervisor's children are partitions.
    #[must_use]
    pub fn partition(&self) -> Option<u32> {
        let above = self.kernel().registry().get(&self.path().parent()?)?;
        above.spec().as_supervisor()?.partitions?;
        self.path().id()?.as_str().parse().ok()
    }

    /// The monotonic time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Says where the child lives that this life stands in for.
    pub fn set_placement(&self, placement: Placement) {
        self.slot.set_placement(placement);
    }

    /// A way to say it from a task.
    pub fn placement_teller(&self) -> impl Fn(Placement) + Send + Sync + 'static {
        let slot = Arc::clone(&self.slot);
        move |placement| slot.set_placement(placement)
    }

    /// Whether a stop request is handled in order (the default): the message in hand is finished, then
    /// [`Actor::stop`] runs. With `false` a stop ends this life at its next await point, as it does an Erlang process
    /// that does not trap exits.
    pub fn trap_exit(&self, traps: bool) {
        self.life.set_traps_exit(traps);
    }

    /// Says that this life will be busy for `time` from now: until then it is not taken for stalled, neither because it
    /// holds its thread nor because it does not answer. A later call replaces this one; zero takes it back.
    pub fn busy_for(&self, time: Duration) {
        self.life.set_busy(self.kernel(), time);
    }

    /// Runs `work` beside the handlers. It is aborted when this life ends; if it returns an error or panics,
    /// this life ends with that reason.
    pub fn spawn(&self, work: impl Future<Output = Result<(), Exit>> + Send + 'static) {
        let stay = Stay::new(&self.slot, &self.life);
        let task = self.kernel().spawn_task(async move {
            let reason = match guarded_task(stay.life(), work).await {
                Ok(Ok(())) => return,
                Ok(Err(Exit(reason))) => reason,
                Err(panic) => ExitReason::from(panic),
            };
            crate::supervisor::job::kill(stay.slot(), stay.life(), reason);
        });
        self.life.adopt(task);
    }

    /// Sends `message` to itself after `delay`, waiting for room as any other sender. If there is none in time, the
    /// log says so.
    pub fn tell_after(&self, delay: Duration, message: A::Message) {
        let myself = self.myself();
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            if let Err(error) = myself.tell(message).await {
                tracing::warn!(path = %myself.path(), %error, "timer message not delivered");
            }
            Ok(())
        });
    }

    /// Sends itself what `make` returns, first after `period`, then each `period`. A beat for which there is no
    /// room is skipped: the next one says the same.
    pub fn tell_every(&self, period: Duration, make: impl Fn() -> A::Message + Send + 'static) {
        let myself = self.myself();
        let path = self.path().clone();
        self.spawn(async move {
            let mut beat = tokio::time::interval_at(Instant::now() + period, period);
            beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                beat.tick().await;
                if let Err(error) = myself.try_tell(make()) {
                    tracing::debug!(%path, %error, "timer beat skipped");
                }
            }
        });
    }
}
