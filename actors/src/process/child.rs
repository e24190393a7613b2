//! One life of a command: [`ProcessChild`].
//!
//! The command leads a process group of its own, and the group is what is signalled. Its end is seen
//! through a pidfd while it is still a zombie: until it is reaped nobody else can get its process id, so what is
//! left of its group can be killed without hitting a stranger. Only then it is taken off the
//! keeper's list and reaped.
//!
//! Dropping kills the group at once and leaves the zombie to tokio, which reaps it as soon as the death is
//! reported. Waiting for it in `drop` was the other way; a process that cannot be killed at once, in
//! the middle of a disk write say, would hold up a thread of the runtime.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{OnceCell, mpsc};
use unity_supervisors::secret::VARIABLE_PREFIX;

use super::command::{StartError, explain, find_program};
use super::keeper::{Keeper, Kept};
use super::lines::{LineReader, Said, Stream};
use super::settings::ProcessSettings;
use super::signal::signal_name;
use super::unsafe_calls::{announce_before_exec, watched};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessExit {
    /// By itself, with this exit code.
    Code(u8),
    /// By a signal that it did not handle.
    Signal {
        /// The signal's number.
        number: i32,
        /// Its name without `SIG`, if it has one.
        name: Option<&'static str>,
    },
}

impl From<ExitStatus> for ProcessExit {
    fn from(status: ExitStatus) -> Self {
        match status.signal() {
            Some(number) => Self::Signal {
                number,
                name: signal_name(number),
            },
            // A process that ended without a signal has a code, and the system keeps 8 bits of it.
            None => Self::Code(
                status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(u8::MAX),
            ),
        }
    }
}

impl ProcessExit {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal {
                number,
                name: Some(name),
            } => {
                write!(f, "killed by signal {number} ({name})")
            }
            Self::Signal { number, name: None } => write!(f, "killed by signal {number}"),
        }
    }
}

/// Why the end of a command is not known.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// It cannot be watched.
    #[error("cannot watch the command for its end")]
    Watch(#[source] io::Error),
    /// Somebody else in this process took its exit code.
    #[error("the exit code of the command was taken by another part of this program")]
    Taken(#[source] io::Error),
}

/// One life of a command, and all that it started in its process group. Dropping it kills them at once.
///
/// Every method can be called from several places at a time; share it in an `Arc`.
pub struct ProcessChild {
    label: String,
    id: Pid,
    stop_signal: Signal,
    stopping: AtomicBool,
    keeper: Keeper,
    /// Readable from the moment the command has ended.
    pidfd: AsyncFd<OwnedFd>,
    group: Mutex<Group>,
    output: Mutex<Option<Output>>,
    input: Mutex<Option<ChildStdin>>,
    exit: OnceCell<ProcessExit>,
}

impl fmt::Debug for ProcessChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessChild")
            .field("label", &self.label)
            .field("id", &self.id)
            .field("exit", &self.exit.get())
            .finish_non_exhaustive()
    }
}

impl ProcessChild {
    /// Starts the command of `settings`: its standard input is empty unless it subscribes to events, its output goes to
    /// [`run`](Self::run), and it gets no other file descriptor. `label` stands in log events.
    ///
    /// Takes as long as a fork and an exec take, some milliseconds.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong and what to do; nothing runs then.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO and time enabled.
    pub fn start(
        settings: &ProcessSettings,
        keeper: &Keeper,
        label: impl Into<String>,
    ) -> Result<Self, StartError> {
        let label = label.into();
        let word = || settings.command.program().to_owned();
        let system = |source| StartError::System {
            command: word(),
            source,
        };
        let unkept = |source| StartError::Keeper {
            command: word(),
            source,
        };

        let program = find_program(settings)?;
        let kept = keeper.reserve().map_err(unkept)?;
        let mut command = Command::new(&program);
        // A secret is for whom its settings give it.
        for (name, _) in std::env::vars_os() {
            if name
                .as_encoded_bytes()
                .starts_with(VARIABLE_PREFIX.as_bytes())
            {
                command.env_remove(name);
            }
        }
        command
            .arg0(settings.command.program())
            .args(settings.command.args())
            // What systemd gave the kernel is the kernel's: no command is to speak for it.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .envs(&settings.env)
            .process_group(0)
            .stdin(if settings.subscribes.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(cwd) = &settings.cwd {
            command.current_dir(cwd);
        }
        let (pipe, announcement) = kept.announcement();
        announce_before_exec(&mut command, pipe, announcement);
        let child = command
            .spawn()
            .map_err(|error| explain(error, program, settings))?;

        // From here on an early return drops the group, which kills it.
        let mut group = Group::new(child, kept, label.clone()).map_err(system)?;
        group
            .kept
            .as_ref()
            .map_or(Ok(()), |kept| kept.settle(group.leader))
            .map_err(unkept)?;
        let pidfd = pidfd_open(group.leader, PidfdFlags::empty()).map_err(|e| system(e.into()))?;
        Ok(Self {
            label,
            id: group.leader,
            stop_signal: settings.stop_signal.signal(),
            stopping: AtomicBool::new(false),
            keeper: keeper.clone(),
            pidfd: watched(pidfd).map_err(system)?,
            output: Mutex::new(Some(Output::of(&mut group.child).map_err(system)?)),
            input: Mutex::new(group.child.stdin.take()),
            group: Mutex::new(group),
            exit: OnceCell::new(),
        })
    }

    /// The kernel's end of its standard input, for the first who asks, if it has one.
    pub(super) fn take_input(&self) -> Option<ChildStdin> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.take()
    }

    /// Its process id, which is its process group's as well.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Whether [`stop`](Self::stop) was called: an exit is then no surprise.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Passes its lines to `on_line` and waits for its end. To be called once, and to be polled all the time:
    /// it is what keeps the pipes from filling up. A second call only waits.
    ///
    /// All that the command wrote before its end has been passed on when this returns; a process outside
    /// of its group that holds the pipes open is not waited for. `on_line` must not block.
    ///
    /// # Errors
    /// [`WaitError`], as from [`wait`](Self::wait).
    pub async fn run(&self, on_line: impl Fn(Stream, &str)) -> Result<ProcessExit, WaitError> {
        self.run_speaking(on_line, None).await
    }

    /// The same for a command that publishes: what may be its events goes to `listener`, which may hold it up.
    pub(super) async fn run_speaking(
        &self,
        on_line: impl Fn(Stream, &str),
        listener: Option<mpsc::Sender<Said>>,
    ) -> Result<ProcessExit, WaitError> {
        let output = self
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Output {
            mut stdout,
            mut stderr,
        }) = output
        else {
            return self.wait().await;
        };
        if let Some(listener) = listener {
            stdout.speak_to(listener);
        }
        let exit = {
            let reading = async {
                tokio::join!(stdout.read(&on_line), stderr.read(&on_line));
                std::future::pending().await
            };
            tokio::select! {
                biased;
                exit = self.wait() => exit,
                exit = reading => exit,
            }
        };
        stdout.finish(&on_line).await;
        stderr.finish(&on_line).await;
        exit
    }

    /// Waits for its end. By then its process group is gone and it has been reaped. Can be dropped at any point.
    ///
    /// # Errors
    /// [`WaitError`] if its end cannot be seen, or its exit code is lost.
    pub async fn wait(&self) -> Result<ProcessExit, WaitError> {
        self.exit.get_or_try_init(|| self.end()).await.copied()
    }

    /// Sends the stop signal to its process group and waits for its end. There is no time limit: who has lost
    /// patience drops this future and then the child, or calls [`kill`](Self::kill).
    ///
    /// # Errors
    /// [`WaitError`], as from [`wait`](Self::wait).
    pub async fn stop(&self) -> Result<ProcessExit, WaitError> {
        self.stopping.store(true, Ordering::Release);
        {
            let group = self.group();
            group.signal(self.stop_signal);
            // Who was paused takes no notice of a signal until it goes on.
            group.signal(Signal::CONT);
        }
        self.wait().await
    }

    /// Kills its process group at once, without waiting for the end.
    pub fn kill(&self) {
        self.group().signal(Signal::KILL);
    }

    /// Stops its process group where it is, as a debugger does, until it [goes on](Self::go_on).
    pub fn pause(&self) {
        self.group().signal(Signal::STOP);
    }

    /// Has its process group go on.
    pub fn go_on(&self) {
        self.group().signal(Signal::CONT);
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self) -> Result<ProcessExit, WaitError> {
        let ended = tokio::select! {
            biased;
            ended = self.ended() => ended,
            never = self.keeper.watch() => match never {},
        };
        match ended {
            Ok(()) => self
                .group()
                .reap()
                .map(ProcessExit::from)
                .map_err(WaitError::Taken),
            // It was reaped by somebody else, so its number may be a stranger's by now.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::CHILD) => {
                self.group().kept = None;
                Err(WaitError::Taken(error))
            }
            Err(error) => Err(WaitError::Watch(error)),
        }
    }

    /// Waits until it is a zombie.
    async fn ended(&self) -> io::Result<()> {
        // It is one, and stays one, once this finds it.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            let mut ready = self.pidfd.readable().await?;
            if waitid(WaitId::PidFd(self.pidfd.as_fd()), look)?.is_some() {
                return Ok(());
            }
            ready.clear_ready();
        }
    }
}

/// Both ends of what a command writes.
#[derive(Debug)]
struct Output {
    stdout: LineReader,
    stderr: LineReader,
}

impl Output {
    fn of(child: &mut Child) -> io::Result<Self> {
        let missing = || io::Error::from(Errno::BADF);
        let stdout = child.stdout.take().ok_or_else(missing)?.into_owned_fd()?;
        let stderr = child.stderr.take().ok_or_else(missing)?.into_owned_fd()?;
        Ok(Self {
            stdout: LineReader::new(stdout, Stream::Stdout)?,
            stderr: LineReader::new(stderr, Stream::Stderr)?,
        })
    }
}

/// The process group of a command. As long as its leader is not reaped its number is nobody else's.
#[derive(Debug)]
struct Group {
    leader: Pid,
    child: Child,
    /// Its place in the keeper's list; none once the leader was reaped.
    kept: Option<Kept>,
    label: String,
}

impl Group {
    fn new(mut child: Child, kept: Kept, label: String) -> io::Result<Self> {
        match child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
        {
            Some(leader) => Ok(Self {
                leader,
                child,
                kept: Some(kept),
                label,
            }),
            None => {
                child.start_kill()?;
                Err(Errno::SRCH.into())
            }
        }
    }

    /// Signals every process of the group, unless the leader was reaped: then there is no such group any more.
    fn signal(&self, signal: Signal) {
        if self.kept.is_none() {
            return;
        }
        match kill_process_group(self.leader, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::warn!(
                label = self.label,
                group = self.leader.as_raw_nonzero(),
                signal = signal.as_raw(),
                %error,
                "cannot signal a process group"
            ),
        }
    }

    /// Kills what is left of the group, takes it off the keeper's list and reaps its leader, which has ended.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.kept = None;
        self.child.try_wait()?.ok_or_else(|| Errno::CHILD.into())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
