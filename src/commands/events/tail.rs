//! `uk events tail`: events as they come, after those that are kept.
//!
//! What is kept is read from its streams, also what comes by now: nothing of it is missed, and nothing comes twice. What is
//! not kept comes from a subscription with so much room; what there is no room for is counted, and said.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, SelectAll, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Bus, Event, Pattern, Place, Refused, Since, Subscriber};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::{Entry, Position, StreamError, StreamName, StreamStore};

use super::pattern;
use crate::arguments::{Arg, ArgKind, Args, Form, moment};
use crate::commands::streams::{no_streams, of_stream};
use crate::commands::{Command, Documents};
use crate::error::CommandError;
use crate::screen::{Line, NARROW, Screen, Tone, clock, count, number, text};

/// How many events wait for who is slow to read them.
const ROOM: usize = 256;
/// How many entries are read from a stream at once.
const BATCH: usize = 64;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Show events as they come, one a line",
    help: "--from start, or a time, shows first what is kept of them, by time, and goes on without a gap. It ends with \
           Ctrl-C, or after --limit events. With --json each line is the event itself. Of events that are not kept, those that \
           come faster than they are read are left out, and it is said how many.\n\n\
           With --node all it shows the events of all nodes that are attached, each with its node; of one that goes and comes back \
           that is said, and what it published meanwhile is not.\n\n\
           Example: uk events tail 'sensor.*' --limit 10\n\
           Example: uk events tail '*' --from 2026-11-20T21:30:00Z --json",
    args: &[
        Arg::required(
            "pattern",
            ArgKind::Form(Form::Pattern),
            "which, as in 'sensor.*'; '*' is all",
        ),
        Arg::option(
            "from",
            ArgKind::Form(Form::Since),
            "now (default), start, 2h for two hours ago, or a time as in 2026-11-20T21:30:00Z",
        ),
        Arg::option("limit", ArgKind::Integer, "end after so many"),
    ],
    show,
    is_of_all: true,
    ..Command::streaming(&["events", "tail"], |kernel, args| {
        run(kernel, args).boxed()
    })
};

pub(crate) type Found = Result<Item, CommandError>;

/// What is shown.
pub(crate) enum Item {
    /// An event.
    Event(Arc<Event>),
    /// That so many were missed.
    Missed(u64),
}

pub(in crate::commands) async fn run(
    kernel: Kernel,
    args: Args,
) -> Result<Documents, CommandError> {
    let pattern = pattern(&args, "pattern")?;
    let from = from(&kernel, &args)?;
    let bus = Arc::clone(kernel.bus());
    let names = match bus.store() {
        Some(_) => bus.catalog().streams(&pattern),
        None => Vec::new(),
    };
    if bus.store().is_none() && from != Since::Now {
        return Err(no_streams());
    }
    if names.is_empty() && from != Since::Now {
        let error = CommandError::conflict(format!("nothing that fits `{pattern}` is kept"));
        return Err(error.hint("leave out --from; `uk events list` says what is kept"));
    }
    // First, so that nothing falls between.
    let live = live(&bus, &pattern, &names, ROOM);
    let (past, present) = match bus.store() {
        Some(store) => kept(store, names, from).await?,
        None => (stream::empty().boxed(), SelectAll::new()),
    };
    let fits = move |event: &Arc<Event>| pattern.fits(event.topic.as_str());
    let kept = |entries: BoxStream<'static, Result<Entry, StreamError>>| {
        let fits = fits.clone();
        let events = entries.map_ok(|entry| entry.event);
        let events = events.try_filter(move |event| std::future::ready(fits(event)));
        events.map_ok(Item::Event).map_err(of_stream).boxed()
    };
    let present = stream::select(kept(present.boxed()), live);
    let all = kept(past).chain(present);
    Ok(limited(all.boxed(), args.integer("limit")))
}

fn from(kernel: &Kernel, args: &Args) -> Result<Since, CommandError> {
    match args.text("from") {
        None | Some("now") => return Ok(Since::Now),
        Some("start") => return Ok(Since::Start),
        Some(_) => {}
    }
    let hint = "write now, start, 2h for two hours ago, or a time as in 2026-11-20T21:30:00Z";
    let now = kernel.clock().wall();
    let time = moment(args, "from", now)?;
    match time {
        Some(time) if time > now => {
            Err(CommandError::conflict(format!("`from`: {time} is still to come")).hint(hint))
        }
        time => Ok(time.map_or(Since::Now, Since::Time)),
    }
}

/// As documents, at most so many events.
fn limited(items: BoxStream<'static, Found>, limit: Option<u64>) -> Documents {
    let begin = (items, limit.unwrap_or(u64::MAX));
    stream::unfold(begin, |(mut items, left)| async move {
        if left == 0 {
            return None;
        }
        let (document, taken) = match items.next().await? {
            Ok(Item::Event(event)) => (Ok(json!(*event)), 1),
            Ok(Item::Missed(missed)) => (Ok(json!({ "version": 1, "missed": missed })), 0),
            Err(error) => (Err(error), 0),
        };
        Some((document, (items, left - taken)))
    })
    .boxed()
}

/// What is kept: until now, by time, and from now on.
type Kept = (
    BoxStream<'static, Result<Entry, StreamError>>,
    SelectAll<BoxStream<'static, Result<Entry, StreamError>>>,
);

async fn kept(
    store: &Arc<dyn StreamStore>,
    names: Vec<StreamName>,
    from: Since,
) -> Result<Kept, CommandError> {
    let mut past = Vec::new();
    let mut present = SelectAll::new();
    for name in names {
        let last = match store.last(&name).await {
            Ok(last) => last,
            Err(StreamError::NoStream(_)) => Position::START,
            Err(error) => return Err(of_stream(error)),
        };
        present.push(following(Arc::clone(store), name.clone(), last));
        let after = match from {
            Since::Start => Position::START,
            Since::Time(time) => Position::before(time),
            Since::Now | Since::LastAck => last,
        };
        if after < last {
            past.push(Reading {
                store: Arc::clone(store),
                name,
                after,
                until: last,
                ahead: VecDeque::new(),
            });
        }
    }
    let past = stream::try_unfold(past, |mut readings| async move {
        let next = next_of(&mut readings).await?;
        Ok(next.map(|entry| (entry, readings)))
    });
    Ok((past.boxed(), present))
}

/// A stream that is read up to some place.
struct Reading {
    store: Arc<dyn StreamStore>,
    name: StreamName,
    after: Position,
    until: Position,
    ahead: VecDeque<Entry>,
}

impl Reading {
    /// The time of its next event.
    async fn peek(&mut self) -> Result<Option<Timestamp>, StreamError> {
        if self.ahead.is_empty() && self.after < self.until {
            let read = self
                .store
                .read(&self.name, self.after, self.until, BATCH)
                .await?;
            self.after = read.last().map_or(self.until, |entry| entry.position);
            self.ahead = read.into();
        }
        Ok(self.ahead.front().map(|entry| entry.event.time))
    }
}

/// The oldest of what comes next in each.
async fn next_of(readings: &mut [Reading]) -> Result<Option<Entry>, StreamError> {
    let mut oldest: Option<(Timestamp, usize)> = None;
    for (at, reading) in readings.iter_mut().enumerate() {
        let time = reading.peek().await?;
        let found = time.map(|time| (time, at));
        oldest = [oldest, found].into_iter().flatten().min();
    }
    let reading = oldest.and_then(|(_, at)| readings.get_mut(at));
    Ok(reading.and_then(|reading| reading.ahead.pop_front()))
}

/// The entries of a stream after `after`, as they come.
pub(crate) fn following(
    store: Arc<dyn StreamStore>,
    name: StreamName,
    after: Position,
) -> BoxStream<'static, Result<Entry, StreamError>> {
    let batches = stream::try_unfold(after, move |after| {
        let (store, name) = (Arc::clone(&store), name.clone());
        async move {
            store.wait(&name, after).await;
            let read = store.read(&name, after, Position::END, BATCH).await?;
            let after = read.last().map_or(after, |entry| entry.position);
            Ok(Some((stream::iter(read.into_iter().map(Ok)), after)))
        }
    });
    batches.try_flatten().boxed()
}

/// Takes what is not kept in one of the streams that are read.
struct Listener {
    read: BTreeSet<StreamName>,
    events: mpsc::Sender<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

impl Subscriber for Listener {
    fn deliver(&self, event: &Arc<Event>, place: Option<&Place>) -> Result<(), Refused> {
        if place.is_some_and(|place| self.read.contains(&place.stream)) {
            return Ok(());
        }
        match self.events.try_send(Arc::clone(event)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refused::Gone),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                Err(Refused::Full)
            }
        }
    }

    fn name(&self) -> String {
        "uk events tail".to_owned()
    }
}

/// Ends a subscription with whoever reads it.
struct Listening {
    bus: Arc<Bus>,
    number: u64,
    events: mpsc::Receiver<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.bus.unsubscribe(self.number);
    }
}

/// What comes by and is not in one of the streams that are `read`; so many wait for who is slow.
pub(crate) fn live(
    bus: &Arc<Bus>,
    pattern: &Pattern,
    read: &[StreamName],
    room: usize,
) -> BoxStream<'static, Found> {
    let (sender, events) = mpsc::channel(room);
    let missed = Arc::new(AtomicU64::new(0));
    let listener = Listener {
        read: read.iter().cloned().collect(),
        events: sender,
        missed: Arc::clone(&missed),
    };
    let number = bus.subscribe(pattern, Arc::new(listener));
    let listening = Listening {
        bus: Arc::clone(bus),
        number,
        events,
        missed,
    };
    let batches = stream::unfold(listening, |mut listening| async move {
        let event = listening.events.recv().await?;
        let missed = Some(listening.missed.swap(0, Ordering::Relaxed)).filter(|count| *count > 0);
        let items = [missed.map(Item::Missed), Some(Item::Event(event))];
        let items = items.into_iter().flatten().map(Ok);
        Some((stream::iter(items), listening))
    });
    batches.flatten().boxed()
}

pub(in crate::commands) fn show(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    let node = text(document, "node");
    if !node.is_empty() {
        line.push(Tone::Bold, node);
        line.push(Tone::Plain, "  ");
    }
    let down = text(document, "down");
    if !down.is_empty() {
        line.push(Tone::Bad, &format!("… {down}"));
        return line.render(screen);
    }
    if text(document, "topic").is_empty() {
        let missed = count(number(document, "missed"), "event");
        line.push(
            Tone::Warn,
            &format!("… {missed} left out: they came faster than they were read"),
        );
        return line.render(screen);
    }
    let is_narrow = screen.width < NARROW;
    let time = text(document, "time");
    line.push(Tone::Dim, if is_narrow { clock(time) } else { time });
    line.push(Tone::Plain, "  ");
    let tone = match text(document, "priority") {
        "critical" => Tone::Bad,
        "high" => Tone::Warn,
        _ => Tone::Bold,
    };
    line.push(tone, text(document, "topic"));
    if !is_narrow {
        line.push(Tone::Dim, &format!("  {}", text(document, "source")));
    }
    line.push(Tone::Plain, "  ");
    let data = document.get("data").unwrap_or(&Value::Null);
    line.push(Tone::Plain, &data.to_string());
    line.render(screen)
}

#[cfg(test)]
mod tests {
    use unity_supervisors::bus::{Draft, Topic};
    use unity_supervisors::spec::{SupervisorSpec, TreeSpec};
    use unity_supervisors::{KernelConfig, Kinds, Runtimes};

    use super::*;

    #[test]
    fn a_narrow_screen_leaves_room_for_what_is_said() {
        let event = json!({
            "time": "2026-11-20T21:30:00.123456Z", "topic": "sensor.lab", "source": "/a", "data": {"cpu": 1},
        });

        let drawn = [40, 100].map(|width| show(&event, &Screen::plain(width)));

        assert_eq!(
            drawn,
            [
                "21:30:00.123  sensor.lab  {\"cpu\":1}\n",
                "2026-11-20T21:30:00.123456Z  sensor.lab  /a  {\"cpu\":1}\n",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_misses_what_there_is_no_room_for_and_is_told() {
        let tree = TreeSpec {
            name: "rig".to_owned(),
            test: true,
            root: SupervisorSpec::default(),
        };
        let config = KernelConfig::new(Runtimes::current(), Kinds::new(), 1);
        let kernel = Kernel::start(config, tree).await.unwrap();
        let bus = kernel.bus();
        let items = live(bus, &Pattern::new("a.*").unwrap(), &[], ROOM);
        let topic = Topic::new("a.b").unwrap();
        for number in 0..ROOM + 7 {
            let draft = Draft::new(&topic, json!(number));
            bus.publish(&"it".into(), draft).await.unwrap();
        }

        let shown: Vec<Value> = limited(items, Some(256))
            .map(|document| document.unwrap())
            .collect()
            .await;

        assert_eq!(shown[0], json!({ "version": 1, "missed": 7 }));
        let data: Vec<&Value> = shown[1..].iter().map(|event| &event["data"]).collect();
        assert_eq!(
            (data.len(), data[0], data[ROOM - 1]),
            (ROOM, &json!(0), &json!(ROOM - 1))
        );
        assert!(
            bus.subscribers(&topic).is_empty(),
            "nobody listens any more"
        );
    }
}
