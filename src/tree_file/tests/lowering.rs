//! What a file without faults becomes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use unity_supervisors::path::ChildId;
use unity_supervisors::priority::Priority;
use unity_supervisors::spec::{
    Backoff, ChildKind, ChildSpec, Failover, HealthSpec, Ladder, LadderAction, LadderStep,
    MailboxSpec, OnRestart, OnStall, Overflow, Place, PlaceAt, Restart, RunsOn, Shutdown,
    StateSpec, Strategy, SupervisorSpec, Template, WorkerSpec,
};

use super::*;

fn id(text: &str) -> ChildId {
    ChildId::new(text).unwrap()
}

#[test]
fn what_is_not_said_has_the_defaults_of_the_specs() {
    let text = "version: 1\ntree:\n  children:\n    - { id: w, kind: probe }\n    - id: s\n      children: [{ id: x, kind: log }]\n";

    let tree = tree(text);

    let children = vec![ChildSpec::worker(id("x"), "log")];
    let below = SupervisorSpec {
        children: children.into_iter().map(std::sync::Arc::new).collect(),
        ..SupervisorSpec::default()
    };
    let children = vec![
        ChildSpec::worker(id("w"), "probe"),
        ChildSpec::supervisor(id("s"), below),
    ];
    let root = SupervisorSpec {
        children: children.into_iter().map(std::sync::Arc::new).collect(),
        ..SupervisorSpec::default()
    };
    assert_eq!(
        tree,
        TreeSpec {
            name: "kernel".to_owned(),
            test: false,
            root
        }
    );
}

#[test]
fn every_key_of_a_worker_reaches_its_spec() {
    let text = "
version: 1
name: edge-1
test: true
tree:
  children:
    - { id: first, kind: log }
    - id: w
      kind: probe
      settings: { a: [1, -2, 0.5, null, true, text, \"5\"], b: { c: 18446744073709551615 } }
      labels: { gpu: \"true\" }
      restart: transient
      shutdown: brutal_kill
      start_timeout: 2m
      essential: true
      backoff: { min: 250ms, max: 1m, factor: 3, jitter: 0 }
      needs: [first]
      mailbox:
        { capacity: 8, lanes: { critical: 2 }, overflow: drop_oldest, send_timeout: 1s,
          on_restart: drop, retry: 2, fairness: 5, ttl: 1h }
      state: { keep: true, every: 500ms }
      probation: 5s
";

    let tree = tree(text);

    let mailbox = MailboxSpec {
        capacity: 8,
        lanes: BTreeMap::from([(Priority::Critical, 2)]),
        overflow: Overflow::DropOldest,
        send_timeout: Duration::from_secs(1),
        on_restart: OnRestart::Drop,
        retry: 2,
        fairness: 5,
        ttl: Some(Duration::from_secs(3600)),
    };
    let settings = json!({
        "a": [1, -2, 0.5, null, true, "text", "5"],
        "b": { "c": 18_446_744_073_709_551_615_u64 },
    });
    let expected = ChildSpec {
        labels: BTreeMap::from([("gpu".to_owned(), "true".to_owned())]),
        restart: Restart::Transient,
        shutdown: Shutdown::BrutalKill,
        start_timeout: Some(Duration::from_secs(120)),
        essential: true,
        backoff: Some(Backoff {
            min: Duration::from_millis(250),
            max: Duration::from_secs(60),
            factor: 3.0,
            jitter: 0.0,
        }),
        needs: vec![id("first")],
        probation: Duration::from_secs(5),
        what: ChildKind::Worker(WorkerSpec {
            kind: "probe".to_owned(),
            settings,
            mailbox: Arc::new(mailbox),
            health: None,
            stall_after: ChildSpec::STALL_AFTER,
            stall: OnStall::Report,
            runtime: RunsOn::Work,
            on_crash: None,
            place: None,
            state: Some(StateSpec {
                every: Duration::from_millis(500),
            }),
        }),
        ..ChildSpec::worker(id("w"), "probe")
    };
    assert_eq!((tree.name.as_str(), tree.test), ("edge-1", true));
    assert_eq!(*tree.root.children[1], expected);
}

#[test]
fn what_a_worker_says_of_stalls_reaches_its_spec() {
    let keys = "health: { every: 2s, timeout: 1s, fails: 9 }\nstall_after: 3s\nstall: abandon\nruntime: own";

    let tree = tree(&worker(keys));

    let spec = tree.root.children[0].as_worker().unwrap();
    let health = HealthSpec {
        every: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        fails: 9,
    };
    assert_eq!(spec.health, Some(health));
    assert_eq!(spec.stall_after, Duration::from_secs(3));
    assert_eq!((spec.stall, spec.runtime), (OnStall::Abandon, RunsOn::Own));
}

#[test]
fn a_place_reaches_its_spec_and_is_written_as_it_reads() {
    let gpu = BTreeMap::from([("gpu".to_owned(), "true".to_owned())]);
    let place = |at, lease_s, failover| Place {
        at,
        lease: Duration::from_secs(lease_s),
        failover,
    };
    let node = PlaceAt::Node(id("edge-1"));
    let labels = PlaceAt::Labels(gpu);
    for (written, expected) in [
        ("{ node: edge-1 }", place(node.clone(), 10, Failover::Wait)),
        (
            "{ node: edge-1, lease: 1000ms, failover: none }",
            place(node.clone(), 1, Failover::None),
        ),
        (
            "{ node: \"${HOST}-1\", lease: 1h, failover: wait }",
            place(node, 3600, Failover::Wait),
        ),
        (
            "{ labels: { gpu: \"true\" }, failover: elsewhere }",
            place(labels, 10, Failover::Elsewhere),
        ),
    ] {
        let keys = format!("place: {written}");
        let template = format!("version: 1\ntree: {{ template: {{ kind: probe, {keys} }} }}\n");

        let (listed, made) = (tree(&worker(&keys)), tree(&template));

        let place = |child: &ChildSpec| child.as_worker().unwrap().place.clone();
        let expected = Some(Arc::new(expected));
        assert_eq!(place(&listed.root.children[0]), expected, "{written}");
        assert_eq!(place(&made.root.template.as_ref().unwrap().child), expected);
        for tree in [listed, made] {
            assert_eq!(load_one(&to_yaml(&tree, &Kinds)).tree.as_ref(), Some(&tree));
            assert_eq!(load_one(&to_json(&tree)).tree.as_ref(), Some(&tree));
        }
    }
    let yaml = to_yaml(&tree(&worker("place: { node: edge-1 }")), &Kinds);
    let written = "
      place:
        node: edge-1
        lease: 10s  # default
        failover: wait  # default
";
    assert!(yaml.contains(written), "{yaml}");
}

#[test]
fn what_lives_on_another_node_is_checked_but_for_its_secrets_and_for_what_is_known_there_alone() {
    let elsewhere = "place: { node: edge-1 }\n";
    // These are missing, not on this machine, unusable, and open to everyone.
    for name in ["TOKN", "ROBOT_TOKEN", "EMPTY_TOKEN", "SHARED_TOKEN"] {
        let settings = format!("settings: {{ a: \"${{secret:{name}}}\" }}\n");
        let ladder = format!(
            "on_crash: [{{ after: 3, within: 1m, swap: {{ b: \"${{secret:{name}}}\" }} }}]\n"
        );
        for keys in [settings, ladder] {
            let here = load_one(&worker(&keys));
            let there = load_one(&worker(&format!("{elsewhere}{keys}")));

            assert_eq!(here.diagnostics.len(), 1, "{}", here.render(false));
            assert!(there.diagnostics.is_empty(), "{}", there.render(false));
        }
    }
    let next = "version: 1\ntree:\n  children:\n    - { id: a, kind: log, place: { node: edge-1 } }\n    - { id: b, kind: log, settings: { a: \"${secret:TOKN}\" } }\n";
    let codes = |checked: &Checked| -> Vec<Code> {
        checked.diagnostics.iter().map(|found| found.code).collect()
    };
    assert_eq!(codes(&load_one(next)), [Code::SecretMissing]);
    let unknown = "version: 1\ntree:\n  children:\n    - id: a\n      kind: arm.driver\n      place: { node: edge-1 }\n      settings: { a: [1, \"${secret:TOKN}\"] }\n      state: {}\n";
    let checked = load_one(unknown);
    assert_eq!(codes(&checked), [Code::KindElsewhere]);
    let spec = checked.tree.unwrap().root.children[0].as_worker().cloned();
    let spec = spec.unwrap();
    assert_eq!(spec.settings, json!({ "a": [1, "${secret:TOKN}"] }));
    assert!(spec.state.is_some());
}

#[test]
fn a_child_that_lives_on_another_node_may_be_significant_and_have_a_ladder() {
    let text = "version: 1\ntree:\n  auto_shutdown: any_significant\n  children:\n    - id: a\n      kind: probe\n      significant: true\n      restart: transient\n      on_crash: [{ after: 3, within: 1m, quarantine: true }]\n      place: { node: edge-1, failover: none }\n";

    let checked = load_one(text);

    assert!(checked.diagnostics.is_empty(), "{}", checked.render(false));
}

#[test]
fn the_name_of_the_node_is_the_one_that_the_file_says() {
    for (name, other, is_own) in [
        ("name: a", "a", true),
        ("name: a", "kernel", false),
        ("name: a", "A", false),
        ("test: true", "kernel", true),
        // What it is called is at fault, so nothing is known.
        ("name: \"a b\"", "kernel", false),
    ] {
        let text = format!(
            "version: 1\n{name}\ntree:\n  children:\n    - {{ id: x, kind: log, place: {{ node: {other} }} }}\n"
        );
        let checked = load_one(&text);
        let found = checked.faults().any(|fault| fault.code == Code::PlaceHere);
        assert_eq!(found, is_own, "{}", checked.render(false));
    }
}

#[test]
fn a_ladder_reaches_its_spec_and_is_written_as_it_reads() {
    let keys = "on_crash:\n  - { after: 3, within: 1m, swap: { model: small } }\n  - { after: 5, within: 1m, swap: last_good }\n  - { after: 8, within: 10m, quarantine: true }";

    let tree = tree(&worker(keys));

    let step = |after, within_s, action| LadderStep {
        after,
        within: Duration::from_secs(within_s),
        action,
    };
    let steps = vec![
        step(3, 60, LadderAction::Swap(json!({ "model": "small" }))),
        step(5, 60, LadderAction::LastGood),
        step(8, 600, LadderAction::Quarantine),
    ];
    let spec = tree.root.children[0].as_worker().unwrap();
    assert_eq!(spec.on_crash, Some(Arc::new(Ladder { steps })));
    let yaml = to_yaml(&tree, &Kinds);
    let written = "
      on_crash:
        - { after: 3, within: 1m, swap: { model: small } }
        - { after: 5, within: 1m, swap: last_good }
        - { after: 8, within: 10m, quarantine: true }
";
    assert!(yaml.contains(written), "{yaml}");
}

#[test]
fn every_key_of_a_supervisor_reaches_its_spec() {
    let keys = "strategy: rest_for_one\nintensity: 7\nperiod: 1m\nshutdown: infinity\nstart_timeout: 9s\nbackoff: {}";

    let tree = tree(&supervisor(keys));

    let child = &tree.root.children[0];
    let spec = child.as_supervisor().unwrap();
    assert_eq!(spec.strategy, Strategy::RestForOne);
    assert_eq!((spec.intensity, spec.period), (7, Duration::from_secs(60)));
    assert_eq!(child.shutdown, Shutdown::Infinity);
    assert_eq!(child.start_timeout, Some(Duration::from_secs(9)));
    assert_eq!(child.backoff, Some(Backoff::default()));
}

#[test]
fn keys_that_only_say_their_default_are_fine() {
    for keys in [
        "significant: false",
        "probation: 30s",
        "health: off",
        "runtime: work",
        "on_crash: []",
        "state: { keep: false }",
        "place: here",
        "labels:",
        "settings:",
        "needs:",
        "mailbox:",
        "start_timeout: infinity",
    ] {
        let checked = load_one(&worker(keys));
        assert!(checked.diagnostics.is_empty(), "{}", checked.render(false));
    }
    tree(&supervisor("auto_shutdown: never"));
}

#[test]
fn json_with_tabs_a_byte_order_mark_or_dos_line_ends_is_read_as_well() {
    for text in [
        "{\n\t\"version\": 1,\n\t\"tree\": {\n\t\t\"children\": [\n\t\t\t{\"id\": \"a\", \"kind\": \"log\"}\n\t\t]\n\t}\n}\n",
        "\u{feff}version: 1\ntree:\n  children: [{ id: a, kind: log }]\n",
        "version: 1\r\ntree:\r\n  children:\r\n    - id: a\r\n      kind: log\r\n",
        "%YAML 1.2\n---\nversion: 1\ntree: { children: [{ id: a, kind: log }] }\n...\n",
    ] {
        assert_eq!(
            tree(text).root.children,
            [std::sync::Arc::new(ChildSpec::worker(id("a"), "log"))],
            "{text}"
        );
    }
}

#[test]
fn variables_are_filled_in_and_typed_where_there_are_no_quotes() {
    let keys = "settings:\n  n: ${COUNT}\n  d: ${NONE:-3}\n  q: \"${COUNT}\"\n  t: ${HOST}-1\n  raw: $${HOST}\n  b: |\n    x ${HOST}";

    let tree = tree(&worker(keys));

    let settings = &tree.root.children[0].as_worker().unwrap().settings;
    let expected =
        json!({ "n": 7, "d": 3, "q": "7", "t": "edge-1", "raw": "${HOST}", "b": "x edge\n" });
    assert_eq!(*settings, expected);
}

#[test]
fn anchors_aliases_and_merges_spare_repetition() {
    let text = "
version: 1
tree:
  intensity: 9
  children:
    - &base
      id: a
      kind: probe
      settings: &s { x: 1, y: 2 }
    - <<: *base
      id: b
      settings: { <<: [*s, { y: 5, z: 6 }], x: 0 }
    - { id: c, kind: probe, settings: *s }
";

    let tree = tree(text);

    let found: Vec<(&str, &Value)> = tree
        .root
        .children
        .iter()
        .map(|child| (child.id.as_str(), &child.as_worker().unwrap().settings))
        .collect();
    let s = json!({ "x": 1, "y": 2 });
    let merged = json!({ "x": 0, "y": 2, "z": 6 });
    assert_eq!(found, [("a", &s), ("b", &merged), ("c", &s)]);
}

#[test]
fn included_children_stand_in_the_place_of_their_include() {
    let main = "version: 1\ntree:\n  children:\n    - { id: a, kind: log }\n    - include: parts/arm.yaml\n    - { id: z, kind: log, needs: [grip] }\n";
    let arm = "- { id: grip, kind: log }\n- include: ../hand.yaml\n";
    let hand = "children:\n  - { id: hand, kind: log, needs: [a] }\n";

    let checked = load_files(
        "t/tree.yaml",
        &[
            ("t/tree.yaml", main.as_bytes()),
            ("t/parts/arm.yaml", arm.as_bytes()),
            ("t/parts/../hand.yaml", hand.as_bytes()),
        ],
    );

    let tree = checked
        .tree
        .clone()
        .unwrap_or_else(|| panic!("{}", checked.render(false)));
    let ids: Vec<&str> = tree
        .root
        .children
        .iter()
        .map(|child| child.id.as_str())
        .collect();
    let files: Vec<String> = checked
        .files()
        .map(|f| f.path().display().to_string())
        .collect();
    assert_eq!(ids, ["a", "grip", "hand", "z"]);
    assert_eq!(
        files,
        ["t/tree.yaml", "t/parts/arm.yaml", "t/parts/../hand.yaml"]
    );
}

#[test]
fn all_faults_are_found_at_once() {
    let text = "
version: 2
tree:
  strateg: one_for_all
  children:
    - { id: a, kind: nothing, restart: often }
    - { kind: log, shutdown: 5 }
    - id: s
      mailbox: {}
      children:
        - { id: x, kind: log, needs: [y] }
        - include: gone.yaml
";

    let checked = load_one(text);

    let found: Vec<&str> = checked.faults().map(|fault| fault.code.as_str()).collect();
    let expected = [
        "UK0204", "UK0201", "UK0210", "UK0211", "UK0202", "UK0212", "UK0218", "UK0215", "UK0101",
    ];
    assert_eq!(found, expected, "{}", checked.render(false));
    assert_eq!(checked.summary(), "9 faults");
}

#[test]
fn a_value_that_is_at_fault_is_told_once() {
    for keys in [
        "shutdown: ${NONE}",
        "settings: { a: *none }",
        "essential: \"${A-b}\"",
        "kind: 5",
    ] {
        let checked =
            load_one(&worker(keys).replace("      kind: probe\n      kind", "      kind"));
        assert_eq!(checked.diagnostics.len(), 1, "{}", checked.render(false));
    }
}

#[test]
fn a_budget_that_can_be_used_up_is_not_warned_of() {
    for (root, child) in [
        // One crash is enough.
        ("intensity: 0", "backoff: { min: 1m, max: 1h }"),
        // The default: two crashes within five seconds.
        ("period: 5s", "backoff: {}"),
        // No pauses at all.
        ("intensity: 9", "restart: permanent"),
        ("intensity: 9", "backoff: { min: 0s }"),
        ("intensity: 9", "backoff: { jitter: 1 }"),
        // Never restarted, so never charged.
        (
            "intensity: 9",
            "restart: temporary\n      backoff: { min: 1m, max: 1h }",
        ),
    ] {
        let text = format!(
            "version: 1\ntree:\n  {root}\n  children:\n    - id: a\n      kind: log\n      {child}\n"
        );
        let checked = load_one(&text);
        assert!(checked.diagnostics.is_empty(), "{}", checked.render(false));
    }
}

#[test]
fn a_template_and_its_bound_reach_the_spec_also_of_the_root() {
    let template =
        "template: { kind: probe, settings: { a: 1 }, restart: transient, significant: false }";
    for (bound, max_children) in [
        ("", None),
        ("max_children: 0", Some(0)),
        ("max_children: 64", Some(64)),
    ] {
        let root = format!("version: 1\ntree:\n  {template}\n  {bound}\n");
        let below = format!(
            "version: 1\ntree:\n  children:\n    - id: s\n      {template}\n      {bound}\n"
        );

        let (root, below) = (tree(&root).root, tree(&below).root);

        let mut child = ChildSpec::worker(Template::id(), "probe");
        child.restart = Restart::Transient;
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.settings = json!({ "a": 1 });
        }
        let expected = SupervisorSpec {
            template: Some(Arc::new(Template {
                child,
                max_children,
            })),
            ..SupervisorSpec::default()
        };
        assert_eq!(root, expected, "{bound}");
        assert_eq!(
            below.children[0].as_supervisor(),
            Some(&expected),
            "{bound}"
        );
    }
}

#[test]
fn a_template_may_be_a_supervisor_and_all_of_its_faults_are_told_at_once() {
    let nested = "version: 1\ntree: { template: { intensity: 3, template: { kind: log } } }\n";
    let wrong = "version: 1\ntree:\n  children: [{ id: a, kind: prob }]\n  template: { id: x, kind: prob, children: [], shutdwn: 1s }\n";

    let tree = tree(nested);
    let checked = load_one(wrong);

    let inner = tree.root.template.unwrap().child.as_supervisor().cloned();
    let inner = inner.unwrap();
    assert_eq!(inner.intensity, 3);
    assert_eq!(inner.template.unwrap().child.id, Template::id());
    let mut codes: Vec<Code> = checked.faults().map(|fault| fault.code).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            Code::UnknownKey,
            Code::KindAndChildren,
            Code::UnknownKind,
            Code::TemplateAndChildren,
            Code::NotInTemplate
        ],
        "{}",
        checked.render(false)
    );
}

#[test]
fn a_budget_that_many_children_of_a_template_can_spend_is_no_warning() {
    for (max_children, warned) in [
        ("", false),
        ("max_children: 100", false),
        ("max_children: 2", true),
        ("max_children: 0", false),
    ] {
        let text = format!(
            "version: 1\ntree:\n  intensity: 9\n  {max_children}\n  template: {{ kind: probe, backoff: {{ min: 5s }} }}\n"
        );

        let checked = load_one(&text);

        let codes: Vec<Code> = checked.warnings().map(|warning| warning.code).collect();
        let expected: &[Code] = if warned {
            &[Code::BudgetNeverSpent]
        } else {
            &[]
        };
        assert_eq!(codes, expected, "{max_children}");
    }
}

#[test]
fn partitions_are_children_of_the_template_that_are_numbered() {
    let text = "version: 1\ntree:\n  children:\n    - id: s\n      partitions: 3\n      template: { kind: probe }\n";

    let root = tree(text).root;

    let child = ChildSpec::worker(Template::id(), "probe");
    let expected = SupervisorSpec::partitioned(&child, 3);
    assert_eq!(root.children[0].as_supervisor(), Some(&expected));
    let effective = load_one(text);
    assert!(effective.diagnostics.is_empty());
}
