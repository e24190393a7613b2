//! What SIGHUP means: that the terminal is gone, or, with a terminal that is there or was never there, that somebody wants
//! the files to be looked at again.
//!
//! Asked is the controlling terminal of the process: who opens `/dev/tty` has it, and gets `ENXIO` once it is gone. It tells
//! the two apart also where standard input, output and error were redirected, which a look at those cannot. The sender does
//! not: a terminal's end comes from the system, from a shell that passes it on, or from a guard.
//!
//! A shell may send SIGHUP to what it leaves behind, and the terminal go only with its own end. So a terminal that goes
//! within [`GOES_WITHIN`] of the signal was meant too; until then the files are looked at, which does no harm.
//!
//! Whoever took a kernel over from its terminal (`disown`) and sends SIGHUP later stops it: `setsid uk run` has none to lose.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// How long after SIGHUP the terminal may go to have been meant.
pub(crate) const GOES_WITHIN: Duration = Duration::from_secs(2);
/// Time between two looks whether it has gone.
pub(crate) const TERMINAL_LOOK: Duration = Duration::from_millis(50);

/// The terminal that this process was started in, if it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    was_there: bool,
}

impl Terminal {
    /// To be asked while the process starts.
    pub(crate) fn at_start() -> Self {
        Self {
            was_there: open().is_ok(),
        }
    }

    /// Whether there was one, and it has hung up.
    pub(crate) fn is_gone(self) -> bool {
        self.was_there && matches!(open(), Err(Some(Errno::NXIO | Errno::IO)))
    }
}

fn open() -> Result<(), Option<Errno>> {
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).unwrap_or(0);
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open("/dev/tty");
    opened
        .map(drop)
        .map_err(|error| Errno::from_io_error(&error))
}

/// Whether SIGHUP is ignored, as below `nohup`; where the system does not say, it is not. Then it stays ignored.
pub(crate) fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}
