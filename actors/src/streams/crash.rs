//! Histories from a seed, on a disk that crashes: what was promised is there after each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use unity_supervisors::bus::{Draft, Event, EventId, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::stream::{
    Append, Deliver, Durability, Entry, Position, Retention, StreamError, StreamName, StreamStore,
};

use super::bug::{Bug, PLANTED};
use super::sim::SimDisk;
use super::store::Store;
use super::{EmbeddedStreams, Options};

/// How many seeds CI plays. `UK_STREAM_SEEDS` asks for more.
fn seeds() -> u64 {
    let asked = std::env::var("UK_STREAM_SEEDS").ok();
    asked.map_or(10_000, |asked| asked.parse().unwrap())
}

const OPTIONS: Options = Options {
    queue_len: 12,
    queue_bytes: 4_000,
    timeout: Duration::ZERO,
    segment_bytes: 900,
    recent_bytes: 300,
    unsynced_bytes: 2_000,
    sync_every: Duration::from_secs(3_600),
    gather: Duration::ZERO,
    write_at_once: usize::MAX,
    fill_bytes: 512,
    retry: Duration::ZERO,
};

/// When the clock begins, in microseconds.
const BEGIN_US: i64 = 1_000_000_000;
const GROUP: &str = "g";

/// What is wrong, in words.
type Wrong = String;

/// What one who uses a stream knows of it.
#[derive(Default)]
struct Known {
    /// Events of this life that were taken in, in that order.
    this_life: Vec<u128>,
    /// Durable appends that are under way.
    under_way: Vec<(u128, Append)>,
    /// What must be there: acknowledged, or found after a crash.
    kept: BTreeMap<Position, u128>,
    /// Every position that was ever seen, and what for.
    positions: BTreeMap<Position, u128>,
    /// In this life.
    delivered: Arc<Mutex<Vec<(Position, u128)>>>,
    /// Up to here all is trimmed, which may or may not outlive a crash.
    trimmed: Position,
    /// The same, for sure.
    trimmed_for_sure: Position,
    /// What went in a trim that was never confirmed: it may come back.
    may_return: BTreeSet<u128>,
    /// What was taken in, never acknowledged, and lost. It may come back behind all that is there, never before it.
    lost: BTreeSet<u128>,
    /// What the group acknowledged, in all lives.
    acked: BTreeSet<Position>,
    has_group: bool,
}

impl Known {
    /// What may be read in this life.
    fn visible(&self) -> Vec<(Position, u128)> {
        let mut all = self.kept.clone();
        all.extend(self.delivered.lock().iter().copied());
        let left = all.into_iter().filter(|(at, _)| *at > self.trimmed);
        left.collect()
    }

    /// Nothing is missing before something of this life that is there, and nothing is there that was not put in.
    fn check_prefix(&self, present: &BTreeMap<Position, u128>) -> Result<(), Wrong> {
        let there: BTreeSet<_> = present.values().copied().collect();
        let known = self.kept.values().chain(&self.this_life);
        let known: BTreeSet<_> = known.chain(&self.may_return).copied().collect();
        let last_kept = self.kept.last_key_value().map(|(at, _)| *at);
        for (position, id) in present.iter().filter(|(_, id)| !known.contains(id)) {
            if !self.lost.contains(id) || Some(*position) < last_kept {
                return Err(format!("nobody put {id} in: {present:?}"));
            }
        }
        let last = self.this_life.iter().rposition(|id| there.contains(id));
        let trimmed: BTreeSet<_> = self
            .positions
            .iter()
            .filter(|(at, _)| **at <= self.trimmed)
            .map(|(_, id)| *id)
            .collect();
        for id in &self.this_life[..last.unwrap_or(0)] {
            if !there.contains(id) && !trimmed.contains(id) {
                return Err(format!(
                    "{id} is missing, and later ones are there: {present:?}"
                ));
            }
        }
        Ok(())
    }
}

struct History {
    rng: Rng,
    disk: SimDisk,
    clock: &'static AtomicI64,
    store: EmbeddedStreams<SimDisk>,
    streams: Vec<(StreamName, Known)>,
    next_id: u128,
    /// The latest that the clock ever was at. A life does not begin before.
    latest: i64,
}

fn event(id: u128) -> Arc<Event> {
    let len = usize::try_from(id * 7 % 90).unwrap();
    let data = json!({"id": id.to_string(), "x": "x".repeat(len)});
    let mut draft = Draft::new(&Topic::new("a.b").unwrap(), data);
    draft.id = Some(EventId::from_u128(id));
    Arc::new(draft.as_it_is())
}

fn open(disk: &SimDisk, clock: &'static AtomicI64) -> EmbeddedStreams<SimDisk> {
    let clock = Clock::set_by(clock);
    let store = Store::new(disk.clone(), Path::new("/"), clock, OPTIONS);
    EmbeddedStreams {
        store: Arc::new(store),
        ended: None,
    }
}

/// What is durable has an odd id.
fn is_durable(id: u128) -> bool {
    id % 2 == 1
}

fn round(store: &EmbeddedStreams<SimDisk>, syncs: bool) {
    // When the next is due is for one who waits.
    let _due = store.store.round(syncs);
}

fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    future.now_or_never()
}

/// Plays one history.
fn play(seed: u64, clock: &'static AtomicI64) -> Result<(), Wrong> {
    clock.store(BEGIN_US, Ordering::Relaxed);
    let disk = SimDisk::new(seed);
    let names = ["a:b", "c"].map(|name| StreamName::new(name).unwrap());
    let mut history = History {
        rng: Rng::with_seed(seed ^ 0x5EED),
        store: open(&disk, clock),
        disk,
        clock,
        streams: names.map(|name| (name, Known::default())).into(),
        next_id: 0,
        latest: BEGIN_US,
    };
    for _ in 0..history.rng.usize(1..5) {
        history.live()?;
        history.die()?;
    }
    Ok(())
}

impl History {
    /// One life, which ends in a crash.
    fn live(&mut self) -> Result<(), Wrong> {
        let steps = self.rng.usize(5..120);
        self.disk.crash_after(steps);
        for _ in 0..self.rng.usize(3..40) {
            self.act()?;
            if self.disk.has_crashed() {
                break;
            }
            self.take_answers()?;
        }
        Ok(())
    }

    fn act(&mut self) -> Result<(), Wrong> {
        let stream = self.rng.usize(0..self.streams.len());
        match self.rng.u8(0..100) {
            0..25 => self.append(stream, Durability::Async),
            25..45 => self.append(stream, Durability::Durable),
            45..48 => self.append_again(stream)?,
            48..66 => round(&self.store, false),
            66..72 => round(&self.store, true),
            72..80 => self.use_group(stream)?,
            80..83 => self.trim(stream),
            83..86 => self.look(stream)?,
            86..92 => {
                let ahead = self.rng.i64(-3_000..5_000);
                let before = self.clock.fetch_add(ahead, Ordering::Relaxed);
                self.latest = self.latest.max(before + ahead);
            }
            92..95 => self.disk.fail(self.rng.u8(10..60)),
            95..97 => self.disk.fail(0),
            97..98 => self.disk.fill(true),
            98..99 => self.disk.fill(false),
            _ => self.close()?,
        }
        Ok(())
    }

    /// An orderly end, and a new beginning.
    fn close(&mut self) -> Result<(), Wrong> {
        now(self.store.close()).ok_or("it does not close")?;
        self.take_answers()?;
        if self.disk.has_crashed() {
            return Ok(());
        }
        self.disk.restart_process();
        self.begin();
        self.check_all()?;
        self.disk.crash_after(self.rng.usize(5..120));
        Ok(())
    }

    /// The machine or the process ends, and begins anew; maybe some more times while it does.
    fn die(&mut self) -> Result<(), Wrong> {
        self.take_answers()?;
        let mut again = self.rng.u8(0..3);
        loop {
            if self.rng.u8(0..4) == 0 {
                self.disk.restart_process();
            } else {
                self.disk.restart();
            }
            self.begin();
            if again == 0 {
                return self.check_all();
            }
            again -= 1;
            self.disk.crash_after(self.rng.usize(0..25));
            drop(now(self.store.streams()));
            let (name, _) = &self.streams[0];
            let retention = Retention::default();
            drop(now(self.store.trim(name, retention)));
            round(&self.store, true);
        }
    }

    fn begin(&mut self) {
        // No end and beginning are within the same millisecond.
        self.latest += 1_000;
        self.clock.store(self.latest, Ordering::Relaxed);
        self.store = open(&self.disk, self.clock);
    }

    fn check_all(&mut self) -> Result<(), Wrong> {
        for stream in 0..self.streams.len() {
            self.check(stream)?;
        }
        Ok(())
    }

    /// What is there at the beginning of a life is what was promised in the last.
    fn check(&mut self, stream: usize) -> Result<(), Wrong> {
        let read = self.read(stream)?.map_err(|error| error.to_string())?;
        let present: BTreeMap<_, _> = read
            .iter()
            .map(|entry| (entry.position, entry.event.id.as_u128()))
            .collect();
        let (name, known) = &mut self.streams[stream];
        for (position, id) in &known.kept {
            if *position > known.trimmed && present.get(position) != Some(id) {
                return Err(format!(
                    "{id} was promised at {position} and is not there: {present:?}"
                ));
            }
        }
        if let Some((first, _)) = present.first_key_value()
            && *first <= known.trimmed_for_sure
        {
            return Err(format!("{first} was trimmed and is there again"));
        }
        known.check_prefix(&present)?;
        let infos = now(self.store.streams()).ok_or("it waits")?;
        let infos = infos.map_err(|error| error.to_string())?;
        let info = infos.iter().find(|info| info.name == *name);
        if let Some(info) = info {
            if info.skipped > 0 || info.trouble.is_some() {
                return Err(format!("what is sound is taken for damaged: {info:?}"));
            }
            if info.length != present.len() as u64 {
                return Err(format!("of {} entries there are {info:?}", present.len()));
            }
        }
        let group = info.and_then(|info| info.groups.first());
        if known.has_group && group.is_none() {
            return Err("the group was made and is not there".to_owned());
        }
        if let Some(group) = group {
            let pending = now(self.store.pending(name, GROUP, Position::START, usize::MAX));
            let pending = pending
                .ok_or("it waits")?
                .map_err(|error| error.to_string())?;
            let pending: BTreeSet<_> = pending.iter().map(|one| one.position).collect();
            for position in present.keys().filter(|position| **position <= group.cursor) {
                if !pending.contains(position) && !known.acked.contains(position) {
                    return Err(format!(
                        "{position} was not acknowledged and is never handed out again"
                    ));
                }
            }
        }
        let gone = known.positions.range(..=known.trimmed);
        known.may_return.extend(gone.map(|(_, id)| *id));
        known.lost.extend(known.this_life.drain(..));
        known.kept = present;
        known.under_way.clear();
        known.delivered.lock().clear();
        known.trimmed = known.trimmed_for_sure;
        Ok(())
    }

    fn append(&mut self, stream: usize, durability: Durability) {
        self.next_id += 2;
        let id = self.next_id + u128::from(durability == Durability::Durable);
        let (name, known) = &mut self.streams[stream];
        let delivered = Arc::clone(&known.delivered);
        let deliver: Deliver = Box::new(move |event, position| {
            delivered.lock().push((position, event.id.as_u128()));
        });
        let append = self
            .store
            .append(name, event(id), durability, Some(deliver));
        match append {
            Append::Done(Err(_)) => return,
            Append::Done(Ok(position)) => {
                known.positions.insert(position, id);
            }
            Append::Waits(_) => known.under_way.push((id, append)),
        }
        known.this_life.push(id);
    }

    /// Something that is there for sure is appended a second time.
    fn append_again(&mut self, stream: usize) -> Result<(), Wrong> {
        let (name, known) = &mut self.streams[stream];
        let kept = known.kept.iter().filter(|(at, _)| **at > known.trimmed);
        let kept: Vec<_> = kept.map(|(position, id)| (*position, *id)).collect();
        let Some((position, id)) = self.rng.choice(kept) else {
            return Ok(());
        };
        match self
            .store
            .append(name, event(id), Durability::Durable, None)
        {
            Append::Done(Ok(again)) if again != position => {
                Err(format!("{id} is at {position} and then at {again}"))
            }
            Append::Waits(_) => Err(format!("{id} is there and is written again")),
            Append::Done(_) => Ok(()),
        }
    }

    fn use_group(&mut self, stream: usize) -> Result<(), Wrong> {
        let limit = self.rng.usize(1..5);
        let (name, known) = &mut self.streams[stream];
        if !known.has_group {
            let mut made = self.store.make_group(name, GROUP, Position::START);
            for _ in 0..3 {
                round(&self.store, false);
            }
            known.has_group = matches!(now(&mut made), Some(Ok(_)));
            return Ok(());
        }
        drop(now(self.store.read_group(name, GROUP, "c", limit)));
        let pending = now(self.store.pending(name, GROUP, Position::START, 9));
        let Some(Ok(pending)) = pending else {
            return Ok(());
        };
        let mut done = Vec::new();
        for one in pending {
            match self.rng.u8(0..3) {
                0 => done.push(one.position),
                1 => {
                    let claimed =
                        self.store
                            .claim(name, GROUP, "d", Duration::ZERO, &[one.position]);
                    if let Some(Ok(claimed)) = now(claimed)
                        && claimed
                            .iter()
                            .any(|(_, count)| *count != one.deliveries + 1)
                    {
                        return Err(format!("{} was not counted", one.position));
                    }
                    // One that is trimmed is acknowledged.
                    if known.trimmed >= one.position {
                        known.acked.insert(one.position);
                    }
                }
                _ => {}
            }
        }
        known.acked.extend(&done);
        drop(now(self.store.ack(name, GROUP, &done)));
        Ok(())
    }

    fn trim(&mut self, stream: usize) {
        let keep = self.rng.usize(0..6);
        let length = Some(keep as u64);
        let (name, known) = &mut self.streams[stream];
        let retention = Retention {
            length,
            ..Retention::default()
        };
        let visible = known.visible();
        if let Some(last) = visible.len().checked_sub(keep + 1) {
            known.trimmed = visible[last].0;
        }
        let mut trimmed = self.store.trim(name, retention);
        for _ in 0..3 {
            round(&self.store, false);
        }
        if let Some(Ok(1..)) = now(&mut trimmed) {
            known.trimmed_for_sure = known.trimmed;
        }
    }

    /// What may be read is what was kept and what was delivered.
    fn look(&mut self, stream: usize) -> Result<(), Wrong> {
        let read = self.read(stream)?;
        let (_, known) = &self.streams[stream];
        let Ok(read) = read else {
            return Ok(());
        };
        let expected = known.visible();
        let read: Vec<_> = read
            .iter()
            .map(|entry| (entry.position, entry.event.id.as_u128()))
            .filter(|(at, _)| *at > known.trimmed)
            .collect();
        if read != expected {
            return Err(format!(
                "there is {read:?}, where {expected:?} was delivered"
            ));
        }
        Ok(())
    }

    /// All of a stream, forward; checked against what is read back, and for what is always so.
    fn read(&mut self, stream: usize) -> Result<Result<Vec<Entry>, StreamError>, Wrong> {
        let limit = self.rng.usize(1..9);
        let (name, known) = &mut self.streams[stream];
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map_or(Position::START, |entry| entry.position);
            let read = self.store.read(name, after, Position::END, limit);
            match now(read).ok_or("it waits")? {
                Ok(read) if read.is_empty() => break,
                Ok(read) => all.extend(read),
                Err(error) => return Ok(Err(error)),
            }
        }
        let back = self.store.read_back(name, Position::END, usize::MAX);
        let mut back = match now(back).ok_or("it waits")? {
            Ok(back) => back,
            Err(error) => return Ok(Err(error)),
        };
        back.reverse();
        if all != back {
            return Err(format!("forward {all:?}, backward {back:?}"));
        }
        let mut ids = BTreeSet::new();
        for (number, entry) in all.iter().enumerate() {
            let id = entry.event.id.as_u128();
            if !ids.insert(id) {
                return Err(format!("{id} is there twice"));
            }
            if number > 0 && all[number - 1].position >= entry.position {
                return Err(format!("{} is out of order", entry.position));
            }
            if entry.event != event(id) {
                return Err(format!("{id} is torn: {:?}", entry.event));
            }
            let before = known.positions.insert(entry.position, id);
            if before.is_some_and(|before| before != id) {
                return Err(format!("{} is of {before:?} and of {id}", entry.position));
            }
        }
        Ok(Ok(all))
    }

    /// What was answered since it was looked at last.
    fn take_answers(&mut self) -> Result<(), Wrong> {
        for (_, known) in &mut self.streams {
            for (id, mut append) in std::mem::take(&mut known.under_way) {
                match now(&mut append) {
                    None => known.under_way.push((id, append)),
                    Some(Ok(position)) => {
                        let is_delivered = known.delivered.lock().contains(&(position, id));
                        if !is_delivered {
                            return Err(format!("{id} is done at {position}, and not delivered"));
                        }
                        if is_durable(id) {
                            known.kept.insert(position, id);
                        }
                    }
                    Some(Err(StreamError::Full { .. })) => {
                        known.this_life.retain(|one| *one != id);
                    }
                    Some(Err(_)) => {}
                }
            }
            let delivered = known.delivered.lock();
            for (position, id) in delivered.iter() {
                let before = known.positions.insert(*position, *id);
                if before.is_some_and(|before| before != *id) {
                    return Err(format!("{position} is of {before:?} and of {id}"));
                }
            }
            if !delivered.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(format!("delivered out of order: {delivered:?}"));
            }
        }
        Ok(())
    }
}

/// The first seed of `seeds` that goes wrong, and how.
fn first_wrong(seeds: impl Iterator<Item = u64>) -> Option<(u64, Wrong)> {
    // A clock is a plain copy: this one is as long as the test.
    let clock = Box::leak(Box::default());
    for seed in seeds {
        let played = std::panic::catch_unwind(|| play(seed, clock));
        match played {
            Ok(Ok(())) => {}
            Ok(Err(wrong)) => return Some((seed, wrong)),
            Err(_) => return Some((seed, "it panics".to_owned())),
        }
    }
    None
}

/// `UK_STREAM_SEED` plays a single one.
#[test]
fn what_was_promised_is_there_after_any_crash() {
    let one = std::env::var("UK_STREAM_SEED").ok();
    let range = match one {
        Some(seed) => {
            let seed: u64 = seed.parse().unwrap();
            seed..seed + 1
        }
        None => 0..seeds(),
    };

    let halves = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let seeds = range.clone().filter(move |seed| seed % 2 == half);
            scope.spawn(move || first_wrong(seeds))
        });
        halves.map(|half| half.join().unwrap())
    });

    if let Some((seed, wrong)) = halves.into_iter().flatten().min() {
        panic!("seed {seed}: {wrong}; play it again with UK_STREAM_SEED={seed}");
    }
}

/// How many seeds it takes to find a fault, at most.
const SEEDS_TO_FIND: u64 = 2_000;

#[test]
fn every_planted_fault_is_found() {
    for bug in Bug::ALL {
        PLANTED.set(Some(bug));

        let found = first_wrong(0..SEEDS_TO_FIND);

        assert!(
            found.is_some(),
            "{bug:?} was not found in {SEEDS_TO_FIND} seeds"
        );
    }
    PLANTED.set(None);
}
