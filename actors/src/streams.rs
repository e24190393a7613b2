//! The embedded store of streams: [`EmbeddedStreams`], a log of segments in a folder, without a server.
//!
//! What is promised: an append that is [`Durability::Durable`] and done is there after any crash, of the process or of the
//! machine, once, in its place and whole. One that is asynchronous is there too, unless the crash comes within its first
//! moments, and never without those before it. Positions are not used twice, unless the clock is set back across a
//! crash. What a group acknowledged may be handed out again after a crash; what it did not acknowledge is never taken
//! as acknowledged. What the disk spoils is said, counted and skipped.
//!
//! | file | holds |
//! |---|---|
//! | `record`, `json`, `segment`, `book` | what is on disk, as bytes: frozen, behind a version |
//! | `state`, `shelf` | what a stream is in memory, and where its entries are |
//! | `open`, `write`, `stream` | how it is found again, written and read |
//! | `disk` | the steps that all this is made of, so that a test can end them anywhere |
//! | `sim`, `simulated` | a disk that is played, and a store on it for the simulation of a kernel |
//!
//! One thread writes for all streams. It takes all that is queued, writes it, syncs once for all who wait, calls those to
//! whom it is to be delivered, and then those who wait: the more publishers, the more there is in one sync. An
//! asynchronous append has its place at once and is delivered where it is made, unless something durable is before it.
//! Who reads does so on its own thread: the last entries are in memory, and what is older is most often in the memory of
//! the system. A disk that keeps readers waiting would be a reason for a thread of their own.
//!
//! The log is our own and no database: the crash test needs a disk that can be played, to the single write and
//! sync; and a log of segments was as quick as or quicker than what there is (fjall 3, redb 4, `SQLite`) where it
//! counts here, in synced batches and in reading forward.

mod bell;
mod book;
mod bug;
#[cfg(test)]
mod crash;
mod disk;
mod json;
#[cfg(test)]
mod kernels;
mod open;
mod record;
mod segment;
mod shelf;
mod sim;
pub(crate) mod simulated;
mod state;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::fs::FlockOperation;
use tokio::sync::watch;
use unity_supervisors::bus::Event;
use unity_supervisors::clock::Clock;
use unity_supervisors::stream::{
    Append, Deliver, Durability, Entry, Pending, Position, Retention, StreamError, StreamInfo,
    StreamName, StreamStore,
};

pub use self::disk::DiskFaults;
use self::disk::{Disk, RealDisk};
use self::store::Store;
use self::stream::{Promised, Stream};

/// What bounds the streams of a store. The defaults are for a machine with a disk of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many entries of a stream may wait to be written. Appends wait while there are more.
    pub queue_len: usize,
    /// How many bytes of a stream may.
    pub queue_bytes: usize,
    /// How long an append waits while nothing can be written.
    pub timeout: Duration,
    /// How long a segment is, about.
    pub segment_bytes: u64,
    /// How many bytes of the last entries of a stream are kept in memory. Those that are not on disk yet always are.
    pub recent_bytes: usize,
    /// After how many bytes a stream is synced, whether or not somebody waits.
    pub unsynced_bytes: usize,
    /// How long something may be unsynced.
    pub sync_every: Duration,
    /// How long asynchronous appends are gathered before they are written.
    pub gather: Duration,
    /// How many bytes of asynchronous appends are written without waiting for more.
    pub write_at_once: usize,
    /// In what steps a segment is filled with zeros ahead of what is synced; 0 is not at all.
    pub fill_bytes: u64,
    /// How long it is before what failed is tried again.
    pub retry: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_len: 65_536,
            queue_bytes: 32 << 20,
            timeout: Duration::from_secs(5),
            segment_bytes: 16 << 20,
            recent_bytes: 4 << 20,
            unsynced_bytes: 32 << 20,
            sync_every: Duration::from_millis(100),
            gather: Duration::from_millis(5),
            write_at_once: 256 << 10,
            fill_bytes: 1 << 20,
            retry: Duration::from_millis(100),
        }
    }
}

/// Why a folder of streams cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it open.
    #[error("the streams in {0} are open in another process: end that one, or use another folder")]
    Locked(PathBuf),
    /// The system refuses.
    #[error("the streams in {folder} cannot be opened: {error}", folder = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

const LOCK: &str = "lock";

/// Streams in a folder. Each is opened when it is first used.
#[derive(Debug)]
pub struct EmbeddedStreams<D: Disk = RealDisk> {
    store: Arc<Store<D>>,
    /// Tells when the thread that writes has ended. There is none where a test writes.
    ended: Option<watch::Receiver<()>>,
}

impl EmbeddedStreams {
    /// Opens a folder, which is made if it is not there, and holds it until it is closed, or dropped and all is written.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        folder: impl AsRef<Path>,
        clock: Clock,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let folder = folder.as_ref();
        let failed = |error: io::Error| OpenError::Io(folder.to_owned(), error);
        let disk = RealDisk::default();
        disk.make_folder(folder).map_err(failed)?;
        let lock = lock(folder)?;
        let store = Arc::new(Store::new(disk, folder, clock, options));
        let (ends, ended) = watch::channel(());
        let writes = Arc::clone(&store);
        let write = move || {
            writes.write_until_closed();
            drop(lock);
            drop(ends);
        };
        let name = "uk-streams".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(write);
        // It ends with the store.
        drop(thread.map_err(failed)?);
        let ended = Some(ended);
        Ok(Arc::new(Self { store, ended }))
    }

    /// What of its disk can be broken on purpose.
    #[must_use]
    pub fn disk_faults(&self) -> Arc<DiskFaults> {
        Arc::clone(&self.store.env.disk.faults)
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let failed = |error: io::Error| OpenError::Io(folder.to_owned(), error);
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(folder.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

impl<D: Disk> Drop for EmbeddedStreams<D> {
    fn drop(&mut self) {
        self.store.env.bell.close();
    }
}

/// What is done is done when it is asked for; the future only brings it.
fn done<T: Send + 'static>(
    answer: Result<T, StreamError>,
) -> BoxFuture<'static, Result<T, StreamError>> {
    ready(answer).boxed()
}

/// The same for what counts once it is on disk.
fn promised<T: Send + 'static>(
    stream: &StreamName,
    promised: Result<Promised<T>, StreamError>,
) -> BoxFuture<'static, Result<T, StreamError>> {
    let stream = stream.clone();
    let wait = async move {
        let Promised { answer, written } = promised?;
        let Some(written) = written else {
            return Ok(answer);
        };
        match written.await {
            Ok(Ok(())) => Ok(answer),
            Ok(Err(why)) => Err(StreamError::NotWritten { stream, why }),
            Err(_) => Err(StreamError::Closed),
        }
    };
    wait.boxed()
}

impl<D: Disk> StreamStore for EmbeddedStreams<D> {
    fn append(
        &self,
        stream: &StreamName,
        event: Arc<Event>,
        durability: Durability,
        deliver: Option<Deliver>,
    ) -> Append {
        match self.store.open_or_make(stream) {
            Ok(open) => open.append(event, durability, deliver),
            Err(StreamError::NotRead { stream, why }) => {
                Append::Done(Err(StreamError::NotWritten { stream, why }))
            }
            Err(error) => Append::Done(Err(error)),
        }
    }

    fn read(
        &self,
        stream: &StreamName,
        after: Position,
        until: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        let read = |stream: &Stream<D>| stream.read(after, until, limit);
        done(self.store.if_there(stream, read))
    }

    fn read_back(
        &self,
        stream: &StreamName,
        before: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        let read = |stream: &Stream<D>| stream.read_back(before, limit);
        done(self.store.if_there(stream, read))
    }

    fn wait(&self, stream: &StreamName, after: Position) -> BoxFuture<'static, ()> {
        let Ok(stream) = self.store.open_or_make(stream) else {
            return std::future::pending().boxed();
        };
        let mut seen = stream.seen.subscribe();
        let Err(after) = stream.look_after(after) else {
            return ready(()).boxed();
        };
        let wait = async move {
            if seen.wait_for(|seen| *seen > after).await.is_err() {
                std::future::pending().await
            }
        };
        wait.boxed()
    }

    fn last(&self, stream: &StreamName) -> BoxFuture<'static, Result<Position, StreamError>> {
        let last = |stream: &Stream<D>| Ok(stream.state.lock().visible);
        done(self.store.if_there(stream, last))
    }

    fn streams(&self) -> BoxFuture<'static, Result<Vec<StreamInfo>, StreamError>> {
        done(self.store.infos())
    }

    fn set_retention(&self, stream: &StreamName, retention: Retention) {
        if let Ok(stream) = self.store.open_or_make(stream) {
            stream.state.lock().retention = retention;
        }
    }

    fn trim(
        &self,
        stream: &StreamName,
        retention: Retention,
    ) -> BoxFuture<'static, Result<u64, StreamError>> {
        let trim = |stream: &Stream<D>| stream.trim(retention);
        promised(stream, self.store.with(stream, trim))
    }

    fn make_group(
        &self,
        stream: &StreamName,
        group: &str,
        cursor: Position,
    ) -> BoxFuture<'static, Result<bool, StreamError>> {
        let opened = self.store.open_or_make(stream);
        promised(stream, opened.map(|open| open.make_group(group, cursor)))
    }

    fn set_cursor(
        &self,
        stream: &StreamName,
        group: &str,
        cursor: Position,
    ) -> BoxFuture<'static, Result<(), StreamError>> {
        let set = |stream: &Stream<D>| stream.set_cursor(group, cursor);
        promised(stream, self.store.with(stream, set))
    }

    fn drop_group(
        &self,
        stream: &StreamName,
        group: &str,
    ) -> BoxFuture<'static, Result<bool, StreamError>> {
        let drop = |stream: &Stream<D>| Ok(stream.drop_group(group));
        promised(stream, self.store.if_there(stream, drop))
    }

    fn read_group(
        &self,
        stream: &StreamName,
        group: &str,
        consumer: &str,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Entry>, StreamError>> {
        let read = |stream: &Stream<D>| stream.read_group(group, consumer, limit);
        done(self.store.with(stream, read))
    }

    fn ack(
        &self,
        stream: &StreamName,
        group: &str,
        positions: &[Position],
    ) -> BoxFuture<'static, Result<u64, StreamError>> {
        let ack = |stream: &Stream<D>| stream.ack(group, positions);
        done(self.store.with(stream, ack))
    }

    fn pending(
        &self,
        stream: &StreamName,
        group: &str,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Pending>, StreamError>> {
        let pending = |stream: &Stream<D>| stream.pending(group, after, limit);
        done(self.store.with(stream, pending))
    }

    fn claim(
        &self,
        stream: &StreamName,
        group: &str,
        consumer: &str,
        idle: Duration,
        positions: &[Position],
    ) -> BoxFuture<'static, Result<Vec<(Entry, u64)>, StreamError>> {
        let claim = |stream: &Stream<D>| stream.claim(group, consumer, idle, positions);
        done(self.store.with(stream, claim))
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.store.env.bell.close();
        let Some(mut ended) = self.ended.clone() else {
            self.store.close();
            return ready(()).boxed();
        };
        // An error says that the thread is gone, which is what is waited for.
        async move { while ended.changed().await.is_ok() {} }.boxed()
    }
}
