//! `process`: the actor around a command.
//!
//! Exit code 0 is an exit `normal`, any other, or a signal, an `error`; a command that fails its health probe
//! [`PROBE_FAILS`] times in a row is `stalled`. Each line that it writes goes to the log, and to the bus where it has to do
//! with events.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use unity_supervisors::{
    Actor, ActorPath, Context, Exit, ExitKind, ExitReason, Message, Next, Reply, Start,
};

use super::input::Input;
use super::lines::Said;
use super::speech::{AHEAD, Speaker};
use super::{Keeper, ProcessChild, ProcessExit, ProcessSettings, Stream, WaitError, probe};

/// Time between two probes of a command's health.
pub const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How long a probe may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command may live that hears nothing any more.
const DEAF_FOR: Duration = Duration::from_secs(1);
/// How many probes may fail in a row.
pub const PROBE_FAILS: u32 = 3;

/// Messages of `process`.
#[derive(Debug, Message)]
#[message(json)]
pub enum ProcessMessage {
    /// The process id and the command.
    Status(Reply<Value>),
}

/// The commands of a kernel that run now, by the path of their actors; found with
/// [`Kernel::shared`](unity_supervisors::Kernel::shared).
#[derive(Debug, Default)]
pub struct Commands(Mutex<BTreeMap<ActorPath, Weak<ProcessChild>>>);

impl Commands {
    /// The one that runs at `path`.
    #[must_use]
    pub fn get(&self, path: &ActorPath) -> Option<Arc<ProcessChild>> {
        self.0.lock().get(path)?.upgrade()
    }

    fn insert(&self, path: &ActorPath, child: &Arc<ProcessChild>) {
        let mut all = self.0.lock();
        // Who is gone for good is not kept either.
        all.retain(|_, child| child.strong_count() > 0);
        all.insert(path.clone(), Arc::downgrade(child));
    }
}

/// Runs a command for as long as it lives.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Arc<ProcessChild>,
}

impl Process {
    fn status(&self) -> Value {
        json!({ "pid": self.child.id(), "program": self.program })
    }
}

impl Actor for Process {
    type Message = ProcessMessage;
    type Settings = ProcessSettings;

    async fn start(
        settings: &ProcessSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let keeper = ctx.kernel().shared::<Keeper>();
        let path = ctx.path().clone();
        let child = Arc::new(ProcessChild::start(settings, &keeper, path.to_string())?);
        ctx.kernel().shared::<Commands>().insert(&path, &child);
        let input = child.take_input().map(|pipe| Input::new(&child, pipe));
        if let Some(input) = &input {
            input.subscribe(settings, ctx)?;
        }
        let speaker = settings.speaks().then(|| Speaker {
            kernel: ctx.kernel().clone(),
            path: path.clone(),
            pid: child.id(),
            publishes: settings.publishes.clone(),
        });
        let running = Arc::clone(&child);
        ctx.spawn(async move {
            let ran = run(&running, &path, speaker);
            let exit = match &input {
                None => ran.await?,
                Some(input) => tokio::select! {
                    biased;
                    exit = ran => exit?,
                    () = is_deaf(input) => {
                        return Err(Exit::error("it closed its standard input, where the events come that it subscribes to"));
                    }
                },
            };
            match exit {
                _ if running.is_stopping() => Ok(()),
                exit if exit.is_success() => Err(Exit(ExitReason::with_text(
                    ExitKind::Normal,
                    exit.to_string(),
                ))),
                exit => Err(Exit::error(exit.to_string())),
            }
        });
        if settings.health.is_some() {
            ctx.spawn(watch_health(settings.clone(), (*keeper).clone()));
        }
        Ok(Start::Running(Self {
            program: settings.command.program().to_owned(),
            child,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut ProcessMessage,
        _ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            ProcessMessage::Status(reply) => reply.send(self.status()),
        }
        Ok(Next::Continue)
    }

    async fn stop(self, _reason: &ExitReason, ctx: &mut Context<Self>) {
        if let Err(error) = self.child.stop().await {
            tracing::warn!(path = %ctx.path(), %error, "cannot see the end of a command");
        }
    }

    fn observe(&self) -> Value {
        self.status()
    }
}

impl Drop for Process {
    /// A life that was killed has no time to stop in order, and its task may still hold the command.
    fn drop(&mut self) {
        self.child.kill();
    }
}

/// Passes on what it writes until its end: to the log, and to the bus where it speaks.
async fn run(
    child: &ProcessChild,
    path: &ActorPath,
    speaker: Option<Speaker>,
) -> Result<ProcessExit, WaitError> {
    let (said, hears) = mpsc::channel(AHEAD);
    let said = speaker.is_some().then_some(said);
    let listener = said.clone();
    let running = child.run_speaking(
        move |stream, line| {
            match stream {
                Stream::Stdout => tracing::info!(%path, "{}", printable(line)),
                Stream::Stderr => tracing::warn!(%path, "{}", printable(line)),
            }
            if let Some(said) = &said {
                // One that finds no room is in the log at least: what it prints does not hold a command up.
                drop(said.try_send(Said::Line(stream, line.to_owned())));
            }
        },
        listener,
    );
    match speaker {
        None => running.await,
        Some(speaker) => tokio::join!(running, speaker.run(hears)).0,
    }
}

/// Completes when a command has closed its standard input and goes on.
async fn is_deaf(input: &Input) {
    input.closed.notified().await;
    // One that ends closes it as well, and its end is seen soon.
    tokio::time::sleep(DEAF_FOR).await;
}

/// Ends the life once the command has failed its probe too often.
async fn watch_health(settings: ProcessSettings, keeper: Keeper) -> Result<(), Exit> {
    let mut failed = 0;
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let Err(error) = probe(&settings, &keeper, PROBE_TIMEOUT).await else {
            failed = 0;
            continue;
        };
        failed += 1;
        if failed >= PROBE_FAILS {
            let text =
                format!("its health probe failed {failed} times in a row; the last: {error}");
            return Err(Exit(ExitReason::with_text(ExitKind::Stalled, text)));
        }
    }
}

/// A line without what could play tricks on a terminal.
fn printable(line: &str) -> String {
    line.chars()
        .map(|letter| {
            if letter.is_control() && letter != '\t' {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}
