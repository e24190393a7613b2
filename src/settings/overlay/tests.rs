//! Operations over trees, their normal form, and the file.

use std::fs;

use proptest::prelude::*;
use serde_json::json;
use unity_supervisors::spec::ChildSpec;

use super::*;
use crate::tree_file::{Limits, PathStep, SettingsFault, Sources, load_text, read_file};

/// One kind, `probe`, which takes all settings but those with `bad: true`.
struct Probe;

impl KindCheck for Probe {
    fn names(&self) -> Vec<String> {
        vec!["probe".to_owned()]
    }

    fn check(&self, _: &str, settings: &Value) -> Result<(), Vec<SettingsFault>> {
        if settings.get("bad") != Some(&json!(true)) {
            return Ok(());
        }
        Err(vec![SettingsFault {
            path: vec![PathStep::Key("bad".to_owned())],
            what: "cannot be".to_owned(),
            expected: Vec::new(),
        }])
    }

    fn check_elsewhere(&self, _: &str, _: &Value) -> Result<(), Vec<SettingsFault>> {
        Ok(())
    }
}

fn tree(text: &str) -> TreeSpec {
    let sources = Sources {
        read: &read_file,
        env: &|_| None,
        kinds: &Probe,
        limits: Limits::default(),
    };
    let checked = load_text("tree.yaml", text, &sources);
    checked
        .tree
        .unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
}

fn robot() -> TreeSpec {
    tree(
        "{ version: 1, tree: { children: [
          { id: a, kind: probe, settings: { x: 1, y: { z: [2, null], w: 3 } } },
          { id: b, kind: probe, needs: [a] },
          { id: s, children: [{ id: c, kind: probe }, { id: d, kind: probe, settings: { x: 5 } }] },
          { id: drones, template: { kind: probe } },
          { id: parts, template: { kind: probe }, partitions: 2 },
        ] } }",
    )
}

fn op(json: Value) -> Op {
    serde_json::from_value(json).unwrap()
}

fn set(path: &str, settings: Value) -> Op {
    op(json!({ "op": "set", "path": path, "settings": settings }))
}

fn spawn(parent: &str, child: Value) -> Op {
    op(json!({ "op": "spawn", "parent": parent, "child": child }))
}

fn delete(path: &str) -> Op {
    op(json!({ "op": "delete", "path": path }))
}

fn stop(path: &str) -> Op {
    op(json!({ "op": "stop", "path": path }))
}

fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

fn child<'a>(tree: &'a TreeSpec, path: &str) -> Option<&'a ChildSpec> {
    let mut segments = path.split('/').skip(1).peekable();
    let mut children = &tree.root.children;
    while let Some(segment) = segments.next() {
        let found = children.iter().find(|child| child.id.as_str() == segment)?;
        if segments.peek().is_none() {
            return Some(found);
        }
        children = &found.as_supervisor()?.children;
    }
    None
}

fn settings<'a>(tree: &'a TreeSpec, path: &str) -> &'a Value {
    &child(tree, path).unwrap().as_worker().unwrap().settings
}

#[test]
fn operations_change_what_they_name_and_share_the_rest() {
    let before = robot();
    let ops = [
        set("/a", json!({ "x": null, "y": { "w": 4, "v": {} } })),
        spawn("/s", json!({ "id": "e", "kind": "probe", "needs": ["c"] })),
        delete("/s/d"),
        stop("/s/c"),
    ];

    let (after, left) = lay_over(&before, &ops, &Probe);

    assert_eq!(left, []);
    let expected = json!({ "y": { "z": [2, null], "w": 4, "v": {} } });
    assert_eq!(settings(&after, "/a"), &expected);
    assert!(child(&after, "/s/e").is_some());
    assert!(child(&after, "/s/d").is_none());
    assert!(child(&after, "/s/c").unwrap().begins_stopped);
    let shared = |tree: &TreeSpec| tree.root.children[1].clone();
    assert!(std::sync::Arc::ptr_eq(&shared(&before), &shared(&after)));
}

#[test]
fn a_child_of_another_node_takes_what_it_is_given_and_never_lives_on_its_own() {
    let on = |node: &str| json!({ "id": "far", "kind": "other", "place": { "node": node } });
    let ops = [
        spawn("/s", on("edge-1")),
        set("/s/far", json!({ "bad": true })),
    ];

    let (after, left) = lay_over(&robot(), &ops, &Probe);

    assert_eq!(left, []);
    assert_eq!(settings(&after, "/s/far"), &json!({ "bad": true }));
    assert_no_effect(
        &spawn("/s", on("kernel")),
        "`spawn /s/far` has no effect: refused: `kernel` is the node whose tree this is",
    );
}

#[test]
fn nobody_needs_a_child_that_was_deleted() {
    let (after, left) = lay_over(&robot(), &[delete("/a")], &Probe);

    assert_eq!(left, []);
    assert_eq!(child(&after, "/b").unwrap().needs, []);
}

fn assert_no_effect(op: &Op, expected: &str) {
    let (after, left) = lay_over(&robot(), std::slice::from_ref(op), &Probe);
    let [left] = left.as_slice() else {
        panic!("{op}: {left:?}")
    };
    let told = left.to_string();
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(after, robot(), "{op}");
}

#[test]
fn sets_without_effect_are_told_with_the_reason() {
    for (op, expected) in [
        (
            set("/gone", json!({ "x": 1 })),
            "`set /gone x` has no effect: there is no `/gone` in the tree",
        ),
        (
            set("/a", json!({ "x": 1, "y": { "none": null } })),
            "`set /a x, y` has no effect: the tree says the same without it",
        ),
        (
            set("/a", json!({ "bad": true })),
            "`set /a bad` has no effect: refused: settings of `probe`: `bad`: cannot be",
        ),
        (
            set("/s", json!({ "x": 1 })),
            "`set /s x` has no effect: `/s` is a supervisor, which has no settings",
        ),
        (
            set("/", json!({ "x": 1 })),
            "`set / x` has no effect: `/` is a supervisor, which has no settings",
        ),
        (
            set("/a/b", json!({ "x": 1 })),
            "`set /a/b x` has no effect: `/a` is a worker, which has no children",
        ),
        (
            set("/drones/7", json!({ "x": 1 })),
            "`set /drones/7 x` has no effect: the children of `/drones` come and go and are not in the tree: change \
             its `template` in the file",
        ),
    ] {
        assert_no_effect(&op, expected);
    }
}

#[test]
fn other_operations_without_effect_are_told_with_the_reason() {
    for (op, expected) in [
        (
            stop("/parts/0"),
            "`stop /parts/0` has no effect: the children of `/parts` are partitions, all alike: change its `template` \
             in the file",
        ),
        (
            spawn("/drones", json!({ "id": "x", "kind": "probe" })),
            "`spawn /drones/x` has no effect: the children of `/drones` come and go and are not in the tree: change \
             its `template` in the file",
        ),
        (
            spawn("/", json!({ "id": "b", "kind": "probe", "needs": ["a"] })),
            "`spawn /b` has no effect: the tree says the same without it",
        ),
        (
            spawn("/", json!({ "id": "b", "kind": "probe" })),
            "`spawn /b` has no effect: the tree has another child of this name",
        ),
        (
            spawn("/", json!({ "id": "n", "kind": "prob" })),
            "`spawn /n` has no effect: refused: unknown kind `prob`",
        ),
        (
            spawn("/", json!({ "id": "a b" })),
            "`spawn a child without an id under /` has no effect: refused: ",
        ),
        (
            delete("/s/x"),
            "`delete /s/x` has no effect: there is no `/s/x` in the tree",
        ),
        (
            delete("/"),
            "`delete /` has no effect: the root is always there",
        ),
        (
            stop("/"),
            "`stop /` has no effect: the root is always there",
        ),
    ] {
        assert_no_effect(&op, expected);
    }
}

#[test]
fn what_a_later_operation_undoes_is_not_there_any_more() {
    let helper = || spawn("/", json!({ "id": "h", "kind": "probe" }));
    let user = || spawn("/", json!({ "id": "u", "kind": "probe", "needs": ["h"] }));
    for (ops, expected) in [
        (
            vec![
                set("/a", json!({ "x": 1 })),
                set("/a", json!({ "x": 2, "z": 3 })),
            ],
            vec![set("/a", json!({ "x": 2, "z": 3 }))],
        ),
        (
            vec![
                set("/a", json!({ "x": null })),
                set("/a", json!({ "x": { "k": 1 } })),
            ],
            vec![
                set("/a", json!({ "x": null })),
                set("/a", json!({ "x": { "k": 1 } })),
            ],
        ),
        (vec![set("/a", json!({}))], vec![]),
        (
            vec![
                helper(),
                set("/h", json!({ "x": 1 })),
                stop("/h"),
                delete("/h"),
            ],
            vec![],
        ),
        (vec![delete("/a"), delete("/a")], vec![delete("/a")]),
        (
            vec![
                stop("/s/c"),
                set("/s/d", json!({ "x": 1 })),
                delete("/s/c"),
                delete("/s"),
            ],
            vec![delete("/s")],
        ),
        (
            vec![delete("/h"), helper(), delete("/h")],
            vec![delete("/h")],
        ),
        // Without the helper its user would be refused.
        (
            vec![helper(), user(), delete("/h")],
            vec![helper(), user(), delete("/h")],
        ),
    ] {
        let normal = normalise(ops);
        assert_eq!(normal, expected);
        assert_eq!(normalise(normal.clone()), normal);
    }
}

#[test]
fn settings_and_stops_can_be_taken_back() {
    let mut overlay = Overlay::default();
    let a = path("/a");
    for op in [set("/a", json!({ "x": 1, "y": { "z": 2 } })), stop("/a")] {
        overlay.change(Layer::Unsaved, op).unwrap();
    }

    assert!(overlay.unset(Layer::Unsaved, &a, &["y", "z"]));
    assert!(!overlay.unset(Layer::Unsaved, &a, &["y"]));
    assert!(!overlay.unset(Layer::Saved, &a, &["x"]));
    assert!(overlay.start(Layer::Unsaved, &a));
    assert!(!overlay.start(Layer::Unsaved, &a));

    assert_eq!(overlay.ops(Layer::Unsaved), [set("/a", json!({ "x": 1 }))]);
    assert!(overlay.unset(Layer::Unsaved, &a, &["x"]));
    assert_eq!(overlay, Overlay::default());
}

#[test]
fn what_is_saved_is_not_hidden_by_what_is_not() {
    let worker = json!({ "id": "b", "kind": "probe", "settings": { "new": true } });
    for (unsaved, saved, expected) in [
        (
            vec![set("/a", json!({ "x": 2, "y": { "z": 1, "w": 1 } }))],
            set("/a", json!({ "y": { "z": 5 } })),
            (
                vec![set("/a", json!({ "y": { "z": 5 } }))],
                vec![set("/a", json!({ "x": 2, "y": { "w": 1 } }))],
            ),
        ),
        (
            vec![set("/a", json!({ "y": 1 })), stop("/a")],
            delete("/a"),
            (vec![delete("/a")], vec![]),
        ),
        (vec![stop("/a")], stop("/a"), (vec![stop("/a")], vec![])),
        (
            vec![delete("/b")],
            spawn("/", worker.clone()),
            (vec![delete("/b"), spawn("/", worker.clone())], vec![]),
        ),
        (
            vec![delete("/b"), spawn("/", worker.clone())],
            delete("/b"),
            (vec![delete("/b")], vec![]),
        ),
        (
            vec![spawn("/", json!({ "id": "n", "kind": "probe" }))],
            delete("/n"),
            (vec![], vec![]),
        ),
    ] {
        let mut overlay = Overlay::default();
        for op in unsaved {
            overlay.change(Layer::Unsaved, op).unwrap();
        }
        overlay.change(Layer::Saved, saved).unwrap();

        let found = (overlay.saved.clone(), overlay.unsaved.clone());
        assert_eq!(found, expected);
        let (_, left) = overlay.lay_over(&robot(), &Probe);
        assert_eq!(left, []);
    }
}

#[test]
fn nothing_is_saved_about_a_child_that_is_not() {
    let mut overlay = Overlay::default();
    let team = json!({ "id": "team", "children": [{ "id": "w", "kind": "probe" }] });
    overlay.change(Layer::Unsaved, spawn("/", team)).unwrap();

    for op in [
        set("/team/w", json!({ "x": 1 })),
        stop("/team"),
        delete("/team/w"),
        spawn("/team", json!({ "id": "v", "kind": "probe" })),
    ] {
        let refused = overlay.change(Layer::Saved, op);
        assert_eq!(refused, Err(NotSaved(path("/team"))));
    }
    assert_eq!(overlay.ops(Layer::Saved), []);
}

#[test]
fn the_saved_layer_is_on_disk_and_garbage_is_put_aside() {
    let folder = std::env::temp_dir().join(format!("uk-overlay-{}", std::process::id()));
    let mut overlay = Overlay::default();
    overlay
        .change(Layer::Saved, set("/a", json!({ "key": "${secret:KEY}" })))
        .unwrap();
    overlay.change(Layer::Unsaved, stop("/a")).unwrap();
    overlay.save(&folder).unwrap();

    let (again, warning) = Overlay::load(&folder);
    assert_eq!(warning, None);
    assert_eq!(again.ops(Layer::Saved), overlay.ops(Layer::Saved));
    assert_eq!(again.ops(Layer::Unsaved), []);

    fs::write(file(&folder), "garbage").unwrap();
    let (nothing, warning) = Overlay::load(&folder);
    assert_eq!(nothing, Overlay::default());
    assert!(warning.unwrap().contains("overlay.json is damaged"));
    overlay.save(&folder).unwrap();
    assert_eq!(Overlay::load(&folder).0, again);
    let aside = file(&folder).with_extension("json.damaged");
    assert_eq!(fs::read(aside).unwrap(), b"garbage");
    fs::remove_dir_all(folder).unwrap();
}

fn patches() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["x", "y", "z", "w"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        (0..3).prop_map(|number| json!(number)),
        Just(json!([1, null])),
        Just(json!({})),
    ];
    let value = leaf.prop_recursive(3, 12, 3, move |inner| {
        prop::collection::btree_map(key.clone(), inner, 0..3).prop_map(|keys| json!(keys))
    });
    let key = prop::sample::select(vec!["x", "y"]);
    prop::collection::btree_map(key, value, 0..3).prop_map(|keys| json!(keys))
}

fn some_op() -> impl Strategy<Value = Op> {
    let paths = [
        "/a", "/b", "/s", "/s/c", "/s/d", "/n", "/m", "/s/n", "/t", "/t/n",
    ];
    let path = || prop::sample::select(paths.to_vec());
    let worker = (
        prop::sample::select(vec!["n", "m", "a", "c"]),
        prop::sample::select(vec![vec![], vec!["a"], vec!["n"], vec!["m"]]),
    );
    let worker = worker.prop_map(
        |(id, needs)| json!({ "id": id, "kind": "probe", "needs": needs, "settings": { "x": { "y": 1 } } }),
    );
    let team = Just(json!({ "id": "t", "children": [] }));
    prop_oneof![
        4 => (path(), patches()).prop_map(|(path, patch)| set(path, patch)),
        3 => (prop::sample::select(vec!["/", "/s", "/t"]), prop_oneof![3 => worker, 1 => team])
            .prop_map(|(parent, child)| spawn(parent, child)),
        2 => path().prop_map(delete),
        1 => path().prop_map(stop),
    ]
}

/// Lays the operations over the tree one by one; those that have an effect, and what comes of it.
fn one_by_one(tree: TreeSpec, ops: Vec<Op>) -> (Vec<Op>, TreeSpec) {
    ops.into_iter()
        .fold((Vec::new(), tree), |(mut done, tree), op| {
            let (tree, left) = lay_over(&tree, std::slice::from_ref(&op), &Probe);
            if left.is_empty() {
                done.push(op);
            }
            (done, tree)
        })
}

proptest! {
    #[test]
    fn the_normal_form_makes_the_same_tree_as_the_operations_one_by_one(
        ops in prop::collection::vec(some_op(), 0..14)
    ) {
        let (ops, expected) = one_by_one(robot(), ops);
        let normal = normalise(ops.clone());

        let (found, left) = lay_over(&robot(), &normal, &Probe);

        prop_assert!(left.iter().all(|left| left.why == Why::Same), "{:?}", left);
        prop_assert_eq!(&found, &expected, "{:?} as {:?}", ops, normal);
        prop_assert_eq!(normalise(normal.clone()), normal);
    }

    #[test]
    fn two_patches_are_what_many_come_to(
        base in patches(), all in prop::collection::vec(patches(), 0..6)
    ) {
        let mut expected = base.clone();
        let mut patch = Patch::default();
        for next in all.iter().filter_map(Value::as_object) {
            patch::apply(&mut expected, next);
            patch.then(next);
        }
        let mut found = base;
        for next in patch.patches() {
            patch::apply(&mut found, &next);
        }
        prop_assert!(patch.patches().count() <= 2);
        prop_assert_eq!(found, expected);
    }
}
