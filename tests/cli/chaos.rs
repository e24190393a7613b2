//! `uk chaos` on kernels that run.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up fails"
)]

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Rig, Said, signal};
use crate::http::Web;

/// Probes with room in their budget, and a program.
const TREE: &str = "
version: 1
name: rig
test: true
tree:
  intensity: 100
  period: 10s
  children:
    - { id: a, kind: probe }
    - { id: b, kind: probe }
    - id: py
      kind: process
      settings: { command: [python3, -c, 'import time; time.sleep(86400)'] }
";

/// A tree whose root gives up soon, with a child that is essential.
const SMALL: &str = "
version: 1
name: rig
tree:
  intensity: 3
  period: 60s
  children:
    - { id: a, kind: probe }
    - { id: keeper, kind: probe, essential: true }
";

/// A plan of these acts, one every 150 ms.
fn acts(acts: &[(Value, Option<&str>)]) -> Value {
    let act = |(at, (fault, path)): (usize, &(Value, Option<&str>))| {
        let at = format!("{}ms", at * 150);
        match path {
            Some(path) => json!({ "at": at, "fault": fault, "path": path }),
            None => json!({ "at": at, "fault": fault }),
        }
    };
    let acts: Vec<Value> = acts.iter().enumerate().map(act).collect();
    json!({ "version": 1, "name": "test", "acts": acts, "settles_within": "20s" })
}

/// Runs a plan to its end.
fn run(rig: &Rig, plan: &Value, more: &[&str]) -> Said {
    let document = plan.to_string();
    let run = [
        "chaos",
        "run",
        "--document",
        &document,
        "--seed",
        "7",
        "--json",
    ];
    rig.uk(&[&run[..], more].concat())
}

/// Begins a run that does not end by itself, and waits until it has struck so often.
fn begin(rig: &Rig, plan: &Value, struck: u64) {
    let said = run(rig, plan, &["--detach"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["state"], "running", "{said:?}");
    rig.until(&["chaos", "report"], |under| {
        under["struck"].as_u64() >= Some(struck)
    });
}

/// Waits for the report of the last run.
fn ended(rig: &Rig) -> Value {
    rig.until(&["chaos", "report"], |report| !report["outcome"].is_null())
}

fn answers(rig: &Rig, path: &str) {
    assert_eq!(
        rig.json(&["ask", path, r#"{"echo": "hi"}"#])["answer"],
        "hi"
    );
}

/// The letter of the program's state: `T` is stopped.
fn process_state(rig: &Rig) -> char {
    let pid = rig.json(&["state", "/py"])["state"]["pid"].clone();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after) = stat.rsplit_once(") ").unwrap();
    after.chars().next().unwrap()
}

#[test]
fn every_fault_strikes_and_what_it_broke_is_well_again() {
    let rig = Rig::boot_with(TREE, &["--memory-limit", "64GiB"]);
    let at = |fault: Value| (fault, Some("/a"));
    let node = |fault: Value| (fault, None);
    let plan = acts(&[
        at(json!("kill")),
        at(json!("panic")),
        at(json!("error")),
        at(json!({ "hang": { "for": "100ms" } })),
        at(json!({ "busy": { "for": "50ms" } })),
        at(json!({ "slow_start": { "by": "50ms", "for": "1s" } })),
        at(json!({ "fail_start": { "times": 2 } })),
        at(json!({ "flood": { "for": "100ms" } })),
        at(json!({ "flood": { "for": "100ms", "message": { "echo": 1 } } })),
        at(json!({ "drop": { "percent": 50, "for": "120ms" } })),
        at(json!({ "double": { "percent": 100, "for": "120ms" } })),
        at(json!({ "delay": { "by": "20ms", "for": "100ms" } })),
        at(json!({ "bad_swap": {} })),
        node(json!({ "clock_jump": { "by": "1h", "back": true, "for": "100ms" } })),
        node(json!({ "memory": { "percent": 99, "for": "100ms" } })),
        node(json!({ "disk_full": { "for": "100ms" } })),
        node(json!({ "sync_fails": { "for": "100ms" } })),
        (json!({ "stop_process": { "for": "100ms" } }), Some("/py")),
        (json!("kill_process"), Some("/py")),
    ]);

    let said = run(&rig, &plan, &[]);

    let report = said.json();
    assert_eq!(said.code, 0, "{report:#}\n{}", rig.log());
    for act in report["acts"].as_array().unwrap() {
        assert!(act["recovered_ms"].is_number(), "{act:#}");
        assert!(act["refused"].is_null(), "{act:#}");
    }
    assert_eq!(report["faults"].as_object().unwrap().len(), 18);
    assert_eq!(report["kills"], report["recovered"]);
    assert!(report["dropped"].as_u64() > Some(0), "{report:#}");
    for key in ["lost", "doubled", "out_of_order"] {
        assert_eq!(report[key], 0, "{report:#}");
    }
    answers(&rig, "/a");
    assert!(matches!(process_state(&rig), 'R' | 'S' | 'D'));
    let why = rig.json(&["why", "/a"]);
    let texts: Vec<&str> = why["exits"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|exit| exit["reason"]["text"].as_str())
        .collect();
    assert!(
        texts.iter().all(|text| text.starts_with("chaos")),
        "{texts:?}"
    );
    let told = rig
        .json(&["streams", "read", "system", "--limit", "1000"])
        .to_string();
    for topic in [
        "system.chaos.begun",
        "system.chaos.struck",
        "system.chaos.ended",
    ] {
        assert!(told.contains(topic), "{topic}: {told}");
    }
}

#[test]
fn a_full_disk_refuses_what_is_durable_and_takes_it_again_after() {
    let rig = Rig::boot_tree(TREE);
    let publish = ["events", "publish", "memory.note", r#"{"text": "hi"}"#];
    assert_eq!(rig.uk(&publish).code, 0);
    begin(
        &rig,
        &acts(&[(json!({ "disk_full": { "for": "1h" } }), None)]),
        1,
    );

    let refused = rig.uk(&publish);

    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("memory"), "{refused:?}");
    rig.json(&["chaos", "stop"]);
    assert_eq!(ended(&rig)["outcome"], "stopped");
    rig.until(&publish, |done| done["version"] == 1);
}

#[test]
fn a_program_is_stopped_and_goes_on() {
    let rig = Rig::boot_tree(TREE);

    begin(
        &rig,
        &acts(&[(json!({ "stop_process": { "for": "1h" } }), Some("/py"))]),
        1,
    );

    assert_eq!(process_state(&rig), 'T');
    rig.json(&["chaos", "stop"]);
    ended(&rig);
    assert!(matches!(process_state(&rig), 'R' | 'S' | 'D'));
}

#[test]
fn a_report_says_the_command_that_plays_the_run_again() {
    let rig = Rig::boot_tree(TREE);
    let plan = acts(&[(json!("kill"), Some("/a"))]).to_string();
    let file = rig.folder.path().join("it's a plan.yaml");
    std::fs::write(&file, &plan).unwrap();
    let file = file.to_str().unwrap();
    for from in [vec![file], vec!["--document", &plan]] {
        let run = [&["chaos", "run"], &from[..], &["--seed", "7"]].concat();
        assert_eq!(rig.json(&run)["kills"], 1);

        let report = rig.uk(&["chaos", "report", "--markdown"]).out;
        let again = report.split("```sh\nuk ").nth(1).unwrap();
        let again = again.split("\n```").next().unwrap();
        let words = Command::new("sh")
            .args(["-c", &format!("printf '%s\\0' {again}")])
            .output()
            .unwrap();
        let words = String::from_utf8(words.stdout).unwrap();
        let words: Vec<&str> = words.split_terminator('\0').collect();

        assert_eq!(words[..2], ["chaos", "run"], "{again}");
        assert_eq!(words[2], from[0], "{again}");
        assert_eq!(rig.json(&words)["kills"], 1, "{again}");
    }
}

#[test]
fn a_probe_that_does_not_hold_ends_the_run_and_undoes_all() {
    let rig = Rig::boot_tree(TREE);
    let drop = json!({ "drop": { "percent": 100, "for": "1h" } });
    let mut plan = acts(&[(drop, Some("/a"))]);
    plan["probes"] = json!([{ "ask": { "path": "/a", "message": { "echo": 1 }, "p99": "200ms" } }]);
    plan["phases"] = json!([{ "name": "rest", "for": "1h" }]);

    let said = run(&rig, &plan, &[]);

    let report = said.json();
    assert_eq!(
        (said.code, &report["outcome"]),
        (9, &json!("broken")),
        "{report:#}"
    );
    assert!(
        report["why"]
            .as_str()
            .unwrap()
            .contains("`ask /a` does not hold")
    );
    answers(&rig, "/a");
}

#[test]
fn a_run_is_paused_resumed_stopped_and_there_is_one_at_a_time() {
    let rig = Rig::boot_tree(TREE);
    let args = ["chaos", "run", "--for", "1h", "--rate", "50/s", "--detach"];
    let first = rig.uk(&args);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.err.contains("may strike 3 actors"), "{first:?}");
    let struck = |rig: &Rig| rig.json(&["chaos", "report", "r1"])["struck"].as_u64();
    rig.until(&["chaos", "report"], |under| {
        under["struck"].as_u64() > Some(3)
    });

    let second = rig.uk(&args);
    let paused = rig.uk(&["chaos", "pause"]);

    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.err.contains("the run r1 is under way"), "{second:?}");
    assert!(paused.out.contains("is at a pause"), "{paused:?}");
    // What it was about to strike when it was told is struck.
    let before = struck(&rig);
    assert!(struck(&rig) <= before.map(|count| count + 1));
    rig.json(&["chaos", "resume"]);
    rig.until(&["chaos", "report"], |under| {
        under["struck"].as_u64() > before
    });
    assert!(rig.uk(&["chaos", "list"]).out.contains("r1 runs for"));
    rig.json(&["chaos", "stop"]);
    let report = ended(&rig);
    assert_eq!(report["outcome"], "stopped");
    assert_eq!(rig.uk(&["chaos", "report", "r1"]).code, 9);
    assert!(rig.uk(&["chaos", "list"]).out.contains("stopped"));
    let drawn = rig.uk(&["chaos", "report", "r1", "--markdown", "--svg", "r1.svg"]);
    assert!(drawn.out.contains("Stopped after"), "{drawn:?}");
    assert!(rig.folder.text("r1.svg").starts_with("<svg"));
    let none = rig.uk(&["chaos", "stop"]);
    assert_eq!(none.code, 4, "{none:?}");
    for file in ["r1.json", "r1.svg", "r1.md"] {
        let file = rig.folder.path().join("unity-kernel/rig/chaos").join(file);
        assert!(file.exists(), "{file:?}");
    }
}

#[test]
fn a_service_that_is_killed_undoes_all_and_reports_the_run_as_stopped() {
    let rig = Rig::boot_tree(TREE);
    let plan = acts(&[
        (json!({ "flood": { "for": "1h" } }), Some("/a")),
        (json!({ "stop_process": { "for": "1h" } }), Some("/py")),
        (
            json!({ "bad_swap": { "set": { "stop_takes": "7ms" }, "for": "1h" } }),
            Some("/b"),
        ),
    ]);
    begin(&rig, &plan, 3);
    assert_eq!(rig.json(&["state", "/b"])["state"]["stop_takes_ms"], 7);

    rig.json(&["kill", "/system/chaos"]);

    let report = ended(&rig);
    assert_eq!(report["outcome"], "stopped");
    assert!(report["why"].as_str().unwrap().contains("/system/chaos"));
    assert_eq!(report["acts"].as_array().unwrap().len(), 3);
    answers(&rig, "/a");
    assert!(matches!(process_state(&rig), 'R' | 'S' | 'D'));
    assert!(rig.json(&["state", "/b"])["state"]["stop_takes_ms"].is_null());
}

#[test]
fn ctrl_c_stops_the_run_and_prints_its_report() {
    let rig = Rig::boot_tree(TREE);
    let client = rig
        .folder
        .command(&["chaos", "run", "--for", "1h", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    rig.until(&["chaos", "report"], |under| {
        under["struck"].as_u64() > Some(1)
    });

    signal(&client, "INT");

    let said = Said::of(client.wait_with_output().unwrap());
    assert_eq!(said.code, 9, "{said:?}");
    assert_eq!(said.json()["outcome"], "stopped");
}

#[test]
fn a_kernel_that_chaos_kills_comes_back_and_its_report_too() {
    let mut rig = Rig::boot_with(TREE, &["--guard"]);
    let plan = acts(&[(json!("kill"), Some("/a")), (json!("kill_kernel"), None)]);

    let document = plan.to_string();
    let planned = rig.uk(&["chaos", "plan", "--document", &document]);
    assert!(!planned.out.contains("refused"), "{planned:?}");

    let said = run(&rig, &plan, &[]);

    let report = said.json();
    assert_eq!(said.code, 0, "{said:?}\n{}", rig.log());
    assert!(report["gone_ms"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["faults"]["kill_kernel"]["recovered"], 1);
    assert_eq!(report["acts"].as_array().unwrap().len(), 2);
    answers(&rig, "/a");
    let next = run(&rig, &acts(&[(json!("kill"), Some("/a"))]), &[]);
    assert_eq!(next.json()["run"], "r2", "{next:?}");
    rig.signal("TERM");
    assert_eq!(rig.wait().code(), Some(0));
}

#[test]
fn without_a_guard_no_kernel_is_killed() {
    let rig = Rig::boot_tree(TREE);

    let said = run(&rig, &acts(&[(json!("kill_kernel"), None)]), &[]);

    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.json()["why"].as_str().unwrap().contains("--guard"));
    rig.folder.file(
        "kill.yaml",
        "version: 1\nname: kill\nacts: [{ at: 1s, fault: kill_kernel }]\n",
    );
    let planned = rig.uk(&["chaos", "plan", "kill.yaml"]);
    assert!(
        planned.out.contains("`kill_kernel` is refused"),
        "{planned:?}"
    );
    assert_eq!(planned.err, "");
}

#[test]
fn above_all_budgets_the_kernel_is_in_safe_mode_and_comes_back() {
    let rig = Rig::boot_tree(SMALL);
    let args = [
        "chaos", "run", "--for", "200ms", "--rate", "50/s", "--above",
    ];
    let denied = rig.uk(&args);
    assert_eq!(denied.code, 2, "{denied:?}");
    assert!(denied.err.contains("a run needs --yes"), "{denied:?}");
    assert!(
        denied.err.contains("/keeper  it is essential"),
        "{denied:?}"
    );

    let said = rig.uk(&[&args[..], &["--yes", "--json"]].concat());

    let report = said.json();
    assert_eq!(said.code, 0, "{report:#}\n{}", rig.log());
    for key in ["safe_mode", "essential_up", "restored"] {
        assert_eq!(report["above"][key], true, "{report:#}");
    }
    assert!(report["above"]["restored_ms"].is_u64());
    let again = format!(
        "uk chaos run usual --for 200ms --rate 50/s --seed {} --above",
        report["seed"]
    );
    let shown = rig.uk(&["chaos", "report"]).out;
    assert!(shown.contains(&again), "{shown}");
    assert_eq!(rig.json(&["tree"])["mode"], "normal");
    answers(&rig, "/a");
}

#[test]
fn a_tree_without_probes_has_some_for_the_time_of_a_run() {
    let tree = "version: 1\nname: rig\ntest: true\ntree:\n  intensity: 100\n  children:\n    - { id: quiet, kind: log }\n";
    let rig = Rig::boot_tree(tree);
    begin(
        &rig,
        &json!({ "version": 1, "name": "rest", "phases": [{ "name": "rest", "for": "1h" }] }),
        0,
    );
    rig.until(&["count", "/chaos-traffic"], |count| count["active"] == 4);

    rig.json(&["chaos", "stop"]);

    let report = ended(&rig);
    assert!(report["sent"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["lost"], 0);
    assert_eq!(rig.uk(&["tree", "/chaos-traffic"]).code, 4);
}

#[test]
fn what_is_wrong_is_said() {
    let rig = Rig::boot_tree(TREE);
    rig.folder.file("bad.json", "{");
    let rows: &[(&[&str], i32, &str)] = &[
        (&["run", "--for", "banana"], 2, "banana"),
        (&["run", "--rate", "0/s"], 2, "rate"),
        (&["run", "--document", "{}"], 3, "missing field `version`"),
        (
            &["run", "--document", r#"{"version": 1, "name": "x"}"#],
            3,
            "neither phases nor acts",
        ),
        (
            &["run", "--document", r#"{"version": 2, "name": "x"}"#],
            3,
            "version 2",
        ),
        (
            &[
                "run",
                "--document",
                r#"{"version": 1, "name": "x"}"#,
                "--for",
                "1s",
            ],
            2,
            "does not go with a plan",
        ),
        (&["run", "nowhere.json"], 3, "nowhere.json"),
        (&["run", "strom"], 3, "did you mean `storm`?"),
        (&["plan", "usual", "--rate", "5000/s"], 2, "5000/s"),
        (&["plan", "bad.json"], 3, "bad.json"),
        (&["report"], 4, "there was no chaos run yet"),
        (&["report", "r9"], 4, "`r9`"),
        (&["report", "../r9"], 4, "`../r9`"),
        (&["pause"], 4, "no chaos run is under way"),
        (&["resume"], 4, "no chaos run is under way"),
    ];
    for (args, code, text) in rows {
        let said = rig.uk(&[&["chaos"], *args].concat());
        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        assert!(said.err.contains(text), "{args:?}: {said:?}");
    }
    let disk = rig.uk(&["chaos", "plan", "disk"]).out;
    assert!(
        disk.contains("strikes the whole node: clock_jump, disk_full"),
        "{disk}"
    );
    assert_eq!(rig.json(&["tree", "/a"])["tree"]["incarnation"], 1);
}

#[test]
fn who_may_read_sees_runs_and_begins_none() {
    let web = Web::boot();
    let reader = web.token(&["read"]);
    let operator = web.token(&["operate"]);
    let run = r#"{"for_ms": 300, "rate": "50/s", "seed": 7}"#;

    for (token, request, body, status) in [
        (&reader, "POST /api/v1/chaos/run", run, 403),
        (&reader, "POST /api/v1/chaos/stop", "{}", 403),
        (&reader, "GET /api/v1/chaos/plan?for_ms=300", "", 200),
        (&operator, "POST /api/v1/chaos/run", run, 200),
        (&reader, "GET /api/v1/chaos/report?run=r1", "", 200),
        (&reader, "GET /api/v1/chaos/report?run=r2", "", 404),
        (&reader, "GET /api/v1/chaos/list", "", 200),
    ] {
        let answer = web.as_token(token, request, body);
        assert_eq!(answer.status, status, "{request}: {answer:?}");
    }
}
