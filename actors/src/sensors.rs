//! Sensors: actors that measure.

pub mod host;
