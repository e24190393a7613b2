//! What publishes and receives events of its own: sensors, `heartbeat`, `monitor`, the bus service and the alarms, through
//! a kernel.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

mod alarms;
mod bus;
mod files;
mod frames;
mod harness;
mod sensors;
