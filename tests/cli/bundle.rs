//! Crash bundles: written, and read where no kernel runs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Folder, Rig};

const TREE: &str = "
version: 1
name: rig
tree:
  intensity: 9
  period: 60s
  children:
    - { id: a, kind: probe }
    - { id: gone, kind: probe }
    - id: bridge
      kind: process
      settings:
        command: [sh, -c, 'echo hunter22 >&2; exec sleep 1000', x, --token, hunter22]
        env: { API_KEY: sk-12345, PLAIN: word, BROKER: 'redis://me:hunter33@h/0' }
";

fn only_bundle(folder: &Folder) -> PathBuf {
    let entries = std::fs::read_dir(folder.path().join("unity-kernel/rig/bundles")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.pop().unwrap()
}

#[test]
fn a_bundle_tells_offline_what_why_tells_live() {
    let mut rig = Rig::boot_tree(TREE);
    rig.json(&["kill", "/a", "--reason", "the password is hunter22"]);
    rig.until(&["tree", "/a"], |tree| tree["tree"]["incarnation"] == 2);
    rig.json(&["tell", "/gone", r#"{"exit": {"kind": "normal"}}"#]);
    rig.until(&["tree", "/gone"], |tree| tree["tree"]["incarnation"] == 2);
    let live = rig.uk(&["why", "/a"]).out.replace("hunter22", "***");

    let wrote = rig.uk(&["doctor", "--bundle", "crash.json"]);

    assert_eq!(
        wrote.out,
        "wrote crash.json\nnext: uk why --bundle crash.json\n"
    );
    rig.json(&["shutdown"]);
    rig.wait();
    let why = rig.uk(&["why", "--bundle", "crash.json", "/a"]);
    let untimed = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.contains(" as it was at ") && !line.starts_with("asked: "));
        lines
            .filter(|line| !line.is_empty() && !line.contains(" ago"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(untimed(&why.out), untimed(&live), "{why:?}");
    assert!(why.out.contains("the password is ***"), "{why:?}");
    let all = rig.uk(&["why", "--bundle", "crash.json"]).out;
    assert!(
        all.contains("last exits, as of then:")
            && all.contains("/gone")
            && all.contains("next: uk why"),
        "{all}"
    );
    let said = rig.uk(&["why", "--bundle", "crash.json", "/goen"]);
    assert!(
        said.code == 4 && said.err.contains("did you mean `/gone`?"),
        "{said:?}"
    );
    let document = rig
        .uk(&["why", "--bundle", "crash.json", "/a", "--json"])
        .json();
    assert_eq!(
        (&document["version"], &document["bundle"]["node"]),
        (&json!(1), &json!("rig"))
    );
}

#[test]
fn a_bundle_holds_all_but_secrets_and_is_for_its_owner_alone() {
    let rig = Rig::boot_tree(TREE);

    let wrote = rig.json(&["doctor", "--bundle"]);

    let file = only_bundle(&rig.folder);
    assert_eq!(wrote["bundle"], json!(file));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    for pointer in [
        "/written_at",
        "/versions/rustc",
        "/versions/crates/tokio",
        "/versions/kernel",
        "/machine/cores",
        "/tree/tree/children/0/path",
        "/why/~1a/exits",
        "/settings/~1bridge/command",
        "/events/0/topic",
        "/dead_letters/total",
        "/boot/seed",
        "/cause/kind",
    ] {
        assert!(
            bundle
                .pointer(pointer)
                .is_some_and(|value| !value.is_null()),
            "{pointer}: {bundle:#}"
        );
    }
    assert_eq!(
        bundle["settings"]["/bridge"]["env"],
        json!({"API_KEY": "***", "PLAIN": "word", "BROKER": "redis://me:***@h/0"})
    );
    for secret in ["sk-12345", "hunter22", "hunter33"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(bundle["settings"]["/bridge"]["command"][5], "***");
}

#[test]
fn safe_mode_and_giving_up_leave_a_bundle_with_the_tree_as_it_fell() {
    let tree = "version: 1\nname: rig\ntree:\n  intensity: 0\n  children:\n    - { id: a, kind: probe }\n    - { id: b, kind: probe }\n";
    for (args, cause, text) in [
        (&[][..], "safe_mode", "more than 0 restarts"),
        (
            &["--exit-on-give-up"],
            "gave_up",
            "the last exit was of /a: panic: ouch",
        ),
    ] {
        let mut rig = Rig::boot_with(tree, args);

        rig.uk(&["tell", "/a", r#"{"panic": "ouch"}"#]);

        if args.is_empty() {
            rig.until(&["health"], |health| health["mode"] == "safe");
            rig.json(&["shutdown"]);
        }
        let code = rig.wait().code();
        assert_eq!(code, Some(i32::from(!args.is_empty())), "{}", rig.log());
        assert!(rig.log().contains("uk why --bundle "), "{}", rig.log());
        let file = only_bundle(&rig.folder);
        let read = rig
            .uk(&["why", "--bundle", file.to_str().unwrap(), "/a", "--json"])
            .json();
        assert_eq!(read["bundle"]["cause"]["kind"], cause);
        assert!(
            read["bundle"]["cause"]["text"]
                .as_str()
                .unwrap()
                .contains(text),
            "{read:#}"
        );
        assert_eq!(read["exits"][0]["reason"]["text"], "ouch", "{read:#}");
        let bundle: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(
            bundle["tree"]["tree"]["children"][1]["state"], "running",
            "{bundle:#}"
        );
    }
}

#[test]
fn a_bundle_that_cannot_be_written_or_read_says_so() {
    let rig = Rig::boot();
    rig.folder
        .file("half.json", r#"{"version": 1, "bundle": "unity-ker"#);
    rig.folder.file(
        "later.json",
        r#"{"version": 9, "bundle": "unity-kernel", "versions": {"uk": "4.0.0"}}"#,
    );
    for (code, args, error, hint) in [
        (
            1,
            &["doctor", "--bundle", "no/such/folder/x"][..],
            "cannot write no/such/folder/x",
            "name a file",
        ),
        (
            2,
            &["doctor", "x.json"],
            "only a bundle goes into one",
            "uk doctor --bundle x.json",
        ),
        (2, &["why"], "`path` is missing", "--bundle"),
        (
            3,
            &["why", "--bundle", "tree.yaml"],
            "tree.yaml is no bundle",
            "uk doctor --bundle",
        ),
        (
            3,
            &["why", "--bundle", "half.json", "/a"],
            "half.json is cut off",
            "copy it again",
        ),
        (
            3,
            &["why", "--bundle", "later.json"],
            "of version 9",
            "`uk` 4.0.0 or later",
        ),
        (
            4,
            &["why", "--bundle", "nope.json"],
            "cannot read nope.json",
            "uk doctor",
        ),
        (
            5,
            &["--name", "other", "doctor", "--bundle"],
            "no kernel is running",
            "uk run",
        ),
    ] {
        let said = rig.uk(args);
        assert_eq!(said.code, code, "{args:?}: {said:?}");
        assert!(
            said.err.contains(error) && said.err.contains(hint),
            "{args:?}: {said:?}"
        );
    }
}

#[test]
fn a_doctor_without_a_bundle_checks_what_a_kernel_stands_on() {
    let rig = Rig::boot();

    let well = rig.uk(&["doctor"]);

    assert_eq!(well.code, 0, "{well:?}");
    assert!(
        well.out.contains("✓ data") && well.out.contains("rig runs (pid "),
        "{well:?}"
    );
    let nowhere = rig.uk(&["doctor", "--data-dir", "/proc/self/status/x"]);
    assert_eq!(nowhere.code, 9, "{nowhere:?}");
    assert!(
        nowhere.out.contains("✗ data") && nowhere.out.contains("--data-dir"),
        "{nowhere:?}"
    );
}
