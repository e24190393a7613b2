//! Settings that change while a kernel runs.
//!
//! | part | holds |
//! |---|---|
//! | [`history`] | versions of what was in force, on disk |
//! | [`overlay`] | what was changed live |
//! | [`reload`] | how others say that the files are to be looked at |
//! | [`watch`] | files that change |

pub mod describe;
pub mod history;
pub mod keeper;
pub mod overlay;
pub mod reload;
mod sealed;
pub mod service;
pub mod source;
pub mod watch;
