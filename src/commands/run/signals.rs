//! The signals of a kernel's process.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::error::{Code, CommandError};
use crate::hangup::{self, GOES_WITHIN, TERMINAL_LOOK, Terminal};
use crate::settings::reload::ReloadBell;

/// Notes SIGINT and SIGTERM from the start of the process on: whoever can reach a kernel may send one before it has booted.
pub(super) struct Early {
    /// The exit code of the one that came; 0 is none.
    came: Arc<AtomicUsize>,
    noted: Vec<SigId>,
}

impl Early {
    pub(super) fn listen() -> Result<Self, CommandError> {
        let came = Arc::new(AtomicUsize::new(0));
        let mut noted = Vec::new();
        for (number, code) in [(SIGINT, INTERRUPTED), (SIGTERM, TERMINATED)] {
            let note = flag::register_usize(number, Arc::clone(&came), usize::from(code));
            noted.push(note.map_err(cannot_listen)?);
        }
        Ok(Self { came, noted })
    }

    /// What came, once somebody else listens.
    fn end(self) -> Option<u8> {
        for note in self.noted {
            low_level::unregister(note);
        }
        let came = self.came.load(Ordering::Acquire);
        u8::try_from(came).ok().filter(|code| *code > 0)
    }
}

fn cannot_listen(error: io::Error) -> CommandError {
    CommandError::new(Code::Failed, format!("cannot listen for signals: {error}"))
}

pub(super) struct Signals {
    /// What came before it listened.
    early: Option<u8>,
    interrupt: Signal,
    terminate: Signal,
    /// Not there if it was ignored from the start, or once it has said that the terminal is gone: a shell says so again.
    hangup: Option<Signal>,
    terminal: Terminal,
    /// Until when a terminal that goes was meant by the last SIGHUP.
    goes_until: Option<Instant>,
    reload: Arc<ReloadBell>,
}

/// The exit codes of those that are not handled in order.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

enum Came {
    /// Something that asks for the end, with the exit code of who does not do so in order.
    End(u8),
    Hangup,
    /// Nothing: it is time to look at the terminal again.
    Look,
}

impl Signals {
    /// Listens from now on; SIGHUP rings `reload` unless it means that the terminal is gone.
    pub(super) fn listen(reload: Arc<ReloadBell>, early: Early) -> Result<Self, CommandError> {
        let listen = |kind| signal(kind).map_err(cannot_listen);
        let (interrupt, terminate) = (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        );
        Ok(Self {
            early: early.end(),
            interrupt,
            terminate,
            hangup: if hangup::is_ignored() {
                None
            } else {
                Some(listen(SignalKind::hangup())?)
            },
            terminal: Terminal::at_start(),
            goes_until: None,
            reload,
        })
    }

    /// Waits for a signal that asks for the end, and returns the exit code of it, should it not be handled in order.
    pub(super) async fn next(&mut self) -> u8 {
        if let Some(code) = self.early.take() {
            return code;
        }
        loop {
            let came = self.came().await;
            if let Came::End(code) = came {
                return code;
            }
            if self.terminal.is_gone() {
                self.hangup = None;
                self.goes_until = None;
                return 129;
            }
            if matches!(came, Came::Hangup) {
                self.goes_until = Some(Instant::now() + GOES_WITHIN);
                tracing::info!("SIGHUP: the files are looked at again");
                self.reload.ring();
            }
        }
    }

    async fn came(&mut self) -> Came {
        self.goes_until = self.goes_until.filter(|until| Instant::now() < *until);
        let is_watched = self.goes_until.is_some();
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Came::End(INTERRUPTED),
            _ = self.terminate.recv() => Came::End(TERMINATED),
            _ = hangup => Came::Hangup,
            () = sleep(TERMINAL_LOOK), if is_watched => Came::Look,
        }
    }
}
