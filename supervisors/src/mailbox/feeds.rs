//! What is gathered elsewhere for this mailbox: called in when a lane runs empty.

use super::*;
use crate::bus::Bundle;

/// Gathers messages for mailboxes.
pub(crate) trait Feed: Send + Sync {
    /// A mailbox has none of the lane left: what is gathered is put into all mailboxes. `false` if nothing is, or somebody
    /// is about it already.
    fn call_in(&self) -> bool;
    /// The mailbox with this index goes to sleep: unless something is gathered, it is fed no more until something is.
    fn rest(&self, index: usize);
    /// Puts what is gathered into all mailboxes, and gathers no more.
    fn end(&self);
}

/// A feed of a lane, and the index that it knows this mailbox by.
struct Fed {
    lane: usize,
    index: usize,
    feed: Arc<dyn Feed>,
}

/// The feeds of a mailbox.
#[derive(Default)]
pub(super) struct Feeds {
    /// A bit for each lane that has one.
    lanes: AtomicU8,
    list: Mutex<Vec<Fed>>,
}

impl Feeds {
    /// A bit for each lane that may have something gathered.
    #[inline]
    pub(super) fn lanes(&self) -> u8 {
        self.lanes.load(Ordering::SeqCst)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Fed>)) {
        let mut list = self.list.lock();
        change(&mut list);
        let lanes = list.iter().fold(0, |all, fed| all | 1 << fed.lane);
        self.lanes.store(lanes, Ordering::SeqCst);
    }

    /// One of those of `lanes`.
    fn nth(&self, lanes: u8, nth: usize) -> Option<(usize, Arc<dyn Feed>)> {
        let list = self.list.lock();
        let mut its = list.iter().filter(|fed| lanes & (1 << fed.lane) != 0);
        its.nth(nth).map(|fed| (fed.index, Arc::clone(&fed.feed)))
    }
}

impl<M: Message> Mailbox<M> {
    /// From now on `feed` is called in when `lane` runs empty.
    pub(crate) fn feed(&self, lane: usize, index: usize, feed: Arc<dyn Feed>) {
        self.rest
            .feeds
            .change(|list| list.push(Fed { lane, index, feed }));
        // A reader that sleeps calls it in now.
        self.wake();
    }

    /// `feed` gathers nothing more for `lane`.
    pub(crate) fn unfeed(&self, lane: usize, feed: &Arc<dyn Feed>) {
        let its = |fed: &Fed| fed.lane == lane && Arc::ptr_eq(&fed.feed, feed);
        self.rest.feeds.change(|list| {
            if let Some(at) = list.iter().position(its) {
                list.swap_remove(at);
            }
        });
    }

    /// Has all that is gathered for it put into its lanes.
    pub(crate) fn end_feeds(&self) {
        while let Some((_, feed)) = self.rest.feeds.nth(ALL_LANES, 0) {
            feed.end();
        }
    }

    /// Calls in what is gathered for `lanes`, which are empty. `false` if nothing is.
    #[cold]
    pub(super) fn call_in(&self, lanes: u8) -> bool {
        (0..)
            .map_while(|seen| self.rest.feeds.nth(lanes, seen))
            .any(|(_, feed)| feed.call_in())
    }

    /// Whether something may be gathered for it.
    pub(crate) fn is_fed(&self) -> bool {
        self.rest.feeds.lanes() != 0
    }

    /// Looks for no more of what is gathered, before its reader goes to sleep.
    #[cold]
    pub(crate) fn rest_feeds(&self) {
        let feeds: Vec<_> = (0..)
            .map_while(|seen| self.rest.feeds.nth(ALL_LANES, seen))
            .collect();
        for (index, feed) in feeds {
            feed.rest(index);
        }
    }

    /// Whether its reader sleeps.
    pub(crate) fn is_asleep(&self) -> bool {
        self.rest.asleep.load(Ordering::Relaxed)
    }

    /// Reserves at most `most` places of `lane`; returns how many.
    pub(crate) fn reserve(&self, lane: usize, most: u32) -> u32 {
        if self.troubled.is_there() {
            // Each is to meet the trouble by itself.
            return 0;
        }
        self.inbox.permits().take_some(lane, most)
    }

    /// Gives reserved places back.
    pub(crate) fn give_back(&self, lane: usize, count: u32) {
        self.inbox.permits().give(lane, count);
        let wanted = self.rest.waiting.wanted();
        if wanted != 0 {
            self.wake_senders(wanted);
        }
    }

    /// Puts events into reserved places; where the gate is closed they become dead letters.
    pub(crate) fn put_reserved(&self, lane: usize, bundle: Arc<Bundle>, make: &Make<M>) {
        let bundled = Bundled::all(bundle, self.valid(), Arc::clone(make));
        match self.inbox.push_bundled(lane, bundled) {
            Ok(true) => self.wake_if_asleep(),
            Ok(false) => {}
            Err(bundled) => {
                let count = u32::try_from(bundled.len()).unwrap_or(u32::MAX);
                self.inbox.permits().give(lane, count);
                self.bury_item(Item::Bundled(bundled), DeadReason::Stopped);
            }
        }
    }
}
