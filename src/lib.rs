//! UnityKernel: keeps AI and robot systems running while their parts crash, hang or are replaced.
//!
//! # Map
//!
//! | file | holds |
//! |---|---|
//! | [`mod@boot`] | from a tree to a running kernel: lock, runtimes, control socket |
//! | [`guard`], [`systemd`], `hangup` | a parent that starts the kernel's process again; what systemd is told; what SIGHUP means |
//! | [`bundle`], [`recorder`] | crash bundles, and the picture that is taken when a kernel falls |
//! | [`commands`] | the one table of commands, one file each |
//! | [`arguments`] | the arguments of a command, from a shell, a query or a JSON body |
//! | [`cli`], [`console`], [`complete`] | what a person types, and what could come next |
//! | [`http`], [`client`], [`socket`] | HTTP and JSON over a Unix socket: the two ends, and where it is |
//! | [`screen`], [`output`], `watch`, `live` | drawing for people, and the one place that prints; what is drawn again and again |
//! | `demo` | a robot in a storm, for somebody who has never seen a kernel |
//! | [`chaos_report`] | a report of chaos for the terminal |
//! | `mcp` | the commands as tools for AI assistants |
//! | [`log_ring`] | the last lines of the log |
//! | [`page`] | the page in the browser: its files and the routes that serve them |
//! | [`settings`] | settings of the tree, which change while it runs, and those of the kernel itself; where secrets come from |
//! | [`tree_file`], [`event_file`], [`chaos_file`], [`nearest`] | reading trees, catalogs of events and plans of chaos, and guessing what somebody meant |
//!
//! # Invariants
//!
//! - A command is one entry of [`commands::TABLE`]; parser, help, HTTP routes and console derive from it.
//! - What a command does is decided in the kernel; what it looks like is decided where it is shown,
//!   from the same JSON document that `--json` prints.
//! - Whoever holds the lock beside a socket is the kernel of that socket. Nothing else is guessed.
//! - Quitting a client never stops a kernel.

pub mod arguments;
pub mod boot;
pub mod bundle;
pub mod chaos_file;
pub mod chaos_report;
pub mod cli;
pub mod client;
pub mod commands;
pub mod complete;
pub mod console;
mod demo;
mod disk;
pub mod error;
pub mod event_file;
pub mod guard;
mod hangup;
pub mod http;
pub mod kind_check;
mod live;
pub mod log_ring;
mod mcp;
pub mod nearest;
pub mod nodes;
pub mod output;
pub mod page;
pub mod recorder;
mod replace;
pub mod rights;
pub mod screen;
pub mod settings;
pub mod socket;
mod state_store;
pub mod systemd;
pub mod tree_file;
mod watch;

pub use boot::{BootError, BootOptions, RunningKernel, boot};
pub use error::{Code, CommandError};
pub use unity_supervisors::{Kernel, KernelError, Mode};
