//! `/system/dispatcher/crew`: sees that each tier has as many workers as it is to have.
//!
//! Workers that are too many go by themselves, when they are idle. Those that are missing, because the kernel starts, a tier was
//! killed with all its workers or its size was changed, are started here.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unity_supervisors::{Actor, Context, Exit, Kernel, Next, NoMessage, Priority, Start};

use super::{Dispatcher, path_of};

pub(super) const KIND: &str = "dispatcher.crew";
/// How soon a tier that is on its way up or down is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// It has no settings: sizes are the kernel's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CrewSettings {}

/// Keeps the tiers at their sizes.
#[derive(Debug)]
pub(super) struct Crew;

impl Actor for Crew {
    type Message = NoMessage;
    type Settings = CrewSettings;

    async fn start(_: &CrewSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let kernel = ctx.kernel().clone();
        ctx.spawn(async move {
            let dispatcher = kernel.shared::<Dispatcher>();
            loop {
                let mut is_settled = true;
                for tier in Priority::ALL {
                    is_settled &= settle(&kernel, &dispatcher, tier).await;
                }
                if is_settled {
                    dispatcher.crew_changed.notified().await;
                } else {
                    tokio::time::sleep(LOOK_AGAIN).await;
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

/// Starts the workers that a tier lacks; whether it has those that it is to have, and all of them live.
async fn settle(kernel: &Kernel, dispatcher: &Arc<Dispatcher>, tier: Priority) -> bool {
    let slot = path_of(tier).and_then(|path| kernel.registry().get(&path));
    let Some(slot) = slot else { return false };
    let (size, _) = dispatcher.crew(tier);
    let there = slot.children().len();
    if there < size {
        let missing = std::iter::repeat_n((None, Value::Null), size - there);
        if let Err(error) = kernel.spawn_many(slot.path(), missing).await {
            tracing::debug!(%error, "no workers yet: the tier is on its way");
        }
    }
    let (size, live) = dispatcher.crew(tier);
    slot.children().len() == size && live == size
}
