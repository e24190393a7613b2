//! A terminal with a command in it, that a test types into and reads.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::time::Instant;

use crate::harness::Folder;

/// How long what is waited for may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a program asks to learn where the cursor is.
const WHERE: &str = "\x1b[6n";

pub(crate) struct Terminal {
    process: Child,
    /// The side that a person has.
    person: OwnedFd,
    /// The side that the program has.
    screen: OwnedFd,
    /// What was shown and not looked at yet.
    shown: String,
}

impl Terminal {
    /// Runs `uk` with `args` in a terminal of so many columns.
    pub(crate) fn run(folder: &Folder, args: &[&str], columns: u16, term: &str) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let person = openpt(flags).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let screen = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&person, size).unwrap();

        let uk = folder.command(args);
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(uk.get_program()).args(args);
        for (name, value) in uk.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let side = || screen.try_clone().unwrap();
        command
            .env("TERM", term)
            .current_dir(folder.path())
            .stdin(side())
            .stdout(side())
            .stderr(side());
        let process = command.spawn().unwrap();
        Self {
            process,
            person,
            screen,
            shown: String::new(),
        }
    }

    /// Types; a line ends with `\r`, Ctrl-C is `\x03`.
    pub(crate) fn types(&self, text: &str) {
        let written = rustix::io::write(&self.person, text.as_bytes()).unwrap();
        assert_eq!(written, text.len());
    }

    /// Waits until `text` is shown; returns what was shown before it since the last call.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some((before, after)) = self.shown.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.shown = after;
                return before;
            }
            let is_there = is_ready(&self.person) && begun.elapsed() < PATIENCE;
            assert!(is_there, "`{text}` was never shown: {:?}", self.shown);
            let mut bytes = [0; 4096];
            let read = rustix::io::read(&self.person, &mut bytes).unwrap();
            let read = bytes.get(..read).unwrap();
            // A character that is parted by this is in none of these tests.
            self.shown.push_str(&String::from_utf8_lossy(read));
            if self.shown.contains(WHERE) {
                self.shown = self.shown.replace(WHERE, "");
                self.types("\x1b[1;1R");
            }
        }
    }

    /// Whether what is typed is shown and comes line by line, as a shell wants it.
    pub(crate) fn is_as_it_was(&self) -> bool {
        let modes = tcgetattr(&self.screen).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    pub(crate) fn process(&self) -> &Child {
        &self.process
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        let ended = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        assert!(is_ready(&ended), "it never ended: {:?}", self.shown);
        self.process.wait().unwrap()
    }
}

/// Waits until there is something to read.
fn is_ready(of: &OwnedFd) -> bool {
    let mut ready = [PollFd::new(of, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    poll(&mut ready, Some(&patience)).unwrap() > 0
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
