//! Every input that the fuzz targets begin with or once failed on, replayed without libFuzzer.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::path::Path;

#[path = "fuzz/src/control.rs"]
mod control;
#[path = "fuzz/src/node_frame.rs"]
mod node_frame;
#[path = "fuzz/src/tree_file.rs"]
mod tree_file;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "{} inputs for {target}", paths.len());
    for path in paths {
        let data = std::fs::read(&path).unwrap();
        let done = std::panic::catch_unwind(|| run(&data));
        assert!(done.is_ok(), "{}", path.display());
    }
}

#[test]
fn tree_files_of_the_corpus_are_read_without_a_panic() {
    replay("tree_file", tree_file::run);
}

#[test]
fn requests_of_the_corpus_are_answered_and_leave_the_kernel_well() {
    replay("control", control::run);
}

#[test]
fn frames_of_the_corpus_are_read_without_a_panic() {
    replay("node_frame", node_frame::run);
}
