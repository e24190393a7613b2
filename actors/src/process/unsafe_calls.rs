//! The only unsafe code of [`process`](super): hooks between fork and exec, and watching a file descriptor.
//!
//! A forked child of a program with threads may only make async-signal-safe calls. The hooks here make
//! plain system calls, on memory that was laid out before the fork; they neither allocate, nor lock, nor
//! panic.
#![expect(unsafe_code, reason = "neither can be done in safe code")]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::io::{Errno, FdFlags};
use rustix::process::{getpid, setsid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;

use super::keeper::{Announcement, KeeperPipe};

/// What `spawn` fails with when the keeper cannot be told; exec itself never fails with it.
pub(super) const NOT_ANNOUNCED: Errno = Errno::COMM;

/// Makes the child write `announcement`, with its own process id, to `pipe` before it becomes the command,
/// which gets no file descriptor but the first three.
pub(super) fn announce_before_exec(
    command: &mut Command,
    pipe: Arc<KeeperPipe>,
    mut announcement: Announcement,
) {
    let inherited = inherited_descriptors();
    let hook = move || {
        close_at_exec(&inherited);
        let line = announcement.complete(getpid().as_raw_nonzero().get().unsigned_abs());
        pipe.write(line).map_err(|_| io::Error::from(NOT_ANNOUNCED))
    };
    // SAFETY: the hook calls `fcntl`, `getpid` and `write`, reads a list that was made before the fork, and
    // fills in bytes of an array that it owns. An `io::Error` made from a number is a plain value.
    // The pipe is open: the hook owns a share of it.
    unsafe {
        command.pre_exec(hook);
    }
}

/// Makes the child lead a session of its own and get no file descriptor but the first three.
pub(super) fn detach_before_exec(command: &mut Command) {
    let inherited = inherited_descriptors();
    let hook = move || {
        close_at_exec(&inherited);
        setsid()?;
        Ok(())
    };
    // SAFETY: the hook calls `fcntl` and `setsid` and reads a list that was made before the fork.
    unsafe {
        command.pre_exec(hook);
    }
}

/// Called in the child: the program that it becomes does not get `descriptors`.
fn close_at_exec(descriptors: &[RawFd]) {
    for number in descriptors {
        // SAFETY: the number came from this process's own list and is no -1.
        let descriptor = unsafe { BorrowedFd::borrow_raw(*number) };
        match rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
            // One that was closed since is an error without harm.
            Ok(()) | Err(_) => {}
        }
    }
}

/// Lets the runtime say when `descriptor` can be read.
pub(super) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor, the same for as long as it lives, and only it closes it.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// The file descriptors of this process but the first three. What is opened later, by Rust, closes itself.
fn inherited_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect()
}
