//! Streams read as one: a page of each at a time, in the order in which events were kept.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use unity_supervisors::bus::Event;
use unity_supervisors::stream::{Entry, Position, StreamError, StreamName, StreamStore};

/// How many entries of a stream are read at once.
const PAGE: usize = 32;

/// Where each stream is read on: after the first, up to the second.
pub type Cursor = BTreeMap<StreamName, (Position, Position)>;

/// Reads streams as one.
pub struct Merge {
    store: Arc<dyn StreamStore>,
    cursor: Cursor,
    /// What was read and is not told; none for a stream that is at its end.
    pages: BTreeMap<StreamName, VecDeque<Entry>>,
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Merge").field(&self.cursor).finish()
    }
}

impl Merge {
    /// Of these streams, from `after` on, up to `until` and to what is the end of each now: what is told on the bus may be kept
    /// in them again.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn new(
        store: &Arc<dyn StreamStore>,
        streams: Vec<StreamName>,
        after: Position,
        until: Position,
    ) -> Result<Self, StreamError> {
        let mut cursor = Cursor::new();
        for stream in streams {
            let end = store.last(&stream).await?.min(until);
            cursor.insert(stream, (after, end));
        }
        Ok(Self::on(store, cursor))
    }

    /// One that reads on.
    #[must_use]
    pub fn on(store: &Arc<dyn StreamStore>, cursor: Cursor) -> Self {
        let pages = cursor
            .keys()
            .map(|stream| (stream.clone(), VecDeque::new()));
        Self {
            store: Arc::clone(store),
            pages: pages.collect(),
            cursor,
        }
    }

    /// Where it would read on.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// If a stream cannot be read.
    pub async fn next(&mut self) -> Result<Option<Arc<Event>>, StreamError> {
        let mut ended = Vec::new();
        for (stream, page) in &mut self.pages {
            let Some((after, until)) = self.cursor.get(stream).filter(|_| page.is_empty()) else {
                continue;
            };
            if after < until {
                let read = self.store.read(stream, *after, *until, PAGE);
                page.extend(read.await?);
            }
            if page.is_empty() {
                ended.push(stream.clone());
            }
        }
        for stream in ended {
            self.pages.remove(&stream);
        }
        let heads = self.pages.iter().filter_map(|(stream, page)| {
            let head = page.front()?;
            Some((head.position, stream))
        });
        let Some((position, stream)) = heads.min().map(|(at, stream)| (at, stream.clone())) else {
            return Ok(None);
        };
        if let Some((after, _)) = self.cursor.get_mut(&stream) {
            *after = position;
        }
        let next = self.pages.get_mut(&stream).and_then(VecDeque::pop_front);
        Ok(next.map(|entry| entry.event))
    }
}
