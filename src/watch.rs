//! Draws again and again: on the alternate screen of a terminal, or as plain frames.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
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

/// Shows what `draw` makes until q, Ctrl-C, or nobody reads it any more; `plain` as elsewhere also on a terminal.
///
/// # Errors
/// What `draw` says; the screen is as it was then.
pub(crate) async fn watch<F>(
    plain: bool,
    mut draw: impl FnMut(Screen) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<String, CommandError>>,
{
    let failed = |error: io::Error| CommandError::new(Code::Failed, error.to_string());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let is_terminal = !plain && io::stdout().is_terminal();
    let mut beat = interval(if is_terminal { FRAME } else { PLAIN_FRAME });
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let _restored = is_terminal.then(Terminal::take);
    let reads_keys = is_terminal && io::stdin().is_terminal();
    let mut keys = interval(KEYS);
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = keys.tick(), if reads_keys => if is_quit_typed() { return Ok(()) },
            _ = beat.tick() => {
                let frame = draw(Screen::stdout()).await?;
                if !show(&frame, is_terminal) {
                    return Ok(());
                }
            }
        }
    }
}

fn show(frame: &str, is_terminal: bool) -> bool {
    if !is_terminal {
        return output::frame(frame);
    }
    let rows = Screen::stdout().height.unwrap_or(24).max(2) - 1;
    let mut text = String::from("\x1b[H");
    for line in frame.lines().take(rows) {
        text.push_str(line);
        text.push_str("\x1b[K\r\n");
    }
    text.push_str("\x1b[J\x1b[2mq quits\x1b[0m");
    output::frame(&text)
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
        output::frame("\x1b[?1049h\x1b[?25l");
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
        output::frame("\x1b[?25h\x1b[?1049l");
    }
}
