//! Children that other nodes have placed here.
//!
//! A guest lives under `/system/guests`, is never restarted here, and lives as long as its lease: counted on the boot clock, from
//! the moment at which this node asked for it. It begins only once the node that placed it has said, again, that it is
//! to: a request that was under way for long starts nothing. Ends are told until they are heard of; the newest state and
//! what a guest publishes go to the node that placed it, which refuses them once the guest's time there is over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use unity_supervisors::bus::{Event, Pattern, Place, Refused, Subscriber, line};
use unity_supervisors::path::GUESTS;
use unity_supervisors::spec::{
    ChildKind, ChildSpec, MailboxSpec, OnStall, Overflow, Restart, RunsOn, Shutdown, StateSpec,
    SupervisorSpec, WorkerSpec,
};
use unity_supervisors::state::StateStore;
use unity_supervisors::{
    ActorPath, ChildId, Down, ExitKind, ExitReason, Kernel, KernelError, Priority, RequestError,
};

use super::codec::{self, Blob, CallV1, FaultV1, FenceV1, MailboxV1, PlaceV1};
use super::fault;
use super::nodes::Cluster;
use super::session::Session;

/// How many there may be.
pub const GUESTS_MAX: usize = 10_000;
/// A lease is renewed so often in its time.
const RENEWALS: u32 = 4;
/// How many events of guests may wait to be sent on.
const EVENTS_MAX: usize = 1_024;
/// How long a node that placed a guest may take to say something.
const SAYS_WITHIN: Duration = Duration::from_secs(5);
/// The shortest and the longest pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(1);
const LOOK: Duration = Duration::from_secs(1);
/// How long one may take to end that has no time of its own.
const UNBOUNDED: Duration = Duration::from_secs(3_600);
/// More restarts within a second than there can be: no guest takes the others along.
const INTENSITY: u32 = 1_000_000;

/// The child of `/system` below which they live.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    let id = ChildId::new("guests").expect("a plain word is an id");
    let spec = SupervisorSpec {
        intensity: INTENSITY,
        period: Duration::from_secs(1),
        ..SupervisorSpec::default()
    };
    ChildSpec::supervisor(id, spec)
}

/// The guests of this node. Found with [`Kernel::shared`].
pub struct Guests {
    state: Mutex<State>,
    /// Counts on when something is to be told, watched, renewed or ended.
    changed: watch::Sender<u64>,
    /// Whether what they publish is heard.
    is_heard: watch::Sender<bool>,
}

impl Default for Guests {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            is_heard: watch::Sender::new(false),
        }
    }
}

#[derive(Default)]
struct State {
    next: u64,
    guests: BTreeMap<(String, FenceV1), Guest>,
    by_path: BTreeMap<ActorPath, (String, FenceV1)>,
    /// Paths whose ends are to be watched from now on.
    unwatched: Vec<ActorPath>,
}

struct Guest {
    path: ActorPath,
    /// Where it is in the tree of the node that placed it.
    of: String,
    lease: Duration,
    /// Until when it may live, on the boot clock.
    until: Duration,
    state: Option<Vec<u8>>,
    /// The state is to be told.
    is_new: bool,
    /// It is being ended, and why.
    ends: Option<ExitReason>,
    exit: Option<ExitReason>,
}

impl std::fmt::Debug for Guests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guests")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Guests {
    fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.lock().guests.len()
    }

    /// Starts a child here. Not to be broken off: whoever awaits it is the service.
    pub(super) fn place(
        self: &Arc<Self>,
        kernel: &Kernel,
        cluster: &Arc<Cluster>,
        from: Arc<Session>,
        place: PlaceV1,
    ) -> impl Future<Output = Result<Blob, FaultV1>> + Send + use<> {
        let (guests, kernel, cluster) = (Arc::clone(self), kernel.clone(), Arc::clone(cluster));
        async move {
            guests.check(&kernel, &cluster, &place)?;
            let home = from.node().to_owned();
            let key = (home.clone(), place.fence);
            let lease = Duration::from_millis(place.lease_ms);
            let path = guests.enter(&key, lease, &place)?;
            let asked = boot_clock(&cluster);
            let granted = ask(&from, vec![place.fence], false).await;
            match granted {
                Ok(granted) if granted.contains(&place.fence) => guests.extend(&key, asked),
                Ok(_) => {
                    guests.remove(&key);
                    return Err(fault::new("failed", "it is not to be started any more"));
                }
                Err(fault) => {
                    guests.remove(&key);
                    return Err(fault);
                }
            }
            guests.note_change();
            guests.end_earlier(&kernel, &key, &place.path).await;
            // Its first word is to be heard as well.
            drop(guests.is_heard.subscribe().wait_for(|heard| *heard).await);
            let spec = spec_of(&path, &place).inspect_err(|_| guests.remove(&key))?;
            if guests.is_ending(&key) {
                guests.remove(&key);
                return Err(fault::new("failed", "it is not to be started any more"));
            }
            match kernel.spawn(&guests_path(), spec).await {
                Ok(_) => {
                    guests.watch(&path);
                    // Who ended it meanwhile found nobody to kill.
                    if guests.is_ending(&key) {
                        kill(&kernel, &path).await;
                    }
                    Ok(Blob(path.as_str().as_bytes().to_vec()))
                }
                Err(error) => {
                    guests.remove(&key);
                    Err(of_start(&error))
                }
            }
        }
    }

    fn check(&self, kernel: &Kernel, cluster: &Cluster, place: &PlaceV1) -> Result<(), FaultV1> {
        if cluster.is_draining() {
            return Err(fault::new("draining", "this node takes no new children"));
        }
        if kernel.kinds().get(&place.kind).is_none() {
            let known: Vec<&str> = kernel.kinds().names().collect();
            return Err(fault::new(
                "no_kind",
                format!(
                    "node `{}` has no kind `{}`: it has {}",
                    kernel.name(),
                    place.kind,
                    known.join(", ")
                ),
            ));
        }
        if self.count() >= GUESTS_MAX {
            return Err(fault::new(
                "failed",
                format!("{GUESTS_MAX} children are placed here already"),
            ));
        }
        Ok(())
    }

    fn enter(
        &self,
        key: &(String, FenceV1),
        lease: Duration,
        place: &PlaceV1,
    ) -> Result<ActorPath, FaultV1> {
        let mut state = self.state.lock();
        if state.guests.contains_key(key) {
            return Err(fault::new("failed", "it is here already"));
        }
        state.next += 1;
        let id = ChildId::new(format!("g{}", state.next));
        let id = id.map_err(|error| fault::new("failed", error.to_string()))?;
        let path = guests_path().child(&id);
        let guest = Guest {
            path: path.clone(),
            of: place.path.clone(),
            lease,
            until: Duration::MAX,
            state: place.state.clone().map(|state| state.0),
            is_new: false,
            ends: None,
            exit: None,
        };
        state.guests.insert(key.clone(), guest);
        state.by_path.insert(path.clone(), key.clone());
        Ok(path)
    }

    fn remove(&self, key: &(String, FenceV1)) {
        let mut state = self.state.lock();
        if let Some(guest) = state.guests.remove(key) {
            state.by_path.remove(&guest.path);
        }
    }

    fn watch(&self, path: &ActorPath) {
        self.state.lock().unwatched.push(path.clone());
        self.note_change();
    }

    /// Those whose ends nobody watches yet.
    pub(super) fn take_unwatched(&self) -> Vec<ActorPath> {
        std::mem::take(&mut self.state.lock().unwatched)
    }

    /// All of them are to be watched anew.
    pub(super) fn watch_all(&self) {
        let mut state = self.state.lock();
        let running = state.guests.values().filter(|guest| guest.exit.is_none());
        state.unwatched = running.map(|guest| guest.path.clone()).collect();
        drop(state);
        self.note_change();
    }

    /// One has ended.
    pub(super) fn ended(&self, kernel: &Kernel, down: &Down) {
        let is_unsure = down.incarnation == 0;
        if is_unsure && kernel.registry().get(&down.path).is_some() {
            // It is only being started: to be watched again.
            return self.watch(&down.path);
        }
        let mut state = self.state.lock();
        let Some(key) = state.by_path.get(&down.path).cloned() else {
            return;
        };
        let Some(guest) = state.guests.get_mut(&key) else {
            return;
        };
        // Where it had ended before anybody watched it, what is left of it says why.
        let left = is_unsure.then(|| last_exit(kernel, &down.path)).flatten();
        let reason = guest.ends.clone().or(left);
        guest
            .exit
            .get_or_insert(reason.unwrap_or_else(|| down.reason.clone()));
        drop(state);
        self.note_change();
    }

    /// Ends one on the word of the node that placed it; done when it has ended.
    pub(super) fn end(
        self: &Arc<Self>,
        kernel: &Kernel,
        from: Arc<Session>,
        fence: FenceV1,
        within_ms: Option<u64>,
    ) -> impl Future<Output = Result<Blob, FaultV1>> + Send + use<> {
        let (guests, kernel) = (Arc::clone(self), kernel.clone());
        async move {
            let key = (from.node().to_owned(), fence);
            let path = guests.begin_end(&key)?;
            if let Some(within) = within_ms {
                let within = Duration::from_millis(within);
                // What it says besides that it is over is of no matter: what is left is killed.
                drop(tokio::time::timeout(within, kernel.stop(&path)).await);
            }
            kill(&kernel, &path).await;
            guests.until_ended(&key).await;
            guests.remove(&key);
            Ok(Blob::default())
        }
    }

    /// Ends the lives of the same child that were placed before: a node that was started anew knows nothing of them.
    async fn end_earlier(&self, kernel: &Kernel, key: &(String, FenceV1), of: &str) {
        let earlier: Vec<((String, FenceV1), ActorPath)> = {
            let mut state = self.state.lock();
            let same = state.guests.iter_mut().filter(|((home, fence), guest)| {
                *home == key.0 && *fence < key.1 && guest.of == of && guest.exit.is_none()
            });
            same.map(|(key, guest)| {
                guest.ends.get_or_insert(ExitReason::shutdown());
                (key.clone(), guest.path.clone())
            })
            .collect()
        };
        for (earlier, path) in earlier {
            kill(kernel, &path).await;
            self.until_ended(&earlier).await;
        }
    }

    async fn until_ended(&self, key: &(String, FenceV1)) {
        let mut changes = self.changes();
        while self.is_living(key) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn begin_end(&self, key: &(String, FenceV1)) -> Result<ActorPath, FaultV1> {
        let mut state = self.state.lock();
        let guest = state.guests.get_mut(key);
        let guest = guest.ok_or_else(|| fault::new("not_found", "it is not here"))?;
        guest.ends.get_or_insert(ExitReason::shutdown());
        Ok(guest.path.clone())
    }

    fn is_ending(&self, key: &(String, FenceV1)) -> bool {
        let state = self.state.lock();
        let guest = state.guests.get(key);
        guest.is_none_or(|guest| guest.ends.is_some())
    }

    fn is_living(&self, key: &(String, FenceV1)) -> bool {
        let state = self.state.lock();
        state
            .guests
            .get(key)
            .is_some_and(|guest| guest.exit.is_none())
    }

    fn extend(&self, key: &(String, FenceV1), asked: Duration) {
        if let Some(guest) = self.state.lock().guests.get_mut(key) {
            guest.until = asked.saturating_add(guest.lease);
        }
    }

    /// The guests of one node, also those that have ended and of which that is not told yet, and how often they are to be
    /// renewed.
    fn of(&self, home: &str) -> (Vec<FenceV1>, Option<Duration>) {
        let state = self.state.lock();
        let of_home = state.guests.iter().filter(|((of, _), _)| of == home);
        let held: Vec<(FenceV1, Duration)> = of_home
            .map(|((_, fence), guest)| (*fence, guest.lease))
            .collect();
        let every = held.iter().map(|(_, lease)| *lease / RENEWALS).min();
        (held.into_iter().map(|(fence, _)| fence).collect(), every)
    }

    /// Those whose time is over by now.
    fn overdue(&self, now: Duration) -> Vec<ActorPath> {
        let mut state = self.state.lock();
        let overdue = state
            .guests
            .values_mut()
            .filter(|guest| guest.exit.is_none() && guest.ends.is_none() && guest.until <= now);
        overdue
            .map(|guest| {
                let why = "its lease was over: the node that placed it did not renew it";
                guest.ends = Some(ExitReason::with_text(ExitKind::NodeDown, why));
                guest.path.clone()
            })
            .collect()
    }

    /// When the next one's time is over.
    fn next_end(&self) -> Option<Duration> {
        let state = self.state.lock();
        let living = state
            .guests
            .values()
            .filter(|guest| guest.exit.is_none() && guest.ends.is_none());
        living.map(|guest| guest.until).min()
    }

    /// What a node is to be told: ends and states.
    fn news(&self, home: &str) -> Vec<CallV1> {
        let mut state = self.state.lock();
        let of_home = state.guests.iter_mut().filter(|((of, _), _)| of == home);
        let mut news = Vec::new();
        for ((_, fence), guest) in of_home {
            if std::mem::take(&mut guest.is_new) {
                news.push(CallV1::Keep {
                    fence: *fence,
                    state: guest.state.clone().map(Blob),
                });
            }
            if let Some(exit) = &guest.exit {
                let reason = serde_json::to_vec(exit).unwrap_or_default();
                news.push(CallV1::Exited {
                    fence: *fence,
                    reason: Blob(reason),
                });
            }
        }
        news
    }

    /// A node has heard of it.
    fn told(&self, home: &str, call: &CallV1) {
        if let CallV1::Exited { fence, .. } = call {
            self.remove(&(home.to_owned(), *fence));
        }
    }

    fn has(&self, home: &str) -> bool {
        self.state.lock().guests.keys().any(|(of, _)| of == home)
    }

    /// The names of the nodes that have guests here.
    fn homes(&self) -> Vec<String> {
        let state = self.state.lock();
        let mut homes: Vec<String> = state.guests.keys().map(|(home, _)| home.clone()).collect();
        homes.dedup();
        homes
    }

    fn key_of(&self, path: &str) -> Option<(String, FenceV1)> {
        let path = path.parse().ok()?;
        self.state.lock().by_path.get(&path).cloned()
    }
}

fn guests_path() -> ActorPath {
    // A path that is written in the source.
    GUESTS.parse().unwrap_or_else(|_| ActorPath::root())
}

fn boot_clock(cluster: &Cluster) -> Duration {
    cluster
        .options()
        .map_or(Duration::ZERO, |options| (options.boot_clock)())
}

/// Asks the node that placed them for more time.
async fn ask(session: &Session, held: Vec<FenceV1>, is_all: bool) -> Result<Vec<FenceV1>, FaultV1> {
    let renew = CallV1::Renew { held, is_all };
    let answer = session.call(renew, SAYS_WITHIN).await?;
    codec::read(&answer.0).map_err(|error| fault::new("failed", error.to_string()))
}

/// Kills what is left of one.
async fn kill(kernel: &Kernel, path: &ActorPath) {
    // It may have ended meanwhile, and is then not there any more.
    drop(
        kernel
            .kill(path, Some("its time on this node is over".to_owned()))
            .await,
    );
}

fn last_exit(kernel: &Kernel, path: &ActorPath) -> Option<ExitReason> {
    let stones = kernel.tombstones();
    let stone = stones.iter().rev().find(|stone| stone.path == *path)?;
    stone.history.last().map(|exit| exit.reason.clone())
}

/// Why a start failed, as the reason of an exit.
fn of_start(error: &KernelError) -> FaultV1 {
    let reason = match error {
        KernelError::Refused {
            error: RequestError::StartFailed(reason) | RequestError::ChildFailed { reason, .. },
            ..
        } => reason.clone(),
        other => ExitReason::error(other.to_string()),
    };
    fault::new("exit", serde_json::to_string(&reason).unwrap_or_default())
}

fn spec_of(path: &ActorPath, place: &PlaceV1) -> Result<ChildSpec, FaultV1> {
    let usage = |what: String| fault::new("usage", what);
    let settings = serde_json::from_slice(&place.settings.0)
        .map_err(|error| usage(format!("the settings are no JSON: {error}")))?;
    let id = path
        .id()
        .ok_or_else(|| usage("a guest has an id".to_owned()))?;
    let mut spec = ChildSpec::worker(id, place.kind.clone());
    spec.labels.clone_from(&place.labels);
    spec.restart = Restart::Temporary;
    spec.start_timeout = place.start_timeout_ms.map(Duration::from_millis);
    spec.shutdown = match place.shutdown_ms {
        0 => Shutdown::BrutalKill,
        ms => Shutdown::Timeout(Duration::from_millis(ms).min(UNBOUNDED)),
    };
    let ChildKind::Worker(worker) = &mut spec.what else {
        return Err(usage("a guest is a worker".to_owned()));
    };
    *worker = WorkerSpec {
        settings,
        mailbox: Arc::new(mailbox_of(&place.mailbox)),
        state: place.state_every_ms.map(|ms| StateSpec {
            every: Duration::from_millis(ms.max(1)),
        }),
        stall_after: Duration::from_millis(place.stall_after_ms.max(1)),
        stall: match place.abandons {
            true => OnStall::Abandon,
            false => OnStall::Report,
        },
        runtime: match place.own_thread {
            true => RunsOn::Own,
            false => RunsOn::Work,
        },
        ..worker.clone()
    };
    Ok(spec)
}

/// The other way round.
pub(super) fn mailbox_to(spec: &MailboxSpec) -> MailboxV1 {
    MailboxV1 {
        lanes: spec.capacities().map(|room| room as u64),
        overflow: match spec.overflow {
            Overflow::Block => 0,
            Overflow::Reject => 1,
            Overflow::DropOldest => 2,
            Overflow::DropNewest => 3,
        },
        send_timeout_ms: super::session::ms(spec.send_timeout),
        retry: spec.retry,
        fairness: spec.fairness,
        ttl_ms: spec.ttl.map(super::session::ms),
    }
}

fn mailbox_of(form: &MailboxV1) -> MailboxSpec {
    let lanes = Priority::ALL.into_iter().zip(form.lanes);
    let lanes =
        lanes.map(|(lane, room)| (lane, usize::try_from(room).unwrap_or(usize::MAX).max(1)));
    MailboxSpec {
        lanes: lanes.collect(),
        overflow: match form.overflow {
            1 => Overflow::Reject,
            2 => Overflow::DropOldest,
            3 => Overflow::DropNewest,
            _ => Overflow::Block,
        },
        send_timeout: Duration::from_millis(form.send_timeout_ms),
        retry: form.retry,
        fairness: form.fairness.max(1),
        ttl: form.ttl_ms.map(Duration::from_millis),
        ..MailboxSpec::default()
    }
}

/// Ends those whose lease is over, for ever.
pub(super) async fn see_to_leases(kernel: Kernel, cluster: Arc<Cluster>, guests: Arc<Guests>) {
    let mut changes = guests.changes();
    loop {
        changes.mark_unchanged();
        for path in guests.overdue(boot_clock(&cluster)) {
            tracing::warn!(%path, "its lease is over: the node that placed it has not renewed it");
            kill(&kernel, &path).await;
        }
        let left = guests
            .next_end()
            .map(|end| end.saturating_sub(boot_clock(&cluster)));
        // A clock that went on while the machine slept is looked at now and then.
        let pause = left.unwrap_or(UNBOUNDED).clamp(TICK, LOOK);
        tokio::select! {
            biased;
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Talks to the nodes that have guests here, to each beside the others, for ever.
pub(super) async fn see_to_homes(cluster: Arc<Cluster>, guests: Arc<Guests>) {
    let mut changes = guests.changes();
    let mut talking = FuturesUnordered::new();
    let mut talked_to = BTreeSet::new();
    loop {
        changes.mark_unchanged();
        for home in guests.homes() {
            if talked_to.insert(home.clone()) {
                talking.push(see_to_home(&cluster, &guests, home));
            }
        }
        tokio::select! {
            biased;
            Some(home) = talking.next() => { talked_to.remove(&home); }
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells one node what there is to tell and asks it for time, as long as it has guests here.
async fn see_to_home(cluster: &Cluster, guests: &Guests, home: String) -> String {
    let (mut nodes, mut changes) = (cluster.changes(), guests.changes());
    let mut asked: Option<(Instant, Duration)> = None;
    while guests.has(&home) {
        nodes.mark_unchanged();
        changes.mark_unchanged();
        let mut pause = LOOK;
        if let Some(session) = cluster.session(&home) {
            tell_news(guests, &session, &home).await;
            let (held, every) = guests.of(&home);
            let now = boot_clock(cluster);
            // A connection that is new has to hear at once of what has outlived the one before.
            let due = match asked {
                Some((since, at)) if since == session.since => every.map(|every| at + every),
                _ => Some(now),
            };
            match due {
                Some(due) if due <= now => {
                    asked = Some((session.since, now));
                    renew(guests, &session, &home, held, now).await;
                    pause = every.unwrap_or(LOOK);
                }
                Some(due) => pause = due.saturating_sub(now),
                None => {}
            }
        }
        tokio::select! {
            biased;
            changed = changes.changed() => if changed.is_err() { break },
            changed = nodes.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(pause.clamp(TICK, LOOK)) => {}
        }
    }
    home
}

async fn tell_news(guests: &Guests, session: &Session, home: &str) {
    for call in guests.news(home) {
        match session.call(call.clone(), SAYS_WITHIN).await {
            Ok(_) => guests.told(home, &call),
            // It has refused the state of a life that is over, or cannot be reached: ends are told again.
            Err(fault) => tracing::debug!(home, %fault, "a node was not told of a guest"),
        }
    }
}

/// Asks for more time, counted from `now` on.
async fn renew(guests: &Guests, session: &Session, home: &str, held: Vec<FenceV1>, now: Duration) {
    let granted = match ask(session, held.clone(), true).await {
        Ok(granted) => granted,
        Err(fault) => {
            tracing::debug!(home, %fault, "leases were not renewed");
            return;
        }
    };
    for fence in held {
        let key = (home.to_owned(), fence);
        if granted.contains(&fence) {
            guests.extend(&key, now);
        } else {
            guests.expire(&key);
        }
    }
}

impl Guests {
    /// The node that placed it does not renew it: it ends now.
    fn expire(&self, key: &(String, FenceV1)) {
        if let Some(guest) = self.state.lock().guests.get_mut(key) {
            guest.until = Duration::ZERO;
        }
        self.note_change();
    }
}

/// The states of all children, of which those of guests are those that came with them.
pub struct GuestStates {
    inner: Arc<dyn StateStore>,
    guests: Arc<Guests>,
}

impl std::fmt::Debug for GuestStates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestStates")
    }
}

impl GuestStates {
    /// States of which those of guests go to the nodes that placed them.
    #[must_use]
    pub fn new(inner: Arc<dyn StateStore>, guests: Arc<Guests>) -> Self {
        Self { inner, guests }
    }
}

impl StateStore for GuestStates {
    fn load(&self, path: &ActorPath) -> io::Result<Option<Vec<u8>>> {
        if !path.is_guest() {
            return self.inner.load(path);
        }
        let state = self.guests.state.lock();
        let guest = state
            .by_path
            .get(path)
            .and_then(|key| state.guests.get(key));
        Ok(guest.and_then(|guest| guest.state.clone()))
    }

    fn save(&self, path: &ActorPath, stored: Option<Vec<u8>>) {
        if !path.is_guest() {
            return self.inner.save(path, stored);
        }
        let mut state = self.guests.state.lock();
        let key = state.by_path.get(path).cloned();
        if let Some(guest) = key.and_then(|key| state.guests.get_mut(&key)) {
            guest.state = stored;
            guest.is_new = true;
        }
        drop(state);
        self.guests.note_change();
    }
}

/// Takes the events that guests publish.
struct Listener {
    guests: Arc<Guests>,
    events: mpsc::Sender<(Arc<Event>, (String, FenceV1))>,
}

impl Subscriber for Listener {
    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        let source: &str = &event.source;
        if !source.starts_with(GUESTS) {
            return Ok(());
        }
        let Some(key) = self.guests.key_of(source) else {
            return Ok(());
        };
        match self.events.try_send((Arc::clone(event), key)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refused::Gone),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refused::Full),
        }
    }

    fn name(&self) -> String {
        "events of guests".to_owned()
    }
}

/// Sends what guests publish to the nodes that placed them, for ever: at most once. A node that is slow or away delays nobody
/// here; what there is no room for is lost to it. It listens only while there are guests, so that nobody else pays.
pub(super) async fn send_events(kernel: Kernel, cluster: Arc<Cluster>, guests: Arc<Guests>) {
    let mut changes = guests.changes();
    loop {
        changes.mark_unchanged();
        if guests.count() > 0 {
            send_while_there_are_some(&kernel, &cluster, &guests).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn send_while_there_are_some(kernel: &Kernel, cluster: &Cluster, guests: &Arc<Guests>) {
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let listener = Listener {
        guests: Arc::clone(guests),
        events: sender,
    };
    let number = kernel.bus().subscribe(&Pattern::all(), Arc::new(listener));
    let _ends = Listening {
        kernel: kernel.clone(),
        guests: Arc::clone(guests),
        number,
    };
    guests.is_heard.send_replace(true);
    let mut changes = guests.changes();
    while guests.count() > 0 {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            changed = changes.changed() => match changed {
                Ok(()) => continue,
                Err(_ends) => return,
            },
        };
        let Some((event, (home, fence))) = event else {
            return;
        };
        let Some(session) = cluster.session(&home) else {
            continue;
        };
        let (line, _) = line::to_line(&event);
        let call = CallV1::Publish {
            line: Blob(line.into_bytes()),
            from: Some(fence),
        };
        if let Err(fault) = session.call(call, SAYS_WITHIN).await {
            tracing::debug!(home, %fault, "an event of a guest was not taken");
        }
    }
}

struct Listening {
    kernel: Kernel,
    guests: Arc<Guests>,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.guests.is_heard.send_replace(false);
        self.kernel.bus().unsubscribe(self.number);
    }
}
