//! A stranger with the kernel's own document in hand: schemathesis makes requests of it that fit and that do not, and
//! finds nothing that the document does not say.

use std::path::Path;
use std::process::Command;

use crate::harness::{Folder, Rig, TREE};

/// With the same seed the requests are the same.
const SEED: &str = "7";
/// How many of each command, besides those that each schema asks for.
const EXAMPLES: &str = "8";

#[test]
#[expect(clippy::print_stderr, reason = "says what is left out")]
fn the_routes_do_what_their_document_says() {
    let program = std::env::var_os("SCHEMATHESIS").filter(|path| Path::new(path).exists());
    let Some(program) = program else {
        eprintln!("skipped: schemathesis is not installed; tests/run installs it");
        return;
    };
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let process = Rig::spawn(&folder, &["--listen", "127.0.0.1:0"]);
    let rig = Rig { folder, process }.until_booted();
    let address = rig.json(&["open"])["address"].as_str().unwrap().to_owned();
    let made = rig.json(&["token", "create", "--scope", "admin"]);
    let token = made["token"].as_str().unwrap();

    let asked = Command::new(program)
        .current_dir(rig.folder.path())
        .args(["--no-color", "--config-file"])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/schemathesis/schemathesis.toml"
        ))
        .arg("run")
        .arg(format!("http://{address}/api/v1/openapi.json"))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--phases",
            "coverage,fuzzing",
            "--generation-database",
            "none",
        ])
        .args(["--seed", SEED, "--max-examples", EXAMPLES])
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{said}");
    assert!(
        said.contains("Coverage") && said.contains("Fuzzing"),
        "{said}"
    );
    assert_eq!(rig.json(&["health"])["mode"], "normal");
}
