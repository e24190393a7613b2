//! No command outlives its kernel: [`Keeper`].
//!
//! A kernel that is killed with signal 9 can clean up nothing, so somebody else must. Per kernel one
//! helper process, a shell with a script of a few lines, reads from a pipe which process groups live. Only the
//! kernel holds the pipe's other end; when the kernel is gone, however it ended, the helper reads the end of
//! the file, kills the groups that are still listed, and ends.
//!
//! - A command announces itself between fork and exec, so there is no moment in which it runs unlisted.
//!   It is taken from the list after its group was killed and before its process id can be used anew.
//! - The helper is started with the first command. It leads its own session and ignores the signals that
//!   people send to the kernel. If it ends before the kernel it is started again and told all groups.
//! - Nothing here waits for the helper. One that does not read is killed and replaced.
//!
//! What else was possible: `PR_SET_PDEATHSIG` fires when the thread that forked ends, and the threads of a
//! runtime may end; a cgroup takes rights; a helper in Rust would need a second binary, or the kernel
//! to recognise itself by its arguments, which a library cannot ask of its users. A static binary
//! on a machine without `/bin/sh` would change our mind.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;

use super::unsafe_calls::{detach_before_exec, watched};

/// The script: `+TOKEN:GROUP` lists a process group, `-TOKEN` takes it off, the end of the file kills.
///
/// The last test keeps a damaged line from becoming a signal to every process there is.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM
listed=
while IFS= read -r line; do
  case $line in
  +*) listed="$listed ${line#+}" ;;
  -*)
    kept=
    for entry in $listed; do
      case $entry in "${line#-}":*) ;; *) kept="$kept $entry" ;; esac
    done
    listed=$kept
    ;;
  esac
done
for entry in $listed; do
  case ${entry#*:} in '' | *[!0-9]* | 0 | 1) ;; *) kill -s KILL -- "-${entry#*:}" ;; esac
done
"#;

/// What the helper is called in a list of processes.
const NAME: &str = "unitykernel-keeper";

/// Between two helpers that end of themselves: the kernel must not be busy with starting them.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Room for some 50,000 lines, so that a new helper can be told every group at once.
const PIPE_LEN_MAX: usize = 1 << 20;

/// The longest announcement: `+`, 20 digits, `:`, 10 digits, a line feed.
const ANNOUNCEMENT_LEN_MAX: usize = 33;

/// Why a command cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The helper did not start.
    #[error(
        "cannot start the keeper, a `/bin/sh` that ends this kernel's commands if the kernel dies"
    )]
    Start(#[source] io::Error),
    /// The helper does not read, or its pipe is gone.
    #[error("the keeper, which ends this kernel's commands if the kernel dies, does not listen")]
    Write(#[source] io::Error),
}

/// Ends the commands of one kernel when that kernel is gone, however it went.
///
/// One value per kernel; clones are the same keeper. Making one starts nothing. The helper process ends
/// soon after the last clone, and the last command, are dropped.
#[derive(Debug, Clone)]
pub struct Keeper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// One permit: the commands that are waited for take turns in watching the helper.
    watch: Semaphore,
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new()
    }
}

impl Keeper {
    /// A keeper whose helper is started with the first command.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            watch: Semaphore::new(1),
        }))
    }

    /// The process id of the helper, if it was started and is not known to have ended.
    #[must_use]
    pub fn helper_id(&self) -> Option<u32> {
        self.lock()
            .helper
            .as_ref()
            .and_then(|helper| helper.process.id())
    }

    /// Starts the helper again whenever it ends; never returns.
    ///
    /// Each [`ProcessChild::wait`](super::ProcessChild::wait) does this as well, so a kernel need not call it.
    pub async fn watch(&self) -> Infallible {
        let Ok(_turn) = self.0.watch.acquire().await else {
            return std::future::pending().await;
        };
        loop {
            let ended = self.lock().helper.as_ref().map(Helper::ended);
            match ended {
                Some(Ok(ended)) => {
                    if let Err(error) = ended.readable().await {
                        tracing::warn!(%error, "cannot watch the keeper of commands");
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "cannot watch the keeper of commands"),
                None => {}
            }
            if let Err(error) = self.lock().ensure_helper() {
                let cause = std::error::Error::source(&error);
                tracing::error!(%error, cause, "commands are without a keeper");
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    /// Makes a place in the list for a command that is about to be started.
    pub(super) fn reserve(&self) -> Result<Kept, KeeperError> {
        let mut state = self.lock();
        let (pipe, generation) = {
            let helper = state.ensure_helper()?;
            (Arc::clone(&helper.pipe), helper.generation)
        };
        state.last_token += 1;
        let token = state.last_token;
        drop(state);
        Ok(Kept {
            keeper: self.clone(),
            token,
            pipe,
            generation,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the keeper's list. Dropping it takes the command off the list.
#[derive(Debug)]
pub(super) struct Kept {
    keeper: Keeper,
    token: u64,
    pipe: Arc<KeeperPipe>,
    generation: u64,
}

impl Kept {
    /// What the child must write, and where, before it becomes the command.
    pub(super) fn announcement(&self) -> (Arc<KeeperPipe>, Announcement) {
        (Arc::clone(&self.pipe), Announcement::new(self.token))
    }

    /// Remembers the group `leader` that announced itself, for later helpers, and tells the present one if
    /// it is not the one that was told.
    pub(super) fn settle(&self, leader: Pid) -> Result<(), KeeperError> {
        let mut state = self.keeper.lock();
        state.groups.insert(self.token, leader);
        match &state.helper {
            Some(helper) if helper.generation == self.generation => Ok(()),
            Some(helper) => helper.list(self.token, leader),
            None => state.ensure_helper().map(drop),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut state = self.keeper.lock();
        state.groups.remove(&self.token);
        let told = match &state.helper {
            Some(helper) => helper.pipe.write(format!("-{}\n", self.token).as_bytes()),
            None => Ok(()),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "the keeper of commands does not listen and is replaced");
            if let Err(error) = state.replace_helper() {
                let cause = std::error::Error::source(&error);
                tracing::error!(%error, cause, "commands are without a keeper");
            }
        }
    }
}

/// The line `+TOKEN:GROUP`, of which everything but the group is known before the fork.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announcement {
    line: [u8; ANNOUNCEMENT_LEN_MAX],
    len: usize,
}

impl Announcement {
    fn new(token: u64) -> Self {
        let mut announcement = Self {
            line: [0; ANNOUNCEMENT_LEN_MAX],
            len: 0,
        };
        announcement.push(b'+');
        announcement.push_number(token);
        announcement.push(b':');
        announcement
    }

    /// Appends the group and gives the whole line. To be called once. Makes no system call and allocates nothing.
    pub(super) fn complete(&mut self, group: u32) -> &[u8] {
        self.push_number(u64::from(group));
        self.push(b'\n');
        self.line.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.line.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut unit = 1;
        while number / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            let digit = u8::try_from(number / unit % 10).unwrap_or_default();
            self.push(b'0' + digit);
            unit /= 10;
        }
    }
}

#[derive(Debug, Default)]
struct State {
    helper: Option<Helper>,
    /// Every process group that lives, by its token.
    groups: BTreeMap<u64, Pid>,
    last_token: u64,
    generation: u64,
}

impl State {
    /// The helper that runs; a new one if there is none.
    fn ensure_helper(&mut self) -> Result<&Helper, KeeperError> {
        let runs = self.helper.as_mut().is_some_and(Helper::runs);
        if !runs {
            if self.helper.is_some() {
                tracing::warn!(
                    groups = self.groups.len(),
                    "the keeper of commands ended and is started again"
                );
            }
            self.replace_helper()?;
        }
        let missing = || KeeperError::Start(io::Error::from(Errno::CHILD));
        self.helper.as_ref().ok_or_else(missing)
    }

    /// Starts a helper that knows all groups, in the place of one that ended or does not listen.
    fn replace_helper(&mut self) -> Result<(), KeeperError> {
        if let Some(old) = self.helper.take() {
            old.discard();
        }
        self.generation += 1;
        let helper = Helper::start(self.generation).map_err(KeeperError::Start)?;
        for (token, leader) in &self.groups {
            if let Err(error) = helper.list(*token, *leader) {
                helper.discard();
                return Err(error);
            }
        }
        self.helper = Some(helper);
        Ok(())
    }
}

/// The pipe to one helper. Both ends close themselves at exec: no command may hold them, or the end of the
/// file would never come.
#[derive(Debug)]
pub(super) struct KeeperPipe {
    write_end: OwnedFd,
    /// Held open, too: who announces itself to a helper that has just ended must not die of signal 13.
    read_end: OwnedFd,
}

impl KeeperPipe {
    fn new() -> io::Result<Self> {
        let (read_end, write_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&write_end, OFlags::NONBLOCK)?;
        if let Err(error) = rustix::pipe::fcntl_setpipe_size(&write_end, PIPE_LEN_MAX) {
            // It then holds some 3,000 lines that have not been read yet.
            tracing::debug!(%error, "the pipe to the keeper of commands stays small");
        }
        Ok(Self {
            write_end,
            read_end,
        })
    }

    /// Writes a line that is shorter than `PIPE_BUF`, so whole or not at all. Never waits: a full pipe is an
    /// error. Makes one system call and allocates nothing.
    pub(super) fn write(&self, line: &[u8]) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.write_end, line)).map(drop)
    }
}

/// The helper process. Dropping it closes the pipe: it kills what is listed, and ends.
#[derive(Debug)]
struct Helper {
    process: Child,
    pipe: Arc<KeeperPipe>,
    generation: u64,
    /// Makes a sleeping runtime look when a process ends, which is when it reaps those that were dropped.
    _ends: Signal,
}

impl Helper {
    fn start(generation: u64) -> io::Result<Self> {
        // Commands are dropped in odd places, too; outside of a runtime tokio would panic below.
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let pipe = Arc::new(KeeperPipe::new()?);
        let ends = signal(SignalKind::child())?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, NAME])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(pipe.read_end.try_clone()?))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        detach_before_exec(&mut command);
        let process = command.spawn()?;
        Ok(Self {
            process,
            pipe,
            generation,
            _ends: ends,
        })
    }

    fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Becomes readable when it ends.
    fn ended(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let pid = self
            .process
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or(Errno::CHILD)?;
        watched(pidfd_open(pid, PidfdFlags::empty())?)
    }

    fn list(&self, token: u64, leader: Pid) -> Result<(), KeeperError> {
        let mut announcement = Announcement::new(token);
        let line = announcement.complete(leader.as_raw_nonzero().get().unsigned_abs());
        self.pipe
            .write(line)
            .map_err(|error| KeeperError::Write(error.into()))
    }

    /// Ends it without letting it kill what is listed: it is killed before its pipe is closed, and a process
    /// with signal 9 pending does nothing more.
    fn discard(mut self) {
        if let Err(error) = self.process.start_kill() {
            tracing::debug!(%error, "the keeper of commands had ended already");
        }
    }
}

#[cfg(test)]
impl Keeper {
    pub(super) fn is_empty(&self) -> bool {
        self.lock().groups.is_empty()
    }

    /// Lets the helper believe that the kernel is gone.
    pub(super) fn close_pipe_for_test(&self) {
        self.lock().helper = None;
    }

    /// Leaves no room in the pipe.
    pub(super) fn fill_pipe_for_test(&self) {
        let state = self.lock();
        let pipe = &state.helper.as_ref().unwrap().pipe;
        while pipe.write(&[b'\n'; 4096]).is_ok() {}
        while pipe.write(b"\n").is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_one_line() {
        for (token, group, expected) in [
            (1, 2, "+1:2\n"),
            (0, 10, "+0:10\n"),
            (1000, 4_194_304, "+1000:4194304\n"),
            (u64::MAX, u32::MAX, "+18446744073709551615:4294967295\n"),
        ] {
            let mut announcement = Announcement::new(token);

            assert_eq!(announcement.complete(group), expected.as_bytes());
        }
    }
}
