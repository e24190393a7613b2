//! The signals of a kernel's process.

use std::future::pending;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::error::{Code, CommandError};
use crate::hangup::{self, GOES_WITHIN, TERMINAL_LOOK, Terminal};
use crate::settings::reload::ReloadBell;

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Not there if it was ignored from the start, or once it has said that the terminal is gone: a shell says so again.
    hangup: Option<Signal>,
    terminal: Terminal,
    /// Until when a terminal that goes was meant by the last SIGHUP.
    goes_until: Option<Instant>,
    reload: Arc<ReloadBell>,
}

enum Came {
    /// Something that asks for the end, with the exit code of who does not do so in order.
    End(u8),
    Hangup,
    /// Nothing: it is time to look at the terminal again.
    Look,
}

impl Signals {
    /// Listens from now on; SIGHUP rings `reload` unless it means that the terminal is gone.
    pub(super) fn listen(reload: Arc<ReloadBell>) -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CommandError::new(Code::Failed, format!("cannot listen for signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
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
            _ = self.interrupt.recv() => Came::End(130),
            _ = self.terminate.recv() => Came::End(143),
            _ = hangup => Came::Hangup,
            () = sleep(TERMINAL_LOOK), if is_watched => Came::Look,
        }
    }
}
