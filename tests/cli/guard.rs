//! `uk run --guard`, `uk run --safe` and what systemd is told.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::control::http;
use crate::harness::{Folder, Rig};

/// One child that stays in safe mode, and one that does not.
const TREE: &str = "
version: 1
name: rig
tree:
  intensity: 0
  children:
    - { id: a, kind: probe }
    - { id: keeper, kind: probe, essential: true }
";

fn start(args: &[&str]) -> Rig {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let process = Rig::spawn(&folder, args);
    Rig { folder, process }
}

/// The process of the kernel below the guard, other than those `before`.
fn kernel(rig: &Rig, before: &[i32]) -> i32 {
    for _ in 0..2_000 {
        // Whoever holds the lock is the kernel.
        rig.until(&["tree"], |tree| tree["mode"] != "booting");
        let lock = rig.folder.text("unity-kernel/rig.sock.lock");
        let held: Value = serde_json::from_str(&lock).unwrap_or_default();
        let pid = held
            .get("pid")
            .and_then(Value::as_i64)
            .and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.filter(|pid| *pid > 0 && !before.contains(pid)) {
            return pid;
        }
    }
    panic!("no kernel came after {before:?}\n{}", rig.log());
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The bundles of a cause, oldest first.
fn bundles(rig: &Rig, cause: &str) -> Vec<PathBuf> {
    let folder = rig.folder.path().join("unity-kernel/rig/bundles");
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.to_str().unwrap().contains(cause))
        .collect();
    files.sort();
    files
}

#[test]
fn a_kernel_that_is_killed_comes_back_and_ends_with_its_guard() {
    let mut rig = start(&["--guard"]);
    let first = kernel(&rig, &[]);
    assert_ne!(first, i32::try_from(rig.process.id()).unwrap());

    kill(first, Signal::KILL);

    let second = kernel(&rig, &[first]);
    let log = rig.log();
    for said in [
        &format!("guard: the kernel (pid {first}) has ended after "),
        "killed by signal 9 (KILL)",
        "guard: 1 death within 1m; started again in 100ms",
        "uk why --bundle ",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let bundle = bundles(&rig, "-death-").pop().unwrap();
    let why = rig.uk(&["why", "--bundle", bundle.to_str().unwrap()]);
    assert!(
        why.out.contains("killed by signal 9") && why.code == 0,
        "{why:?}"
    );
    let why = rig.uk(&["why", "--bundle", bundle.to_str().unwrap(), "/a"]);
    assert!(
        why.err.contains("a guard knows only how") && why.code == 4,
        "{why:?}"
    );
    rig.signal("TERM");
    assert_eq!(rig.wait().code(), Some(0), "{}", rig.log());
    assert!(
        rig.log().contains("kernel `rig` has stopped"),
        "{}",
        rig.log()
    );
    assert!(
        Pid::from_raw(second).is_some_and(|pid| rustix::process::test_kill_process(pid).is_err())
    );
}

#[test]
fn three_deaths_are_safe_mode_until_it_is_released() {
    let rig = start(&["--guard"]);
    let first = kernel(&rig, &[]);
    kill(first, Signal::ABORT);
    let second = kernel(&rig, &[first]);
    kill(second, Signal::KILL);
    let third = kernel(&rig, &[first, second]);
    assert_eq!(rig.json(&["health"])["mode"], "normal");

    kill(third, Signal::ILL);

    kernel(&rig, &[first, second, third]);
    let health = rig.json(&["health"]);
    assert_eq!(
        (&health["mode"], &health["quarantined"]),
        (&json!("safe"), &json!(["/a"]))
    );
    let reason = health["safe_reason"].as_str().unwrap();
    assert!(
        reason.contains("died again and again") && reason.contains("4 (ILL)"),
        "{reason}"
    );
    assert_eq!(rig.json(&["tree", "/keeper"])["tree"]["state"], "running");
    assert!(rig.uk(&["why", "/a"]).out.contains(reason));
    assert_eq!(http(&rig, "GET /readyz", "").0, 503);
    let log = rig.log();
    assert!(
        log.contains("guard: 3 deaths within 1m; started again in safe mode in 400ms"),
        "{log}"
    );
    assert!(log.contains("6 (ABRT), as after a stack overflow"), "{log}");
    let bundle = bundles(&rig, "-safe_mode-").pop().unwrap();
    let read = rig.json(&["why", "--bundle", bundle.to_str().unwrap()]);
    assert_eq!(read["deaths"].as_array().map(Vec::len), Some(3), "{read:#}");

    rig.json(&["release", "--all"]);

    rig.until(&["health"], |health| health["status"] == "ok");
    assert_eq!(http(&rig, "GET /readyz", "").0, 200);
}

#[test]
fn a_stack_overflow_is_a_death() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let process = folder
        .command(&["run", "tree.yaml", "--guard"])
        // Too little for any thread but the first.
        .env("RUST_MIN_STACK", "16384")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut rig = Rig { folder, process };
    let mut tries = 0;
    while !rig.log().contains("guard: 2 deaths") {
        rig.uk(&["version"]);
        tries += 1;
        assert!(tries < 2_000, "{}", rig.log());
    }

    rig.signal("TERM");

    let code = rig.wait().code();
    let log = rig.log();
    assert!(
        log.contains("has overflowed its stack") && log.contains("6 (ABRT)"),
        "{log}"
    );
    // The signal may have come between two lives, or into one that died of it.
    assert!(matches!(code, Some(0 | 134 | 143)), "{code:?} {log}");
}

#[test]
fn ends_that_were_meant_end_the_guard() {
    let folder = Folder::new();
    folder.file("wrong.yaml", "version: 1\ntree: 5\n");
    assert_eq!(folder.uk(&["run", "--guard", "wrong.yaml"]).code, 3);
    assert_eq!(folder.uk(&["run", "--guard", "nowhere.yaml"]).code, 3);
    assert_eq!(folder.uk(&["run", "--guard", "--name", "a/b"]).code, 2);

    let mut rig = start(&["--guard", "--exit-on-give-up"]);
    kernel(&rig, &[]);
    rig.uk(&["kill", "/a"]);
    assert_eq!(rig.wait().code(), Some(1), "{}", rig.log());
    assert!(!rig.log().contains("guard:"), "{}", rig.log());

    let mut rig = start(&["--guard"]);
    kernel(&rig, &[]);
    assert_eq!(rig.uk(&["shutdown"]).code, 0);
    assert_eq!(rig.wait().code(), Some(0), "{}", rig.log());
}

#[test]
fn a_second_signal_through_the_guard_kills_and_a_third_needs_no_kernel_that_listens() {
    let stubborn = "version: 1\nname: rig\ntree:\n  children:\n    - { id: a, kind: probe, settings: { stop_takes: 1h, trap_exit: true }, shutdown: infinity }\n";
    let rig = || {
        let folder = Folder::new();
        folder.file("tree.yaml", stubborn);
        let process = Rig::spawn(&folder, &["--guard"]);
        Rig { folder, process }
    };
    let mut twice = rig();
    kernel(&twice, &[]);
    twice.signal("INT");
    twice.until(&["tree"], |tree| tree["mode"] == "stopping");
    twice.signal("INT");
    assert_eq!(twice.wait().code(), Some(130), "{}", twice.log());

    let mut deaf = rig();
    kill(kernel(&deaf, &[]), Signal::STOP);
    while deaf.process.try_wait().unwrap().is_none() {
        deaf.signal("TERM");
        deaf.uk(&["version"]);
    }
    assert_eq!(deaf.wait().code(), Some(137), "{}", deaf.log());
}

#[test]
fn a_guard_that_is_killed_takes_its_kernel_along_in_order() {
    let mut rig = start(&["--guard"]);
    let pid = kernel(&rig, &[]);

    rig.signal("KILL");

    rig.wait();
    for _ in 0..2_000 {
        if rig.uk(&["tree"]).code == 5 && rig.log().contains("kernel `rig` has stopped") {
            return;
        }
    }
    panic!("kernel {pid} goes on\n{}", rig.log());
}

#[test]
fn a_kernel_whose_guard_is_gone_does_not_begin() {
    let folder = Folder::new();

    let said = folder.uk(&["run", "--guarded", r#"{"pid": 1, "deaths": []}"#]);

    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("is gone") && said.err.contains("uk run --guard"),
        "{said:?}"
    );
    let said = folder.uk(&["run", "--guarded", "yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!folder.uk(&["help", "run"]).out.contains("--guarded"));
}

#[test]
fn safe_mode_can_be_asked_for() {
    let rig = start(&["--safe"]).until_booted();

    let health = rig.json(&["health"]);

    assert_eq!(health["mode"], "safe");
    assert_eq!(health["safe_reason"], "it was started with --safe");
    assert!(rig.log().contains("SAFE MODE"), "{}", rig.log());
}

/// What systemd would hear until `last` is in it.
fn hear(socket: &UnixDatagram, last: &str) -> Vec<String> {
    let mut heard: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    while heard.last().is_none_or(|said| !said.contains(last)) {
        let len = socket.recv(&mut buffer).unwrap();
        heard.push(String::from_utf8_lossy(buffer.get(..len).unwrap()).into_owned());
    }
    heard
}

fn under_systemd(folder: &Folder, args: &[&str]) -> (UnixDatagram, Child) {
    let place = folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    folder.file("tree.yaml", TREE);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command: Command = folder.command(&["run", "tree.yaml"]);
    command
        .args(args)
        .env("NOTIFY_SOCKET", &place)
        .env("WATCHDOG_USEC", "20000")
        .stdout(Stdio::null())
        .stderr(log);
    (socket, command.spawn().unwrap())
}

#[test]
fn systemd_hears_of_the_boot_of_life_and_of_the_end() {
    let folder = Folder::new();
    let (socket, process) = under_systemd(&folder, &[]);
    let mut rig = Rig { folder, process };

    let boot = hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");
    hear(&socket, "WATCHDOG=1");
    rig.json(&["kill", "/a"]);
    let safe = hear(&socket, "STATUS=safe mode: more than 0 restarts");
    rig.signal("TERM");
    hear(&socket, "STOPPING=1");

    assert_eq!(
        boot.last().map(String::as_str),
        Some("READY=1\nSTATUS=running")
    );
    assert!(
        safe.iter()
            .all(|said| said.starts_with("WATCHDOG=1") || said.starts_with("READY=1"))
    );
    assert_eq!(rig.wait().code(), Some(0));
}

#[test]
fn systemd_hears_the_kernel_below_a_guard_and_of_its_death() {
    let folder = Folder::new();
    let (socket, process) = under_systemd(&folder, &["--guard"]);
    let rig = Rig { folder, process };
    hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");

    kill(kernel(&rig, &[]), Signal::KILL);

    let died = hear(&socket, "STATUS=the kernel's process died: 1 death");
    assert!(died.last().unwrap().ends_with("\nWATCHDOG=1"), "{died:?}");
    hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");
}
