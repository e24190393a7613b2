//! A worker of a tier: does one job after the other, and ends with one that crashes.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use unity_supervisors::spec::{ChildKind, ChildSpec, OnStall, Restart, RunsOn, Template};
use unity_supervisors::{
    Actor, ActorPath, Context, Exit, ExitReason, Next, NoMessage, Priority, Start,
};

use super::Dispatcher;

pub(super) const KIND: &str = "dispatcher.worker";

/// What a worker of this tier is made from. One that a job holds up without yielding is cut off, so that its tier has a new one.
pub(super) fn child(tier: Priority) -> ChildSpec {
    let mut child = ChildSpec {
        // One too many ends by itself, and does not come back.
        restart: Restart::Transient,
        ..ChildSpec::worker(Template::id(), KIND)
    };
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!({ "tier": tier });
        worker.stall = OnStall::Abandon;
        if tier == Priority::Critical {
            worker.runtime = RunsOn::Own;
        }
    }
    child
}

/// Settings of a worker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkerSettings {
    /// Whose jobs it does.
    tier: Priority,
}

/// Does jobs.
pub(super) struct Worker {
    place: Place,
    /// One permit, which a job holds while it runs.
    hand: Arc<Semaphore>,
}

/// Its place in the crew of its tier.
struct Place {
    dispatcher: Arc<Dispatcher>,
    tier: Priority,
    path: ActorPath,
    incarnation: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.dispatcher
            .leave(self.tier, &self.path, self.incarnation);
    }
}

impl Actor for Worker {
    type Message = NoMessage;
    type Settings = WorkerSettings;

    async fn start(
        settings: &WorkerSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let dispatcher = ctx.kernel().shared::<Dispatcher>();
        let place = Place {
            dispatcher: Arc::clone(&dispatcher),
            tier: settings.tier,
            path: ctx.path().clone(),
            incarnation: ctx.incarnation(),
        };
        dispatcher.enter(place.tier, &place.path, place.incarnation);
        let hand = Arc::new(Semaphore::new(1));
        let work = work(
            dispatcher,
            place.tier,
            place.path.clone(),
            Arc::clone(&hand),
        );
        ctx.spawn(work);
        Ok(Start::Running(Self { place, hand }))
    }

    async fn handle(
        &mut self,
        message: &mut NoMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match *message {}
    }

    /// The job in hand is done first, and no other begun.
    async fn stop(self, _: &ExitReason, _: &mut Context<Self>) {
        if let Ok(last) = self.hand.acquire().await {
            last.forget();
        }
    }

    fn observe(&self) -> Value {
        let is_busy = self.hand.available_permits() == 0;
        json!({ "tier": self.place.tier, "busy": is_busy })
    }
}

async fn work(
    dispatcher: Arc<Dispatcher>,
    tier: Priority,
    path: ActorPath,
    hand: Arc<Semaphore>,
) -> Result<(), Exit> {
    loop {
        let Some(job) = dispatcher.next(tier, &path).await else {
            let text = "its tier has workers enough";
            return Err(Exit(ExitReason::with_text(
                unity_supervisors::ExitKind::Normal,
                text,
            )));
        };
        let Ok(_busy) = hand.try_acquire() else {
            // It is being stopped: the job goes back to where it was.
            return Ok(());
        };
        job.run().await?;
    }
}
