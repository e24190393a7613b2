//! Tests of the kernel's own settings.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};
use unity_supervisors::spec::{SupervisorSpec, TreeSpec};
use unity_supervisors::{Kernel, KernelConfig, Kinds, Runtimes};

use super::*;
use crate::tree_file::{Checked, Code};

const COMMITTED: &str = include_str!("../../../config/schema/system.json");

/// A folder of settings, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("uk-system-{}-{next}", std::process::id()));
        std::fs::create_dir_all(path.join("system.d")).unwrap();
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }

    fn load(&self, variables: &[(&str, &str)], flags: &Flags) -> Checked<Loaded> {
        load(&FolderFrom::Named(self.0.clone()), owned(variables), flags)
    }

    /// The codes of what is wrong, in the order in which it is told.
    fn codes(&self) -> Vec<Code> {
        let checked = self.load(&[], &Flags::default());
        let found = checked.diagnostics.iter();
        found.map(|found| found.code).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn owned(variables: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    let variables = variables
        .iter()
        .map(|(name, text)| (name.into(), text.into()));
    variables.collect::<Vec<_>>().into_iter()
}

fn loaded(checked: Checked<Loaded>) -> Loaded {
    let shown = checked.render(false);
    checked.tree.unwrap_or_else(|| panic!("{shown}"))
}

/// `50 from system.yaml:2, else 100 from default`, the folder left out.
fn told(loaded: &Loaded, name: &str) -> String {
    let found = loaded.explain(Some(name)).pop().unwrap();
    let told = |(value, origin): (&Value, &Origin)| {
        let origin = match origin {
            Origin::File(place) => format!(
                "{}:{}",
                place.file.file_name().unwrap().display(),
                place.line
            ),
            other => other.to_string(),
        };
        format!("{value} from {origin}")
    };
    let lower = found.lower.iter().map(|(value, origin)| (value, origin));
    let all = std::iter::once((&found.value, &found.origin)).chain(lower);
    all.map(told).collect::<Vec<_>>().join(", else ")
}

#[test]
fn a_higher_layer_counts_and_the_lower_ones_are_told() {
    let files = [
        ("system.yaml", "history:\n  keep: 1\n"),
        ("system.d/20-b.yaml", "history:\n  keep: 3\n"),
        ("system.d/10-a.json", "{\"history\": {\"keep\": 2}}"),
    ];
    let variables = [("UK_HISTORY__KEEP", "4")];
    for (files, variables, keep, expected) in [
        (&[][..], &[][..], 100, "100 from default"),
        (
            &files[..1],
            &[],
            1,
            "1 from system.yaml:2, else 100 from default",
        ),
        (
            &files[..2],
            &[],
            3,
            "3 from 20-b.yaml:2, else 1 from system.yaml:2, else 100 from default",
        ),
        (
            &files[..],
            &[],
            3,
            "3 from 20-b.yaml:2, else 2 from 10-a.json:1, else 1 from system.yaml:2, else 100 from default",
        ),
        (
            &files[..1],
            &variables[..],
            4,
            "4 from UK_HISTORY__KEEP, else 1 from system.yaml:2, else 100 from default",
        ),
    ] {
        let loaded = loaded(Folder::new(files).load(variables, &Flags::default()));

        assert_eq!(loaded.settings.history.keep, keep, "{expected}");
        assert_eq!(told(&loaded, "history.keep"), expected);
    }
}

#[test]
fn flags_come_above_the_environment() {
    let flags = Flags {
        memory_limit: Some(2 << 20),
        exit_on_give_up: true,
        name: Some("flag".to_owned()),
        node_listen: Some("127.0.0.1:4697".to_owned()),
        node_cookie_file: Some("cookie".to_owned()),
        labels: [("site".to_owned(), "lab".to_owned())].into(),
        ..Flags::default()
    };
    let variables = [
        ("UK_MEMORY_LIMIT", "1MiB"),
        ("UK_NAME", "007"),
        ("UK_EXIT_ON_GIVE_UP", "false"),
    ];
    let folder = Folder::new(&[]);

    let with = loaded(folder.load(&variables, &flags));
    let without = loaded(folder.load(&variables, &Flags::default()));

    assert_eq!(
        told(&with, "memory_limit"),
        "\"2MiB\" from --memory-limit, else \"1MiB\" from UK_MEMORY_LIMIT, else null from default"
    );
    assert!(told(&with, "exit_on_give_up").starts_with("true from --exit-on-give-up, else false"));
    assert_eq!(
        told(&with, "nodes.listen"),
        "\"127.0.0.1:4697\" from --node-listen, else null from default"
    );
    assert!(told(&with, "nodes.cookie_file").contains("from --node-cookie-file"));
    assert_eq!(told(&with, "labels.site"), "\"lab\" from --label");
    assert_eq!(with.settings.name.as_deref(), Some("flag"));
    // A name is a text, whatever it looks like.
    assert_eq!(without.settings.name.as_deref(), Some("007"));
}

#[test]
fn nothing_takes_a_limit_of_a_lower_layer_away() {
    let files = [("system.yaml", "memory_limit: 1MiB\nname: low\n")];
    let folder = Folder::new(&files);

    let loaded = loaded(folder.load(
        &[("UK_MEMORY_LIMIT", "null"), ("UK_NAME", "")],
        &Flags::default(),
    ));

    assert_eq!(loaded.settings.memory_limit, None);
    // An empty variable counts as none.
    assert_eq!(loaded.settings.name.as_deref(), Some("low"));
}

#[test]
fn labels_are_laid_over_each_other_one_by_one() {
    let files = [
        ("system.yaml", "labels: { site: lab, \"a.b\": x }\n"),
        ("system.d/a.yaml", "labels:\n  site: hall\n"),
    ];
    let folder = Folder::new(&files);

    let loaded = loaded(folder.load(&[("UK_LABELS__ROW", "3")], &Flags::default()));

    let labels = json!({ "site": "hall", "a.b": "x", "row": "3" });
    assert_eq!(json!(loaded.settings.labels), labels);
    assert_eq!(
        told(&loaded, "labels.site"),
        "\"hall\" from a.yaml:2, else \"lab\" from system.yaml:1"
    );
    assert_eq!(loaded.explain(Some("labels")).len(), 3);
}

#[test]
fn every_key_has_a_variable_and_every_variable_its_key() {
    for key in KEYS.iter().filter(|key| key.name != "labels") {
        let other = match key.value(&SystemSettings::default()) {
            Value::Bool(value) => (!value).to_string(),
            Value::Number(number) => (number.as_u64().unwrap() + 1).to_string(),
            Value::String(text) if text.ends_with('%') => "7%".to_owned(),
            Value::String(text) if text.ends_with(['s', 'd', 'm']) => "7s".to_owned(),
            Value::String(_) => "debug".to_owned(),
            _ if key.name.ends_with(".listen") => "127.0.0.1:8080".to_owned(),
            _ if key.name == "nodes.seeds" => "edge-1.local:4697, [::1]:1".to_owned(),
            _ if key.name == "name" => "other".to_owned(),
            _ => "7MiB".to_owned(),
        };
        let name = key.variable();
        let variables = [(name.as_str(), other.as_str())];

        let loaded = loaded(load(
            &FolderFrom::Nowhere,
            owned(&variables),
            &Flags::default(),
        ));

        assert!(
            told(&loaded, key.name).contains(&format!("from {name}, else")),
            "{name}"
        );
        let changed = live::changes(&SystemSettings::default(), &loaded.settings);
        assert_eq!(changed.len(), 1, "{name}");
        assert_eq!(
            (changed[0].key, &changed[0].to),
            (key.name, &loaded.explain(Some(key.name))[0].value)
        );
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let variables = [
        ("UK_SOCKET", "/x"),
        ("UK_CHAOS_SEEDS", "1"),
        ("UK_SIM_SEEDS", "1"),
        ("UK_SECRET_TOKEN", "s3cret"),
        ("UKULELE", "1"),
        ("HISTORY__KEEP", "x"),
    ];

    let checked = load(&FolderFrom::Nowhere, owned(&variables), &Flags::default());

    assert_eq!(checked.render(false), "");
}

#[test]
fn the_value_of_an_unknown_variable_is_not_shown() {
    let variables = [("UK_TOKEN", "s3cret")];

    let checked = load(&FolderFrom::Nowhere, owned(&variables), &Flags::default());

    let shown = format!("{}{}", checked.render(false), checked.to_json());
    assert!(
        shown.contains("UK_TOKEN") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn every_fault_of_every_layer_is_told_at_once() {
    let folder = Folder::new(&[
        (
            "system.yaml",
            "log: wran\nhistory:\n  kep: 1\n  max_age: 5\n",
        ),
        ("system.d/a.yaml", "kill_grace: 0s\nwatch: 7\n"),
        ("system.d/b.yaml", "name: [\n"),
    ]);

    let checked = folder.load(&[("UK_MAX_ABANDONED", "many")], &Flags::default());

    assert!(checked.tree.is_none());
    let codes: BTreeSet<&str> = checked
        .diagnostics
        .iter()
        .map(|found| found.code.as_str())
        .collect();
    let expected = ["UK0107", "UK0501", "UK0502", "UK0503", "UK0505", "UK0506"];
    assert_eq!(codes, BTreeSet::from(expected), "{}", checked.render(false));
    assert_eq!(checked.faults().count(), 7);
}

#[test]
fn what_is_not_a_file_of_settings_is_told_and_what_is_gone_is_not() {
    let empty = Folder::new(&[("system.yaml", "")]);
    assert_eq!(empty.codes(), [Code::Empty]);

    let comments = Folder::new(&[
        ("system.yaml", "# log: debug\n"),
        ("system.d/.a.yaml.swp", "x"),
        ("system.d/.b.yaml", "x"),
        ("system.d/notes.txt", "x"),
    ]);
    assert_eq!(comments.codes(), []);

    let sections = Folder::new(&[("system.yaml", "watch:\n  # enabled: false\nlabels:\n")]);
    assert_eq!(sections.codes(), []);

    let folder = Folder::new(&[]);
    std::fs::create_dir(folder.0.join("system.yaml")).unwrap();
    assert_eq!(folder.codes(), [Code::Folder]);

    let dangling = Folder::new(&[]);
    symlink("nowhere.yaml", dangling.0.join("system.d/a.yaml")).unwrap();
    assert_eq!(dangling.codes(), [Code::Missing]);

    let file = Folder::new(&[]);
    std::fs::remove_dir(file.0.join("system.d")).unwrap();
    assert_eq!(file.codes(), []);
    std::fs::write(file.0.join("system.d"), "").unwrap();
    assert_eq!(file.codes(), [Code::ConfigFolder]);

    let half = Folder::new(&[("system.yaml", "log: \"deb")]);
    assert_eq!(half.codes(), [Code::Syntax]);
}

#[test]
fn an_entry_that_vanishes_while_it_is_read_was_never_there() {
    crate::tree_file::plain::with_sources(|sources| {
        let keys = KEYS.iter().map(|key| (key.name, &key.form));
        let mut reader = crate::tree_file::plain::PlainReader::new(sources, FILE, keys);

        let found = reader.file_if_there(Path::new("/no/such/system.d/a.yaml"));

        assert_eq!(found, []);
        assert_eq!(reader.finish(()).render(false), "");
    });
}

#[test]
fn a_folder_is_named_or_found_beside_the_tree() {
    let named = Path::new("settings");
    let tree = Path::new("robots/one.yaml");

    assert_eq!(
        folder_of(Some(named), Some(tree)),
        FolderFrom::Named("settings".into())
    );
    assert_eq!(
        folder_of(None, Some(tree)),
        FolderFrom::Usual("robots/config".into())
    );
    assert_eq!(folder_of(None, None), FolderFrom::Nowhere);
    let usual = FolderFrom::Usual("/no/such/folder".into());
    assert!(
        load(&usual, owned(&[]), &Flags::default())
            .diagnostics
            .is_empty()
    );
}

#[test]
fn files_of_settings_are_known_by_their_names() {
    for (path, expected) in [
        ("system.yaml", true),
        ("config/system.json", true),
        ("config/system.d/10-lab.yml", true),
        ("robot.yaml", false),
        ("system.d/notes.txt", false),
        ("system.yaml/robot.yaml", false),
    ] {
        assert_eq!(is_system_file(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn the_table_has_every_key_of_the_settings() {
    let mut names = BTreeSet::new();
    for (name, value) in json!(SystemSettings::default()).as_object().unwrap() {
        match value {
            Value::Object(inner) if name != "labels" => {
                names.extend(inner.keys().map(|inner| format!("{name}.{inner}")));
            }
            _ => {
                names.insert(name.clone());
            }
        }
    }

    let table: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(table, names);
    assert_eq!(KEYS.len(), names.len());
    for key in KEYS {
        assert!(key.about().ends_with('.'), "{}: {}", key.name, key.about());
    }
}

#[test]
fn the_committed_schema_is_that_of_the_settings() {
    let committed: Value = serde_json::from_str(COMMITTED).unwrap();

    assert!(
        committed == schema(),
        "config/schema/system.json is stale; renew it: cargo run -- config schema system > config/schema/system.json"
    );
    assert!(jsonschema::meta::is_valid(&schema()));
}

/// `UK_SNAPSHOTS=write` writes the file anew.
#[test]
fn the_shipped_file_is_made_of_the_defaults() {
    if std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/system.yaml");
        return std::fs::write(path, shipped()).unwrap();
    }
    assert_eq!(
        SHIPPED,
        shipped(),
        "config/system.yaml is stale; UK_SNAPSHOTS=write writes it anew"
    );
}

#[test]
fn the_shipped_file_says_the_defaults_once_its_keys_are_no_comments() {
    let lines = SHIPPED
        .lines()
        .map(|line| match line.trim_start().strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => line.replacen('#', "", 1),
            _ => line.to_owned(),
        });
    let text: Vec<String> = lines.collect();
    let folder = Folder::new(&[("system.yaml", &text.join("\n"))]);

    let loaded = loaded(folder.load(&[], &Flags::default()));

    assert_eq!(loaded.settings, SystemSettings::default());
    for key in KEYS.iter().filter(|key| key.name != "labels") {
        assert!(
            told(&loaded, key.name).contains("from system.yaml:"),
            "{}",
            key.name
        );
    }
}

/// A value for each key: one that fits, or one that does not.
fn value_of(key: &'static str) -> impl Strategy<Value = Value> {
    let durations = prop_oneof![
        Just(json!("7s")),
        Just(json!("2m")),
        Just(json!(5)),
        Just(json!("0s"))
    ];
    match key {
        "log" => prop_oneof![Just(json!("debug")), Just(json!("a=b=c")), Just(json!(7))].boxed(),
        "memory_limit" => {
            prop_oneof![Just(json!("1MiB")), Just(json!(null)), Just(json!("1"))].boxed()
        }
        "alarms.mailbox_depth" | "alarms.disk" | "alarms.memory" => prop_oneof![
            Just(json!("7%")),
            Just(json!("off")),
            Just(json!("0%")),
            Just(json!(7))
        ]
        .boxed(),
        "alarms.restarts" | "alarms.lag" | "alarms.temperature" => prop_oneof![
            (0_u32..40).prop_map(|number| json!(number)),
            Just(json!("off"))
        ]
        .boxed(),
        "max_abandoned"
        | "history.keep"
        | "dispatcher.critical"
        | "dispatcher.high"
        | "dispatcher.normal"
        | "dispatcher.low"
        | "dispatcher.deferred" => (0_u32..400).prop_map(|number| json!(number)).boxed(),
        "watch.enabled" | "exit_on_give_up" => prop_oneof![
            any::<bool>().prop_map(|value| json!(value)),
            Just(json!("yes"))
        ]
        .boxed(),
        "nodes.heartbeat" | "nodes.seeds" => value_of_nodes(key).boxed(),
        "http.listen" | "nodes.listen" => prop_oneof![
            Just(json!("127.0.0.1:8080")),
            Just(json!("[::1]:0")),
            Just(json!(null)),
            Just(json!("localhost:80"))
        ]
        .boxed(),
        "http.cert" | "http.key" | "http.hosts" | "nodes.cookie_file" | "nodes.ca"
        | "nodes.cert" | "nodes.key" => {
            prop_oneof![Just(json!("one")), Just(json!(null)), Just(json!([]))].boxed()
        }
        "name" => prop_oneof![Just(json!("one")), Just(json!(null)), Just(json!("a b"))].boxed(),
        "labels" => prop_oneof![
            Just(json!({"a": "x"})),
            Just(json!({"a.b": "y"})),
            Just(json!({"a": 1}))
        ]
        .boxed(),
        _ => durations.boxed(),
    }
}

fn value_of_nodes(key: &str) -> impl Strategy<Value = Value> + use<> {
    match key {
        "nodes.heartbeat" => prop_oneof![
            Just(json!("199ms")),
            Just(json!("200ms")),
            Just(json!("060s")),
            Just(json!("1m")),
            Just(json!("2m")),
            Just(json!(5))
        ]
        .boxed(),
        _ => prop_oneof![
            Just(json!(["edge-1.local:4697", "[::1]:1"])),
            Just(json!("edge-1:1, edge-2:2")),
            Just(json!([])),
            Just(json!(null)),
            Just(json!(["edge-1"])),
            Just(json!([7])),
            Just(json!("edge 1:2"))
        ]
        .boxed(),
    }
}

/// A file of some keys.
fn file() -> impl Strategy<Value = Value> {
    let keys: Vec<_> = KEYS
        .iter()
        .map(|key| proptest::option::weighted(0.3, value_of(key.name)))
        .collect();
    keys.prop_map(|values| {
        let mut file = json!({});
        for (key, value) in KEYS.iter().zip(values) {
            let Some(value) = value else { continue };
            match key.name.split_once('.') {
                Some((section, name)) => file[section][name] = value,
                None => file[key.name] = value,
            }
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_explained_is_what_is_in_force_and_the_schema_agrees_with_the_reader(
        low in file(), high in file()
    ) {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        for file in [&low, &high] {
            let folder = Folder::new(&[("system.yaml", &file.to_string())]);
            let codes = folder.codes();
            // A pattern does not tell what is a filter.
            let seen = codes.iter().any(|code| *code != Code::LogFilter);
            prop_assert_eq!(validator.is_valid(file), !seen, "{}", file);
        }
        let (low, high) = (low.to_string(), high.to_string());
        let folder = Folder::new(&[("system.yaml", &low), ("system.d/a.json", &high)]);
        let Some(loaded) = folder.load(&[], &Flags::default()).tree else {
            return Ok(());
        };

        let in_force = json!(loaded.settings);
        for found in loaded.explain(None) {
            let mut value = &in_force;
            for step in found.name.splitn(2, '.') {
                value = &value[step];
            }
            prop_assert_eq!(&found.value, value, "{}", found.name);
        }
        let labels = loaded.explain(Some("labels")).len();
        prop_assert_eq!(labels, loaded.settings.labels.len());
    }
}

#[tokio::test]
async fn a_change_is_put_in_force_where_it_can_be_and_told_where_not() {
    let kernel = kernel().await;
    let filters = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&filters);
    let switch: LogSwitch = std::sync::Arc::new(move |filter| {
        seen.lock().unwrap().push(filter.to_owned());
        Ok(())
    });
    let in_force = InForce::new(SystemSettings::default(), Some(switch));
    let mut watching = in_force.subscribe();
    let mut new = SystemSettings {
        log: "debug".to_owned(),
        max_abandoned: 3,
        memory_limit: Some(SizeText(1 << 20)),
        ..SystemSettings::default()
    };
    new.history.keep = 7;

    let changes = in_force.apply_live(&kernel, &new);

    let told: Vec<(&str, bool)> = changes
        .iter()
        .map(|change| (change.key, change.live))
        .collect();
    // Nobody measures memory here, so there is nothing to hold the limit against.
    let expected = [
        ("log", true),
        ("memory_limit", false),
        ("max_abandoned", false),
        ("history.keep", true),
    ];
    assert_eq!(told, expected);
    assert_eq!(*filters.lock().unwrap(), ["debug"]);
    assert!(watching.has_changed().unwrap());
    let now = watching.borrow_and_update().clone();
    assert_eq!(
        (now.history.keep, now.max_abandoned, now.memory_limit),
        (7, 8, None)
    );
    // What waits for the next start is told of again, what is done is not.
    let again = in_force.apply_live(&kernel, &new);
    assert!(
        again.iter().all(|change| !change.live) && again.len() == 2,
        "{again:?}"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_switched_keeps_its_filter() {
    let kernel = kernel().await;
    let in_force = InForce::default();
    let new = SystemSettings {
        log: "debug".to_owned(),
        ..SystemSettings::default()
    };

    let changes = in_force.apply_live(&kernel, &new);

    assert!(!changes[0].live);
    assert_eq!(in_force.get().log, LOG);
}

async fn kernel() -> Kernel {
    let tree = TreeSpec {
        name: "rig".to_owned(),
        test: true,
        root: SupervisorSpec::default(),
    };
    let config = KernelConfig::new(Runtimes::current(), Kinds::new(), 1);
    Kernel::start(config, tree).await.unwrap()
}
