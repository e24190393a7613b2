//! What becomes of dead letters: they are listed, sent again, dropped.
//!
//! Letters are those of the stream where there is one, also of earlier kernels; else those of the kernel's list. A letter
//! is open as long as the group `dlq` of the stream has it pending; settled, it is acknowledged there, which outlives the
//! kernel as the stream does.
//!
//! A retry marks the letter as begun, sends its message, and settles it; one that is refused is marked as open again. A kernel
//! that ends between those leaves a letter that is begun, of which nobody can say whether its message arrived: it stays listed, is not
//! retried with all others, and a person decides. Considered: to settle first (loses a message to a crash there) and to send
//! first (sends it twice).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
use unity_supervisors::dead_letter::DeadLetter;
use unity_supervisors::stream::{Entry, Pending, Position, StreamError, StreamStore};
use unity_supervisors::{ActorPath, Kernel, KernelError};

use super::{number, stream};

/// The group of the stream whose pending entries are the open letters.
pub const GROUP: &str = "dlq";
/// Who has the letters that wait for somebody to decide.
const OPEN: &str = "open";
/// Who has those that a retry has begun with.
const BEGUN: &str = "retry";
/// How many letters are looked at in one call.
const PAGE: usize = 256;

/// A letter that is not settled.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its number: that of the list, counted on over kernel starts where there is a stream.
    pub number: u64,
    /// Whether a retry began and did not end, so that its message may have arrived.
    pub is_begun: bool,
    /// It, as [`DeadLetter`] prints itself.
    pub json: Value,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Stream(Position),
    List(Arc<DeadLetter>),
}

impl Letter {
    fn of_entry(entry: &Entry, pending: &Pending) -> Self {
        Self {
            number: number(&entry.event.data),
            is_begun: pending.consumer == BEGUN,
            json: entry.event.data.clone(),
            place: Place::Stream(entry.position),
        }
    }

    fn of_list(letter: &Arc<DeadLetter>) -> Self {
        Self {
            number: letter.id,
            is_begun: false,
            json: serde_json::json!(**letter),
            place: Place::List(Arc::clone(letter)),
        }
    }

    /// Whose mailbox it was in.
    #[must_use]
    pub fn path(&self) -> Option<ActorPath> {
        self.json.get("path")?.as_str()?.parse().ok()
    }
}

/// Why a letter was not sent again. It stays.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is nothing to send.
    #[error("its message has no JSON form that was kept, only its name and what `Debug` prints")]
    NoJson,
    /// Its secrets were not written.
    #[error("its message held a secret, which is not kept")]
    Masked,
    /// It is from a path that is none any more.
    #[error("it does not say whose mailbox it was in")]
    NoPath,
    /// Who is to receive it does not.
    #[error(transparent)]
    Refused(#[from] KernelError),
    /// Somebody settled it meanwhile.
    #[error("it was settled meanwhile")]
    Settled,
    /// Its stream cannot be asked or told.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// One for a kernel: whoever settles letters does so alone.
#[derive(Default)]
struct Door(Arc<Mutex<()>>);

/// Lists and settles the letters of a kernel.
pub struct Desk {
    kernel: Kernel,
    store: Option<Arc<dyn StreamStore>>,
    /// None with one that only looks.
    _alone: Option<OwnedMutexGuard<()>>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// To look at letters.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn look(kernel: &Kernel) -> Result<Self, StreamError> {
        let desk = Self {
            kernel: kernel.clone(),
            store: kernel.bus().store().cloned(),
            _alone: None,
        };
        desk.take_in().await?;
        Ok(desk)
    }

    /// To settle letters as well; waits until nobody else does.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn work(kernel: &Kernel) -> Result<Self, StreamError> {
        let door: Arc<Door> = kernel.shared();
        let alone = Arc::clone(&door.0).lock_owned().await;
        Ok(Self {
            _alone: Some(alone),
            ..Self::look(kernel).await?
        })
    }

    /// Makes all letters that were written pending, and forgets those that are kept no more.
    async fn take_in(&self) -> Result<(), StreamError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let stream = stream();
        if store.last(&stream).await? == Position::START {
            return Ok(());
        }
        store.make_group(&stream, GROUP, Position::START).await?;
        loop {
            let new = store.read_group(&stream, GROUP, OPEN, PAGE).await?;
            if new.is_empty() {
                break;
            }
        }
        let oldest = store
            .read(&stream, Position::START, Position::END, 1)
            .await?;
        let first = oldest.first().map_or(Position::END, |entry| entry.position);
        loop {
            let page = store.pending(&stream, GROUP, Position::START, PAGE).await?;
            let gone = page.iter().map(|its| its.position);
            let gone: Vec<Position> = gone.take_while(|position| *position < first).collect();
            if gone.is_empty() {
                return Ok(());
            }
            store.ack(&stream, GROUP, &gone).await?;
        }
    }

    /// How many letters are open.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn count(&self) -> Result<u64, StreamError> {
        let Some(store) = &self.store else {
            return Ok(self.kernel.dead_letters().list().len() as u64);
        };
        let (name, streams) = (stream(), store.streams().await?);
        let info = streams.into_iter().find(|its| its.name == name);
        let group = info.and_then(|info| info.groups.into_iter().find(|its| its.name == GROUP));
        Ok(group.map_or(0, |group| group.pending))
    }

    /// At most `limit` open letters that `wanted` wants, the newest first.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn newest(
        &self,
        limit: usize,
        wanted: impl Fn(&Letter) -> bool,
    ) -> Result<Vec<Letter>, StreamError> {
        let mut found = Vec::new();
        let mut before = Position::END;
        while found.len() < limit {
            let page = self.page_back(before).await?;
            let Some((oldest, letters)) = page else { break };
            found.extend(letters.into_iter().filter(&wanted));
            before = oldest;
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The open ones among the letters before `before`, the newest first, and where that page ends.
    async fn page_back(
        &self,
        before: Position,
    ) -> Result<Option<(Position, Vec<Letter>)>, StreamError> {
        let Some(store) = &self.store else {
            let list = self.kernel.dead_letters().list();
            let letters = list.iter().rev().map(Letter::of_list).collect();
            return Ok((before == Position::END).then_some((Position::START, letters)));
        };
        let stream = stream();
        let entries = store.read_back(&stream, before, PAGE).await?;
        let Some(oldest) = entries.last().map(|entry| entry.position) else {
            return Ok(None);
        };
        let pending = store
            .pending(&stream, GROUP, oldest.previous(), PAGE)
            .await?;
        let open = entries.iter().filter_map(|entry| {
            let its = pending.binary_search_by_key(&entry.position, |its| its.position);
            Some(Letter::of_entry(entry, pending.get(its.ok()?)?))
        });
        Ok(Some((oldest, open.collect())))
    }

    /// All open letters that there are now and that `wanted` wants, the oldest first, a page at a time: those after `after`. An
    /// empty page has a place to go on from all the same; none is the end.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn page(
        &self,
        after: Position,
        until: Position,
    ) -> Result<Option<(Position, Vec<Letter>)>, StreamError> {
        let Some(store) = &self.store else {
            let list = self.kernel.dead_letters().list();
            let letters = list.iter().map(Letter::of_list).collect();
            return Ok((after == Position::START).then_some((until, letters)));
        };
        if until == Position::START {
            return Ok(None);
        }
        let stream = stream();
        let mut pending = store.pending(&stream, GROUP, after, PAGE).await?;
        pending.retain(|its| its.position <= until);
        let Some(last) = pending.last().map(|its| its.position) else {
            return Ok(None);
        };
        let mut letters = Vec::with_capacity(pending.len());
        for its in &pending {
            let found = store.read(&stream, its.position.previous(), its.position, 1);
            let found = found.await?;
            letters.extend(found.first().map(|entry| Letter::of_entry(entry, its)));
        }
        Ok(Some((last, letters)))
    }

    /// The newest place that there is now.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn last(&self) -> Result<Position, StreamError> {
        match &self.store {
            Some(store) => store.last(&stream()).await,
            None => Ok(Position::END),
        }
    }

    /// The open letter of this number.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn get(&self, wanted: u64) -> Result<Option<Letter>, StreamError> {
        let Some(store) = &self.store else {
            let letter = self.kernel.dead_letters().get(wanted);
            return Ok(letter.as_ref().map(Letter::of_list));
        };
        let stream = stream();
        // Numbers grow with places. It is after `low`, and at or before `high`.
        let (mut low, mut high) = (0, place_of(store.last(&stream).await?));
        while low < high {
            let middle = low + (high - low) / 2;
            let next = store
                .read(&stream, at_place(middle), Position::END, 1)
                .await?;
            let Some(entry) = next.first() else { break };
            match number(&entry.event.data).cmp(&wanted) {
                std::cmp::Ordering::Less => low = place_of(entry.position),
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let before = entry.position.previous();
                    let pending = store.pending(&stream, GROUP, before, 1).await?;
                    let its = pending.first().filter(|its| its.position == entry.position);
                    return Ok(its.map(|its| Letter::of_entry(entry, its)));
                }
            }
        }
        Ok(None)
    }

    /// Sends a letter again, `message` in place of its own and to `to` in place of whom it was for, if given, and settles it.
    ///
    /// # Errors
    /// [`RetryError`]; the letter stays.
    pub async fn retry(
        &self,
        letter: &Letter,
        to: Option<&ActorPath>,
        message: Option<&Value>,
    ) -> Result<ActorPath, RetryError> {
        let own = letter.json.get("message");
        let message = match (message, own) {
            (Some(message), _) => message,
            (None, Some(_)) if letter.json.get("masked").is_some() => {
                return Err(RetryError::Masked);
            }
            (None, Some(own)) => own,
            (None, None) => return Err(RetryError::NoJson),
        };
        let to = to.cloned().or_else(|| letter.path());
        let to = to.ok_or(RetryError::NoPath)?;
        if !self.begin(letter).await? {
            return Err(RetryError::Settled);
        }
        let mut begun = Begun(Some((self, letter)));
        let told = self.kernel.tell(&to, message.clone()).await;
        match told {
            Ok(()) => {
                begun.0 = None;
                self.end(letter).await?;
                Ok(to)
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// Settles a letter; `false` if it was settled already.
    ///
    /// # Errors
    /// If the stream cannot be told.
    pub async fn drop_letter(&self, letter: &Letter) -> Result<bool, StreamError> {
        match (&letter.place, &self.store) {
            (Place::Stream(position), Some(store)) => {
                let dropped = store.ack(&stream(), GROUP, &[*position]).await?;
                Ok(dropped > 0)
            }
            (Place::List(letter), _) => Ok(self.kernel.dead_letters().take(letter.id).is_some()),
            (Place::Stream(_), None) => Ok(false),
        }
    }

    async fn begin(&self, letter: &Letter) -> Result<bool, StreamError> {
        match (&letter.place, &self.store) {
            (Place::Stream(position), Some(store)) => {
                let claim = store.claim(&stream(), GROUP, BEGUN, Duration::ZERO, &[*position]);
                Ok(!claim.await?.is_empty())
            }
            _ => self.drop_letter(letter).await,
        }
    }

    async fn end(&self, letter: &Letter) -> Result<(), StreamError> {
        match &letter.place {
            Place::Stream(_) => self.drop_letter(letter).await.map(drop),
            // It was taken off the list when it began.
            Place::List(_) => Ok(()),
        }
    }
}

/// A retry that did not send anything, unless it is emptied: whoever asked for it may go away while it waits for room.
struct Begun<'a>(Option<(&'a Desk, &'a Letter)>);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some((desk, letter)) = self.0.take() else {
            return;
        };
        match (&letter.place, &desk.store) {
            (Place::Stream(position), Some(store)) => {
                // The call has its effect when it is made. Without, the letter stays as one that has begun.
                drop(store.claim(&stream(), GROUP, OPEN, Duration::ZERO, &[*position]));
            }
            (Place::List(letter), _) => desk.kernel.dead_letters().put_back(Arc::clone(letter)),
            (Place::Stream(_), None) => {}
        }
    }
}

/// A position as one number, in the same order.
fn place_of(position: Position) -> u128 {
    u128::from(position.ms) << 64 | u128::from(position.seq)
}

fn at_place(place: u128) -> Position {
    let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
    Position {
        ms: half(place >> 64),
        seq: half(place),
    }
}
