//! A process that appends is killed at any moment: what it said to be on disk is there.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, and its child"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use unity_actors::streams::{EmbeddedStreams, Options};
use unity_supervisors::bus::{Draft, Event, EventId, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::stream::{Durability, Position, StreamName, StreamStore};

/// Set for the child: the folder of its streams, and the number of its life.
const FOLDER: &str = "UK_TEST_STREAMS";
const LIFE: &str = "UK_TEST_LIFE";
const PUBLISHERS: u128 = 4;

/// How often CI kills. `UK_KILLS` asks for more.
fn kills() -> u32 {
    let asked = std::env::var("UK_KILLS").ok();
    asked.map_or(50, |asked| asked.parse().unwrap())
}

fn options() -> Options {
    // Small ones, so that segments end often.
    Options {
        segment_bytes: 64 << 10,
        fill_bytes: 16 << 10,
        ..Options::default()
    }
}

fn names() -> [StreamName; 2] {
    ["a:b", "c"].map(|name| StreamName::new(name).unwrap())
}

fn event(id: u128) -> Arc<Event> {
    let data = json!({"id": id.to_string(), "x": "x".repeat(usize::try_from(id % 500).unwrap())});
    let mut draft = Draft::new(&Topic::new("a.b").unwrap(), data);
    draft.id = Some(EventId::from_u128(id));
    Arc::new(draft.as_it_is())
}

/// The child: appends from several threads until it is killed, and says what is on disk.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let life: u128 = std::env::var(LIFE).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).build().unwrap();
    let store = EmbeddedStreams::open(folder, Clock::real(), options()).unwrap();
    let publish = |publisher: u128| {
        let store = Arc::clone(&store);
        async move {
            let [first, second] = names();
            for number in 0.. {
                let id = life << 64 | publisher << 32 | number;
                let name = if number % 2 == 0 { &first } else { &second };
                let aside = event(1 << 127 | id);
                drop(store.append(name, aside, Durability::Async, None));
                let append = store.append(name, event(id), Durability::Durable, None);
                let position = append.await.unwrap();
                // A line at once, or none: it is short enough for the pipe.
                let line = format!("on-disk {name} {id} {position}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        }
    };
    runtime.block_on(futures_util::future::join_all((0..PUBLISHERS).map(publish)));
    println!();
}

fn start(folder: &Path, life: u32) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped());
    child.spawn().unwrap()
}

/// What is on disk, as the child said it. Kills it after so many lines.
fn run_and_kill(folder: &Path, life: u32, lines: usize) -> Vec<(String, u128, Position)> {
    let mut child = start(folder, life);
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    for line in stdout.lines() {
        let line = line.unwrap();
        // The first comes behind what the test runner says.
        if let Some(at) = line.find("on-disk ") {
            let words: Vec<_> = line.get(at..).unwrap().split(' ').collect();
            let [_, name, id, position] = words.as_slice() else {
                continue;
            };
            if let (Ok(id), Ok(position)) = (id.parse(), position.parse()) {
                said.push(((*name).to_owned(), id, position));
            }
        }
        if said.len() == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

#[tokio::test]
async fn what_a_killed_process_said_to_be_on_disk_is_there() {
    let name = format!("uk-kills-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let mut random = fastrand::Rng::with_seed(7);
    let mut said: BTreeMap<(String, Position), u128> = BTreeMap::new();

    for life in 0..kills() {
        let lines = random.usize(1..200);
        let new = run_and_kill(&folder, life, lines);
        assert!(
            new.len() >= lines,
            "the child ended by itself in life {life}"
        );
        said.extend(new.into_iter().map(|(name, id, at)| ((name, at), id)));

        let store = EmbeddedStreams::open(&folder, Clock::real(), options()).unwrap();
        for name in names() {
            let all = store.read(&name, Position::START, Position::END, usize::MAX);
            let all = all.await.unwrap();
            assert!(all.is_sorted_by(|a, b| a.position < b.position));
            let mut ids: Vec<_> = all.iter().map(|entry| entry.event.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), all.len(), "one is there twice");
            let mut there = BTreeMap::new();
            for entry in all {
                let id = entry.event.id.as_u128();
                assert_eq!(entry.event, event(id), "one is torn");
                there.insert(entry.position, id);
            }
            for ((stream, position), id) in &said {
                if stream == name.as_str() {
                    assert_eq!(there.get(position), Some(id), "in life {life}");
                }
            }
        }
        let infos = store.streams().await.unwrap();
        assert!(
            infos
                .iter()
                .all(|info| info.skipped == 0 && info.trouble.is_none())
        );
        store.close().await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
