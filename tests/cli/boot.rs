//! `uk run`: boots, says so, and ends as it should.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use unity_kernel::settings::system::SystemSettings;
use unity_kernel::tree_file::{Limits, Sources, load_text, read_file};
use unity_kernel::{BootError, BootOptions, Mode, RunningKernel, boot};

use crate::harness::{Folder, Rig, TREE};

#[test]
fn a_boot_says_its_steps_and_shows_the_tree_and_what_to_do_next() {
    let mut rig = Rig::boot();
    rig.uk(&["shutdown"]);
    assert_eq!(rig.wait().code(), Some(0));

    let log = rig.log();
    for step in [
        "✓ configuration",
        "✓ runtimes",
        "✓ control socket",
        "✓ tree",
    ] {
        assert!(log.contains(step), "{step}: {log}");
    }
    let out = rig.out();
    assert!(
        out.contains("└─ two") && out.contains("uk kill /slow") && out.contains("uk tree --watch"),
        "{out}"
    );
    assert!(!rig.socket().exists());
}

#[test]
fn plain_uk_boots_the_default_tree_without_a_warning() {
    let folder = Folder::new();
    let log = folder.path().join("log");
    let process = folder
        .command(&[])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let rig = Rig { folder, process }.until_booted();

    let tree = rig.json(&["tree", "--name", "robot"]);

    assert_eq!(tree["node"], "robot");
    let ids: Vec<&str> = tree["tree"]["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["id"].as_str().unwrap())
        .collect();
    assert!(
        ["sensors", "arm", "mind"].iter().all(|id| ids.contains(id)),
        "{ids:?}"
    );
    assert!(
        !std::fs::read_to_string(log)
            .unwrap()
            .to_lowercase()
            .contains("warn")
    );
    for path in ["/sensors/host", "/arm/driver", "/mind/speech"] {
        rig.json(&["kill", path]);
        rig.until(&["tree", path], |tree| tree["tree"]["incarnation"] == 2);
    }
    assert_eq!(rig.json(&["tree"])["mode"], "normal");
}

#[test]
fn signals_stop_in_order_and_a_second_one_kills() {
    for signal in ["INT", "TERM"] {
        let mut rig = Rig::boot();
        rig.signal(signal);
        assert_eq!(rig.wait().code(), Some(0), "{signal}: {}", rig.log());
        assert!(rig.log().contains("kernel `rig` has stopped"));
    }
    let stubborn = "version: 1\nname: rig\ntree:\n  children:\n    - { id: a, kind: probe, settings: { stop_takes: 1h, trap_exit: true }, shutdown: infinity }\n";
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut rig = Rig::boot_tree(stubborn);
        rig.signal(signal);
        rig.until(&["tree"], |tree| tree["mode"] == "stopping");
        rig.signal(signal);
        assert_eq!(rig.wait().code(), Some(code), "{}", rig.log());
    }
}

#[test]
fn a_name_a_socket_and_a_seed_can_be_given() {
    let folder = Folder::new();
    folder.file("tree.yaml", crate::harness::TREE);
    let socket = folder.path().join("other place.sock");
    let socket = socket.to_str().unwrap();
    let process = Rig::spawn(
        &folder,
        &["--name", "zoe", "--socket", socket, "--seed", "7"],
    );
    let rig = Rig { folder, process };

    let tree = rig.until(&["--socket", socket, "tree"], |tree| {
        tree["mode"] == "normal"
    });

    assert_eq!(tree["node"], "zoe");
    assert_eq!(rig.uk(&["tree"]).code, 5, "it is not at the usual place");
}

#[test]
fn a_root_that_gives_up_goes_on_in_safe_mode_or_ends() {
    let tree =
        "version: 1\nname: rig\ntree:\n  intensity: 0\n  children:\n    - { id: a, kind: probe }\n";
    let rig = Rig::boot_tree(tree);
    rig.json(&["kill", "/a"]);
    let health = rig.until(&["health"], |health| health["mode"] == "safe");
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["quarantined"], serde_json::json!(["/a"]));
    assert!(rig.log().contains("SAFE MODE"));
    assert_eq!(
        rig.json(&["why", "/a"])["next"]["command"],
        "uk release --all"
    );
    rig.json(&["release", "--all"]);
    assert_eq!(
        rig.until(&["health"], |health| health["mode"] == "normal")["status"],
        "ok"
    );

    let mut rig = Rig::boot_with(tree, &["--exit-on-give-up"]);
    rig.uk(&["kill", "/a"]);
    assert_eq!(rig.wait().code(), Some(1));
    assert!(rig.log().contains("gave_up"), "{}", rig.log());
}

#[test]
fn a_first_start_that_fails_is_safe_mode_or_the_end() {
    let tree = "version: 1\nname: rig\ntree:\n  children: [{ id: a, kind: probe, settings: { starts: [fail] } }]\n";
    let rig = Rig::boot_tree(tree);
    assert_eq!(rig.json(&["health"])["mode"], "safe");
    assert!(rig.uk(&["why", "/a"]).out.contains("start failed"));

    let folder = Folder::new();
    folder.file("tree.yaml", tree);
    let process = Rig::spawn(&folder, &["--exit-on-give-up"]);
    let mut rig = Rig { folder, process };
    assert_eq!(rig.wait().code(), Some(1), "{}", rig.log());
    assert!(rig.log().contains("told to fail"), "{}", rig.log());
}

#[test]
fn members_of_a_restarted_group_are_seen_to_run() {
    let tree = "version: 1\nname: rig\ntree:\n  strategy: rest_for_one\n  intensity: 9\n  children: [{ id: a, kind: probe }, { id: b, kind: probe }]\n";
    let rig = Rig::boot_tree(tree);

    rig.json(&["kill", "/a"]);

    rig.until(&["tree", "/b"], |tree| {
        tree["tree"]["incarnation"] == 2 && tree["tree"]["state"] == "running"
    });
}

#[test]
fn a_tree_that_is_slow_to_start_can_be_looked_at_and_stopped() {
    let tree = "version: 1\nname: rig\ntree:\n  children:\n    - { id: a, kind: probe, settings: { starts: [hang] } }\n";
    let folder = Folder::new();
    folder.file("tree.yaml", tree);
    let process = Rig::spawn(&folder, &[]);
    let mut rig = Rig { folder, process };

    let seen = rig.until(&["tree"], |tree| tree["mode"] == "booting");
    assert_eq!(seen["tree"]["children"][0]["state"], "starting");
    rig.signal("TERM");

    assert_eq!(rig.wait().code(), Some(0), "{}", rig.log());
}

#[expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]
fn embedded(folder: &Folder, name: &str) -> Result<RunningKernel, BootError> {
    let kinds = unity_actors::kinds();
    let sources = Sources {
        read: &read_file,
        env: &|_| None,
        kinds: &unity_kernel::kind_check::KnownKinds(&kinds),
        limits: Limits::default(),
    };
    let tree = load_text("tree.yaml", crate::harness::TREE, &sources)
        .tree
        .unwrap();
    boot(BootOptions {
        system: SystemSettings {
            name: Some(name.to_owned()),
            ..SystemSettings::default()
        },
        socket: Some(folder.path().join(format!("{name}.sock"))),
        ..BootOptions::new(tree)
    })
}

#[test]
fn two_kernels_live_in_one_process_and_know_nothing_of_each_other() {
    let folder = Folder::new();
    let one = embedded(&folder, "one").unwrap();
    let two = embedded(&folder, "two").unwrap();
    assert_eq!((one.booted(), two.booted()), (Mode::Normal, Mode::Normal));
    let path = "/a".parse().unwrap();

    one.block_on(one.kernel().kill(&path, None)).unwrap();

    let count = |running: &RunningKernel| {
        let asked = running
            .kernel()
            .ask(&path, json!({ "count": null }), Duration::from_secs(5));
        running.block_on(asked).unwrap()["incarnation"].clone()
    };
    assert_eq!((count(&one), count(&two)), (json!(2), json!(1)));
    assert!(matches!(
        embedded(&folder, "one"),
        Err(BootError::Socket(_))
    ));
    one.shutdown();
    embedded(&folder, "one").unwrap().shutdown();
    assert_eq!(count(&two), json!(1));
}

#[test]
fn a_program_of_the_tree_ends_with_its_kernel() {
    let pid_file = |rig: &Rig| {
        let read = std::fs::read_to_string(rig.folder.path().join("pid")).unwrap_or_default();
        read.trim().to_owned()
    };
    let tree = "version: 1\nname: rig\ntree:\n  children:\n    - id: p\n      kind: process\n      settings: { command: [sh, -c, \"echo $$ > pid.new; mv pid.new pid; echo hello; exec sleep 3600\"] }\n";
    let mut rig = Rig::boot_tree(tree);
    rig.until(&["tree"], |_| !pid_file(&rig).is_empty());
    let alive = |pid: &str| std::path::Path::new("/proc").join(pid).exists();
    let pid = pid_file(&rig);
    assert!(alive(&pid));

    rig.uk(&["shutdown"]);

    assert_eq!(rig.wait().code(), Some(0));
    assert!(!alive(&pid), "{pid}: {}", rig.log());
}

#[test]
fn a_process_child_dies_with_a_kernel_that_is_killed() {
    let mut rig = Rig::boot_tree(
        "
version: 1
name: rig
tree:
  children:
    - id: sleeper
      kind: process
      settings: { command: [sh, -c, 'sleep 1000 & wait'] }
",
    );
    let status = rig.json(&["ask", "/sleeper", r#"{"status": null}"#]);
    let pid = status["answer"]["pid"].as_i64().unwrap();

    rig.signal("KILL");
    rig.wait();

    for _ in 0..2_000 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        // Takes some milliseconds, which is what it is run for.
        rig.uk(&["version"]);
    }
    panic!("process {pid} outlived its kernel");
}

const BOOTS_INTO_SAFE_MODE: &str = "
version: 1
name: rig
tree:
  intensity: 0
  children:
    - { id: fine, kind: probe }
    - id: bad
      kind: process
      settings: { command: [/nope] }
";

#[test]
fn a_boot_into_safe_mode_shows_a_tree_at_rest_and_what_to_do() {
    let folder = Folder::new();
    folder.file("tree.yaml", BOOTS_INTO_SAFE_MODE);
    let process = Rig::spawn(&folder, &[]);
    let rig = Rig { folder, process };
    rig.until(&["health"], |health| health["mode"] == "safe");
    rig.until(&["version"], |_| rig.out().contains("Ctrl-C"));

    let out = rig.out();
    assert!(
        out.contains("uk health") && out.contains("uk release --all"),
        "{out}"
    );
    for on_its_way in ["starting", "stopping", "restarting"] {
        assert!(!out.contains(on_its_way), "{out}");
    }
    let said = rig.uk(&["why", "/"]);
    assert!(
        said.out.contains("safe mode: ") && said.out.contains("uk release --all"),
        "{said:?}"
    );
}

const JOB: &str = "
version: 1
tree:
  auto_shutdown: any_significant
  children:
    - { id: helper, kind: probe }
    - { id: job, kind: probe, restart: transient, significant: true }
    - { id: others, children: [{ id: a, kind: probe }] }
";

#[test]
fn a_tree_that_is_done_ends_its_kernel_without_a_failure_and_says_why() {
    let mut rig = Rig::boot_tree(JOB);

    let why = rig.uk(&["why", "/job"]);
    assert!(
        why.out.contains("significant: / ends when it has ended"),
        "{why:?}"
    );
    let tree = rig.json(&["tree"]);
    assert_eq!(tree["tree"]["auto_shutdown"], "any_significant");
    assert_eq!(tree["tree"]["children"][1]["significant"], true);
    for (under, says) in [
        ("/", "`x` is significant and permanent"),
        ("/others", "/others never ends because of its children"),
    ] {
        let spec = r#"{"significant": true}"#;
        let refused = rig.uk(&[
            "spawn", "probe", "--under", under, "--id", "x", "--spec", spec,
        ]);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(refused.err.contains(says), "{refused:?}");
    }
    rig.uk(&["tell", "/job", r#"{"exit": {"kind": "normal"}}"#]);

    assert_eq!(rig.wait().code(), Some(0));
    let said = "has stopped: its significant child `job` ended (normal)";
    assert!(rig.log().contains(said), "{}", rig.log());
}

#[test]
fn s268_a_report_takes_one_line_of_bounded_length_that_names_the_child() {
    let rig = Rig::boot();
    let text = format!("one\ntwo \u{1b}[31m{}", "x".repeat(5_000));
    let crash = serde_json::json!({ "crash": text }).to_string();

    rig.uk(&["tell", "/a", &crash]);
    rig.until(&["why", "/a"], |why| {
        why["exits"][0]["reason"]["kind"] == "error"
    });
    rig.until(&["version"], |_| rig.log().contains("child exited"));

    let log = rig.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("child exited"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{log}");
    };
    assert!(line.contains("path=/a incarnation=1"), "{line}");
    assert!(line.contains(r"one\ntwo \u{1b}[31mxxx"), "{line}");
    assert!(line.chars().count() < 1_200, "{line}");
    assert!(!log.contains("child started"), "{log}");
}

#[test]
fn a_kernel_over_its_memory_limit_says_so_and_sheds_what_is_least_urgent() {
    let folder = Folder::new();
    folder.file(
        "tree.yaml",
        "version: 1\nname: rig\ntree:\n  children: [{ id: a, kind: log }, { id: b, kind: probe }]\n",
    );
    let process = Rig::spawn(&folder, &["--memory-limit", "1MiB"]);
    let rig = Rig { folder, process }.until_booted();

    let health = rig.uk(&["health"]);
    let shed = rig.uk(&["tell", "/a", "{\"write\": \"a line\"}"]);
    let urgent = rig.uk(&["tell", "/b", "{\"echo\": 1}"]);

    assert_eq!(health.code, 9, "{health:?}");
    for part in [
        "of 1 MiB; `low` and `deferred` messages are shed",
        "hint: nothing waits in mailboxes",
        "--memory-limit",
    ] {
        assert!(health.out.contains(part), "{part}: {health:?}");
    }
    assert_eq!(shed.code, 1, "{shed:?}");
    assert!(shed.err.contains("memory is short"), "{shed:?}");
    assert!(shed.err.contains("hint: `uk health`"), "{shed:?}");
    assert_eq!(urgent.code, 0, "{urgent:?}");
    let memory = &rig.uk(&["health", "--json"]).json()["memory"];
    assert_eq!(
        (&memory["shedding"], &memory["shed"]),
        (&json!("low"), &json!(1))
    );
    let log = rig.folder.text("log");
    assert!(log.contains("ERROR memory is used up"), "{log}");
}

#[test]
fn a_memory_limit_that_is_far_away_is_shown_and_a_wrong_one_refused() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let refused = folder.uk(&["run", "tree.yaml", "--memory-limit", "512"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("did you mean `512MiB`?"),
        "{refused:?}"
    );

    let process = Rig::spawn(&folder, &["--memory-limit", "64GiB"]);
    let rig = Rig { folder, process }.until_booted();

    let health = rig.uk(&["health"]);
    assert_eq!(health.code, 0, "{health:?}");
    assert!(health.out.contains(" of 64 GiB\n"), "{health:?}");
}
