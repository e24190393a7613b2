//! Chaos: what is broken on purpose, by a plan and from a seed, and what came of it.
//!
//! # Map
//!
//! | file | holds |
//! |---|---|
//! | [`plan`] | what is broken, where, how fast, and what must hold meanwhile: plain values |
//! | [`target`] | who may be struck now, as pure functions of the tree as it is |
//! | [`run`] | one run of a plan on a kernel: it draws, strikes, watches, undoes, and reports |
//! | [`report`] | what a run came to |
//! | [`runs`] | the runs of a kernel: which is under way, what they came to |
//! | [`service`] | `/system/chaos`, which owns the one run that there may be at a time |
//! | `job` | a run as a job of that service, and what becomes of one that is interrupted |
//! | [`shelf`] | where reports are kept |
//! | [`traffic`] | numbered messages, to find out what is lost, doubled or overtaken |
//! | `outside` | what is outside of a real kernel: its disk, its commands, the process itself |
//! | `above` | beyond all budgets, into safe mode and back |
//! | [`simulate`] | a whole kernel of a tree, struck by a plan from a seed, in no real time |
//! | [`shrink`] | the shortest plan that still breaks the same promise |
//!
//! A run takes its time and its chance from the kernel and the seed, so it is the same on a paused clock.

mod above;
mod job;
mod outside;
pub mod plan;
pub mod report;
pub mod run;
pub mod runs;
pub mod service;
pub mod shelf;
pub mod shrink;
pub mod simulate;
mod swap;
pub mod target;
pub mod traffic;
