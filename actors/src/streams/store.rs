//! The streams of a folder, and the loop of the one who writes them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;
use unity_supervisors::clock::Clock;
use unity_supervisors::stream::{Position, Retention, StreamError, StreamInfo, StreamName};

use super::Options;
use super::bell::Bell;
use super::disk::Disk;
use super::open::{self, stream_name};
use super::stream::{Env, Stream};
use super::write::Round;

/// Streams that are open or can be.
pub(super) struct Store<D: Disk> {
    pub(super) env: Arc<Env<D>>,
    /// `None` once it is closed.
    streams: RwLock<Option<BTreeMap<StreamName, Arc<Stream<D>>>>>,
}

impl<D: Disk> fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.env.folder).finish()
    }
}

impl<D: Disk> Store<D> {
    pub(super) fn new(disk: D, folder: &Path, clock: Clock, options: Options) -> Self {
        let env = Env {
            disk,
            folder: folder.to_owned(),
            begun: clock.wall(),
            clock,
            options,
            bell: Bell::default(),
        };
        Self {
            env: Arc::new(env),
            streams: RwLock::new(Some(BTreeMap::new())),
        }
    }

    /// A stream, opened now if it is not.
    pub(super) fn open_or_make(&self, name: &StreamName) -> Result<Arc<Stream<D>>, StreamError> {
        let known = self
            .streams
            .read()
            .as_ref()
            .map(|open| open.get(name).cloned());
        if let Some(known) = known.ok_or(StreamError::Closed)? {
            return Ok(known);
        }
        let mut streams = self.streams.write();
        let streams = streams.as_mut().ok_or(StreamError::Closed)?;
        if let Some(known) = streams.get(name) {
            return Ok(Arc::clone(known));
        }
        let stream = open::open(&self.env, name).map_err(|why| StreamError::NotRead {
            stream: name.clone(),
            why,
        })?;
        let stream = Arc::new(stream);
        streams.insert(name.clone(), Arc::clone(&stream));
        Ok(stream)
    }

    /// Does `act` with a stream that is there.
    pub(super) fn with<T>(
        &self,
        name: &StreamName,
        act: impl FnOnce(&Stream<D>) -> Result<T, StreamError>,
    ) -> Result<T, StreamError> {
        let known = self
            .streams
            .read()
            .as_ref()
            .map(|open| open.get(name).cloned());
        let stream = match known.ok_or(StreamError::Closed)? {
            Some(open) => open,
            None if self.is_on_disk(name) => self.open_or_make(name)?,
            None => return Err(StreamError::NoStream(name.clone())),
        };
        match stream.is_made() {
            true => act(&stream),
            false => Err(StreamError::NoStream(name.clone())),
        }
    }

    /// The same, where one that is not there is no error.
    pub(super) fn if_there<T: Default>(
        &self,
        name: &StreamName,
        act: impl FnOnce(&Stream<D>) -> Result<T, StreamError>,
    ) -> Result<T, StreamError> {
        match self.with(name, act) {
            Err(StreamError::NoStream(_)) => Ok(T::default()),
            done => done,
        }
    }

    fn is_on_disk(&self, name: &StreamName) -> bool {
        let folder = self.env.folder.join(open::folder_name(name));
        let names = self.env.disk.list(&folder);
        names.is_ok_and(|names| !names.is_empty())
    }

    /// All streams. One that cannot be opened says why.
    pub(super) fn infos(&self) -> Result<Vec<StreamInfo>, StreamError> {
        let open = self
            .streams
            .read()
            .as_ref()
            .map(|open| open.keys().cloned().collect());
        let mut names: Vec<StreamName> = open.ok_or(StreamError::Closed)?;
        // A folder that cannot be listed is said by what is asked of its streams.
        let folders = self.env.disk.list(&self.env.folder).unwrap_or_default();
        names.extend(folders.iter().filter_map(|folder| stream_name(folder)));
        names.sort_unstable();
        names.dedup();
        let mut infos = Vec::with_capacity(names.len());
        for name in names {
            let info = self.with(&name, |stream| {
                stream.info().map_err(|error| stream.not_read(error))
            });
            match info {
                Ok(info) => infos.push(info),
                Err(StreamError::NoStream(_)) => {}
                Err(StreamError::NotRead { why, .. }) => infos.push(refused(name, why)),
                Err(error) => return Err(error),
            }
        }
        Ok(infos)
    }

    fn open_streams(&self) -> Vec<Arc<Stream<D>>> {
        let streams = self.streams.read();
        let open = streams.iter().flat_map(BTreeMap::values);
        open.map(Arc::clone).collect()
    }

    /// One round for each stream; when the next is due.
    pub(super) fn round(&self, syncs: bool) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        for stream in self.open_streams() {
            let rest = match stream.round(syncs) {
                Round::Rests => continue,
                Round::Syncs(since) => {
                    let due = since + self.env.options.sync_every;
                    due.saturating_duration_since(Instant::now())
                }
                Round::GoesOn => Duration::ZERO,
                Round::Fails => self.env.options.retry,
            };
            next = Some(next.map_or(rest, |next| next.min(rest)));
        }
        next
    }

    /// Writes whenever the bell is rung, and when what was written is to be synced.
    pub(super) fn write_until_closed(&self) {
        let mut rest = None;
        loop {
            let rung = self.env.bell.listen(rest, self.env.options.gather);
            if rung.closes {
                return self.close();
            }
            rest = self.round(false);
        }
    }

    /// Takes nothing more, and writes all that there is.
    pub(super) fn close(&self) {
        let closed = self.streams.write().take();
        for stream in closed.iter().flat_map(BTreeMap::values) {
            stream.close();
        }
    }
}

/// A stream that cannot be opened, as far as it is known.
fn refused(name: StreamName, why: String) -> StreamInfo {
    StreamInfo {
        name,
        length: 0,
        bytes: 0,
        first: None,
        last: Position::START,
        retention: Retention::default(),
        groups: Vec::new(),
        skipped: 0,
        trouble: Some(why),
    }
}
