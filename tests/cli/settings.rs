//! The kernel's own settings, from the outside: where they are found, what they do, how what is wrong is told.

use serde_json::json;

use crate::harness::{Folder, Rig, TREE};

/// A folder with a tree, settings beside it and a drop-in.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir_all(folder.path().join("config/system.d")).unwrap();
    folder.file(
        "config/system.yaml",
        "name: from-file\nmemory_limit: 63GiB\nmax_abandoned: 3\nlog: off\n",
    );
    folder.file("config/system.d/10-lab.yaml", "memory_limit: 64GiB\n");
    folder
}

#[test]
fn a_kernel_is_run_with_the_settings_beside_its_tree_and_flags_come_above_them() {
    let folder = folder();
    let process = Rig::spawn(&folder, &["--name", "from-flag"]);
    let rig = Rig { folder, process }.until_booted();

    let health = rig.json(&["health"]);

    assert_eq!(health["node"], "from-flag");
    assert_eq!(health["max_abandoned"], 3);
    assert_eq!(health["memory"]["limit_bytes"], json!(64_u64 << 30));
    // `log: off` is heeded from the first line on.
    assert!(!rig.log().contains("INFO"), "{}", rig.log());
}

#[test]
fn the_folder_of_settings_can_be_named_by_a_flag_and_by_a_variable() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("other")).unwrap();
    folder.file("other/system.yaml", "history: { keep: 7 }\n");
    let keep = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command =
            folder.command(&[&["config", "get", "system", "history.keep"], args].concat());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };

    assert_eq!(keep(&["--config-dir", "other"], &[]), "7\n");
    assert_eq!(keep(&[], &[("UK_CONFIG_DIR", "other")]), "7\n");
    assert_eq!(
        keep(&["--tree", "tree.yaml"], &[("UK_CONFIG_DIR", "other")]),
        "7\n"
    );
    assert_eq!(
        keep(&["--config-dir", "config"], &[("UK_CONFIG_DIR", "other")]),
        "100\n"
    );
    assert_eq!(
        keep(&["--config-dir", "config"], &[("UK_HISTORY__KEEP", "8")]),
        "8\n"
    );
    assert_eq!(keep(&[], &[]), "100\n");
}

#[test]
fn faults_of_settings_and_of_the_tree_are_told_together_and_nothing_is_started() {
    let folder = folder();
    folder.file("tree.yaml", "version: 1\ntre: {}\n");
    folder.file("config/system.yaml", "kill_grace: 5 sec\n");

    let said = folder.uk(&["run", "tree.yaml"]);

    assert_eq!(said.code, 3, "{said:?}");
    for part in [
        "error[UK0503]: `kill_grace`: `5 sec` is not a duration",
        "config/system.yaml:1:13",
        "did you mean `5s`?",
        "the kernel's own settings: 1 fault; nothing was started",
        "did you mean `tree`?",
        "tree.yaml: 1 fault; nothing was started",
    ] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let json = folder.uk(&["run", "tree.yaml", "--json"]).json();
    assert_eq!(json["diagnostics"][0]["code"], "UK0503");
}

#[test]
fn a_variable_that_means_nothing_is_warned_of_and_the_kernel_runs() {
    let folder = Folder::new();
    let mut command = folder.command(&["config", "get", "system", "history.keep"]);

    let output = command.env("UK_HISTORY_KEEP", "8").output().unwrap();

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"100\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("warning[UK0511]"), "{said}");
    assert!(said.contains("did you mean `UK_HISTORY__KEEP`?"), "{said}");
}

#[test]
fn settings_are_explained_layer_by_layer() {
    let folder = folder();

    let said = folder.uk(&[
        "config",
        "explain",
        "system",
        "memory_limit",
        "--tree",
        "tree.yaml",
    ]);

    assert!(
        said.out.starts_with(
            "memory_limit: 64GiB  from config/system.d/10-lab.yaml:1\n  \
             else: 63GiB  from config/system.yaml:2\n  \
             else: null  from default\n\nHow much memory"
        ),
        "{said:?}"
    );
    let explain = [
        "config",
        "explain",
        "system",
        "memory_limit",
        "--tree",
        "tree.yaml",
        "--json",
    ];
    let key = &folder.uk(&explain).json()["keys"][0];
    let place = json!({ "layer": "file", "file": "config/system.d/10-lab.yaml", "line": 1 });
    assert_eq!((&key["value"], &key["from"]), (&json!("64GiB"), &place));
    assert_eq!(key["lower"][1]["from"], json!({ "layer": "default" }));
    assert_eq!(key["takes_effect"], "at once");
    let wrong = folder.uk(&["config", "explain", "system", "histroy"]);
    assert_eq!(wrong.code, 4, "{wrong:?}");
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let folder = folder();
    folder.file(
        "config/system.yaml",
        "labels: { \"a.b\": \"yes\", site: lab }\nhistory: { keep: 9 }\n",
    );

    let printed = folder.uk(&["config", "get", "system", "--config-dir", "config"]);
    std::fs::create_dir(folder.path().join("again")).unwrap();
    folder.file("again/system.yaml", &printed.out);

    let again = folder.uk(&["config", "get", "system", "--config-dir", "again"]);
    assert_eq!(again, printed);
    let label = folder.uk(&[
        "config",
        "get",
        "system",
        "labels.a.b",
        "--config-dir",
        "again",
    ]);
    assert_eq!(label.out, "yes\n");
}

#[test]
fn a_file_of_settings_is_checked_and_mended_as_one() {
    let folder = folder();
    folder.file(
        "config/system.yaml",
        "# mine\nhistory: { kep: 9 }\nwatch: { enabled: yes }\n",
    );

    let wrong = folder.uk(&["check", "config/system.yaml"]);
    assert_eq!(wrong.code, 3, "{wrong:?}");
    assert!(
        wrong
            .out
            .contains("`uk check --fix config/system.yaml` mends them all"),
        "{wrong:?}"
    );
    let mended = folder.uk(&["check", "config/system.yaml", "--fix"]);

    assert_eq!(mended.code, 0, "{mended:?}");
    let text = folder.text("config/system.yaml");
    assert_eq!(
        text,
        "# mine\nhistory: { keep: 9 }\nwatch: { enabled: true }\n"
    );
    assert_eq!(
        folder.uk(&["check", "config/system.d/10-lab.yaml"]).out,
        "config/system.d/10-lab.yaml: ok\n"
    );
    assert_eq!(
        folder
            .uk(&["check", "config/system.yaml", "--effective"])
            .code,
        2
    );
}
