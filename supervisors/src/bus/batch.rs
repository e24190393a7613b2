//! Batches: while the subscribers of a topic are awake, its events are gathered and put into all mailboxes together, so that
//! a mailbox is touched once for many events and not for each.
//!
//! That changes nothing of what a subscriber sees. One that has no message of the lane left calls the batch in before it
//! looks at a less urgent lane or sleeps; one that sleeps is woken by the next event. And each gathered event has a place
//! reserved in every mailbox, so that bounds hold, and who has no room is known at once.

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::Route;
use super::event::Event;
use super::stats::Counts;
use crate::mailbox::Feed;

/// How many events are gathered at most.
const GATHERED_MAX: u32 = 128;
/// For fewer subscribers nothing is gathered: a mailbox takes in what it was sent as a whole anyway.
const SUBSCRIBERS_MIN: usize = 3;

/// A mailbox that a batch goes to.
pub(super) trait Fed: Send + Sync {
    /// Whether its reader sleeps, with nothing to do.
    fn is_asleep(&self) -> bool;
    /// Reserves at most `most` places, and no more than a part of those that are free; returns how many.
    fn reserve(&self, lane: usize, most: u32) -> u32;
    /// Waits until it has places to reserve, or none for long.
    fn room(&self, lane: usize) -> BoxFuture<'_, ()>;
    /// Gives places back.
    fn give_back(&self, lane: usize, count: u32);
    /// Puts events into reserved places.
    fn put_all(&self, lane: usize, events: &Arc<[Arc<Event>]>);
    /// From now on calls the batch in when the lane runs empty, as the one with this index; wakes its reader.
    fn feed(&self, lane: usize, index: usize, feed: Arc<dyn Feed>);
    /// Does so no longer.
    fn unfeed(&self, lane: usize, feed: &Arc<dyn Feed>);
    /// Has all that is gathered for it, of any topic, put into its lanes.
    fn end_feeds(&self);
}

/// What is gathered of one topic.
///
/// Lock order: `order`, then `state`. A publisher that gathers only takes `state`, which nobody holds for long.
pub(super) struct Batch {
    /// Held while events go from the batch into the mailboxes, which keeps their order; what is on its way lies in it.
    order: Mutex<Vec<Arc<Event>>>,
    state: Mutex<Option<Open>>,
    counts: Arc<Counts>,
    myself: Weak<Self>,
}

struct Open {
    route: Arc<Route>,
    lane: usize,
    gathered: Vec<Arc<Event>>,
    /// How many places are reserved in each mailbox.
    held: Vec<u32>,
    /// The least of them.
    credit: usize,
    /// Who found nothing gathered and does not look again until it is woken.
    idle: Vec<usize>,
    /// Whether somebody goes to sleep who has not been brought what is gathered.
    is_wanted: bool,
    feed: Arc<dyn Feed>,
}

/// An event that was not gathered.
pub(super) struct Kept {
    pub(super) event: Arc<Event>,
    /// As a mailbox has no places to reserve.
    pub(super) is_short: bool,
}

impl Kept {
    fn at_once(event: Arc<Event>) -> Self {
        let is_short = false;
        Self { event, is_short }
    }

    fn short(event: Arc<Event>) -> Self {
        let is_short = true;
        Self { event, is_short }
    }
}

impl Open {
    /// Whether an event of this route and lane may be gathered now.
    fn takes(&self, route: &Arc<Route>, lane: usize) -> bool {
        self.is_of(route, lane) && self.gathered.len() < self.credit
    }

    fn is_of(&self, route: &Arc<Route>, lane: usize) -> bool {
        Arc::ptr_eq(&self.route, route) && self.lane == lane
    }

    /// Reserves places for more. `false` if a mailbox has none.
    fn reserve(&mut self) -> bool {
        let mut least = GATHERED_MAX;
        for (fed, held) in self.route.fed.iter().zip(&mut self.held) {
            if *held < GATHERED_MAX / 2 {
                *held += fed.reserve(self.lane, GATHERED_MAX - *held);
            }
            least = least.min(*held);
            if least == 0 {
                break;
            }
        }
        self.credit = least as usize;
        self.gathered.len() < self.credit
    }

    /// Gathers an event, and wakes those that found none before.
    #[inline]
    fn gather(&mut self, event: Arc<Event>) {
        self.gathered.push(event);
        for index in self.idle.drain(..) {
            if let Some(fed) = self.route.fed.get(index) {
                fed.feed(self.lane, index, Arc::clone(&self.feed));
            }
        }
    }

    /// Puts what is gathered on its way.
    fn send_off(&mut self, under_way: &mut Vec<Arc<Event>>, counts: &Counts) {
        std::mem::swap(&mut self.gathered, under_way);
        let count = u32::try_from(under_way.len()).unwrap_or(u32::MAX);
        for held in &mut self.held {
            *held -= count.min(*held);
        }
        self.credit -= under_way.len().min(self.credit);
        counts.add_all(under_way, self.route.fed.len());
    }

    /// The one with this index has nothing to do; returns whether that is so of all.
    fn rest(&mut self, index: usize) -> bool {
        if let (Some(fed), Some(held)) = (self.route.fed.get(index), self.held.get_mut(index)) {
            fed.unfeed(self.lane, &self.feed);
            if self.gathered.is_empty() {
                fed.give_back(self.lane, std::mem::take(held));
                self.credit = 0;
            } else {
                self.is_wanted = true;
            }
            if !self.idle.contains(&index) {
                self.idle.push(index);
            }
        }
        self.gathered.is_empty() && self.idle.len() == self.route.fed.len()
    }

    /// Lets go of all mailboxes.
    fn close(self) {
        for (fed, held) in self.route.fed.iter().zip(&self.held) {
            fed.unfeed(self.lane, &self.feed);
            if *held > 0 {
                fed.give_back(self.lane, *held);
            }
        }
    }
}

impl Batch {
    pub(super) fn new(counts: &Arc<Counts>) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            counts: Arc::clone(counts),
            order: Mutex::default(),
            state: Mutex::default(),
            myself: myself.clone(),
        })
    }

    /// Offers an event again once no mailbox has few places left.
    pub(super) async fn offer_when_room(
        &self,
        route: &Arc<Route>,
        event: Arc<Event>,
    ) -> Result<(), Kept> {
        let lane = event.priority as usize;
        for fed in &route.fed {
            fed.room(lane).await;
        }
        self.offer_as(route, event, true)
    }

    /// Gathers an event, if it may wait a little. Gives it back if it is to be delivered to each at once; all that was
    /// gathered before it is delivered then.
    #[inline]
    pub(super) fn offer(&self, route: &Arc<Route>, event: Arc<Event>) -> Result<(), Kept> {
        self.offer_as(route, event, false)
    }

    /// The same; in a flood also where subscribers sleep, who then find more than one when they are awake.
    #[inline]
    fn offer_as(&self, route: &Arc<Route>, event: Arc<Event>, is_flood: bool) -> Result<(), Kept> {
        if route.fed.len() < SUBSCRIBERS_MIN {
            return Err(Kept::at_once(event));
        }
        let lane = event.priority as usize;
        {
            let mut state = self.state.lock();
            match &mut *state {
                Some(open) if open.takes(route, lane) => {
                    open.gather(event);
                    return Ok(());
                }
                Some(_) => {}
                None if is_flood || !mostly_asleep(route) => {
                    return self.open(&mut state, route, lane, event);
                }
                None => return Err(Kept::at_once(event)),
            }
        }
        self.make_room(route, lane, event)
    }

    /// Delivers what is gathered, then gathers the event if there is room for more.
    #[cold]
    fn make_room(&self, route: &Arc<Route>, lane: usize, event: Arc<Event>) -> Result<(), Kept> {
        let mut order = self.order.lock();
        self.flush(&mut order);
        let mut state = self.state.lock();
        let goes_on = state.as_mut().filter(|open| open.is_of(route, lane));
        let done = if let Some(open) = goes_on
            && open.reserve()
        {
            open.gather(event);
            Ok(())
        } else {
            Err(Kept::short(event))
        };
        let closed = state.take_if(|_| done.is_err());
        drop(state);
        if let Some(open) = closed {
            // Others may have gathered meanwhile.
            self.finish(open, &mut order);
        }
        drop(order);
        self.deliver_wanted();
        done
    }

    /// Begins to gather.
    fn open(
        &self,
        state: &mut Option<Open>,
        route: &Arc<Route>,
        lane: usize,
        event: Arc<Event>,
    ) -> Result<(), Kept> {
        let Some(myself) = self.myself.upgrade() else {
            return Err(Kept::at_once(event));
        };
        let mut open = Open {
            route: Arc::clone(route),
            lane,
            gathered: Vec::new(),
            held: vec![0; route.fed.len()],
            credit: 0,
            idle: (0..route.fed.len()).collect(),
            is_wanted: false,
            feed: myself,
        };
        if open.reserve() {
            open.gather(event);
            *state = Some(open);
            return Ok(());
        }
        open.close();
        Err(Kept::short(event))
    }

    /// Delivers what somebody wants. Called after each delivery, when `order` is free again; who does not get it leaves that
    /// to whoever has it.
    fn deliver_wanted(&self) {
        loop {
            let is_wanted = |open: &mut Open| std::mem::take(&mut open.is_wanted);
            let Some(mut order) = self.order.try_lock() else {
                return;
            };
            if !self.state.lock().as_mut().is_some_and(is_wanted) {
                return;
            }
            self.flush(&mut order);
            drop(order);
        }
    }

    /// Delivers the last of what was gathered.
    fn finish(&self, mut open: Open, order: &mut Vec<Arc<Event>>) {
        open.send_off(order, &self.counts);
        deliver(&open.route, open.lane, order);
        open.close();
    }

    /// Puts what is gathered into all mailboxes. `false` if nothing is.
    fn flush(&self, order: &mut Vec<Arc<Event>>) -> bool {
        let (route, lane) = {
            let mut state = self.state.lock();
            let Some(open) = state.as_mut().filter(|open| !open.gathered.is_empty()) else {
                return false;
            };
            open.send_off(order, &self.counts);
            (Arc::clone(&open.route), open.lane)
        };
        deliver(&route, lane, order);
        true
    }
}

/// Whether most of the subscribers have nothing to do: those are served at once.
fn mostly_asleep(route: &Route) -> bool {
    let asleep = route.fed.iter().filter(|fed| fed.is_asleep()).count();
    asleep * 2 > route.fed.len()
}

/// Puts what is on its way into all mailboxes.
fn deliver(route: &Route, lane: usize, under_way: &mut Vec<Arc<Event>>) {
    if under_way.is_empty() {
        return;
    }
    let events: Arc<[Arc<Event>]> = under_way.drain(..).collect();
    for fed in &route.fed {
        fed.put_all(lane, &events);
    }
}

impl Feed for Batch {
    fn call_in(&self) -> bool {
        let Some(mut order) = self.order.try_lock() else {
            return false;
        };
        let has_some = self.flush(&mut order);
        drop(order);
        self.deliver_wanted();
        has_some
    }

    fn rest(&self, index: usize) {
        let closed = {
            let mut state = self.state.lock();
            state.take_if(|open| open.rest(index))
        };
        if let Some(open) = closed {
            open.close();
        }
        // Somebody who delivers now brings it what came since, or was done before they could see that it is wanted.
        self.deliver_wanted();
    }

    fn end(&self) {
        let mut order = self.order.lock();
        let closed = self.state.lock().take();
        if let Some(open) = closed {
            self.finish(open, &mut order);
        }
        drop(order);
    }
}
