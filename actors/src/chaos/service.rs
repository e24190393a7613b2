//! `/system/chaos`: owns the one run that there may be at a time.
//!
//! A run is a job of the service's life: one that is killed ends it. What lasts is undone by that, and the next life undoes the
//! rest and keeps the report, as stopped. What a run is about, and who waits for its end, lies in [`Chaos`], which outlives the
//! service. A run does not begin anew by itself.
//!
//! A run that kills its kernel has written down before what it came to. The next kernel brings that report to its end: how long
//! there was none, and what came back.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{Actor, ChildId, Context, Exit, Kinds, Message, Next, Reply, Start};

use super::job::{Job, clean_up, return_from};
use super::runs::{Chaos, Refused, Wish};
use super::traffic::Traffic;

/// Where the service lives.
pub const PATH: &str = "/system/chaos";
/// A fault struck.
pub const STRUCK: &str = "system.chaos.struck";
/// A run began.
pub const BEGUN: &str = "system.chaos.begun";
/// A run ended.
pub const ENDED: &str = "system.chaos.ended";
/// Why a kernel is not killed.
pub const NO_GUARD: &str = "no guard would start the kernel again: `uk run --guard` has one";
const KIND: &str = "chaos";

/// The kinds of services with that of this file.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<ChaosService>(KIND, "breaks things on purpose, by a plan")
}

/// The child of `/system` that does.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("chaos").expect("`chaos` is an id"), KIND)
}

/// It has no settings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChaosSettings {}

/// Messages of the service.
#[derive(Debug, Message)]
pub enum ChaosMessage {
    /// Begin; the answer is which run it is.
    Begin(Box<Wish>, Reply<Result<String, Refused>>),
}

/// Owns the run.
#[derive(Debug)]
pub struct ChaosService {
    chaos: Arc<Chaos>,
}

impl Actor for ChaosService {
    type Message = ChaosMessage;
    type Settings = ChaosSettings;

    async fn start(_: &ChaosSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let chaos: Arc<Chaos> = ctx.kernel().shared();
        let (kernel, its) = (ctx.kernel().clone(), Arc::clone(&chaos));
        let journal = chaos.journal();
        if let Some(journal) = journal {
            ctx.spawn(async move {
                return_from(&kernel, &its, journal).await;
                Ok(())
            });
        } else if chaos.progress().is_some() {
            ctx.spawn(async move {
                clean_up(&kernel, &its).await;
                Ok(())
            });
        }
        Ok(Start::Running(Self { chaos }))
    }

    async fn handle(
        &mut self,
        message: &mut ChaosMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let ChaosMessage::Begin(wish, begun) = message;
        let kernel = ctx.kernel().clone();
        let (run, orders) = match self.chaos.begin(&kernel, wish) {
            Ok(begun) => begun,
            Err(refused) => {
                begun.send(Err(refused));
                return Ok(Next::Continue);
            }
        };
        begun.send(Ok(run.clone()));
        let (found, traffic) = oneshot::channel::<Arc<Traffic>>();
        let (over, is_over) = watch::channel(false);
        let (quiet, is_quiet) = oneshot::channel::<()>();
        // Messages are sent and judged beside the run, so that neither waits for the other.
        ctx.spawn(async move {
            if let Ok(traffic) = traffic.await {
                traffic.run(is_over).await;
            }
            drop(quiet);
            Ok(())
        });
        let job = Job {
            kernel,
            chaos: Arc::clone(&self.chaos),
            wish: (**wish).clone(),
            orders,
        };
        ctx.spawn(async move {
            job.run(run, found, over, is_quiet).await;
            Ok(())
        });
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "run": self.chaos.progress() })
    }
}
