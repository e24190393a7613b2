//! The schema says what the reader does.

use jsonschema::Validator;
use proptest::prelude::*;

use super::codes::rows;
use super::effective::{shipped, with_real_kinds};
use super::*;
use crate::tree_file::effective::json_text;

const COMMITTED: &str = include_str!("../../../config/schema/tree.json");

/// Why a schema cannot see faults of a code; `None` if it does.
fn beyond(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Missing
        | Code::Unreadable
        | Code::Folder
        | Code::NotUtf8
        | Code::TooLarge
        | Code::TooManyFiles
        | Code::IncludeTooDeep
        | Code::IncludeCycle => "it sees values, not files",
        Code::Empty
        | Code::Syntax
        | Code::SeveralDocuments
        | Code::UnknownAlias
        | Code::DuplicateKey
        | Code::ComplexKey
        | Code::UnknownTag
        | Code::BadMerge => "it sees values, not their YAML",
        Code::TooDeep | Code::TooManyNodes => "it has no limits",
        Code::VariableUnset
        | Code::VariableForm
        | Code::SecretPlace
        | Code::SecretName
        | Code::SecretMissing
        | Code::SecretUnusable => "it takes what looks like a variable for one",
        Code::PlaceHere => "it cannot look at the name of the node",
        Code::DuplicateId => "a value is unique as a whole, not by a key",
        Code::ReservedId => "the definition of a child is the same below the root",
        Code::NeedsUnknown | Code::NeedsLater | Code::NeedsItself => "it cannot look at siblings",
        Code::SignificantNever | Code::QuarantineInGroup => {
            "it cannot look at the supervisor above"
        }
        Code::BackoffOrder
        | Code::HealthOrder
        | Code::StepNeverReached
        | Code::StepNotWaitedFor => "it cannot compare two values",
        Code::SwapMisfit => "it cannot lay one value over another",
        Code::NoStateToKeep | Code::LadderTemporary => "it cannot see what another key says",
        _ => return None,
    })
}

/// A file as an editor sees it: no variable filled in. `None` if it cannot be told in JSON.
fn raw(text: &str) -> Option<Value> {
    let sources = Sources {
        read: &|_, _| Err(io::ErrorKind::Unsupported.into()),
        env: &|_| None,
        kinds: &Kinds,
        limits: Limits::default(),
    };
    let mut reader = Reader::new(&sources, false);
    let node = reader.text(Path::new("raw.yaml"), text)?;
    let json = reader.json(&node);
    json.filter(|_| reader.faults() == 0)
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

/// The schema of files that are included.
fn of_included(schema: &Value) -> Value {
    json!({ "$ref": "#/$defs/included", "$defs": schema["$defs"] })
}

#[test]
fn the_committed_schema_is_that_of_the_reader() {
    let kinds = unity_actors::kinds();
    let schema = schema(&crate::kind_check::KnownKinds(&kinds));

    let committed: Value = serde_json::from_str(COMMITTED).unwrap();

    assert!(
        committed == schema,
        "config/schema/tree.json is stale; renew it: cargo run -- schema tree > config/schema/tree.json"
    );
    assert!(jsonschema::meta::is_valid(&schema));
}

#[test]
fn the_smallest_file_of_each_code_is_refused_or_beyond_a_schema() {
    let schema = schema(&Kinds);
    let (tree, included) = (validator(&schema), validator(&of_included(&schema)));

    // The kernel's own settings and the catalog of events have schemas of their own.
    let of_trees = rows().filter(|(code, ..)| code.as_str() < "UK05");
    for (code, text, ..) in of_trees {
        let files = text.files();
        let texts = files.iter().map(|(_, text)| str::from_utf8(text).ok());
        let mut raws = texts.map(|text| text.and_then(raw));
        // What is no value of JSON is no business of a schema.
        let Some(Some(main)) = raws.next() else {
            assert!(
                beyond(*code).is_some() || *code == Code::WrongType,
                "{code:?}"
            );
            continue;
        };
        let valid =
            tree.is_valid(&main) && raws.all(|raw| raw.is_none_or(|raw| included.is_valid(&raw)));
        let expected = code.is_warning() || beyond(*code).is_some();
        assert_eq!(valid, expected, "{code:?} {main:#}");
    }
}

#[test]
fn shipped_trees_are_valid_and_name_the_schema() {
    let kinds = unity_actors::kinds();
    let validator = validator(&schema(&crate::kind_check::KnownKinds(&kinds)));
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("# yaml-language-server: $schema=");
        let schema = path.parent().unwrap().join(named.unwrap_or("nowhere"));

        assert_eq!(
            std::fs::read_to_string(&schema).ok().as_deref(),
            Some(COMMITTED),
            "{path:?}"
        );
        assert!(validator.is_valid(&raw(&text).unwrap()), "{path:?}");
    }
}

#[test]
fn variables_may_stand_where_the_reader_fills_them_in() {
    let validator = validator(&schema(&Kinds));
    let keys = "essential: ${NO:-true}\nmailbox: { capacity: ${N:-5}, lanes: { low: \"a\" } }";
    for (keys, expected) in [
        ("essential: ${NO:-true}", true),
        (
            "mailbox:\n  capacity: ${COUNT}\n  overflow: ${NO:-reject}",
            true,
        ),
        ("shutdown: ${COUNT}s", true),
        ("labels: ${NO:-}", true),
        ("essential: NO:-true", false),
        (keys, false),
    ] {
        let text = worker(keys);
        let valid = raw(&text).is_some_and(|raw| validator.is_valid(&raw));
        assert_eq!(
            (valid, load_one(&text).tree.is_some()),
            (expected, expected),
            "{keys}"
        );
    }
}

#[test]
fn a_lease_is_in_its_range_to_the_schema_as_to_the_reader() {
    let validator = validator(&schema(&Kinds));
    let around = |number: u64| [number.saturating_sub(1), number, number + 1];
    for (unit, unit_ms) in [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)] {
        let bounds = [0, 1000 / unit_ms, 3_600_000 / unit_ms];
        let powers = (0..8).flat_map(|power| {
            let power = 10_u64.pow(power);
            [
                power,
                2 * power,
                3 * power,
                35 * power,
                36 * power,
                6 * power,
            ]
        });
        for number in bounds.into_iter().chain(powers).flat_map(around) {
            for lead in ["", "00"] {
                let text = worker(&format!(
                    "place: {{ node: e, lease: {lead}{number}{unit} }}"
                ));
                let fits = (1000..=3_600_000).contains(&(number * unit_ms));
                let valid = validator.is_valid(&raw(&text).unwrap());
                assert_eq!(
                    (valid, load_one(&text).tree.is_some()),
                    (fits, fits),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema(&Kinds);
    let (child, root) = (&schema["$defs"]["child"], &schema["$defs"]["root"]);
    for properties in [child, root, &schema].map(|of| of["properties"].as_object().unwrap()) {
        for (name, property) in properties {
            assert!(
                property["description"]
                    .as_str()
                    .is_some_and(|text| text.len() > 10),
                "{name}"
            );
        }
    }
    assert_eq!(child["properties"]["intensity"]["default"], 1);
    let shutdown = child["properties"]["shutdown"]["description"]
        .as_str()
        .unwrap();
    assert!(
        shutdown.ends_with("Default: 5s; of a supervisor infinity."),
        "{shutdown}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_the_reader_accepts_is_valid_and_what_it_refuses_for_its_form_is_not(
        seed in any::<u64>(), changes in 0_usize..3
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut grown = grow::tree(&mut rng);
        for _ in 0..changes {
            grow::mutate(&mut rng, &mut grown);
        }
        with_real_kinds(|sources| {
            let checked = load_text("grown.yaml", &json_text(&grown), sources);
            let seen = checked.faults().find(|fault| beyond(fault.code).is_none());
            let valid = REAL.with(|validator| validator.is_valid(&grown));

            let shown = checked.render(false);
            if checked.tree.is_some() {
                prop_assert!(valid, "the schema refuses {grown:#}");
            } else if seen.is_some() && !only_by_serde(&checked) {
                prop_assert!(!valid, "the schema accepts {grown:#}\n{shown}");
            }
            Ok(())
        })?;
    }
}

thread_local! {
    static REAL: Validator = {
        let kinds = unity_actors::kinds();
        validator(&schema(&crate::kind_check::KnownKinds(&kinds)))
    };
}

/// Whether all that is at fault are texts in settings whose rules no pattern tells, such as a signal's name, or how long
/// a time may be.
fn only_by_serde(checked: &Checked) -> bool {
    let mut seen = checked
        .faults()
        .filter(|fault| beyond(fault.code).is_none());
    seen.all(|fault| {
        let what = &fault.message;
        fault.code == Code::BadSettings
            && [
                "signal",
                "the command is empty",
                "no name of an environment",
                "NUL",
                "is not from",
            ]
            .iter()
            .any(|rule| what.contains(rule))
    })
}
