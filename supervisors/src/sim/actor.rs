//! The actor of the simulation: handles numbered work, and crashes when it is told to.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::states::SimState;
use super::world::{Event, World};
use crate::actor::{Actor, Apply, Next, Start};
use crate::context::Context;
use crate::exit::{Exit, ExitReason};
use crate::life::Life;
use crate::mailbox::SendError;
use crate::message::Message;
use crate::monitor::{Down, Monitor};
use crate::path::ActorPath;
use crate::priority::Priority;
use crate::slot::{Slot, SlotState};
use crate::state::{CodecError, Snapshot};

/// Leads an actor to the world of its kernel.
#[derive(Debug, Default)]
pub(super) struct Link(Option<Arc<World>>);

impl Link {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self(Some(world))
    }
}

/// How a simulated actor behaves.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimSettings {
    /// How many starts in a hundred fail, but for the first.
    pub(super) fails_percent: u8,
    /// How long a start takes.
    pub(super) start_ms: u64,
    /// How long a stop takes.
    pub(super) stop_ms: u64,
    /// Whether a stop is handled in order.
    pub(super) traps: bool,
    /// Which step of its ladder has set this; none has set 0.
    #[serde(default)]
    pub(super) step: u64,
    /// Tells them from others.
    pub(super) version: u64,
    /// What it says to them when it is asked.
    pub(super) apply: SimApply,
}

/// What a simulated actor does with new settings.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(super) enum SimApply {
    Live,
    Restart,
    Reject,
    Hang,
    Panic,
    /// Any of these, by chance.
    Any,
}

impl SimApply {
    /// What is done of it.
    fn drawn(self, rng: &mut fastrand::Rng) -> Self {
        match (self, rng.u8(0..5)) {
            (Self::Any, 0) => Self::Live,
            (Self::Any, 1) => Self::Restart,
            (Self::Any, 2) => Self::Reject,
            (Self::Any, 3) => Self::Hang,
            (Self::Any, _) => Self::Panic,
            (other, _) => other,
        }
    }
}

impl SimSettings {
    /// Others, which may be refused, and need not be good.
    pub(super) fn changed(rng: &mut fastrand::Rng) -> Self {
        let apply = match rng.u8(0..20) {
            0 => SimApply::Reject,
            1 => SimApply::Hang,
            2 => SimApply::Panic,
            3..=8 => SimApply::Restart,
            _ => SimApply::Live,
        };
        Self {
            fails_percent: if rng.u8(0..4) == 0 { 50 } else { 0 },
            start_ms: rng.u64(0..20),
            stop_ms: rng.u64(0..20),
            traps: rng.bool(),
            version: rng.u64(..1 << 50),
            apply,
            step: 0,
        }
    }
}

/// What a simulated actor is told.
#[derive(Debug)]
pub(super) enum SimMessage {
    /// A numbered piece of work.
    Work {
        sender: u64,
        number: u64,
        lane: Priority,
        takes_ms: u64,
    },
    /// Return an error.
    Crash,
    /// Panic.
    Panic,
    /// End in order.
    Finish,
    /// Monitor what is there, by this number.
    Watch(u64, ActorPath),
    /// End the monitor that was made last.
    Unwatch,
    /// Link to what is there, and be told of its end if this says so.
    Link(ActorPath, bool),
    /// What was monitored by this number has ended.
    Down(Option<u64>, Down),
    /// Hold the thread, and then try what a dead life may not do.
    Hold {
        /// For so long.
        for_ms: u64,
    },
    /// Sent by a life that had a successor by then.
    Late,
}

impl Message for SimMessage {
    const NAMES: &'static [&'static str] = &[
        "work", "crash", "panic", "finish", "hold", "late", "watch", "unwatch", "link", "down",
    ];

    fn variant(&self) -> u32 {
        match self {
            Self::Work { .. } => 0,
            Self::Crash => 1,
            Self::Panic => 2,
            Self::Finish => 3,
            Self::Hold { .. } => 4,
            Self::Late => 5,
            Self::Watch(..) => 6,
            Self::Unwatch => 7,
            Self::Link(..) => 8,
            Self::Down(..) => 9,
        }
    }

    fn priority(&self) -> Priority {
        match self {
            Self::Work { lane, .. } => *lane,
            _ => Priority::Normal,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            // So that a dead letter tells its lane.
            Self::Work { lane, .. } => lane.as_str(),
            Self::Crash => "crash",
            Self::Panic => "panic",
            Self::Finish => "finish",
            Self::Watch(..) => "watch",
            Self::Unwatch => "unwatch",
            Self::Link(..) => "link",
            Self::Down(..) => "down",
            Self::Hold { .. } => "hold",
            Self::Late => "late",
        }
    }
}

/// A simulated actor. Its birth and death are written down.
#[derive(Debug)]
pub(super) struct SimActor {
    world: Option<Arc<World>>,
    path: ActorPath,
    incarnation: u64,
    slot: u64,
    stop_ms: u64,
    watches: Vec<(u64, Monitor)>,
    /// How many messages it has taken in hand.
    taken: u64,
    life: Arc<Life>,
    above: Option<Arc<Life>>,
}

impl SimActor {
    /// Holds the thread; says whether the message in hand is still its own after that.
    async fn hold(&self, ctx: &Context<Self>, for_ms: u64) {
        let Some(threads) = ctx.kernel().threads() else {
            return;
        };
        let hold = threads.hold(&self.life);
        tokio::time::sleep(Duration::from_millis(for_ms)).await;
        if !self.life.is_abandoned() {
            self.handled();
        } else if ctx.slot.incarnation() > self.incarnation {
            let sent = ctx.myself().try_tell(SimMessage::Late);
            if !matches!(sent, Err(SendError::Revoked(_))) {
                self.late();
            }
            ctx.tell_after(Duration::ZERO, SimMessage::Late);
            if let Some(kept) = ctx.slot.kept() {
                kept.take(&ctx.slot, &self.life, || self.snapshot());
            }
        }
        // What follows up to the next await is still a part of the poll that was held.
        drop(hold);
    }

    fn state(&self) -> SimState {
        SimState {
            path: self.path.to_string(),
            slot: self.slot,
            incarnation: self.incarnation,
            handled: self.taken,
        }
    }

    /// A dead life had an effect.
    fn late(&self) {
        self.event(Event::Late {
            path: self.path.clone(),
        });
    }

    fn event(&self, event: Event) {
        if let Some(world) = &self.world {
            world.event(event);
        }
    }

    /// Binds itself to others.
    fn bind(&mut self, message: &SimMessage, ctx: &Context<Self>) {
        let Some(world) = &self.world else { return };
        let running = |path: &ActorPath| {
            let life = ctx.kernel().registry().get(path)?.life()?;
            (!life.is_revoked()).then_some(life)
        };
        match message {
            SimMessage::Watch(bond, path) => {
                world.bonds().watch(*bond, &ctx.life, running(path));
                let bond = *bond;
                let made = move |down| SimMessage::Down(Some(bond), down);
                self.watches.push((bond, ctx.monitor(path, made)));
            }
            SimMessage::Unwatch => {
                if let Some((bond, monitor)) = self.watches.pop() {
                    world.bonds().unwatch(bond);
                    ctx.demonitor(monitor);
                }
            }
            SimMessage::Link(path, is_told) => {
                let peer = running(path).filter(|peer| !Arc::ptr_eq(peer, &ctx.life));
                if *is_told {
                    ctx.link_as(path, |down| SimMessage::Down(None, down));
                } else {
                    ctx.link(path);
                }
                if let Some(peer) = peer {
                    world.bonds().link(&ctx.life, &peer, !is_told);
                }
            }
            _ => {}
        }
    }

    fn handled(&self) {
        self.world.iter().for_each(|world| world.handled());
    }
}

/// Finds what the last life kept, and sees whether that is right.
fn find_state(ctx: &Context<SimActor>) {
    let Some(world) = &ctx.kernel().shared::<Link>().0 else {
        return;
    };
    if ctx.keeps_state() {
        let found = ctx.restored::<SimState>();
        let (path, slot) = (ctx.path(), ctx.slot_serial());
        let probation = ctx.spec().probation;
        world.act(&format!("{path} found {found:?}"));
        let is_right = world
            .states()
            .is_right(path, slot, probation, found.as_ref());
        if !is_right && world.is_plain(path) {
            let path = path.clone();
            world.event(Event::WrongState { path });
        }
    }
}

/// Sees whether its ladder has left the settings of this step in force.
fn check_settings(ctx: &Context<SimActor>, step: u64) {
    let Some(world) = &ctx.kernel().shared::<Link>().0 else {
        return;
    };
    let path = ctx.path().clone();
    let is_right = world
        .ladders()
        .is_right(&path, ctx.slot_serial(), &ctx.spec(), step);
    if !is_right && world.is_plain(&path) {
        world.event(Event::WrongLadder { path });
    }
}

/// Writes down with which settings a life begins, and sees whether it may.
fn begin_with(settings: &SimSettings, ctx: &Context<SimActor>) {
    let Some(world) = &ctx.kernel().shared::<Link>().0 else {
        return;
    };
    let path = ctx.path().clone();
    world.act(&format!("{path} begins with {}", settings.version));
    if !world
        .settings()
        .starts(ctx.kernel(), &path, settings.version)
    {
        world.event(Event::NotRolledBack { path });
    }
}

/// The slot of its supervisor.
fn above(ctx: &Context<SimActor>) -> Option<Arc<Slot>> {
    ctx.kernel().registry().get(&ctx.path().parent()?)
}

/// Whether there are more children of its template than there may be.
fn has_too_many_siblings(ctx: &Context<SimActor>) -> bool {
    let Some(above) = above(ctx) else {
        return false;
    };
    let spec = above.spec();
    let template = spec.as_supervisor();
    let template = template.and_then(|spec| spec.template.as_ref());
    let max_children = template.and_then(|template| template.max_children);
    max_children.is_some_and(|most| above.children().len() > most)
}

impl Drop for SimActor {
    fn drop(&mut self) {
        if self.above.as_ref().is_some_and(|above| above.has_ended()) && !self.life.is_abandoned() {
            let path = self.path.clone();
            self.event(Event::Outlived { path });
        }
        self.event(Event::Died {
            path: self.path.clone(),
            incarnation: self.incarnation,
            was_cut_off: self.life.is_abandoned(),
        });
    }
}

impl Actor for SimActor {
    type Message = SimMessage;
    type Settings = SimSettings;
    const STATE: Option<u32> = Some(1);

    async fn start(settings: &SimSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.trap_exit(settings.traps);
        find_state(ctx);
        check_settings(ctx, settings.step);
        begin_with(settings, ctx);
        tokio::time::sleep(Duration::from_millis(settings.start_ms)).await;
        let unlucky = ctx.with_rng(|rng| rng.u8(0..100)) < settings.fails_percent;
        if unlucky && ctx.starts_before() > 0 {
            return Err(Exit::error("no luck"));
        }
        let actor = Self {
            world: ctx.kernel().shared::<Link>().0.clone(),
            path: ctx.path().clone(),
            incarnation: ctx.incarnation(),
            slot: ctx.slot_serial(),
            stop_ms: settings.stop_ms,
            watches: Vec::new(),
            taken: 0,
            life: Arc::clone(&ctx.life),
            above: above(ctx).and_then(|slot| slot.life()),
        };
        if has_too_many_siblings(ctx) {
            let path = actor.path.clone();
            actor.event(Event::TooMany { path });
        }
        let path = actor.path.clone();
        actor.event(Event::Born { path });
        Ok(Start::Running(actor))
    }

    async fn handle(
        &mut self,
        message: &mut SimMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        if ctx.slot.state() == SlotState::Suspended && !self.life.is_revoked() {
            let path = self.path.clone();
            self.event(Event::Suspended { path });
        }
        self.taken += 1;
        match message {
            SimMessage::Work {
                sender,
                number,
                lane,
                takes_ms,
            } => {
                if *takes_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(*takes_ms)).await;
                }
                let (path, slot) = (self.path.clone(), self.slot);
                let (sender, number, lane) = (*sender, *number, *lane as u8);
                self.event(Event::Handled {
                    path,
                    slot,
                    sender,
                    lane,
                    number,
                });
                Ok(Next::Continue)
            }
            SimMessage::Crash => Err(Exit::error("told to crash")),
            #[expect(clippy::panic, reason = "it was asked for")]
            SimMessage::Panic => panic!("told to panic"),
            SimMessage::Finish => {
                self.handled();
                Ok(Next::Stop)
            }
            SimMessage::Down(bond, down) => {
                if let Some(world) = &self.world {
                    world.act(&format!("{} was told of {bond:?} {down:?}", self.path));
                    bond.iter()
                        .for_each(|bond| world.bonds().down(*bond, &ctx.life));
                }
                Ok(Next::Continue)
            }
            SimMessage::Hold { for_ms } => {
                self.hold(ctx, *for_ms).await;
                Ok(Next::Continue)
            }
            SimMessage::Late => {
                self.late();
                Ok(Next::Continue)
            }
            bond => {
                self.bind(bond, ctx);
                self.handled();
                Ok(Next::Continue)
            }
        }
    }

    async fn apply(&mut self, new: &SimSettings, ctx: &mut Context<Self>) -> Apply {
        let apply = match new.apply {
            SimApply::Any => ctx.with_rng(|rng| new.apply.drawn(rng)),
            apply => apply,
        };
        match apply {
            SimApply::Live | SimApply::Any => {}
            SimApply::Restart => return Apply::Restart,
            SimApply::Reject => return Apply::Rejected("no".to_owned()),
            SimApply::Hang => std::future::pending().await,
            #[expect(clippy::panic, reason = "it was asked for")]
            SimApply::Panic => panic!("told to panic"),
        }
        ctx.trap_exit(new.traps);
        self.stop_ms = new.stop_ms;
        if let Some(world) = &self.world {
            world.settings().applied(&self.path, new.version);
        }
        Apply::Applied
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, CodecError> {
        let state = self.state();
        if let Some(world) = &self.world
            && !self.life.is_revoked()
        {
            world.states().taken(&self.path, &state);
        }
        Snapshot::of(&state).map(Some)
    }

    async fn stop(self, _: &ExitReason, ctx: &mut Context<Self>) {
        if let Some(world) = &self.world
            && ctx.keeps_state()
            && !self.life.is_revoked()
            && !world.states().is_newest(&self.path, &self.state())
        {
            let path = self.path.clone();
            world.event(Event::NotKept { path });
        }
        tokio::time::sleep(Duration::from_millis(self.stop_ms)).await;
    }
}
