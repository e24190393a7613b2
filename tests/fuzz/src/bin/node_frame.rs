//! libFuzzer on what another node says.
#![no_main]

#[path = "../node_frame.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
