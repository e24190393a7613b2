//! Measures other actor frameworks by the rows that our own benchmarks print.
//!
//! One process per framework (`src/bin/<framework>_peer.rs`), which implements [`Peer`]; the loops,
//! clocks and checks are here, so that a difference between two figures is the framework's. A
//! process takes `--rows` and `--seconds` and prints one JSON object per row on stdout and nothing
//! else. It runs each measurement once: interleaving the frameworks and taking medians is the
//! driver's work, and so is a time limit, for a framework that hangs hangs its process.
//!
//! # Rows
//!
//! Each measurement gets a tokio multi-thread runtime of its own with two workers and the time
//! driver (no I/O driver), a warm-up of a fifth of the time (50 to 500 ms) on the same actors, and
//! then `--seconds`. Clock: `tokio::time`, one reading per sample. Allocator: the system's. Threads
//! are not pinned. "Task" means a task spawned on the runtime; "main" is the thread in `block_on`,
//! which is no worker.
//!
//! | row | who drives | payload | mailbox | what is counted |
//! |---|---|---|---|---|
//! | `tell_1_1` | one producer task | `u64`, added up | 1,024 where the framework has bounded ones (the producer waits for room), else unbounded (the producer yields every 64) | messages handled ÷ time until the last is handled |
//! | `tell_4_1` | four producer tasks | the same | the same | the same |
//! | `ask_p50`, `ask_p99` | one task, one ask at a time | none; a `u64` comes back | as for tells | one ask with a reply timeout of one second |
//! | `ask_outside_p50`, `ask_outside_p99` | main | the same | the same | the same: the way there and back crosses threads |
//! | `spawn_ordered` | one task | – | the framework's default | actors ÷ time to start 20,000 under one supervisor, each start awaited, and to stop them in reverse, each stop awaited |
//! | `restart_p50`, `restart_p99` | one task | – | as for tells | from the tell that makes a supervised actor panic until its next incarnation has answered an ask |
//!
//! A tell run ends with an ask queued behind all tells: its answer is the number handled, which
//! must be the number sent, and its time is the end of the run. `drain_ms` says how long that took
//! after the last send, so a backlog in an unbounded mailbox is paid for and visible. A restart's
//! answer is the incarnation, which must be one higher each time. `spawn_ordered` takes a new
//! supervisor for each 20,000 and runs whole rounds until the time is over, at least one; its warm-up
//! is a round of 2,000, and `start_per_s` and `stop_per_s` are its halves.
//!
//! # Feature unification
//!
//! The binaries share a dependency graph. With default features both ractor and kameo turn on the
//! same features of tokio (`macros`, `rt`, `sync`, `time`, `tracing`), and ractor adds the
//! `attributes` of `tracing`, a macro. So neither pays for the other. Look again at
//! `cargo tree -e features` before a third framework joins; where it would leak, it takes a package
//! of its own.

mod figure;
mod histogram;
mod measure;
mod options;
mod peer;

pub use measure::{run, run_with};
pub use options::OptionsError;
pub use peer::{CRASH_TEXT, MAILBOX_CAPACITY, Peer, REPLY_TIMEOUT};
