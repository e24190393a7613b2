//! A life, for what is done in its name outside of its handlers: its jobs.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::delivery::Delivery;
use crate::dead_letter::{DeadLetterBox, DeadReason};
use crate::exit::{Exit, ExitReason};
use crate::life::{Life, guarded_on_behalf};
use crate::path::ActorPath;

/// A life of an actor, for whoever does something in its name.
pub struct OnBehalf {
    life: Arc<Life>,
    letters: DeadLetterBox,
}

impl fmt::Debug for OnBehalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnBehalf({:?})", self.life)
    }
}

impl OnBehalf {
    pub(super) fn new(life: &Arc<Life>, letters: DeadLetterBox) -> Self {
        let life = Arc::clone(life);
        Self { life, letters }
    }

    /// Whose life it is.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        self.life.path()
    }

    /// Waits until the life has ended.
    pub async fn ended(&self) {
        self.life.ended().await;
    }

    /// Runs `work` in its name: what that does once the life has ended has no effect. Whoever polls it answers for it when it
    /// does not yield.
    ///
    /// # Errors
    /// What `work` returns, or what it panicked with.
    pub async fn run(
        &self,
        work: impl Future<Output = Result<(), Exit>> + Send,
    ) -> Result<(), ExitReason> {
        match guarded_on_behalf(&self.life, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Exit(reason))) => Err(reason),
            Err(panic) => Err(panic.into()),
        }
    }

    /// Makes a dead letter of an event that was not handled; it is handed out no more.
    pub fn bury(&self, mut delivery: Delivery, reason: DeadReason, exit: Option<&ExitReason>) {
        self.letters
            .add_event(self.path(), delivery.event(), reason, exit);
        delivery.acknowledge();
    }
}
