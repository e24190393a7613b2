//! `relay`: publishes here what another node publishes, and goes on where it was when that node was away.
//!
//! It reads the other node's events as `uk events tail` does: what is kept in streams there comes without a gap, each event at
//! least once, from the last one that was published here on; with `state` also over restarts of this kernel. What is not
//! kept comes as long as the connection stands. An event keeps its topic, priority and data; its source is that which it
//! has there, behind the name of the node, and its bytes, if it has a blob, stay there. What another node's relay has
//! brought there is left out, so that two which relay to each other do not go in circles.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;
use unity_supervisors::bus::{Pattern, line};
use unity_supervisors::state::CodecError;
use unity_supervisors::{
    Actor, ChildId, Context, Exit, Kernel, Kinds, Message, Next, Snapshot, Start,
};

use super::codec::FaultV1;
use super::nodes::Cluster;

/// How many events are known by their ids, to leave out what comes twice.
const KNOWN_MAX: usize = 1_024;
/// How often what is kept of it may be taken.
const LOOKS: Duration = Duration::from_secs(1);
/// The pause after a reading that the other node refused.
const AGAIN: Duration = Duration::from_secs(1);

/// The kinds with this one.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with::<Relay>("relay", "publishes here what another node publishes")
}

/// Settings of `relay`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelaySettings {
    /// The name of the other node.
    #[schemars(with = "String")]
    pub node: ChildId,
    /// Which of its topics, as in `sensor.*`.
    #[schemars(with = "String")]
    pub topics: Pattern,
    /// Where it begins the first time.
    #[serde(default)]
    pub from: From,
}

/// Where a relay begins the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the oldest that is kept.
    Start,
}

/// Messages of `relay`.
#[derive(Debug, Message)]
pub enum RelayMessage {
    /// See how far it is: what it keeps is taken after messages.
    Look,
}

/// The relay.
#[derive(Debug)]
pub struct Relay {
    settings: RelaySettings,
    progress: Arc<Mutex<Progress>>,
}

/// How far it is.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Progress {
    /// The time of the last event that was published here, in the form of its line.
    last: Option<String>,
    /// The ids of the last events.
    known: VecDeque<String>,
    /// How many were published here.
    count: u64,
    /// Why none comes, if none does.
    why: Option<String>,
}

impl Progress {
    /// Whether an event is new. What has no id is.
    fn is_new(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| !self.known.iter().any(|known| known == id))
    }

    fn took(&mut self, event: &Value) {
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        // Of two streams that are read at once the later one may be ahead: those between are known by their ids.
        let time = text("time");
        if self.last.as_ref() < time.as_ref() {
            self.last = time;
        }
        self.known.extend(text("id"));
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        self.count += 1;
    }
}

impl Actor for Relay {
    type Message = RelayMessage;
    type Settings = RelaySettings;
    const STATE: Option<u32> = Some(1);

    async fn start(settings: &RelaySettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let restored: Option<Progress> = ctx.restored();
        let progress = Arc::new(Mutex::new(restored.unwrap_or_default()));
        let reader = Reader {
            kernel: ctx.kernel().clone(),
            cluster: ctx.kernel().shared(),
            settings: settings.clone(),
            progress: Arc::clone(&progress),
        };
        ctx.spawn(async move {
            reader.read_on().await;
            Ok(())
        });
        ctx.tell_every(LOOKS, || RelayMessage::Look);
        Ok(Start::Running(Self {
            settings: settings.clone(),
            progress,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut RelayMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let RelayMessage::Look = message;
        Ok(Next::Continue)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, CodecError> {
        Snapshot::of(&*self.progress.lock()).map(Some)
    }

    fn observe(&self) -> Value {
        let progress = self.progress.lock();
        json!({
            "node": self.settings.node, "topics": self.settings.topics, "count": progress.count,
            "last": progress.last, "why": progress.why,
        })
    }
}

struct Reader {
    kernel: Kernel,
    cluster: Arc<Cluster>,
    settings: RelaySettings,
    progress: Arc<Mutex<Progress>>,
}

impl Reader {
    /// Reads for ever, over one connection after the other.
    async fn read_on(&self) {
        let mut changes = self.cluster.changes();
        loop {
            changes.mark_unchanged();
            let why = match self.read().await {
                Ok(()) => "the other node has ended the reading".to_owned(),
                Err(fault) => fault.message,
            };
            self.progress.lock().why = Some(why);
            if self.cluster.is_up(self.settings.node.as_str()) {
                sleep(AGAIN).await;
            } else if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn read(&self) -> Result<(), FaultV1> {
        let node = self.settings.node.as_str();
        let last = self.progress.lock().last.clone();
        let from = match (last, self.settings.from) {
            (Some(last), _) => last,
            (None, From::Now) => "now".to_owned(),
            (None, From::Start) => "start".to_owned(),
        };
        let mut args = json!({ "pattern": self.settings.topics, "from": from });
        let mut events = self.cluster.tail(node, "events tail", &args).await?;
        self.progress.lock().why = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(line) => self.take(&line.0).await?,
                // Nothing of it is kept there: only what comes from now on can be had.
                Err(fault) if fault.code == "conflict" && from != "now" => {
                    args = json!({ "pattern": self.settings.topics, "from": "now" });
                    events = self.cluster.tail(node, "events tail", &args).await?;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Publishes one here.
    async fn take(&self, line: &[u8]) -> Result<(), FaultV1> {
        let usage = |what: String| super::fault::new("failed", what);
        let event: Value =
            serde_json::from_slice(line).map_err(|error| usage(error.to_string()))?;
        if let Some(missed) = event.get("missed") {
            tracing::warn!(node = %self.settings.node, %missed, "events that are not kept came too fast");
            return Ok(());
        }
        let source = event
            .get("source")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let id = event.get("id").and_then(Value::as_str);
        if source.contains(':') || !self.progress.lock().is_new(id) {
            return Ok(());
        }
        let source: Arc<str> = format!("{}:{source}", self.settings.node).into();
        let mut form = event.clone();
        if let Some(form) = form.as_object_mut() {
            form.remove("blob");
        }
        let mut draft = line::from_json(form).map_err(|error| usage(error.to_string()))?;
        draft.source = Some(Arc::clone(&source));
        let published = self.kernel.bus().publish_when_room(&source, draft).await;
        published.map_err(|error| usage(error.to_string()))?;
        self.progress.lock().took(&event);
        Ok(())
    }
}
