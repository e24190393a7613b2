//! libFuzzer on tree files.
#![no_main]

#[path = "../tree_file.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
