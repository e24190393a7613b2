//! `uk run --guard`: a small parent that starts the kernel's process again when it dies.
//!
//! The guard is this same program without a runtime: one thread that sleeps until a signal comes or a pause has passed.
//! It starts itself anew with `--guarded` in the place of `--guard`, so each life has its own memory, locks and files.
//! What it decides is in `plan`; here it is carried out.
//!
//! - The kernel leads a process group of its own, so that Ctrl-C in a terminal reaches the guard alone, which passes it on:
//!   otherwise the kernel would get it twice, and a second signal kills.
//! - The kernel asks the system for SIGTERM when the guard is gone, so a guard that is killed leaves none behind.
//! - Standard input, output and error are the guard's own; it reads none of them, so it cannot hold up a kernel that writes.
//!   For that reason a guard's bundle has no lines of the log in it.
//! - SIGHUP is passed on, also when the terminal is gone: then the kernel's end is the guard's.
//! - A kernel in safe mode that dies is started in safe mode again only while three deaths lie within a minute.
//!
//! What else was possible: a runtime in the parent, which is larger than all that it does; a signal handler in
//! safe mode of the process, which takes `unsafe`.

mod plan;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};
use serde::{Deserialize, Serialize};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use tokio::time::Instant;
use unity_actors::process::ProcessExit;

use self::plan::{Answer, Life, Memory, Next};
use crate::arguments::{duration_text, milliseconds};
use crate::bundle;
use crate::cli::Caller;
use crate::error::{Code, CommandError};
use crate::hangup::{self, Terminal};
use crate::output;
use crate::screen::{count, rough};
use crate::socket;
use crate::systemd::Notifier;

/// The option that asks for a guard.
const OPTION: &str = "--guard";
/// How many deaths a kernel is told of.
const DEATHS_TOLD: usize = 8;

/// What a guard tells the kernel that it starts, as JSON in `--guarded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// The guard's process.
    pub pid: u32,
    /// The last deaths, oldest first.
    pub deaths: VecDeque<Death>,
}

/// A death of a kernel's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// When: RFC 3339 in UTC.
    pub at: String,
    /// Which process it was.
    pub pid: u32,
    /// How it ended.
    pub how: String,
    /// How long it had run.
    pub ran_ms: u64,
}

impl Guarded {
    /// Reads the value of `--guarded` and lets this process end with its guard.
    ///
    /// # Errors
    /// It is none of a guard's, or the guard is gone already.
    pub fn obey(value: &serde_json::Value) -> Result<Self, CommandError> {
        let guarded: Self = serde_json::from_value(value.clone()).map_err(|error| {
            CommandError::usage(format!(
                "`guarded` is between a guard and its kernel: {error}"
            ))
            .hint("`uk run --guard` starts both")
        })?;
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| {
            CommandError::new(
                Code::Failed,
                format!("cannot be bound to the guard: {error}"),
            )
        })?;
        // It may have died before that.
        let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        if parent == Some(guarded.pid) {
            return Ok(guarded);
        }
        let gone = format!("the guard of this kernel (pid {}) is gone", guarded.pid);
        Err(CommandError::new(Code::Failed, gone).hint("`uk run --guard` starts both"))
    }

    /// Why the guard wants safe mode.
    #[must_use]
    pub fn safe_reason(&self) -> Option<String> {
        let last = self.deaths.back()?;
        let within = duration_text(milliseconds(plan::SAFE_WITHIN));
        Some(format!(
            "the kernel's process died again and again within {within}; the last time: {}",
            last.how
        ))
    }
}

/// Runs the kernel until an end that was meant; returns its exit code.
///
/// # Errors
/// If the guard cannot listen for signals or find its own program.
pub fn run(caller: &Caller, exit_on_give_up: bool, is_safe: bool) -> Result<u8, CommandError> {
    let failed = |error: io::Error| {
        CommandError::new(Code::Failed, format!("the guard cannot work: {error}"))
    };
    let (before, after) = split(std::env::args_os().skip(1).collect());
    let guard = Guard {
        program: std::env::current_exe().map_err(failed)?,
        before,
        after,
        exit_on_give_up,
        is_safe,
        signals: Signals::listen().map_err(failed)?,
        terminal: Terminal::at_start(),
        asked: 0,
        deaths: VecDeque::new(),
        systemd: Notifier::from_env(),
        caller,
    };
    guard.stay().map_err(failed)
}

/// The arguments before and after `--guard`.
fn split(mut args: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let at = args.iter().position(|arg| arg == OPTION);
    let after = args.split_off(at.unwrap_or(args.len()));
    (args, after.into_iter().skip(1).collect())
}

struct Guard<'c> {
    program: PathBuf,
    before: Vec<OsString>,
    after: Vec<OsString>,
    exit_on_give_up: bool,
    /// Whether each life is to be in safe mode.
    is_safe: bool,
    signals: Signals,
    terminal: Terminal,
    /// How many signals asked for the end.
    asked: u32,
    deaths: VecDeque<Death>,
    systemd: Option<Notifier>,
    caller: &'c Caller,
}

impl Guard<'_> {
    fn stay(mut self) -> io::Result<u8> {
        let mut memory = Memory::default();
        let began = Instant::now();
        let (mut is_first, mut safe) = (true, self.is_safe);
        loop {
            let since = Instant::now();
            let (pid, exit, how) = self.live(safe)?;
            let life = Life {
                exit,
                ran: since.elapsed(),
                is_first,
                is_asked: self.asked > 0,
            };
            is_first = false;
            let next = memory.after(life, self.exit_on_give_up, began.elapsed());
            let (pause, deaths, wants_safe) = match next {
                Next::End(code) => return Ok(code),
                Next::Start {
                    pause,
                    deaths,
                    safe,
                } => (pause, deaths, safe),
            };
            safe = wants_safe || self.is_safe;
            self.died(pid, &how, life);
            self.say_next(pause, deaths, safe);
            if self.pause(pause)? {
                output::err("guard: asked to end while no kernel runs\n");
                return Ok(0);
            }
        }
    }

    /// One life of the kernel: its process, how it ended, and that in words.
    fn live(&mut self, safe: bool) -> io::Result<(u32, Option<ProcessExit>, String)> {
        let mut child = match self.start(safe) {
            Ok(child) => child,
            Err(error) => {
                let how = format!("not started: {}: {error}", self.program.display());
                return Ok((0, None, how));
            }
        };
        let exit = self.watch(&mut child)?;
        Ok((child.id(), Some(exit), exit.to_string()))
    }

    fn start(&self, safe: bool) -> io::Result<Child> {
        let guarded = Guarded {
            pid: std::process::id(),
            deaths: self.deaths.clone(),
        };
        let mut command = Command::new(&self.program);
        command.args(&self.before);
        command
            .arg("--guarded")
            .arg(serde_json::to_string(&guarded)?);
        if safe && !self.is_safe {
            command.arg("--safe");
        }
        command.args(&self.after).process_group(0).spawn()
    }

    fn watch(&mut self, child: &mut Child) -> io::Result<ProcessExit> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.into());
            }
            for signal in self.signals.wait(None)? {
                // Not reaped yet, so its process id is its own.
                let kernel = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                let kernel = kernel.ok_or(Errno::SRCH)?;
                match self.answer(signal) {
                    Answer::Look => {}
                    Answer::PassOn => kill_process(kernel, signal)?,
                    Answer::End => {
                        self.asked += 1;
                        kill_process(kernel, signal)?;
                    }
                    Answer::Kill => kill_process(kernel, Signal::KILL)?,
                    Answer::Stop => {
                        kill_process(kernel, Signal::STOP)?;
                        kill_process(getpid(), Signal::STOP)?;
                        kill_process(kernel, Signal::CONT)?;
                    }
                }
            }
        }
    }

    fn answer(&self, signal: Signal) -> Answer {
        plan::answer(signal, self.asked, self.terminal.is_gone())
    }

    /// Lets the pause pass; returns whether the guard was asked to end.
    fn pause(&mut self, pause: Duration) -> io::Result<bool> {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            for signal in self.signals.wait(Some(left))? {
                match self.answer(signal) {
                    Answer::End | Answer::Kill => return Ok(true),
                    Answer::Stop => kill_process(getpid(), Signal::STOP)?,
                    Answer::Look | Answer::PassOn => {}
                }
            }
        }
    }

    /// Says what happened, and writes down what is known of it.
    fn died(&mut self, pid: u32, how: &str, life: Life) {
        let ran_ms = milliseconds(life.ran);
        let death = Death {
            at: bundle::now().to_string(),
            pid,
            how: how.to_owned(),
            ran_ms,
        };
        if self.deaths.len() >= DEATHS_TOLD {
            self.deaths.pop_front();
        }
        self.deaths.push_back(death);
        output::err(&format!(
            "\nguard: the kernel (pid {pid}) has ended after {}: {how}{}\n",
            rough(ran_ms),
            likely(life.exit)
        ));
        let Some(held) = socket::left_by(pid, self.caller.socket.as_deref()) else {
            output::err("guard: no bundle: it ended before it had its socket\n");
            return;
        };
        let folder = self.caller.data_dir.clone();
        let folder = folder.unwrap_or_else(|| socket::data_folder(&held.name));
        let document = bundle::of_death(&held.name, &self.deaths);
        match bundle::store(&folder, &document) {
            Ok(file) => output::err(&format!(
                "guard: `uk why --bundle {}` tells what is known\n",
                file.display()
            )),
            Err(error) => output::err(&format!("guard: no bundle: {error}\n")),
        }
    }

    fn say_next(&self, pause: Duration, deaths: usize, safe: bool) {
        let pause = duration_text(milliseconds(pause));
        let mode = if safe { " in safe mode" } else { "" };
        let deaths = count(u64::try_from(deaths).unwrap_or(u64::MAX), "death");
        let within = duration_text(milliseconds(plan::SAFE_WITHIN));
        let next = format!("{deaths} within {within}; started again{mode} in {pause}");
        output::err(&format!("guard: {next}\n\n"));
        if let Some(systemd) = &self.systemd {
            // The kernel's first sign of life comes after its boot.
            systemd.send(&format!(
                "STATUS=the kernel's process died: {next}\nWATCHDOG=1"
            ));
        }
    }
}

/// What mostly stands behind an end.
fn likely(exit: Option<ProcessExit>) -> &'static str {
    match exit {
        Some(ProcessExit::Signal { number: 9, .. }) => {
            ", by somebody or by the system because memory ran out"
        }
        Some(ProcessExit::Signal { number: 6, .. }) => {
            ", as after a stack overflow or without memory; its last words are above"
        }
        Some(ProcessExit::Signal { number: 11, .. }) => ", as after a fault of foreign code",
        Some(ProcessExit::Code(101)) => {
            ", after a panic outside of all actors; its last words are above"
        }
        _ => "",
    }
}

/// The signals that the guard lives on.
struct Signals(SignalDelivery<UnixStream, SignalOnly>);

impl Signals {
    fn listen() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let mut wanted = vec![Signal::CHILD, Signal::TSTP];
        wanted.extend(plan::PASSED_ON);
        wanted.extend(plan::ENDS);
        wanted.push(Signal::HUP);
        // Below `nohup` it stays ignored, here and in the kernel.
        wanted.retain(|signal| *signal != Signal::HUP || !hangup::is_ignored());
        let numbers: Vec<i32> = wanted.iter().map(|signal| signal.as_raw()).collect();
        SignalDelivery::with_pipe(read, write, SignalOnly, numbers).map(Self)
    }

    /// Waits for signals, at most for `within`.
    fn wait(&mut self, within: Option<Duration>) -> io::Result<Vec<Signal>> {
        let within = within.and_then(|within| within.try_into().ok());
        let mut pipe = [PollFd::new(self.0.get_read(), PollFlags::IN)];
        match poll(&mut pipe, within.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self
            .0
            .pending()
            .filter_map(Signal::from_named_raw)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_the_option_stays_in_its_place() {
        for (line, before, after) in [
            ("run --guard a.yaml", "run", "a.yaml"),
            ("--name x run a.yaml --guard", "--name x run a.yaml", ""),
            ("run --guard -- --guard", "run", "-- --guard"),
        ] {
            let words = |line: &str| line.split_whitespace().map(OsString::from).collect();

            let expected: (Vec<OsString>, Vec<OsString>) = (words(before), words(after));
            assert_eq!(split(words(line)), expected, "{line}");
        }
    }
}
