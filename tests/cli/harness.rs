//! A kernel in a process of its own, and the commands that talk to it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How often a command is tried until what is waited for has come; each try takes some milliseconds.
const TRIES: usize = 2_000;

/// Probes under budgets that tests cannot use up, and a sensor with a backoff.
pub(crate) const TREE: &str = "
version: 1
name: rig
test: true
tree:
  intensity: 100
  period: 10s
  children:
    - id: a
      kind: probe
    - id: b
      kind: probe
    - id: group
      intensity: 50
      period: 5s
      children:
        - { id: one, kind: probe }
        - { id: two, kind: probe }
    - id: slow
      kind: probe
      backoff: { min: 1h, max: 2h }
";

/// A folder of its own, gone at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("uk-test-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Puts a file in the place of another, so that nobody sees a part of it.
    pub(crate) fn swap(&self, name: &str, text: impl AsRef<[u8]>) {
        let beside = self.file("beside", text);
        std::fs::rename(beside, self.0.join(name)).unwrap();
    }

    /// What a file in it holds.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The names of what is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The command line, with this folder as its world.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uk"));
        command
            .args(args)
            .env("XDG_RUNTIME_DIR", &self.0)
            .env("XDG_STATE_HOME", &self.0)
            .env("NO_COLOR", "1")
            // How this machine is must not make a kernel of a test degraded.
            .env("UK_ALARMS__DISK", "off")
            .env("UK_ALARMS__MEMORY", "off")
            .env("UK_ALARMS__TEMPERATURE", "off")
            .env_remove("UK_SOCKET")
            .env_remove("UK_LOG")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("COLUMNS")
            .current_dir(&self.0)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn uk(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().unwrap())
    }

    /// Runs a command with lines on its standard input.
    pub(crate) fn uk_with_input(&self, args: &[&str], input: &str) -> Said {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end before it has read everything.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        Said::of(child.wait_with_output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What a command said, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A kernel that runs.
pub(crate) struct Rig {
    pub(crate) folder: Folder,
    pub(crate) process: Child,
}

impl Rig {
    pub(crate) fn boot() -> Self {
        Self::boot_tree(TREE)
    }

    pub(crate) fn boot_tree(tree: &str) -> Self {
        Self::boot_with(tree, &[])
    }

    pub(crate) fn boot_with(tree: &str, more: &[&str]) -> Self {
        let folder = Folder::new();
        folder.file("tree.yaml", tree);
        let process = Self::spawn(&folder, more);
        Self { folder, process }.until_booted()
    }

    /// Starts a kernel from the tree file in the folder.
    pub(crate) fn spawn(folder: &Folder, more: &[&str]) -> Child {
        let file = folder.path().join("tree.yaml");
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let out = std::fs::File::create(folder.path().join("out")).unwrap();
        let mut command = folder.command(&["run", file.to_str().unwrap()]);
        command.args(more).stdout(out).stderr(log).spawn().unwrap()
    }

    pub(crate) fn until_booted(self) -> Self {
        self.until(&["tree"], |tree| tree["mode"] != "booting");
        self
    }

    pub(crate) fn uk(&self, args: &[&str]) -> Said {
        self.folder.uk(args)
    }

    /// Runs a command that must work, and returns its document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.uk(&[args, &["--json"]].concat());
        assert!(
            said.code == 0 || said.code == 9,
            "{args:?}: {said:?}\n{}",
            self.log()
        );
        said.json()
    }

    /// Runs a command until its document is as wanted.
    pub(crate) fn until(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..TRIES {
            let said = self.uk(&[args, &["--json"]].concat());
            last = serde_json::from_str(&said.out).unwrap_or_default();
            if (said.code == 0 || said.code == 9) && wanted(&last) {
                return last;
            }
        }
        panic!(
            "{args:?} never came to what was wanted; last {last:#}\n{}",
            self.log()
        );
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("unity-kernel/rig.sock")
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        for _ in 0..TRIES {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            // Takes some milliseconds, which is what it is run for.
            self.uk(&["version"]);
        }
        panic!("it does not end\n{}", self.log());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Asks the socket of a kernel, and returns the status and the body of the answer.
pub(crate) fn http(rig: &Rig, request: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(rig.socket()).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A body that is too large is refused before all of it was read.
    drop(stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap();
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .parse()
        .unwrap_or(0);
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    (status, body)
}

/// Signals by the system call: not every machine has a `kill` program.
pub(crate) fn signal(process: &Child, name: &str) {
    let signal = match name {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "HUP" => Signal::HUP,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        _ => Signal::KILL,
    };
    let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
