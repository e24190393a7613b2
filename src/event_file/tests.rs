//! Tests of the catalog file.

use std::path::Path;

use serde_json::{Value, json};
use unity_supervisors::bus::{Pattern, Topic};
use unity_supervisors::stream::Durability;

use super::lower::in_words;
use super::*;
use crate::tree_file::{Code, Level};

const COMMITTED: &str = include_str!("../../config/schema/events.json");

/// Reads a text as if it were a file.
fn read(text: &str) -> Checked<Catalog> {
    with_sources(|sources| {
        let mut reader = Reader::new(sources, true);
        let root = reader.text(Path::new("events.yaml"), text);
        let catalog = reader.events(root);
        reader.checked(catalog)
    })
}

fn catalog(text: &str) -> Catalog {
    let checked = read(text);
    let shown = checked.render(false);
    checked.tree.unwrap_or_else(|| panic!("{shown}"))
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

#[test]
fn the_shipped_catalog_has_no_fault_and_says_how_families_are_kept() {
    let checked = read(SHIPPED);
    assert!(checked.diagnostics.is_empty(), "{}", checked.render(false));
    let catalog = checked.tree.unwrap();
    let kept = |text: &str| {
        let persist = catalog.find(&topic(text))?.persist.clone()?;
        Some((persist.stream.to_string(), persist.mode))
    };

    assert!(!catalog.strict);
    let (durable, soon) = (Durability::Durable, Durability::Async);
    for (text, stream, mode) in [
        ("perception.user_input", "conversation_stream", durable),
        ("perception.clipboard", "perception", durable),
        ("cognition.decision", "cognition", durable),
        ("action.file_write", "action_log", durable),
        ("action.new_one", "action_log", durable),
        ("memory.store", "memory_updates", durable),
        ("system.module_failed", "module_events", soon),
        ("system.child_exited", "system", soon),
        ("sensor.camera.front", "sensor:camera", soon),
        ("sensor.host.load", "sensor", soon),
    ] {
        assert_eq!(kept(text), Some((stream.to_owned(), mode)), "{text}");
    }
    assert_eq!(kept("quick.answer"), None);
    for event_type in catalog.types() {
        assert!(!event_type.description.is_empty(), "{event_type:?}");
        let bounded = event_type.persist.as_ref().map(|its| its.retention);
        assert!(
            bounded.is_none_or(|its| its.bytes.is_some()),
            "{event_type:?}"
        );
    }
}

#[test]
fn a_file_becomes_a_catalog() {
    let catalog = catalog(
        "version: 1\nstrict: true\nevents:\n  a.b:\n    description: |\n      One\n    priority: high\n    \
         persist: { mode: durable, stream: s, retention: { age: 30d, length: 5, bytes: 1GiB } }\n    \
         publishers: [/ui, /bridge]\n  a.*: { persist: { mode: async, stream: s } }\n  c.d:\n",
    );
    let found = catalog.find(&topic("a.b")).unwrap();
    let persist = found.persist.clone().unwrap();
    let wide = catalog
        .find(&topic("a.x"))
        .unwrap()
        .persist
        .clone()
        .unwrap();

    assert!(catalog.strict);
    assert_eq!(
        (found.description.as_str(), found.priority.as_str()),
        ("One", "high")
    );
    assert_eq!(in_words(persist.retention), "30d, 5 events, 1GiB");
    assert_eq!(
        (persist.stream.as_str(), persist.mode),
        ("s", Durability::Durable)
    );
    let paths: Vec<&str> = found.publishers.iter().map(|path| path.as_str()).collect();
    assert_eq!(paths, ["/ui", "/bridge"]);
    // Said once, it counts for all.
    assert_eq!(
        (wide.retention, wide.mode),
        (persist.retention, Durability::Async)
    );
    assert!(catalog.get(&Pattern::new("c.d").unwrap()).is_some());
}

#[test]
fn json_is_read_as_well() {
    let text = json!({ "version": 1, "events": { "a.b": { "priority": "low" } } });

    let catalog = catalog(&text.to_string());

    assert_eq!(
        catalog.find(&topic("a.b")).unwrap().priority.as_str(),
        "low"
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let checked = read(
        "version: 1\nevents:\n  a b: { prority: low }\n  c.d: { priority: 5, publishers: [x], schema: { type: 1, minimum: x } }\n",
    );

    let codes: Vec<Code> = checked.diagnostics.iter().map(|found| found.code).collect();

    use Code::{BadPublisher, BadSchema, BadTopic, EventValueType, UnknownEventKey};
    let expected = [
        BadTopic,
        UnknownEventKey,
        EventValueType,
        BadPublisher,
        BadSchema,
        BadSchema,
    ];
    assert_eq!(codes, expected, "{}", checked.render(false));
    assert!(checked.tree.is_none());
}

#[test]
fn an_entry_twice_is_a_key_twice() {
    let checked = read("version: 1\nevents:\n  a.b:\n  a.b: { priority: low }\n");

    assert_eq!(checked.diagnostics[0].code, Code::DuplicateKey);
}

#[test]
fn data_is_checked_against_its_schema_and_told_in_plain_words() {
    let catalog = catalog(
        "version: 1\nevents:\n  a.b:\n    schema:\n      type: object\n      required: [text, at]\n      \
         additionalProperties: false\n      properties:\n        text: { type: string, maxLength: 5, pattern: '^h' }\n        \
         at: { properties: { x: { type: [integer, 'null'], minimum: 0 } } }\n        mood: { enum: [good, bad] }\n",
    );
    let found = catalog.find(&topic("a.b")).unwrap();
    let check = found.check.clone().unwrap();
    let told = |data: Value| -> Vec<String> {
        let misfits = check(&data).err().unwrap_or_default();
        misfits.iter().map(ToString::to_string).collect()
    };

    assert_eq!(
        told(json!({"text": "hi", "at": {"x": 1}})),
        Vec::<String>::new()
    );
    for (data, expected) in [
        (json!("x"), "`x` is not an object"),
        (json!({"at": {}}), "`text` is missing"),
        (
            json!({"text": "hi", "at": {"x": -1}}),
            "`/at/x`: `-1` is below 0",
        ),
        (
            json!({"text": "hi", "at": {"x": "one"}}),
            "`/at/x`: `one` is not `null` or an integer",
        ),
        (
            json!({"text": "hi ho he", "at": 1}),
            "`/text`: it has more than 5 characters",
        ),
        (
            json!({"text": "oh", "at": 1}),
            "`/text`: `oh` does not fit the pattern ^h",
        ),
        (
            json!({"text": "hi", "at": 1, "mod": 1}),
            "unknown key `mod`, did you mean `mood`?",
        ),
        (
            json!({"text": "hi", "at": 1, "mood": 1}),
            "`/mood`: `1` is not one of `good`, `bad`",
        ),
    ] {
        let found = told(data.clone());
        assert!(found.contains(&expected.to_owned()), "{data}: {found:?}");
    }
}

#[test]
fn a_catalog_is_told_by_its_name_or_by_its_keys() {
    let folder = std::env::temp_dir().join(format!("uk-events-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text, expected) in [
        ("events.yaml", "", true),
        ("events.json", "[]", true),
        ("mine.yaml", "version: 1\nevents: {}\n", true),
        ("mine.yaml", "version: 1\nevents: {}\ntree: {}\n", false),
        ("mine.yaml", "version: 1\ntree: {}\n", false),
        ("mine.yaml", "[", false),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let is_one = with_sources(|sources| is_event_file(&path, sources));
        assert_eq!(is_one, expected, "{name} {text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_committed_schema_is_that_of_the_reader() {
    let committed: Value = serde_json::from_str(COMMITTED).unwrap();

    assert!(
        committed == schema(),
        "config/schema/events.json is stale; renew it: cargo run -- schema events > config/schema/events.json"
    );
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let keys = |keys: &str| format!("version: 1\nevents:\n  a.b: {{ {keys} }}\n");
    // A schema takes what looks like a variable for one, and cannot compare two values.
    for text in [
        SHIPPED.to_owned(),
        "version: 1\nevents:\n".to_owned(),
        "version: 2\nevents: {}\n".to_owned(),
        "version: 1\nevents: { a/b: }\n".to_owned(),
        "version: 1\n".to_owned(),
        "version: 1\nevents: {}\nstrikt: true\n".to_owned(),
        keys("priority: low"),
        keys("priority: lowest"),
        keys("persist: durable"),
        keys("persist: forever"),
        keys("persist: { stream: a, retention: {} }"),
        keys("persist: { mode: async, retention: { age: 5m } }"),
        keys("persist: { mode: async, retention: { age: 0m } }"),
        keys("persist: { mode: async, retention: { length: 0 } }"),
        keys("persist: { mode: async, retention: { bytes: 1 } }"),
        keys("persist: { mode: async, stream: \" \", retention: {} }"),
        keys("schema: { type: object }"),
        keys("schema: { type: objekt }"),
        keys("publishers: [/a]"),
        keys("publishers: [a]"),
        keys("publishers: /a"),
    ] {
        let checked = read(&text);
        let is_fine = checked.faults().next().is_none();
        let raw = with_sources(|sources| {
            let mut reader = Reader::new(sources, false);
            let root = reader.text(Path::new("raw.yaml"), &text)?;
            reader.json(&root)
        });
        let is_valid = validator.is_valid(&raw.unwrap());
        assert_eq!(is_valid, is_fine, "{text}\n{}", checked.render(false));
    }
}

#[test]
fn a_stream_that_nothing_bounds_is_told_once() {
    let text = "version: 1\nevents: { a.b: { persist: durable }, a.c: { persist: async } }\n";

    let checked = read(text);

    let levels: Vec<Level> = checked.diagnostics.iter().map(|it| it.level()).collect();
    assert_eq!(levels, [Level::Warning]);
    assert!(checked.tree.is_some());
}
