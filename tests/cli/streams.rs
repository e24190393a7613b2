//! `uk streams`, and `uk events` where events are kept: a kernel of this process, asked by the binary.

use std::sync::Arc;

use serde_json::{Value, json};
use unity_kernel::settings::system::FolderFrom;
use unity_kernel::{BootOptions, Mode, RunningKernel, boot, event_file};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::spec::{SupervisorSpec, TreeSpec};
use unity_supervisors::stream::{MemoryStreams, StreamName};

use crate::events::tail;
use crate::harness::{Folder, Said};

const CATALOG: &str = "version: 1\nevents:\n  door.*: { persist: { mode: durable, retention: { length: 1000 } } }\n  \
                       lamp.*: { persist: { mode: async, stream: lamps, retention: { age: 90d } } }\n";

/// A kernel with streams.
struct Kept {
    folder: Folder,
    kernel: RunningKernel,
}

impl Kept {
    fn boot() -> Self {
        let folder = Folder::new();
        folder.file("events.yaml", CATALOG);
        std::fs::create_dir(folder.path().join("unity-kernel")).unwrap();
        let tree = TreeSpec {
            name: "rig".to_owned(),
            test: true,
            root: SupervisorSpec::default(),
        };
        let here = FolderFrom::Named(folder.path().to_owned());
        let kernel = boot(BootOptions {
            events: Some(event_file::load(&here).tree.unwrap()),
            streams: Some(MemoryStreams::new(Clock::real())),
            socket: Some(folder.path().join("unity-kernel/rig.sock")),
            data_dir: Some(folder.path().join("data")),
            ..BootOptions::new(tree)
        });
        let kernel = kernel.unwrap();
        assert_eq!(kernel.booted(), Mode::Normal);
        Self { folder, kernel }
    }

    fn uk(&self, args: &[&str]) -> Said {
        self.folder.uk(args)
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.uk(&[args, &["--json"]].concat());
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.json()
    }

    fn publish(&self, topic: &str, data: i32) {
        let draft = Draft::new(&Topic::new(topic).unwrap(), json!(data));
        let bus = Arc::clone(self.kernel.kernel().bus());
        let published = self
            .kernel
            .block_on(async move { bus.publish(&"test".into(), draft).await });
        published.unwrap();
    }
}

fn data(entries: &Value) -> Vec<i64> {
    let entries = entries["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["event"]["data"].as_i64().unwrap())
        .collect()
}

#[test]
fn a_stream_is_read_forwards_and_backwards_and_trimmed() {
    let kept = Kept::boot();
    assert!(
        kept.uk(&["streams", "list"])
            .out
            .contains("there is no stream yet")
    );
    for number in 1..=5 {
        kept.publish("door.front", number);
    }
    kept.publish("lamp.hall", 6);

    let all = kept.json(&["streams", "read", "door"]);
    assert_eq!(data(&all), [1, 2, 3, 4, 5]);
    let third = all["entries"][2]["position"].as_str().unwrap();
    for (args, expected) in [
        (&["--from", third][..], &[3, 4, 5][..]),
        (&["--from", "start", "--limit", "2"], &[1, 2]),
        (&["--from", "2100-01-01T00:00:00Z"], &[]),
        (&["--from", "2h"], &[1, 2, 3, 4, 5]),
        (&["--reverse", "--limit", "2"], &[5, 4]),
        (&["--reverse", "--from", third], &[2, 1]),
    ] {
        let read = kept.json(&[&["streams", "read", "door"], args].concat());
        assert_eq!(data(&read), expected, "{args:?}");
    }
    let listed = kept.json(&["streams", "list"]);
    let names: Vec<&Value> = listed["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["stream"])
        .collect();
    assert_eq!(names, [&json!("door"), &json!("lamps")]);
    let tailed = kept.uk(&["events", "tail", "door.*", "--from", "2h", "--limit", "5"]);
    assert_eq!(tailed.out.lines().count(), 5, "{tailed:?}");
    let drawn = kept.uk(&["streams", "list"]).out;
    assert!(
        drawn.contains("1000 events") && drawn.contains("90d"),
        "{drawn}"
    );
    assert_eq!(
        kept.json(&["streams", "trim", "door", "--length", "2"])["dropped"],
        3
    );
    for kept_more in [["--bytes", "1MiB"], ["--age", "1h"]] {
        let trim = [&["streams", "trim", "door"][..], &kept_more].concat();
        assert_eq!(kept.json(&trim)["dropped"], 0);
    }
    let shown = kept.json(&["streams", "show", "door"]);
    assert_eq!(
        (&shown["length"], &shown["retention"]["length"]),
        (&json!(2), &json!(1000))
    );
}

#[test]
fn a_group_is_handed_events_acknowledges_them_and_takes_over() {
    let kept = Kept::boot();
    for number in 1..=3 {
        kept.publish("door.front", number);
    }
    let read = [
        "streams",
        "read",
        "door",
        "--group",
        "audit",
        "--consumer",
        "anna",
    ];

    let handed = kept.json(&[&read[..], &["--from", "start", "--limit", "2"]].concat());
    assert_eq!(
        (data(&handed), &handed["made_group"]),
        (vec![1, 2], &json!(true))
    );
    let again = kept.json(&read);
    assert_eq!(
        (data(&again), &again["made_group"]),
        (vec![3], &json!(false))
    );
    let first = handed["entries"][0]["position"].as_str().unwrap();
    let acked = kept.uk(&["streams", "ack", "door", "audit", first, "5-0"]);
    assert_eq!(acked.out, "audit: 1 event acknowledged; 1 not pending\n");
    let pending = kept.json(&["streams", "pending", "door", "audit"]);
    let consumers: Vec<&Value> = pending["pending"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["consumer"])
        .collect();
    assert_eq!(consumers, [&json!("anna"), &json!("anna")]);
    let claim = ["streams", "claim", "door", "audit", "berta"];
    assert_eq!(
        data(&kept.json(&claim)),
        Vec::<i64>::new(),
        "they were handed out just now"
    );
    let claimed = kept.json(&[&claim[..], &["--idle", "0s"]].concat());
    assert_eq!(
        (data(&claimed), &claimed["entries"][0]["deliveries"]),
        (vec![2, 3], &json!(2))
    );
    let shown = kept.uk(&["streams", "show", "door"]);
    assert!(
        shown.out.contains("audit") && shown.out.contains("pending"),
        "{shown:?}"
    );
    assert!(
        kept.uk(&["streams", "pending", "door", "audit"])
            .out
            .contains("berta")
    );
}

#[test]
fn a_group_is_dropped_and_one_that_an_actor_reads_only_by_force() {
    let kept = Kept::boot();
    kept.publish("door.front", 1);
    let read = ["streams", "read", "door", "--group", "audit"];
    kept.json(&[&read[..], &["--consumer", "anna", "--from", "start"]].concat());
    kept.json(&[
        "spawn",
        "monitor",
        "--under",
        "/",
        "--id",
        "ears",
        "--set",
        "pattern=door.*",
        "--set",
        "durable=ears",
    ]);
    let groups = || {
        let shown = kept.json(&["streams", "show", "door"]);
        let groups = shown["groups"].as_array().unwrap().iter();
        let names = groups.map(|group| group["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let door = StreamName::new("door").unwrap();
    let bus = Arc::clone(kept.kernel.kernel().bus());
    kept.kernel.block_on(async move {
        while bus.readers(&door).is_empty() {
            tokio::task::yield_now().await;
        }
    });
    let shown = kept.uk(&["events", "show", "door.front"]).out;
    assert!(shown.contains("read by     /ears as ears"), "{shown}");
    let published = kept.uk(&["events", "publish", "door.front", "2"]).out;
    assert!(
        published.contains("(1 reader of its stream, on disk in door)"),
        "{published}"
    );

    let dropped = kept.uk(&["streams", "drop", "door", "audit"]);
    assert_eq!(
        dropped.out,
        "door: group audit dropped; 1 event not acknowledged, 1 never handed out\n"
    );
    let refused = kept.uk(&["streams", "drop", "door", "ears"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for said in ["is read by /ears right now", "`uk stop /ears`", "--force"] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
    assert_eq!(groups(), ["ears"]);
    kept.json(&["stop", "/ears"]);
    kept.json(&["streams", "drop", "door", "ears"]);
    assert_eq!(groups(), Vec::<String>::new());
}

/// A command line, its exit code, and what it says.
const WRONG: &[(&[&str], i32, &[&str])] = &[
    (
        &["streams", "show", "dor"],
        4,
        &["there is no stream `dor`", "did you mean `door`?"],
    ),
    (&["streams", "read", "dor"], 4, &["did you mean `door`?"]),
    (
        &["streams", "read", "a b"],
        2,
        &["is not the name of a stream"],
    ),
    (
        &["streams", "read", "door", "--from", "noon"],
        2,
        &["is not a place in a stream", "as in 1763675400123-0"],
    ),
    (
        &["streams", "read", "door", "--group", "audit"],
        2,
        &["--group and --consumer belong together"],
    ),
    (
        &["streams", "read", "door", "--group", "x", "--consumer", "a"],
        4,
        &["has no group `x`", "--from start"],
    ),
    (
        &["streams", "claim", "door", "audit", "a\u{1b}[31m"],
        2,
        &["`a\u{fffd}[31m` is not the name of a consumer"],
    ),
    (
        &["streams", "read", "door", "--group", " ", "--consumer", "a"],
        2,
        &["is not the name of a group"],
    ),
    (
        &["streams", "pending", "door", "adit"],
        4,
        &["did you mean `audit`?"],
    ),
    (
        &["streams", "drop", "door", "adit"],
        4,
        &["did you mean `audit`?"],
    ),
    (
        &["streams", "drop", "dor", "audit"],
        4,
        &["did you mean `door`?"],
    ),
    (
        &["events", "tail", "door.*", "--from", "2100-01-01T00:00:00Z"],
        2,
        &["is still to come"],
    ),
    (
        &["streams", "ack", "door", "audit", "first"],
        2,
        &["`first` is not a position"],
    ),
    (
        &["streams", "trim", "door"],
        2,
        &["nothing says what is to be kept"],
    ),
    (
        &[
            "streams",
            "read",
            "x",
            "--group",
            "g",
            "--consumer",
            "c",
            "--from",
            "start",
        ],
        4,
        &["no stream `x`"],
    ),
];

#[test]
fn what_is_asked_wrongly_says_what_to_do() {
    let kept = Kept::boot();
    kept.publish("door.front", 1);
    let group = [
        "streams",
        "read",
        "door",
        "--group",
        "audit",
        "--consumer",
        "anna",
    ];
    kept.json(&[&group[..], &["--from", "start"]].concat());
    for (args, code, says) in WRONG {
        let said = kept.uk(args);
        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        for text in *says {
            assert!(said.err.contains(text), "{text} {args:?}: {said:?}");
        }
    }
    let listed = kept.json(&["streams", "list"]);
    assert_eq!(
        listed["streams"].as_array().unwrap().len(),
        1,
        "a slip made a stream"
    );
}

#[test]
fn a_tail_from_the_start_reads_what_is_kept_by_time_and_goes_on_without_a_gap() {
    let kept = Kept::boot();
    for number in 1..=200 {
        let topic = if number % 3 == 0 {
            "lamp.hall"
        } else {
            "door.front"
        };
        kept.publish(topic, number);
    }
    kept.publish("quick.unkept", 0);
    // Without a limit: the kernel's own events would count.
    let (mut all, lines) = tail(&kept.folder, &["*", "--from", "start", "--json"]);
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let of_tests = |event: &Value| event["source"] == "test";
    let first = lines
        .by_ref()
        .filter(of_tests)
        .take(1)
        .map(|event| event["data"].clone());
    assert_eq!(first.collect::<Vec<_>>(), [json!(1)]);

    // It reads by now.
    for number in 201..=400 {
        let topic = if number % 3 == 0 {
            "quick.unkept"
        } else {
            "door.front"
        };
        kept.publish(topic, number);
    }

    let mut seen: Vec<i64> = lines
        .filter(of_tests)
        .take(399)
        .map(|event| event["data"].as_i64().unwrap())
        .collect();
    // What is kept and what is not come by two ways.
    let (past, present) = seen.split_at_mut(199);
    assert_eq!(past.to_vec(), (2..=200).collect::<Vec<i64>>());
    present.sort_unstable();
    assert_eq!(present.to_vec(), (201..=400).collect::<Vec<i64>>());
    all.kill().unwrap();
    all.wait().unwrap();
}

#[test]
fn what_is_durable_is_said_to_be_on_disk_and_the_same_id_is_kept_once() {
    let kept = Kept::boot();

    let published = kept.json(&["events", "publish", "door.front", "1"]);
    assert_eq!(
        (&published["stream"], &published["mode"]),
        (&json!("door"), &json!("durable"))
    );
    let id = published["id"].as_str().unwrap();
    let again = kept.uk(&["events", "publish", "door.front", "1", "--id", id]);

    assert!(
        again.out.contains(id) && again.out.contains("on disk in door"),
        "{again:?}"
    );
    assert_eq!(kept.json(&["streams", "show", "door"])["length"], 1);
}
