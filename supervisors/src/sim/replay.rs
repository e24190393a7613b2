//! A recorded crash, once more: [`replay_into`] tells an actor what was recorded, in a kernel of its own on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bus::{Delivery, Draft, Event, Receipt};
use crate::clock::{Clock, Timestamp};
use crate::exit::ExitReason;
use crate::kernel::{BuildError, Kernel, KernelConfig, KernelError, Runtimes};
use crate::kind::Kinds;
use crate::path::{ActorPath, ChildId};
use crate::report::Fact;
use crate::spec::{ChildKind, ChildSpec, Restart, SupervisorSpec, TreeSpec};
use crate::stream::MemoryStreams;

/// How long an event may be in hand, in virtual time.
const PATIENCE: Duration = Duration::from_hours(1);

/// What a replay came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// How its one life ended, if it did.
    pub exit: Option<ExitReason>,
    /// The event that it had in hand then, or for more than an hour.
    pub in_hand: Option<Arc<Event>>,
    /// How many it handled to the end.
    pub handled: u64,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such kind, or the settings do not fit it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It takes no events.
    #[error(transparent)]
    Refused(#[from] KernelError),
}

/// Starts one actor of `kind` with `settings`, and tells it `events`, each once the one before it was handled and so long after it
/// as it was recorded. Ends with its first exit, after which it is not started again.
///
/// The same events, settings and seed come to the same: nothing but them has a say, and the clock stands still while
/// anything is done. What the actor would ask others for is not there.
///
/// # Errors
/// [`ReplayError`].
///
/// # Panics
/// Inside of a tokio runtime, or when the system refuses to make one.
pub fn replay_into(
    kinds: Kinds,
    kind: &str,
    settings: Value,
    seed: u64,
    events: impl IntoIterator<Item = Draft>,
) -> Result<Replayed, ReplayError> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing that could be missing");
    let events = events.into_iter().map(Draft::as_it_is);
    runtime.block_on(run(kinds, kind, settings, seed, events))
}

async fn run(
    kinds: Kinds,
    kind: &str,
    settings: Value,
    seed: u64,
    events: impl Iterator<Item = Event>,
) -> Result<Replayed, ReplayError> {
    let mut events = events.peekable();
    let began = events
        .peek()
        .map_or(Timestamp::from_secs(0), |event| event.time);
    let clock = Clock::simulated(began);
    let exit: Arc<Mutex<Option<ExitReason>>> = Arc::default();
    let noted = Arc::clone(&exit);
    let id = ChildId::new("it").expect("`it` is an id");
    let path = ActorPath::root().child(&id);
    let its_path = path.clone();
    let config = KernelConfig {
        clock,
        streams: Some(MemoryStreams::new(clock)),
        observer: Some(Arc::new(move |fact| {
            if let Fact::Exited { path, record } = fact
                && *path == its_path
            {
                noted.lock().get_or_insert_with(|| record.reason.clone());
            }
        })),
        ..KernelConfig::new(Runtimes::current(), kinds, seed)
    };
    let mut child = ChildSpec::worker(id, kind);
    child.restart = Restart::Temporary;
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = settings;
    }
    let root = SupervisorSpec {
        children: vec![Arc::new(child)],
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "replay".to_owned(),
        test: true,
        root,
    };
    let kernel = Kernel::start(config, tree).await?;
    kernel.booted().await;
    let (mut handled, mut in_hand) = (0, None);
    let since = Instant::now();
    for event in events {
        sleep_until(since + began.age(event.time)).await;
        if exit.lock().is_some() {
            break;
        }
        let event = Arc::new(event);
        if tell(&kernel, &path, &event).await? {
            handled += 1;
        } else {
            in_hand = Some(event);
            break;
        }
    }
    // What it does by itself, and its end, is under way.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let exit = exit.lock().take();
    kernel.shutdown().await;
    Ok(Replayed {
        exit,
        in_hand,
        handled,
    })
}

/// Tells it an event; returns whether it handled that to the end.
async fn tell(kernel: &Kernel, path: &ActorPath, event: &Arc<Event>) -> Result<bool, KernelError> {
    let (settled, outcome) = oneshot::channel();
    let receipt = Receipt::new(move |is_handled| {
        // Nobody waits for it any more after an hour.
        settled.send(is_handled).ok();
    });
    let delivery = Delivery::with_receipt(Arc::clone(event), receipt);
    kernel.tell_event(path, delivery).await?;
    let outcome = timeout(PATIENCE, outcome).await;
    Ok(matches!(outcome, Ok(Ok(true))))
}
