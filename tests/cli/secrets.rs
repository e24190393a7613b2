//! Secrets: the children that ask for them have them, and nothing that a kernel prints or writes does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;

use crate::harness::{Folder, Rig, Said};

const TOKEN: &str = "tok-9f8e7d6c5b4a";
const API: &str = "api-0123456789";
const KEY: &str = "-----BEGIN-----\nMIIEvQ\"IBADANB\\gkqh\n-----END-----";

const TREE: &str = r#"
version: 1
name: rig
test: true
tree:
  intensity: 100
  period: 10s
  children:
    - id: a
      kind: probe
      settings: { trap_exit: true }
      state: { keep: true, every: 10ms }
    - id: bridge
      kind: process
      settings:
        command:
          - sh
          - -c
          - |
            env > "$SEEN~"
            echo "plain $TOKEN, $KEY"
            printf 'me:%s' "$TOKEN" | base64 >&2
            mv "$SEEN~" "$SEEN"
            exec sleep 1000
        env:
          SEEN: "${SEEN}"
          TOKEN: "${secret:TOKEN}"
          AUTH: "Bearer ${secret:api}"
          KEY: "${secret:server.key}"
          LITERAL: "$${secret:TOKEN}"
    - id: lost
      kind: process
      settings: { command: ["no-such-${secret:TOKEN}", "--key", "${secret:api}"] }
      backoff: { min: 1h, max: 2h }
    - id: many
      template: { kind: process, settings: { command: [sleep, "1000"], env: { T: "${secret:TOKEN}" } } }
"#;

fn secret(folder: &Folder, name: &str, value: &str) {
    let secrets = folder.path().join("config/secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::set_permissions(&secrets, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(secrets.join(name), value).unwrap();
}

fn uk(folder: &Folder, args: &[&str]) -> Said {
    let mut command = folder.command(args);
    command
        .env("UK_SECRET_api", API)
        .env("SEEN", folder.path().join("seen"));
    Said::of(command.output().unwrap())
}

fn run(folder: &Folder) -> Child {
    let create = |name| std::fs::File::create(folder.path().join(name)).unwrap();
    let mut command = folder.command(&["run", "tree.yaml"]);
    command
        .env("UK_SECRET_api", API)
        .env("SEEN", folder.path().join("seen"))
        .env("UK_LOG", "debug")
        .stdout(create("out"))
        .stderr(create("log"));
    command.spawn().unwrap()
}

fn rig() -> Rig {
    let rig = rig_of(TREE);
    rig.until(&["tree"], |_| rig.folder.path().join("seen").exists());
    rig
}

fn rig_of(tree: &str) -> Rig {
    let folder = Folder::new();
    folder.file("tree.yaml", tree);
    secret(&folder, "TOKEN", &format!("{TOKEN}\n"));
    secret(&folder, "server.key", KEY);
    let process = run(&folder);
    Rig { folder, process }.until_booted()
}

/// No form of a secret is in it.
fn holds_none(what: &str, text: &str) {
    let key_in_json = serde_json::json!(KEY).to_string();
    let lines = KEY.lines().filter(|line| line.len() >= 8);
    // `tok-9f8e7d6c5b4a` behind `me:` in base64.
    let in_base64 = "dG9rLTlmOGU3ZDZjNWI0";
    for secret in [TOKEN, API, KEY, &key_in_json, in_base64]
        .into_iter()
        .chain(lines)
    {
        assert!(!text.contains(secret), "{what} holds {secret}:\n{text}");
    }
}

/// No file below holds one, but those that are given.
fn files_hold_none(folder: &Path, but: &[&str]) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if but.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if kind.is_dir() {
            count += files_hold_none(&path, but);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            holds_none(
                &path.display().to_string(),
                &String::from_utf8_lossy(&bytes),
            );
            count += 1;
        }
    }
    count
}

#[test]
fn a_child_has_what_it_asked_for_and_no_more() {
    let rig = rig();

    let seen = rig.folder.text("seen");

    for line in [
        format!("TOKEN={TOKEN}\n"),
        format!("AUTH=Bearer {API}\n"),
        format!("KEY={KEY}\n"),
        "LITERAL=${secret:TOKEN}\n".to_owned(),
    ] {
        assert!(seen.contains(&line), "{line}\n{seen}");
    }
    assert!(!seen.contains("UK_SECRET_"), "{seen}");
}

#[test]
fn nothing_that_is_printed_or_written_holds_a_secret() {
    let mut rig = rig();
    let echo = format!(r#"{{"echo": {{"{TOKEN}": ["x {API} y"]}}}}"#);
    let asked = rig.uk(&["ask", "/a", &echo]);
    assert_eq!(asked.out.matches("***").count(), 2, "{asked:?}");
    for message in [
        format!(r#"{{"panic": "the token {TOKEN}"}}"#),
        format!(r#"{{"crash": "{} {API}"}}"#, "x".repeat(990)),
        format!(r#"{{"wrong {API}": 5}}"#),
    ] {
        let told = rig.uk(&["tell", "/a", &message]);
        holds_none("tell", &format!("{told:?}"));
    }
    let reason = format!("because of {TOKEN}");
    rig.json(&["kill", "/a", "--reason", &reason]);
    rig.until(&["why", "/a"], |why| {
        why["exits"]
            .as_array()
            .is_some_and(|exits| exits.len() == 3)
    });
    rig.json(&[
        "spawn",
        "--under",
        "/many",
        "--id",
        "one",
        "--set",
        "env.U=${secret:api}",
    ]);

    let letters = rig.json(&["dlq", "list"]);
    let letter = letters["letters"][0]["id"].to_string();
    for args in [
        &["tree"][..],
        &["which", "/"],
        &["count", "/"],
        &["why", "/a"],
        &["why", "/lost"],
        &["health"],
        &["state", "/a"],
        &["state", "/bridge"],
        &["dlq", "list"],
        &["dlq", "show", &letter],
        &["doctor"],
        &["doctor", "--bundle", "crash.json"],
        &["why", "--bundle", "crash.json"],
        &["why", "--bundle", "crash.json", "/lost"],
        &["check", "tree.yaml"],
        &["check", "tree.yaml", "--effective"],
    ] {
        for more in [&[][..], &["--json"]] {
            let said = uk(&rig.folder, &[args, more].concat());
            assert!(matches!(said.code, 0 | 9), "{args:?}: {said:?}");
            holds_none(&format!("{args:?}"), &format!("{}{}", said.out, said.err));
        }
    }
    rig.json(&["shutdown"]);
    assert!(rig.wait().success());

    let log = rig.log();
    for line in [
        "plain ***, ***",
        "no-such-***",
        "the token ***",
        "x ***…",
        "because of ***",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    let count = files_hold_none(rig.folder.path(), &["config/secrets", "seen"]);
    assert!(count >= 5, "log, out, tree, bundle, state: {count}");
}

#[test]
fn a_kernel_that_falls_into_safe_mode_keeps_its_secrets() {
    let mut rig = rig_of(
        "version: 1\nname: rig\ntree:\n  intensity: 0\n  children:\n    - { id: a, kind: probe }\n    - id: b\n      \
         kind: process\n      settings: { command: [sleep, \"1000\"], env: { T: \"${secret:TOKEN}\" } }\n",
    );
    rig.uk(&["tell", "/a", &format!(r#"{{"panic": "with {TOKEN}"}}"#)]);
    rig.until(&["health"], |health| health["mode"] == "safe");
    rig.json(&["shutdown"]);
    assert!(rig.wait().success());

    let folder = rig.folder.path();
    let bundle = std::fs::read_dir(folder.join("unity-kernel/rig/bundles")).unwrap();
    let bundle = bundle.last().unwrap().unwrap().path();
    let bundle = std::fs::read_to_string(bundle).unwrap();
    assert!(bundle.contains("with ***"), "{bundle}");
    assert!(rig.log().contains("with ***"), "{}", rig.log());
    files_hold_none(folder, &["config/secrets"]);
}

#[test]
fn a_secret_that_does_not_fit_or_is_missing_is_refused_without_its_value() {
    let rig = rig();
    let spawn = |set: &str| {
        rig.uk(&[
            "spawn",
            "sensor.host",
            "--under",
            "/",
            "--id",
            "s",
            "--set",
            set,
        ])
    };

    let unfit = spawn("every=${secret:TOKEN}");
    let missing = spawn("every=${secret:NONE}");
    let nameless = spawn("every=${secret:../x}");

    for (said, text) in [
        (&unfit, "`every`: its secret does not fit"),
        (&missing, "config/secrets/NONE"),
        (&missing, "or set UK_SECRET_NONE"),
        (&nameless, "does not name a secret"),
    ] {
        assert!(
            said.code == 3 && said.err.contains(text),
            "{text}: {said:?}"
        );
        holds_none("spawn", &said.err);
    }
    holds_none("the log", &rig.log());
}

#[test]
fn check_warns_of_a_secret_that_is_missing_and_run_refuses_it() {
    let folder = Folder::new();
    let tree = "version: 1\ntree:\n  children:\n    - id: b\n      kind: process\n      settings: { command: [a], env: { T: \"x ${secret:T}\" } }\n";
    folder.file("tree.yaml", tree);

    let check = folder.uk(&["check", "tree.yaml"]);
    let strict = folder.uk(&["check", "tree.yaml", "--strict"]);
    let run = folder.uk(&["run", "tree.yaml"]);
    let nowhere = folder.uk(&["run", "tree.yaml", "--secrets-dir", "none"]);

    assert!(
        check.code == 0 && check.out.contains("warning[UK0316]"),
        "{check:?}"
    );
    assert_eq!(strict.code, 9);
    assert!(
        run.code == 3 && run.err.contains("error[UK0273]"),
        "{run:?}"
    );
    assert!(run.err.contains("tree.yaml:6:46"), "{run:?}");
    assert!(
        nowhere.code == 2 && nowhere.err.contains("no folder `none`"),
        "{nowhere:?}"
    );

    secret(&folder, "T", "short");
    assert_eq!(
        folder.uk(&["check", "tree.yaml", "--strict"]).out,
        "tree.yaml: ok\n"
    );
    let given = folder.uk(&["check", "tree.yaml", "--secrets-dir", "config"]);
    assert_eq!(given.code, 0, "{given:?}");
    let secrets = folder.path().join("config/secrets");
    std::fs::set_permissions(&secrets, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(secrets.join("T"), PermissionsExt::from_mode(0o644)).unwrap();
    let open = folder.uk(&["check", "tree.yaml"]);
    assert!(
        open.out.contains("warning[UK0317]") && open.out.contains("chmod 600"),
        "{open:?}"
    );
}
