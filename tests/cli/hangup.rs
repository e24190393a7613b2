//! What SIGHUP does: files are looked at again, unless the terminal is gone.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::harness::{Folder, Rig, TREE};

const LOOKS_AGAIN: &str = "SIGHUP: the files are looked at again";

/// Waits until the log has `text` in it, `times` times.
fn until_said(rig: &Rig, text: &str, times: usize) {
    for _ in 0..2_000 {
        if rig.log().matches(text).count() >= times {
            return;
        }
        // Takes some milliseconds, which is what it is run for.
        rig.uk(&["version"]);
    }
    panic!("`{text}` was never said\n{}", rig.log());
}

/// Runs the command line below `programs`, in a terminal of its own that goes with what is returned beside it.
fn in_terminal(programs: &[&str], args: &[&str]) -> (Rig, OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let screen = rustix::fs::open(name, flags, Mode::empty()).unwrap();

    let (folder, mut command) = below(&[&["setsid", "--ctty"], programs].concat(), args);
    command.stdin(screen);
    let process = command.spawn().unwrap();
    drop(command);
    (booted(folder, process), terminal)
}

/// A kernel that listens for signals.
fn booted(folder: Folder, process: Child) -> Rig {
    let rig = Rig { folder, process };
    until_said(&rig, "✓ tree", 1);
    rig
}

fn below(programs: &[&str], args: &[&str]) -> (Folder, Command) {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let uk = folder.command(&[]);
    let mut words = programs.iter();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(uk.get_program());
    command.args(["run", "tree.yaml"]).args(args);
    for (name, value) in uk.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let log = File::create(folder.path().join("log")).unwrap();
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    (folder, command)
}

#[test]
fn a_hangup_without_a_terminal_looks_at_the_files_again() {
    let (folder, mut command) = below(&["setsid"], &[]);
    let process = command.spawn().unwrap();
    let mut rig = booted(folder, process);

    rig.signal("HUP");
    until_said(&rig, LOOKS_AGAIN, 1);
    rig.signal("HUP");
    until_said(&rig, LOOKS_AGAIN, 2);
    rig.signal("TERM");

    assert_eq!(rig.wait().code(), Some(0), "{}", rig.log());
}

#[test]
fn a_hangup_stops_in_order_once_the_terminal_is_gone() {
    for args in [&[][..], &["--guard"]] {
        let (mut rig, terminal) = in_terminal(&[], args);

        rig.signal("HUP");
        until_said(&rig, LOOKS_AGAIN, 1);
        drop(terminal);

        assert_eq!(rig.wait().code(), Some(0), "{args:?} {}", rig.log());
        assert!(rig.log().contains("has stopped"), "{}", rig.log());
        assert_eq!(rig.log().matches(LOOKS_AGAIN).count(), 1, "{}", rig.log());
    }
}

#[test]
fn the_end_of_the_shell_stops_in_order_though_its_terminal_goes_on() {
    let (mut rig, _terminal) = in_terminal(&["sh", "-c", r#""$@"; exit"#, "sh"], &[]);

    rig.signal("KILL");

    rig.wait();
    until_said(&rig, "has stopped", 1);
}

#[test]
fn a_hangup_that_is_ignored_from_the_start_stays_ignored() {
    let (folder, mut command) = below(&["nohup"], &[]);
    let process = command.spawn().unwrap();
    let mut rig = booted(folder, process);

    rig.signal("HUP");
    rig.json(&["kill", "/a"]);

    assert_eq!(rig.uk(&["tree"]).code, 0);
    rig.signal("TERM");
    assert_eq!(rig.wait().code(), Some(0), "{}", rig.log());
    assert!(!rig.log().contains(LOOKS_AGAIN), "{}", rig.log());
}
