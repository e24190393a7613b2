//! What is in `config/deploy/`, as far as a machine without systemd's manager, Docker's registry or a cluster can tell.

use std::path::Path;
use std::process::Command;

use granit_parser::Parser;
use unity_kernel::cli::parser;

use crate::control::http;
use crate::harness::{Folder, Rig};

const UNIT: &str = include_str!("../../config/deploy/unity-kernel.service");
const DOCKERFILE: &str = include_str!("../../config/deploy/Dockerfile");
const KUBERNETES: &str = include_str!("../../config/deploy/kubernetes/unity-kernel.yaml");
const README: &str = include_str!("../../README.md");
const CARGO: &str = include_str!("../../Cargo.toml");

/// What follows `key` in its line, each time.
fn after<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(key))
        .collect()
}

#[test]
fn what_probes_ask_for_is_there() {
    let rig = Rig::boot();
    let mut asked = 0;
    for text in [DOCKERFILE, KUBERNETES] {
        for rest in text.split("http://kernel").skip(1) {
            let path: String = rest.chars().take_while(|letter| *letter != '"').collect();
            let (status, answer) = http(&rig, &format!("GET {path}"), "");
            assert_eq!(status, 200, "{path}: {answer}");
            asked += 1;
        }
    }
    assert_eq!(asked, 3);
}

#[test]
fn the_manifests_are_yaml_and_their_tree_has_no_fault() {
    let mut parser = Parser::new_from_str(KUBERNETES);
    while let Some(event) = parser.next_event() {
        assert!(event.is_ok(), "{event:?}");
    }
    let (_, tree) = KUBERNETES.split_once("robot.yaml: |\n").unwrap();
    let (tree, _) = tree.split_once("---\n").unwrap();
    let tree: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let folder = Folder::new();
    folder.file("robot.yaml", tree.join("\n") + "\n");
    let said = folder.uk(&["check", "robot.yaml"]);
    assert_eq!(said.code, 0, "{said:?}");
    // The probes, the image and the mounts mean one socket.
    let socket = "/run/unity-kernel/uk.sock";
    assert!(DOCKERFILE.contains(&format!("UK_SOCKET={socket}")));
    for text in [DOCKERFILE, KUBERNETES] {
        assert!(text.contains("--unix-socket") && text.contains(socket));
    }
}

#[test]
fn the_image_is_built_and_begun_as_readme_says() {
    let (_, version) = CARGO.split_once("rust-version = \"").unwrap();
    let version = version.split('"').next().unwrap();
    assert!(
        DOCKERFILE.contains(&format!("FROM rust:{version}-")),
        "{version}"
    );
    let build = after(DOCKERFILE, "RUN cargo ");
    assert_eq!(build, ["install --path . --locked --root /out"]);
    assert!(README.contains("cargo install --path . --locked"));
    let command: Vec<String> =
        serde_json::from_str(after(DOCKERFILE, "CMD ").last().unwrap()).unwrap();
    let words = ["uk".to_owned()].into_iter().chain(command);
    parser(false).try_get_matches_from(words).unwrap();
}

#[test]
fn systemd_has_nothing_to_say_of_the_unit() {
    let start = after(UNIT, "ExecStart=/usr/local/bin/");
    parser(false)
        .try_get_matches_from(start[0].split(' '))
        .unwrap();
    let folder = Folder::new();
    let unit = UNIT.replace("/usr/local/bin/uk", env!("CARGO_BIN_EXE_uk"));
    let file = folder.file("unity-kernel.service", unit);
    let verify = Path::new("/usr/bin/systemd-analyze");
    // `tests/run` says when it is not there.
    if verify.exists() {
        let said = Command::new(verify)
            .arg("verify")
            .arg(file)
            .output()
            .unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    }
}
