//! Streams on a disk that is played, for the simulation of whole kernels: no thread writes, whoever waits does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use unity_supervisors::bus::Event;
use unity_supervisors::clock::Clock;
use unity_supervisors::stream::{
    Append, Durability, Entry, Position, StreamError, StreamName, StreamStore,
};

use super::sim::SimDisk;
use super::store::Store;
use super::{EmbeddedStreams, Options};

/// Small, so that a simulated minute has segments that are full and begun.
const OPTIONS: Options = Options {
    queue_len: 64,
    queue_bytes: 16_000,
    timeout: Duration::from_secs(1),
    segment_bytes: 4_000,
    recent_bytes: 1_000,
    unsynced_bytes: 8_000,
    sync_every: Duration::from_secs(3_600),
    gather: Duration::ZERO,
    write_at_once: usize::MAX,
    fill_bytes: 1_024,
    retry: Duration::from_millis(100),
};

/// A disk that outlives the kernels that write on it.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDisk(SimDisk);

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SimDisk::new(seed))
    }

    /// No byte more can be written, or some can again.
    pub(crate) fn fill(&self, is_full: bool) {
        if is_full {
            self.0.fill_up();
        } else {
            self.0.fill(false);
        }
    }

    /// Of a hundred writes and syncs so many fail.
    pub(crate) fn fail(&self, of_hundred: u8) {
        self.0.fail(of_hundred);
    }

    /// Does so many steps more, and then nothing.
    pub(crate) fn crash_after(&self, steps: usize) {
        self.0.crash_after(steps);
    }

    /// The process ends, and with it the machine, or not: what was written and not synced may be there then in any part.
    pub(crate) fn end(&self, with_machine: bool) {
        if with_machine {
            self.0.restart();
        } else {
            self.0.restart_process();
        }
    }

    /// Opens the streams on it.
    pub(crate) fn open(&self, clock: Clock) -> SimulatedStreams {
        let store = Store::new(self.0.clone(), Path::new("/"), clock, OPTIONS);
        SimulatedStreams(EmbeddedStreams {
            store: Arc::new(store),
            ended: None,
        })
    }
}

/// The streams of one life of a kernel.
#[derive(Debug)]
pub(crate) struct SimulatedStreams(EmbeddedStreams<SimDisk>);

impl SimulatedStreams {
    /// Appends something durable; it needs [`write`](Self::write) to get on.
    pub(crate) fn append(&self, stream: &StreamName, event: Arc<Event>) -> Append {
        self.0.append(stream, event, Durability::Durable, None)
    }

    /// Writes and syncs all that waits for it, as far as the disk lets it.
    pub(crate) fn write(&self) {
        // When the next is due is for one who waits.
        let _due = self.0.store.round(true);
    }

    pub(crate) fn read(
        &self,
        stream: &StreamName,
        after: Position,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        self.0.read(stream, after, Position::END, usize::MAX)
    }
}
