//! Waiting for one event.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::subscriber::{Place, Refused, Subscriber};
use super::{Bus, Event, InvalidTopic, Pattern, PublishError};

/// Why the event that was waited for did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// No such event within the time.
    #[error("no `{pattern}` within {within:?}")]
    Timeout {
        /// What was waited for.
        pattern: String,
        /// For how long.
        within: Duration,
    },
    /// What was to be waited for is no pattern.
    #[error(transparent)]
    Pattern(#[from] InvalidTopic),
    /// The request was not published.
    #[error(transparent)]
    NotPublished(#[from] PublishError),
}

type Filter = Box<dyn Fn(&Event) -> bool + Send + Sync>;

struct First {
    name: String,
    filter: Filter,
    found: Mutex<Option<oneshot::Sender<Arc<Event>>>>,
}

impl Subscriber for First {
    fn deliver(&self, event: &Arc<Event>, _place: Option<&Place>) -> Result<(), Refused> {
        // Code of whoever waits: a panic there is not the publisher's.
        let fits = catch_unwind(AssertUnwindSafe(|| (self.filter)(event)));
        if !fits.unwrap_or(false) {
            return Ok(());
        }
        let Some(found) = self.found.lock().take() else {
            return Err(Refused::Gone);
        };
        found.send(Arc::clone(event)).map_err(|_| Refused::Gone)
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Waits for the first event that fits; from the moment it is made, not only when it is polled.
pub struct WaitFor {
    bus: Arc<Bus>,
    number: Option<u64>,
    found: Result<oneshot::Receiver<Arc<Event>>, InvalidTopic>,
    patience: Pin<Box<Sleep>>,
    pattern: String,
    within: Duration,
}

impl std::fmt::Debug for WaitFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WaitFor({})", self.pattern)
    }
}

impl WaitFor {
    pub(super) fn new(
        bus: &Arc<Bus>,
        name: String,
        pattern: &str,
        filter: Filter,
        within: Duration,
    ) -> Self {
        let mut number = None;
        let found = Pattern::new(pattern).map(|pattern| {
            let (sender, receiver) = oneshot::channel();
            let found = Mutex::new(Some(sender));
            let first = First {
                name,
                filter,
                found,
            };
            number = Some(bus.subscribe(&pattern, Arc::new(first)));
            receiver
        });
        Self {
            bus: Arc::clone(bus),
            number,
            found,
            patience: Box::pin(tokio::time::sleep(within)),
            pattern: pattern.to_owned(),
            within,
        }
    }
}

impl Future for WaitFor {
    type Output = Result<Arc<Event>, WaitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let found = match &mut this.found {
            Ok(found) => found,
            Err(invalid) => return Poll::Ready(Err(invalid.clone().into())),
        };
        if let Poll::Ready(Ok(event)) = found.poll_unpin(cx) {
            return Poll::Ready(Ok(event));
        }
        this.patience.poll_unpin(cx).map(|()| {
            Err(WaitError::Timeout {
                pattern: this.pattern.clone(),
                within: this.within,
            })
        })
    }
}

impl Drop for WaitFor {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.bus.unsubscribe(number);
        }
    }
}
