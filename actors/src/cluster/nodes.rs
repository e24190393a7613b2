//! Which nodes there are and how they are reached: the [`Cluster`], which all of a kernel share.
//!
//! It outlives the service that fills it, so that a kill of that is a cut like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use unity_supervisors::clock::Timestamp;
use unity_supervisors::fault::Undo;
use unity_supervisors::{ActorPath, ChildId};

pub use self::info::{NodeInfo, NodeState};
use self::info::{info, why_down};
pub use self::options::{Commands, HEARTBEAT, NodeOptions};
use super::codec::{AboutV1, Blob, CallV1, FaultV1, LABELS_LEN_MAX, RefusalV1, TargetV1};
use super::fault;
use super::grants::Grants;
use super::greeting::{DUPLICATE, refusal};
use super::remote::{RemoteAddress, json_of};
use super::session::{Peer, Session, Tail, body};
use super::weather::{Trouble, Weather, Weathers};

mod info;
mod options;

/// How many nodes may be attached at a time.
pub const NODES_MAX: usize = 1_024;
/// Two nodes that open connections to each other within this keep one of them.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long an answer may take unless the caller says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// What this node knows of others, and how it reaches them. Found with [`Kernel::shared`](unity_supervisors::Kernel::shared).
pub struct Cluster {
    options: Option<NodeOptions>,
    state: Mutex<State>,
    /// Counts on with each change of who is there.
    changed: watch::Sender<u64>,
    /// Wakes the service when it is to open or to give up connections.
    pub(super) wanted: Notify,
    /// The lives that children of this node have elsewhere.
    pub(super) grants: Arc<Grants>,
    weathers: Weathers,
    /// Held by whoever tells others of this node, so that what is told last is what is so.
    telling: Mutex<()>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Known>,
    dials: BTreeMap<String, Dial>,
    /// Where this node can be reached, once it listens.
    address: Option<String>,
    /// Why it does not listen though it should.
    deaf: Option<String>,
    is_draining: bool,
    labels: BTreeMap<String, String>,
}

/// A node that has been here.
struct Known {
    epoch: u64,
    address: Option<String>,
    about: AboutV1,
    session: Option<Arc<Session>>,
    /// When it came or went last.
    since: Timestamp,
    why: Option<String>,
}

/// An address that this node keeps a connection to.
#[derive(Debug, Clone, Default)]
pub(super) struct Dial {
    /// The name of who is there, once it is known.
    pub(super) name: Option<String>,
    /// How the last try ended.
    pub(super) why: Option<RefusalV1>,
    /// How often it was tried without success.
    pub(super) tries: u32,
    /// When that was for the first time.
    pub(super) since: Option<Timestamp>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::of(None)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Of a node that is one of several.
    #[must_use]
    pub fn new(options: NodeOptions) -> Self {
        Self::of(Some(options))
    }

    fn of(options: Option<NodeOptions>) -> Self {
        let dials = options
            .iter()
            .flat_map(|options| options.seeds.iter().cloned());
        let state = State {
            dials: dials.map(|address| (address, Dial::default())).collect(),
            labels: options.iter().flat_map(|its| its.labels.clone()).collect(),
            ..State::default()
        };
        Self {
            options,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            wanted: Notify::new(),
            grants: Arc::default(),
            weathers: Weathers::default(),
            telling: Mutex::default(),
        }
    }

    /// What it was told at its start; `None` if this kernel attaches to nobody.
    pub(super) fn options(&self) -> Option<&NodeOptions> {
        self.options.as_ref()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.options.as_ref().map_or(0, |options| options.epoch)
    }

    pub(super) fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Counts on with each change of who is there.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Where others reach this node, once it listens.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        self.state.lock().address.clone()
    }

    /// Why it does not listen though it should.
    #[must_use]
    pub fn deaf(&self) -> Option<String> {
        self.state.lock().deaf.clone()
    }

    pub(super) fn set_address(&self, address: Result<String, String>) {
        {
            let mut state = self.state.lock();
            (state.address, state.deaf) = match address {
                Ok(address) => (Some(address), None),
                Err(why) => (None, Some(why)),
            };
        }
        self.note_change();
    }

    /// Whether this node takes no new children of others.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.state.lock().is_draining
    }

    /// What this node is good for.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.state.lock().labels.clone()
    }

    /// Says what this node is good for from now on, to all that are attached too. A child that lives where it does not fit any
    /// more stays there until its next life. Of labels that are longer than [`LABELS_LEN_MAX`] together others are told none.
    pub fn set_labels(&self, labels: &BTreeMap<String, String>) {
        let _telling = self.telling.lock();
        self.state.lock().labels.clone_from(labels);
        let told = self.told_labels();
        for session in self.sessions() {
            session.tell_labels(&told);
        }
        self.note_change();
    }

    /// The labels that others are told.
    pub(super) fn told_labels(&self) -> BTreeMap<String, String> {
        let labels = self.labels();
        if labels_len(&labels) <= LABELS_LEN_MAX {
            return labels;
        }
        tracing::error!(
            "`labels` are longer than {LABELS_LEN_MAX} bytes together: other nodes are told none of them"
        );
        BTreeMap::new()
    }

    /// Tells a node that has just come what may have changed since it was greeted.
    pub(super) fn tell(&self, session: &Session) {
        let _telling = self.telling.lock();
        session.tell_labels(&self.told_labels());
        session.tell_draining(self.is_draining());
    }

    /// The addresses that connections are kept to.
    pub(super) fn dials(&self) -> BTreeSet<String> {
        self.state.lock().dials.keys().cloned().collect()
    }

    pub(super) fn dial(&self, address: &str) -> Option<Dial> {
        self.state.lock().dials.get(address).cloned()
    }

    pub(super) fn note_dial(
        &self,
        address: &str,
        outcome: Result<String, RefusalV1>,
        now: Timestamp,
    ) {
        if let Some(dial) = self.state.lock().dials.get_mut(address) {
            match outcome {
                Ok(name) => {
                    *dial = Dial {
                        name: Some(name),
                        ..Dial::default()
                    }
                }
                Err(why) => {
                    dial.why = Some(why);
                    dial.tries += 1;
                    dial.since.get_or_insert(now);
                }
            }
        }
        self.note_change();
    }

    /// Keeps a connection to `address` from now on; returns once it is there, with the name of the node, or once it is known
    /// why it is not: it is then tried no more.
    ///
    /// # Errors
    /// [`FaultV1`].
    pub async fn attach(&self, address: &str, timeout: Duration) -> Result<String, FaultV1> {
        if self.options.is_none() {
            return Err(no_nodes());
        }
        let mut changes = self.changes();
        let is_new = {
            let mut state = self.state.lock();
            if state.dials.len() >= NODES_MAX {
                return Err(fault::new(
                    "failed",
                    format!("{NODES_MAX} nodes are attached already"),
                ));
            }
            let is_new = !state.dials.contains_key(address);
            state.dials.entry(address.to_owned()).or_default();
            is_new
        };
        self.wanted.notify_one();
        let outcome = async {
            loop {
                changes.mark_unchanged();
                match self.dial(address) {
                    Some(Dial {
                        name: Some(name), ..
                    }) if self.session(&name).is_some() => {
                        return Ok(name);
                    }
                    Some(Dial { why: Some(why), .. }) => return Err(why),
                    Some(_) => {}
                    None => return Err(refusal("broken", "it was detached meanwhile")),
                }
                if changes.changed().await.is_err() {
                    return Err(refusal("broken", "the kernel ends"));
                }
            }
        };
        let outcome = tokio::time::timeout(timeout, outcome).await;
        let why = match outcome {
            Ok(Ok(name)) => return Ok(name),
            Ok(Err(why)) => why,
            Err(_elapsed) => refusal("broken", format!("nothing came of it within {timeout:?}")),
        };
        if is_new {
            self.state.lock().dials.remove(address);
            self.wanted.notify_one();
            self.note_change();
        }
        let (code, hint) = match why.code.as_str() {
            "cookie" => (
                "denied",
                "give both the same: `uk run --node-cookie-file FILE`",
            ),
            "certificate" => ("denied", "`uk node ca issue NAME` makes one for each node"),
            "clash" | "name" => ("conflict", "`uk run --name NAME` gives a node its name"),
            "epoch" | "crowded" => ("conflict", "`uk node list` says which nodes there are"),
            _ => (
                "unreachable",
                "a node listens with `uk run --node-listen ADDRESS`; is it that address?",
            ),
        };
        let message = format!("{address} was not attached: {}", why.text);
        Err(fault::hinted(code, message, hint))
    }

    /// Ends the connection to a node, and keeps none any more.
    ///
    /// # Errors
    /// [`FaultV1`] if there is no such node.
    pub fn detach(&self, name: &str) -> Result<(), FaultV1> {
        let session = {
            let mut state = self.state.lock();
            let known = state.known.remove(name);
            let before = state.dials.len();
            state
                .dials
                .retain(|address, dial| dial.name.as_deref() != Some(name) && address != name);
            if known.is_none() && state.dials.len() == before {
                drop(state);
                return Err(fault::unknown(name, &self.names()));
            }
            known.and_then(|known| known.session)
        };
        if let Some(session) = session {
            session.end("it was detached");
        }
        self.wanted.notify_one();
        self.note_change();
        Ok(())
    }

    /// Whether a node may come in under the name that it has given.
    pub(super) fn admit(&self, me: &str, peer: &Peer) -> Result<(), RefusalV1> {
        if peer.name == me {
            let text = format!("node {} has this node's own name, `{me}`", peer.wire);
            return Err(refusal("name", text));
        }
        if ChildId::new(&peer.name).is_err() {
            return Err(refusal(
                "name",
                format!("`{}` cannot be the name of a node", peer.name),
            ));
        }
        let state = self.state.lock();
        let Some(known) = state.known.get(&peer.name) else {
            return match state.known.len() < NODES_MAX {
                true => Ok(()),
                false => Err(refusal(
                    "crowded",
                    format!("{NODES_MAX} nodes are known already"),
                )),
            };
        };
        if peer.epoch < known.epoch {
            let text = format!(
                "node `{}` at {} is of an earlier start than the one that was here",
                peer.name, peer.wire
            );
            return Err(refusal("epoch", text));
        }
        match &known.session {
            Some(session) if session.over().is_none() => match clash(me, session, peer) {
                Some(why) => Err(why),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Takes a session in; the one that it takes the place of ends.
    pub(super) fn enter(&self, session: &Arc<Session>, now: Timestamp) {
        let peer = &session.peer;
        let former = {
            let mut state = self.state.lock();
            let known = Known {
                epoch: peer.epoch,
                address: peer.address.clone(),
                about: peer.about.clone(),
                session: Some(Arc::clone(session)),
                since: now,
                why: None,
            };
            state.known.insert(peer.name.clone(), known)
        };
        if let Some(former) = former.and_then(|former| former.session) {
            former.end("another connection took its place");
        }
        tracing::info!(node = %peer.name, address = %peer.wire, "a node is up");
        self.note_change();
    }

    /// A session has ended.
    pub(super) fn leave(&self, session: &Arc<Session>, why: &str, now: Timestamp) {
        let was_held = {
            let mut state = self.state.lock();
            let known = state.known.get_mut(session.node());
            let held = known.filter(|known| {
                let held = known.session.as_ref();
                held.is_some_and(|held| Arc::ptr_eq(held, session))
            });
            held.map(|known| {
                known.about.labels = (*session.labels()).clone();
                known.session = None;
                known.since = now;
                known.why = Some(why.to_owned());
            })
        };
        // Where another connection has taken its place the node is as it was.
        if was_held.is_some() {
            tracing::warn!(node = session.node(), why, "a node is down");
        }
        self.note_change();
    }

    /// The session with a node, if it is up.
    pub(super) fn session(&self, name: &str) -> Option<Arc<Session>> {
        let state = self.state.lock();
        let session = state.known.get(name)?.session.clone()?;
        session.over().is_none().then_some(session)
    }

    /// The sessions with all nodes that are up, by name.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        let state = self.state.lock();
        let sessions = state
            .known
            .values()
            .filter_map(|known| known.session.clone());
        sessions
            .filter(|session| session.over().is_none())
            .collect()
    }

    /// The names of all nodes that were ever up.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state.lock().known.keys().cloned().collect()
    }

    /// Whether a node is there now.
    #[must_use]
    pub fn is_up(&self, name: &str) -> bool {
        self.session(name).is_some()
    }

    /// The session with a node.
    ///
    /// # Errors
    /// [`FaultV1`] if there is no such node, or it cannot be reached.
    pub(super) fn reach(&self, name: &str) -> Result<Arc<Session>, FaultV1> {
        if self.options.is_none() {
            return Err(no_nodes());
        }
        if let Some(session) = self.session(name) {
            return Ok(session);
        }
        let state = self.state.lock();
        match state.known.get(name) {
            Some(known) => Err(fault::down(
                name,
                why_down(known).as_deref().unwrap_or("it is down"),
            )),
            None => {
                drop(state);
                Err(fault::unknown(name, &self.names()))
            }
        }
    }

    /// All nodes but this one, by name; addresses where nobody has said a name come last.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let state = self.state.lock();
        let mut nodes: Vec<NodeInfo> = state
            .known
            .iter()
            .map(|(name, known)| NodeInfo {
                placed: self.grants.count(name),
                ..info(name, known)
            })
            .collect();
        let unnamed = state.dials.iter().filter(|(_, dial)| {
            let known = dial.name.as_ref().and_then(|name| state.known.get(name));
            known.is_none()
        });
        nodes.extend(unnamed.map(|(address, dial)| NodeInfo {
            name: dial.name.clone().unwrap_or_else(|| address.clone()),
            address: Some(address.clone()),
            state: match dial.tries {
                0 => NodeState::Connecting,
                _ => NodeState::Down,
            },
            since: dial.since,
            rtt_ms: None,
            skew_ms: None,
            labels: BTreeMap::new(),
            epoch: None,
            version: None,
            placed: 0,
            why: dial.why.as_ref().map(|why| why.text.clone()),
        }));
        nodes
    }

    /// Has a node do a command, and awaits its document.
    ///
    /// # Errors
    /// [`FaultV1`], also that of the command.
    pub async fn command(
        &self,
        node: &str,
        name: &str,
        args: &Value,
        timeout: Duration,
    ) -> Result<Value, FaultV1> {
        let session = self.reach(node)?;
        let answer = session.call(command(name, args), timeout).await?;
        json_of(node, &answer)
    }

    /// Has a node do a command that answers with many documents.
    ///
    /// # Errors
    /// [`FaultV1`].
    pub async fn tail(&self, node: &str, name: &str, args: &Value) -> Result<Tail, FaultV1> {
        let session = self.reach(node)?;
        session.tail(command(name, args)).await
    }

    /// The address of an actor on another node: of the slot that is there now.
    ///
    /// # Errors
    /// [`FaultV1`].
    pub async fn address_of(
        self: &Arc<Self>,
        node: &str,
        path: &ActorPath,
    ) -> Result<RemoteAddress, FaultV1> {
        let session = self.reach(node)?;
        let resolve = CallV1::Resolve {
            path: path.to_string(),
        };
        let serial = session.call(resolve, TIMEOUT).await?;
        let slot = super::codec::read(&serial.0)
            .map_err(|error| fault::new("failed", error.to_string()))?;
        let to = TargetV1 {
            epoch: session.peer.epoch,
            path: path.to_string(),
            slot: Some(slot),
            from: None,
        };
        Ok(RemoteAddress::new(self, node, path, to))
    }

    /// Has the way to a node that is up be in trouble until what this returns is dropped, connections that are new meanwhile
    /// included. Of several troubles at a time all count.
    ///
    /// # Errors
    /// [`FaultV1`] if there is no such node, or it cannot be reached now.
    pub fn trouble(&self, node: &str, trouble: Trouble) -> Result<Undo, FaultV1> {
        self.reach(node)?;
        Ok(self.weathers.of(node).trouble(trouble))
    }

    /// Whether a node is up and has answered something that it was sent at that moment or later.
    #[must_use]
    pub fn has_answered_since(&self, node: &str, moment: Instant) -> bool {
        let session = self.session(node);
        session.is_some_and(|session| session.answered() >= Some(moment))
    }

    /// The weather on the way to a node.
    pub(super) fn weather(&self, node: &str) -> Arc<Weather> {
        self.weathers.of(node)
    }

    /// Done once something can go to the node and come back, if there is trouble on the way.
    pub(super) async fn there_and_back(&self, node: &str) {
        if let Some(weather) = self.weathers.known(node) {
            weather.there_and_back().await;
        }
    }

    /// Takes no new children of other nodes from now on, or does again.
    pub fn set_draining(&self, is_draining: bool) {
        let _telling = self.telling.lock();
        self.state.lock().is_draining = is_draining;
        for session in self.sessions() {
            session.tell_draining(is_draining);
        }
        self.note_change();
    }
}

/// How long labels are together.
pub(super) fn labels_len(labels: &BTreeMap<String, String>) -> usize {
    labels
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// Why a connection is refused while another of that name is there.
fn clash(me: &str, held: &Session, peer: &Peer) -> Option<RefusalV1> {
    let there = &held.peer;
    if there.epoch != peer.epoch {
        let text = format!(
            "there are two nodes `{}`: one at {}, one at {}; give one of them another name",
            peer.name, there.wire, peer.wire
        );
        return Some(refusal("clash", text));
    }
    // Of two that were opened at once the one stays that was opened by the node whose name comes first.
    let opener = |is_ours: bool| if is_ours { me } else { peer.name.as_str() };
    let first = me.min(peer.name.as_str());
    let takes_place = held.since.elapsed() < AT_ONCE
        && opener(peer.is_ours) == first
        && opener(there.is_ours) != first;
    (!takes_place).then(|| refusal(DUPLICATE, "there is a connection between the two already"))
}

fn command(name: &str, args: &Value) -> CallV1 {
    CallV1::Command {
        name: name.to_owned(),
        args: Blob(body(args)),
    }
}

fn no_nodes() -> FaultV1 {
    fault::hinted(
        "failed",
        "this kernel attaches to no nodes",
        "it was started by a program that gave it no links",
    )
}
