//! Every example, run; its output compared with what its folder promises.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use harness::{Folder, Rig};

#[path = "cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;

#[path = "../examples/embed/main.rs"]
#[expect(dead_code, reason = "the example's `main` is not called here")]
mod embed;

#[path = "../examples/chat_room/main.rs"]
#[expect(dead_code, reason = "the example's `main` is not called here")]
mod chat_room;

#[path = "../examples/flaky_provider/main.rs"]
#[expect(dead_code, reason = "the example's `main` is not called here")]
mod flaky_provider;

#[path = "../examples/fusion/main.rs"]
#[expect(dead_code, reason = "the example's `main` is not called here")]
mod fusion;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

fn expected(name: &str) -> String {
    std::fs::read_to_string(folder(name).join("expected.txt")).unwrap()
}

#[tokio::test]
async fn embed_says_what_it_promises() {
    assert_eq!(embed::sell().await.unwrap(), expected("embed"));
}

#[tokio::test]
async fn a_chat_room_says_who_comes_who_leaves_and_who_is_cut_off() {
    assert_eq!(chat_room::chat().await.unwrap(), expected("chat_room"));
}

#[tokio::test]
async fn a_flaky_provider_falls_back_and_returns_when_it_is_released() {
    let said = flaky_provider::answer().await.unwrap();
    assert_eq!(said, expected("flaky_provider"));
}

#[test]
fn a_slow_fusion_that_is_killed_and_stopped_misses_nothing() {
    let here = Folder::new();
    assert_eq!(fusion::fuse(here.path()).unwrap(), expected("fusion"));
}

#[test]
fn shell_loop_checks_without_a_fault() {
    let output = Command::new(env!("CARGO_BIN_EXE_uk"))
        .args(["check", "tree.yaml"])
        .current_dir(folder("shell_loop"))
        .output()
        .unwrap();

    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        expected("shell_loop")
    );
}

#[test]
fn a_child_that_lives_on_another_node_lives_on_when_that_is_killed() {
    let said = std::process::Command::new(folder("two_nodes").join("run.sh"))
        .env("UK", env!("CARGO_BIN_EXE_uk"))
        .env_remove("UK_NAME")
        .output()
        .unwrap();
    let out = String::from_utf8(said.stdout).unwrap();
    let err = String::from_utf8_lossy(&said.stderr);
    assert_eq!(out, expected("two_nodes"), "{err}");
}

#[test]
fn a_job_queue_lays_a_poison_job_aside_and_does_the_rest() {
    session(&boot("job_queue"), "job_queue", rest);
}

#[test]
fn a_robot_arm_makes_no_motion_that_was_ordered_before_its_interlock_fell() {
    session(&boot("robot_arm"), "robot_arm", rest);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn a_python_script_comes_back_and_ends_in_order() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("left out: python3 is not installed");
        return;
    }
    let rig = boot("python_script");
    // How often it has begun to measure before each line is typed: before that it does not know the signal.
    let lives = [1, 2, 2, 3];

    session(&rig, "python_script", |rig, at| {
        until_logged(rig, "measuring the kitchen", lives[at]);
    });

    until_logged(&rig, "20.0 degrees", 3);
    until_logged(&rig, "the thermometer is put away", 1);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn a_program_at_the_bridge_that_is_killed_again_and_again_misses_nothing() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("left out: python3 is not installed");
        return;
    }
    let rig = boot("bridge");
    let socket = rig.folder.path().join("unity-kernel/bridge.sock");
    rig.folder.file("seen.txt", "");
    let start = || {
        let mut client = Command::new("python3");
        client.arg("client.py").arg(&socket);
        client.args(["sensor", "seen.txt"]);
        client.current_dir(rig.folder.path()).spawn().unwrap()
    };
    let until_seen = |times: usize| {
        rig.until(&["version"], |_| {
            rig.folder.text("seen.txt").lines().count() >= times
        });
    };

    let mut client = start();
    for number in 1..=20_usize {
        rig.json(&["events", "publish", "sensor.door", &number.to_string()]);
        if number % 3 == 0 {
            // The last that were published it has not seen, or seen and not acknowledged, or acknowledged.
            until_seen(number - 2);
            client.kill().unwrap();
            client.wait().unwrap();
        }
        if number % 3 == 1 && number > 1 {
            client = start();
        }
    }
    until_seen(20);
    client.kill().unwrap();
    client.wait().unwrap();

    let seen = rig.folder.text("seen.txt");
    let without_ids = seen.lines().filter_map(|line| line.split_once(' '));
    let said: String = without_ids.map(|(_, rest)| format!("{rest}\n")).collect();
    assert_eq!(said, expected("bridge"));
}

#[test]
fn programs_speak_by_lines_and_go_on_after_a_kill() {
    let rig = boot("speaking_process");
    // How often the arm has stopped, and the reflex has begun to watch, before each line is typed.
    let seen = [(2, 1), (2, 2)];

    session(&rig, "speaking_process", |rig, at| {
        let (stops, lives) = seen[at];
        until_logged(rig, "the arm stops: 9 cm", stops);
        until_logged(rig, "watching", lives);
    });

    let stops = rig.log().matches("the arm stops: 9 cm").count();
    until_logged(&rig, "the arm stops: 9 cm", stops + 1);
}

#[test]
fn a_camera_that_gets_too_hot_drops_to_five_frames_until_it_is_released() {
    let rig = boot("camera");
    // What it says of its frames, and how often, before each line is typed.
    let frames = [(30, 1), (5, 1), (5, 1), (5, 1), (5, 1), (30, 4)];

    session(&rig, "camera", |rig, at| {
        let (frames, times) = frames[at];
        until_logged(rig, &format!("makes {frames} frames"), times);
        rest(rig, 0);
    });
}

/// Boots the tree of an example in a folder of its own, with all the files beside it.
fn boot(name: &str) -> Rig {
    let here = Folder::new();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, here.path().join(path.file_name().unwrap())).unwrap();
    }
    let process = Rig::spawn(&here, &[]);
    let folder = here;
    Rig { folder, process }.until_booted()
}

/// Types the lines of `expected.txt` that begin with `$ `, and compares what is said; `ready` waits until the line of
/// that number can be typed. `UK_SNAPSHOTS=write` writes the file.
fn session(rig: &Rig, name: &str, ready: impl Fn(&Rig, usize)) {
    let expected = expected(name);
    let mut said = String::new();
    for (at, line) in expected
        .lines()
        .filter(|line| line.starts_with("$ "))
        .enumerate()
    {
        ready(rig, at);
        said.push_str(&format!(
            "{line}\n{}",
            typed(rig, line.trim_start_matches("$ "))
        ));
    }
    if std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write") {
        std::fs::write(folder(name).join("expected.txt"), said).unwrap();
        return;
    }
    assert_eq!(
        without_times(&said),
        without_times(&expected),
        "{}",
        rig.log()
    );
}

/// What a command prints, typed into a shell that knows `uk`.
fn typed(rig: &Rig, line: &str) -> String {
    let uk = rig.folder.command(&[]);
    let bin = Path::new(uk.get_program()).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(bin).chain(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    for (name, value) in uk.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell
        .args(["-c", line])
        .current_dir(rig.folder.path())
        .env("PATH", std::env::join_paths(folders).unwrap())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Waits until every child runs. What the first line sends is in hand before more is sent; later some may wait.
fn rest(rig: &Rig, at: usize) {
    fn all(node: &Value, is_fine: &impl Fn(&Value) -> bool) -> bool {
        let mut children = node["children"].as_array().into_iter().flatten();
        is_fine(node) && children.all(|child| all(child, is_fine))
    }
    rig.until(&["tree"], |document| {
        all(&document["tree"], &|node| {
            let is_empty = node["mailbox"]["depth"].as_u64().unwrap_or_default() == 0;
            node["state"] == "running" && (at != 1 || is_empty)
        })
    });
}

/// Waits until the kernel's log has `text` so many times.
fn until_logged(rig: &Rig, text: &str, times: usize) {
    rig.until(&["version"], |_| rig.log().matches(text).count() >= times);
}

/// The words of each line, without times, and without places in code, which move.
fn without_times(text: &str) -> Vec<Vec<&str>> {
    let is_time = |word: &str| {
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
        unit.len() < word.len() && matches!(unit, "ms" | "s" | "m")
            || matches!(word, "just" | "now" | "ago")
    };
    let is_kept = |word: &&str| !is_time(word) && !word.contains(".rs:");
    let words = |line| str::split_whitespace(line).filter(is_kept).collect();
    text.lines().map(words).collect()
}

#[test]
fn every_example_has_a_readme_and_an_expected_output() {
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.join("README.md").is_file(), "{}", path.display());
        assert!(path.join("expected.txt").is_file(), "{}", path.display());
    }
}
