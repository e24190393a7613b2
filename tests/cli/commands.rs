//! Every command once, and what it promises.

use std::collections::BTreeSet;

use serde_json::json;
use unity_kernel::commands::TABLE;

use crate::harness::Rig;

/// The command, the arguments, what is said. In this order: each builds on those before.
const ROWS: &[(&str, &[&str], &str)] = &[
    ("check", &["check", "tree.yaml"], "ok"),
    ("check", &["check", "tree.yaml", "--effective"], "max: 2h"),
    (
        "check",
        &["check", "tree.yaml", "--effective", "--json"],
        r#""max":"2h""#,
    ),
    ("explain", &["explain", "UK0201"], "a key is not known"),
    ("tree", &["tree"], "└─ two"),
    ("tree", &["tree", "/group"], "/group"),
    ("doctor", &["doctor"], "versions"),
    (
        "demo",
        &["demo", "--for", "1s", "--seed", "7"],
        "never restarted",
    ),
    ("why", &["why", "/a"], "no exits so far"),
    ("health", &["health"], "rig is ok"),
    ("state", &["state", "/a"], "stop_takes_ms"),
    ("jobs", &["jobs"], "critical  4"),
    ("trace", &["trace", "/a", "--for", "1ms"], "time is up"),
    ("loglevel", &["loglevel"], "warn,unity_kernel=info"),
    (
        "loglevel",
        &["loglevel", "info"],
        "→ info,unity_kernel=info",
    ),
    (
        "loglevel",
        &["loglevel", "unity_actors=debug"],
        ",unity_actors=debug",
    ),
    (
        "kill",
        &["kill", "/a", "--reason", "drill"],
        "/a killed, now running (life 2)",
    ),
    ("why", &["why", "/a"], "killed: drill → restarted"),
    (
        "crashes",
        &["crashes", "--since", "1h"],
        "/a was killed: drill",
    ),
    ("logs", &["logs", "/a"], "reason=killed: drill"),
    (
        "restart",
        &["restart", "/a"],
        "/a started, now running (life 3)",
    ),
    ("stop", &["stop", "/a"], "/a stopped"),
    (
        "start",
        &["start", "/a"],
        "/a started, now running (life 4)",
    ),
    ("which", &["which", "/group"], "/group/one  probe  running"),
    (
        "count",
        &["count", "/group"],
        "/group  2 children, 2 running",
    ),
    ("paths", &["paths", "/gr"], "/group/one\n/group/two\n"),
    (
        "paths",
        &["paths", "/", "--supervisors", "--limit", "1"],
        "/\n… and ",
    ),
    ("suspend", &["suspend", "/a"], "/a suspended"),
    (
        "resume",
        &["resume", "/a"],
        "/a resumed, now running (life 4)",
    ),
    ("override", &["override", "/a", "suspend"], "/a suspended"),
    (
        "override",
        &["override", "/a", "resume"],
        "/a resumed, now running (life 4)",
    ),
    ("tell", &["tell", "/a", r#"{"echo": 1}"#], "told /a"),
    (
        "ask",
        &["ask", "/a", r#"{"echo": "hi"}"#, "--timeout", "2s"],
        "hi",
    ),
    (
        "spawn",
        &[
            "spawn",
            "sensor.host",
            "--under",
            "/group",
            "--id",
            "host",
            "--set",
            "every=500ms",
        ],
        "/group/host started, now running (life 1)",
    ),
    ("stop", &["stop", "/group/host"], "/group/host stopped"),
    ("delete", &["delete", "/group/host"], "/group/host deleted"),
    ("why", &["why", "/group/host"], "was deleted"),
    ("tell", &["tell", "/b", r#"{"crash": "ouch"}"#], "told /b"),
    ("release", &["release", "--all"], "released 0"),
    ("node list", &["node", "list"], "no node is attached"),
    (
        "node drain",
        &["node", "drain"],
        "rig takes no new children",
    ),
    (
        "node token",
        &["node", "token", "--out", "cookie"],
        "made cookie",
    ),
    ("node ca", &["node", "ca", "init", "ca"], "made a CA in ca"),
    ("chaos plan", &["chaos", "plan"], "may strike 4 actors"),
    (
        "chaos simulate",
        &[
            "chaos",
            "simulate",
            "tree.yaml",
            "--seeds",
            "1..2",
            "--for",
            "5s",
        ],
        "no seed of 1..2 breaks a promise",
    ),
    (
        "chaos run",
        &[
            "chaos", "run", "--for", "300ms", "--rate", "20/s", "--seed", "7",
        ],
        "lost, doubled or out of order",
    ),
    (
        "chaos report",
        &["chaos", "report"],
        "lost, doubled or out of order",
    ),
    ("chaos list", &["chaos", "list"], "r1  "),
    ("version", &["version"], env!("CARGO_PKG_VERSION")),
    (
        "completions",
        &["completions", "bash"],
        "complete -F _uk uk",
    ),
    (
        "events publish",
        &["events", "publish", "quick.hello", r#"{"text": "hi"}"#],
        "(nobody listens, not kept)",
    ),
    (
        "events list",
        &["events", "list", "--pattern", "quick.*"],
        "quick.*  1 ",
    ),
    (
        "events show",
        &["events", "show", "quick.hello"],
        "by the pattern quick.*",
    ),
    ("events stats", &["events", "stats"], "quick.hello"),
    ("telemetry", &["telemetry"], "sensor.host.load  /group/host"),
    ("schema tree", &["schema", "tree"], "tree file"),
    (
        "schema events",
        &["schema", "events"],
        "UnityKernel events.yaml",
    ),
    (
        "schema chaos",
        &["schema", "chaos"],
        "UnityKernel chaos plan",
    ),
    (
        "config get",
        &["config", "get", "system", "history.keep"],
        "100",
    ),
    (
        "config explain",
        &["config", "explain", "system"],
        "history.keep           default                 100",
    ),
    (
        "config schema",
        &["config", "schema", "system"],
        "x-takes-effect",
    ),
    (
        "config set",
        &["config", "set", "/a", "stop_takes=1ms"],
        "/a  restarted  stop_takes none → 1ms",
    ),
    (
        "config unset",
        &["config", "unset", "/a", "stop_takes"],
        "/a  restarted  stop_takes 1ms → none",
    ),
    ("config diff", &["config", "diff"], "nothing was changed"),
    (
        "config history",
        &["config", "history"],
        "the kernel started",
    ),
    (
        "config rollback",
        &["config", "rollback", "--dry-run"],
        "stop_takes none → 1ms",
    ),
    ("config apply", &["config", "apply"], "nothing changes"),
    (
        "events replay",
        &["events", "replay", "--status"],
        "nothing was replayed",
    ),
    ("open", &["open", "--no-browser"], "/login?code="),
    (
        "token create",
        &["token", "create", "--scope", "read", "--note", "anna"],
        "It may read",
    ),
    ("token list", &["token", "list"], "anna"),
    ("console", &["console"], ""),
];

#[test]
fn every_command_works_and_says_what_it_did() {
    let rig = Rig::boot();
    let mut seen: BTreeSet<String> = ["run", "top"].map(str::to_owned).into();
    for (name, args, expected) in ROWS {
        let said = rig.uk(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        assert!(said.out.contains(expected), "{args:?}: {said:?}");
        seen.insert((*name).to_owned());
    }
    let dead = rig.until(&["dlq", "list"], |list| list["letters"][0]["path"] == "/b");
    let id = dead["letters"][0]["id"].to_string();
    assert_eq!(
        rig.json(&["dlq", "show", &id])["letter"]["message"],
        json!({"crash": "ouch"})
    );
    assert!(rig.uk(&["dlq", "list"]).out.contains("error: ouch"));
    let said = rig.uk(&["dlq", "retry", &id, "--to", "/a", "--message", "count"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "sent 1 dead letter again\n")
    );
    assert!(rig.uk(&["dlq", "drop", "--all"]).out.contains("dropped "));
    let token = rig.json(&["token", "list"])["tokens"][0]["id"].clone();
    let said = rig.uk(&["token", "revoke", token.as_str().unwrap()]);
    assert!(said.out.contains("good for nothing any more"), "{said:?}");
    seen.insert("token revoke".to_owned());
    let said = rig.uk(&["shutdown"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "kernel `rig` has stopped\n")
    );
    seen.extend(["dlq list", "dlq show", "dlq retry", "dlq drop", "shutdown"].map(str::to_owned));
    // These are tested in `events` and `streams`: one has no end, the others need a kernel with streams.
    seen.insert("events tail".to_owned());
    // They are of a run under way: see `chaos`.
    let of_runs = ["pause", "resume", "stop"];
    seen.extend(of_runs.map(|word| format!("chaos {word}")));
    // They take another kernel: see `nodes`.
    seen.extend(["node attach", "node detach"].map(str::to_owned));
    // It speaks with a program: see `mcp`.
    seen.insert("mcp".to_owned());
    let of_streams = [
        "list", "show", "read", "pending", "ack", "claim", "trim", "drop",
    ];
    seen.extend(of_streams.map(|word| format!("streams {word}")));

    let all: BTreeSet<String> = TABLE.iter().map(|command| command.name()).collect();
    assert_eq!(seen, all, "a command is not tested here");
}

#[test]
fn the_help_lists_every_command_and_each_has_an_example() {
    let folder = crate::harness::Folder::new();
    let help = folder.uk(&["--help"]).out;

    for command in TABLE {
        let first = command.words[0];
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(first)),
            "{first}"
        );
        let own = folder.uk(&[command.words, &["--help"]].concat());
        assert_eq!(own.code, 0);
        assert!(
            own.out.contains(command.about) && own.out.contains("Example"),
            "{own:?}"
        );
    }
}

#[test]
fn a_killed_actor_comes_back_and_tells_why() {
    let rig = Rig::boot();

    rig.json(&["kill", "/a", "--reason", "unplug test"]);

    let tree = rig.until(&["tree", "/a"], |tree| tree["tree"]["incarnation"] == 2);
    assert_eq!(tree["tree"]["state"], "running");
    let exit = rig.json(&["why", "/a"])["exits"][0].clone();
    assert_eq!(
        exit["reason"],
        json!({"kind": "killed", "text": "unplug test"})
    );
    assert_eq!(exit["action"], "restarted");
    assert!(rig.log().contains("unplug test"));
}

#[test]
fn a_panic_leaves_its_place_and_the_message_in_hand() {
    let rig = Rig::boot();

    rig.json(&["tell", "/a", r#"{"panic": "ouch"}"#]);

    let why = rig.until(&["why", "/a"], |why| {
        why["exits"][0]["reason"]["kind"] == "panic"
    });
    let exit = &why["exits"][0];
    assert!(
        exit["reason"]["location"]
            .as_str()
            .unwrap()
            .contains("probe.rs")
    );
    assert_eq!(exit["in_hand"], "panic");
    assert_eq!(why["next"]["command"], "uk dlq list --path /a");
    let drawn = rig.uk(&["why", "/a"]).out;
    assert!(
        drawn.contains("panic: ouch")
            && drawn.contains("at ")
            && drawn.contains("had in hand: panic")
    );
}

#[test]
fn messages_that_wait_survive_a_kill() {
    let rig = Rig::boot();
    rig.json(&["tell", "/a", r#"{"hang": "1h"}"#]);
    for _ in 0..10 {
        rig.json(&["tell", "/a", r#"{"echo": 1}"#]);
    }
    rig.until(&["tree", "/a"], |tree| {
        tree["tree"]["mailbox"]["depth"] == 10
    });
    assert!(rig.uk(&["tree", "/a"]).out.contains("10 wait"));

    rig.json(&["kill", "/a"]);

    let count = rig.json(&["ask", "/a", r#"{"count": null}"#]);
    assert_eq!(count["answer"], json!({"incarnation": 2, "total": 11}));
}

#[test]
fn a_spawned_child_has_the_settings_that_were_given() {
    let rig = Rig::boot();

    let spawned = rig.json(&[
        "spawn",
        "probe",
        "--under",
        "/group",
        "--id",
        "three",
        "--set",
        "stop_takes=20ms",
        "--restart",
        "transient",
        "--spec",
        r#"{"backoff": {"min": "1s"}}"#,
    ]);

    assert_eq!(
        (&spawned["path"], &spawned["state"]),
        (&json!("/group/three"), &json!("running"))
    );
    assert_eq!(
        rig.json(&["state", "/group/three"])["state"]["stop_takes_ms"],
        20
    );
    let group = rig.json(&["tree", "/group"])["tree"]["children"].clone();
    assert_eq!(group[2]["id"], "three");
    assert_eq!(group[2]["restart"], "transient");
}

#[test]
fn chaos_stays_within_the_budgets_and_loses_nothing() {
    let rig = Rig::boot();

    let said = rig.uk(&[
        "chaos", "run", "--for", "2s", "--rate", "50/s", "--seed", "7", "--json",
    ]);

    let report = said.json();
    assert_eq!(said.code, 0, "{report:#}");
    assert!(report["kills"].as_u64().unwrap() > 5, "{report:#}");
    assert_eq!(report["kills"], report["recovered"]);
    assert!(report["sent"].as_u64().unwrap() > 100);
    for key in ["lost", "doubled", "out_of_order"] {
        assert_eq!(report[key], 0, "{report:#}");
    }
    assert!(report["recovery_ms"]["max"].as_f64().unwrap() > 0.0);
    assert_eq!(rig.json(&["tree"])["mode"], "normal");
}

#[test]
fn chaos_kills_nothing_where_the_budget_is_too_small() {
    let tree =
        "version: 1\nname: rig\ntest: true\ntree:\n  children:\n    - { id: a, kind: probe }\n";
    let rig = Rig::boot_tree(tree);

    let chaos = ["chaos", "run", "--for", "200ms", "--rate", "50/s"];
    let said = rig.uk(&[&chaos[..], &["--json"]].concat());
    let report = said.json();

    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(
        (&report["kills"], &report["recovery_ms"]["max"]),
        (&json!(0), &json!(null))
    );
    assert!(report["why"].as_str().unwrap().contains("budget"));
    let said = rig.uk(&chaos);
    assert!(said.out.contains("Nothing was struck"), "{said:?}");
    assert_eq!(rig.json(&["tree", "/a"])["tree"]["incarnation"], 1);
}

#[test]
fn a_watched_tree_is_printed_again_and_again_and_ends_with_its_reader() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let rig = Rig::boot();
    let mut watch = rig
        .folder
        .command(&["tree", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);

    let heads = lines
        .filter(|line| line.starts_with("rig · normal"))
        .take(2)
        .count();

    assert_eq!(heads, 2);
    crate::harness::signal(&watch, "INT");
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    use std::process::Stdio;

    let rig = Rig::boot();
    let mut tree = rig
        .folder
        .command(&["tree"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(tree.stdout.take());

    let output = tree.wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_narrow_screen_cuts_and_never_fails() {
    let rig = Rig::boot();

    for columns in ["1", "20", "79"] {
        let output = rig
            .folder
            .command(&["tree", "--all"])
            .env("COLUMNS", columns)
            .output()
            .unwrap();
        let width: usize = columns.parse().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.lines().all(|line| line.chars().count() <= width),
            "{text}"
        );
    }
}
