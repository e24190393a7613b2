//! Every example, run; its output compared with what its folder promises.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../examples/embed/main.rs"]
#[expect(dead_code, reason = "the example's `main` is not called here")]
mod embed;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

fn expected(name: &str) -> String {
    std::fs::read_to_string(folder(name).join("expected.txt")).unwrap()
}

#[tokio::test]
async fn embed_says_what_it_promises() {
    assert_eq!(embed::sell().await.unwrap(), expected("embed"));
}

#[test]
fn shell_loop_checks_without_a_fault() {
    let output = Command::new(env!("CARGO_BIN_EXE_uk"))
        .args(["check", "tree.yaml"])
        .current_dir(folder("shell_loop"))
        .output()
        .unwrap();

    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        expected("shell_loop")
    );
}

#[test]
fn every_example_has_a_readme_and_an_expected_output() {
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.join("README.md").is_file(), "{}", path.display());
        assert!(path.join("expected.txt").is_file(), "{}", path.display());
    }
}
