//! `/system/bus`: publishes what happens in the kernel on the event bus, under `system.`.
//!
//! It goes by what the kernel keeps of its last facts, so a flood of them, or a kill of this service, holds nobody up: it
//! goes on where it was. What is kept no more when it gets there is told of as `system.events.missed`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_supervisors::bus::{Draft, PublishError, Topic};
use unity_supervisors::event::SystemEvent;
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{Actor, ChildId, Context, Exit, Kernel, Kinds, Next, NoMessage, Start};

/// Where the service lives.
pub const PATH: &str = "/system/bus";
/// How many facts are published between two looks at what else there is.
const BATCH: usize = 64;

/// The kinds with this service.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<BusService>("bus", "publishes what happens in the kernel as events")
}

/// The child of `/system` that it is.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("bus").expect("`bus` is an id"), "bus")
}

/// Settings of `bus`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusSettings {}

/// Publishes the kernel's facts.
#[derive(Debug)]
pub struct BusService;

/// The id of the last fact that was published; outlives the service.
#[derive(Debug, Default)]
struct Published(AtomicU64);

impl Actor for BusService {
    type Message = NoMessage;
    type Settings = BusSettings;

    async fn start(_: &BusSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let kernel = ctx.kernel().clone();
        ctx.spawn(async move {
            let published: Arc<Published> = kernel.shared();
            loop {
                let last = published.0.load(Ordering::Acquire);
                let facts = kernel.events_after(last, BATCH).await;
                for fact in facts {
                    publish(&kernel, &published, &fact).await?;
                }
            }
        });
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut NoMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match *message {}
    }
}

/// Publishes `fact`, and before it that some before it were missed.
async fn publish(kernel: &Kernel, published: &Published, fact: &SystemEvent) -> Result<(), Exit> {
    let before = published.0.load(Ordering::Acquire);
    let missed = fact.id.saturating_sub(before + 1);
    if missed > 0 {
        let draft = Draft::new(
            &Topic::new("system.events.missed")?,
            json!({ "count": missed }),
        );
        said(kernel, PATH, draft).await?;
    }
    let mut draft = Draft::new(&Topic::new(fact.topic())?, fact.data());
    draft.time = Some(fact.time);
    said(kernel, fact.source().as_str(), draft).await?;
    // After it: what a kill interrupts is said again, and not left out.
    published.0.store(fact.id, Ordering::Release);
    Ok(())
}

/// Streams that take nothing do not end this service: who listens now is told at least.
async fn said(kernel: &Kernel, source: &str, mut draft: Draft) -> Result<(), Exit> {
    kernel.secrets().mask_json(&mut draft.data);
    match kernel.bus().publish(&source.into(), draft).await {
        Ok(_) => Ok(()),
        Err(PublishError::Revoked) => Err(Exit::error(PublishError::Revoked.to_string())),
        Err(error) => {
            tracing::warn!(%error, "an event of the kernel was not published");
            Ok(())
        }
    }
}
