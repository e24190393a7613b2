//! Measures actor frameworks by the same rows.
//!
//! One process per framework, which implements what it has of the traits in `peer.rs` and names them in its [`Suite`].
//! The loops, clocks and checks are here, so that a difference between two figures is the framework's. A
//! process takes `--rows` and `--seconds` and prints one JSON object per row on stdout and nothing
//! else. It runs each measurement once: interleaving the frameworks and taking medians is the
//! driver's work, and so is a time limit, for a framework that hangs hangs its process.
//!
//! Each measurement gets a tokio multi-thread runtime of its own with two workers and the time
//! driver (no I/O driver, but for the rows between processes), a warm-up of a fifth of the time (50 to 500 ms) on the same actors, and
//! then `--seconds`. Clock: `tokio::time`, one reading per sample. Allocator: the system's. Threads
//! are not pinned. "Task" means a task spawned where the framework's own tasks run; "main" is the thread in
//! `block_on`, which is no worker.
//!
//! | row | who drives | payload | what is counted |
//! |---|---|---|---|
//! | `tell_1_1` | one producer task | `u64`, added up | messages handled ÷ time until the last is handled |
//! | `tell_4_1` | four producer tasks | the same | the same |
//! | `ask_p50`, `ask_p99` | one task, one ask at a time | none; a `u64` comes back | one ask with a reply timeout of one second |
//! | `ask_outside_p50`, `ask_outside_p99` | main | the same | the same: the way there and back crosses threads |
//! | `spawn_ordered` | one task | – | actors ÷ time to start 20,000 under one supervisor, each start awaited, and to stop them in reverse, each stop awaited |
//! | `spawn_batch` | one task | – | actors ÷ time to start 100,000 under one supervisor and to stop them all at once, the fastest way that waits for each to run and to be down |
//! | `group_1000` | one task | – | median time until 1,000 children of one supervisor are stopped in reverse and started again in order |
//! | `restart_p50`, `restart_p99` | one task | – | from the tell that makes a supervised actor panic until its next life has answered an ask |
//! | `crash_1000` | one task | – | 1,000 ÷ median time from the first of 1,000 crashes under one new supervisor until all have answered in their next life |
//! | `idle_bytes` | one task | – | growth of resident memory while 100,000 actors are started, 2,000 others being there ÷ 100,000; alone in its process |
//! | `critical_wait` | main | – | from sending a critical message, while 10,000 low ones of 20 µs wait, to its handler |
//! | `remote_tell_64` | one task | 64 bytes, the first eight added up | messages handled by an actor of another process ÷ time until the last is handled |
//! | `remote_ask_p50`, `remote_ask_p99` | one task, one ask at a time | none; a `u64` comes back | one ask of that actor with a reply timeout of one second |
//! | `stalled_peer_bytes` | one task | as `remote_tell_64` | by how much resident memory has grown at its peak by 3 s of tells to a process that is stopped; alone in its process |
//!
//! A tell run ends with an ask queued behind all tells: its answer is the number handled, which
//! must be the number sent, and its time is the end of the run. `drain_ms` says how long that took
//! after the last send, so a backlog in an unbounded mailbox is paid for and visible. The answer of a
//! life that follows a crash is how many were before it, which must be one more each time.
//! `spawn_ordered` and `spawn_batch` take a new supervisor for each 20,000 or 100,000 and runs whole rounds until the time is over, at least one;
//! its warm-up is a round of 2,000, and `start_per_s` and `stop_per_s` are its halves. `flat` of the restarts is the
//! median of the last tenth of the time by that of its first. `critical_wait` fills up to 10,000 again before each
//! sample and takes three at least.
//!
//! The other process is the same program, called with `--serve`, with two workers too. `remote_tell_64` is measured
//! twice: freely, where a producer that is never held back yields every 64, and with at most 1,024 on the way, as asks
//! in between tell; its value is the faster. `stalled_peer_bytes` ends early once 4 GiB are reached, and then lets the
//! other process go on: `taken` says how many tells were taken meanwhile, `handled` how many of them it has handled after
//! `caught_up_ms`, `after_bytes` how much memory there is then.

mod figure;
mod histogram;
mod lanes;
mod messages;
mod nodes;
mod options;
mod peer;
mod restarts;
mod spawns;
mod suite;

pub use options::OptionsError;
pub use peer::{
    CRASH_TEXT, Lanes, MAILBOX_CAPACITY, Messages, Nodes, OneByOne, PAYLOAD_LEN, REPLY_TIMEOUT,
    RESTART_PERIOD, RESTARTS_MAX, Restarts, Spawns, work,
};
pub use suite::Suite;
pub use tokio::time::Instant;
