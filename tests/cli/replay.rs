//! `uk events replay` as people use it.

use serde_json::json;

use crate::harness::Rig;

/// The lines of so many events, a second apart.
fn lines(count: u32) -> String {
    let line = |number| {
        let time = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
        json!({ "topic": "test.number", "data": number, "time": time }).to_string() + "\n"
    };
    (0..count).map(line).collect()
}

#[test]
fn a_file_is_told_on_the_bus_at_any_speed() {
    let rig = Rig::boot();
    rig.folder.file("events.jsonl", lines(3_000));

    let said = rig.uk(&[
        "events",
        "replay",
        "--from-file",
        "events.jsonl",
        "--bus",
        "--speed",
        "max",
    ]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "done: told 3000 events\n"),
        "{said:?}"
    );
    let some = rig.json(&[
        "events",
        "replay",
        "other.*",
        "--from-file",
        "events.jsonl",
        "--bus",
        "--speed",
        "1000000",
    ]);
    assert_eq!(some["replay"]["told"], 0);
    assert_eq!(some["replay"]["passed_over"], 3_000);
}

#[test]
fn what_a_stream_kept_is_told_to_an_actor_and_copied_to_a_file_and_told_from_there() {
    let rig = Rig::boot_tree(
        "{version: 1, name: rig, tree: {children: [{id: m, kind: monitor, settings: {pattern: none}}]}}",
    );
    // Until the first of them is there.
    rig.until(&["events", "stats"], |stats| {
        stats.to_string().contains("system.child")
    });
    let replay =
        |more: &[&str]| rig.json(&[&["events", "replay", "system.child.*"], more].concat());

    let copied = replay(&["--to-file", "kept.jsonl"]);
    let count = copied["copied"].as_u64().unwrap();
    assert_eq!(rig.folder.text("kept.jsonl").lines().count() as u64, count);
    let told = replay(&["--from-file", "kept.jsonl", "--to", "/m", "--speed", "max"]);
    assert_eq!(
        (&told["replay"]["told"], &told["replay"]["state"]),
        (&json!(count), &json!("done"))
    );
    let told = replay(&["--from", "1h", "--to", "/m", "--speed", "max"]);
    assert!(told["replay"]["told"].as_u64() >= Some(count), "{told}");
    let long_ago = replay(&["--until", "1h", "--to", "/m"]);
    assert_eq!(long_ago["replay"]["told"], 0);
    let nowhere = rig.uk(&["events", "replay", "--stream", "nope", "--to", "/m"]);
    assert!(
        nowhere.code == 4 && nowhere.err.contains("no stream `nope`"),
        "{nowhere:?}"
    );
}

#[test]
fn one_that_runs_is_stopped_from_elsewhere() {
    let rig = Rig::boot();
    rig.folder.file("events.jsonl", lines(3_000));
    let args = [
        "events",
        "replay",
        "--from-file",
        "events.jsonl",
        "--bus",
        "--json",
    ];
    let replay = rig
        .folder
        .command(&args)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    rig.until(&["events", "replay", "--status"], |status| {
        status["replay"]["told"].as_u64() >= Some(1)
    });

    let busy = rig.uk(&args);
    assert!(
        busy.code == 1 && busy.out.contains("--stop` ends it"),
        "{busy:?}"
    );
    let stopped = rig.json(&["events", "replay", "--stop"]);
    assert_eq!(stopped["replay"]["state"], "stopped");

    let said = crate::harness::Said::of(replay.wait_with_output().unwrap());
    assert_eq!(said.json()["replay"]["state"], "stopped");
    let none = rig.uk(&["events", "replay", "--stop"]);
    assert!(
        none.code == 4 && none.err.contains("no replay is running"),
        "{none:?}"
    );
}

/// What is typed, the exit code, what is said, and what is said to do.
const WRONG: &[(&[&str], i32, &str, &str)] = &[
    (
        &["--from-file", "bad.jsonl", "--bus"],
        3,
        "bad.jsonl:3: ",
        "--to-file FILE",
    ),
    (&["--from-file", "none.jsonl", "--bus"], 4, "none.jsonl", ""),
    (
        &["--from-file", "good.jsonl"],
        2,
        "where the events go is not said",
        "--to PATH",
    ),
    (
        &["--from-file", "good.jsonl", "--bus", "--to", "/a"],
        2,
        "said twice",
        "--to PATH",
    ),
    (
        &["--from-file", "good.jsonl", "--bus", "--speed", "fast"],
        2,
        "`fast` is no speed",
        "max",
    ),
    (
        &["--bus", "--from", "10m", "--until", "11m"],
        2,
        "nothing is from",
        "--until is the later one",
    ),
    (
        &["a..b", "--from-file", "good.jsonl", "--bus"],
        2,
        "a..b",
        "uk events list",
    ),
    (
        &["--from-file", "good.jsonl", "--to", "/aa"],
        4,
        "there is no `/aa`",
        "did you mean `/a`?",
    ),
    (
        &["--from-file", "good.jsonl", "--to", "/group"],
        2,
        "is a supervisor",
        "uk tree /group",
    ),
    (
        &["--from-file", "good.jsonl", "--from", "1h", "--bus"],
        2,
        "--from does not go",
        "help",
    ),
    (
        &["--to-file", "x", "--speed", "2"],
        2,
        "--speed does not go with --to-file",
        "help",
    ),
];

#[test]
fn what_is_wrong_says_where_and_nothing_is_told() {
    let rig = Rig::boot();
    rig.folder.file("good.jsonl", lines(3));
    let bad = lines(2) + "{\"topic\": \"a.*\"}\n";
    rig.folder.file("bad.jsonl", bad);

    for (args, code, said, hint) in WRONG {
        let typed = rig.uk(&[&["events", "replay"], *args].concat());
        assert_eq!(typed.code, *code, "{args:?}: {typed:?}");
        assert!(
            typed.err.contains(said) && typed.err.contains(hint),
            "{args:?}: {typed:?}"
        );
    }
    let deaf = rig.uk(&[
        "events",
        "replay",
        "--from-file",
        "good.jsonl",
        "--to",
        "/a",
    ]);
    assert!(
        deaf.code == 1 && deaf.out.contains("carries an event"),
        "{deaf:?}"
    );
    assert!(!rig.folder.names().contains(&"x".to_owned()));
}
