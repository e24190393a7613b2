//! A kernel under chaos for a long time, and whether anything of it grows that should not.
//!
//! Rounds of chaos; after each, once the tree is at rest, it looks at what the process holds. In a test run of everybody there are
//! a few rounds of a few seconds, and counts (tasks, threads, descriptors) must be what they were after the first. For a real
//! soak say how long: `UK_SOAK_FOR=8h cargo nextest run --release --test soak --profile long`. Then the slopes of all four are
//! worked out by least squares, and what they come to in an hour must stay below [`SLOPES_MAX`] and for memory what [`NOISE`] comes to; the page
//! of reliability has them. Before a real soak its streams are filled, so that no cache that fills up looks like a leak.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot be set up fails"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::duration::parse_duration;

use harness::Rig;
use kept::keep;
use kept::promises::SOAK;

#[path = "../../benches/kept.rs"]
mod kept;

#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;

/// Groups with room in their budgets for what strikes them.
const TREE: &str = "
version: 1
name: rig
test: true
tree:
  intensity: 1000
  period: 1s
  children:
    - id: senses
      intensity: 1000
      period: 1s
      children:
        - { id: beat, kind: heartbeat, settings: { interval: 10ms } }
        - { id: camera, kind: sensor.frames, settings: { camera: { width: 32, height: 32, fps: 50 } } }
        - { id: watcher, kind: monitor, settings: { level: trace } }
    - id: work
      intensity: 1000
      period: 1s
      children:
        - { id: one, kind: probe }
        - { id: two, kind: probe, mailbox: { retry: 1 } }
        - { id: three, kind: probe, backoff: { min: 1ms, max: 10ms } }
    - id: program
      kind: process
      settings: { command: [sh, -c, 'while read -r line; do :; done'], subscribes: [system.heartbeat] }
";

/// Fills what a stream keeps in memory up to its bounds: the ids of its last events, its last entries, the rows of its last
/// segments, of which none has more than those of events without data. In a real soak all that would take more than an hour, and
/// look like a leak until then.
const FILLER: &str = "
    - id: filler
      kind: process
      restart: temporary
      settings:
        command: [sh, -c, 'yes LINE_OF_HEARTBEAT | head -n COUNT; yes LINE_OF_CAMERA | head -n COUNT']
        publishes: [system.heartbeat, sensor.camera.filler]
";

/// How long a round is, and how many there are where nobody says how long to go on.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
/// In a real soak.
const LONG_ROUND: Duration = Duration::from_secs(60);
/// What is worked out for an hour from a shorter soak is noise: it is printed, and neither kept nor judged.
const JUDGED_FROM: Duration = Duration::from_secs(600);
/// Events of the filler on each topic: six segments of them.
const FILLED_WITH: usize = 1_000_000;
/// How long the filler may take.
const FILLED_WITHIN: Duration = Duration::from_secs(300);
/// How long it may take until what is on its way has ended.
const RESTS_WITHIN: Duration = Duration::from_secs(20);
/// What may be more in an hour: bytes of resident memory, descriptors, tasks, threads.
const SLOPES_MAX: [(&str, f64); 4] = [
    ("rss_bytes", 1_048_576.0),
    ("descriptors", 0.5),
    ("tasks", 0.5),
    ("threads", 0.5),
];
/// By how much of what it holds it may go up within the time that is judged, however short that is: pages of the allocator.
const NOISE: f64 = 0.01;

/// How many more there may be after a few rounds: a stream that begins a segment holds its file.
const MORE_MAX: [u64; 4] = [u64::MAX >> 1, 3, 0, 0];

/// What a process holds, in the order of [`SLOPES_MAX`].
type Held = [u64; 4];

#[test]
fn nothing_grows() {
    let asked = std::env::var("UK_SOAK_FOR").ok();
    let asked = asked.map(|text| parse_duration(&text).unwrap());
    let rig = match asked {
        Some(_) => filled(),
        None => Rig::boot_tree(TREE),
    };
    let begun = Instant::now();
    let mut looks: Vec<(f64, Held)> = Vec::new();
    let mut kills = 0;
    loop {
        kills += strike(
            &rig,
            looks.len() as u64,
            asked.map_or(ROUND, |_| LONG_ROUND),
        );
        let floor = looks.first().map(|(_, held)| *held);
        let held = at_rest(&rig, floor.filter(|_| asked.is_none()));
        looks.push((begun.elapsed().as_secs_f64(), held));
        let is_over = match asked {
            Some(asked) => begun.elapsed() >= asked && looks.len() >= 3,
            None => looks.len() >= ROUNDS,
        };
        if is_over {
            break;
        }
    }
    let said = report(&looks, kills);
    println!("{said:#}");
    if let Some(asked) = asked {
        if asked >= JUDGED_FROM {
            keep(SOAK, &said).unwrap();
            judge(&said);
        }
        return;
    }
    let (first, last) = (looks[0].1, looks[looks.len() - 1].1);
    for (place, (name, _)) in SLOPES_MAX.iter().enumerate() {
        let most = first[place] + MORE_MAX[place];
        assert!(last[place] <= most, "{name} grow: {said:#}");
    }
}

/// A kernel whose streams hold in memory what they ever will.
fn filled() -> Rig {
    let line = |topic: &str| format!(r#""{{\"topic\": \"{topic}\", \"data\": {{}}}}""#);
    let filler = FILLER
        .replace("COUNT", &FILLED_WITH.to_string())
        .replace("LINE_OF_HEARTBEAT", &line("system.heartbeat"))
        .replace("LINE_OF_CAMERA", &line("sensor.camera.filler"));
    let rig = Rig::boot_tree(&format!("{TREE}{filler}"));
    let is_gone = |tree: &Value| !tree.to_string().contains("/filler");
    let begun = Instant::now();
    while !is_gone(&rig.json(&["tree"])) {
        assert!(begun.elapsed() < FILLED_WITHIN, "the filler goes on");
    }
    let streams = rig.json(&["streams", "list"]);
    println!("filled: {streams:#}");
    rig
}

/// One round: all come back, and nothing is lost.
fn strike(rig: &Rig, seed: u64, long: Duration) -> u64 {
    let (long, seed) = (format!("{}s", long.as_secs()), seed.to_string());
    let run = [
        "chaos", "run", "--for", &long, "--rate", "50/s", "--seed", &seed,
    ];
    let report = rig.json(&run);
    assert_eq!(report["outcome"], "passed", "{report:#}");
    assert_eq!(report["lost"], 0, "{report:#}");
    assert_eq!(report["kills"], report["recovered"], "{report:#}");
    report["kills"].as_u64().unwrap()
}

/// What the process holds once nothing is on its way any more: once it holds no more than `floor`, or its time is over.
fn at_rest(rig: &Rig, floor: Option<Held>) -> Held {
    let begun = Instant::now();
    let mut least = held(rig);
    loop {
        // Each of these takes some milliseconds, which is what it is waited for.
        let now = held(rig);
        for (least, now) in least.iter_mut().zip(now) {
            *least = (*least).min(now);
        }
        let is_at_rest = match floor {
            Some(floor) => (0..4).all(|place| least[place] <= floor[place] + MORE_MAX[place]),
            None => begun.elapsed() >= Duration::from_secs(2),
        };
        if is_at_rest || begun.elapsed() >= RESTS_WITHIN {
            return least;
        }
    }
}

fn held(rig: &Rig) -> Held {
    let process = Path::new("/proc").join(rig.process.id().to_string());
    let count = |folder: &str| fs::read_dir(process.join(folder)).unwrap().count() as u64;
    let pages: u64 = fs::read_to_string(process.join("statm"))
        .unwrap()
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap();
    [pages * 4096, count("fd"), tasks(rig), count("task")]
}

fn tasks(rig: &Rig) -> u64 {
    let (_, page) = harness::http(rig, "GET /metrics", "");
    let line = page
        .lines()
        .find(|line| line.starts_with("unitykernel_tasks "));
    line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn report(looks: &[(f64, Held)], kills: u64) -> Value {
    let mut slopes = serde_json::Map::new();
    for (place, (name, _)) in SLOPES_MAX.iter().enumerate() {
        // The first third is for what is made once and kept.
        let warm = &looks[looks.len() / 3..];
        let points: Vec<(f64, f64)> = warm
            .iter()
            .map(|(at, held)| (*at, held[place] as f64))
            .collect();
        slopes.insert(
            (*name).to_owned(),
            json!((slope(&points) * 3600.0 * 100.0).round() / 100.0),
        );
    }
    let (first, last) = (looks[0].1, looks[looks.len() - 1].1);
    json!({
        "version": 1,
        "took_s": looks[looks.len() - 1].0.round(),
        "rounds": looks.len(),
        "kills": kills,
        "first": named(first),
        "last": named(last),
        "more_per_hour": slopes,
    })
}

fn named(held: Held) -> Value {
    let names = SLOPES_MAX.iter().map(|(name, _)| (*name).to_owned());
    Value::Object(names.zip(held.map(Value::from)).collect())
}

/// The slope of the line that fits best, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let both: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    if spread > 0.0 { both / spread } else { 0.0 }
}

fn judge(said: &Value) {
    // The first third is not judged.
    let hours = said["took_s"].as_f64().unwrap() / 3600.0 * 2.0 / 3.0;
    let noise = said["first"]["rss_bytes"].as_f64().unwrap() * NOISE;
    for (name, most) in SLOPES_MAX {
        let most = match name {
            "rss_bytes" => most + noise / hours,
            _ => most,
        };
        let slope = said["more_per_hour"][name].as_f64().unwrap();
        assert!(slope <= most, "{name}: {slope} more in an hour: {said:#}");
    }
}

#[test]
fn a_slope_is_worked_out() {
    assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
    assert!(slope(&[(0.0, 7.0), (5.0, 7.0)]).abs() < 1e-9);
    assert!(slope(&[(1.0, 7.0)]).abs() < 1e-9);
}
