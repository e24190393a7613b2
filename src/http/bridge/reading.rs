//! What a bridge is subscribed to: what comes by, or what a stream kept, read by its client or by a group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Event, Pattern};
use unity_supervisors::stream::{Entry, Position, StreamName, StreamStore};

use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together};
use crate::commands::events::tail;
use crate::commands::streams::{Asked, of_stream, position};
use crate::error::{Code, CommandError};
use crate::rights::{Scope, Who};

/// How many events wait for who is slow to read what comes by.
const ROOM: usize = 1_024;
/// How many deliveries of a group a client may have in hand.
const IN_HAND_MAX: usize = 256;
/// How many entries are read from a stream at once.
const BATCH: usize = 64;
/// Who of a group it is, unless it says so.
const CONSUMER: &str = "bridge";

pub(in crate::http) const ARGS: &[Arg] = &[
    Arg::option(
        "pattern",
        ArgKind::Form(Form::Pattern),
        "which events, as in sensor.*",
    ),
    Arg::option(
        "stream",
        ArgKind::Form(Form::Stream),
        "the stream that they are kept in",
    ),
    Arg::option(
        "group",
        ArgKind::Form(Form::Name),
        "the group whose cursor it goes by",
    ),
    Arg::option(
        "consumer",
        ArgKind::Form(Form::Name),
        "who of the group it is; bridge",
    ),
    Arg::option(
        "after",
        ArgKind::Form(Form::Position),
        "the position that it goes on after; with a group, where that begins if it is new",
    ),
];

/// What goes together of them.
pub(in crate::http) const RULES: &[Rule] = &[
    Rule::new(Together::Needs("group", &["stream"]), NO_STREAM, NAME_IT),
    Rule::new(Together::Needs("consumer", &["stream"]), NO_STREAM, NAME_IT),
    Rule::new(Together::Needs("after", &["stream"]), NO_STREAM, NAME_IT),
    Rule::new(Together::Some(&["pattern", "stream"]), NOTHING, FROM_WHERE),
    Rule::new(
        Together::Needs("stream", &["group", "after"]),
        NOTHING,
        FROM_WHERE,
    ),
];
const NO_STREAM: &str = "a group, a consumer and a position are of a stream";
const NAME_IT: &str = "name it: `uk streams list` lists all";
const NOTHING: &str = "`subscribe` does not say from where";
const FROM_WHERE: &str = "a `pattern` for what comes by; a `stream` with a `group`, or with the position to go on `after`, 0-0 for all";

/// What is delivered.
pub(super) enum Item {
    /// An event; of a stream where it stands there, and how often it was handed out.
    Event(Arc<Event>, Option<Position>, u64),
    /// So many were left out.
    Missed(u64),
    /// Nothing more comes.
    Ended(CommandError),
}

/// What a client wants to hear of.
pub(super) struct Wish {
    pattern: Option<Pattern>,
    source: Source,
}

enum Source {
    Live(Pattern),
    Stream(Asked, Position),
    Group {
        asked: Asked,
        group: String,
        consumer: String,
        after: Position,
    },
}

impl Wish {
    /// Reads one, and looks whether `who` may.
    pub(super) fn read(
        kernel: &Kernel,
        who: &Who,
        args: Map<String, Value>,
    ) -> Result<Self, CommandError> {
        who.may(Scope::Read, "`subscribe`")?;
        let args = Args::from_json(ARGS, args)?;
        RULES.iter().try_for_each(|rule| rule.check(&args))?;
        let pattern = args.text("pattern").map(Pattern::new).transpose()?;
        if let Some(pattern) = pattern.as_ref().filter(|its| !who.bounds.has_pattern(its)) {
            return Err(who.out_of_bounds(&format!("`subscribe` {pattern}")));
        }
        let after = args.text("after").map(position).transpose()?;
        let source = match (args.text("stream"), args.text("group"), after) {
            (None, ..) => Source::Live(pattern.clone().ok_or_else(nothing_asked)?),
            (Some(_), None, Some(after)) => Source::Stream(Asked::of(kernel, &args)?, after),
            (Some(_), None, None) => return Err(nothing_asked()),
            (Some(_), Some(group), after) => {
                // To hand out changes something.
                who.may(Scope::Operate, "`subscribe` by a group")?;
                let consumer = args.text("consumer").unwrap_or(CONSUMER);
                Source::Group {
                    asked: Asked::of(kernel, &args)?,
                    group: group.to_owned(),
                    consumer: consumer.to_owned(),
                    after: after.unwrap_or(Position::START),
                }
            }
        };
        if who.bounds.topics.is_empty() && !who.bounds.is_none() {
            return Err(who.out_of_bounds("`subscribe`"));
        }
        Ok(Self { pattern, source })
    }

    /// Where it is kept what a client of a group has in hand.
    pub(super) fn in_hand(&self) -> Option<Arc<InHand>> {
        let Source::Group { asked, group, .. } = &self.source else {
            return None;
        };
        Some(Arc::new(InHand {
            store: Arc::clone(&asked.store),
            stream: asked.name.clone(),
            group: group.clone(),
            positions: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// Begins to read.
    pub(super) async fn open(
        self,
        kernel: &Kernel,
        who: Arc<Who>,
        turns: &Arc<Turns>,
        in_hand: Option<Arc<InHand>>,
    ) -> Result<BoxStream<'static, Item>, CommandError> {
        let pattern = self.pattern;
        let fits = move |event: &Event| {
            let is_wanted = pattern
                .as_ref()
                .is_none_or(|its| its.fits(event.topic.as_str()));
            is_wanted && who.bounds.has_topic(&event.topic)
        };
        match self.source {
            Source::Live(pattern) => {
                let items = tail::live(kernel.bus(), &pattern, &[], ROOM).map(|item| match item {
                    Ok(tail::Item::Event(event)) => Item::Event(event, None, 1),
                    Ok(tail::Item::Missed(missed)) => Item::Missed(missed),
                    Err(error) => Item::Ended(error),
                });
                Ok(items.boxed())
            }
            Source::Stream(asked, after) => {
                is_there(kernel, &asked).await?;
                let entries = tail::following(asked.store, asked.name, after);
                let items = entries.filter_map(move |entry| {
                    std::future::ready(match entry {
                        Ok(entry) if !fits(&entry.event) => None,
                        Ok(entry) => Some(Item::Event(entry.event, Some(entry.position), 1)),
                        Err(error) => Some(Item::Ended(of_stream(error))),
                    })
                });
                Ok(items.boxed())
            }
            Source::Group {
                asked,
                group,
                consumer,
                after,
            } => {
                is_there(kernel, &asked).await?;
                let made = asked.store.make_group(&asked.name, &group, after).await;
                asked.told(made).await?;
                let reader = Reader {
                    turn: Turn::take(turns, (asked.name, group, consumer.clone())),
                    in_hand: in_hand.ok_or_else(nothing_asked)?,
                    consumer,
                    again: Some(Position::START),
                    ahead: VecDeque::new(),
                    fits: Box::new(fits),
                };
                Ok(reader.items())
            }
        }
    }
}

fn nothing_asked() -> CommandError {
    CommandError::conflict(NOTHING).hint(FROM_WHERE)
}

/// Whether there is such a stream, or will be once something is published: a slip in a name would otherwise make one.
async fn is_there(kernel: &Kernel, asked: &Asked) -> Result<(), CommandError> {
    let catalog = kernel.bus().catalog();
    let mut kept = catalog
        .types()
        .iter()
        .filter_map(|its| its.persist.as_ref());
    if kept.any(|persist| persist.stream == asked.name) {
        return Ok(());
    }
    asked.info().await.map(|_| ())
}

/// What a client of a group was handed and has not acknowledged.
pub(super) struct InHand {
    store: Arc<dyn StreamStore>,
    stream: StreamName,
    group: String,
    positions: Mutex<BTreeSet<Position>>,
    freed: Notify,
}

impl InHand {
    /// Acknowledges one; returns how many that were. What it was not handed is passed over: it may be somebody else's.
    pub(super) async fn ack(&self, position: Position) -> Result<u64, CommandError> {
        if !self.positions.lock().contains(&position) {
            return Ok(0);
        }
        let acked = self.store.ack(&self.stream, &self.group, &[position]).await;
        let acked = acked.map_err(of_stream)?;
        self.positions.lock().remove(&position);
        self.freed.notify_one();
        Ok(acked)
    }

    /// How many more it may have, once it may have some.
    async fn room(&self) -> usize {
        loop {
            let room = IN_HAND_MAX.saturating_sub(self.positions.lock().len());
            if room > 0 {
                return room.min(BATCH);
            }
            self.freed.notified().await;
        }
    }
}

/// Stream, group and consumer.
type Key = (StreamName, String, String);

/// Who reads as which consumer: the last that came. A client whose connection broke off has not always been missed yet when
/// it comes again, and what was handed to it before must not be handed to nobody.
#[derive(Debug, Default)]
pub(super) struct Turns {
    current: Mutex<BTreeMap<Key, watch::Sender<u64>>>,
    numbers: AtomicU64,
}

struct Turn {
    turns: Arc<Turns>,
    key: Key,
    number: u64,
    current: watch::Receiver<u64>,
}

impl Turn {
    fn take(turns: &Arc<Turns>, key: Key) -> Self {
        let number = turns.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut all = turns.current.lock();
        let sender = all.entry(key.clone()).or_default();
        sender.send_replace(number);
        let current = sender.subscribe();
        drop(all);
        let turns = Arc::clone(turns);
        Self {
            turns,
            key,
            number,
            current,
        }
    }

    /// Calls the store, unless somebody else has come: nobody comes between.
    fn call<T>(&self, store: impl FnOnce() -> T) -> Option<T> {
        let current = self.current.borrow();
        (*current == self.number).then(store)
    }

    /// Done when somebody else has come.
    fn lost(&self) -> impl Future<Output = ()> + use<> {
        let (mut current, number) = (self.current.clone(), self.number);
        // It is lost with the sender as well, which goes with the last turn.
        async move { drop(current.wait_for(|current| *current != number).await) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = self.turns.current.lock();
        if all
            .get(&self.key)
            .is_some_and(|current| *current.borrow() == self.number)
        {
            all.remove(&self.key);
        }
    }
}

/// Reads for one consumer of a group: first what it was handed in a former life and has not acknowledged.
struct Reader {
    turn: Turn,
    in_hand: Arc<InHand>,
    consumer: String,
    /// What is pending after this is still to be handed out again.
    again: Option<Position>,
    ahead: VecDeque<(Entry, u64)>,
    fits: Box<dyn Fn(&Event) -> bool + Send>,
}

impl Reader {
    fn items(self) -> BoxStream<'static, Item> {
        let items = stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            let lost = reader.turn.lost();
            let next = tokio::select! {
                biased;
                () = lost => Err(taken_over()),
                next = reader.next() => next,
            };
            Some(match next {
                Ok(item) => (item, Some(reader)),
                Err(error) => (Item::Ended(error), None),
            })
        });
        items.boxed()
    }

    async fn next(&mut self) -> Result<Item, CommandError> {
        loop {
            if let Some((entry, deliveries)) = self.ahead.pop_front() {
                self.in_hand.positions.lock().insert(entry.position);
                return Ok(Item::Event(entry.event, Some(entry.position), deliveries));
            }
            let handed = self.read().await?;
            let fits = |(entry, _): &(Entry, u64)| (self.fits)(&entry.event);
            let (ahead, others): (VecDeque<_>, VecDeque<_>) = handed.into_iter().partition(fits);
            self.ahead = ahead;
            let others: Vec<Position> = others.iter().map(|(entry, _)| entry.position).collect();
            if !others.is_empty() {
                let InHand {
                    store,
                    stream,
                    group,
                    ..
                } = &*self.in_hand;
                store.ack(stream, group, &others).await.map_err(of_stream)?;
            }
        }
    }

    /// The next of the stream, once there are some and the client may have them; with each how often it was handed out.
    async fn read(&mut self) -> Result<Vec<(Entry, u64)>, CommandError> {
        let room = self.in_hand.room().await;
        let InHand {
            store,
            stream,
            group,
            ..
        } = &*self.in_hand;
        let consumer = &self.consumer;
        if let Some(after) = self.again {
            let pending = store.pending(stream, group, after, room).await;
            let pending = pending.map_err(of_stream)?;
            self.again = pending.last().map(|last| last.position);
            let own = pending.iter().filter(|its| its.consumer == *consumer);
            let own: Vec<Position> = own.map(|its| its.position).collect();
            let claim = || store.claim(stream, group, consumer, Duration::ZERO, &own);
            let claimed = self.turn.call(claim).ok_or_else(taken_over)?;
            return claimed.await.map_err(of_stream);
        }
        // What comes after this and is not there any more when it is read, another consumer has.
        let last = store.last(stream).await.map_err(of_stream)?;
        let read = || store.read_group(stream, group, consumer, room);
        let read = self.turn.call(read).ok_or_else(taken_over)?;
        let read = read.await.map_err(of_stream)?;
        if read.is_empty() {
            store.wait(stream, last).await;
        }
        Ok(read.into_iter().map(|entry| (entry, 1)).collect())
    }
}

fn taken_over() -> CommandError {
    CommandError::new(
        Code::Failed,
        "another connection reads as this consumer now",
    )
    .hint("give each its own `consumer`")
}
