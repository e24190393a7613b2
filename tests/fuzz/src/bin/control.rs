//! libFuzzer on control requests.
#![no_main]

#[path = "../control.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
