//! What stands in for a child that lives on another node.
//!
//! The stand-in is an actor in the slot of the child: supervised, restarted, suspended and swapped by the rules like any other. It
//! has the child started on a node that fits, sends on what the child is sent, and ends as the child ends. A node that
//! cannot be reached is no fault of the child: with `failover: wait` and `elsewhere` the stand-in goes on, takes no
//! messages meanwhile, and has a next life of the child started; nothing is charged for that. With `none` it is an exit.
//!
//! What was under way to a life that ended is lost with it (at most once); what waits in the mailbox here goes to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedMutexGuard, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use unity_supervisors::message::ReplyPort;
use unity_supervisors::spec::{ChildSpec, Failover, OnStall, Place, PlaceAt, RunsOn, Shutdown};
use unity_supervisors::{
    Actor, ActorPath, Context, Exit, ExitKind, ExitReason, Kernel, Kinds, Message, MessageError,
    Next, NoAnswer, Placement, Reply, Start,
};

use super::codec::{Blob, CallV1, FaultV1, FenceV1, PlaceV1, TargetV1};
use super::grants::Grants;
use super::guests::mailbox_to;
use super::nodes::{Cluster, TIMEOUT};
use super::remote::json_of;
use super::session::{Session, Target, body, ms};

/// How long the answer to a start may take beyond the start itself.
const PLACED_WITHIN: Duration = Duration::from_secs(5);
/// How long an ask of a child may wait for its answer; who asks gives up before that.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3_600);
/// How many asks may be under way to one child.
const ASKS_MAX: usize = 1_024;
/// The pause after a start that the connection broke off.
const AGAIN: Duration = Duration::from_millis(100);

/// The kinds with what stands in for children that live elsewhere.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_placed::<Placed>()
}

/// The settings of a child, handed on as they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AnySettings(Value);

/// Any message in its JSON form. Whether it fits is said by the child.
pub struct AnyMessage {
    json: Value,
    reply: Reply<Value>,
}

impl std::fmt::Debug for AnyMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.json, f)
    }
}

impl Message for AnyMessage {
    const NAMES: &'static [&'static str] = &["any"];

    fn name(&self) -> &'static str {
        "any"
    }

    fn reply(&mut self) -> Option<&mut dyn ReplyPort> {
        Some(&mut self.reply)
    }

    fn schema() -> Option<Value> {
        Some(json!({}))
    }

    fn from_json(json: Value) -> Result<Self, MessageError> {
        Ok(Self {
            json,
            reply: Reply::none(),
        })
    }

    fn to_json(&self) -> Option<Value> {
        Some(self.json.clone())
    }
}

/// The stand-in.
pub struct Placed {
    at: watch::Receiver<Option<At>>,
    held: Held,
    asks: Arc<Semaphore>,
    shutdown: Option<Duration>,
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placed").finish_non_exhaustive()
    }
}

/// Where the child lives, and the way there.
#[derive(Clone)]
struct At {
    session: Arc<Session>,
    target: Arc<Target>,
    fence: FenceV1,
    guest: String,
}

/// The grants of one stand-in: none of them outlives it.
struct Held {
    grants: Arc<Grants>,
    path: ActorPath,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.grants.revoke_all(&self.path, None);
    }
}

impl Actor for Placed {
    type Message = AnyMessage;
    type Settings = AnySettings;
    const HANDS_SETTINGS_ON: bool = true;

    async fn start(settings: &AnySettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let spec = ctx.spec();
        let Some(place) = spec.as_worker().and_then(|worker| worker.place.clone()) else {
            return Err(Exit::error("it is placed nowhere"));
        };
        let kernel = ctx.kernel();
        let cluster = kernel.shared::<Cluster>();
        let grants = Arc::clone(&cluster.grants);
        // What a life before this one has left.
        grants.revoke_all(ctx.path(), None);
        let held = Held {
            grants: Arc::clone(&grants),
            path: ctx.path().clone(),
        };
        let shutdown = match spec.shutdown {
            Shutdown::BrutalKill => None,
            Shutdown::Timeout(time) => Some(time),
            Shutdown::Infinity => Some(ANSWERED_WITHIN),
        };
        let (sender, at) = watch::channel(None);
        let mut keeper = Keeper {
            cluster,
            kernel: kernel.clone(),
            grants,
            path: ctx.path().clone(),
            settings: settings.0.clone(),
            spec,
            place,
            shutdown,
            at: sender,
            turn: Mutex::default(),
            tell: Box::new(ctx.placement_teller()),
        };
        let begun = keeper.begin().await?;
        ctx.spawn(async move { Err(keeper.keep(begun).await) });
        Ok(Start::Running(Self {
            at,
            held,
            asks: Arc::new(Semaphore::new(ASKS_MAX)),
            shutdown,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut AnyMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        if message.reply.is_asked() {
            let Ok(turn) = Arc::clone(&self.asks).acquire_owned().await else {
                return Ok(Next::Continue);
            };
            let at = self.placed().await;
            let (bytes, mut reply) = (body(&message.json), message.reply.take());
            ctx.spawn(async move {
                let answered = at.session.ask(&at.target, bytes, ANSWERED_WITHIN).await;
                match answered.and_then(|answer| json_of(at.session.node(), &answer)) {
                    Ok(answer) => reply.send(answer),
                    Err(fault) => reply.refuse(of_fault(&fault)),
                }
                drop(turn);
                Ok(())
            });
            return Ok(Next::Continue);
        }
        loop {
            let at = self.placed().await;
            let sent = at.session.tell(&at.target, body(&message.json), TIMEOUT);
            match sent.await {
                Ok(()) => return Ok(Next::Continue),
                Err(fault) if fault.code == "too_large" => {
                    tracing::warn!(path = %ctx.path(), %fault, "a message was not sent on");
                    return Ok(Next::Continue);
                }
                // Nothing of it was sent: it waits for room, or for the next life.
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    async fn stop(self, _: &ExitReason, _: &mut Context<Self>) {
        let Held { grants, path } = &self.held;
        grants.revoke_all(path, self.shutdown);
        // For as long as whoever stops this has patience.
        grants.clear(path).await;
    }

    fn observe(&self) -> Value {
        let at = self.at.borrow();
        let Some(at) = &*at else {
            return json!({ "node": null });
        };
        json!({ "node": at.session.node(), "path": at.guest, "fence": [at.fence.epoch, at.fence.number] })
    }
}

impl Placed {
    /// Where the child lives, once it does.
    async fn placed(&mut self) -> At {
        loop {
            if let Some(at) = self.at.borrow_and_update().clone() {
                return at;
            }
            if self.at.changed().await.is_err() {
                // The keeper has ended, and this life with it.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn of_fault(fault: &FaultV1) -> NoAnswer {
    match fault.code.as_str() {
        "timed_out" => NoAnswer::Timeout(ANSWERED_WITHIN),
        _ => NoAnswer::Crashed(ExitReason::error(fault.message.clone())),
    }
}

/// Has the child live somewhere.
struct Keeper {
    kernel: Kernel,
    cluster: Arc<Cluster>,
    grants: Arc<Grants>,
    path: ActorPath,
    settings: Value,
    spec: Arc<ChildSpec>,
    place: Arc<Place>,
    shutdown: Option<Duration>,
    at: watch::Sender<Option<At>>,
    /// What it has while it moves from one node to another.
    turn: Mutex<Option<OwnedMutexGuard<()>>>,
    tell: Box<dyn Fn(Placement) + Send + Sync>,
}

/// A life of the child that runs.
struct Life {
    at: At,
    exit: oneshot::Receiver<ExitReason>,
}

/// What becomes of a life.
enum After {
    /// The child has ended, and so does the stand-in.
    Exit(ExitReason),
    /// The child lives no more, for no fault of its own: another life is to begin.
    Again,
}

/// Why a life did not begin.
enum NotBegun {
    /// The start failed.
    Failed(ExitReason),
    /// The node went away, or takes no children now.
    Later(String),
}

impl Keeper {
    /// Begins a life at once where that can be done, so that a start that fails is a failed start. Where there is no node yet the
    /// stand-in runs and waits: what others need is not held up by a machine that is switched off.
    async fn begin(&mut self) -> Result<Option<Life>, Exit> {
        if !self.grants.is_clear(&self.path) || Instant::now() < self.not_before() {
            return Ok(None);
        }
        let Ok(session) = self.choose(None) else {
            return Ok(None);
        };
        match self.start(session).await {
            Ok(life) => Ok(Some(life)),
            Err(NotBegun::Failed(reason)) => Err(Exit(reason)),
            Err(NotBegun::Later(_)) => Ok(None),
        }
    }

    /// Keeps it alive until it ends; returns why it did.
    async fn keep(&mut self, begun: Option<Life>) -> Exit {
        let mut next = begun;
        loop {
            let life = match next.take() {
                Some(life) => life,
                None => match self.start_somewhere().await {
                    Ok(life) => life,
                    Err(reason) => return Exit(reason),
                },
            };
            self.show(Some(&life.at), None);
            self.end_turn();
            let after = self.watch(life).await;
            self.at.send_replace(None);
            match after {
                After::Exit(reason) => {
                    self.show(None, Some(reason.to_string()));
                    return Exit(reason);
                }
                After::Again => self.grants.revoke_all(&self.path, None),
            }
        }
    }

    fn show(&self, at: Option<&At>, why: Option<String>) {
        let node = at.map(|at| at.session.node().to_owned());
        (self.tell)(Placement { node, why });
    }

    /// Before this nothing is started: a kernel of this name that ran before this one may have granted a lease that nobody here
    /// knows of, on a node that this one would not choose.
    fn not_before(&self) -> Instant {
        let is_pinned = matches!(self.place.at, PlaceAt::Node(_));
        match is_pinned && self.place.failover != Failover::Elsewhere {
            true => self.grants.began,
            false => self.grants.began + self.place.lease,
        }
    }

    async fn start_somewhere(&mut self) -> Result<Life, ExitReason> {
        loop {
            if !self.grants.is_clear(&self.path) {
                self.show(
                    None,
                    Some("its former life has still to end, or its lease".to_owned()),
                );
                self.grants.clear(&self.path).await;
            }
            if Instant::now() < self.not_before() {
                let why = "a lease of an earlier start of this kernel may still run";
                self.show(None, Some(why.to_owned()));
                sleep_until(self.not_before()).await;
            }
            let session = self.find().await;
            match self.start(session).await {
                Ok(life) => return Ok(life),
                Err(NotBegun::Failed(reason)) => return Err(reason),
                Err(NotBegun::Later(why)) => {
                    self.end_turn();
                    self.show(None, Some(why));
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Waits for a node that fits.
    async fn find(&self) -> Arc<Session> {
        let mut changes = self.cluster.changes();
        loop {
            changes.mark_unchanged();
            match self.choose(None) {
                Ok(session) => return session,
                Err(why) => {
                    self.end_turn();
                    self.show(None, Some(why));
                }
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The node that it is to live on: of several that fit the one with the fewest children of this node.
    fn choose(&self, but: Option<&str>) -> Result<Arc<Session>, String> {
        let is_free = |session: &Arc<Session>| !is_draining(session);
        match &self.place.at {
            PlaceAt::Node(name) => {
                let session = self.cluster.session(name.as_str());
                let session = session.ok_or_else(|| format!("waits for node `{name}`"))?;
                match is_free(&session) {
                    true => Ok(session),
                    false => Err(format!("node `{name}` takes no new children")),
                }
            }
            PlaceAt::Labels(labels) => {
                let kind = self.spec.as_worker().map(|worker| worker.kind.as_str());
                let fits = |session: &Arc<Session>| {
                    let (about, its) = (&session.peer.about, session.labels());
                    but != Some(session.node())
                        && is_free(session)
                        && labels
                            .iter()
                            .all(|(key, value)| its.get(key) == Some(value))
                        && kind.is_some_and(|kind| about.kinds.iter().any(|known| known == kind))
                };
                let sessions = self.cluster.sessions().into_iter().filter(fits);
                sessions
                    .min_by_key(|session| self.grants.count(session.node()))
                    .ok_or_else(|| {
                        let labels: Vec<String> = labels
                            .iter()
                            .map(|(key, value)| format!("{key}={value}"))
                            .collect();
                        format!("waits for a node with {}", labels.join(", "))
                    })
            }
        }
    }

    /// Has a life begin on that node.
    async fn start(&self, session: Arc<Session>) -> Result<Life, NotBegun> {
        let lease = self.place.lease;
        let epoch = self.cluster.epoch();
        let (fence, exit) =
            self.grants
                .begin(&self.kernel, epoch, &self.path, (session.node(), lease));
        let place = self.form(fence).map_err(NotBegun::Failed);
        let place = place.inspect_err(|_| self.grants.settle(fence))?;
        let patience = self.spec.start_timeout.unwrap_or(ANSWERED_WITHIN) + PLACED_WITHIN;
        let answered = session.call(CallV1::Place(Box::new(place)), patience).await;
        let node = session.node();
        match answered {
            Ok(guest) => {
                let guest = String::from_utf8_lossy(&guest.0).into_owned();
                let to = TargetV1 {
                    epoch: session.peer.epoch,
                    path: guest.clone(),
                    slot: None,
                    from: None,
                };
                let target = session.target(&to).map_err(|fault| {
                    self.grants.revoke(fence, None);
                    NotBegun::Later(fault.message)
                })?;
                let at = At {
                    session,
                    target,
                    fence,
                    guest,
                };
                self.at.send_replace(Some(at.clone()));
                Ok(Life { at, exit })
            }
            Err(fault) if fault.code == "exit" => {
                self.grants.settle(fence);
                let reason = serde_json::from_str(&fault.message);
                Err(NotBegun::Failed(reason.unwrap_or_else(|_| {
                    ExitReason::error(fault.message.clone())
                })))
            }
            Err(fault) if matches!(fault.code.as_str(), "no_kind" | "usage" | "too_large") => {
                self.grants.settle(fence);
                Err(NotBegun::Failed(ExitReason::error(fault.message)))
            }
            Err(fault) => {
                self.grants.revoke(fence, None);
                let why = format!("node `{node}`: {}", fault.message);
                // A node that is down is the exit that was asked for; anything else may pass.
                match self.place.failover {
                    Failover::None => Err(NotBegun::Failed(ExitReason::with_text(
                        ExitKind::NodeDown,
                        why,
                    ))),
                    _ => Err(NotBegun::Later(why)),
                }
            }
        }
    }

    /// What the node is told of the child.
    fn form(&self, fence: FenceV1) -> Result<PlaceV1, ExitReason> {
        let Some(worker) = self.spec.as_worker() else {
            return Err(ExitReason::error("only workers live on other nodes"));
        };
        let state = worker.state.and_then(|_| {
            let state = self.kernel.states().load(&self.path);
            state.unwrap_or_else(|error| {
                tracing::warn!(path = %self.path, %error, "its state could not be read");
                None
            })
        });
        Ok(PlaceV1 {
            path: self.path.to_string(),
            fence,
            lease_ms: ms(self.place.lease),
            kind: worker.kind.clone(),
            settings: Blob(body(&self.settings)),
            labels: self.spec.labels.clone(),
            state: state.map(Blob),
            state_every_ms: worker.state.map(|state| ms(state.every)),
            start_timeout_ms: self.spec.start_timeout.map(ms),
            shutdown_ms: self.shutdown.map_or(0, ms),
            stall_after_ms: ms(worker.stall_after),
            abandons: worker.stall == OnStall::Abandon,
            own_thread: worker.runtime == RunsOn::Own,
            mailbox: mailbox_to(&worker.mailbox),
        })
    }

    /// Watches over a life until it is over.
    async fn watch(&self, life: Life) -> After {
        let Life { mut at, mut exit } = life;
        let (mut changes, mut gone) = (self.cluster.changes(), self.grants.departures());
        loop {
            changes.mark_unchanged();
            gone.mark_unchanged();
            let is_to_move = self.is_to_move(&at);
            let is_next = is_to_move && self.grants.is_next(at.fence);
            let turn = async {
                match is_next {
                    true => Arc::clone(&self.grants.moving).lock_owned().await,
                    false => std::future::pending().await,
                }
            };
            self.grants
                .note_stays(at.fence, !is_to_move && is_draining(&at.session));
            tokio::select! {
                biased;
                reason = &mut exit => return self.after(reason),
                why = at.session.ended() => {
                    self.at.send_replace(None);
                    match self.without(&at, &mut exit, why).await {
                        Ok(again) => {
                            self.show(Some(&again), None);
                            self.at.send_replace(Some(again.clone()));
                            at = again;
                        }
                        Err(after) => return after,
                    }
                }
                changed = changes.changed() => if changed.is_err() { std::future::pending().await },
                // Those before it have left, or stay.
                changed = gone.changed(), if is_to_move && !is_next => if changed.is_err() { std::future::pending().await },
                // While it waited for that the other node may have gone, or its own be wanted again.
                turn = turn => if self.is_to_move(&at) && self.grants.is_next(at.fence) {
                    return self.move_on(&at, turn).await;
                },
            }
        }
    }

    /// The child has ended.
    fn after(&self, reason: Result<ExitReason, oneshot::error::RecvError>) -> After {
        match reason {
            Ok(reason) if reason.kind != ExitKind::NodeDown => After::Exit(reason),
            Ok(reason) if self.place.failover == Failover::None => After::Exit(reason),
            Ok(reason) => {
                self.show(None, Some(reason.to_string()));
                After::Again
            }
            Err(_revoked) => After::Again,
        }
    }

    /// Its node cannot be reached: waits for it to come back and to say that the child still lives, or for the lease to be over.
    async fn without(
        &self,
        at: &At,
        exit: &mut oneshot::Receiver<ExitReason>,
        why: String,
    ) -> Result<At, After> {
        let node = at.session.node();
        let text = format!("node `{node}` cannot be reached: {why}");
        if self.place.failover == Failover::None {
            self.grants.revoke(at.fence, None);
            return Err(After::Exit(ExitReason::with_text(ExitKind::NodeDown, text)));
        }
        self.show(Some(at), Some(text));
        let (mut nodes, mut changes) = (self.cluster.changes(), self.grants.changes());
        let before = self
            .grants
            .standing(at.fence)
            .map_or(0, |standing| standing.renewals);
        loop {
            nodes.mark_unchanged();
            changes.mark_unchanged();
            let Some(standing) = self.grants.standing(at.fence) else {
                return Err(self.after(exit.await));
            };
            if let Some(session) = self.cluster.session(node) {
                if session.peer.epoch != at.session.peer.epoch {
                    // It was started anew: nothing of before lives there.
                    self.grants.settle(at.fence);
                    return Err(After::Again);
                }
                if standing.renewals > before
                    && let Some(again) = self.again(at, session)
                {
                    return Ok(again);
                }
            }
            let over = match (self.place.failover, standing.until) {
                (Failover::Elsewhere, until) => Some(until.unwrap_or_else(Instant::now)),
                _ => None,
            };
            let over = async {
                match over {
                    Some(over) => sleep_until(over).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                reason = &mut *exit => return Err(self.after(reason)),
                () = over => {
                    self.grants.settle(at.fence);
                    return Err(After::Again);
                }
                changed = nodes.changed() => if changed.is_err() { std::future::pending().await },
                changed = changes.changed() => if changed.is_err() { std::future::pending().await },
            }
        }
    }

    /// The same life over another connection.
    fn again(&self, at: &At, session: Arc<Session>) -> Option<At> {
        let to = TargetV1 {
            epoch: session.peer.epoch,
            path: at.guest.clone(),
            slot: None,
            from: None,
        };
        let target = session.target(&to).ok()?;
        Some(At {
            session,
            target,
            ..at.clone()
        })
    }

    /// Whether its node is to be emptied, and another fits.
    fn is_to_move(&self, at: &At) -> bool {
        is_draining(&at.session) && self.choose(Some(at.session.node())).is_ok()
    }

    /// Ends it in order where it is, so that it begins elsewhere. One child moves at a time, in the order of the tree.
    async fn move_on(&self, at: &At, turn: OwnedMutexGuard<()>) -> After {
        *self.turn.lock() = Some(turn);
        self.at.send_replace(None);
        let why = format!("node `{}` is drained", at.session.node());
        self.show(None, Some(why));
        self.grants.revoke(at.fence, self.shutdown);
        self.grants.clear(&self.path).await;
        After::Again
    }

    /// It has moved, or cannot: the next may.
    fn end_turn(&self) {
        drop(self.turn.lock().take());
    }
}

fn is_draining(session: &Session) -> bool {
    session.is_draining.load(Ordering::Relaxed)
}
