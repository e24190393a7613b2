//! Sensors: actors that measure, and publish what they measured as events.
//!
//! A sensor goes on measuring when what it says cannot be kept: it is there for who listens now as well.

pub mod files;
pub mod frames;
pub mod host;
pub mod process;

use std::sync::Arc;
use std::time::Duration;

use unity_supervisors::bus::{Bus, Draft, InvalidTopic, Topic};
use unity_supervisors::{Actor, ActorPath, Context};

/// Where an actor's events go, and whether the last one went.
#[derive(Debug)]
pub(crate) struct Outlet {
    bus: Arc<Bus>,
    source: Arc<str>,
    pub(crate) path: ActorPath,
    pub(crate) topic: Topic,
    is_blocked: bool,
}

impl Outlet {
    pub(crate) fn new<A: Actor>(ctx: &Context<A>, topic: Topic) -> Self {
        Self {
            bus: Arc::clone(ctx.bus()),
            source: ctx.path().as_str().into(),
            path: ctx.path().clone(),
            topic,
            is_blocked: false,
        }
    }

    /// Publishes `draft`, once there is room for it at all who listen if `when_room`; whether that could be done. That it
    /// cannot be is logged once, not for each event.
    pub(crate) async fn say(&mut self, draft: Draft, when_room: bool) -> bool {
        let said = if when_room {
            self.bus.publish_when_room(&self.source, draft).await
        } else {
            self.bus.publish(&self.source, draft).await
        };
        let was_blocked = std::mem::replace(&mut self.is_blocked, said.is_err());
        match said {
            Err(error) if !was_blocked => {
                tracing::warn!(path = %self.path, topic = %self.topic, %error, "events are not published");
            }
            Ok(_) if was_blocked => {
                tracing::info!(path = %self.path, topic = %self.topic, "events are published again");
            }
            Ok(_) | Err(_) => {}
        }
        !self.is_blocked
    }
}

/// What the actor at `path` publishes: `given`, else `sensor.WHAT.ID`.
pub(crate) fn topic_of(
    path: &ActorPath,
    what: &str,
    given: Option<&Topic>,
) -> Result<Topic, InvalidTopic> {
    match (given, path.id()) {
        (Some(topic), _) => Ok(topic.clone()),
        (None, Some(id)) => Topic::new(format!("sensor.{what}.{id}")),
        (None, None) => Topic::new(format!("sensor.{what}")),
    }
}

/// Has an actor send itself what `make` returns, each time that `period` has passed, as its settings in force say. A beat
/// for which there is no room is skipped: the next one says the same.
pub(crate) fn beats<A: Actor>(
    ctx: &Context<A>,
    period: impl Fn(&A::Settings) -> Duration + Send + 'static,
    make: impl Fn() -> A::Message + Send + 'static,
) {
    let (mut settings, myself) = (ctx.settings(), ctx.myself());
    ctx.spawn(async move {
        loop {
            let period = period(settings.get());
            tokio::select! {
                biased;
                _another = settings.changed() => {}
                () = tokio::time::sleep(period) => drop(myself.try_tell(make())),
            }
        }
    });
}
