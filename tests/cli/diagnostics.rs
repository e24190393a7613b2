//! What `uk check` and `uk explain` say and mend, from the outside.

use std::os::unix::fs::PermissionsExt;

use crate::harness::Folder;

#[test]
fn a_code_is_explained_however_it_is_written() {
    let folder = Folder::new();

    let whole = folder.uk(&["explain", "UK0304"]);

    assert_eq!(whole.code, 0, "{whole:?}");
    for part in ["warning[UK0304]", "Wrong", "Mended", "intensity: 5"] {
        assert!(whole.out.contains(part), "{part}: {whole:?}");
    }
    for written in ["uk0304", "0304", "304", "uk304", "warning[UK0304]"] {
        assert_eq!(folder.uk(&["explain", written]).out, whole.out);
    }
    let json = folder.uk(&["explain", "UK0304", "--json"]).json();
    assert_eq!(json["level"], "warning");
    assert_eq!(json["wrong"][0]["file"], "tree.yaml");
}

#[test]
fn all_codes_are_listed_and_checks_name_the_explanation() {
    let folder = Folder::new();
    folder.file("tree.yaml", "version: 1\ntree:\n  children: []\n");

    let json = folder.uk(&["explain", "--json"]).json();
    let said = folder.uk(&["check", "tree.yaml"]);

    assert!(json["codes"].as_array().unwrap().len() > 50);
    assert!(said.out.contains("`uk explain UK0305`"), "{said:?}");
}

const SLIPS: &str = "# a robot\nversion: 1\ntree:\n  strateg: one_for_all   # all or none\n  children:\n    - include: b.yaml\n";
const MENDED: &str = "# a robot\nversion: 1\ntree:\n  strategy: one_for_all   # all or none\n  children:\n    - include: b.yaml\n";

#[test]
fn a_fix_changes_the_slips_and_nothing_else() {
    let folder = Folder::new();
    let real = folder.file("real.yaml", SLIPS);
    folder.file("b.yaml", "- { id: a, kidn: probe }\n");
    std::os::unix::fs::symlink("real.yaml", folder.path().join("tree.yaml")).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    let offered = folder.uk(&["check", "tree.yaml"]);
    assert!(
        offered
            .out
            .contains("`uk check --fix tree.yaml` mends them all"),
        "{offered:?}"
    );
    let dry = folder.uk(&["check", "tree.yaml", "--fix", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert_eq!(folder.text("tree.yaml"), SLIPS);

    let said = folder.uk(&["check", "tree.yaml", "--fix"]);

    assert_eq!(said.code, 0, "{said:?}");
    let diff = "tree.yaml:4\n-   strateg: one_for_all   # all or none\n+   strategy: one_for_all   # all or none\n";
    assert!(said.out.contains(diff), "{said:?}");
    assert!(said.out.contains("mended 2 lines") && said.out.ends_with("tree.yaml: ok\n"));
    assert_eq!(folder.text("real.yaml"), MENDED);
    assert_eq!(folder.text("b.yaml"), "- { id: a, kind: probe }\n");
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(folder.path().join("tree.yaml").is_symlink());
    assert_eq!(folder.names(), ["b.yaml", "real.yaml", "tree.yaml"]);
    let again = folder.uk(&["check", "tree.yaml", "--fix"]);
    assert_eq!(again.out, "tree.yaml: ok\n");
    let missing = folder.uk(&["check", "missing.yaml", "--fix"]);
    assert_eq!(missing.code, 3, "{missing:?}");
    let left = "nothing was mended, this is left to you:\n\nerror[UK0101]";
    assert!(missing.out.starts_with(left), "{missing:?}");
}

#[test]
fn a_fix_is_offered_only_where_it_is_then_made() {
    let folder = Folder::new();
    for (child, offered) in [
        ("kind: probe, bakoff: {min: '5'}", None),
        ("kidn: probe", Some("mends it")),
        ("kind: prob, essential: yes", Some("mends them all")),
        ("kind: prob, bakoff: {min: '5'}", Some("mends 1 of them")),
    ] {
        let text = format!("version: 1\ntree:\n  children:\n    - {{id: a, {child}}}\n");
        folder.file("tree.yaml", &text);

        let checked = folder.uk(&["check", "tree.yaml"]);
        let fixed = folder.uk(&["check", "tree.yaml", "--fix"]);

        let offer = checked.out.split_once("`uk check --fix tree.yaml` ");
        assert_eq!(
            offer.map(|(_, what)| what.trim_end()),
            offered,
            "{checked:?}"
        );
        assert_eq!(
            fixed.out.contains("\nmended 1 line\n"),
            offered.is_some(),
            "{fixed:?}"
        );
        assert_eq!(folder.text("tree.yaml") != text, offered.is_some());
        assert!(!fixed.out.contains("uk check --fix"), "{fixed:?}");
    }
}

#[test]
fn a_fix_that_cannot_be_written_leaves_every_file_as_it_was() {
    let folder = Folder::new();
    folder.file("tree.yaml", SLIPS);
    let included = folder.file("b.yaml", "- { id: a, kidn: probe }\n");

    // Read-only, which root could write all the same.
    std::fs::set_permissions(&included, std::fs::Permissions::from_mode(0o444)).unwrap();
    let said = folder.uk(&["check", "tree.yaml", "--fix"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("b.yaml: it is read-only") && said.err.contains("chmod u+w"));
    assert_eq!(folder.text("tree.yaml"), SLIPS);

    // No byte can be written, as on a full disk.
    std::fs::set_permissions(&included, std::fs::Permissions::from_mode(0o644)).unwrap();
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" check tree.yaml --fix";
    let uk = folder.command(&[]);
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(uk.get_program())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(folder.text("tree.yaml"), SLIPS);
    assert_eq!(folder.text("b.yaml"), "- { id: a, kidn: probe }\n");
    assert_eq!(folder.names(), ["b.yaml", "tree.yaml"]);
}

#[test]
fn programs_get_the_fixes_and_what_was_mended() {
    let folder = Folder::new();
    folder.file("b.yaml", "[]\n");
    folder.file("tree.yaml", SLIPS);

    let found = folder.uk(&["check", "tree.yaml", "--json"]).json();
    let mended = folder.uk(&["check", "tree.yaml", "--fix", "--json"]).json();

    let left = "version: 1\ntree:\n  strateg: one_for_all\n  children:\n    - { id: a, kind: probe, bakoff: {min: '5'} }\n";
    folder.file("left.yaml", left);
    let left = folder.uk(&["check", "left.yaml", "--json"]).json();
    let fixes = |at: usize| left["diagnostics"][at]["fixes"].as_array().unwrap().len();
    assert_eq!((fixes(0), fixes(1)), (1, 0), "{left}");
    let why = &left["diagnostics"][1]["notes"][0];
    assert!(why.as_str().unwrap().contains("`--fix` leaves this to you"));
    let fix = &found["diagnostics"][0]["fixes"][0];
    assert_eq!(fix["replacement"], "strategy");
    assert_eq!(fix["file"], "tree.yaml");
    assert_eq!(
        fix["range"]["start"],
        serde_json::json!({ "line": 3, "character": 2 })
    );
    assert_eq!(mended["written"], true);
    assert_eq!(mended["mended"][0]["line"], 4);
    assert_eq!(mended["ok"], true);
}

#[test]
fn what_does_not_go_together_is_refused_and_nothing_is_written() {
    let folder = Folder::new();
    folder.file("tree.yaml", SLIPS);

    for (options, said) in [
        (&["--dry-run"][..], "--dry-run is for --fix"),
        (
            &["--dry-run", "--effective", "--strict"],
            "--dry-run is for --fix",
        ),
        (
            &["--fix", "--effective"],
            "`uk check tree.yaml --fix`, then",
        ),
        (&["--fix", "--dry-run", "--effective"], "exclude each other"),
    ] {
        let refused = folder.uk(&[&["check", "tree.yaml"], options].concat());
        assert_eq!((refused.code, &*refused.out), (2, ""), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
    assert_eq!(folder.text("tree.yaml"), SLIPS);

    folder.file(
        "tree.yaml",
        "version: 1\ntree:\n  strateg: one_for_all\n  children: []\n",
    );
    let warned = folder.uk(&["check", "tree.yaml", "--fix", "--strict"]);
    assert_eq!(warned.code, 9, "{warned:?}");
    let written = folder.uk(&["check", "tree.yaml", "--effective", "--strict"]);
    assert_eq!(written.code, 9, "{written:?}");
    assert!(written.out.starts_with("version: 1\n"), "{written:?}");
    assert!(written.err.contains("UK0305"), "{written:?}");

    folder.file("tree.yaml", "version: 1\ntree:\n  childen: []\n");
    let faulty = folder.uk(&["check", "tree.yaml", "--effective"]);
    assert_eq!((faulty.code, &*faulty.out), (3, ""), "{faulty:?}");
    assert!(faulty.err.contains("tree.yaml: 1 fault"), "{faulty:?}");
}
