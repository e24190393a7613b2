//! Which children of this node live elsewhere, and until when they may: what the placing node knows.
//!
//! A grant is one life of a child on one node, told apart by its fence. It is counted from when the holder asked for it, and
//! renewed by asking again; this node counts from when it answered, which is later. So once it is over here it has been over
//! there, as long as two clocks do not drift apart by more than a twentieth. A grant that was revoked is not renewed, and what
//! comes in its name is refused from that moment on; a next one of the same child begins once the holder has said that the
//! life has ended, or its time is over. It outlives the life that placed the child, and its supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use unity_supervisors::bus::line;
use unity_supervisors::{ActorPath, ExitKind, ExitReason, Kernel};

use super::codec::{self, Blob, CallV1, FaultV1, FenceV1};
use super::fault;
use super::nodes::Cluster;
use super::session::Session;

/// How long the end of a life elsewhere may take to be told, beyond what it may take itself.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Clocks may drift apart by one part in so many.
const DRIFT: u32 = 20;
/// The most that is added for that.
const DRIFT_MAX: Duration = Duration::from_millis(500);

/// The lives that this node has granted.
pub(super) struct Grants {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    /// Counts on when one is gone, or says that it stays.
    gone: watch::Sender<u64>,
    /// When this kernel began: what an earlier one of its name has granted is over a lease later.
    pub(super) began: Instant,
    /// Children are moved one at a time; whoever moves has this until it lives elsewhere.
    pub(super) moving: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    next: u64,
    grants: BTreeMap<FenceV1, Grant>,
}

struct Grant {
    path: ActorPath,
    /// Where it is in the order of the tree.
    order: Vec<usize>,
    node: String,
    lease: Duration,
    /// Until when it may live, as counted here; `None` as long as it has not been asked for.
    until: Option<Instant>,
    renewals: u64,
    /// It is to end: how long that may take.
    ends: Option<Option<Duration>>,
    /// Its node is to be emptied, and it has nowhere to go.
    stays: bool,
    /// Somebody sees to that already.
    is_seen_to: bool,
    exit: Option<oneshot::Sender<ExitReason>>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            gone: watch::Sender::new(0),
            began: Instant::now(),
            moving: Arc::default(),
        }
    }
}

/// How a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Until when it may live; `None` as long as it has not been asked for.
    pub(super) until: Option<Instant>,
    /// How often it was renewed.
    pub(super) renewals: u64,
}

impl Grants {
    fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn note_gone(&self) {
        self.gone.send_modify(|count| *count += 1);
        self.note_change();
    }

    /// Changes that may make another the [next](Self::is_next).
    pub(super) fn departures(&self) -> watch::Receiver<u64> {
        self.gone.subscribe()
    }

    /// A new life of the child at `path`, on `node`. What is returned hears of its end.
    pub(super) fn begin(
        &self,
        kernel: &Kernel,
        epoch: u64,
        path: &ActorPath,
        (node, lease): (&str, Duration),
    ) -> (FenceV1, oneshot::Receiver<ExitReason>) {
        let (sender, exit) = oneshot::channel();
        let order = order(kernel, path);
        let mut state = self.state.lock();
        state.next += 1;
        let fence = FenceV1 {
            epoch,
            number: state.next,
        };
        let grant = Grant {
            path: path.clone(),
            order,
            node: node.to_owned(),
            lease,
            until: None,
            renewals: 0,
            ends: None,
            stays: false,
            is_seen_to: false,
            exit: Some(sender),
        };
        state.grants.insert(fence, grant);
        (fence, exit)
    }

    /// From now on what comes in its name is refused, and it is to end within that time; `None` kills it.
    pub(super) fn revoke(&self, fence: FenceV1, within: Option<Duration>) {
        if let Some(grant) = self.state.lock().grants.get_mut(&fence) {
            grant.ends.get_or_insert(within);
        }
        self.note_change();
    }

    /// The same for all of the child at `path`.
    pub(super) fn revoke_all(&self, path: &ActorPath, within: Option<Duration>) {
        for grant in self.state.lock().grants.values_mut() {
            if grant.path == *path {
                grant.ends.get_or_insert(within);
            }
        }
        self.note_change();
    }

    /// It has ended.
    pub(super) fn settle(&self, fence: FenceV1) {
        self.state.lock().grants.remove(&fence);
        self.note_gone();
    }

    /// How it is, if it is still in force.
    pub(super) fn standing(&self, fence: FenceV1) -> Option<Standing> {
        let state = self.state.lock();
        let grant = state
            .grants
            .get(&fence)
            .filter(|grant| grant.ends.is_none())?;
        Some(Standing {
            until: grant.until,
            renewals: grant.renewals,
        })
    }

    /// Whether what comes from `node` in its name counts.
    pub(super) fn is_current(&self, node: &str, fence: FenceV1) -> bool {
        self.path_of(node, fence).is_some()
    }

    fn path_of(&self, node: &str, fence: FenceV1) -> Option<ActorPath> {
        let state = self.state.lock();
        let grant = state.grants.get(&fence)?;
        (grant.ends.is_none() && grant.node == node).then(|| grant.path.clone())
    }

    /// Whether nothing of the child at `path` lives elsewhere any more.
    pub(super) fn is_clear(&self, path: &ActorPath) -> bool {
        let state = self.state.lock();
        !state.grants.values().any(|grant| grant.path == *path)
    }

    /// Done once nothing of the child at `path` lives elsewhere any more.
    pub(super) async fn clear(&self, path: &ActorPath) {
        let mut changes = self.changes();
        while !self.is_clear(path) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Says whether it stays on a node that is to be emptied: then those behind it do not wait for it.
    pub(super) fn note_stays(&self, fence: FenceV1, stays: bool) {
        let mut state = self.state.lock();
        let grant = state.grants.get_mut(&fence);
        let is_new = grant.is_some_and(|grant| std::mem::replace(&mut grant.stays, stays) != stays);
        drop(state);
        if is_new {
            self.note_gone();
        }
    }

    /// Whether it is the next to leave its node: all that come before it in the tree have left, or stay.
    pub(super) fn is_next(&self, fence: FenceV1) -> bool {
        let state = self.state.lock();
        let Some(own) = state.grants.get(&fence) else {
            return true;
        };
        let mut others = state.grants.values();
        !others.any(|grant| grant.node == own.node && !grant.stays && grant.order < own.order)
    }

    /// How many lives a node has.
    pub(super) fn count(&self, node: &str) -> usize {
        let state = self.state.lock();
        state
            .grants
            .values()
            .filter(|grant| grant.node == node)
            .count()
    }

    /// A node asks for more time for what it holds. If that is all, what it does not name has ended.
    pub(super) fn renew(
        &self,
        node: &str,
        held: &[FenceV1],
        is_all: bool,
    ) -> Result<Blob, FaultV1> {
        let now = Instant::now();
        let mut ended = Vec::new();
        let granted: Vec<FenceV1> = {
            let mut state = self.state.lock();
            for (fence, grant) in &mut state.grants {
                if grant.node != node {
                    continue;
                }
                if !held.contains(fence) {
                    if is_all && grant.until.is_some() {
                        ended.push(*fence);
                    }
                } else if grant.ends.is_none() {
                    grant.until = Some(now + grant.lease + slack(grant.lease));
                    grant.renewals += 1;
                }
            }
            let in_force = |fence: &&FenceV1| {
                let grant = state.grants.get(*fence);
                grant.is_some_and(|grant| grant.node == node && grant.ends.is_none())
            };
            held.iter().filter(in_force).copied().collect()
        };
        for fence in ended {
            let why = format!("its time on node `{node}` was over before it could be renewed");
            self.note_exit(fence, ExitReason::with_text(ExitKind::NodeDown, why));
        }
        self.note_change();
        codec::pack(&granted).map_err(|error| fault::new("failed", error.to_string()))
    }

    /// A node tells of an end.
    pub(super) fn exited(
        &self,
        node: &str,
        fence: FenceV1,
        reason: &Blob,
    ) -> Result<Blob, FaultV1> {
        let reason: ExitReason = serde_json::from_slice(&reason.0)
            .map_err(|error| fault::new("usage", format!("that is no exit reason: {error}")))?;
        let is_its = self
            .state
            .lock()
            .grants
            .get(&fence)
            .is_some_and(|grant| grant.node == node);
        if is_its {
            self.note_exit(fence, reason);
        }
        Ok(Blob::default())
    }

    fn note_exit(&self, fence: FenceV1, reason: ExitReason) {
        let grant = self.state.lock().grants.remove(&fence);
        if let Some(exit) = grant.and_then(|grant| grant.exit) {
            // Who placed it may be gone.
            drop(exit.send(reason));
        }
        self.note_gone();
    }

    /// Keeps the state of a placed child as that of the child here.
    pub(super) fn keep(
        &self,
        kernel: &Kernel,
        node: &str,
        fence: FenceV1,
        state: Option<Blob>,
    ) -> Result<Blob, FaultV1> {
        let path = self.path_of(node, fence).ok_or_else(over)?;
        kernel.states().save(&path, state.map(|state| state.0));
        Ok(Blob::default())
    }

    /// Publishes here, under the name of the child, what it has published there.
    pub(super) fn publish(
        &self,
        kernel: &Kernel,
        from: &Session,
        fence: FenceV1,
        event: &Blob,
    ) -> Result<BoxFuture<'static, Result<Blob, FaultV1>>, FaultV1> {
        let path = self.path_of(from.node(), fence).ok_or_else(over)?;
        let usage = |what: String| fault::new("usage", what);
        let text = std::str::from_utf8(&event.0).map_err(|error| usage(error.to_string()))?;
        let mut draft = line::from_line(text).map_err(|error| usage(error.to_string()))?;
        let bus = Arc::clone(kernel.bus());
        Ok(async move {
            // What it is called on the other node is of no meaning here.
            let source: Arc<str> = path.as_str().into();
            draft.source = Some(Arc::clone(&source));
            let published = bus.publish(&source, draft).await;
            let id = published.map_err(|error| fault::new("failed", error.to_string()))?;
            Ok(Blob(id.to_string().into_bytes()))
        }
        .boxed())
    }

    /// One that is to end and that nobody sees to, if there is one.
    fn next_to_end(&self) -> Option<(FenceV1, String, Option<Duration>)> {
        let mut state = self.state.lock();
        let (fence, grant) = state
            .grants
            .iter_mut()
            .find(|(_, grant)| grant.ends.is_some() && !grant.is_seen_to)?;
        grant.is_seen_to = true;
        Some((*fence, grant.node.clone(), grant.ends.flatten()))
    }

    fn until(&self, fence: FenceV1) -> Option<Option<Instant>> {
        Some(self.state.lock().grants.get(&fence)?.until)
    }

    /// A former life of the service may have been seeing to some.
    fn see_to_all(&self) {
        for grant in self.state.lock().grants.values_mut() {
            grant.is_seen_to = false;
        }
    }
}

/// Where a child is in the order of the tree: the place of each of its ancestors among its siblings, and its own.
fn order(kernel: &Kernel, path: &ActorPath) -> Vec<usize> {
    let mut places = Vec::new();
    let mut path = path.clone();
    while let Some(parent) = path.parent() {
        let siblings = kernel.registry().get(&parent).map(|slot| slot.children());
        let siblings = siblings.unwrap_or_default();
        let place = siblings.iter().position(|slot| *slot.path() == path);
        places.push(place.unwrap_or(usize::MAX));
        path = parent;
    }
    places.reverse();
    places
}

/// What is added to a lease here.
fn slack(lease: Duration) -> Duration {
    (lease / DRIFT).min(DRIFT_MAX)
}

fn over() -> FaultV1 {
    fault::new(
        "denied",
        "this life of a placed child is over: another has taken its place, or none",
    )
}

/// Sees to it that what was revoked ends, for ever.
pub(super) async fn see_to_ends(cluster: Arc<Cluster>, grants: Arc<Grants>) {
    use futures_util::stream::{FuturesUnordered, StreamExt};
    grants.see_to_all();
    let mut ending = FuturesUnordered::new();
    let mut changes = grants.changes();
    loop {
        changes.mark_unchanged();
        while let Some((fence, node, within)) = grants.next_to_end() {
            ending.push(end(&cluster, &grants, fence, node, within));
        }
        tokio::select! {
            biased;
            Some(()) = ending.next() => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Ends one life: by asking its node, or by waiting until its time is over.
async fn end(
    cluster: &Cluster,
    grants: &Grants,
    fence: FenceV1,
    node: String,
    within: Option<Duration>,
) {
    let mut changes = cluster.changes();
    loop {
        changes.mark_unchanged();
        let Some(until) = grants.until(fence) else {
            // It has ended by itself.
            return;
        };
        // Never asked for, and never will be: it does not live.
        let Some(until) = until else {
            break;
        };
        if let Some(session) = cluster.session(&node) {
            let within_ms = within.map(super::session::ms);
            let call = CallV1::End { fence, within_ms };
            let patience = within.unwrap_or_default() + ENDS_WITHIN;
            match session.call(call, patience).await {
                Ok(_) => break,
                Err(fault) if fault.code == "not_found" => break,
                Err(fault) => tracing::warn!(node, %fault, "a placed child was not ended"),
            }
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => break,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
    grants.settle(fence);
}
