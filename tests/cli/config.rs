//! Settings that change while a kernel runs: typed, edited in the file, undone.

use serde_json::{Value, json};

use crate::harness::{Folder, Rig};

mod bad;
mod live;
mod restart;

/// A sensor that takes its settings live, a probe that is restarted with others, one under a supervisor, a template.
pub(super) const TREE: &str = "\
version: 1
name: rig
test: true
tree:
  intensity: 100
  period: 10s
  children:
    # the machine
    - id: host
      kind: sensor.host
      settings:
        every: 1s   # how often
    - id: a
      kind: probe
      settings: { trap_exit: false }
    - id: group
      intensity: 50
      children:
        - { id: one, kind: probe }
    - id: cams
      template: { kind: probe }
      max_children: 4
";

/// One of the changes of [`TREE`].
pub(super) const EVERY_2S: (&str, &str) = ("every: 1s", "every: 2s");

impl Rig {
    /// Changes a part of the tree file, in place.
    pub(super) fn edit(&self, (from, to): (&str, &str)) {
        let text = self.folder.text("tree.yaml");
        assert!(text.contains(from), "{from}: {text}");
        self.folder.file("tree.yaml", text.replace(from, to));
    }

    /// Waits until a version is there and returns the newest as `uk config history` has it.
    pub(super) fn until_version(&self, number: u64) -> Value {
        let history = self.until(&["config", "history"], |history| {
            history["number"].as_u64() >= Some(number)
        });
        assert_eq!(history["number"], number, "{history:#}");
        history["versions"][0].clone()
    }

    /// Waits until health tells of a trouble with settings that has this in it.
    pub(super) fn until_trouble(&self, part: &str) -> Value {
        let health = self.until(&["health"], |health| {
            let troubles = health["settings"]["troubles"].as_array().unwrap();
            let what = troubles
                .iter()
                .map(|trouble| trouble["what"].as_str().unwrap());
            what.into_iter().any(|what| what.contains(part))
        });
        health["settings"]["troubles"][0].clone()
    }

    /// Waits until health is well again.
    pub(super) fn until_well(&self) {
        self.until(&["health"], |health| health["status"] == "ok");
    }

    /// What is in force of a child.
    pub(super) fn value(&self, path: &str, key: &str) -> Value {
        self.json(&["config", "get", path, key])["value"].clone()
    }

    /// Which life a child lives.
    pub(super) fn life(&self, path: &str) -> u64 {
        let tree = self.json(&["tree", path]);
        tree["tree"]["incarnation"].as_u64().unwrap()
    }

    /// Ends the process at once, and starts another in the same folder.
    pub(super) fn killed_and_started(mut self) -> Self {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::spawn(&self.folder, &[]);
        self.until_booted()
    }

    /// Stops in order, and starts again in the same folder.
    pub(super) fn stopped_and_started(mut self) -> Self {
        assert_eq!(self.uk(&["shutdown"]).code, 0);
        assert!(self.wait().success());
        self.process = Self::spawn(&self.folder, &[]);
        self.until_booted()
    }
}

fn rig() -> Rig {
    let rig = Rig::boot_tree(TREE);
    rig.until_version(1);
    rig
}

#[test]
fn settings_are_shown_with_where_they_come_from() {
    let rig = rig();

    assert_eq!(rig.uk(&["config", "get", "/host"]).out, "every: \"1s\"\n");
    assert_eq!(rig.uk(&["config", "get", "/host", "every"]).out, "1s\n");
    let explain = |path: &str, key: &str| rig.uk(&["config", "explain", path, key]).out;
    let told = explain("/host", "every");
    assert!(
        told.contains("every: 1s  from ") && told.contains("tree.yaml:12\n"),
        "{told}"
    );
    assert!(told.contains("  else: 1s  from default\n"), "{told}");
    assert!(told.contains("Time between two measurements"), "{told}");
    assert_eq!(
        explain("/group/one", "apply").lines().next().unwrap(),
        "apply: restart  from default"
    );

    rig.json(&["config", "set", "/host", "every=2s", "--save"]);
    rig.json(&["config", "set", "/host", "every=3s"]);
    let key = &rig.json(&["config", "explain", "/host", "every"])["keys"][0];
    let layers = [
        &key["from"],
        &key["lower"][0]["from"],
        &key["lower"][1]["from"],
    ];
    let layers = layers.map(|from| from["layer"].as_str().unwrap());
    assert_eq!(layers, ["unsaved", "saved", "file"]);
    assert_eq!(key["value"], "3s");
    // A child of a template is in no file.
    rig.json(&[
        "spawn",
        "--under",
        "/cams",
        "--id",
        "front",
        "--set",
        "trap_exit=true",
    ]);
    let key = &rig.json(&["config", "explain", "/cams/front", "trap_exit"])["keys"][0];
    assert_eq!(
        (&key["value"], &key["from"]["layer"]),
        (&json!(true), &json!("spawned"))
    );
}

#[test]
fn the_schema_is_that_of_the_kind() {
    let rig = rig();

    let of_child = rig.uk(&["config", "schema", "/host"]);
    assert_eq!(of_child.code, 0, "{of_child:?}");
    assert_eq!(
        rig.uk(&["config", "schema", "sensor.host"]).out,
        of_child.out
    );
    // Without a kernel as well.
    assert_eq!(
        Folder::new().uk(&["config", "schema", "sensor.host"]).out,
        of_child.out
    );
    assert!(of_child.json()["properties"]["every"].is_object());
}

#[test]
fn what_a_ladder_swapped_is_in_force_and_said() {
    let tree = "\
version: 1
name: rig
tree:
  intensity: 100
  children:
    - id: cam
      kind: probe
      settings: { stop_takes: 1ms }
      on_crash:
        - { after: 1, within: 60s, swap: { stop_takes: 2ms } }
";
    let rig = Rig::boot_tree(tree);

    assert_eq!(rig.uk(&["tell", "/cam", r#"{"crash": "boom"}"#]).code, 0);
    rig.until(&["config", "get", "/cam", "stop_takes"], |got| {
        got["value"] == "2ms"
    });

    let said = rig.uk(&["config", "get", "/cam"]).out;
    assert!(
        said.starts_with("# with what step 1 of 1 of its ladder lays over them\n"),
        "{said}"
    );
    let said = rig.uk(&["config", "explain", "/cam", "stop_takes"]).out;
    assert!(
        said.starts_with("stop_takes: 2ms  from its ladder\n  else: 1ms  from "),
        "{said}"
    );
}

#[test]
fn a_set_is_live_until_the_kernel_stops_and_can_be_undone() {
    let rig = rig();
    let life = rig.life("/host");

    let plan = rig.uk(&["config", "set", "/host", "every=2s", "--dry-run"]);
    assert!(
        plan.out.contains("every 1s → 2s") && plan.out.contains("nothing was changed"),
        "{plan:?}"
    );
    assert_eq!(rig.value("/host", "every"), "1s");
    let done = rig.uk(&["config", "set", "/host", "every=2s"]);
    assert!(
        done.out
            .starts_with("/host  live  every 1s → 2s\nversion 2 is in force"),
        "{done:?}"
    );
    assert!(
        done.out.ends_with("next  uk config rollback  undoes it\n"),
        "{done:?}"
    );
    assert_eq!(rig.value("/host", "every"), "2s");
    assert_eq!(rig.life("/host"), life);
    let diff = rig.uk(&["config", "diff"]);
    assert_eq!(
        (diff.code, diff.out.as_str()),
        (9, "until the kernel stops\n/host  every 1s → 2s\n")
    );
    let diff = rig.uk(&["config", "diff", "1", "2"]);
    assert_eq!(
        (diff.code, diff.out.as_str()),
        (9, "/host  every 1s → 2s\n")
    );
    assert_eq!(rig.uk(&["config", "diff", "2"]).code, 0);

    let back = rig.uk(&["config", "rollback"]);
    assert!(
        back.out
            .starts_with("/host  live  every 2s → 1s\nversion 3 is in force"),
        "{back:?}"
    );
    assert_eq!(rig.value("/host", "every"), "1s");
    assert_eq!(rig.uk(&["config", "diff"]).code, 0);

    rig.json(&["config", "set", "/host", "every=4s"]);
    let rig = rig.stopped_and_started();
    assert_eq!(rig.value("/host", "every"), "1s");
}

#[test]
fn a_child_that_must_be_is_restarted_and_what_is_unset_is_as_the_file_says() {
    let rig = rig();
    let life = rig.life("/a");

    let done = rig.json(&["config", "set", "/a", "stop_takes=1ms", "trap_exit=true"]);
    assert_eq!(done["changes"][0]["how"], "restart", "{done:#}");
    rig.until(&["tree", "/a"], |tree| {
        tree["tree"]["incarnation"] == life + 1
    });
    rig.json(&["config", "unset", "/a", "trap_exit"]);

    assert_eq!(rig.value("/a", "trap_exit"), false);
    assert_eq!(rig.value("/a", "stop_takes"), "1ms");
}

#[test]
fn what_is_saved_outlives_the_kernel_and_changes_of_the_file() {
    let rig = rig();
    rig.json(&["config", "set", "/host", "every=5s", "--save"]);
    rig.json(&[
        "spawn", "probe", "--under", "/group", "--id", "two", "--save",
    ]);
    assert_eq!(rig.uk(&["delete", "/a", "--save"]).code, 1);
    rig.json(&["stop", "/a"]);
    rig.json(&["delete", "/a", "--save"]);
    rig.json(&["stop", "/group/one", "--save"]);

    rig.edit(EVERY_2S);
    rig.until(&["config", "explain", "/host", "every"], |told| {
        told["keys"][0]["lower"][0]["value"] == "2s"
    });
    assert_eq!(rig.value("/host", "every"), "5s");
    let rig = rig.stopped_and_started();

    assert_eq!(rig.value("/host", "every"), "5s");
    assert_eq!(rig.uk(&["config", "get", "/a"]).code, 4);
    rig.until(&["tree", "/group/two"], |tree| {
        tree["tree"]["state"] == "running"
    });
    assert_eq!(
        rig.json(&["tree", "/group/one"])["tree"]["state"],
        "stopped"
    );
    let diff = rig.uk(&["config", "diff"]);
    assert_eq!(diff.code, 9);
    for line in ["/host", "every 2s → 5s", "/group/two", "new", "/a", "gone"] {
        assert!(diff.out.contains(line), "{line}: {diff:?}");
    }
    // And back.
    rig.json(&["config", "unset", "/host", "every"]);
    rig.json(&["start", "/group/one", "--save"]);
    assert_eq!(rig.value("/host", "every"), "2s");
    let rig = rig.stopped_and_started();
    rig.until(&["tree", "/group/one"], |tree| {
        tree["tree"]["state"] == "running"
    });
}

#[test]
fn what_has_no_effect_any_more_is_told_and_comes_back_with_the_file() {
    let rig = rig();
    rig.json(&["config", "set", "/group/one", "trap_exit=true", "--save"]);

    rig.edit(("{ id: one, kind: probe }", "{ id: other, kind: probe }"));
    rig.until_version(3);

    let diff = rig.uk(&["config", "diff"]);
    assert_eq!(diff.code, 9);
    let told =
        "no effect  `set /group/one trap_exit` (saved): there is no `/group/one` in the tree\n";
    let unwrapped = diff.out.replace("\n           ", " ");
    assert!(
        unwrapped.contains("no effect") && unwrapped.contains("there is no `/group/one`"),
        "{told}\n{diff:?}"
    );
    rig.edit(("{ id: other, kind: probe }", "{ id: one, kind: probe }"));
    rig.until_version(4);
    assert_eq!(rig.value("/group/one", "trap_exit"), true);
}

#[test]
fn what_is_written_is_in_the_file_with_its_comments() {
    let rig = rig();

    let done = rig.json(&["config", "set", "/host", "every=3s", "--write"]);
    assert_eq!(done["done"], "applied");
    let text = rig.folder.text("tree.yaml");
    assert!(text.contains("        every: 3s   # how often\n"), "{text}");
    assert_eq!(rig.value("/host", "every"), "3s");
    rig.json(&["config", "unset", "/host", "every", "--write"]);

    assert_eq!(rig.value("/host", "every"), "1s");
    assert!(!rig.folder.text("tree.yaml").contains("every"));
    assert_eq!(rig.uk(&["config", "diff"]).code, 0);
}

#[test]
fn the_kernels_own_settings_are_set_in_their_file_and_seen() {
    let rig = rig();
    let uk = |args: &[&str]| rig.uk(&[args, &["--tree", "tree.yaml"]].concat());

    assert_eq!(uk(&["config", "set", "system", "history.keep=7"]).code, 0);
    std::fs::write(
        rig.folder.path().join("config/system.yaml"),
        "# mine\nhistory:\n  keep: 7 # few\n",
    )
    .unwrap();
    let said = uk(&[
        "config",
        "set",
        "system",
        "history.keep=8",
        "labels.site=lab",
    ]);
    assert_eq!(said.code, 0, "{said:?}");

    let text = rig.folder.text("config/system.yaml");
    assert!(
        text.starts_with("# mine\nhistory:\n  keep: 8 # few\n"),
        "{text}"
    );
    assert_eq!(uk(&["config", "get", "system", "labels.site"]).out, "lab\n");
    assert_eq!(uk(&["config", "unset", "system", "labels.site"]).code, 0);
    for (wrong, code, hint) in [
        (&["history.kep=8"][..], 4, "did you mean `history.keep`?"),
        (&["history.keep=many"], 3, "expected an integer"),
    ] {
        let said = uk(&[&["config", "set", "system"], wrong].concat());
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.err.contains(hint), "{said:?}");
    }
    let nowhere = rig.uk(&["config", "set", "system", "log=debug"]);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
}

#[test]
fn what_is_typed_wrongly_is_refused_with_what_to_do() {
    let rig = rig();
    for (line, code, part) in [
        ("config get host", 2, "a path begins with `/`"),
        ("config get /hosts", 4, "did you mean `/host`?"),
        ("config get /host evry", 4, "did you mean `every`?"),
        ("config get /group", 2, "`uk tree /group` shows them"),
        ("config set /host evry=2s", 3, "did you mean `every`?"),
        ("config set /host every=2", 3, "did you mean `2s`?"),
        ("config set /host every", 2, "write every=500ms"),
        (
            "config set /host every=1ms",
            3,
            "1ms is not from 100ms to 1h",
        ),
        ("config set /group every=2s", 2, "has no settings"),
        (
            "config set /host every=2s --save --write",
            2,
            "--write puts it into the file",
        ),
        (
            "config unset /host every",
            4,
            "--write takes a key out of the file",
        ),
        (
            "config schema sensor.hots",
            4,
            "did you mean `sensor.host`?",
        ),
        ("config diff 99", 4, "there is no version 99"),
        ("config rollback 99", 4, "there is no version 99"),
        ("config rollback", 4, "there is no version before this one"),
        ("spawn --under /cams --save", 2, "come and go"),
        ("delete /host --save", 1, "`uk stop /host` stops it"),
        ("stop /nope --save", 4, "there is no `/nope`"),
    ] {
        let said = rig.uk(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, code, "{line}: {said:?}");
        assert!(said.err.contains(part), "{line}: {said:?}");
        assert!(said.err.contains("hint: "), "{line}: {said:?}");
    }
    rig.json(&["spawn", "--under", "/cams", "--id", "front"]);
    let said = rig.uk(&["config", "set", "/cams/front", "trap_exit=true"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("change its `template` in the file"),
        "{said:?}"
    );
    assert_eq!(rig.json(&["config", "history"])["number"], 1);
}

#[test]
fn what_readme_shows_is_what_is_said() {
    let tree = "version: 1\nname: rig\ntree:\n  children:\n    - id: sensors\n      children:\n        \
                - { id: host, kind: sensor.host, settings: { every: 1s } }\n";
    let rig = Rig::boot_tree(tree);
    rig.until_version(1);
    let readme = include_str!("../../README.md");
    let command = "uk config set /sensors/host every=2s";
    let (_, shown) = readme
        .split_once(&format!("```text\n$ {command}\n"))
        .unwrap();
    let (shown, _) = shown.split_once("```").unwrap();

    let said = rig.uk(&command.split(' ').skip(1).collect::<Vec<_>>());

    assert_eq!(said.out, shown);
}
