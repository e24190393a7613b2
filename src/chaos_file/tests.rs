//! Tests of the reading of plans.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use unity_actors::chaos::plan::Fault;

use super::keys::{ACT, CHANCE, Choice, FAULTS, Form, PHASE, PLAN, PROBES, TARGETS, Table};
use super::*;

const COMMITTED: &str = include_str!("../../config/schema/chaos.json");

/// Faults that no shipped plan has, and why.
const SPECIAL: [(&str, &str); 3] = [
    ("stop_process", "it needs a child of the kind `process`"),
    ("kill_process", "it needs a child of the kind `process`"),
    ("kill_kernel", "it needs a guard"),
];

/// Reads a text as if it were a file.
fn read(text: &str) -> Checked<Plan> {
    with_kinds(|sources| {
        let mut reader = Reader::new(sources, true);
        let root = reader.text(Path::new("plan.yaml"), text);
        let plan = reader.plan(root);
        reader.checked(plan)
    })
}

fn shipped(name: &str) -> Plan {
    let checked = load(name, &FolderFrom::Nowhere);
    assert!(checked.diagnostics.is_empty(), "{}", checked.render(false));
    checked.tree.unwrap()
}

#[test]
fn shipped_plans_are_whole_and_name_every_fault_that_needs_nothing_special() {
    let mut named: BTreeSet<&str> = SPECIAL.iter().map(|(fault, _)| *fault).collect();
    for (name, _) in SHIPPED {
        let plan = shipped(name);
        assert_eq!(plan.name, name);
        assert!(!plan.about.is_empty() && !plan.probes.is_empty(), "{name}");
        let drawn = plan.phases.iter().flat_map(|phase| &phase.faults);
        let drawn = drawn.map(|chance| &chance.fault);
        let faults = drawn.chain(plan.acts.iter().map(|act| &act.fault));
        for fault in faults.map(Fault::name) {
            let is_special = SPECIAL.iter().any(|(special, _)| *special == fault);
            assert!(
                !is_special,
                "{name} has {fault}, which is said to be special"
            );
            named.insert(fault);
        }
    }

    let all: BTreeSet<&str> = FAULTS.all.iter().map(|table| table.what).collect();
    assert_eq!(named, all);
}

#[test]
fn a_plan_is_the_same_in_yaml_and_as_json() {
    for (name, _) in SHIPPED {
        let plan = shipped(name);
        let text = serde_json::to_string(&plan).unwrap();

        let again = read(&text);

        assert_eq!(again.tree, Some(plan), "{}", again.render(false));
    }
}

/// The properties of an object in the schema of the types, and those that it must have.
fn keys_of(object: &Json) -> BTreeMap<String, bool> {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let properties = object["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let names = properties.into_iter().map(|(name, _)| name);
    names
        .map(|name| (name.clone(), required.contains(&json!(name))))
        .collect()
}

fn keys_in(table: &Table) -> BTreeMap<String, bool> {
    let key = |key: &super::keys::Key| (key.name.to_owned(), key.required.is_some());
    table.keys.iter().map(key).collect()
}

/// The schemas behind the names of an enum.
fn variants(schema: &Json, name: &str) -> BTreeMap<String, BTreeMap<String, bool>> {
    let resolve = |form: &Json| match form["$ref"].as_str() {
        Some(way) => schema.pointer(way.trim_start_matches('#')).unwrap().clone(),
        None => form.clone(),
    };
    let mut found = BTreeMap::new();
    for one in schema["$defs"][name]["oneOf"].as_array().unwrap() {
        if let Some(word) = one["const"].as_str() {
            found.insert(word.to_owned(), BTreeMap::new());
        }
        for (word, form) in one["properties"].as_object().into_iter().flatten() {
            found.insert(word.clone(), keys_of(&resolve(form)));
        }
    }
    found
}

#[test]
fn the_table_of_keys_is_that_of_the_types() {
    let schema = schemars::schema_for!(Plan).to_value();

    assert_eq!(keys_in(&PLAN), keys_of(&schema));
    for (table, name) in [
        (&TARGETS, "Targets"),
        (&PHASE, "Phase"),
        (&CHANCE, "Chance"),
        (&ACT, "Act"),
    ] {
        assert_eq!(keys_in(table), keys_of(&schema["$defs"][name]), "{name}");
    }
    for (choice, name) in [(&FAULTS, "Fault"), (&PROBES, "Probe")] {
        let ours = choice.all.iter();
        let ours: BTreeMap<_, _> = ours.map(|it| (it.what.to_owned(), keys_in(it))).collect();
        assert_eq!(ours, variants(&schema, name), "{name}");
    }
}

/// What stands after a key in a whole plan.
fn example(form: &Form) -> Json {
    match form {
        Form::Version => json!(1),
        Form::Text => json!("a"),
        Form::Bool => json!(true),
        Form::Integer(least, _) => json!(least),
        Form::Time | Form::TimeAboveZero => json!("5s"),
        Form::Rate => json!("0.5/s"),
        Form::Path => json!("/a"),
        Form::Pattern => json!("/a/*"),
        Form::Kind => json!("sensor.host"),
        Form::Node => json!("edge-*"),
        Form::Word(words) => json!(words[0]),
        Form::Stream => json!("sensor"),
        Form::Labels => json!({ "floor": "2" }),
        Form::Any => json!({ "a": [1, null] }),
        Form::List(form) => json!([example(form)]),
        Form::Map(table) => whole(table),
        Form::OneOf(choice) => chosen(choice.all.first().unwrap()),
    }
}

fn whole(table: &Table) -> Json {
    let keys = table.keys.iter();
    keys.map(|key| (key.name.to_owned(), example(&key.form)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn chosen(table: &Table) -> Json {
    match table.keys {
        [] => json!(table.what),
        _ => json!({ table.what: whole(table) }),
    }
}

#[test]
fn a_plan_that_says_everything_is_read_and_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let all = |choice: &'static Choice| choice.all.iter().map(chosen);
    let plan = |fault: Json, probe: Json| {
        let mut plan = whole(&PLAN);
        plan["phases"][0]["faults"][0]["fault"] = fault.clone();
        plan["acts"][0]["fault"] = fault;
        plan["probes"] = json!([probe]);
        plan
    };
    for fault in all(&FAULTS) {
        for probe in all(&PROBES) {
            let mut plan = plan(fault.clone(), probe.clone());
            let parsed: Fault = serde_json::from_value(fault.clone()).unwrap();
            if parsed.is_of_node() {
                plan["acts"][0].as_object_mut().unwrap().remove("path");
            }

            let checked = read(&plan.to_string());

            assert!(
                checked.tree.is_some(),
                "{plan:#}\n{}",
                checked.render(false)
            );
            assert!(validator.is_valid(&plan), "{plan:#}");
        }
    }
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let committed: Json = serde_json::from_str(COMMITTED).unwrap();

    assert!(
        committed == schema(),
        "config/schema/chaos.json is stale; renew it: cargo run -- schema chaos > config/schema/chaos.json"
    );
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let phase =
        |keys: &str| format!("version: 1\nname: a\nphases: [{{ name: b, for: 5s, {keys} }}]\n");
    let fault = |fault: &str| phase(&format!("faults: [{{ fault: {fault} }}]"));
    // A schema cannot compare two values, knows no kinds, and takes a number for a pattern's business.
    for text in [
        "version: 1\nname: a\nacts: []\nphases: [{ name: b, for: 5s }]\n".to_owned(),
        "version: 1\nname: a\nacts:\nprobes:\nphases: [{ name: b, for: 5s }]\n".to_owned(),
        "version: 1\nphases: [{ name: b, for: 5s }]\n".to_owned(),
        "version: 2\nname: a\nphases: [{ name: b, for: 5s }]\n".to_owned(),
        "version: 1\nname: a\nphases: [{ name: b }]\n".to_owned(),
        "version: 1\nname: a\nphases: [{ name: b, for: 0s }]\n".to_owned(),
        phase("rate: 5/s"),
        phase("rate: 5"),
        phase("rates: 5/s"),
        phase("budget: 0"),
        phase("budget: 120"),
        phase("targets: { max_down: 0 }"),
        phase("targets: { essential: yes }"),
        phase("targets: { paths: /a }"),
        phase("faults: [kill]"),
        fault("kill"),
        fault("{ kill: {} }"),
        fault("meteor"),
        fault("hang"),
        fault("{ hang: { for: 1s } }"),
        fault("{ hang: { for: 0s } }"),
        fault("{ hang: { for: 1s, by: 2s } }"),
        fault("{ drop: { percent: 0, for: 1s } }"),
        fault("{ drop: { percent: 101, for: 1s } }"),
        fault("bad_swap"),
        fault("{ bad_swap: {} }"),
        fault("{ fail_start: { times: 0 } }"),
        fault("{ cut: {} }"),
        fault("{ cut: { node: a/b, for: 1s } }"),
        fault("{ cut_one_way: { for: 1s } }"),
        fault("{ cut_one_way: { direction: both, for: 1s } }"),
        fault("{ slow_link: { for: 1s } }"),
        fault("{ slow_link: { by: 0s, for: 1s } }"),
    ] {
        let checked = read(&text);
        let is_fine = checked.faults().next().is_none();
        let raw = with_kinds(|sources| {
            let mut reader = Reader::new(sources, false);
            let root = reader.text(Path::new("raw.yaml"), &text)?;
            reader.json(&root)
        });
        let is_valid = validator.is_valid(&raw.unwrap());
        assert_eq!(is_valid, is_fine, "{text}\n{}", checked.render(false));
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let checked = read(
        "version: 1\nnam: a\nphases:\n  - { name: b, rate: 5, faults: [{ fault: pannic }, { fault: { drop: { percent: 0 } } }] }\n",
    );

    let codes: Vec<Code> = checked.diagnostics.iter().map(|found| found.code).collect();

    use Code::{PlanKeyMissing, PlanRange, PlanRate, UnknownFault, UnknownPlanKey};
    let expected = [
        UnknownPlanKey,
        PlanKeyMissing,
        PlanRate,
        UnknownFault,
        PlanKeyMissing,
        PlanRange,
    ];
    assert_eq!(codes, expected, "{}", checked.render(false));
    assert!(checked.tree.is_none());
}

#[test]
fn a_plan_is_found_by_its_name_by_its_path_or_in_this_program() {
    let folder = std::env::temp_dir().join(format!("uk-chaos-{}", std::process::id()));
    std::fs::create_dir_all(folder.join(FOLDER)).unwrap();
    let from = FolderFrom::Named(folder.clone());
    let text = "version: 1\nname: ours\nphases: [{ name: b, for: 5s }]\n";
    std::fs::write(folder.join("chaos/storm.yaml"), text).unwrap();
    std::fs::write(folder.join("chaos/mine.json"), "{}").unwrap();
    let elsewhere = folder.join("here.yaml");
    std::fs::write(&elsewhere, text).unwrap();
    let name = |named: &str| load(named, &from).tree.map(|plan| plan.name);

    // A file counts instead of the plan in this program.
    assert_eq!(name("storm").as_deref(), Some("ours"));
    assert_eq!(name("disk").as_deref(), Some("disk"));
    assert_eq!(name(elsewhere.to_str().unwrap()).as_deref(), Some("ours"));
    assert_eq!(load("mine", &from).files().count(), 1);
    let all: Vec<String> = names(&from).into_iter().collect();
    assert_eq!(all, ["default", "disk", "mine", "nodes", "storm"]);
    let missing = load("strom", &from);
    assert!(missing.tree.is_none());
    assert!(missing.render(false).contains("did you mean `storm`?"));

    let is_one = |path: &Path| with_kinds(|sources| is_plan_file(path, sources));
    assert!(is_one(&folder.join("chaos/mine.json")) && is_one(&elsewhere));
    std::fs::write(&elsewhere, "version: 1\nphases: []\ntree: {}\n").unwrap();
    assert!(!is_one(&elsewhere));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_nobody_in_the_tree_is_called_is_told_once() {
    let plan = read(
        "version: 1\nname: a\ntargets: { paths: [/robot/*, /arms], spare: [/robot/camra] }\n\
         phases: [{ name: b, for: 5s, targets: { paths: [/robot/camra] } }]\n\
         acts: [{ at: 1s, fault: kill, path: /robot }, { at: 2s, fault: kill, path: /cellar/lamp }]\n",
    );
    let tree = ["/robot", "/robot/camera"].map(|path| path.parse().unwrap());

    let told = strangers(&plan.tree.unwrap(), &tree);

    assert_eq!(
        told,
        [
            "nobody in the tree is at `/arms`; `uk tree` shows all paths",
            "nobody in the tree is at `/robot/camra`; did you mean `/robot/camera`?",
            "nobody in the tree is at `/cellar/lamp`; `uk tree` shows all paths",
        ]
    );
}
