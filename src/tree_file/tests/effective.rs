//! A tree that is written in full reads back as the same tree.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::kind_check::KnownKinds;
use crate::tree_file::effective::json_text;

/// Reads with the kernel's own kinds, from the disk.
pub(super) fn with_real_kinds<T>(work: impl FnOnce(&Sources<'_>) -> T) -> T {
    let kinds = unity_actors::kinds();
    work(&Sources {
        read: &read_file,
        env: &env,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    })
}

/// The trees that are shipped.
pub(super) fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("config/trees"))
        .unwrap()
        .chain(std::fs::read_dir(root.join("examples")).unwrap())
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            if path.is_dir() {
                path.join("tree.yaml")
            } else {
                path
            }
        })
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    assert!(found.len() >= 2, "{found:?}");
    found
}

fn reads_back(tree: &TreeSpec, sources: &Sources<'_>) {
    let yaml = to_yaml(tree, sources.kinds);
    let json = to_json(tree);
    for text in [yaml, json] {
        let again = load_text("again.yaml", &text, sources);
        let shown = again.render(false);
        assert_eq!(again.tree.as_ref(), Some(tree), "{shown}\n{text}");
    }
}

#[test]
fn shipped_trees_written_in_full_are_the_same_trees() {
    with_real_kinds(|sources| {
        for path in shipped() {
            let checked = load(&path, sources);
            let tree = checked
                .tree
                .as_ref()
                .unwrap_or_else(|| panic!("{}", checked.render(false)));
            reads_back(tree, sources);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_written_in_full_are_the_same_trees(seed in any::<u64>()) {
        let grown = grow::tree(&mut fastrand::Rng::with_seed(seed));
        with_real_kinds(|sources| {
            let checked = load_text("grown.yaml", &json_text(&grown), sources);
            let shown = checked.render(false);
            let tree = checked.tree.as_ref().unwrap_or_else(|| panic!("{shown}\n{grown}"));
            reads_back(tree, sources);
        });
    }
}

#[test]
fn what_is_a_default_is_marked_and_what_is_said_is_not() {
    let keys = "settings: { \"yes\": \"no\", b: \"$${X}\" }\nshutdown: 5s\nessential: true\nbackoff: { min: 1s }";

    let yaml = to_yaml(&tree(&worker(keys)), &Kinds);

    for line in [
        "tree:\n  strategy: one_for_one  # default\n  intensity: 9\n",
        "    - id: a\n      kind: probe\n      settings:\n        b: \"$${X}\"\n        \"yes\": \"no\"\n",
        "      shutdown: 5s  # default\n      significant: false  # default\n      essential: true\n",
        "      backoff:\n        min: 1s\n        max: 10s  # default\n",
        "        # ttl: none, a message waits for ever\n",
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
}

#[test]
fn secrets_stay_placeholders_and_what_only_looks_like_one_stays_a_text() {
    let text = "x ${secret:TOKEN} $${secret:TOKEN} $${X}";
    let tree = tree(&worker(&format!(
        "settings: {{ a: \"{text}\", b: [\"$$${{secret:A}}\"] }}"
    )));

    let yaml = to_yaml(&tree, &Kinds);

    assert!(yaml.contains(text), "{yaml}");
    let settings = &tree.root.children[0].as_worker().unwrap().settings;
    let kept = json!({ "a": "x ${secret:TOKEN} $${secret:TOKEN} ${X}", "b": ["$$${secret:A}"] });
    assert_eq!(settings, &kept);
    reads_back(
        &tree,
        &Sources {
            read: &read_file,
            env: &env,
            kinds: &Kinds,
            limits: Limits::default(),
        },
    );
}

#[test]
fn a_template_is_written_with_its_defaults_and_without_what_it_cannot_have() {
    let text = "version: 1\ntree: { template: { kind: probe, shutdown: 2s } }\n";

    let yaml = to_yaml(&tree(text), &Kinds);

    for line in [
        "  template:\n    kind: probe\n    settings: {}  # default\n    labels: {}  # default\n",
        "    shutdown: 2s\n    significant: false  # default\n    start_timeout: 30s  # default\n",
        "  # max_children: none, as many as are spawned\n",
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
    for key in ["children:", "id:", "needs:", "essential:"] {
        assert!(!yaml.contains(&format!("  {key}")), "{key}\n{yaml}");
    }
}

#[test]
fn settings_that_a_kind_fills_in_are_told() {
    with_real_kinds(|sources| {
        let text = "version: 1\ntree:\n  children:\n    - { id: a, kind: sensor.host }\n";
        let tree = load_text("a.yaml", text, sources).tree.unwrap();

        let yaml = to_yaml(&tree, sources.kinds);

        let told = "      settings: {}  # default\n        # every: 1s  (default)\n";
        assert!(yaml.contains(told), "{yaml}");
    });
}

#[test]
fn every_key_is_written() {
    let made = |how: &str| {
        let child = format!("- {{ id: s, template: {{ kind: probe }}, {how} }}");
        format!("version: 1\ntree:\n  children:\n    {child}\n")
    };
    let sorts = [
        worker(
            "backoff: {}\nhealth: {}\nstate: {}\non_crash: [{ after: 1, within: 1s, swap: last_good }, { after: 2, within: 1s, quarantine: true }]",
        ),
        worker("place: { node: edge-1 }"),
        worker("place: { labels: { gpu: \"true\" } }"),
        supervisor("backoff: {}"),
        made("max_children: 0"),
        made("partitions: 2"),
    ];
    let written = sorts.map(|text| to_yaml(&tree(&text), &Kinds)).concat();

    let children = keys::CHILD.iter().map(|(_, key)| key);
    let all = children
        .chain(keys::FILE)
        .chain(keys::BACKOFF)
        .chain(keys::HEALTH)
        .chain(keys::MAILBOX)
        .chain(keys::PLACE)
        .chain(keys::STATE)
        .chain(keys::STEP);
    for key in all {
        let found = written.contains(&format!(" {}:", key.name))
            || written.contains(&format!("\n{}:", key.name))
            || written.starts_with(&format!("{}:", key.name));
        assert!(found, "{}\n{written}", key.name);
    }
}
