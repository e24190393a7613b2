//! Draws again and again: on the alternate screen of a terminal, or as plain frames.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::Screen;

/// Time between two frames on a terminal.
const FRAME: Duration = Duration::from_millis(500);
/// Time between two looks at the keyboard.
const KEYS: Duration = Duration::from_millis(50);
/// Time between two frames elsewhere.
const PLAIN_FRAME: Duration = Duration::from_secs(1);

/// Who hears of signals where more than one thing waits for them: the console. What runs takes them while it does.
#[derive(Debug, Default)]
pub struct Interrupts {
    /// How many wait; what waits may itself wait for something that waits.
    waiting: AtomicUsize,
    told: Notify,
}

impl Interrupts {
    /// Ends what runs and can be ended; `false` if there is nothing.
    #[must_use]
    pub fn end_what_runs(&self) -> bool {
        let waits = self.waiting.load(Ordering::Acquire) > 0;
        if waits {
            self.told.notify_waiters();
        }
        waits
    }

    /// Hears of signals from now on, not from the first poll on.
    pub(crate) async fn told(&self) {
        let told = self.told.notified();
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(self);
        told.await;
    }
}

/// Something waits until it is dropped.
struct Waiting<'a>(&'a Interrupts);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits for Ctrl-C or SIGTERM, from `interrupts` where the process hears of them there.
///
/// # Errors
/// If the system does not tell of signals.
pub(crate) async fn interrupted(interrupts: Option<&Interrupts>) -> Result<(), CommandError> {
    if let Some(interrupts) = interrupts {
        interrupts.told().await;
        return Ok(());
    }
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

fn failed(error: io::Error) -> CommandError {
    CommandError::new(Code::Failed, error.to_string())
}

/// Shows what `draw` makes until q, Ctrl-C, or nobody reads it any more; `plain` as elsewhere also on a terminal.
///
/// # Errors
/// What `draw` says; the screen is as it was then.
pub(crate) async fn watch<F>(
    plain: bool,
    interrupts: Option<&Interrupts>,
    mut draw: impl FnMut(Screen) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<String, CommandError>>,
{
    let mut interrupted = std::pin::pin!(interrupted(interrupts));
    let is_terminal = !plain && output::takes_drawing(&io::stdout());
    let mut beat = interval(if is_terminal { FRAME } else { PLAIN_FRAME });
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let _restored = is_terminal.then(Terminal::take);
    let reads_keys = is_terminal && io::stdin().is_terminal();
    let mut keys = interval(KEYS);
    loop {
        tokio::select! {
            biased;
            ended = &mut interrupted => return ended,
            _ = keys.tick(), if reads_keys => if is_quit_typed() { return Ok(()) },
            _ = beat.tick() => {
                let frame = match draw(Screen::stdout()).await {
                    // What was asked heard of it as well.
                    Err(_) if (&mut interrupted).now_or_never().is_some() => return Ok(()),
                    drawn => drawn?,
                };
                if !show(&frame, is_terminal)? {
                    return Ok(());
                }
            }
        }
    }
}

fn show(frame: &str, is_terminal: bool) -> Result<bool, CommandError> {
    if !is_terminal {
        return output::frame(frame);
    }
    let rows = Screen::stdout().height.unwrap_or(24).max(2) - 1;
    let mut text = String::from("\x1b[H");
    let (shown, more) = fitting(frame, rows);
    for line in shown {
        text.push_str(line);
        text.push_str("\x1b[K\r\n");
    }
    let more = match more {
        0 => String::new(),
        _ => format!("; {more} more rows do not fit"),
    };
    text.push_str(&format!("\x1b[J\x1b[2mq quits{more}\x1b[0m"));
    output::frame(&text)
}

/// The lines of a frame that fit, and how many do not.
fn fitting(frame: &str, rows: usize) -> (impl Iterator<Item = &str>, usize) {
    let frame = frame.trim_end_matches('\n');
    let more = frame.lines().count().saturating_sub(rows);
    (frame.lines().take(rows), more)
}

/// Whether a q was typed since the last look.
fn is_quit_typed() -> bool {
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    let at_once = Timespec::default();
    while poll(&mut ready, Some(&at_once)).is_ok_and(|count| count > 0) {
        let mut byte = [0_u8];
        match rustix::io::read(&stdin, &mut byte) {
            Ok(0) | Err(_) => return false,
            Ok(_) if matches!(byte, [b'q' | b'Q']) => return true,
            Ok(_) => {}
        }
    }
    false
}

/// A terminal with the alternate screen, no cursor, keys without echo; as it was once dropped.
struct Terminal {
    before: Option<Termios>,
}

impl Terminal {
    fn take() -> Self {
        control("\x1b[?1049h\x1b[?25l");
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet
                .local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO);
            if let Err(error) = tcsetattr(&stdin, OptionalActions::Now, &quiet) {
                tracing::debug!(%error, "keys need a return and are seen");
            }
        }
        Self { before }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, before)
        {
            tracing::warn!(%error, "cannot restore the terminal: `stty sane` does");
        }
        control("\x1b[?25h\x1b[?1049l");
    }
}

fn control(sequence: &str) {
    if let Err(error) = output::frame(sequence) {
        tracing::debug!(%error, "the terminal takes no sequences");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_fit_are_counted() {
        let (shown, more) = fitting("a\nb\nc\n\n", 2);

        assert_eq!((shown.collect::<Vec<_>>(), more), (vec!["a", "b"], 1));
        assert_eq!(fitting("a\nb\n\n", 2).1, 0);
    }
}
