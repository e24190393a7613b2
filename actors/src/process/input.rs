//! What a command hears: events as lines of JSON on its standard input.
//!
//! Each is a job of the dispatcher, which writes one line. A command that does not read holds up its own jobs, and after
//! their timeout they are dropped; what of a line was written by then is completed before the next, so that lines stay whole.
//! A durable event counts as handled once its line is written: what a command has not read when it ends is lost to it.

use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::{Mutex, Notify};
use unity_supervisors::bus::Event;
use unity_supervisors::{Context, Exit};

use super::actor::Process;
use super::{ProcessChild, ProcessSettings};
use crate::dispatcher::{EventJobs, JobOptions};

/// The standard input of a command.
pub(super) struct Input {
    child: Arc<ProcessChild>,
    writer: Mutex<Writer>,
    /// The command has closed it.
    pub(super) closed: Notify,
}

struct Writer {
    pipe: ChildStdin,
    /// The line that is being written, and how much of it was.
    line: Vec<u8>,
    written: usize,
}

impl Writer {
    /// Writes a line. Can be dropped at any point: a line of which nothing was written is forgotten, of any other the rest
    /// comes before the next.
    async fn write(&mut self, line: Vec<u8>) -> std::io::Result<()> {
        if self.written > 0 {
            self.write_on().await?;
        }
        self.line = line;
        self.write_on().await
    }

    async fn write_on(&mut self) -> std::io::Result<()> {
        while let Some(rest) = self.line.get(self.written..)
            && !rest.is_empty()
        {
            self.written += self.pipe.write(rest).await?;
        }
        self.line.clear();
        self.written = 0;
        Ok(())
    }
}

impl Input {
    pub(super) fn new(child: &Arc<ProcessChild>, pipe: ChildStdin) -> Arc<Self> {
        let (line, written) = (Vec::new(), 0);
        Arc::new(Self {
            child: Arc::clone(child),
            writer: Mutex::new(Writer {
                pipe,
                line,
                written,
            }),
            closed: Notify::new(),
        })
    }

    /// Subscribes to what the settings say.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        settings: &ProcessSettings,
        ctx: &Context<Process>,
    ) -> Result<(), Exit> {
        for hears in &settings.subscribes {
            let mut options = JobOptions::default();
            if let Some((name, since)) = hears.since() {
                options = options.durable(name, since);
            }
            let input = Arc::clone(self);
            ctx.on_event_job(hears.pattern.as_str(), options, move |event| {
                let input = Arc::clone(&input);
                async move { input.tell(&event).await }
            })?;
        }
        Ok(())
    }

    async fn tell(&self, event: &Event) -> Result<(), Exit> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let told = match self.child.is_stopping() {
            true => Ok(false),
            false => self.writer.lock().await.write(line).await.map(|()| true),
        };
        if matches!(told, Ok(true)) {
            return Ok(());
        }
        if told.is_err() {
            self.closed.notify_one();
        }
        // It is about to end: the job ends with it, and is left to the next life.
        std::future::pending().await
    }
}
