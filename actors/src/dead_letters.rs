//! `/system/dead_letters`: writes dead letters into the stream `dead_letters`, so that they outlive the kernel.
//!
//! It goes by the kernel's list, so a flood of letters, or a kill of this service, holds nobody up: it goes on where it was, and a
//! letter that it may have written already has the same id again, so that it is there once. A letter is an
//! event with the topic `system.dead_letter`, whose source is the path whose mailbox it was in. It is written and not published: a
//! subscriber of `system.*` whose full mailbox drops events would make letters of the letters for ever. A write that fails
//! is counted, and the letter is then only in the list.
//!
//! What becomes of letters afterwards is in [`desk`].

pub mod desk;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::dead_letter::DeadLetter;
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::stream::{
    Durability, Position, Retention, StreamError, StreamName, StreamStore,
};
use unity_supervisors::{Actor, ChildId, Context, Exit, Kernel, Kinds, Next, NoMessage, Start};

/// Where the service lives.
pub const PATH: &str = "/system/dead_letters";
/// The stream that it writes.
pub const STREAM: &str = "dead_letters";
/// What its events are about.
pub const TOPIC: &str = "system.dead_letter";
/// What is kept, unless the catalog says something of the stream.
pub const RETENTION: Retention = Retention {
    age: Some(Duration::from_hours(30 * 24)),
    length: Some(100_000),
    bytes: Some(256 << 20),
};
/// How many letters are written between two looks at what else there is.
const BATCH: usize = 64;
/// How long is waited before a stream that cannot be read is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// The kinds with this service.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<DeadLetterService>("dead_letters", "writes dead letters into a stream")
}

/// The child of `/system` that it is.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    let id = ChildId::new("dead_letters").expect("`dead_letters` is an id");
    ChildSpec::worker(id, "dead_letters")
}

/// The name of the stream.
fn stream() -> StreamName {
    StreamName::new(STREAM).expect("`dead_letters` is the name of a stream")
}

/// Settings of `dead_letters`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterSettings {}

/// Writes dead letters.
#[derive(Debug)]
pub struct DeadLetterService;

/// How far it got in this kernel; outlives the service.
#[derive(Debug, Default)]
pub struct Written {
    /// The id of the last letter that was looked at.
    last: AtomicU64,
    /// The number of the last letter of earlier kernels: those of this one count on from there.
    before: OnceLock<u64>,
    failed: AtomicU64,
}

impl Written {
    /// How many letters could not be written, or were gone before they were.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Actor for DeadLetterService {
    type Message = NoMessage;
    type Settings = DeadLetterSettings;

    async fn start(_: &DeadLetterSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let kernel = ctx.kernel().clone();
        if let Some(store) = kernel.bus().store().cloned() {
            ctx.spawn(async move { write_all(&kernel, &*store).await });
        }
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

async fn write_all(kernel: &Kernel, store: &dyn StreamStore) -> Result<(), Exit> {
    let written: Arc<Written> = kernel.shared();
    let stream = stream();
    let catalog = kernel.bus().catalog();
    let mut kept = catalog
        .types()
        .iter()
        .filter_map(|its| its.persist.as_ref());
    if !kept.any(|its| its.stream == stream) {
        store.set_retention(&stream, RETENTION);
    }
    let before = loop {
        match last_number(store, &stream).await {
            Ok(last) => break *written.before.get_or_init(|| last),
            Err(error) => tracing::warn!(%error, "dead letters wait to be written"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    };
    loop {
        let last = written.last.load(Ordering::Acquire);
        for letter in kernel.dead_letters().after(last, BATCH).await {
            write(kernel, store, (&stream, before), &letter, &written).await?;
            // After it: what a kill interrupts is written again, under the same id.
            written.last.store(letter.id, Ordering::Release);
        }
    }
}

/// The number of the newest letter in the stream.
async fn last_number(store: &dyn StreamStore, stream: &StreamName) -> Result<u64, StreamError> {
    let newest = store.read_back(stream, Position::END, 1).await?;
    Ok(newest.first().map_or(0, |entry| number(&entry.event.data)))
}

/// The number of a letter.
fn number(letter: &Value) -> u64 {
    letter.get("id").and_then(Value::as_u64).unwrap_or_default()
}

async fn write(
    kernel: &Kernel,
    store: &dyn StreamStore,
    (stream, before): (&StreamName, u64),
    letter: &DeadLetter,
    written: &Written,
) -> Result<(), Exit> {
    let mut data = json!(letter);
    let plain = data.clone();
    kernel.secrets().mask_json(&mut data);
    if let Some(object) = data.as_object_mut() {
        if plain.get("message") != object.get("message") {
            object.insert("masked".to_owned(), Value::Bool(true));
        }
        object.insert("id".to_owned(), Value::from(before + letter.id));
    }
    let draft = Draft {
        id: Some(kernel.bus().id_of_number(letter.at, letter.id)),
        source: Some(letter.path.as_str().into()),
        time: Some(letter.at),
        ..Draft::new(&Topic::new(TOPIC)?, data)
    };
    let event = Arc::new(draft.as_it_is());
    let append = store.append(stream, event, Durability::Async, None);
    if let Err(error) = append.await {
        let failed = written.failed.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(%error, id = letter.id, path = %letter.path, failed, "a dead letter was not written");
    }
    Ok(())
}
