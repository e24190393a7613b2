//! What the guard decides, without a process or a clock: whether an end was meant, when the kernel is started
//! again, and what a signal to the guard means.
//!
//! | a kernel that | is |
//! |---|---|
//! | ends with an exit code | over, and the guard with it, by the same code: 0 stopped, 1 gave up, 2 and 3 called or configured wrongly, 128 and more killed by a second signal |
//! | ends with 101 | started again: a panic outside of all actors |
//! | ends with 1 in a later life, without `--exit-on-give-up` | started again: it has run before, so what it lacks may come back |
//! | is killed by a signal, or cannot be started | started again, unless the guard was asked to end |
//!
//! `--exit-on-give-up` together with `--guard` ends both: who wants OTP's end of the node wants to see it, and
//! a root that should go on has safe mode.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::process::Signal;
use unity_actors::process::ProcessExit;

/// The pause after a first death.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// No pause is longer; each is twice the one before.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// After a life as long as this the pauses begin anew.
const CALM_AFTER: Duration = Duration::from_secs(60);
/// So many deaths within [`SAFE_WITHIN`] lead to safe mode.
const SAFE_DEATHS: usize = 3;
/// The time in which deaths are counted.
pub(super) const SAFE_WITHIN: Duration = Duration::from_secs(60);
/// The exit code of a Rust program whose main thread panicked.
const EXIT_PANIC: u8 = 101;

/// One life of the kernel's process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// How it ended; none if it could not be started.
    pub(super) exit: Option<ProcessExit>,
    /// How long it was.
    pub(super) ran: Duration,
    /// Whether it was the guard's first.
    pub(super) is_first: bool,
    /// Whether the guard was asked to end during it.
    pub(super) is_asked: bool,
}

/// What comes after a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The guard ends with this code.
    End(u8),
    /// The kernel is started again.
    Start {
        /// After this pause.
        pause: Duration,
        /// How many deaths lie within [`SAFE_WITHIN`].
        deaths: usize,
        /// Whether it boots into safe mode.
        safe: bool,
    },
}

/// What the guard remembers of deaths; times are monotonic, since the guard began.
#[derive(Debug, Default)]
pub(super) struct Memory {
    recent: VecDeque<Duration>,
    pause: Duration,
}

impl Memory {
    /// Decides what comes after `life`, which ended at `now`.
    pub(super) fn after(&mut self, life: Life, exit_on_give_up: bool, now: Duration) -> Next {
        if let Some(code) = meant(life, exit_on_give_up) {
            return Next::End(code);
        }
        self.recent.push_back(now);
        while let Some(oldest) = self.recent.front() {
            if now.saturating_sub(*oldest) <= SAFE_WITHIN && self.recent.len() <= SAFE_DEATHS {
                break;
            }
            self.recent.pop_front();
        }
        self.pause = if life.ran >= CALM_AFTER || self.pause.is_zero() {
            PAUSE_MIN
        } else {
            (self.pause * 2).min(PAUSE_MAX)
        };
        Next::Start {
            pause: self.pause,
            deaths: self.recent.len(),
            safe: self.recent.len() >= SAFE_DEATHS,
        }
    }
}

/// The exit code of an end that was meant.
fn meant(life: Life, exit_on_give_up: bool) -> Option<u8> {
    match life.exit {
        Some(ProcessExit::Code(code)) if life.is_asked => Some(code),
        Some(ProcessExit::Signal { number, .. }) if life.is_asked => {
            Some(u8::try_from(number).map_or(u8::MAX, |number| number.saturating_add(128)))
        }
        Some(ProcessExit::Code(EXIT_PANIC) | ProcessExit::Signal { .. }) => None,
        Some(ProcessExit::Code(1)) if !life.is_first && !exit_on_give_up => None,
        Some(ProcessExit::Code(code)) => Some(code),
        None => life.is_asked.then_some(0),
    }
}

/// What the guard does about a signal while the kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It looks whether the kernel has ended.
    Look,
    /// It sends the same to the kernel.
    PassOn,
    /// It sends the same to the kernel, whose end is then the guard's.
    End,
    /// It kills the kernel, which took no notice of two signals.
    Kill,
    /// It stops the kernel and itself, and both go on together.
    Stop,
}

/// Signals that ask for the end, as SIGHUP does when the terminal is gone.
pub(super) const ENDS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];
/// The others that are passed on.
pub(super) const PASSED_ON: [Signal; 2] = [Signal::USR1, Signal::USR2];

/// Decides about `signal`, after `asked` that asked for the end.
pub(super) fn answer(signal: Signal, asked: u32, is_terminal_gone: bool) -> Answer {
    match signal {
        Signal::TSTP => Answer::Stop,
        Signal::HUP if !is_terminal_gone => Answer::PassOn,
        // A terminal goes once, and a shell may say so again: that is no second wish.
        Signal::HUP if asked > 0 => Answer::Look,
        Signal::HUP => Answer::End,
        signal if ENDS.contains(&signal) && asked >= 2 => Answer::Kill,
        signal if ENDS.contains(&signal) => Answer::End,
        signal if PASSED_ON.contains(&signal) => Answer::PassOn,
        _ => Answer::Look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Option<ProcessExit> = Some(ProcessExit::Signal {
        number: 9,
        name: Some("KILL"),
    });

    fn code(code: u8) -> Option<ProcessExit> {
        Some(ProcessExit::Code(code))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_end_that_was_meant_is_passed_on_and_a_death_is_not() {
        let rows = [
            // exit, first life, asked to end, --exit-on-give-up, the guard's end
            (code(0), true, false, false, Some(0)),
            (code(0), false, false, false, Some(0)),
            (code(1), true, false, false, Some(1)),
            (code(1), false, false, false, None),
            (code(1), false, false, true, Some(1)),
            (code(1), false, true, false, Some(1)),
            (code(2), false, false, false, Some(2)),
            (code(3), false, false, false, Some(3)),
            (code(101), true, false, false, None),
            (code(101), true, true, false, Some(101)),
            (code(143), true, true, false, Some(143)),
            (KILLED, true, false, false, None),
            (KILLED, true, false, true, None),
            (KILLED, false, true, false, Some(137)),
            (None, true, false, false, None),
            (None, true, true, false, Some(0)),
        ];
        for (exit, is_first, is_asked, exit_on_give_up, expected) in rows {
            let life = Life {
                exit,
                ran: seconds(1),
                is_first,
                is_asked,
            };

            let next = Memory::default().after(life, exit_on_give_up, seconds(1));

            let ended = match next {
                Next::End(code) => Some(code),
                Next::Start { .. } => None,
            };
            assert_eq!(ended, expected, "{life:?} {exit_on_give_up}");
        }
    }

    /// Feeds lives of so many seconds, each begun after the pause; returns pause (ms), deaths and safe of each.
    fn lives(lengths: &[u64]) -> Vec<(u128, usize, bool)> {
        let mut memory = Memory::default();
        let mut now = Duration::ZERO;
        let step = |length: &u64| {
            let ran = seconds(*length);
            now += ran;
            let life = Life {
                exit: KILLED,
                ran,
                is_first: false,
                is_asked: false,
            };
            let Next::Start {
                pause,
                deaths,
                safe,
            } = memory.after(life, false, now)
            else {
                panic!("{life:?} was meant");
            };
            now += pause;
            (pause.as_millis(), deaths, safe)
        };
        lengths.iter().map(step).collect()
    }

    #[test]
    fn pauses_double_up_to_ten_seconds_and_begin_anew_after_a_calm_minute() {
        let pauses = lives(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 59, 60, 0]);
        let pauses: Vec<u128> = pauses.into_iter().map(|(pause, ..)| pause).collect();

        assert_eq!(
            pauses,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 100, 200
            ]
        );
    }

    #[test]
    fn three_deaths_within_a_minute_are_safe_mode_however_they_lie() {
        for (lengths, safe) in [
            (&[1, 1][..], false),
            (&[1, 1, 1], true),
            (&[500, 0, 0], true),
            (&[1, 29, 29], true),
            (&[1, 30, 31], false),
            (&[1, 1, 1, 1], true),
            (&[1, 1, 1, 61], false),
            (&[1, 40, 40, 30], false),
            (&[1, 40, 40, 30, 1], true),
        ] {
            let last = lives(lengths).pop().unwrap();

            assert_eq!(last.2, safe, "{lengths:?}: {last:?}");
        }
    }

    #[test]
    fn two_signals_are_for_the_kernel_and_the_third_kills_it() {
        for (signal, asked, is_terminal_gone, expected) in [
            (Signal::TERM, 0, false, Answer::End),
            (Signal::INT, 1, false, Answer::End),
            (Signal::TERM, 2, true, Answer::Kill),
            (Signal::QUIT, 0, false, Answer::End),
            (Signal::HUP, 0, false, Answer::PassOn),
            (Signal::HUP, 2, false, Answer::PassOn),
            (Signal::HUP, 0, true, Answer::End),
            (Signal::HUP, 1, true, Answer::Look),
            (Signal::USR1, 2, false, Answer::PassOn),
            (Signal::TSTP, 0, false, Answer::Stop),
            (Signal::CHILD, 2, false, Answer::Look),
        ] {
            let answer = answer(signal, asked, is_terminal_gone);

            assert_eq!(answer, expected, "{signal:?} {asked} {is_terminal_gone}");
        }
    }
}
