//! `cargo bench --bench streams`: how quick the embedded streams are, beside a plain file and beside Redis.
//!
//! | row | ours | beside it |
//! |---|---|---|
//! | asynchronous | appends of 256 bytes of data by one task, until the last is accepted; at most a queue of them is not written yet | a plain file, never synced: 256 bytes, their length and their CRC-32, written by one call for each |
//! | the same, buffered | the same figure, for information | that file with a call for a hundred of them: what a segment costs that knows nothing of who appends |
//! | durable, many | 1,000 tasks that await each append | Redis: `XADD`, 100 in a pipeline, `appendfsync always` |
//! | durable, one | one task that awaits each append: the median | writing 256 bytes to the end of a file, and `fdatasync`: the median |
//! | backlog | all from the disk, a store opened anew, 100 at a time, as events | Redis: `XREAD COUNT 100`, as texts |
//!
//! Each round measures all of them one after the other; what is held is the median of the ratios of the rounds. Rows beside
//! Redis are left out, aloud, where there is no `redis-server`. Ends with exit code 1 when a limit is broken.

#[path = "streams/server.rs"]
mod server;
#[path = "verdict.rs"]
mod verdict;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use unity_actors::streams::{EmbeddedStreams, Options};
use unity_supervisors::bus::{Draft, Event, EventId, Head, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::stream::{Durability, Position, StreamName, StreamStore};

use self::server::Server;
use self::verdict::report;

const ROUNDS: usize = 5;
const ASYNC_COUNT: usize = 300_000;
const DURABLE_COUNT: usize = 100_000;
const PUBLISHERS: usize = 1_000;
const ONE_COUNT: usize = 1_000;
/// Of an event, as JSON.
const DATA_LEN: usize = 256;

fn main() -> ExitCode {
    verdict::of(run())
}

/// What a row is measured in, and what it is held to.
struct Row {
    name: &'static str,
    unit: &'static str,
    /// The ratio of ours to theirs is at least this, or at most.
    at_least: Option<f64>,
    at_most: Option<f64>,
    samples: Vec<(f64, f64)>,
}

impl Row {
    fn new(name: &'static str, unit: &'static str, limit: Limit) -> Self {
        let (at_least, at_most) = match limit {
            Limit::AtLeast(ratio) => (Some(ratio), None),
            Limit::AtMost(ratio) => (None, Some(ratio)),
            Limit::ForInformation => (None, None),
        };
        Self {
            name,
            unit,
            at_least,
            at_most,
            samples: Vec::new(),
        }
    }

    /// Prints the row; whether it holds.
    fn print(&self) -> bool {
        if self.samples.is_empty() {
            report(&format!(
                "| {} | left out: there is no redis-server | | | |",
                self.name
            ));
            return true;
        }
        let of = |value: fn(&(f64, f64)) -> f64| median(self.samples.iter().map(value).collect());
        let ratio = of(|(ours, theirs)| ours / theirs);
        let limit = match (self.at_least, self.at_most) {
            (Some(least), _) => format!("≥ {least}"),
            (_, Some(most)) => format!("≤ {most}"),
            _ => String::new(),
        };
        let (ours, theirs) = (of(|sample| sample.0), of(|sample| sample.1));
        let unit = self.unit;
        report(&format!(
            "| {} | {ours:.0} {unit} | {theirs:.0} {unit} | {ratio:.2} | {limit} |",
            self.name
        ));
        self.at_least.is_none_or(|least| ratio >= least)
            && self.at_most.is_none_or(|most| ratio <= most)
    }
}

enum Limit {
    AtLeast(f64),
    AtMost(f64),
    ForInformation,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let count = count as f64;
    count / took.as_secs_f64() / 1e3
}

fn run() -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("uk-bench-streams-{}", std::process::id()));
    let measured = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    let rows = measured?;
    report("| row | ours | beside it | ratio | limit |\n|---|---|---|---|---|");
    let mut holds = true;
    for row in &rows {
        holds &= row.print();
    }
    Ok(holds)
}

fn measure(folder: &Path) -> Result<[Row; 5]> {
    use Limit::{AtLeast, AtMost, ForInformation};
    let mut rows = [
        Row::new(
            "asynchronous, and a file written a hundred at a time",
            "k/s",
            ForInformation,
        ),
        Row::new(
            "asynchronous, and a file written for each",
            "k/s",
            AtLeast(0.3),
        ),
        Row::new(
            "durable, many publishers, and Redis XADD",
            "k/s",
            AtLeast(3.0),
        ),
        Row::new(
            "durable, one publisher, and one fdatasync",
            "µs",
            AtMost(1.5),
        ),
        Row::new("reading a backlog, and Redis XREAD", "k/s", AtLeast(2.0)),
    ];
    for round in 0..ROUNDS {
        let folder = folder.join(round.to_string());
        std::fs::create_dir_all(&folder)?;
        let mut redis = Server::start(&folder.join("redis"))?;
        let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
        let [asynchronous, unbuffered, many, one, backlog] = &mut rows;

        let ours = of_asynchronous(&runtime, &folder.join("async"))?;
        asynchronous
            .samples
            .push((ours, of_file(&folder.join("file"), 100)?));
        unbuffered
            .samples
            .push((ours, of_file(&folder.join("unbuffered"), 1)?));
        one.samples.push(of_one(&runtime, &folder)?);
        let ours = of_many(&runtime, &folder.join("many"))?;
        if let Some(redis) = &mut redis {
            let since = Instant::now();
            redis.add(DURABLE_COUNT, data().as_str().unwrap_or_default())?;
            many.samples
                .push((ours, per_second(DURABLE_COUNT, since.elapsed())));
            let ours = of_backlog(&runtime, &folder.join("many"))?;
            let since = Instant::now();
            let count = redis.read()?;
            backlog
                .samples
                .push((ours, per_second(count, since.elapsed())));
        }
        drop(redis);
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(rows)
}

fn name() -> Result<StreamName> {
    Ok(StreamName::new("sensor:bench")?)
}

/// How many events of a publisher of the bus share what they have in common.
const HEAD_SHARED: usize = 64;

/// A text that has its two quotes in JSON.
fn data() -> serde_json::Value {
    "x".repeat(DATA_LEN - 2).into()
}

fn events(count: usize) -> Result<Vec<Arc<Event>>> {
    let topic = Topic::new("sensor.bench")?;
    let source = "/sensors/bench".into();
    let mut head = Head::new(&topic, &source);
    let mut events = Vec::with_capacity(count);
    for id in 1..=count {
        if id % HEAD_SHARED == 0 {
            head = Head::new(&topic, &source);
        }
        let mut draft = Draft::new(&topic, data());
        draft.id = Some(EventId::from_u128(id as u128));
        let mut event = draft.as_it_is();
        event.head = Arc::clone(&head);
        events.push(Arc::new(event));
    }
    Ok(events)
}

fn open(folder: &Path) -> Result<Arc<EmbeddedStreams>> {
    Ok(EmbeddedStreams::open(
        folder,
        Clock::real(),
        Options::default(),
    )?)
}

fn of_asynchronous(runtime: &Runtime, folder: &Path) -> Result<f64> {
    let store = open(folder)?;
    let events = events(ASYNC_COUNT)?;
    let name = name()?;
    let appending = Arc::clone(&store);
    let task = runtime.spawn(async move {
        let since = Instant::now();
        for event in events {
            appending
                .append(&name, event, Durability::Async, None)
                .await?;
        }
        anyhow::Ok(since.elapsed())
    });
    let took = runtime.block_on(task)??;
    runtime.block_on(store.close());
    Ok(per_second(ASYNC_COUNT, took))
}

/// Of a file that is written whenever the buffer has `batch_len` of them.
fn of_file(path: &Path, batch_len: usize) -> Result<f64> {
    let mut file = File::create(path)?;
    let data = vec![b'x'; DATA_LEN];
    let mut batch = Vec::new();
    let since = Instant::now();
    for number in 1..=ASYNC_COUNT {
        let data = std::hint::black_box(&data);
        batch.extend(u32::try_from(data.len())?.to_le_bytes());
        batch.extend(crc32fast::hash(data).to_le_bytes());
        batch.extend(data);
        if number % batch_len == 0 {
            file.write_all(&batch)?;
            batch.clear();
        }
    }
    Ok(per_second(ASYNC_COUNT, since.elapsed()))
}

fn of_many(runtime: &Runtime, folder: &Path) -> Result<f64> {
    let store = open(folder)?;
    let mut events = events(DURABLE_COUNT)?;
    let mut tasks = Vec::new();
    let since = Instant::now();
    for _ in 0..PUBLISHERS {
        let share = events.split_off(events.len() - DURABLE_COUNT / PUBLISHERS);
        let (store, name) = (Arc::clone(&store), name()?);
        tasks.push(runtime.spawn(async move {
            for event in share {
                store
                    .append(&name, event, Durability::Durable, None)
                    .await?;
            }
            anyhow::Ok(())
        }));
    }
    for ended in runtime.block_on(join_all(tasks)) {
        ended??;
    }
    let took = since.elapsed();
    runtime.block_on(store.close());
    Ok(per_second(DURABLE_COUNT, took))
}

/// Medians in microseconds of an append, and of a write with its sync, in turns.
fn of_one(runtime: &Runtime, folder: &Path) -> Result<(f64, f64)> {
    let store = open(&folder.join("one"))?;
    let (name, events) = (name()?, events(ONE_COUNT)?);
    let mut file = File::create(folder.join("synced"))?;
    let bytes = vec![b'x'; DATA_LEN];
    let appending = Arc::clone(&store);
    let task = runtime.spawn(async move {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for event in events {
            let since = Instant::now();
            appending
                .append(&name, event, Durability::Durable, None)
                .await?;
            ours.push(since.elapsed().as_secs_f64() * 1e6);
            let since = Instant::now();
            file.write_all(&bytes)?;
            file.sync_data()?;
            theirs.push(since.elapsed().as_secs_f64() * 1e6);
        }
        anyhow::Ok((median(ours), median(theirs)))
    });
    let medians = runtime.block_on(task)??;
    runtime.block_on(store.close());
    Ok(medians)
}

fn of_backlog(runtime: &Runtime, folder: &Path) -> Result<f64> {
    let store = open(folder)?;
    let name = name()?;
    let reading = Arc::clone(&store);
    let task = runtime.spawn(async move {
        let since = Instant::now();
        let (mut count, mut last) = (0, Position::START);
        loop {
            let read = reading.read(&name, last, Position::END, 100).await?;
            let Some(newest) = read.last() else {
                break;
            };
            last = newest.position;
            count += read.len();
        }
        anyhow::Ok((count, since.elapsed()))
    });
    let (count, took) = runtime.block_on(task)??;
    runtime.block_on(store.close());
    let all = (count == DURABLE_COUNT).then_some(count);
    Ok(per_second(all.context("some entries are missing")?, took))
}
