//! What may change while a kernel runs, and where it comes from.

pub mod reload;
pub mod watch;
