//! What is outside of a real kernel: its disk, its commands, the process itself.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::mpsc;
use unity_supervisors::clock::Clock;
use unity_supervisors::fault::Undo;
use unity_supervisors::stream::StreamInfo;
use unity_supervisors::{ActorPath, Kernel};

use super::plan::Fault;
use super::report::{Done, Report};
use super::run::{Outside, Work};
use super::runs::{Chaos, Unfinished};
use super::service::NO_GUARD;
use super::shelf::Journal;
use crate::process::{Commands, ProcessChild};
use crate::sensors::host::resident_bytes;

/// How many things that were done may wait until they are published.
pub(super) const NOTES_MAX: usize = 1_024;

/// The real outside of a kernel, for one run.
pub(super) struct RealOutside {
    pub(super) kernel: Kernel,
    pub(super) chaos: Arc<Chaos>,
    pub(super) notes: mpsc::Sender<Done>,
    /// What must be up again if the kernel is killed.
    pub(super) up: Vec<ActorPath>,
    pub(super) settles_within_ms: u64,
    /// Writes what became of messages into a report.
    pub(super) complete: Box<dyn Fn(&mut Report) + Send + Sync>,
}

impl fmt::Debug for RealOutside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RealOutside")
    }
}

impl RealOutside {
    fn command(&self, path: Option<&ActorPath>) -> Result<Arc<ProcessChild>, String> {
        let path = path.ok_or("it is said of no `process`")?;
        let commands = self.kernel.shared::<Commands>();
        let command = commands.get(path);
        command.ok_or_else(|| format!("no command runs at `{path}` now"))
    }

    fn strike_now(&self, fault: &Fault, path: Option<&ActorPath>) -> Result<Option<Undo>, String> {
        let disk = || {
            let disk = self.chaos.ground().disk.as_ref();
            disk.ok_or("the streams of this kernel are on no disk that can be broken")
        };
        match fault {
            Fault::DiskFull(_) => Ok(Some(disk()?.fill())),
            Fault::SyncFails(_) => Ok(Some(disk()?.fail_syncs())),
            Fault::StopProcess(_) => {
                let command = self.command(path)?;
                command.pause();
                // It may have ended by then: its number is nobody else's as long as somebody holds it.
                let command = Arc::downgrade(&command);
                Ok(Some(Undo::new(move || {
                    if let Some(command) = command.upgrade() {
                        command.go_on();
                    }
                })))
            }
            Fault::KillProcess => {
                self.command(path)?.kill();
                Ok(None)
            }
            Fault::KillKernel => self.kill_kernel().map(|()| None),
            other => Err(format!(
                "`{}` is nothing outside of the kernel",
                other.name()
            )),
        }
    }

    /// Writes down what the next kernel needs, and kills this process.
    fn kill_kernel(&self) -> Result<(), String> {
        if !self.chaos.is_guarded() {
            return Err(NO_GUARD.to_owned());
        }
        let report = self.chaos.take_words().ok_or("the run has said nothing")?;
        let journal = Journal {
            report,
            killed_at: Clock::real().wall(),
            up: self.up.clone(),
            settles_within_ms: self.settles_within_ms,
        };
        let written = self.chaos.shelf().write_journal(&journal);
        written.map_err(|error| format!("the journal cannot be written: {error}"))?;
        kill_process(getpid(), Signal::KILL).map_err(|error| error.to_string())
    }
}

impl Outside for RealOutside {
    fn strike<'a>(
        &'a self,
        fault: &'a Fault,
        path: Option<&'a ActorPath>,
    ) -> BoxFuture<'a, Result<Option<Undo>, String>> {
        std::future::ready(self.strike_now(fault, path)).boxed()
    }

    fn lag<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Option<u64>> {
        async move {
            let streams = self.kernel.bus().store()?.streams().await.ok()?;
            let is_it = |info: &&StreamInfo| info.name.as_str() == stream;
            let groups = &streams.iter().find(is_it)?.groups;
            Some(
                groups
                    .iter()
                    .map(|group| group.lag)
                    .max()
                    .unwrap_or_default(),
            )
        }
        .boxed()
    }

    fn memory(&self) -> Option<u64> {
        resident_bytes().ok()
    }

    fn note(&self, done: &Done) {
        self.chaos.note(done);
        if self.notes.try_send(done.clone()).is_err() {
            tracing::warn!(
                fault = done.act.fault.name(),
                "a fault was not published: too many wait"
            );
        }
    }

    fn last_words(&self, mut report: Report, left: Vec<Work>) {
        (self.complete)(&mut report);
        self.chaos.keep_words(Unfinished { report, left });
    }
}
